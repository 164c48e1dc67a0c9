"""``--log-format json``: whatever happens, each line on standard error is one JSON object."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from confcleanup.cli import COMMANDS, cli
from confcleanup.cli.json_lines import asked_for
from tests.cli.test_cli import Setting, hq

__all__ = ["hq"]
BROKEN = "older_than = 30 days"
UNKNOWN_KEY = 'older_thn = "30 days"\n'


def entries(text: str) -> list[dict[str, Any]]:
    """The lines, each of which must be an object with a time, a level and a message."""
    found = [json.loads(line) for line in text.splitlines()]
    for entry in found:
        assert {"time", "level", "message"} <= entry.keys()
        assert entry["message"].strip()
    return found


def messages(text: str) -> str:
    return "\n".join(entry["message"] for entry in entries(text))


def run(*words: str) -> tuple[int, list[dict[str, Any]]]:
    done = CliRunner().invoke(cli, ["--log-format", "json", *words], prog_name="confcleanup")
    return done.exit_code, entries(done.stderr)


NEEDS = {
    "completion": ["bash"],
    "explain": ["hq", "0073310045"],
    "schedule": ["crontab"],
    "sandbox": None,  # it serves until it is stopped
    "restore": ["nothing"],
}
RUNNABLE = {name: [name, *(NEEDS.get(name, []) or [])] for name in COMMANDS if NEEDS.get(name, []) is not None}


@pytest.mark.parametrize("name", COMMANDS)
def test_wrong_usage_of_every_command_is_one_object_that_names_the_help(name: str) -> None:
    status, (error,) = run(name, "--no-such-option")
    assert (status, error["level"]) == (2, "error")
    assert f"confcleanup {name}" in error["message"]
    assert "--help" in error["message"]


@pytest.mark.parametrize("name", RUNNABLE)
@pytest.mark.parametrize("content", [None, BROKEN, UNKNOWN_KEY], ids=["no config", "broken config", "unknown key"])
def test_every_command_without_a_usable_config_writes_objects_alone(
    tmp_path: Path, name: str, content: str | None
) -> None:
    file = tmp_path / "config.toml"
    if content is not None:
        file.write_text(content, encoding="utf-8")
        file.chmod(0o600)
    run("-c", str(file), "--state", str(tmp_path / "state"), *RUNNABLE[name])


@pytest.mark.parametrize("name", RUNNABLE)
@pytest.mark.parametrize("volume", ["-q", "-vv"])
def test_every_command_with_a_good_config_writes_objects_alone(hq: Setting, name: str, volume: str) -> None:
    done = hq("--log-format", "json", volume, *RUNNABLE[name], *(["--yes"] if name == "run" else []))
    entries(done.stderr)


SITUATIONS: dict[str, list[str]] = {
    "a dry run as data": ["plan", "--format", "json"],
    "a run that nobody confirms": ["run"],
    "an unknown account": ["plan", "--account", "hg"],
    "an age that cannot be read": ["plan", "--older-than", "soon"],
    "a plan that is not there": ["run", "--yes", "--plan", "/nowhere/plan.json"],
    "no success so far": ["check", "--last-success", "8d"],
    "notes beside a schedule": ["schedule", "windows"],
    "an init over a config": ["init"],
    "a command that does not exist": ["pln"],
    "no command": [],
}


@pytest.mark.parametrize("situation", SITUATIONS)
def test_a_situation_is_told_in_objects(hq: Setting, situation: str) -> None:
    assert entries(hq("--log-format=json", *SITUATIONS[situation]).stderr)


def test_failures_and_the_closing_line_of_a_run_are_objects_with_the_run(hq: Setting) -> None:
    hq.emulator.scope = "conferences:read"
    done = hq("run", "--yes", "--format", "json", "--log-format", "json")
    assert done.exit_code == 1
    assert len({entry["run"] for entry in entries(done.stderr)}) == 1
    closing = entries(hq("plan", "--format", "json", "--log-format", "json").stderr)[-1]
    assert closing["message"].startswith("Dry run: nothing was deleted.")
    assert closing["run"]


def test_a_question_is_an_object_and_so_is_what_follows_it(hq: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("confcleanup.cli.cleaning._asking", lambda: True)
    done = hq("--log-format", "json", "run", stdin="n\n")
    assert done.exit_code == 3
    assert "Delete 1 item of 1 account? This cannot be undone. [y/N]:" in messages(done.stderr)


def test_a_warning_of_python_is_an_object(hq: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    def warn(*_: object) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.warn("an old call", UserWarning, stacklevel=1)
        sys.stderr.write("a library's own line\n")

    monkeypatch.setattr("confcleanup.cli.check._notices", warn)
    found = entries(hq("--log-format", "json", "check").stderr)
    assert ("warning", "UserWarning: an old call") in [(entry["level"], entry["message"]) for entry in found]
    assert "a library's own line" in [entry["message"] for entry in found]


def test_secrets_are_replaced_in_what_others_print(hq: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    def leak(*_: object) -> None:
        sys.stderr.write(f"the secret is {hq.emulator.client_secret}\n")

    monkeypatch.setattr("confcleanup.cli.check._archives", lambda account: (leak(), ([], []))[1])
    done = hq("--log-format", "json", "check")
    assert "the secret is" in messages(done.stderr)
    assert hq.emulator.client_secret not in done.stderr


@pytest.mark.skipif(os.name != "posix", reason="there are pseudo-terminals on POSIX only")
def test_on_a_terminal_there_is_no_progress_bar_and_the_question_is_an_object(hq: Setting) -> None:
    import pty
    import termios

    ours, theirs = pty.openpty()
    modes = termios.tcgetattr(theirs)
    modes[3] &= ~termios.ECHO
    termios.tcsetattr(theirs, termios.TCSANOW, modes)
    words = ["-c", str(hq.config), "--state", str(hq.folder / "state"), "--log-format", "json", "run"]
    program = subprocess.Popen(
        [sys.executable, "-m", "confcleanup", *words], stdin=theirs, stdout=subprocess.DEVNULL, stderr=theirs
    )
    os.close(theirs)
    shown = ""
    while True:
        try:
            shown += os.read(ours, 65536).decode()
        except OSError:
            break
        if "[y/N]" in shown and not shown.endswith("answered"):
            os.write(ours, b"y\n")
            shown += "\nanswered"
    os.close(ours)
    assert program.wait(30) == 0
    told = messages(shown.replace("\r", "").replace("\nanswered", ""))
    assert "Delete 1 item of 1 account?" in told


def test_the_last_words_of_the_program_are_objects_too() -> None:
    code = """
import confcleanup.cli, confcleanup.__main__
def broken(*_, **__):
    raise MemoryError
confcleanup.cli.cli.main = broken
confcleanup.__main__.main()
"""
    words = [sys.executable, "-c", code, "plan", "--log-format", "json"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "an internal error in confcleanup: MemoryError" in messages(done.stderr)


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ("plan --log-format json", True),
        ("--log-format=json plan", True),
        ("--log-format json plan --log-format text", False),
        ("plan --log-format", False),
        ("plan", False),
        ("", False),
        ("plan -- --log-format json", False),
    ],
)
def test_that_json_is_asked_for_is_known_before_the_command_line_is_read(words: str, wanted: bool) -> None:
    assert asked_for(words.split()) == wanted
