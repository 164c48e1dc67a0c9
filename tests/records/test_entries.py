"""What the ledger keeps of an item, by the names that stand in the ledgers of earlier versions."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from confcleanup.items import Item, Kind, State
from confcleanup.records.entries import fields_of, item_of


def test_the_locator_stands_in_the_ledger_as_address_and_comes_back() -> None:
    when = datetime(2026, 1, 31, tzinfo=UTC)
    item = Item("recordings", "7", Kind.RECORDING, State.ENDED, ended_at=when, locator=("869048",), unreadable="x")
    body = json.loads(json.dumps(fields_of(item)))
    assert body["address"] == ["869048"]
    assert not {"locator", "unreadable", "doubt"} & body.keys()
    assert item_of(body).locator == ("869048",)
    assert item_of(body).key == item.key
