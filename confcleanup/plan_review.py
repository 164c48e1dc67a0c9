"""Compare a saved plan with what is listed now."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from msgspec.structs import replace

from .filter import Decision, Reason, Rule, another_room, digest
from .items import Item, Outcome
from .worklist import Entry


class PlanReview:
    """A reviewed plan of one account, held against what is listed now.

    ``digests`` and ``items`` are by the items' keys: what each looked like, and enough of it to name it.
    """

    def __init__(self, digests: Mapping[tuple[str, ...], str], items: Mapping[tuple[str, ...], Item]) -> None:
        self._digests = digests
        self._items = items
        self._unseen = dict(items)
        self._lately: list[tuple[str, ...]] = []

    def begin(self) -> None:
        """From here on, what is seen may have to be taken back."""
        self._lately.clear()

    def take_back(self) -> None:
        """What was seen since the last beginning was not seen."""
        self._unseen |= {key: self._items[key] for key in self._lately}

    def judge(self, entry: Entry) -> Entry:
        """The entry as it stands after the review: as it was, kept, or selected as ``changed``."""
        item, decision = entry.item, entry.decision
        planned = self._digests.get(item.key)
        if self._unseen.pop(item.key, None):
            self._lately.append(item.key)
        if planned is None:
            reason = "it is not in the reviewed plan"
            return (
                entry
                if not decision.delete
                else Entry(item, Decision(False, Reason.NOT_REVIEWED, reason, decision.rule))
            )
        if not decision.delete:
            changed = replace(decision, delete=True)
            return Entry(item, changed, Outcome.CHANGED, f"no rule selects it any more: {decision.reason}")
        if planned != digest(item) or another_room(self._items[item.key], item):
            return Entry(item, decision, Outcome.CHANGED, "it is not as it was when the plan was made")
        return entry

    def never_seen(self, rules: Sequence[Rule], now: datetime, complete: Collection[str]) -> list[Entry]:
        """What the plan names and the listing does not. That it is gone would be a guess: it was not asked for.

        ``complete`` are the sources that were listed without a gap; what is missing in another may lie in the gap.
        """
        decision = Decision(True, Reason.DUE, "it is in the reviewed plan", rules[0].name)
        return [
            Entry(item, decision, Outcome.CHANGED, "it is not listed any more")
            for item in self._unseen.values()
            if item.what in complete
        ]
