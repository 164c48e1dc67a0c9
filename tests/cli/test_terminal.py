"""What a person sees on a terminal: a table, a question, a progress bar, a closing line. Needs a pseudo-terminal."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from confcleanup.sandbox.server import Server
from confcleanup.sandbox.trueconf import TrueConf
from tests.fake import one_rule

pty = pytest.importorskip("pty", reason="there are pseudo-terminals on POSIX only")
DAY = timedelta(days=1)


class Terminal:
    """Runs the program on a terminal, of 120 columns if nothing else is said, and answers its question."""

    def __init__(self, config: Path) -> None:
        self.options = ["-c", str(config), "--state", str(config.parent / "state")]
        self.environment = {"COLUMNS": "120"}
        self.raw = b""

    def __call__(self, *words: str, answer: str | signal.Signals = "") -> tuple[int, str]:
        ours, theirs = pty.openpty()
        program = subprocess.Popen(
            [sys.executable, "-m", "confcleanup", *self.options, *words],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env={**os.environ, "TERM": "xterm", **self.environment},
        )
        os.close(theirs)
        shown = bytearray()

        def respond() -> None:
            """A signal that comes just before a program begins to read may not be noticed; a person presses again."""
            if isinstance(answer, str):
                os.write(ours, answer.encode())
                return
            program.send_signal(answer)
            while not ended.wait(5):
                program.send_signal(answer)

        def read() -> None:
            asked = False
            while True:
                try:
                    shown.extend(os.read(ours, 65536))
                except OSError:
                    return
                if answer and not asked and b"[y/N]" in shown:
                    asked = True
                    threading.Thread(target=respond, daemon=True).start()

        ended = threading.Event()
        reader = threading.Thread(target=read)
        reader.start()
        status = program.wait(50)
        ended.set()
        reader.join(5)
        os.close(ours)
        self.raw = bytes(shown)
        return status, re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.decode("utf-8", "replace"))


@pytest.fixture
def hq(tmp_path: Path) -> Iterator[tuple[TrueConf, Terminal]]:
    emulator = TrueConf(page_cap=200)
    for number in range(45):
        emulator.add_conference(f"{number:010}", topic=f"Meeting {number}", ended=41.5 * DAY)
    emulator.add_conference("young", topic="Young \x1b[31m one", ended=DAY)
    with Server(emulator) as server:
        config = tmp_path / "config.toml"
        config.write_text(one_rule(emulator.account("hq", server.url)), encoding="utf-8")
        config.chmod(0o600)
        yield emulator, Terminal(config)


def test_a_plan_is_a_table_of_every_item_with_reasons_and_ends_with_what_was_not_done(
    hq: tuple[TrueConf, Terminal],
) -> None:
    emulator, terminal = hq
    status, shown = terminal("plan")
    assert status == 0
    assert "hq: would delete 45 of 46 listed; kept 1 (1 too young)" in shown
    assert re.search(r"^  end +what +id +title +owner +reason", shown, re.MULTILINE)
    for number in range(45):
        line = (
            rf" UTC +conferences +{number:010} +Meeting {number} +anna@vc.example.org +ended 41 days ago, kept for 30"
        )
        assert re.search(line, shown)
    assert "Dry run: nothing was deleted. To delete 45 items: confcleanup -c" in shown
    assert len(emulator.conferences) == 46


def test_a_run_shows_the_plan_asks_and_tells_what_it_did(hq: tuple[TrueConf, Terminal]) -> None:
    emulator, terminal = hq
    status, shown = terminal("run", answer="y\n")
    assert status == 0
    assert (
        shown.index("would delete 45") < shown.index("Delete 45 items of 1 account?") < shown.index("deleted 45 of 45")
    )
    assert "… and 5 more; confcleanup plan shows them all" in shown
    assert "hq: deleting" in shown
    assert shown.rstrip().endswith("Deleted 45 items of 45 selected.")
    assert set(emulator.conferences) == {"young"}


def test_no_is_no(hq: tuple[TrueConf, Terminal]) -> None:
    emulator, terminal = hq
    status, shown = terminal("run", answer="n\n")
    assert status == 3
    assert len(emulator.conferences) == 46
    assert shown.rstrip().endswith("Nothing was deleted.")
    assert "--yes" not in shown
    assert "Traceback" not in shown


def test_an_interrupt_at_the_question_is_no_and_130(hq: tuple[TrueConf, Terminal]) -> None:
    emulator, terminal = hq
    status, shown = terminal("run", answer=signal.SIGINT)
    assert status == 130, shown
    assert len(emulator.conferences) == 46


def test_a_run_with_yes_shows_a_table_with_outcomes(hq: tuple[TrueConf, Terminal]) -> None:
    _, terminal = hq
    status, shown = terminal("run", "--yes")
    assert status == 0
    assert re.search(r"deleted +20.* UTC +conferences +0000000000 +Meeting 0 ", shown)
    assert "… and 5 more; confcleanup history shows them all" in shown


@pytest.mark.parametrize("columns", [40, 80])
def test_on_a_narrow_terminal_no_line_of_an_item_is_cut_off_and_its_reason_stays_readable(
    hq: tuple[TrueConf, Terminal], columns: int
) -> None:
    _, terminal = hq
    terminal.environment["COLUMNS"] = str(columns)
    _, planned = terminal("plan")
    table = planned[planned.index("hq: would delete") :]
    lines = table[: table.index("Dry run")].splitlines()[1:]
    assert max(map(len, lines)) <= columns
    once = re.sub(r"\s+", " ", table)
    assert "Meeting 0" in once
    assert once.count("ended 41 days ago, kept for 30 days") == 45
    assert all(f"conferences {number:010}" in once for number in range(45))


def test_no_color_means_no_color(hq: tuple[TrueConf, Terminal]) -> None:
    _, terminal = hq
    colors = re.compile(rb"\x1b\[(?:[0-9]+;)*(?:3[0-8]|4[0-8]|9[0-7])[;m]")
    terminal("plan")
    assert colors.search(terminal.raw), "the progress bar has colors, so there was something to leave out"
    terminal.environment["NO_COLOR"] = "1"
    terminal("plan")
    assert not colors.search(terminal.raw)
