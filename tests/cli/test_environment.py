"""The program in the surroundings that a scheduler, a container or a service gives it."""

from __future__ import annotations

import os
import re
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


# A user without a home -------------------------------------------------------------------------------

HOMELESS = """
import pwd
def unknown(number): raise KeyError(f"getpwuid(): uid not found: {number}")
pwd.getpwuid = unknown
from confcleanup.__main__ import main
main()
"""


def homeless(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """The program as OpenShift or systemd's DynamicUser start it: a user whom the system does not know, and no HOME."""
    env = {name: value for name, value in os.environ.items() if not re.match("HOME$|XDG_|CONFCLEANUP", name)}
    env["PYTHONPATH"] = str(Path(__file__).parents[2])
    command = [sys.executable, "-c", HOMELESS, *words]
    return subprocess.run(command, env=env, cwd=folder, capture_output=True, text=True, timeout=50, check=False)


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    """An empty working folder, which is to stay so."""
    (tmp_path / "work").mkdir()
    return tmp_path / "work"


@posix
def test_without_a_home_the_program_works_if_config_and_state_are_named(
    config: Path, tmp_path: Path, empty: Path
) -> None:
    options = ["-c", str(config), "--state", str(tmp_path / "state")]
    for words in (["check"], ["plan"], ["run", "--yes"], ["history"], ["check", "--last-success", "1d"]):
        done = homeless(empty, *options, *words)
        assert (done.returncode, done.stderr.count("error")) == (0, 0), (words, done.stderr)
    assert list(empty.iterdir()) == []


@posix
def test_without_a_home_the_config_may_name_the_state_folder(config: Path, tmp_path: Path, empty: Path) -> None:
    config.write_text('[state]\ndirectory = "kept"\n' + config.read_text("utf-8"), "utf-8")
    assert homeless(empty, "-c", str(config), "run", "--yes").returncode == 0
    assert (tmp_path / "kept" / "ledger.sqlite").exists()


@posix
def test_without_a_home_what_is_not_named_is_asked_for(config: Path, empty: Path) -> None:
    done = homeless(empty, "run", "--yes")
    assert (done.returncode, "name it with -c, and the state folder with --state" in done.stderr) == (2, True)
    done = homeless(empty, "-c", str(config), "run", "--yes")
    assert (done.returncode, "name the state folder with --state, or in the config (-c)" in done.stderr) == (2, True)
    done = homeless(empty, "init")
    assert (done.returncode, "name the file to write with -c" in done.stderr) == (2, True)
    done = homeless(empty, "-c", "~/config.toml", "plan")
    assert (done.returncode, "~/config.toml: there is no such home folder" in done.stderr) == (2, True)
    assert list(empty.iterdir()) == []
