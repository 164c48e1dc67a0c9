"""The main job at each of the eight sources, over real sockets: what goes, what stays, and what is said of it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from confcleanup.cli import cli
from confcleanup.sandbox.huawei import Huawei
from confcleanup.sandbox.sandbox import Sandbox
from confcleanup.sandbox.server import Emulator
from confcleanup.sandbox.trueconf import TrueConf
from confcleanup.sandbox.vobiz import Vobiz
from confcleanup.sandbox.vonage import Vonage

SOURCES = [
    ("trueconf-v3", "conferences"),
    ("trueconf-v4", "conferences"),
    ("trueconf-room", "conferences"),
    ("vobiz", "conferences"),
    ("vobiz", "recordings"),
    ("huawei", "recordings"),
    ("vonage", "company-recordings"),
    ("vonage", "on-demand-recordings"),
]


def held(emulator: Emulator, what: str) -> set[str]:
    """The ids that a vendor holds of a source."""
    if isinstance(emulator, TrueConf):
        return set(emulator.conferences)
    if isinstance(emulator, Vobiz):
        return set(emulator.rooms if what == "conferences" else emulator.recordings)
    if isinstance(emulator, Huawei):
        return set(emulator.recordings)
    assert isinstance(emulator, Vonage)
    company = what == "company-recordings"
    return set(emulator.company) if company else {i for rows in emulator.on_demand.values() for i in rows}


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as served:
        yield served


@pytest.fixture
def call(sandbox: Sandbox, tmp_path: Path) -> Any:
    config = tmp_path / "config.toml"
    config.write_text(sandbox.config, encoding="utf-8")
    config.chmod(0o600)

    def invoke(*words: str) -> Result:
        return CliRunner().invoke(cli, ["-c", str(config), "--state", str(tmp_path / "state"), *words])

    return invoke


def rule_of(sandbox: Sandbox, account: str, what: str) -> list[str]:
    """Options that choose the rules of one source."""
    import tomllib

    rules = tomllib.loads(sandbox.served[account].config)["accounts"][account]["rules"]
    return [word for rule in rules if rule["what"] == what for word in ("--rule", rule["name"])]


@pytest.mark.parametrize(("account", "what"), SOURCES)
def test_plan_shows_exactly_what_must_go_and_changes_nothing(
    sandbox: Sandbox, call: Any, account: str, what: str
) -> None:
    emulator = sandbox.served[account].emulator
    before = held(emulator, what)
    done = call("plan", "--format", "json", "--account", account, *rule_of(sandbox, account, what))
    assert done.exit_code == 0, done.stderr
    (found,) = json.loads(done.stdout)["accounts"]
    assert {item["id"] for item in found["items"] if item["decision"] == "delete"} == emulator.doomed[what]
    assert all(item["reason"] for item in found["items"])
    assert held(emulator, what) == before
    assert emulator.requests("DELETE") == []


@pytest.mark.parametrize(("account", "what"), SOURCES)
def test_run_deletes_exactly_what_must_go_and_a_second_plan_finds_nothing(
    sandbox: Sandbox, call: Any, account: str, what: str
) -> None:
    emulator = sandbox.served[account].emulator
    before, doomed = held(emulator, what), emulator.doomed[what]
    options = ["--account", account, *rule_of(sandbox, account, what)]
    done = call("run", "--yes", "--format", "json", *options)
    assert done.exit_code == 0, done.stderr
    (found,) = json.loads(done.stdout)["accounts"]
    assert (found["selected"], found["deleted"]) == (len(doomed), len(doomed))
    assert held(emulator, what) == before - doomed
    assert emulator.disasters == []
    again = json.loads(call("plan", "--format", "json", *options).stdout)
    assert again["accounts"][0]["selected"] == 0


def test_all_accounts_together_do_the_same(sandbox: Sandbox, call: Any) -> None:
    before = {source: held(sandbox.served[source[0]].emulator, source[1]) for source in SOURCES}
    done = call("run", "--yes")
    assert done.exit_code == 0, done.stderr
    for account, what in SOURCES:
        emulator = sandbox.served[account].emulator
        assert held(emulator, what) == before[account, what] - emulator.doomed[what]


def test_history_shows_every_deletion(sandbox: Sandbox, call: Any) -> None:
    call("run", "--yes")
    history = json.loads(call("history", "--format", "json").stdout)
    expected = sum(len(ids) for ids in sandbox.doomed.values())
    assert len(history["deletions"]) == expected
    assert {entry["outcome"] for entry in history["deletions"]} == {"deleted"}
    assert "none altered" in call("history", "--verify").stdout


def test_every_account_is_well(call: Any) -> None:
    done = call("check")
    assert done.exit_code == 0, done.stderr
    assert done.stdout.count(": OK") == 6


def test_past_meetings_that_a_rule_lists_are_shown_by_plan_though_they_never_go(
    sandbox: Sandbox, call: Any, tmp_path: Path
) -> None:
    config = tmp_path / "config.toml"
    rule = '\n[[accounts.huawei.rules]]\nname = "past meetings"\nwhat = "meetings"\n'
    config.write_text(sandbox.served["huawei"].config + rule, "utf-8")
    plan = call("plan").stdout
    items = json.loads(call("plan", "--format", "json").stdout)["accounts"][0]["items"]
    meetings = [item["id"] for item in items if item["what"] == "meetings"]
    assert len(meetings) > 5
    for ident in meetings:
        line = f"^  huawei +keep +20.* UTC +meetings +{ident} .* no API deletes the record of a past meeting"
        assert re.search(line, plan, re.MULTILINE)
    assert len(call("run", "--yes").stdout.splitlines()) == 1
