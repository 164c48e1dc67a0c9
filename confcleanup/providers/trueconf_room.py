"""The schedule that a TrueConf Room or VideoSDK shows, read over its WebSocket API.

It can only list: the API has no method that deletes. Source: https://docs.trueconf.com/videosdk/en/.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Collection
from http.client import BadStatusLine
from typing import Any

from websockets.exceptions import ConnectionClosed, InvalidMessage, InvalidStatus, WebSocketException
from websockets.sync.client import ClientConnection, connect

from ..errors import AccessDenied, HttpError, ProviderError
from ..http import tls
from ..http.failures import Asked, transport_error
from ..redact import redact
from .base import rows_of, whole

LARGEST_FRAME = 64 * 1024 * 1024

_frames = logging.getLogger(f"{__name__}.frames")
_frames.setLevel(logging.INFO)  # at DEBUG the library logs every frame, the PIN among them


def schedule(asked: Asked, pin: str | None, *, strict: bool = True) -> Collection[dict[str, Any]]:
    """The conferences of ``getScheduler``, as they came. The timeout of ``asked`` bounds the whole exchange.

    Raises AccessDenied if the Room refuses the PIN, ProviderError for anything else that is not a list.
    """
    deadline = time.monotonic() + asked.timeout
    context = tls.context(asked.ca_file, strict=strict) if asked.target.startswith("wss:") else None
    options: dict[str, Any] = {"open_timeout": asked.timeout, "close_timeout": 1, "max_size": LARGEST_FRAME}
    try:
        with connect(asked.target, ssl=context, proxy=None, logger=_frames, **options) as room:
            _sign_in(room, pin, deadline)
            return _conferences(_ask(room, {"method": "getScheduler"}, "schedule-1", deadline))
    except InvalidStatus as error:
        status = error.response.status_code
        raise HttpError(f"{asked.failed}: {status} in place of a WebSocket", status, advice="check room_url") from None
    except InvalidMessage as error:
        cut = isinstance(error.__cause__, EOFError)
        raise transport_error(ConnectionResetError() if cut else BadStatusLine(""), asked) from None
    except ConnectionClosed:
        raise transport_error(ConnectionResetError(), asked) from None
    except (OSError, WebSocketException, EOFError) as error:
        raise transport_error(error, asked) from None
    except ProviderError as error:
        error.args = (f"{asked.failed}: {error}",)
        raise


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
            "the Room refused the sign-in; correct room_pin" if pin else "the Room asks for a PIN; set room_pin"
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
