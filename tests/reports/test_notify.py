"""Who is told of a run, over real sockets: that it cannot fail, hold up or betray anything."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from click.testing import CliRunner, Result
from filelock import FileLock
from prometheus_client.parser import text_string_to_metric_families

from confcleanup.cli import cli
from confcleanup.sandbox.server import Emulator, Request, Response, Server
from confcleanup.sandbox.trueconf import TrueConf
from confcleanup.sandbox.vobiz import _toml_lines
from tests.fake import one_rule

DAY = timedelta(days=1)
UUID = "5f1c9a2e-0000-4000-8000-00000000beef"


class Receiver(Emulator):
    """Takes whatever is sent to it."""

    def __init__(self) -> None:
        super().__init__()
        self.status = 200

    def handle(self, request: Request) -> Response:
        return Response(self.status, {})

    @property
    def paths(self) -> list[str]:
        return [seen.request.path for seen in self.seen]

    @property
    def messages(self) -> list[dict[str, Any]]:
        """What came by Apprise's json://."""
        return [request.json() for request in self.requests("POST")]


class Setting:
    """A TrueConf server with one conference to delete and one to keep, somebody who is told, and a config."""

    def __init__(self, folder: Path, server: TrueConf, url: str, receiver: Receiver, receiver_url: str) -> None:
        self.folder, self.server, self.receiver = folder, server, receiver
        self.ping = f"{receiver_url}/{UUID}"
        self.apprise = receiver_url.replace("http://", "json://") + "/note"
        self.prometheus = folder / "confcleanup.prom"
        self.account = one_rule(server.account("hq", url))

    def __call__(self, *words: str, notify: dict[str, Any] | None = None, extra: str = "") -> Result:
        config = self.folder / "config.toml"
        config.write_text(
            "\n".join([self.account, extra, "[notify]", *_toml_lines({"timeout": "1 minute"} | (notify or {}))]),
            "utf-8",
        )
        config.chmod(0o600)
        return CliRunner().invoke(cli, ["-c", str(config), "--state", str(self.folder / "state"), *words])

    @property
    def metrics(self) -> dict[tuple[str, ...], float]:
        """What the node exporter would read: name, labels in order, value."""
        text = self.prometheus.read_text("utf-8")
        samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
        return {(one.name, *one.labels.values()): one.value for one in samples}


@pytest.fixture
def hq(tmp_path: Path) -> Iterator[Setting]:
    server, receiver = TrueConf(), Receiver()
    server.add_conference("0073310045", topic="Budget review", ended=41 * DAY)
    server.add_conference("0073310046", topic="Yesterday", ended=DAY)
    with Server(server) as served, Server(receiver) as told:
        yield Setting(tmp_path, server, served.url, receiver, told.url)


def fail_deletions(hq: Setting) -> None:
    hq.server.interfere.append(lambda request: Response(400, {}) if request.method == "DELETE" else None)


def hang(hq: Setting) -> threading.Event:
    """The receiver accepts and never answers, until the event is set."""
    released = threading.Event()
    hq.receiver.interfere.append(lambda request: Response(200) if released.wait(30) else None)
    return released


# Pings ----------------------------------------------------------------------------------------------


def test_a_run_pings_when_it_starts_and_when_it_is_done(hq: Setting) -> None:
    done = hq("run", "--yes", notify={"ping": hq.ping})
    assert (done.exit_code, done.stderr) == (0, "")
    assert hq.receiver.paths == [f"/{UUID}/start", f"/{UUID}"]


def test_a_run_that_leaves_something_undone_pings_failure(hq: Setting) -> None:
    fail_deletions(hq)
    assert hq("run", "--yes", notify={"ping": hq.ping}).exit_code == 1
    assert hq.receiver.paths == [f"/{UUID}/start", f"/{UUID}/fail"]


@pytest.mark.parametrize("broken", [False, True])
def test_the_status_itself_is_pinged_if_that_is_wanted(hq: Setting, broken: bool) -> None:
    if broken:
        fail_deletions(hq)
    hq("run", "--yes", notify={"ping": hq.ping, "ping_status": True})
    assert hq.receiver.paths[-1] == f"/{UUID}/{int(broken)}"


