"""What is said about a hand-written crontab line."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from confcleanup.schedule.crontab import crontab
from confcleanup.schedule.lint import lint

from . import ODD, job

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=ZoneInfo("Europe/Berlin"))
GOOD = "/opt/confcleanup/bin/confcleanup -c /etc/confcleanup/config.toml -q run --yes"


def warnings(line: str, *, user: bool = False) -> list[str]:
    return lint(line, NOW, user=user).warnings


def warned(line: str) -> str:
    (warning,) = warnings(line)
    return warning


def test_a_line_is_explained_with_its_next_five_runs_in_the_time_zone() -> None:
    found = lint(f"30 3 * * 0 {GOOD}", NOW)
    assert (found.words, found.warnings) == ("At 03:30 on Sunday", [])
    days = ["2026-11-22", "2026-11-29", "2026-12-06", "2026-12-13", "2026-12-20"]
    assert [run.isoformat() for run in found.runs] == [f"{day}T03:30:00+01:00" for day in days]


@pytest.mark.parametrize("every", ["week", "day", "month", "6 hours", "hour", "15 minutes"])
def test_nothing_is_wrong_with_what_the_program_prints_itself(every: str) -> None:
    line = crontab(job(every=every), before=["/usr/bin/nice", "-n", "10"], log=ODD).splitlines()[-1]
    assert warnings(line) == []


def test_the_vendors_tutorial_is_1440_runs_without_output_or_path() -> None:
    found = lint("* * 7 * * python3 delete_conf.py > /dev/null 2>&1", NOW)
    assert found.words == "Every minute on the seventh day of every month"
    often, output, *paths = found.warnings
    assert often.startswith("1,440 runs on Monday, 7 December: the first field is the minute")
    assert output.startswith("its output is thrown away")
    assert [path.split()[0] for path in paths] == ["python3", "delete_conf.py"]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (f"* 3 * * 0 {GOOD}", "60 runs on Sunday, 22 November"),
        (f"30 3 1 * 1 {GOOD}", "it runs when either fits, not when both do"),
        (f"30 3 */7 * * {GOOD}", "/7 in the field day of the month begins anew with each month"),
        (f"*/7 3 * * * {GOOD}", "/7 in the field minute begins anew with each hour"),
        (f"30 3 L * * {GOOD}", "L and # are not known to every cron"),
        (f"30 2 * * 0 {GOOD}", "on 2027-03-28 the clocks change, and 02:30 happens never or twice"),
        (f"30 3 * * 0 {GOOD} >>/var/log/%d", "cuts a command at its first %"),
        (f"30 3 * * 0 {GOOD} &>/dev/null", "its output is thrown away"),
        (f"30 3 * * 0 {GOOD} || true", "its exit status is thrown away"),
        (f"30 3 * * 0 {GOOD}; true", "its exit status is thrown away"),
        (f"30 3 * * 0 {GOOD} '", "a quotation mark is not closed"),
        ("30 3 * * 0 confcleanup run --yes", "confcleanup is no absolute path"),
        ("30 3 * * 0 /opt/confcleanup -c config.toml run --yes", "config.toml is no absolute path"),
        ("30 3 * * 0 /usr/bin/python3 -m confcleanup run", "confcleanup is no absolute path"),
        ("@daily /opt/confcleanup run", "run without --yes"),
    ],
)
def test_a_mistake_is_named(line: str, told: str) -> None:
    assert any(told in warning for warning in warnings(line))


def test_a_time_that_the_clocks_skip_is_no_matter_where_they_never_change() -> None:
    utc = NOW.astimezone(ZoneInfo("UTC"))
    assert lint(f"30 2 * * 0 {GOOD}", utc).warnings == []


def test_escaped_percent_signs_and_commands_after_cd_are_well() -> None:
    assert warnings(f"30 3 * * 0 {GOOD} >>/var/log/$(/bin/date +\\%F)") == []
    assert warnings("30 3 * * 0 cd /srv && X=1 /srv/clean -y; /bin/ls") == []


def test_a_systems_line_has_a_user_before_the_command() -> None:
    assert warnings(f"30 3 * * 0 root {GOOD}", user=True) == []
    assert "root is no absolute path" in warned("30 3 * * 0 root /bin/ls")


@pytest.mark.parametrize(("line", "words"), [("@daily", "At 00:00 every day"), ("@reboot", "At every start")])
def test_shortcuts_are_known(line: str, words: str) -> None:
    assert lint(f"{line} {GOOD}", NOW).words.startswith(words)


@pytest.mark.parametrize(
    "line",
    [
        "",
        "# 30 3 * * 0 x",
        "MAILTO=me@example.com",
        "30 3 * *",
        "30 3 * * 0",
        "60 3 * * 0 x",
        "0 0 31 2 * x",
        "@often x",
    ],
)
def test_what_starts_nothing_is_no_line(line: str) -> None:
    with pytest.raises(ValueError, match=r"starts nothing|no line of a crontab|cron refuses"):
        lint(line, NOW)
