"""Make the ``CliRunner`` of click before 8.2 behave as that of later ones: standard error apart, and in ``output``."""

from __future__ import annotations

import functools
import inspect

import click.testing
from click.testing import CliRunner

if "mix_stderr" in inspect.signature(CliRunner.__init__).parameters:
    named = click.testing._NamedTextIOWrapper
    vars(click.testing)["_NamedTextIOWrapper"] = functools.partial(named, write_through=True)
    vars(click.testing)["Result"].output = property(lambda done: done.stdout + done.stderr)
    vars(click.testing)["CliRunner"] = functools.partial(CliRunner, mix_stderr=False)
