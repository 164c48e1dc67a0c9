"""A run that is told to stop: what is under way is finished and recorded, the rest is left to the next run."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from confcleanup.sandbox.server import Request, Response, Server
from confcleanup.sandbox.trueconf import TrueConf

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals are POSIX's")
COUNT = 60


class Setting:
    """A TrueConf server with many conferences that are due, and the program as a process of its own."""

    def __init__(self, folder: Path, url: str, emulator: TrueConf) -> None:
        self.folder, self.emulator = folder, emulator
        self.config = folder / "config.toml"
        self.config.write_text(emulator.account("hq", url, concurrency=1), "utf-8")
        self.config.chmod(0o600)
        self.process: subprocess.Popen[str] | None = None
        self.options = ["-c", str(self.config), "--state", str(folder / "state")]

    def start(self, *words: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "confcleanup", *self.options]
        self.process = subprocess.Popen([*command, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        return self.process

    def __call__(self, *words: str) -> tuple[int, str, str]:
        with self.start(*words) as process:
            out, err = process.communicate(timeout=50)
        return process.returncode, out, err

    def at_the_third_deletion(self, act: Callable[[Request], Response | None]) -> None:
        """Calls ``act`` once, in the server, while the program waits for its third DELETE to be answered."""

        def hook(request: Request) -> Response | None:
            if request.method != "DELETE":
                return None
            deletions.append(request.segments[-1])
            return act(request) if len(deletions) == 3 else None

        deletions: list[str] = []
        self.emulator.interfere.append(hook)

    def send(self, number: int) -> None:
        assert self.process
        self.process.send_signal(number)

    def history(self) -> dict[str, str]:
        _, out, _ = self("history", "--format", "json")
        return {entry["id"]: entry["outcome"] for entry in json.loads(out)["deletions"]}


@pytest.fixture
def hq(tmp_path: Path) -> Iterator[Setting]:
    emulator = TrueConf(page_cap=100)
    for number in range(COUNT):
        emulator.add_conference(f"c{number:02}", ended=timedelta(days=41))
    with Server(emulator) as server:
        yield Setting(tmp_path, server.url, emulator)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_what_is_under_way_is_finished_and_recorded_and_the_rest_deferred(
    hq: Setting, number: int, status: int
) -> None:
    hq.at_the_third_deletion(lambda request: hq.send(number))  # type: ignore[func-returns-value]  # then it answers
    code, out, err = hq("run", "--yes", "--format", "json")
    assert code == status, err
    (account,) = json.loads(out)["accounts"]
    assert json.loads(out)["exit_code"] == status
    assert account["deleted"] >= 3
    assert account["deferred"] >= 1
    assert account["deleted"] + account["deferred"] == account["selected"] == COUNT
    gone = {item["id"] for item in account["items"] if item["outcome"] == "deleted"}
    assert gone == {f"c{number:02}" for number in range(COUNT)} - set(hq.emulator.conferences)
    assert hq.history() == dict.fromkeys(gone, "deleted")
    assert "Traceback" not in err


def test_a_hangup_that_was_ignored_at_the_start_stays_ignored(hq: Setting) -> None:
    """So ``nohup`` starts a program."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # which a child inherits
    try:
        hq.at_the_third_deletion(lambda request: hq.send(signal.SIGHUP))  # type: ignore[func-returns-value]  # as above
        assert hq("run", "--yes")[0] == 0
    finally:
        signal.signal(signal.SIGHUP, before)
    assert not hq.emulator.conferences


def test_a_terminal_that_is_closed_ends_the_run_as_a_hangup_does(hq: Setting) -> None:
    ours, theirs = os.openpty()

    def close(request: Request) -> None:
        os.close(ours)  # whatever is written from here on fails

    hq.at_the_third_deletion(close)  # type: ignore[arg-type]  # it returns None, and the server answers
    command = [sys.executable, "-m", "confcleanup", *hq.options, "-vv", "run", "--yes"]
    script = (
        "import fcntl, os, sys, termios\nfcntl.ioctl(0, termios.TIOCSCTTY, 0)\nos.execv(sys.argv[1], sys.argv[1:])\n"
    )
    program = subprocess.Popen(
        [sys.executable, "-c", script, *command], stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
    )
    os.close(theirs)
    assert program.wait(50) == 129
    gone = {f"c{number:02}" for number in range(COUNT)} - set(hq.emulator.conferences)
    assert len(gone) >= 3
    assert hq.history() == dict.fromkeys(gone, "deleted")


def test_a_second_signal_decides_the_status_of_a_run_that_ends_at_once(hq: Setting) -> None:
    ended = threading.Event()

    def twice(request: Request) -> Response | None:
        hq.send(signal.SIGTERM)
        while not ended.wait(0.05):
            hq.send(signal.SIGHUP)
        return None

    hq.at_the_third_deletion(twice)
    code, _, _ = hq("run", "--yes")
    ended.set()
    assert code == 129


def test_the_next_run_finishes_the_job(hq: Setting) -> None:
    hq.at_the_third_deletion(lambda request: hq.send(signal.SIGTERM))  # type: ignore[func-returns-value]  # as above
    assert hq("run", "--yes")[0] == 143
    assert hq("run", "--yes")[0] == 0
    assert not hq.emulator.conferences
    assert len(hq.emulator.requests("DELETE")) == COUNT
    assert set(hq.history().values()) == {"deleted"}


@pytest.mark.parametrize("obeyed", [True, False], ids=["the server did it", "the server did not"])
def test_a_second_signal_ends_at_once_and_the_next_run_finds_out_what_became_of_it(hq: Setting, obeyed: bool) -> None:
    ended, held = threading.Event(), threading.Event()

    def twice(request: Request) -> Response | None:
        hq.send(signal.SIGINT)
        while not ended.wait(0.05):  # CPython may leave one that comes right after another until its main thread wakes
            hq.send(signal.SIGTERM)
        hq.emulator.after.append(answered)
        return None if obeyed else refused()

    def refused() -> Response:
        held.set()
        return Response(close=True)

    def answered(request: Request, response: Response) -> Any:
        if request.method == "DELETE":
            held.set()

    hq.at_the_third_deletion(twice)
    code, out, _ = hq("run", "--yes")
    ended.set()
    assert (code, out) == (143, "")
    assert held.wait(50)
    left = set(hq.emulator.conferences)
    assert len(left) == COUNT - (3 if obeyed else 2)
    open_ones = [ident for ident, outcome in hq.history().items() if outcome == "unknown"]
    assert "c02" in open_ones
    code, out, err = hq("run", "--yes")
    assert code == 0, err
    assert not hq.emulator.conferences
    assert set(hq.history().values()) == {"deleted"}
    _, out, _ = hq("history", "--format", "json", "--id", "c02")
    outcomes = [entry["outcome"] for entry in json.loads(out)["deletions"]]
    assert outcomes == (["deleted"] if obeyed else ["failed", "deleted"])
    assert hq("history", "--verify")[0] == 0
