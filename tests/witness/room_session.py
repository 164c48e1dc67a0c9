"""One session of the vendor's Room library, in a process of its own: it writes a log there and never ends its threads.

Arguments: the Room's web port, and its PIN if it has one. Prints as JSON how the session went, and every frame with the
schema that the library has for it.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any

import trueconf_room
from trueconf_room.consts import EVENT, METHOD_RESPONSE


def until(happened: Callable[[], object]) -> None:
    """The library has nothing to wait on; ten seconds are enough."""
    deadline = time.monotonic() + 10
    while not happened() and time.monotonic() < deadline:
        time.sleep(0.02)


def judged(frame: dict[str, Any]) -> dict[str, Any]:
    schema = EVENT.get(frame.get("event")) or METHOD_RESPONSE.get(frame.get("method"))
    fits = schema and trueconf_room.check_schema(schema, frame)
    return {"frame": frame, "schema": list(schema or ()), "fits": fits}


def main(port: str, pin: str | None = None) -> None:
    frames: list[dict[str, Any]] = []
    room = trueconf_room.VideoSDK(False)
    room.add_handler({}, frames.append)
    room.open_session("127.0.0.1", int(port), pin)
    until(lambda: room.isReady() or room.session_status == trueconf_room.SessionStatus.close)
    if room.isReady():
        room.methods.getScheduler()
        until(lambda: any(frame.get("method") == "getScheduler" for frame in frames))
    said = {"status": room.session_status.name, "token": room.getTokenForHttpServer()}
    print(json.dumps({**said, "frames": [judged(frame) for frame in list(frames)]}))


if __name__ == "__main__":
    main(*sys.argv[1:])
