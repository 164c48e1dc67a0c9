"""How long a run will take, from what the listing took and what the vendor allows."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from confcleanup.cli.output import account_line
from confcleanup.estimate import seconds
from confcleanup.filter import choose
from confcleanup.guards import Limits
from confcleanup.listing import Listing, make_plan
from confcleanup.plan import Plan
from confcleanup.providers.base import Source
from confcleanup.run import Run
from confcleanup.settings.tables import RuleSettings
from confcleanup.settings.values import Pace
from confcleanup.worklist import Entry
from tests.fake import NOW, Fake, rule, thing

UNLIMITED = Pace(0, 1)


def test_nothing_to_delete_takes_another_listing() -> None:
    assert seconds((4, 2.0), [], UNLIMITED) == 2.0


def test_without_a_rate_the_round_trip_and_the_concurrency_decide() -> None:
    assert seconds((1, 0.05), [(4000, 32)], UNLIMITED) == pytest.approx(0.05 + 4000 * 0.05 / 32)


def test_a_slow_rate_decides_alone() -> None:
    assert seconds((1, 0.05), [(1000, 8)], Pace(10, 60)) == 100 * 60


def test_what_fits_into_the_first_window_does_not_wait() -> None:
    assert seconds((1, 0.1), [(9, 1)], Pace(10, 60)) == pytest.approx(1.0)


def test_sources_are_deleted_one_after_the_other() -> None:
    assert seconds((1, 1.0), [(10, 10), (10, 1)], UNLIMITED) == pytest.approx(1 + 1 + 10)


def test_an_account_that_was_never_asked_takes_no_time() -> None:
    assert seconds((0, 0.0), [(10, 1)], UNLIMITED) == 0


@pytest.mark.parametrize(
    ("source", "requests"),
    [
        (Source("", RuleSettings), 1),
        (Source("", RuleSettings, recheck=True), 2),
        (Source("", RuleSettings, batch=20), 0.05),
        (Source("", RuleSettings, batch=20, confirmed=True), 0.1),
    ],
)
def test_requests_of_an_item_are_the_look_before_the_deletion_and_the_look_after(source: Source, requests: int) -> None:
    assert source.requests == pytest.approx(requests)


@given(st.integers(0, 10**6), st.integers(0, 10**6), st.integers(1, 1000), st.integers(1, 3600), st.integers(1, 64))
def test_more_to_delete_never_takes_less(few: int, more: int, count: int, window: int, at_once: int) -> None:
    pace = Pace(count, window)
    first, second = sorted((few, more))
    assert seconds((3, 0.6), [(first, at_once)], pace) <= seconds((3, 0.6), [(second, at_once)], pace)


@pytest.mark.parametrize(
    ("took", "runs", "said"),
    [
        (4.9, 1, "hq: would delete 1 of 3 listed"),
        (600.0, 1, "hq: would delete 1 of 3 listed, in about 10 minutes"),
        (12000.0, 4, "hq: would delete 1 of 3 listed, in about 3 hours over 4 runs"),
    ],
)
def test_a_dry_run_says_how_long_a_run_takes_if_anybody_would_notice(took: float, runs: int, said: str) -> None:
    plan = Plan("hq", "fake", listed=3, seconds=took, runs=runs)
    plan.selected.extend([Entry(thing("1"), choose(thing("1"), [rule()], NOW))])
    assert account_line(Run("1", "plan", NOW, [plan]), plan) == said


def test_a_backlog_that_outlasts_max_runtime_is_counted_in_runs() -> None:
    provider = Fake(*(thing(str(number)) for number in range(100)))
    provider.settings.rate = Pace(10, 60)
    provider.http.sent, provider.http.busy = 1, 0.1
    plan = make_plan(Listing("hq", provider, [rule()], NOW, Limits(max_runtime=timedelta(minutes=5))))
    assert (plan.seconds, plan.runs) == (20 * 60, 4)
