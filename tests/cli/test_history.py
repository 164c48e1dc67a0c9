"""``history``: what was done and what was not, proven at both ends, however long it is."""

from __future__ import annotations

import base64
import io
import json
import re
import sqlite3
import tracemalloc
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from confcleanup.cli.history import document
from confcleanup.records.ledger import Ledger
from confcleanup.records.proof import FILE, HEAD
from confcleanup.redact import PLACE
from confcleanup.sandbox.server import Request, Response
from tests.cli.test_cli import Setting
from tests.cli.test_cli import hq as hq  # a fixture

pytestmark = pytest.mark.usefixtures("no_waiting")
DAY = timedelta(days=1)
NO_LIST = Response(500, {"error": {"message": "the list is not available"}})


def no_list(request: Request) -> Response | None:
    return NO_LIST if request.method == "GET" else None


def not_done(hq: Setting, *words: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(hq("history", "--format", "json", *words).stdout)["not_done"]
    return found


# What was not done --------------------------------------------------------------------------------


def test_an_account_that_could_not_be_listed_stands_in_the_history(hq: Setting) -> None:
    hq.emulator.interfere.append(no_list)
    assert hq("run", "--yes").exit_code == 1
    (entry,) = not_done(hq)
    assert list(entry) == ["run", "account", "provider", "at", "status", "error"]
    assert (entry["account"], entry["provider"], entry["status"]) == ("hq", "trueconf", "failed")
    assert "500" in entry["error"]
    table = hq("history").stdout
    line = rf"{entry['at'][:10]} \d\d:\d\d UTC  failed +hq .* the account could not be listed: "
    assert re.search(line + re.escape(entry["error"]), table)
    assert table.endswith("0 deletions.\n")


def test_an_account_that_a_guard_refused_stands_in_the_history_with_the_reason(hq: Setting) -> None:
    hq.write(max_deletions=0)
    assert hq("run", "--yes").exit_code == 3
    (entry,) = not_done(hq)
    assert entry["status"] == "refused"
    assert "max_deletions" in entry["error"]
    line = r"UTC  refused +hq .* the account was refused, nothing was deleted there: .*max_deletions"
    assert re.search(line, hq("history").stdout)


def test_a_run_that_nobody_confirmed_stands_in_the_history(hq: Setting) -> None:
    assert hq("run").exit_code == 3
    assert "not confirmed" in not_done(hq)[0]["error"]


def test_an_account_that_was_not_finished_says_how_much_is_left(hq: Setting) -> None:
    hq.emulator.interfere.append(lambda request: Response(409) if request.method == "DELETE" else None)
    assert hq("run", "--yes").exit_code == 1
    (entry,) = not_done(hq)
    assert (entry["status"], entry["error"]) == ("partial", "1 failed")
    assert re.search(r"UTC  partial +hq .* the account was not finished: 1 failed", hq("history").stdout)


def test_what_is_done_and_what_only_a_dry_run_could_not_do_is_not_in_that_list(hq: Setting) -> None:
    hq("run", "--yes")
    hq.emulator.interfere.append(no_list)
    assert hq("plan").exit_code == 1
    assert not_done(hq) == []


def test_what_was_not_done_is_chosen_by_account_and_time_and_has_no_rule_id_or_outcome(hq: Setting) -> None:
    hq.emulator.interfere.append(no_list)
    hq("run", "--yes")
    assert len(not_done(hq, "--account", "hq", "--since", "2020-01-01", "--until", "2100-01-01")) == 1
    for words in (
        ["--since", "2100-01-01"],
        ["--until", "2020-01-01"],
        ["--rule", "tagged rooms"],
        ["--id", "0073310045"],
        ["--outcome", "failed"],
    ):
        assert not_done(hq, *words) == []


def test_jsonl_and_csv_hold_deletions_alone(hq: Setting) -> None:
    hq.emulator.interfere.append(no_list)
    hq("run", "--yes")
    assert hq("history", "--format", "jsonl").stdout == ""
    assert len(hq("history", "--format", "csv").stdout.splitlines()) == 1


def test_what_a_vendor_said_is_recorded_without_secrets_and_not_without_end(hq: Setting) -> None:
    secret = hq.emulator.client_secret
    header = base64.b64encode(f"anna:{secret}".encode()).decode()
    said = f"no {secret.encode().hex()} {header} {'x' * 5000}"
    hq.emulator.interfere.append(
        lambda request: Response(403, {"error": {"message": said}}) if request.method == "GET" else None
    )
    hq("run", "--yes")
    (entry,) = not_done(hq)
    assert PLACE in entry["error"]
    assert header not in entry["error"]
    assert len(entry["error"]) <= 500


# The proof ----------------------------------------------------------------------------------------


def change(hq: Setting, *statements: str) -> None:
    with closing(sqlite3.connect(hq.folder / "state" / FILE)) as db, db:
        for statement in statements:
            db.execute(statement)


def test_the_proof_names_the_first_and_the_last_entry(hq: Setting) -> None:
    hq("run", "--yes")
    done = hq("history", "--verify")
    assert done.exit_code == 0
    assert done.stdout.startswith("5 entries, 1 to 5, none altered and none missing. The last one's hash is ")


def test_the_proof_names_what_was_pruned(hq: Setting) -> None:
    hq("run", "--yes")
    now = datetime(2100, 1, 1, tzinfo=UTC)
    with Ledger(hq.folder / "state") as ledger:
        assert ledger.prune(now, now) == 5
    done = hq("history", "--verify")
    assert "1 entry, 6 to 6, " in done.stdout
    assert "Entries up to 5 were pruned, as older than 2100-01-01T00:00:00Z; that was recorded at 2" in done.stdout


@pytest.mark.parametrize("moved", [False, True])
def test_a_cut_beginning_fails_the_proof_and_the_next_run_and_the_rest_can_be_read(hq: Setting, moved: bool) -> None:
    hq("run", "--yes")
    if moved:
        change(hq, "UPDATE anchor SET seq = 1, hash = (SELECT hash FROM event WHERE seq = 1)")
    change(hq, "DELETE FROM event WHERE seq = 1")
    hq.emulator.add_conference("0073310047", ended=41 * DAY)
    for words in (["history", "--verify"], ["run", "--yes"], ["plan"]):
        done = hq(*words)
        assert done.exit_code == 1
        assert "restore the ledger from a backup" in done.stderr
    assert "0073310047" in hq.emulator.conferences
    shown = hq("history")
    assert "0073310045" in shown.stdout
    assert "this history is incomplete or altered" in shown.stderr


def test_an_empty_ledger_is_no_proof_and_no_run_begins_with_it_unknowingly(hq: Setting) -> None:
    hq("run", "--yes")
    (hq.folder / "state" / FILE).write_bytes(b"")
    hq.emulator.add_conference("0073310047", ended=41 * DAY)
    for words in (["history", "--verify"], ["history"], ["run", "--yes"], ["plan"]):
        done = hq(*words)
        assert done.exit_code == 1
        assert "ledger.head beside it shows that there was one" in done.stderr
    assert "0073310047" in hq.emulator.conferences
    (hq.folder / "state" / HEAD).unlink()
    assert hq("run", "--yes").exit_code == 0


def test_without_the_file_of_the_head_the_proof_says_what_it_cannot_tell(hq: Setting) -> None:
    hq("run", "--yes")
    (hq.folder / "state" / HEAD).unlink()
    done = hq("history", "--verify")
    assert done.exit_code == 0
    assert "there is no ledger.head beside the ledger" in done.stderr


# However long it is -------------------------------------------------------------------------------


def test_the_document_is_json_whatever_is_in_it() -> None:
    lists: dict[str, list[Any]] = {"deletions": [{"id": "a"}, {"id": "b"}], "restores": [], "not_done": [{"x": None}]}
    assert json.loads("".join(document({"version": 1}, lists))) == {"version": 1, **lists}
    assert json.loads("".join(document({"version": 1}, {}))) == {"version": 1}


def test_each_entry_is_written_before_the_next_is_read() -> None:
    read: list[int] = []

    def entries() -> Iterator[dict[str, int]]:
        for number in range(3):
            read.append(number)
            yield {"number": number}

    pieces = document({"version": 1}, {"deletions": entries()})
    seen = [(piece, len(read)) for piece in pieces if "number" in piece]
    assert [count for _, count in seen] == [1, 2, 3]


def test_the_memory_does_not_grow_with_the_history(hq: Setting) -> None:
    """8,000 deletions are more than 2 MB of JSON; they pass one by one."""
    hq("run", "--yes")
    change(
        hq,
        "WITH RECURSIVE n(i) AS (SELECT 100 UNION ALL SELECT i + 1 FROM n WHERE i < 8099) INSERT INTO event "
        "(seq, kind, body, hash, intent) SELECT i, kind, body, hash, intent FROM n, event "
        "WHERE event.seq = (SELECT min(seq) FROM event WHERE kind = 'intent')",
    )

    class Counting(io.TextIOBase):
        size = 0

        def write(self, text: str) -> int:
            self.size += len(text)
            return len(text)

    out = Counting()
    with Ledger(hq.folder / "state", writable=False, whole=False) as ledger:
        tracemalloc.start()
        out.writelines(document({"version": 1}, {"deletions": ledger.deletions()}))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert out.size > 2_000_000
    assert peak < 500_000
