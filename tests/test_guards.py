"""What is refused before the first deletion."""

from __future__ import annotations

import re
from datetime import timedelta
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from confcleanup.guards import Limits, Listed, PreviousRuns, check_guards, shrunken

OPEN = Limits(max_deletions=10**9)
MINUTES = timedelta(minutes=1)


def refused(
    listed: int, selected: int, limits: Limits = OPEN, skew: timedelta | None = None, past: PreviousRuns | None = None
) -> str:
    """All objections in one text; empty if there are none."""
    return "; ".join(check_guards({"things": Listed(listed, selected)}, skew, limits, past or PreviousRuns()))


def left(count: int) -> PreviousRuns:
    return PreviousRuns(left={"things": count})


def share(percent: int) -> Limits:
    return Limits(max_deletions=10**9, max_share=Fraction(percent, 100))


def test_nothing_stands_against_a_common_run() -> None:
    assert check_guards({"things": Listed(500, 40)}, timedelta(seconds=2), Limits()) == []


def test_the_brakes_are_on_without_being_asked_for() -> None:
    assert Limits() == Limits(1000, Fraction(1), 10, timedelta(minutes=50), timedelta(minutes=5))


def test_more_than_max_deletions_is_refused_and_exactly_as_many_is_not() -> None:
    assert not refused(5000, 1000, Limits())
    assert "1001 items are selected, max_deletions allows 1000" in refused(5000, 1001, Limits())


def test_a_limit_of_zero_is_zero_and_not_off() -> None:
    assert "max_deletions" in refused(100, 1, Limits(max_deletions=0))
    assert "max_share" in refused(20, 1, share(0))
    assert "max_growth" in refused(1000, 100, Limits(max_growth=0), past=PreviousRuns([1000]))
    assert "max_clock_skew" in refused(0, 0, Limits(max_clock_skew=timedelta(0)), skew=timedelta(seconds=1))


def test_a_limit_of_zero_does_not_refuse_a_run_that_deletes_nothing() -> None:
    assert not refused(100, 0, Limits(max_deletions=0, max_share=Fraction(0), max_growth=0), past=PreviousRuns([7]))


@pytest.mark.parametrize(("listed", "selected"), [(19, 19), (20, 5), (40, 10), (21, 5)])
def test_a_share_within_the_limit_or_of_a_short_list_is_no_matter(listed: int, selected: int) -> None:
    assert not refused(listed, selected, share(25))


@pytest.mark.parametrize(("listed", "selected"), [(20, 6), (40, 11), (21, 6)])
def test_a_larger_share_of_20_or_more_is_refused(listed: int, selected: int) -> None:
    told = f"{selected} of {listed} listed items are selected ({selected * 100 // listed}%)"
    assert told in refused(listed, selected, share(25))


def test_a_share_is_compared_exactly() -> None:
    third = Limits(max_share=Fraction("33.3") / 100)
    assert not refused(1000, 333, third)
    assert "max_share allows 33.3%" in refused(1000, 334, third)


def test_a_share_of_all_refuses_nothing() -> None:
    assert not refused(1000, 1000, share(100))


@pytest.mark.parametrize("selected", [99, 1000])
def test_growth_within_the_limit_or_of_a_small_number_is_no_matter(selected: int) -> None:
    largest = 0 if selected < 100 else 100
    assert not refused(5000, selected, past=PreviousRuns([largest, 0]))


def test_many_times_more_than_any_of_the_last_runs_is_refused() -> None:
    told = refused(5000, 1001, past=PreviousRuns([3, 100, 7]))
    assert "the last 3 runs of these rules never selected more than 100" in told
    assert "raise max_growth" in told


@pytest.mark.parametrize("growth", [0, 1, 10, float("inf")])
def test_runs_that_selected_nothing_are_nothing_to_be_compared_with(growth: float) -> None:
    limits = Limits(max_deletions=5000, max_growth=growth)
    assert not refused(5000, 5000, limits, past=PreviousRuns([0] * 10))


def test_a_run_that_selected_little_counts_among_many_that_selected_nothing() -> None:
    assert "never selected more than 1," in refused(5000, 101, past=PreviousRuns([0, 0, 1, 0]))


def test_the_first_run_of_an_account_has_nothing_to_be_compared_with() -> None:
    assert not refused(5000, 5000)


@pytest.mark.parametrize(("listed", "before"), [(50, 100), (10, 20), (1, 19), (0, 0), (1000, 100)])
def test_a_list_that_is_half_as_long_as_what_the_last_run_left_or_short_is_believed(listed: int, before: int) -> None:
    assert not refused(listed, 0, past=left(before))


