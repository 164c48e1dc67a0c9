"""The config file's JSON Schema, made from the same structs that check it."""

from __future__ import annotations

from typing import Any

import msgspec

from . import providers
from .config import TABLES, General
from .settings import LimitSettings, Table, reader_of, struct_of


def schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of a config file, for editors."""
    accounts = [_account(name) for name in providers.names()]
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


def _account(name: str) -> dict[str, Any]:
    provider = providers.provider(name)
    table = _table(provider.settings_type)
    table["title"] = provider.title
    table["properties"]["provider"] = {"const": name}
    table["properties"]["limits"] = _table(LimitSettings)
    rules = [_rule(what, source.rule) for what, source in provider.sources.items()]
    if len(rules) == 1:
        rules[0]["required"].remove("what")
    table["properties"]["rules"] = {"type": "array", "minItems": 1, "items": {"oneOf": rules}}
    table["required"] = sorted({*table.get("required", []), "provider", "rules"})
    return table


def _rule(what: str, rule: type[Table]) -> dict[str, Any]:
    table = _table(rule)
    table["properties"]["what"] = {"const": what}
    return table


def _table(cls: type[msgspec.Struct]) -> dict[str, Any]:
    fields = msgspec.structs.fields(cls)
    table: dict[str, Any] = {
        "type": "object",
        "additionalProperties": False,
        "properties": {field.encode_name: _value(field.type) for field in fields},
    }
    if required := [field.encode_name for field in fields if field.required]:
        table["required"] = required
    return table


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
