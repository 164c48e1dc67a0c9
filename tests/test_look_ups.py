"""What a list does not tell and a hold or a rule asks for is looked up while planning, and only where it decides."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from confcleanup.errors import AccessDenied, ProviderError, UnsafeId
from confcleanup.filter import Reason, Rule
from confcleanup.items import Item, State
from confcleanup.listing import Listing, make_plan
from confcleanup.plan import Plan, Watcher
from confcleanup.providers.base import Source
from confcleanup.worklist import Entry
from tests.cli.test_cli import Setting
from tests.cli.test_cli import hq as hq  # a fixture
from tests.fake import NOW, Fake, FakeRule, rule, thing

TAGGED = rule(keep_tags=("keep",))


class Short(Fake):
    """A provider whose list shows no tags."""

    sources = {"things": Source("things of which the list shows little", FakeRule, recheck=True, details=True)}

    def __init__(self, *items: Item) -> None:
        super().__init__(*items)
        self.listing = [replace(item, tags=None) for item in items]


class Kept(Watcher):
    def __init__(self) -> None:
        self.reasons: dict[str, str] = {}

    def kept(self, account: str, entry: Entry) -> None:
        self.reasons[entry.item.id] = entry.decision.reason


def planned(provider: Fake, *rules: Rule) -> tuple[Plan, dict[str, str]]:
    watcher = Kept()
    return make_plan(Listing("hq", provider, rules or (TAGGED,), NOW, watcher=watcher)), watcher.reasons


def test_what_is_looked_up_decides() -> None:
    provider = Short(thing("goes"), thing("stays", tags=("Keep",)))
    plan, reasons = planned(provider)
    assert [entry.item.tags for entry in plan.selected] == [()]
    assert reasons == {"stays": "has the keep tag 'keep'"}


def test_what_stays_anyway_is_not_looked_up() -> None:
    running, young = thing("running", state=State.RUNNING), thing("young", days=3)
    provider = Short(running, young, thing("other", title="Other"))
    plan, _ = planned(provider, rule(keep_tags=("keep",), title="Title*"))
    assert (plan.kept, provider.calls) == ({Reason.RUNNING: 1, Reason.TOO_YOUNG: 1, Reason.FILTER: 1}, [])


def test_what_nobody_asks_for_is_not_looked_up() -> None:
    provider = Short(thing("goes"))
    plan, _ = planned(provider, rule())
    assert (len(plan.selected), provider.calls) == (1, [])


def test_where_a_look_tells_no_more_than_the_list_nothing_is_looked_up() -> None:
    provider = Fake(thing("old", tags=None))
    plan, reasons = planned(provider)
    assert (plan.undecided, provider.calls) == (1, [])
    assert reasons == {"old": "its tags are not known, and keep_tags asks for them"}


def test_what_is_not_known_there_either_stays_undecided_and_is_stuck() -> None:
    plan, reasons = planned(Short(thing("old", tags=None)))
    assert (plan.undecided, plan.stuck.count, plan.status, plan.undone) == (1, 1, "ok", False)
    assert reasons == {"old": "its tags are not known, and keep_tags asks for them"}


def test_what_is_gone_when_looked_at_stays_as_what_cannot_be_deleted() -> None:
    provider = Short(thing("old"))
    provider.held.clear()
    plan, reasons = planned(provider)
    assert (plan.kept, len(plan.selected), plan.stuck.count) == ({Reason.UNDELETABLE: 1}, 0, 0)
    assert reasons == {"old": "the server does not have it (any more)"}


def test_the_time_that_a_look_tells_is_the_one_that_counts() -> None:
    provider = Short(thing("moved"))
    provider.held["moved"] = thing("moved", days=1)
    assert planned(provider)[1]["moved"].startswith("ended 24 hours ago")


@pytest.mark.parametrize("kind", [ProviderError, UnsafeId, KeyError])
def test_a_look_that_fails_keeps_its_item_and_no_other(kind: type[Exception]) -> None:
    provider = Short(thing("bad"), thing("good"))

    def fail(item: Item) -> None:
        if item.id == "bad":
            raise kind("no answer")

    provider.before_look = fail
    plan, reasons = planned(provider)
    assert [entry.item.id for entry in plan.selected] == ["good"]
    assert "looking at it failed: " in reasons["bad"]
    assert ("KeyError" if kind is KeyError else "no answer") in reasons["bad"]
    assert plan.undecided == 1


def test_a_look_that_answers_with_something_else_keeps_the_item() -> None:
    provider = Short(thing("a"))
    provider.held["a"] = thing("b")
    assert planned(provider)[1]["a"].endswith("looking at it failed: the answer is about something else")


def test_an_account_that_is_refused_while_looking_fails() -> None:
    provider = Short(thing("a"))

    def refuse(item: Item) -> None:
        raise AccessDenied("no right", 403)

    provider.before_look = refuse
    plan, _ = planned(provider)
    assert (plan.failed, plan.error) == (True, "no right")


def test_another_packages_fault_while_looking_keeps_the_item() -> None:
    provider = Short(thing("a"))

    def fail(item: Item) -> None:
        raise RuntimeError("a fault")

    provider.before_look = fail
    assert "looking at it failed: internal error" in planned(provider)[1]["a"]


# The ledger knows an item's other numbers ----------------------------------------------------------


def test_the_history_finds_what_was_deleted_by_whatever_people_call_it(
    hq: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    from confcleanup.providers import trueconf

    made = trueconf.conference
    monkeypatch.setattr(trueconf, "conference", lambda row: replace(made(row), aliases=("912000111",)))
    hq.emulator.add_conference("0073310047", ended=timedelta(days=50))
    hq("run", "--yes")

    def found(ident: str) -> list[dict[str, Any]]:
        return list(json.loads(hq("history", "--format", "json", "--id", ident).stdout)["deletions"])

    for spelt in ("0073310045", "\\c\\0073310045", "https://vc.example.org/c/0073310045"):
        assert [(entry["id"], entry["aliases"]) for entry in found(spelt)] == [("0073310045", ["912000111"])]
    assert {entry["id"] for entry in found("912000111")} == {"0073310045", "0073310047"}
    assert found("912") == []
    assert "0073310045 (912000111)" in hq("history").stdout


def test_every_item_of_the_json_has_its_aliases(hq: Setting) -> None:
    items = json.loads(hq("plan", "--format", "json").stdout)["accounts"][0]["items"]
    assert [item["aliases"] for item in items] == [[], []]
