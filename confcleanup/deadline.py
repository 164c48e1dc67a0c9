"""When waiting ends: a signal, the end of the run's time, or a look that is too old."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from .errors import Stale, Stopped

FRESH = 2.0
"""Seconds for which a look says how things are; a request that changes something does not leave later than that."""
FINISHING = 60.0
"""Seconds that what was begun may still wait after a stop."""


@dataclass
class Deadline:
    """What ends a run early: a signal, or its time being up. Waiting anywhere ends with it.

    ``deadline`` is on the monotonic clock, in seconds.
    """

    deadline: float = float("inf")
    asked: threading.Event = field(default_factory=threading.Event)
    _shield: threading.local = field(default_factory=threading.local)

    @contextmanager
    def finishing(self) -> Iterator[None]:
        """Within it, this thread's requests go out in spite of a stop: what was begun is brought to its end."""
        self._shield.on, self._shield.left = True, FINISHING
        try:
            yield
        finally:
            self._shield.on = False

    def check(self, ahead: float = 0.0) -> None:
        """Raises Stopped if the run was told to stop, or if its time will be up ``ahead`` seconds from now."""
        if getattr(self._shield, "on", False):
            return
        if self.asked.is_set():
            raise Stopped("the run was interrupted")
        if time.monotonic() + ahead > self.deadline:
            raise Stopped("the time allowed by max_runtime is up")

    def wait(self, seconds: float) -> None:
        """Waits, unless that would outlast the run, or what ``finishing`` allows. Raises Stopped."""
        if getattr(self._shield, "on", False):
            self._shield.left -= seconds
            if self._shield.left < 0:
                raise Stopped("what was begun could not be finished in time")
            time.sleep(seconds)
            return
        self.check(seconds)
        self.asked.wait(seconds)
        self.check()


class Look:
    """When something was looked at, counted from before the question was sent. Fresh for ``FRESH`` seconds.

    Two clocks are read, because the monotonic one may stand still while a machine sleeps.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic, wall: Callable[[], float] = time.time) -> None:
        self._clocks = (clock, wall)
        self._began = (clock(), wall())

    @property
    def age(self) -> float:
        """Seconds since then."""
        return max(clock() - began for clock, began in zip(self._clocks, self._began, strict=True))

    def require_fresh(self, ahead: float = 0.0) -> None:
        """Raises Stale if it is too old to act on, or will be ``ahead`` seconds from now."""
        if self.age + ahead > FRESH:
            raise Stale(f"it could not be sent within {FRESH:.0f} seconds of the last look")
