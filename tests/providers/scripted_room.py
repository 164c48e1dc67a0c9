"""A Room that says exactly what a test tells it to."""

from __future__ import annotations

import json
import threading
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection, serve

SIGNED_IN = {
    "requestId": "",
    "method": "auth",
    "previleges": 2,
    "token": "room-login-token",
    "tokenForHttpServer": "room-http-token",
    "result": True,
}


def schedule(rows: object, **more: Any) -> dict[str, Any]:
    """A complete answer to ``getScheduler``; it carries the number of the request it answers."""
    count = len(rows) if isinstance(rows, list) else 0
    return {
        "method": "getScheduler",
        "requestId": ...,
        "cnt": count,
        "result": True,
        "conferences": rows,
        **more,
    }


class ScriptedRoom:
    """Answers each method with the frames given for it; ``...`` stands for the request's own requestId.

    A frame that is text is sent as it is. A method without frames is met with silence, None with a hang-up.
    ``seen`` are the frames received.
    """

    def __init__(self, *scheduler: Any, auth: Any = (SIGNED_IN,)) -> None:
        self._script = {"auth": auth, "getScheduler": scheduler}
        self.seen: list[dict[str, Any]] = []
        self._server = serve(self._talk, "127.0.0.1", 0)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def url(self) -> str:
        """Where the Room listens."""
        return f"ws://127.0.0.1:{self._server.socket.getsockname()[1]}"

    def __enter__(self) -> ScriptedRoom:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()

    def _talk(self, client: ServerConnection) -> None:
        try:
            for content in client:
                request = json.loads(content)
                self.seen.append(request)
                for frame in self._script[request["method"]]:
                    if frame is None:
                        return
                    client.send(frame if isinstance(frame, str) else self._filled(frame, request))
        except ConnectionClosed:
            return

    @staticmethod
    def _filled(frame: dict[str, Any], request: dict[str, Any]) -> str:
        return json.dumps({**frame, "requestId": request["requestId"]} if frame.get("requestId") is ... else frame)
