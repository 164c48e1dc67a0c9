"""A wait that does not wait, for tests of the providers.

Import it as ``from .waiting import NoWaiting`` or ``from tests.providers.waiting import NoWaiting``.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from confcleanup.deadline import Deadline


@dataclass
class NoWaiting(Deadline):
    """A ``Deadline`` whose waits return at once; ``waited`` is how many seconds each of them would have taken."""

    waited: list[float] = field(default_factory=list)

    def wait(self, seconds: float) -> None:
        self.check(seconds)
        self.waited.append(seconds)
