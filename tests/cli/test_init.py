"""The questions of ``init`` on a terminal, answered as a person would, from nothing to a dry run."""

from __future__ import annotations

import json
import os
import re
import select
import signal
import ssl
import stat
import subprocess
import sys
import threading
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme
from click.testing import CliRunner
from jsonschema import Draft202012Validator

from confcleanup import providers
from confcleanup.cli import cli
from confcleanup.cli.init import SCHEMA
from confcleanup.cli.questions import guide, keys, offered, simple
from confcleanup.config import load as config
from confcleanup.sandbox.huawei import Huawei, User
from confcleanup.sandbox.server import Server
from confcleanup.sandbox.trueconf import TrueConf
from confcleanup.sandbox.vobiz import Vobiz
from confcleanup.sandbox.vonage import Vonage
from tests.fake import Fake

pty = pytest.importorskip("pty", reason="there are pseudo-terminals on POSIX only")
ROOT = Path(__file__).parents[2]
TAPLO = Path(sys.executable).with_name("taplo")
Talk = list[tuple[str, str | signal.Signals]]


def converse(*words: str, talk: Talk, **environment: str) -> tuple[int, str]:
    """Runs the program on a terminal and gives each answer when its question has appeared; status, and the screen.

    A question is a line that begins as it is given here and ends with a colon.
    """
    ours, theirs = pty.openpty()
    program = subprocess.Popen(
        [sys.executable, "-m", "confcleanup", *words],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, "COLUMNS": "120", "TERM": "xterm", **environment},
    )
    os.close(theirs)
    ended = threading.Event()

    def interrupt(number: signal.Signals) -> None:
        """A signal that comes just before a program begins to read may not be noticed; a person presses again."""
        program.send_signal(number)
        while not ended.wait(5):
            program.send_signal(number)

    shown, read_up_to, open_ones = "", 0, list(talk)
    while True:
        try:
            if not select.select([ours], [], [], 30)[0]:
                program.kill()
            shown += os.read(ours, 65536).decode()
        except OSError:
            break
        while open_ones and (
            found := re.search(rf"(?m)^{re.escape(open_ones[0][0])}(?!\w)[^\n]*: \Z", shown[read_up_to:])
        ):
            read_up_to += found.end()
            _, answer = open_ones.pop(0)
            if isinstance(answer, str):
                os.write(ours, answer.encode() + b"\n")
            else:
                threading.Thread(target=interrupt, args=(answer,), daemon=True).start()
    ended.set()
    os.close(ours)
    assert open_ones == [], f"was never asked: {open_ones[0][0]!r}; the screen:\n{shown}"
    return program.wait(50), shown.replace("\r", "")


def init(file: Path, *words: str, talk: Talk, **environment: str) -> tuple[int, str]:
    return converse("-c", str(file), "init", *words, talk=talk, **environment)


def settings_of(file: Path) -> dict[str, Any]:
    """What a config says of its one account, apart from the rules."""
    (account,) = tomllib.loads(file.read_text(encoding="utf-8"))["accounts"].values()
    return {key: value for key, value in account.items() if key != "rules"}


AGE = "Delete items how long after they end?"
WHERE, TYPED = "Number or name", ""


def of_trueconf(server: TrueConf, url: str) -> Talk:
    return [
        (AGE, ""),
        ("url", url),
        ("client_id", server.client_id),
        (WHERE, TYPED),
        ("client_secret", server.client_secret),
    ]


def of_vobiz(server: Vobiz, url: str) -> Talk:
    rules: Talk = [("Numbers or names", "2, RECORDINGS"), ("End a room", ""), (AGE, "")]
    return [*rules, ("url", url), ("auth_id", server.auth_id), (WHERE, TYPED), ("auth_token", server.auth_token)]


def of_huawei(server: Huawei, url: str) -> Talk:
    account: Talk = [("app_id", server.app_id), (WHERE, TYPED), ("app_key", server.app_key), ("user_id", "")]
    return [(AGE, ""), ("url", url), *account]


def of_vonage(server: Vonage, url: str) -> Talk:
    addresses: Talk = [("url", f"{url}/t/vbc.prod/call_recording"), ("token_url", ""), ("provisioning_url", "")]
    account: Talk = [("client_id", server.client_id), (WHERE, TYPED), ("client_secret", server.client_secret)]
    user: Talk = [("username", server.username), ("password", server.password)]
    return [("Numbers or names", "company"), (AGE, "6 months"), *addresses, *account, *user]


