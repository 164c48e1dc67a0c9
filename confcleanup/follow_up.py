"""Check again, after a deletion, what became of the items whose answer proved nothing."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import datetime

from .changes import difference
from .deadline import Deadline
from .errors import DATA_ERRORS, ProviderError, Stopped
from .filter import Rule, choose
from .items import Item, Outcome, Result
from .newest import moved
from .notice import altered
from .outcomes import Answer, Claim, found_over, still, words
from .plan import Plan
from .providers.base import Provider
from .worklist import Entry

log = logging.getLogger(__name__)
LAGS = (1.0, 2.0, 4.0, 8.0)
"""Seconds between checks: some vendors show for a while what is already deleted."""
IN_VAIN = 10
"""After so many items in a row for which waiting changed nothing, the account is no longer waited for."""
UNTOLD = "still live, or another room of its name"

OpenEnds = Sequence[tuple[Entry, Claim]]
Results = dict[int | None, Result | None]
"""By the entry's number; None for what may be asked for once more."""


def no_longer(entry: Entry, fresh: Item, rules: Sequence[Rule], now: datetime) -> str | None:
    """Why an item must not be deleted any more, now that it was looked at again; None if it still must.

    Where rules have notices, the one whose notice is over must still select it.
    """
    decision = choose(
        fresh,
        [one for one in rules if one.name == entry.decision.rule or not (one.notice or entry.decision.notice)],
        now,
    )
    changed = difference(entry.item, fresh) or altered(entry, fresh) or moved(entry.item, fresh, rules)
    return changed or (None if decision.delete else decision.reason)


class FollowUp:
    """The follow-up checks of one account, shared by its threads. They stop waiting for a vendor that lags for long."""

    def __init__(
        self, plan: Plan, provider: Provider, rules: Sequence[Rule], now: datetime, deadline: Deadline
    ) -> None:
        self._plan, self._provider, self._deadline = plan, provider, deadline
        self._rules, self._now = rules, now
        self._waited_in_vain = 0

    def check(self, open_ends: OpenEnds, answers: Mapping[int | None, Answer], *, again: bool, repeat: bool) -> Results:
        """Look at items after their deletion, with growing pauses while the vendor still shows them.

        ``again``: the deletion was asked for twice. ``repeat``: what was not clearly answered may be asked for again.
        """
        results: Results = {}
        untold: dict[int | None, str] = {}
        with self._deadline.finishing():
            for pause in (0.0, *(LAGS if self._waited_in_vain < IN_VAIN else ())):
                try:
                    if pause:
                        self._deadline.wait(pause)
                    found, untold = self._look(open_ends, answers, again=again, repeat=repeat)
                except Stopped as error:
                    untold = {entry.number: str(error) for entry, _ in open_ends}
                    break
                results |= found
                open_ends = [(entry, claim) for entry, claim in open_ends if entry.number not in results]
                if not open_ends:
                    self._waited_in_vain = 0 if pause else self._waited_in_vain
                    return results
        self._waited_in_vain += 1
        for entry, claim in open_ends:
            results[entry.number] = self._unresolved(entry, claim, answers[entry.number], untold.get(entry.number))
        return results

    def _look(
        self, open_ends: OpenEnds, answers: Mapping[int | None, Answer], *, again: bool, repeat: bool
    ) -> tuple[Results, dict[int | None, str]]:
        """One look at each: what it proves, and why it proves nothing."""
        items = [entry.item for entry, _ in open_ends]
        log.info("looking at %d items again after their deletion", len(items))
        results: Results = {}
        untold: dict[int | None, str] = {}
        try:
            there = self._provider.get_many(items)
        except (ProviderError, *DATA_ERRORS) as error:
            return results, {entry.number: str(error) for entry, _ in open_ends}
        for entry, claim in open_ends:
            fresh = there.get(entry.item.key)
            over = found_over(entry.item, fresh)
            if over:
                gone = claim in (Claim.ABSENT, Claim.REFUSED) and not again
                results[entry.number] = Result(Outcome.GONE if gone else Outcome.DELETED)
            elif over is None or fresh is None:
                untold[entry.number] = UNTOLD
            elif reason := no_longer(entry, fresh, self._rules, self._now):
                results[entry.number] = Result(Outcome.CHANGED, f"{words(answers[entry.number])}; then: {reason}")
            elif claim is Claim.UNCLEAR and repeat:
                results[entry.number] = None
        return results, untold

    def _unresolved(self, entry: Entry, claim: Claim, answer: Answer, untold: str | None) -> Result:
        """The result of a deletion after which the item is still there, or could not be looked at."""
        if untold:
            told = untold if untold == UNTOLD else f"a follow-up check was inconclusive: {untold}"
            return Result(Outcome.UNKNOWN, f"{words(answer)}; {told}")
        accepted = claim in (Claim.DONE, Claim.ACCEPTED)
        recorded = self._plan.recorded.get(entry.item.key)
        since = f"recorded as deleted on {recorded:%Y-%m-%d}; " if recorded else ""
        return Result(Outcome.UNKNOWN if accepted else Outcome.FAILED, since + still(answer))