def test_a_list_that_nothing_is_known_of_is_believed() -> None:
    assert not refused(0, 0, past=PreviousRuns(left={"others": 100}))


@pytest.mark.parametrize(("listed", "before"), [(49, 100), (9, 20), (0, 100), (0, 19), (0, 1)])
def test_a_much_shorter_list_than_the_last_run_left_is_refused(listed: int, before: int) -> None:
    assert f"{listed} things are listed where the last run left {before}" in refused(listed, 0, past=left(before))


def test_each_list_is_compared_by_itself() -> None:
    lists = {"things": Listed(0), "files": Listed(900)}
    (told,) = check_guards(lists, None, OPEN, PreviousRuns(left={"things": 3, "files": 900}))
    assert told.startswith("0 things are listed where the last run left 3:")
    assert shrunken(lists, PreviousRuns(left={"things": 3, "files": 900})) == ["things"]


def test_a_list_of_what_ends_by_itself_may_be_empty() -> None:
    assert not check_guards({"rooms": Listed(0, lasting=False)}, None, OPEN, PreviousRuns(left={"rooms": 50}))


def test_a_share_is_judged_only_of_what_is_listed_as_a_whole() -> None:
    part, whole = Listed(36, 36, whole=False), Listed(40, 10)
    assert not check_guards({"a": part}, None, share(50))
    assert not check_guards({"a": part, "b": whole}, None, share(50))
    (told,) = check_guards({"a": part, "b": whole}, None, share(20))
    assert told.startswith("10 of 40 listed items are selected (25%)")


@pytest.mark.parametrize(("skew", "side"), [(6 * MINUTES, "behind"), (-6 * MINUTES, "ahead of")])
def test_a_clock_that_is_wrong_either_way_is_refused_and_the_side_is_told(skew: timedelta, side: str) -> None:
    assert f"this machine's clock is 6 minutes {side} the provider's" in refused(10, 0, skew=skew)


@pytest.mark.parametrize("skew", [None, timedelta(0), 5 * MINUTES, -5 * MINUTES])
def test_a_clock_within_the_limit_or_unknown_is_no_matter(skew: timedelta | None) -> None:
    assert not refused(10, 1, skew=skew)


def test_every_objection_is_told_at_once_and_says_what_to_do() -> None:
    past = PreviousRuns([3], {"things": 100})
    told = check_guards({"things": Listed(40, 2000)}, 60 * MINUTES, Limits(max_share=Fraction(1, 2)), past)
    advices = (
        "max_deletions to 2000",
        'max_share to "5000%"',
        "max_growth to 667",
        "--accept-fewer",
        "set the one that is wrong",
    )
    for objection, advice in zip(told, advices, strict=True):
        assert advice in objection.rpartition(":")[2] + objection.rpartition("?")[2]


counts = st.integers(0, 5000)
limits = st.builds(
    Limits,
    max_deletions=counts,
    max_share=st.fractions(0, 1),
    max_growth=st.integers(0, 20),
    max_clock_skew=st.timedeltas(timedelta(0), 9 * MINUTES),
)
pasts = st.builds(
    PreviousRuns, selected=st.lists(counts, max_size=10), left=st.dictionaries(st.just("things"), counts, max_size=1)
)


@given(counts, counts, limits, pasts)
def test_if_nothing_stands_against_a_run_nothing_stands_against_a_smaller_one(
    listed: int, selected: int, limits: Limits, past: PreviousRuns
) -> None:
    if not refused(listed, selected, limits, past=past):
        assert not refused(listed, selected // 2, limits, past=past)


@given(counts, counts, limits)
def test_what_is_let_through_is_within_every_limit(listed: int, selected: int, limits: Limits) -> None:
    if not refused(listed, selected, limits):
        assert selected <= limits.max_deletions
        assert listed < 20 or selected <= limits.max_share * listed


@given(counts, counts, limits, pasts)
def test_after_every_advice_is_followed_nothing_stands_against_the_run(
    listed: int, selected: int, limits: Limits, past: PreviousRuns
) -> None:
    """Whoever raises each limit to the value that is named, and says --accept-fewer, is not refused again."""
    selected = min(listed, selected)
    told = refused(listed, selected, limits, past=past)
    raised = dict(re.findall(r'raise (max_\w+) to "?(\d+)', told))
    followed = Limits(
        max_deletions=int(raised.get("max_deletions", limits.max_deletions)),
        max_share=Fraction(int(raised["max_share"]), 100) if "max_share" in raised else limits.max_share,
        max_growth=float(raised.get("max_growth", limits.max_growth)),
    )
    assert followed.max_share <= 1
    past = PreviousRuns(past.selected) if "--accept-fewer" in told else past
    assert not refused(listed, selected, followed, past=past)
