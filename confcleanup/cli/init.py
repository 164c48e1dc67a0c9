"""``confcleanup init``: the first config."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..errors import ConfcleanupError, ExitCode
from ..system import POSIX, command_line, zone_name
from .files import replace_private, write_private
from .options import Globals, global_options, log, offered
from .prompts import say

if TYPE_CHECKING:
    from .wizard import Answers

READERS = "you alone" if POSIX else "whoever may read its folder"
SCHEMA = "confcleanup.schema.json"
"""The file that the config's first line leads editors to."""


@click.command("init")
@click.option(
    "--provider",
    "names",
    metavar="NAME",
    multiple=True,
    help="Write a config for this provider; without a terminal, the accounts of others stay commented out.",
    shell_complete=offered("providers"),
)
@click.option("--no-input", is_flag=True, help="Never prompt.")
@global_options
def command(settings: Globals, names: tuple[str, ...], *, no_input: bool) -> None:
    """Write a commented config file, readable by you alone, and say the next step.

    On a terminal it asks what it needs (a secret is never shown), tests the sign-in, and writes nothing until all is
    answered. The file goes to the -c path or to your config folder, with a JSON Schema for editors beside it. An
    existing config is never touched.
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
        raise ConfcleanupError(f"{target} exists and was not changed: edit it, or give another path with -c")
    option = f" -c {command_line([str(target)])}" if settings.config else ""
    if no_input or not (sys.stdin.isatty() and sys.stderr.isatty()):
        from .first_config import template

        write_private(target, template(names))
        _write_schema(target)
        _next_steps(target, option, names)
        return
    _require_writable(target)
    try:
        answers = _asked(names, target)
    except (click.Abort, KeyboardInterrupt) as end:
        say()
        log.error("stopped; nothing was written")
        interrupted = isinstance(end, KeyboardInterrupt) or isinstance(end.__context__, KeyboardInterrupt)
        sys.exit(int(ExitCode.INTERRUPTED if interrupted else ExitCode.NOT_DONE))
    say()
    _store(answers, target)
    print(f"Next:\n  confcleanup{option} {'plan ' if answers.tested else 'check'}    ", end="")
    print("shows what would be deleted, and why; deletes nothing" if answers.tested else "tests the sign-in again")


def _asked(names: tuple[str, ...], target: Path) -> Answers:
    from .wizard import ask

    say("This writes a config for one account. Nothing is written before the last answer.")
    say("Enter takes the value in [brackets]; Ctrl-C stops.")
    say()
    return ask(names, target.absolute().parent)


def _store(answers: Answers, target: Path) -> None:
    """Writes the secrets that were typed, then the config. What was written is removed if the rest fails."""
    from .first_config import written

    made: list[Path] = []
    with ExitStack() as undo:
        undo.callback(_remove, made)
        for key, secret in answers.typed.items():
            ((place, where),) = answers.table[key].items()
            if place == "keyring":
                _into_keyring(where, secret)
            else:
                write_private(Path(where), secret + "\n")
                made.append(Path(where))
        write_private(target, written(answers, target, zone_name() or "UTC"))
        made.insert(0, target)
        _write_schema(target)
        undo.pop_all()
    for file in made:
        print(f"Wrote {file}, readable by {READERS}.")


def _remove(files: Sequence[Path]) -> None:
    for file in files:
        with suppress(OSError):
            file.unlink()


def _require_writable(target: Path) -> None:
    """Raises ConfcleanupError before the first question if the config could not be written."""
    from ..records.stores import try_folder

    try:
        try_folder(target.absolute().parent)
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise ConfcleanupError(f"{target} cannot be written: {why}; give another path with -c") from None


def _into_keyring(entry: str, secret: str) -> None:
    from ..settings.secrets import store_in_keyring

    try:
        store_in_keyring(entry, secret)
    except ValueError as error:
        service, _, user = entry.rpartition("/")
        log.warning("the secret was not stored in the keyring: %s. Then: keyring set %s %s", error, service, user)


def _write_schema(target: Path) -> None:
    from ..config.schema import schema

    replace_private(target.with_name(SCHEMA), json.dumps(schema(), indent=1) + "\n")


def _next_steps(target: Path, option: str, names: tuple[str, ...]) -> None:
    print(f"Wrote {target}, readable by {READERS}.")
    if not names:
        print("No question was asked, as there is no terminal, so it is a template with every platform.")
        print("Next: open it and remove the # from the account of your vendor (or start with: init --provider NAME).")
    print("Fill in the address and the ids, and say where the secret is kept. Then:")
    print(f"  confcleanup{option} check    signs in and shows what is missing; deletes nothing")
    print(f"  confcleanup{option} plan     shows what would be deleted, and why; deletes nothing")
