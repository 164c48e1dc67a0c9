"""Writes the reference from the program itself: every key, command, option. Part of the site's build."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import click

from confcleanup import providers
from confcleanup.cli import cli
from confcleanup.config.schema import schema

Table = dict[str, Any]

CONFIG = """\
# Every key of the config

Made from the program that checks the file. An unknown key is an error, and every mistake is named at once.
For an editor: {download}`the JSON Schema <config.schema.json>`, or `confcleanup schema`.

Lengths of time: `30 days`, `6 months`, `1 year`, `36h`, `P30D`. A secret is the text itself, or a small table
that says where it is kept."""
LIMITS = "Beside these, each key of `[limits]`, for this account alone; its rules are in `[[accounts.NAME.rules]]`."


def write(folder: Path) -> None:
    """The generated pages, and the schema as a file to download."""
    folder.mkdir(exist_ok=True)
    described = schema()
    pages = {
        "config.md": "\n".join(config_page(described)),
        "cli.md": "\n".join(cli_page()),
        "config.schema.json": json.dumps(described, indent=2),
    }
    for name, text in pages.items():
        file = folder / name
        if not file.exists() or file.read_text(encoding="utf-8") != text + "\n":  # Sphinx reads what is newer
            file.write_text(text + "\n", encoding="utf-8")


def config_page(described: Table) -> Iterator[str]:
    """Every key of the config, by table."""
    yield CONFIG
    top = described["properties"]
    yield from section("At the top of the file", {key: top[key] for key in top if top[key]["type"] != "object"})
    for name in top:
        if top[name]["type"] == "object" and name != "accounts":
            yield from section(f"`[{name}]`", top[name]["properties"], prefix=f"{name}.")
    accounts = top["accounts"]["additionalProperties"]["oneOf"]
    rules = [rule for account in accounts for rule in account["properties"]["rules"]["items"]["oneOf"]]
    in_accounts, in_rules = shared(accounts), shared(rules)
    limits = {*top["limits"]["properties"], "limits", "rules"}
    yield from section("`[accounts.NAME]`: every account", without(in_accounts, limits), lead=LIMITS)
    yield from section("`[[accounts.NAME.rules]]`: every rule", in_rules)
    for account in accounts:
        yield from account_sections(account, {*in_accounts, *limits}, {*in_rules})


def account_sections(account: Table, everywhere: set[str], in_every_rule: set[str]) -> Iterator[str]:
    """What one vendor's accounts and rules take beside what all take."""
    name = account["properties"]["provider"]["const"]
    own = without(account["properties"], everywhere)
    yield from section(f"`provider = {quoted(name)}`", own, required=account["required"])
    for rule in account["properties"]["rules"]["items"]["oneOf"]:
        what = rule["properties"]["what"]["const"]
        text = providers.provider(name).sources[what].description
        own = without(rule["properties"], in_every_rule)
        yield from section(f"`{name}`: `what = {quoted(what)}`", own, level=3, lead=f"{text[0].upper()}{text[1:]}.")


def shared(tables: list[Table]) -> Table:
    """The keys that all these tables take and explain alike, as the first of them has them."""
    first, *others = ({key: without(value, {"const"}) for key, value in t["properties"].items()} for t in tables)
    return {key: value for key, value in first.items() if all(other.get(key) == value for other in others)}


def without(table: Table, names: set[str]) -> Table:
    """A table without some of its keys."""
    return {key: value for key, value in table.items() if key not in names}


def section(
    title: str, keys: Table, *, prefix: str = "", level: int = 2, lead: str = "", required: Iterable[str] = ()
) -> Iterator[str]:
    """A heading and a table of keys."""
    yield f"\n{'#' * level} {title}\n"
    if lead:
        yield f"{lead}\n"
    yield "| key | type | default | meaning |\n| --- | --- | --- | --- |"
    for key, value in keys.items():
        yield from rows_of(prefix + key, value, key in required)


def rows_of(key: str, value: Table, required: bool = False) -> Iterator[str]:
    """A key as a line of the table, and those of a table in it."""
    default = "**required**" if required else f"`{quoted(value['default'])}`" if "default" in value else ""
    meaning = value.get("description", "").replace("|", "\\|")
    yield f"| `{key}` | {kind(value)} | {default} | {meaning} |"
    inner, dot = (value["items"], "[].") if "properties" in value.get("items", {}) else (value, ".")
    for name, part in inner.get("properties", {}).items():
        yield from rows_of(f"{key}{dot}{name}", part, name in inner.get("required", ()))


def kind(value: Table) -> str:
    """A type in words of TOML, with an example where text has a form."""
    if options := value.get("anyOf"):
        return " or ".join(dict.fromkeys(kind(option) for option in options))
    if value.get("type") == "array":
        return f"list of {kind(value.get('items', {}))}"
    if value.get("type") == "object":
        inner = ", ".join(f"{key} = …" for key in value.get("properties", ()))
        return f"`{{ {inner} }}`" if "required" in value and len(value["properties"]) == 1 else "table"
    words = {"string": "text", "integer": "whole number", "number": "number", "boolean": "true or false"}
    example = f", such as `{quoted(value['examples'][0])}`" if value.get("examples") else ""
    return words.get(value.get("type", ""), "text") + example


def quoted(value: Any) -> str:
    """A value as TOML writes it."""
    return json.dumps(value, ensure_ascii=False)


def cli_page() -> Iterator[str]:
    """The help of every command."""
    yield "# Every command\n"
    yield "Options such as `-c` and `-v` may stand before or after the command's name.\n"
    yield from help_of(cli, "confcleanup", None)


def help_of(command: click.Command, name: str, parent: click.Context | None) -> Iterator[str]:
    """A command's help as the program prints it, then its subcommands'."""
    context = click.Context(command, info_name=name, parent=parent, max_content_width=96, terminal_width=96)
    yield f"\n## `{context.command_path}`\n\n```text\n{command.get_help(context)}\n```"
    if isinstance(command, click.Group):
        for inner in command.list_commands(context):
            found = command.get_command(context, inner)
            if found and not found.hidden:
                yield from help_of(found, inner, context)
