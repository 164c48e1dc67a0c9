"""One run over several accounts: guards, outcome, exit status, and one run at a time."""

from __future__ import annotations

import itertools
import json
import logging
import re
import signal
import subprocess
import sys
import threading
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, timedelta
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner
from click.testing import Result as Outputs
from msgspec.structs import replace

from confcleanup.cli import cli
from confcleanup.config.holds import HoldSettings
from confcleanup.config.load import Account, Config, StateSettings
from confcleanup.cutoff import Period
from confcleanup.errors import HttpError, LedgerError, Problem, ProviderError
from confcleanup.guards import Limits
from confcleanup.items import Item, Outcome, Result
from confcleanup.plan import Plan, Watcher
from confcleanup.plan_file import SavedPlan, document, load
from confcleanup.records.journal import Journal
from confcleanup.records.ledger import Ledger
from confcleanup.run import Ports, Run, resolve
from confcleanup.run import run as run_accounts
from confcleanup.sandbox.server import Response, Server
from confcleanup.sandbox.trueconf import TrueConf
from confcleanup.settings.tables import AccountSettings, LimitSettings, build
from confcleanup.system import HANGUPS
from confcleanup.worklist import Entry, Worklist
from tests.fake import NOW, Fake, FakeRule, one_rule, thing

MONTH = Period.parse("30 days")


