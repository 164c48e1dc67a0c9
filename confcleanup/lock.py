"""The lock: one run at a time for each state folder."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import LedgerError, Locked
from .redact import redact


@contextmanager
def lock(state: Path) -> Iterator[None]:
    """Holds the one run at a time that a state folder allows; the system lets go of it if the process dies.

    Raises Locked, naming the holder.
    """
    from filelock import FileLock, Timeout

    holder = state / "holder"
    held = FileLock(state / "lock", timeout=0)
    try:
        state.mkdir(parents=True, exist_ok=True, mode=0o700)
        held.acquire()
        holder.write_text(f"process {os.getpid()} on {socket.gethostname()}", encoding="utf-8")
    except Timeout:
        who = _holder(holder)
        raise Locked(f"another run holds {state}{who}; wait for it to end") from None
    except OSError as error:
        held.release()
        raise LedgerError(f"the state folder {state} cannot be used ({error}); nothing was contacted") from None
    try:
        yield
    finally:
        holder.unlink(missing_ok=True)
        held.release()


def _holder(holder: Path) -> str:
    try:
        return f" ({redact(holder.read_text(encoding='utf-8'))})"
    except OSError:
        return ""
