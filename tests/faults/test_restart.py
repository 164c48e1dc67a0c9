"""A conference may be restarted while a run waits: whatever it waits for, no deletion rests on a look from before."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from confcleanup.deadline import FRESH
from confcleanup.sandbox.server import Request, Response, Server
from confcleanup.sandbox.trueconf import TrueConf

LONG = FRESH + 0.5
"""Seconds that each wait lasts: longer than a look counts."""
CARELESS = 0.3
"""Seconds by which two clocks, and a request's way, may differ."""


class Watchful(TrueConf):
    """Notes every deletion that arrives when the last look at its conference no longer counts.

    ``wait`` is called once, at the first deletion, and may answer it in the vendor's place.
    """

    def __init__(self, wait: Callable[[Watchful, Request], Response | None]) -> None:
        super().__init__()
        self.looked: dict[str, float] = {}
        self.stale: list[str] = []
        self.pid = 0
        self.waits = 1
        self._wait = wait
        self._turn = threading.Lock()
        for number in range(3):
            self.add_conference(f"{number:010d}", ended=timedelta(days=40))
        self.interfere.append(self._before)
        self.after.append(self._noted)

    def _before(self, request: Request) -> Response | None:
        ident = request.segments[-1]
        if request.method != "DELETE":
            return None
        if time.monotonic() - self.looked.get(ident, 0.0) > FRESH + CARELESS:
            self.stale.append(ident)
        with self._turn:
            due, self.waits = self.waits > 0, self.waits - 1
        return self._wait(self, request) if due else None

    def _noted(self, request: Request, _: Response) -> Response | None:
        ident = request.segments[-1]
        if request.method == "GET" and ident in self.conferences:
            self.looked[ident] = time.monotonic()
        return None


def asked_to_wait(status: int) -> Callable[[Watchful, Request], Response | None]:
    return lambda vendor, _: Response(status, {}, {"Retry-After": str(round(LONG + 0.5))})


def signed_out(vendor: Watchful, _: Request) -> Response | None:
    """The token has run out, and a new one takes long."""
    vendor.expire_tokens()

    def slow(request: Request) -> Response | None:
        if request.method == "POST":
            time.sleep(LONG)  # the vendor's own time, not a wait of the test's
        return None

    vendor.interfere.append(slow)
    return None


def suspended(vendor: Watchful, request: Request) -> None:
    """The process stands still from the first look on, as on a laptop that sleeps."""

    def stop_and_go(asked: Request, _: Response) -> None:
        if asked.method == "GET" and asked.segments[-1] in vendor.conferences and vendor.waits > 0:
            vendor.waits -= 1
            os.kill(vendor.pid, signal.SIGSTOP)
            threading.Timer(LONG, os.kill, (vendor.pid, signal.SIGCONT)).start()

    vendor.after.append(stop_and_go)


def run(vendor: Watchful, folder: Path, **keys: str) -> subprocess.CompletedProcess[str]:
    with Server(vendor) as server:
        config = folder / "config.toml"
        config.write_text(vendor.account("hq", server.url, **keys), encoding="utf-8")
        config.chmod(0o600)
        words = ["-c", str(config), "--state", str(folder / "state"), "run", "--yes"]
        process = subprocess.Popen(
            [sys.executable, "-m", "confcleanup", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        with process:
            vendor.pid = process.pid
            out, err = process.communicate(timeout=50)
    return subprocess.CompletedProcess(words, process.returncode, out, err)


@pytest.mark.parametrize(
    "wait",
    [
        pytest.param(asked_to_wait(429), id="429"),
        pytest.param(asked_to_wait(503), id="503"),
        pytest.param(signed_out, id="a renewed sign-in"),
    ],
)
def test_no_deletion_rests_on_a_look_from_before_a_wait(wait: object, tmp_path: Path) -> None:
    vendor = Watchful(wait)  # type: ignore[arg-type]  # pytest hands it on as it is
    done = run(vendor, tmp_path)
    assert (vendor.stale, done.returncode, vendor.conferences) == ([], 0, {}), done.stderr


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="only POSIX suspends a process by a signal")
def test_no_deletion_rests_on_a_look_from_before_a_suspension(tmp_path: Path) -> None:
    vendor = Watchful(lambda *_: None)
    suspended(vendor, Request("GET", "", (), {}))
    done = run(vendor, tmp_path)
    assert (vendor.stale, done.returncode, vendor.conferences) == ([], 0, {}), done.stderr


def test_no_deletion_rests_on_an_old_look_at_the_slowest_rate(tmp_path: Path) -> None:
    vendor = Watchful(lambda *_: None)
    done = run(vendor, tmp_path, rate="1/s")
    assert (vendor.stale, done.returncode, vendor.conferences) == ([], 0, {}), done.stderr