def test_a_run_that_a_guard_refuses_pings_failure(hq: Setting) -> None:
    done = hq("run", "--yes", notify={"ping": hq.ping, "ping_status": True}, extra="[limits]\nmax_deletions = 0")
    assert done.exit_code == 3
    assert hq.receiver.paths[-1] == f"/{UUID}/3"


def test_a_run_that_another_one_locks_out_pings_failure(hq: Setting) -> None:
    (hq.folder / "state").mkdir()
    with FileLock(hq.folder / "state" / "lock"):
        assert hq("run", "--yes", notify={"ping": hq.ping, "ping_status": True}).exit_code == 4
    assert hq.receiver.paths == [f"/{UUID}/start", f"/{UUID}/4"]


@pytest.mark.parametrize("words", [["--account", "hp"], ["--plan", "nowhere.json"]])
def test_a_run_that_cannot_begin_pings_failure(hq: Setting, words: list[str]) -> None:
    assert hq("run", "--yes", *words, notify={"ping": hq.ping, "ping_status": True}).exit_code == 2
    assert hq.receiver.paths == [f"/{UUID}/start", f"/{UUID}/2"]


def test_a_dry_run_tells_nobody_unless_asked(hq: Setting) -> None:
    told = {"ping": hq.ping, "apprise": [hq.apprise], "when": "always", "prometheus": str(hq.prometheus)}
    assert hq("plan", notify=told).exit_code == 0
    assert hq("run", "--dry-run", notify=told).exit_code == 0
    assert (hq.receiver.seen, hq.prometheus.exists()) == ([], False)
    assert hq("plan", notify=told | {"dry_runs": True}).exit_code == 0
    assert "dry run, done" in hq.receiver.messages[0]["title"]
    assert hq.metrics["confcleanup_run_exit_status", "plan"] == 0


@pytest.mark.parametrize("status", [302, 404, 500])
def test_a_ping_that_is_not_taken_is_one_warning_and_changes_no_status(hq: Setting, status: int) -> None:
    hq.receiver.status = status
    done = hq("run", "--yes", notify={"ping": hq.ping})
    assert (done.exit_code, len(done.stderr.splitlines())) == (0, 1)
    assert f"ping: the answer was {status}" in done.stderr
    assert hq.receiver.paths[-2:] == [f"/{UUID}"] * 2, "a second try"


def test_a_receiver_that_is_not_there_is_one_warning_without_the_address(hq: Setting) -> None:
    done = hq("-vv", "run", "--yes", notify={"ping": f"http://127.0.0.1:9/{UUID}"})
    assert done.exit_code == 0
    assert done.stderr.count("some notifications were not sent") == 1
    assert UUID not in done.stderr


@pytest.mark.parametrize("way", ["ping", "apprise"])
def test_a_receiver_that_never_answers_holds_the_run_no_longer_than_the_timeout(hq: Setting, way: str) -> None:
    released = hang(hq)
    told = {"ping": hq.ping} if way == "ping" else {"apprise": [hq.apprise] * 3, "when": "always"}
    began = time.monotonic()
    done = hq("run", "--yes", notify=told | {"timeout": "1 s"})
    took = time.monotonic() - began
    released.set()
    assert done.exit_code == 0
    assert "not finished within 1 s" in done.stderr or "it took too long" in done.stderr
    assert took < 15


def test_the_program_ends_although_its_receivers_never_answer(hq: Setting) -> None:
    hq("plan", notify={"ping": hq.ping, "apprise": [hq.apprise] * 3, "when": "always", "timeout": "1 s"})
    released = hang(hq)
    words = ["-c", str(hq.folder / "config.toml"), "--state", str(hq.folder / "state"), "run", "--yes"]
    done = subprocess.run([sys.executable, "-m", "confcleanup", *words], timeout=25, check=False, capture_output=True)
    released.set()
    assert done.returncode == 0
    assert done.stderr.decode().count("not finished within 1 s") >= 3


