"""The page "Write a provider" is true: its code is the example's, and the example passes the contract."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "docs" / "example-provider"
PAGE = (ROOT / "docs" / "adding-a-provider.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", PAGE, re.DOTALL)
COPIED = ("contract.py", "waiting.py")


def test_every_piece_of_code_on_the_page_is_from_the_example() -> None:
    files = [path for path in EXAMPLE.rglob("*") if path.suffix in (".py", ".toml")]
    ours = [lines(path.read_text(encoding="utf-8")) for path in files]
    pieces = [lines(code) for language, code in BLOCKS if language in ("python", "toml")]
    assert len(pieces) >= 8
    assert [piece for piece in pieces if not any(piece in file for file in ours)] == []


def lines(code: str) -> str:
    """Code without its indentation and empty lines, which differ on a page."""
    return "".join(f"\n{line.strip()}" for line in code.splitlines() if line.strip())


def copy(to: Path) -> Path:
    shutil.copytree(EXAMPLE, to, ignore=shutil.ignore_patterns("__pycache__", *COPIED))
    for name in COPIED:
        shutil.copy(ROOT / "tests" / "providers" / name, to / "tests" / name)
    return to


def run(words: list[str], folder: Path, **environment: str) -> str:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "COV_"))}
    done = subprocess.run(
        words, cwd=folder, env={**kept, **environment}, capture_output=True, text=True, encoding="utf-8", check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_example_passes_the_contract(tmp_path: Path) -> None:
    folder = copy(tmp_path / "example")
    info = folder / "confcleanup_acme-0.1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: confcleanup-acme\nVersion: 0.1.0\n", encoding="utf-8")
    (info / "entry_points.txt").write_text("[confcleanup.providers]\nacme = confcleanup_acme:Acme\n", encoding="utf-8")
    said = run([sys.executable, "-m", "pytest", "-q"], folder, PYTHONPATH=f"{folder}{os.pathsep}{ROOT}")
    assert int(re.search(r"(\d+) passed", said)[1]) > 70  # type: ignore[index]  # else the test fails, as it should


@pytest.mark.package
@pytest.mark.timeout(300)
def test_the_commands_of_the_page_work_as_they_stand(tmp_path: Path) -> None:
    ignored = shutil.ignore_patterns(".git", ".venv", "__pycache__", ".*_cache", "dist")
    shutil.copytree(ROOT, tmp_path / "confcleanup", ignore=ignored)
    commands = [code for language, code in BLOCKS if language == "sh"]
    said = run(["bash", "-euc", "\n".join(commands)], tmp_path, PYTHONPATH="")
    assert " passed" in said
    assert "acme: Acme Voice" in said
