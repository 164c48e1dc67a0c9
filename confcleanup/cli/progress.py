"""Progress on a terminal: how much is listed and deleted, at what rate, and for how much longer."""

from __future__ import annotations

import sys
import threading
from contextlib import suppress
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TaskID, TextColumn
from rich.progress import TimeRemainingColumn as TimeLeft
from rich.text import Text

from ..plan import Watcher
from ..worklist import Entry
from .json_lines import JsonLines


class _Rate(ProgressColumn):
    """Items a second, or a minute where it is slower."""

    def render(self, task: Task) -> Text:
        speed = task.speed or 0.0
        return Text(f"{speed:.0f}/s" if speed >= 1 else f"{speed * 60:.0f}/min", style="dim")


class Bars(Watcher):
    """One bar an account, on standard error; it vanishes when the run is over."""

    def __init__(self) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(bar_width=24), MofNCompleteColumn(), _Rate(), TimeLeft())
        self._progress = Progress(*columns, console=Console(stderr=True), transient=True)
        self._tasks: dict[str, TaskID] = {}
        self._lock = threading.Lock()

    def stop(self) -> None:
        """Takes the bars off the screen."""
        self._progress.stop()

    def _update(self, account: str, doing: str, **fields: Any) -> None:
        with self._lock:
            if account not in self._tasks:
                self._tasks[account] = self._progress.add_task("", total=None)
            if not (self._progress.live.is_started or isinstance(sys.stderr, JsonLines)):
                with suppress(RuntimeError):  # a thread for it cannot be started; what it shows can be done without
                    self._progress.start()
            self._progress.update(self._tasks[account], description=f"{account}: {doing}", **fields)

    def listed(self, account: str, count: int) -> None:
        self._update(account, "listing", completed=count)

    def planned(self, account: str, count: int) -> None:
        self._update(account, "deleting", completed=0, total=count)

    def done(self, account: str, entry: Entry) -> None:
        self._update(account, "deleting", advance=1)
