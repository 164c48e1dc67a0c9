"""One state folder, two configs with one account name: what is recorded of one account is never taken for the other."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from confcleanup.cli import cli
from confcleanup.config.load import load
from confcleanup.records.entries import Owner
from confcleanup.records.ledger import Ledger
from confcleanup.records.proof import FILE, HEAD, ORIGIN, chained
from confcleanup.sandbox.server import Emulator, Server
from confcleanup.sandbox.trueconf import TrueConf
from confcleanup.sandbox.vobiz import Vobiz
from confcleanup.sandbox.vonage import Vonage
from tests.fake import one_rule

DAY = timedelta(days=1)


class Place:
    """Configs that share a state folder, each with an account ``hq``."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder, self.state, self._stack = folder, folder / "state", stack
        self.url = ""

    def add(self, name: str, emulator: Emulator, **extra: Any) -> None:
        self.url = self._stack.enter_context(Server(emulator)).url
        self.write(name, emulator.account("hq", self.url, **extra))  # type: ignore[attr-defined]  # each has it

    def write(self, name: str, text: str) -> None:
        file = self.folder / f"{name}.toml"
        file.write_text(text, "utf-8")
        file.chmod(0o600)

    def call(self, name: str, *words: str) -> Result:
        return CliRunner().invoke(cli, ["-c", str(self.folder / f"{name}.toml"), "--state", str(self.state), *words])

    def forget_identities(self) -> None:
        """Makes the ledger one of the release before identities were recorded: each entry without what is new."""
        before, rows = ORIGIN, []
        with closing(sqlite3.connect(self.state / FILE)) as db, db:
            for seq, kind, body, _, intent in db.execute(
                "SELECT seq, kind, body, hash, intent FROM event ORDER BY seq"
            ).fetchall():
                known = json.loads(body)
                new = {"identity"} | ({"url", "rules"} if kind == "end" else set())
                text = json.dumps(
                    {key: known[key] for key in known.keys() - new}, sort_keys=True, separators=(",", ":")
                )
                before = chained(before, seq, kind, text, intent)
                rows.append((text, before, seq))
            db.executemany("UPDATE event SET body = ?, hash = ? WHERE seq = ?", rows)
        (self.state / HEAD).write_text(f"{len(rows)} {before}\n", "ascii")


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with ExitStack() as stack:
        yield Place(tmp_path, stack)


def server(count: int) -> TrueConf:
    emulator = TrueConf()
    for number in range(count):
        emulator.add_conference(f"{number:010d}", ended=DAY, tags=["delete"])
    return emulator


def test_the_list_of_one_is_no_measure_for_the_other(place: Place) -> None:
    place.add("large", server(40))
    place.add("small", server(1))
    assert place.call("large", "run", "--yes").exit_code == 0
    first = place.call("small", "run", "--yes")
    assert (first.exit_code, "earlier runs of this name were at another address" in first.stderr) == (0, True)
    again = place.call("small", "run", "--yes")
    assert (again.exit_code, "earlier runs" in again.stderr) == (0, False)


def test_each_still_has_its_own_measure(place: Place) -> None:
    emulator = server(40)
    place.add("large", emulator)
    place.add("small", server(1))
    for name in ("large", "small"):
        assert place.call(name, "run", "--yes").exit_code == 0
    for ident in list(emulator.conferences)[:30]:
        del emulator.conferences[ident]
    done = place.call("large", "run", "--yes")
    assert (done.exit_code, "10 conferences are listed where the last run left 40" in done.stderr) == (3, True)


def test_the_success_of_one_is_not_the_others(place: Place) -> None:
    place.add("a", server(1))
    place.add("b", server(1))
    assert place.call("a", "run", "--yes").exit_code == 0
    assert [place.call(name, "check", "--last-success", "1h").exit_code for name in ("a", "b")] == [0, 1]


def test_accounts_at_one_address_are_told_apart(place: Place) -> None:
    place.add("a", Vobiz(), auth_id="MA_ONE")
    text = (place.folder / "a.toml").read_text("utf-8")
    place.write("b", text.replace("MA_ONE", "MA_TWO"))
    place.write("c", text.replace(place.url, f"{place.url}/"))
    identities = [load(place.folder / f"{name}.toml").accounts["hq"].identity for name in "abc"]
    assert (identities[0] == identities[2], identities[0] == identities[1]) == (True, False)


