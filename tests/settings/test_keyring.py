"""Secrets from the system's keyring, through backends of keyring's own API; no real keyring is touched."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator

import keyring
import pytest
from keyring.backend import KeyringBackend
from keyring.errors import InitError

from confcleanup.settings.secrets import Secret

ENTRY = {"keyring": "confcleanup/hq.client_secret"}


class Memory(KeyringBackend):
    """A keyring that holds its entries in memory."""

    priority = 1.0

    def __init__(self) -> None:
        super().__init__()
        self.held: dict[tuple[str, str], str] = {}

    def get_password(self, service: str, username: str) -> str | None:
        return self.held.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self.held[service, username] = password


class Locked(KeyringBackend):
    """A keyring that nobody can unlock, as in cron."""

    priority = 1.0

    def get_password(self, service: str, username: str) -> str | None:
        raise InitError("no session bus for tok3n-in-the-message")

    def set_password(self, service: str, username: str, password: str) -> None:
        raise InitError("no session bus")


@pytest.fixture
def memory() -> Iterator[Memory]:
    before = keyring.get_keyring()
    made = Memory()
    keyring.set_keyring(made)
    yield made
    keyring.set_keyring(before)


def test_the_secret_of_a_service_and_a_user_is_read(memory: Memory) -> None:
    memory.set_password("confcleanup", "hq.client_secret", "from-the-keyring")
    assert Secret.parse(ENTRY).reveal() == "from-the-keyring"
    assert not Secret.parse(ENTRY).literal


def test_a_service_may_hold_slashes_a_user_may_not(memory: Memory) -> None:
    memory.set_password("https://conf.example.com", "anna", "of-anna")
    assert Secret.parse({"keyring": "https://conf.example.com/anna"}).reveal() == "of-anna"


@pytest.mark.parametrize("entry", ["", "service", "/user", "service/", "a b/user", 1, ["a", "b"]])
def test_anything_else_is_no_entry(entry: object) -> None:
    with pytest.raises(ValueError, match="service/user"):
        Secret.parse({"keyring": entry})


def test_a_missing_entry_says_how_to_store_it(memory: Memory) -> None:
    with pytest.raises(ValueError, match="keyring set confcleanup"):
        Secret.parse(ENTRY).reveal()


def test_a_keyring_that_cannot_be_opened_says_what_to_do_in_cron(memory: Memory) -> None:
    keyring.set_keyring(Locked())
    with pytest.raises(ValueError, match=r"cron and services have no session .* file = ") as caught:
        Secret.parse(ENTRY).reveal()
    assert "tok3n" not in str(caught.value)


class Waiting(Locked):
    """A keyring that waits for a dialog nobody sees."""

    def __init__(self) -> None:
        super().__init__()
        self.answered = threading.Event()

    def get_password(self, service: str, username: str) -> str | None:
        self.answered.wait(30)
        return None


def test_a_keyring_that_never_answers_does_not_hold_the_run(memory: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("confcleanup.settings.secrets.COMMAND_TIMEOUT", 0.05)
    waiting = Waiting()
    keyring.set_keyring(waiting)
    with pytest.raises(ValueError, match=r"cannot be opened \(TimeoutError\)"):
        Secret.parse(ENTRY).reveal()
    waiting.answered.set()


def test_without_the_extra_the_message_names_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "keyring", None)
    with pytest.raises(ValueError, match=r"pip install 'confcleanup\[keyring\]'"):
        Secret.parse(ENTRY).reveal()
