"""The vendors' sources as the fault tests see them: what an emulator holds, and what it has acknowledged."""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from confcleanup.config import load as config
from confcleanup.records.ledger import Ledger
from confcleanup.run import Ports, Run, resolve
from confcleanup.run import run as run_accounts
from confcleanup.sandbox.huawei import RECORDINGS, Huawei
from confcleanup.sandbox.server import Clock, Emulator, Seen
from confcleanup.sandbox.trueconf import TrueConf
from confcleanup.sandbox.vobiz import Vobiz
from confcleanup.sandbox.vonage import Vonage

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
HONEST_UNKNOWN = re.compile(
    "a follow-up check was inconclusive|still live, or another room|it was still there|cannot be told from a new one"
)
Key = tuple[str, str]
"""A source and an id."""


@dataclass(frozen=True)
class Vendor:
    """One source of one vendor: how to make its emulator, and how to fill it with a few items."""

    make: Callable[[Clock], Emulator]
    what: str
    add: Callable[[Emulator, int, bool], str]

    def small(self, clock: Clock, old: int, young: int) -> Emulator:
        """An emulator with so many items that must go, and so many that must stay."""
        emulator = self.make(clock)
        emulator.doomed = {self.what: {self.add(emulator, number, True) for number in range(old)}}
        for number in range(old, old + young):
            self.add(emulator, number, False)
        return emulator

    def rules(self, account: config.Account) -> list[str]:
        """The names of the sample rules for this source."""
        return [rule.name for rule in account.rules if rule.what == self.what]


def _age(old: bool, number: int) -> timedelta:
    return (40 if old else 3) * DAY + number * HOUR


def _conference(emulator: TrueConf, number: int, old: bool) -> str:
    ident = f"{73310045 + number:010d}"
    emulator.add_conference(ident, ended=_age(old, number), tags=["delete"])
    return ident


def _room(emulator: Vobiz, number: int, old: bool) -> str:
    name = f"room {number}"
    emulator.add_room(name, running=(9 if old else 1) * HOUR)
    return name


def _vobiz_recording(emulator: Vobiz, number: int, old: bool) -> str:
    ident = f"7c1d2e3f-0000-4000-8000-{number:012d}"
    emulator.add_recording(ident, ended=_age(old, number))
    return ident


def _huawei_recording(emulator: Huawei, number: int, old: bool) -> str:
    ident = Huawei.uuid(number)
    emulator.add_recording(ident, ended=_age(old, number))
    return ident


def _company(emulator: Vonage, number: int, old: bool) -> str:
    emulator.add_recording(204401 + number, ended=_age(old, number))
    return str(204401 + number)


def _on_demand(emulator: Vonage, number: int, old: bool) -> str:
    user = str(869048 + number % 2)
    emulator.add_user(user)
    emulator.add_recording(305001 + number, user=user, ended=_age(old, number))
    return str(305001 + number)


VENDORS: dict[str, Vendor] = {
    "trueconf-v3": Vendor(lambda clock: TrueConf(clock, api="v3.11"), "conferences", _conference),
    "trueconf-v4": Vendor(lambda clock: TrueConf(clock, api="v4"), "conferences", _conference),
    "vobiz-rooms": Vendor(Vobiz, "conferences", _room),
    "vobiz-recordings": Vendor(Vobiz, "recordings", _vobiz_recording),
    "huawei-recordings": Vendor(Huawei, "recordings", _huawei_recording),
    "vonage-company": Vendor(Vonage, "company-recordings", _company),
    "vonage-on-demand": Vendor(Vonage, "on-demand-recordings", _on_demand),
}  # type: ignore[dict-item]  # an emulator's add takes that emulator


def held(emulator: Emulator) -> set[Key]:
    """Everything that an emulator holds now."""
    match emulator:
        case TrueConf():
            return {("conferences", ident) for ident in emulator.conferences}
        case Vobiz():
            rooms = {("conferences", name) for name in emulator.rooms}
            return rooms | {("recordings", ident) for ident in emulator.recordings}
        case Huawei():
            return {("recordings", ident) for ident in emulator.recordings}
        case Vonage():
            users = {("on-demand-recordings", ident) for rows in emulator.on_demand.values() for ident in rows}
            return users | {("company-recordings", ident) for ident in emulator.company}
    raise AssertionError(emulator)


