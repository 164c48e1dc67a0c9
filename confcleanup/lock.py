"""The locks: one run at a time for each account and source in a state folder.

Runs take turns to try, and a try either ends at once or takes what is free. Nobody waits for one lock while it holds
another, so two runs never wait for each other.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import socket
import threading
import time
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from datetime import timedelta
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from .cutoff import humanize
from .errors import LedgerError, Locked, Stopped
from .redact import harmless, redact
from .system import allow_open_files, machine, share, why_denied

if TYPE_CHECKING:
    from filelock import BaseFileLock

log = logging.getLogger(__name__)
FOLDER = "locks"
WHOLE = "lock"
"""The lock of the whole folder that earlier releases take. Runs share it, so that none of those begins meanwhile."""
GATE = "gate.lock"
PATIENCE = 60.0
"""Seconds to wait for a lock that is only ever held for a moment."""
POLL = 0.5
OTHER_FILES = 1024
"""Room for connections, the ledger and archives, beside one file for each lock."""
NO_WAIT = timedelta(0)


class Claim(msgspec.Struct, frozen=True):
    """An account that a run wants for itself, with the sources that it wants of it.

    ``identity`` tells it from all other accounts. ``spare``: sources that the run takes as well if they are free.
    """

    account: str
    identity: str
    sources: Collection[str]
    spare: Collection[str] = ()


class Held(msgspec.Struct):
    """What a run got.

    ``busy``: who is at work, in words, by the accounts that it did not get. ``sources``: what it got of the others.
    """

    busy: dict[str, str] = msgspec.field(default_factory=dict)
    sources: dict[str, Collection[str]] = msgspec.field(default_factory=dict)
    waited: bool = False


@contextmanager
def lock(
    state: Path, claims: Sequence[Claim], wait: timedelta = NO_WAIT, asked: threading.Event | None = None
) -> Iterator[Held]:
    """Holds accounts and sources of a state folder; the system lets go of them if the process dies.

    While one of them is busy it waits, for ``wait`` at most and until it is ``asked`` to stop, and holds nothing.
    Then it takes what is free. Raises Locked, naming the holder, if that is nothing; Stopped; LedgerError.
    """
    asked = asked or threading.Event()
    until, held = time.monotonic() + wait.total_seconds(), Held()
    allow_open_files(OTHER_FILES + sum(len(claim.sources) + len(claim.spare) for claim in claims))
    with ExitStack() as stack:
        while True:
            last = time.monotonic() >= until
            busy = _try(state, claims, held, stack, all_or_none=not last)
            if not busy or last:
                break
            if not held.waited:
                log.warning("%s; waiting for up to %s", _told(busy), humanize(wait))
                held.waited = True
            if asked.wait(min(POLL, max(0.0, until - time.monotonic()))):
                raise Stopped(f"stopped while waiting for another run ({_told(busy)}); nothing was done")
        if busy and len(busy) == len(claims):
            after = f" after {humanize(wait)}" if held.waited else ""
            raise Locked(f"{_told(busy)}{after}; nothing was done: wait for it to end")
        held.busy = busy
        yield held


def _try(state: Path, claims: Sequence[Claim], held: Held, stack: ExitStack, *, all_or_none: bool) -> dict[str, str]:
    """Takes every claim that is free, or none of them; who is busy with the others, by account."""
    try:
        state.mkdir(parents=True, exist_ok=True, mode=0o700)
        with alone(state / FOLDER / GATE), ExitStack() as mine:
            busy = _take(state, claims, held, mine)
            if not (busy and all_or_none):
                stack.push(mine.pop_all())
    except OSError as error:
        why = why_denied(Path(error.filename or state), error, own=state)
        raise LedgerError(f"the state folder cannot be used, so nothing was contacted: {why}") from None
    return busy


def _take(state: Path, claims: Sequence[Claim], held: Held, mine: ExitStack) -> dict[str, str]:
    if (release := _shared(state / WHOLE)) is None:
        who = f"another run{_holder(state / 'holder')} of an older release holds {state}"
        return {claim.account: who for claim in claims}
    mine.callback(release)
    if other := _elsewhere(state / FOLDER, mine):
        return {claim.account: other for claim in claims}
    busy: dict[str, str] = {}
    held.sources = {}
    for claim in claims:
        with ExitStack() as own:
            for what in sorted(claim.sources):
                file = _file(state, claim, what)
                if not _acquire(file, own):
                    busy[claim.account] = f"another run{_holder(file.with_suffix('.holder'))} is cleaning {what}"
                    break
            else:
                spare = [what for what in sorted(claim.spare) if _acquire(_file(state, claim, what), own)]
                held.sources[claim.account] = {*claim.sources, *spare}
                mine.push(own.pop_all())
    return busy


def _acquire(file: Path, stack: ExitStack) -> bool:
    """Takes a lock until the stack is closed, and says beside it who holds it; False if somebody has it."""
    from filelock import FileLock, Timeout

    held: BaseFileLock = FileLock(file, timeout=0, mode=0o600)
    holder = file.with_suffix(".holder")
    try:
        held = _acquired(held)
    except Timeout:
        return False
    stack.callback(held.release)
    stack.callback(holder.unlink, missing_ok=True)
    holder.write_text(f"process {os.getpid()} on {socket.gethostname()}", encoding="utf-8")
    return True


def _acquired(held: BaseFileLock) -> BaseFileLock:
    """Takes a lock; on a file system without locks, a file that is there or not stands for it.

    Newer filelock does that by itself, with a Python warning; older raises NotImplementedError.
    """
    from filelock import SoftFileLock

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            held.acquire()
            soft = any("flock" in str(warning.message) for warning in caught)
        except NotImplementedError:  # and it leaves the file that it could not lock
            held, soft = SoftFileLock(f"{held.lock_file}.soft", timeout=held.timeout, mode=0o600), True
            held.acquire()
    if soft:
        folder = Path(held.lock_file).parent
        _warn_of_soft_locks(folder.parent if folder.name == FOLDER else folder)
    return held


@cache
def _warn_of_soft_locks(folder: Path) -> None:
    log.warning(
        "the file system of %s has no file locks, so files *.lock in it stand for them; if a run is killed some may "
        "stay, and later runs end with status 4 until you remove them; a folder on a local disk (--state) avoids this",
        folder,
    )


def _shared(file: Path) -> Callable[[], None] | None:
    """Shares the lock of the whole folder; None if a run of an older release has it.

    Where the system cannot share one, this only makes sure that no such run is at work now.
    """
    from filelock import FileLock, Timeout

    with suppress(BlockingIOError):
        if (handle := share(file)) is not None:
            return partial(os.close, handle)
        with suppress(Timeout):
            _acquired(FileLock(file, timeout=0)).release()
            return _nothing
    return None


def _elsewhere(folder: Path, stack: ExitStack) -> str | None:
    """Who uses this folder from another machine, in words. If nobody does, this machine has it until the stack closes.

    Processes of one machine can write to the ledger together; SQLite does not allow that to several machines.
    """
    from filelock import FileLock, Timeout

    own = folder / f"machine-{hashlib.sha256(machine().encode()).hexdigest()[:16]}.lock"
    for file in folder.glob("machine-*.lock"):
        if file != own:
            try:
                held = _acquired(FileLock(file, timeout=0))
            except Timeout:
                return f"another run on another machine is using {folder.parent}"
            file.unlink(missing_ok=True)
            held.release()
    if (handle := share(own)) is not None:
        stack.callback(os.close, handle)
    return None


def _nothing() -> None:
    """There is nothing to let go of."""


def _file(state: Path, claim: Claim, what: str) -> Path:
    """The lock of an account's source. Most of its name is for people; the identity keeps it apart from all others."""
    name = "".join(letter if re.match(r"[A-Za-z0-9-]", letter) else "_" for letter in f"{claim.account[:40]}-{what}")
    return state / FOLDER / f"{name}-{claim.identity}.lock"


def _told(busy: Mapping[str, str]) -> str:
    """Who is busy with which accounts, in one line."""
    accounts: dict[str, list[str]] = {}
    for account, who in busy.items():
        accounts.setdefault(who, []).append(account)
    return "; ".join(f"{', '.join(names)}: {who}" for who, names in accounts.items())


def _holder(file: Path) -> str:
    with suppress(OSError):
        return f" ({harmless(redact(file.read_text(encoding='utf-8', errors='replace')))})"
    return ""


@contextmanager
def alone(file: Path) -> Iterator[None]:
    """Makes processes take turns with what takes a moment. Raises LedgerError if it takes one of them far longer."""
    from filelock import FileLock, Timeout

    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    held: BaseFileLock = FileLock(file, timeout=PATIENCE, mode=0o600)
    try:
        held = _acquired(held)
    except Timeout:
        raise LedgerError(f"another process has held {file} for {PATIENCE:g} s; end it, or try again later") from None
    try:
        yield
    finally:
        held.release()
