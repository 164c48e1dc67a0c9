"""Two runs of one account at once, each of its own source; one of them is killed, and the other must not notice."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from confcleanup.records.ledger import Ledger
from confcleanup.sandbox.server import Request, Response, Server, utc_clock
from confcleanup.sandbox.vonage import Vonage
from tests.faults.test_kill import call
from tests.faults.worlds import VENDORS, acknowledged, doomed, held, write_config, wrongs

COMPANY, ON_DEMAND = "company-recordings", "on-demand-recordings"
OLD, YOUNG = 8, 3
PATIENCE = 30


def both() -> Vonage:
    """A Vonage account with recordings of both sources."""
    emulator = VENDORS["vonage-company"].small(utc_clock, OLD, YOUNG)
    assert isinstance(emulator, Vonage)
    add = VENDORS["vonage-on-demand"].add
    emulator.doomed[ON_DEMAND] = {add(emulator, number, True) for number in range(OLD)}
    for number in range(OLD, OLD + YOUNG):
        add(emulator, number, False)
    return emulator


class Pair:
    """Starts a run of each source; their first deletions are answered only when both have been asked for."""

    def __init__(self, emulator: Vonage, url: str, folder: Path) -> None:
        config, self.state = write_config(emulator, url, folder, concurrency=2), folder / "state"
        self.words = ["-c", str(config), "--state", str(self.state), "run", "--yes", "--rule"]
        self._emulator = emulator
        self._together = threading.Barrier(2)
        self._seen: set[str] = set()
        self._lock = threading.Lock()
        self.at: Callable[[str], None] = lambda what: None
        emulator.interfere.append(self._meet)

    def _meet(self, request: Request) -> Response | None:
        if request.method != "DELETE":
            return None
        what = COMPANY if "company_call_recordings" in request.path else ON_DEMAND
        with self._lock:
            first = what not in self._seen
            self._seen.add(what)
        if first:
            self._together.wait(PATIENCE)
            self.at(what)
        return None

    def start(self, what: str) -> subprocess.Popen[str]:
        words = [sys.executable, "-m", "confcleanup", *self.words, f"old {what}", "--format", "json"]
        return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def verified(self) -> None:
        checked = call("--state", str(self.state), "history", "--verify")
        assert checked.exit_code == 0, checked.output


def test_two_sources_of_one_account_are_cleaned_at_once_and_the_ledger_is_whole(tmp_path: Path) -> None:
    emulator = both()
    before, due = held(emulator), doomed(emulator)
    with Server(emulator) as server:
        pair = Pair(emulator, server.url, tmp_path)
        runs = [pair.start(what) for what in (COMPANY, ON_DEMAND)]
        ends = [run.communicate(timeout=PATIENCE) for run in runs]
    assert [run.returncode for run in runs] == [0, 0], ends
    assert [json.loads(out)["accounts"][0]["deleted"] for out, _ in ends] == [OLD, OLD]
    assert before - held(emulator) == due
    assert acknowledged(emulator).total() == len(due)
    pair.verified()
    with Ledger(pair.state, writable=False) as ledger:
        kinds = [body["what"] for _, body in ledger.open_intents("a")]
        assert (kinds, len(list(ledger.deletions()))) == ([], len(due))
    done = call("-c", pair.words[1], "--state", str(pair.state), "check", "--last-success", "1h")
    said = [line.partition(" ended ")[0] for line in done.stdout.splitlines()]
    assert (done.exit_code, said) == (0, [f"a: {what}: the last run without errors" for what in (COMPANY, ON_DEMAND)])


def test_a_run_that_is_killed_leaves_the_other_alone_and_its_open_deletions_to_its_own_next_run(tmp_path: Path) -> None:
    emulator = both()
    before, due = held(emulator), doomed(emulator)
    with Server(emulator) as server:
        pair = Pair(emulator, server.url, tmp_path)
        runs = {what: pair.start(what) for what in (COMPANY, ON_DEMAND)}

        def kill(what: str) -> None:
            if what == COMPANY:
                runs[COMPANY].send_signal(signal.SIGKILL)

        pair.at = kill
        ends = {what: run.communicate(timeout=PATIENCE) for what, run in runs.items()}
        assert [run.returncode for run in runs.values()] == [-signal.SIGKILL, 0], ends
        assert json.loads(ends[ON_DEMAND][0])["accounts"][0]["deleted"] == OLD
        pair.verified()
        with Ledger(pair.state, writable=False) as ledger:
            left_open = [body["what"] for _, body in ledger.open_intents("a")]
            assert set(left_open) == {COMPANY}
        again = call(*pair.words, f"old {ON_DEMAND}")
        assert again.exit_code == 0, again.output
        with Ledger(pair.state, writable=False) as ledger:
            assert len(ledger.open_intents("a")) == len(left_open), "they are not that source's"
        last = call(*pair.words, f"old {COMPANY}")
        assert last.exit_code == 0, last.output
        assert wrongs(emulator, before, due) == []
    assert before - held(emulator) == due
    assert acknowledged(emulator).total() == len(due)
    pair.verified()
    with Ledger(pair.state, writable=False) as ledger:
        assert ledger.open_intents("a") == []


WRITER = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from confcleanup.records.ledger import Ledger
print("ready", flush=True)
sys.stdin.readline()
at = datetime(2026, 3, 1, tzinfo=UTC).isoformat()
with Ledger(Path(sys.argv[1])) as ledger:
    for number in range(int(sys.argv[3])):
        ledger.append(("note", {"account": sys.argv[2], "number": number, "at": at}, None))
        if number % 10 == 9:
            print(number, flush=True)
"""


@pytest.mark.parametrize("killed", [False, True])
def test_processes_that_write_to_one_new_ledger_at_once_make_one_chain(tmp_path: Path, killed: bool) -> None:
    many, count = 4, 60
    words = [sys.executable, "-c", WRITER, str(tmp_path / "state")]
    writers = [
        subprocess.Popen([*words, str(n), str(count)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for n in range(many)
    ]
    for writer in writers:
        assert writer.stdout
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:
        assert writer.stdin
        writer.stdin.write("\n")
        writer.stdin.flush()
    if killed:
        assert writers[0].stdout
        assert writers[0].stdout.readline() == "9\n"
        writers[0].kill()
    for writer in writers:
        writer.communicate(timeout=PATIENCE)
    assert [writer.returncode for writer in writers[1:]] == [0] * (many - 1)
    with Ledger(tmp_path / "state", writable=False) as ledger:
        proof = ledger.verify()
        written: dict[str, list[int]] = {}
        for event in ledger.events("note"):
            written.setdefault(event["account"], []).append(event["number"])
    assert proof.headed
    assert all(numbers == list(range(len(numbers))) for numbers in written.values())
    assert [len(written[str(n)]) for n in range(1, many)] == [count] * (many - 1)
    assert 10 <= len(written["0"]) <= count
