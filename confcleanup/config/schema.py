"""The config file's JSON Schema, made from the same structs that check it."""

from __future__ import annotations

import tomllib
from datetime import timedelta
from fractions import Fraction
from functools import cache
from importlib.resources import files
from typing import Any

import msgspec

from .. import providers
from ..cutoff import humanize
from ..guards import Limits
from ..providers.base import Provider
from ..settings.tables import LimitSettings, Table, reader_of, struct_of
from ..settings.values import Pace
from .load import TABLES, General


def schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of a config file, for editors."""
    accounts = [_account(provider) for provider in providers.usable()]
    top = _table(General)
    top["properties"] |= {
        **{name: _table(table) for name, table in TABLES.items()},
        "accounts": {"type": "object", "minProperties": 1, "additionalProperties": {"oneOf": accounts}},
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "confcleanup configuration",
        **top,
        "required": ["accounts"],
    }


def _account(provider: type[Provider]) -> dict[str, Any]:
    table = _table(provider.settings_type)
    table["title"] = provider.title
    table["properties"]["provider"] |= {"const": provider.name}
    table["properties"]["limits"] = {**_table(LimitSettings), "description": "The account's own safety limits."}
    rules = [_rule(what, source.rule) for what, source in provider.sources.items()]
    if len(rules) == 1:
        rules[0]["required"].remove("what")
    table["properties"]["rules"] = {"type": "array", "minItems": 1, "items": {"oneOf": rules}}
    table["properties"]["rules"]["description"] = "What is deleted; what no rule selects stays."
    table["required"] = sorted({*table.get("required", []), "provider", "rules"})
    return table


def _rule(what: str, rule: type[Table]) -> dict[str, Any]:
    table = _table(rule)
    table["properties"]["what"] |= {"const": what}
    return table


def _table(cls: type[msgspec.Struct]) -> dict[str, Any]:
    fields = msgspec.structs.fields(cls)
    table: dict[str, Any] = {
        "type": "object",
        "additionalProperties": False,
        "properties": {field.encode_name: _key(cls, field) for field in fields},
    }
    if required := [field.encode_name for field in fields if field.required]:
        table["required"] = required
    return table


def _key(cls: type[msgspec.Struct], field: msgspec.structs.FieldInfo) -> dict[str, Any]:
    default = getattr(Limits(), field.name) if cls is LimitSettings else field.default
    said = {"description": meaning(cls, field.encode_name), "default": _written(default)}
    return _value(field.type) | {name: what for name, what in said.items() if what not in (None, "")}


def meaning(cls: type, key: str) -> str:
    """What a key of a table means, in one line; empty if nobody has said."""
    known = _descriptions()
    found = (known.get(owner.__module__.rpartition(".")[2], {}).get(owner.__name__, {}) for owner in cls.__mro__)
    return next((table[key] for table in found if key in table), "")


def default_of(cls: type[msgspec.Struct], key: str) -> Any:
    """A key's default as one would write it in the config; None if there is nothing to write."""
    return next(_written(field.default) for field in msgspec.structs.fields(cls) if field.encode_name == key)


@cache
def _descriptions() -> dict[str, dict[str, dict[str, str]]]:
    return tomllib.loads(files(__package__).joinpath("descriptions.toml").read_text(encoding="utf-8"))


def _written(default: Any) -> Any:
    """A default as one would write it in the config; None if there is nothing to write."""
    if isinstance(default, Pace):
        per = {1.0: "s", 60.0: "min", 3600.0: "h"}.get(default.seconds)
        return "unlimited" if not default.count else per and f"{default.count}/{per}"
    if isinstance(default, timedelta):
        return humanize(default)
    if isinstance(default, Fraction):
        return f"{float(default):.0%}"
    return default if isinstance(default, (str, int, float)) else None


def _value(kind: Any) -> dict[str, Any]:
    if reader := reader_of(kind):
        return reader.describe()
    if inner := struct_of(kind):
        return {"type": "array", "items": _table(inner)}
    described = msgspec.json.schema(kind)
    options = described.get("anyOf")
    if options and {"type": "null"} in options:
        rest = [option for option in options if option != {"type": "null"}]
        return rest[0] if len(rest) == 1 else {"anyOf": rest}
    return described
