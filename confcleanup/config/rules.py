"""From settings to the rules of one run: cutoffs at one instant, and all that keeps items."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from msgspec.structs import replace

from ..cutoff import Period, cutoff
from ..filter import Rule
from ..protection import Hold, Protection, hold_marks, keep_marks
from ..settings.tables import RuleSettings
from . import holds
from .load import Account, Config


def rules(
    config: Config,
    accounts: Iterable[Account],
    now: datetime,
    older_than: Period | None = None,
    before: datetime | None = None,
) -> dict[str, list[Rule]]:
    """Each account's rules with their cutoffs at ``now``; an age or an instant given here replaces their own.

    The holds file is read once for all of them. Raises ConfigError if that fails, ValueError if an age reaches too
    far back.
    """
    held = holds.active(config.holds, config.zone, now)
    return {account.name: _rules_of(config, account, held, now, older_than, before) for account in accounts}


def _rules_of(
    config: Config,
    account: Account,
    held: tuple[Hold, ...],
    now: datetime,
    older_than: Period | None,
    before: datetime | None,
) -> list[Rule]:
    protection, keepers = _protection(config, account, held), tuple(_keepers(config, account, now))
    found = []
    for settings in account.rules:
        age = older_than or config.age(account, settings)
        rule = _rule(account, settings, before or (cutoff(now, age, config.zone) if age else now))
        words = "" if before or not age else str(age)
        live = settings.live(config.zone)
        if settings.keep_archive:
            rule = replace(rule, copies_before=cutoff(now, settings.keep_archive, config.zone))
        found.append(replace(rule, age=words, live=live, holds=held, protection=protection, keepers=keepers))
    return found


def _rule(account: Account, settings: RuleSettings, at: datetime) -> Rule:
    """What a rule of the config selects, with its cutoff."""
    owner = getattr(settings, "owner", None)
    return Rule(
        name=settings.name,
        what=settings.what,
        cutoff=at,
        keep_ids=frozenset(ident for meant in settings.ids().values() for ident in meant),
        keep_tags=getattr(settings, "keep_tags", ()),
        tags=getattr(settings, "tags", ()),
        title=settings.title,
        owner=account.settings.default_owner() if owner is None else owner,
        owner_given=owner is not None,
        names=getattr(settings, "names", ()),
        rooms=getattr(settings, "rooms", False) is True,
        keep_last=settings.keep_last or 0,
        per=settings.per or "",
        notice=settings.notice,
    )


def _keepers(config: Config, account: Account, now: datetime) -> Iterator[Rule]:
    """The rules with keep_last of an account, and of another that is the same one."""
    for other in config.accounts.values():
        if other.settings.identity() == account.settings.identity():
            for settings in other.rules:
                if settings.keep_last:
                    name = settings.name if other.name == account.name else f"{settings.name} of {other.name}"
                    yield replace(_rule(other, settings, now), name=name)


def _protection(config: Config, account: Account, held: Sequence[Hold]) -> Protection:
    """All that keeps items of an account: holds, its rules, and those of another account that is the same one."""
    spelling = {type(rule).spellings for rule in account.rules}
    meant = {hold.id: {text for spell in spelling for text in spell(hold.id)} for hold in held if hold.id}
    marks = [*hold_marks(held, meant)]
    for other in config.accounts.values():
        if other.settings.identity() == account.settings.identity():
            name = None if other.name == account.name else other.name
            for rule in other.rules:
                marks += keep_marks(rule.name, rule.ids(), getattr(rule, "keep_tags", ()), name)
    return Protection(marks)
