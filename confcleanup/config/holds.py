"""Legal holds, from the config and from a file. A hold always wins; one that cannot be read stops the run."""

from __future__ import annotations

import csv
import re
import stat
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import date, datetime, time, tzinfo
from pathlib import Path
from typing import Annotated

from ..cutoff import parse_instant
from ..errors import ConfigError, Problem
from ..protection import Hold
from ..settings.tables import Table
from ..settings.values import FilePath, When
from ..system import mode_of, why_denied

MARKS = ("id", "owner", "title", "tag")
COLUMNS = (*MARKS, "reason", "until")


class HoldEntry(Table, frozen=True, kw_only=True):
    """One hold: at least one mark, a reason, and the end if it has one."""

    id: str | None = None
    owner: str | None = None
    title: str | None = None
    tag: str | None = None
    reason: str
    until: Annotated[str | None, When] = None

    def problems(self) -> Iterator[tuple[str, str]]:
        if not any(getattr(self, mark) for mark in MARKS):
            yield "", "a hold needs at least one of id, owner, title, tag"
        if not self.reason.strip():
            yield "reason", "is empty; give the reason for this hold"


class HoldSettings(Table, frozen=True, kw_only=True):
    """The ``[holds]`` table."""

    file: Annotated[str, FilePath] | None = None
    hold: tuple[HoldEntry, ...] = ()


def active(settings: HoldSettings, zone: tzinfo, now: datetime) -> tuple[Hold, ...]:
    """The holds in force at ``now``. Raises ConfigError if the file is missing or a line cannot be read."""
    entries = [{name: getattr(entry, name) for name in COLUMNS} for entry in settings.hold]
    if settings.file:
        entries += _from_file(Path(settings.file))
    holds = [_hold(entry, zone) for entry in entries]
    return tuple(hold for hold in holds if hold.until is None or hold.until > now)


def _hold(entry: Mapping[str, str | None], zone: tzinfo) -> Hold:
    until = _end(entry.get("until"), zone)
    marks = {mark: entry.get(mark) or None for mark in MARKS}
    return Hold(reason=entry["reason"] or "", until=until, **marks)


def _end(text: str | None, zone: tzinfo) -> datetime | None:
    """When a hold ends, on the clock of ``zone``; None for never, and for an end beyond the calendar.

    A date alone means: to the end of that day.
    """
    if not text:
        return None
    with suppress(ValueError):
        text = datetime.combine(date.fromisoformat(text.strip()), time.max).isoformat()
    try:
        return parse_instant(text, zone).astimezone(zone)
    except (ValueError, OverflowError):
        return None


def _from_file(path: Path) -> list[dict[str, str | None]]:
    """The lines of a holds file: CSV (also with ; or tabs) with a header of our columns, or one id a line."""
    try:
        with path.open(encoding="utf-8-sig") as file:
            open_to_all = (mode_of(file.fileno()) or 0) & stat.S_IWOTH
            lines = file.read().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        why = why_denied(path, error) if isinstance(error, OSError) else f"{path} is not UTF-8 text"
        raise ConfigError([Problem("holds.file", f"cannot be read, so nothing is deleted: {why}")]) from None
    if open_to_all:
        raise ConfigError([Problem("holds.file", f"{path} is writable by everyone: chmod o-w {path}")])
    numbered = [(n, line) for n, line in enumerate(lines, 1) if line.strip() and not line.lstrip().startswith("#")]
    if not numbered:
        why = "is empty; if nothing is held, take holds.file out of the config, or leave a header alone in the file"
        raise ConfigError([Problem("holds.file", f"{path} {why}")])
    first, separator = numbered[0][1], ","
    if not set(_cells(first, ",")) & set(COLUMNS):
        separator = next((mark for mark in ";\t" if set(_cells(first, mark)) & set(COLUMNS)), ",")
    header = _cells(first, separator)
    if not set(header) & set(COLUMNS):
        odd = [number for number, line in numbered if re.search(r'[,;\t"]|\s#', line.strip())]
        if odd:
            why = "is not one id; give the file a header such as id,reason"
            raise ConfigError([Problem("holds.file", f"{path}, line {number}: {why}") for number in odd])
        return [{"id": line.strip(), "reason": f"listed in {path.name}"} for _, line in numbered]
    problems = [
        Problem("holds.file", f"{path}, line {numbered[0][0]}: unknown column {n!r}")
        for n in header
        if n not in COLUMNS
    ]
    entries = []
    for number, line in numbered[1:]:
        entry, mistake = _line(header, line, separator)
        entries.append(entry)
        if mistake:
            problems.append(Problem("holds.file", f"{path}, line {number}: {mistake}"))
    if problems:
        raise ConfigError(problems)
    return entries


def _cells(header: str, separator: str) -> list[str]:
    return [name.strip().lower() for name in next(csv.reader([header], delimiter=separator))]


def _line(header: list[str], line: str, separator: str) -> tuple[dict[str, str | None], str | None]:
    try:
        cells = next(csv.reader([line], delimiter=separator, strict=True))
    except csv.Error as error:
        return {}, f"cannot be read ({error}); a field ends on the line on which it begins"
    if len(cells) > len(header):
        return {}, f"{len(cells)} fields where the header has {len(header)}"
    entry: dict[str, str | None] = {name: cell.strip() for name, cell in zip(header, cells, strict=False)}
    if not any(entry.get(mark) for mark in MARKS):
        return entry, "names no id, owner, title or tag"
    entry["reason"] = entry.get("reason") or "no reason given"
    try:
        When.parse(entry["until"]) if entry.get("until") else None
    except ValueError as error:
        return entry, str(error)
    return entry, None