def set_unlimited(file: Path) -> None:
    """The emulator has no quota, so a test need not wait for one: the commented rate comes into force."""
    text, count = re.subn(r'(?m)^# rate = "[^"]*"', 'rate = "unlimited"', file.read_text(encoding="utf-8"))
    assert count == 1
    file.write_text(text, encoding="utf-8")


VENDORS: dict[str, tuple[str, Any, Any, tuple[str, ...]]] = {
    "trueconf": ("1", TrueConf, of_trueconf, ("client_secret",)),
    "vobiz": ("Vobiz", Vobiz, of_vobiz, ("auth_token",)),
    "huawei": ("HUA", Huawei, of_huawei, ("app_key",)),
    "vonage": ("4", Vonage, of_vonage, ("client_secret", "password")),
}


@pytest.mark.parametrize("name", VENDORS)
def test_from_nothing_to_a_dry_run(tmp_path: Path, name: str) -> None:
    chosen, emulator, answers, secrets = VENDORS[name]
    server, file = emulator(), tmp_path / "new" / "config.toml"
    with Server(server) as served:
        if hasattr(server, "public_url"):
            server.public_url = served.url
        server.fill()
        status, shown = init(file, talk=[("Number or name", chosen), *answers(server, served.url)])
        assert status == 0, shown
        set_unlimited(file)
        planned = CliRunner().invoke(cli, ["-c", str(file), "--state", str(tmp_path / "state"), "plan"])
    assert planned.exit_code == 0, planned.stderr
    assert re.search(rf"^{name}: would delete \d+ of \d+", planned.stdout, re.MULTILINE), planned.stdout
    assert f"Next:\n  confcleanup -c {file} plan" in shown
    text = file.read_text(encoding="utf-8")
    kept = {file, *(file.with_name(f"{name}.{key}") for key in secrets)}
    assert kept | {file.with_name(SCHEMA)} == set(file.parent.iterdir())
    assert {stat.S_IMODE(path.stat().st_mode) for path in kept} == {0o600}
    for key in secrets:
        secret = getattr(server, key)
        assert file.with_name(f"{name}.{key}").read_text(encoding="utf-8") == f"{secret}\n"
        assert secret not in shown + text
    assert len(text.splitlines()) < 60
    assert not any(other in text for other in VENDORS if other != name)


@pytest.mark.parametrize("name", VENDORS)
def test_every_key_that_the_config_has_as_a_comment_can_be_used(tmp_path: Path, name: str) -> None:
    chosen, emulator, answers, _ = VENDORS[name]
    server, file = emulator(), tmp_path / "config.toml"
    with Server(server) as served:
        server.fill()
        init(file, talk=[("Number or name", chosen), *answers(server, served.url)])
    text, count = re.subn(r"(?m)^# (?=\[|[a-z_]+ = )", "", file.read_text(encoding="utf-8"))
    file.write_text(text.replace("rooms_file", "# rooms_file"), encoding="utf-8")
    assert count > 6
    config.load(file)


@pytest.fixture
def trueconf() -> Iterator[tuple[TrueConf, str]]:
    emulator = TrueConf()
    with Server(emulator) as server:
        yield emulator, server.url


def test_only_the_credentials_are_asked_again_after_a_refused_sign_in(
    tmp_path: Path, trueconf: tuple[TrueConf, str]
) -> None:
    emulator, url = trueconf
    file = tmp_path / "config.toml"
    wrong: Talk = [(AGE, "90 days"), ("url", url), ("client_id", emulator.client_id), (WHERE, "1")]
    wrong += [("client_secret", "not-this-one"), ("Number or name", "")]
    right: Talk = [
        ("client_id", ""),
        ("client_secret", emulator.client_secret),
    ]
    status, shown = init(file, "--provider", "trueconf", talk=[*wrong, *right])
    assert status == 0, shown
    assert "sign-in failed" in shown
    assert "1  correct  client_id and client_secret, then test again" in shown
    assert f"client_id [{emulator.client_id}]: " in shown
    assert shown.count("\nurl") == 1
    assert "not-this-one" not in shown
    assert str(config.load(file).older_than) == "90 days"


