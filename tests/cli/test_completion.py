"""What shells complete, asked through the shells themselves where they are installed."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click import shell_completion
from click.testing import CliRunner

from confcleanup.cli import cli, completing

CONFIG = """
older_than = "30 days"
[accounts.hq]
provider = "trueconf"
url = "https://conf.example.com"
client_id = "a"
client_secret = { env = "NOT_READ_TO_COMPLETE" }
[[accounts.hq.rules]]
name = "ended one-time meetings"
what = "conferences"
[accounts."branch office"]
provider = "vobiz"
auth_id = "a"
auth_token = { env = "NOT_READ_TO_COMPLETE" }
[[accounts."branch office".rules]]
what = "recordings"
"""


def needs(shell: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(not shutil.which(shell), reason=f"{shell} is not installed")


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """A config, and the program on the path."""
    (tmp_path / "config.toml").write_text(CONFIG, encoding="utf-8")
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "confcleanup"
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m confcleanup "$@"\n', encoding="utf-8")
    program.chmod(0o700)
    path = os.pathsep.join([str(program.parent), os.environ["PATH"]])
    return {**os.environ, "PATH": path, "CONFCLEANUP_CONFIG": str(tmp_path / "config.toml"), "HOME": str(tmp_path)}


def protocol(environment: dict[str, str], shell: str, *words: str) -> list[str]:
    """What the program answers a shell that asks for the last of these words."""
    asked = {
        "_CONFCLEANUP_COMPLETE": f"{shell}_complete",
        "COMP_WORDS": "\n".join(["confcleanup", *words]),
        "COMP_CWORD": str(len(words)),
        "CONFCLEANUP_CONFIG": environment.get("CONFCLEANUP_CONFIG"),
    }
    completing.register()  # as __main__ does when a shell asks
    done = CliRunner().invoke(cli, prog_name="confcleanup", env=asked)
    assert done.stderr == ""
    return done.stdout.split("\n")[:-1] if done.stdout.strip() else []


def test_accounts_come_from_the_config(environment: dict[str, str]) -> None:
    assert protocol(environment, "bash", "plan", "--account", "") == ["plain,hq", r"plain,branch\\ office"]
    assert protocol(environment, "bash", "explain", "h") == ["plain,hq"]


def test_rules_are_those_of_the_chosen_accounts(environment: dict[str, str]) -> None:
    every = protocol(environment, "bash", "run", "--rule", "")
    assert every == [r"plain,ended\\ one-time\\ meetings", "plain,recordings"]
    assert protocol(environment, "bash", "run", "--account", "hq", "--rule", "") == every[:1]


def test_providers_are_known_without_a_config(environment: dict[str, str]) -> None:
    bare = {name: value for name, value in environment.items() if name != "CONFCLEANUP_CONFIG"}
    assert protocol(bare, "bash", "init", "--provider", "v") == ["plain,vobiz", "plain,vonage"]


def test_the_config_option_is_heeded_wherever_it_stands(environment: dict[str, str], tmp_path: Path) -> None:
    other = tmp_path / "other.toml"
    other.write_text(CONFIG.replace("accounts.hq", "accounts.lab"), encoding="utf-8")
    assert protocol(environment, "bash", "-c", str(other), "plan", "--account", "l") == ["plain,lab"]
    assert protocol(environment, "bash", "plan", "-c", str(other), "--account", "l") == ["plain,lab"]


def test_without_a_config_that_can_be_read_nothing_is_offered_and_nothing_said(environment: dict[str, str]) -> None:
    Path(environment["CONFCLEANUP_CONFIG"]).write_text("broken = [")
    assert protocol(environment, "bash", "plan", "--account", "") == []
    assert protocol(environment, "bash", "-c", "~nobody-of-this-name/c.toml", "plan", "--account", "") == []


powershell = pytest.mark.skipif(not hasattr(shell_completion, "PowerShellComplete"), reason="click before 8.5")


@powershell
def test_powershell_gets_names_with_blanks_in_quotes(environment: dict[str, str]) -> None:
    found = protocol(environment, "powershell", "plan", "--account", "")
    assert found == ["plain", "hq", "_", "plain", "'branch office'", "_"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish", pytest.param("powershell", marks=powershell)])
def test_the_script_of_every_shell_asks_the_program(shell: str) -> None:
    done = CliRunner().invoke(cli, ["completion", shell])
    assert done.exit_code == 0
    assert f"{shell}_complete" in done.stdout
    assert "_CONFCLEANUP_COMPLETE" in done.stdout


@needs("bash")
def test_bash_completes(environment: dict[str, str]) -> None:
    script = """
        eval "$(confcleanup completion bash)"
        ask() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=(); _confcleanup_completion confcleanup
                printf '%s\\n' "${COMPREPLY[@]}"; }
        ask confcleanup hist
        ask confcleanup plan --account b
        ask confcleanup plan --account "'b"
    """
    done = subprocess.run(["bash", "--norc", "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["history", r"branch\ office", "branch office"], done.stderr


@needs("fish")
def test_fish_completes(environment: dict[str, str]) -> None:
    script = """
        confcleanup completion fish | source
        complete -C 'confcleanup hist'
        complete -C 'confcleanup plan --account '
    """
    done = subprocess.run(
        ["fish", "--no-config", "-c", script], env=environment, capture_output=True, text=True, check=True
    )
    offered = [line.split("\t")[0] for line in done.stdout.splitlines()]
    assert sorted(offered) == ["branch office", "history", "hq"], done.stderr


@needs("zsh")
def test_zsh_completes(environment: dict[str, str]) -> None:
    """zsh completes on a terminal only; its own module gives it one."""
    script = r"""
        zmodload zsh/zpty
        zpty shell 'zsh -f -i'
        zpty -w shell 'autoload -Uz compinit; compinit -u -D; eval "$(confcleanup completion zsh)"; PS1=; print rea""dy'
        zpty -m -r shell text '*ready*'; print -r -- $text
        zpty -w -n shell $'confcleanup plan --account b\t'
        zpty -m -r shell text '*branch* office*'; print -r -- $text
    """
    done = subprocess.run(["zsh", "-f", "-c", script], env=environment, capture_output=True, text=True, timeout=50)
    assert re.search(r"--account b.*ranch\\ office", done.stdout, re.DOTALL), done.stdout + done.stderr
