"""The lock: one run at a time for each state folder."""

from __future__ import annotations

import logging
import os
import socket
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import LedgerError, Locked
from .redact import redact
from .system import why_denied

if TYPE_CHECKING:
    from filelock import BaseFileLock

log = logging.getLogger(__name__)


@contextmanager
def lock(state: Path) -> Iterator[None]:
    """Holds the one run at a time that a state folder allows; the system lets go of it if the process dies.

    Raises Locked, naming the holder.
    """
    from filelock import FileLock, Timeout

    holder = state / "holder"
    held: BaseFileLock = FileLock(state / "lock", timeout=0, mode=0o600)
    try:
        state.mkdir(parents=True, exist_ok=True, mode=0o700)
        held = _acquired(held)
        holder.write_text(f"process {os.getpid()} on {socket.gethostname()}", encoding="utf-8")
    except Timeout:
        who = _holder(holder)
        raise Locked(f"another run holds {state}{who}; wait for it to end") from None
    except OSError as error:
        held.release()
        file = Path(error.filename or state)
        why = why_denied(file, error, own=state)
        raise LedgerError(f"the state folder cannot be used, so nothing was contacted: {why}") from None
    try:
        yield
    finally:
        holder.unlink(missing_ok=True)
        held.release()


def _acquired(held: BaseFileLock) -> BaseFileLock:
    """Takes the lock; on a file system without locks, a file that is there or not stands for it.

    Newer filelock does that by itself, with a Python warning; older raises NotImplementedError.
    """
    from filelock import SoftFileLock

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            held.acquire()
            soft = any("flock" in str(warning.message) for warning in caught)
        except NotImplementedError:  # and it leaves the file that it could not lock
            held, soft = SoftFileLock(f"{held.lock_file}.soft", timeout=0, mode=0o600), True
            held.acquire()
    if soft:
        log.warning(
            "the file system of %s has no file locks, so the file %s stands for one; if a run is killed it may stay, "
            "and later runs end with status 4 until you remove it; a folder on a local disk (--state) avoids this",
            Path(held.lock_file).parent,
            held.lock_file,
        )
    return held


def _holder(holder: Path) -> str:
    try:
        return f" ({redact(holder.read_text(encoding='utf-8'))})"
    except OSError:
        return ""