class World:
    """Accounts at providers in memory, a ledger, and runs over them."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.accounts: dict[str, Account] = {}
        self.fakes: dict[str, Fake] = {}

    def add(self, name: str, *items: Item, rule: FakeRule | None = None, **limits: Any) -> Fake:
        fake = self.fakes[name] = Fake(*items)

        class Mine(Fake):
            def __new__(cls, settings: Any, stop: Any, clock: Any) -> Any:
                fake.stop = stop
                return fake

        settings = AccountSettings(provider="fake", url="https://x", concurrency=1)
        rules = (rule or FakeRule(what="things", name="old", older_than=MONTH),)
        self.accounts[name] = Account(name, Mine, settings, rules, Limits(**limits), "fingerprint")
        return fake

    def run(
        self,
        *,
        delete: bool = True,
        confirm: Callable[[Run], bool] | None = None,
        accept_fewer: bool = False,
        older_than: Period | None = None,
        reviewed: SavedPlan | None = None,
        watcher: Watcher | None = None,
    ) -> Run:
        everything = Config(Path("c"), UTC, None, self.accounts, StateSettings(), HoldSettings())
        options = resolve(
            everything,
            list(self.accounts.values()),
            NOW,
            delete=delete,
            accept_fewer=accept_fewer,
            older_than=older_than,
            reviewed=reviewed,
        )
        ports = Ports(clock=lambda: NOW, watcher=watcher or Watcher(), confirm=confirm, ledger=self.ledger)
        run = run_accounts(options, ports)
        for plan in run.plans:
            assert not delete or len(plan.selected) == sum(plan.count(outcome) for outcome in Outcome), (
                "does not add up"
            )
        return run


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with Ledger(tmp_path / "state") as ledger:
        yield World(ledger)


def due(count: int, first: int = 0) -> list[Item]:
    return [thing(f"{number}") for number in range(first, first + count)]


def young(count: int) -> list[Item]:
    return [thing(f"y{number}", days=1) for number in range(count)]


def only(run: Run) -> Plan:
    (plan,) = run.plans
    return plan


def only_error(run: Run) -> str:
    (error,) = [plan.error for plan in run.plans if plan.error]
    return error


def failing() -> None:
    raise ProviderError("the second page is missing")


# Several accounts --------------------------------------------------------------------------------


def test_all_accounts_are_cleaned_and_nothing_else_is_touched(world: World) -> None:
    world.add("a", *due(3), *young(2))
    world.add("b", *due(1))
    run = world.run()
    assert (int(run.exit_code), run.total(Outcome.DELETED)) == (0, 4)
    assert sorted(world.fakes["a"].held) == ["y0", "y1"]


def test_a_slow_vendor_does_not_hold_up_the_others(world: World) -> None:
    slow, fast = world.add("slow", *due(1)), world.add("fast", *due(3))
    finished = threading.Event()

    def after(item: Item) -> None:
        if not fast.held:
            finished.set()

    fast.after_delete = after
    slow.before_list = lambda: None if finished.wait(20) else pytest.fail("the fast account waited for the slow one")
    run = world.run()
    assert (int(run.exit_code), run.total(Outcome.DELETED)) == (0, 4)


def test_accounts_do_not_share_a_rate(tmp_path: Path) -> None:
    with Server(TrueConf()) as hurried, Server(TrueConf()) as idle:
        for server in (hurried, idle):
            server.emulator.fill()
        texts = [
            hurried.emulator.account("hurried", hurried.url),
            idle.emulator.account("idle", idle.url, rate="2/h"),
        ]
        config = tmp_path / "c.toml"
        config.write_text("\n".join(texts), encoding="utf-8")
        config.chmod(0o600)
        words = ["-c", str(config), "--state", str(tmp_path), "run", "--yes", "--format", "json"]
        done = CliRunner().invoke(cli, words)
    accounts = {account["account"]: account for account in json.loads(done.stdout)["accounts"]}
    assert accounts["hurried"]["deleted"] == len(hurried.emulator.doomed["conferences"])
    assert accounts["idle"]["error"] == "the time allowed by max_runtime is up"


def test_a_dry_run_deletes_nothing_and_writes_nothing(world: World) -> None:
    world.add("a", *due(3))
    run = world.run(delete=False)
    assert (int(run.exit_code), run.selected, run.mode) == (0, 3, "plan")
    assert world.fakes["a"].calls == []
    assert world.ledger.verify()[0] == 0


def test_a_failing_account_does_not_stop_the_others_and_makes_1(world: World) -> None:
    world.add("a", *due(1)).before_list = failing
    world.add("b", *due(1))
    run = world.run()
    assert [plan.status for plan in run.plans] == ["failed", "ok"]
    assert int(run.exit_code) == 1
    assert not world.fakes["b"].held


def test_a_refused_account_does_not_stop_the_others_and_makes_3(world: World) -> None:
    world.add("a", *due(2), max_deletions=1)
    world.add("b", *due(1))
    run = world.run()
    assert [plan.status for plan in run.plans] == ["refused", "ok"]
    assert int(run.exit_code) == 3
    assert (len(world.fakes["a"].held), len(world.fakes["b"].held)) == (2, 0)


def test_something_not_done_comes_before_something_refused(world: World) -> None:
    world.add("a", *due(2), max_deletions=1)
    world.add("b", *due(1)).before_list = failing
    assert int(world.run().exit_code) == 1


def test_a_signal_comes_before_everything(world: World) -> None:
    world.add("b", *due(1)).before_list = failing
    run = world.run()
    statuses = []
    for run.signal in (signal.SIGINT, signal.SIGTERM, *HANGUPS):
        statuses.append(int(run.exit_code))
    assert statuses == [130, 143, *[129] * len(HANGUPS)]


# What is short ------------------------------------------------------------------------------------


@pytest.mark.parametrize("startable", [0, 1, 3])
def test_a_thread_that_cannot_be_started_is_one_less_and_everything_is_done(
    world: World, startable: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "abcde":
        world.add(name, *due(6))
        world.accounts[name] = replace(
            world.accounts[name], settings=AccountSettings(provider="fake", url="https://x", concurrency=4)
        )
    start, started = threading.Thread.start, itertools.count()

    def scarce(thread: threading.Thread) -> None:
        if next(started) >= startable:
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", scarce)
    run = world.run()
    assert (int(run.exit_code), run.total(Outcome.DELETED)) == (0, 30)
    assert [plan.account for plan in run.plans] == list("abcde")
    assert sorted(entry["outcome"] for entry in world.ledger.deletions()) == ["deleted"] * 30


@pytest.mark.parametrize("fault", [MemoryError(), SystemExit(77)])
def test_a_fault_in_one_account_leaves_the_others_and_their_report(world: World, fault: BaseException) -> None:
    world.add("a", *due(2))
    world.add("b", *due(1))

    class Broken(Watcher):
        def listed(self, account: str, count: int) -> None:
            if account == "a":
                raise fault

    run = world.run(watcher=Broken())
    assert [plan.status for plan in run.plans] == ["failed", "ok"]
    assert only_error(run) == f"internal error in confcleanup or the provider: {type(fault).__name__}"
    assert (int(run.exit_code), len(world.fakes["a"].held), len(world.fakes["b"].held)) == (1, 2, 0)


def test_a_fault_after_deletions_began_does_not_hide_them(world: World) -> None:
    world.add("a", *due(2))
    note = world.ledger.append

    def full(*events: Any) -> list[int]:
        if any(kind == "listing" for kind, _, _ in events):
            raise MemoryError
        return note(*events)

    world.ledger.append = full  # type: ignore[method-assign]  # memory ends just then
    run = world.run()
    assert (run.total(Outcome.DELETED), only(run).status, int(run.exit_code)) == (2, "partial", 1)


def test_a_failed_deletion_makes_1_and_the_others_go_on(world: World) -> None:
    def refuse(item: Item) -> None:
        if item.id == "1":
            raise HttpError("409", 409)

    world.add("a", *due(3)).before_delete = refuse
    run = world.run()
    assert int(run.exit_code) == 1
    assert (run.total(Outcome.DELETED), run.total(Outcome.FAILED)) == (2, 1)


def test_without_a_ledger_nothing_is_deleted(world: World) -> None:
    world.add("a", *due(1))
    world.ledger = None  # type: ignore[assignment]  # that is the case
    with pytest.raises(LedgerError, match="no ledger"):
        world.run()
    assert world.fakes["a"].calls == []


def test_a_ledger_that_fails_in_mid_run_leaves_every_account_with_its_outcomes(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> list[int]:
        raise LedgerError("database or disk is full")

    world.add("a", *due(2))
    world.add("b", *due(2))
    monkeypatch.setattr(world.ledger, "append", full)
    run = world.run()
    assert int(run.exit_code) == 1
    assert run.total(Outcome.DEFERRED) == 4
    assert all(plan.error == "database or disk is full" for plan in run.plans)
    assert not any(call == "delete" for fake in world.fakes.values() for call, _ in fake.calls)


# Guards ------------------------------------------------------------------------------------------


def guarded(world: World, told: str, **how: Any) -> None:
    """The one account is refused in a dry run and in a run, and nothing is deleted there."""
    fake = next(iter(world.fakes.values()))
    before = dict(fake.held)
    for delete in (False, True):
        run = world.run(delete=delete, **how)
        assert int(run.exit_code) == 3
        assert told in only(run).refusals[0]
    assert run.total(Outcome.DEFERRED) == run.selected
    assert fake.held == before


def test_max_deletions(world: World) -> None:
    world.add("a", *due(3), max_deletions=2)
    guarded(world, "3 items are selected, max_deletions allows 2")


def test_max_share(world: World) -> None:
    world.add("a", *due(11), *young(10), max_share=Fraction(1, 2))
    guarded(world, "max_share allows 50%")


def test_max_growth_compares_with_the_runs_before(world: World) -> None:
    world.add("a", *due(10))
    world.run()
    world.add("a", *due(101, first=10))
    guarded(world, "never selected more than 10")


def test_a_shrunken_list_and_accept_fewer(world: World) -> None:
    world.add("a", *young(100))
    assert int(world.run().exit_code) == 0
    world.add("a", *young(48), *due(1))
    guarded(world, "49 things are listed where the last run left 100")
    assert int(world.run(accept_fewer=True).exit_code) == 0
    world.add("a", *young(48))
    assert int(world.run().exit_code) == 0


def test_a_refused_run_is_no_measure_for_the_next_one(world: World) -> None:
    world.add("a", *young(100))
    world.run()
    world.add("a", *young(10))
    for _ in range(3):
        assert int(world.run().exit_code) == 3


def followed(refusal: str) -> dict[str, Any]:
    """The limits that a refusal advises to set, as a person would write them."""
    found = dict(re.findall(r'raise (max_\w+) to ("[^"]+"|\d+)', refusal))
    table: list[Problem] = []
    limits = build(
        LimitSettings, tomllib.loads("\n".join(f"{key} = {value}" for key, value in found.items())), "", table
    )
    assert limits
    assert not table
    return {key: getattr(limits, key) for key in found}


@pytest.mark.parametrize(
    ("before", "items", "limits"),
    [
        ([], [*due(7)], {"max_deletions": 6}),
        ([], [*due(7)], {"max_deletions": 0}),
        ([], [*due(21), *young(10)], {"max_share": Fraction(2, 3)}),
        ([], [*due(21), *young(10)], {"max_share": Fraction(0), "max_deletions": 3}),
        ([7], [*due(101)], {}),
        ([1, 0], [*due(999)], {"max_growth": 0.5}),
        ([3], [*due(400)], {"max_growth": 0, "max_deletions": 9, "max_share": Fraction(1, 9)}),
    ],
)
def test_the_advice_of_a_refusal_is_followed_and_the_run_goes_through(
    world: World, before: list[int], items: list[Item], limits: dict[str, Any]
) -> None:
    for count in before:
        world.add("a", *due(count, first=5000))
        assert int(world.run().exit_code) == 0
    world.add("a", *items, **limits)
    refusals = only(world.run()).refusals
    assert refusals
    world.add("a", *items, **limits | followed("; ".join(refusals)))
    run = world.run()
    assert int(run.exit_code) == 0, only(run).refusals
    assert run.total(Outcome.DELETED) == run.selected


@pytest.mark.parametrize("now_listed", [0, 1, 9])
def test_accept_fewer_is_said_once_and_the_next_runs_go_through(world: World, now_listed: int) -> None:
    world.add("a", *young(20))
    world.run()
    world.add("a", *young(now_listed))
    assert "say --accept-fewer once" in only(world.run()).refusals[0]
    assert int(world.run(accept_fewer=True).exit_code) == 0
    assert [int(world.run().exit_code) for _ in range(3)] == [0, 0, 0]


def test_accept_fewer_holds_also_where_the_run_was_refused_for_something_else(world: World) -> None:
    world.add("a", *young(40))
    world.run()
    world.add("a", *young(3), *due(2), max_deletions=1)
    assert len(only(world.run(accept_fewer=True)).refusals) == 1
    world.add("a", *young(3), *due(2))
    assert int(world.run().exit_code) == 0


@pytest.mark.parametrize("left", [1, 19, 20])
def test_an_empty_list_where_items_were_left_is_refused_however_few_they_were(world: World, left: int) -> None:
    world.add("a", *young(left))
    world.run()
    world.add("a")
    guarded(world, f"0 things are listed where the last run left {left}")


def test_a_list_that_the_run_itself_emptied_may_be_empty(world: World) -> None:
    world.add("a", *due(30))
    assert [int(world.run().exit_code) for _ in range(3)] == [0, 0, 0]
    world.add("a")
    assert int(world.run().exit_code) == 0


def test_what_a_run_deleted_that_was_cut_off_is_not_missed_by_the_next_one(world: World) -> None:
    fake = world.add("a", *young(40))
    world.run()
    journal = Journal(world.ledger, "killed", "a", "fake", lambda: NOW)
    for item in fake.listing[:30]:
        (number,) = journal.intend([(item, "old")])
        journal.finish(number, Result(Outcome.DELETED))
    journal.flush()
    world.add("a", *young(40)[30:])
    assert int(world.run().exit_code) == 0


def test_runs_of_other_rules_are_no_measure_but_what_they_list_is(world: World) -> None:
    """A changed selection is bounded by max_deletions alone; the list is the same whatever is selected from it."""
    world.add("a", *due(3), *young(200))
    world.run()
    world.add("a", *due(3), *young(200))
    assert world.run(older_than=Period.parse("12 hours")).total(Outcome.DELETED) == 203
    others = (FakeRule(what="things", older_than=Period.parse("2 days")), FakeRule(what="things", title="T*"))
    for number, changed in enumerate(others):
        world.add("a", *due(150, first=300 + 150 * number), rule=changed)
        assert int(world.run(older_than=changed.older_than or MONTH).exit_code) == 0
    world.add("a", *young(50))
    world.run()
    world.add("a")
    guarded(world, "where the last run left 50", older_than=Period.parse("3 days"))


def test_a_renamed_rule_and_one_that_keeps_less_are_the_same_rule(world: World) -> None:
    world.add("a", *due(3), rule=FakeRule(what="things", name="old", older_than=MONTH, keep_ids=("7",)))
    world.run()
    world.add("a", *due(200, first=10), rule=FakeRule(what="things", name="new", older_than=MONTH))
    guarded(world, "never selected more than")


def test_a_run_refused_for_selecting_too_much_does_not_make_the_next_one_pass(world: World) -> None:
    world.add("a", *due(3))
    world.run()
    world.add("a", *due(300))
    for _ in range(12):
        assert "max_growth" in only(world.run()).refusals[0]


def test_a_run_refused_for_another_reason_tells_the_next_one_how_much_there_is(world: World) -> None:
    world.add("a", *young(4))
    world.run()
    world.add("a", *due(90), max_deletions=50)
    world.run()
    world.add("a", *due(40), max_deletions=50)
    guarded(world, "40 things are listed where the last run left 90")


def test_a_run_that_could_not_list_tells_the_next_one_nothing(world: World) -> None:
    world.add("a", *young(30))
    world.run()
    world.add("a").before_list = failing
    assert only(world.run()).status == "failed"
    world.add("a", *young(10))
    guarded(world, "10 things are listed where the last run left 30")


@pytest.mark.parametrize("growth", [10, 1.0, float("inf")])
@pytest.mark.parametrize("with_plan", [False, True], ids=["run", "run --plan"])
@pytest.mark.parametrize("first", [0, 4])
def test_a_weekly_job_that_seldom_finds_anything_is_not_refused_for_ever(
    world: World, growth: float, with_plan: bool, first: int, tmp_path: Path
) -> None:
    """Nothing to delete for 7 weeks, then 150 items; where a run of 4 was before, the advice makes them go."""
    counts = [first, 0, 0, 0, 0, 0, 0, 150]
    for week, count in enumerate(counts):
        items = [*young(10), *due(count, first=week * 1000)]
        world.add("a", *items, max_growth=growth)
        refusals = only(world.run(delete=False)).refusals
        if refusals:
            assert (first, count) == (4, 150)
            world.add("a", *items, **followed(refusals[0]))
        reviewed = None
        if with_plan:
            saved = tmp_path / "plan.json"
            saved.write_text(json.dumps(document(world.run(delete=False).plans, NOW, {"a": "fingerprint"}, None, None)))
            reviewed = load(saved, NOW, {"a": "fingerprint"})
        run = world.run(reviewed=reviewed)
        assert (int(run.exit_code), run.total(Outcome.DELETED)) == (0, count), f"week {week}"


def test_after_ten_quiet_runs_only_max_deletions_counts(world: World) -> None:
    world.add("a", *due(1))
    world.run()
    world.add("a")
    for _ in range(10):
        world.run()
    world.add("a", *due(500))
    assert world.run().total(Outcome.DELETED) == 500


def test_an_account_whose_answers_carry_no_date_is_warned_of(world: World) -> None:
    world.add("a", *due(1)).http.sent = 5
    run = world.run()
    assert int(run.exit_code) == 0
    assert [warning for warning in only(run).warnings if "its answers carry no readable Date" in warning]
    world.add("a").http = SimpleNamespace(skew=timedelta(0), sent=5, busy=0.0, close=lambda: None)
    assert not only(world.run()).warnings


def test_a_clock_that_is_off(world: World) -> None:
    world.add("a", *due(1)).http.skew = timedelta(minutes=-9)
    guarded(world, "clock is 9 minutes ahead of the provider's")
    next(iter(world.fakes.values())).http.skew = timedelta(0)  # it is set, as the refusal advises
    assert int(world.run().exit_code) == 0


def test_when_the_time_is_up_the_rest_is_deferred_and_the_status_is_0(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = world.add("a", *due(4), max_runtime=timedelta(minutes=5))

    def time_is_up(item: Item) -> None:
        if item.id == "1":
            fake.stop.deadline = 0

    fake.after_delete = time_is_up
    run = world.run()
    assert int(run.exit_code) == 0
    assert only(run).status == "partial"
    assert [entry.outcome for entry in only(run).selected] == [Outcome.DELETED] * 2 + [Outcome.DEFERRED] * 2
    fake.listing = list(fake.held.values())
    assert int(world.run().exit_code) == 0
    assert not fake.held


@pytest.mark.parametrize("delete", [True, False], ids=["run", "plan"])
def test_what_an_earlier_run_recorded_as_deleted_and_is_listed_again_is_named_and_stuck(
    world: World, delete: bool
) -> None:
    fake = world.add("a", *due(2))
    assert int(world.run().exit_code) == 0
    fake.listing = due(1)
    run = world.run(delete=delete)
    assert (int(run.exit_code), only(run).stuck.count) == (1, 1)
    assert any("recorded as deleted on 2026-03-01, still there" in warning for warning in only(run).warnings)


def test_an_item_of_the_same_id_and_other_times_is_not_the_one_that_was_deleted(world: World) -> None:
    fake = world.add("a", thing("1", days=40))
    assert int(world.run().exit_code) == 0
    fake.listing = [thing("1", days=35)]
    fake.held = {"1": fake.listing[0]}
    assert (int(world.run().exit_code), fake.held) == (0, {})


def test_what_was_restored_since_is_not_the_one_that_was_deleted(world: World) -> None:
    fake = world.add("a", thing("1", days=40))
    assert int(world.run().exit_code) == 0
    world.ledger.append(("restore", {"account": "a", "new_id": "1", "at": "2026-03-02T00:00:00Z"}, None))
    fake.listing = [thing("1", days=40)]
    fake.held = {"1": fake.listing[0]}
    assert (int(world.run().exit_code), fake.held) == (0, {})


# The question ------------------------------------------------------------------------------------


def test_the_question_is_asked_once_with_all_plans(world: World) -> None:
    asked: list[int] = []
    world.add("a", *due(2))
    world.add("b", *due(1))
    run = world.run(confirm=lambda run: not asked.append(run.selected))  # type: ignore[func-returns-value]  # None: yes
    assert asked == [3]
    assert run.total(Outcome.DELETED) == 3


def test_no_means_refused_and_everything_is_deferred(world: World) -> None:
    world.add("a", *due(2))
    world.add("b", *young(1))
    run = world.run(confirm=lambda run: False)
    assert int(run.exit_code) == 3
    assert [plan.status for plan in run.plans] == ["refused", "ok"]
    assert run.total(Outcome.DEFERRED) == 2
    assert len(world.fakes["a"].held) == 2
    assert "use --yes" in run.plans[0].refusals[0]
    assert int(world.run(confirm=None).exit_code) == 0  # which is what --yes does


def test_nobody_is_asked_where_nothing_may_be_deleted(world: World) -> None:
    def never(run: Run) -> bool:
        raise AssertionError("asked")

    world.add("a", *due(2), max_deletions=1)
    world.add("b", *young(1))
    assert int(world.run(confirm=never).exit_code) == 3


# One at a time -----------------------------------------------------------------------------------

HOLDER = """
import pathlib, sys
from confcleanup.config.load import load
from confcleanup.lock import Claim, lock
account = load(pathlib.Path(sys.argv[1])).accounts["hq"]
with lock(pathlib.Path(sys.argv[2]), [Claim("hq", account.identity, ["conferences"])]):
    print("held", flush=True)
    sys.stdin.read()
