"""The command line: options, messages, exit status, what goes where."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import stat
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from confcleanup import __version__
from confcleanup.cli import COMMANDS, cli
from confcleanup.sandbox.server import Response, Server
from confcleanup.sandbox.trueconf import TrueConf
from tests.fake import one_rule

DAY = timedelta(days=1)


class Setting:
    """A TrueConf server with one conference to delete and one to keep, and a config for it."""

    def __init__(self, folder: Path, url: str, emulator: TrueConf) -> None:
        self.folder, self.url, self.emulator = folder, url, emulator
        self.config = folder / "config.toml"
        self.write()

    def write(self, text: str | None = None, mode: int = 0o600, **extra: Any) -> None:
        self.config.write_text(text if text is not None else self.emulator.account("hq", self.url, **extra), "utf-8")
        self.config.chmod(mode)

    def one_rule(self) -> None:
        """A config in which nothing is written that fits nothing."""
        self.write(one_rule(self.emulator.account("hq", self.url)))

    def __call__(self, *words: str, stdin: str | None = None) -> Result:
        options = ["-c", str(self.config), "--state", str(self.folder / "state")]
        return CliRunner().invoke(cli, [*options, *words], input=stdin)


@pytest.fixture
def hq(tmp_path: Path) -> Iterator[Setting]:
    emulator = TrueConf()
    emulator.add_conference("0073310045", topic="Budget review", ended=41.5 * DAY)
    emulator.add_conference("0073310046", topic="Yesterday", ended=DAY)
    with Server(emulator) as server:
        yield Setting(tmp_path, server.url, emulator)


def test_version() -> None:
    assert CliRunner().invoke(cli, ["--version"]).stdout == f"confcleanup {__version__}\n"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_a_sentence(name: str) -> None:
    done = CliRunner().invoke(cli, [name, "--help"])
    assert done.exit_code == 0
    assert done.stdout.count(".") >= 1


def test_the_readme_names_every_exit_status_and_command_it_shows() -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    for status in ("| 0 |", "| 1 |", "| 2 |", "| 3 |", "| 4 |", "| 129, 130, 143 |"):
        assert status in readme


def test_without_a_terminal_a_plan_is_one_uncut_line_an_item_with_its_end_owner_and_reason(hq: Setting) -> None:
    hq.one_rule()
    title = "An uncommonly long title " * 20
    hq.emulator.add_conference("0073310047", topic=title.strip(), ended=400.5 * DAY, owner="boris")
    done = hq("plan")
    assert done.exit_code == 0
    account, head, first, second, last = done.stdout.splitlines()
    assert account == "hq: would delete 2 of 3 listed; kept 1 (1 too young)"
    assert head.split() == ["account", "result", "end", "what", "id", "title", "owner", "reason"]
    end = r"20\d\d-\d\d-\d\d \d\d:\d\d UTC"
    whose = r"anna@vc\.example\.org"
    reason = "ended 41 days ago, kept for 30 days"
    assert re.fullmatch(rf"  hq +delete +{end}  conferences  0073310045  Budget review +{whose}  {reason}", first)
    assert re.search(rf"  0073310047  {title.strip()}  boris +ended 400 days ago, kept for 30 days$", second)
    assert last.startswith("Dry run: nothing was deleted. To delete 2 items: confcleanup -c ")
    assert done.stderr == ""


def test_a_plan_shows_a_refused_account_s_items_as_refused(hq: Setting) -> None:
    hq.write(one_rule(hq.emulator.account("hq", hq.url, max_deletions=0)))
    done = hq("plan")
    assert done.exit_code == 3
    assert re.search(r"^  hq +refused +.* 0073310045 ", done.stdout, re.MULTILINE)
    assert "hq  delete" not in done.stdout


def test_a_plan_in_a_file_names_an_account_that_could_not_be_listed(hq: Setting) -> None:
    hq.one_rule()
    hq.emulator.interfere.append(lambda request: Response(403, {}) if request.method == "GET" else None)
    assert hq("plan").stdout.splitlines()[0] == "hq: could not be listed; nothing was deleted here"


def test_without_a_terminal_a_run_is_one_line_an_account(hq: Setting) -> None:
    hq.one_rule()
    done = hq("run", "--yes")
    assert done.exit_code == 0
    assert done.stdout == "hq: deleted 1 of 1 selected; kept 1 (1 too young)\n"
    assert done.stderr == ""
    assert set(hq.emulator.conferences) == {"0073310046"}


def test_quiet_prints_nothing_when_nobody_has_to_act(hq: Setting) -> None:
    hq.one_rule()
    done = hq("-q", "run", "--yes")
    assert (done.exit_code, done.stdout, done.stderr) == (0, "", "")


def test_global_options_may_stand_after_the_command(hq: Setting) -> None:
    done = CliRunner().invoke(cli, ["run", "--yes", "-q", "-c", str(hq.config), "--state", str(hq.folder / "s")])
    assert (done.exit_code, done.stdout) == (0, "")
    assert (hq.folder / "s").is_dir()


def test_dry_run_is_plan(hq: Setting) -> None:
    assert hq("run", "--dry-run").stdout == hq("plan").stdout
    assert len(hq.emulator.conferences) == 2


def test_a_run_that_nobody_confirms_is_refused(hq: Setting) -> None:
    done = hq("run")
    assert done.exit_code == 3
    assert "--yes" in done.stderr
    assert len(hq.emulator.conferences) == 2


def test_a_run_with_nothing_to_do_needs_no_confirmation(hq: Setting) -> None:
    del hq.emulator.conferences["0073310045"]
    assert hq("run").exit_code == 0


@pytest.mark.parametrize(("answer", "status", "left"), [("y\n", 0, 1), ("n\n", 3, 2), ("\n", 3, 2)])
def test_on_a_terminal_the_plan_is_shown_and_a_question_asked(
    hq: Setting, monkeypatch: pytest.MonkeyPatch, answer: str, status: int, left: int
) -> None:
    monkeypatch.setattr("confcleanup.cli.cleaning._asking", lambda: True)
    done = hq("run", stdin=answer)
    assert done.exit_code == status
    assert "Delete 1 item of 1 account? This cannot be undone." in done.stderr
    assert len(hq.emulator.conferences) == left


def test_json_goes_to_standard_output_and_everything_else_to_standard_error(hq: Setting) -> None:
    done = hq("plan", "--format", "json")
    document = json.loads(done.stdout)
    assert (document["version"], document["mode"], document["exit_code"]) == (1, "plan", 0)
    assert "Dry run" in done.stderr


def test_selected_only_leaves_kept_items_out(hq: Setting) -> None:
    done = hq("plan", "--format", "jsonl", "--selected-only")
    items = [line for line in map(json.loads, done.stdout.splitlines()) if "id" in line]
    assert [item["id"] for item in items] == ["0073310045"]


def test_csv_keeps_leading_zeros_and_defuses_formulas(hq: Setting) -> None:
    hq.emulator.conferences["0073310045"]["topic"] = '=HYPERLINK("http://x")'
    rows = list(csv.DictReader(io.StringIO(hq("plan", "--format", "csv").stdout)))
    assert (rows[-1]["id"], rows[-1]["title"][:2]) == ("0073310045", "'=")


def test_a_config_with_mistakes_names_them_all_and_contacts_nobody(hq: Setting) -> None:
    hq.write('timezone = "Europe/Berlim"\nolder_tan = "30 days"\n[accounts.hq]\nprovider = "trueconf"\nurl = "x"\n')
    done = hq("run", "--yes")
    assert done.exit_code == 2
    for word in ("timezone", "Europe/Berlin", "older_tan", "older_than", "accounts.hq.url", "accounts.hq.rules"):
        assert word in done.stderr
    assert hq.emulator.seen == []


def test_a_missing_config_says_how_to_write_one(tmp_path: Path) -> None:
    done = CliRunner().invoke(cli, ["-c", str(tmp_path / "none.toml"), "plan"])
    assert done.exit_code == 2
    assert "init" in done.stderr


def test_a_missing_secret_is_a_config_error_and_nothing_is_contacted(hq: Setting) -> None:
    text = hq.config.read_text(encoding="utf-8").replace(
        f'client_secret = "{hq.emulator.client_secret}"', 'client_secret = { env = "NO_SUCH_SECRET" }'
    )
    hq.write(text)
    done = hq("run", "--yes")
    assert done.exit_code == 2
    assert "NO_SUCH_SECRET" in done.stderr
    assert hq.emulator.seen == []


def test_a_refused_secret_is_status_1_and_is_not_printed(hq: Setting) -> None:
    hq.emulator.client_secret = "another"
    for command in (["check"], ["plan"], ["run", "--yes"], ["-vv", "plan"]):
        done = hq(*command)
        assert done.exit_code == 1
        assert "sign-in failed" in done.stderr
        assert "sandbox-trueconf-secret" not in done.stdout + done.stderr


def test_no_token_appears_in_the_most_talkative_log(hq: Setting) -> None:
    done = hq("-vv", "run", "--yes")
    assert "DELETE /api/v3.11/conferences/0073310045" in done.stderr
    assert hq.emulator.tokens
    assert not any(token in done.stdout + done.stderr for token in hq.emulator.tokens)


def test_log_format_json_is_one_object_a_line(hq: Setting) -> None:
    done = hq("-v", "--log-format", "json", "run")
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert any("--yes" in line["message"] for line in lines)


@pytest.mark.parametrize(
    "words",
    [
        ["--older-than", "0 days"],
        ["--older-than", "-1 day"],
        ["--older-than", "nan"],
        ["--older-than", "inf days"],
        ["--older-than", "30"],
        ["--before", "2999-01-01"],
        ["--before", "soon"],
        ["--older-than", "30 days", "--before", "2026-01-01"],
        ["--account", "hp"],
        ["--rule", "nothing"],
        ["--format", "yaml"],
    ],
)
def test_a_wrong_option_is_status_2_and_contacts_nobody(hq: Setting, words: list[str]) -> None:
    done = hq("plan", *words)
    assert done.exit_code == 2
    assert hq.emulator.seen == []


def test_an_unknown_account_gets_a_hint(hq: Setting) -> None:
    assert "did you mean 'hq'" in hq("plan", "--account", "hp").stderr


def test_older_than_replaces_the_rules_age(hq: Setting) -> None:
    found = json.loads(hq("plan", "--format", "json", "--older-than", "60 days").stdout)
    assert found["accounts"][0]["selected"] == 0


def test_before_replaces_the_rules_age(hq: Setting) -> None:
    found = json.loads(hq("plan", "--format", "json", "--before", "2000-01-01").stdout)
    assert found["accounts"][0]["selected"] == 0


def test_a_failed_listing_is_status_1_and_names_the_account(hq: Setting) -> None:
    hq.emulator.interfere.append(
        lambda request: Response(400, b"<html>") if request.path.endswith("/conferences") else None
    )
    done = hq("run", "--yes")
    assert done.exit_code == 1
    assert "hq: could not be listed, so nothing was deleted there" in done.stderr


def test_a_failed_deletion_is_named_with_its_reason(hq: Setting) -> None:
    hq.emulator.interfere.append(
        lambda request: Response(409, {"error": "locked"}) if request.method == "DELETE" else None
    )
    done = hq("run", "--yes")
    assert done.exit_code == 1
    assert "conferences 0073310045 (Budget review): failed: deletion failed at 127.0.0.1:" in done.stderr
    assert ": 409 (locked); to keep it, use keep_ids or a hold" in done.stderr
    assert "deleted 0 of 1 selected, 1 failed" in done.stdout


def test_a_title_with_control_characters_is_shown_harmlessly(hq: Setting) -> None:
    hq.emulator.conferences["0073310045"]["topic"] = "\x1b[31mred\u202e\n"
    hq.emulator.interfere.append(lambda request: Response(409) if request.method == "DELETE" else None)
    done = hq("run", "--yes")
    assert "\x1b" not in done.stderr
    assert "\u202e" not in done.stderr


def test_a_guard_refuses_in_a_dry_run_too(hq: Setting) -> None:
    hq.write(max_deletions=0)
    for command in (["plan"], ["run", "--yes"]):
        done = hq(*command)
        assert done.exit_code == 3
        assert "max_deletions allows 0" in done.stderr
    assert len(hq.emulator.conferences) == 2


def test_a_fault_in_the_program_is_one_line_and_no_traceback(hq: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("by nothing")

    monkeypatch.setattr("confcleanup.run.run", broken)
    done = hq("plan")
    assert done.exit_code == 1
    assert "internal error in confcleanup" in done.stderr
    assert "Traceback" not in done.stderr


def test_check_tells_a_clock_that_is_off(hq: Setting) -> None:
    from datetime import UTC, datetime

    hq.emulator.clock = lambda: datetime.now(UTC) + timedelta(hours=1)
    hq.emulator.token_life = timedelta(days=1)
    done = hq("check")
    assert done.exit_code == 1
    assert "clock" in done.stderr


def test_check_tells_a_missing_right(hq: Setting) -> None:
    hq.emulator.scope = "conferences:read"
    done = hq("check")
    assert done.exit_code == 1
    assert "conferences:write" in done.stderr


def test_init_writes_a_private_config_and_never_touches_an_existing_one(tmp_path: Path) -> None:
    target = tmp_path / "new" / "config.toml"
    first = CliRunner().invoke(cli, ["-c", str(target), "init"])
    assert first.exit_code == 0
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert "check" in first.stdout
    before = target.read_bytes()
    second = CliRunner().invoke(cli, ["-c", str(target), "init"])
    assert second.exit_code != 0
    assert target.read_bytes() == before


@pytest.mark.parametrize("provider", ["trueconf", "vobiz", "huawei", "vonage"])
def test_init_for_a_provider_writes_a_config_that_loads(tmp_path: Path, provider: str) -> None:
    from confcleanup.config import load as config

    target = tmp_path / "config.toml"
    assert CliRunner().invoke(cli, ["-c", str(target), "init", "--provider", provider]).exit_code == 0
    assert {account.provider.name for account in config.load(target).accounts.values()} == {provider}


def test_providers_shows_every_source_and_setting() -> None:
    shown = json.loads(CliRunner().invoke(cli, ["providers", "--format", "json"]).stdout)
    assert [provider["provider"] for provider in shown["providers"]] == ["trueconf", "vobiz", "huawei", "vonage"]
    assert "huawei" in CliRunner().invoke(cli, ["providers"]).stdout


def test_the_demo_tells_its_story_in_one_screen_and_finds_no_mistake() -> None:
    done = CliRunner().invoke(cli, ["demo"])
    assert done.exit_code == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) <= 45
    assert max(map(len, lines)) <= 80
    assert "nothing is left to delete" in done.stdout


def run_python(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *words], capture_output=True, text=True, env={**os.environ, **environment}, check=False
    )


def test_the_module_runs_and_survives_a_narrow_console_encoding(hq: Setting) -> None:
    hq.emulator.conferences["0073310045"]["topic"] = "会議 ☎"
    hq.emulator.interfere.append(lambda request: Response(409) if request.method == "DELETE" else None)
    words = ["-m", "confcleanup", "-c", str(hq.config), "--state", str(hq.folder / "s"), "run", "--yes"]
    done = run_python(*words, PYTHONIOENCODING="cp1252")
    assert done.returncode == 1
    assert "UnicodeEncodeError" not in done.stderr


def test_version_loads_none_of_the_heavy_modules() -> None:
    heavy = ["requests", "msgspec", "rich", "sqlite3", "websockets", "filelock", "platformdirs", "dateutil", "json"]
    code = (
        "import sys\nfrom confcleanup.__main__ import main\n"
        "try: main()\nexcept SystemExit: pass\n"
        f"print(*[name for name in {heavy} if name in sys.modules])"
    )
    done = run_python("-c", code, "--version")
    assert done.stdout.splitlines()[-1] == "", done.stdout


def test_what_another_rule_keeps_stays_also_if_only_one_rule_is_chosen(hq: Setting) -> None:
    other = ["[[accounts.hq.rules]]", 'name = "other"', 'what = "conferences"', 'keep_ids = ["0073310045"]']
    text = "\n".join([hq.config.read_text(encoding="utf-8"), *other, 'older_than = "1 year"'])
    hq.write(text)
    done = hq("run", "--yes", "--rule", "ended one-time conferences")
    assert done.exit_code == 0
    assert "0073310045" in hq.emulator.conferences


def test_a_rule_that_no_chosen_account_has_is_a_wrong_option(hq: Setting) -> None:
    text = hq.config.read_text(encoding="utf-8")
    other = text.replace("[accounts.hq]", "[accounts.b]").replace("accounts.hq.rules", "accounts.b.rules")
    hq.write(text + other.replace('"ended one-time conferences"', '"only here"'))
    assert hq("plan", "--account", "hq", "--rule", "only here").exit_code == 2


def test_a_dry_run_of_a_reviewed_plan_names_that_plan_in_its_last_line(hq: Setting) -> None:
    plan = hq.folder / "plan.json"
    assert f"--plan {plan}" in hq("plan", "-o", str(plan)).stdout
    assert f"--plan {plan}" in hq("run", "--dry-run", "--plan", str(plan)).stdout


def test_what_max_runtime_left_to_the_next_run_is_said_but_not_with_quiet(
    hq: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    hq.one_rule()
    monkeypatch.setattr("confcleanup.run.carry_out", lambda deletion: deletion.plan.selected.defer())
    assert "1 item was not tried: max_runtime was reached" in hq("run", "--yes").stderr
    done = hq("-q", "run", "--yes")
    assert (done.exit_code, done.stdout, done.stderr) == (0, "", "")


def test_verbose_says_each_step_of_an_account(hq: Setting) -> None:
    hq.one_rule()
    said = hq("-v", "run", "--yes").stderr.splitlines()
    assert [re.sub(r" in [0-9.]+ s$", "", line) for line in said] == [
        "info: signed in at 127.0.0.1",
        "info: hq: listed 2, selected 1,",
        "info: hq: deleted 1 of 1",
    ]


@pytest.mark.parametrize(
    "words",
    [
        ["plan", "-o", "CONFIG"],
        ["plan", "--html", "CONFIG"],
        ["run", "--yes", "--html", "CONFIG"],
        ["report", "--html", "CONFIG"],
        ["--log-file", "CONFIG", "plan"],
    ],
)
def test_nothing_that_is_written_ever_takes_the_place_of_the_config(hq: Setting, words: list[str]) -> None:
    before = hq.config.read_bytes()
    done = hq(*(str(hq.config) if word == "CONFIG" else word for word in words))
    assert done.exit_code == 2
    assert "is the config file; it was not changed" in done.stderr
    assert hq.config.read_bytes() == before
    assert hq.emulator.seen == []


@pytest.mark.parametrize("option", ["-o", "--html"])
def test_a_place_that_cannot_be_written_is_named_before_anything_is_contacted(hq: Setting, option: str) -> None:
    (hq.folder / "file").write_text("not a folder", "utf-8")
    done = hq("plan", option, str(hq.folder / "file" / "plan"))
    assert done.exit_code == 2
    assert f"{hq.folder}/file/plan cannot be written: {hq.folder}/file is a file, not a folder" in done.stderr
    assert hq.emulator.seen == []


def test_an_unknown_command_is_said_once() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "confcleanup", "chekc"], capture_output=True, text=True, encoding="utf-8", check=False
    )
    assert done.returncode == 2
    assert done.stderr.count("No such command 'chekc'.") == 1


@pytest.mark.parametrize("option", ["--since", "--until"])
def test_a_wrong_time_is_wrong_usage_even_if_the_history_is_empty(hq: Setting, option: str) -> None:
    done = hq("history", option, "soon")
    assert done.exit_code == 2
    assert f"{option}: 'soon' is not a date" in done.stderr


def test_the_history_reads_the_config_once_however_long_it_is(hq: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    from confcleanup.config import load as config

    hq.emulator.add_conference("0073310047", topic="Old too", ended=41 * DAY)
    hq("run", "--yes")
    read: list[Path] = []
    load = config.load
    monkeypatch.setattr(config, "load", lambda path: (read.append(path), load(path))[1])
    CliRunner().invoke(
        cli, ["-c", str(hq.config), "--state", str(hq.folder / "state"), "history", "--since", "2020-01-01"]
    )
    assert len(read) == 1


@pytest.mark.parametrize("content", [None, "older_thn = 3\n", "="], ids=["none", "with a mistake", "no TOML"])
@pytest.mark.parametrize("words", [["completion", "bash"], ["providers"], ["schema"], ["demo"]], ids=" ".join)
def test_what_needs_no_config_is_not_stopped_by_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], content: str | None
) -> None:
    file = tmp_path / "config.toml"
    if content:
        file.write_text(content, encoding="utf-8")
    monkeypatch.setenv("CONFCLEANUP_CONFIG", str(file))
    done = CliRunner().invoke(cli, words)
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout
