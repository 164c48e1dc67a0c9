"""The values a config can hold, and the secrets that it leads to."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from datetime import timedelta
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any, Optional

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from confcleanup.cutoff import Period
from confcleanup.errors import Problem
from confcleanup.redact import PLACE, harmless, redact
from confcleanup.settings.secrets import Secret, Secrets, Token
from confcleanup.settings.tables import AccountSettings, Table, build, is_loopback, reader_of, unknown, url_mistake
from confcleanup.settings.values import Age, Pace, Rate, Share, Span, Value, When


def refusal(kind: type[Value], raw: Any) -> str:
    """Why a value is refused."""
    with pytest.raises(ValueError) as caught:
        kind.parse(raw)
    return str(caught.value)


def value(toml: str) -> Any:
    """A value as it stands in a TOML file."""
    return tomllib.loads(f"x = {toml}")["x"]


# --- lengths, shares, rates, moments ----------------------------------------------------------------


def test_an_age_may_be_of_the_calendar_and_a_span_is_exact() -> None:
    assert Age.parse("1 month").months == 1
    assert Span.parse("50 minutes") == timedelta(minutes=50)
    assert "no fixed length" in refusal(Span, "1 month")


@pytest.mark.parametrize("kind", [Age, Span, Share, Rate])
@pytest.mark.parametrize("raw", [30, 30.5, True, [], {}, value("2026-01-31")])
def test_what_should_be_text_in_quotes_is_refused_with_an_example(kind: type[Value], raw: Any) -> None:
    assert refusal(kind, raw).startswith("expected a")
    assert '"' in refusal(kind, raw)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("0%", Fraction(0)),
        ("25%", Fraction(1, 4)),
        (" 12.5 % ", Fraction(1, 8)),
        ("100%", Fraction(1)),
        ("0.1%", Fraction(1, 1000)),
    ],
)
def test_a_share_is_an_exact_part_of_one(text: str, part: Fraction) -> None:
    assert Share.parse(text) == part


@pytest.mark.parametrize("text", ["", "25", "0.25", "101%", "100.001%", "-1%", "25%%", "1e1%", "nan%", "٢٥%", ".5%"])
def test_anything_else_is_no_share(text: str) -> None:
    assert "is not a percentage" in refusal(Share, text)


@pytest.mark.parametrize(
    ("text", "pace"),
    [
        *((f"20/{unit}", Pace(20, 1)) for unit in ("s", "sec", "second")),
        *((f"10/{unit}", Pace(10, 60)) for unit in ("min", "minute")),
        *((f"500/{unit}", Pace(500, 3600)) for unit in ("h", "hour")),
        (" 10 / MIN ", Pace(10, 60)),
        ("unlimited", Pace(0, 1)),
    ],
)
def test_a_rate_is_a_number_of_requests_in_a_time(text: str, pace: Pace) -> None:
    assert Rate.parse(text) == pace


@pytest.mark.parametrize("text", ["", "20", "0/s", "-1/s", "1.5/s", "20/day", "20/", "/s", "20 per s", "none"])
def test_anything_else_is_no_rate_and_zero_does_not_mean_unlimited(text: str) -> None:
    assert "is not a rate" in refusal(Rate, text)


@pytest.mark.parametrize(
    ("toml", "text"),
    [
        ('"2026-01-31T18:00:00+01:00"', "2026-01-31T18:00:00+01:00"),
        ("2026-01-31T18:00:00+01:00", "2026-01-31T18:00:00+01:00"),
        ("2026-01-31T17:00:00Z", "2026-01-31T17:00:00+00:00"),
        ("2026-01-31T18:00:00", "2026-01-31T18:00:00"),
        ("2026-01-31", "2026-01-31"),
    ],
)
def test_a_moment_is_rfc_3339_text_or_a_toml_date_or_time(toml: str, text: str) -> None:
    assert When.parse(value(toml)) == text


@pytest.mark.parametrize("toml", ["18:00:00", "1622494800", "true", '"tomorrow"', '""', '"2026-02-30"', "[]"])
def test_anything_else_is_no_moment(toml: str) -> None:
    assert "a date or time" in refusal(When, value(toml))


@given(st.sampled_from([Age, Span, Share, Rate, When, Secret]), st.text(max_size=12))
def test_no_text_breaks_a_reader(kind: type[Value], text: str) -> None:
    try:
        kind.parse(text)
    except ValueError as error:
        assert str(error)  # noqa: PT017  # either way is right; a refusal must say something


# --- secrets ----------------------------------------------------------------------------------------


def command(program: str) -> dict[str, list[str]]:
    """A secret that a Python program prints."""
    return {"command": [sys.executable, "-c", program]}


def hidden(raw: Any) -> str:
    """Why a secret cannot be revealed."""
    with pytest.raises(ValueError) as caught:
        Secret.parse(raw).reveal()
    return str(caught.value)


def test_a_secret_may_stand_in_the_file() -> None:
    assert Secret.parse("plain text").reveal() == "plain text"
    assert Secret.parse("plain text").literal


def test_a_secret_may_stand_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONFCLEANUP_TEST", " as it is ")
    secret = Secret.parse({"env": "CONFCLEANUP_TEST"})
    assert secret.reveal() == " as it is "
    assert not secret.literal


@pytest.mark.parametrize("end", ["", "\n", "\r\n", "\n\n"])
def test_a_secret_may_stand_in_a_file_whose_last_line_end_is_not_part_of_it(tmp_path: Path, end: str) -> None:
    (tmp_path / "secret").write_bytes(f" geheim-ü {end}".encode())
    assert Secret.parse({"file": str(tmp_path / "secret")}).reveal() == " geheim-ü "


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")
@pytest.mark.parametrize("mode", [0o604, 0o602, 0o644])
def test_a_secret_file_that_everybody_can_read_or_change_is_refused(tmp_path: Path, mode: int) -> None:
    (tmp_path / "secret").write_text("for-all-to-see")
    (tmp_path / "secret").chmod(mode)
    told = hidden({"file": str(tmp_path / "secret")})
    assert f"chmod o-rwx {tmp_path / 'secret'}" in told
    assert "for-all-to-see" not in told


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")
@pytest.mark.parametrize(("mode", "shared"), [(0o600, False), (0o640, True), (0o620, True)])
def test_a_secret_file_that_the_group_can_read_is_taken_and_known_as_shared(
    tmp_path: Path, mode: int, shared: bool
) -> None:
    (tmp_path / "secret").write_text("for-the-group")
    (tmp_path / "secret").chmod(mode)
    secret = Secret.parse({"file": str(tmp_path / "secret")})
    assert secret.reveal() == "for-the-group"
    assert bool(secret.shared) == shared
    assert not shared or f"chmod g-rw {tmp_path / 'secret'}" in str(secret.shared)


class Mounted:
    """A secret of mode 0444 as a container gets it; ``read_only`` says what statvfs tells of its mount."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.read_only = True
        monkeypatch.setattr("confcleanup.settings.secrets.MOUNTED", folder / "run" / "secrets")
        monkeypatch.setattr("confcleanup.settings.secrets.on_read_only_mount", lambda file: self.read_only)
        docker, volume = folder / "run" / "secrets", folder / "volume"
        for place in (docker, volume / "..2026_11_25"):
            place.mkdir(parents=True)
            (place / "secret").write_text("for-this-container")
            (place / "secret").chmod(0o444)
        (volume / "..data").symlink_to("..2026_11_25")
        (volume / "secret").symlink_to("..data/secret")
        self.places = {"docker": docker / "secret", "kubernetes": volume / "secret"}