def test_a_ping_address_may_come_from_the_environment(hq: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PING", hq.ping)
    assert hq("run", "--yes", notify={"ping": {"env": "PING"}}).stderr == ""
    assert hq.receiver.paths[-1] == f"/{UUID}"


def test_an_address_that_is_missing_is_a_warning_of_the_run_and_trouble_for_check(
    hq: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PING", raising=False)
    done = hq("run", "--yes", notify={"ping": {"env": "PING"}})
    assert done.exit_code == 0
    assert "ping: the environment variable PING is not set" in done.stderr
    assert hq("check", notify={"ping": {"env": "PING"}}).exit_code == 1


@pytest.mark.parametrize("where", ["text", "env"])
def test_plain_http_is_for_this_machine_alone(hq: Setting, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    address = f"http://hc.example.com/{UUID}"
    monkeypatch.setenv("PING", address)
    done = hq("run", "--yes", notify={"ping": address if where == "text" else {"env": "PING"}})
    assert done.exit_code == (2 if where == "text" else 0), "what stands in the config is a mistake of the config"
    assert "clear text" in done.stderr
    assert UUID not in done.stderr


def targets(hq: Setting) -> list[str]:
    """What was asked for, with its query."""
    return [f"{seen.request.path}?{urlencode(seen.request.query)}" for seen in hq.receiver.seen]


KUMA = "/api/push/kum4-t0ken-8800?status=up&msg=OK&ping="


@pytest.mark.parametrize(
    ("broken", "told"), [(False, "status=up&msg=exit+status+0"), (True, "status=down&msg=exit+status+1")]
)
def test_uptime_kuma_is_told_once_by_the_query_of_its_push_address(hq: Setting, broken: bool, told: str) -> None:
    if broken:
        fail_deletions(hq)
    done = hq("-vv", "run", "--yes", notify={"ping": hq.ping.replace(f"/{UUID}", KUMA), "ping_status": True})
    assert targets(hq) == [f"/api/push/kum4-t0ken-8800?{told}&ping="]
    assert "kum4-t0ken-8800" not in done.output


def test_any_other_query_of_a_ping_is_kept_behind_what_is_added_to_the_path(hq: Setting) -> None:
    hq("run", "--yes", notify={"ping": f"{hq.ping}/?create=1&key=k3y-in-the-query"})
    assert targets(hq) == [f"/{UUID}{end}?create=1&key=k3y-in-the-query" for end in ("/start", "")]


def test_a_query_is_not_told_if_the_ping_fails(hq: Setting) -> None:
    hq.receiver.status = 404
    done = hq("-vv", "run", "--yes", notify={"ping": f"{hq.ping}?key=k3y-in-the-query"})
    assert "ping: the answer was 404" in done.stderr
    assert "k3y-in-the-query" not in done.output


# Summaries ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("when", ["always", "trouble", "change"])
def test_a_summary_comes_always_or_on_trouble_or_on_change(hq: Setting, when: str) -> None:
    told = {"apprise": [hq.apprise], "when": when}
    hq("run", "--yes", notify=told)
    after_a_deletion = len(hq.receiver.messages)
    hq("run", "--yes", notify=told)
    after_nothing = len(hq.receiver.messages)
    fail_deletions(hq)
    hq.server.add_conference("0073310047", topic="Another", ended=41 * DAY)
    hq("run", "--yes", notify=told)
    after_trouble = len(hq.receiver.messages)
    hq("run", "--yes", notify=told)
    after_the_same_trouble = len(hq.receiver.messages)
    counts = (after_a_deletion, after_nothing, after_trouble, after_the_same_trouble)
    assert counts == {"always": (1, 2, 3, 4), "trouble": (0, 0, 1, 1), "change": (1, 1, 2, 2)}[when]


def test_a_stuck_item_is_told_once_although_the_status_is_0(hq: Setting) -> None:
    hq.server.add_conference("0073310049", topic="Endless", ended=400 * DAY, state="running")
    for _ in range(2):
        assert hq("run", "--yes", notify={"apprise": [hq.apprise]}).exit_code == 0
    (message,) = hq.receiver.messages
    assert message["title"].endswith("done, but something needs action (status 0)")
    assert "stuck: 1 item" in message["message"]
    assert "0073310049" not in json.dumps(message)


def test_a_message_that_was_not_accepted_is_sent_again_by_the_next_run(hq: Setting) -> None:
    fail_deletions(hq)
    hq.receiver.status = 500
    hq("run", "--yes", notify={"apprise": [hq.apprise]})
    hq.receiver.status = 200
    hq("run", "--yes", notify={"apprise": [hq.apprise]})
    hq("run", "--yes", notify={"apprise": [hq.apprise]})
    assert [seen.status for seen in hq.receiver.seen] == [500, 200]


def test_mail_by_cron_and_messages_remember_for_themselves_and_agree(hq: Setting) -> None:
    fail_deletions(hq)
    told = {"apprise": [hq.apprise]}
    mailed = [hq("-q", "run", "--yes", notify=told if number else {}).stderr for number in range(3)]
    assert ["1 failed of 1" in text for text in mailed] == [True, False, False]
    (message,) = hq.receiver.messages
    assert ("1 item failed" in message["message"], "status 1" in message["title"]) == (True, True)
    assert "exit status 1" in mailed[0]


def test_a_receiver_that_refuses_every_night_is_printed_once_with_quiet(hq: Setting) -> None:
    hq.receiver.status = 500
    told = {"apprise": [hq.apprise], "when": "always"}
    printed = [hq("-q", "run", "--yes", notify=told).stderr for _ in range(2)]
    assert ["apprise[1]" in text for text in printed] == [True, False]


def test_a_summary_has_counts_and_no_titles_or_ids(hq: Setting) -> None:
    assert hq("run", "--yes", notify={"apprise": [hq.apprise], "when": "always"}).stderr == ""
    (message,) = hq.receiver.messages
    assert message["title"].endswith("done (status 0)")
    assert message["type"] == "success"
    assert message["message"].splitlines()[0] == "hq: ok; 2 listed, 1 selected, 1 deleted"
    assert not any(word in json.dumps(message) for word in ("Budget", "0073310045", "Yesterday"))


def test_a_summary_of_a_run_that_could_not_begin_says_why(hq: Setting) -> None:
    hq("run", "--yes", "--account", "hp", notify={"apprise": [hq.apprise]})
    (message,) = hq.receiver.messages
    assert message["title"].endswith("could not start (status 2)")
    assert "--account hp" in message["message"]


def test_a_summary_of_trouble_says_what_and_titles_only_if_asked(hq: Setting) -> None:
    fail_deletions(hq)
    hq("run", "--yes", notify={"apprise": [hq.apprise]})
    hq("run", "--yes", notify={"apprise": [hq.apprise], "titles": True, "when": "always"})
    without, with_titles = hq.receiver.messages
    assert (without["type"], "1 failed" in without["message"]) == ("failure", True)
    assert "Budget" not in without["message"]
    assert 'failed: conferences 0073310045 "Budget review"' in with_titles["message"]


def test_a_backlog_that_the_time_did_not_suffice_for_is_in_summary_and_metrics(hq: Setting) -> None:
    told = {"apprise": [hq.apprise], "when": "always", "prometheus": str(hq.prometheus)}
    for number in range(20):
        hq.server.add_conference(f"00900{number:05}", topic="Backlog", ended=50 * DAY)
    hq.account = hq.account.replace('rate = "unlimited"', 'rate = "8/min"')
    done = hq("run", "--yes", notify=told, extra='[limits]\nmax_runtime = "30 s"')
    left = hq.metrics["confcleanup_account_items", "hq", "deferred"]
    assert (done.exit_code, left > 0) == (0, True)
    assert f"{left:g} left for the next run" in hq.receiver.messages[0]["message"]


def test_no_secret_and_no_title_leaves_by_any_way(hq: Setting) -> None:
    told = {"ping": hq.ping, "apprise": [hq.apprise], "when": "always", "prometheus": str(hq.prometheus)}
    hq("run", "--yes", notify=told)
    sent = b"".join(bytes(str(seen.request), "utf-8") + seen.request.body for seen in hq.receiver.seen)
    sent = sent.replace(f"/{UUID}".encode(), b"") + hq.prometheus.read_bytes()
    assert not any(secret.encode() in sent for secret in (hq.server.client_secret, UUID, "Budget review", "0073310045"))


def test_a_receiver_that_refuses_is_one_warning(hq: Setting) -> None:
    hq.receiver.status = 500
    done = hq("run", "--yes", notify={"apprise": [hq.apprise], "when": "always"})
    assert (done.exit_code, len(done.stderr.splitlines())) == (0, 1)
    assert "apprise[1]: the receiver did not accept it" in done.stderr


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("json://user:hunter22@example.com/x", "clear text"),
        ("mailto://user:hunter22@example.com", "clear text"),
        ("nonsense://hunter22", "not an address that Apprise knows"),
    ],
)
def test_an_address_that_cannot_be_used_is_a_warning_without_the_address(hq: Setting, address: str, why: str) -> None:
    done = hq("-vv", "run", "--yes", notify={"apprise": [address], "when": "always"})
    assert (done.exit_code, why in done.stderr) == (0, True)
    assert "hunter22" not in done.stderr


@pytest.mark.parametrize(("way", "module"), [("apprise", "apprise"), ("prometheus", "prometheus_client")])
def test_a_missing_extra_is_a_warning_that_names_the_command(
    hq: Setting, monkeypatch: pytest.MonkeyPatch, way: str, module: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    told = {"apprise": {"apprise": [hq.apprise], "when": "always"}, "prometheus": {"prometheus": str(hq.prometheus)}}
    done = hq("run", "--yes", notify=told[way])
    assert done.exit_code == 0
    assert f"pip install 'confcleanup[{way}]'" in done.stderr


# Metrics --------------------------------------------------------------------------------------------


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")
@pytest.mark.parametrize("mask", [0o077, 0o000])
def test_the_exporter_can_read_the_file_whatever_the_umask(hq: Setting, mask: int) -> None:
    before = os.umask(mask)
    try:
        for _ in range(2):  # a new file, and one that is replaced
            hq("run", "--yes", notify={"prometheus": str(hq.prometheus)})
            assert stat.S_IMODE(hq.prometheus.stat().st_mode) == 0o644
    finally:
        os.umask(before)
    assert [path.name for path in hq.folder.glob("*.prom*")] == ["confcleanup.prom"], "nothing is left beside it"


def test_the_metrics_of_a_run(hq: Setting) -> None:
    before = time.time()
    assert hq("run", "--yes", notify={"prometheus": str(hq.prometheus)}).stderr == ""
    found = hq.metrics
    assert found["confcleanup_run_exit_status", "run"] == 0
    assert found["confcleanup_run_finished_timestamp_seconds", "run"] >= before
    assert found["confcleanup_account_last_success_timestamp_seconds", "hq", "conferences"] >= int(before)
    assert found["confcleanup_account_status", "hq", "ok"] == 1
    states = {labels[-1]: value for (name, *labels), value in found.items() if name == "confcleanup_account_items"}
    assert {name: count for name, count in states.items() if count} == {"listed": 2, "selected": 1, "deleted": 1}
    assert states.keys() >= {"gone", "changed", "failed", "unknown", "deferred", "undecided", "stuck"}


def test_a_run_that_fails_or_cannot_begin_does_not_forget_the_last_success(hq: Setting) -> None:
    told = {"prometheus": str(hq.prometheus)}
    key = ("confcleanup_account_last_success_timestamp_seconds", "hq", "conferences")
    hq("run", "--yes", notify=told)
    good = hq.metrics[key]
    hq.server.interfere.append(lambda request: Response(400, {}))
    assert hq("run", "--yes", notify=told).exit_code == 1
    assert (hq.metrics[key], hq.metrics["confcleanup_account_status", "hq", "failed"]) == (good, 1)
    assert hq("run", "--yes", "--account", "hp", notify=told).exit_code == 2
    assert (hq.metrics[key], hq.metrics["confcleanup_run_exit_status", "run"]) == (good, 2)


def test_a_metrics_file_that_cannot_be_written_is_a_warning(hq: Setting) -> None:
    done = hq("run", "--yes", notify={"prometheus": str(hq.folder / "nowhere" / "x.prom")})
    assert (done.exit_code, "prometheus: No such file" in done.stderr) == (0, True)


def test_the_folder_of_the_metrics_holds_nothing_but_the_file(hq: Setting) -> None:
    folder = hq.folder / "textfile"
    folder.mkdir()
    hq("run", "--yes", notify={"prometheus": str(folder / "confcleanup.prom")})
    assert [file.name for file in folder.iterdir()] == ["confcleanup.prom"]


# The dead man's view --------------------------------------------------------------------------------


def test_last_success_is_well_after_a_good_run_and_asks_nobody_but_the_ledger(hq: Setting) -> None:
    hq("run", "--yes")
    asked = len(hq.server.seen)
    done = hq("check", "--last-success", "8d")
    assert (done.exit_code, len(hq.server.seen)) == (0, asked)
    assert done.stdout.startswith("hq: the last run without errors ended ")


def test_last_success_fails_without_any_run(hq: Setting) -> None:
    done = hq("check", "--last-success", "8d")
    assert (done.exit_code, "no run without errors is recorded" in done.stderr) == (1, True)


def test_last_success_fails_if_the_good_run_is_older(hq: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    from confcleanup.cli import check, options

    hq("run", "--yes")
    monkeypatch.setattr(check, "clock", lambda: options.clock() + 9 * DAY)
    assert hq("check", "--last-success", "10d").exit_code == 0
    done = hq("check", "--last-success", "8d")
    assert (done.exit_code, "ended 9 days ago" in done.stderr) == (1, True)


@pytest.mark.parametrize("kind", ["plan", "failed", "refused", "one rule of two", "another age"])
def test_a_run_that_did_not_do_all_does_not_count(hq: Setting, kind: str) -> None:
    ways = {
        "plan": ["plan"],
        "one rule of two": ["run", "--yes", "--rule", "conferences"],
        "another age": ["run", "--yes", "--older-than", "10 years"],
    }
    words = ways.get(kind, ["run", "--yes"])
    if kind == "failed":
        fail_deletions(hq)
    if kind == "one rule of two":
        hq.account += '[[accounts.hq.rules]]\nwhat = "conferences"\nname = "years"\nolder_than = "3 years"\n'
    hq(*words, extra="[limits]\nmax_deletions = 0" if kind == "refused" else "")
    done = hq("check", "--last-success", "8d")
    assert (done.exit_code, "for each of its 2 rules" in done.stderr) == (1, kind == "one rule of two")


def test_last_success_asks_only_for_the_accounts_of_a_shard(hq: Setting) -> None:
    """Each shard has a state folder of its own, which knows nothing of the others' accounts."""
    found = [hq("check", "--last-success", "8d", "--shard", f"{number}/2") for number in (0, 1)]
    assert sorted(done.exit_code for done in found) == [0, 1]
    assert sorted("hq" in done.stderr for done in found) == [False, True]


def test_last_success_takes_the_ages_of_the_config(hq: Setting) -> None:
    done = hq("check", "--last-success", "soon")
    assert (done.exit_code, "is not a length of time" in done.stderr) == (2, True)


# The log --------------------------------------------------------------------------------------------


def test_each_line_of_a_json_log_tells_the_run_and_the_account_where_there_is_one(hq: Setting) -> None:
    fail_deletions(hq)
    done = hq("-vv", "--log-format", "json", "run", "--yes", "--format", "json")
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert {line["run"] for line in lines} == {json.loads(done.stdout)["run"]}
    *errors, closing = [line for line in lines if line["level"] == "error"]
    assert {line.get("account") for line in errors} == {"hq"}
    assert "hq: 0 deleted, 1 failed of 1" in closing["message"]
