"""Which items go. The numbered sections are the lines of the table in the order in which they decide."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import combinations, groupby
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec.structs import replace

from confcleanup.changes import difference, digest
from confcleanup.filter import (
    TABLE,
    UNDECIDED,
    Decision,
    Hold,
    Line,
    LiveRule,
    Reason,
    Rule,
    choose,
    decide,
    matches,
    same_owner,
)
from confcleanup.items import Item, Kind, Live, State

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
CUTOFF = NOW - timedelta(days=30)
SECOND = timedelta(seconds=1)
HOUR = timedelta(hours=1)


def meeting(**more: Any) -> Item:
    """A one-time meeting that ended 40 days ago: what a rule of 30 days is for."""
    end = NOW - timedelta(days=40)
    fields: dict[str, Any] = {"kind": Kind.ONE_TIME, "state": State.ENDED, "title": "Standup", "owner": "anna"}
    fields |= {"tags": ("delete",), "started_at": end - HOUR, "ended_at": end, "created_at": end - timedelta(days=9)}
    return Item("conferences", "0048411003", **(fields | more))


def room(**more: Any) -> Item:
    """A room without a schedule, made 40 days ago."""
    fields = {"kind": Kind.ROOM, "started_at": None, "ended_at": None, "created_at": NOW - timedelta(days=40)}
    return meeting(**(fields | more))


def live(
    run_time: timedelta | None = 9 * HOUR, members: int | None = 1, youngest: timedelta | None = HOUR, **more: Any
) -> Item:
    """A room with people in it."""
    fields: dict[str, Any] = {"kind": Kind.LIVE, "state": State.RUNNING, "live": Live(run_time, members, youngest)}
    fields["started_at"] = None if run_time is None else NOW - run_time
    return Item(**({"what": "conferences", "id": "support-1"} | fields | more))


def rule(**more: Any) -> Rule:
    """A rule of 30 days."""
    return Rule(**({"name": "old", "what": "conferences", "cutoff": CUTOFF, "age": "30 days"} | more))


def live_rule(*, cutoff: datetime = NOW, **more: Any) -> Rule:
    """A rule for live rooms; what it gives is in ``more``."""
    return rule(cutoff=cutoff, age="" if cutoff == NOW else "15 minutes", live=LiveRule(**more))


def why(item: Item, by: Rule) -> Reason:
    """The line that keeps an item."""
    decision = decide(item, by, NOW)
    assert not decision.delete
    return decision.why


def goes(item: Item, by: Rule) -> bool:
    return decide(item, by, NOW).delete


def held_by(**marks: Any) -> Rule:
    """A rule under a legal hold."""
    return rule(holds=(Hold("lawsuit 7", **marks),))


# --- the table itself -------------------------------------------------------------------------------

HOLDS: dict[Reason, tuple[dict[str, Any], dict[str, Any]]] = {
    Reason.HELD: ({}, {"holds": (Hold("lawsuit 7", id="0048411003"),)}),
    Reason.KEEP_ID: ({}, {"keep_ids": frozenset({"0048411003"})}),
    Reason.KEEP_TAG: ({}, {"keep_tags": ("delete",)}),
    Reason.FILTER: ({}, {"title": "another"}),
    Reason.UNDELETABLE: ({"undeletable": "nothing deletes it"}, {}),
    Reason.RUNNING: ({"state": State.RUNNING}, {}),
    Reason.STATE_UNKNOWN: ({"state": State.UNKNOWN}, {}),
    Reason.RECURS: ({"kind": Kind.RECURRING}, {}),
    Reason.ROOM: ({"kind": Kind.ROOM}, {}),
    Reason.END_UNKNOWN: ({"ended_at": None}, {}),
    Reason.TOO_YOUNG: ({"ended_at": NOW - HOUR}, {}),
    Reason.NOT_KNOWN: ({"owner": None}, {"owner": "anna"}),
    Reason.DUE: ({}, {}),
}
"""For each line an item and a rule, by what they have beside the usual, of which it holds."""


OF_ONE_ITEM = [line for line in TABLE if line.why is not Reason.NEWEST]
"""What is among the newest is told by the whole list: see test_newest."""


def test_every_reason_is_a_line_of_the_table_but_those_of_a_saved_plan_and_of_a_notice() -> None:
    later = (Reason.NOT_REVIEWED, Reason.NOTICE)
    assert [line.why for line in TABLE] == [reason for reason in Reason if reason not in later]
    assert HOLDS.keys() == {line.why for line in OF_ONE_ITEM}
    assert len(PAIRS) == 13 * 12 / 2 - 3


@pytest.mark.parametrize("line", OF_ONE_ITEM, ids=lambda line: line.why.name)
def test_each_line_decides_where_it_alone_holds(line: Line) -> None:
    item, by = HOLDS[line.why]
    decision = decide(meeting(**item), rule(**by), NOW)
    assert decision.why is line.why
    assert decision.delete is (line.then == "it goes")


def both_hold(first: Reason, second: Reason) -> bool:
    """Whether one item can be both: it has one state, one kind, one end."""
    return not any(one.keys() & other.keys() for one, other in zip(HOLDS[first], HOLDS[second], strict=True))


PAIRS = [pair for pair in combinations([line.why for line in OF_ONE_ITEM], 2) if both_hold(*pair)]


@pytest.mark.parametrize(("first", "second"), PAIRS, ids=lambda why: why.name)
def test_of_two_lines_that_hold_the_first_decides(first: Reason, second: Reason) -> None:
    (item, by), (other_item, other_by) = HOLDS[first], HOLDS[second]
    both, rules = meeting(**item, **other_item), rule(**by, **other_by)
    assert decide(both, rules, NOW).why is first
    assert choose(both, [rules], NOW).why is first


def test_the_table_is_that_of_the_documentation() -> None:
    text = (Path(__file__).parents[1] / "docs" / "how-it-works.md").read_text("utf-8")
    rows = [line.strip("| ") for line in text.splitlines() if line.startswith("   | ")][2:]
    shown = [row.partition(" | ")[2] for row in rows]
    assert [then for then, _ in groupby(shown)] == [then for then, _ in groupby(line.then for line in TABLE)]


# --- legal holds, before everything else ------------------------------------------------------------


@pytest.mark.parametrize(
    "marks",
    [
        {"id": "0048411003"},
        {"owner": "ANNA@vc.example.org"},
        {"owner": "a*"},
        {"title": "*standup*"},
        {"tag": "Delete"},
        {"id": "another", "tag": "delete"},
    ],
)
def test_an_item_that_any_mark_of_a_legal_hold_fits_stays(marks: dict[str, str]) -> None:
    assert why(meeting(), held_by(**marks)) is Reason.HELD


@pytest.mark.parametrize("marks", [{"id": "48411003"}, {"owner": "bert"}, {"title": "standup*x"}, {"tag": "x"}, {}])
def test_a_legal_hold_whose_marks_do_not_fit_holds_nothing(marks: dict[str, str]) -> None:
    assert goes(meeting(), held_by(**marks))


def test_a_hold_by_tag_does_not_fit_what_the_vendor_says_has_no_tags() -> None:
    assert goes(meeting(tags=()), held_by(tag="delete"))


@pytest.mark.parametrize("name", ["0b1c2d3e-0000", " 0b1c2d3e-0000\n"])
def test_a_hold_on_another_number_of_an_item_holds_it(name: str) -> None:
    assert why(meeting(aliases=("7", "0b1c2d3e-0000")), held_by(id=name)) is Reason.HELD


def test_a_legal_hold_gives_its_reason_and_its_end() -> None:
    assert decide(meeting(), held_by(id="0048411003"), NOW).reason == "on legal hold: lawsuit 7"
    until = held_by(id="0048411003", until=NOW)
    assert decide(meeting(), until, NOW).reason == "on legal hold: lawsuit 7, until 2026-03-01"


# --- what the vendor did not give, and a hold or a rule asks for --------------------------------------

ASKING = [
    ({"owner": None}, held_by(owner="anna"), "its owner is not known, and a legal hold asks for it"),
    ({"title": None}, held_by(title="*"), "its title is not known, and a legal hold asks for it"),
    ({"tags": None}, held_by(tag="court"), "its tags are not known, and a legal hold asks for them"),
    ({"tags": None}, rule(keep_tags=("keep",)), "its tags are not known, and keep_tags asks for them"),
    ({"tags": None}, rule(tags=("delete",)), "its tags are not known, and the rule asks for them"),
    ({"title": None}, rule(title="*"), "its title is not known, and the rule asks for it"),
    ({"owner": None}, rule(owner="*"), "its owner is not known, and the rule asks for it"),
]


@pytest.mark.parametrize(("missing", "by", "reason"), ASKING, ids=lambda value: value if type(value) is str else "")
def test_what_would_go_stays_if_something_is_asked_that_is_not_known(
    missing: dict[str, Any], by: Rule, reason: str
) -> None:
    decision = decide(meeting(**missing), by, NOW)
    assert (decision.delete, decision.why, decision.reason) == (False, Reason.NOT_KNOWN, reason)


@pytest.mark.parametrize(("missing", "by", "reason"), ASKING, ids=lambda value: value if type(value) is str else "")
def test_what_stays_anyway_stays_for_its_own_reason(missing: dict[str, Any], by: Rule, reason: str) -> None:
    assert why(meeting(**missing, state=State.RUNNING), by) is Reason.RUNNING
    assert why(meeting(**missing, ended_at=NOW), by) is Reason.TOO_YOUNG
    assert why(meeting(**missing), replace(by, names=("other",))) is Reason.FILTER


def test_what_nobody_asks_for_may_be_unknown() -> None:
    assert goes(meeting(title=None, owner=None, tags=None), rule(keep_ids=frozenset({"x"})))


def test_a_hold_that_asks_for_what_is_not_known_keeps_under_every_rule() -> None:
    rules = [rule(name="asks", what="recordings", keep_tags=("keep",)), rule()]
    assert choose(meeting(tags=None), rules, NOW).why is Reason.NOT_KNOWN


def test_a_filter_on_what_is_not_known_does_not_keep_from_another_rule() -> None:
    rules = [rule(name="asks", tags=("delete",)), rule(name="old")]
    assert (choose(meeting(tags=None), rules, NOW).delete, choose(meeting(tags=None), rules, NOW).rule) == (True, "old")


def test_a_known_mark_counts_before_an_unknown_one() -> None:
    assert why(meeting(tags=None), rule(keep_tags=("x",), holds=(Hold("case", owner="anna"),))) is Reason.HELD


# --- 1. held by id or by tag ------------------------------------------------------------------------


def test_an_item_named_in_keep_ids_stays() -> None:
    assert why(meeting(), rule(keep_ids=frozenset({"0048411003"}))) is Reason.KEEP_ID


def test_ids_are_text_whose_leading_zeros_count() -> None:
    assert goes(meeting(), rule(keep_ids=frozenset({"48411003"})))


def test_an_item_with_a_keep_tag_stays_even_if_it_also_has_a_wanted_tag() -> None:
    assert why(meeting(tags=("delete", "keep")), rule(tags=("delete",), keep_tags=("keep",))) is Reason.KEEP_TAG


@pytest.mark.parametrize("tag", ["keep", "Keep", "KEEP"])
def test_keep_tags_hold_whatever_their_case(tag: str) -> None:
    assert why(meeting(tags=(tag,)), rule(keep_tags=("kEEP",))) is Reason.KEEP_TAG


def test_keep_tags_hold_however_their_accents_are_encoded() -> None:
    assert why(meeting(tags=("me\u0301moire",)), rule(keep_tags=("m\u00e9moire",))) is Reason.KEEP_TAG


def test_a_hold_is_named_before_a_filter_that_does_not_match() -> None:
    assert why(meeting(), rule(keep_ids=frozenset({"0048411003"}), title="other")) is Reason.KEEP_ID


# --- 2. outside the filters -------------------------------------------------------------------------


def test_a_rule_without_filters_speaks_of_every_item() -> None:
    assert goes(meeting(title=None, owner=None, tags=None), rule())


@pytest.mark.parametrize(
    "filters",
    [{"title": "*review*"}, {"owner": "bert"}, {"tags": ("old",)}, {"names": ("support-*",)}],
    ids=lambda filters: next(iter(filters)),
)
def test_an_item_that_one_filter_does_not_match_stays(filters: dict[str, Any]) -> None:
    assert why(meeting(), rule(**({"title": "*", "owner": "*", "tags": ("delete",)} | filters))) is Reason.FILTER


@pytest.mark.parametrize("empty", [{"title": ""}, {"owner": ""}, {"tags": ()}])
def test_what_a_filter_asks_for_and_the_vendor_says_is_empty_is_no_match(empty: dict[str, Any]) -> None:
    assert why(meeting(**empty), rule(title="*s*", owner="*", tags=("delete",))) is Reason.FILTER


def test_any_one_of_the_rules_tags_is_enough() -> None:
    assert goes(meeting(tags=("b",)), rule(tags=("a", "b")))


def test_a_tag_that_selects_must_be_spelled_exactly() -> None:
    assert why(meeting(tags=("Delete",)), rule(tags=("delete",))) is Reason.FILTER


def test_one_of_the_rules_names_is_enough() -> None:
    by = replace(live_rule(max_duration=8 * HOUR), names=("sales-*", "SUPPORT-*"))
    assert goes(live(), by)


def test_a_room_named_otherwise_stays() -> None:
    by = replace(live_rule(max_duration=8 * HOUR), names=("sales-*",))
    assert why(live(), by) is Reason.FILTER


def test_an_empty_filter_text_is_a_filter_that_nothing_matches() -> None:
    assert why(meeting(), rule(owner="")) is Reason.FILTER
    assert why(meeting(), rule(title="")) is Reason.FILTER


@pytest.mark.parametrize(
    ("text", "glob", "expected"),
    [
        ("Daily Standup", "*standup*", True),
        ("DAILY STANDUP", "daily ????dup", True),
        ("Daily Standup", "standup", False),
        ("Straße", "STRASSE", True),
        ("Cafe\u0301", "caf\u00e9", True),
        ("room-7", "room-[0-9]", False),
        ("[test] load run", "[test]*", True),
        ("team sync", "[test]*", False),
        ("Room-[!0-9]", "room-[!0-9]", True),
        ("line\nbreak", "line*", True),
        ("a.c", "a.c", True),
        ("abc", "a.c", False),
        ("[x", "[x", True),
        (None, "*", False),
        ("", "*", True),
    ],
)
def test_globs_match_the_whole_text_without_case(text: str | None, glob: str, expected: bool) -> None:
    assert matches(text, glob) is expected


@given(st.text(max_size=30), st.text(alphabet="ab*?[]!-^\\.", max_size=12))
def test_no_glob_breaks_the_matching(text: str, glob: str) -> None:
    assert matches(text, glob) in (True, False)


@pytest.mark.parametrize(
    ("owner", "wanted", "expected"),
    [
        ("anna", "anna", True),
        ("Anna", "aNNA", True),
        ("anna@vc.example.org", "anna", True),
        ("anna", "anna@vc.example.org", True),
        ("Anna@VC.example.org", "anna@vc.EXAMPLE.org", True),
        ("anna@vc.example.org", "anna@other.example.org", False),
        ("anna", "ann", False),
        ("joanna", "anna", False),
        ("anna", "a*", True),
        ("anna@vc.example.org", "a*", True),
        ("anna@vc.example.org", "*@vc.example.org", True),
        ("anna@other.example.org", "*@vc.example.org", False),
        ("", "*", False),
        (None, "*", False),
    ],
)
def test_an_owner_is_the_same_without_case_and_with_or_without_domain(
    owner: str | None, wanted: str, expected: bool
) -> None:
    assert same_owner(owner, wanted) is expected


# --- what no request can delete ---------------------------------------------------------------------


def test_what_cannot_be_deleted_stays_for_the_reason_that_its_provider_gives() -> None:
    decision = decide(meeting(undeletable="no API deletes it"), rule(), NOW)
    assert (decision.delete, decision.why, decision.reason) == (False, Reason.UNDELETABLE, "no API deletes it")


# --- 3. running, or its state is not known ----------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "expected"),
    [(State.RUNNING, Reason.RUNNING), (State.INCOMPLETE, Reason.RUNNING), (State.UNKNOWN, Reason.STATE_UNKNOWN)],
)
@pytest.mark.parametrize("kind", set(Kind) - {Kind.LIVE})
def test_what_is_not_over_stays_whatever_it_is(kind: Kind, state: State, expected: Reason) -> None:
    assert why(meeting(kind=kind, state=state), rule(rooms=True, tags=("delete",))) is expected


def test_a_doubt_about_the_state_is_told_in_its_own_words() -> None:
    assert decide(meeting(state=State.UNKNOWN, unreadable="its state is 'x'"), rule(), NOW).reason == "its state is 'x'"


# --- 4. recurs --------------------------------------------------------------------------------------


def test_what_recurs_stays_even_if_it_has_an_end() -> None:
    assert why(meeting(kind=Kind.RECURRING), rule()) is Reason.RECURS


def test_what_is_of_an_unknown_kind_stays_even_if_it_has_an_end() -> None:
    assert why(meeting(kind=Kind.UNKNOWN), rule()) is Reason.END_UNKNOWN
    assert decide(meeting(kind=Kind.UNKNOWN), rule(), NOW).reason == "it is of an unknown type"
    assert decide(meeting(kind=Kind.UNKNOWN, unreadable="type 7"), rule(), NOW).reason == "type 7"


# --- 5. a room without a schedule -------------------------------------------------------------------


@pytest.mark.parametrize("settings", [{}, {"rooms": True}, {"tags": ("delete",)}])
def test_a_room_stays_unless_the_rule_says_rooms_and_gives_tags(settings: dict[str, Any]) -> None:
    assert why(room(), rule(**settings)) is Reason.ROOM


def test_a_tagged_room_goes_if_the_rule_says_so() -> None:
    assert goes(room(), rule(rooms=True, tags=("delete",)))


def test_a_room_without_the_rules_tag_stays() -> None:
    assert why(room(tags=("other",)), rule(rooms=True, tags=("delete",))) is Reason.FILTER


def test_a_rooms_age_counts_from_its_creation_whatever_end_it_claims() -> None:
    young = room(created_at=NOW - timedelta(days=3), ended_at=NOW - timedelta(days=300))
    assert why(young, rule(rooms=True, tags=("delete",))) is Reason.TOO_YOUNG


# --- 6. its end is not known ------------------------------------------------------------------------


def test_what_has_no_known_end_stays_and_says_what_is_in_doubt() -> None:
    decision = decide(meeting(ended_at=None, unreadable="its duration cannot be read"), rule(), NOW)
    assert (decision.delete, decision.why) == (False, Reason.END_UNKNOWN)
    assert decision.reason == "its duration cannot be read"


def test_when_a_meeting_was_created_never_stands_for_its_end() -> None:
    assert why(meeting(ended_at=None, created_at=NOW - timedelta(days=4000)), rule()) is Reason.END_UNKNOWN


def test_a_tagged_room_of_unknown_age_stays() -> None:
    assert why(room(created_at=None), rule(rooms=True, tags=("delete",))) is Reason.END_UNKNOWN


def test_unknown_ends_states_and_fields_are_counted_as_undecided() -> None:
    assert {Reason.END_UNKNOWN, Reason.STATE_UNKNOWN, Reason.NOT_KNOWN} == UNDECIDED


# --- 7. and 8. the cutoff ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("end", "expected"),
    [
        (CUTOFF - timedelta(microseconds=1), True),
        (CUTOFF, False),
        (CUTOFF + timedelta(microseconds=1), False),
        (NOW, False),
        (NOW + 400 * HOUR, False),
    ],
)
def test_only_what_ended_strictly_before_the_cutoff_goes(end: datetime, expected: bool) -> None:
    assert goes(meeting(ended_at=end), rule()) is expected


def test_what_has_not_ended_stays_even_before_a_cutoff_in_the_future() -> None:
    assert why(meeting(ended_at=NOW + SECOND), rule(cutoff=NOW + 100 * HOUR)) is Reason.TOO_YOUNG


def test_reasons_are_sentences_that_name_the_age_and_the_rules_retention() -> None:
    assert decide(meeting(), rule(), NOW).reason == "ended 40 days ago, kept for 30 days"
    assert decide(room(), rule(rooms=True, tags=("delete",)), NOW).reason == "created 40 days ago, kept for 30 days"
    assert decide(meeting(ended_at=NOW + 3 * HOUR), rule(), NOW).reason == "not over yet, ends in 3 hours"


def test_where_the_rule_has_no_words_for_its_retention_the_cutoff_is_told() -> None:
    assert decide(meeting(), rule(age=""), NOW).reason == "ended 40 days ago, kept for 30 days"
    late = replace(live_rule(max_duration=8 * HOUR, cutoff=NOW - 3 * HOUR), age="")
    assert decide(live(10 * HOUR), late, NOW).reason.endswith("its maximum duration (8 hours), kept for 3 hours")


def test_a_decision_carries_the_rule_and_the_end_that_was_compared() -> None:
    decision = decide(meeting(), rule(), NOW)
    assert (decision.rule, decision.ended_at, decision.overdue) == ("old", NOW - timedelta(days=40), False)


# --- live rooms -------------------------------------------------------------------------------------


def test_a_live_room_goes_once_it_lasted_longer_than_it_may() -> None:
    by = live_rule(max_duration=8 * HOUR)
    assert goes(live(8 * HOUR + SECOND), by)
    assert why(live(8 * HOUR), by) is Reason.TOO_YOUNG


def test_a_live_room_is_measured_from_when_it_was_seen_not_from_when_the_question_is_asked() -> None:
    seen_early = live(7 * HOUR, started_at=NOW - 9 * HOUR)
    assert goes(seen_early, live_rule(max_duration=8 * HOUR))


def test_a_live_room_whose_beginning_is_not_told_began_its_run_time_ago() -> None:
    assert goes(live(9 * HOUR, started_at=None), live_rule(max_duration=8 * HOUR))


def test_a_live_room_past_its_time_stays_for_the_rules_older_than() -> None:
    by = live_rule(max_duration=8 * HOUR, cutoff=NOW - timedelta(minutes=15))
    assert why(live(8 * HOUR + timedelta(minutes=15)), by) is Reason.TOO_YOUNG
    assert goes(live(8 * HOUR + timedelta(minutes=15, seconds=1)), by)
    assert "kept for 15 minutes" in decide(live(8 * HOUR + timedelta(minutes=5)), by, NOW).reason


def test_a_live_room_stays_if_no_line_of_the_rule_ends_it() -> None:
    assert why(live(900 * HOUR), live_rule()) is Reason.TOO_YOUNG
    assert why(live(900 * HOUR), rule(cutoff=NOW)) is Reason.TOO_YOUNG


def test_a_live_room_does_not_go_before_its_end_even_if_the_cutoff_lies_in_the_future() -> None:
    by = live_rule(max_duration=8 * HOUR, cutoff=NOW + 100 * HOUR)
    assert why(live(HOUR), by) is Reason.TOO_YOUNG
    assert why(live(8 * HOUR), by) is Reason.TOO_YOUNG


@pytest.mark.parametrize(
    ("members", "youngest", "expected"),
    [
        (1, 2 * HOUR + SECOND, True),
        (1, 2 * HOUR, False),
        (1, HOUR, False),
        (1, SECOND, False),
        (1, timedelta(0), False),
        (2, 3 * HOUR, False),
        (0, None, True),
        (1, None, False),
        (None, None, False),
        (None, 3 * HOUR, False),
    ],
)
def test_a_room_is_abandoned_if_few_are_in_it_and_nobody_came_lately(
    members: int | None, youngest: timedelta | None, expected: bool
) -> None:
    by = live_rule(abandoned_after=2 * HOUR, max_members=1)
    assert goes(live(9 * HOUR, members, youngest), by) is expected


def test_unless_the_rule_says_how_many_may_be_left_only_an_empty_room_is_abandoned() -> None:
    assert goes(live(9 * HOUR, 0, None), live_rule(abandoned_after=2 * HOUR))
    assert why(live(9 * HOUR, 1, 8 * HOUR), live_rule(abandoned_after=2 * HOUR)) is Reason.TOO_YOUNG


def test_a_room_is_abandoned_only_if_the_room_itself_is_that_old() -> None:
    by = live_rule(abandoned_after=2 * HOUR, max_members=1)
    assert why(live(2 * HOUR, 1, 2 * HOUR), by) is Reason.TOO_YOUNG
    assert why(live(HOUR, 1, 9 * HOUR), by) is Reason.TOO_YOUNG
    assert why(live(HOUR, 0, None), by) is Reason.TOO_YOUNG


def test_a_full_room_still_ends_when_it_lasted_too_long() -> None:
    assert goes(live(9 * HOUR, 50), live_rule(max_duration=8 * HOUR, abandoned_after=2 * HOUR))


def test_of_two_ends_the_earlier_counts() -> None:
    by = live_rule(max_duration=8 * HOUR, abandoned_after=2 * HOUR, max_members=1)
    decision = decide(live(5 * HOUR, 1, 4 * HOUR), by, NOW)
    assert decision.delete
    assert decision.ended_at == NOW - 2 * HOUR
    assert "the limit for an abandoned room" in decision.reason


@pytest.mark.parametrize(("late", "another"), [(-HOUR, False), (SECOND, False), (2 * SECOND, True), (HOUR, True)])
def test_a_room_that_began_after_its_scheduled_end_is_another_one_and_stays(late: timedelta, another: bool) -> None:
    by = live_rule(scheduled={"support-1": NOW - 9 * HOUR - late}, max_duration=HOUR)
    decision = decide(live(9 * HOUR), by, NOW)
    assert (decision.delete, "another room of that name" in decision.reason) == (not another, another)
    assert not decision.overdue


def test_a_scheduled_room_goes_after_its_hour_and_not_before() -> None:
    assert goes(live(), live_rule(scheduled={"support-1": NOW - SECOND}))
    assert why(live(), live_rule(scheduled={"support-1": NOW})) is Reason.TOO_YOUNG
    assert why(live(), live_rule(scheduled={"support-1": NOW + HOUR})) is Reason.TOO_YOUNG


def test_the_hour_that_the_operator_set_counts_before_the_general_lines() -> None:
    by = live_rule(scheduled={"support-1": NOW + HOUR}, max_duration=HOUR, abandoned_after=HOUR, max_members=9)
    assert why(live(90 * HOUR), by) is Reason.TOO_YOUNG


def test_a_room_that_is_named_without_an_hour_follows_the_general_lines() -> None:
    assert goes(live(9 * HOUR), live_rule(scheduled={"support-1": None}, max_duration=8 * HOUR))


def test_another_rooms_hour_does_not_end_this_one() -> None:
    assert why(live(), live_rule(scheduled={"support-2": NOW - HOUR})) is Reason.TOO_YOUNG


def test_a_room_without_details_is_undecided_however_long_it_may_last() -> None:
    decision = decide(live(None, None, None), live_rule(max_duration=SECOND, end_without_details=True), NOW)
    assert (decision.delete, decision.why, decision.overdue) == (False, Reason.STATE_UNKNOWN, False)
    assert why(replace(live(None), live=None), live_rule(max_duration=SECOND)) is Reason.STATE_UNKNOWN


def test_a_room_without_details_past_its_hour_is_overdue_for_a_person_to_look_at() -> None:
    decision = decide(live(None), live_rule(scheduled={"support-1": NOW - HOUR}), NOW)
    assert (decision.delete, decision.why, decision.overdue) == (False, Reason.STATE_UNKNOWN, True)
    assert decision.reason.startswith("its scheduled end has passed, but")


def test_a_room_without_details_past_its_hour_goes_if_the_rule_says_so() -> None:
    assert goes(live(None), live_rule(scheduled={"support-1": NOW - HOUR}, end_without_details=True))


@pytest.mark.parametrize("cutoff", [NOW, NOW + 100 * HOUR])
def test_a_room_without_details_stays_until_its_hour(cutoff: datetime) -> None:
    by = live_rule(scheduled={"support-1": NOW}, end_without_details=True, cutoff=cutoff)
    decision = decide(live(None), by, NOW)
    assert (decision.delete, decision.overdue) == (False, False)


def test_a_name_that_cannot_be_sent_is_for_a_person_to_look_at() -> None:
    assert decide(live(None, unsendable=True), live_rule(max_duration=HOUR), NOW).overdue


def test_a_live_room_may_be_running_but_filters_and_holds_count() -> None:
    by = live_rule(max_duration=HOUR)
    assert why(live(), replace(by, keep_ids=frozenset({"support-1"}))) is Reason.KEEP_ID
    assert why(live(), replace(by, names=("other",))) is Reason.FILTER
    assert why(live(undeletable="no id"), by) is Reason.UNDELETABLE


# --- several rules ----------------------------------------------------------------------------------


def test_an_item_goes_if_one_of_the_rules_selects_it() -> None:
    decision = choose(meeting(), [rule(name="a", title="x"), rule(name="b"), rule(name="c", owner="x")], NOW)
    assert (decision.delete, decision.rule) == (True, "b")


@pytest.mark.parametrize("hold", [{"keep_ids": frozenset({"0048411003"})}, {"keep_tags": ("delete",)}])
@pytest.mark.parametrize("what", ["conferences", "recordings"])
def test_no_rule_may_take_what_any_other_rule_of_the_account_holds(hold: dict[str, Any], what: str) -> None:
    decision = choose(meeting(), [rule(name="taker"), rule(name="holder", what=what, title="x", **hold)], NOW)
    assert (decision.delete, decision.rule) == (False, "holder")


def test_a_rule_for_another_source_does_not_speak_of_the_item() -> None:
    decision = choose(meeting(), [rule(name="a", title="x"), rule(name="b", what="recordings")], NOW)
    assert (decision.delete, decision.why) == (False, Reason.FILTER)


def test_if_an_item_stays_the_rule_that_came_closest_says_why() -> None:
    rules = [rule(name="other title", title="x"), rule(name="too young", cutoff=NOW - 9999 * HOUR)]
    for given_in in (rules, rules[::-1]):
        assert choose(meeting(), given_in, NOW).rule == "too young"


def test_a_room_that_should_have_ended_is_told_even_if_another_rule_came_closer() -> None:
    rules = [live_rule(scheduled={"support-1": NOW - HOUR}), live_rule(max_duration=99 * HOUR)]
    assert choose(live(None), rules, NOW).overdue


# --- looking again ----------------------------------------------------------------------------------


def test_an_item_that_looks_as_before_has_not_changed() -> None:
    assert difference(meeting(), meeting(title="renamed", raw={"x": 1})) is None


@pytest.mark.parametrize(
    ("fresh", "words"),
    [
        ({"started_at": NOW}, "its schedule"),
        ({"ended_at": NOW}, "its schedule"),
        ({"ended_at": None}, "its schedule"),
        ({"tags": ("delete", "new")}, "its tags"),
        ({"tags": ()}, "its tags"),
        ({"kind": Kind.RECURRING}, "its kind"),
    ],
)
def test_a_change_of_schedule_tags_or_kind_is_named(fresh: dict[str, Any], words: str) -> None:
    assert difference(meeting(), meeting(**fresh)) == f"{words} changed since it was listed"


def test_the_order_of_tags_does_not_matter() -> None:
    assert difference(meeting(tags=("a", "b")), meeting(tags=("b", "a"))) is None


def test_tags_that_the_list_did_not_show_are_no_change() -> None:
    assert difference(meeting(tags=None), meeting(tags=("a",))) is None


def test_tags_that_are_not_shown_any_more_are_told_as_not_known_and_not_as_changed() -> None:
    assert difference(meeting(tags=("a",)), meeting(tags=None)) == "its tags are not known any more"
    assert difference(meeting(tags=()), meeting(tags=None)) is None


def test_a_room_whose_run_time_shrank_is_another_room() -> None:
    assert difference(live(5 * HOUR), live(5 * HOUR - SECOND)) == ("it is another room of the same name, begun since")


def test_a_room_that_began_later_is_another_room_even_if_it_has_lasted_as_long() -> None:
    later = live(5 * HOUR, started_at=NOW - 5 * HOUR + timedelta(seconds=61))
    assert difference(live(5 * HOUR), later) is not None


def test_a_room_that_lasted_a_little_longer_is_the_same_room() -> None:
    again = live(5 * HOUR + timedelta(seconds=30), members=3, started_at=NOW - 5 * HOUR + timedelta(seconds=60))
    assert difference(live(5 * HOUR), again) is None


@pytest.mark.parametrize(("before", "after"), [(None, HOUR), (HOUR, None), (None, None)])
def test_rooms_without_details_cannot_be_told_apart(before: timedelta | None, after: timedelta | None) -> None:
    assert difference(live(before), live(after)) is None


def test_a_room_that_is_no_longer_live_has_changed() -> None:
    assert difference(live(), replace(live(), live=None, kind=Kind.UNKNOWN)) == "its kind changed since it was listed"


def test_what_a_person_saw_of_an_item_has_a_fingerprint_that_other_details_do_not_change() -> None:
    assert digest(meeting()) == digest(meeting(raw={"x": 1}, unreadable="x", state=State.RUNNING, tags=("delete",)))
    assert digest(meeting(tags=("a", "b"))) == digest(meeting(tags=("b", "a")))


@pytest.mark.parametrize(
    "change",
    [
        *(
            {"title": "x"},
            {"owner": "x"},
            {"tags": ("x",)},
            {"kind": Kind.ROOM},
            {"size_bytes": 1},
            {"locator": ("7",)},
        ),
        *({"started_at": NOW}, {"ended_at": NOW}, {"created_at": None}),
    ],
)
def test_whatever_a_person_would_have_judged_by_changes_the_fingerprint(change: dict[str, Any]) -> None:
    assert digest(meeting()) != digest(meeting(**change))


def test_the_fingerprint_of_a_live_room_does_not_change_as_time_passes() -> None:
    assert digest(live(HOUR)) == digest(live(2 * HOUR))


def test_items_of_different_users_are_told_apart_by_their_address() -> None:
    assert meeting(locator=("7",)).key != meeting(locator=("8",)).key


# --- whatever comes ---------------------------------------------------------------------------------

words = st.sampled_from(["a", "A@b", "a@c", "x", "keep", "KEEP", ""])
long_ago = st.timedeltas(SECOND, timedelta(days=400)).map(lambda age: CUTOFF - age)
near = st.sampled_from([CUTOFF - SECOND, CUTOFF, CUTOFF + SECOND, NOW - SECOND, NOW, NOW + SECOND])
ends = st.one_of(long_ago, near, st.none())
lengths = st.sampled_from([None, timedelta(0), SECOND, HOUR, 2 * HOUR, 9 * HOUR])
lives = st.builds(Live, run_time=lengths, members=st.sampled_from([None, 0, 1, 2, 3]), youngest=lengths)
things = st.builds(
    Item,
    what=st.sampled_from(["conferences", "recordings"]),
    id=words.filter(bool),
    kind=st.sampled_from([Kind.ONE_TIME, Kind.RECORDING, Kind.LIVE, *Kind]),
    state=st.sampled_from([State.ENDED] * 5 + [*State]),
    title=st.none() | words,
    owner=st.none() | words,
    tags=st.none() | st.lists(words, max_size=2).map(tuple),
    started_at=ends,
    ended_at=ends,
    created_at=ends,
    live=lives,
    unreadable=st.none() | st.just("something is in doubt"),
    undeletable=st.sampled_from([None] * 9 + ["nothing deletes it"]),
    unsendable=st.booleans(),
)
full_rooms = st.builds(live, lengths, st.sampled_from([None, 0, 1, 2]), lengths, id=words, tags=st.just(("a",)))
tagged_rooms = st.builds(room, tags=st.just(("a",)), created_at=ends)
items = things | full_rooms | tagged_rooms
live_rules = st.builds(
    LiveRule,
    max_duration=st.sampled_from([None, SECOND, HOUR, 8 * HOUR]),
    abandoned_after=st.sampled_from([None, SECOND, HOUR, 8 * HOUR]),
    max_members=st.integers(0, 2),
    scheduled=st.dictionaries(words, ends, max_size=1),
    end_without_details=st.booleans(),
)
rules = st.builds(
    Rule,
    name=st.sampled_from(["one", "two"]),
    what=st.sampled_from(["conferences", "recordings"]),
    cutoff=st.sampled_from([CUTOFF, NOW - HOUR, NOW, NOW + HOUR]),
    age=st.sampled_from(["", "30 days"]),
    keep_ids=st.sampled_from([frozenset(), frozenset({"keep", "x"})]),
    keep_tags=st.sampled_from([(), ("keep", "a@C")]),
    tags=st.sampled_from([(), (), (), ("a", "x")]),
    title=st.sampled_from([None, None, None, None, None, "*", "x"]),
    owner=st.sampled_from([None, None, None, None, None, "*", "a"]),
    names=st.sampled_from([(), (), (), (), ("*",), ("a*", "x")]),
    rooms=st.sampled_from([True, True, False]),
    live=live_rules,
)


def known(item: Item, by: Rule) -> bool:
    """Whether the vendor gave all that the rule asks for."""
    asked = [(by.title, item.title), (by.owner, item.owner), (by.tags or by.keep_tags or None, item.tags)]
    return all(wanted is None or given is not None for wanted, given in asked)


def may_go(item: Item, by: Rule) -> bool:
    """The table once more, told by what must hold of everything that goes. Written from the design alone."""
    if not known(item, by):
        return False
    if item.what != by.what or item.undeletable or held(item, by):
        return False
    if by.tags and not any(tag in by.tags for tag in item.tags or ()):
        return False
    if item.kind is Kind.LIVE:
        return room_is_over(item, by)
    if item.state is not State.ENDED or item.kind in (Kind.RECURRING, Kind.UNKNOWN):
        return False
    if item.kind is Kind.ROOM:
        opted_in = by.rooms and len(by.tags) > 0
        return opted_in and in_the_past(item.created_at, by)
    return in_the_past(item.ended_at, by)


def in_the_past(end: datetime | None, by: Rule) -> bool:
    return end is not None and end < by.cutoff and end <= NOW


def held(item: Item, by: Rule) -> bool:
    tags = [tag.lower() for tag in item.tags or ()]
    return item.id in by.keep_ids or any(tag.lower() in tags for tag in by.keep_tags)


def room_is_over(item: Item, by: Rule) -> bool:
    """Past the hour that the operator set, or past all that the rule allows it; always in the past."""
    says, seen = by.live or LiveRule(), item.live or Live()
    latest = min(by.cutoff, NOW)
    scheduled = says.scheduled.get(item.id)
    if seen.run_time is None:
        return says.end_without_details and scheduled is not None and scheduled < latest
    began = item.started_at or NOW - seen.run_time
    if scheduled is not None:
        return scheduled < latest and began <= scheduled + SECOND
    too_long = says.max_duration is not None and began + says.max_duration < latest
    return too_long or (says.abandoned_after is not None and abandoned(began, seen, says, latest))


def abandoned(began: datetime, seen: Live, says: LiveRule, latest: datetime) -> bool:
    assert says.abandoned_after is not None
    assert seen.run_time is not None
    if seen.members is None or seen.members > says.max_members or (seen.members > 0 and seen.youngest is None):
        return False
    last_came = seen.run_time if seen.youngest is None else min(seen.youngest, seen.run_time)
    return began + seen.run_time - last_came + says.abandoned_after < latest


@given(items, rules)
@example(live(9 * HOUR, 1, timedelta(0)), live_rule(abandoned_after=HOUR, max_members=1))
def test_whatever_is_generated_nothing_goes_that_the_table_keeps(item: Item, by: Rule) -> None:
    if goes(item, by) and item.what == by.what:
        assert may_go(item, by)


@pytest.mark.parametrize(
    ("item", "overdue"),
    [
        (meeting(unsendable=True), True),
        (meeting(unsendable=False), False),
        (meeting(unsendable=True, ended_at=NOW - HOUR), False),
        (meeting(unsendable=True, ended_at=None), False),
        (meeting(unsendable=True, state=State.RUNNING), False),
    ],
)
def test_an_id_that_cannot_be_sent_is_told_once_it_is_due(item: Item, overdue: bool) -> None:
    decision = decide(replace(item, undeletable="its id is odd"), rule(), NOW)
    assert (decision.delete, decision.why, decision.reason) == (False, Reason.UNDELETABLE, "its id is odd")
    assert decision.overdue is overdue


def test_what_is_in_doubt_of_an_item_with_an_end_stands_in_its_reason() -> None:
    for ended in (NOW - timedelta(days=40), NOW - HOUR):
        decision = decide(meeting(ended_at=ended, unreadable="its ages disagree"), rule(), NOW)
        assert decision.reason.endswith("; its ages disagree")


@given(items, rules)
def test_whatever_is_generated_everything_goes_that_only_filters_could_keep(item: Item, by: Rule) -> None:
    unfiltered = replace(by, title=None, owner=None, names=(), what=item.what)
    assert goes(item, unfiltered) is may_go(item, unfiltered)


@given(items, rules)
def test_whatever_is_generated_the_items_that_go_are_over_and_not_in_doubt(item: Item, by: Rule) -> None:
    if item.kind is Kind.LIVE or not goes(item, by):
        return
    end = item.created_at if item.kind is Kind.ROOM else item.ended_at
    assert end is not None
    assert end < by.cutoff
    assert item.state is State.ENDED
    assert item.kind not in (Kind.RECURRING, Kind.UNKNOWN)
    assert not held(item, by)


@given(items, rules)
def test_every_decision_names_its_rule_and_has_a_reason(item: Item, by: Rule) -> None:
    decision = decide(item, by, NOW)
    assert decision.rule == by.name
    assert decision.reason.strip()
    assert decision.delete is (decision.why is Reason.DUE)


@given(items, rules, st.lists(rules, max_size=3))
def test_adding_a_hold_never_lets_more_go(item: Item, by: Rule, others: list[Rule]) -> None:
    by = replace(by, what=item.what)
    more = replace(by, keep_ids=by.keep_ids | {"x"}, keep_tags=(*by.keep_tags, "a"))
    if choose(item, [more, *others], NOW).delete:
        assert choose(item, [by, *others], NOW).delete


@given(items, rules, st.lists(rules, max_size=3))
def test_holding_an_item_by_its_id_in_any_rule_keeps_it(item: Item, by: Rule, others: list[Rule]) -> None:
    holder = replace(by, keep_ids=frozenset({item.id}))
    assert not choose(item, [*others, holder], NOW).delete


@given(items, rules, st.timedeltas(timedelta(0), timedelta(days=300)))
def test_an_earlier_cutoff_never_lets_more_go(item: Item, by: Rule, earlier: timedelta) -> None:
    if goes(item, replace(by, cutoff=by.cutoff - earlier)):
        assert goes(item, by)


@given(items, st.lists(rules, min_size=1, max_size=4))
def test_an_account_deletes_what_one_rule_selects_and_no_rule_holds(item: Item, of_account: list[Rule]) -> None:
    of_account = [replace(of_account[0], what=item.what), *of_account[1:]]
    expected = any(may_go(item, by) and goes(item, by) for by in of_account) and not any(
        held(item, by) or (by.keep_tags and item.tags is None) for by in of_account
    )
    assert choose(item, of_account, NOW).delete is expected


@given(items, rules, rules)
def test_the_order_of_rules_does_not_change_what_goes(item: Item, one: Rule, two: Rule) -> None:
    one = replace(one, what=item.what)
    assert choose(item, [one, two], NOW).delete is choose(item, [two, one], NOW).delete


@given(items, rules)
def test_deciding_changes_nothing_and_always_comes_to_the_same(item: Item, by: Rule) -> None:
    first: Decision = decide(item, by, NOW)
    assert decide(item, by, NOW) == first


@given(items)
def test_nothing_differs_from_itself(item: Item) -> None:
    assert difference(item, item) is None
