"""One account's entries in the ledger, in one run."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import chain, repeat
from typing import Any

from ..changes import same_times
from ..items import Item, Result
from ..plan import Copy
from ..redact import redact
from .entries import Owner, fields_of, item_of, timestamp
from .ledger import Ledger
from .proof import COPY

JUDGED_FOR = timedelta(days=3)
"""How long later runs look into an outcome that is unknown."""


class Journal:
    """One account's part of the ledger in one run. Thread-safe.

    An outcome is written together with the next intents, or a second later, so that it does not cost a write to the
    disk of its own. If a crash loses it, the next run looks the item up.
    """

    def __init__(
        self,
        ledger: Ledger,
        run: str,
        account: str,
        provider: str,
        clock: Callable[[], datetime],
        url: str = "",
        identity: str = "",
    ) -> None:
        self._ledger = ledger
        self.run = run
        self._owner = Owner(account, provider, url, identity)
        self._head = {"run": run, "account": account, "provider": provider, "url": url, "identity": identity}
        self._clock = clock

    def intend(self, deletions: Sequence[tuple[Item, str]], facts: Sequence[Mapping[str, Any]] = ()) -> list[int]:
        """Records that these items (each with its rule) are about to be deleted; their numbers. Durable on return."""
        at = timestamp(self._clock())
        bodies = (
            {**self._head, "rule": rule, "intended_at": at, **fields_of(item), **_redacted(more)}
            for (item, rule), more in zip(deletions, chain(facts, repeat({})), strict=False)
        )
        return self._ledger.append(*(("intent", body, None) for body in bodies))

    def finish(self, intent: int, result: Result) -> None:
        """Records the outcome of an intent. Durable a second later, or on ``flush``."""
        error = redact(result.error) if result.error else None
        body = {"outcome": str(result.outcome), "error": error, "finished_at": timestamp(self._clock())}
        self._ledger.gather(("outcome", {**self._head, **body}, intent))

    def flush(self) -> None:
        """Makes every outcome durable."""
        self._ledger.append()

    def note(self, kind: str, **facts: object) -> None:
        """Records something else about the account in this run. Durable on return."""
        self._ledger.append((kind, {**self._head, "at": timestamp(self._clock()), **facts}, None))

    def recorded(self, items: Sequence[Item]) -> dict[tuple[str, ...], datetime]:
        """Of these items, those that the ledger has as deleted or gone, and when, by their keys.

        They are the same item by their times, listed from the same address, and were not restored since.
        """
        account = self._owner.account
        back = {one["new_id"]: one["at"] for one in self._ledger.restores() if one["account"] == account}
        wanted = {item.key: item for item in items}
        found = {}
        for body, at in self._ledger.recorded(account, [item.id for item in items]):
            before = item_of(body)
            listed = wanted.get(before.key)
            if listed and self._owns(body) and same_times(before, listed) and str(back.get(listed.id, "")) < at:
                found[listed.key] = datetime.fromisoformat(at)
        return found

    def begin_copy(self, copy: Copy) -> int:
        """Records that a copy is about to be removed; the entry's number. Durable on return."""
        where = {"rule": copy.rule, "archive": copy.target, "folder": copy.folder, "deletion": copy.deletion}
        times = {"deleted_at": timestamp(copy.deleted_at), "at": timestamp(self._clock())}
        return self._ledger.append((COPY, {**self._head, **where, **times, **fields_of(copy.item)}, None))[0]

    def end_copy(self, begun: int) -> None:
        """Records that a copy is removed. Durable on return."""
        self._ledger.append((f"{COPY}-removed", {**self._head, "at": timestamp(self._clock())}, begun))

    def left_open(self, sources: Collection[str]) -> list[tuple[int, Item]]:
        """Items of these sources whose deletion an earlier run of this account began without recording an outcome.

        What is open in other sources may be a deletion that another run is carrying out.
        """
        return self._mine(self._ledger.open_intents(self._owner.account), sources)

    def left_unknown(self, sources: Collection[str]) -> list[tuple[int, Item]]:
        """Items of these sources whose deletion had an unknown outcome in a run of the last days."""
        since = timestamp(self._clock() - JUDGED_FOR) or ""
        return self._mine(self._ledger.unknown_outcomes(self._owner.account, since), sources)

    def _mine(self, found: Sequence[tuple[int, Mapping[str, Any]]], sources: Collection[str]) -> list[tuple[int, Item]]:
        return [(n, item_of(body)) for n, body in found if body["what"] in sources and self._owns(body)]

    def _owns(self, body: Mapping[str, Any]) -> bool:
        """Whether a deletion was this account's; one without an address cannot be looked into."""
        return "url" in body and self._owner.owns(body)


def _redacted(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {name: redact(fact) if isinstance(fact, str) else fact for name, fact in facts.items()}
