"""The schedule that a TrueConf Room or VideoSDK shows, read over its WebSocket API.

It can only list: the API has no method that deletes. Source: https://docs.trueconf.com/videosdk/en/.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Collection
from typing import Any

from websockets.exceptions import WebSocketException
from websockets.sync.client import ClientConnection, connect

from ..errors import AccessDenied, ProviderError
from ..http import tls
from ..redact import harmless, redact
from .base import rows_of, whole

LARGEST_FRAME = 64 * 1024 * 1024

_frames = logging.getLogger(f"{__name__}.frames")
_frames.setLevel(logging.INFO)  # at DEBUG the library logs every frame, the PIN among them


def schedule(url: str, pin: str | None, timeout: float, ca_file: str | None = None) -> Collection[dict[str, Any]]:
    """The conferences of ``getScheduler``, as they came. ``timeout`` (seconds) bounds the whole exchange.

    Raises AccessDenied if the Room refuses the PIN, ProviderError for anything else that is not a list.
    """
    deadline = time.monotonic() + timeout
    options: dict[str, Any] = {"open_timeout": timeout, "close_timeout": 1, "max_size": LARGEST_FRAME}
    try:
        context = tls.context(ca_file) if url.startswith("wss:") else None
        with connect(url, ssl=context, proxy=None, logger=_frames, **options) as room:
            _sign_in(room, pin, deadline)
            answer = _ask(room, {"method": "getScheduler"}, "schedule-1", deadline)
    except TimeoutError:
        raise ProviderError("the Room did not answer in time; check room_url and that the Room is running") from None
    except (OSError, WebSocketException, EOFError) as error:
        raise ProviderError(f"the Room cannot be reached: {redact(harmless(str(error)))[:200]}") from None
    return _conferences(answer)


def _sign_in(room: ClientConnection, pin: str | None, deadline: float) -> None:
    request = {"method": "auth", "type": "unsecured"}
    if pin is not None:
        request = {"method": "auth", "type": "secured", "credentials": pin}
    answer = _ask(room, request, "auth-1", deadline, unnumbered=True)
    for name in ("token", "tokenForHttpServer"):
        if isinstance(answer.get(name), str):
            redact.add(answer[name])
    if answer.get("result") is not True:
        raise AccessDenied(
            "the Room refused the sign-in: check room_pin" if pin else "the Room asks for a PIN: set room_pin"
        )


def _ask(
    room: ClientConnection, request: dict[str, str], number: str, deadline: float, *, unnumbered: bool = False
) -> dict[str, Any]:
    """Send a request and wait for the frame that answers it; events in between are not answers."""
    room.send(json.dumps({**request, "requestId": number}))
    numbers = (number, "", None) if unnumbered else (number,)
    while True:
        frame = _frame(room.recv(timeout=max(0.0, deadline - time.monotonic())))
        if frame.get("method") == request["method"] and frame.get("requestId") in numbers:
            return frame


def _frame(content: str | bytes) -> dict[str, Any]:
    try:
        frame = json.loads(content)
    except (ValueError, RecursionError):
        frame = None
    if not isinstance(frame, dict):
        raise ProviderError("the Room sent a frame that is not a JSON object")
    return frame


def _conferences(answer: dict[str, Any]) -> Collection[dict[str, Any]]:
    if answer.get("result") is not True:
        raise ProviderError("the Room refused to show its schedule; is it logged in to its server?")
    rows = rows_of(answer, "conferences", "conference")
    count = whole(answer.get("cnt"))
    if count is not None and len(rows) < count:
        raise ProviderError(f"the Room's schedule is not complete: it counts {count} and shows {len(rows)}")
    return rows
