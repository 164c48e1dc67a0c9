"""``confcleanup completion``: what makes a shell complete commands, options, accounts and rules."""

from __future__ import annotations

import click

from .options import Globals, global_options

HOW = """Where it goes:

\b
  bash        confcleanup completion bash > ~/.local/share/bash-completion/completions/confcleanup
  zsh         confcleanup completion zsh > a file named _confcleanup in a folder of $fpath
  fish        confcleanup completion fish > ~/.config/fish/completions/confcleanup.fish
  PowerShell  confcleanup completion powershell >> $PROFILE
"""


@click.command("completion", epilog=HOW)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish", "powershell"]))
@global_options
@click.pass_context
def command(ctx: click.Context, settings: Globals, shell: str) -> None:
    """Print the script that makes a shell complete confcleanup.

    It completes commands, options, providers, and the accounts and rules of the config that -c or
    CONFCLEANUP_CONFIG names, or that is found in its usual place.
    """
    from click.shell_completion import get_completion_class

    from .completing import VARIABLE

    complete = get_completion_class(shell)
    if complete is None:
        raise click.UsageError(f"this version of click knows no completion for {shell}; update click")
    print(complete(ctx.find_root().command, {}, "confcleanup", VARIABLE).source(), end="")
