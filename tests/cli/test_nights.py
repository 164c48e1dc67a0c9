"""Ten nights on which something is wrong: what cron mails then, the night after, and a week later."""

from __future__ import annotations

import errno
import json
import os
import socket
import sqlite3
import ssl
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import trustme
from click.testing import CliRunner

from confcleanup.cli import cleaning, cli, notices
from confcleanup.config.load import load
from confcleanup.lock import Claim, Held, lock
from confcleanup.records import ledger, reported, stores
from confcleanup.sandbox.server import Request, Response, Server
from confcleanup.sandbox.trueconf import TrueConf
from tests.fake import one_rule

DAY = timedelta(days=1)
SECRET = "sandbox-trueconf-secret"
MOST = 6
"""Lines of a mail: a person reads it on a telephone."""


class Mail(NamedTuple):
    """What cron would mail, and the exit status."""

    status: int
    text: str

    @property
    def lines(self) -> list[str]:
        return self.text.splitlines()


class World:
    """Two TrueConf servers, of which hq has trouble and east has none, and a cron job over years."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch, stack: ExitStack) -> None:
        self.folder, self.patch, self.stack = folder, patch, stack
        self.state = folder / "state"
        self.began = datetime.now(UTC)
        self.now = self.began
        self.hq, self.east = TrueConf(self.clock), TrueConf(self.clock)
        for number in range(20):
            self.hq.add_conference(f"00733100{number:02}", topic=f"Secret talks {number}", ended=41 * DAY)
        self.east.add_conference("0081000001", topic="Old", ended=41 * DAY)
        self.east.add_conference("0081000002", topic="Young", ended=DAY)
        self.server = stack.enter_context(Server(self.hq))
        self.url = self.server.url
        self.other = stack.enter_context(Server(self.east)).url
        self.lines: dict[str, Any] = {}
        self.more = self.rule = ""
        self.quiet = True
        self.places, self.command = ["--state", str(self.state)], ["run", "--yes"]
        for module in (cleaning, notices):
            patch.setattr(module, "clock", self.clock)

    def clock(self) -> datetime:
        return self.now

    def night(self, number: int) -> Mail:
        """What is mailed in a night, counted from 1; each run begins some seconds earlier than the one before."""
        self.now = self.began + (number - 1) * DAY - timedelta(seconds=number)
        config = self.folder / "config.toml"
        hq = one_rule(self.hq.account("hq", self.url, **self.lines)) + self.rule
        east = one_rule(self.east.account("east", self.other))
        config.write_text(f"{self.more}{hq}\n{east}", "utf-8")
        config.chmod(0o600)
        words = ["-c", str(config), *self.places, *(["-q"] if self.quiet else []), *self.command]
        done = CliRunner().invoke(cli, words)
        assert not done.exception or isinstance(done.exception, SystemExit), done.exception
        return Mail(done.exit_code, done.output)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_waiting: None) -> Iterator[World]:
    with ExitStack() as stack:
        yield World(tmp_path, monkeypatch, stack)


def vendor_down(world: World) -> None:
    world.server.__exit__()
    world.stack.pop_all()


def vendor_in_trouble(world: World) -> None:
    world.hq.interfere.append(lambda request: Response(503, {}))


def certificate_expired(world: World) -> None:
    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1", not_after=datetime(2021, 1, 1, tzinfo=UTC)).configure_cert(context)
    authority.cert_pem.write_to_path(world.folder / "ca.pem")
    world.server._server.socket = context.wrap_socket(world.server._server.socket, server_side=True)
    world.url = world.url.replace("http:", "https:")
    world.lines["ca_file"] = str(world.folder / "ca.pem")


def password_wrong(world: World) -> None:
    world.lines["client_secret"] = "hunter2hunter2"


def name_unknown(world: World) -> None:
    found = socket.getaddrinfo

    def asked(host: str, *more: Any, **options: Any) -> Any:
        if host == "conf.example.com":
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return found(host, *more, **options)

    world.patch.setattr(socket, "getaddrinfo", asked)
    world.url = "https://conf.example.com"


def _forbidden(world: World, method: str) -> None:
    def refuse(request: Request) -> Response | None:
        return Response(403, {"error": "access_denied"}) if request.method == method else None

    world.hq.interfere.append(refuse)


def right_to_delete_revoked(world: World) -> None:
    _forbidden(world, "DELETE")


def right_to_list_revoked(world: World) -> None:
    _forbidden(world, "GET")


def disk_full(world: World) -> None:
    """The ledger's file and all others in the state folder can grow no more."""
    connect = sqlite3.connect

    def full(file: Any, *more: Any, **options: Any) -> sqlite3.Connection:
        found = connect(file, *more, **options)
        if str(file).endswith("ledger.sqlite"):
            found.execute(f"PRAGMA max_page_count = {found.execute('PRAGMA page_count').fetchone()[0]}")
        return found

    def no_room(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    world.hq.conferences, kept = {}, world.hq.conferences
    world.night(-1)  # before the disk was full
    world.hq.conferences = kept
    world.patch.setattr(ledger.sqlite3, "connect", full)
    world.patch.setattr(reported.Reported, "_write", no_room)


def clock_off(world: World) -> None:
    world.hq.clock = lambda: world.now + timedelta(hours=2)


def folder_of_somebody_else(world: World) -> None:
    world.state.mkdir(mode=0o500)

    def denied(*_: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    world.patch.setattr(stores, "try_folder", denied)  # root writes everywhere
    world.patch.setattr(reported.Reported, "_write", denied)


def other_run(world: World) -> AbstractContextManager[Held]:
    """Another run that cleans the conferences of hq."""
    file = world.folder / "other.toml"
    file.write_text(one_rule(world.hq.account("hq", world.url)), "utf-8")
    file.chmod(0o600)
    return lock(world.state, [Claim("hq", load(file).accounts["hq"].identity, ["conferences"])])


def lock_held(world: World) -> None:
    world.stack.enter_context(other_run(world))


def typo(world: World) -> None:
    world.state.mkdir()
    world.more = 'older_tan = "30 days"\n'


Case = tuple[Callable[[World], None], int, list[str], bool]
NIGHTS: list[Case] = [
    (vendor_down, 1, ["hq:", "refused"], True),
    (vendor_in_trouble, 1, ["hq:", "503"], True),
    (certificate_expired, 1, ["hq:", "certificate", "expired"], True),
    (password_wrong, 1, ["hq:", "sign-in", "401"], True),
    (name_unknown, 1, ["hq:", "conf.example.com"], True),
    (right_to_delete_revoked, 1, ["hq:", "403", "0 deleted", "of 20"], True),
    (right_to_list_revoked, 1, ["hq:", "403"], True),
    (disk_full, 1, ["hq:", "full"], False),
    (clock_off, 3, ["hq:", "clock", "minutes behind"], True),
    (folder_of_somebody_else, 2, ["state", "--state"], False),
    (lock_held, 4, ["hq:", "another run", "is cleaning conferences", str(os.getpid())], True),
    (typo, 2, ["config.toml", "older_tan", "older_than"], True),
]


@pytest.mark.parametrize("case", NIGHTS, ids=lambda case: case[0].__name__)
def test_a_night_with_trouble_is_mailed_once_and_again_after_a_week_with_its_true_status(
    world: World, case: Case
) -> None:
    break_it, status, facts, remembered = case
    break_it(world)
    first, second, eighth = world.night(1), world.night(2), world.night(8)
    assert (first.status, second.status, eighth.status) == (status,) * 3
    assert all(fact in first.text for fact in facts), first.text
    assert len(first.lines) <= MOST
    assert bool(second.text) is not remembered
    assert all(fact in eighth.text for fact in facts), eighth.text
    assert len(first.lines) == 1 or str(status) in first.lines[-1] or not remembered
    for mail in (first, second, eighth):
        assert not any(word in mail.text for word in (SECRET, "hunter2", "Traceback", "Error:"))


# Nights that need nobody, and what changes --------------------------------------------------------


def conflict(world: World, *idents: str) -> None:
    """The server answers the deletion of these conferences with 409 from now on."""

    def refuse(request: Request) -> Response | None:
        gone = request.method == "DELETE" and request.path.rpartition("/")[2] in idents
        return Response(409, {"error": "conflict"}) if gone else None

    world.hq.interfere.append(refuse)


def test_a_night_on_which_all_goes_well_is_not_mailed(world: World) -> None:
    assert world.night(1) == (0, "")


def test_one_item_that_fails_every_night_is_mailed_once_with_totals_and_how_to_silence_it(world: World) -> None:
    conflict(world, "0073310007")
    first = world.night(1)
    assert first.status == 1
    assert "conferences 0073310007" in first.text
    assert "409" in first.text
    assert "keep_ids" in first.text
    assert "hq: 19 deleted, 1 failed of 20" in first.lines[-1]
    assert len(first.lines) == 2
    assert world.night(2) == (1, "")
    assert "0073310007" in world.night(8).text
    world.rule = 'keep_ids = ["0073310007"]\n'
    assert world.night(9) == (0, "")


def test_another_item_that_fails_is_mailed_and_the_first_only_counted(world: World) -> None:
    conflict(world, "0073310007")
    world.night(1)
    world.hq.add_conference("0073310099", ended=41 * DAY)
    conflict(world, "0073310099")
    second = world.night(2)
    assert "0073310099" in second.text
    assert "0073310007" not in second.text
    assert "2 items failed" in second.text
    assert world.night(3) == (1, "")


def test_trouble_that_went_away_and_came_back_is_mailed_again(world: World) -> None:
    vendor_in_trouble(world)
    assert world.night(1).text
    world.hq.interfere.clear()
    assert world.night(2) == (0, "")
    vendor_in_trouble(world)
    assert world.night(3).text


def test_a_new_password_that_is_refused_too_is_mailed(world: World) -> None:
    password_wrong(world)
    assert world.night(1).text
    assert world.night(2) == (1, "")
    world.lines["client_secret"] = "hunter3hunter3"
    assert world.night(3).text
    assert world.night(4) == (1, "")


def test_a_stuck_item_is_mailed_once_although_the_status_is_0(world: World) -> None:
    world.hq.add_conference("0073310099", ended=400 * DAY, state="running")
    first = world.night(1)
    assert (first.status, "stuck" in first.text, "0073310099" in first.text) == (0, True, True)
    assert "keep_ids" in first.text
    assert "20 deleted of 20" in first.lines[-1]
    assert world.night(2) == (0, "")
    assert "first reported" in world.night(8).text
    world.rule = 'keep_ids = ["0073310099"]\n'
    assert world.night(9) == (0, "")


def test_a_keep_id_that_fits_nothing_is_mailed_and_a_filter_that_fits_nothing_is_not(world: World) -> None:
    world.rule = 'title = "nothing of this name"\n'
    assert world.night(1) == (0, "")
    world.rule = 'keep_ids = ["0073310123"]\n'
    assert "0073310123" in world.night(2).text
    assert world.night(3) == (0, "")
    world.rule = 'keep_ids = ["0073310124"]\n'
    assert "0073310124" in world.night(4).text


def test_a_keep_tag_that_nobody_uses_yet_is_mailed_once_and_not_every_week(world: World) -> None:
    world.rule = 'keep_tags = ["keep"]\n'
    assert "'keep'" in world.night(1).text
    assert [world.night(day).text for day in (2, 8, 15, 40)] == [""] * 4


def test_a_backlog_is_mailed_once_it_has_not_shrunk_for_a_week(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("confcleanup.run.carry_out", lambda deletion: deletion.plan.selected.defer())
    mailed = [night for night in range(1, 16) if world.night(night).text]
    assert mailed == [8, 15]


def test_a_run_without_quiet_says_everything_every_night_and_ends_with_totals(world: World) -> None:
    conflict(world, "0073310007")
    world.quiet = False
    first, second = world.night(1), world.night(2)
    for mail in (first, second):
        assert "0073310007" in mail.text
        assert "finished with errors" in mail.text
    assert "hq: 19 deleted, 1 failed of 20" in first.text
    world.quiet = True
    assert "0073310007" in world.night(3).text, "what was shown to a person at a terminal was not mailed to anybody"


def test_a_quiet_dry_run_says_each_time_what_needs_action(world: World) -> None:
    vendor_in_trouble(world)
    world.command = ["plan"]
    first, second = world.night(1), world.night(2)
    for mail in (first, second):
        assert "dry run, finished with errors, exit status 1: hq: not listed" in mail.text
        assert "after 7 days" not in mail.text


def test_with_a_json_log_every_line_on_standard_error_is_json(world: World) -> None:
    conflict(world, "0073310007")
    world.command = ["--log-format", "json", "run", "--yes"]
    *_, closing = map(json.loads, world.night(1).lines)
    assert (closing["level"], "19 deleted, 1 failed of 20" in closing["message"]) == ("error", True)


def test_what_is_not_printed_again_is_still_in_the_log_file(world: World) -> None:
    conflict(world, "0073310007")
    log = world.folder / "log"
    world.command = ["--log-file", str(log), "run", "--yes"]
    world.night(1)
    before = len(log.read_text("utf-8"))
    assert world.night(2) == (1, "")
    assert "0073310007" in log.read_text("utf-8")[before:]


def test_jobs_with_other_rules_or_accounts_do_not_silence_each_other(world: World) -> None:
    vendor_in_trouble(world)
    for words in ([], ["--rule", "conferences"], ["--account", "hq", "--rule", "conferences"]):
        world.command = ["run", "--yes", *words]
        assert bool(world.night(1).text) is (len(words) < 4)


def test_a_job_that_does_not_start_is_mailed_once_whatever_other_jobs_do(world: World) -> None:
    world.night(1)
    mailed = []
    for night in (2, 3):
        world.command = ["run", "--yes", "--account", "east"]
        world.night(night)
        world.command = ["run", "--yes", "--account", "hq"]
        with other_run(world):
            mailed.append(bool(world.night(night).text))
    assert mailed == [True, False]


def test_a_typo_is_mailed_every_night_if_only_the_config_could_tell_where_to_remember_it(world: World) -> None:
    typo(world)
    world.places = []
    for night in (1, 2):
        mail = world.night(night)
        assert (mail.status, "older_tan" in mail.text, "7 days" in mail.text) == (2, True, False)
