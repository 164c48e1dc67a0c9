"""How many requests delete many recordings of the emulated Huawei, whose record of requests is asked."""

from __future__ import annotations

import re
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import UUID

from confcleanup.sandbox.huawei import Huawei
from confcleanup.sandbox.server import Server

from .program import python


def deletes(count: int) -> tuple[int, int]:
    """Deletes so many recordings; how many were deleted, and with how many DELETE requests."""
    emulator = Huawei()
    for number in range(count):
        emulator.add_recording(UUID(int=number + 1).hex)
    with Server(emulator) as server, TemporaryDirectory() as folder:
        emulator.public_url = server.url
        config = Path(folder) / "config.toml"
        text = re.sub(r'rate = ".*"', 'rate = "unlimited"', emulator.account("huawei", server.url))
        config.write_text(text, encoding="utf-8")
        config.chmod(0o600)
        done = python("-m", "confcleanup", "-c", str(config), "--state", folder, "run", "--yes")
    assert f"deleted {count} of {count} selected" in done.output, done.output
    return count, sum("record" in request.path for request in emulator.requests("DELETE"))
