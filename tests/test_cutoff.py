"""Periods as people write them, and the instant they lead back to."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from confcleanup.cutoff import Period, cutoff, humanize, parse_instant

BERLIN = ZoneInfo("Europe/Berlin")
NEW_YORK = ZoneInfo("America/New_York")
LORD_HOWE = ZoneInfo("Australia/Lord_Howe")
APIA = ZoneInfo("Pacific/Apia")
ZONES = [ZoneInfo("UTC"), BERLIN, NEW_YORK, LORD_HOWE, APIA, ZoneInfo("Asia/Kathmandu")]

zones = st.sampled_from(ZONES)
moments = st.integers(631_152_000, 2_840_140_800).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))
exact_periods = st.integers(1, 10**9).map(lambda seconds: Period(seconds=seconds, text="so long"))
periods = st.builds(
    Period, months=st.integers(0, 120), days=st.integers(0, 4000), seconds=st.integers(0, 10**7)
).filter(lambda period: period.months or period.days or period.seconds)


def back(now: str, text: str, zone: ZoneInfo = BERLIN) -> str:
    """The cutoff as a clock in ``zone`` shows it; ``now`` without an offset is also read there."""
    moment = datetime.fromisoformat(now)
    moment = moment if moment.tzinfo else moment.replace(tzinfo=zone)
    return cutoff(moment, Period.parse(text), zone).astimezone(zone).isoformat()


# --- spelling ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "months", "days", "seconds"),
    [
        *((f"2 {unit}", 24, 0, 0) for unit in ("y", "yr", "yrs", "year", "years")),
        *((f"2 {unit}", 2, 0, 0) for unit in ("mo", "mon", "month", "months")),
        *((f"2 {unit}", 0, 14, 0) for unit in ("w", "wk", "week", "weeks")),
        *((f"2 {unit}", 0, 2, 0) for unit in ("d", "day", "days")),
        *((f"2 {unit}", 0, 0, 7200) for unit in ("h", "hr", "hrs", "hour", "hours")),
        *((f"2 {unit}", 0, 0, 120) for unit in ("min", "mins", "minute", "minutes")),
        *((f"2 {unit}", 0, 0, 2) for unit in ("s", "sec", "secs", "second", "seconds")),
        ("30days", 0, 30, 0),
        ("  30   Days ", 0, 30, 0),
        ("030 days", 0, 30, 0),
        ("1 year 6 months", 18, 0, 0),
        ("1 year, 6 months", 18, 0, 0),
        ("1 year and 6 months", 18, 0, 0),
        ("1y6mo2w3d4h5min6s", 18, 17, 4 * 3600 + 5 * 60 + 6),
        ("P30D", 0, 30, 0),
        ("p30d", 0, 30, 0),
        ("P1Y6M", 18, 0, 0),
        ("P2W", 0, 14, 0),
        ("PT36H", 0, 0, 36 * 3600),
        ("PT5M", 0, 0, 300),
        ("P1M", 1, 0, 0),
        ("P1Y2M3W4DT5H6M7S", 14, 25, 5 * 3600 + 6 * 60 + 7),
        ("0 years 1 day", 0, 1, 0),
    ],
)
def test_every_documented_spelling_is_read(text: str, months: int, days: int, seconds: int) -> None:
    period = Period.parse(text)
    assert (period.months, period.days, period.seconds) == (months, days, seconds)


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "30", "days", "thirty days", "a day", "30 fortnights", "30 m", "1 mont"),
        *("-30 days", "−30 days", "+30 days", "1.5 days", "1,5 days", "1e3 days", "inf days", "nan", "٣٠ days"),
        *("30 days ago", "30 days;", "days 30", "30 days -1 hour", "1 day 1 day", "1 day 1 d"),
        *("1 year and", "1 year,", "and 1 year", "1 day and6 hours", "1 day,, 1 hour"),
        *("P", "PT", "P1", "P1DT", "P-1D", "P1.5D", "P1D1Y", "P1H", "PT1D", "P1D 1 hour", "1 day P1D"),
    ],
)
def test_anything_else_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="is not a length of time; write for example"):
        Period.parse(text)


@pytest.mark.parametrize("text", ["0 days", "0s", "P0D", "PT0S", "0 years 0 hours", "000 days"])
def test_zero_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must be more than zero"):
        Period.parse(text)


@pytest.mark.parametrize("text", ["1000000001 days", "999999999999999999 years", "P99999999999Y", "1 day 9999999999 s"])
def test_an_amount_beyond_all_sense_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="too long a time"):
        Period.parse(text)


@given(st.text(max_size=20) | st.from_regex(r"[0-9PTYMDHS, a-z-]{0,12}", fullmatch=True))
def test_no_text_is_read_as_zero_or_less_and_none_breaks_the_reader(text: str) -> None:
    try:
        period = Period.parse(text)
    except ValueError:
        return
    assert min(period.months, period.days, period.seconds) >= 0
    assert max(period.months, period.days, period.seconds) > 0


def test_what_is_not_said_is_nothing() -> None:
    assert Period.parse("1 day") == Period(days=1, text="1 day")
    assert Period(months=1).seconds == 0


def test_a_period_is_shown_as_it_was_written() -> None:
    assert str(Period.parse("  1 Year and 6 months ")) == "1 Year and 6 months"


# --- exact lengths ----------------------------------------------------------------------------------


def test_an_exact_length_counts_a_day_as_24_hours() -> None:
    assert Period.parse("1 week 1 day 1 hour").exact() == timedelta(hours=8 * 24 + 1)


@pytest.mark.parametrize("text", ["1 month", "1 year", "1 month 3 days"])
def test_months_and_years_have_no_exact_length(text: str) -> None:
    with pytest.raises(ValueError, match="no fixed length"):
        Period.parse(text).exact()


def test_an_exact_length_beyond_what_can_be_held_is_refused() -> None:
    with pytest.raises(ValueError, match="too long a time"):
        Period.parse("1000000000 weeks").exact()


# --- the calendar -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("now", "text", "expected"),
    [
        ("2026-03-31T12:00", "1 month", "2026-02-28T12:00:00+01:00"),
        ("2024-03-31T12:00", "1 month", "2024-02-29T12:00:00+01:00"),
        ("2026-05-31T12:00", "1 month", "2026-04-30T12:00:00+02:00"),
        ("2026-01-15T12:00", "1 month", "2025-12-15T12:00:00+01:00"),
        ("2026-01-31T12:00", "11 months", "2025-02-28T12:00:00+01:00"),
        ("2024-02-29T12:00", "1 year", "2023-02-28T12:00:00+01:00"),
        ("2024-02-29T12:00", "4 years", "2020-02-29T12:00:00+01:00"),
        ("2024-02-29T12:00", "12 months", "2023-02-28T12:00:00+01:00"),
        ("2024-03-01T12:00", "1 day", "2024-02-29T12:00:00+01:00"),
        ("2026-03-01T12:00", "1 day", "2026-02-28T12:00:00+01:00"),
        ("2026-03-31T12:00", "1 month 1 day", "2026-02-27T12:00:00+01:00"),
        ("2026-01-01T00:00", "1 week", "2025-12-25T00:00:00+01:00"),
    ],
)
def test_calendar_units_keep_the_time_on_the_clock_and_stay_within_the_month(
    now: str, text: str, expected: str
) -> None:
    assert back(now, text) == expected


@pytest.mark.parametrize(
    ("zone", "now", "text", "expected"),
    [
        # clocks went forward in between: a calendar day is an hour (Lord Howe: half an hour) shorter
        (BERLIN, "2026-03-29T12:00+02:00", "1 day", "2026-03-28T12:00:00+01:00"),
        (BERLIN, "2026-03-29T12:00+02:00", "24 hours", "2026-03-28T11:00:00+01:00"),
        (NEW_YORK, "2026-03-08T12:00-04:00", "1 day", "2026-03-07T12:00:00-05:00"),
        (NEW_YORK, "2026-03-08T12:00-04:00", "24 hours", "2026-03-07T11:00:00-05:00"),
        (LORD_HOWE, "2026-10-04T12:00+11:00", "1 day", "2026-10-03T12:00:00+10:30"),
        (LORD_HOWE, "2026-10-04T12:00+11:00", "24 hours", "2026-10-03T11:30:00+10:30"),
        # clocks went back in between: longer
        (BERLIN, "2026-10-25T12:00+01:00", "1 day", "2026-10-24T12:00:00+02:00"),
        (BERLIN, "2026-10-25T12:00+01:00", "24 hours", "2026-10-24T13:00:00+02:00"),
        (NEW_YORK, "2026-11-01T12:00-05:00", "1 day", "2026-10-31T12:00:00-04:00"),
        (NEW_YORK, "2026-11-01T12:00-05:00", "24 hours", "2026-10-31T13:00:00-04:00"),
        (LORD_HOWE, "2026-04-05T12:00+10:30", "1 day", "2026-04-04T12:00:00+11:00"),
        (LORD_HOWE, "2026-04-05T12:00+10:30", "24 hours", "2026-04-04T12:30:00+11:00"),
        (BERLIN, "2026-07-31T12:00+02:00", "6 months", "2026-01-31T12:00:00+01:00"),
    ],
)
def test_days_follow_the_clock_and_hours_do_not(zone: ZoneInfo, now: str, text: str, expected: str) -> None:
    assert back(now, text, zone) == expected


@pytest.mark.parametrize(
    ("zone", "now", "expected"),
    [
        # 02:30 on the day before the day of now happened twice
        (BERLIN, "2026-10-26T02:30+01:00", "2026-10-25T02:30:00+02:00"),
        (NEW_YORK, "2026-11-02T01:30-05:00", "2026-11-01T01:30:00-04:00"),
        (LORD_HOWE, "2026-04-06T01:45+10:30", "2026-04-05T01:45:00+11:00"),
        # or never
        (BERLIN, "2026-03-30T02:30+02:00", "2026-03-29T01:30:00+01:00"),
        (NEW_YORK, "2026-03-09T02:30-04:00", "2026-03-08T01:30:00-05:00"),
        (LORD_HOWE, "2026-10-05T02:15+11:00", "2026-10-04T01:45:00+10:30"),
    ],
)
def test_where_the_time_happened_twice_or_never_the_earlier_instant_keeps_more(
    zone: ZoneInfo, now: str, expected: str
) -> None:
    assert back(now, "1 day", zone) == expected


def test_a_day_that_a_country_left_out_does_not_bring_the_cutoff_to_now() -> None:
    assert back("2011-12-31T00:30+14:00", "1 day", APIA) == "2011-12-29T00:30:00-10:00"


@pytest.mark.parametrize("fold", [0, 1])
def test_an_hour_is_an_hour_even_while_the_clock_repeats_one(fold: int) -> None:
    now = datetime(2026, 10, 25, 2, 30, tzinfo=BERLIN, fold=fold)
    assert now.astimezone(UTC) - cutoff(now, Period.parse("1 hour"), BERLIN) == timedelta(hours=1)


def test_hours_are_taken_off_after_the_calendar_units() -> None:
    assert back("2026-03-30T12:00+02:00", "1 day 36 hours") == "2026-03-27T23:00:00+01:00"


def test_the_zone_decides_which_calendar_day_it_is() -> None:
    now = datetime(2026, 3, 1, 2, 0, tzinfo=UTC)
    assert cutoff(now, Period.parse("1 month"), NEW_YORK) == datetime(2026, 1, 29, 2, 0, tzinfo=UTC)
    assert cutoff(now, Period.parse("1 month"), BERLIN) == datetime(2026, 2, 1, 2, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    "text", ["3000 years", "1000000000 days", "1000000000 hours", "1000000000 years 1 s", "2026 y"]
)
def test_a_period_that_begins_before_the_calendar_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="too long a time"):
        cutoff(datetime(2026, 1, 1, tzinfo=UTC), Period.parse(text), BERLIN)


@given(moments, periods, zones)
def test_the_cutoff_is_always_before_now(now: datetime, period: Period, zone: ZoneInfo) -> None:
    assert cutoff(now, period, zone) < now


@given(moments, periods, st.sampled_from(["months", "days", "seconds"]), st.integers(1, 400), zones)
def test_a_longer_period_never_brings_the_cutoff_nearer(
    now: datetime, period: Period, unit: str, more: int, zone: ZoneInfo
) -> None:
    amounts = {"months": period.months, "days": period.days, "seconds": period.seconds}
    longer = Period(**(amounts | {unit: amounts[unit] + more}))
    assert cutoff(now, longer, zone) <= cutoff(now, period, zone)


@given(moments, exact_periods, zones)
def test_exact_periods_are_plain_subtraction_in_every_zone(now: datetime, period: Period, zone: ZoneInfo) -> None:
    assert cutoff(now, period, zone) == now - timedelta(seconds=period.seconds)


@given(moments, periods, zones, zones)
def test_the_zone_in_which_now_is_given_does_not_matter(
    now: datetime, period: Period, given_in: ZoneInfo, zone: ZoneInfo
) -> None:
    assert cutoff(now.astimezone(given_in), period, zone) == cutoff(now, period, zone)


@given(moments, periods, zones)
def test_a_cutoff_is_in_utc(now: datetime, period: Period, zone: ZoneInfo) -> None:
    assert cutoff(now, period, zone).tzinfo is UTC


@pytest.mark.skipif(os.name == "nt", reason="Windows has no TZ variable to set")
def test_the_time_zone_of_the_machine_does_not_matter() -> None:
    program = (
        "from datetime import datetime, UTC; from zoneinfo import ZoneInfo\n"
        "from confcleanup.cutoff import Period, cutoff, parse_instant\n"
        "zone, now = ZoneInfo('Europe/Berlin'), datetime(2026, 3, 29, 12, tzinfo=UTC)\n"
        "print(cutoff(now, Period.parse('1 month 1 day 1 hour'), zone), parse_instant('2026-01-31T18:00', zone))\n"
    )
    printed = {
        subprocess.run(
            [sys.executable, "-c", program], env={**os.environ, "TZ": name}, capture_output=True, text=True, check=True
        ).stdout
        for name in ("UTC", "America/New_York", "Pacific/Kiritimati", "Australia/Lord_Howe")
    }
    assert printed == {"2026-02-27 12:00:00+00:00 2026-01-31 17:00:00+00:00\n"}


# --- absolute dates ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-01-31", datetime(2026, 1, 30, 23, 0, tzinfo=UTC)),
        ("2026-07-31", datetime(2026, 7, 30, 22, 0, tzinfo=UTC)),
        ("2026-01-31T18:00", datetime(2026, 1, 31, 17, 0, tzinfo=UTC)),
        (" 2026-01-31 18:00:00 ", datetime(2026, 1, 31, 17, 0, tzinfo=UTC)),
        ("2026-01-31T18:00:00Z", datetime(2026, 1, 31, 18, 0, tzinfo=UTC)),
        ("2026-01-31T18:00:00+01:00", datetime(2026, 1, 31, 17, 0, tzinfo=UTC)),
        ("2026-01-31T18:00:00-05:30", datetime(2026, 1, 31, 23, 30, tzinfo=UTC)),
    ],
)
def test_a_date_without_an_offset_is_a_time_in_the_configs_zone(text: str, expected: datetime) -> None:
    assert parse_instant(text, BERLIN) == expected
    assert parse_instant(text, BERLIN).tzinfo is UTC


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-10-25T02:30", datetime(2026, 10, 25, 0, 30, tzinfo=UTC)),
        ("2026-03-29T02:30", datetime(2026, 3, 29, 0, 30, tzinfo=UTC)),
    ],
)
def test_a_date_whose_hour_happened_twice_or_never_is_the_earlier_instant(text: str, expected: datetime) -> None:
    assert parse_instant(text, BERLIN) == expected


@pytest.mark.parametrize(
    "text",
    [
        *("", "yesterday", "31.01.2026", "01/31/2026", "2026-02-30", "2026-13-01", "1622494800", "18:00"),
        *("2026-01-31T25:00", "2026-01-31T18:00 Europe/Berlin", "0001-01-01T00:00+14:00", "9999-12-31T23:59-01:00"),
    ],
)
def test_anything_else_is_not_a_date(text: str) -> None:
    with pytest.raises(ValueError, match="is not a date; write for example"):
        parse_instant(text, BERLIN)


# --- words ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("length", "words"),
    [
        (timedelta(days=41, hours=23), "41 days"),
        (timedelta(days=2), "2 days"),
        (timedelta(days=2, seconds=-1), "47 hours"),
        (timedelta(hours=2), "2 hours"),
        (timedelta(hours=2, seconds=-1), "119 minutes"),
        (timedelta(minutes=2), "2 minutes"),
        (timedelta(minutes=2, seconds=-1), "119 seconds"),
        (timedelta(seconds=1.9), "1 second"),
        (timedelta(0), "0 seconds"),
        (timedelta(days=-3), "0 seconds"),
    ],
)
def test_a_length_is_told_in_one_unit_and_never_rounded_up(length: timedelta, words: str) -> None:
    assert humanize(length) == words
