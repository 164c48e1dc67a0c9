"""Check one account without deleting anything: sign in, read a little of each source, compare the clocks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec

from .deadline import Deadline
from .errors import ConfcleanupError
from .guards import BLIND, Limits, check_guards
from .http.sign_in import Gate
from .providers.base import Access, Provider

UNTESTED = "the right to delete is not tested"


class Checked(msgspec.Struct, kw_only=True):
    """What was found. ``error`` is what the check ended with; ``errors`` has it in words, and what else is wrong.

    ``skew`` is the vendor's clock minus this machine's, None if the vendor gave no time.
    """

    access: Access = Access()
    error: ConfcleanupError | None = None
    errors: list[str]
    warnings: list[str]
    skew: timedelta | None = None

    def summary(self) -> str:
        """What is known of an account without errors, in one line."""
        may = "may delete" if self.access.may_delete else UNTESTED
        seen = " and ".join(self.access.visible)
        parts = [self.access.signed_in, may, seen or "can list", _clock(self.skew)]
        return ", ".join(parts)


def check_account(
    provider: type[Provider],
    settings: Any,
    what: Sequence[str],
    limits: Limits,
    stop: Deadline,
    clock: Callable[[], datetime],
    gate: Gate | None = None,
) -> Checked:
    """Sign in and read a little of each source in ``what``. ``gate`` is told how the sign-in went."""
    with provider(settings, stop, clock) as opened:
        opened.http.guard_sign_in(gate)
        found = Checked(errors=[], warnings=opened.warnings)
        try:
            # A plug-in that was written before checks had a result returns none.
            found.access = opened.check(what) or Access()
        except ConfcleanupError as error:
            found.error = error
            found.errors.append(str(error))
        found.skew = opened.http.skew
        found.errors += check_guards({}, found.skew, limits, now=clock())
        found.warnings += [BLIND] if opened.http.sent and found.skew is None else []
        return found


def _clock(skew: timedelta | None) -> str:
    """How far the clocks differ. The vendor's Date header has whole seconds, so less than one is not told apart."""
    if skew is None:
        return "clock not compared"
    seconds = abs(skew.total_seconds())
    return "clock less than 1 s off" if seconds < 1 else f"clock {seconds:.0f} s off"
