"""What earlier runs found in an account, for the guards to compare with, and what this run leaves for later ones."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime

from .config.load import Account
from .filter import Rule
from .guards import NO_RUNS, PreviousRuns, shrunken
from .items import Outcome
from .newest import listed_for
from .plan import Plan
from .records.entries import Owner
from .records.journal import Journal
from .records.ledger import Ledger

RUNS_COMPARED = 10


class Baseline:
    """Reads and writes what runs of the same rules found in one account. ``before``: as given for this run."""

    def __init__(self, account: Account, rules: Sequence[Rule], before: datetime | None) -> None:
        self._account = account
        self._owner = Owner(account.name, account.provider.name, account.settings.url, account.identity)
        self._rules = rules
        self._before = before

    def previous_runs(self, ledger: Ledger | None, *, accept_fewer: bool) -> PreviousRuns:
        """What earlier runs found. ``accept_fewer``: lists may be shorter than they were. Raises LedgerError."""
        if not ledger:
            return NO_RUNS
        sources = () if accept_fewer else {rule.what for rule in self._rules}
        known = {what: ledger.left(self._owner, what, self._scope(what)) for what in sources}
        left = {what: count for what, count in known.items() if count is not None}
        selected = ledger.selections(self._owner, self._same_rules, RUNS_COMPARED)
        return PreviousRuns(selected, left, ledger.backlogs(self._owner, self._same_rules))

    def warnings(self, ledger: Ledger | None) -> list[str]:
        """Says if earlier runs of this name were about another account, so that there is nothing to compare with."""
        if not (ledger and ledger.begins_anew(self._owner)):
            return []
        told = "earlier runs of this name were at another address or account, so max_growth and the limit for short "
        return [f"{told}lists have nothing to compare with yet: check that the plan is right"]

    def record(self, plan: Plan, previous: PreviousRuns, journal: Journal | None) -> None:
        """Records what this run found here, for the guards of later runs. Raises LedgerError.

        A refused run selected nothing that counts. What it listed is what there is, unless that was in doubt itself.
        A list that lacks a part is no measure, nor is a worklist that was lost: it cannot tell what was deleted.
        """
        if not journal or plan.failed or plan.unlisted or plan.selected.error:
            return
        doubted = shrunken(plan.lists, previous) if plan.refusals else ()
        left = {self._scope(what): count for what, count in plan.left.items() if what not in doubted}
        counts = {"listed": plan.listed, "selected": len(plan.selected), "left": left}
        if not plan.refusals:
            counts["untried"] = plan.count(Outcome.DEFERRED)
        journal.note("listing", rules=self._same_rules, refused=bool(plan.refusals), **counts)

    def _scope(self, what: str) -> str:
        """What is listed of a source; two lists are only compared if they asked for the same."""
        mine = listed_for(self._rules, what)
        if not self._account.provider.sources[what].asked_for(self._account.settings, mine):
            return what
        return " ".join(sorted({f"{what}:{','.join(sorted(rule.tags))}:{self._age(rule)}" for rule in mine}))

    def _age(self, rule: Rule) -> str:
        """Up to when a rule selects, in words that are the same in the next run."""
        return rule.age or str(self._before or "")

    @property
    def _same_rules(self) -> str:
        """A hash of what the rules select. Two runs are only compared if they agree on it.

        What only keeps more or less (holds, ``keep_ids``, ``keep_tags``, ``keep_last``, rooms and their scheduled ends)
        is not part of it: a mistake in these is what the comparison is to find.
        """
        rules = []
        for rule in self._rules:
            live = rule.live and (rule.live.max_duration, rule.live.abandoned_after, rule.live.max_members)
            filters = (sorted(rule.tags), rule.title, rule.owner, sorted(rule.names), rule.rooms)
            announced = (rule.notice,) if rule.notice else ()
            rules.append(repr((rule.what, self._age(rule), filters, live, *announced)))
        return hashlib.sha256("\n".join(sorted(rules)).encode(errors="backslashreplace")).hexdigest()
