"""Compare a saved plan with what is listed now."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from msgspec.structs import replace

from .changes import another_room, digest
from .filter import Decision, Reason, Rule
from .items import Item, Outcome
from .worklist import Entry

NOT_LISTED = "it is no longer listed"
NO_RULE = "no rule selects it now"
"""What became of an item of a saved plan that does not go now; nothing is left to be done about it."""


class PlanReview:
    """The saved plan of one account, compared with what is listed now.

    ``digests`` and ``items`` are by the items' keys: the digest of each as it was listed, and enough of it to name it.
    """

    def __init__(self, digests: Mapping[tuple[str, ...], str], items: Mapping[tuple[str, ...], Item]) -> None:
        self._digests = digests
        self._items = items
        self._unseen = dict(items)
        self._lately: list[tuple[str, ...]] = []

    def begin(self) -> None:
        """Starts a part of the listing, which ``take_back`` may undo."""
        self._lately.clear()

    def take_back(self) -> None:
        """Forgets what was seen since ``begin``."""
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
            return Entry(item, changed, Outcome.CHANGED, f"{NO_RULE}: {decision.reason}")
        if planned != digest(item) or another_room(self._items[item.key], item):
            return Entry(item, decision, Outcome.CHANGED, "it has changed since the plan was made")
        return entry

    def never_seen(self, rules: Sequence[Rule], complete: Collection[str]) -> list[Entry]:
        """The items of the plan that are not listed. They are not called gone, as nobody asked the vendor for them.

        ``complete`` are the sources that were listed without a gap; an item missing in another may be in the gap.
        """
        decision = Decision(True, Reason.DUE, "it is in the reviewed plan", rules[0].name)
        return [
            Entry(item, decision, Outcome.CHANGED, NOT_LISTED)
            for item in self._unseen.values()
            if item.what in complete
        ]
