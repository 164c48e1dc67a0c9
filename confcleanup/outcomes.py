"""What the answer to a deletion claims, and what a later look proves."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from enum import Enum, auto
from typing import Any, Protocol

from .changes import difference
from .deadline import Deadline
from .errors import AccessDenied, HttpError, OutcomeUnknown, ProviderError
from .items import Item, Outcome, Result
from .providers.base import Provider
from .redact import harmless
from .worklist import STILL

log = logging.getLogger(__name__)
Answer = Result | Exception
"""What came back from a deletion: the provider's result, or what it raised."""


class Record(Protocol):
    """Where deletions are recorded. What cannot be recorded raises, and is not deleted."""

    def intend(self, deletions: Sequence[tuple[Item, str]], facts: Sequence[Mapping[str, Any]] = ()) -> list[int]:
        """Durably records that these items, each with its rule, are about to be deleted; a number for each.

        ``facts`` says more about each.
        """

    def finish(self, intent: int, result: Result) -> None:
        """Records what became of an intent."""

    def flush(self) -> None:
        """Makes every outcome durable."""


class Claim(Enum):
    """What the answer to a deletion claims, before anybody has looked."""

    DONE = auto()
    ACCEPTED = auto()
    ABSENT = auto()
    REDIRECTED = auto()
    UNCLEAR = auto()
    REFUSED = auto()


def claim_of(answer: Answer) -> Claim:
    """What a provider's result, or what it raised after the request was sent, claims."""
    if isinstance(answer, Result):
        known = {Outcome.DELETED: Claim.DONE, Outcome.GONE: Claim.ABSENT, Outcome.UNKNOWN: Claim.ACCEPTED}
        return known.get(answer.outcome, Claim.REFUSED)
    status = answer.status if isinstance(answer, HttpError) else None
    if isinstance(answer, OutcomeUnknown):
        if status and status < 400:
            return Claim.ACCEPTED if status < 300 else Claim.REDIRECTED
        return Claim.UNCLEAR
    if isinstance(answer, ProviderError):
        absent = status in (404, 410) and not isinstance(answer, AccessDenied)
        return Claim.ABSENT if absent else Claim.REFUSED
    return Claim.UNCLEAR


def found_over(item: Item, fresh: Item | None) -> bool | None:
    """Whether a look after a deletion shows that it took place; None if that cannot be told.

    A live room of which another one has taken the name since is over.
    """
    if fresh is None or not fresh.live:
        return fresh is None
    if not item.live or item.live.run_time is None or fresh.live.run_time is None:
        return None
    return bool(difference(item, fresh))


def words(answer: Answer) -> str:
    """Describe an answer."""
    if isinstance(answer, Result):
        done = "the deletion was acknowledged" if answer.outcome is Outcome.DELETED else "the deletion was asked for"
        return answer.error or done
    if isinstance(answer, ProviderError):
        return str(answer)
    return f"an answer could not be read ({type(answer).__name__})"


def still(answer: Answer) -> str:
    """Describe an answer after which the item was found."""
    return words(answer) + STILL


def settle(
    provider: Provider,
    left_open: Sequence[tuple[int, Item]],
    record: Record,
    stop: Deadline,
    unknown: Sequence[tuple[int, Item]] = (),
) -> list[str]:
    """Finds out what became of deletions that an earlier run began and did not finish. Only looks.

    Of those whose outcome was ``unknown`` only an end is recorded: what is still there is judged by the plan.
    What cannot be found out now stays open for the next run; returns that, in words. Raises LedgerError.
    """
    trouble = []
    for intent, item in [*left_open, *unknown]:
        try:
            stop.check()
            fresh = provider.get(item)
        except Exception as error:  # a fault of a provider's too: it must not cost the others their report
            log.debug("an open deletion could not be looked at", exc_info=True)
            trouble.append(
                f"what became of {item.what} {harmless(item.id)}, begun by an earlier run, is not known: {error}"
            )
            continue
        result = _settled(item, fresh)
        if result.outcome is Outcome.DELETED or (intent, item) not in unknown:
            record.finish(intent, result)
    record.flush()
    return trouble


def _settled(item: Item, fresh: Item | None) -> Result:
    over = found_over(item, fresh)
    if over:
        return Result(Outcome.DELETED, "found gone by the next run; the one that asked for it did not see its end")
    if over is None:
        return Result(Outcome.UNKNOWN, "the run was cut off, and the room cannot be told from a new one of its name")
    return Result(Outcome.FAILED, "the run was cut off; it was still there when the next run looked")
