"""The program in the surroundings that a scheduler, a container or a service gives it."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from confcleanup.sandbox.server import Server
from confcleanup.sandbox.trueconf import TrueConf
from tests.fake import one_rule

posix = pytest.mark.skipif(os.name != "posix", reason="modes and users are POSIX's")


@pytest.fixture
def config(tmp_path: Path) -> Iterator[Path]:
    """A config for a server that has one conference to delete."""
    server = TrueConf()
    server.add_conference("0073310045", ended=timedelta(days=41))
    with Server(server) as served:
        file = tmp_path / "config.toml"
        file.write_text(one_rule(server.account("hq", served.url)), "utf-8")
        file.chmod(0o600)
        yield file


# The umask ------------------------------------------------------------------------------------------


@posix
def test_all_that_a_run_leaves_is_for_its_owner_alone_whatever_the_umask(config: Path, tmp_path: Path) -> None:
    made = tmp_path / "made"
    files = ["--state", str(made / "in" / "state"), "--log-file", str(made / "log" / "file.log")]
    words = ["-c", str(config), *files, "run", "--yes", "--html", str(made / "page" / "page.html")]
    program = [sys.executable, "-m", "confcleanup", *words]
    done = subprocess.run(program, umask=0, capture_output=True, text=True, timeout=50, check=False)
    assert done.returncode == 0, done.stderr
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in (made, *made.rglob("*"))}
    assert {mode for path, mode in modes.items() if path.is_dir()} == {0o700}
    assert {mode for path, mode in modes.items() if path.is_file()} == {0o600}
    assert {"lock", "ledger.sqlite", "file.log", "page.html"} <= {path.name for path in modes}
