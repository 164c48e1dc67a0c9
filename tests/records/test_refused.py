"""A sign-in that a vendor refused is not sent again until it changes, or somebody tries it by hand."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from confcleanup.cli import cli
from confcleanup.records.refused import FILE
from confcleanup.sandbox.server import Request, Response, Server
from confcleanup.sandbox.vonage import Vonage

Call = Callable[..., Result]


class Place:
    """A Vonage account with a wrong password, and the command line."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.vendor = Vonage()
        self.vendor.add_recording(204401, ended=timedelta(days=40))
        self.config = folder / "config.toml"

    def write(self, url: str, password: str) -> None:
        text = self.vendor.account("vbc", url).replace(self.vendor.password, password)
        assert password in text
        self.config.write_text(text, encoding="utf-8")
        self.config.chmod(0o600)

    def call(self, *words: str) -> Result:
        return CliRunner().invoke(cli, ["-c", str(self.config), "--state", str(self.folder / "state"), *words])

    @property
    def sign_ins(self) -> int:
        return len([seen for seen in self.vendor.seen if seen.request.method == "POST"])

    @property
    def file(self) -> Path:
        return self.folder / "state" / FILE


@pytest.fixture
def place(tmp_path: Path) -> Any:
    made = Place(tmp_path)
    with Server(made.vendor) as server:
        made.url = server.url  # type: ignore[attr-defined]  # for the tests below
        made.write(server.url, "wrong-password-1")
        yield made


def test_a_refused_sign_in_is_not_sent_by_the_next_runs(place: Any) -> None:
    first = place.call("run", "--yes")
    assert (first.exit_code, place.sign_ins) == (1, 1)
    for words in (("run", "--yes"), ("plan",)):
        again = place.call(*words)
        assert (again.exit_code, place.sign_ins) == (1, 1)
        assert "is not sent again" in again.stderr
        assert "confcleanup check --account vbc" in again.stderr


def test_another_secret_is_sent(place: Any) -> None:
    place.call("run", "--yes")
    place.write(place.url, "wrong-password-2")
    place.call("run", "--yes")
    assert place.sign_ins == 2


def test_the_right_secret_signs_in_and_the_refusal_is_forgotten(place: Any) -> None:
    place.call("run", "--yes")
    place.write(place.url, place.vendor.password)
    assert place.call("run", "--yes").exit_code == 0
    assert json.loads(place.file.read_text())["accounts"] == {}


def test_check_by_hand_sends_it_again(place: Any) -> None:
    place.call("run", "--yes")
    assert place.call("check").exit_code == 1
    assert place.sign_ins == 2


def test_a_vendor_in_trouble_is_no_refusal(place: Any) -> None:
    def down(request: Request) -> Response | None:
        return Response(429) if request.method == "POST" else None

    place.vendor.interfere.append(down)
    place.call("run", "--yes")
    place.vendor.interfere.clear()
    place.call("run", "--yes")
    assert place.sign_ins > 1


def test_the_file_holds_no_secret_and_is_its_owners_alone(place: Any) -> None:
    place.call("run", "--yes")
    text = place.file.read_text()
    assert "wrong-password-1" not in text
    assert place.vendor.client_secret not in text
    assert stat.S_IMODE(place.file.stat().st_mode) == 0o600


@pytest.mark.parametrize("content", ["", "[]", '{"key": 1, "accounts": {}}', '{"key": "00", "accounts": {}}', "{"])
def test_a_file_that_cannot_be_read_is_as_good_as_none(place: Any, content: str) -> None:
    place.file.parent.mkdir(exist_ok=True)
    place.file.write_text(content)
    place.call("run", "--yes")
    place.call("run", "--yes")
    assert place.sign_ins == 1
