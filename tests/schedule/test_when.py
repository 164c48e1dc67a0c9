"""When a run is started, from the words a person gives."""

from __future__ import annotations

import pytest

from confcleanup.schedule import When
from confcleanup.schedule.systemd import on_calendar
from tests.schedule import job


@pytest.mark.parametrize(
    ("every", "at", "cron", "calendar", "words"),
    [
        ("week", "03:30", "30 3 * * 0", "Sun *-*-* 03:30:00", "on Sundays at 03:30"),
        ("wednesday", "23:05", "5 23 * * 3", "Wed *-*-* 23:05:00", "on Wednesdays at 23:05"),
        ("Sat", "3:30", "30 3 * * 6", "Sat *-*-* 03:30:00", "on Saturdays at 03:30"),
        ("day", "00:00", "0 0 * * *", "*-*-* 00:00:00", "daily at 00:00"),
        ("1 day", "03:30", "30 3 * * *", "*-*-* 03:30:00", "daily at 03:30"),
        ("month", "03:30", "30 3 1 * *", "*-*-01 03:30:00", "on the 1st of every month at 03:30"),
        ("6 hours", "03:30", "30 3,9,15,21 * * *", "*-*-* 03,09,15,21:30:00", "every 6 hours"),
        ("hour", "03:30", "30 * * * *", "*-*-* *:30:00", "every hour at minute 30"),
        ("15 minutes", "03:35", "5,20,35,50 * * * *", "*-*-* *:05,20,35,50:00", "every 15 minutes"),
    ],
)
def test_every_and_at_become_the_schedulers_own_words(
    every: str, at: str, cron: str, calendar: str, words: str
) -> None:
    when = When.parse(every, at)
    assert (when.cron(), on_calendar(when), str(when)) == (cron, calendar, words)


@pytest.mark.parametrize(
    "every", ["7 minutes", "1 minute", "5 hours", "2 weeks", "2 months", "year", "never", "", "-1 day"]
)
def test_what_would_not_come_round_evenly_is_refused_with_what_can_be_said(every: str) -> None:
    with pytest.raises(ValueError, match='write "week", "day"'):
        When.parse(every, "03:30")


@pytest.mark.parametrize("at", ["24:00", "3", "03:60", "noon", "03:30:00"])
def test_a_time_that_is_none_is_refused(at: str) -> None:
    with pytest.raises(ValueError, match="is not a time of day"):
        When.parse("week", at)


def test_frequent_runs_are_delayed_less() -> None:
    assert [job(every=every).delay for every in ("week", "hour", "15 minutes")] == [900, 360, 90]
