"""What is refused before the first deletion, all or nothing. Pure: numbers in, sentences out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from fractions import Fraction

import msgspec

from .cutoff import humanize

SHARE_FROM = 20
"""Listed items from which on ``max_share`` is judged."""

MANY = 100
"""Selected items from which on ``max_growth`` is judged."""

SHRUNKEN_FROM = 20
"""Items left from which on a list of less than half as many is refused; an empty one is always."""

BLIND = (
    "its answers carry no readable Date, so the clock guard (max_clock_skew) cannot check this machine's clock, "
    "by which ages are computed: make sure that it is set automatically"
)


class Listed(msgspec.Struct, frozen=True):
    """What was listed of one source, and how many of these items are selected.

    ``whole``: the vendor was asked for all of it, so that a share means something. ``lasting``: what is listed once
    stays until somebody deletes it, so that a shorter list means something.
    """

    count: int
    selected: int = 0
    whole: bool = True
    lasting: bool = True


class PreviousRuns(msgspec.Struct, frozen=True):
    """What earlier runs found in an account.

    ``selected``: how many items the last runs of the same rules selected, without those that were refused.
    ``left``: how many items of a source are there since the last run that listed it, as far as that is known.
    ``backlogs``: how many selected items runs of the same rules did not try, with the time of the run, newest first.
    """

    selected: Sequence[int] = ()
    left: Mapping[str, int] = msgspec.field(default_factory=dict)
    backlogs: Sequence[tuple[datetime, int]] = ()


NO_RUNS = PreviousRuns()
WEEK = timedelta(days=6, hours=12)
"""After so long a backlog should have become smaller; half a day less than a week, as no two runs begin together."""


class Limits(msgspec.Struct, frozen=True):
    """The safety limits of one account. 0 means zero, never "off"; ``max_share`` is a part of 1."""

    max_deletions: int = 1000
    max_share: Fraction = Fraction(1)
    max_growth: float = 10
    max_runtime: timedelta = timedelta(minutes=50)
    max_clock_skew: timedelta = timedelta(minutes=5)


def check_guards(
    lists: Mapping[str, Listed],
    skew: timedelta | None,
    limits: Limits,
    previous: PreviousRuns = NO_RUNS,
    now: datetime | None = None,
) -> list[str]:
    """Every reason not to begin deleting in an account, each with what to do about it.

    ``lists`` are by source. ``skew`` is the provider's clock minus this machine's, or None if it shows no clock;
    ``now`` is this machine's, for the words.
    """
    selected = sum(listed.selected for listed in lists.values())
    found = [_too_many(selected, limits), _share(lists, limits), _growth(selected, limits, previous)]
    found += [_fewer(what, lists[what].count, previous.left[what]) for what in shrunken(lists, previous)]
    if skew is not None and abs(skew) > limits.max_clock_skew:
        found.append(_clocks(skew, limits, now))
    return [objection for objection in found if objection]


def lasting_backlog(untried: int, previous: PreviousRuns, now: datetime) -> int | None:
    """How many items were left a week ago, if every run since then left some and there are no fewer now."""
    for at, left in previous.backlogs:
        if not left:
            return None
        if at <= now - WEEK:
            return left if untried >= left else None
    return None


def shrunken(lists: Mapping[str, Listed], previous: PreviousRuns) -> list[str]:
    """The sources whose lists are much shorter than they should be."""
    return [
        what
        for what, listed in lists.items()
        if listed.lasting and (left := previous.left.get(what, 0)) > 0 and _too_few(listed.count, left)
    ]


def _clocks(skew: timedelta, limits: Limits, now: datetime | None) -> str:
    """Which of two clocks is wrong nobody can tell from here, so both are shown."""
    ahead = "behind" if skew > timedelta(0) else "ahead of"
    both = f" ({now:%Y-%m-%d %H:%M:%S} UTC here, {now + skew:%Y-%m-%d %H:%M:%S} UTC there)" if now else ""
    return (
        f"this machine's clock is {humanize(abs(skew))} {ahead} the provider's{both}, max_clock_skew allows "
        f"{humanize(limits.max_clock_skew)}: compare both with a clock that is right, and set the one that is wrong "
        "(ages are computed from this machine's)"
    )


def _too_few(listed: int, left: int) -> bool:
    return not listed or (left >= SHRUNKEN_FROM and listed * 2 < left)


def _too_many(selected: int, limits: Limits) -> str | None:
    if selected <= limits.max_deletions:
        return None
    return (
        f"{selected} items are selected, max_deletions allows {limits.max_deletions}: "
        f"look at the plan, and raise max_deletions to {selected} if it is right"
    )


def too_many_copies(expired: int, limits: Limits) -> str | None:
    """Why no expired copy may be removed and nothing be deleted, with what to do about it."""
    if expired <= limits.max_deletions:
        return None
    return (
        f"{expired} copies in the archive have expired, max_deletions allows {limits.max_deletions}: "
        f"look at keep_archive, and raise max_deletions to {expired} if it is right"
    )


def _share(lists: Mapping[str, Listed], limits: Limits) -> str | None:
    whole = [entry for entry in lists.values() if entry.whole]
    listed, selected = sum(entry.count for entry in whole), sum(entry.selected for entry in whole)
    if listed < SHARE_FROM or selected <= limits.max_share * listed:
        return None
    return (
        f"{selected} of {listed} listed items are selected ({selected * 100 // listed}%), "
        f"max_share allows {float(limits.max_share * 100):g}%: look at the plan, and raise max_share to "
        f'"{_at_least(selected * 100, listed)}%" if it is right'
    )


def _growth(selected: int, limits: Limits, previous: PreviousRuns) -> str | None:
    counted = [count for count in previous.selected if count]
    largest = max(counted, default=None)
    if largest is None or selected < MANY or selected <= limits.max_growth * largest:
        return None
    return (
        f"{selected} items are selected, the last {len(previous.selected)} runs of these rules never selected more "
        f"than {largest}, and max_growth allows {limits.max_growth:g} times that: look at the plan, and raise "
        f"max_growth to {_at_least(selected, largest)} if it is right"
    )


def _at_least(total: int, part: int) -> int:
    """The least whole number that ``part`` must be multiplied by to reach ``total``."""
    return -(-total // part)


def _fewer(what: str, listed: int, left: int) -> str:
    return (
        f"{listed} {what} are listed where the last run left {left}: is this the right account, with all its rights? "
        "If it is, say --accept-fewer once"
    )
