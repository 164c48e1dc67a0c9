"""The web page of a run and of the history: what it says, and that nothing in it is anybody else's."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import re
import signal
import stat
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from confcleanup.cli import cli
from confcleanup.cli.history import COLUMNS
from confcleanup.items import Item, Kind, Live, Outcome, Result
from confcleanup.plan import Group, Plan
from confcleanup.records.journal import Journal
from confcleanup.records.ledger import Ledger
from confcleanup.redact import redact
from confcleanup.reports import html as page
from confcleanup.reports.html.history import Past
from confcleanup.reports.html.tally import ROWS, ROWS_IN_ALL, Tally
from confcleanup.run import Run
from confcleanup.worklist import Entry, Worklist
from tests.cli.test_cli import Setting
from tests.cli.test_cli import hq as hq  # a fixture
from tests.fake import NOW, thing
from tests.reports.test_data import ended, entry, run_of

DAY = timedelta(days=1)


class Document(HTMLParser):
    """What a page is made of. Fails on elements that are not closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self.text += " "
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def page_of(run: Run, counted: Tally | None = None, **more: Any) -> str:
    return page.of_run(run, counted or Tally(), more.get("past"), UTC, more.get("command", "confcleanup run"))


def shown(run: Run, counted: Tally | None = None, **more: Any) -> Document:
    return Document(page_of(run, counted, **more))


def plan_of(*entries: Entry, name: str = "hq", **more: Any) -> Plan:
    """A plan that selected these."""
    selected = Worklist()
    for one in entries:
        selected.extend([one])
    return Plan(name, "fake", len(entries), selected, **more)


def words(document: Document) -> str:
    return " ".join(document.text.split())


# --- what it says -----------------------------------------------------------------------------------


def test_a_dry_run_says_first_that_nothing_was_deleted_and_then_how_much_would_be() -> None:
    text = words(shown(run_of(ended(None, None, kept=3)[0], mode="plan")))
    assert re.search(
        r"Dry run Nothing was deleted\. 2 of 5 items would be deleted\..*To delete them: confcleanup run", text
    )


def test_a_dry_run_with_nothing_due_says_so_and_names_no_command() -> None:
    text = words(shown(run_of(ended(kept=3)[0], mode="plan")))
    assert "Nothing was deleted. Nothing is due." in text
    assert "To delete them" not in text


def test_a_dry_run_that_would_be_refused_says_so_and_why() -> None:
    text = words(shown(run_of(replace(ended(None)[0], refusals=["too many"]), mode="plan")))
    assert "Nothing was deleted. A run would be refused." in text
    assert "hq was refused by a safety limit; nothing is deleted there: too many" in text


def test_a_run_says_how_many_of_the_selected_were_deleted_and_what_its_status_means() -> None:
    text = words(shown(run_of(ended(Outcome.DELETED, Outcome.DELETED, Outcome.FAILED)[0])))
    assert "Deleted 2 of 3 selected items. Not everything was done." in text
    assert "exit status 1: finished with errors" in text


@pytest.mark.parametrize(("name", "words_"), [("SIGINT", "130: interrupted"), ("SIGTERM", "143: terminated")])
def test_a_run_that_a_signal_ended_says_which_kind(name: str, words_: str) -> None:
    run = run_of(ended(Outcome.DELETED)[0])
    run.signal = signal.Signals[name]
    assert f"exit status {words_}" in words(shown(run))


def test_what_failed_stands_first_with_its_reason() -> None:
    plan = plan_of(entry(thing("x"), Outcome.FAILED, "the server said 503"))
    text = words(shown(run_of(plan)))
    assert "Needs attention hq: things x" in text
    assert text.index("the server said 503") < text.index("By account and rule")


