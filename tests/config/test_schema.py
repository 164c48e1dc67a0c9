"""The JSON Schema of the config file says the same as the program's own check."""

from __future__ import annotations

import tomllib
from contextlib import suppress
from datetime import date, datetime
from importlib import import_module
from pathlib import Path
from typing import Any

import msgspec
import pytest
from jsonschema import Draft202012Validator

from confcleanup import providers
from confcleanup.config import load as config
from confcleanup.config.schema import schema
from confcleanup.errors import ConfigError
from confcleanup.settings.tables import reader_of
from tests.config.test_load import ACCOUNT, RULE, WHOLE

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "confcleanup" / "config.example.toml"


@pytest.fixture(scope="module")
def validator() -> Draft202012Validator:
    """Checks documents against the program's schema."""
    return Draft202012Validator(schema())


def as_json(value: Any) -> Any:
    """A TOML document as an editor hands it to a schema: dates and times are text."""
    if isinstance(value, dict):
        return {key: as_json(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [as_json(inner) for inner in value]
    return value.isoformat() if isinstance(value, (datetime, date)) else value


def fits(validator: Draft202012Validator, text: str) -> bool:
    return bool(validator.is_valid(as_json(tomllib.loads(text))))


def loads(folder: Path, text: str) -> bool:
    """Whether the program takes a config."""
    file = folder / "config.toml"
    file.write_text(text, encoding="utf-8")
    file.chmod(0o600)
    try:
        config.load(file)
    except ConfigError:
        return False
    return True


def test_the_schema_is_a_schema(validator: Draft202012Validator) -> None:
    Draft202012Validator.check_schema(validator.schema)


def test_the_schema_speaks_of_every_provider_and_every_source(validator: Draft202012Validator) -> None:
    accounts = validator.schema["properties"]["accounts"]["additionalProperties"]["oneOf"]
    said = {
        account["properties"]["provider"]["const"]: {
            rule["properties"]["what"]["const"] for rule in account["properties"]["rules"]["items"]["oneOf"]
        }
        for account in accounts
    }
    assert said == {name: set(providers.provider(name).sources) for name in providers.names()}


@pytest.mark.parametrize(
    "text",
    [
        WHOLE,
        'timezone = "UTC"\nolder_than = "1 day"\n' + ACCOUNT + "[[accounts.hq.rules]]",
        "[limits]\nmax_deletions = 0\nmax_growth = 2.5\n[state]\n" + WHOLE,
        WHOLE + '[accounts.hq.limits]\nmax_share = "5%"',
        ACCOUNT + 'max_share = "5%"\nconcurrency = 1' + RULE,
        WHOLE + 'tags = ["a"]\nrooms = true\nkeep_ids = ["1"]\ntitle = "*"\nowner = "o"\nkeep_tags = []\nname = "n"',
        WHOLE.replace('{ env = "TRUECONF_SECRET" }', '{ command = ["pass", "show"] }'),
        WHOLE.replace('{ env = "TRUECONF_SECRET" }', '{ file = "x" }'),
        WHOLE.replace('{ env = "TRUECONF_SECRET" }', '"x"'),
    ],
)
def test_what_the_program_takes_fits_the_schema(tmp_path: Path, validator: Draft202012Validator, text: str) -> None:
    assert loads(tmp_path, text)
    assert fits(validator, text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "accounts = {}",
        ACCOUNT,
        "older_then = 'x'\n" + WHOLE,
        "older_than = 30\n" + WHOLE,
        "[limits]\nmax_deletion = 1\n" + WHOLE,
        "[limits]\nmax_deletions = -1\n" + WHOLE,
        "[limits]\nmax_deletions = 'x'\n" + WHOLE,
        "[state]\nfolder = 'x'\n" + WHOLE,
        WHOLE.replace('"trueconf"', '"true-conf"'),
        WHOLE.replace('provider = "trueconf"', ""),
        WHOLE.replace('url = "https://conf.example.com"', ""),
        WHOLE.replace('{ env = "TRUECONF_SECRET" }', "{}"),
        WHOLE.replace('{ env = "TRUECONF_SECRET" }', '{ env = "A", file = "b" }'),
        WHOLE.replace('{ env = "TRUECONF_SECRET" }', "{ command = [] }"),
        ACCOUNT + "concurrency = 0" + RULE,
        ACCOUNT + "api = 'v2'" + RULE,
        WHOLE.replace('"conferences"', '"recordings"'),
        WHOLE + "keeptags = []",
        WHOLE + "tags = 'x'",
        WHOLE + "[accounts.hq.limits]\nmax_deletion = 1",
    ],
)
def test_what_the_schema_rejects_the_program_rejects_too(
    tmp_path: Path, validator: Draft202012Validator, text: str
) -> None:
    assert not fits(validator, text)
    assert not loads(tmp_path, text)


def test_the_example_fits_the_schema(validator: Draft202012Validator) -> None:
    errors = validator.iter_errors(as_json(tomllib.loads(EXAMPLE.read_text(encoding="utf-8"))))
    assert [error.message for error in errors] == []


def test_the_example_loads_without_a_warning_and_has_an_account_of_every_provider(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_bytes(EXAMPLE.read_bytes())
    file.chmod(0o600)
    loaded = config.load(file)
    assert loaded.warnings == ()
    assert {account.provider.name for account in loaded.accounts.values()} == set(providers.BUILT_IN)


def test_the_example_may_be_read_by_everybody_as_it_holds_no_secrets(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_bytes(EXAMPLE.read_bytes())
    file.chmod(0o644)
    assert config.load(file).accounts


def test_the_example_at_the_top_of_the_repository_is_the_one_in_the_package() -> None:
    assert (ROOT / "config.example.toml").read_bytes() == EXAMPLE.read_bytes()


def keys(table: Any, path: str = "") -> dict[str, Any]:
    """Every key that a schema describes, by its dotted path."""
    found: dict[str, Any] = {}
    for name, key in table.get("properties", {}).items():
        found |= {path + name: key, **keys(key, f"{path}{name}."), **keys(key.get("items", {}), f"{path}{name}[].")}
        for number, option in enumerate(key.get("items", {}).get("oneOf", [])):
            found |= keys(option, f"{path}{name}[{number}].")
    for option in table.get("properties", {}).get("accounts", {}).get("additionalProperties", {}).get("oneOf", []):
        found |= keys(option, f"accounts.{option['properties']['provider']['const']}.")
    return found


def test_every_key_says_what_it_means() -> None:
    described = keys(schema())
    tables = {"accounts", *config.TABLES}
    assert len(described) > 80
    silent = {path for path, key in described.items() if "description" not in key and path not in tables}
    assert not silent, "say in confcleanup/config/descriptions.toml what they mean"


def test_no_meaning_is_left_over_from_a_key_that_is_gone() -> None:
    known = tomllib.loads((ROOT / "confcleanup" / "config" / "descriptions.toml").read_text(encoding="utf-8"))
    written = {
        (module, owner, key) for module, tables in known.items() for owner, entries in tables.items() for key in entries
    }
    assert {entry for entry in written if not _has_key(*entry)} == set()


def _has_key(module: str, owner: str, key: str) -> bool:
    for package in ("confcleanup.config", "confcleanup.settings", "confcleanup.providers"):
        with suppress(ImportError):
            return key in getattr(import_module(f"{package}.{module}"), owner).__struct_fields__
    return False


def test_a_default_reads_back_as_itself() -> None:
    for name in providers.names():
        settings = providers.provider(name).settings_type
        for field in msgspec.structs.fields(settings):
            shown = keys(schema())[f"accounts.{name}.{field.encode_name}"].get("default")
            reader = reader_of(field.type)
            if shown is not None and reader:
                assert reader.parse(shown) == field.default
