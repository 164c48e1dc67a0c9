"""How fast requests may follow each other, and what ends all waiting: a signal, or the run's time being up."""

from __future__ import annotations

import random
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from .errors import Stopped
from .settings import Pace

FINISHING = 60.0
"""Seconds that what was begun may still wait after a stop."""


@dataclass
class Stop:
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


class Limiter:
    """Lets at most ``pace.count`` requests begin in any ``pace.seconds``; shared by an account's threads.

    ``pause`` holds all of them back at once. The window is a little longer than asked for, and a window's requests are
    spread over a second, because what leaves in time may arrive closer together.
    """

    def __init__(self, pace: Pace, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._window = pace.seconds * 1.005 + 0.005
        self._gap = min(1.0, pace.seconds) / pace.count if pace.count else 0.0
        self._granted: deque[list[float]] = deque(maxlen=pace.count or 1)
        self._limited = pace.count > 0
        self._not_before = 0.0
        self._pauses = 0
        self._lock = threading.Lock()
        self.seconds = pace.seconds if self._limited else 1.0

    def turn(self, wait: Callable[[float], None]) -> None:
        """Returns when the next request may begin; ``wait`` waits for some seconds, or raises."""
        while True:
            pauses, (place, delay) = self._pauses, self._place()
            if delay <= 0:
                return
            wait(delay)
            place[0] = max(place[0], self._clock())  # who wakes late begins late, and the window with it
            if pauses == self._pauses:
                return

    def _place(self) -> tuple[list[float], float]:
        """Takes the next place: the moment from which on it may be used, and the seconds until then."""
        with self._lock:
            now = self._clock()
            start = max(now, self._not_before)
            if self._limited:
                if self._granted:
                    start = max(start, self._granted[-1][0] + self._gap)
                if len(self._granted) == self._granted.maxlen:
                    start = max(start, self._granted[0][0] + self._window)
            place = [start]
            self._granted.append(place)
            return place, start - now

    def pause(self, seconds: float) -> None:
        """Nothing begins for this long. Who was waiting for a turn lines up again; the old turn is lost."""
        with self._lock:
            self._not_before = max(self._not_before, self._clock() + seconds)
            self._pauses += 1


def backoff(attempt: int) -> float:
    """Seconds to wait after this many tries, with some chance so that threads do not knock together."""
    return float(2**attempt) * random.uniform(0.5, 1.0)  # noqa: S311  # spreads retries in time; it guards nothing
