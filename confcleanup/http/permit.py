"""The right to change something at a vendor."""

from __future__ import annotations

from ..deadline import Look


class Permit:
    """The right to change something at a vendor. Made by the deleter alone, handed down by it.

    With a ``look``, it is a right for ``pace.FRESH`` seconds: what could not leave by then raises Stale.
    """

    def __init__(self, look: Look | None = None) -> None:
        self._look = look

    @property
    def lapses(self) -> bool:
        """Whether the right ends with its look."""
        return self._look is not None

    def require_fresh(self, ahead: float = 0.0) -> None:
        """Raises Stale if the right has lapsed, or will have ``ahead`` seconds from now."""
        if self._look:
            self._look.require_fresh(ahead)