def test_vonage_accounts_are_told_apart_by_their_number(place: Place) -> None:
    place.add("a", Vonage())
    text = (place.folder / "a.toml").read_text("utf-8")
    for name, number in (("b", "1"), ("c", "2")):
        place.write(name, text.replace('account_id = "self"', f'account_id = "{number}"'))
    assert len({load(place.folder / f"{name}.toml").accounts["hq"].identity for name in "abc"}) == 3


def test_a_refused_sign_in_of_one_is_remembered_although_the_other_signs_in(place: Place) -> None:
    wrong, right = TrueConf(), server(1)
    place.add("wrong", wrong, client_secret="not-the-secret")
    place.add("right", right)
    assert [place.call(name, "run", "--yes").exit_code for name in ("wrong", "right")] == [1, 0]
    sent = len(wrong.seen)
    assert "is not sent again" in place.call("wrong", "run", "--yes").stderr
    assert len(wrong.seen) == sent


# What an earlier release recorded ------------------------------------------------------------------


def test_what_an_earlier_release_recorded_still_guards_its_account(place: Place) -> None:
    emulator = server(40)
    place.add("hq", emulator)
    assert place.call("hq", "run", "--yes").exit_code == 0
    place.forget_identities()
    for ident in list(emulator.conferences)[:30]:
        del emulator.conferences[ident]
    assert place.call("hq", "run", "--yes").exit_code == 3
    assert place.call("hq", "run", "--yes", "--accept-fewer").exit_code == 0
    assert place.call("hq", "history", "--verify").exit_code == 0


def test_what_an_earlier_release_recorded_still_counts_as_a_success_of_the_account_it_was_at(place: Place) -> None:
    place.add("hq", server(1))
    place.add("other", server(1))
    assert place.call("hq", "run", "--yes").exit_code == 0
    place.forget_identities()
    assert [place.call(name, "check", "--last-success", "1h").exit_code for name in ("hq", "other")] == [0, 1]


def test_a_success_of_an_earlier_release_covers_the_sources_that_it_listed_and_no_others(place: Place) -> None:
    emulator = Vobiz()
    emulator.add_recording("7c1d2e3f-0000-4000-8000-000000000001", ended=DAY)
    place.add("hq", emulator)
    text = (place.folder / "hq.toml").read_text("utf-8")
    place.write("hq", one_rule(text).replace('"conferences"', '"recordings"'))
    assert place.call("hq", "run", "--yes").exit_code == 0
    place.forget_identities()
    place.write("hq", text)
    done = place.call("hq", "check", "--last-success", "1h")
    assert (done.exit_code, done.stdout.startswith("hq: recordings: the last run without errors")) == (1, True)
    assert "hq: conferences: no run without errors is recorded" in done.stderr


@given(st.sampled_from(["https://x", "http://X:80/", "https://y"]), st.sampled_from(["", "1", "2"]))
def test_an_entry_with_an_identity_is_owned_by_it_alone_and_others_by_their_address(url: str, identity: str) -> None:
    body = {"provider": "trueconf", "url": url, "identity": identity}
    owns = Owner("hq", "trueconf", "https://x/", "1").owns(body)
    assert owns is (identity == "1" if identity else url != "https://y")
    assert not Owner("hq", "vobiz", "https://x/", "3").owns(body)


def test_a_ledger_without_addresses_guards_whoever_has_the_name(tmp_path: Path) -> None:
    with Ledger(tmp_path) as ledger:
        body = {
            "account": "hq",
            "provider": "trueconf",
            "rules": "r",
            "refused": False,
            "selected": 3,
            "left": {"x": 9},
        }
        ledger.append(("listing", body, None))
        owner = Owner("hq", "trueconf", "https://x", "1")
        assert (ledger.selections(owner, "r", 10), ledger.left(owner, "x", "x")) == ([3], 9)
        assert ledger.last_good(owner, "x", "r") is None