def acknowledged(emulator: Emulator) -> Counter[Key]:
    """How many times the emulator's own log says that it deleted each item."""
    return Counter(key for seen in list(emulator.seen) if seen.request.method == "DELETE" for key in _deleted(seen))


def _deleted(seen: Seen) -> list[Key]:
    parts = [part for part in seen.request.segments if part]
    if not 200 <= seen.status < 300:
        return []
    if seen.request.path == RECORDINGS:
        return [("recordings", ident) for ident in (seen.request.arg("confUUIDs") or "").split(",")]
    known = {
        "conferences": "conferences",
        "Conference": "conferences",
        "Recording": "recordings",
        "company_call_recordings": "company-recordings",
        "call_recordings": "on-demand-recordings",
    }
    return [(known[parts[-2]], parts[-1])] if len(parts) > 1 and parts[-2] in known else []


def doomed(emulator: Emulator, what: str | None = None) -> set[Key]:
    """What the sample rules must delete, of one source or of all."""
    return {(source, ident) for source, ids in emulator.doomed.items() for ident in ids if what in (None, source)}


def write_config(emulator: Emulator, url: str, folder: Path, **extra: object) -> Path:
    """The config file of the account that cleans an emulator."""
    file = folder / "config.toml"
    file.write_text(emulator.account("a", url, **extra), encoding="utf-8")  # type: ignore[attr-defined]  # each has it
    file.chmod(0o600)
    return file


def run(file: Path, state: Path, clock: Clock, rules: Sequence[str] = (), *, delete: bool = True) -> Run:
    """Plans and, if asked to, deletes, as the command does."""
    loaded = config.load(file)
    options = resolve(loaded, list(loaded.accounts.values()), clock(), rules=rules, delete=delete)
    with Ledger(state) as ledger:
        return run_accounts(options, Ports(clock=clock, confirm=None, ledger=ledger))


def wrongs(emulator: Emulator, before: set[Key], may_go: set[Key]) -> list[str]:
    """What the emulator's own log and state hold against the client, whatever the client says."""
    gone, answered = before - held(emulator), acknowledged(emulator)
    found = [f"{key} is gone, and no rule selects it" for key in gone - may_go]
    found += [f"{key} was deleted {count} times" for key, count in answered.items() if count > 1]
    found += [f"{key} was deleted, and no rule selects it" for key in answered.keys() - may_go]
    found += [f"{key} is gone without an acknowledged deletion" for key in gone - answered.keys()]
    return found + list(emulator.disasters)


def lies(emulator: Emulator, state: Path) -> list[str]:
    """Where the ledger says something else of an item's deletion than the emulator's state.

    The last word on an item counts. ``unknown`` is no lie, if it says that looking failed, or that nobody can
    tell by looking (a room without details).
    """
    with Ledger(state, writable=False) as ledger:
        ledger.verify()
        words = {(entry["what"], entry["id"]): entry for entry in ledger.deletions()}
    now, found = held(emulator), []
    for key, entry in words.items():
        there, said = key in now, entry["outcome"]
        if said == "unknown" and HONEST_UNKNOWN.search(entry["error"] or ""):
            continue
        if there == (said in ("deleted", "gone")) or said == "unknown":
            found.append(f"{key} is {'there' if there else 'gone'}, the ledger says {said}: {entry['error']}")
        if said == "gone" and key in acknowledged(emulator):
            found.append(f"{key} was deleted by the program, the ledger says that it was gone before")
    return found + [f"{key} was deleted without a word" for key in acknowledged(emulator).keys() - words.keys()]


def miscounts(done: Run) -> list[str]:
    """Where an account's counts do not add up."""
    return [
        f"{plan.account}: {plan}"
        for plan in done.plans
        if (done.mode == "run" and any(entry.outcome is None for entry in plan.selected))
        or (not plan.failed and plan.listed < len(plan.selected) + plan.kept.total())
    ]


def figures(*words: object) -> None:
    """Adds a line to the file that CONFCLEANUP_FIGURES names, if it names one."""
    if file := os.environ.get("CONFCLEANUP_FIGURES"):
        with Path(file).open("a", encoding="utf-8") as out:
            out.write(json.dumps(words) + "\n")
