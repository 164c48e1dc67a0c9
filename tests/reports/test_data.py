"""A run as data: the stable formats json, jsonl and csv."""

from __future__ import annotations

import csv
import io
import json
import re
from collections import Counter
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from confcleanup.errors import ExitCode
from confcleanup.filter import Decision, Reason, choose
from confcleanup.items import Item, Kind, Live, Outcome, State
from confcleanup.plan import Plan
from confcleanup.redact import PLACE, harmless, redact
from confcleanup.reports.data import Collector, cell, timestamp
from confcleanup.run import Run
from confcleanup.worklist import Entry, Worklist
from tests.fake import NOW, rule, thing

ITEM_KEYS = [
    *("rule", "what", "id", "title", "owner", "kind", "tags", "started_at", "ended_at", "size_bytes"),
    *("decision", "reason", "outcome", "error", "aliases", "goes_at"),
]
COUNTS = ["listed", "selected", "deleted", "gone", "changed", "failed", "unknown", "deferred"]
ADDED = {"copies", "warnings", "undecided", "stuck", "estimated_seconds", "kept", "notice", "announced"}
RFC_3339 = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")


def entry(item: Item, outcome: Outcome | None = None, error: str | None = None) -> Entry:
    """An item with what a rule of 30 days makes of it."""
    return Entry(item, choose(item, [rule(item.what)], NOW), outcome, error)


def ended(*outcomes: Outcome | None, name: str = "hq", kept: int = 0) -> tuple[Plan, list[Entry]]:
    """A plan whose items ended so, and the entries that were kept."""
    selected = Worklist()
    for number, outcome in enumerate(outcomes):
        selected.extend([entry(thing(f"old-{number}"), outcome)])
    young = [entry(thing(f"young-{number}", days=3)) for number in range(kept)]
    listed = len(selected) + len(young)
    return Plan(name, "fake", listed, selected, Counter(entry.decision.why for entry in young)), young


def run_of(*plans: Plan, mode: str = "run") -> Run:
    return Run("20260301T120000-abc", mode, NOW, list(plans))


def written(style: str, run: Run, kept: dict[str, list[Entry]] | None = None, *, selected_only: bool = False) -> str:
    """What a run of these plans writes, if it kept these entries on its way."""
    out = io.StringIO()
    collector = Collector(style, out, selected_only=selected_only)
    for account, entries in (kept or {}).items():
        for one in entries:
            collector.kept(account, one)
    collector.finish(run)
    return out.getvalue()


def document(*plans: Plan, **kept: list[Entry]) -> dict[str, Any]:
    made: dict[str, Any] = json.loads(written("json", run_of(*plans), kept))
    return made


def item_of(one: Entry) -> dict[str, Any]:
    """An entry as the JSON document shows it."""
    plan = Plan("hq", "fake", 1, [one])
    made: dict[str, Any] = document(plan)["accounts"][0]["items"][0]
    return made


# --- json -------------------------------------------------------------------------------------------


def test_the_document_has_exactly_the_contracts_fields() -> None:
    made = document(ended(Outcome.DELETED)[0])
    assert list(made) == ["version", "run", "mode", "now", "exit_code", "accounts"]
    assert (made["version"], made["run"], made["mode"]) == (1, "20260301T120000-abc", "run")
    assert (made["now"], made["exit_code"]) == ("2026-03-01T12:00:00Z", 0)


def test_an_account_has_the_contracts_fields_and_those_added() -> None:
    (account,) = document(ended(Outcome.DELETED)[0])["accounts"]
    assert set(account) == {"account", "provider", "status", "error", *COUNTS, "items", *ADDED}
    assert (account["account"], account["provider"], account["status"], account["error"]) == ("hq", "fake", "ok", None)
    assert all(type(account[count]) is int for count in COUNTS)