def test_what_would_be_deleted_comes_first_and_is_open_whatever_its_number() -> None:
    plan = plan_of(*(entry(thing(f"t{n}")) for n in range(100)), unlisted=["a part"])
    document = shown(run_of(plan, mode="plan"))
    text = words(document)
    assert text.index("Would be deleted hq: 100 items") < text.index("Needs attention") < text.index("By account")
    assert "open" in document.all("details")[0]


def test_an_item_is_shown_with_its_owner_its_end_with_its_zone_and_its_reason() -> None:
    text = words(shown(run_of(plan_of(entry(thing("x", owner="anna"))), mode="plan")))
    assert "Item Owner End Reason Title of x things x" in text
    assert "anna 2026-01-20 12:00 UTC ended 40 days ago, kept for 30 days old" in text


def test_what_a_safety_limit_refused_is_not_among_what_would_be_deleted() -> None:
    refused = plan_of(entry(thing("x")), refusals=["too many"])
    text = words(shown(run_of(refused, plan_of(entry(thing("y")), name="far"), mode="plan")))
    first, second = text.index("Would be deleted far: 1 item"), text.index("Selected, but refused by a safety limit hq")
    assert first < second
    assert "would be deleted 1 refused by a safety limit 1 kept by the rules 0" in text


def test_red_is_for_what_failed_alone() -> None:
    partial = plan_of(entry(thing("x"), Outcome.UNKNOWN, "no clear answer"), unlisted=["a part"])
    refused = plan_of(entry(thing("y")), name="far", refusals=["too many"])
    unclear = shown(run_of(partial, refused))
    assert not [attributes for _, attributes in unclear.elements if "bad" in str(attributes.get("class"))]
    assert "look" in [attributes.get("class") for attributes in unclear.all("section")]
    failed = shown(run_of(plan_of(entry(thing("x"), Outcome.FAILED, "503"))))
    assert "look failure" in [attributes.get("class") for attributes in failed.all("section")]
    assert {"class": "bad"} in failed.all("span")


def test_one_is_singular_and_more_are_plural() -> None:
    one = words(shown(run_of(plan_of(entry(thing("x"))), mode="plan")))
    assert "hq: 1 item " in one
    assert " account 1 " in one
    more = words(shown(run_of(ended(None, None)[0], ended(None, name="far")[0], mode="plan")))
    assert "hq: 2 items " in more
    assert " accounts 2 " in more


def test_an_account_that_could_not_be_listed_is_named_with_its_reason() -> None:
    text = words(shown(run_of(Plan("hq", "fake", error="no route", failed=True), mode="plan")))
    assert "hq could not be listed; nothing was deleted there: no route" in text
    assert "Nothing that could be checked is due. 1 account could not be listed." in text


def test_bytes_are_those_of_what_was_deleted_and_unknown_sizes_are_counted() -> None:
    items = [thing("a", size_bytes=4_000_000), thing("b"), thing("c", size_bytes=9_000_000)]
    outcomes = [Outcome.DELETED, Outcome.DELETED, Outcome.FAILED]
    plan = plan_of(*(entry(item, out) for item, out in zip(items, outcomes, strict=True)))
    text = words(shown(run_of(plan)))
    assert "hq fake · not finished 2 1 selected, not deleted 4.0 MB 0" in text
    assert "13.0 MB" not in text


@pytest.mark.parametrize(("known", "headline"), [(1, False), (2, False), (3, True), (4, True)])
def test_bytes_are_in_the_headline_only_if_most_sizes_are_known(known: int, headline: bool) -> None:
    items = [thing(str(n), size_bytes=1_000_000 if n < known else None) for n in range(4)]
    text = words(shown(run_of(plan_of(*(entry(item, Outcome.DELETED) for item in items)))))
    assert (f" freed {'without 1 item of unknown size ' if known == 3 else ''}{known}.0 MB" in text) is headline
    assert f"hq fake 4 {known}.0 MB 0" in text


