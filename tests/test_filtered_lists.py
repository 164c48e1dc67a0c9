"""What a vendor lists only in part is no list for ``max_share``, and the lines say which part it is."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from confcleanup.cli import cli
from confcleanup.sandbox.server import Emulator, Server
from confcleanup.sandbox.trueconf import TrueConf
from confcleanup.sandbox.vobiz import Vobiz
from confcleanup.sandbox.vonage import Vonage

DAY = timedelta(days=1)
Call = Callable[..., Result]


@contextmanager
def serving(emulator: Any, folder: Path, edit: Callable[[str], str] = str, **extra: Any) -> Iterator[Call]:
    """The command line, with an account at this emulator."""
    with Server(emulator) as server:
        config = folder / "config.toml"
        config.write_text(edit(emulator.account("a", server.url, **extra)), "utf-8")
        config.chmod(0o600)
        yield lambda *words: CliRunner().invoke(cli, ["-c", str(config), "--state", str(folder / "state"), *words])


def vonage() -> Emulator:
    emulator = Vonage()
    emulator.fill()
    return emulator


def test_a_share_of_what_vonage_lists_by_date_is_not_judged_and_the_config_says_so(tmp_path: Path) -> None:
    with serving(vonage(), tmp_path, max_share="10%") as call:
        done = call("plan")
        assert done.exit_code == 0
        assert "warning: accounts.a: max_share is not applied to company-recordings" in done.stderr
        assert "max_share allows" not in done.output
        assert " that began before 20" in done.stdout
        assert " UTC" in done.stdout
        assert " listed" not in done.stdout.partition(";")[0]


def test_without_a_limit_on_the_share_there_is_nothing_to_warn_of(tmp_path: Path) -> None:
    with serving(vonage(), tmp_path) as call:
        assert "max_share" not in call("plan").stderr


@pytest.mark.parametrize(("api", "part"), [("v3.11", True), ("v4", False)])
def test_a_list_that_trueconf_filters_by_the_one_tag_of_all_rules_is_a_part_too(
    tmp_path: Path, api: str, part: bool
) -> None:
    def one_rule(text: str) -> str:
        head, _, _ = text.partition("[[accounts.a.rules]]")
        return head + '[[accounts.a.rules]]\nwhat = "conferences"\nolder_than = "30 days"\ntags = ["delete"]\n'

    emulator = TrueConf(api=api)
    for number in range(25):
        emulator.add_conference(f"c{number}", ended=41 * DAY, tags=["delete"])
    with serving(emulator, tmp_path, one_rule, max_share="50%") as call:
        done = call("plan")
        assert ("max_share is not applied to conferences" in done.stderr) is part
        assert done.exit_code == (0 if part else 3)
        assert ("would delete 25 of 25 listed with the tag 'delete'" in done.stdout) is part


def test_live_rooms_may_all_have_ended_since_the_last_run(tmp_path: Path) -> None:
    """An empty list of rooms is daily business, so that it is no sign of another account."""

    def rooms_only(text: str) -> str:
        head, *rules = text.split("[[accounts.a.rules]]")
        return "[[accounts.a.rules]]".join([head, *(rule for rule in rules if '"conferences"' in rule)])

    emulator = Vobiz()
    emulator.fill()
    with serving(emulator, tmp_path, rooms_only) as call:
        assert json.loads(call("run", "--yes", "--format", "json").stdout)["accounts"][0]["listed"]
        emulator.rooms.clear()
        done = call("run", "--yes", "--format", "json")
        assert json.loads(done.stdout)["accounts"][0]["status"] != "refused"


@pytest.mark.parametrize("words", [["plan"], ["run", "--yes"], ["-q", "run", "--yes"], ["-q", "plan"]])
def test_what_runs_for_too_long_is_told_also_with_quiet(tmp_path: Path, words: list[str]) -> None:
    emulator = TrueConf()
    emulator.add_conference("c1", ended=700 * DAY, state="running")
    with serving(emulator, tmp_path) as call:
        done = call(*words)
        assert done.exit_code == 0
        assert "stuck: 1 item older than the rule needs manual action; oldest: conferences c1 (from 20" in done.stderr
        (account,) = json.loads(call("plan", "--format", "json").stdout)["accounts"]
        assert account["stuck"]["count"] == 1
        assert account["stuck"]["since"] == account["stuck"]["oldest"]["since"]
        if words == ["plan"]:
            assert "Stuck: 1 item needs manual action." in done.stdout.splitlines()[-1]