def test_an_item_has_exactly_the_contracts_fields() -> None:
    item = thing("0048411003", title="Standup", owner="anna", tags=("a", "b"), size_bytes=7, aliases=("7",))
    assert item_of(entry(item, Outcome.FAILED, "502")) == {
        "rule": "old",
        "what": "things",
        "id": "0048411003",
        "title": "Standup",
        "owner": "anna",
        "kind": "one-time",
        "tags": ["a", "b"],
        "started_at": "2026-01-20T11:00:00Z",
        "ended_at": "2026-01-20T12:00:00Z",
        "size_bytes": 7,
        "decision": "delete",
        "reason": "ended 40 days ago, kept for 30 days",
        "outcome": "failed",
        "error": "502",
        "aliases": ["7"],
        "goes_at": None,
    }


def test_what_is_not_known_is_null_and_no_tags_are_an_empty_list() -> None:
    item = Item("things", "x", Kind.UNKNOWN, State.UNKNOWN)
    made = item_of(entry(item))
    assert list(made) == ITEM_KEYS
    nulls = ["title", "owner", "started_at", "ended_at", "size_bytes", "outcome", "error", "goes_at"]
    assert [key for key in made if made[key] is None] == nulls
    assert (made["tags"], made["decision"]) == ([], "keep")


def test_a_room_without_an_end_shows_the_end_that_was_compared() -> None:
    item = thing("x", kind=Kind.LIVE, live=Live(timedelta(hours=1)), ended_at=None)
    decision = Decision(True, Reason.DUE, "why", "old", NOW - timedelta(hours=1))
    assert item_of(Entry(item, decision))["ended_at"] == "2026-03-01T11:00:00Z"


def test_kept_items_follow_the_selected_ones_each_with_its_account() -> None:
    here, young_here = ended(Outcome.DELETED, name="here", kept=2)
    there, young_there = ended(name="there", kept=1)
    made = document(here, there, here=young_here, there=young_there)
    ids = [[item["id"] for item in account["items"]] for account in made["accounts"]]
    assert ids == [["old-0", "young-0", "young-1"], ["young-0"]]


def test_selected_only_leaves_kept_items_out_but_counts_them() -> None:
    plan, young = ended(Outcome.DELETED, kept=2)
    for style in ("json", "jsonl", "csv"):
        text = written(style, run_of(plan), {"hq": young}, selected_only=True)
        assert "old-0" in text
        assert "young-0" not in text
    (account,) = json.loads(written("json", run_of(plan), {"hq": young}, selected_only=True))["accounts"]
    assert (account["listed"], account["kept"]) == (3, {"too young": 2})


def test_counts_are_of_the_items_outcomes() -> None:
    every = [Outcome.DELETED, *Outcome, Outcome.GONE]
    (account,) = document(ended(*every)[0])["accounts"]
    expected = {"deleted": 2, "gone": 2, "changed": 1, "failed": 1, "unknown": 1, "deferred": 1}
    assert {outcome: account[outcome] for outcome in expected} == expected


@given(st.lists(st.sampled_from(Outcome), max_size=12), st.integers(0, 5))
def test_counts_always_add_up(outcomes: list[Outcome], kept: int) -> None:
    plan, young = ended(*outcomes, kept=kept)
    (account,) = document(plan, hq=young)["accounts"]
    assert account["selected"] == sum(account[str(outcome)] for outcome in Outcome)
    assert account["listed"] == account["selected"] + sum(account["kept"].values())
    assert len(account["items"]) == account["listed"]


def test_a_dry_run_has_no_outcomes() -> None:
    plan, _ = ended(None, None)
    made = json.loads(written("json", run_of(plan, mode="plan")))
    (account,) = made["accounts"]
    assert made["mode"] == "plan"
    assert [item["outcome"] for item in account["items"]] == [None, None]
    assert sum(account[str(outcome)] for outcome in Outcome) == 0
    assert account["selected"] == 2


