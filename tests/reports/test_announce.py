"""Telling people before their items are deleted, with a real mail server on loopback."""

from __future__ import annotations

import email
import socket
import time
from collections.abc import Iterator
from datetime import timedelta
from email import policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session
from click.testing import CliRunner, Result

from confcleanup.cli import cli
from confcleanup.redact import redact
from confcleanup.reports import announce
from confcleanup.sandbox.server import Server
from confcleanup.sandbox.trueconf import TrueConf
from confcleanup.sandbox.vobiz import _toml_lines
from tests.fake import one_rule

DAY = timedelta(days=1)
ADMIN = "it@example.com"
HOSTILE = "Budget\r\nBcc: eve@example.net\r\n\r\n\u202etxt.exe https://evil.example/j?pwd=123 www.evil.example"


class Post:
    """A mail server that keeps what it takes. ``refuses`` are answers by receiver."""

    def __init__(self) -> None:
        self.taken: list[tuple[list[str], EmailMessage]] = []
        self.refuses: dict[str, str] = {}

    async def handle_RCPT(  # noqa: N802  # the name that aiosmtpd calls
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if refusal := self.refuses.get(address):
            return refusal
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802  # likewise
        message = email.message_from_bytes(envelope.content or b"", policy=policy.default)  # type: ignore[arg-type]
        self.taken.append((list(envelope.rcpt_tos), message))
        return "250 OK"

    def to(self, address: str) -> list[EmailMessage]:
        return [message for receivers, message in self.taken if receivers == [address]]

    def text(self, address: str) -> str:
        (message,) = self.to(address)
        body = message.get_body(("plain",))
        assert body
        return str(body.get_content()).replace("\r\n", "\n")


class Setting:
    """A TrueConf server with a rule that has a notice, a mail server, and a config."""

    def __init__(self, folder: Path, server: TrueConf, url: str, post: Post, port: int) -> None:
        self.folder, self.server, self.post = folder, server, post
        self.mail = f"mailto://127.0.0.1:{port}?from=confcleanup@example.com&to={ADMIN}"
        self.rule = f'{one_rule(server.account("hq", url))}notice = "7 days"\n'

    def __call__(self, *words: str, **notify: Any) -> Result:
        config = self.folder / "config.toml"
        settings = {"apprise": [self.mail], "owners": True, "owner_address": "{owner}@example.com"} | notify
        kept = {name: value for name, value in settings.items() if value is not None}
        lines = ['timezone = "Europe/Berlin"', self.rule, "[notify]", *_toml_lines(kept)]
        config.write_text("\n".join(lines), "utf-8")
        config.chmod(0o600)
        return CliRunner().invoke(cli, ["-c", str(config), "--state", str(self.folder / "state"), *words])

    def add(self, ident: str, owner: str, topic: str = "Budget review", days: int = 41) -> None:
        self.server.add_conference(ident, topic=topic, owner=owner, ended=days * DAY)

    def begun(self, ident: str, **notify: Any) -> bool:
        """Whether the notice of an item has begun, as ``explain`` says it."""
        said = self("explain", "hq", ident, **notify).stdout
        return "if the next run announces it" not in said


@pytest.fixture
def hq(tmp_path: Path) -> Iterator[Setting]:
    post, server = Post(), TrueConf()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    controller = Controller(post, hostname="127.0.0.1", port=port)
    controller.start()
    with Server(server) as served:
        yield Setting(tmp_path, server, served.url, post, port)
    controller.stop()


def test_each_owner_gets_one_message_with_their_own_items(hq: Setting) -> None:
    hq.add("1", "anna")
    hq.add("2", "boris", "Secret plan")
    hq.add("3", "anna", "Interview", days=50)
    assert hq("run", "--yes", keep_hint="Tag it keep.").exit_code == 0
    text = hq.post.text("anna@example.com")
    assert "Budget review\n" in text
    assert "Interview\n" in text
    assert "Secret plan" not in text
    assert "How to keep one: Tag it keep.\n" in text
    assert "Secret plan" in hq.post.text("boris@example.com")


def test_a_message_names_the_end_and_the_day_with_their_zone(hq: Setting) -> None:
    hq.add("1", "anna")
    hq("run", "--yes")
    text = " ".join(hq.post.text("anna@example.com").split())
    assert hq("explain", "hq", "1").stdout.count("it goes on ") == 1
    day = hq("explain", "hq", "1").stdout.partition("it goes on ")[2].partition(",")[0]
    assert f"will be deleted on {day}" in text
    assert ", ended " in text
    assert " CE" in day


def test_what_was_announced_is_not_announced_again(hq: Setting) -> None:
    hq.add("1", "anna")
    hq("run", "--yes")
    hq("run", "--yes")
    assert len(hq.post.taken) == 2
    hq.add("2", "anna", "New")
    hq("run", "--yes")
    assert "Budget review" not in str(hq.post.to("anna@example.com")[-1])


def test_a_dry_run_writes_to_nobody(hq: Setting) -> None:
    hq.add("1", "anna")
    assert "1 to be announced" in hq("plan").output
    assert hq.post.taken == []


def test_a_run_that_nobody_confirms_writes_to_nobody(hq: Setting) -> None:
    hq.add("1", "anna")
    hq.add("2", "anna", "goes at once")
    hq.rule += '[[accounts.hq.rules]]\nname = "at once"\nwhat = "conferences"\nolder_than = "1 day"\ntitle = "goes*"\n'
    assert hq("run").exit_code == 3
    assert hq.post.to("anna@example.com") == []
    assert not hq.begun("1")


def test_history_says_how_many_items_are_on_notice(hq: Setting) -> None:
    hq.add("1", "anna")
    hq("run", "--yes")
    assert "1 item is on notice and not deleted yet." in hq("history").stdout


@pytest.mark.parametrize("owner", ["anna", "Anna"])
def test_a_file_gives_the_addresses_of_owners(hq: Setting, owner: str) -> None:
    (hq.folder / "owners.csv").write_text("owner,address\nanna,a.smith@example.org\n", "utf-8")
    hq.add("1", owner)
    hq("run", "--yes", owner_address=None, owner_addresses=str(hq.folder / "owners.csv"))
    assert len(hq.post.to("a.smith@example.org")) == 1


def test_an_owner_that_is_an_address_is_written_to(hq: Setting) -> None:
    hq.add("1", "anna@example.org")
    hq("run", "--yes")
    assert len(hq.post.to("anna@example.org")) == 1


def test_the_administrator_is_told_how_many_have_no_known_owner(hq: Setting) -> None:
    hq.add("1", "anna")
    hq.add("2", "two words")
    assert hq("run", "--yes").exit_code == 0
    text = hq.post.text(ADMIN)
    assert "2 items will be deleted" in text
    assert "1 announced to their owners" in text
    assert "1 whose owner has no known e-mail address" in text
    assert "Budget review" not in text
    assert hq.begun("2")


def test_without_owners_the_administrator_alone_gets_a_digest_with_titles_if_allowed(hq: Setting) -> None:
    hq.add("1", "anna")
    hq("run", "--yes", owners=False, titles=True)
    assert [receivers for receivers, _ in hq.post.taken] == [[ADMIN]]
    assert "Budget review" in hq.post.text(ADMIN)


def test_hostile_titles_and_owners_reach_no_header_and_no_other_reader(hq: Setting) -> None:
    hq.add("1", "anna", HOSTILE)
    hq.add("2", "anna\r\nBcc: eve@example.net", "x")
    hq.add("3", "anna,eve@example.net", "x")
    hq.add("4", "<eve@example.net>", "x")
    hq.add("5", "\u202eanna", "x")
    hq("run", "--yes", titles=True)
    assert sorted(receivers[0] for receivers, _ in hq.post.taken) == ["anna@example.com", ADMIN]
    (message,) = hq.post.to("anna@example.com")
    assert set(message) == {
        *("From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "MIME-Version"),
        *("Content-Type", "Content-Transfer-Encoding"),
    } | ({"X-Peer"} & set(message))
    for address in ("anna@example.com", ADMIN):
        text = hq.post.text(address)
        assert "\u202e" not in text
        assert "evil.example" not in text
        assert "\nBcc" not in text
    assert r"Budget\x0d\x0aBcc: eve@example.net\x0d\x0a\x0d\x0a\u202etxt.exe [link] [link]" in " ".join(
        hq.post.text("anna@example.com").split()
    )


def test_a_message_holds_no_id_and_no_secret(hq: Setting) -> None:
    redact.add("hunter2-secret")
    hq.add("0073310045", "anna", "PIN hunter2-secret")
    hq("run", "--yes")
    text = str(hq.post.to("anna@example.com")[0])
    assert "0073310045" not in text
    assert "hunter2" not in text


def test_what_could_not_be_announced_has_no_notice_and_the_run_says_so(hq: Setting) -> None:
    hq.add("1", "anna")
    hq.add("2", "boris")
    hq.post.refuses = {"boris@example.com": "451 try later", ADMIN: "451 try later"}
    run = hq("-q", "run", "--yes")
    assert run.exit_code == 1
    assert "1 item not announced, so the notice has not begun" in run.stderr
    assert (hq.begun("1"), hq.begun("2")) == (True, False)
    assert "1 item not announced" in hq("history").stdout
    hq.post.refuses = {}
    assert hq("run", "--yes").exit_code == 0
    assert hq.begun("2")
    assert len(hq.post.to("anna@example.com")) == len(hq.post.to("boris@example.com")) == 1


def test_an_item_that_could_not_be_announced_has_no_day_on_which_it_goes(hq: Setting) -> None:
    hq.add("1", "anna")
    hq.post.refuses = {"anna@example.com": "451 try later"}
    run = hq("run", "--yes", "--format", "json")
    assert '"decision": "notice"' in run.stdout
    assert '"goes_at": null' in run.stdout
    assert '"announced": 0' in run.stdout


def test_without_notice_required_the_notice_begins_all_the_same(hq: Setting) -> None:
    hq.add("1", "anna")
    hq.post.refuses = {"anna@example.com": "451 try later"}
    run = hq("run", "--yes", notice_required=False)
    assert run.exit_code == 0
    assert "1 item not announced, but the notice has begun" in run.stderr


def test_an_address_that_is_refused_for_good_leaves_the_item_to_the_administrator(hq: Setting) -> None:
    hq.add("1", "gone")
    hq.post.refuses = {"gone@example.com": "550 no such user"}
    assert hq("run", "--yes").exit_code == 0
    assert "refused the addresses of 1 owner." in hq.post.text(ADMIN)
    assert hq.begun("1")


def test_a_mail_server_that_is_away_holds_nothing_up(hq: Setting) -> None:
    hq.add("1", "anna")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        began = time.monotonic()
        run = hq("run", "--yes", apprise=[f"mailto://127.0.0.1:{port}?from=a@example.com"], timeout="1 s")
    assert run.exit_code == 1
    assert time.monotonic() - began < 40
    assert not hq.begun("1")


def test_after_three_failures_in_a_row_the_rest_is_left_to_the_next_run(hq: Setting) -> None:
    for number in range(6):
        hq.add(str(number), f"owner{number}")
        hq.post.refuses[f"owner{number}@example.com"] = "451 try later"
    del hq.post.refuses["owner5@example.com"]
    hq("run", "--yes")
    assert hq.post.to("owner5@example.com") == []


def test_a_message_names_a_bounded_number_and_the_rest_is_announced_later(
    hq: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(announce, "MOST", 2)
    for number in range(3):
        hq.add(str(number), "anna", f"Title {number}", days=40 + number)
    run = hq("run", "--yes")
    assert run.exit_code == 0
    assert "1 item not announced, so the notice has not begun: left for the next run" in run.stderr
    assert len(hq.post.to("anna@example.com")) == 1
    hq("run", "--yes")
    first, second = map(str, hq.post.to("anna@example.com"))
    assert [f"Title {number}" in first for number in range(3)].count(True) == 2
    assert [f"Title {number}" in second for number in range(3)].count(True) == 1


def test_the_mail_servers_password_is_nowhere_in_output_and_messages(hq: Setting) -> None:
    hq.add("1", "anna")
    port = hq.mail.partition("127.0.0.1:")[2].partition("?")[0]
    url = f"mailto://user:pass-w0rd-x@127.0.0.1:{port}?from=confcleanup@example.com"
    run = hq("-vv", "run", "--yes", apprise=[url])
    assert run.exit_code == 1, "this server knows no sign-in"
    assert "pass-w0rd-x" not in run.output
    assert all("pass-w0rd-x" not in str(message) for _, message in hq.post.taken)


def test_a_plan_shows_what_goes_now_and_what_is_on_notice_apart(hq: Setting) -> None:
    hq.add("1", "anna")
    hq.add("2", "anna", "goes at once")
    hq.rule += '[[accounts.hq.rules]]\nname = "at once"\nwhat = "conferences"\nolder_than = "1 day"\ntitle = "goes*"\n'
    page = hq.folder / "page.html"
    lines = hq("plan", "--html", str(page)).stdout.splitlines()
    assert [line.split()[1] for line in lines if line.split()[:1] == ["hq"]] == ["delete", "notice"]
    text = page.read_text("utf-8")
    assert text.index("goes at once") < text.index("On notice, deleted when it is over") < text.index("Budget review")


# Bad input ----------------------------------------------------------------------------------------


def test_every_mistake_is_named_at_once_with_its_key(hq: Setting) -> None:
    (hq.folder / "owners.csv").write_text(
        "owner,address\nanna,anna@example.com\nAnna,a@example.com\nboris,x\n", "utf-8"
    )
    hq.rule = hq.rule.replace('notice = "7 days"', 'notice = "31 days"')
    said = hq(
        *("check",),
        apprise=["json://127.0.0.1"],
        owner_address="anna@example.com",
        owner_addresses=str(hq.folder / "owners.csv"),
    )
    assert said.exit_code == 2
    for words in (
        "accounts.hq.rules[1].notice: is longer than older_than (30 days)",
        "notify.owner_address: must hold {owner}",
        "owners.csv, line 3: the owner 'Anna' is there twice",
        "owners.csv, line 4: 'x' is not an e-mail address",
        "notify.owner_addresses: is given beside owner_address; give one of them",
        "notify.owners: needs a mail server",
    ):
        assert words in said.stderr


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("-1 days", "'-1 days' is not a length of time"),
        ("1 month", "'1 month': months and years have no fixed length here"),
        ("soon", "'soon' is not a length of time"),
    ],
)
def test_a_notice_is_a_length_of_time(hq: Setting, text: str, words: str) -> None:
    hq.rule = hq.rule.replace('notice = "7 days"', f'notice = "{text}"')
    said = hq("check")
    assert said.exit_code == 2
    assert f"accounts.hq.rules[1].notice: {words}" in said.stderr


@pytest.mark.parametrize(
    ("what", "words"),
    [("conferences", "a live room is told by announce"), ("meetings", "nothing of it is ever deleted")],
)
def test_a_notice_is_for_what_is_deleted_by_age(tmp_path: Path, what: str, words: str) -> None:
    accounts = {
        "conferences": 'provider = "vobiz"\nauth_id = "MA_X"\nauth_token = "x"',
        "meetings": 'provider = "huawei"\napp_id = "a"\napp_key = "k"\nuser_id = "u"',
    }
    more = 'max_duration = "3 hours"' if what == "conferences" else ""
    config = tmp_path / "config.toml"
    config.write_text(
        f'[accounts.a]\n{accounts[what]}\n[[accounts.a.rules]]\nwhat = "{what}"\nnotice = "1 day"\n{more}\n'
    )
    config.chmod(0o600)
    said = CliRunner().invoke(cli, ["-c", str(config), "check"])
    assert f"accounts.a.rules[1].notice: is not for {what}: {words}" in said.stderr


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "must begin with the line owner,address"),
        ("name,mail\n", "must begin with the line owner,address"),
        ("owner,address\nanna\n", "line 2: give an owner and an address"),
        ("owner,address\n,anna@example.com\n", "line 2: give an owner and an address"),
        ('owner,address\n"anna', "it is not CSV in UTF-8"),
        (None, "No such file"),
    ],
)
def test_a_file_of_addresses_that_cannot_be_read_is_named(hq: Setting, text: str | None, words: str) -> None:
    if text is not None:
        (hq.folder / "owners.csv").write_text(text, "utf-8")
    said = hq("check", owner_address=None, owner_addresses=str(hq.folder / "owners.csv"))
    assert said.exit_code == 2
    assert words in said.stderr
