"""What each scheduler is handed: read back with a tool of its own world, odd paths included."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import xmlschema
import yaml
from msgspec.structs import replace

from confcleanup.schedule import windows
from confcleanup.schedule.crontab import crontab
from confcleanup.schedule.kubernetes import manifest
from confcleanup.schedule.systemd import commands, mail, service, timer, units
from confcleanup.schedule.template import fill
from tests.schedule import ODD, job

NOW = datetime(2026, 3, 1, 12, 0)  # noqa: DTZ001  # a machine's local time
EVERY = ["week", "day", "month", "6 hours", "hour", "15 minutes"]
BEFORE = ["/usr/bin/nice", "-n", "10", "/usr/bin/ionice", "-c", "3"]
BEFORE += ["/usr/bin/timeout", "--preserve-status", "-k", "2m", "3600"]
ROOT = Path(__file__).parents[2]


def last(text: str) -> str:
    return text.splitlines()[-1]


# cron ----------------------------------------------------------------------------------------------


def test_the_example_in_the_repository_is_what_the_program_prints() -> None:
    example = crontab(job(), before=BEFORE, mail="you@example.com")
    assert (ROOT / "crontab.example").read_text(encoding="utf-8") == example
    assert last(example) in (ROOT / "README.md").read_text(encoding="utf-8")


def test_a_crontab_line_keeps_the_exit_status_and_the_output() -> None:
    line = last(crontab(job(), before=BEFORE))
    assert "/dev/null" not in line
    assert line.endswith("run --yes -q")


def test_an_odd_path_reaches_the_program_through_cron_and_its_shell(tmp_path: Path) -> None:
    printer = tmp_path / "print it.py"
    printer.write_text("import sys\nprint(sys.argv[1:])\n", encoding="utf-8")
    line = last(crontab(job(command=(sys.executable, str(printer), ODD)), log=str(tmp_path / "the log")))
    command = line.split(maxsplit=5)[5].replace("\\%", "%")  # as crontab(5) says
    assert subprocess.run(["/bin/sh", "-c", command], check=False).returncode == 0
    assert (tmp_path / "the log").read_text(encoding="utf-8") == f"{[ODD, 'run', '--yes', '-q']}\n"


def test_no_percent_sign_of_a_path_is_left_to_cron() -> None:
    line = last(crontab(job(command=(ODD,)), log="/var/log/100%"))
    assert line.count("%") == line.count("\\%") == 2


def test_what_a_crontab_cannot_carry_is_refused() -> None:
    with pytest.raises(ValueError, match="backslash or a line break"):
        crontab(job(command=("/opt/a\nb",)))


@pytest.mark.skipif(not shutil.which("crontab"), reason="needs crontab")
@pytest.mark.parametrize("every", EVERY)
def test_debians_crontab_accepts_every_entry_and_the_example(tmp_path: Path, every: str) -> None:
    file = tmp_path / "crontab"
    entry = crontab(job(every=every, command=(ODD,)), before=BEFORE, mail="me@example.com", log=ODD)
    for text, status in (
        (entry, 0),
        ((ROOT / "crontab.example").read_text(encoding="utf-8"), 0),
        (entry.replace(job(every=every).when.cron(), "61 3 * * 0"), 1),
    ):
        file.write_text(text, encoding="utf-8")
        done = subprocess.run(["crontab", "-n", str(file)], capture_output=True, text=True, check=False)
        if "invalid option" in done.stderr:
            pytest.skip("this crontab only installs")
        assert done.returncode == status, (text, done.stderr)


def test_secrets_in_variables_are_pointed_out_as_cron_has_none() -> None:
    assert "# Set TRUECONF_SECRET here or use" in crontab(job(variables=("TRUECONF_SECRET",)))


# systemd -------------------------------------------------------------------------------------------


def settings(unit: str) -> dict[str, str]:
    lines = [line.split("=", 1) for line in unit.splitlines() if "=" in line and not line.startswith("#")]
    return dict(line for line in lines if len(line) == 2)  # type: ignore[misc]  # pairs


def test_the_service_is_limited_in_time_priority_and_rights() -> None:
    unit = settings(service(job(folders=("/srv/archive",))))
    assert (unit["TimeoutStartSec"], unit["Nice"], unit["IOSchedulingClass"]) == ("3600", "10", "idle")
    assert unit["ReadWritePaths"] == "/var/lib/confcleanup /srv/archive"
    assert unit["ProtectSystem"] == "strict"
    assert "SuccessExitStatus" not in unit, "every status but 0 is a failure, and is shown as it is"


def test_the_timer_is_in_the_time_zone_of_the_config_delayed_and_catches_up() -> None:
    unit = settings(timer(job()))
    assert unit["OnCalendar"] == "Sun *-*-* 03:30:00 Europe/Berlin"
    assert (unit["RandomizedDelaySec"], unit["Persistent"]) == ("900", "true")


def test_variables_come_from_a_file_only_if_there_are_any() -> None:
    assert "EnvironmentFile" not in service(job())
    assert "holds A, B: NAME=value\nEnvironmentFile=/etc/" in service(job(variables=("A", "B")))


def verified(folder: Path, *names: str) -> tuple[int, list[str]]:
    """What systemd-analyze says about units in a folder: its status, and what it says of ours."""
    words = ["systemd-analyze", "verify", "--man=no", *(str(folder / name) for name in names)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    return done.returncode, [line for line in done.stderr.splitlines() if "confcleanup" in line or "live" in line]


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd-analyze")
@pytest.mark.parametrize("every", EVERY)
def test_systemd_finds_nothing_wrong_with_the_units(tmp_path: Path, every: str) -> None:
    program = tmp_path / "it's 100% $HOME ü"
    program.write_text("#!/bin/sh\n", encoding="utf-8")
    program.chmod(0o700)
    entry = job(every=every, command=(str(program), "-c", ODD), state=ODD, variables=("A",), name="live-rooms")
    for name, text in units(entry, "it's 100% <me@example.com>").items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    started = ["live-rooms.service", "live-rooms.timer", "confcleanup-mail@live-rooms.service"]
    assert verified(tmp_path, *started) == (0, [])


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd-analyze")
def test_systemd_would_have_found_something(tmp_path: Path) -> None:
    for name, text in units(job(), "root").items():
        (tmp_path / name).write_text(text.replace("Type=oneshot", "Type=once"), encoding="utf-8")
    assert verified(tmp_path, "confcleanup.service")[1]


MESSAGES = {"nothing": "", "a warning": "warning: hq: stuck: 3 items äöü"}


@pytest.mark.parametrize("result", ["success", "exit-code"])
@pytest.mark.parametrize("said", MESSAGES)
def test_what_a_run_prints_is_mailed_and_so_is_a_failure(tmp_path: Path, result: str, said: str) -> None:
    (line,) = re.findall(r"ExecStart=/bin/sh -c '(.*)' (.*)", mail("it's <me@example.com>").replace("\\\n", " "))
    script, words = line[0].replace("$$", "$"), shlex.split(line[1].replace("%i", "live").replace("$$", "$"))
    show = 'case $2 in *ID) echo 4f1c;; *Result) echo "$RESULT";; *) echo 3;; esac'
    stubs = {
        "systemctl": f'[ "$1 $4" = "show live.service" ] && {show}',
        "journalctl": '[ "$1" = --sync ] || { [ "$3" = _SYSTEMD_INVOCATION_ID=4f1c ] && printf %s "$SAID"; }',
        "sendmail": '[ "$1" = -t ] && cat >"$0.mail"',
    }
    for name, text in stubs.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
        (tmp_path / name).chmod(0o700)
    around = {"PATH": f"{tmp_path}:/usr/bin:/bin", "RESULT": result, "SAID": MESSAGES[said]}
    done = subprocess.run(["/bin/sh", "-c", script, *words], env=around, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    sent = tmp_path / "sendmail.mail"
    assert sent.exists() is bool(result != "success" or MESSAGES[said])
    if sent.exists():
        head, body = sent.read_text("utf-8").split("\n\n", 1)
        assert head.startswith("To: it's <me@example.com>\nSubject: live.service on ")
        assert f": {result}, status 3\n" in head
        assert body == f"{MESSAGES[said]}\n"


def test_the_service_says_whom_to_start_however_it_ends() -> None:
    unit = settings(service(job(name="live")))
    assert {unit["OnFailure"], unit["OnSuccess"]} == {"confcleanup-mail@%N.service"}


def test_the_commands_install_the_files_where_they_were_written() -> None:
    lines = commands(job(name="live", state="/var/my state"), "/tmp/my units")
    assert lines[0] == (
        "install -m 644 '/tmp/my units/live.service' '/tmp/my units/live.timer' "
        "'/tmp/my units/confcleanup-mail@.service' /etc/systemd/system"
    )
    assert lines[1:3] == [
        "install -d -m 700 -o root '/var/my state'",
        "systemctl daemon-reload && systemctl enable --now live.timer",
    ]
    assert commands(job(), "/etc/systemd/system")[0].startswith("install -d")


ZONES = ["UTC", "America/Argentina/Buenos_Aires", "Etc/GMT+5", "Asia/Kolkata"]


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd-analyze")
@pytest.mark.parametrize(
    ("every", "zone"), [*((every, "Europe/Berlin") for every in EVERY), *(("week", zone) for zone in ZONES)]
)
def test_systemd_understands_every_calendar_in_every_zone(every: str, zone: str) -> None:
    calendar = settings(timer(job(every=every, zone=zone)))["OnCalendar"]
    assert calendar.endswith(f" {zone}")
    done = subprocess.run(["systemd-analyze", "calendar", calendar], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert "Next elapse: " in done.stdout
    assert "never" not in done.stdout


# Windows -------------------------------------------------------------------------------------------

SCHEMA = xmlschema.XMLSchema(Path(__file__).with_name("task-scheduler.xsd"))
PROGRAM = ("C:\\Program Files\\Conf & Töne\\confcleanup.exe", "-c", "C:\\ProgramData\\Müll\\config.toml")


def task(**more: Any) -> Any:
    text = windows.task(job(command=PROGRAM, config=PROGRAM[2], **more), "C:\\Müll\\it's.log", NOW)
    SCHEMA.validate(text)
    return SCHEMA.to_dict(text)


@pytest.mark.parametrize("every", EVERY)
def test_a_task_is_valid_and_starts_when_it_should(every: str) -> None:
    (trigger,) = task(every=every)["Triggers"]["CalendarTrigger"]
    assert trigger["StartBoundary"].startswith("2026-03-01T")
    repeated = {"6 hours": "PT360M", "hour": "PT60M", "15 minutes": "PT15M"}
    assert trigger.get("Repetition", {}).get("Interval") == repeated.get(every)


def test_a_task_is_limited_and_keeps_output_and_status() -> None:
    found = task()
    settings, (action,) = found["Settings"], found["Actions"]["Exec"]
    assert (settings["ExecutionTimeLimit"], settings["MultipleInstancesPolicy"]) == ("PT3600S", "IgnoreNew")
    assert (settings["StartWhenAvailable"], settings["Priority"]) == (True, 8)
    assert action["WorkingDirectory"] == "C:\\ProgramData\\Müll"
    command = f'"{PROGRAM[0]}" -c "{PROGRAM[2]}" run --yes -q >> "C:\\Müll\\it\'s.log" 2>&1'
    assert action["Arguments"] == f'/d /c "{command}"'


def test_the_schema_would_have_refused_a_wrong_task() -> None:
    text = windows.task(job(), "C:\\log", NOW)
    enabled, start = "<Enabled>true</Enabled>", "<StartBoundary>2026-03-01T03:30:00</StartBoundary>"
    assert re.search(rf"{enabled}\s+{start}", text)
    for right, wrong in (("IgnoreNew", "Ignore"), ("PT3600S", "1 hour"), ("<Sunday />", "<Sontag />"), (enabled, "")):
        moved = text.replace(right, wrong).replace(start, start if wrong else start + enabled)
        assert not SCHEMA.is_valid(moved), wrong or "the order of elements"


def test_a_task_is_ascii_so_that_no_code_page_changes_it() -> None:
    assert windows.task(job(command=PROGRAM), "C:\\Müll", NOW).isascii()


def test_a_percent_sign_is_refused_as_windows_would_take_it_for_a_variable() -> None:
    with pytest.raises(ValueError, match=r"C:\\100%TEMP%\\x has a %.*mklink /J"):
        windows.task(job(command=("C:\\100%TEMP%\\x",)), "C:\\log", NOW)
    with pytest.raises(ValueError, match=r"C:\\50%\.log has a %"):
        windows.task(job(), "C:\\50%.log", NOW)


def test_what_cmd_would_change_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot carry"):
        windows.task(job(command=('C:\\"x"',)), "C:\\log", NOW)


def test_the_command_that_takes_the_task_in_quotes_the_file() -> None:
    line = windows.command_line("C:\\My Files\\live.xml", "live")
    assert line.startswith('schtasks /Create /TN live /XML "C:\\My Files\\live.xml" /RU ')


# Kubernetes ----------------------------------------------------------------------------------------

CONFIG = (ROOT / "config.example.toml").read_text(encoding="utf-8")


def objects(shards: int = 1, *, every: str = "week", files: tuple[str, ...] = (), **more: Any) -> dict[str, Any]:
    entry = job(every=every, variables=("TRUECONF_SECRET",), **more)
    text = manifest(entry, CONFIG, image="registry.example.com/confcleanup:1", shards=shards, files=files)
    return by_name(text)


def by_name(text: str) -> dict[str, Any]:
    """The objects by their kind, but the Secret with the config by its name, as there are two."""
    found = {one["metadata"]["name"] + one["kind"]: one for one in yaml.safe_load_all(text)}
    config = {"confcleanup-config": found.pop("confcleanup-configSecret")}
    return config | {one["kind"]: one for one in found.values()}


def container(found: dict[str, Any]) -> Any:
    return found["CronJob"]["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]


def test_the_job_runs_without_rights_alone_and_not_for_ever() -> None:
    found = objects()
    spec = found["CronJob"]["spec"]
    pod = spec["jobTemplate"]["spec"]["template"]["spec"]
    assert (spec["concurrencyPolicy"], spec["timeZone"]) == ("Forbid", "Europe/Berlin")
    assert spec["jobTemplate"]["spec"]["activeDeadlineSeconds"] == 3600
    assert spec["jobTemplate"]["spec"]["backoffLimit"] == 0
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    security = container(found)["securityContext"]
    assert security["readOnlyRootFilesystem"] is True
    assert (security["allowPrivilegeEscalation"], security["capabilities"]) == (False, {"drop": ["ALL"]})


def test_the_job_fits_the_image_of_the_containerfile() -> None:
    pod = objects(files=("/etc/secret",))["CronJob"]["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    recipe, user = (ROOT / "Containerfile").read_text(encoding="utf-8"), pod["securityContext"]
    assert f"\nUSER {user['runAsUser']}:{user['runAsGroup']}\n" in recipe
    assert user["fsGroup"] == user["runAsGroup"]
    mounts = {mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"]}
    said = dict(re.findall(r'(?m)^(VOLUME|ENTRYPOINT) \["(.+)"\]$', recipe))
    assert {said["VOLUME"], pod["containers"][0]["command"][2]} < mounts
    assert said["ENTRYPOINT"] == pod["containers"][0]["command"][0]


def test_a_pod_may_write_temporary_files_and_nobody_else_may_read_its_secrets() -> None:
    found = objects(files=("/etc/secret",))
    volumes = {
        one["name"]: one for one in found["CronJob"]["spec"]["jobTemplate"]["spec"]["template"]["spec"]["volumes"]
    }
    assert "emptyDir" in volumes["tmp"]
    assert {"name": "tmp", "mountPath": "/tmp"} in container(found)["volumeMounts"]
    assert volumes["secret"]["secret"]["defaultMode"] == 0o440
    assert volumes["config"]["secret"] == {"secretName": "confcleanup-config", "defaultMode": 0o440}


def test_the_config_arrives_as_it_is_and_secrets_are_left_to_be_filled_in() -> None:
    found = objects(files=("/etc/ssl/ca.crt",))
    assert found["confcleanup-config"]["stringData"]["config.toml"] == CONFIG
    assert found["Secret"]["stringData"] == {"TRUECONF_SECRET": "", "file-1": ""}
    (mount,) = [one for one in container(found)["volumeMounts"] if one["name"] == "secret"]
    assert (mount["mountPath"], mount["subPath"]) == ("/etc/ssl/ca.crt", "file-1")


def test_shards_become_an_indexed_job_in_which_one_failure_stops_no_other() -> None:
    found = objects(8)
    spec = found["CronJob"]["spec"]["jobTemplate"]["spec"]
    assert (spec["completionMode"], spec["completions"], spec["parallelism"]) == ("Indexed", 8, 8)
    assert (spec["backoffLimitPerIndex"], "backoffLimit" in spec) == (0, False)
    command = container(found)["command"]
    assert command[-2:] == ["--shard", "$(JOB_COMPLETION_INDEX)/8"]
    assert command[command.index("--state") + 1].endswith("/shard-$(JOB_COMPLETION_INDEX)")
    assert container(found)["env"][0]["name"] == "JOB_COMPLETION_INDEX"


def test_a_name_that_looks_like_a_variable_stays_a_name() -> None:
    entry = job()
    text = manifest(replace(entry, command=(*entry.command, "--account", "$(X)")), CONFIG, image="i")
    assert container(by_name(text))["command"][-1] == "$$(X)"


@pytest.mark.kubernetes
@pytest.mark.parametrize("shards", [1, 8])
@pytest.mark.parametrize("version", ["1.29", "1.37"])
def test_kubernetes_own_schemas_accept_every_object(shards: int, version: str) -> None:
    import kubernetes_validate

    files = ("/etc/ssl/ca.crt", "/etc/confcleanup/room.pin", "/srv/Bücher & Töne/it's 100% new")
    found = objects(shards, every="15 minutes", files=files, zone="America/Argentina/Buenos_Aires", name="live")
    assert set(found) == {"confcleanup-config", "Secret", "PersistentVolumeClaim", "CronJob"}
    for one in found.values():
        kubernetes_validate.validate(one, version, strict=True)
    container(found)["securityContext"]["readOnlyRootFileSystem"] = True
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(found["CronJob"], version, strict=True)


def test_words_with_blanks_are_one_argument_everywhere() -> None:
    entry = job(command=("/opt/my programs/confcleanup",))
    assert shlex.split(last(crontab(entry)).split(maxsplit=5)[5])[0] == "/opt/my programs/confcleanup"
    assert 'ExecStart="/opt/my programs/confcleanup" run' in service(entry)


@pytest.mark.parametrize(
    "config",
    [
        '  a = "first line indented"  # why\nb = 1\n',
        "\n\n   a = 1  # why\nb = 2\n",
        'a = "x\u2028y\x85z \U0001f600"  # why\n',
        "# note\u2028more\na = 1\n",
        "# what YAML takes in quotes only: \x80 \ufeff \ufffe\na = 1\n",
        'a = """\n  blanks at the end  \n"""  # why\n',
        "a = 1  # why\r\nb = 2\r\n",
    ],
)
def test_a_config_arrives_with_every_character_however_it_is_written(config: str) -> None:
    (arrived, *_) = yaml.safe_load_all(manifest(job(), config, image="x"))
    assert arrived["stringData"]["config.toml"] == config


# The files that the entries are made from -----------------------------------------------------------

FOLDER = ROOT / "confcleanup" / "schedule"


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd-analyze")
def test_systemd_reads_the_units_in_the_package_as_they_are() -> None:
    names = ("confcleanup.service", "confcleanup.timer", "confcleanup-mail@confcleanup.service")
    assert verified(FOLDER, *names) == (0, [])


def test_the_task_in_the_package_is_valid_as_it_is() -> None:
    SCHEMA.validate(str(FOLDER / "confcleanup.xml"))


@pytest.mark.kubernetes
def test_kubernetes_own_schemas_accept_the_file_in_the_package_as_it_is() -> None:
    import kubernetes_validate

    found = list(yaml.safe_load_all((FOLDER / "confcleanup.yaml").read_text(encoding="utf-8")))
    assert [one["kind"] for one in found] == ["Secret", "Secret", "PersistentVolumeClaim", "CronJob"]
    for one in found:
        kubernetes_validate.validate(one, "1.29", strict=True)


def test_a_value_that_looks_like_a_sample_stays_as_it_is() -> None:
    text = fill("confcleanup.timer", {"900": "on Sundays at 03:30", "on Sundays at 03:30": "at 900"})
    assert "Description=Start confcleanup at 900\n" in text
    assert "RandomizedDelaySec=on Sundays at 03:30\n" in text


@pytest.mark.parametrize("sample", ["1.5 hours", "confcleanup"])
def test_a_sample_that_is_not_in_its_file_once_is_refused(sample: str) -> None:
    with pytest.raises(LookupError, match="once"):
        fill("confcleanup.timer", {sample: "x"})
    with pytest.raises(LookupError, match="once"):
        fill("confcleanup.timer", {"900": "x"}, {sample: []})
