"""What every witness states (client, version, calls made, fields compared), and the table of it at the end of a run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

HEAD = ("client", "version", "calls made", "fields compared")


class Witness:
    """Notes what one test has a vendor's client do; ``client`` is its name on PyPI."""

    def __init__(self, client: str) -> None:
        self.client = client
        self.calls: list[str] = []
        self.fields: list[str] = []

    def called(self, call: str) -> None:
        """The client made this call and took the answer."""
        self.calls.append(call)

    def compared(self, fields: Iterable[str]) -> None:
        """These fields of the sandbox's answers are known to the client under this very name."""
        self.fields.extend(fields)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    calls: dict[tuple[str, str], Counter[str]] = {}
    fields: dict[tuple[str, str], set[str]] = {}
    for report in terminalreporter.getreports("passed"):
        for name, said in report.user_properties:
            if name == "witness":
                client, release, made, seen = said
                calls.setdefault((client, release), Counter()).update(made)
                fields.setdefault((client, release), set()).update(seen)
    if calls:
        terminalreporter.section("witnesses")
        rows = [(*key, _counted(made), str(len(fields[key]))) for key, made in sorted(calls.items())]
        for row in (HEAD, *rows):
            terminalreporter.write_line("| " + " | ".join(row) + " |")


def _counted(calls: Counter[str]) -> str:
    return ", ".join(f"{call} x{count}" if count > 1 else call for call, count in sorted(calls.items()))
