"""The questions of ``init`` on a terminal, answered as a person would, and the sign-in they end with."""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from jsonschema import Draft202012Validator

from confcleanup import providers
from confcleanup.cli import cli
from confcleanup.cli.init import SCHEMA
from confcleanup.cli.wizard import keys, simple
from confcleanup.config import load as config
from confcleanup.sandbox.server import Server
from confcleanup.sandbox.trueconf import TrueConf
from confcleanup.sandbox.vobiz import Vobiz
from tests.fake import Fake

pty = pytest.importorskip("pty", reason="there are pseudo-terminals on POSIX only")
TAPLO = Path(sys.executable).with_name("taplo")
Talk = list[tuple[str, str]]


def converse(*words: str, talk: Talk, **environment: str) -> tuple[int, str]:
    """Runs the program on a terminal and gives each answer when its question has appeared; status, and the screen."""
    ours, theirs = pty.openpty()
    program = subprocess.Popen(
        [sys.executable, "-m", "confcleanup", *words],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, "COLUMNS": "120", "TERM": "xterm", **environment},
    )
    os.close(theirs)
    shown, read_up_to, open_ones = "", 0, list(talk)
    while True:
        try:
            shown += os.read(ours, 65536).decode()
        except OSError:
            break
        while open_ones and (found := re.search(re.escape(open_ones[0][0]) + r"[^\n]*: $", shown[read_up_to:])):
            read_up_to += found.end()
            os.write(ours, open_ones.pop(0)[1].encode() + b"\n")
    os.close(ours)
    assert open_ones == [], f"was never asked: {open_ones[0][0]!r}; the screen:\n{shown}"
    return program.wait(50), shown


@pytest.fixture
def trueconf() -> Iterator[tuple[TrueConf, str]]:
    emulator = TrueConf()
    with Server(emulator) as server:
        yield emulator, server.url


def settings_of(file: Path) -> dict[str, object]:
    """What a config says of its one account, apart from the rules."""
    (account,) = tomllib.loads(file.read_text(encoding="utf-8"))["accounts"].values()
    return {key: value for key, value in account.items() if key != "rules"}


def common(emulator: TrueConf, url: str) -> Talk:
    return [("url", url), ("api", ""), ("client_id", emulator.client_id)]


END: Talk = [("ca_file", ""), ("Delete items how long after", "90 days"), ("Time zone", "Europe/Berlin")]


def test_the_answers_become_a_private_config_that_signs_in(tmp_path: Path, trueconf: tuple[TrueConf, str]) -> None:
    emulator, url = trueconf
    file = tmp_path / "new" / "config.toml"
    secret = file.parent / "hq.client_secret"
    talk: Talk = [
        *(("Which platform", "trueconf"), ("A name for the account", "hq"), *common(emulator, url)),
        *(("client_secret: where", "file"), ("File", ""), ("The secret (hidden", emulator.client_secret), *END),
        ("Test the sign-in now?", "y"),
    ]
    status, shown = converse("-c", str(file), "--state", str(tmp_path / "state"), "init", talk=talk)
    assert status == 0, shown
    assert "hq: OK, signed in (TrueConf Server" in shown
    assert re.search(r"The OAuth 2.0 application\.\s+client_id", shown)
    assert emulator.client_secret not in shown
    assert emulator.client_secret not in file.read_text(encoding="utf-8")
    assert secret.read_text(encoding="utf-8") == emulator.client_secret + "\n"
    assert {stat.S_IMODE(path.stat().st_mode) for path in (file, secret)} == {0o600}
    loaded = config.load(file)
    assert str(loaded.zone) == "Europe/Berlin"
    assert str(loaded.older_than) == "90 days"


def test_a_wrong_secret_is_told_by_the_test_and_the_config_stays_to_be_mended(
    tmp_path: Path, trueconf: tuple[TrueConf, str]
) -> None:
    emulator, url = trueconf
    file = tmp_path / "config.toml"
    talk: Talk = [
        *(("A name for the account", ""), *common(emulator, url), ("client_secret: where", "env")),
        *(("Name of the variable", ""), *END, ("Test the sign-in now?", "")),
    ]
    words = ("-c", str(file), "--state", str(tmp_path / "state"), "init", "--provider", "trueconf")
    status, shown = converse(*words, talk=talk, TRUECONF_CLIENT_SECRET="not-this-one")
    assert status == 1
    assert "sign-in failed" in shown
    assert "not-this-one" not in shown
    assert settings_of(file)["client_secret"] == {"env": "TRUECONF_CLIENT_SECRET"}