def test_enter_keeps_a_secret_that_was_right(tmp_path: Path, trueconf: tuple[TrueConf, str]) -> None:
    emulator, url = trueconf
    talk: Talk = [
        (AGE, ""),
        ("url", url),
        ("client_id", "another"),
        (WHERE, ""),
        ("client_secret", emulator.client_secret),
    ]
    talk += [("Number or name", "correct"), ("client_id", emulator.client_id), ("client_secret", "")]
    status, shown = init(tmp_path / "config.toml", "--provider", "trueconf", talk=talk)
    assert status == 0, shown
    assert "OK, signed in as application" in shown


def test_only_the_address_is_asked_again_where_nobody_answers(tmp_path: Path, trueconf: tuple[TrueConf, str]) -> None:
    emulator, url = trueconf
    talk: Talk = [(AGE, ""), ("url", "http://127.0.0.1:9"), ("client_id", emulator.client_id), (WHERE, "")]
    talk += [("client_secret", emulator.client_secret), ("Number or name", ""), ("url", url)]
    status, shown = init(tmp_path / "config.toml", "--provider", "trueconf", talk=talk)
    assert status == 0, shown
    assert shown.count("\nclient_id") == 1


def test_the_version_of_the_api_is_asked_for_where_the_server_does_not_know_the_address(tmp_path: Path) -> None:
    emulator, file = TrueConf(api="v4"), tmp_path / "config.toml"
    with Server(emulator) as server:
        talk = [*of_trueconf(emulator, server.url), ("Number or name", ""), ("url", ""), ("api", "4"), ("api", "v4")]
        status, shown = init(file, "--provider", "trueconf", talk=talk)
    assert status == 0, shown
    assert settings_of(file)["api"] == "v4"


def test_a_certificate_that_nobody_vouches_for_leads_to_ca_file(tmp_path: Path) -> None:
    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    emulator, file = TrueConf(), tmp_path / "config.toml"
    with Server(emulator) as server:
        server._server.socket = context.wrap_socket(server._server.socket, server_side=True)
        url = server.url.replace("http://", "https://")
        talk = [*of_trueconf(emulator, url), ("Number or name", ""), ("url", ""), ("ca_file", str(tmp_path / "ca.pem"))]
        status, shown = init(file, "--provider", "trueconf", talk=talk)
    assert status == 0, shown
    assert settings_of(file)["ca_file"] == str(tmp_path / "ca.pem")


def test_a_right_that_is_missing_is_given_at_the_vendor_and_tested_again(
    tmp_path: Path, trueconf: tuple[TrueConf, str]
) -> None:
    emulator, url = trueconf
    emulator.scope = "conferences:read"
    talk: Talk = [*of_trueconf(emulator, url), ("Number or name", "write")]
    file = tmp_path / "config.toml"
    status, shown = init(file, "--provider", "trueconf", talk=talk)
    assert status == 0, shown
    assert "give it the right conferences:write" in shown
    assert "Number or name [retry]: " in shown
    assert f"Next:\n  confcleanup -c {file} check" in shown


def test_a_user_who_is_no_administrator_can_be_replaced(tmp_path: Path) -> None:
    emulator = Huawei()
    emulator.users["anna@example.com"] = User(2, "00cd")
    with Server(emulator) as server:
        talk = of_huawei(emulator, server.url)
        talk[-1] = ("user_id", "anna@example.com")
        talk += [("Number or name", "1"), ("user_id", emulator.user_id)]
        status, shown = init(tmp_path / "config.toml", "--provider", "huawei", talk=talk)
    assert status == 0, shown
    assert "1  correct  user_id, then test again" in shown


def test_vonages_lock_is_named_when_a_sign_in_was_refused(tmp_path: Path) -> None:
    emulator = Vonage()
    with Server(emulator) as server:
        talk = of_vonage(emulator, server.url)
        talk[-1] = ("password", "wrong")
        talk += [("Number or name", "write")]
        _, shown = init(tmp_path / "config.toml", "--provider", "vonage", talk=talk)
    assert "lock a Vonage user for about 30 minutes" in shown


