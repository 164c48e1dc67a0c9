"""``confcleanup schedule``: from this installation, a config and options to entries."""

from __future__ import annotations

import os
import re
import stat
import sys
import sysconfig
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from confcleanup.cli import cli

KINDS = ["crontab", "systemd", "windows", "kubernetes"]
CONFIG = """\
timezone = "Europe/Berlin"
limits.max_runtime = "2 hours"
state.directory = "/var/lib/confcleanup"
[accounts.hq]
provider = "trueconf"
url = "https://conf.example.com"
client_id = "confcleanup"
client_secret = {secret}
ca_file = "/etc/ssl/ca.crt"
[[accounts.hq.rules]]
name = "old ones"
what = "conferences"
older_than = "30 days"
archive = "/srv/archive"  # not the old place: hunter2
"""


@pytest.fixture
def schedule(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    def call(*words: str, secret: str = '{ env = "TRUECONF_SECRET" }', more: str = "") -> Result:
        config = tmp_path / "config.toml"
        config.write_text(CONFIG.format(secret=secret) + more, "utf-8")
        config.chmod(0o600)
        monkeypatch.chdir(tmp_path)
        return CliRunner().invoke(cli, ["-c", "config.toml", "schedule", *words])

    return call


@pytest.mark.parametrize("kind", KINDS[:3])
def test_an_entry_has_absolute_paths_and_runs_unasked(schedule: Any, tmp_path: Path, kind: str) -> None:
    done = schedule(kind)
    assert done.exit_code == 0
    scripts = sysconfig.get_path("scripts")
    command = f"{scripts}/confcleanup -c {tmp_path}/config.toml --state /var/lib/confcleanup run --yes -q"
    assert command in done.stdout


def test_without_its_own_command_the_interpreter_is_named(schedule: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sysconfig.get_path", lambda name: "/nowhere")
    assert f"{sys.executable} -P -m confcleanup -c /" in schedule("crontab").stdout


def test_the_scheduler_waits_longer_than_the_run_may_take(schedule: Any) -> None:
    assert "TimeoutStartSec=7800\n" in schedule("systemd").stdout
    assert "<ExecutionTimeLimit>PT7800S<" in schedule("windows").stdout
    assert "activeDeadlineSeconds: 7800 " in schedule("kubernetes").stdout
    assert " 7800 " in schedule("crontab").stdout


def test_priorities_are_lowered_with_what_the_machine_has(schedule: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: "/bin/nice" if name == "nice" else None)
    line = schedule("crontab").stdout.splitlines()[-1]
    assert line.split(maxsplit=5)[5].startswith(f"/bin/nice -n 10 {sysconfig.get_path('scripts')}/confcleanup ")


def test_accounts_rules_and_times_are_handed_on(schedule: Any) -> None:
    words = ["--account", "hq", "--rule", "old ones", "--every", "6 hours", "--at", "01:10"]
    line = schedule("crontab", *words, "--mail", "me@example.com").stdout
    assert "MAILTO=me@example.com\n10 1,7,13,19 * * * " in line
    assert line.endswith(" run --yes -q --account hq --rule 'old ones'\n")
    (command,) = [row for row in schedule("kubernetes", *words).stdout.splitlines() if "command:" in row]
    assert yaml.safe_load(command)["command"][-4:] == ["--account", "hq", "--rule", "old ones"]


def test_a_time_to_wait_is_handed_on_and_the_limit_is_longer_by_it(schedule: Any) -> None:
    for kind in KINDS[:3]:
        assert "run --yes -q --rule 'old ones' --wait 10min" in schedule(
            kind, "--rule", "old ones", "--wait", "10min"
        ).stdout.replace('"old ones"', "'old ones'")
    assert "TimeoutStartSec=8400\n" in schedule("systemd", "--wait", "10min").stdout
    assert schedule("crontab", "--wait", "long").exit_code == 2


def test_entries_of_several_names_stand_beside_each_other(schedule: Any, tmp_path: Path) -> None:
    for kind in KINDS:
        assert schedule(kind, "-o", "out", "--name", "live").exit_code == 0
        assert schedule(kind, "-o", "out").exit_code == 0
    suffixes = ["crontab", "service", "timer", "xml", "yaml"]
    names = {f"{name}.{suffix}" for name in ("confcleanup", "live") for suffix in suffixes}
    assert {path.name for path in (tmp_path / "out").iterdir()} == names | {"confcleanup-mail@.service"}
    assert "schtasks /Create /TN live /XML live.xml" in schedule("windows", "--name", "live").stderr
    (*_, job) = yaml.safe_load_all(schedule("kubernetes", "--name", "live").stdout)
    assert (job["kind"], job["metadata"]["name"]) == ("CronJob", "live")


@pytest.mark.parametrize("name", ["Live", "live/rooms", "live.", "", "x" * 41])
def test_a_name_that_not_every_scheduler_takes_is_refused(schedule: Any, name: str) -> None:
    assert schedule("systemd", "--name", name).exit_code == 2


def test_the_units_come_with_the_commands_that_install_them(schedule: Any, tmp_path: Path) -> None:
    done = schedule("systemd", "-o", "out", "--mail", "me@example.com")
    assert f"install -m 644 {tmp_path}/out/confcleanup.service " in done.stderr
    assert "systemctl daemon-reload && systemctl enable --now confcleanup.timer" in done.stderr
    assert "' mail %i.service me@example.com\n" in (tmp_path / "out" / "confcleanup-mail@.service").read_text("utf-8")


@pytest.mark.parametrize("there", [True, False])
def test_a_machine_that_cannot_send_mail_is_told(schedule: Any, monkeypatch: pytest.MonkeyPatch, there: bool) -> None:
    monkeypatch.setattr("shutil.which", lambda name, path=None: "/usr/sbin/sendmail" if there else None)
    assert ("There is no sendmail on this machine" in schedule("systemd").stderr) is not there


@pytest.mark.parametrize("kind", KINDS[:3])
def test_nothing_in_an_entry_depends_on_the_folder_that_it_was_made_in(
    schedule: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    made = schedule(kind)
    config = tmp_path / "config.toml"
    config.write_text(config.read_text("utf-8").replace('"/var/lib/confcleanup"', '"state"'), "utf-8")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    moved = CliRunner().invoke(cli, ["-c", "../config.toml", "schedule", kind])
    assert moved.exit_code == 0
    assert "/var/lib/confcleanup" in made.stdout
    assert f"--state {tmp_path}/state run" in moved.stdout
    given = CliRunner().invoke(cli, ["-c", "../config.toml", "--state", "mine", "schedule", kind])
    assert f"--state {tmp_path}/elsewhere/mine run" in given.stdout
    for done in (moved, given):
        assert f" -c {config} " in done.stdout


def test_a_relative_log_becomes_absolute(schedule: Any, tmp_path: Path) -> None:
    assert schedule("crontab", "--log", "my.log").stdout.endswith(f" >>{tmp_path}/my.log 2>&1\n")
    assert f'"{tmp_path}/confcleanup.log"' in schedule("windows").stdout


def test_the_service_runs_as_the_owner_of_the_config_and_may_write_where_it_archives(
    schedule: Any, tmp_path: Path
) -> None:
    unit = schedule("systemd").stdout
    assert f"User={tmp_path.owner()}\n" in unit
    assert "ReadWritePaths=/var/lib/confcleanup /srv/archive\n" in unit


def test_an_owner_without_a_name_is_a_number(schedule: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def nameless(path: Path) -> str:
        raise KeyError("getpwuid(): uid not found")

    monkeypatch.setattr(Path, "owner", nameless)
    assert f"User={os.getuid()}\n" in schedule("systemd").stdout


@pytest.mark.parametrize("kind", KINDS)
def test_files_are_written_readable_by_their_owner_and_replaced(schedule: Any, tmp_path: Path, kind: str) -> None:
    for _ in range(2):
        done = schedule(kind, "-o", "out")
        assert (done.exit_code, done.stdout) == (0, "")
    names = {
        "systemd": {"confcleanup.service", "confcleanup.timer", "confcleanup-mail@.service"},
        "crontab": {"confcleanup.crontab"},
    }
    names |= {"windows": {"confcleanup.xml"}, "kubernetes": {"confcleanup.yaml"}}
    assert {path.name for path in (tmp_path / "out").iterdir()} == names[kind]
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in (tmp_path / "out").iterdir())


def test_the_task_is_printed_and_how_to_take_it_in_is_said_beside_it(schedule: Any) -> None:
    done = schedule("windows")
    assert done.stdout.startswith("<?xml")
    assert done.stdout.endswith("</Task>\n")
    assert "schtasks /Create /TN confcleanup /XML confcleanup.xml" in done.stderr


def test_the_image_is_the_one_that_the_containerfile_says_to_build(schedule: Any) -> None:
    (image,) = re.findall(r'image: "(.+)"', schedule("kubernetes").stdout)
    recipe = (Path(__file__).parents[2] / "Containerfile").read_text(encoding="utf-8")
    assert set(re.findall(r"-t (\S+)", recipe)) == {image}


def test_a_config_with_secrets_in_clear_text_goes_whole_into_a_secret_and_nowhere_else(schedule: Any) -> None:
    ping = "https://hc.example.com/7c0e1a52"
    done = schedule("kubernetes", secret='"hunter3"', more=NOTIFY.format(ping=f'"{ping}"'))
    assert done.exit_code == 0
    found = list(yaml.safe_load_all(done.stdout))
    config, *others = found
    assert (config["kind"], config["metadata"]["name"]) == ("Secret", "confcleanup-config")
    for text in ("hunter3", ping, "# not the old place: hunter2"):
        assert text in config["stringData"]["config.toml"]
        assert text not in str(others) + done.stderr


def test_what_a_container_lacks_is_mounted_or_named(schedule: Any) -> None:
    done = schedule("kubernetes", secret='{ command = ["pass", "show", "x"] }')
    assert '"/etc/ssl/ca.crt", subPath: file-1' in done.stdout
    assert [line.rpartition(": ")[2] for line in done.stderr.splitlines()] == ["pass", "/srv/archive"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_wrong_time_is_wrong_usage(schedule: Any, kind: str) -> None:
    for words in (["--every", "fortnight"], ["--at", "25:00"]):
        done = schedule(kind, *words)
        assert (done.exit_code, done.stdout) == (2, "")


@pytest.mark.parametrize("kind", ["systemd", "kubernetes"])
def test_an_entry_that_holds_parts_of_the_config_needs_one(tmp_path: Path, kind: str) -> None:
    done = CliRunner().invoke(cli, ["-c", str(tmp_path / "none.toml"), "schedule", kind])
    assert (done.exit_code, done.stdout) == (2, "")
    assert "init" in done.stderr


@pytest.mark.parametrize("content", [None, "older_thn = 3\n", "="], ids=["none", "with a mistake", "no TOML"])
@pytest.mark.parametrize(("kind", "limit"), [("crontab", " 3600 "), ("windows", "PT3600S")])
def test_an_entry_that_takes_only_the_time_limit_from_the_config_is_printed_without_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, limit: str, content: str | None
) -> None:
    monkeypatch.setattr("shutil.which", lambda name: f"/bin/{name}")
    file = tmp_path / "config.toml"
    if content:
        file.write_text(content, "utf-8")
        file.chmod(0o600)
    done = CliRunner().invoke(cli, ["-c", str(file), "schedule", kind, "--account", "hq"])
    assert done.exit_code == 0
    assert f"confcleanup -c {file} run --yes -q --account hq" in done.stdout
    assert limit in done.stdout
    assert "the config cannot be used, so the entry has the default time limit of 60 minutes" in done.stderr


def test_an_entry_without_a_config_names_the_place_where_it_belongs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "confcleanup.config.places.user_path", lambda: Path("/home/anna/.config/confcleanup/config.toml")
    )
    monkeypatch.setattr("confcleanup.config.places.system_path", lambda: Path("/nowhere/config.toml"))
    monkeypatch.delenv("CONFCLEANUP_CONFIG", raising=False)
    done = CliRunner().invoke(cli, ["--state", "/srv/state", "schedule", "crontab"])
    assert "-c /home/anna/.config/confcleanup/config.toml --state /srv/state run" in done.stdout


@pytest.mark.parametrize("words", [[], ["30 3 * * 0 /x"], ["* * 7 * * x", "--user", "--timezone", "UTC"], ["--help"]])
def test_who_asks_for_lint_is_led_to_the_cookbook(words: list[str]) -> None:
    done = CliRunner().invoke(cli, ["schedule", "lint", *words])
    assert (done.exit_code, done.stdout) == (2, "")
    assert 'docs/cookbook.md, "A crontab line of your own"' in done.stderr
    cookbook = Path(__file__).parents[2] / "docs" / "cookbook.md"
    assert "\n## A crontab line of your own\n" in cookbook.read_text(encoding="utf-8")
    assert "lint" not in CliRunner().invoke(cli, ["schedule", "--help"]).stdout


NOTIFY = """
[notify]
ping = {ping}
apprise = [{{ env = "APPRISE_URL" }}]
prometheus = "/srv/metrics/confcleanup.prom"
"""


def test_who_is_told_is_provided_for(schedule: Any) -> None:
    more = NOTIFY.format(ping='{ file = "/etc/confcleanup/ping" }')
    done = schedule("kubernetes", more=more)
    assert '"APPRISE_URL": ""' in done.stdout
    assert 'mountPath: "/etc/confcleanup/ping"' in done.stdout
    assert "/srv/metrics" in done.stderr
    unit = schedule("systemd", more=more).stdout
    assert "ReadWritePaths=/var/lib/confcleanup /srv/archive /srv/metrics\n" in unit
    assert "holds TRUECONF_SECRET, APPRISE_URL:" in unit


@pytest.mark.parametrize("kind", KINDS)
def test_an_entry_for_a_rule_that_there_is_not_is_no_entry(schedule: Any, kind: str) -> None:
    done = schedule(kind, "--rule", "older ones")
    assert done.exit_code == 2
    assert done.stdout == ""
    assert "--rule older ones: unknown; did you mean 'old ones'?" in done.stderr


def test_a_secret_in_the_keyring_is_warned_of_as_nobody_unlocks_it_at_night(schedule: Any) -> None:
    done = schedule("crontab", secret='{ keyring = "confcleanup/hq" }')
    assert done.exit_code == 0
    assert "accounts.hq.client_secret is in the keyring" in done.stderr
    assert "keyring" not in schedule("crontab").stderr


def test_output_goes_to_one_place(schedule: Any) -> None:
    done = schedule("crontab", "--log", "my.log", "--mail", "me@example.com")
    assert done.exit_code == 2
    assert "--mail and --log" in done.stderr


def test_a_task_that_is_printed_elsewhere_than_on_windows_says_so(schedule: Any) -> None:
    assert "which is not Windows" in schedule("windows").stderr


def test_relative_paths_lead_to_the_configs_folder_in_the_container_too(schedule: Any) -> None:
    done = schedule("kubernetes", secret='{ file = "in/secret" }')
    assert 'mountPath: "/etc/confcleanup/in/secret"' in done.stdout


def test_an_entry_for_a_config_with_relative_paths_works_from_every_folder(schedule: Any, tmp_path: Path) -> None:
    done = schedule("systemd", secret='{ file = "in/secret" }', more='[notify]\nprometheus = "metrics/run.prom"')
    assert f"{tmp_path}/metrics" in done.stdout
