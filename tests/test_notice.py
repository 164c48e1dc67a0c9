"""Notice before deletion: nothing goes before its notice is over, and everything in the first run after it."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from confcleanup.changes import digest
from confcleanup.config.holds import HoldEntry, HoldSettings
from confcleanup.config.load import Account, Config, StateSettings
from confcleanup.cutoff import Period
from confcleanup.errors import ProviderError
from confcleanup.guards import Limits
from confcleanup.items import Item, Kind, Outcome
from confcleanup.plan_file import SavedPlan
from confcleanup.providers.base import Source
from confcleanup.records.ledger import Ledger
from confcleanup.run import Ports, Run, resolve
from confcleanup.run import run as run_accounts
from confcleanup.settings.tables import AccountSettings, NotifySettings
from tests.fake import NOW, Fake, FakeRule, thing

DAY = timedelta(days=1)
WEEK = timedelta(days=7)


class TaggedRule(FakeRule, frozen=True, kw_only=True):
    """A rule that also knows tags and owners."""

    owner: str | None = None
    tags: tuple[str, ...] = ()
    keep_tags: tuple[str, ...] = ()


class Shelf(Fake):
    """The provider in memory, with rules that know tags."""

    sources = {
        "things": Source("things that change", TaggedRule, recheck=True),
        "files": Source("things that do not", TaggedRule),
    }


def old(**more: Any) -> TaggedRule:
    """A rule of 30 days with a notice of 7."""
    fields: dict[str, Any] = {"what": "things", "name": "old", "older_than": Period.parse("30 days"), "notice": WEEK}
    return TaggedRule(**(fields | more))


class House:
    """One account at a provider in memory, a ledger in a folder, and runs at given times."""

    def __init__(self, folder: Path, *rules: TaggedRule, notify: NotifySettings | None = None) -> None:
        self.folder, self.rules, self.notify = folder, rules or (old(),), notify or NotifySettings()
        self.shelf = Shelf()
        self.shelf.listing = []
        self.limits = Limits(max_deletions=100_000)
        self.holds: tuple[HoldEntry, ...] = ()
        self.url = "https://x"

    def put(self, *items: Item) -> None:
        """What the vendor has, from now on."""
        for item in items:
            self.remove(item.id)
            self.shelf.held[item.id] = item
            self.shelf.listing.append(item)

    def remove(self, *ids: str) -> None:
        self.shelf.listing = [item for item in self.shelf.listing if item.id not in ids]
        for ident in ids:
            self.shelf.held.pop(ident, None)

    def run(self, now: datetime = NOW, confirm: Callable[[Run], bool] | None = None, **more: Any) -> Run:
        shelf = self.shelf

        class Mine(Shelf):
            def __new__(cls, settings: Any, stop: Any, clock: Any) -> Any:
                shelf.stop = stop
                return shelf

        settings = AccountSettings(provider="fake", url=self.url, concurrency=1)
        account = Account("hq", Mine, settings, self.rules, self.limits, "fingerprint")
        holds = HoldSettings(hold=self.holds)
        config = Config(Path("c"), UTC, None, {"hq": account}, StateSettings(), holds, notify=self.notify)
        options = resolve(config, [account], now, **({"delete": True} | more))
        with Ledger(self.folder) as ledger:
            return run_accounts(options, Ports(clock=lambda: now, ledger=ledger, confirm=confirm))

    def plan(self, now: datetime = NOW, **more: Any) -> dict[str, str]:
        """What a dry run says of each item that is due: when it goes."""
        return said(self.run(now, delete=False, **more))

    def lose_the_ledger(self) -> None:
        for file in self.folder.iterdir():
            file.unlink()

    @property
    def there(self) -> set[str]:
        return set(self.shelf.held)


def said(run: Run) -> dict[str, str]:
    """When each item that is due goes, in days from the run; ``now`` for what may go in it."""
    (plan,) = run.plans
    late = {entry.item.id: str((entry.decision.goes_at or run.now) - run.now) for entry in plan.waiting}
    return late | {entry.item.id: "now" for entry in plan.selected}


def saved(run: Run) -> SavedPlan:
    """A plan as a run gets it after its review."""
    (plan,) = run.plans
    items = {entry.item.key: entry.item for entry in plan.selected}
    return SavedPlan(None, None, {"hq": {key: digest(item) for key, item in items.items()}}, {"hq": items})


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path / "state")


NEXT_WEEK = NOW + WEEK
SOON = "7 days, 0:00:00"


def test_the_first_run_announces_what_is_due_and_the_run_after_its_notice_deletes_it(house: House) -> None:
    house.put(thing("a"), thing("b", days=3))
    assert said(house.run()) == {"a": SOON}
    assert house.there == {"a", "b"}
    assert said(house.run(NEXT_WEEK - timedelta(microseconds=1))) == {"a": "0:00:00.000001"}
    assert said(house.run(NEXT_WEEK)) == {"a": "now"}
    assert house.there == {"b"}


def test_a_dry_run_says_what_it_would_announce_and_marks_nothing(house: House) -> None:
    house.put(thing("a"))
    assert house.plan() == {"a": SOON}
    assert house.plan(NEXT_WEEK) == {"a": SOON}
    house.run(NEXT_WEEK)
    assert house.plan(NEXT_WEEK + DAY) == {"a": "6 days, 0:00:00"}


def test_without_a_notice_nothing_is_marked_or_kept_waiting(house: House) -> None:
    house.rules = (old(notice=timedelta(0)),)
    house.put(thing("a"))
    assert said(house.run()) == {"a": "now"}
    with Ledger(house.folder) as ledger:
        assert not ledger.has_marks
    assert house.there == set()


@pytest.mark.parametrize(
    "change",
    [
        {"title": "another"},
        {"owner": "boris"},
        {"tags": ("x",)},
        {"size_bytes": 7},
        {"kind": Kind.RECORDING},
        {"ended_at": NOW - 35 * DAY},
        {"created_at": NOW - 90 * DAY},
    ],
    ids=lambda change: next(iter(change)),
)
def test_what_changes_begins_its_notice_anew(house: House, change: dict[str, Any]) -> None:
    house.put(thing("a", owner="anna"))
    house.run()
    house.put(replace(thing("a", owner="anna"), **change))
    assert said(house.run(NEXT_WEEK)) == {"a": SOON}
    assert said(house.run(NEXT_WEEK + WEEK)) == {"a": "now"}


def test_what_was_held_in_between_begins_its_notice_anew(house: House) -> None:
    house.put(thing("a"))
    house.run()
    house.holds = (HoldEntry(id="a", reason="lawsuit"),)
    house.run(NOW + 3 * DAY)
    house.holds = ()
    assert said(house.run(NEXT_WEEK)) == {"a": SOON}


def test_a_list_that_is_not_complete_marks_nothing_and_takes_no_mark_off(house: House) -> None:
    house.put(thing("a"), thing("b"))
    house.run()
    house.remove("a")
    house.put(thing("c"))
    _break(house, {"things"})
    assert house.run(NOW + DAY).plans[0].failed
    house.shelf.before_list = lambda: None
    house.put(thing("a"))
    assert house.plan(NEXT_WEEK) == {"a": "now", "b": "now", "c": SOON}


def test_a_list_that_shrank_suspiciously_takes_no_mark_off(house: House) -> None:
    things = [thing(str(number)) for number in range(40)]
    house.put(*things)
    house.run()
    house.remove(*(str(number) for number in range(30)))
    assert house.run(NOW + DAY).plans[0].refusals
    house.put(*things)
    assert set(house.plan(NEXT_WEEK).values()) == {"now"}


def test_a_clock_that_the_vendor_contradicts_marks_nothing(house: House) -> None:
    house.put(thing("a"))
    house.shelf.http.skew = 30 * DAY
    assert house.run(NOW).plans[0].refusals
    house.shelf.http.skew = timedelta(0)
    assert house.plan(NOW + 30 * DAY) == {"a": SOON}


def test_a_clock_behind_the_last_run_marks_nothing_where_no_vendor_shows_one(house: House) -> None:
    house.put(thing("b", days=1))
    house.run()
    house.put(thing("a", days=400))
    house.run(NOW - 60 * DAY)
    assert house.plan(NOW + DAY) == {"a": SOON}


def test_a_clock_behind_the_last_run_marks_where_the_vendors_agrees(house: House) -> None:
    house.put(thing("a", days=400))
    house.shelf.http.skew = timedelta(0)
    house.run(NOW + 365 * DAY)
    house.run(NOW)
    assert house.plan(NEXT_WEEK) == {"a": "now"}


def test_a_mark_of_the_future_does_not_count(house: House) -> None:
    house.put(thing("a"))
    house.shelf.http.skew = timedelta(0)
    house.run(NOW + 365 * DAY)
    assert house.plan(NOW) == {"a": SOON}


def test_a_ledger_without_its_head_may_be_an_old_copy_so_none_of_its_marks_count(house: House) -> None:
    house.put(thing("a"))
    house.run()
    (house.folder / "ledger.head").unlink()
    with Ledger(house.folder, writable=False) as ledger:
        assert not ledger.has_marks
    assert said(house.run(NEXT_WEEK)) == {"a": SOON}
    assert said(house.run(NEXT_WEEK + WEEK)) == {"a": "now"}


def test_a_notice_made_shorter_keeps_the_day_that_was_announced(house: House) -> None:
    house.put(thing("a"))
    house.run()
    house.rules = (old(notice=2 * DAY),)
    house.put(thing("b"))
    assert said(house.run(NOW + DAY)) == {"a": "6 days, 0:00:00", "b": "2 days, 0:00:00"}


def test_a_notice_made_shorter_keeps_the_announced_day_in_every_later_run(house: House) -> None:
    house.put(thing("a"))
    house.run()
    house.rules = (old(notice=2 * DAY),)
    house.run(NOW + DAY)
    assert said(house.run(NOW + 2 * DAY)) == {"a": "5 days, 0:00:00"}
    assert house.there == {"a"}


def test_what_was_deleted_and_comes_back_unchanged_begins_its_notice_anew(house: House) -> None:
    house.put(back := thing("a"))
    house.run()
    house.run(NEXT_WEEK)
    assert house.there == set()
    with Ledger(house.folder, writable=False) as ledger:
        assert ledger.announced() == 0
    house.put(back)
    assert said(house.run(NEXT_WEEK + DAY)) == {"a": SOON}


@pytest.mark.parametrize("field", ["title", "owner"])
def test_what_another_rule_with_a_notice_selects_at_the_second_look_stays(house: House, field: str) -> None:
    house.rules = (old(name="now", notice=timedelta(0), **{field: "x"}), old(name="wait", **{field: "y"}))
    house.put(listed := thing("a", **{field: "x"}))
    house.shelf.held["a"] = replace(listed, **{field: "y"})
    (entry,) = house.run().plans[0].selected
    assert entry.outcome is Outcome.CHANGED
    assert house.there == {"a"}


@pytest.mark.parametrize("change", [{"size_bytes": 9}, {"created_at": NOW - 90 * DAY}], ids=["size", "creation"])
def test_what_changed_its_size_or_creation_between_list_and_second_look_stays(
    house: House, change: dict[str, Any]
) -> None:
    house.put(listed := thing("a", size_bytes=1, created_at=NOW - 50 * DAY))
    house.run()
    house.shelf.held["a"] = replace(listed, **change)
    house.run(NEXT_WEEK)
    assert house.there == {"a"}


def test_what_a_rule_with_keep_last_looks_at_only_since_the_list_stays(house: House) -> None:
    keeper = old(name="keeper", title="standup*", keep_last=3, per="owner", notice=timedelta(0))
    house.rules = (old(notice=timedelta(0)), keeper)
    house.put(listed := thing("a", title="draft", owner="anna"))
    house.shelf.held["a"] = replace(listed, title="standup")
    house.run()
    assert house.there == {"a"}


def test_a_notice_made_longer_moves_the_day_back(house: House) -> None:
    house.put(thing("a"))
    house.run()
    house.rules = (old(notice=10 * DAY),)
    assert house.plan(NEXT_WEEK) == {"a": "3 days, 0:00:00"}


def test_another_age_keeps_the_marks_of_what_is_still_due(house: House) -> None:
    house.put(thing("a"), thing("b", days=31))
    house.run()
    house.rules = (old(older_than=Period.parse("35 days")),)
    house.run(NOW + DAY)
    house.rules = (old(),)
    assert house.plan(NEXT_WEEK) == {"a": "now", "b": SOON}


def test_ages_on_the_command_line_obey_notices(house: House) -> None:
    house.put(thing("a", days=20))
    assert said(house.run(older_than=Period.parse("10 days"))) == {"a": SOON}
    assert said(house.run(NEXT_WEEK, before=NOW - 10 * DAY)) == {"a": "now"}


def test_a_rule_without_a_notice_does_not_wait_for_another_rules(house: House) -> None:
    house.rules = (old(), old(name="other", notice=timedelta(0)))
    house.put(thing("a"))
    (plan,) = house.run().plans
    assert [(e.item.id, e.decision.rule) for e in plan.selected] == [("a", "other")]


def test_each_rules_notice_counts_from_when_that_rule_selects_the_item(house: House) -> None:
    house.rules = (old(name="long", notice=20 * DAY), old(name="late", older_than=Period.parse("45 days")))
    house.put(thing("a"))
    assert said(house.run()) == {"a": "20 days, 0:00:00"}
    assert said(house.run(NEXT_WEEK)) == {"a": SOON}
    (plan,) = house.run(NEXT_WEEK + WEEK).plans
    assert [e.decision.rule for e in plan.selected] == ["late"]


def test_what_another_rule_keeps_stays(house: House) -> None:
    house.rules = (old(), old(name="other", what="files", keep_ids=("a",)))
    house.put(thing("a"))
    assert said(house.run()) == {}


def test_a_run_of_some_rules_leaves_the_marks_of_others(house: House) -> None:
    house.rules = (old(title="x*"), old(name="other", title="y*"))
    house.put(thing("a", title="x"), thing("b", title="y"))
    house.run()
    house.run(NOW + DAY, rules=["other"])
    assert house.plan(NEXT_WEEK) == {"a": "now", "b": "now"}


def test_the_marks_of_a_rule_that_was_away_do_not_come_back_with_it(house: House) -> None:
    house.put(thing("a"))
    house.run()
    house.rules = (old(what="files"),)
    house.run(NOW + DAY)
    house.rules = (old(),)
    assert house.plan(NEXT_WEEK) == {"a": SOON}


def test_an_item_of_another_server_is_another_item(house: House) -> None:
    house.put(thing("a"))
    house.run()
    house.url = "https://y"
    assert house.plan(NEXT_WEEK) == {"a": SOON}


@pytest.mark.parametrize("change", [{"title": "another"}, {"owner": "boris"}], ids=["title", "owner"])
def test_what_is_renamed_after_it_was_listed_stays_and_begins_anew(house: House, change: dict[str, str]) -> None:
    house.put(thing("a", owner="anna"))
    house.run()
    house.shelf.held["a"] = replace(house.shelf.held["a"], **change)
    (entry,) = house.run(NEXT_WEEK).plans[0].selected
    assert (entry.outcome, entry.error) == (
        Outcome.CHANGED,
        f"its {next(iter(change))} changed since it was announced",
    )
    assert house.there == {"a"}


def test_what_only_a_rule_with_a_running_notice_selects_at_the_second_look_stays(house: House) -> None:
    house.rules = (old(title="x*"), old(name="other", notice=20 * DAY))
    house.put(thing("a", title="x"))
    house.run()
    house.shelf.held["a"] = replace(house.shelf.held["a"], title=None)
    (entry,) = house.run(NEXT_WEEK).plans[0].selected
    assert entry.outcome is Outcome.CHANGED


def test_a_reviewed_plan_deletes_what_it_names_once_its_notice_is_over_and_changes_no_marks(house: House) -> None:
    house.put(thing("a"), thing("b"))
    house.run()
    reviewed = saved(house.run(NEXT_WEEK, delete=False))
    house.put(thing("b", title="another"), thing("c"))
    run = house.run(NEXT_WEEK, reviewed=reviewed)
    assert {entry.item.id: entry.outcome for entry in run.plans[0].selected} == {
        "a": Outcome.DELETED,
        "b": Outcome.CHANGED,
    }
    assert house.plan(NEXT_WEEK) == {"b": SOON, "c": SOON}


def test_a_reviewed_plan_does_not_shorten_a_notice(house: House) -> None:
    house.put(thing("a"))
    house.rules = (old(notice=timedelta(0)),)
    reviewed = saved(house.run(delete=False))
    house.rules = (old(),)
    assert said(house.run(reviewed=reviewed)) == {"a": SOON}


def test_a_question_answered_with_no_marks_nothing(house: House) -> None:
    house.put(thing("a"))
    house.run()
    house.put(thing("b"))
    house.run(NEXT_WEEK, confirm=lambda run: False)
    assert house.plan(NEXT_WEEK + DAY) == {"a": "now", "b": SOON}


def test_a_run_that_is_cut_off_while_it_deletes_has_made_its_marks(house: House) -> None:
    house.put(thing("a"))
    house.run()
    house.put(thing("b"))

    def dies(item: Item) -> None:
        raise MemoryError

    house.shelf.before_delete = dies
    assert house.run(NEXT_WEEK).plans[0].error
    assert house.plan(NEXT_WEEK + WEEK)["b"] == "now"


def test_what_is_listed_in_doubt_is_not_counted_as_announced(house: House) -> None:
    house.shelf.http.skew = 30 * DAY
    house.put(thing("a"))
    (plan,) = house.run().plans
    assert (len(plan.waiting), plan.news, plan.told) == (1, 0, 0)


def test_guards_count_what_goes_now_and_not_what_waits(house: House) -> None:
    house.limits = Limits(max_deletions=10)
    house.put(*(thing(str(number)) for number in range(300)))
    assert house.run().plans[0].refusals == []
    (refusal,) = house.run(NEXT_WEEK).plans[0].refusals
    assert refusal.startswith("300 items are selected, max_deletions allows 10")
    house.limits = Limits(max_deletions=300)
    house.run(NEXT_WEEK + DAY)
    assert house.there == set()


def test_a_first_notice_that_ends_for_many_is_no_growth(house: House) -> None:
    house.put(*(thing(str(number)) for number in range(120)))
    for day in range(3):
        house.run(NOW + day * DAY)
    assert house.run(NEXT_WEEK).plans[0].refusals == []
    assert house.there == set()


def test_each_run_that_marks_records_how_many(house: House) -> None:
    house.put(thing("a"), thing("b"))
    house.run()
    house.remove("b")
    house.run(NOW + DAY)
    with Ledger(house.folder, writable=False) as ledger:
        assert [(e["waiting"], e["new"], e["cleared"]) for e in ledger.events("notice")] == [(2, 2, 0), (1, 0, 1)]
        assert ledger.verify().entries


# Eight weeks, against an oracle -------------------------------------------------------------------


class Seen(NamedTuple):
    """What the filter decides by, as the vendor shows it."""

    title: str
    owner: str
    tags: tuple[str, ...]
    days: int


class Oracle:
    """The contract, from its text: an item goes once it was due, unchanged, in complete lists for so long."""

    def __init__(self, notice: timedelta) -> None:
        self.notice = notice
        self.since: dict[str, tuple[datetime, Seen]] = {}

    def run(self, now: datetime, listed: dict[str, tuple[str, Seen, bool]], broken: set[str]) -> set[str]:
        """What goes in a run. ``listed``: source, looks, and whether it is due; ``broken``: sources not listed."""
        gone = set()
        for ident in list(self.since):
            if ident not in listed and ident.split("-")[0] not in broken:
                del self.since[ident]
        for ident, (source, seen, due) in listed.items():
            if source in broken:
                continue
            if not due:
                self.since.pop(ident, None)
            elif ident not in self.since or self.since[ident][1] != seen:
                self.since[ident] = now, seen
            if ident in self.since and now - self.since[ident][0] >= self.notice:
                gone.add(ident)
                del self.since[ident]
        return gone


CHANGES = st.sampled_from(
    ["nothing", "nothing", "rename", "hand over", "tag", "hold", "release", "keep", "vanish", "move"]
)
WEEKS = st.lists(
    st.tuples(
        st.dictionaries(st.integers(0, 5), CHANGES, max_size=4),
        st.sampled_from([set(), set(), set(), {"things"}, {"files"}, {"things", "files"}]),
        st.sampled_from([False, False, False, False, True]),
        st.integers(0, 3),
    ),
    min_size=8,
    max_size=8,
)


@settings(max_examples=20, phases=[Phase.generate, Phase.shrink])
@given(weeks=WEEKS, notice=st.sampled_from([3, 7, 8, 14, 15, 21]), jitter=st.integers(-1, 1))
def test_eight_weeks_end_as_the_contract_says(
    weeks: Any, notice: int, jitter: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    length = notice * DAY + timedelta(minutes=jitter)
    rules = [old(what=what, name=what, notice=length, keep_tags=("keep",)) for what in ("things", "files")]
    house, oracle = House(tmp_path_factory.mktemp("state"), *rules), Oracle(length)
    items: dict[str, Seen] = {}
    held: set[str] = set()
    hidden: set[str] = set()
    numbers = itertools.count()
    for week, (changes, broken, lost, arrivals) in enumerate(weeks):
        now = NOW + week * WEEK
        for _ in range(arrivals):
            number = next(numbers)
            items[f"{('things', 'files')[number % 2]}-{number}"] = Seen("a", "anna", (), 20 + 5 * number)
        names = sorted(items)
        for place, change in changes.items():
            if place < len(names):
                _happens(change, names[place], items, held, hidden, week)
        if lost:
            house.lose_the_ledger()
            oracle.since.clear()
        house.holds = tuple(HoldEntry(id=ident, reason="lawsuit") for ident in sorted(held))
        house.remove(*house.there)
        for ident, seen in items.items():
            if ident not in hidden:
                house.put(_shown(ident, seen))
        listed = {}
        for ident, seen in items.items():
            if ident not in hidden:
                due = NOW - seen.days * DAY < now - 30 * DAY and ident not in held and "keep" not in seen.tags
                listed[ident] = ident.split("-")[0], seen, due
        house.shelf.before_list = lambda: None
        before = house.there
        _break(house, broken)
        house.run(now, accept_fewer=True)
        expected = oracle.run(now, listed, broken)
        assert before - house.there == expected, f"week {week}"
        for ident in expected:
            del items[ident]


def _happens(change: str, ident: str, items: dict[str, Seen], held: set[str], hidden: set[str], week: int) -> None:
    seen = items[ident]
    hidden.discard(ident)
    match change:
        case "rename":
            items[ident] = seen._replace(title=f"{seen.title}{week}")
        case "hand over":
            items[ident] = seen._replace(owner=f"{seen.owner}{week}")
        case "tag":
            items[ident] = seen._replace(tags=() if seen.tags else ("x",))
        case "keep":
            items[ident] = seen._replace(tags=() if seen.tags else ("keep",))
        case "hold":
            held.add(ident)
        case "release":
            held.discard(ident)
        case "move":
            items[ident] = seen._replace(days=seen.days - 15)
        case "vanish":
            hidden.add(ident)


def _shown(ident: str, seen: Seen) -> Item:
    return thing(ident, days=seen.days, what=ident.split("-")[0], title=seen.title, owner=seen.owner, tags=seen.tags)


def _break(house: House, broken: set[str]) -> None:
    """Makes the lists of some sources fail at their end."""
    listed = iter(["things", "files"])

    def fails() -> None:
        if next(listed) in broken:
            raise ProviderError("the list broke off")

    house.shelf.before_list = fails
