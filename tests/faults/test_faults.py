"""A vendor behind a bad line: whatever is cut, late or answered by somebody else, the same things hold.

The judge is the emulator's own log and state, not what the program says of itself.
"""

from __future__ import annotations

import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from confcleanup.config import load as config
from confcleanup.http.client import Http
from confcleanup.sandbox.server import Emulator, Server
from tests.faults.proxy import Fault, Plan, Proxy, no_faults, seeded
from tests.faults.worlds import VENDORS, Vendor, doomed, figures, held, lies, miscounts, run, write_config, wrongs

pytestmark = pytest.mark.usefixtures("no_waiting")
NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
SEEDS = range(2)
MANY_SEEDS = range(2, 60)


@pytest.fixture(autouse=True)
def soon_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer that does not come is waited for as long as a config can say at least, and here a third of that."""
    opened = Http.__init__

    def impatient(self: Http, *words: Any, timeout: timedelta, **more: Any) -> None:
        opened(self, *words, timeout=timeout / 3, **more)

    monkeypatch.setattr(Http, "__init__", impatient)


def filled(vendor: Vendor) -> Emulator:
    emulator = vendor.make(lambda: NOW)
    emulator.fill()  # type: ignore[attr-defined]  # each emulator has it
    return emulator


class Trial:
    """One vendor, its emulator behind the proxy, and the account that cleans it."""

    def __init__(self, vendor: Vendor, folder: Path, url: str, emulator: Emulator) -> None:
        self.emulator = emulator
        self.vendor = vendor
        self.state = folder / "state"
        self.file = write_config(emulator, url, folder, timeout="1 second", concurrency=4)
        self.before = held(emulator)
        self.due = doomed(emulator, vendor.what)
        (account,) = config.load(self.file).accounts.values()
        self.rules = vendor.rules(account)

    def go(self, *, delete: bool = True) -> list[str]:
        """A plan or a run, and everything that is wrong after it."""
        done = run(self.file, self.state, lambda: NOW, self.rules, delete=delete)
        return miscounts(done) + wrongs(self.emulator, self.before, self.due) + lies(self.emulator, self.state)


def try_out(vendor: Vendor, emulator: Emulator, folder: Path, plan: Plan) -> Counter[Fault]:
    """A plan and a run with faults, then a run without; checks after each. What happened, by fault."""
    with Server(emulator) as server:
        proxy = Proxy(server.port, plan)
        with proxy.serve() as url:
            trial = Trial(vendor, folder, url, emulator)
            assert trial.go(delete=False) == []
            assert held(emulator) == trial.before
            assert emulator.requests("DELETE") == []
            assert trial.go() == []
            proxy.plan = no_faults
            assert trial.go() == []
            assert trial.before - held(emulator) == trial.due
    return Counter(fault for _, _, fault in proxy.done)


def bad_line(seed: int) -> Plan:
    """Listings that mostly get through, deletions that mostly do not get through at once."""
    reading = random.Random(seed).choice([0.0, 0.01, 0.04, 0.25])
    return seeded(seed, {"GET": reading, "POST": reading, "DELETE": 0.6})


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", VENDORS)
def test_on_a_bad_line_only_what_must_go_goes_once_and_the_ledger_is_right(
    name: str, seed: int, tmp_path: Path
) -> None:
    vendor = VENDORS[name]
    assert try_out(vendor, filled(vendor), tmp_path, bad_line(seed))


@pytest.mark.nightly
@pytest.mark.parametrize("seed", MANY_SEEDS)
@pytest.mark.parametrize("name", VENDORS)
def test_on_many_bad_lines_the_same_holds(name: str, seed: int, tmp_path: Path) -> None:
    vendor = VENDORS[name]
    figures(name, try_out(vendor, filled(vendor), tmp_path, bad_line(seed)))


@pytest.mark.parametrize("fault", Fault)
@pytest.mark.parametrize("name", VENDORS)
def test_every_fault_at_the_first_deletion_is_resolved(name: str, fault: Fault, tmp_path: Path) -> None:
    due = iter([fault])
    vendor = VENDORS[name]
    emulator = vendor.small(lambda: NOW, old=3, young=2)
    happened = try_out(
        vendor, emulator, tmp_path, lambda number, method: next(due, None) if method == "DELETE" else None
    )
    assert happened == {fault: 1}
