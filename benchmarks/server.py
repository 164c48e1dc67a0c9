"""A TrueConf Server of any size, made up row by row: API v4, fast enough not to be what is measured.

It runs in a process of its own. ``python -m benchmarks.server COUNT EVERY LATENCY`` prints its port; every ``EVERY``-th
conference ended 50 days ago, the others 5; each request is answered after ``LATENCY`` seconds. ``/counts`` and
``/times`` say what was asked, and when.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import ClassVar
from urllib.parse import parse_qs, urlsplit

DAY = 86400
PAGE = 1000
SIGNED_IN = '{"access_token":"bench-token-0123456789","token_type":"Bearer","expires_in":3600}'
NOW = int(time.time())


def row(number: int, now: int, every: int) -> str:
    """A conference as v4 shows it."""
    start = now - (50 if number % every == 0 else 5) * DAY - number % DAY
    return (
        f'{{"id":"{number:010}","topic":"Weekly meeting {number}","owner":"user{number % 100}@vc.example.org",'
        f'"state":"stopped","schedule_type":"once","tags":["team"],"created_at":{start - DAY},'
        f'"schedule":{{"type":"once","start_time":{start},"duration":3600}},"max_podiums":6,"description":"",'
        f'"invitations":[{{"id":"user{number % 97}","display_name":"User"}}]}}'
    )


class Server(asyncio.Protocol):
    """One connection. What they share are attributes of the class."""

    _gone: ClassVar[set[str]] = set()
    _counts: ClassVar[dict[str, int]] = {}
    _times: ClassVar[list[float]] = []

    def __init__(self, count: int, every: int, latency: float) -> None:
        self._count, self._every, self._latency = count, every, latency
        self._now = NOW
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._count_one("connections")

    def _count_one(self, what: str) -> None:
        self._counts[what] = self._counts.get(what, 0) + 1

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head = self._buffer[:end].decode("latin-1")
            length = next(
                (int(line[15:]) for line in head.split("\r\n") if line.lower().startswith("content-length:")), 0
            )
            if len(self._buffer) < end + 4 + length:
                return
            self._buffer = self._buffer[end + 4 + length :]
            method, target, _ = head.split("\r\n", 1)[0].split(" ")
            self._answer(method, target)

    def _answer(self, method: str, target: str) -> None:
        where = urlsplit(target)
        ident = where.path.rpartition("/")[2]
        if ident in ("counts", "times"):
            self._send(200, json.dumps(self._counts if ident == "counts" else self._times))
            return
        self._times.append(time.monotonic())
        if method == "POST":
            self._count_one("sign-ins")
            self._later(lambda: (200, SIGNED_IN))
        elif ident == "conferences":
            self._count_one("pages")
            number = int(parse_qs(where.query).get("page", ["1"])[0])
            self._later(lambda: (200, self._page(number)))
        else:
            self._count_one(method)
            self._later(lambda: self._one(method, ident))

    def _later(self, answer: Callable[[], tuple[int, str]]) -> None:
        if self._latency:
            asyncio.get_running_loop().call_later(self._latency, lambda: self._send(*answer()))
        else:
            self._send(*answer())

    def _page(self, number: int) -> str:
        numbers = range((number - 1) * PAGE, min(number * PAGE, self._count))
        rows = ",".join(row(n, self._now, self._every) for n in numbers)
        return f'{{"conferences":[{rows}],"results":{self._count}}}'

    def _one(self, method: str, ident: str) -> tuple[int, str]:
        if ident in self._gone:
            return 404, '{"reason":"conferenceNotFound"}'
        if method == "DELETE":
            self._gone.add(ident)
            return 204, ""
        return 200, f'{{"conference":{row(int(ident), self._now, self._every)}}}'

    def _send(self, status: int, body: str) -> None:
        content = body.encode()
        length = "" if status == 204 else f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n"
        head = f"HTTP/1.1 {status} X\r\nDate: {format_datetime(datetime.now(UTC), usegmt=True)}\r\n{length}\r\n"
        self._transport.write(head.encode() + content)


async def serve(count: int, every: int, latency: float) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Server(count, every, latency), "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


@contextmanager
def running(count: int, every: int = 1, latency: float = 0.0) -> Iterator[str]:
    """The address of a fresh server of this size."""
    command = [sys.executable, "-m", "benchmarks.server", str(count), str(every), str(latency)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.kill()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])))
