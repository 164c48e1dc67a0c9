"""One program on every system: what differs stands in one module, and what can be shown of Windows here is shown."""

from __future__ import annotations

import ast
import io
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path, PureWindowsPath

import pytest

from confcleanup import system
from confcleanup.cli.signals import Signals
from confcleanup.items import Item, Kind, State
from confcleanup.lock import Claim, lock
from confcleanup.records.archive import Archive
from confcleanup.records.ledger import Ledger
from confcleanup.sandbox.server import Server
from confcleanup.sandbox.trueconf import TrueConf
from tests.as_on_windows import MISSING, MODULES

HERE = Path(__file__).parent
PACKAGE = HERE.parent / "confcleanup"
ODD = "Ä rger & Söhne (100%) #1 'x' ; 会議"
TITLE = "Grüße – 会議 ☎"
POSIX_ONLY = set(MISSING["os"].split()) | set(MISSING["signal"].split())


def modules() -> list[Path]:
    return [path for path in sorted(PACKAGE.rglob("*.py")) if path.name != "system.py"]


def test_only_one_module_knows_what_differs_between_systems() -> None:
    """No other imports what only some systems have, asks which one it runs on, or writes dates as only some can."""
    known = {"os.name", "sys.platform", "platform.system"}
    known |= {f"{module}.{name}" for module in ("os", "signal") for name in POSIX_ONLY} | MODULES
    found = {}
    for path in modules():
        text = path.read_text(encoding="utf-8")
        nodes = list(ast.walk(ast.parse(text)))
        said = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
        said |= {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}
        said |= {
            f"{node.value.id}.{node.attr}"
            for node in nodes
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
        }
        found[str(path.relative_to(PACKAGE))] = sorted(said & known) + re.findall(r"%[-#][dmHIMSjy]", text)
    assert found
    assert {path: said for path, said in found.items() if said} == {}


# As on Windows --------------------------------------------------------------------------------


