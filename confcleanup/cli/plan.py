"""``confcleanup plan``: the dry run."""

from __future__ import annotations

from typing import Any

import click

from .cleaning import clean, cleaning_options
from .options import Globals, global_options


@click.command("plan")
@click.option("-o", "save_to", metavar="FILE", help="Save the plan, for: run --plan FILE.")
@cleaning_options
@global_options
def command(settings: Globals, **options: Any) -> None:
    """List, select, and show what would be deleted, and why. Nothing is deleted.

    This is the real run stopped before its last step: it signs in, lists and judges in the same way,
    and ends with the status that a run would be refused with.
    """
    clean(settings, delete=False, yes=False, **options)