@pytest.fixture
def mounted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Mounted:
    return Mounted(tmp_path, monkeypatch)


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")
@pytest.mark.parametrize("place", ["docker", "kubernetes"])
def test_where_a_container_mounts_secrets_read_only_everybody_may_read_them_and_that_is_told(
    place: str, mounted: Mounted
) -> None:
    secret = Secret.parse({"file": str(mounted.places[place])})
    assert secret.reveal() == "for-this-container"
    assert "is readable by everyone in this container" in str(secret.shared)
    assert "a read-only mount takes no chmod" in str(secret.shared)


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")
@pytest.mark.parametrize("place", ["docker", "kubernetes"])
def test_where_that_mount_can_be_written_to_the_mode_has_to_be_right(place: str, mounted: Mounted) -> None:
    mounted.read_only = False
    assert "chmod o-rwx" in hidden({"file": str(mounted.places[place])})


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")
def test_a_secret_that_everybody_can_change_is_refused_on_such_a_mount_too(mounted: Mounted) -> None:
    mounted.places["docker"].chmod(0o446)
    assert "chmod o-rwx" in hidden({"file": str(mounted.places["docker"])})


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")
def test_a_read_only_mount_elsewhere_does_not_excuse_the_mode(mounted: Mounted, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("on-a-disk")
    (tmp_path / "secret").chmod(0o444)
    assert "chmod o-rwx" in hidden({"file": str(tmp_path / "secret")})


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")
def test_the_group_of_a_container_is_no_news(mounted: Mounted) -> None:
    mounted.places["kubernetes"].chmod(0o440)
    assert Secret.parse({"file": str(mounted.places["kubernetes"])}).shared is None


REALLY_MOUNTED = """
set -e
mkdir -p /run/secrets/confcleanup-test
trap 'umount /run/secrets/confcleanup-test; rmdir /run/secrets/confcleanup-test' EXIT
mount -t tmpfs none /run/secrets/confcleanup-test
echo from-the-mount > /run/secrets/confcleanup-test/secret
chmod 444 /run/secrets/confcleanup-test/secret
"$@" || true
mount -o remount,ro /run/secrets/confcleanup-test
"$@"
"""


@pytest.mark.skipif(not shutil.which("unshare"), reason="needs unshare, to mount something in a namespace of its own")
def test_the_system_tells_of_a_real_read_only_mount() -> None:
    reveal = (
        "from confcleanup.settings.secrets import Secret\n"
        "try: print(Secret.parse({'file': '/run/secrets/confcleanup-test/secret'}).reveal())\n"
        "except ValueError as error: print('refused' if 'chmod o-rwx' in str(error) else error)"
    )
    mount = ["unshare", "--mount", "sh", "-c", REALLY_MOUNTED, "sh", sys.executable, "-c", reveal]
    done = subprocess.run(mount, capture_output=True, text=True, timeout=50, check=False)
    if done.returncode and not done.stdout:
        pytest.skip(f"this machine does not let us mount: {done.stderr.strip()}")
    assert done.stdout.split() == ["refused", "from-the-mount"], done.stderr


def test_a_secret_may_be_printed_by_a_program() -> None:
    assert Secret.parse(command("print('pr1nted-secret')")).reveal() == "pr1nted-secret"


def test_a_program_gets_its_arguments_as_they_are_without_a_shell() -> None:
    argument = "$HOME;*|&"
    printing = {"command": [sys.executable, "-c", "import sys; print(sys.argv[1])", argument]}
    assert Secret.parse(printing).reveal() == argument


def test_a_secret_in_the_home_folder_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    (tmp_path / "secret").write_text("at-home")
    assert Secret.read({"file": "~/secret"}, tmp_path / "elsewhere").reveal() == "at-home"


def test_a_secret_that_was_revealed_is_redacted_from_then_on() -> None:
    Secret.parse("only-once-revealed-9472").reveal()
    assert redact("say only-once-revealed-9472") == f"say {PLACE}"


@pytest.mark.parametrize(
    "raw", ["only-once-shown-9473", {"env": "NAME"}, {"file": "only-once-shown-9473"}, command("only-once-shown-9473")]
)
def test_a_secret_is_never_shown_by_itself(raw: Any) -> None:
    secret = Secret.parse(raw)
    assert "only-once-shown-9473" not in f"{secret} {secret!r}"


@pytest.mark.parametrize(
    "raw",
    [
        *("", 1, True, None, [], ["x"], {}, {"env": ""}, {"env": 1}, {"file": ""}, {"file": ["x"]}, {"vault": "x"}),
        *({"command": "pass show x"}, {"command": []}, {"command": [1]}, {"env": "A", "file": "b"}),
    ],
)
def test_anything_else_is_no_secret_and_the_five_forms_are_told(raw: Any) -> None:
    told = refusal(Secret, raw)
    assert all(form in told for form in ('"text"', "env", "file", "keyring", "command"))


def test_a_variable_that_is_not_set_is_named_with_a_hint_for_cron() -> None:
    told = hidden({"env": "CONFCLEANUP_TEST_NOT_SET"})
    assert "CONFCLEANUP_TEST_NOT_SET is not set" in told
    assert "cron" in told


@pytest.mark.skipif(os.name == "nt", reason="the environment of Windows is always Unicode")
def test_a_variable_that_is_not_text_is_named_without_its_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONFCLEANUP_TEST", "s3cr3t\udcff")
    assert hidden({"env": "CONFCLEANUP_TEST"}) == "the environment variable CONFCLEANUP_TEST is not UTF-8 text"


def test_a_file_that_is_missing_a_folder_or_not_text_is_named(tmp_path: Path) -> None:
    assert f"{tmp_path / 'none'} cannot be read: No such file" in hidden({"file": str(tmp_path / "none")})
    assert f"{tmp_path} cannot be read: " in hidden({"file": str(tmp_path)})
    (tmp_path / "latin").write_bytes(b"geh\xe4im")
    assert hidden({"file": str(tmp_path / "latin")}).endswith("cannot be read: it is not UTF-8 text")


def test_a_program_that_is_not_there_is_named() -> None:
    assert "'confcleanup-no-such-program'" in hidden({"command": ["confcleanup-no-such-program", "x"]})
    assert "was not found" in hidden({"command": [""]})


def test_a_program_that_fails_is_named_with_its_status_and_without_what_it_printed() -> None:
    says = "print('pr1nted'); print('usage: ...\\nno key \\x1b[1mfor pr1nted\\n', file=sys.stderr); sys.exit(3)"
    told = hidden(command(f"import sys; {says}"))
    assert told.endswith(f'ended with status 3: "no key {harmless(chr(27))}[1mfor {PLACE}"')


def test_a_program_that_prints_nothing_is_named_with_what_it_said() -> None:
    told = hidden(command("import sys; print('the vault is sealed', file=sys.stderr)"))
    assert told.endswith('printed nothing: "the vault is sealed"')
    assert hidden(command("print()")).endswith("printed nothing")


@pytest.mark.skipif(os.name != "posix", reason="sh is POSIX's")
def test_what_a_program_leaves_behind_is_ended_and_costs_no_time(tmp_path: Path) -> None:
    background = f"sleep 100 & echo $! > {tmp_path / 'pid'}; echo pr1nted-secret"
    assert Secret.parse({"command": ["sh", "-c", background]}).reveal() == "pr1nted-secret"
    left = int((tmp_path / "pid").read_text())
    deadline = time.monotonic() + 10
    while running(left):
        assert time.monotonic() < deadline, "it was told to end"


@pytest.mark.skipif(os.name != "posix", reason="sh is POSIX's")
def test_what_escapes_with_the_pipe_costs_no_time_either(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("confcleanup.settings.secrets.LEFT_OPEN", 0.05)
    escaped = f"setsid sh -c 'echo $$ > {tmp_path / 'pid'}; exec sleep 100' & "
    waiting = f"while [ ! -s {tmp_path / 'pid'} ]; do :; done; echo pr1nted-secret"
    assert Secret.parse({"command": ["sh", "-c", escaped + waiting]}).reveal() == "pr1nted-secret"
    os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)


def running(process: int) -> bool:
    """Whether a process still does something; a dead one whose parent has not looked yet does not."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(") ")[2][0] not in "ZX"
    except FileNotFoundError:
        return False


def test_a_program_that_prints_no_text_is_named() -> None:
    assert hidden(command(r"import sys; sys.stdout.buffer.write(b'\xff')")).endswith("failed: it is not UTF-8 text")


def test_a_program_that_takes_too_long_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("confcleanup.settings.secrets.COMMAND_TIMEOUT", 0.05)
    assert hidden(command("import sys, time; time.sleep(100)")).endswith("failed: it did not end within 0.05 s")


def test_a_program_has_no_standard_input_as_in_cron() -> None:
    assert Secret.parse(command("import sys; print(repr(sys.stdin.read()))")).reveal() == "''"


def test_a_secret_that_is_empty_is_as_good_as_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONFCLEANUP_TEST", "")
    assert hidden({"env": "CONFCLEANUP_TEST"}).endswith("is empty")


def test_an_empty_secret_file_is_as_good_as_missing(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("\n")
    assert hidden({"file": str(tmp_path / "secret")}) == f"the secret from file {str(tmp_path / 'secret')!r} is empty"


@pytest.mark.parametrize("text", ["\ufeffgeheim", "geheim\r\n", "\ufeffgeheim\n\n", "geheim\r"])
@pytest.mark.parametrize("place", ["text", "env", "file", "command"])
def test_a_byte_order_mark_and_line_ends_are_no_part_of_a_secret_wherever_it_is_kept(
    place: str, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "secret").write_bytes(text.encode())
    (tmp_path / "secret").chmod(0o600)
    monkeypatch.setenv("CONFCLEANUP_TEST", text)
    raw = {
        "text": text,
        "env": {"env": "CONFCLEANUP_TEST"},
        "file": {"file": str(tmp_path / "secret")},
        "command": command(f"import sys; sys.stdout.buffer.write({text!r}.encode())"),
    }[place]
    assert Secret.parse(raw).reveal() == "geheim"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("geheim\n# old: vorher", "the secret has more than one line; store the secret alone, in one line"),
        (
            "ge\u200bheim",
            "the secret has an invisible character at position 3; copy it again from where the vendor shows it",
        ),
        (
            "ge\theim",
            "the secret has an invisible character at position 3; copy it again from where the vendor shows it",
        ),
    ],
)
def test_what_cannot_be_a_secret_alone_is_told_without_showing_it(text: str, told: str) -> None:
    assert hidden(text) == told


@pytest.mark.parametrize("quote", ["'", '"'])
def test_quotes_that_an_env_file_left_around_a_secret_are_named(quote: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONFCLEANUP_TEST", f"{quote}geheim{quote}")
    assert "'CONFCLEANUP_TEST' begins and ends with a quotation mark" in hidden({"env": "CONFCLEANUP_TEST"})
    assert Secret.parse(f"{quote}geheim{quote}").reveal() == f"{quote}geheim{quote}", "in the config they were meant"


@pytest.mark.parametrize(
    "text", ["t\u043eken", "t ken", "t\xa0ken", "tüken"], ids=["Cyrillic o", "space", "NBSP", "umlaut"]
)
def test_a_token_that_no_header_can_carry_is_refused_where_a_password_may_have_it(text: str) -> None:
    assert Secret.parse(text).reveal() == text
    with pytest.raises(
        ValueError, match="has a character that a request header cannot carry at position 2; copy it again"
    ):
        Token.parse(text).reveal()


# --- addresses --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        *("https://conf.example.com", "https://conf.example.com/", "https://conf.example.com:8443/base/v1"),
        *("https://192.0.2.1", "https://[2001:db8::1]:8443", "HTTPS://CONF.example.com", "wss://room.example.com:8765"),
        *("http://localhost:8080", "http://127.0.0.1", "http://127.8.9.1:1", "http://[::1]:8080", "ws://localhost"),
    ],
)
def test_an_address_is_secure_or_of_this_machine(url: str) -> None:
    assert url_mistake(url, insecure=False) is None


@pytest.mark.parametrize(
    "url",
    [
        *("http://conf.example.com", "ws://192.0.2.40:8765", "http://localhost.example.com", "http://127.0.0.1.nip.io"),
        *("http://128.0.0.1", "http://[::2]", "http://0.0.0.0", "http://127.0.0.1example.com"),
    ],
)
def test_an_address_in_clear_text_needs_an_explicit_word(url: str) -> None:
    assert "allow_insecure_http = true" in (url_mistake(url, insecure=False) or "")
    assert url_mistake(url, insecure=True) is None


@pytest.mark.parametrize(
    ("url", "message"),
    [
        *(
            (url, "this is not an address")
            for url in ("", "conf.example.com", "https://", "https:///x", "ftp://x", "//x")
        ),
        *(
            (url, "this is not an address")
            for url in ("https://x:port", "https://[::1", "https://x:99999", "file:///x")
        ),
        *(
            (url, "this is not an address")
            for url in (" https://x", "https://x ", "https://x y", "https://x\ty", "https://x\\y")
        ),
        *((f"https://{user}@x", "user name or password") for user in ("anna", "anna:pw", ":pw", ":", "")),
        *((f"https://x/{end}", "remove everything from") for end in ("?", "?a=b", "#", "#x", "?#")),
    ],
)
@pytest.mark.parametrize("insecure", [True, False])
def test_anything_else_is_no_address(url: str, message: str, insecure: bool) -> None:
    assert message in (url_mistake(url, insecure) or "")


@given(st.text(max_size=30), st.booleans())
def test_no_text_breaks_the_check_of_addresses(text: str, insecure: bool) -> None:
    assert url_mistake(text, insecure) is None or url_mistake(text, insecure)


@given(st.text(max_size=30).map("http://".__add__))
def test_no_spelling_of_an_http_address_gets_around_the_check(text: str) -> None:
    if url_mistake(text, insecure=False) is None:
        host = text.removeprefix("http://").partition("/")[0].lower()
        assert host.startswith(("localhost", "127.", "[::1]"))


@pytest.mark.parametrize("host", ["localhost", "::1", "127.0.0.1", "127.255.0.3"])
def test_this_machine_has_a_few_names(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["127.0.0", "127.0.0.1.example", "x127.0.0.1", "1270.0.0.1", "localhos", "", "::"])
def test_no_other_name_is_this_machine(host: str) -> None:
    assert not is_loopback(host)


# --- tables -----------------------------------------------------------------------------------------


class Inner(Table, frozen=True, kw_only=True):
    """A table in a list."""

    name: str


class Outer(Table, frozen=True, kw_only=True):
    """A table with one key of each sort."""

    must: str
    number: int = 0
    age: timedelta | None = None
    inner: tuple[Inner, ...] = ()

    def problems(self) -> Any:
        if self.number > 9:
            yield "number", "is more than 9"


class Readers(Table, frozen=True, kw_only=True):
    """A key of each type that has a reader of its own, and some that name theirs or have none."""

    age: Period
    length: timedelta | None = None
    share: Optional[Fraction] = None  # noqa: UP045  # as a plug-in may write it
    pace: Annotated[Pace, msgspec.Meta(extra_json_schema={"examples": ["1/s"]})]
    secret: Secret
    secrets: tuple[Secret, ...] = ()
    when: Annotated[str, When] | None = None
    own: Annotated[timedelta, Age]
    text: str | int = ""


def test_a_key_is_read_by_its_type_or_by_the_reader_that_its_annotation_names() -> None:
    readers = {field.name: reader_of(field.type) for field in msgspec.structs.fields(Readers)}
    by_type = {"age": Age, "length": Span, "share": Share, "pace": Rate, "secret": Secret, "secrets": Secrets}
    assert readers == by_type | {"when": When, "own": Age, "text": None}


def built(table: Any) -> tuple[Outer | None, list[Problem]]:
    problems: list[Problem] = []
    return build(Outer, table, "at", problems), problems


def test_a_table_becomes_a_struct() -> None:
    made, problems = built({"must": "x", "age": "1 day", "inner": [{"name": "a"}]})
    assert made == Outer(must="x", age=timedelta(days=1), inner=(Inner(name="a"),))
    assert problems == []


def test_every_mistake_of_a_table_is_told_with_its_key() -> None:
    made, problems = built({"nmber": 1, "age": 3, "inner": [{"name": "a"}, {"nam": "b"}, 7]})
    assert made is None
    assert [str(problem) for problem in problems] == [
        "at.nmber: unknown; did you mean 'number'?",
        "at.must: is missing",
        'at.age: expected a length of time in quotes, for example "50 minutes"',
        "at.inner[2].nam: unknown; did you mean 'name'?",
        "at.inner[2].name: is missing",
        "at.inner[3]: expected a table, got a number",
    ]


def test_a_single_table_where_a_list_of_them_belongs_is_a_mistake() -> None:
    _, problems = built({"must": "x", "inner": {"name": "a"}})
    assert [str(problem) for problem in problems] == ["at.inner: expected a list, got a table"]


def test_what_a_table_says_about_itself_is_added() -> None:
    assert built({"must": "x", "number": 10})[1] == [Problem("at.number", "is more than 9")]


@pytest.mark.parametrize(
    ("table", "kind"),
    [("x", "text"), (1, "a number"), (1.5, "a number"), (True, "true or false"), ([], "a list"), (None, "something")],
)
def test_what_is_no_table_is_told_by_what_it_is(table: Any, kind: str) -> None:
    assert built(table)[1][0].message.startswith(f"expected a table, got {kind}")


def test_the_nearest_known_name_is_offered_and_else_all_of_them() -> None:
    assert unknown("nmae", {"name": 1, "title": 1}) == "unknown; did you mean 'name'?"
    assert unknown("zzz", {"b": 1, "a": 1}) == "unknown; known are: a, b"


def test_a_problem_without_a_key_is_only_its_message() -> None:
    assert str(Problem("", "why")) == "why"


def test_an_account_has_one_address_no_owner_of_its_own_and_only_the_secrets_that_are_set() -> None:
    account = AccountSettings(provider="x", url="https://x")
    assert list(account.urls()) == [("url", "https://x")]
    assert account.default_owner() is None
    assert list(account.secrets()) == []