def test_what_was_already_gone_is_not_called_deleted() -> None:
    counted = Tally()
    shown(run_of(ended(Outcome.GONE, Outcome.DELETED)[0]), counted)
    line = counted.sums.accounts()["hq"]
    assert (line.goes.count, line.gone.count, line.left.count, line.stays.count) == (1, 1, 0, 0)


def test_what_stays_is_counted_by_reason() -> None:
    text = words(shown(run_of(ended(kept=9)[0], mode="plan")))
    assert "hq: 9 items Counted by reason; --format csv shows every item Reason Items too young 9" in text


def test_what_stays_is_counted_under_the_rule_that_decided() -> None:
    plan, kept = ended(None, kept=9)
    counted = Tally()
    for one in kept:
        counted.kept("hq", one)
    text = words(shown(run_of(plan, mode="plan"), counted))
    assert "hq fake 1 9 old 1 9" in text


@pytest.mark.parametrize(("mode", "cells"), [("plan", "unknown unknown"), ("run", "0 unknown")])
def test_an_account_that_could_not_be_listed_is_unknown_and_not_0(mode: str, cells: str) -> None:
    plan, kept = ended(kept=2)
    counted = Tally()
    counted.kept("hq", kept[0])
    failed = replace(plan, error="no route", failed=True)
    text = words(shown(run_of(failed, mode=mode), counted))
    assert f"hq fake · could not be listed {cells} " in text
    assert text.count("Unknown: hq, which could not be listed.") == 2
    assert not re.search("Nothing was selected|Nothing would be deleted|No item is kept", text)
    assert "kept by the rules without 1 account that could not be listed 0" in text
    assert "too young" not in text
    assert counted.sums.total().stays.count == 0


def test_what_is_stuck_needs_attention() -> None:
    plan = ended(kept=1)[0]
    plan.stuck.add(entry(thing("x", days=90)))
    text = words(shown(run_of(plan)))
    said = "hq: stuck: 1 item older than the rule needs manual action; the oldest: things x"
    assert f"Needs attention {said}" in text


def test_every_table_has_a_caption_and_its_headers_a_scope() -> None:
    document = shown(run_of(ended(Outcome.DELETED, kept=1)[0]))
    assert len(document.all("caption")) == len(document.all("table")) > 2
    assert all(header["scope"] in ("col", "row", "rowgroup") for header in document.all("th"))


def test_ids_are_given_once() -> None:
    plans = [ended(Outcome.DELETED, name=name)[0] for name in ("hq", "far")]
    ids = [attributes["id"] for _, attributes in shown(run_of(*plans)).elements if "id" in attributes]
    assert len(ids) == len(set(ids)) > 3


# --- hostile text -----------------------------------------------------------------------------------

HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</style><script>",
    "{{ 7 * 7 }}{% raise %}",
    "\u202egpj.exe\x1b[31m\x00",
    "\ud800",
    "]]>--><!--",
    "javascript:alert(1)",
]


def everywhere(text: str) -> Run:
    """A run that carries a text wherever a vendor's words may stand."""
    item = thing(text, title=text, owner=text, tags=(text,))
    selected = [entry(item, Outcome.FAILED, text), entry(replace(item, id=f"{text}."), Outcome.DELETED)]
    return run_of(plan_of(*selected, error=text, warnings=[text], refusals=[text]))


@pytest.mark.parametrize("text", HOSTILE)
def test_other_peoples_text_is_text(text: str) -> None:
    harmless, hostile = shown(everywhere("plain")), shown(everywhere(text))
    assert [name for name, _ in hostile.elements] == [name for name, _ in harmless.elements]
    assert {key for _, attributes in hostile.elements for key in attributes} == {
        key for _, attributes in harmless.elements for key in attributes
    }


@settings(max_examples=25)
@given(st.text(max_size=40))
def test_no_text_changes_how_the_page_is_built(text: str) -> None:
    built = [name for name, _ in shown(everywhere("plain")).elements]
    assert [name for name, _ in shown(everywhere(text or "x")).elements] == built


