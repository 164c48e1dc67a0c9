"""Standard streams that are closed, cut or full change nothing in what is done or recorded, and the status is known."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from confcleanup.records.ledger import Ledger
from confcleanup.sandbox.server import Server
from confcleanup.sandbox.trueconf import TrueConf

pytestmark = pytest.mark.skipif(os.name != "posix", reason="a shell opens and closes the streams")
CLOSED = [">&-", "2>&-", "<&-", ">&- 2>&-", "<&- >&- 2>&-", "1</dev/null", "2</dev/null"]


class Shell:
    """A TrueConf server with conferences that are due, one of which cannot be deleted, and a shell."""

    def __init__(self, folder: Path, url: str, emulator: TrueConf) -> None:
        self.emulator = emulator
        config = folder / "config.toml"
        config.write_text(emulator.account("hq", url), "utf-8")
        config.chmod(0o600)
        self._state = folder / "state"
        self._command = shlex.join(
            [sys.executable, "-m", "confcleanup", "-c", str(config), "--state", str(self._state)]
        )

    def __call__(self, words: str, streams: str = "", **environment: str) -> tuple[int, str, str]:
        """The status of the program, not of what it is piped into, and what was printed."""
        line = f"set -o pipefail; {self._command} {words} {streams}"
        done = subprocess.run(
            ["bash", "-c", line], capture_output=True, text=True, timeout=50, env={**os.environ, **environment}
        )
        return done.returncode, done.stdout, done.stderr

    @property
    def history(self) -> dict[str, str]:
        with Ledger(self._state, writable=False) as ledger:
            return {entry["id"]: entry["outcome"] for entry in ledger.deletions()}


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    emulator = TrueConf()
    for number in range(5):
        emulator.add_conference(f"c{number}", ended=timedelta(days=41))
    with Server(emulator) as server:
        yield Shell(tmp_path, server.url, emulator)


def all_gone(shell: Shell) -> bool:
    return not shell.emulator.conferences and shell.history == dict.fromkeys([f"c{n}" for n in range(5)], "deleted")


@pytest.mark.parametrize("streams", CLOSED)
@pytest.mark.parametrize("words", ["-vv run --yes", "run --yes --format json"])
def test_a_run_with_closed_streams_does_and_records_the_same(shell: Shell, words: str, streams: str) -> None:
    assert shell(words, streams)[0] == 0
    assert all_gone(shell)


@pytest.mark.parametrize("streams", CLOSED)
@pytest.mark.parametrize("words", ["plan", "--version", "check"])
def test_the_other_commands_do_not_need_them_either(shell: Shell, words: str, streams: str) -> None:
    assert shell(words, streams)[0] == 0


@pytest.mark.parametrize("streams", CLOSED)
def test_without_streams_nobody_can_confirm(shell: Shell, streams: str) -> None:
    assert shell("run", streams)[0] == 3
    assert len(shell.emulator.conferences) == 5


@pytest.mark.parametrize("streams", ["| true", "| head -c 10", "2>&1 >/dev/null | true", "2>&1 | head -c 1"])
@pytest.mark.parametrize("words", ["run --yes --format json", "-vv run --yes"])
def test_a_reader_that_has_left_is_no_error(shell: Shell, words: str, streams: str) -> None:
    status, _, err = shell(words, streams)
    assert status == 0, err
    assert "Traceback" not in err
    assert "Broken pipe" not in err
    assert all_gone(shell)


@pytest.mark.parametrize("streams", ["| head -n 1", "| true"])
def test_a_plan_of_which_only_the_beginning_is_read_is_no_error(shell: Shell, streams: str) -> None:
    status, shown, err = shell("plan", streams)
    assert status == 0
    assert "error" not in err.lower()
    assert "broken pipe" not in err.lower()
    assert len(shown.splitlines()) == (1 if "head" in streams else 0)


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_report_that_a_full_disk_did_not_take_is_an_error_and_the_deletions_stand(
    shell: Shell, unbuffered: str
) -> None:
    status, _, err = shell("run --yes --format json", ">/dev/full", PYTHONUNBUFFERED=unbuffered)
    assert status == 1
    assert err.splitlines()[-1] == "error: the output could not be written: No space left on device"
    assert all_gone(shell)


def test_messages_that_a_full_disk_did_not_take_change_nothing(shell: Shell) -> None:
    assert shell("-vv run --yes", "2>/dev/full")[0] == 0
    assert all_gone(shell)


def test_the_status_of_the_run_stays_where_it_says_more_than_that_the_output_is_lost(shell: Shell) -> None:
    assert shell("run", ">/dev/full </dev/null")[0] == 3
    assert shell("run --no-such-option", "2>/dev/full")[0] == 2


def test_what_a_secrets_command_prints_never_lands_in_the_ledger(shell: Shell, tmp_path: Path) -> None:
    """Without the streams, the next file that is opened would be standard output to every other program."""
    config = tmp_path / "config.toml"
    secret = f'client_secret = "{shell.emulator.client_secret}"'
    command = f'["sh", "-c", "echo noise >&2; echo {shell.emulator.client_secret}"]'
    text = config.read_text("utf-8")
    assert secret in text
    config.write_text(text.replace(secret, f"client_secret = {{ command = {command} }}"), "utf-8")
    assert shell("run --yes", "<&- >&- 2>&-")[0] == 0
    assert all_gone(shell)
    assert shell("history --verify")[0] == 0


@pytest.mark.parametrize(
    ("raised", "status"),
    [
        ("MemoryError()", 1),
        ("RecursionError()", 1),
        ("KeyboardInterrupt()", 130),
        ("SystemExit(77)", 1),
        ("SystemExit('words')", 1),
        ("SystemExit()", 0),
        ("BrokenPipeError()", 1),
        ("OSError(28, 'full')", 1),
    ],
)
@pytest.mark.parametrize("where", ["confcleanup.cli.options.Globals.load", "confcleanup.cli.cli.main"])
def test_whatever_is_raised_the_status_is_one_of_the_table(raised: str, status: int, where: str) -> None:
    owner, _, name = where.rpartition(".")
    script = (
        "import sys; from importlib import import_module; from confcleanup.__main__ import main\n"
        "import confcleanup.cli, confcleanup.cli.options\n"
        "def fail(*_, **__): raise " + raised + "\n"
        f"{owner}.{name} = fail\n"
        "sys.argv[1:] = ['plan']\n"
        "main()\n"
    )
    script = script.replace("confcleanup.cli.cli.main =", "confcleanup.cli.cli.__class__.__call__ =")
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=50)
    assert done.returncode == status, done.stderr
    assert "Traceback" not in done.stderr


def test_a_fault_while_the_interpreter_ends_does_not_change_the_status() -> None:
    script = (
        "import atexit, sys, threading; from confcleanup.__main__ import main\n"
        "def fail(): raise ValueError('late')\n"
        "atexit.register(fail); sys.argv[1:] = ['--version']\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=50)
    assert done.returncode == 0
