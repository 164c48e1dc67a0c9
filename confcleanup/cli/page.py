"""Prepare and write the page of ``--html``: check its path, watch the run, write the file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..config.places import typed
from ..errors import ConfcleanupError
from .files import replace_private, require_writable

if TYPE_CHECKING:
    from datetime import tzinfo

    from ..records.ledger import Ledger
    from ..reports.html.tally import Tally
    from ..run import Run


def ready(file: str | None, config: Path | None) -> Path | None:
    """The file to write a page to; None if no file was given.

    Raises UsageError, before anything is contacted, if the page cannot be made or written, or would replace the config.
    """
    from ..reports import html as page

    path = typed(file) if file else None
    try:
        page.require()
        if path:
            require_writable(path, config)
    except ConfcleanupError as error:
        raise click.UsageError(f"--html: {error}") from None
    return path


def tally() -> Tally:
    """Counts for a page."""
    from ..reports.html.tally import Tally

    return Tally()


def write(path: Path, run: Run, tally: Tally, ledger: Ledger | None, zone: tzinfo, command: str) -> None:
    """Writes the page of a run, after everything else. Raises ConfcleanupError if that fails."""
    from ..reports import html as page
    from ..reports.html.history import Past

    try:
        past = Past(ledger) if ledger else None
        replace_private(path, page.of_run(run, tally, past, zone, command))
    except ConfcleanupError as error:
        failed = ConfcleanupError(f"the page was not written: {error}")
        failed.exit_code = failed.exit_code if run.signal is None else run.exit_code
        raise failed from None
