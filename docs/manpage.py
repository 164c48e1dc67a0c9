"""Writes docs/confcleanup.1, the manual page, from the command line itself: ``python docs/manpage.py``."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import click

from confcleanup import __version__
from confcleanup.cli import COMMANDS, cli

HERE = Path(__file__).parent
PAGE = HERE / "confcleanup.1"


def page() -> str:
    """The whole page, in man's own macros."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    context = click.Context(cli, info_name="confcleanup")
    shared = {option for param in cli.params for option in param.opts}
    yield f'.TH CONFCLEANUP 1 "" "confcleanup {__version__}" "User Commands"'
    yield from (".SH NAME", r"confcleanup \- delete ended conferences and old recordings", ".SH SYNOPSIS")
    yield from (".B confcleanup", r"[\fIOPTION\fR]... \fICOMMAND\fR [\fIARGUMENT\fR]...", ".SH DESCRIPTION")
    yield from _paragraphs(cli.help or "")
    yield from (".SH OPTIONS", "These may stand before or after the command.")
    yield from _options(cli, context, set())
    yield ".SH COMMANDS"
    for name in COMMANDS:
        command = cli.get_command(context, name)
        if command is None:
            raise LookupError(name)
        arguments = [_italic(_metavar(param)) for param in command.params if isinstance(param, click.Argument)]
        yield f".SS {' '.join([name, *arguments])}"
        yield from _paragraphs(command.help or "")
        yield from _options(command, context, shared)
        yield from _paragraphs(command.epilog or "")
    yield ".SH EXIT STATUS"
    readme = (
        (HERE.parent / "README.md").read_text(encoding="utf-8").partition("## Exit status")[2].partition("\n## ")[0]
    )
    for status, meaning in re.findall(r"^\| ([0-9, ]+) \| (.+) \|$", readme, re.MULTILINE):
        yield from (".TP", _bold(status), _plain(meaning))
    yield from (".SH ENVIRONMENT", ".TP", _bold("CONFCLEANUP_CONFIG"), "The config file, where no option names it.")
    yield from (".TP", _bold("NO_COLOR"), "If set, nothing is coloured.")


def _options(command: click.Command, context: click.Context, without: set[str]) -> Iterator[str]:
    for param in command.params:
        if isinstance(param, click.Option) and not without & set(param.opts):
            value = "" if param.is_flag or param.count else f" {_italic(_metavar(param))}"
            yield from (".TP", ", ".join(map(_bold, param.opts)) + value, _plain(param.help or "As for plan."))


def _metavar(param: click.Parameter) -> str:
    if isinstance(param.type, click.Choice):
        return "|".join(param.type.choices)
    return param.metavar or (param.name or "").upper()


def _paragraphs(text: str) -> Iterator[str]:
    """Paragraphs as click reads them: filled, or left as they are after a line with a backspace."""
    for paragraph in re.split(r"\n\s*\n", inspect.cleandoc(text)):
        kept = paragraph.startswith("\b\n")
        yield ".PP"
        yield from (
            (".nf", *map(_plain, paragraph.splitlines()[1:]), ".fi") if kept else map(_plain, paragraph.splitlines())
        )


def _bold(text: str) -> str:
    return rf"\fB{_plain(text)}\fR"


def _italic(text: str) -> str:
    return rf"\fI{_plain(text)}\fR"


def _plain(text: str) -> str:
    """Text that roff shows as it is."""
    text = text.replace("\\", r"\e").replace("-", r"\-").replace("…", "...").replace("`", r"\(ga").replace("'", r"\(aq")
    return re.sub(r"^\.", r"\\&.", text)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="ascii")
