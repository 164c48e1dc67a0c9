"""Legal holds: whatever one of their marks fits stays, under every rule, and one that cannot be read stops the run."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from confcleanup.cli import cli
from confcleanup.config.holds import HoldEntry, HoldSettings, active
from confcleanup.errors import ConfigError
from confcleanup.filter import Hold, choose
from confcleanup.items import Item
from confcleanup.sandbox.room import Room
from confcleanup.sandbox.server import Server
from confcleanup.sandbox.trueconf import TrueConf
from confcleanup.system import POSIX
from tests.fake import NOW, rule, thing

DAY = timedelta(days=1)
BERLIN = ZoneInfo("Europe/Berlin")


def from_entries(*entries: HoldEntry, now: datetime = NOW) -> tuple[Hold, ...]:
    return active(HoldSettings(hold=entries), BERLIN, now)


def from_file(path: Path, content: str | bytes, now: datetime = NOW) -> tuple[Hold, ...]:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return active(HoldSettings(file=str(path)), BERLIN, now)


def kept_by(item: Item, *holds: Hold) -> str | None:
    """The reason why an item that is due stays; None if it goes."""
    decision = choose(item, [rule(holds=holds)], NOW)
    return None if decision.delete else decision.reason


# Marks -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "mark",
    [
        {"id": "0048411003"},
        {"owner": "anna"},
        {"owner": "anna@vc.example.org"},
        {"owner": "AN*"},
        {"title": "*budget*"},
        {"tag": "Court"},
    ],
    ids=str,
)
def test_each_mark_holds_what_it_fits_and_nothing_else(mark: dict[str, str]) -> None:
    (hold,) = from_entries(HoldEntry(reason="case 7", **mark))  # type: ignore[arg-type]  # marks are text
    held = thing("0048411003", owner="anna@vc.example.org", title="The Budget of 2025", tags=("court",))
    assert kept_by(held, hold) == "on legal hold: case 7"
    assert kept_by(thing("48411003", owner="boris@vc.example.org", title="Other", tags=("courts",)), hold) is None


def test_one_fitting_mark_of_several_is_enough(tmp_path: Path) -> None:
    (hold,) = from_entries(HoldEntry(reason="r", id="x", title="Budget*"))
    assert kept_by(thing("other", title="Budget"), hold)


@given(st.text(min_size=1), st.text())
def test_an_id_is_held_as_it_is_written_and_never_as_a_pattern(ident: str, other: str) -> None:
    hold = Hold("r", id=ident)
    assert kept_by(thing(ident), hold)
    assert bool(kept_by(thing(other), hold)) == (same(ident) == same(other))


def same(ident: str) -> str:
    return unicodedata.normalize("NFC", ident.strip())


def test_a_hold_wins_over_every_rule_of_the_account() -> None:
    rules = [rule(), rule(name="held", holds=(Hold("case 7", id="a"),), tags=("nobody",))]
    assert not choose(thing("a"), rules, NOW).delete
    assert choose(thing("b"), rules, NOW).delete


# Ends --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("until", "now", "held"),
    [
        (None, "2999-01-01T00:00:00Z", True),
        ("2026-03-31T18:00:00+02:00", "2026-03-31T15:59:59Z", True),
        ("2026-03-31T18:00:00+02:00", "2026-03-31T16:00:00Z", False),
        ("2026-03-31T18:00:00", "2026-03-31T15:59:59Z", True),
        ("2026-03-31T18:00:00", "2026-03-31T16:00:00Z", False),
        ("2026-03-31", "2026-03-31T21:59:59Z", True),
        ("2026-03-31", "2026-03-31T22:00:00Z", False),
        ("9999-12-31", "2999-01-01T00:00:00Z", True),
    ],
)
def test_a_hold_ends_when_it_says_and_a_date_alone_lasts_to_the_end_of_the_day(
    tmp_path: Path, until: str | None, now: str, held: bool
) -> None:
    when = datetime.fromisoformat(now)
    assert bool(from_entries(HoldEntry(id="a", reason="r", until=until), now=when)) is held
    assert bool(from_file(tmp_path / "holds.csv", f"id,until\na,{until or ''}\n", now=when)) is held


def test_an_end_beyond_the_calendar_is_no_end() -> None:
    west = ZoneInfo("America/New_York")
    (hold,) = active(HoldSettings(hold=(HoldEntry(id="a", reason="r", until="9999-12-31"),)), west, NOW)
    assert hold.until is None


def test_the_end_is_part_of_the_reason_on_the_operators_calendar() -> None:
    (hold,) = from_entries(HoldEntry(id="a", reason="case 7", until="2026-12-31"))
    assert kept_by(thing("a"), hold) == "on legal hold: case 7, until 2026-12-31"


# The file ----------------------------------------------------------------------------------------


def test_a_file_of_ids_holds_each_of_them(tmp_path: Path) -> None:
    holds = from_file(tmp_path / "court.txt", "\ufeff# case 7\n0048411003\n\n  a b&c=d  \n0000001c@host#vcs\n")
    assert [hold.id for hold in holds] == ["0048411003", "a b&c=d", "0000001c@host#vcs"]
    assert {hold.reason for hold in holds} == {"listed in court.txt"}


@pytest.mark.parametrize("line", ["0048411003,litigation", "0048;lit", "0048  # litigation", '"0048"', "0048\tlit"])
def test_a_line_that_is_not_one_id_stops_the_run_instead_of_holding_nothing(tmp_path: Path, line: str) -> None:
    with pytest.raises(ConfigError, match="line 1: is not one id"):
        from_file(tmp_path / "court.txt", f"{line}\n")


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_a_csv_file_holds_each_line_by_its_marks(tmp_path: Path, separator: str) -> None:
    lines = ["Reason,ID,owner,title,tag,until", "case 7,0048,,,,", "# note", '"a, b; c",,anna,*x*,court,2027-01-01']
    lines = [line if line.startswith('"') else line.replace(",", separator) for line in lines]
    lines[3] = lines[3].replace('",,anna,*x*,court,', f'"{",,anna,*x*,court,".replace(",", separator)}')
    first, second = from_file(tmp_path / "holds.csv", "\r\n".join(lines))
    assert (first.id, first.reason, first.until) == ("0048", "case 7", None)
    assert (second.id, second.owner, second.title, second.tag, second.reason) == (
        None,
        "anna",
        "*x*",
        "court",
        "a, b; c",
    )
    assert second.until


def test_entries_and_file_hold_together(tmp_path: Path) -> None:
    (tmp_path / "h").write_text("b\n")
    entry = HoldEntry(id="a", reason="r")
    holds = active(HoldSettings(file=str(tmp_path / "h"), hold=(entry,)), UTC, NOW)
    assert [hold.id for hold in holds] == ["a", "b"]


def test_a_line_without_a_reason_holds_all_the_same(tmp_path: Path) -> None:
    (hold,) = from_file(tmp_path / "h.csv", "id\n0048\n")
    assert (hold.id, hold.reason) == ("0048", "no reason given")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"id,reason\n\xff\xfe\n", "is not UTF-8 text"),
        ("id,raeson\n1,x\n", "line 1: unknown column 'raeson'"),
        ("id,reason\n1,x,y\n", "line 2: 3 fields where the header has 2"),
        ("id,reason\n,because\n", "line 2: names no id, owner, title or tag"),
        ('id,reason\n"0048,because\n', "line 2: cannot be read"),
        ("reason,until\nbecause,\n", "line 2: names no id, owner, title or tag"),
        ("# about\n\nid,until\n1,soon\n", "line 4: 'soon' is not a date or time"),
    ],
)
def test_an_odd_line_is_told_with_its_number(tmp_path: Path, content: str | bytes, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        from_file(tmp_path / "holds.csv", content)
    assert told in str(caught.value)


@pytest.mark.skipif(not POSIX, reason="modes say nothing here")
def test_a_file_that_everybody_can_write_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "holds.csv"
    file.write_text("id\n0048\n")
    file.chmod(0o666)
    with pytest.raises(ConfigError, match=r"is writable by everyone: chmod o-w .*holds\.csv"):
        active(HoldSettings(file=str(file)), UTC, NOW)
    file.chmod(0o664)
    assert active(HoldSettings(file=str(file)), UTC, NOW)


def test_every_odd_line_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        from_file(tmp_path / "holds.csv", "id,until\n1,soon\n,2027-01-01\n3,2027-01-01\n")
    assert len(caught.value.problems) == 2


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1), max_size=5))
def test_whatever_ids_a_file_lists_are_held_or_told(ids: list[str]) -> None:
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as folder:
        try:
            holds = from_file(Path(folder) / "holds", "\n".join(["first", *ids]))
        except ConfigError:
            return
        assert {ident for ident in ids if not ident.startswith("#")} <= {hold.id for hold in holds}


# In a run ----------------------------------------------------------------------------------------


class Setting:
    """A TrueConf server with two conferences that are due, and a config for it."""

    def __init__(self, folder: Path, url: str, emulator: TrueConf) -> None:
        self.folder, self.url, self.emulator = folder, url, emulator
        self.config, self.holds = folder / "config.toml", folder / "holds.csv"

    def write(self, holds: str, **extra: object) -> None:
        self.config.write_text(f"{holds}\n{self.emulator.account('hq', self.url, **extra)}", "utf-8")
        self.config.chmod(0o600)

    def __call__(self, *words: str) -> Result:
        options = ["-c", str(self.config), "--state", str(self.folder / "state")]
        return CliRunner().invoke(cli, [*options, *words])


@pytest.fixture
def hq(tmp_path: Path) -> Iterator[Setting]:
    emulator = TrueConf()
    emulator.add_conference("a", ended=41 * DAY)
    emulator.add_conference("b", ended=50 * DAY, tags=["Court"])
    with Server(emulator) as server:
        yield Setting(tmp_path, server.url, emulator)


def test_a_held_item_stays_and_plan_and_explain_say_why(hq: Setting) -> None:
    hq.write('[holds]\nhold = [{ tag = "court", reason = "case 7" }]')
    items = json.loads(hq("plan", "--format", "json").stdout)["accounts"][0]["items"]
    assert {item["id"]: item["reason"] for item in items if item["decision"] == "keep"} == {
        "b": "on legal hold: case 7"
    }
    assert "yes: on legal hold: case 7" in hq("explain", "hq", "b").stdout
    assert hq("run", "--yes").exit_code == 0
    assert set(hq.emulator.conferences) == {"b"}


def test_a_hold_of_the_file_counts_from_the_moment_it_is_written(hq: Setting) -> None:
    hq.write(f"[holds]\nfile = {json.dumps(str(hq.holds))}")
    hq.holds.write_text("a\n")
    hq("run", "--yes")
    assert set(hq.emulator.conferences) == {"a"}


def test_a_tag_that_holds_is_seen_when_an_item_is_looked_at_again(hq: Setting) -> None:
    hq.write('[holds]\nhold = [{ tag = "court", reason = "case 7" }]')

    def tagged_meanwhile(request: object) -> None:
        hq.emulator.conferences["a"]["tags"] = ["court"]

    hq.emulator.after.append(lambda request, answer: tagged_meanwhile(request))
    assert hq("run", "--yes").exit_code == 0
    assert set(hq.emulator.conferences) == {"a", "b"}


@pytest.mark.parametrize("command", [["check"], ["plan"], ["run", "--yes"], ["explain", "hq", "a"]], ids=" ".join)
@pytest.mark.parametrize("content", [None, b"\xff", b"id,raeson\n1,x\n"], ids=["missing", "not text", "odd"])
def test_a_file_that_cannot_be_read_stops_everything_before_anything_is_contacted(
    hq: Setting, command: list[str], content: bytes | None
) -> None:
    hq.write(f"[holds]\nfile = {json.dumps(str(hq.holds))}")
    if content is not None:
        hq.holds.write_bytes(content)
    done = hq(*command)
    assert done.exit_code == 2
    assert "holds.file" in done.stderr
    assert str(hq.holds) in done.stderr
    assert hq.emulator.seen == []


def test_a_hold_by_tag_is_honoured_where_a_room_lists_without_tags(hq: Setting) -> None:
    with Room(hq.emulator, pin="2468") as room:
        rules = '\n[[accounts.hq.rules]]\nwhat = "conferences"\nolder_than = "30 days"\n'
        hq.write('[holds]\nhold = [{ tag = "court", reason = "case 7" }]', room_url=room.url, room_pin="2468")
        account = hq.config.read_text("utf-8").partition("\n[[")[0]
        hq.config.write_text(account + rules, "utf-8")
        found = json.loads(hq("plan", "--format", "json").stdout)["accounts"][0]["items"]
        assert {item["id"]: item["decision"] for item in found}.items() >= {"a": "delete", "b": "keep"}.items()
        hq("run", "--yes")
    assert set(hq.emulator.conferences) == {"b"}
