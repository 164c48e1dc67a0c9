"""A saved plan: what a person has looked at, and what a run may then delete, and nothing more.

The file is bound to the configuration it was made with, to its age, and to itself: it carries a seal
over its whole content.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from .cutoff import spoken
from .errors import ConfigError, Problem, Refused
from .items import Item, Kind, State
from .plan import Plan
from .redact import redact
from .selection import digest

VERSION = 1
MAX_AGE = timedelta(days=7)


class Reviewed(msgspec.Struct, frozen=True):
    """A plan that was reviewed: by account, what may be deleted and the digest of each item as it was seen."""

    older_than: str | None
    before: str | None
    accounts: Mapping[str, Mapping[tuple[str, ...], str]]
    items: Mapping[str, Mapping[tuple[str, ...], Item]]


def document(
    plans: Iterable[Plan], made: datetime, fingerprints: Mapping[str, str], older_than: str | None, before: str | None
) -> dict[str, Any]:
    """The file's content for these plans; accounts that could not be listed are left out."""
    content = {
        "confcleanup_plan": VERSION,
        "made": made.astimezone(UTC).isoformat(timespec="seconds"),
        "older_than": older_than,
        "before": before,
        "accounts": {
            plan.account: {
                "config": fingerprints[plan.account],
                "items": [_entry(entry.item, entry.decision.reason) for entry in plan.selected],
            }
            for plan in plans
            if not plan.failed
        },
    }
    return {**content, "seal": _seal(content)}


def _entry(item: Item, reason: str) -> dict[str, Any]:
    return {
        "what": item.what,
        "id": item.id,
        "address": list(item.address),
        "kind": str(item.kind),
        "began": item.started_at.isoformat() if item.live and item.started_at else None,
        "title": redact(item.title) if item.title else item.title,
        "reason": redact(reason),
        "digest": digest(item),
    }


def _seal(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def load(path: Path, now: datetime, fingerprints: Mapping[str, str], max_age: timedelta = MAX_AGE) -> Reviewed:
    """Reads a saved plan. ``fingerprints`` are those of the accounts that are to be cleaned now.

    Raises ConfigError if it is no plan, Refused if it was edited, is too old, or was made with another config.
    """
    content = _read(path)
    seal = content.pop("seal", None)
    if seal != _seal(content):
        raise Refused(f"{path} is not as confcleanup wrote it; make a new plan with: plan -o {path}")
    age = now - datetime.fromisoformat(content["made"])
    if age < -timedelta(minutes=5):
        raise Refused(f"{path} was made {spoken(-age)} from now by this machine's clock; set the clock, or plan again")
    if age > max_age:
        raise Refused(f"{path} is {spoken(age)} old, at most {spoken(max_age)} are allowed; make a new plan")
    accounts = content["accounts"]
    for name, fingerprint in fingerprints.items():
        if name not in accounts:
            raise Refused(f"{path} does not speak of the account {name}; name the planned ones with --account")
        if accounts[name]["config"] != fingerprint:
            raise Refused(f"{path} was made with other settings of {name} than the config has now; make a new plan")
    return Reviewed(
        content["older_than"],
        content["before"],
        {name: {_key(entry): entry["digest"] for entry in accounts[name]["items"]} for name in fingerprints},
        {name: {_key(entry): _item(entry) for entry in accounts[name]["items"]} for name in fingerprints},
    )


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        why = getattr(error, "strerror", None) or "it is not JSON"
        raise ConfigError([Problem("--plan", f"{path} cannot be read: {why}")]) from None
    if not isinstance(content, dict) or content.get("confcleanup_plan") != VERSION:
        raise ConfigError([Problem("--plan", f"{path} is not a plan that this version of confcleanup saved")])
    return content


def _key(entry: Mapping[str, Any]) -> tuple[str, ...]:
    return (entry["what"], *entry["address"], entry["id"])


def _item(entry: Mapping[str, Any]) -> Item:
    address = tuple(entry["address"])
    began = datetime.fromisoformat(entry["began"]) if entry.get("began") else None
    kind, title = Kind(entry["kind"]), entry["title"]
    return Item(entry["what"], entry["id"], kind, State.UNKNOWN, title=title, started_at=began, address=address)
