"""``confcleanup run``: plans, asks, deletes."""

from __future__ import annotations

from typing import Any

import click

from .cleaning import clean, cleaning_options
from .options import Globals, global_options
from .turns import WAIT


@click.command("run")
@click.option("--dry-run", is_flag=True, help="The same as the command plan.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask; needed where there is no terminal, as in cron.")
@click.option("--plan", "plan_file", metavar="FILE", help="Delete no more than this reviewed plan (plan -o FILE).")
@click.option("--plan-max-age", metavar="TEXT", default="7 days", help="How old that plan may be.", show_default=True)
@WAIT
@cleaning_options
@global_options
def command(settings: Globals, *, dry_run: bool, yes: bool, **options: Any) -> None:
    """Delete what the rules select.

    On a terminal the plan is shown and a question asked; elsewhere --yes is needed. What is deleted
    cannot be brought back.
    """
    clean(settings, delete=not dry_run, yes=yes, **options)
