"""``keep_last``: the newest of each group stay, judged on the whole list."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec.structs import replace

from confcleanup.changes import digest
from confcleanup.cli import cli
from confcleanup.errors import HttpError
from confcleanup.filter import Reason, Rule, choose
from confcleanup.http.paging import Repeated, Unsteady
from confcleanup.items import Item, Kind, Outcome, State
from confcleanup.listing import Listing, make_plan
from confcleanup.newest import moved
from confcleanup.plan import Plan, Watcher
from confcleanup.plan_review import PlanReview
from confcleanup.sandbox.server import Server
from confcleanup.sandbox.trueconf import TrueConf
from confcleanup.worklist import Entry
from tests.fake import CUTOFF, NOW, Fake, rule, thing
from tests.test_listing import Parted

REFUSED = HttpError("GET was answered with 404", 404)


def newest(count: int = 1, per: str = "owner", **more: Any) -> Rule:
    """A rule of 30 days that keeps the newest."""
    return rule(keep_last=count, per=per, **more)


def of(owner: str | None, id: str, days: float = 40, **more: Any) -> Item:
    return thing(id, days=days, owner=owner, **more)


class Told(Watcher):
    """What was told to stay, by id: the line that decided and the reason."""

    def __init__(self) -> None:
        self.why: dict[str, Reason] = {}
        self.reasons: dict[str, str] = {}

    def kept(self, account: str, entry: Entry) -> None:
        assert not entry.decision.delete
        self.why[entry.item.id] = entry.decision.why
        self.reasons[entry.item.id] = entry.decision.reason


def planned(provider: Fake, *rules: Rule, told: Watcher | None = None, review: PlanReview | None = None) -> Plan:
    return make_plan(Listing("hq", provider, rules, NOW, watcher=told or Watcher(), review=review))


def goes(items: Sequence[Item], *rules: Rule) -> list[str]:
    return [entry.item.id for entry in planned(Fake(*items), *rules).selected]


def test_the_newest_of_each_owner_stay_whatever_their_age_and_say_so() -> None:
    told = Told()
    items = [of("anna", f"a{days}", days) for days in (90, 50, 70, 60)] + [of("bert", "b", 400)]
    plan = planned(Fake(*items), newest(2), told=told)
    assert [entry.item.id for entry in plan.selected] == ["a90", "a70"]
    assert told.reasons["a50"] == told.reasons["a60"] == "one of the newest 2 of anna"
    assert (plan.kept, plan.stuck.count, plan.lists["things"].selected) == ({Reason.NEWEST: 3}, 0, 2)


@pytest.mark.parametrize(
    ("per", "item", "reason"),
    [
        ("owner", of("anna", "a"), "the newest of anna"),
        ("owner", of("", "a"), "the newest without an owner"),
        ("title", of("anna", "a", title="Standup"), "the newest titled 'Standup'"),
        ("title", of("anna", "a", title=""), "the newest without a title"),
        ("account", of("anna", "a"), "the newest of the account"),
    ],
)
def test_the_reason_names_the_group(per: str, item: Item, reason: str) -> None:
    told = Told()
    planned(Fake(item), newest(per=per), told=told)
    assert told.reasons == {"a": reason}


def test_groups_are_compared_without_regard_to_case_and_to_blanks_around() -> None:
    items = [of("Anna ", "a", 50), of("anna", "b", 40), of("anna@vc.example.org", "c", 60)]
    assert goes(items, newest()) == ["a"]


def test_what_is_too_young_or_kept_for_another_reason_is_among_the_newest() -> None:
    items = [of("anna", "young", 1), of("anna", "tagged", 35, tags=("keep",)), of("anna", "c", 40), of("anna", "d", 50)]
    assert goes(items, newest(2, keep_tags=("keep",))) == ["c", "d"]
    assert goes(items, newest(3, keep_tags=("keep",))) == ["d"]


@pytest.mark.parametrize(
    "more",
    [
        {"ended_at": None},
        {"kind": Kind.RECURRING},
        {"kind": Kind.ROOM},
        {"state": State.RUNNING},
        {"ended_at": NOW + timedelta(hours=1)},
        {"undeletable": "nothing deletes it"},
        {"owner": None},
    ],
    ids=str,
)
def test_what_stays_without_an_end_that_is_over_takes_no_place(more: dict[str, Any]) -> None:
    assert goes([replace(of("anna", "x", 1), **more), of("anna", "a", 40), of("anna", "b", 50)], newest()) == ["b"]


def test_what_is_outside_the_filters_of_the_rule_takes_no_place_and_is_not_kept_by_it() -> None:
    other = rule(name="all")
    items = [
        of("anna", "x", 40, title="Review"),
        of("anna", "s1", 50, title="Standup"),
        of("anna", "s2", 60, title="Standup"),
    ]
    assert goes(items, newest(title="standup"), other) == ["x", "s2"]


def test_the_newest_stay_under_every_rule_of_the_account_and_name_the_one_that_keeps_them() -> None:
    told = Told()
    plan = planned(Fake(of("anna", "a"), of("anna", "b", 50)), rule(), newest(name="newest"), told=told)
    assert [entry.item.id for entry in plan.selected] == ["b"]
    assert told.reasons == {"a": "the newest of anna, by the rule 'newest'"}


def test_what_a_rule_that_is_not_chosen_keeps_as_the_newest_stays() -> None:
    chosen = rule(keepers=(newest(name="another"),))
    assert goes([of("anna", "a"), of("anna", "b", 50)], chosen) == ["b"]


def test_all_that_ended_together_with_the_last_that_stays_stay_too() -> None:
    items = [of("anna", "a", 40), *(of("anna", f"b{n}", 50) for n in range(3)), of("anna", "c", 60)]
    assert goes(items, newest(2)) == ["c"]


def test_an_item_in_two_rows_takes_one_place() -> None:
    a = of("anna", "a")
    items = [a, replace(a, raw=Repeated()), of("anna", "b", 50), of("anna", "c", 60)]
    assert goes(items, newest(2)) == ["c"]


@pytest.mark.parametrize("ends", [(40, 60), (60, 40)])
def test_an_item_whose_rows_give_several_ends_is_judged_by_the_latest_and_counts_by_the_earliest(
    ends: tuple[int, int],
) -> None:
    one, two = (of("anna", "a", days) for days in ends)
    assert goes([one, replace(two, raw=Repeated()), of("anna", "b", 50), of("anna", "c", 70)], newest()) == ["c"]


@pytest.mark.parametrize("days", [40, 60])
def test_an_item_whose_rows_name_several_groups_stays_and_takes_no_place_in_them(days: int) -> None:
    a = of("anna", "a", days)
    items = [a, replace(a, owner="bert", raw=Repeated()), of("anna", "b", 50), of("bert", "c", 50)]
    assert goes(items, newest()) == []


def test_an_owner_that_is_not_known_keeps_as_undecided() -> None:
    told = Told()
    plan = planned(Fake(of(None, "a"), of("anna", "b", 35)), newest(), told=told)
    assert told.reasons["a"] == "its owner is not known, and keep_last asks for it"
    assert (len(plan.selected), plan.undecided) == (0, 1)
    told.reasons.clear()
    by_another = planned(Fake(of(None, "a")), rule(keepers=(newest(name="another"),)), told=told)
    assert told.reasons["a"] == "its owner is not known, and keep_last asks for it"
    assert by_another.undecided == 1


def test_a_part_that_fails_is_not_counted_and_lets_nothing_more_go() -> None:
    whole = [of("anna", "new", 35), of("anna", "mid", 40)]
    old = [of("anna", "old", 50), of("anna", "older", 60)]
    complete = planned(Parted(one=[whole], two=[old]), newest(2))
    partial = planned(Parted(one=[[*whole, REFUSED]], two=[old]), newest(2))
    assert [entry.item.id for entry in complete.selected] == ["old", "older"]
    assert (len(partial.selected), partial.status) == (0, "partial")


def test_a_list_that_is_read_once_more_counts_each_item_once() -> None:
    items = [of("anna", f"a{days}", days) for days in (40, 50, 60, 70)]
    provider = Parted(one=[[*items[:2], Unsteady("it shifted")], items])
    assert [entry.item.id for entry in planned(provider, newest(3)).selected] == ["a70"]


def test_the_newest_of_one_source_are_not_those_of_another() -> None:
    items = [of("anna", "a"), of("anna", "b", 50, what="files")]
    assert goes(items, newest(), newest(what="files", name="files")) == []


def test_what_a_reviewed_plan_lets_go_and_keep_last_keeps_now_is_changed_and_stays() -> None:
    items = [of("anna", "a"), of("anna", "b", 50)]
    review = PlanReview({item.key: digest(item) for item in items}, {item.key: item for item in items})
    plan = planned(Fake(*items), newest(), review=review)
    assert [(entry.item.id, entry.outcome) for entry in plan.selected] == [("a", Outcome.CHANGED), ("b", None)]
    assert plan.selected.first(1)[0].error == "no rule selects it now: the newest of anna"


@pytest.mark.parametrize(("per", "says"), [("owner", "its owner changed"), ("title", None), ("account", None)])
def test_an_item_that_came_into_another_group_since_it_was_listed_stays(per: str, says: str | None) -> None:
    found = moved(of("anna", "a"), of("bert", "a"), [newest(per=per)])
    assert bool(found) == bool(says)
    assert (found or "").startswith(says or "")


# --- against an independent oracle ------------------------------------------------------------------

OWNERS = st.sampled_from(["anna", "bert", "", None])
THINGS = st.lists(
    st.builds(
        lambda number, owner, title, days, more: of(owner, f"i{number}", days, title=title, **more),
        st.integers(0, 12),
        OWNERS,
        st.sampled_from(["Standup", "Review"]),
        st.integers(-2, 60),
        st.sampled_from([{}, {}, {}, {"ended_at": None}, {"kind": Kind.RECURRING}, {"tags": ("keep",)}]),
    ),
    max_size=25,
    unique_by=lambda item: item.id,
)
RULES = st.lists(
    st.builds(
        lambda count, per, title, days: rule(
            keep_last=count,
            per=per if count else "",
            title=title,
            cutoff=NOW - timedelta(days=days),
            keep_tags=("keep",),
        ),
        st.integers(0, 4),
        st.sampled_from(["owner", "title", "account"]),
        st.sampled_from([None, "standup"]),
        st.integers(1, 50),
    ),
    min_size=1,
    max_size=3,
).map(lambda rules: [replace(one, name=f"rule {number}") for number, one in enumerate(rules)])


def expected(items: Sequence[Item], rules: Sequence[Rule]) -> set[str]:
    """What goes: each group sorted as a whole, and cut after the last place and what ended together with it."""
    stay: set[str] = set()
    for keeper in (one for one in rules if one.keep_last):
        groups: dict[Any, list[Item]] = defaultdict(list)
        for item in items:
            ended = item.ended_at is not None and item.ended_at <= NOW and item.kind is Kind.ONE_TIME
            looked_at = keeper.title is None or item.title == "Standup"
            if keeper.per == "owner" and item.owner is None and looked_at:
                stay.add(item.id)
            elif ended and looked_at:
                groups[getattr(item, keeper.per, None)].append(item)
        for group in groups.values():
            ends = sorted((item.ended_at for item in group if item.ended_at), reverse=True)
            last = ends[min(keeper.keep_last, len(ends)) - 1]
            stay |= {item.id for item in group if item.ended_at and item.ended_at >= last}
    return {item.id for item in items if choose(item, rules, NOW).delete} - stay


@given(THINGS, RULES)
@example([of("anna", "i1", 40), of("anna", "i2", 40)], [newest(1, cutoff=CUTOFF)])
def test_what_goes_is_what_sorting_the_whole_list_says(items: list[Item], rules: list[Rule]) -> None:
    assert set(goes(items, *rules)) == expected(items, rules)


@given(THINGS, RULES, st.data())
def test_a_shorter_list_never_lets_an_item_go_that_the_whole_one_keeps(
    items: list[Item], rules: list[Rule], data: st.DataObject
) -> None:
    some = [item for item in items if data.draw(st.booleans())]
    assert set(goes(some, *rules)) <= set(goes(items, *rules))


# --- from the config to the screen ------------------------------------------------------------------


@pytest.fixture
def hq(tmp_path: Path) -> Any:
    emulator = TrueConf()
    for number, days in enumerate((90, 41, 50, 60)):
        emulator.add_conference(f"c{number}", topic="Review", owner="anna", ended=timedelta(days=days))
    with Server(emulator) as server:
        head = emulator.account("hq", server.url).partition("\n[[")[0]
        file = tmp_path / "c.toml"
        file.write_text(
            f'{head}\n[[accounts.hq.rules]]\nname = "old"\nwhat = "conferences"\nolder_than = "30 days"\n'
            'keep_last = 2\nper = "owner"\n'
            '[[accounts.hq.rules]]\nname = "reviews"\nwhat = "conferences"\nolder_than = "7 days"\ntitle = "review"\n',
            encoding="utf-8",
        )
        file.chmod(0o600)
        yield (
            lambda *words: CliRunner().invoke(cli, ["-c", str(file), "--state", str(tmp_path / "s"), *words]),
            emulator,
        )


def test_a_run_leaves_the_newest_also_where_only_another_rule_is_chosen(hq: Any) -> None:
    run, emulator = hq
    done = run("run", "--yes", "--rule", "reviews")
    assert done.exit_code == 0, done.output
    assert sorted(emulator.conferences) == ["c1", "c2"]
    assert "kept 2 (2 among the newest)" in done.output
    assert run("run", "--yes", "--older-than", "2 days").output.startswith("hq: deleted 0 of 0 selected")


def test_explain_looks_at_the_whole_list_and_says_that_an_item_is_among_the_newest(hq: Any) -> None:
    run, _ = hq
    kept, lost = run("explain", "hq", "c2").output, run("explain", "hq", "c3").output
    assert "among the newest that keep_last keeps?                  yes: one of the newest 2 of anna" in kept
    assert kept.endswith("It stays: one of the newest 2 of anna (rule 'old').\n")
    assert "among the newest that keep_last keeps?                  no" in lost
    assert "It goes: " in lost
