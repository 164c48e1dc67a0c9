"""The text of a first config: of one account, from what was answered, or of the example for others to fill in."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..config.schema import default_of, meaning
from .questions import guide, is_secret, keys, simple

if TYPE_CHECKING:
    from .wizard import Answers

TEMPLATE_SAMPLES = r'(ca_file|archive|rooms_file|title|owner|keep_ids|names|announce|announce_wait) |tags = \["delete'
"""Keys of the example that stay commented out in a first config: samples that would narrow a rule or name files."""
COLUMN, WIDTH = 34, 130
"""Where a comment begins that fits beside its key, and how long such a line may be."""
OPTIONAL = {
    "older_than": '"1 year"',
    "title": '"*stand-up*"',
    "owner": '"anna"',
    "tags": '["cleanup"]',
    "keep_tags": '["keep"]',
    "keep_ids": "[]",
    "archive": '"/srv/confcleanup"',
    "rooms_file": '"/etc/confcleanup/rooms.csv"',
    "names": '["support-*"]',
}
"""Keys of a rule that are shown commented out, each with a sample."""


def written(answers: Answers, file: Path, zone: str) -> str:
    """The config of one account, with the keys that most people need next to it as comments."""
    lines = [
        "#:schema ./confcleanup.schema.json",
        '# Written by "confcleanup init". Everything after a # is a comment; remove the # to use a key.',
        f"# After a change:  confcleanup -c {file} check      and then, before it deletes:  … plan",
        "",
        *_key("timezone", zone, "IANA name: for calendar arithmetic, and for times without an offset"),
    ]
    if answers.older_than:
        why = "how long after their end items are deleted, in every rule without older_than of its own"
        lines += _key("older_than", answers.older_than, why)
    lines += [
        "",
        *_beside("[limits]", 'safety limits, checked before anything is deleted; 0 means zero, not "off"'),
        *_key("max_deletions", 1000, "if more items are due in one run, nothing is deleted"),
        *_key("max_runtime", "50 minutes", "then the run stops cleanly, and the next one continues"),
        "",
        *_beside("# [state]", "lock file and history; without it in your home directory"),
        *_key("directory", "/var/lib/confcleanup", "", commented=True),
        "",
        *_beside("# [holds]", "legal holds: these items stay under every rule"),
        '# hold = [{ owner = "legal@example.com", reason = "legal department" }]',
        "",
        *_beside(f"[accounts.{answers.account}]", "the account's name in output and history"),
        *_account(answers),
    ]
    for what, given in answers.rules.items():
        lines += ["", *_rule(answers, what, given)]
    return "\n".join(lines) + "\n"


def _account(answers: Answers) -> list[str]:
    provider = answers.provider
    lines: list[str] = []
    for key in ("provider", *guide(provider).settings):
        if key in answers.table:
            lines += _key(key, answers.table[key], meaning(provider.settings_type, key))
    if any(isinstance(value, dict) for value in answers.table.values()):
        lines.append('# Secrets may also be { env = "NAME" }, { file = "PATH" }, { command = ["PROGRAM", "ARGUMENT"] }')
    rate = default_of(provider.settings_type, "rate")
    return lines + _key("rate", rate, "the most requests that are sent; this is the default", commented=True)


def _rule(answers: Answers, what: str, given: Mapping[str, str]) -> list[str]:
    rule = answers.provider.sources[what].rule
    lines = [f"[[accounts.{answers.account}.rules]]", *_key("what", what, answers.provider.sources[what].description)]
    for key, value in given.items():
        lines += _key(key, value, meaning(rule, key))
    archived = answers.provider.sources[what].archivable and not rule.says_when
    for key, sample in (OPTIONAL | ({"older_than": '"15 minutes"'} if rule.says_when else {})).items():
        if key in rule.__struct_fields__ and key not in given and (key != "archive" or archived):
            lines += _beside(f"# {key} = {sample}", meaning(rule, key))
    return lines


def _key(key: str, value: Any, why: str, *, commented: bool = False) -> list[str]:
    return _beside(f"{'# ' if commented else ''}{key} = {_toml(value)}", why)


def _beside(line: str, why: str) -> list[str]:
    """A line with its comment beside it, or above it where both would be too long together."""
    if not why:
        return [line]
    both = f"{line:{COLUMN}}# {why}" if len(line) < COLUMN else f"{line}  # {why}"
    return [both] if len(both) <= WIDTH else [f"# {why}", line]


def account(name: str, table: Mapping[str, Any], what: Sequence[str]) -> str:
    """An account and its rules, as TOML."""
    lines = [f"[accounts.{name}]", *(f"{key} = {_toml(value)}" for key, value in table.items())]
    for source in what:
        lines += ["", f"[[accounts.{name}.rules]]", f"what = {_toml(source)}"]
    return "\n".join(lines) + "\n"


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_toml(inner)}" for key, inner in value.items()) + " }"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _skeleton(name: str) -> str:
    """An account of a provider that the example does not know, to fill in."""
    from .. import providers

    provider = providers.provider(name)
    table = {
        key: {"env": f"{name}_{key}".upper()} if is_secret(provider, key) else default
        for key, default in keys(provider, missing="FILL IN").items()
        if default
    }
    return account(name, {"provider": name, **table}, simple(provider) or list(provider.sources)[:1]) + "\n"


def template(names: tuple[str, ...]) -> str:
    """The example config, with every account commented out whose provider is not named."""
    example = files("confcleanup").joinpath("config.example.toml").read_text(encoding="utf-8")
    head, *sections = re.split(r"(?m)^(?=# ---- )", example)
    head = re.sub(r"(?ms)^\[(holds|state|notify)\][^\n]*\n.*?(?=^\[|\Z)", lambda table: _commented(table[0]), head)
    open_ones = {_provider(section): section for section in reversed(sections)}
    ready = [
        re.sub(rf"(?m)^(?={TEMPLATE_SAMPLES})", "# ", open_ones[name]) if name in open_ones else _skeleton(name)
        for name in names
    ]
    return head + "".join(ready + [_commented(section) for section in sections if _provider(section) not in names])


def _provider(section: str) -> str:
    found = re.search(r'^provider = "(\w+)"', section, re.MULTILINE)
    return found[1] if found else ""


def _commented(section: str) -> str:
    lines = section.splitlines()
    return "\n".join(line if line.startswith("#") or not line else f"# {line}" for line in lines) + "\n"
