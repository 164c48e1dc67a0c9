"""What can be listed by itself fails by itself, and of what is incomplete in itself nothing is selected."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import pytest
from msgspec.structs import replace

from confcleanup.changes import digest
from confcleanup.errors import AccessDenied, HttpError, LedgerError, Stopped
from confcleanup.filter import Rule
from confcleanup.guards import PreviousRuns
from confcleanup.http.paging import Repeated, Unsteady
from confcleanup.items import Item, Outcome
from confcleanup.listing import HELD_BACK, Listing, make_plan
from confcleanup.plan import Plan, Watcher
from confcleanup.plan_review import PlanReview
from confcleanup.providers.base import Part
from confcleanup.worklist import Entry
from tests.fake import NOW, Fake, rule, thing

Lines = Iterable[Item | Exception]


class Parted(Fake):
    """Lists parts; a listing is its items, and ends with the exception among them. The last listing is repeated."""

    def __init__(self, **listings: Sequence[Lines]) -> None:
        super().__init__()
        self.listings = {name.replace("_", " "): list(lines) for name, lines in listings.items()}
        self.began: list[tuple[str, bool]] = []

    def parts(self, what: str, rules: Sequence[Rule]) -> Iterator[Part]:
        for name in self.listings:
            yield Part(name, lambda name=name: self._lines(name, what))  # type: ignore[misc]  # bound at once

    def _lines(self, name: str, what: str) -> Iterator[Item]:
        self.began.append((name, self.strict))
        lines = self.listings[name].pop(0) if len(self.listings[name]) > 1 else self.listings[name][0]
        for line in lines:
            if isinstance(line, Exception):
                raise line
            if line.what == what:
                yield line


class Told(Watcher):
    """The ids of what was told to stay."""

    def __init__(self) -> None:
        self.ids: list[str] = []

    def kept(self, account: str, entry: Entry) -> None:
        self.ids.append(entry.item.id)


def planned(provider: Fake, *rules: Rule, watcher: Watcher | None = None, **more: object) -> Plan:
    return make_plan(Listing("hq", provider, rules or (rule(),), NOW, watcher=watcher or Watcher(), **more))  # type: ignore[arg-type]  # passed on


def ids(plan: Plan) -> list[str]:
    return [entry.item.id for entry in plan.selected]


def counts(plan: Plan) -> tuple[int, int, int]:
    """Listed, selected, kept."""
    return plan.listed, len(plan.selected), plan.kept.total()


def again(item: Item, **changes: object) -> Item:
    """Another row of the same item."""
    return replace(item, raw=Repeated(), **changes)


REFUSED = HttpError("GET was answered with 404", 404)


def test_a_part_that_fails_is_named_and_the_others_go_on() -> None:
    plan = planned(Parted(user_1=[[thing("a")]], user_2=[[REFUSED]], user_3=[[thing("b")]]))
    assert (plan.status, plan.undone, ids(plan)) == ("partial", True, ["a", "b"])
    assert plan.unlisted == ["user 2: GET was answered with 404"]


def test_of_a_part_that_fails_in_the_middle_nothing_is_selected_or_counted() -> None:
    before = [thing(f"b{number}", days=days) for number in range(300) for days in (40, 3)]
    plan = planned(Parted(user_1=[[thing("a"), thing("young", days=3)]], user_2=[[*before, REFUSED]]))
    assert ids(plan) == ["a"]
    assert counts(plan) == (2, 1, 1)
    assert not plan.stuck.count


def test_parts_that_fail_for_the_same_reason_are_named_together() -> None:
    plan = planned(Parted(user_1=[[REFUSED]], user_2=[[thing("a")]], user_3=[[REFUSED]]))
    assert plan.unlisted == ["user 1, user 3: GET was answered with 404"]


def test_an_account_of_which_no_part_can_be_listed_has_failed() -> None:
    plan = planned(Parted(user_1=[[REFUSED]], user_2=[[REFUSED]]))
    assert (plan.status, plan.error) == ("failed", "user 1, user 2: GET was answered with 404")


def test_a_source_that_fails_leaves_the_others() -> None:
    provider = Fake(thing("a"), thing("b", what="files"))
    provider.list_items = lambda what, rules: _failing(REFUSED) if what == "files" else iter([thing("a")])  # type: ignore[method-assign]  # a hook
    plan = planned(provider, rule(), rule("files", name="others"))
    assert (plan.status, ids(plan), plan.unlisted) == ("partial", ["a"], ["files: GET was answered with 404"])


def _failing(error: Exception) -> Iterator[Item]:
    raise error
    yield


def test_a_provider_that_cannot_tell_its_parts_fails_that_source() -> None:
    provider = Parted(user_1=[[thing("a")]])
    provider.parts = lambda what, rules: [][1] if what == "files" else Parted.parts(provider, what, rules)  # type: ignore[method-assign]  # a hook
    plan = planned(provider, rule(), rule("files", name="others"))
    assert (plan.status, ids(plan)) == ("partial", ["a"])
    assert "could not be read (IndexError)" in plan.unlisted[0]


@pytest.mark.parametrize(
    "error",
    [AccessDenied("the sign-in failed", 401), AccessDenied("locked", 423), Stopped("time"), LedgerError("full")],
)
def test_what_concerns_the_whole_account_fails_it(error: Exception) -> None:
    plan = planned(Parted(user_1=[[thing("a")]], user_2=[[error]], user_3=[[thing("b")]]))
    assert (plan.status, ids(plan), plan.error) == ("failed", [], str(error))


def test_a_403_fails_the_account_unless_another_part_was_allowed() -> None:
    forbidden = AccessDenied("GET was answered with 403", 403)
    assert planned(Parted(user_1=[[forbidden]], user_2=[[thing("a")]])).status == "failed"
    plan = planned(Parted(user_1=[[thing("a")]], user_2=[[forbidden]]))
    assert (plan.status, ids(plan)) == ("partial", ["a"])


def test_a_server_that_stopped_answering_is_not_asked_for_every_part() -> None:
    provider = Parted(user_0=[[thing("a")]], **{f"user_{number}": [[HttpError("502", 502)]] for number in range(1, 9)})
    plan = planned(provider)
    assert [name for name, _ in provider.began] == ["user 0", "user 1", "user 2", "user 3"]
    assert (plan.status, ids(plan)) == ("partial", ["a"])
    assert [line.count("user") for line in plan.unlisted] == [3, 5]


def test_an_unsteady_list_is_listed_once_more() -> None:
    provider = Parted(user_1=[[thing("a"), Unsteady("shifted")], [thing("a"), thing("b")]])
    plan = planned(provider)
    assert (plan.status, ids(plan), counts(plan)) == ("ok", ["a", "b"], (2, 2, 0))
    assert provider.began == [("user 1", True), ("user 1", False)]
    assert not provider.strict


def test_the_second_listing_stands_in_place_of_the_first() -> None:
    young = [thing(f"young{number}", days=3) for number in range(3)]
    first = [thing("a"), thing("vanished"), *young, Unsteady("shifted")]
    told = Told()
    plan = planned(Parted(user_1=[first, [thing("a", days=3), *young]]), watcher=told)
    assert (ids(plan), counts(plan)) == ([], (4, 0, 4))
    assert sorted(told.ids) == ["a", "young0", "young1", "young2"]


def test_a_list_that_stays_unsteady_has_failed_after_the_second_time() -> None:
    provider = Parted(user_1=[[thing("a"), Unsteady("not complete")]], user_2=[[thing("b")]])
    plan = planned(provider)
    assert (ids(plan), plan.unlisted) == (["b"], ["user 1: not complete"])
    assert [name for name, _ in provider.began] == ["user 1", "user 1", "user 2"]


def test_warnings_of_a_listing_that_is_dropped_are_dropped() -> None:
    def first() -> Iterator[Item]:
        provider.warnings.append("a room is silent")
        yield thing("a")
        raise Unsteady("shifted")

    provider = Parted(user_1=[[thing("a")]])
    listings = iter([first, lambda: iter([thing("a")])])
    provider.parts = lambda what, rules: [Part("", lambda: next(listings)())]  # type: ignore[method-assign]  # a hook
    assert planned(provider).warnings == []


@pytest.mark.parametrize("more", [1, HELD_BACK, HELD_BACK + 7])
def test_every_kept_item_is_told_however_many_they_are(more: int) -> None:
    told = Told()
    planned(Parted(user_1=[[thing(f"{number}", days=3) for number in range(more)]]), watcher=told)
    assert told.ids == [f"{number}" for number in range(more)]


@pytest.mark.parametrize("more", [1, HELD_BACK, HELD_BACK + 7])
def test_a_list_that_is_read_once_more_tells_each_kept_item_once(more: int) -> None:
    told = Told()
    kept = [thing(f"{number}", days=3) for number in range(more)]
    plan = planned(Parted(user_1=[[*kept, Unsteady("shifted")], [*kept, thing("late", days=3)]]), watcher=told)
    assert told.ids == [*(f"{number}" for number in range(more)), "late"]
    assert plan.kept.total() == len(told.ids)


# One item in several rows -------------------------------------------------------------------------


@pytest.mark.parametrize("days", [(40, 3), (3, 40), (40, 40, 3), (40, 3, 40), (3, 40, 40), (3, 3)])
def test_an_item_whose_rows_say_two_things_stays(days: tuple[int, ...]) -> None:
    rows = [thing("a", days=days[0]), *(again(thing("a", days=more)) for more in days[1:])]
    plan = planned(Parted(user_1=[[*rows, thing("b")]]))
    assert (ids(plan), counts(plan)) == (["b"], (2, 1, 1))


def test_the_reason_says_that_it_is_listed_more_than_once() -> None:
    entries: list[Entry] = []
    watcher = Watcher()
    watcher.kept = lambda account, entry: entries.append(entry)  # type: ignore[method-assign]  # a hook
    planned(Parted(user_1=[[thing("a"), again(thing("a", days=3))]]), watcher=watcher)
    assert [entry.decision.reason for entry in entries] == [
        "it is listed more than once, and not each time as due: ended 3 days ago, kept for 30 days"
    ]


def test_an_item_goes_once_if_each_of_its_rows_is_due() -> None:
    plan = planned(Parted(user_1=[[thing("a"), again(thing("a", days=50)), again(thing("a"))]]))
    assert (ids(plan), counts(plan)) == (["a"], (1, 1, 0))


def test_a_row_in_a_later_part_speaks_of_the_item_too() -> None:
    plan = planned(Parted(window_1=[[thing("a")]], window_2=[[again(thing("a", days=3))]]))
    assert (ids(plan), counts(plan)) == ([], (1, 0, 1))


def test_what_a_failed_part_said_of_an_item_keeps_it_and_the_counts_hold() -> None:
    plan = planned(Parted(window_1=[[thing("a"), thing("b")]], window_2=[[again(thing("a", days=3)), REFUSED]]))
    assert (ids(plan), counts(plan)) == (["b"], (2, 1, 1))


# What compares with other runs --------------------------------------------------------------------


def reviewing(*items: Item) -> PlanReview:
    return PlanReview({item.key: digest(item) for item in items}, {item.key: item for item in items})


def test_what_a_reviewed_plan_names_of_a_part_that_was_not_listed_is_not_said_to_have_changed() -> None:
    provider = Parted(user_1=[[thing("a")]], user_2=[[REFUSED]])
    plan = planned(provider, review=reviewing(thing("a"), thing("b"), thing("c")))
    assert (plan.status, ids(plan), plan.count(Outcome.CHANGED)) == ("partial", ["a"], 0)


def test_what_only_the_first_of_two_listings_showed_is_not_listed_any_more() -> None:
    provider = Parted(user_1=[[thing("a"), thing("b"), Unsteady("shifted")], [thing("a")]])
    plan = planned(provider, review=reviewing(thing("a"), thing("b")))
    assert {entry.item.id: entry.outcome for entry in plan.selected} == {"a": None, "b": Outcome.CHANGED}


def test_a_reviewed_item_with_a_row_that_is_not_due_has_changed() -> None:
    provider = Parted(user_1=[[thing("a"), again(thing("a", days=3))]])
    plan = planned(provider, review=reviewing(thing("a")))
    assert [entry.outcome for entry in plan.selected] == [Outcome.CHANGED]


@pytest.mark.parametrize(("second", "refused"), [([thing("b")], True), ([REFUSED], False)])
def test_a_list_that_lacks_a_part_is_not_taken_for_one_that_shrank(second: Lines, refused: bool) -> None:
    plan = planned(Parted(user_1=[[thing("a")]], user_2=[second]), previous=PreviousRuns(left={"things": 500}))
    assert bool(plan.refusals) is refused
