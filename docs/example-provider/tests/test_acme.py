"""Acme passes the suite that every provider passes, and has a test for each habit of its own."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from confcleanup_acme import recording

from confcleanup.items import State
from confcleanup.sandbox.server import Request

from .acme import AcmeVoice
from .contract import NOW, PagedContract


class TestAcme(PagedContract):
    vendor = "acme"
    what = "recordings"
    secrets = ("acme-key-7d31c0",)

    def emulator(self) -> AcmeVoice:
        return AcmeVoice(lambda: NOW, api_key=self.secrets[0], page_cap=self.cap)

    def add(self, emulator: AcmeVoice, number: int) -> str:
        emulator.add_recording(f"rec-{number:04d}", ended=timedelta(days=40, minutes=number))
        return f"rec-{number:04d}"

    def left(self, emulator: AcmeVoice) -> set[str]:
        return set(emulator.recordings)

    def settings(self, url: str) -> dict[str, Any]:
        return {"url": url, "api_key": self.secrets[0]}

    def lists(self, request: Request) -> bool:
        return request.method == "GET" and request.path == "/v1/recordings"

    def rows(self, body: Any) -> list[dict[str, Any]]:
        return body.get("recordings", [])

    def row_id(self, row: Mapping[str, Any]) -> str:
        return str(row["id"])


@pytest.mark.parametrize("ended", [None, "soon", "2026-01-01T10:00:00", -1, True])
def test_an_end_that_cannot_be_read_keeps_the_item(ended: object) -> None:
    item = recording({"id": "1", "state": "finished", "ended_at": ended})
    assert item.ended_at is None
    assert item.unreadable


def test_a_state_that_acme_does_not_document_is_not_over() -> None:
    assert recording({"id": "1", "state": "archived", "ended_at": "2026-01-01T10:00:00Z"}).state is State.UNKNOWN
