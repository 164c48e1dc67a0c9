"""Several runs that share the accounts do together what one run does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from confcleanup.cli import cli
from confcleanup.sandbox.server import Server
from confcleanup.sandbox.trueconf import TrueConf
from confcleanup.shard import Shard

DAY = timedelta(days=1)
NAMES = [f"account-{number}" for number in range(7)]


class Sites:
    """Seven servers with two old conferences and a young one each, and a config for them."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder = folder
        self.servers = {name: TrueConf() for name in NAMES}
        self.config = folder / "config.toml"
        text = ""
        for number, (name, server) in enumerate(self.servers.items()):
            for item in range(3):
                server.add_conference(f"00{number}{item}", ended=(1 if item == 2 else 40 + item) * DAY)
            text += server.account(name, stack.enter_context(Server(server)).url) + "\n"
        self.config.write_text(text, "utf-8")
        self.config.chmod(0o600)

    def __call__(self, *words: str, state: str = "state", **env: str) -> Result:
        options = ["-c", str(self.config), "--state", str(self.folder / state)]
        return CliRunner().invoke(cli, [*options, *words], env=env)

    @property
    def left(self) -> dict[str, set[str]]:
        return {name: set(server.conferences) for name, server in self.servers.items()}


@pytest.fixture
def sites(tmp_path: Path) -> Iterator[Any]:
    with ExitStack() as stack:
        yield lambda name: Sites((tmp_path / name), stack) if not (tmp_path / name).mkdir() else None


def items(done: Result) -> list[tuple[str, str, str, str]]:
    """Every item that a run speaks of, with what came of it."""
    found = json.loads(done.stdout)["accounts"]
    return sorted(
        (account["account"], item["id"], item["decision"], item["outcome"] or "")
        for account in found
        for item in account["items"]
    )


@pytest.mark.parametrize("command", [("plan",), ("run", "--yes")])
def test_all_shards_together_do_exactly_what_one_run_does(sites: Any, command: tuple[str, ...]) -> None:
    whole, parts = sites("whole"), sites("parts")
    one = whole(*command, "--format", "json")
    several = [parts(*command, "--format", "json", "--shard", f"{i}/3", state=f"state-{i}") for i in range(3)]
    assert [done.exit_code for done in (one, *several)] == [0] * 4
    assert sorted(item for done in several for item in items(done)) == items(one)
    assert parts.left == whole.left
    seen = [account["account"] for done in several for account in json.loads(done.stdout)["accounts"]]
    assert sorted(seen) == NAMES, "each account in exactly one"


def test_the_shard_can_come_from_the_environment_and_stands_in_the_next_command(sites: Any) -> None:
    site = sites("one")
    assert items(site("plan", "--format", "json", CONFCLEANUP_SHARD="0/2")) == items(
        site("plan", "--format", "json", "--shard", "0/2")
    )
    assert "run --shard 0/2" in site("plan", CONFCLEANUP_SHARD="0/2").stdout


def test_a_shard_without_accounts_is_done_at_once_and_says_so(sites: Any) -> None:
    site = sites("one")
    empty = next(i for i in range(50) if not any(Shard(i, 50).holds(name) for name in NAMES))
    done = site("run", "--yes", "--shard", f"{empty}/50")
    assert done.exit_code == 0
    assert "no account belongs to it" in done.stderr
    assert site.left == sites("untouched").left


@pytest.mark.parametrize("text", ["3/3", "8/8", "-1/3", "1", "a/b", "1/0", "0/0", ""])
def test_what_is_no_shard_is_refused_before_anything_is_contacted(sites: Any, text: str) -> None:
    done = sites("one")("run", "--yes", "--shard", text)
    assert done.exit_code == 2
    assert "counting from 0" in done.stderr


@given(st.text(min_size=1), st.integers(1, 40))
def test_every_account_belongs_to_exactly_one_shard(name: str, count: int) -> None:
    assert sum(Shard(index, count).holds(name) for index in range(count)) == 1


def test_the_division_is_the_same_on_every_machine_and_in_every_version() -> None:
    mine = [next(i for i in range(4) if Shard(i, 4).holds(name)) for name in NAMES]
    assert mine == [3, 2, 2, 0, 3, 0, 1]


def test_one_shard_more_moves_few_accounts_and_only_to_the_new_one() -> None:
    def home(name: str, count: int) -> int:
        return next(i for i in range(count) if Shard(i, count).holds(name))

    moved = [home(name, 9) for name in map(str, range(900)) if home(name, 8) != home(name, 9)]
    assert set(moved) == {8}
    assert 60 < len(moved) < 140
