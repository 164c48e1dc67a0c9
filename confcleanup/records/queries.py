"""What runs and commands ask the ledger: earlier deletions, listings, ends of runs, restorations."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from itertools import islice
from typing import Any

from ..items import Item, Outcome
from .entries import Owner, deletion_of, item_of

NEWEST = "SELECT seq, body FROM event WHERE kind = ? AND account = ? AND seq < ? ORDER BY seq DESC LIMIT 100"
NOT_DONE = ("run", "account", "provider", "at", "status", "error")
LAST = 2**63 - 1
COPY = ("run", "account", "provider", "rule", "what", "id", "title", "deleted_at", "archive", "folder", "at")
RESTORE = ("run", "account", "provider", "what", "id", "new_id", "at", "error")


RUNS_OF_A_WEEK = 1000
"""So many runs are looked back at for a backlog: every 15 minutes for more than a week."""
RECORDED = """
SELECT i.body, json_extract(o.body, '$.finished_at')
FROM json_each(?) AS wanted
CROSS JOIN event AS i ON json_extract(i.body, '$.id') = wanted.value
JOIN event AS o ON o.intent = i.seq
WHERE i.kind = 'intent' AND i.account = ? AND json_extract(o.body, '$.outcome') IN ('deleted', 'gone')
ORDER BY i.seq
"""
"""CROSS JOIN makes SQLite begin with the ids: with IN (...) it reads every deletion of the account instead."""

MARKS = """
SELECT mark.key, rule, seal, since, told, seconds FROM json_each(?) AS wanted
CROSS JOIN mark ON account = ? AND mark.key = wanted.value
"""


DELETED_BEFORE = """
SELECT i.seq, i.body, json_extract(o.body, '$.finished_at'), c.seq FROM event AS i
JOIN event AS o ON o.seq = (SELECT max(seq) FROM event WHERE intent = i.seq)
LEFT JOIN (SELECT seq, json_extract(body, '$.deletion') AS deletion FROM event WHERE kind = 'copy' AND account = ?)
AS c ON c.deletion = i.seq
WHERE i.kind = 'intent' AND i.account = ? AND json_extract(i.body, '$.rule') = ?
AND json_extract(o.body, '$.outcome') = 'deleted' AND json_extract(o.body, '$.finished_at') < ?
AND (c.seq IS NULL OR NOT EXISTS (SELECT 1 FROM event WHERE intent = c.seq)) ORDER BY i.seq
"""


class Queries:
    """The questions; ``Ledger`` gives the rows."""

    def _rows(self, query: str, *values: object) -> list[Any]:
        """The rows of a query that has few of them."""
        raise NotImplementedError

    def _snapshot(self) -> AbstractContextManager[sqlite3.Connection]:
        """A connection that sees the ledger as it is now, to read any number of rows."""
        raise NotImplementedError

    def open_intents(self, account: str) -> list[tuple[int, dict[str, Any]]]:
        """The deletions of an account that were begun and have no recorded outcome: number and body."""
        found = self._rows(
            "SELECT seq, body FROM event AS e WHERE kind = 'intent' AND account = ? "
            "AND NOT EXISTS (SELECT 1 FROM event AS o WHERE o.intent = e.seq) ORDER BY seq",
            account,
        )
        return [(seq, json.loads(body)) for seq, body in found]

    def unknown_outcomes(self, account: str, since: str) -> list[tuple[int, dict[str, Any]]]:
        """The deletions of an account whose latest outcome, recorded since a time (RFC 3339, UTC), is unknown."""
        found = self._rows(
            "SELECT i.seq, i.body FROM event AS o JOIN event AS i ON i.seq = o.intent "
            "WHERE o.kind = 'outcome' AND json_extract(o.body, '$.outcome') = 'unknown' AND o.account = ? "
            "AND json_extract(o.body, '$.finished_at') >= ? "
            "AND NOT EXISTS (SELECT 1 FROM event AS later WHERE later.intent = o.intent AND later.seq > o.seq) "
            "ORDER BY i.seq",
            account,
            since,
        )
        return [(seq, json.loads(body)) for seq, body in found]

    has_marks = False

    def marks(self, account: str, keys: Sequence[str]) -> list[Any]:
        """The marks of these items of an account: key, rule, seal, since, told, seconds."""
        return self._rows(MARKS, json.dumps(keys), account) if self.has_marks else []

    def announced(self) -> int:
        """How many items are marked, and so wait for the end of their notice or are about to go."""
        query = "SELECT count(*) FROM (SELECT DISTINCT account, key FROM mark)"
        return self._rows(query)[0][0] if self.has_marks else 0

    def last_listing(self, account: str) -> datetime | None:
        """When the latest run that listed an account was recorded."""
        query = "SELECT max(json_extract(body, '$.at')) FROM event WHERE kind = 'listing' AND account = ?"
        ((at,),) = self._rows(query, account)
        return datetime.fromisoformat(at) if at else None

    def selections(self, owner: Owner, rules: str, count: int) -> list[int]:
        """How many items each of the last runs of these rules selected in an account, newest first; no refused runs."""
        return [body["selected"] for body in islice(self._listings(owner, rules), count)]

    def backlogs(self, owner: Owner, rules: str) -> list[tuple[datetime, int]]:
        """When the last runs of these rules listed an account, and how many selected items they did not try.

        Newest first; no refused runs.
        """
        found = islice(self._listings(owner, rules), RUNS_OF_A_WEEK)
        return [(datetime.fromisoformat(body["at"]), body.get("untried") or 0) for body in found]

    def _listings(self, owner: Owner, rules: str) -> Iterator[dict[str, Any]]:
        """What the runs of these rules that no safety limit refused listed in an account, newest first."""
        for _, body in self._newest("listing", owner):
            if body.get("rules") == rules and body.get("refused") is False:
                yield body

    def left(self, owner: Owner, what: str, scope: str) -> int | None:
        """The number of items that the last run that listed this scope of a source left there; None if no run did.

        Without those whose deletion was begun since, by runs of other rules or by one that was cut off.
        """
        listings = self._newest("listing", owner)
        seq, body = next(((seq, body) for seq, body in listings if scope in _left(body)), (0, {}))
        if not body:
            return None
        ((begun,),) = self._rows(
            "SELECT count(*) FROM event WHERE kind = 'intent' AND account = ? AND seq > ? "
            "AND json_extract(body, '$.what') = ? AND coalesce(json_extract(body, '$.identity'), '') IN ('', ?)",
            owner.account,
            seq,
            what,
            owner.identity,
        )
        return max(0, int(body["left"][scope]) - int(begun))

    def begins_anew(self, owner: Owner) -> bool:
        """Whether only other accounts of this name were ever listed."""
        mine = next(self._newest("listing", owner), None)
        return mine is None and bool(
            self._rows("SELECT 1 FROM event WHERE kind = 'listing' AND account = ? LIMIT 1", owner.account)
        )

    def last_end(self, account: str) -> dict[str, Any] | None:
        """How the last run ended in an account."""
        query = "SELECT body FROM event WHERE kind = 'end' AND account = ? ORDER BY seq DESC LIMIT 1"
        found = self._rows(query, account)
        return json.loads(found[0][0]) if found else None

    def last_good(self, owner: Owner, what: str, rule: str) -> dict[str, Any] | None:
        """How the last run ended that applied a rule, which is for a source, and did everything it was asked to do.

        Earlier releases recorded neither rules nor address there; what the same run listed shows what it was about.
        """
        for seq, body in self._newest("end", owner):
            earlier = "rules" not in body and body.get("good") and self._listed(owner, what, body["run"], seq)
            if earlier or rule in (body.get("rules") or ()):
                return body
        return None

    def _listed(self, owner: Owner, what: str, run: str, before: int) -> bool:
        """Whether a run listed a source of an account just before an entry."""
        _, body = next(self._newest("listing", owner, before=before), (0, {}))
        return body.get("run") == run and any(key.partition(":")[0] == what for key in _left(body))

    def _newest(self, kind: str, owner: Owner, before: int = LAST) -> Iterator[tuple[int, dict[str, Any]]]:
        """The entries of a kind about an account, newest first: number and body."""
        while found := self._rows(NEWEST, kind, owner.account, before):
            for before, text in found:
                body = json.loads(text)
                if owner.owns(body):
                    yield before, body

    def deletions(self) -> Iterator[dict[str, Any]]:
        """Every attempted deletion, oldest first, as the contract's JSON object."""
        with self._snapshot() as db:
            for intent, outcome in db.execute(
                "SELECT i.body, o.body FROM event AS i LEFT JOIN event AS o "
                "ON o.seq = (SELECT max(seq) FROM event WHERE intent = i.seq) "
                "WHERE +i.kind = 'intent' ORDER BY i.seq"  # without the index, which has them in another order
            ):
                deletion = deletion_of(json.loads(intent), json.loads(outcome) if outcome else {})
                if deletion["outcome"] != Outcome.DEFERRED:
                    yield deletion

    def events(self, kind: str) -> Iterator[dict[str, Any]]:
        """Every event of a kind, oldest first."""
        with self._snapshot() as db:
            for (body,) in db.execute("SELECT body FROM event WHERE kind = ? ORDER BY seq", (kind,)):
                yield json.loads(body)

    def deleted(self, account: str, ident: str) -> Item | None:
        """The item with this id that was last deleted in an account."""
        found = self._rows(
            "SELECT i.body FROM event AS i JOIN event AS o ON o.intent = i.seq "
            "WHERE i.kind = 'intent' AND i.account = ? AND json_extract(i.body, '$.id') = ? "
            "AND json_extract(o.body, '$.outcome') IN ('deleted', 'gone') ORDER BY i.seq DESC LIMIT 1",
            account,
            ident,
        )
        return item_of(json.loads(found[0][0])) if found else None

    def recorded(self, account: str, ids: Sequence[str]) -> Iterator[tuple[dict[str, Any], str]]:
        """What is recorded as deleted or gone under these ids: the intent's body, and when. Oldest first."""
        found = self._rows(RECORDED, json.dumps(ids), account)
        yield from ((json.loads(body), at) for body, at in found)

    def deleted_before(
        self, account: str, rule: str, before: str
    ) -> Iterator[tuple[int, dict[str, Any], str, int | None]]:
        """What a rule deleted before a time (RFC 3339, UTC) and whose copy was not removed since, oldest first.

        The intent's number and body, when it was done, and the number of the entry by which the copy's removal began.
        """
        with self._snapshot() as db:
            for seq, body, at, begun in db.execute(DELETED_BEFORE, (account, account, rule, before)):
                yield seq, json.loads(body), at, begun

    def intents(self, account: str, ident: str) -> list[tuple[int, dict[str, Any]]]:
        """Every intent about an id: number and body."""
        query = "SELECT seq, body FROM event WHERE kind = 'intent' AND account = ? AND json_extract(body, '$.id') = ?"
        return [(seq, json.loads(body)) for seq, body in self._rows(query, account, ident)]

    def copies(self) -> Iterator[dict[str, Any]]:
        """Every copy whose removal was begun, oldest first; ``removed_at`` is None if nobody knows that it ended."""
        with self._snapshot() as db:
            for body, ended in db.execute(
                "SELECT c.body, json_extract(e.body, '$.at') FROM event AS c LEFT JOIN event AS e ON e.intent = c.seq "
                "WHERE c.kind = 'copy' ORDER BY c.seq"
            ):
                event = json.loads(body)
                yield {**{name: event.get(name) for name in COPY}, "removed_at": ended}

    def restores(self) -> Iterator[dict[str, Any]]:
        """Every attempted restoration, oldest first."""
        for event in self.events("restore"):
            yield {name: event.get(name) for name in RESTORE}

    def not_done(self) -> Iterator[dict[str, Any]]:
        """Every end of a run in an account that was not finished, oldest first."""
        for event in self.events("end"):
            if event["status"] != "ok":
                yield {name: event.get(name) for name in NOT_DONE}


def _left(listing: Mapping[str, Any]) -> Mapping[str, int]:
    """How much a run left in each scope that it listed; nothing is known of what earlier releases recorded."""
    left = listing.get("left")
    return left if isinstance(left, dict) else {}
