"""``python -m confcleanup`` and the ``confcleanup`` command."""

from __future__ import annotations

import os
import sys

from .system import standard_streams


def main() -> None:
    """Runs the command line. Whatever the console's encoding is, printing never fails."""
    standard_streams()
    from .cli import cli

    if "_CONFCLEANUP_COMPLETE" in os.environ:
        from .cli import completing

        completing.register()
    status: int | str | None = 0
    try:
        try:
            cli(prog_name="confcleanup", windows_expand_args=False)
        except SystemExit as end:
            status = end.code
        if sys.stdout:
            sys.stdout.flush()
    except OSError as error:  # a reader that has left, as after ``| head``, is no trouble; a full disk is
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        if not isinstance(error, BrokenPipeError):
            sys.stderr.write(f"error: the output could not be written: {error.strerror}\n")
            status = status or 1
    sys.exit(status)


if __name__ == "__main__":
    main()