def test_control_characters_and_direction_marks_are_made_visible() -> None:
    text = page_of(everywhere("\u202egpj.exe\x1b[31m"))
    assert "\u202e" not in text
    assert "\x1b" not in text
    assert r"\u202egpj.exe\x1b[31m" in text


def test_the_command_to_copy_is_whole_and_harmless() -> None:
    words_of = "confcleanup run " + "--account 'a<b' " * 20
    run = run_of(ended(None)[0], mode="plan")
    assert words_of.strip() in words(shown(run, command=words_of))
    assert "'a<b'" not in page_of(run, command=words_of)


def test_a_long_text_is_cut() -> None:
    assert "x" * (page.LONGEST + 1) not in page_of(everywhere("x" * 10_000))


def test_secrets_are_replaced() -> None:
    redact.add("told-by-a-vendor-81")
    assert "told-by-a-vendor-81" not in page_of(everywhere("told-by-a-vendor-81"), command="--x told-by-a-vendor-81")


def test_the_page_asks_for_nothing_and_allows_its_own_style_alone() -> None:
    text = page_of(run_of(ended(Outcome.DELETED, kept=1)[0]))
    document = Document(text)
    assert not {name for name, _ in document.elements} & {"script", "link", "img", "iframe", "a", "form", "object"}
    assert not {key for _, found in document.elements for key in found} & {"src", "href", "style", "onload"}
    policy = next(m["content"] for m in document.all("meta") if m.get("http-equiv") == "Content-Security-Policy")
    style = re.search(r"<style>(.*?)</style>", text, re.DOTALL)
    assert style
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert policy == f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"


# --- it stays small ---------------------------------------------------------------------------------


def test_the_page_does_not_grow_with_the_number_of_items() -> None:
    plans = [plan_of(*(entry(thing(f"{name}-{n}")) for n in range(5000)), name=name) for name in ("hq", "far")]
    document = shown(run_of(*plans, mode="plan"))
    assert "10,000 of 10,000 items would be deleted." in words(document)
    assert f"The first {ROWS} of 5,000; --format csv shows them all" in words(document)
    assert len(document.all("tr")) < 2 * ROWS + 60


def test_many_accounts_share_the_room_for_rows() -> None:
    counted = Tally()
    for number in range(20):
        selected = [entry(thing(str(n))) for n in range(ROWS)]
        counted.take(plan_of(*selected, name=f"account-{number}"), "plan")
    assert sum(map(len, counted.rows[Group.GOES].values())) == ROWS_IN_ALL


# --- the history ------------------------------------------------------------------------------------


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger(tmp_path) as made:
        yield made


def remember(ledger: Ledger, run: str, *deletions: tuple[Item, Outcome], at: datetime = NOW) -> None:
    journal = Journal(ledger, run, "hq", "fake", lambda: at)
    for item, outcome in deletions:
        (number,) = journal.intend([(item, "rule")])
        journal.finish(number, Result(outcome, "the server said 503" if outcome is Outcome.FAILED else None))
    journal.flush()
    journal.note("listing", scope="", listed=40, selected=len(deletions), left=1)


def history(ledger: Ledger) -> str:
    return words(Document(page.of_ledger(Past(ledger), NOW, UTC)))


def test_the_report_counts_runs_deletions_and_bytes(ledger: Ledger) -> None:
    remember(
        ledger, "one", (thing("a", size_bytes=4_000_000), Outcome.DELETED), (thing("b"), Outcome.GONE), at=NOW - DAY
    )
    remember(ledger, "two", (thing("c", size_bytes=2_000_000), Outcome.DELETED))
    text = history(ledger)
    assert "Deleted 2 items in 2 runs." in text
    assert "freed 6.0 MB" in text
    newer, older = "2026-03-01 12:00 UTC 1 account 40 1 2.0 MB", "2026-02-28 12:00 UTC 1 account 40 1 4.0 MB"
    assert 0 < text.index(newer) < text.index(older)


