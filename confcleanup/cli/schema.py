"""``confcleanup schema``: what editors need to check a config while it is written."""

from __future__ import annotations

import json

import click

from .options import Globals, global_options


@click.command("schema")
@global_options
def command(settings: Globals) -> None:
    """Print the JSON Schema of the config file."""
    from ..config.schema import schema

    print(json.dumps(schema(), indent=2))
