"""``python -m confcleanup`` and the ``confcleanup`` command."""

from __future__ import annotations

import os
import sys

from .errors import ExitCode
from .system import standard_streams, unwritten


def main() -> None:
    """Runs the command line, and ends with a status of the contract's table, whatever happens."""
    standard_streams()
    os.umask(
        0o077
    )  # what the program writes holds other people's titles: it is for its owner, whatever the caller's umask
    try:
        status = _run()
    except KeyboardInterrupt:
        status = ExitCode.INTERRUPTED
    # Nothing above this frame could report it. It is not swallowed: its kind is printed and the status is 1.
    except BaseException as error:  # noqa: BLE001  # else Python prints a traceback, whose lines may show secrets
        sys.stderr.write(f"error: an internal error in confcleanup: {type(error).__name__}\n")
        status = ExitCode.NOT_DONE
    if why := unwritten(sys.stdout):
        sys.stderr.write(f"error: the output could not be written: {why}\n")
        status = status or ExitCode.NOT_DONE
    sys.exit(int(status))


def _run() -> ExitCode:
    import gc

    gc.set_threshold(20_000)  # a listing makes a million short-lived values, and no circles
    from .cli import cli, json_lines

    if json_lines.asked_for(sys.argv[1:]):
        json_lines.begin()  # also for what is told after the command has ended
    if "_CONFCLEANUP_COMPLETE" in os.environ:
        from .cli import completing

        completing.register()
    try:
        cli(prog_name="confcleanup", windows_expand_args=False)
    except SystemExit as end:
        code = end.code or 0
        return ExitCode(code) if isinstance(code, int) and code in set(ExitCode) else ExitCode.NOT_DONE
    return ExitCode.DONE


if __name__ == "__main__":
    main()