def test_a_run_that_deleted_nothing_is_in_the_history_too(ledger: Ledger) -> None:
    remember(ledger, "one")
    assert "Deleted 0 items in 1 run." in history(ledger)
    assert "2026-03-01 12:00 UTC 1 account 40 0" in history(ledger)


def test_what_failed_in_several_runs_needs_attention_once_and_no_more_when_it_is_deleted(ledger: Ledger) -> None:
    remember(ledger, "one", (thing("a"), Outcome.FAILED))
    remember(ledger, "two", (thing("a"), Outcome.FAILED))
    assert history(ledger).count("hq: things a (") == 1
    remember(ledger, "three", (thing("a"), Outcome.DELETED))
    assert "Needs attention" not in history(ledger)


def test_the_history_says_who_was_in_a_room_that_was_ended(ledger: Ledger) -> None:
    room = thing("board", kind=Kind.LIVE, live=Live(members=3))
    facts = {"reason": "90 minutes past its end", "people": 3, "announced": True}
    journal = Journal(ledger, "one", "hq", "fake", lambda: NOW)
    (number,) = journal.intend([(room, "rule")], [facts])
    journal.finish(number, Result(Outcome.DELETED))
    journal.flush()
    assert "90 minutes past its end; 3 people in the room, announced before" in history(ledger)


def test_what_failed_stands_first_in_the_report(ledger: Ledger) -> None:
    remember(ledger, "one", (thing("a"), Outcome.FAILED))
    assert "Needs attention hq: things a" in history(ledger)
    assert "failed: 1 item" in history(ledger)


def test_the_page_of_a_run_shows_the_runs_before(ledger: Ledger) -> None:
    remember(ledger, "earlier", (thing("a"), Outcome.DELETED))
    text = words(shown(run_of(ended(None)[0], mode="plan"), past=Past(ledger)))
    assert "Past runs Every run in the history, the newest first. " in text
    assert "2026-03-01 12:00 UTC 1 account 40 1 Made by" in text


def test_an_entry_of_an_older_program_has_no_size_and_is_counted(ledger: Ledger) -> None:
    head = {"run": "old", "account": "hq", "provider": "fake", "rule": "rule", "what": "things", "id": "a"}
    number, *_ = ledger.append(("intent", {**head, "intended_at": "2026-03-01T12:00:00Z"}, None))
    ledger.append(("outcome", {**head, "outcome": "deleted", "finished_at": "2026-03-01T12:00:00Z"}, number))
    assert Past(ledger).sums.total().goes.count == 1


# --- the commands -----------------------------------------------------------------------------------


def test_plan_writes_the_page_for_its_owner_alone_and_deletes_nothing(hq: Setting) -> None:
    file = hq.folder / "new" / "plan.html"
    hq.one_rule()
    done = hq("plan", "--html", str(file))
    assert (done.exit_code, done.stderr) == (0, "")
    assert "Nothing was deleted. 1 of 2 items would be deleted." in file.read_text("utf-8")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert "0073310045" in hq.emulator.conferences


def test_run_writes_what_was_done_and_report_remembers_it(hq: Setting) -> None:
    file = hq.folder / "run.html"
    assert hq("run", "--yes", "--html", str(file)).exit_code == 0
    assert "Deleted 1 of 1 selected item." in file.read_text("utf-8")
    assert "this run" in file.read_text("utf-8")
    done = hq("report", "-o", str(file))
    assert (done.exit_code, done.stdout) == (0, f"Wrote {file}\n")
    assert "Deleted 1 item in 1 run." in file.read_text("utf-8")
    assert "Deleted 1 item in 1 run." in hq("report").stdout


def test_the_page_does_not_change_what_goes_to_standard_output(hq: Setting) -> None:
    done = hq("plan", "--format", "csv", "--html", str(hq.folder / "plan.html"))
    assert len(list(csv.reader(io.StringIO(done.stdout)))) == 3


