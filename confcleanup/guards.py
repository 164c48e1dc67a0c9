"""What is refused before the first deletion, all or nothing. Pure: numbers in, sentences out."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from fractions import Fraction

import msgspec

from .cutoff import spoken

SHARE_FROM = 20
"""Listed items from which on ``max_share`` is judged."""

MANY = 100
"""Selected items from which on ``max_growth`` is judged, and items left from which on a shrunken list is."""


class Past(msgspec.Struct, frozen=True):
    """What an earlier run found in an account: how many it selected, and how many it left there.

    ``left`` is None where that run did not get to its end, or listed something else.
    """

    selected: int
    left: int | None = None


class Limits(msgspec.Struct, frozen=True):
    """The brakes of one account. 0 means zero, never "off"; ``max_share`` is a part of 1."""

    max_deletions: int = 1000
    max_share: Fraction = Fraction(1)
    max_growth: float = 10
    max_runtime: timedelta = timedelta(minutes=50)
    max_clock_skew: timedelta = timedelta(minutes=5)


def objections(
    listed: int, selected: int, skew: timedelta | None, limits: Limits, past: Sequence[Past] = ()
) -> list[str]:
    """Every reason not to begin deleting in an account, each with what to do about it.

    ``skew`` is the provider's clock minus this machine's, or None if the provider shows no clock.
    ``past`` are the last runs of this account, newest first.
    """
    found = [_too_many(listed, selected, limits), _growth(selected, limits, past), _shrunken(listed, past)]
    if skew is not None and abs(skew) > limits.max_clock_skew:
        ahead = "behind" if skew > timedelta(0) else "ahead of"
        found.append(
            f"this machine's clock is {spoken(abs(skew))} {ahead} the provider's, max_clock_skew allows "
            f"{spoken(limits.max_clock_skew)}: set the clock (ages are computed from it)"
        )
    return [objection for objection in found if objection]


def _too_many(listed: int, selected: int, limits: Limits) -> str | None:
    if selected > limits.max_deletions:
        return (
            f"{selected} items are selected, max_deletions allows {limits.max_deletions}: "
            "look at the plan, and raise max_deletions if it is right"
        )
    if listed >= SHARE_FROM and selected > limits.max_share * listed:
        return (
            f"{selected} of {listed} listed items are selected ({selected * 100 // listed}%), "
            f"max_share allows {float(limits.max_share * 100):g}%: look at the plan, and raise max_share if it is right"
        )
    return None


def _growth(selected: int, limits: Limits, past: Sequence[Past]) -> str | None:
    largest = max((run.selected for run in past), default=None)
    if largest is None or selected < MANY or selected <= limits.max_growth * largest:
        return None
    return (
        f"{selected} items are selected, the last {len(past)} runs never selected more than {largest}, and max_growth "
        f"allows {limits.max_growth:g} times that: look at the plan, and raise max_growth if it is right"
    )


def _shrunken(listed: int, past: Sequence[Past]) -> str | None:
    left = past[0].left if past else None
    if left is None or left < MANY or listed * 2 >= left:
        return None
    return (
        f"{listed} items are listed where the last run left {left}: is this the right account, with all its rights? "
        "If it is, say --accept-fewer once"
    )
