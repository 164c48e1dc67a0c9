"""How the requests of an account arrive at a server: never more than the rate in any window, and almost all of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping

import requests

from confcleanup.deadline import Deadline
from confcleanup.errors import Stopped
from confcleanup.http.client import Http
from confcleanup.settings.values import Rate

from .server import running

THREADS = 16


class Open:
    """An account that needs no sign-in."""

    def sign_in(self, http: Http) -> Mapping[str, str]:
        return {}

    def token_expired(self, error: Exception) -> bool:
        return False


def arrivals(rate: str) -> tuple[float, float]:
    """The fullest window's share of the rate, and the share of the whole rate that was used.

    Over two windows at least, and over twenty seconds.
    """
    pace = Rate.parse(rate)
    windows = max(2, int(20 / pace.seconds))
    with running(1) as url:
        stop = Deadline(deadline=time.monotonic() + (windows - 1) * pace.seconds * 1.02 + min(pace.seconds, 5) * 0.9)
        http = Http(url, auth=Open(), rate=pace, concurrency=THREADS, stop=stop)

        def work() -> None:
            try:
                while True:
                    http.get("api/v4/conferences")
            except Stopped:
                return

        threads = [threading.Thread(target=work) for _ in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        http.close()
        times = requests.get(f"{url}/times", timeout=30).json()
    fullest = max(
        sum(1 for at in times[number : number + pace.count + 50] if at < start + pace.seconds)
        for number, start in enumerate(times)
    )
    whole = [at for at in times if at < times[0] + (windows - 1) * pace.seconds]
    return fullest / pace.count, len(whole) / (pace.count * (windows - 1))