@pytest.mark.parametrize("target", ["folder", "config.toml/x.html"])
def test_a_page_that_cannot_be_written_is_told_before_anything_is_contacted(hq: Setting, target: str) -> None:
    (hq.folder / "folder").mkdir()
    done = hq("run", "--yes", "--html", str(hq.folder / target))
    assert done.exit_code == 2
    assert "--html" in done.stderr
    assert "0073310045" in hq.emulator.conferences
    assert not hq.emulator.seen


def test_without_jinja2_nothing_is_contacted_and_the_package_is_named(
    hq: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)
    done = hq("run", "--yes", "--html", str(hq.folder / "x.html"))
    assert done.exit_code == 2
    assert "pip install 'confcleanup[html]'" in done.stderr
    assert "0073310045" in hq.emulator.conferences


def test_report_without_jinja2_names_the_package(hq: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)
    done = hq("report")
    assert done.exit_code == 2
    assert "pip install 'confcleanup[html]'" in done.stderr


def test_a_page_that_cannot_be_written_after_all_is_status_1_and_what_was_deleted_is_said(
    hq: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = hq.folder / "x.html"
    monkeypatch.setattr(page, "of_run", lambda *_: (file.mkdir(), "text")[1])
    done = hq("run", "--yes", "--html", str(file))
    assert done.exit_code == 1
    assert "hq: deleted 1 of 1 selected" in done.stdout
    assert "the page was not written" in done.stderr


def test_what_the_page_needs_more_of_the_ledger_does_not_change_the_history(hq: Setting) -> None:
    hq("run", "--yes")
    (deletion,) = json.loads(hq("history", "--format", "json").stdout)["deletions"]
    assert tuple(deletion) == COLUMNS


def test_report_without_a_ledger_says_so(tmp_path: Path) -> None:
    done = CliRunner().invoke(cli, ["--state", str(tmp_path), "report"])
    assert done.exit_code == 1
    assert "there is no ledger" in done.stderr


# --- what was not done ------------------------------------------------------------------------------


def end(ledger: Ledger, run: str, account: str = "hq", at: datetime = NOW, **more: Any) -> None:
    facts = {"status": "failed", "error": "HTTP 500 <b>", "exit": 1, "good": False, **more}
    Journal(ledger, run, account, "fake", lambda: at).note("end", **facts)


def test_a_run_that_could_do_nothing_has_a_line_and_its_reason(ledger: Ledger) -> None:
    end(ledger, "one")
    text = history(ledger)
    assert "Deleted 0 items in 1 run. Not everything was done in 1 run." in text
    assert "Needs attention hq could not be listed; nothing was deleted there: HTTP 500 <b> ( 2026-03-01" in text
    assert "2026-03-01 12:00 UTC 1 account unknown 0 could not be listed: hq" in text
    assert "hq fake · could not be listed in its last run 0 0" in text
    assert "What was not done" in text


def test_what_was_done_since_needs_no_attention_and_is_still_in_the_history(ledger: Ledger) -> None:
    end(ledger, "one", at=NOW - DAY, status="refused", error="more than max_deletions")
    end(ledger, "two", status="ok", error=None, good=True)
    text = history(ledger)
    assert "Needs attention" not in text
    assert "more than max_deletions refused by a safety limit" in text
    assert "Not everything was done in 1 run." in text


def test_what_the_time_limit_left_over_needs_no_attention(ledger: Ledger) -> None:
    end(ledger, "one", status="partial", error="7 deferred", good=True)
    text = history(ledger)
    assert "Needs attention" not in text
    assert "7 deferred not finished" in text


def test_an_end_that_an_older_release_recorded_has_no_reason(ledger: Ledger) -> None:
    Journal(ledger, "one", "hq", "fake", lambda: NOW).note("end", status="failed", exit=1, good=False)
    assert "hq could not be listed; nothing was deleted there: no reason was recorded" in history(ledger)