@pytest.mark.parametrize(
    ("backend", "status"), [("tests.settings.test_keyring.Memory", 0), ("keyring.backends.fail.Keyring", 2)]
)
def test_a_secret_goes_to_the_keyring_or_is_said_not_to_be_there(
    tmp_path: Path, trueconf: tuple[TrueConf, str], backend: str, status: int
) -> None:
    emulator, url = trueconf
    talk: Talk = [
        *(("A name for the account", "hq"), *common(emulator, url), ("client_secret: where", "keyring")),
        *(("Entry of the keyring", ""), ("The secret (hidden", emulator.client_secret), *END),
        ("Test the sign-in now?", ""),
    ]
    words = ("-c", str(tmp_path / "config.toml"), "--state", str(tmp_path / "state"), "init", "--provider", "trueconf")
    root = str(Path(__file__).parents[2])
    done, shown = converse(*words, talk=talk, PYTHON_KEYRING_BACKEND=backend, PYTHONPATH=root)
    assert done == status, shown
    assert settings_of(tmp_path / "config.toml")["client_secret"] == {"keyring": "confcleanup/hq.client_secret"}
    assert emulator.client_secret not in shown
    assert ("keyring set confcleanup hq.client_secret" in shown) == (status == 2)


def test_wrong_answers_are_asked_again(tmp_path: Path, trueconf: tuple[TrueConf, str]) -> None:
    emulator, url = trueconf
    file = tmp_path / "config.toml"
    talk: Talk = [
        *(("A name for the account", "h q"), ("A name for the account", "hq")),
        *(("url", "http://conf.example.com"), ("api", "v4"), ("client_id", emulator.client_id)),
        *(("client_secret: where", "command"), ("Command that prints it", "pass show 'true conf'"), ("ca_file", "")),
        *(("url", url), ("Delete items how long after", "1 hour"), ("Delete items how long after", "1 year")),
        *(("Time zone", "Mars"), ("Time zone", ""), ("Test the sign-in now?", "n")),
    ]
    status, shown = converse("-c", str(file), "init", "--provider", "trueconf", talk=talk)
    assert status == 0, shown
    assert "would send secrets in clear text" in shown
    assert settings_of(file) == {
        "provider": "trueconf",
        "url": url,
        "api": "v4",
        "client_id": emulator.client_id,
        "client_secret": {"command": ["pass", "show", "true conf"]},
    }
    assert emulator.seen == []


def test_another_provider_is_asked_about_its_own_settings(tmp_path: Path) -> None:
    emulator = Vobiz()
    file = tmp_path / "config.toml"
    with Server(emulator) as server:
        talk: Talk = [
            *(("A name for the account", "voice"), ("url", server.url), ("auth_id", emulator.auth_id)),
            *(("auth_token: where", "file"), ("File", ""), ("The secret (hidden", emulator.auth_token)),
            *(("Delete items how long after", ""), ("Time zone", ""), ("Test the sign-in now?", "")),
        ]
        words = ("-c", str(file), "--state", str(tmp_path / "state"), "init", "--provider", "vobiz")
        status, shown = converse(*words, talk=talk)
    assert status == 0, shown
    assert "voice: OK" in shown


def test_an_existing_config_is_left_alone_before_anything_is_asked(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text("mine")
    status, shown = converse("-c", str(file), "init", talk=[])
    assert status == 1
    assert "is left as it is" in shown
    assert file.read_text() == "mine"


def test_no_input_asks_nothing_on_a_terminal(tmp_path: Path) -> None:
    status, shown = converse("-c", str(tmp_path / "config.toml"), "init", "--no-input", talk=[])
    assert status == 0
    assert "take the # away" in shown


def test_giving_up_half_way_writes_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "new"
    status, _ = converse("-c", str(folder / "config.toml"), "init", talk=[("Which platform", "\x04")])
    assert status != 0
    assert not folder.exists()


@pytest.mark.parametrize("name", providers.names())
def test_every_provider_has_something_to_ask_and_something_to_delete(name: str) -> None:
    provider = providers.provider(name)
    assert "url" in keys(provider)
    assert simple(provider)


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
