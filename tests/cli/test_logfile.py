"""``--log-file``: what a scheduler throws away can be read afterwards."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from confcleanup.cli import cli
from confcleanup.sandbox.server import Response, Server
from confcleanup.sandbox.trueconf import TrueConf
from tests.fake import one_rule

Run = Callable[..., Result]


@pytest.fixture
def emulator() -> TrueConf:
    made = TrueConf(page_cap=10)
    made.add_conference("old", topic="Grüße ☎", ended=timedelta(days=41))
    return made


@pytest.fixture
def run(tmp_path: Path, emulator: TrueConf) -> Iterator[Run]:
    config = tmp_path / "config.toml"

    def act(*words: str) -> Result:
        options = ["-c", str(config), "--state", str(tmp_path / "s"), "--log-file", str(tmp_path / "logs" / "ä.log")]
        return CliRunner().invoke(cli, [*options, *words])

    with Server(emulator) as server:
        config.write_text(one_rule(emulator.account("hq", server.url)), encoding="utf-8")
        config.chmod(0o600)
        yield act


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "logs" / "ä.log"


def test_it_holds_what_a_quiet_run_did_with_the_time(run: Run, log: Path) -> None:
    done = run("-q", "run", "--yes")
    assert (done.exit_code, done.output) == (0, "")
    lines = log.read_text(encoding="utf-8").splitlines()
    assert [re.sub(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ ", "", line) for line in lines] == [
        "info: hq: deleted 1 of 1 selected",
        "info: Deleted 1 item of 1 selected.",
    ]


def test_it_is_appended_to_and_its_folder_is_made(run: Run, log: Path) -> None:
    run("plan")
    run("plan")
    assert log.read_text(encoding="utf-8").count("Dry run: nothing was deleted.") == 2


def test_it_holds_trouble_and_wrong_usage(run: Run, log: Path, emulator: TrueConf) -> None:
    emulator.interfere.append(lambda request: Response(500) if request.method == "DELETE" else None)
    assert run("run", "--yes").exit_code == 1
    assert run("run", "--older-than", "soon").exit_code == 2
    text = log.read_text(encoding="utf-8")
    assert "error: hq: conferences old (Grüße ☎)" in text
    assert "error: --older-than" in text


def test_what_stands_on_the_screen_does_not_stand_there_twice(run: Run) -> None:
    assert run("-v", "plan").output.count("hq: would delete") == 1


def test_no_secret_reaches_it(run: Run, log: Path, emulator: TrueConf) -> None:
    run("-vv", "run", "--yes")
    assert "GET" in log.read_text(encoding="utf-8")
    assert emulator.client_secret not in log.read_text(encoding="utf-8")


def test_in_the_json_format_each_line_is_an_object(run: Run, log: Path) -> None:
    run("--log-format", "json", "check")
    (line,) = log.read_text(encoding="utf-8").splitlines()
    assert json.loads(line)["message"].startswith("hq: OK")


def test_one_that_cannot_be_written_is_wrong_usage_and_nothing_is_contacted(
    run: Run, tmp_path: Path, emulator: TrueConf
) -> None:
    done = run("--log-file", str(tmp_path), "run", "--yes")
    assert done.exit_code == 2
    assert f"--log-file: {tmp_path} cannot be written" in done.stderr
    assert not emulator.seen


def test_one_that_breaks_in_the_middle_ends_the_log_and_not_the_run(run: Run, log: Path, emulator: TrueConf) -> None:
    def break_it(request: object) -> None:
        if log.is_file():
            log.unlink()
            log.mkdir()

    emulator.interfere.append(break_it)
    done = run("run", "--yes")
    assert done.exit_code == 0
    assert done.stderr.count(f"the log file {log} cannot be written") == 1
    assert not emulator.conferences


def test_only_its_owner_may_read_it(run: Run, log: Path) -> None:
    run("plan")
    assert log.stat().st_mode & 0o077 == 0
