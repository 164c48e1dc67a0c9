"""What can go wrong, with its data; how it is worded for people is decided where it is printed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import IntEnum
from typing import Any, NamedTuple


class ExitCode(IntEnum):
    """The program's exit status, the same for every command."""

    DONE = 0
    NOT_DONE = 1
    USAGE = 2
    REFUSED = 3
    LOCKED = 4
    HUNG_UP = 129
    INTERRUPTED = 130
    TERMINATED = 143


VERDICTS: Mapping[int, str] = {
    ExitCode.DONE: "done",
    ExitCode.NOT_DONE: "finished with errors",
    ExitCode.USAGE: "could not start",
    ExitCode.REFUSED: "refused by a safety limit, or not confirmed",
    ExitCode.LOCKED: "another run is in progress",
    ExitCode.HUNG_UP: "hung up",
    ExitCode.INTERRUPTED: "interrupted",
    ExitCode.TERMINATED: "terminated",
}
"""Each exit status in words, for summaries and pages."""
DATA_ERRORS = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError)
"""What goes wrong inside a provider when a vendor's data is odder than it expected."""


class ConfcleanupError(Exception):
    """Anything this program can explain. Its text is one sentence for a person, without secrets.

    ``reported``: whether an earlier run reported the same, so that ``-q`` does not print it again; None where that is
    not remembered.
    """

    exit_code = ExitCode.NOT_DONE
    reported: bool | None = None


class Problem(NamedTuple):
    """One mistake in the configuration: the dotted path of the key, and what is wrong with it."""

    key: str
    message: str

    def __str__(self) -> str:
        return f"{self.key}: {self.message}" if self.key else self.message


class ConfigError(ConfcleanupError):
    """The configuration cannot be used; nothing was contacted. Carries every problem found."""

    exit_code = ExitCode.USAGE

    def __init__(self, problems: Sequence[Problem], source: str = "") -> None:
        self.problems = tuple(problems)
        self.source = source
        super().__init__("\n".join(map(str, self.problems)))


class BrokenProvider(ConfcleanupError):
    """A package that adds a provider cannot be used; the text names it."""


class Refused(ConfcleanupError):
    """A guard refused before anything was contacted."""

    exit_code = ExitCode.REFUSED


class Locked(ConfcleanupError):
    """Another run holds the lock of this state folder."""

    exit_code = ExitCode.LOCKED


class LedgerError(ConfcleanupError):
    """The ledger cannot be read or written; nothing may be deleted without it."""


class Stopped(ConfcleanupError):
    """The run was told to stop, or its time is up; what was not begun is left for the next run."""


class Stale(ConfcleanupError):
    """A request that changes something was not sent, because what it rests on was looked at too long ago."""


class ProviderError(ConfcleanupError):
    """A vendor's answer cannot be used, or a request could not be made; the account is left alone."""


class ArchiveError(ProviderError):
    """An item could not be archived safely, so it is not deleted."""


class UnsafeId(ProviderError):
    """An id or a name that would change the path it is put in; it is never sent."""


class HttpError(ProviderError):
    """The vendor answered with a status that the request did not ask for.

    ``what`` is what happened, to what; ``advice`` the next step. ``body`` is the decoded JSON object of the answer, or
    an empty mapping; ``retry_after`` its Retry-After header; ``silent`` whether the answer had no body at all.
    """

    def __init__(
        self, what: str, status: int | None = None, body: Mapping[str, Any] | None = None, *, advice: str = ""
    ) -> None:
        self.what, self.advice = what, advice
        self.status = status
        self.retry_after: str | None = None
        self.silent = False
        self.body: Mapping[str, Any] = body or {}
        super().__init__(f"{what}; {advice}" if advice else what)

    def completed(self, *, advice: str = "", times: int = 1) -> HttpError:
        """The same error with a next step, unless it has one, and how often it came."""
        self.advice = self.advice or advice
        self.what += f", tried {times} times" if times > 1 else ""
        self.args = (f"{self.what}; {self.advice}" if self.advice else self.what,)
        return self


class AccessDenied(HttpError):
    """The vendor refuses this account as a whole: credentials, rights or the state of the account.

    ``since``: when it refused these credentials, if that is remembered.
    """

    since: str | None = None


class OutcomeUnknown(HttpError):
    """A request that changes something was sent, and what became of it is not known."""


def fault(error: BaseException) -> str:
    """Describe an exception that nobody expected, without its text, which may show secrets."""
    return f"internal error in confcleanup or the provider: {type(error).__name__}"
