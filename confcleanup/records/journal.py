"""One account's entries in the ledger, in one run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import chain, repeat
from typing import Any

from ..changes import same_times
from ..items import Item, Result
from ..redact import redact
from .entries import fields_of, item_of, timestamp
from .ledger import Ledger

JUDGED_FOR = timedelta(days=3)
"""How long later runs look into an outcome that is unknown."""


class Journal:
    """One account's part of the ledger in one run. Thread-safe.

    An outcome is written together with the next intents, or a second later, so that it does not cost a write to the
    disk of its own. If a crash loses it, the next run looks the item up.
    """

    def __init__(
        self, ledger: Ledger, run: str, account: str, provider: str, clock: Callable[[], datetime], url: str = ""
    ) -> None:
        self._ledger = ledger
        self.run = run
        self._head = {"run": run, "account": account, "provider": provider, "url": url}
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
        account = self._head["account"]
        back = {one["new_id"]: one["at"] for one in self._ledger.restores() if one["account"] == account}
        wanted = {item.key: item for item in items}
        found = {}
        for body, at in self._ledger.recorded(account, [item.id for item in items]):
            before = item_of(body)
            listed = wanted.get(before.key)
            here = all(body.get(key) == self._head[key] for key in ("provider", "url"))
            if listed and here and same_times(before, listed) and str(back.get(listed.id, "")) < at:
                found[listed.key] = datetime.fromisoformat(at)
        return found

    def left_open(self) -> list[tuple[int, Item]]:
        """Items whose deletion an earlier run of this account began, at this address, without recording an outcome."""
        return self._here(self._ledger.open_intents(self._head["account"]))

    def left_unknown(self) -> list[tuple[int, Item]]:
        """Items whose deletion had an unknown outcome in a run of the last days."""
        since = timestamp(self._clock() - JUDGED_FOR) or ""
        return self._here(self._ledger.unknown_outcomes(self._head["account"], since))

    def _here(self, found: Sequence[tuple[int, Mapping[str, Any]]]) -> list[tuple[int, Item]]:
        mine = ("provider", "url")
        return [(n, item_of(body)) for n, body in found if all(body.get(key) == self._head[key] for key in mine)]


def _redacted(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {name: redact(fact) if isinstance(fact, str) else fact for name, fact in facts.items()}
