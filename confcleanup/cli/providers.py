"""``confcleanup providers``: which vendors, what of theirs, and with which settings."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click
import msgspec

from .options import Globals, global_options

if TYPE_CHECKING:
    from ..providers.base import Provider


@click.command("providers")
@click.option(
    "--format", "style", type=click.Choice(["table", "json"]), default="table", help="For people, or as data."
)
@global_options
def command(settings: Globals, style: str) -> None:
    """Show the providers, what each can delete and which settings it takes."""
    from .. import providers

    described = [describe(provider) for provider in providers.usable()]
    if style == "json":
        print(json.dumps({"version": 1, "providers": described}, indent=2))
        return
    for provider in described:
        print(f"{provider['provider']}: {provider['title']}")
        for source in provider["sources"]:
            can = "" if source["deletes"] else " (list only)"
            print(f"  what = {source['what']!r}{can}: {source['text']}")
            print(click.wrap_text(", ".join(source["rule_keys"]), 78, "    rule keys: ", "      "))
        print(click.wrap_text(", ".join(provider["settings"]), 78, "  settings: ", "    "))
        print()


def describe(provider: type[Provider]) -> dict[str, Any]:
    """A provider as data."""
    return {
        "provider": provider.name,
        "title": provider.title,
        "settings": _keys(provider.settings_type),
        "sources": [
            {"what": what, "text": source.description, "deletes": source.deletes, "rule_keys": _keys(source.rule)}
            for what, source in provider.sources.items()
        ],
    }


def _keys(table: type[msgspec.Struct]) -> list[str]:
    fields = msgspec.structs.fields(table)
    return [field.encode_name + (" (required)" if field.required else "") for field in fields]
