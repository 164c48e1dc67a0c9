"""The rate limit: how fast the requests of an account may follow each other."""

from __future__ import annotations

import random
import re
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime

from ..errors import HttpError
from ..settings.values import Pace
from .answer import http_date

_CHANCE = random.SystemRandom()


class RateLimiter:
    """Lets at most ``pace.count`` requests begin in any ``pace.seconds``; shared by an account's threads.

    ``pause`` holds all of them back at once. The window is a little longer than asked for, and a window's requests are
    spread over a second, because what leaves in time may arrive closer together.
    """

    def __init__(self, pace: Pace, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._window = pace.seconds * 1.005 + 0.005
        self._gap = min(1.0, pace.seconds) / pace.count if pace.count else 0.0
        self._granted: deque[list[float]] = deque(maxlen=pace.count or 1)
        self._begun: deque[float] = deque(maxlen=pace.count or 1)
        self._least = pace.seconds
        self._limited = pace.count > 0
        self._not_before = 0.0
        self._pauses = 0
        self._lock = threading.Lock()
        self._mine = threading.local()
        self.seconds = pace.seconds if self._limited else 1.0

    def acquire(self, wait: Callable[[float], None]) -> None:
        """Returns when the next request may begin; ``wait`` waits for some seconds, or raises."""
        reserved: deque[list[float]] = getattr(self._mine, "places", deque())
        while True:
            pauses = self._pauses
            if reserved and pauses == self._mine.pauses:
                place = reserved.popleft()
                delay = place[0] - self._clock()
            else:
                (place,), delay = self._reserve(1)
            self._await([place], delay, wait)
            if pauses == self._pauses:
                break
        while (delay := self._begin()) > 0:
            wait(delay)

    @contextmanager
    def together(self, requests: int, wait: Callable[[float], None]) -> Iterator[None]:
        """Within it, this thread's next ``requests`` requests follow each other as closely as the rate allows.

        Begins when the first of them may begin. Places that are not used are given back.
        """
        while True:
            pauses, (places, delay) = self._pauses, self._reserve(requests)
            self._await(places, delay, wait)
            if pauses == self._pauses:
                break
            self._give_back(places)
        self._mine.places, self._mine.pauses = deque(places), pauses
        try:
            yield
        finally:
            self._give_back(self._mine.places)
            self._mine.places = deque()

    def spread(self, requests: int) -> float:
        """The fewest seconds between the first and the last of so many requests that follow each other."""
        return self._offsets(requests)[-1]

    def _await(self, places: list[list[float]], delay: float, wait: Callable[[float], None]) -> None:
        """Waits for the first of these places. What keeps it from waiting gives them back, and is raised again."""
        if delay > 0:
            try:
                wait(delay)
            except BaseException:  # a stop or a look too old, raised again
                self._give_back(places)
                raise
        places[0][0] = max(places[0][0], self._clock())  # who wakes late begins late, and the window with it

    def _begin(self) -> float:
        """Begins a request now, unless the window is full: then, in how many seconds it may.

        Places are promised ahead; somebody who used one late may have moved the window.
        """
        with self._lock:
            now, full = self._clock(), len(self._begun) == self._begun.maxlen
            if self._limited and full and self._begun[0] + self._least > now:
                return self._begun[0] + self._least - now
            self._begun.append(now)
            return 0.0

    def _offsets(self, requests: int) -> list[float]:
        """When each of some requests that follow each other may begin, in seconds from the first."""
        offsets = [0.0]
        for number in range(1, requests if self._limited else 1):
            offset = offsets[-1] + self._gap
            if number >= (self._granted.maxlen or 1):
                offset = max(offset, offsets[number - (self._granted.maxlen or 1)] + self._window)
            offsets.append(offset)
        return offsets if self._limited else [0.0] * requests

    def _reserve(self, requests: int) -> tuple[list[list[float]], float]:
        """Takes the next places, one after the other: the moments from which on they may be used.

        And the seconds until the first.
        """
        with self._lock:
            now = self._clock()
            start, offsets = max(now, self._not_before), self._offsets(requests)
            if self._limited:
                if self._granted:
                    start = max(start, self._granted[-1][0] + self._gap)
                missing = (self._granted.maxlen or 1) - len(self._granted)
                for number in range(missing, min(requests, missing + len(self._granted))):
                    start = max(start, self._granted[number - missing][0] + self._window - offsets[number])
            places = [[start + offset] for offset in offsets]
            self._granted.extend(places)
            return places, start - now

    def _give_back(self, places: Iterable[list[float]]) -> None:
        """Makes places count as never taken."""
        with self._lock:
            unused = set(map(id, places))
            if unused:
                kept = [place for place in self._granted if id(place) not in unused]
                self._granted.clear()
                self._granted.extend(kept)

    def pause(self, seconds: float) -> None:
        """Nothing begins for this long. Who was waiting for a turn lines up again; the old turn is lost."""
        with self._lock:
            self._not_before = max(self._not_before, self._clock() + seconds)
            self._pauses += 1


def backoff(attempt: int) -> float:
    """Seconds to wait after this many tries, with some chance so that threads do not knock together."""
    return float(2**attempt) * _CHANCE.uniform(0.5, 1.0)


def asked_pause(error: HttpError, now: datetime) -> float | None:
    """The seconds that a refusal's Retry-After asks for; None for a header that cannot be read, or none."""
    header = error.retry_after or ""
    if re.fullmatch(r"\s*[0-9]{1,9}\s*", header):
        return float(header)
    when = http_date(header)
    return max(0.0, (when - now).total_seconds()) if when else None
