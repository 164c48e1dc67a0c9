"""Questions on a terminal: a text, a hidden text, one or several of a numbered list. All of them on standard error."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import click

T = TypeVar("T")


def say(text: str = "") -> None:
    """Prints a line for the person at the terminal."""
    click.echo(text, err=True)


def text(question: str, read: Callable[[str], T], default: str | None = None, *, show_default: bool = True) -> T:
    """What ``read`` makes of the answer; the question is asked again for as long as that raises ValueError."""

    def checked(raw: str) -> T:
        try:
            return read(raw.strip())
        except ValueError as error:
            raise click.BadParameter(str(error)) from None

    answer: T = click.prompt(
        question, default=default, value_proc=checked, show_default=show_default and bool(default), err=True
    )
    return answer


def hidden(question: str, *, optional: bool = False) -> str:
    """A text that is not shown while it is typed; empty, if that is allowed, where only Enter was pressed."""
    default = "" if optional else None
    return str(click.prompt(question, hide_input=True, default=default, show_default=False, err=True)).strip()


def choose(question: str, options: Mapping[str, str], default: str | None = None) -> str:
    """The name of the option that was chosen from a numbered list, by its number or its name in any case."""
    (chosen,) = _choose(question, options, default, several=False)
    return chosen


def choose_some(question: str, options: Mapping[str, str]) -> Sequence[str]:
    """The names of the options that were chosen from a numbered list, one or more of them."""
    return _choose(question, options, None, several=True)


def _choose(question: str, options: Mapping[str, str], default: str | None, *, several: bool) -> Sequence[str]:
    say(question)
    width = max(map(len, options))
    for number, (name, label) in enumerate(options.items(), 1):
        say(f"  {number}  {name:{width}}  {label}".rstrip())

    def read(raw: str) -> Sequence[str]:
        found = [_one(part, options) for part in re.split(r"[\s,;]+", raw.strip(" ,;")) if part]
        if not found or (len(found) > 1 and not several):
            raise ValueError(f"give {'a number or a name' if not several else 'numbers or names'} from the list")
        return list(dict.fromkeys(found))

    several_of = "Numbers or names, separated by commas" if several else "Number or name"
    return text(several_of, read, default)


def _one(answer: str, options: Mapping[str, str]) -> str:
    """The option of this number, or of this name or a beginning of it that fits no other one."""
    names = list(options)
    if answer.isdecimal() and 0 < int(answer) <= len(names):
        return names[int(answer) - 1]
    fitting = [name for name in names if name.casefold().startswith(answer.casefold())]
    exact = [name for name in fitting if name.casefold() == answer.casefold()]
    if len(exact or fitting) != 1:
        raise ValueError(f"this answer is not in the list; type a number from 1 to {len(names)}, or a name")
    return (exact or fitting)[0]
