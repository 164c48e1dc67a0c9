"""The e-mail addresses of owners: from a CSV file, the owner itself, or a pattern."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

COLUMNS = ["owner", "address"]
PLACE = "{owner}"
LONGEST = 254
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_ADDRESS = re.compile(rf"{_ATOM}(?:\.{_ATOM})*@{_LABEL}(?:\.{_LABEL})*")
"""The plain form, in ASCII: without quotes, comments and names, so that nothing else can stand in it."""


class Owners(NamedTuple):
    """Where the owners' addresses come from. The keys of ``table`` are in small letters."""

    pattern: str | None = None
    table: Mapping[str, str] = {}

    def address(self, owner: str | None) -> str | None:
        """An owner's address: as the file has it, else the owner itself, else by the pattern; None if none is known."""
        owner = (owner or "").strip()
        if listed := self.table.get(owner.casefold()):
            return listed
        if is_address(owner) and "." in owner.rpartition("@")[2]:
            return owner
        made = self.pattern.replace(PLACE, owner) if self.pattern and owner else ""
        return made if is_address(made) else None


def is_address(text: str) -> bool:
    """Whether a text is an e-mail address in its plain form."""
    return len(text) <= LONGEST and bool(_ADDRESS.fullmatch(text))


def pattern_mistake(pattern: str) -> str | None:
    """What is wrong with a pattern of addresses, in words; None if nothing is."""
    if PLACE not in pattern:
        return f'must hold {PLACE}, for example "{PLACE}@example.com"'
    return None if is_address(pattern.replace(PLACE, "anna")) else "does not make an e-mail address of an owner"


def read_addresses(file: str) -> tuple[dict[str, str], list[str]]:
    """The addresses in a CSV file by owner, in small letters, and everything that is wrong with the file, in words."""
    path, found, mistakes = Path(file).expanduser(), dict[str, str](), list[str]()
    try:
        with path.open(encoding="utf-8-sig", newline="") as lines:
            rows = csv.reader(lines, strict=True)
            header = [name.strip().lower() for name in next(rows, [])]
            if header != COLUMNS:
                return {}, [f"{path} must begin with the line owner,address"]
            for row in rows:
                if not row:
                    continue
                if mistake := _row(row, found):
                    mistakes.append(f"{path}, line {rows.line_num}: {mistake}")
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        why = getattr(error, "strerror", None) or "it is not CSV in UTF-8"
        mistakes.append(f"{path} cannot be read: {why}")
    return found, mistakes


def _row(row: list[str], found: dict[str, str]) -> str | None:
    """Adds a row to what was found; what is wrong with it, in words."""
    if len(row) != len(COLUMNS) or not row[0].strip():
        return "give an owner and an address"
    owner, address = (cell.strip() for cell in row)
    if not is_address(address):
        return f"{address!r} is not an e-mail address"
    if owner.casefold() in found:
        return f"the owner {owner!r} is there twice"
    found[owner.casefold()] = address
    return None
