"""TrueConf's own ``tc-erase``, as it is published, signs in at the emulated API v4, reads what runs and stops it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from confcleanup.sandbox.server import Emulator, Request, Response
from confcleanup.sandbox.trueconf import TrueConf
from tests.witness.statements import Witness

pytestmark = pytest.mark.witness
CLIENT = "trueconf-eraser"
Https = Callable[[Emulator], tuple[str, Path]]
RUNNING = "0000000013"
"""The one conference of the backlog that runs, made more than 40 days ago."""


def erase(emulator: TrueConf, https: Https, *words: str) -> subprocess.CompletedProcess[str]:
    """``tc-erase`` for whatever has run for a minute with no more than one user."""
    url, ca_file = https(emulator)
    account = ["--host", url, "--client-id", emulator.client_id, "--client-secret", emulator.client_secret]
    limits = ["--max-users", "1", "--max-guests", "1", "--max-session-duration", "60"]
    return subprocess.run(
        [Path(sys.executable).with_name("tc-erase"), *account, *limits, "--verbose", *words],
        env={**os.environ, "SSL_CERT_FILE": str(ca_file), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )


@pytest.fixture
def emulator() -> TrueConf:
    made = TrueConf(api="v4")
    made.fill()
    return made


def asked(emulator: TrueConf) -> list[tuple[str, str, int]]:
    return [(seen.request.method, seen.request.path.removeprefix("/api/v4"), seen.status) for seen in emulator.seen]


def test_a_dry_run_reads_exactly_what_runs(emulator: TrueConf, https: Https, witness: Witness) -> None:
    done = erase(emulator, https, "--dry-run")
    assert done.returncode == 0, done.stderr
    assert RUNNING in done.stderr
    assert "WARNING" not in done.stderr
    assert asked(emulator) == [
        ("POST", "/oauth2/token", 200),
        ("GET", "/conferences", 200),
        ("GET", "/sessions", 200),
        ("GET", f"/conferences/{RUNNING}/participants", 200),
    ]
    for call in ("sign-in", "conferences?state=running", "sessions", "participants"):
        witness.called(call)
    witness.compared(["access_token", "conferences", "id", "topic", "created_at"])
    witness.compared(["conference_sessions", "conference_id", "start_time", "list"])


def test_it_stops_what_runs(emulator: TrueConf, https: Https, witness: Witness) -> None:
    done = erase(emulator, https)
    assert done.returncode == 0, done.stderr
    assert asked(emulator)[-1] == ("POST", f"/conferences/{RUNNING}/stop", 200)
    assert emulator.disasters == [f"conference {RUNNING} was told to stop"]
    witness.called("stop")


def test_it_signs_in_again_when_its_token_ends(emulator: TrueConf, https: Https, witness: Witness) -> None:
    def ends(request: Request) -> None:
        if request.path.endswith("/conferences") and len(emulator.tokens) == 1:
            emulator.expire_tokens()

    emulator.interfere.append(ends)
    assert erase(emulator, https, "--dry-run").returncode == 0
    assert [path for _, path, status in asked(emulator) if status == 401] == ["/conferences"]
    witness.called("sign-in again after 401")


def test_a_wrong_secret_is_refused(emulator: TrueConf, https: Https) -> None:
    done = erase(emulator, https, "--client-secret", "another")
    assert done.returncode == 1
    assert "401" in done.stderr


def test_a_bare_list_is_more_than_it_takes(emulator: TrueConf, https: Https) -> None:
    """The fact sheet has it from vendor code that lists may be bare; the published release fails on one, as we do."""
    emulator.bare_list = True
    done = erase(emulator, https, "--dry-run")
    assert done.returncode == 1
    assert "'list' object has no attribute 'get'" in done.stderr


@pytest.mark.parametrize(("place", "name"), [("/oauth2/token", "access_token"), ("/conferences", "conferences")])
def test_the_witness_bites(emulator: TrueConf, https: Https, place: str, name: str) -> None:
    def renamed(request: Request, response: Response) -> Response | None:
        if not request.path.endswith(place):
            return None
        return replace(response, body={f"{key}_" if key == name else key: row for key, row in response.body.items()})

    emulator.after.append(renamed)
    assert RUNNING not in erase(emulator, https, "--dry-run").stderr
