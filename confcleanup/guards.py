"""What is refused before the first deletion, all or nothing. Pure: numbers in, sentences out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from fractions import Fraction

from .cutoff import spoken

SHARE_FROM = 20
"""Listed items from which on ``max_share`` is judged."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The brakes of one account. 0 means zero, never "off"; ``max_share`` is a part of 1."""

    max_deletions: int = 1000
    max_share: Fraction = Fraction(1)
    max_runtime: timedelta = timedelta(minutes=50)
    max_clock_skew: timedelta = timedelta(minutes=5)


def objections(listed: int, selected: int, skew: timedelta | None, limits: Limits) -> list[str]:
    """Every reason not to begin deleting in an account, each with what to do about it.

    ``skew`` is the provider's clock minus this machine's, or None if the provider shows no clock.
    """
    found = []
    if selected > limits.max_deletions:
        found.append(
            f"{selected} items are selected, max_deletions allows {limits.max_deletions}: "
            "look at the plan, and raise max_deletions if it is right"
        )
    if listed >= SHARE_FROM and selected > limits.max_share * listed:
        found.append(
            f"{selected} of {listed} listed items are selected ({selected * 100 // listed}%), "
            f"max_share allows {float(limits.max_share * 100):g}%: look at the plan, and raise max_share if it is right"
        )
    if skew is not None and abs(skew) > limits.max_clock_skew:
        ahead = "behind" if skew > timedelta(0) else "ahead of"
        found.append(
            f"this machine's clock is {spoken(abs(skew))} {ahead} the provider's, max_clock_skew allows "
            f"{spoken(limits.max_clock_skew)}: set the clock (ages are computed from it)"
        )
    return found
