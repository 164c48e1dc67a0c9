"""Write rows as a table that fits a terminal, or, where there is none, plain and uncut, one line for each row.

Rows are taken a few hundred at a time, so that memory does not grow with their number.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, tzinfo
from functools import cache
from itertools import islice
from typing import IO, TYPE_CHECKING, NamedTuple

from rich.cells import cell_len, set_cell_size

from ..redact import harmless, redact

if TYPE_CHECKING:
    from rich.console import Console

AT_ONCE = 250
GAP = "  "
ALIGNED = 40
"""Without a terminal, columns are aligned up to this width; what is longer stands out and is not cut."""
LAST_WANTED, LAST_LEAST = 56, 36
"""Cells of the last column, which is wrapped and not cut: as many as that if the others can be cut, and the fewest."""
NOTHING = "-"
"""Stands for an empty cell."""


class Column(NamedTuple):
    """A column. ``least``: the width to which a terminal may cut it; None: it is never cut.

    ``below``: where the terminal is too narrow for a line, it is on the second line.
    """

    name: str
    least: int | None = None
    below: bool = False


class Table:
    """Writes rows to ``put``, a line at a time. ``width`` is the terminal's; None: there is no terminal.

    Text from outside may be given: secrets are replaced and control characters escaped. ``put_head`` writes the names
    of the columns. On a terminal, a column in which nothing stands is left out.
    """

    def __init__(
        self,
        columns: Sequence[Column],
        width: int | None,
        put: Callable[[str], object] = print,
        put_head: Callable[[str], object] | None = None,
    ) -> None:
        self._columns = columns
        self._width = width
        self._put = put
        self._put_head = put_head or put
        self._widths = [0] * len(columns)
        self._headed: list[int] = []

    def write(self, rows: Iterable[Sequence[str]]) -> int:
        """Writes the rows, and the names of the columns before the first; how many rows there were."""
        waiting, count = iter(rows), 0
        while some := [[_clean(cell) for cell in row] for row in islice(waiting, AT_ONCE)]:
            for place in range(len(self._columns)):
                widest = max(cell_len(row[place]) for row in some)
                if widest:
                    self._widths[place] = max(self._widths[place], widest, len(self._columns[place].name))
            self._some(some)
            count += len(some)
        return count

    def _some(self, rows: Sequence[Sequence[str]]) -> None:
        if self._width is None:
            places = list(range(len(self._columns)))
            widths = [min(ALIGNED, width) for width in self._widths]
            lines: Iterator[str] = (_line([row[place] or NOTHING for place in places], widths) for row in rows)
        else:
            places = [place for place, width in enumerate(self._widths) if width]
            fitted = self._fitted(places, self._width)
            widths = fitted or self._widths
            lines = self._in_lines(rows, places, widths) if fitted else self._stacked(rows, places, self._width)
        if places != self._headed:
            self._headed = places
            if self._width is None or fitted:
                names = [self._columns[place].name for place in places]
                self._put_head(_line(names, [widths[place] for place in places]))
        for line in lines:
            self._put(line)

    def _fitted(self, places: Sequence[int], whole: int) -> list[int] | None:
        """The widths of the columns such that a row fits a line; None if it cannot. Cut are the widest first."""
        *others, last = places
        widths = list(self._widths)
        room = whole - len(GAP) * len(places) - sum(widths[place] for place in others)
        room += _shrink(widths, self._columns, others, min(widths[last], LAST_WANTED) - room)
        widths[last] = room
        return widths if room >= min(self._widths[last], LAST_LEAST) else None

    def _in_lines(self, rows: Iterable[Sequence[str]], places: Sequence[int], widths: Sequence[int]) -> Iterator[str]:
        *others, last = places
        wide = [widths[place] for place in others]
        before = " " * (sum(wide) + len(GAP) * len(places))
        for row in rows:
            first, *more = _wrapped(row[last] or NOTHING, widths[last]) or [NOTHING]
            yield _line([*(_cut(row[place] or NOTHING, widths[place]) for place in others), first], [*wide, 0])
            yield from (before + line for line in more)

    def _stacked(self, rows: Iterable[Sequence[str]], places: Sequence[int], whole: int) -> Iterator[str]:
        """Rows in two lines: first the columns that tell items apart, then the rest, wrapped and not cut."""
        above = [place for place in places if not self._columns[place].below]
        below = [place for place in places if self._columns[place].below]
        widths = list(self._widths)
        used = len(GAP) * len(above) + sum(widths[place] for place in above)
        _shrink(widths, self._columns, above, used - whole)
        for row in rows:
            cells = [_cut(row[place] or NOTHING, widths[place]) for place in above]
            first = _line(cells, [widths[place] for place in above])
            yield from [first] if cell_len(first) <= whole else (GAP + line for line in _wrapped(first, whole - 2))
            rest = GAP.join(row[place] for place in below if row[place])
            yield from (2 * GAP + line for line in _wrapped(rest, whole - 2 * len(GAP)))


def _shrink(widths: list[int], columns: Sequence[Column], places: Sequence[int], excess: int) -> int:
    """Cuts the widest columns that may be cut, until so many cells are gained; how many were."""
    gained = 0
    for place in sorted(places, key=lambda place: -widths[place]):
        least = columns[place].least
        if least is not None and excess > gained:
            cut = min(excess - gained, max(0, widths[place] - max(least, len(columns[place].name))))
            widths[place] -= cut
            gained += cut
    return gained


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = (cell + " " * (width - cell_len(cell)) for cell, width in zip(cells, widths, strict=True))
    return (GAP + GAP.join(padded)).rstrip()


def _cut(text: str, width: int) -> str:
    return text if cell_len(text) <= width else set_cell_size(text, width - 1) + "…"


def folded(line: str, width: int | None) -> list[str]:
    """A line in as many as a terminal of this width needs, broken between words; without a terminal as it is."""
    if width is None or cell_len(line) <= width:
        return [line]
    indent = " " * (len(line) - len(line.lstrip()))
    first, *rest = _wrapped(line, width)
    more = _wrapped(" ".join(rest), width - len(indent) - 2 * len(GAP))
    return [first, *(f"{indent}{2 * GAP}{part}" for part in more)]


def _wrapped(text: str, width: int) -> list[str]:
    from rich.text import Text

    if cell_len(text) <= width:
        return [text] if text else []
    return [line.plain.rstrip() for line in Text(text).wrap(_measure(), width)]


@cache
def _measure() -> Console:
    """What ``wrap`` asks for its defaults; the width is given each time."""
    from rich.console import Console

    return Console()


def _clean(text: str) -> str:
    return redact(harmless(text))


def when(instant: datetime | None, zone: tzinfo) -> str:
    """An instant as people read it, with its zone; empty if there is none."""
    return f"{instant.astimezone(zone):%Y-%m-%d %H:%M %Z}" if instant else ""


def terminal_width(out: IO[str]) -> int | None:
    """The columns of the terminal that a stream leads to; None if it leads to none."""
    if not out.isatty():
        return None
    from rich.console import Console

    return Console(file=out).width
