"""An emulated TrueConf Room or VideoSDK: the WebSocket API that shows a schedule, written from the fact sheet.

Its list is a snapshot that grows stale, knows no tags, and holds events of its own that the server never heard
of (sheet 10). Event frames come before every answer. A command before a good sign-in is refused.
"""

from __future__ import annotations

import json
import ssl
import threading
from datetime import timedelta
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection, serve

from .trueconf import TrueConf

TYPES = {-1: "none", 0: "week", 1: "once"}
MODES = {0: "PxP", 1: "OxP", 3: "S|L"}
SIGNED_IN = {"previleges": 2, "token": "room-login-token", "tokenForHttpServer": "room-http-token", "result": True}
"""The misspelt key is the vendor's."""
ELSEWHERE = {
    "id": "of-an-event",
    "type": 0,
    "topic": "Shown by an event alone",
    "owner": "anna",
    "state": "stopped",
    "access": "private",
    "tags": [],
    "created_at": 1577836800,
    "schedule": {"type": 1, "start_time": 1577923200, "time_offset": 0, "special_time_offset": 180, "duration": 3600},
}
EVENTS: tuple[dict[str, Any], ...] = (
    {"method": "event", "event": "conferenceList", "cnt": 1, "succeed": True, "conferences": [ELSEWHERE]},
    {"method": "event", "event": "conferenceDeleted", "confId": "0073310045"},
)
DAYS = ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday")


class Room:
    """Shows the schedule of a TrueConf emulator at ``url`` until closed. ``seen`` are the frames it received.

    The schedule is that of the moment it was made, or of the last ``refresh()``. ``pin``: asked for at the
    sign-in. ``server_style``: items in the shape of the server, their tags always empty. ``key``: the name of the
    list, ``conferences`` or ``conference``. ``local_events``: an event of its own, with ISO times, that ended
    ``local_ended`` ago (negative: will end in so long). ``admits``: False refuses every sign-in. ``logged_in``:
    False is a terminal that is signed in to no server and shows an empty schedule.
    """

    def __init__(
        self,
        emulator: TrueConf,
        *,
        pin: str | None = None,
        server_style: bool = False,
        key: str = "conferences",
        local_events: bool = True,
        local_ended: timedelta = timedelta(days=-2),
        admits: bool = True,
        logged_in: bool = True,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.emulator = emulator
        self.pin = pin
        self.server_style = server_style
        self.key = key
        self.local_events = local_events
        self.local_ended = local_ended
        self.admits = admits
        self.logged_in = logged_in
        self.seen: list[dict[str, Any]] = []
        self.snapshot: list[dict[str, Any]] = []
        self.refresh()
        self._scheme = "wss" if tls else "ws"
        self._server = serve(self._talk, "127.0.0.1", 0, ssl=tls)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def url(self) -> str:
        """Where the Room listens."""
        return f"{self._scheme}://127.0.0.1:{self._server.socket.getsockname()[1]}"

    def refresh(self) -> None:
        """What the Room does by itself every 8 to 12 minutes."""
        with self.emulator.lock:
            rows = [self.emulator.rendered(row, False) for row in self.emulator.conferences.values()]
        style = _server_style if self.server_style else _room_style
        local = [self._local_event()] if self.local_events else []
        self.snapshot = [*map(style, rows), *local] if self.logged_in else []

    def _local_event(self) -> dict[str, Any]:
        """An event of ``setCustomScheduler``: unknown to the server, with ISO times."""
        start = self.emulator.clock() - self.local_ended - timedelta(minutes=30)
        times = {"start_time": start.isoformat(), "duration": 1800}
        row = {"id": "local-1", "topic": "Of this Room alone", "owner": "room", "state": "stopped", "mode": "PxP"}
        return {**row, "created_at": start.isoformat(), "schedule_type": "once", "schedule": times}

    def __enter__(self) -> Room:
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
                for event in EVENTS:
                    connection.send(json.dumps(event))
                if frame.get("method") == "auth":
                    signed_in = self._admits(frame)
                answer = self._answer(str(frame.get("method")), signed_in)
                head = {"method": frame.get("method"), "requestId": frame.get("requestId", "")}
                connection.send(json.dumps({**head, **answer}))
        except (ConnectionClosed, ValueError):
            return

    def _answer(self, method: str, signed_in: bool) -> dict[str, Any]:
        if method == "auth":
            return SIGNED_IN if signed_in else {"result": False, "error": "wrong credentials"}
        if not signed_in:
            return {"result": False, "error": "access denied"}
        if method == "getScheduler":
            return {"cnt": len(self.snapshot), "result": True, self.key: self.snapshot}
        return {"result": False, "error": "unknown method"}

    def _admits(self, frame: dict[str, Any]) -> bool:
        kinds = ("unsecured", "secured") if self.pin is None else ("secured",)
        fits = self.pin is None or frame.get("credentials") == self.pin
        return self.admits and fits and frame.get("type") in kinds


def _server_style(row: dict[str, Any]) -> dict[str, Any]:
    """The shape of the event ``conferenceList`` in the Room's documentation; its tags are empty there."""
    names = ("id", "type", "topic", "owner", "state", "access", "created_at", "schedule")
    return {name: row[name] for name in names if name in row} | {"tags": []}


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
        if isinstance(schedule.get("days"), list):
            shown["schedule"]["days"] = [int(day in schedule["days"]) for day in DAYS]
    return shown
