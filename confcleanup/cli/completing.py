"""What a shell offers while a command is typed: accounts and rules of the config, providers, and click's own.

Loaded only when a shell asks, which it does through the environment variable ``VARIABLE``.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from typing import TYPE_CHECKING

from click import Context
from click.shell_completion import BashComplete, CompletionItem, add_completion_class

if TYPE_CHECKING:
    from ..config.load import Config

VARIABLE = "_CONFCLEANUP_COMPLETE"
PLAIN = r"\w@%+=:,./-"


def register() -> None:
    """Puts our own ways of quoting in the place of click's."""
    add_completion_class(_Bash)
    with suppress(ImportError):  # click before 8.5 does not know PowerShell, and `completion powershell` says so
        from click.shell_completion import PowerShellComplete

        class _PowerShell(PowerShellComplete):
            """PowerShell inserts what it is given as it is, so a name with a blank must come in quotes."""

            def format_completion(self, item: CompletionItem[str]) -> str:
                if re.search(f"[^{PLAIN}]", item.value):
                    item.value = "'" + item.value.replace("'", "''") + "'"
                return super().format_completion(item)

        add_completion_class(_PowerShell)


def accounts(ctx: Context, typed: str) -> list[str]:
    """The config's accounts that begin as typed."""
    config = _config(ctx)
    return [name for name in (config.accounts if config else ()) if name.startswith(typed)]


def rules(ctx: Context, typed: str) -> list[str]:
    """The config's rules that begin as typed, of the accounts that were chosen."""
    config = _config(ctx)
    chosen = ctx.params.get("account_names") or ctx.params.get("accounts") or ()
    found = [a for a in config.accounts.values() if not chosen or a.name in chosen] if config else []
    return [name for name in dict.fromkeys(r.name for a in found for r in a.rules) if name.startswith(typed)]


def providers(ctx: Context, typed: str) -> list[str]:
    """The providers that begin as typed."""
    from .. import providers

    return [name for name in providers.names() if name.startswith(typed)]


def _config(ctx: Context) -> Config | None:
    """The config that the words typed so far lead to; None if there is none that can be read."""
    from ..config import load as config
    from ..config import places
    from ..errors import ConfigError

    above: Context | None = ctx
    given: str | None = None
    while above and not given:
        given, above = above.params.get("config"), above.parent
    try:
        return config.load(places.find(given))
    except (ConfigError, OSError, RuntimeError):  # ~nobody/config.toml has no home
        return None


class _Bash(BashComplete):
    """bash inserts what it is given as it is, so blanks come escaped; click's script eats one escape."""

    def format_completion(self, item: CompletionItem[str]) -> str:
        word = os.environ["COMP_WORDS"].split("\n")[int(os.environ["COMP_CWORD"]) :][:1]
        quoted = word and word[0].startswith(("'", '"'))
        value = item.value if quoted else re.sub(f"([^{PLAIN}])", r"\\\1", item.value)
        return f"{item.type},{value}".replace("\\", r"\\")
