"""``confcleanup init``: the first config."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import ConfcleanupError
from ..system import POSIX, command_line
from .files import replace_private, write_private
from .options import Globals, global_options, offered

if TYPE_CHECKING:
    from .wizard import Answers

READERS = "you alone" if POSIX else "whoever may read its folder"
SCHEMA = "confcleanup.schema.json"
"""The file that the example's first line leads editors to."""

SAMPLES = r'(ca_file|archive|rooms_file|title|owner|keep_ids|names|announce|announce_wait) |tags = \["delete'
"""Keys of the example that stay commented out in a first config: samples that would narrow a rule or name files."""


@click.command("init")
@click.option(
    "--provider",
    "names",
    metavar="NAME",
    multiple=True,
    help="Write accounts of this provider ready to fill in; the others stay commented out.",
    shell_complete=offered("providers"),
)
@click.option("--no-input", is_flag=True, help="Never prompt.")
@global_options
@click.pass_context
def command(ctx: click.Context, settings: Globals, names: tuple[str, ...], *, no_input: bool) -> None:
    """Write a commented config file, readable by you alone, and say the next step.

    On a terminal it asks what it needs (a secret is never shown) and offers to test the sign-in. The file goes
    to the -c path or to your config folder, with a JSON Schema for editors beside it. An existing config is
    never touched.
    """
    from .. import providers
    from ..config import places
    from ..settings.tables import unknown

    for name in names:
        if name not in providers.names():
            raise click.UsageError(f"--provider {name}: {unknown(name, dict.fromkeys(providers.names()))}")
    target = places.typed(settings.config) if settings.config else places.user_path()
    if not (settings.config or target.is_absolute()):
        raise click.UsageError(f"{places.HOMELESS}; name the file to write with -c")
    if target.exists():
        raise ConfcleanupError(f"{target} exists; it is left as it is")
    option = f" -c {command_line([str(target)])}" if settings.config else ""
    if no_input or not (sys.stdin.isatty() and sys.stderr.isatty()):
        _write(target, template(names))
        _next_steps(target, option, names)
        return
    from .wizard import ask

    answers = ask(names, target.absolute().parent)
    for store in answers.store.values():
        store()
    _write(target, filled(answers))
    print(f"Wrote {target}, readable by {READERS}.")
    print(f"Next: confcleanup{option} plan    shows what would be deleted, and why; deletes nothing", flush=True)
    if click.confirm("Test the sign-in now?", default=True, err=True):
        from .check import command as check

        ctx.invoke(check, config=str(target), account_names=(answers.account,))


def _write(target: Path, text: str) -> None:
    from ..config.schema import schema

    write_private(target, text)
    replace_private(target.with_name(SCHEMA), json.dumps(schema(), indent=1) + "\n")


def _next_steps(target: Path, option: str, names: tuple[str, ...]) -> None:
    print(f"Wrote {target}, readable by {READERS}.")
    if not names:
        print(
            "Next: open it and take the # away from the account of your vendor (or begin with: init --provider NAME)."
        )
    print("Fill in the address and the ids, and say where the secret is kept. Then:")
    print(f"  confcleanup{option} check    signs in and shows what is missing; deletes nothing")
    print(f"  confcleanup{option} plan     shows what would be deleted, and why; deletes nothing")


def filled(answers: Answers) -> str:
    """The example config with the account that the answers describe, and every other one commented out."""
    head, *rest = re.split(r"(?m)^(?=# ---- )", template(()))
    for key, value in (("timezone", answers.timezone), ("older_than", answers.older_than)):
        head = re.sub(rf'(?m)^{key} = "[^"]*"', lambda _, key=key, value=value: f"{key} = {_toml(value)}", head)
    return head + account(answers.account, answers.table, answers.what) + "\n" + "".join(rest)


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
    from .wizard import is_secret, keys, simple

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
        re.sub(rf"(?m)^(?={SAMPLES})", "# ", open_ones[name]) if name in open_ones else _skeleton(name)
        for name in names
    ]
    return head + "".join(ready + [_commented(section) for section in sections if _provider(section) not in names])


def _provider(section: str) -> str:
    found = re.search(r'^provider = "(\w+)"', section, re.MULTILINE)
    return found[1] if found else ""


def _commented(section: str) -> str:
    lines = section.splitlines()
    return "\n".join(line if line.startswith("#") or not line else f"# {line}" for line in lines) + "\n"