"""


class Office:
    """Two accounts on one server each, of which another process is cleaning hq."""

    def __init__(self, folder: Path, hq: Server, b: Server) -> None:
        self.folder, self.hq, self.b = folder, hq, b
        self.config = folder / "config.toml"
        text = [one_rule(server.emulator.account(name, server.url)) for name, server in self.servers.items()]  # type: ignore[attr-defined]  # TrueConf's
        self.config.write_text("\n".join(text), "utf-8")
        self.config.chmod(0o600)

    @property
    def servers(self) -> dict[str, Server]:
        return {"hq": self.hq, "b": self.b}

    def __call__(self, *words: str) -> Outputs:
        return CliRunner().invoke(cli, ["-c", str(self.config), "--state", str(self.folder / "state"), *words])

    @contextmanager
    def busy(self) -> Iterator[subprocess.Popen[str]]:
        words = [sys.executable, "-c", HOLDER, str(self.config), str(self.folder / "state")]
        with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout
            assert process.stdout.readline() == "held\n"
            yield process
            process.kill()


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    emulators = TrueConf(), TrueConf()
    for emulator in emulators:
        emulator.add_conference("old")
    with Server(emulators[0]) as hq, Server(emulators[1]) as b:
        yield Office(tmp_path, hq, b)


def test_the_command_ends_with_4_while_another_run_cleans_its_account(office: Office) -> None:
    with office.busy() as other:
        done = office("run", "--yes", "-q", "--account", "hq")
        assert (done.exit_code, done.stdout) == (4, "")
        assert f"hq: another run (process {other.pid} on" in done.stderr
        assert "--wait 30min" in done.stderr
        assert office.hq.emulator.seen == []
        assert office("plan").exit_code == 0


def test_other_accounts_are_cleaned_and_the_busy_one_is_named(office: Office) -> None:
    with office.busy() as other:
        done = office("run", "--yes", "--format", "json")
    assert done.exit_code == 4
    found = {account["account"]: account for account in json.loads(done.stdout)["accounts"]}
    assert [found[name]["status"] for name in ("hq", "b")] == ["failed", "ok"]
    assert (found["b"]["deleted"], office.hq.emulator.seen) == (1, [])
    assert f"another run (process {other.pid} on" in found["hq"]["error"]
    assert "error: hq: was left alone: another run" in done.stderr
    checked = office("check", "--last-success", "1h")
    assert (checked.exit_code, checked.stdout.startswith("b: the last run without errors ended")) == (1, True)
    assert "hq: no run without errors is recorded" in checked.stderr


def test_an_error_elsewhere_counts_for_more_than_a_busy_account(office: Office) -> None:
    office.b.emulator.interfere.append(lambda request: Response(400, {}) if request.method == "DELETE" else None)
    with office.busy():
        assert office("run", "--yes").exit_code == 1


@pytest.fixture
def meanwhile(office: Office, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, str], Outputs]]:
    """Runs while hq is busy; the config is changed, and the other process ended, as soon as the run waits."""
    monkeypatch.setattr("confcleanup.lock.POLL", 0.01)
    handler, logger = logging.Handler(), logging.getLogger("confcleanup.lock")

    def run(old: str, new: str) -> Outputs:
        with office.busy() as other:

            def emit(record: logging.LogRecord) -> None:
                text = office.config.read_text("utf-8")
                assert old in text
                office.config.write_text(text.replace(old, new), "utf-8")
                other.kill()

            monkeypatch.setattr(handler, "emit", emit)
            return office("run", "--yes", "--wait", "10 minutes", "--format", "json")

    logger.addHandler(handler)
    yield run
    logger.removeHandler(handler)


def test_a_hold_that_is_added_while_a_run_waits_is_obeyed(meanwhile: Callable[[str, str], Outputs]) -> None:
    done = meanwhile("[accounts.hq]", '[holds]\nhold = [{ id = "old", reason = "audit" }]\n[accounts.hq]')
    assert "waiting for up to 10 minutes" in done.stderr
    assert (done.exit_code, [one["selected"] for one in json.loads(done.stdout)["accounts"]]) == (0, [0, 0])


def test_an_account_that_is_changed_while_a_run_waits_is_not_cleaned(
    office: Office, meanwhile: Callable[[str, str], Outputs]
) -> None:
    done = meanwhile('older_than = "30 days"', 'older_than = "31 days"')
    assert (done.exit_code, office.hq.emulator.seen) == (2, [])
    assert "accounts.hq was changed while this run waited for another one; start it again" in done.stderr


def test_the_time_to_wait_that_a_message_suggests_is_accepted(office: Office) -> None:
    with office.busy():
        said = office("run", "--yes").stderr + office("run", "--yes", "--account", "hq").stderr
    times = re.findall(r"--wait (\w+)", said)
    assert len(times) == 2
    for text in times:
        assert office("run", "--yes", "--wait", text).exit_code == 0


@pytest.mark.parametrize("text", ["soon", "-5m", "1 month"])
def test_a_time_to_wait_that_is_none_is_wrong_usage(office: Office, text: str) -> None:
    done = office("run", "--yes", "--wait", text)
    assert (done.exit_code, "--wait: " in done.stderr) == (2, True)


def test_a_fault_in_one_provider_does_not_cost_the_others_their_report(world: World) -> None:
    bad, good = world.add("bad", thing("1")), world.add("good", thing("2"))

    def broken() -> None:
        raise RuntimeError("a plug-in's own")

    bad.before_list = broken
    run = world.run()
    assert [plan.status for plan in run.plans] == ["failed", "ok"]
    assert "RuntimeError" in (run.plans[0].error or "")
    assert (list(bad.held), list(good.held)) == (["1"], [])


def test_a_fault_while_an_open_deletion_is_looked_at_does_not_either(world: World) -> None:
    bad = world.add("bad", thing("1"))
    journal = Journal(world.ledger, "r", "bad", "fake", lambda: NOW, "https://x")
    journal.intend([(thing("1"), "old")])

    def broken(item: Item) -> None:
        raise OSError("a plug-in's own")

    bad.before_look = broken
    (plan,) = world.run(delete=True).plans
    assert any("is not known" in warning for warning in plan.warnings)


def test_a_full_temporary_folder_ends_one_account_and_everything_deleted_is_recorded(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.add("full", *(thing(str(number)) for number in range(600)))
    world.add("other", thing("x"))
    settle = Worklist.settle

    def fills_up(self: Worklist, entry: Entry, result: Result) -> None:
        if entry.item.id == "9" and self._db:
            self._db.execute("DROP TABLE entry")  # as unusable as a damaged file
        settle(self, entry, result)

    monkeypatch.setattr(Worklist, "settle", fills_up)
    full, other = world.run().plans
    assert "TMPDIR" in (full.error or "")
    assert (full.status, other.status) == ("partial", "ok")
    gone = 600 - len(world.fakes["full"].held)
    recorded = [one for one in world.ledger.deletions() if one["account"] == "full" and one["outcome"] == "deleted"]
    assert 0 < gone < 600
    assert full.count(Outcome.DELETED) == gone == len(recorded)
    measured = [note["account"] for note in world.ledger.events("listing")]
    assert measured == ["other"], "what is left of the full one is not known, so it is no measure for the next run"


def test_an_account_lets_go_of_its_connections_while_others_are_at_work(world: World) -> None:
    closed = []
    for name in ("a", "b"):
        world.add(name, thing(name)).http.close = lambda name=name: closed.append(name)

    def confirm(run: Run) -> bool:
        assert sorted(closed) == ["a", "b"]
        return True

    world.run(confirm=confirm)
    assert len(closed) == 6  # after listing, after deleting, and at the end
