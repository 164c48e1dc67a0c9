"""A retention under one day, and how long the ledger's own history is kept."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from confcleanup.cli import cli
from confcleanup.config import load as config
from confcleanup.errors import ConfigError
from confcleanup.items import Outcome
from confcleanup.items import Result as Ended
from confcleanup.records.journal import Journal
from confcleanup.records.ledger import Ledger
from confcleanup.sandbox.server import Server
from confcleanup.sandbox.trueconf import TrueConf
from tests.fake import thing

DAY = timedelta(days=1)
HQ = """
[accounts.hq]
provider = "trueconf"
url = "https://conf.example.com"
client_id = "confcleanup"
client_secret = { env = "X" }
[[accounts.hq.rules]]
"""
VOICE = """
[accounts.voice]
provider = "vobiz"
auth_id = "MA_1"
auth_token = { env = "X" }
[[accounts.voice.rules]]
what = "conferences"
max_duration = "1 hour"
"""


def mistakes(folder: Path, text: str) -> dict[str, str]:
    """The mistakes of a config, by key."""
    file = folder / "config.toml"
    file.write_text(text, "utf-8")
    file.chmod(0o600)
    try:
        config.load(file)
    except ConfigError as error:
        return {problem.key: problem.message for problem in error.problems}
    return {}


@pytest.mark.parametrize("age", ["23 hours", "1 minute", "PT86399S"])
def test_less_than_a_day_is_a_mistake_of_the_key_that_says_it(tmp_path: Path, age: str) -> None:
    assert "allow_short_retention" in mistakes(tmp_path, f'{HQ}older_than = "{age}"')["accounts.hq.rules[1].older_than"]
    assert set(mistakes(tmp_path, f'older_than = "{age}"{HQ}')) == {"older_than"}


@pytest.mark.parametrize("age", ["1 day", "24h", "P1D", "1440 min", "1 month"])
def test_a_day_or_more_is_none(tmp_path: Path, age: str) -> None:
    assert not mistakes(tmp_path, f'{HQ}older_than = "{age}"')


def test_it_can_be_allowed_for_a_rule_or_for_all(tmp_path: Path) -> None:
    short, allowed = 'older_than = "1 hour"', "allow_short_retention = true"
    assert not mistakes(tmp_path, f"{HQ}{short}\n{allowed}")
    assert not mistakes(tmp_path, f"{allowed}\n{HQ}{short}")
    assert not mistakes(tmp_path, f"{allowed}\n{short}\n{HQ}")
    another = '[[accounts.hq.rules]]\nname = "other"'
    assert list(mistakes(tmp_path, f"{HQ}{short}\n{allowed}\n{another}\n{short}")) == [
        "accounts.hq.rules[2].older_than"
    ]
    assert list(mistakes(tmp_path, f"{short}\n{HQ}{allowed}")) == ["older_than"]


def test_live_rooms_are_exempt(tmp_path: Path) -> None:
    assert not mistakes(tmp_path, f'{VOICE}older_than = "15 minutes"')


class Setting:
    """A TrueConf server with a conference of this morning, one of last month, and a config."""

    def __init__(self, folder: Path, url: str, emulator: TrueConf) -> None:
        self.folder, self.url, self.emulator = folder, url, emulator
        self.state, self._config = folder / "state", folder / "config.toml"
        self.write()

    def write(self, head: str = "", rule: str = "") -> None:
        account = re.sub(r"(\[\[.*\]\]\n)", lambda found: f"{found[1]}{rule}\n", self.emulator.account("hq", self.url))
        self._config.write_text(f"{head}\n{account}", "utf-8")
        self._config.chmod(0o600)

    def __call__(self, *words: str) -> Result:
        return CliRunner().invoke(cli, ["-c", str(self._config), "--state", str(self.state), *words])


@pytest.fixture
def hq(tmp_path: Path) -> Iterator[Setting]:
    emulator = TrueConf()
    emulator.add_conference("morning", ended=timedelta(hours=4))
    emulator.add_conference("old", ended=41 * DAY)
    with Server(emulator) as server:
        yield Setting(tmp_path, server.url, emulator)


def short(hq: Setting, option: str) -> list[str]:
    then = hq.emulator.clock() - timedelta(hours=2)
    return [option, "2 hours" if option == "--older-than" else then.isoformat()]


@pytest.mark.parametrize("option", ["--older-than", "--before"])
@pytest.mark.parametrize("command", ["plan", "run"])
def test_on_the_command_line_it_is_wrong_usage(hq: Setting, command: str, option: str) -> None:
    done = hq(command, *short(hq, option))
    assert done.exit_code == 2
    assert option in done.stderr
    assert "allow_short_retention = true" in done.stderr
    assert hq.emulator.seen == []


@pytest.mark.parametrize("option", ["--older-than", "--before"])
@pytest.mark.parametrize("where", ["head", "rule"])
def test_on_the_command_line_it_goes_where_the_config_allows_it(hq: Setting, option: str, where: str) -> None:
    hq.write(**{where: "allow_short_retention = true"})
    assert hq("run", "--yes", *short(hq, option)).exit_code == 0
    assert not hq.emulator.conferences


def test_a_day_on_the_command_line_is_not_short(hq: Setting) -> None:
    before = (hq.emulator.clock() - DAY).isoformat()
    for words in (["--older-than", "1 day"], ["--before", before]):
        assert hq("plan", *words).exit_code == 0


# The ledger's own retention ----------------------------------------------------------------------


def old_entry(folder: Path, age: timedelta) -> None:
    at = datetime.now(UTC) - age
    with Ledger(folder) as ledger:
        journal = Journal(ledger, "long-ago", "hq", "trueconf", lambda: at)
        journal.finish(journal.intend([(thing("ancient"), "old")])[0], Ended(Outcome.DELETED))
        journal.flush()


def remembered(hq: Setting) -> list[str]:
    return [entry["id"] for entry in json.loads(hq("history", "--format", "json").stdout)["deletions"]]


def test_without_being_told_to_forget_the_ledger_keeps_everything(hq: Setting) -> None:
    old_entry(hq.state, 4000 * DAY)
    assert hq("run", "--yes").exit_code == 0
    assert remembered(hq) == ["ancient", "old"]


@pytest.mark.parametrize(("age", "kept"), [(5 * 365 * DAY + 9 * DAY, []), (4 * 365 * DAY, ["ancient"])])
def test_a_run_takes_out_what_is_older_than_keep_history(hq: Setting, age: timedelta, kept: list[str]) -> None:
    old_entry(hq.state, age)
    hq.write('[state]\nkeep_history = "5 years"')
    assert hq("run", "--yes").exit_code == 0
    assert remembered(hq) == [*kept, "old"]
    assert hq("history", "--verify").exit_code == 0


def test_a_plan_and_a_run_that_is_not_done_take_nothing_out(hq: Setting) -> None:
    old_entry(hq.state, 4000 * DAY)
    hq.write('[state]\nkeep_history = "5 years"')
    hq("plan")
    assert hq("run").exit_code == 3
    assert remembered(hq) == ["ancient"]


def test_what_cannot_be_taken_out_is_a_warning_and_the_run_is_done(
    hq: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    from confcleanup.errors import LedgerError

    def altered(*_: object) -> None:
        raise LedgerError("entry 2 was altered")

    monkeypatch.setattr(Ledger, "prune", altered)
    hq.write('[state]\nkeep_history = "5 years"')
    done = hq("run", "--yes")
    assert done.exit_code == 0
    assert "the history could not be shortened to 5 years: entry 2 was altered" in done.stderr


def test_a_history_too_short_for_the_guards_is_a_mistake(tmp_path: Path) -> None:
    text = f'{HQ}older_than = "30 days"\n[state]\nkeep_history = '
    assert "at least 30 days" in mistakes(tmp_path, f'{text}"29 days"')["state.keep_history"]
    assert not mistakes(tmp_path, f'{text}"30 days"')
