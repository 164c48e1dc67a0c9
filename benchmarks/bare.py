"""What confcleanup is measured against: the same requests without anything else.

``aiohttp``: one loop, so many at a time; it signs in, reads the list, looks at each item and deletes it.
``pages``: reads the list and does nothing with it.
"""

from __future__ import annotations

import asyncio
import sys

HEADERS = {"Authorization": "Bearer bench-token-0123456789"}


def addresses(url: str, count: int) -> list[str]:
    return [f"{url}/api/v4/conferences/{number:010}" for number in range(count)]


def before(url: str, count: int) -> list[tuple[str, str]]:
    """The requests that come before the first deletion: the sign-in and the pages of the list."""
    pages = [
        ("GET", f"{url}/api/v4/conferences?page={page}&page_size=1000") for page in range(1, -(-count // 1000) + 1)
    ]
    return [("POST", f"{url}/api/v4/oauth2/token"), *pages]


async def with_aiohttp(url: str, count: int, concurrency: int) -> None:
    import aiohttp

    queue = iter(addresses(url, count))

    async def worker(session: aiohttp.ClientSession) -> None:
        for address in queue:
            async with session.get(address) as answer:
                assert answer.status == 200
                await answer.json()
            async with session.delete(address) as answer:
                assert answer.status == 204
                await answer.read()

    connector = aiohttp.TCPConnector(limit=concurrency)
    async with aiohttp.ClientSession(connector=connector, headers=HEADERS) as session:
        for method, address in before(url, count):
            async with session.request(method, address) as answer:
                await answer.json()
        await asyncio.gather(*(worker(session) for _ in range(concurrency)))


def pages(url: str, count: int) -> None:
    """Reads every page of the list and does nothing with it."""
    import requests

    with requests.Session() as session:
        for page in range(1, -(-count // 1000) + 1):
            assert session.get(f"{url}/api/v4/conferences?page={page}&page_size=1000", headers=HEADERS).content


if __name__ == "__main__":
    way, url, count, concurrency = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    if way == "aiohttp":
        asyncio.run(with_aiohttp(url, count, concurrency))
    else:
        pages(url, count)