class Windows:
    """The program in a folder with an odd name, with nothing below it that only POSIX has."""

    def __init__(self, folder: Path, emulator: TrueConf, url: str) -> None:
        self.folder, self.emulator = folder, emulator
        self.config = folder / "config.toml"
        archive = f"archive = {json.dumps(str(folder / 'Archiv'), ensure_ascii=False)}"
        text = emulator.account("hq", url).replace("[[accounts.hq.rules]]", f"[[accounts.hq.rules]]\n{archive}")
        self.config.write_text(text, encoding="utf-8")

    def __call__(self, *words: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
        options = ["-c", str(self.config), "--state", str(self.folder / "Zustand")]
        program = [sys.executable, "-P", "-X", "warn_default_encoding", str(HERE / "as_on_windows.py")]
        env = {key: value for key, value in os.environ.items() if key not in ("PYTHONIOENCODING", "PYTHONUTF8")}
        env |= {"PYTHONPATH": str(HERE.parent), **environment}
        return subprocess.run([*program, *options, *words], capture_output=True, env=env, timeout=50, check=False)


@pytest.fixture
def windows(tmp_path: Path) -> Iterator[Windows]:
    emulator = TrueConf(page_cap=10)
    for number in range(12):
        emulator.add_conference(f"c{number:02}", topic=TITLE, ended=timedelta(days=41))
    folder = tmp_path / ODD
    folder.mkdir()
    with Server(emulator) as server:
        yield Windows(folder, emulator, server.url)


def test_the_demo_runs_where_nothing_is_posix(windows: Windows) -> None:
    done = windows("demo")
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"nothing is left to delete" in done.stdout


def test_a_plan_a_run_with_an_archive_and_the_history_work_where_nothing_is_posix(windows: Windows) -> None:
    saved = windows.folder / "plan.json"
    plan = windows("plan", "-o", str(saved))
    assert plan.returncode == 0, plan.stderr
    run = windows("--log-file", str(windows.folder / "Protokoll.log"), "run", "--yes", "--plan", str(saved))
    assert run.returncode == 0, run.stderr
    assert not windows.emulator.conferences
    history = windows("history", "--format", "json")
    assert {entry["title"] for entry in json.loads(history.stdout)["deletions"]} == {TITLE}
    assert len(list((windows.folder / "Archiv").rglob("SHA256SUMS"))) == 12
    assert "Deleted 12 items of 12 selected." in (windows.folder / "Protokoll.log").read_text(encoding="utf-8")


def test_the_command_that_a_dry_run_names_can_be_typed_on_windows(windows: Windows) -> None:
    shown = windows("plan").stdout.decode("utf-8").splitlines()[-1]
    assert f'confcleanup -c "{windows.config}"' in shown
    assert "'\"'" not in shown


@pytest.mark.parametrize("environment", [{}, {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}])
def test_redirected_data_is_utf_8_whatever_the_code_page(windows: Windows, environment: dict[str, str]) -> None:
    done = windows("plan", "--format", "csv", **environment)
    assert done.returncode == 0, done.stderr
    assert TITLE in done.stdout.decode("utf-8")


def test_a_console_of_code_page_1252_shows_what_it_can_and_escapes_the_rest(windows: Windows) -> None:
    done = windows("plan", "--format", "csv", PYTHONIOENCODING="cp1252")
    assert done.returncode == 0, done.stderr
    assert "Grüße – \\u4f1a\\u8b70 \\u260e" in done.stdout.decode("cp1252")


def test_a_config_that_windows_says_nothing_about_is_not_called_readable_by_others(windows: Windows) -> None:
    windows.config.chmod(0o666)
    assert windows("plan").returncode == 0


# What differs ---------------------------------------------------------------------------------


def test_a_stream_that_is_no_terminal_becomes_utf_8(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTHONIOENCODING", raising=False)
    stream = io.TextIOWrapper(io.BytesIO(), encoding="cp1252")
    system.speak_utf8(stream)
    stream.write(TITLE + "\udcff")
    stream.flush()
    assert stream.buffer.getvalue() == f"{TITLE}\\udcff".encode()


def test_without_a_console_there_is_no_stream_and_no_harm() -> None:
    system.speak_utf8(None)  # type: ignore[arg-type]  # so it is under pythonw.exe


LONG = "x" * 250


@pytest.mark.parametrize(
    ("given", "opened"),
    [
        (r"C:\confcleanup", r"C:\confcleanup"),
        (rf"C:\a\{LONG}", rf"\\?\C:\a\{LONG}"),
        (rf"C:\a\..\b\.\{LONG}", rf"\\?\C:\b\{LONG}"),
        (rf"C:/a/{LONG}", rf"\\?\C:\a\{LONG}"),
        (rf"\\server\share\{LONG}", rf"\\?\UNC\server\share\{LONG}"),
        (rf"\\?\C:\a\{LONG}", rf"\\?\C:\a\{LONG}"),
    ],
)
def test_a_path_too_long_for_windows_is_opened_in_its_extended_form(given: str, opened: str) -> None:
    assert str(system.reachable(PureWindowsPath(given))) == opened


def test_room_for_the_names_below_counts_as_part_of_a_path() -> None:
    archive = system.reachable(PureWindowsPath(r"D:\archive"), 400)
    assert str(archive / "hq/conferences/2026-01") == r"\\?\D:\archive\hq\conferences\2026-01"


def test_elsewhere_a_path_stays_as_it_is(tmp_path: Path) -> None:
    assert system.reachable(tmp_path / LONG, 400) == tmp_path / LONG


@pytest.mark.parametrize("name", [ODD, "?mode=rw&x=%41#y", r"\\?\C:\x", "/".join(["y" * 120] * 2)])
def test_lock_ledger_and_archive_work_in_a_folder_of_any_name(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    with lock(folder, [Claim("hq", "1", ["things"])]), Ledger(folder):
        pass
    with Ledger(folder, writable=False) as ledger:
        assert ledger.path.parent == folder
    ended = datetime(2026, 1, 1, tzinfo=UTC)
    item = Item("conferences", "i" * 300, Kind.ONE_TIME, State.ENDED, title=TITLE, ended_at=ended)
    archive = Archive(str(folder / "archive"))
    archive.keep("a" * 90, item, [])
    assert archive.find("a" * 90, item)


def test_what_windows_sends_to_end_a_program_is_a_request_to_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("confcleanup.cli.signals.TERMINATIONS", (signal.SIGTERM, signal.SIGTTIN))
    with Signals() as signals:
        signal.raise_signal(signal.SIGTTIN)
    assert signals.interrupted.is_set()
    assert signals.arrived == signal.SIGTTIN


def test_what_an_extra_needs_is_installed_where_the_program_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/opt/my tools/bin/python")
    assert system.install("html") == "'/opt/my tools/bin/python' -m pip install 'confcleanup[html]'"
