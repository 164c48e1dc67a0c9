"""Words for archived copies that have expired (``keep_archive``)."""

from __future__ import annotations

from ..plan import Plan
from ..run import Run


def summary(plan: Plan) -> str:
    """What is to become, or became, of an account's expired copies; empty if there are none."""
    found = plan.copies
    if not (found.count or found.kept):
        return ""
    ended = any(copy.outcome for copy in found.due)
    words = f"; {found.removed} of {expired(found.count)} removed" if ended else f"; {expired(found.count)}"
    return words + (f", and {found.kept} kept by a hold or a rule" if found.kept else "")


def due(run: Run, items: str) -> str:
    """What a run is about to delete: ``items``, as they were put in words, and copies."""
    count = sum(len(plan.copies.due) for plan in run.plans if not plan.refusals)
    return " and ".join([items] * bool(run.due) + [expired(count)] * bool(count))


def expired(count: int) -> str:
    """So many expired copies, in words."""
    return f"{count} expired cop{'y' if count == 1 else 'ies'}"
