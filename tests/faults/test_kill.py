"""kill -9 at any point of a run: the next run finds out what became of what was under way, and finishes the job."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from click.testing import CliRunner, Result

from confcleanup.cli import cli
from confcleanup.records.ledger import Ledger
from confcleanup.sandbox.server import Emulator, Request, Response, Server, utc_clock
from tests.faults.worlds import VENDORS, acknowledged, doomed, figures, held, lies, write_config, wrongs

NAMES = list(VENDORS)
OLD, YOUNG = 10, 4
MANY_ROUNDS = 200
ANY = "any"
Kill = tuple[str, bool]
"""The method of the request at which a run dies, and whether the vendor still acts on it."""


class Killer:
    """Kills a process at its so many-th request: it is lost on the way, or the emulator acts on it and nobody hears."""

    def __init__(self, emulator: Emulator, method: str, at: int, *, acts: bool) -> None:
        self._emulator = emulator
        self._method = method
        self._left = at
        self._lock = threading.Lock()
        self._started = threading.Event()
        self._pid = 0
        self._done = False
        self.end = "not at all"
        self._acts = acts

    @contextmanager
    def waiting(self) -> Iterator[Killer]:
        hooks: list[Any] = self._emulator.after if self._acts else self._emulator.interfere
        hooks.append(self._after if self._acts else self._before)
        yield self
        hooks.pop()

    def run(self, *words: str) -> None:
        """Starts the program and waits for its end, whichever that is."""
        process = subprocess.Popen(
            [sys.executable, "-m", "confcleanup", *words], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        with process:
            self._pid = process.pid
            self._started.set()
            _, said = process.communicate(timeout=50)
        assert "Traceback" not in said, said
        assert process.returncode in (0, -signal.SIGKILL), said

    def _before(self, request: Request) -> Response | None:
        return Response(503, close=True) if self._kills(request) else None

    def _after(self, request: Request, response: Response) -> Response | None:
        return replace(response, close=True) if self._kills(request) else None

    def _kills(self, request: Request) -> bool:
        with self._lock:
            self._left -= self._method in (ANY, request.method)
            due = self._left == 0 and not self._done
            self._done = self._done or due
        if due:
            self._started.wait()
            self.end = f"{request.method} {'acted on' if self._acts else 'lost'}"
            os.kill(self._pid, signal.SIGKILL)
        return due


def call(*words: str) -> Result:
    return CliRunner().invoke(cli, list(words))


@cache
def requests_of_a_whole_run(name: str) -> Counter[str]:
    """How many requests of each method a run makes that nobody kills; all of them under ``any``."""
    emulator = VENDORS[name].small(utc_clock, OLD, YOUNG)
    with Server(emulator) as server, TemporaryDirectory() as folder:
        file = write_config(emulator, server.url, Path(folder), concurrency=4)
        assert call("-c", str(file), "--state", folder, "run", "--yes").exit_code == 0
    return Counter(seen.request.method for seen in emulator.seen) + Counter({ANY: len(emulator.seen)})


def kill_and_finish(name: str, folder: Path, dice: random.Random, *kills: Kill) -> list[str]:
    """Kills runs, lets one finish, and checks. What the requests were at which they died."""
    totals = requests_of_a_whole_run(name)
    emulator = VENDORS[name].small(utc_clock, OLD, YOUNG)
    before, due, state, died = held(emulator), doomed(emulator), folder / "state", []
    with Server(emulator) as server:
        file = write_config(emulator, server.url, folder, concurrency=dice.choice([1, 4]))
        command = ["-c", str(file), "--state", str(state), "run", "--yes"]
        for method, acts in kills:
            at = dice.randint(1, totals[method] or 1)
            with Killer(emulator, method, at, acts=acts).waiting() as killer:
                killer.run(*command)
            died.append(killer.end)
            assert wrongs(emulator, before, due) == []
        last = call(*command)
        assert last.exit_code == 0, last.output
        assert wrongs(emulator, before, due) + lies(emulator, state) == []
        assert before - held(emulator) == due
    checked = call("--state", str(state), "history", "--verify")
    assert checked.exit_code == 0, checked.output
    with Ledger(state, writable=False) as ledger:
        assert ledger.open_intents("a") == []
        words = [entry for entry in ledger.deletions() if entry["outcome"] in ("deleted", "gone")]
    assert {(entry["what"], entry["id"]) for entry in words} == due
    assert len(words) == len(due) == acknowledged(emulator).total()
    return died


@pytest.mark.parametrize(
    ("name", "kills"),
    [
        ("trueconf-v3", [("DELETE", True)]),
        ("vobiz-rooms", [("DELETE", False)]),
        ("huawei-recordings", [("DELETE", True)]),
        ("vonage-company", [("DELETE", True), (ANY, False)]),
    ],
)
def test_a_killed_run_is_finished_by_the_next_and_nothing_is_lost_or_forgotten(
    name: str, kills: list[Kill], tmp_path: Path
) -> None:
    kill_and_finish(name, tmp_path, random.Random(name), *kills)


@pytest.mark.nightly
@pytest.mark.parametrize("number", range(MANY_ROUNDS))
def test_many_killed_runs_are_finished_too(number: int, tmp_path: Path) -> None:
    name, dice = NAMES[number % len(NAMES)], random.Random(number)
    kills = [(dice.choice(["DELETE", "GET", ANY]), dice.random() < 0.5) for _ in range(dice.choice([1, 1, 2]))]
    figures("kill", name, kill_and_finish(name, tmp_path, dice, *kills))
