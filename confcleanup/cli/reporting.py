"""Report what a run found once, not every night: what -q prints and what messages say, held against earlier reports."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..config.load import Config
    from ..errors import ConfcleanupError
    from ..records.reported import Reported
    from ..reports.attention import Finding
    from ..run import Run
    from .options import Globals

OUTPUT, MESSAGES, UNSENT = "output", "messages", "unsent"
"""Ways of reporting: what ``-q`` prints and cron mails; the summaries of ``[notify]``; that some were not sent."""


def remembering(settings: Globals, config: Config | None) -> Path | None:
    """The state folder; None if only a config that cannot be read could tell it."""
    return settings.state_folder(config) if config or settings.state else None


class Reporting:
    """One way of reporting, in one run. ``rules`` and ``accounts`` are the names given with ``--rule``, ``--account``.

    Without a state folder everything on which a person has to act is reported, and nothing is remembered.
    """

    def __init__(
        self, state: Path | None, rules: Iterable[str], accounts: Iterable[str], way: str, now: datetime
    ) -> None:
        self._state = state
        self._rules = [f"rule {name}" for name in rules]
        self._accounts = [f"account {name}" for name in accounts]
        self._way = way
        self._now = now
        self._files: dict[str, Reported] = {}

    def due(self, found: Sequence[Finding]) -> list[Finding]:
        """Those on which a person has to act and that were not reported in the last days."""
        from ..reports.attention import is_due

        due = []
        for finding in found:
            file = self._file(finding.account)
            if is_due(finding, file, self._now) if file else finding.acts:
                due.append(finding)
        return due

    def line(self, finding: Finding) -> str:
        """A finding in one line, with its account, and with the date of the first report if this is not the first."""
        file = self._file(finding.account)
        known = {
            identity: file.reports[mark]
            for identity in finding.identities
            if file and (mark := file.mark(identity)) in file.reports
        }
        account = f"{finding.account}: " if finding.account else ""
        again = len(known) == len(finding.keys)
        since = f" (first reported on {min(one.first for one in known.values()):%Y-%m-%d})" if again else ""
        return f"{account}{finding.line(known)}{since}"

    def remember(self, found: Sequence[Finding], told: Sequence[Finding], run: Run | None = None) -> bool:
        """Remembers what was ``told`` of what a run ``found``, and forgets what the run shows to be gone.

        Returns whether all of that is remembered.
        """
        from ..reports.attention import after

        plans = {plan.account: plan for plan in run.plans} if run else {}
        saved = self._state is not None
        for account in ("", *plans):
            if file := self._file(account):
                here, told_here = ([one for one in some if one.account == account] for some in (found, told))
                saved &= file.save(after(file, here, told_here, plans.get(account), self._now))
        return saved

    def _file(self, account: str) -> Reported | None:
        from ..records.reported import Reported

        if self._state and account not in self._files:
            chosen = self._rules if account else self._rules + self._accounts
            self._files[account] = Reported(self._state, account, chosen, self._way)
        return self._files.get(account)


def not_started(error: ConfcleanupError, reporting: Reporting) -> None:
    """Notes on an error that ended a run before it listed anything whether an earlier run reported it."""
    from ..reports import findings

    found = [findings.not_started(str(error))]
    due = reporting.due(found)
    remembered = reporting.remember(found, due)
    error.reported = (not due) if remembered else None
