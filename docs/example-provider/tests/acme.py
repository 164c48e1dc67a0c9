"""Acme Voice on loopback, written from what the vendor documents and not from our client."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from confcleanup.sandbox.server import Clock, Emulator, Request, Response


class AcmeVoice(Emulator):
    """Recordings in pages of ``page_cap``, newest first."""

    def __init__(self, clock: Clock, *, api_key: str, page_cap: int = 50) -> None:
        super().__init__(clock)
        self.api_key, self.page_cap = api_key, page_cap
        self.recordings: dict[str, dict[str, Any]] = {}

    def add_recording(self, ident: str, *, ended: timedelta, **other: Any) -> None:
        """A recording that ended so long ago; ``other`` replaces what it says of itself."""
        when = self.clock() - ended
        times = {"started_at": (when - timedelta(hours=1)).isoformat(), "ended_at": when.isoformat()}
        row = {"id": ident, "title": f"Call {ident}", "host": "ada@example.com", "state": "finished", "bytes": 4096}
        self.recordings[ident] = {**row, **times, **other}

    def handle(self, request: Request) -> Response:
        if request.bearer != self.api_key:
            return Response(401, {"error": "unknown key"})
        match (request.method, *request.segments):
            case ("GET", "v1", "recordings"):
                return self._page(request.number("page", 1))
            case ("GET", "v1", "recordings", ident) if ident in self.recordings:
                return Response(200, self.recordings[ident])
            case ("DELETE", "v1", "recordings", ident) if self.recordings.pop(ident, None):
                return Response(204)
        return Response(404, {"error": "not found"})

    def _page(self, number: int) -> Response:
        newest = sorted(self.recordings.values(), key=lambda row: str(row["ended_at"]), reverse=True)
        start = (number - 1) * self.page_cap
        return Response(200, {"recordings": newest[start : start + self.page_cap], "total": len(newest)})
