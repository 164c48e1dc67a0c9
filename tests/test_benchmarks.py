"""The benchmarks still run; what they measure is not judged here, where other tests run beside them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def _here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.syspath_prepend(ROOT)
    from benchmarks.program import ENV

    monkeypatch.delitem(ENV, "PYTHONPYCACHEPREFIX", raising=False)  # what the other tests have compiled will do here


def test_the_round_trips_are_as_few_as_they_can_be() -> None:
    """Counted, so it may be judged here: connections, sign-ins, pages, requests an item, items a DELETE."""
    from benchmarks.measures import trips

    assert [figure for figure in trips(1) if not figure.good] == []


def test_memory_does_not_grow_with_what_is_listed_and_selected() -> None:
    """Also counted, in bytes: from 2,000 to 20,000 items it may grow by what a page takes, not by what the items do."""
    from benchmarks.program import confcleanup
    from benchmarks.server import running

    peaks = []
    for count in (2_000, 20_000):
        with running(count, 2) as url:
            done = confcleanup(url, "plan", "--format", "json", "-q")
        (account,) = json.loads(done.output)["accounts"]
        assert (account["listed"], account["selected"]) == (count, count // 2)
        peaks.append(done.peak)
    assert peaks[1] - peaks[0] < 10, "MiB; the items alone would take 30"


def test_the_figures_that_are_kept_name_every_measurement() -> None:
    from benchmarks.measures import ALL

    kept = (ROOT / "benchmarks" / "README.md").read_text(encoding="utf-8")
    assert re.findall(r"^### (\w+)", kept, re.MULTILINE) == [measure.__name__ for measure in ALL]


def test_each_line_is_printed_before_the_next_figure_is_measured(capsys: pytest.CaptureFixture[str]) -> None:
    from benchmarks.__main__ import table
    from benchmarks.measures import Figure

    def figures() -> Iterator[Figure]:
        yield Figure("first", "2", "≥ 1", good=True)
        assert "| first | 2 | ≥ 1 | reached |" in capsys.readouterr().out
        yield Figure("second", "0", "≥ 1", good=False)

    assert table("name", figures()) == 1


def test_an_unknown_benchmark_is_refused() -> None:
    done = subprocess.run([sys.executable, "-m", "benchmarks", "nonsense"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "there is no nonsense" in done.stderr
