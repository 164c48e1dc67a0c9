"""Where the bars of a picture stand: age against cutoff, and deletions run by run. Shapes only, no text or colour."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import NamedTuple, TypeVar

BEFORE, SLOTS = 10, 30
"""Bars up to the cutoff, and in all. The first also holds what is not over yet, the last all that is older."""
STEP, HEIGHT, LEAST = 10, 100, 2.0
SHORTEST = timedelta(minutes=10)
Part = TypeVar("Part")


class Bar(NamedTuple):
    """A rectangle in a picture that is HEIGHT high, and how many items it stands for."""

    x: float
    y: float
    width: float
    height: float
    kind: str
    items: int


def unit(cutoff: datetime, now: datetime) -> timedelta:
    """The width of a bar in time: a tenth of the retention, an hour where there is none."""
    kept = now - cutoff
    return kept / BEFORE if kept >= SHORTEST else timedelta(hours=1)


def slot(ended: datetime, cutoff: datetime, now: datetime, *, due: bool, young: bool) -> int:
    """The bar an item belongs to. What was judged due or too young stands on its side of the cutoff."""
    place = BEFORE + (cutoff - ended) // unit(cutoff, now)
    place = max(place, BEFORE) if due else min(place, BEFORE - 1) if young else place
    return max(0, min(place, SLOTS - 1))


def ages(counts: Mapping[tuple[int, str], int], order: Iterable[str]) -> list[Bar]:
    """Bars side by side, each of parts that stand on one another in this order."""
    heights = [sum(counts.get((place, kind), 0) for kind in order) for place in range(SLOTS)]
    bars = []
    for place in range(SLOTS):
        top = float(HEIGHT)
        for kind in order:
            if count := counts.get((place, kind), 0):
                height = max(LEAST, count * (HEIGHT - 2 * LEAST) / max(heights))
                top -= height
                bars.append(
                    Bar(place * STEP + 1, round(max(0.0, top), 1), STEP - 2, round(height, 1), str(kind), count)
                )
    return bars
