"""Save a plan for review, and read it back: a run with ``--plan`` deletes nothing else.

A run refuses a file that was made with another configuration, is too old, or was changed: a seal covers its content.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec

from .changes import digest
from .cutoff import humanize
from .errors import ConfigError, Problem, Refused
from .items import Item, Kind, State
from .plan import Plan
from .redact import harmless, redact

VERSION: Final = 1
MAX_AGE = timedelta(days=7)
Time = Annotated[datetime, msgspec.Meta(tz=True)]


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An item in the file: what identifies it, what people read, and the digest of the item as it was listed.

    ``began``: when a live room began, which distinguishes it from a later one with its name.
    """

    what: str
    id: str
    address: tuple[str, ...]
    kind: Kind
    began: Time | None
    title: str | None
    reason: str
    digest: str

    @property
    def item(self) -> Item:
        """As much of the item as is known from the file."""
        state = State.UNKNOWN
        return Item(self.what, self.id, self.kind, state, self.title, started_at=self.began, locator=self.address)


class Planned(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An account in the file: the fingerprint of its settings, and what may go."""

    config: str
    items: tuple[Entry, ...]


class File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The file, as it is written and read; ``seal`` is over all the rest."""

    confcleanup_plan: Literal[1]
    made: Time
    older_than: str | None
    before: str | None
    accounts: dict[str, Planned]
    seal: str | None = None


class SavedPlan(msgspec.Struct, frozen=True):
    """A plan that was reviewed: by account, what may be deleted and the digest of each item as it was seen."""

    older_than: str | None
    before: str | None
    accounts: Mapping[str, Mapping[tuple[str, ...], str]]
    items: Mapping[str, Mapping[tuple[str, ...], Item]]


def document(
    plans: Iterable[Plan], made: datetime, fingerprints: Mapping[str, str], older_than: str | None, before: str | None
) -> dict[str, Any]:
    """The file's content for these plans; accounts that could not be listed are left out."""
    accounts = {
        plan.account: Planned(
            fingerprints[plan.account],
            tuple(_entry(entry.item, entry.decision.reason) for entry in plan.selected),
        )
        for plan in plans
        if not plan.failed
    }
    file = File(VERSION, made.astimezone(UTC).replace(microsecond=0), older_than, before, accounts)
    content: dict[str, Any] = msgspec.to_builtins(file)
    del content["seal"]
    return {**content, "seal": _seal(content)}


def _entry(item: Item, reason: str) -> Entry:
    return Entry(
        what=item.what,
        id=item.id,
        address=item.locator,
        kind=item.kind,
        began=item.started_at if item.live else None,
        title=redact(item.title) if item.title else item.title,
        reason=redact(reason),
        digest=digest(item),
    )


def _seal(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def load(path: Path, now: datetime, fingerprints: Mapping[str, str], max_age: timedelta = MAX_AGE) -> SavedPlan:
    """Reads a saved plan. ``fingerprints`` are those of the accounts that are to be cleaned now.

    Raises ConfigError if it is not a plan; Refused if it was changed, is too old, or was made with another config.
    """
    content = _read(path)
    file = _typed(path, content)
    content.pop("seal", None)
    if file.seal != _seal(content):
        raise Refused(f"{path} was changed after confcleanup wrote it; make a new plan with: plan -o {path}")
    age = now - file.made
    if age < -timedelta(minutes=5):
        raise Refused(
            f"{path} was made {humanize(-age)} in the future by this machine's clock; correct it, or make a new plan"
        )
    if age > max_age:
        raise Refused(f"{path} is {humanize(age)} old, at most {humanize(max_age)} are allowed; make a new plan")
    for name, fingerprint in fingerprints.items():
        if name not in file.accounts:
            raise Refused(f"{path} does not include the account {name}; select the planned ones with --account")
        if file.accounts[name].config != fingerprint:
            raise Refused(f"{path} was made with other settings of {name} than the config has now; make a new plan")
    items = {name: file.accounts[name].items for name in fingerprints}
    return SavedPlan(
        file.older_than,
        file.before,
        {name: {entry.item.key: entry.digest for entry in entries} for name, entries in items.items()},
        {name: {entry.item.key: entry.item for entry in entries} for name, entries in items.items()},
    )


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=_once)
    except (OSError, ValueError, RecursionError) as error:
        why = getattr(error, "strerror", None) or "it is not JSON, or a key occurs twice in it"
        raise ConfigError([Problem("--plan", f"{path} cannot be read: {why}")]) from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object. Raises ValueError if a key occurs twice in it: another program might read the other value."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key occurs twice")
    return found


def _typed(path: Path, content: Any) -> File:
    """The file's content, checked value by value. Raises ConfigError that names the first that is wrong."""
    try:
        return msgspec.convert(content, File)
    except (msgspec.ValidationError, UnicodeError) as error:
        why = harmless(str(error))[:200]
        message = f"{path} is not a plan that this version of confcleanup saved: {why}"
        raise ConfigError([Problem("--plan", message)]) from None
