"""Private databases without a name, for what is too much for memory.

SQLite keeps one in memory while it is small and writes the rest to a temporary file that ends with the program, so
that a list or a backlog of any length costs no more memory than a short one.
"""

from __future__ import annotations

import sqlite3
import weakref


def database(owner: object, kib: int, *statements: str) -> sqlite3.Connection:
    """A database that is closed with its owner and keeps at most so many KiB in memory, prepared by these statements.

    It may be used by any thread, one at a time. Raises sqlite3.Error.
    """
    db = sqlite3.connect("", check_same_thread=False, isolation_level=None)
    weakref.finalize(owner, db.close)
    for statement in (f"PRAGMA cache_size = -{kib}", *statements):
        db.execute(statement)
    return db
