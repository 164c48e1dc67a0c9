"""Why an item goes or stays, step by step, and when that would change."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from confcleanup.cli import cli
from confcleanup.cutoff import Period, cutoff
from confcleanup.explain import explain
from confcleanup.filter import Hold, LiveRule, Rule, choose
from confcleanup.items import Item, Kind, Live, State
from confcleanup.sandbox.server import Server
from confcleanup.sandbox.trueconf import TrueConf
from tests.fake import NOW, rule, thing

DAY = timedelta(days=1)
MONTH = Period.parse("30 days")


def told(item: Item, *rules: Rule, age: Period | None = MONTH) -> list[str]:
    rules = rules or (rule(),)
    return list(explain(item, rules, [age] * len(rules), UTC, NOW))


def test_what_goes_has_answered_every_question_with_no() -> None:
    lines = told(thing("a"))
    assert lines[0] == "rule 'old' (cutoff 2026-01-30 12:00 UTC):"
    assert all(line.endswith(" no") for line in lines[1:-2])
    assert len(lines[1:-2]) == 12
    assert lines[-2:] == [
        "  it would be deleted: ended 40 days ago, kept for 30 days",
        "It goes: ended 40 days ago, kept for 30 days (rule 'old').",
    ]


@pytest.mark.parametrize(
    ("item", "more", "question"),
    [
        (thing("a"), {"holds": (Hold("case 7", id="a"),)}, "on legal hold? yes: on legal hold: case 7"),
        (thing("a"), {"keep_ids": frozenset("a")}, "named in keep_ids? yes"),
        (thing("a", tags=("Keep",)), {"keep_tags": ("keep",)}, "carries a keep tag? yes"),
        (thing("a"), {"title": "x"}, "outside the rule's title, owner, tags or names? yes"),
        (thing("a", undeletable="list only"), {}, "impossible to delete? yes: list only"),
        (thing("a", state=State.RUNNING), {}, "still running or unfinished? yes"),
        (thing("a", state=State.UNKNOWN, unreadable="odd"), {}, "its state unknown? yes: odd"),
        (thing("a", kind=Kind.RECURRING), {}, "recurring? yes"),
        (thing("a", kind=Kind.ROOM), {}, "a room without a schedule, and the rule not for rooms? yes"),
        (thing("a", ended_at=None), {}, "its end unknown? yes"),
        (thing("a", days=3), {}, "ended at or after the cutoff? yes: ended 3 days ago, kept for 30 days"),
        (
            thing("a", title=None),
            {"title": "x"},
            "is something not known that is asked for? yes: its title is not known",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_first_question_answered_with_yes_is_the_last_one_asked(
    item: Item, more: dict[str, object], question: str
) -> None:
    lines = [" ".join(line.split()) for line in told(item, rule(**more))]
    asked = [line for line in lines[1:] if "?" in line]
    assert asked[-1].startswith(question)
    assert all(line.endswith((" no", "its title is not known")) for line in asked[:-1])
    assert lines[-1].startswith("It stays: ")


def test_a_question_that_cannot_be_answered_is_not_answered_with_no() -> None:
    held = rule(holds=(Hold("case 7", owner="anna"),), keep_tags=("keep",), tags=("delete",))
    lines = [" ".join(line.split()) for line in told(thing("a", owner=None, tags=None), held)]
    assert lines[1:5] == [
        "on legal hold? its owner is not known",
        "named in keep_ids? no",
        "carries a keep tag? its tags are not known",
        "outside the rule's title, owner, tags or names? its tags are not known",
    ]
    assert lines[-1] == "It stays: its owner is not known, and a legal hold asks for it (rule 'old')."


def test_each_rule_of_the_source_is_walked_and_the_whole_account_decides() -> None:
    lines = told(thing("a"), rule(name="first", title="x"), rule("files", name="other"), rule(name="second"))
    assert [line.split("'")[1] for line in lines if line.startswith("rule")] == ["first", "second"]
    assert lines[-1].startswith("It goes: ")


def test_a_hold_of_another_rule_is_part_of_what_follows() -> None:
    lines = told(thing("a"), rule(), rule("files", name="other", keep_ids=frozenset("a")))
    assert lines[-1] == "It stays: named in keep_ids (rule 'other')."


def test_what_is_too_young_is_told_the_day_from_which_it_is_due() -> None:
    assert "  due from about 2026-03-28 on" in told(thing("a", days=3))


@pytest.mark.parametrize("age", [None, Period.parse("500 years")])
def test_without_a_usable_retention_no_day_is_named(age: Period | None) -> None:
    assert not any("due from" in line for line in told(thing("a", days=3), age=age))


def test_an_end_beyond_the_calendar_is_no_fault() -> None:
    far = thing("a", ended_at=datetime(9999, 12, 31, tzinfo=UTC))
    assert told(far)[-1].startswith("It stays: not over yet")


@given(
    st.integers(0, 10 * 365 * 24).map(lambda hours: datetime(2020, 1, 1, tzinfo=UTC) + timedelta(hours=hours)),
    st.sampled_from(["1 day", "30 days", "1 month", "6 months", "1 year", "36h"]),
)
def test_on_the_day_named_the_retention_is_over_and_the_day_before_it_is_not(end: datetime, age: str) -> None:
    from confcleanup.explain import _due_from

    zone, period = ZoneInfo("Europe/Berlin"), Period.parse(age)
    due = _due_from(end, period, zone)
    assert due
    assert cutoff(due, period, zone) >= end > cutoff(due - DAY, period, zone)


def test_a_live_room_is_explained_by_what_its_rule_says() -> None:
    room = thing("Room", kind=Kind.LIVE, live=Live(timedelta(hours=1)), started_at=NOW - timedelta(hours=1))
    lines = told(room, rule(cutoff=NOW, live=LiveRule(max_duration=timedelta(hours=8))), age=None)
    assert lines[1] == "  a live room: its end is what the rule says"
    assert lines[-1].startswith("It stays: 7 hours before its maximum duration")


@given(st.sampled_from(list(Kind)), st.sampled_from(list(State)), st.integers(0, 60), st.sampled_from([(), ("keep",)]))
def test_the_explanation_ends_with_what_a_run_would_decide(
    kind: Kind, state: State, days: int, tags: tuple[str, ...]
) -> None:
    item, rules = thing("a", kind=kind, state=state, days=days, tags=tags), [rule(keep_tags=("keep",))]
    decision = choose(item, rules, NOW)
    assert told(item, *rules)[-1].startswith("It goes: " if decision.delete else "It stays: ")


# The command -------------------------------------------------------------------------------------


class Setting:
    """A TrueConf server with one conference to delete and one to keep, and a config for it."""

    def __init__(self, folder: Path, url: str, emulator: TrueConf) -> None:
        self.emulator = emulator
        self._config = folder / "config.toml"
        self._config.write_text(emulator.account("hq", url), "utf-8")
        self._config.chmod(0o600)

    def __call__(self, *words: str) -> Result:
        return CliRunner().invoke(cli, ["-c", str(self._config), "explain", *words])


@pytest.fixture
def hq(tmp_path: Path) -> Iterator[Setting]:
    emulator = TrueConf()
    emulator.add_conference("old", topic="Budget\x1b[31m", ended=41 * DAY + DAY / 2)
    emulator.add_conference("young", ended=DAY)
    with Server(emulator) as server:
        yield Setting(tmp_path, server.url, emulator)


def test_the_command_names_the_item_and_says_what_happens_to_it(hq: Setting) -> None:
    done = hq("hq", "old")
    assert done.exit_code == 0
    assert done.stdout.startswith("conferences old 'Budget")
    assert "\x1b" not in done.stdout
    assert done.stdout.splitlines()[-1].startswith("It goes: ended 41 days ago")
    assert hq.emulator.requests("DELETE") == []


def test_the_command_says_when_it_would_change(hq: Setting) -> None:
    due = hq.emulator.clock() + 29 * DAY
    days = [f"{due + shift * DAY:%Y-%m-%d}" for shift in (-1, 0, 1)]
    assert any(f"due from about {day} on" in hq("hq", "young").stdout for day in days)


def test_an_id_that_is_not_listed_is_status_1(hq: Setting) -> None:
    done = hq("hq", "nothing")
    assert done.exit_code == 1
    assert "error: hq lists no item with the id 'nothing'" in done.stderr
    assert "confcleanup history --id" in done.stderr


def test_an_id_that_is_not_listed_is_in_the_log_file_too(hq: Setting, tmp_path: Path) -> None:
    log = tmp_path / "messages"
    hq("hq", "nothing", "--log-file", str(log))
    assert "hq lists no item" in log.read_text("utf-8")


def test_an_unknown_account_is_wrong_usage(hq: Setting) -> None:
    assert hq("hp", "old").exit_code == 2
    assert hq.emulator.seen == []


@pytest.mark.parametrize(
    "spelt", ["\\c\\0073310045", "https://vc.example.org/c/0073310045", "0073310045@vc.example.org", " 0073310045"]
)
def test_the_command_finds_an_item_by_whatever_people_call_it(hq: Setting, spelt: str) -> None:
    hq.emulator.add_conference("0073310045", topic="Standup", ended=41 * DAY)
    done = hq("hq", spelt)
    assert done.stdout.startswith("conferences 0073310045 'Standup'")


def test_the_command_shows_the_other_numbers_of_an_item_and_finds_it_by_them(
    hq: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    from confcleanup.providers import trueconf

    made = trueconf.conference
    monkeypatch.setattr(trueconf, "conference", lambda row: replace(made(row), aliases=("912000111",)))
    assert hq("hq", "912000111").stdout.startswith("conferences old (912000111) 'Budget")


def test_the_command_looks_up_what_the_list_does_not_show(tmp_path: Path) -> None:
    emulator = TrueConf(api="v4", short_list=True)
    emulator.add_conference("old", ended=41 * DAY, tags=["cleanup", "keep"])
    with Server(emulator) as server:
        done = Setting(tmp_path, server.url, emulator)("hq", "old")
    assert done.stdout.splitlines()[-1].startswith("It stays: has the keep tag 'keep'")
