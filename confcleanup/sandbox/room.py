"""An emulated TrueConf Room or VideoSDK: the WebSocket API that shows a schedule, written from the fact sheet.

Its list is a snapshot that grows stale, knows no tags, and holds events of its own that the server never heard
of. Event frames come in between. With a PIN, a command before a good sign-in is refused.
"""

from __future__ import annotations

import json
import threading
from datetime import timedelta
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection, serve

from .trueconf import TrueConf

TYPES = {-1: "none", 0: "week", 1: "once"}
MODES = {0: "PxP", 1: "OxP", 3: "S|L"}
DAYS = ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday")


class Room:
    """Shows the schedule of a TrueConf emulator at ``url`` until closed. ``seen`` are the frames it received.

    ``server_style``: items in the shape of the server. ``key``: the name of the list, ``conferences`` or
    ``conference``. ``local_events``: an event of its own, with ISO times.
    """

    def __init__(
        self,
        emulator: TrueConf,
        *,
        pin: str | None = None,
        server_style: bool = False,
        key: str = "conferences",
        local_events: bool = True,
    ) -> None:
        self.emulator = emulator
        self.pin = pin
        self.server_style = server_style
        self.key = key
        self.local_events = local_events
        self.seen: list[dict[str, Any]] = []
        self.snapshot: list[dict[str, Any]] = []
        self._server = serve(self._talk, "127.0.0.1", 0)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def url(self) -> str:
        """Where the Room listens."""
        return f"ws://127.0.0.1:{self._server.socket.getsockname()[1]}"

    def refresh(self) -> None:
        """What the Room does by itself every 8 to 12 minutes."""
        rows = [self.emulator.rendered(row, False) for row in self.emulator.conferences.values()]
        self.snapshot = rows if self.server_style else [_room_style(row) for row in rows]
        if self.local_events:
            self.snapshot.append(self._local_event())

    def _local_event(self) -> dict[str, Any]:
        """An event of ``setCustomScheduler``: unknown to the server, with ISO times."""
        start = self.emulator.clock() + timedelta(days=2)
        times = {"start_time": start.isoformat(), "duration": 1800}
        row = {"id": "local-1", "topic": "Of this Room alone", "owner": "room", "state": "stopped", "mode": "PxP"}
        return {**row, "created_at": start.isoformat(), "schedule_type": "once", "schedule": times}

    def __enter__(self) -> Room:
        self.refresh()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()

    def _talk(self, connection: ServerConnection) -> None:
        signed_in = False
        try:
            for content in connection:
                frame = json.loads(content)
                self.seen.append(frame)
                connection.send(json.dumps({"method": "event", "event": "volumeChanged", "volume": 5}))
                number = frame.get("requestId", "")
                if frame.get("method") == "auth":
                    signed_in = self._admits(frame)
                    answer = _signed_in() if signed_in else {"result": False, "error": "wrong credentials"}
                elif frame.get("method") == "getScheduler" and signed_in:
                    answer = {"cnt": len(self.snapshot), "result": True, self.key: self.snapshot}
                else:
                    answer = {"result": False, "error": "access denied"}
                connection.send(json.dumps({"method": frame.get("method"), "requestId": number, **answer}))
        except (ConnectionClosed, ValueError):
            return

    def _admits(self, frame: dict[str, Any]) -> bool:
        if self.pin is None:
            return frame.get("type") in ("unsecured", "secured")
        return frame.get("type") == "secured" and frame.get("credentials") == self.pin


def _signed_in() -> dict[str, Any]:
    """The misspelt key is the vendor's."""
    return {"previleges": 2, "token": "room-login-token", "tokenForHttpServer": "room-http-token", "result": True}


def _room_style(row: dict[str, Any]) -> dict[str, Any]:
    """A server's object as a Room shows it: no tags, the type beside the schedule, days as seven numbers."""
    names = ("id", "created_at", "owner", "topic", "state", "access", "invitations")
    shown = {name: row[name] for name in names if name in row}
    shown |= {"session_id": "", "mode": MODES.get(row.get("type", 0), "PxP")}
    schedule = row.get("schedule")
    if not isinstance(schedule, dict):
        return shown
    kind = schedule.get("type")
    shown["schedule_type"] = TYPES.get(kind, kind) if isinstance(kind, int) and not isinstance(kind, bool) else kind
    if shown["schedule_type"] != "none":
        shown["schedule"] = {name: schedule[name] for name in ("start_time", "duration") if name in schedule}
        if "days" in schedule:
            shown["schedule"]["days"] = [int(day in schedule["days"]) for day in DAYS]
    return shown
