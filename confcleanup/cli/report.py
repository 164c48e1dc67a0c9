"""``confcleanup report``: the history as a page."""

from __future__ import annotations

import sys

import click

from .options import Globals, clock, global_options, log


@click.command("report")
@click.option("-o", "--html", "file", metavar="FILE", help="Write the page to this file, not to standard output.")
@global_options
def command(settings: Globals, file: str | None) -> None:
    """Show what was deleted, run by run, as a self-contained web page.

    It reads only the ledger: nothing is contacted. It works without a config if --state names the folder; if there
    is a config, its time zone is used.
    """
    from ..records.ledger import Ledger
    from ..reports import html as page
    from ..reports.html.history import Past
    from .files import replace_private
    from .page import ready

    if file is None and sys.stdout.isatty():
        raise click.UsageError("the report is a page for a browser: use --html FILE, or redirect the output to a file")
    path = ready(file, settings.place())
    folder = settings.state_folder_alone()
    Ledger.require(folder)
    with Ledger(folder, writable=False, whole=False) as ledger:
        if ledger.doubt:
            log.warning("this history is incomplete or altered: %s", ledger.doubt)
        text = page.of_ledger(Past(ledger), clock(), settings.zone())
    if path:
        replace_private(path, text)
        if not settings.quiet:
            print(f"Wrote {path}")
    else:
        sys.stdout.buffer.write(text.encode())