ELSEWHERE: dict[str, tuple[Talk, str | list[str]]] = {
    "env": ([("client_secret, name", "")], "TRUECONF_CLIENT_SECRET"),
    "command": ([("client_secret, command", "printf SECRET")], ["printf", "SECRET"]),
    "file": ([("client_secret, file", "/nowhere"), ("client_secret, file", "FILE")], "FILE"),
    "keyring": ([("client_secret, entry", ""), ("client_secret", "SECRET")], "confcleanup/trueconf.client_secret"),
}
"""For each place of a secret, what is asked and answered, and what the config says then."""


@pytest.mark.parametrize("place", ELSEWHERE)
def test_a_secret_may_be_kept_elsewhere(tmp_path: Path, trueconf: tuple[TrueConf, str], place: str) -> None:
    emulator, url = trueconf
    kept = tmp_path / "kept"
    kept.write_text(emulator.client_secret, encoding="utf-8")
    kept.chmod(0o600)

    def meant(text: str) -> str:
        return (
            text.replace("SECRET", emulator.client_secret).replace("FILE", str(kept)) if "CLIENT" not in text else text
        )

    answers, said = ELSEWHERE[place]
    talk: Talk = [(AGE, ""), ("url", url), ("client_id", emulator.client_id), (WHERE, place)]
    talk += [(question, meant(str(answer))) for question, answer in answers]
    file = tmp_path / "config" / "config.toml"
    around = {"PYTHON_KEYRING_BACKEND": "tests.settings.test_keyring.Memory", "PYTHONPATH": str(ROOT)}
    around["TRUECONF_CLIENT_SECRET"] = emulator.client_secret
    status, shown = init(file, "--provider", "trueconf", talk=talk, **around)
    assert status == 0, shown
    expected = meant(said) if isinstance(said, str) else [meant(word) for word in said]
    assert settings_of(file)["client_secret"] == {place: expected}
    assert {path.name for path in file.parent.iterdir()} == {"config.toml", SCHEMA}


def test_a_keyring_that_cannot_be_opened_is_said_with_the_way_to_store_the_secret(
    tmp_path: Path, trueconf: tuple[TrueConf, str]
) -> None:
    emulator, url = trueconf
    talk: Talk = [(AGE, ""), ("url", url), ("client_id", emulator.client_id), (WHERE, "keyring")]
    talk += [("client_secret, entry", ""), ("client_secret", emulator.client_secret)]
    backend = "keyring.backends.fail.Keyring"
    _, shown = init(tmp_path / "c.toml", "--provider", "trueconf", talk=talk, PYTHON_KEYRING_BACKEND=backend)
    assert "the secret was not stored in the keyring" in shown
    assert "keyring set confcleanup trueconf.client_secret" in shown


def test_answers_that_cannot_be_are_asked_for_again(tmp_path: Path, trueconf: tuple[TrueConf, str]) -> None:
    emulator, url = trueconf
    talk: Talk = [
        ("Number or name", "9"),
        ("Number or name", "v"),
        ("Number or name", "1"),
        (AGE, "30"),
        (AGE, "1 hour"),
    ]
    talk += [(AGE, "1 year"), ("url", "http://conf.example.com"), ("url", "two words"), ("url", url)]
    talk += of_trueconf(emulator, url)[2:]
    status, shown = init(tmp_path / "config.toml", talk=talk)
    assert status == 0, shown
    assert "this answer is not in the list" in shown
    assert "would send secrets in clear text" in shown


def test_an_address_without_https_gets_it_and_a_secret_that_is_missing_is_named(tmp_path: Path) -> None:
    talk: Talk = [(AGE, ""), ("url", "conf.example.com"), ("client_id", "x"), (WHERE, "3")]
    talk += [("client_secret, name", "NOT_SET"), ("Number or name", "write")]
    file = tmp_path / "config.toml"
    _, shown = init(file, "--provider", "trueconf", talk=talk)
    assert settings_of(file)["url"] == "https://conf.example.com"
    assert "the environment variable NOT_SET is not set" in shown
    assert "1  correct  client_secret, then test again" in shown


