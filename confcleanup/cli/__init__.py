"""Words to and from people. Each command is a module of its own, loaded when it is called."""

from __future__ import annotations

import importlib
import logging
import sys
from collections.abc import Callable, Sequence
from typing import Any

import click

from .. import __version__
from ..errors import VERDICTS, ConfcleanupError, ConfigError, ExitCode
from .options import AGAIN, RESULTS, Globals, global_options

log = logging.getLogger("confcleanup")

COMMANDS = {
    "demo": "Show the program at work on emulated vendors; needs no account.",
    "init": "Write a commented config file.",
    "check": "Check config, sign-in, rights, clock and archives of every account.",
    "plan": "Dry run: show what would be deleted, and why.",
    "run": "Delete what the rules select.",
    "explain": "Explain why an item is deleted or kept, step by step.",
    "history": "Show what was deleted, when, by which rule, with what outcome.",
    "report": "Write the history as a web page.",
    "restore": "Create a deleted conference anew from its archived copy.",
    "schedule": "Print an entry for cron, systemd, Windows or Kubernetes.",
    "providers": "Show the providers, what each can delete, and their settings.",
    "schema": "Print the JSON Schema of the config file.",
    "completion": "Print the script that makes a shell complete commands and names.",
    "sandbox": "Serve the emulated vendors until stopped.",
}


class Commands(click.Group):
    """The commands, loaded lazily; errors become one message and the right exit status."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f".{cmd_name}", __name__).command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def main(self, args: Sequence[str] | None = None, *rest: Any, **options: Any) -> Any:
        """Runs the command line. If it asks for a JSON log, usage errors are part of that, as one object each."""
        from . import json_lines

        words = list(sys.argv[1:] if args is None else args)
        if not json_lines.asked_for(words):
            return super().main(args, *rest, **options)
        with json_lines.standard_error():
            try:
                code = super().main(words, *rest, **(options | {"standalone_mode": False}))
            except click.ClickException as error:
                place = getattr(getattr(error, "ctx", None), "command_path", "confcleanup")
                sys.stderr.write(json_lines.entry("error", f"{error.format_message()} (see: {place} --help)") + "\n")
                code = error.exit_code
            except click.Abort:
                sys.stderr.write(json_lines.entry("error", "stopped") + "\n")
                code = ExitCode.NOT_DONE
        sys.exit(int(code) if isinstance(code, int) else 0)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except ConfigError as error:
            explain_config(error)
            _note_repetition(error)
            ctx.exit(error.exit_code)
        except ConfcleanupError as error:
            log.error("%s", error, extra={"urgent": not error.reported})
            _note_repetition(error)
            ctx.exit(error.exit_code)
        except KeyboardInterrupt:
            log.error("interrupted")
            ctx.exit(ExitCode.INTERRUPTED)
        except click.UsageError as error:
            if log.handlers:  # none yet for an unknown command: then logging itself would print it once more
                logging.getLogger(RESULTS).error("%s", error.format_message())
            raise
        except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):
            raise
        except Exception as error:  # the last place: no traceback may reach a user
            log.debug("the fault in full", exc_info=True)
            log.error("an internal error in confcleanup: %s: %s (-vv shows more)", type(error).__name__, error)
            ctx.exit(ExitCode.NOT_DONE)


def _note_repetition(error: ConfcleanupError) -> None:
    if error.reported is False:
        log.error("%s, exit status %d. %s", VERDICTS[error.exit_code], error.exit_code, AGAIN)


def explain_config(error: ConfigError) -> None:
    """Every mistake on a line of its own."""
    where = f" in {error.source}" if error.source else ""
    if len(error.problems) == 1 and not error.problems[0].key:
        log.error("%s", error.problems[0], extra={"urgent": not error.reported})
        return
    count = len(error.problems)
    lines = "\n".join(f"  {problem}" for problem in error.problems)
    text = f"{count} mistake{'' if count == 1 else 's'}{where}; no vendor was contacted:\n{lines}"
    log.error("%s", text, extra={"urgent": not error.reported})


def _group(callback: Callable[..., None]) -> Commands:
    decorated = global_options(callback)
    made = click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})(decorated)
    return click.version_option(__version__, prog_name="confcleanup", message="%(prog)s %(version)s")(made)


@_group
def cli(settings: Globals) -> None:
    """Delete ended conferences and old recordings from TrueConf, Vobiz, Huawei Cloud Meeting and Vonage.

    Begin with "confcleanup demo". Exit status: 0 done, 1 finished with errors, 2 wrong usage or config,
    3 a safety limit refused, 4 another run is in progress,
    129 hung up, 130 interrupted, 143 terminated.
    """
