"""``confcleanup sandbox``: the emulated vendors, for trying things out."""

from __future__ import annotations

import signal
import threading
from pathlib import Path

import click

from ..errors import ConfcleanupError
from ..system import HANGUPS, TERMINATIONS
from .files import write_private
from .options import Globals, global_options

MARK = "# The sandbox's accounts."
ARCHIVE = "sandbox-archive"
"""The folder beside the config to which one account archives."""


@click.command("sandbox")
@global_options
def command(settings: Globals) -> None:
    """Serve the emulated vendors on loopback until stopped, and write a config that points to them.

    The config goes to the -c path, or to ./confcleanup-sandbox.toml. Only a config that a sandbox wrote
    is ever replaced. One account archives to sandbox-archive beside it, for trying out restore.
    """
    from ..sandbox.sandbox import Sandbox

    target = Path(settings.config or "confcleanup-sandbox.toml")
    if target.exists() and not target.read_text(encoding="utf-8", errors="replace").startswith(MARK):
        raise ConfcleanupError(f"{target} exists and is not a sandbox's config; give another path with -c")
    with Sandbox() as sandbox:
        target.unlink(missing_ok=True)
        write_private(target, sandbox.config_with_archive(target.absolute().with_name(ARCHIVE)))
        print(f"Serving {len(sandbox.served)} accounts on loopback until you press Ctrl-C. In another shell:")
        print(f"  confcleanup -c {target} --state sandbox-state plan", flush=True)
        for number in (*TERMINATIONS, *HANGUPS):
            if signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, signal.default_int_handler)
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            print("Stopped; the sandbox and its data are gone.")
        finally:
            target.unlink(missing_ok=True)