@pytest.mark.parametrize(("answer", "status"), [(signal.SIGINT, 130), ("\x04", 1)], ids=["Ctrl-C", "end of input"])
@pytest.mark.parametrize("last", range(6))
def test_giving_up_at_any_question_leaves_nothing_behind_and_says_so(
    tmp_path: Path, trueconf: tuple[TrueConf, str], answer: str | signal.Signals, status: int, last: int
) -> None:
    emulator, url = trueconf
    talk: Talk = [("Number or name", "1"), *of_trueconf(emulator, url)]
    ended, shown = init(tmp_path / "new" / "config.toml", talk=[*talk[:last], (talk[last][0], answer)])
    assert (ended, list(tmp_path.iterdir())) == (status, []), shown
    assert "stopped; nothing was written" in shown
    assert "Traceback" not in shown


def test_a_config_that_cannot_be_finished_leaves_no_secret_behind(
    tmp_path: Path, trueconf: tuple[TrueConf, str]
) -> None:
    (tmp_path / SCHEMA).mkdir()
    file = tmp_path / "config.toml"
    status, shown = init(file, "--provider", "trueconf", talk=of_trueconf(*trueconf))
    assert status == 1
    assert "cannot be written" in shown
    assert [path.name for path in tmp_path.iterdir()] == [SCHEMA]


def test_a_folder_that_cannot_be_written_is_found_before_the_first_question(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    status, shown = init(tmp_path / "file" / "config.toml", talk=[])
    assert status == 1
    assert "cannot be written" in shown
    assert "Which platform" not in shown


def test_an_existing_config_is_left_alone_before_anything_is_asked(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text("mine")
    status, shown = init(file, talk=[])
    assert status == 1
    assert "was not changed" in shown
    assert file.read_text() == "mine"


def test_no_input_asks_nothing_on_a_terminal(tmp_path: Path) -> None:
    status, shown = converse("-c", str(tmp_path / "config.toml"), "init", "--no-input", talk=[])
    assert status == 0
    assert "remove the #" in shown


@pytest.mark.parametrize("name", providers.names())
def test_every_provider_has_something_to_ask_and_something_to_delete(name: str) -> None:
    provider = providers.provider(name)
    assert "url" in keys(provider)
    assert simple(provider)
    assert set(offered(provider)) <= set(provider.sources)
    assert set(keys(provider)) <= set(guide(provider).settings) <= set(provider.settings_type.__struct_fields__)


def test_the_schema_that_the_first_line_names_lies_beside_the_config_and_fits_it(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    assert CliRunner().invoke(cli, ["-c", str(file), "init", "--provider", "vonage"]).exit_code == 0
    first = file.read_text(encoding="utf-8").splitlines()[0]
    assert first == f"#:schema ./{SCHEMA}"
    schema = json.loads((tmp_path / SCHEMA).read_text(encoding="utf-8"))
    Draft202012Validator(schema).validate(tomllib.loads(file.read_text(encoding="utf-8")))


@pytest.mark.skipif(not TAPLO.exists(), reason="taplo is not installed (it is part of the extra dev)")
def test_an_editors_language_server_finds_the_schema_and_uses_it(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    CliRunner().invoke(cli, ["-c", str(file), "init", "--provider", "trueconf"])
    lint = [str(TAPLO), "lint", "config.toml"]
    assert subprocess.run(lint, cwd=tmp_path, capture_output=True, check=False).returncode == 0
    file.write_text(file.read_text(encoding="utf-8").replace("\nolder_than", "\nolder_thn", 1), encoding="utf-8")
    done = subprocess.run(lint, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "'older_thn' was unexpected" in done.stderr


def test_a_provider_of_another_package_gets_an_account_to_fill_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(providers.BUILT_IN, "fake", lambda: Fake)
    file = tmp_path / "config.toml"
    assert CliRunner().invoke(cli, ["-c", str(file), "init", "--provider", "fake"]).exit_code == 0
    assert settings_of(file) == {"provider": "fake", "url": "FILL IN"}
    file.write_text(file.read_text(encoding="utf-8").replace("FILL IN", "https://x.example"), encoding="utf-8")
    assert [rule.what for rule in config.load(file).accounts["fake"].rules] == ["things", "files", "heaps"]


def test_an_unknown_provider_gets_a_hint(tmp_path: Path) -> None:
    done = CliRunner().invoke(cli, ["-c", str(tmp_path / "config.toml"), "init", "--provider", "vonag"])
    assert done.exit_code == 2
    assert "did you mean 'vonage'" in done.stderr
