"""What the ledger records of an item, and how it is read back."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from ..items import Item, Kind, Live, Outcome, State
from ..redact import redact
from ..settings.tables import same_address


class Owner(msgspec.Struct, frozen=True):
    """An account as the ledger knows it. ``identity`` tells it from accounts of other configs with the same name."""

    account: str
    provider: str
    url: str = ""
    identity: str = ""

    def owns(self, body: Mapping[str, Any]) -> bool:
        """Whether an entry under this account's name is about this account.

        Earlier releases recorded no identity, and no address of how a run ended. What they recorded counts unless it
        shows another provider or address, so that no safety limit loses what it compares with.
        """
        if known := body.get("identity"):
            return bool(known == self.identity)
        there = body.get("url", self.url)
        return body.get("provider") == self.provider and same_address(there) == same_address(self.url)


FACTS = ("reason", "people", "announced")
"""What is recorded of a decision; the last two of live rooms. Ledgers of earlier releases do not have it."""


def fields_of(item: Item) -> dict[str, Any]:
    """What is recorded of an item: enough to name it, and to look at it again."""
    return {
        "what": item.what,
        "id": item.id,
        "title": redact(item.title) if item.title else item.title,
        "kind": str(item.kind),
        "started_at": timestamp(item.started_at),
        "ended_at": timestamp(item.ended_at),
        "created_at": timestamp(item.created_at),
        "size_bytes": item.size_bytes,
        "address": list(item.locator),
        "aliases": list(item.aliases),
        "run_time": item.live.run_time.total_seconds() if item.live and item.live.run_time else None,
    }


def item_of(body: Mapping[str, Any]) -> Item:
    """As much of an item as was recorded of it. Its state is not known."""
    run_time = body.get("run_time")
    return Item(
        what=body["what"],
        id=body["id"],
        kind=Kind(body["kind"]),
        state=State.UNKNOWN,
        title=body.get("title"),
        started_at=_instant(body.get("started_at")),
        ended_at=_instant(body.get("ended_at")),
        created_at=_instant(body.get("created_at")),
        live=Live(timedelta(seconds=run_time)) if run_time is not None else None,
        locator=tuple(body.get("address", ())),
        aliases=tuple(body.get("aliases", ())),
    )


def deletion_of(intent: Mapping[str, Any], outcome: Mapping[str, Any]) -> dict[str, Any]:
    """An attempted deletion as the contract's JSON object, with its size. ``outcome`` is empty if none was recorded."""
    names = ("run", "account", "provider", "rule", "what", "id", "title", "ended_at", "kind", *FACTS)
    known = {name: intent.get(name) for name in names}
    known |= {"size_bytes": intent.get("size_bytes"), "intended_at": intent["intended_at"]}
    ends = {name: outcome.get(name) for name in ("finished_at", "outcome", "error")}
    known["aliases"] = intent.get("aliases", [])
    return {**known, **ends, "outcome": ends["outcome"] or str(Outcome.UNKNOWN)}


def told(deletion: Mapping[str, Any]) -> str:
    """Why an item was to be deleted, whom that disconnected, and what went wrong, in words, as far as recorded."""
    words = [deletion["reason"]] if deletion["reason"] else []
    if deletion["kind"] == Kind.LIVE and deletion["reason"] is not None:
        people = Live(members=deletion["people"]).people
        announced = {True: "announced before", False: "the announcement failed", None: "without an announcement"}
        words.append(f"{people} in the room, {announced[deletion['announced']]}")
    return ": ".join(filter(None, ["; ".join(words), deletion["error"] or ""]))


def timestamp(when: datetime | None) -> str | None:
    """An instant as the ledger writes it: RFC 3339 in UTC, to the second."""
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if when else None


def _instant(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
