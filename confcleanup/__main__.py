"""``python -m confcleanup`` and the ``confcleanup`` command."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TextIO


def main() -> None:
    """Runs the command line. Whatever the console's encoding is, printing never fails."""
    for stream in (sys.stdout, sys.stderr):
        _never_fail(stream)
    from .cli import cli

    if "_CONFCLEANUP_COMPLETE" in os.environ:
        from .cli import completing

        completing.register()
    cli(prog_name="confcleanup", windows_expand_args=False)


def _never_fail(stream: TextIO) -> None:
    with contextlib.suppress(AttributeError, ValueError):  # a stream that was replaced by something simpler
        stream.reconfigure(errors="backslashreplace")  # type: ignore[attr-defined]  # TextIOWrapper has it


if __name__ == "__main__":
    main()
