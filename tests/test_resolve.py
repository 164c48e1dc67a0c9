"""What is derived is derived once: the rules of each account, the holds file, the instant from which ages count."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from confcleanup.cli import cleaning, cli, notices
from confcleanup.config import holds, rules
from confcleanup.config.load import Account, Config
from confcleanup.reports import html as page
from confcleanup.reports.html.tally import Tally
from confcleanup.sandbox.sandbox import Sandbox

STEP = timedelta(hours=1)


class Counted:
    """A program whose clock leaps an hour at each reading, and what it derived."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.reads: list[Path] = []
        self.rules: Counter[str] = Counter()
        self.instants: set[datetime] = set()
        self.clocks: Counter[str] = Counter()
        self.file = folder / "config.toml"
        self._now = datetime.now(UTC)
        self._rules_of, self._from_file, self._of_run = rules._rules_of, holds._from_file, page.of_run
        patch.setattr(rules, "_rules_of", self.rules_of)
        patch.setattr(holds, "_from_file", self.from_file)
        patch.setattr(page, "of_run", self.of_run)
        for module in (cleaning, notices):
            patch.setattr(module, "clock", self.clock)

    def rules_of(self, loaded: Config, account: Account, held: Any, now: datetime, *more: Any) -> Any:
        self.rules[account.name] += 1
        self.instants.add(now)
        return self._rules_of(loaded, account, held, now, *more)

    def from_file(self, path: Path) -> Any:
        self.reads.append(path)
        return self._from_file(path)

    def of_run(self, run: Any, tally: Tally, *more: Any) -> str:
        self.instants |= {run.now}
        return self._of_run(run, tally, *more)

    def clock(self) -> datetime:
        """Leaps for the commands; vendors, whose answers are held against it, see it stand still."""
        reader = sys._getframe(1).f_globals["__name__"]
        self.clocks[reader] += 1
        if not reader.startswith("confcleanup.cli"):
            return datetime.now(UTC)
        self._now += STEP
        return self._now


@pytest.fixture
def counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Counted]:
    with Sandbox() as sandbox:
        held = tmp_path / "holds"
        held.write_text("of-nothing\n", encoding="utf-8")
        found = Counted(tmp_path, monkeypatch)
        text = sandbox.config.replace("[accounts", f"[holds]\nfile = '{held}'\n\n[accounts", 1)
        found.file.write_text(text, encoding="utf-8")
        yield found


def test_a_plan_with_a_page_over_several_accounts_derives_everything_once(counted: Counted, tmp_path: Path) -> None:
    words = ["-c", str(counted.file), "--state", str(tmp_path), "plan", "--html", str(tmp_path / "page.html")]
    done = CliRunner().invoke(cli, words)
    assert done.exit_code == 0, done.stderr
    assert len(counted.rules) > 3
    assert set(counted.rules.values()) == {1}
    assert len(counted.reads) == 1
    assert len(counted.instants) == 1
    read_by = {name: count for name, count in counted.clocks.items() if name.startswith("confcleanup.cli")}
    assert read_by == {"confcleanup.cli.cleaning": 1}, "the commands read the clock once"
    below = {name.split(".")[1] for name in counted.clocks} - {"cli"}
    assert below <= {"http", "providers"}, "below, only what compares a server's clock or history with ours"


@pytest.mark.parametrize("option", ["--before", "--older-than"])
def test_a_run_derives_everything_once_whatever_age_is_given(counted: Counted, tmp_path: Path, option: str) -> None:
    given = {"--before": "2020-01-01", "--older-than": "400 days"}[option]
    words = ["-c", str(counted.file), "--state", str(tmp_path / "state"), "run", "--yes", option, given]
    done = CliRunner().invoke(cli, words)
    assert done.exit_code in (0, 1), done.stderr
    assert set(counted.rules.values()) == {1}
    assert (len(counted.reads), len(counted.instants)) == (1, 1)
