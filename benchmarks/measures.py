"""What is measured. Each function runs both sides of a ratio in turn, several times, and gives the medians."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import NamedTuple

from .program import Cost, confcleanup, in_state, python
from .server import running

LATENCY = 0.05


class Figure(NamedTuple):
    """One line of the table. ``goal`` is in words; ``good`` is None where there is none to reach."""

    what: str
    value: str
    goal: str = ""
    good: bool | None = None


def bare(way: str, url: str, count: int, concurrency: int) -> Cost:
    return python("-m", "benchmarks.bare", way, url, str(count), str(concurrency))


def emptied(cost: Cost, count: int) -> Cost:
    """A run that did not delete everything measures nothing."""
    assert f"deleted {count} of {count} selected" in cost.output, cost.output
    return cost


def deleting(count: int, concurrency: int, rounds: int, others: tuple[str, ...]) -> dict[str, list[Cost]]:
    """The program and others delete the same number of conferences, in turn, each from a fresh server."""
    found: dict[str, list[Cost]] = {way: [] for way in ("confcleanup", *others)}
    for _ in range(rounds):
        for way, costs in found.items():
            with running(count, 1, LATENCY) as url:
                if way == "confcleanup":
                    costs.append(emptied(confcleanup(url, "run", "--yes", concurrency=concurrency), count))
                else:
                    costs.append(bare(way, url, count, concurrency))
    return found


def wall(costs: list[Cost]) -> float:
    return median(cost.wall for cost in costs)


def cpu(costs: list[Cost]) -> float:
    return median(cost.cpu for cost in costs)


def throughput(rounds: int) -> Iterator[Figure]:
    """Deleting conferences with two requests each, answered after 50 ms, against a bare aiohttp loop."""
    for count, concurrency in ((600, 8), (2000, 32)):
        found = deleting(count, concurrency, rounds, ("aiohttp",))
        ours, theirs = wall(found["confcleanup"]), wall(found["aiohttp"])
        value = f"{theirs / ours:.2f} ({count / ours:.0f}/s against {count / theirs:.0f}/s)"
        what = f"items a second, {concurrency} at once, of a bare aiohttp loop's"
        yield Figure(what, value, "≥ 0.9", theirs / ours >= 0.9)
    each = {way: cpu(costs) / count * 1000 for way, costs in found.items()}
    text = ", ".join(f"{way} {value:.2f} ms" for way, value in each.items())
    yield Figure("processor time an item, 32 at once, the start included", text)


def trips(_: int) -> Iterator[Figure]:
    """Round trips of a run, counted by the server."""
    count, concurrency = 5000, 16
    with running(count, 5, 0) as url:
        emptied(confcleanup(url, "run", "--yes", concurrency=concurrency), count // 5)
        counts = json.loads(python("-c", f"import requests; print(requests.get('{url}/counts').text)").output)
    opened = counts["connections"] - 1  # one was ours, to ask
    yield Figure("connections opened", str(opened), f"≤ {concurrency}", opened <= concurrency)
    yield Figure("sign-ins", str(counts["sign-ins"]), "1", counts["sign-ins"] == 1)
    yield Figure(f"list requests for {count} conferences", str(counts["pages"]), "5", counts["pages"] == 5)
    asked = counts["GET"] + counts["DELETE"]
    yield Figure(f"requests for {count // 5} deletions", str(asked), "2 each", asked == 2 * count // 5)
    yield from huawei()


def huawei() -> Iterator[Figure]:
    """How many recordings one DELETE takes, by the emulated Huawei's own record of requests."""
    from confcleanup.providers.huawei import BATCH

    from .batches import deletes

    items, requests = deletes(3 * BATCH)
    yield Figure(f"Huawei: DELETE requests for {items} recordings", str(requests), "3", requests == 3)


def scale(rounds: int) -> Iterator[Figure]:
    """Listing a million and selecting a tenth, in a dry run."""
    count, server, ours = 1_000_000, [], []
    for _ in range(max(1, rounds // 2)):  # a million rows even out what disturbs them
        with running(count, 10, 0) as url:
            server.append(bare("pages", url, count, 1))
            ours.append(confcleanup(url, "plan"))
        assert f"would delete {count // 10} of {count} listed" in ours[-1].output, ours[-1].output
    peak = max(cost.peak for cost in ours) * 1024**2 / 1e6
    yield Figure("peak memory, 1,000,000 listed, 100,000 selected", f"{peak:.0f} MB", "≤ 100 MB", peak <= 100)
    speed = count / (wall(ours) - wall(server))
    yield Figure("items a second beyond what the server takes", f"{speed:,.0f}", "≥ 60,000", speed >= 60_000)
    yield Figure("processor time an item, the start included", f"{cpu(ours) / count * 1e6:.1f} µs")


def pace(_: int) -> Iterator[Figure]:
    """The rate as the server sees it, from 16 threads."""
    from .paced import arrivals

    for rate in ("300/min", "50/s"):
        most, share = arrivals(rate)
        good = most <= 1 and share >= 0.98
        yield Figure(f"rate {rate}: fullest window; use", f"{most:.3f}; {share:.3f}", "≤ 1; ≥ 0.98", good)


def start(rounds: int) -> Iterator[Figure]:
    """Starting, against an import of the library that each needs at least."""
    cases: dict[str, Callable[[], Cost]] = {
        "import click": lambda: python("-c", "import click"),
        "import requests": lambda: python("-c", "import requests"),
        "--version": lambda: python("-m", "confcleanup", "--version"),
        "--help": lambda: python("-m", "confcleanup", "--help"),
    }
    with running(0) as url, TemporaryDirectory() as folder:
        config = in_state(Path(folder), url)
        cases["a run with nothing to do"] = lambda: python(*config, "run", "--yes")
        found: dict[str, list[Cost]] = {name: [] for name in cases}
        for measure in cases.values():
            measure()  # compiles
        for _ in range(5 * rounds):
            for name, measure in cases.items():
                found[name].append(measure())
    for name, base, goal in (
        ("--version", "import click", 1.5),
        ("--help", "import click", None),
        ("a run with nothing to do", "import requests", None),
    ):
        ratio = wall(found[name]) / wall(found[base])
        text = f"{ratio:.2f} ({wall(found[name]) * 1000:.0f} ms against {wall(found[base]) * 1000:.0f} ms)"
        good = None if goal is None else ratio <= goal
        yield Figure(f"{name}, of {base}", text, f"≤ {goal}" if goal else "", good)


def estimate(_: int) -> Iterator[Figure]:
    """The duration that a dry run foretells, against the run that follows."""
    for count, concurrency, rate in ((600, 8, "unlimited"), (300, 16, "50/s")):
        with running(count, 1, LATENCY) as url:
            told = json.loads(confcleanup(url, "plan", "--format", "json", rate=rate, concurrency=concurrency).output)
            took = emptied(confcleanup(url, "run", "--yes", rate=rate, concurrency=concurrency), count).wall
        ratio = told["accounts"][0]["estimated_seconds"] / took
        name = f"estimate of the time taken, {count} items, {concurrency} at once, {rate}"
        yield Figure(name, f"{ratio:.2f}", "0.8 to 1.25", 0.8 <= ratio <= 1.25)


ALL = (start, trips, scale, throughput, estimate, pace)


def machine() -> str:
    """What these figures were measured on, as far as it matters to a ratio."""
    import os
    import platform

    return f"{platform.system()}, {os.cpu_count()} cores, CPython {sys.version.split()[0]}"
