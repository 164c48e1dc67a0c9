"""The manual page is made from the command line, and roff has nothing to say about it."""

from __future__ import annotations

import runpy
import shutil
import subprocess
from pathlib import Path

import pytest

from confcleanup.cli import COMMANDS

DOCS = Path(__file__).parents[2] / "docs"
PAGE = DOCS / "confcleanup.1"


def test_the_page_is_up_to_date() -> None:
    made = runpy.run_path(str(DOCS / "manpage.py"))["page"]()
    assert PAGE.read_text(encoding="ascii") == made, "run: python docs/manpage.py"


def test_the_page_speaks_of_every_command_and_exit_status() -> None:
    text = PAGE.read_text(encoding="ascii")
    assert all(f"\n.SS {name}" in text for name in COMMANDS)
    assert all(rf"\fB{status}\fR" in text for status in ("0", "1", "2", "3", "4", "129, 130, 143"))


@pytest.mark.skipif(not shutil.which("groff"), reason="groff is not installed")
def test_roff_has_no_warning() -> None:
    done = subprocess.run(["groff", "-ww", "-z", "-man", str(PAGE)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(not shutil.which("man"), reason="man is not installed")
def test_man_shows_it() -> None:
    words = ["man", "--warnings", "-l", "-E", "UTF-8", str(PAGE)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "--older-than" in done.stdout
