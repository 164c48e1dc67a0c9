"""How long a run will take: what the vendor's rate allows, and what the network and the vendor's answers take. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from .settings.values import Pace


def seconds(listing: tuple[int, float], deleting: Iterable[tuple[float, int]], pace: Pace) -> float:
    """How long it takes to list an account once more and to delete what was selected.

    ``listing``: requests that the listing took, and their seconds. ``deleting``: for each source, the requests that
    its deletions take and how many are under way at once. Each is taken to be answered as fast as the listing was.
    """
    sent, busy = listing
    deletions = list(deleting)
    answered = busy + sum(requests / at_once for requests, at_once in deletions) * busy / max(1, sent)
    requests = int(sent + sum(count for count, _ in deletions))
    windows = max(0, requests - 1) // pace.count * pace.seconds if pace.count else 0
    return max(answered, windows)
