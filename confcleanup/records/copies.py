"""Remove the program's own copies once a rule has kept them for as long as its ``keep_archive`` says.

The ledger says which copies there may be: those of items that were recorded as deleted. A copy is removed only if its
folder holds exactly what its manifest lists, and is about that item. Holds and what rules keep protect copies too.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import datetime

import msgspec
from msgspec.structs import replace

from ..config.load import Account
from ..deadline import Deadline
from ..errors import ArchiveError, LedgerError, Stopped
from ..filter import Rule, lacking, protection_of
from ..guards import too_many_copies
from ..items import Item
from ..plan import SHOWN, Copy, Plan
from ..protection import Protection
from ..redact import harmless
from .archive import Archive, item_folder
from .entries import Owner, item_of, timestamp
from .journal import Journal
from .ledger import Ledger
from .stores import NotOurs


class _Saved(msgspec.Struct):
    """What ``item.json`` says of an item."""

    what: str
    id: str
    address: tuple[str, ...]
    kind: str
    title: str | None
    owner: str | None
    tags: tuple[str, ...] | None
    started_at: str | None
    ended_at: str | None


def find(plan: Plan, account: Account, rules: Sequence[Rule], ledger: Ledger) -> None:
    """Notes the copies of an account that have expired by these rules, and refuses if they are too many.

    Files are read only as far as that is quick.
    """
    found, most = plan.copies, account.limits.max_deletions
    owner = Owner(account.name, account.provider.name, account.settings.url, account.identity)
    archives = {settings.name: settings.archive or "" for settings in account.rules}
    for rule in (rule for rule in rules if rule.copies_before):
        target = archives[rule.name]
        try:
            archive = Archive(target)
            for copy in _candidates(ledger, owner, rule, target):
                if not copy.begun and not archive.holds(copy.folder):
                    continue
                if _may_go(archive, copy, protection_of(rules), plan, thorough=False) is not None:
                    found.count += 1
                    found.due += [copy] if len(found.due) < most else []
        except (ArchiveError, LedgerError) as error:
            found.errors.append(f"the copies of the rule {rule.name!r} could not be looked at: {error}")
    plan.refusals += filter(None, [too_many_copies(found.count, account.limits)])


def remove(plan: Plan, rules: Sequence[Rule], journal: Journal, stop: Deadline) -> None:
    """Removes what was found, each after a look at every file; what is not begun in time is left. Raises LedgerError.

    That it is begun is recorded before. Whatever cuts it off, the next run goes on where it ended.
    """
    for copy in plan.copies.due:
        archive = Archive(copy.target)
        try:
            stop.check()
            names = _may_go(archive, copy, protection_of(rules), plan, thorough=True)
            if names is not None:
                copy.begun = copy.begun or journal.begin_copy(copy)
                archive.remove(copy.folder, names)
                journal.end_copy(copy.begun)
                copy.outcome = "removed"
        except Stopped:
            return
        except ArchiveError as error:
            copy.outcome, copy.error = "failed", str(error)
            plan.copies.errors.append(f"{_named(copy)} could not be removed: {error}")


def _candidates(ledger: Ledger, owner: Owner, rule: Rule, target: str) -> Iterator[Copy]:
    """What the ledger has as deleted by a rule before its copies' time, unless it knows of anything later about it.

    Another config may have an account and a rule of the same names; its copies are left alone.
    """
    account = owner.account
    back = [one for one in ledger.restores() if one["account"] == account and one["new_id"]]
    for deletion, body, at, begun in ledger.deleted_before(account, rule.name, timestamp(rule.copies_before) or ""):
        if not owner.owns(body):
            continue
        item = item_of(body)
        folder = item_folder(account, item)
        later = (item_of(other) for seq, other in ledger.intents(account, item.id) if seq > deletion)
        restored = any(item.id in (one["id"], one["new_id"]) and one["at"] >= at for one in back)
        if not restored and all(item_folder(account, other) != folder for other in later):
            yield Copy(rule.name, item, datetime.fromisoformat(at), target, folder, deletion, begun)


def _may_go(
    archive: Archive, copy: Copy, protection: Protection, plan: Plan, *, thorough: bool
) -> Sequence[str] | None:
    """The files of a copy, to be removed in this order; None if it stays, which is then noted. Raises ArchiveError."""
    try:
        names, saved = archive.proven(copy.folder, begun=bool(copy.begun), thorough=thorough)
        item = copy.item if saved is None else _as_saved(copy.item, saved)
    except NotOurs as error:
        copy.outcome, copy.error = "changed", str(error)
        plan.copies.changed += 1
        if plan.copies.changed <= SHOWN:
            plan.warnings.append(f"{_named(copy)} stays, because it is not as confcleanup wrote it: {error}")
        return None
    if copy.begun and not names:
        return names  # all is removed but for the record of it
    fits = protection.fitting(item)
    missing = [lacking(field) for _, field in protection.unknown(item)]
    if fits or missing:
        copy.outcome, copy.error = "kept", protection.marks[fits[0]].reason if fits else missing[0]
        plan.copies.kept += 1
        return None
    return names


def _as_saved(item: Item, saved: bytes) -> Item:
    """An item of the ledger with what its copy says of it. Raises NotOurs if the copy is about something else."""
    try:
        said = msgspec.convert(json.loads(saved), _Saved)
        times = [_to_the_second(text) for text in (said.started_at, said.ended_at)]
    except (msgspec.ValidationError, ValueError):
        raise NotOurs("item.json cannot be read") from None
    names = (said.what, said.id, said.address, said.kind)
    if names != (item.what, item.id, item.locator, str(item.kind)) or times != [item.started_at, item.ended_at]:
        raise NotOurs("item.json is about another item")
    return replace(item, title=said.title, owner=said.owner, tags=said.tags)


def _to_the_second(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text).replace(microsecond=0) if text else None


def _named(copy: Copy) -> str:
    return harmless(f"the copy of {copy.item.what} {copy.item.id} in {copy.target}/{copy.folder}")