@pytest.mark.parametrize(
    ("changes", "status", "error", "code"),
    [
        ({}, "ok", None, ExitCode.DONE),
        ({"error": "503", "failed": True}, "failed", "503", ExitCode.NOT_DONE),
        ({"refusals": ["too many", "the clock"]}, "refused", "too many; the clock", ExitCode.REFUSED),
        ({"error": "left"}, "partial", "left", ExitCode.NOT_DONE),
    ],
)
def test_status_and_error_tell_what_became_of_an_account(
    changes: dict[str, Any], status: str, error: str | None, code: ExitCode
) -> None:
    made = document(replace(ended()[0], **changes))
    assert (made["accounts"][0]["status"], made["accounts"][0]["error"]) == (status, error)
    assert made["exit_code"] == code


@pytest.mark.parametrize(
    ("outcome", "status", "code"),
    [
        (Outcome.DELETED, "ok", 0),
        (Outcome.GONE, "ok", 0),
        (Outcome.CHANGED, "ok", 0),
        (Outcome.FAILED, "partial", 1),
        (Outcome.UNKNOWN, "partial", 1),
        (Outcome.DEFERRED, "partial", 0),
    ],
)
def test_an_outcome_that_leaves_something_open_makes_an_account_partial(
    outcome: Outcome, status: str, code: int
) -> None:
    made = document(ended(Outcome.DELETED, outcome)[0])
    assert (made["accounts"][0]["status"], made["exit_code"]) == (status, code)


def test_not_done_counts_before_refused() -> None:
    failed, refused = ended(Outcome.FAILED)[0], replace(ended()[0], refusals=["too many"])
    assert document(refused, failed)["exit_code"] == 1


def test_items_that_could_not_be_read_are_counted_as_undecided() -> None:
    plan = replace(ended()[0], kept=Counter({Reason.END_UNKNOWN: 2, Reason.STATE_UNKNOWN: 1, Reason.RECURS: 4}))
    (account,) = document(plan)["accounts"]
    assert account["undecided"] == 3
    assert account["kept"] == {"end not known": 2, "recurring": 4, "state not known": 1}


def test_secrets_are_replaced_wherever_text_is_written() -> None:
    redact.add("told-by-a-vendor-81")
    said = "told-by-a-vendor-81"
    shown = thing("x", title=said, owner=f"{said}@example.com", tags=("hr", said))
    plan = Plan("hq", "fake", 1, [entry(shown, Outcome.FAILED, "told-by-a-vendor-81")])
    plan = replace(plan, warnings=["told-by-a-vendor-81"], refusals=["told-by-a-vendor-81"])
    for style in ("json", "jsonl", "csv"):
        text = written(style, run_of(plan))
        assert "told-by-a-vendor-81" not in text
        assert PLACE in text


# --- times ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("when", "text"),
    [
        (NOW, "2026-03-01T12:00:00Z"),
        (NOW + timedelta(microseconds=999_999), "2026-03-01T12:00:00Z"),
        (datetime(2026, 3, 1, 12, 0, tzinfo=timezone(timedelta(hours=5, minutes=30))), "2026-03-01T06:30:00Z"),
        (datetime(1, 1, 1, tzinfo=UTC), "0001-01-01T00:00:00Z"),
        (None, None),
    ],
)
def test_a_time_is_rfc_3339_in_utc_to_the_second(when: datetime | None, text: str | None) -> None:
    assert timestamp(when) == text


@given(st.integers(-62_135_596_800, 253_402_300_799))
def test_every_time_has_the_same_shape(seconds: int) -> None:
    when = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
    assert RFC_3339.fullmatch(timestamp(when) or "")


# --- jsonl ------------------------------------------------------------------------------------------


def lines(*plans: Plan, **kept: list[Entry]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in written("jsonl", run_of(*plans), kept).splitlines()]


def test_every_item_is_a_line_with_its_account_first() -> None:
    plan, young = ended(Outcome.DELETED, kept=1)
    first, second, _ = lines(plan, hq=young)
    assert list(first) == list(second) == ["account", *ITEM_KEYS]
    assert [(line["account"], line["id"]) for line in (first, second)] == [("hq", "young-0"), ("hq", "old-0")]


def test_the_last_line_of_an_account_has_its_counts_and_no_items() -> None:
    here, there = ended(Outcome.DELETED, name="here")[0], ended(Outcome.GONE, Outcome.FAILED, name="there")[0]
    made = lines(here, there)
    counts = [made[1], made[4]]
    assert [(line["account"], line["selected"], line["status"]) for line in counts] == [
        ("here", 1, "ok"),
        ("there", 2, "partial"),
    ]
    assert set(counts[0]) == {"account", "provider", "status", "error", *COUNTS, *ADDED} | {
        *("version", "run", "mode", "now", "exit_code")
    }
    assert counts[0]["version"] == 1


def test_an_account_without_items_still_has_its_last_line() -> None:
    (only,) = lines(ended()[0])
    assert (only["account"], only["listed"]) == ("hq", 0)


@pytest.mark.parametrize("style", ["jsonl", "csv"])
def test_a_kept_item_is_written_when_it_is_seen_and_not_remembered(style: str) -> None:
    out = io.StringIO()
    collector = Collector(style, out, selected_only=False)
    collector.kept("hq", entry(thing("young", days=3)))
    assert "young" in out.getvalue()
    before = out.getvalue()
    collector.finish(run_of())
    assert out.getvalue() == before


def test_a_line_break_in_a_title_does_not_break_the_line() -> None:
    plan = Plan("hq", "fake", 1, [entry(thing("x", title="one\ntwo\u2028three"))])
    assert lines(plan)[0]["title"] == "one\ntwo\u2028three"


# --- csv --------------------------------------------------------------------------------------------


def table(*plans: Plan, **kept: list[Entry]) -> list[list[str]]:
    return list(csv.reader(io.StringIO(written("csv", run_of(*plans), kept), newline="")))


def test_the_columns_are_the_items_json_names_after_the_account() -> None:
    assert table()[0] == ["account", *ITEM_KEYS]


def test_every_item_is_a_row() -> None:
    item = thing("0048411003", title='Stand, "up"\n', tags=("a", "b"))
    _, row = table(Plan("hq", "fake", 1, [entry(item, Outcome.DELETED)]))
    shown = dict(zip(["account", *ITEM_KEYS], row, strict=True))
    assert (shown["account"], shown["id"], shown["title"], shown["tags"]) == (
        "hq",
        "0048411003",
        'Stand, "up"\\x0a',
        "a b",
    )
    assert (shown["owner"], shown["outcome"], shown["error"]) == ("", "deleted", "")


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", " =1+1", "\t=1", "\r\n=1", "\u00a0=1"])
def test_text_that_a_spreadsheet_would_compute_is_marked_as_text(text: str) -> None:
    assert cell(text) == f"'{harmless(text)}"
    assert cell([text, "x"]) == f"'{harmless(text)} x"


@pytest.mark.parametrize("text", ["\x1b[31mred", "a\nb", "\u202egpj.exe"])
def test_control_characters_in_a_cell_are_made_visible(text: str) -> None:
    assert str(cell(text)).isprintable()


@pytest.mark.parametrize("value", ["a=1", "anna@example.org", "1-2", "", None, -5, 0, True])
def test_everything_else_is_left_as_it_is(value: object) -> None:
    assert cell(value) == value


@given(st.text(max_size=30))
def test_no_title_becomes_a_formula_or_another_row(title: str) -> None:
    item = thing("x", title=title.replace("\r", " "))
    rows = table(Plan("hq", "fake", 1, [entry(item)]))
    assert len(rows) == 2
    assert not rows[1][4].lstrip().startswith(("=", "+", "-", "@"))


def test_the_kept_items_of_a_small_account_take_no_open_file(monkeypatch: pytest.MonkeyPatch) -> None:
    def none_left(*_: object, **__: object) -> None:
        raise OSError("Too many open files")

    monkeypatch.setattr("tempfile.TemporaryFile", none_left)
    plan, young = ended(kept=1)
    (account,) = document(plan, hq=young)["accounts"]
    assert [item["id"] for item in account["items"]] == ["young-0"]
