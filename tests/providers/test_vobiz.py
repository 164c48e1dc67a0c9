"""Vobiz: the hazards of its conference and recording API, and what its sources contradict.

What becomes of a room or a recording is asked of the real client over a socket, with the layers above it where
they decide. Rooms are named by people, so names of every kind are tried.
"""

from __future__ import annotations

import json
import logging
import re
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace as response_with
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

import pytest
from click.testing import CliRunner, Result
from msgspec.structs import replace

from confcleanup.cli import cli
from confcleanup.errors import AccessDenied, ConfigError, HttpError, OutcomeUnknown, Problem, ProviderError, UnsafeId
from confcleanup.filter import Announcement, LiveRule, Reason, Rule, choose
from confcleanup.http.client import Permit
from confcleanup.items import Item, Kind, Live, Outcome, State
from confcleanup.listing import Listing, make_plan
from confcleanup.providers.vobiz import Vobiz, VobizSettings
from confcleanup.providers.vobiz_recordings import recording
from confcleanup.providers.vobiz_rooms import LiveRoomRule, details
from confcleanup.sandbox import vobiz as sandbox
from confcleanup.sandbox.server import Emulator, Request, Response, Server
from confcleanup.sandbox.vobiz import ABSENT, HOSTILE, refusal, wire_ms, wire_time
from confcleanup.settings.tables import build
from confcleanup.settings.values import Pace
from tests.providers.contract import HTML, NOW
from tests.providers.waiting import NoWaiting

ROOMS, RECORDINGS = "conferences", "recordings"
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
LONG = Rule(name="long", what=ROOMS, cutoff=NOW, live=LiveRule(max_duration=4 * HOUR))
LONELY = Rule(name="lonely", what=ROOMS, cutoff=NOW, live=LiveRule(abandoned_after=HOUR, max_members=1))
OLD = Rule(name="old", what=RECORDINGS, cutoff=NOW - 30 * DAY, age="30 days")
BASE = "/api/v1/Account/MA_SANDBOX/"


def server(clock: Callable[[], datetime] = lambda: NOW, **switches: Any) -> sandbox.Vobiz:
    """A vendor without rooms and recordings whose clock stands at NOW; it lists every room and gives all details."""
    return sandbox.Vobiz(clock, **{"listing": "all", "details": "always", "page_cap": 100, **switches})


def today(**switches: Any) -> sandbox.Vobiz:
    """A vendor whose clock is the machine's, as the command line's is."""
    return server(lambda: datetime.now(UTC), **switches)


@contextmanager
def client(emulator: Emulator, stop: NoWaiting | None = None, **more: Any) -> Iterator[Vobiz]:
    """The real client, talking to the emulator over a socket."""
    with Server(emulator) as served:
        keys = {"provider": "vobiz", "auth_id": "MA_SANDBOX", "auth_token": sandbox.Vobiz.auth_token}
        problems: list[Problem] = []
        table = {**keys, "url": served.url, "rate": "unlimited", **more}
        settings = build(VobizSettings, table, "accounts.test", problems)
        assert settings is not None, problems
        if isinstance(emulator, sandbox.Vobiz):
            emulator.public_url = served.url
        with Vobiz(settings, stop or NoWaiting(), emulator.clock) as provider:
            yield provider  # type: ignore[misc]  # __enter__ is the base class's


def booked(*names: str, ends: datetime | None = None, **more: Any) -> Rule:
    """A rule for rooms of the operator's own registry."""
    return Rule(name="booked", what=ROOMS, cutoff=NOW, live=LiveRule(scheduled=dict.fromkeys(names, ends), **more))


def listed(provider: Vobiz, *rules: Rule) -> dict[str, Item]:
    rules = rules or (LONG,)
    return {item.id: item for item in provider.list_items(rules[0].what, rules)}


def chosen(provider: Vobiz, *rules: Rule) -> set[str]:
    """The ids of what the rules select."""
    rules = rules or (LONG,)
    return {ident for ident, item in listed(provider, *rules).items() if choose(item, rules, NOW).delete}


def reasons(provider: Vobiz, *rules: Rule) -> dict[str, str]:
    """Why each item that is kept is kept."""
    rules = rules or (LONG,)
    decisions = {ident: choose(item, rules, NOW) for ident, item in listed(provider, *rules).items()}
    return {ident: decision.reason for ident, decision in decisions.items() if not decision.delete}


def room(name: str, **more: Any) -> Item:
    return Item(ROOMS, name, Kind.LIVE, State.RUNNING, **{"live": Live(), **more})


def sound(ident: str) -> Item:
    return Item(RECORDINGS, ident, Kind.RECORDING, State.ENDED)


def is_delete(request: Request) -> bool:
    return request.method == "DELETE"


def sent(emulator: Emulator, method: str = "DELETE") -> list[str]:
    """The raw paths that were asked for with a method, from the account on."""
    return [request.path.removeprefix(BASE) for request in emulator.requests(method)]


def answering(answer: Response, method: str = "GET", part: str = "") -> Callable[[Request], Response | None]:
    """A hook: every request of a method to a path with this in it is answered with this."""
    return lambda request: answer if request.method == method and part in request.path else None


def mistakes(cls: Any, **keys: Any) -> list[str]:
    problems: list[Problem] = []
    build(cls, keys, "", problems)
    return [str(problem) for problem in problems]


def rule(**keys: Any) -> LiveRoomRule:
    problems: list[Problem] = []
    built = build(LiveRoomRule, {"what": ROOMS, **keys}, "", problems)
    assert built is not None, problems
    assert not problems
    return built


@pytest.fixture
def command(tmp_path: Path) -> Iterator[Any]:
    """Runs the command line with a config of these rules; afterwards, logging is as it was."""
    log = logging.getLogger("confcleanup")
    before = (log.propagate, log.level, list(log.handlers))

    def run(emulator: sandbox.Vobiz, *words: str, rules: Any = ({"max_duration": "4 hours"},), **keys: Any) -> Result:
        file = tmp_path / "config.toml"
        with Server(emulator) as served:
            emulator.public_url = served.url
            lines = tomllib.loads(emulator.account("voice", served.url))["accounts"]["voice"] | keys
            del lines["rules"]
            text = "\n".join(["[accounts.voice]", *toml(lines)])
            for entry in rules:
                text += "\n".join(["", "[[accounts.voice.rules]]", *toml({"what": ROOMS, **entry})])
            file.write_text(text, encoding="utf-8")
            file.chmod(0o600)
            return CliRunner().invoke(cli, ["-c", str(file), "--state", str(tmp_path / "state"), *words])

    yield run
    log.propagate, log.level, log.handlers[:] = before


def toml(keys: dict[str, Any]) -> list[str]:
    return sandbox._toml_lines(keys)


def account(result: Result) -> dict[str, Any]:
    """The account in the JSON that a command printed."""
    found: dict[str, Any] = json.loads(result.stdout)["accounts"][0]
    return found


def outcomes(result: Result) -> dict[str, str]:
    return {entry["id"]: entry["outcome"] for entry in account(result)["items"] if entry["decision"] == "delete"}


OLD_RECORDINGS = [{"what": RECORDINGS, "older_than": "30 days"}]


# The hazards, in their order ------------------------------------------------------------------------


def test_hazard_01_an_empty_list_is_inconclusive_and_is_said_so(command: Any) -> None:
    emulator = today(listing="empty")
    emulator.add_room("in nobody's list", running=9 * HOUR)
    result = command(emulator, "plan", "--format", "json")
    assert (account(result)["status"], account(result)["selected"]) == ("ok", 0)
    (warning,) = account(result)["warnings"]
    assert "inconclusive" in warning
    assert "inconclusive" in result.stderr


def test_hazard_01_behind_an_empty_list_the_registered_rooms_are_looked_up() -> None:
    emulator = server(listing="empty")
    for name in ("board", "Größe ✓", "forgotten"):
        emulator.add_room(name, running=9 * HOUR)
    rules = [booked("board", "Größe ✓", "over and empty", max_duration=4 * HOUR)]
    with client(emulator) as provider:
        assert chosen(provider, *rules) == {"board", "Größe ✓"}


def test_hazard_01_a_room_that_is_listed_and_registered_is_one_room() -> None:
    emulator = server()
    emulator.add_room("board", running=9 * HOUR)
    emulator.extra_names.append("board")
    with client(emulator) as provider:
        items = list(provider.list_items(ROOMS, [LONG, booked("board"), booked("board", ends=NOW)]))
        assert [item.id for item in items] == ["board"]
        assert provider.warnings == []
    assert sent(emulator, "GET") == ["Conference/", "Conference/board/"]


def test_hazard_02_a_live_room_without_details_is_kept_and_named() -> None:
    emulator = server(details="never")
    emulator.add_room("live", running=9 * HOUR)
    with client(emulator) as provider:
        (found,) = listed(provider).values()
        (warning,) = provider.warnings
    decision = choose(found, [LONG, LONELY], NOW)
    assert (found.live, found.started_at, found.raw["error"]) == (Live(), None, "failed")
    assert (decision.delete, decision.why) == (False, Reason.STATE_UNKNOWN)
    assert "error: 'failed'" in decision.reason
    assert '"live"' in warning


@pytest.mark.parametrize(
    ("ends", "allowed", "goes"),
    [(-HOUR, True, True), (-HOUR, False, False), (HOUR, True, False), (None, True, False), (None, False, False)],
)
def test_hazard_02_it_ends_only_if_its_time_is_over_and_the_operator_says_so(
    ends: timedelta | None, allowed: bool, goes: bool, command: Any
) -> None:
    emulator = today(details="never")
    emulator.add_room("live", running=9 * HOUR)
    when = {"ends_at": (datetime.now(UTC) + ends).isoformat(timespec="seconds")} if ends else {}
    rules = [{"rooms": [{"name": "live", **when}], "max_duration": "1 hour", "end_without_details": allowed}]
    result = command(emulator, "run", "--yes", rules=rules)
    assert (emulator.ended == ["live"]) is goes
    overdue = ends == -HOUR and not allowed
    assert result.exit_code == int(overdue), result.stderr
    assert ("its scheduled end has passed" in result.stderr) is overdue


def test_hazard_02_many_rooms_without_details_are_one_warning() -> None:
    emulator = server(details="never")
    for number in range(40):
        emulator.add_room(f"room {number:02d}\n", running=9 * HOUR)
    with client(emulator) as provider:
        assert len(listed(provider)) == 40
        (warning,) = provider.warnings
    assert "40 live rooms" in warning
    assert '"room 00\\x0a", ' in warning
    assert warning.endswith(", …")


UNSAFE = [
    "",
    ".",
    "..",
    " ",
    " . ",
    "\t..\n",
    "/",
    "a/..",
    "../x",
    "./a",
    "a//b",
    "%2e",
    "%2E%2e",
    "a%2f..",
    "..\\x",
    "\0",
]


@pytest.mark.parametrize("trims", [False, True])
@pytest.mark.parametrize("name", UNSAFE)
def test_hazard_03_a_name_that_could_mean_more_is_never_sent(name: str, trims: bool) -> None:
    emulator = server(trims_names=trims)
    emulator.add_room("bystander", running=9 * HOUR)
    with client(emulator) as provider:
        with pytest.raises(UnsafeId):
            provider.get(room(name))
        with pytest.raises(UnsafeId):
            provider.delete([room(name)], Permit())
    assert (emulator.seen, emulator.disasters, set(emulator.rooms)) == ([], [], {"bystander"})


@pytest.mark.parametrize("name", [".", "..", "", " "])
@pytest.mark.parametrize("registered", [False, True])
def test_hazard_03_such_a_room_is_shown_and_ends_the_run_with_1(name: str, registered: bool, command: Any) -> None:
    emulator = today(details="never" if registered else "always")
    emulator.add_room("long", running=9 * HOUR)
    if not registered:
        emulator.extra_names.append(name)
    rules: list[Any] = [{"max_duration": "4 hours", "rooms": [{"name": name}] if registered else []}]
    result = command(emulator, "run", "--yes", "--format", "json", rules=rules)
    assert result.exit_code == 1
    (found,) = [entry for entry in account(result)["items"] if entry["id"] == name]
    assert "cannot be sent" in found["reason"]
    assert emulator.disasters == []
    assert emulator.ended == ([] if registered else ["long"])


NEIGHBOURS = {
    "a#b": "a",
    "R&D/weekly": "R&D",
    "why?": "why",
    "50%20off": "50 off",
    "a+b": "a b",
    "tab\there": "tab",
    "Größe ✓ 会議": "Gr",
    "a;v=1": "a",
    "a%2Fb": "a",
    "~user": "user",
    "x&limit=1": "x",
    HOSTILE: "ALERT",
}


@pytest.mark.parametrize("name", NEIGHBOURS)
def test_hazard_04_a_name_is_encoded_whole_and_reaches_its_own_room_only(name: str) -> None:
    emulator = server()
    emulator.add_room(name, running=9 * HOUR)
    emulator.add_room(NEIGHBOURS[name], running=HOUR)
    with client(emulator) as provider:
        found = listed(provider)
        assert set(found) == {name, NEIGHBOURS[name]}
        assert provider.get(found[name]) is not None
        assert [result.outcome for result in provider.delete([found[name]], Permit())] == [Outcome.DELETED]
    assert sent(emulator) == [f"Conference/{quote(name, safe='')}/"]
    assert (emulator.ended, emulator.disasters) == ([name], [])


def test_hazard_04_a_name_that_is_not_unicode_is_never_sent() -> None:
    emulator = server()
    emulator.extra_names.append("half a \ud800")
    with client(emulator) as provider:
        (found,) = listed(provider).values()
        with pytest.raises(UnsafeId):
            provider.delete([found], Permit())
    assert found.unsendable
    assert sent(emulator, "GET") == ["Conference/"]


@pytest.mark.parametrize("path", ["v1/account", "x?y=1"])
def test_hazard_04_an_account_id_is_encoded_like_any_part_of_the_path(path: str) -> None:
    emulator = server()
    with client(emulator, auth_id=path) as provider, pytest.raises(AccessDenied):
        listed(provider)
    assert [request.path for request in emulator.requests("GET")] == [
        f"/api/v1/Account/{quote(path, safe='')}/Conference/"
    ]


def test_hazard_05_names_are_neither_trimmed_nor_changed_in_case() -> None:
    emulator = server()
    names = ["Team Meeting", "team meeting", " Team Meeting", "Team Meeting ", "TEAM MEETING", "Cafe\u0301", "Café"]
    for number, name in enumerate(names):
        emulator.add_room(name, running=(9 if number % 2 else 1) * HOUR)
    with client(emulator) as provider:
        found = listed(provider)
        assert list(found) == names
        provider.delete([found[name] for name in names[1::2]], Permit())
    assert emulator.ended == names[1::2]


def test_hazard_05_a_registered_name_in_another_case_is_another_room() -> None:
    emulator = server(listing="empty")
    emulator.add_room("Board", running=9 * HOUR)
    with client(emulator) as provider:
        assert listed(provider, booked("board", "BOARD", " Board", ends=NOW - HOUR)) == {}


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("target", ["/api/v1/Account/MA_SANDBOX/Conference/", "http://127.0.0.1:9/", ""])
def test_hazard_06_no_redirect_of_a_delete_is_followed(status: int, target: str) -> None:
    emulator = server()
    emulator.add_room("long", running=9 * HOUR)
    emulator.interfere.append(answering(Response(status, None, {"Location": target}), "DELETE"))
    with client(emulator) as provider:
        (found,) = listed(provider).values()
        with pytest.raises(ProviderError):
            provider.delete([found], Permit())
    assert sent(emulator) == ["Conference/long/"]
    assert (set(emulator.rooms), emulator.disasters) == ({"long"}, [])


def after_the_lookups(emulator: sandbox.Vobiz, act: Callable[[], object], count: int = 1) -> None:
    """Something happens at the vendor once rooms were looked up so many times."""
    seen: list[str] = []

    def hook(request: Request, _: Response) -> None:
        if request.method == "GET" and not request.path.endswith("/Conference/"):
            seen.append(request.path)
            if len(seen) == count:
                act()

    emulator.after.append(hook)


def test_hazard_07_a_new_room_of_the_same_name_is_left_alone(command: Any) -> None:
    emulator = today()
    emulator.add_room("board", running=9 * HOUR)
    after_the_lookups(emulator, lambda: emulator.reuse("board"))
    result = command(emulator, "run", "--yes", "--format", "json")
    assert (result.exit_code, outcomes(result)) == (0, {"board": "changed"})
    assert "another room of the same name" in account(result)["items"][0]["error"]
    assert (sent(emulator), set(emulator.rooms)) == ([], {"board"})


def test_hazard_07_a_new_room_is_left_alone_even_if_the_rule_would_end_it_too(command: Any) -> None:
    emulator = today()
    emulator.add_room("board", running=9 * HOUR)
    after_the_lookups(emulator, lambda: emulator.add_room("board", running=8 * HOUR))
    result = command(emulator, "run", "--yes", "--format", "json")
    assert outcomes(result) == {"board": "changed"}
    assert emulator.ended == []


def test_hazard_07_a_room_that_ended_meanwhile_is_gone_and_nothing_is_sent(command: Any) -> None:
    emulator = today()
    emulator.add_room("board", running=9 * HOUR)
    after_the_lookups(emulator, emulator.rooms.clear)
    result = command(emulator, "run", "--yes", "--format", "json")
    assert (result.exit_code, outcomes(result), sent(emulator)) == (0, {"board": "gone"}, [])


def test_hazard_07_a_room_whose_details_are_gone_by_now_is_kept(command: Any) -> None:
    emulator = today()
    emulator.add_room("board", running=9 * HOUR)
    after_the_lookups(emulator, lambda: setattr(emulator, "details", "never"))
    result = command(emulator, "run", "--yes", "--format", "json")
    assert (outcomes(result), emulator.ended) == ({"board": "changed"}, [])


def test_hazard_07_somebody_who_joins_a_lonely_room_saves_it(command: Any) -> None:
    emulator = today()
    lonely = emulator.add_room("board", running=3 * HOUR, joined=[3 * HOUR])
    after_the_lookups(emulator, lambda: lonely.members.append(sandbox.Member("18", emulator.clock())))
    rules = [{"abandoned_after": "1 hour", "max_members": 5}]
    result = command(emulator, "run", "--yes", "--format", "json", rules=rules)
    assert (outcomes(result), emulator.ended) == ({"board": "changed"}, [])


def test_hazard_07_a_room_began_its_run_time_before_the_answer_came() -> None:
    passing = [NOW]
    emulator = server(lambda: passing[0])
    emulator.add_room("board", running=2 * HOUR)
    with client(emulator) as provider:
        (found,) = listed(provider).values()
        passing[0] += HOUR
        fresh = provider.get(found)
    assert fresh is not None
    assert (found.started_at, fresh.started_at) == (NOW - 2 * HOUR, NOW - 2 * HOUR)
    assert (found.live, fresh.live) == (Live(2 * HOUR, 2, HOUR), Live(3 * HOUR, 2, 2 * HOUR))


ODD_ROOMS: dict[str, dict[str, Any]] = {
    **{f"run time {value!r}": {"conference_run_time": value} for value in (None, "", True, [], 5400.5, "5400.5")},
    **{f"run time {value}": {"conference_run_time": value} for value in ("-5", "nan", "--5", "9" * 18, "9" * 400)},
    "no run time": {"conference_run_time": ABSENT},
    **{f"count {value!r}": {"conference_member_count": value} for value in (None, "", "1", "3", "-2", True, "two")},
    "no count": {"conference_member_count": ABSENT},
    **{f"name {value!r}": {"conference_name": value} for value in ("odd ", "ODD", "another", "", None, ["odd"])},
    "no name": {"conference_name": ABSENT},
    **{f"members {value!r}": {"members": value} for value in (None, [], {}, "17,18", ["17", "18"], 2)},
    "no members": {"members": ABSENT},
    "an error too": {"error": "failed"},
    "an empty error": {"error": None},
}


@pytest.mark.parametrize("odd", ODD_ROOMS)
def test_hazard_08_a_room_with_odd_details_is_kept_with_a_reason(odd: str) -> None:
    emulator = server()
    emulator.add_room("odd", running=9 * HOUR, odd=ODD_ROOMS[odd])
    with client(emulator) as provider:
        (found,) = listed(provider).values()
        assert (found.live, found.started_at) == (Live(), None)
        assert set(reasons(provider)) == set(reasons(provider, LONELY)) == {"odd"}
        assert found.unreadable
        assert provider.warnings


@pytest.mark.parametrize("age", [None, True, "", "-60", "soon", 60.5, [], ABSENT, "32521", "9" * 30])
def test_hazard_08_a_member_whose_time_is_odd_keeps_the_room(age: Any) -> None:
    emulator = server()
    emulator.add_room("odd", running=9 * HOUR, joined=[9 * HOUR]).members[0].odd["join_time"] = age
    with client(emulator) as provider:
        assert "join_time" in reasons(provider)["odd"]
        assert set(reasons(provider, LONELY)) == {"odd"}


def test_hazard_08_a_second_between_two_readings_is_not_odd() -> None:
    row = {"conference_name": "a", "conference_run_time": "5400", "conference_member_count": "1"}
    assert details({**row, "members": [{"join_time": "5401"}]}, "a") == (
        Live(timedelta(seconds=5400), 1, timedelta(seconds=5401)),
        None,
    )


def test_hazard_08_the_member_who_came_last_decides_whether_a_room_is_abandoned() -> None:
    emulator = server()
    emulator.add_room("newcomer", running=9 * HOUR, joined=[9 * HOUR, HOUR / 6])
    emulator.add_room("quiet", running=9 * HOUR, joined=[9 * HOUR, 2 * HOUR])
    emulator.add_room("crowd", running=9 * HOUR, joined=[9 * HOUR] * 3)
    pair = replace(LONELY, live=LiveRule(abandoned_after=HOUR, max_members=2))
    with client(emulator) as provider:
        assert chosen(provider, pair) == {"quiet"}


NOT_FOUND: list[Any] = [
    {"error": "conference not found"},
    {"error": {"code": "NOT_FOUND", "message": "Not Found"}},
    {"error": "conference not found", "message": "Not Found"},
    None,
]


@pytest.mark.parametrize("body", NOT_FOUND)
def test_hazard_09_a_room_that_had_ended_is_gone_and_counted_apart(body: Any, command: Any) -> None:
    emulator = today(room_delete_404=body)
    emulator.add_room("board", running=9 * HOUR)
    emulator.interfere.append(lambda request: emulator.rooms.clear() if is_delete(request) else None)
    result = command(emulator, "run", "--yes", "--format", "json")
    assert (result.exit_code, outcomes(result)) == (0, {"board": "gone"})
    assert (account(result)["deleted"], account(result)["gone"]) == (0, 1)


@pytest.mark.parametrize("what", [ROOMS, RECORDINGS])
def test_hazard_09_the_gateways_404_is_a_wrong_address_and_never_gone(what: str) -> None:
    emulator = server()
    emulator.interfere.append(lambda _: Response(404, {"message": "Not Found"}))
    item = room("board") if what == ROOMS else sound("7c1d2e3f")
    with client(emulator) as provider:
        with pytest.raises(AccessDenied, match="check the account's url"):
            provider.get(item)
        with pytest.raises(AccessDenied, match="check the account's url"):
            provider.delete([item], Permit())


@pytest.mark.parametrize(
    "answer", [Response(404), Response(404, HTML, {"Content-Type": "text/html"})], ids=["", "HTML"]
)
@pytest.mark.parametrize("what", [ROOMS, RECORDINGS])
def test_hazard_09_a_404_that_says_nothing_is_checked_and_not_believed(what: str, answer: Response) -> None:
    emulator = server()
    emulator.add_room("board", running=9 * HOUR)
    emulator.add_recording("7c1d2e3f")
    item = room("board") if what == ROOMS else sound("7c1d2e3f")
    with client(emulator) as provider:
        emulator.interfere.append(answering(answer, "DELETE"))
        with pytest.raises(HttpError, match="404"):
            provider.delete([item], Permit())
        emulator.interfere.append(answering(answer))
        with pytest.raises(HttpError, match="404"):
            provider.get(item)


def test_hazard_09_a_wrong_address_is_not_an_empty_account(command: Any) -> None:
    emulator = today()
    emulator.add_room("board", running=9 * HOUR)
    for path, rules in (("/x", [{"max_duration": "4 hours"}]), ("/api", OLD_RECORDINGS)):
        emulator.interfere[:] = [lambda request, path=path: Response(404, {"message": "Not Found"})]
        result = command(emulator, "run", "--yes", "--format", "json", rules=rules)
        assert (result.exit_code, account(result)["status"]) == (1, "failed")


UNCLEAR = [Response(500, HTML), Response(502), Response(503), Response(504), Response(close=True)]


@pytest.mark.parametrize("answer", UNCLEAR, ids=["500", "502", "503", "504", "silence"])
def test_hazard_10_after_an_unclear_answer_a_new_room_is_not_ended(answer: Response, command: Any) -> None:
    emulator = today()
    emulator.add_room("board", running=9 * HOUR)

    def ended_and_called_again(request: Request, _: Response) -> Response | None:
        if not is_delete(request):
            return None
        emulator.reuse("board")
        return answer

    emulator.after.append(ended_and_called_again)
    result = command(emulator, "run", "--yes", "--format", "json")
    assert (emulator.ended, set(emulator.rooms)) == (["board"], {"board"})
    assert (result.exit_code, outcomes(result)) == (0, {"board": "deleted"})


def test_hazard_10_after_an_unclear_answer_a_room_that_is_gone_is_deleted(command: Any) -> None:
    emulator = today()
    emulator.add_room("board", running=9 * HOUR)
    emulator.after.append(lambda request, _: Response(500) if is_delete(request) else None)
    result = command(emulator, "run", "--yes", "--format", "json")
    assert (result.exit_code, outcomes(result), len(sent(emulator))) == (0, {"board": "deleted"}, 1)


def test_hazard_10_a_room_without_details_is_not_ended_twice_and_its_outcome_is_unknown(command: Any) -> None:
    emulator = today(details="never")
    emulator.add_room("board", running=9 * HOUR)
    emulator.interfere.append(answering(Response(504), "DELETE"))
    over = (datetime.now(UTC) - HOUR).isoformat(timespec="seconds")
    rules = [{"rooms": [{"name": "board", "ends_at": over}], "end_without_details": True}]
    result = command(emulator, "run", "--yes", "--format", "json", rules=rules)
    assert (result.exit_code, outcomes(result)) == (1, {"board": "unknown"})
    assert sent(emulator) == ["Conference/board/"]


@pytest.mark.parametrize("status", [401, 402, 403])
@pytest.mark.parametrize("what", [ROOMS, RECORDINGS])
def test_hazard_11_a_refusal_of_the_account_stops_it_and_is_never_an_empty_list(
    status: int, what: str, command: Any
) -> None:
    emulator = today()
    emulator.add_room("board", running=9 * HOUR)
    emulator.add_recording("rec", ended=40 * DAY)
    emulator.interfere.append(lambda _: refusal(status, "ACCOUNT_INACTIVE", "no access"))
    rules = OLD_RECORDINGS if what == RECORDINGS else [{"max_duration": "4 hours"}]
    result = command(emulator, "run", "--yes", "--format", "json", rules=rules)
    assert (result.exit_code, account(result)["status"]) == (1, "failed")
    assert "ACCOUNT_INACTIVE, no access" in result.stderr
    assert [seen.status for seen in emulator.seen] == [status]


@pytest.mark.parametrize("shape", ["string", "object"])
@pytest.mark.parametrize("keys", [{"auth_token": "wrong"}, {"auth_id": "MA_OTHER"}])
def test_hazard_11_wrong_credentials_are_an_error_in_both_shapes_of_it(keys: Any, shape: Any) -> None:
    with client(server(error_shape=shape), **keys) as provider, pytest.raises(AccessDenied, match="401"):
        provider.check([ROOMS, RECORDINGS])


def test_hazard_11_a_refusal_while_deleting_leaves_the_rest(command: Any) -> None:
    emulator = today()
    for number in range(5):
        emulator.add_room(f"room {number}", running=9 * HOUR)
    emulator.after.append(lambda request, _: emulator.expire_tokens() if is_delete(request) else None)
    result = command(emulator, "run", "--yes", "--format", "json", concurrency=1)
    found = account(result)
    assert (result.exit_code, found["status"], len(emulator.ended)) == (1, "partial", 1)
    assert (found["unknown"], found["failed"], found["deferred"]) == (1, 1, 3)


def test_hazard_12_numbers_as_text_are_compared_as_numbers() -> None:
    emulator = server()
    emulator.add_room("short", running=timedelta(seconds=900))
    emulator.add_room("long", running=timedelta(seconds=14401))
    emulator.add_room("number", running=5 * HOUR, odd={"conference_run_time": 18000, "conference_member_count": 2})
    with client(emulator) as provider:
        assert chosen(provider) == {"long", "number"}


def test_hazard_12_milliseconds_are_text_with_decimals() -> None:
    row = {"recording_id": "a", "add_time": "2026-05-07 09:45:35.79276+05:30"}
    found = recording(
        {**row, "recording_start_ms": "1778127320000.00000", "recording_end_ms": "1778127335000.00000"}, NOW
    )
    assert found.started_at == datetime(2026, 5, 7, 4, 15, 20, tzinfo=UTC)
    assert found.ended_at == datetime(2026, 5, 7, 4, 15, 35, tzinfo=UTC)


def test_hazard_12_a_null_end_is_the_time_it_was_added() -> None:
    emulator = server()
    trunk: dict[str, Any] = {"recording_type": "trunk", "recording_start_ms": None, "recording_duration_ms": None}
    emulator.add_recording("null", ended=40 * DAY, recording_end_ms=None, **trunk)
    emulator.add_recording("absent", ended=40 * DAY, recording_end_ms=ABSENT, **trunk)
    emulator.add_recording("young", ended=29 * DAY, recording_end_ms=None, **trunk)
    with client(emulator) as provider:
        found = listed(provider, OLD)
        assert chosen(provider, OLD) == {"null", "absent"}
    assert found["null"].ended_at == found["null"].created_at


ADD_TIMES = {
    "2026-05-07 09:45:35.79276+05:30": (4, 15, 35, 792760),
    "2026-05-07 04:15:35.792760+00:00": (4, 15, 35, 792760),
    "2026-05-07T04:15:35Z": (4, 15, 35, 0),
    "2026-05-06 20:15:35.1-08:00": (4, 15, 35, 100000),
    " 2026-05-07 09:45:35.79276+05:30 ": (4, 15, 35, 792760),
}


@pytest.mark.parametrize("written", ADD_TIMES)
def test_hazard_13_add_time_is_read_with_any_offset_and_fraction(written: str) -> None:
    hour, minute, second, microsecond = ADD_TIMES[written]
    found = recording({"recording_id": "a", "add_time": written}, NOW)
    assert found.ended_at == datetime(2026, 5, 7, hour, minute, second, microsecond, UTC)


@pytest.mark.parametrize("offset", [-12, -8, 0, 5.5, 5.75, 14])
def test_hazard_13_the_offset_moves_no_recording_across_the_cutoff(offset: float) -> None:
    emulator = server()
    for minutes in (-1, 1):
        when = NOW - 30 * DAY - timedelta(minutes=minutes)
        emulator.add_recording(f"{minutes}", recording_end_ms=None, add_time=wire_time(when, offset))
    with client(emulator) as provider:
        assert chosen(provider, OLD) == {"1"}


NO_TIMES: list[Any] = [ABSENT, None, "", "yesterday", True, 0, 1778127335, "1778127335", [], {}]
NO_TIMES += ["2025-05-07", "2025-13-45T09:00:00Z", "0001-01-01T00:00:00Z"]
NO_TIMES += ["1970-01-01 00:00:00.00000+00:00", "9" * 400]


@pytest.mark.parametrize("ended", ["known", "null"])
@pytest.mark.parametrize("added", NO_TIMES)
def test_hazard_14_without_a_usable_add_time_a_recording_is_kept_and_reported(added: Any, ended: str) -> None:
    emulator = server()
    end = {"recording_end_ms": None} if ended == "null" else {}
    emulator.add_recording("odd", ended=40 * DAY, add_time=added, **end)
    with client(emulator) as provider:
        assert re.search("add_time (is missing|cannot be read)", reasons(provider, OLD)["odd"])


@pytest.mark.parametrize(
    "end", ["", "soon", True, False, "nan", "inf", "1e400", "-1.00000", "0.00000", 0, [], {}, 10**400, "1778127335"]
)
def test_hazard_14_an_end_that_cannot_be_read_keeps_whatever_add_time_says(end: Any) -> None:
    emulator = server()
    emulator.add_recording("odd", ended=40 * DAY, recording_end_ms=end)
    with client(emulator) as provider:
        assert "recording_end_ms cannot be read" in reasons(provider, OLD)["odd"]


def test_hazard_14_a_recording_that_ends_before_it_begins_is_kept() -> None:
    emulator = server()
    emulator.add_recording("odd", ended=40 * DAY, recording_start_ms=wire_ms(NOW))
    with client(emulator) as provider:
        assert reasons(provider, OLD) == {"odd": "it ends before it begins"}


def test_hazard_14_without_an_end_it_may_be_unfinished_for_a_day() -> None:
    emulator = server()
    for name, ended in (("running", HOUR), ("a day", DAY - HOUR), ("over", DAY + HOUR)):
        emulator.add_recording(name.replace(" ", "-"), ended=ended, recording_end_ms=None)
    emulator.add_recording("ended", ended=HOUR)
    at_once = replace(OLD, cutoff=NOW)
    with client(emulator) as provider:
        assert chosen(provider, at_once) == {"over", "ended"}
        assert "may still be recorded" in reasons(provider, at_once)["running"]


@pytest.mark.parametrize("ignores", [True, False])
def test_hazard_15_no_filter_is_relied_on_and_every_row_is_checked_here(ignores: bool) -> None:
    emulator = server(ignore_filters=ignores, page_cap=3)
    for number, days in enumerate((0, 1, 29, 31, 40, 400)):
        emulator.add_recording(f"r{number}", ended=days * DAY, conference_name="Team" if number % 2 else "")
    with client(emulator) as provider:
        assert chosen(provider, OLD) == {"r3", "r4", "r5"}
        assert chosen(provider, replace(OLD, title="team")) == {"r3", "r5"}
    assert {name for request in emulator.requests("GET") for name, _ in request.query} == {"limit", "offset"}


@pytest.mark.parametrize("total", ["ids", "rows"])
def test_hazard_16_a_recording_that_is_listed_twice_is_deleted_once(total: Any, command: Any) -> None:
    emulator = today(total_counts=total)
    for number in range(5):
        emulator.add_recording(f"r{number}", ended=40 * DAY)
    emulator.repeats += ["r1", "r3"]
    result = command(emulator, "run", "--yes", "--format", "json", rules=OLD_RECORDINGS)
    assert (result.exit_code, account(result)["listed"], emulator.recordings) == (0, 5, {})
    assert len(sent(emulator)) == 5


@pytest.mark.parametrize("total", ["ids", "rows"])
@pytest.mark.parametrize("cap", [1, 2, 3, 4, 5])
def test_hazard_16_repeated_recordings_neither_end_the_list_early_nor_fail_it(total: Any, cap: int) -> None:
    """They stand behind all others: on the same page, on the next, or on pages of their own."""
    emulator = server(total_counts=total, page_cap=cap)
    for number in range(7):
        emulator.add_recording(f"r{number}", ended=40 * DAY)
    emulator.repeats += ["r5", "r6"]
    with client(emulator) as provider:
        plan = make_plan(Listing("v", provider, [OLD], NOW))
    if cap == 1:  # pages of nothing but known rows cannot be told from pages that repeat
        assert plan.status == ("failed" if total == "rows" else "ok")
        return
    assert (plan.status, plan.listed, len(plan.selected)) == ("ok", 7, 7)


def test_hazard_16_repeated_recordings_on_the_first_page_do_not_hide_the_second() -> None:
    emulator = server(page_cap=3, total_counts="ids")
    for number in range(4):
        emulator.add_recording(f"r{number}", ended=40 * DAY)
    rows = list(emulator.recordings.values())
    emulator.recordings = {"r0": rows[0], "again": rows[0], "r1": rows[1], "r2": rows[2], "r3": rows[3]}
    emulator.after.append(lambda _, response: Response(200, _counted(response.body, 3)))
    with client(emulator) as provider:
        assert set(listed(provider, OLD)) == {"r0", "r1", "r2", "r3"}


def _counted(body: dict[str, Any], total: int) -> dict[str, Any]:
    return {**body, "meta": {**body["meta"], "total_count": total}}


@pytest.mark.parametrize("days", [(40, 3), (3, 40)])
def test_hazard_16_a_recording_that_is_listed_with_two_ages_stays(days: tuple[int, int]) -> None:
    emulator = server()
    for key, age in zip(("r0", "again"), days, strict=True):
        emulator.add_recording(key, ended=age * DAY)["recording_id"] = "r0"
    with client(emulator) as provider:
        plan = make_plan(Listing("v", provider, [OLD], NOW))
    assert (plan.listed, len(plan.selected), plan.kept[Reason.TOO_YOUNG]) == (1, 0, 1)


def test_a_room_that_cannot_be_looked_up_leaves_the_other_rooms() -> None:
    emulator = server()
    for name in ("a", "b", "c"):
        emulator.add_room(name, running=5 * HOUR)
    emulator.interfere.append(lambda request: Response(500) if request.path.endswith("/b/") else None)
    with client(emulator) as provider:
        plan = make_plan(Listing("v", provider, [LONG], NOW))
    assert (plan.status, [entry.item.id for entry in plan.selected]) == ("partial", ["a", "c"])
    (told,) = plan.unlisted
    assert told.startswith('room "b": could not read the room from 127.0.0.1:')
    assert ": 500, tried 4 times; " in told


@pytest.mark.parametrize("status", [400, 422])
def test_a_page_of_100_that_is_refused_is_left_to_the_vendor(status: int) -> None:
    emulator = server()
    emulator.interfere.append(lambda request: Response(status) if request.arg("limit") == "100" else None)
    for number in range(25):
        emulator.add_recording(f"r{number}", ended=40 * DAY)
    with client(emulator) as provider:
        assert len(listed(provider, OLD)) == 25
    assert [request.arg("limit") for request in emulator.requests("GET")] == ["100", None, None]


def test_hazard_16_rows_without_an_id_are_told_apart_and_kept() -> None:
    emulator = server(page_cap=2)
    for number, ident in enumerate((None, ABSENT, "", 7, [])):
        row = emulator.add_recording(f"r{number}", ended=40 * DAY + number * HOUR)
        row["recording_id"] = ident
        if ident is ABSENT:
            del row["recording_id"]
    with client(emulator) as provider:
        items = list(provider.list_items(RECORDINGS, [OLD]))
    decisions = [choose(item, [OLD], NOW) for item in items]
    assert [(decision.delete, decision.why) for decision in decisions] == [(False, Reason.UNDELETABLE)] * 5
    assert all("id is not text" in decision.reason for decision in decisions)


def test_hazard_16_a_total_that_is_larger_than_the_rows_fails_the_list() -> None:
    emulator = server(hides_older_than=7 * DAY)
    for number, days in enumerate((1, 2, 40)):
        emulator.add_recording(f"r{number}", ended=days * DAY)
    with client(emulator) as provider, pytest.raises(ProviderError, match="counts 3, its pages showed 2"):
        listed(provider, OLD)
    assert len(emulator.seen) == 1


@pytest.mark.parametrize("order", ["inserted", "reversed"])
@pytest.mark.parametrize("null_next", [True, False])
def test_hazard_17_pages_are_counted_and_next_is_never_followed(null_next: bool, order: Any) -> None:
    emulator = server(page_cap=3, null_next=null_next, order=order)
    for number in range(8):
        emulator.add_recording(f"r{number}", ended=40 * DAY)
    with client(emulator) as provider:
        assert len(listed(provider, OLD)) == 8
    assert set(sent(emulator, "GET")) == {"Recording/"}
    queries = [dict(request.query) for request in emulator.requests("GET")]
    offsets = (0, 3, 6) if null_next else (0, 3, 6, 8)
    assert queries == [{"limit": "100", "offset": str(offset)} for offset in offsets]


@pytest.mark.parametrize("pages", ["short", "lost", "repeated"])
def test_hazard_17_pages_that_do_not_add_up_fail_the_list(pages: Any, command: Any) -> None:
    emulator = today(page_cap=3, pages=pages)
    for number in range(8):
        emulator.add_recording(f"r{number}", ended=40 * DAY)
    result = command(emulator, "run", "--yes", "--format", "json", rules=OLD_RECORDINGS)
    assert (result.exit_code, account(result)["status"], sent(emulator)) == (1, "failed", [])
    assert len(emulator.seen) < 10


NO_IDS = [
    "",
    ".",
    "..",
    "BulkDelete",
    "bulkdelete",
    "BULKDELETE",
    "BulkDelete ",
    "a/b",
    "a b",
    "a%2fb",
    "ä",
    "１",
    "a\n",
]


@pytest.mark.parametrize("ident", NO_IDS)
def test_hazard_18_only_letters_digits_underscore_and_hyphen_are_sent_as_an_id(ident: str) -> None:
    emulator = server()
    emulator.add_recording("bystander", ended=40 * DAY)
    with client(emulator) as provider:
        with pytest.raises(UnsafeId):
            provider.get(sound(ident))
        with pytest.raises(UnsafeId):
            provider.delete([sound(ident)], Permit())
    assert (emulator.seen, emulator.disasters, set(emulator.recordings)) == ([], [], {"bystander"})


@pytest.mark.parametrize("ident", ["BulkDelete", ".", ".."])
def test_hazard_18_such_a_recording_is_kept_when_it_is_listed_and_ends_the_run_with_1(ident: str, command: Any) -> None:
    emulator = today()
    emulator.add_recording("rec_A-b_01", ended=40 * DAY)
    emulator.add_recording(ident, ended=40 * DAY)
    planned = command(emulator, "plan", "--format", "json", rules=OLD_RECORDINGS)
    result = command(emulator, "run", "--yes", "--format", "json", rules=OLD_RECORDINGS)
    assert (result.exit_code, outcomes(result)) == (1, {"rec_A-b_01": "deleted"})
    for told in (planned, result):
        (kept,) = [entry for entry in account(told)["items"] if entry["id"] == ident]
        assert (kept["decision"], kept["outcome"]) == ("keep", None)
        assert "cannot be sent as a recording's id" in kept["reason"]
    assert (sent(emulator), emulator.disasters) == (["Recording/rec_A-b_01/"], [])


def test_hazard_18_such_a_recording_that_is_not_due_disturbs_nobody(command: Any) -> None:
    emulator = today()
    emulator.add_recording("BulkDelete", ended=DAY)
    assert command(emulator, "run", "--yes", rules=OLD_RECORDINGS).exit_code == 0


NO_ROOM_LISTS: list[Any] = [
    {"conferences": [{"conference_name": "Team", "member_count": 2}]},
    {"conferences": ["Team", None]},
    {"conferences": ["Team", 7]},
    {"conferences": {"Team": 2}},
    {"conferences": "Team"},
    {"conferences": None},
    {"objects": ["Team"]},
    {"error": "failed"},
    {},
]


@pytest.mark.parametrize("body", NO_ROOM_LISTS)
def test_hazard_19_a_list_of_rooms_in_another_shape_fails(body: Any) -> None:
    emulator = server()
    emulator.add_room("Team", running=9 * HOUR)
    emulator.interfere.append(lambda request: Response(200, body) if request.path.endswith("/Conference/") else None)
    with client(emulator) as provider, pytest.raises(ProviderError):
        listed(provider, LONG, booked("Team", ends=NOW - HOUR))


def test_hazard_19_the_old_list_of_rooms_deletes_nothing(command: Any) -> None:
    emulator = today(room_list_shape="objects")
    emulator.add_room("Team", running=9 * HOUR)
    result = command(emulator, "run", "--yes", "--format", "json")
    assert (result.exit_code, account(result)["status"], emulator.ended) == (1, "failed", [])


@pytest.mark.parametrize("shape", ["january", "bare"])
def test_hazard_19_old_lists_of_recordings_delete_nothing(shape: Any, command: Any) -> None:
    emulator = today(recording_list_shape=shape)
    emulator.add_recording("r1", ended=40 * DAY)
    result = command(emulator, "run", "--yes", "--format", "json", rules=OLD_RECORDINGS)
    assert (result.exit_code, account(result)["status"], emulator.deleted) == (1, "failed", [])


ROW = {"recording_id": "r1", "add_time": "2025-05-07T04:15:35Z"}
NO_RECORDING_LISTS: list[Any] = [
    {"meta": {"total_count": 1}},
    {"meta": {}, "objects": [ROW]},
    {"meta": {"total_count": None}, "objects": [ROW]},
    {"meta": {"total_count": -1}, "objects": [ROW]},
    {"meta": {"total_count": 1.5}, "objects": [ROW]},
    {"meta": [], "objects": [ROW]},
    {"meta": {"total_count": 1}, "objects": ["r1"]},
    {"meta": {"total_count": 1}, "objects": {"r1": ROW}},
    {"meta": {"total_count": 1}, "objects": None},
    {"meta": {"total_count": 1, "next": None}, "objects": []},
]


@pytest.mark.parametrize("body", NO_RECORDING_LISTS)
def test_hazard_19_a_list_of_recordings_in_another_shape_fails(body: Any) -> None:
    emulator = server()
    emulator.interfere.append(answering(Response(200, body)))
    with client(emulator) as provider, pytest.raises(ProviderError):
        listed(provider, OLD)


@pytest.mark.parametrize("what", [ROOMS, RECORDINGS])
def test_hazard_20_204_without_a_body_is_deleted(what: str) -> None:
    emulator = server()
    emulator.add_room("board", running=9 * HOUR)
    emulator.add_recording("r1", ended=40 * DAY)
    item = room("board") if what == ROOMS else sound("r1")
    with client(emulator) as provider:
        assert [result.outcome for result in provider.delete([item], Permit())] == [Outcome.DELETED]
    assert sent(emulator) == ["Conference/board/" if what == ROOMS else "Recording/r1/"]
    assert (emulator.ended, emulator.deleted) == (["board"], []) if what == ROOMS else ([], ["r1"])


@pytest.mark.parametrize("answer", [Response(200, {"message": "ok"}), Response(200), Response(202, {}), Response(205)])
@pytest.mark.parametrize("what", [ROOMS, RECORDINGS])
def test_hazard_20_any_other_success_is_not_taken_for_deleted(what: str, answer: Response) -> None:
    emulator = server()
    emulator.interfere.append(answering(answer, "DELETE"))
    item = room("board") if what == ROOMS else sound("r1")
    with client(emulator) as provider, pytest.raises(OutcomeUnknown, match="did not confirm the deletion: 20"):
        provider.delete([item], Permit())
    assert len(sent(emulator)) == 1


GOODBYE = {"max_duration": "4 hours", "announce": "This room closes now.", "announce_wait": "20 s"}


@pytest.fixture
def waited(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The waits of a run, in seconds, none of which takes any time."""
    waits: list[float] = []
    monkeypatch.setattr("confcleanup.deadline.Deadline.wait", lambda self, seconds: waits.append(seconds))
    return waits


def steps(emulator: sandbox.Vobiz) -> list[str]:
    """What was asked about the room "board", in order."""
    return [
        f"{seen.request.method} {seen.request.path.removeprefix(BASE + 'Conference/board/')}".strip()
        for seen in emulator.seen
        if "board" in seen.request.path
    ]


@pytest.mark.parametrize("style", ["current", "old"])
@pytest.mark.parametrize("members", ["list", "text"])
def test_hazard_21_a_text_is_spoken_to_everybody_and_the_room_is_looked_at_again_before_it_ends(
    style: Any, members: Any, command: Any, waited: list[float]
) -> None:
    emulator = today(speak=style, announced_members=members)
    emulator.add_room("board", running=9 * HOUR)
    result = command(emulator, "run", "--yes", "--format", "json", rules=[GOODBYE])
    assert (result.exit_code, outcomes(result)) == (0, {"board": "deleted"})
    assert steps(emulator) == ["GET", "GET", "POST Member/all/Speak/", "GET", "DELETE", "GET"]
    body = {"text": "This room closes now.", "voice": "WOMAN", "language": "en-US"}
    assert emulator.announcements == [("board", "all", "Speak", body)]
    assert waited == [20.0]


def test_hazard_21_a_sound_is_played(command: Any, waited: list[float]) -> None:
    emulator = today()
    emulator.add_room("board", running=9 * HOUR)
    rule = GOODBYE | {"announce": "https://media.example.net/closing.mp3"}
    assert command(emulator, "run", "--yes", rules=[rule]).exit_code == 0
    body = {"url": "https://media.example.net/closing.mp3"}
    assert (emulator.announcements, emulator.ended) == ([("board", "all", "Play", body)], ["board"])


def test_hazard_21_a_dry_run_says_that_it_would_be_announced_and_says_nothing_to_the_room(command: Any) -> None:
    emulator = today()
    emulator.add_room("board", running=9 * HOUR)
    (entry,) = account(command(emulator, "plan", "--format", "json", rules=[GOODBYE]))["items"]
    assert entry["reason"].endswith("; hangs up on 2 people, announced 20 seconds before")
    assert (emulator.announcements, emulator.requests("POST")) == ([], [])


REFUSED = [
    Response(404, {"message": "Not Found"}),
    Response(404, {"error": "member not found"}),
    Response(400, {"error": "bad text"}),
    Response(500, {"error": "trouble"}),
    Response(204),
    Response(200, {"error": "failed"}),
    Response(200, b"ok"),
    Response(close=True),
]


@pytest.mark.parametrize("answer", REFUSED)
def test_hazard_21_a_room_that_nobody_told_is_not_ended(answer: Response, command: Any, waited: list[float]) -> None:
    emulator = today()
    emulator.add_room("board", running=9 * HOUR)
    emulator.interfere.append(answering(answer, "POST"))
    result = command(emulator, "run", "--yes", "--format", "json", rules=[GOODBYE])
    assert (result.exit_code, outcomes(result)) == (1, {"board": "failed"})
    assert "could not be announced, so it was not ended" in account(result)["items"][0]["error"]
    assert (sent(emulator), len(emulator.requests("POST"))) == ([], 1)


@pytest.mark.parametrize("answer", REFUSED)
def test_hazard_21_it_is_ended_all_the_same_if_the_rule_says_so_and_the_failure_is_told(
    answer: Response, command: Any, waited: list[float]
) -> None:
    emulator = today()
    emulator.add_room("board", running=9 * HOUR)
    emulator.interfere.append(answering(answer, "POST"))
    rule = GOODBYE | {"end_without_announcement": True}
    result = command(emulator, "run", "--yes", "--format", "json", rules=[rule])
    assert (result.exit_code, outcomes(result)) == (0, {"board": "deleted"})
    assert any('"board" could not be announced' in warning for warning in account(result)["warnings"])


def history_of(command: Any, emulator: sandbox.Vobiz, **more: Any) -> dict[str, Any]:
    """The one entry of the history after a run."""
    assert command(emulator, "run", "--yes", **more).exit_code == 0
    (entry,) = json.loads(command(emulator, "history", "--format", "json").stdout)["deletions"]
    return dict(entry)


def test_the_history_says_why_a_room_was_ended_who_was_in_it_and_that_it_was_announced(
    command: Any, waited: list[float]
) -> None:
    emulator = today()
    emulator.add_room("board", running=9.5 * HOUR)
    entry = history_of(command, emulator, rules=[GOODBYE])
    said = {name: entry[name] for name in ("reason", "people", "announced")}
    assert said == {"reason": "5 hours past its maximum duration (4 hours)", "people": 2, "announced": True}
    line = "5 hours past its maximum duration (4 hours); 2 people in the room, announced before"
    assert line in command(emulator, "history").stdout


def test_the_history_says_that_an_announcement_failed(command: Any, waited: list[float]) -> None:
    emulator = today(speak="missing")
    emulator.add_room("board", running=9 * HOUR)
    assert history_of(command, emulator, rules=[GOODBYE | {"end_without_announcement": True}])["announced"] is False
    assert "2 people in the room, the announcement failed" in command(emulator, "history").stdout


def test_the_history_counts_the_people_at_the_last_look(command: Any, waited: list[float]) -> None:
    emulator = today()
    room = emulator.add_room("board", running=9 * HOUR)

    def leave(request: Request) -> None:
        if request.method == "POST":
            room.members.pop()

    emulator.interfere.append(leave)
    assert history_of(command, emulator, rules=[GOODBYE])["people"] == 1


def test_who_is_in_a_room_without_details_is_said_to_be_unknown(command: Any) -> None:
    emulator = today(details="some")
    emulator.add_room("board", running=9 * HOUR, details=False)
    over = (emulator.clock() - HOUR).isoformat()
    rules = [{"rooms": [{"name": "board", "ends_at": over}], "end_without_details": True}]
    plan = command(emulator, "plan", rules=rules).stdout
    assert "; hangs up on an unknown number of people, without an announcement" in plan
    assert history_of(command, emulator, rules=rules)["people"] is None
    assert "an unknown number of people in the room, without an announcement" in command(emulator, "history").stdout


def test_the_question_says_how_many_people_are_disconnected(command: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("confcleanup.cli.cleaning._asking", lambda: True)
    emulator = today(details="some")
    for name, joined in (("one", [9 * HOUR]), ("two", [9 * HOUR, 3 * HOUR])):
        emulator.add_room(name, running=9 * HOUR, joined=joined)
    rules: list[dict[str, Any]] = [{"max_duration": "4 hours"}]
    asked = command(emulator, "run", rules=rules).stderr
    assert "Delete 2 items of 1 account? This hangs up on 3 people in 2 live rooms. It cannot be undone." in asked
    emulator.add_room("silent", running=9 * HOUR, details=False)
    over = (emulator.clock() - HOUR).isoformat()
    rules.append({"rooms": [{"name": "silent", "ends_at": over}], "end_without_details": True})
    asked = command(emulator, "run", rules=rules).stderr
    assert "3 people in 2 live rooms and on an unknown number of people in 1 live room. It cannot" in asked


def test_hazard_21_where_the_vendor_no_longer_speaks_the_room_stays(command: Any, waited: list[float]) -> None:
    emulator = today(speak="missing")
    emulator.add_room("board", running=9 * HOUR)
    emulator.add_room("other", running=9 * HOUR)
    result = command(emulator, "run", "--yes", "--format", "json", rules=[GOODBYE])
    assert outcomes(result) == {"board": "failed", "other": "failed"}
    assert emulator.ended == []


def test_hazard_21_a_room_that_ended_before_the_announcement_is_gone(command: Any, waited: list[float]) -> None:
    emulator = today()
    emulator.add_room("board", running=9 * HOUR)
    after_the_lookups(emulator, emulator.rooms.clear, 2)
    result = command(emulator, "run", "--yes", "--format", "json", rules=[GOODBYE])
    assert (result.exit_code, outcomes(result)) == (0, {"board": "gone"})
    assert sent(emulator) == []


def test_hazard_21_a_new_room_that_began_during_the_wait_is_left_alone(
    command: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    emulator = today()
    emulator.add_room("board", running=9 * HOUR)
    monkeypatch.setattr("confcleanup.deadline.Deadline.wait", lambda self, seconds: emulator.reuse("board"))
    result = command(emulator, "run", "--yes", "--format", "json", rules=[GOODBYE])
    assert outcomes(result) == {"board": "changed"}
    assert (sent(emulator), len(emulator.announcements)) == ([], 1)


def test_hazard_21_without_time_left_to_wait_nothing_is_announced_and_the_room_is_left_for_the_next_run(
    command: Any,
) -> None:
    emulator = today()
    emulator.add_room("board", running=9 * HOUR)
    rule = GOODBYE | {"announce_wait": "2 hours"}
    result = command(emulator, "run", "--yes", "--format", "json", rules=[rule])
    assert outcomes(result) == {"board": "deferred"}
    assert (emulator.announcements, emulator.ended) == ([], [])


def test_hazard_21_a_refused_account_stops_at_the_announcement(command: Any, waited: list[float]) -> None:
    emulator = today()
    emulator.add_room("board", running=9 * HOUR)
    emulator.interfere.append(answering(Response(403, {"error": "ACCOUNT_INACTIVE"}), "POST"))
    rule = GOODBYE | {"end_without_announcement": True}
    result = command(emulator, "run", "--yes", "--format", "json", rules=[rule])
    assert (result.exit_code, sent(emulator)) == (1, [])
    assert "ACCOUNT_INACTIVE" in account(result)["error"]


@pytest.mark.parametrize(
    "said", ["", "  ", "x" * 1001, "http://media.example.net/a.mp3", "https://media.example.net/a.ogg"]
)
def test_hazard_21_what_cannot_be_announced_is_a_mistake_in_the_config(said: str) -> None:
    (mistake,) = mistakes(LiveRoomRule, what=ROOMS, max_duration="4 hours", announce=said)
    assert mistake.startswith("announce")


def test_hazard_22_the_vendors_name_of_a_request_is_in_the_log(command: Any) -> None:
    emulator = today()
    emulator.add_room("board", running=9 * HOUR)
    assert "api_id 3f0c6b1e-0000-4000-8000-" in command(emulator, "-vv", "plan").stderr


@pytest.mark.parametrize("trouble", [None, 401, 404, 500])
def test_hazard_22_the_token_is_in_no_log_and_no_output(
    trouble: int | None, command: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("confcleanup.deadline.Deadline.wait", lambda self, seconds: None)
    token = "token/with+odd=parts&c1d7"
    emulator = today(auth_token=token)
    emulator.add_room("board", running=9 * HOUR)
    if trouble:
        emulator.interfere.append(lambda request: Response(trouble, {"error": dict(request.headers)}))
    result = command(emulator, "-vv", "run", "--yes", "--format", "json")
    assert result.exit_code == (1 if trouble else 0)
    assert {request.headers["X-Auth-Token"] for request in emulator.requests("GET")} == {token}
    written = [file.read_bytes() for file in (tmp_path / "state").rglob("*") if file.is_file()]
    for text in (result.output.encode(), result.stderr.encode(), *written):
        assert not any(spelling.encode() in text for spelling in (token, quote(token, safe="")))


def test_hazard_23_a_float_amount_and_a_null_next_are_no_trouble() -> None:
    emulator = server()
    emulator.add_recording("r1", ended=40 * DAY, monthly_recording_storage_amount=0.0125, recording_storage_rate=None)
    with client(emulator) as provider:
        assert chosen(provider, OLD) == {"r1"}


def test_hazard_23_two_headers_and_the_type_are_all_that_is_needed() -> None:
    emulator = server()
    emulator.add_room("board", running=9 * HOUR)
    with client(emulator) as provider:
        provider.delete(list(listed(provider).values()), Permit())
    for seen in emulator.seen:
        assert seen.status in (200, 204)
        assert seen.request.headers["X-Auth-ID"] == "MA_SANDBOX"
        assert seen.request.headers["Content-Type"] == "application/json"
        assert seen.request.path.endswith("/")
        assert "Authorization" not in seen.request.headers


@pytest.mark.parametrize("written", ["2026-01-30 11:30:00", "2026-01-30T11:30:00.79276", "2026-01-30 11:30"])
def test_hazard_27_an_add_time_without_an_offset_means_the_latest_that_it_may(written: str) -> None:
    """At UTC-12 it was 23:30 UTC by then, which is younger than 30 days; in every other zone it was earlier."""
    emulator = server()
    emulator.add_recording("bare", ended=40 * DAY, add_time=written, recording_end_ms=None)
    emulator.add_recording("older", ended=40 * DAY, add_time="2026-01-29 23:30:00", recording_end_ms=None)
    with client(emulator) as provider:
        found = listed(provider, OLD)["bare"]
        assert found.ended_at is not None
        assert (found.ended_at.replace(second=0, microsecond=0), found.unreadable) == (
            datetime(2026, 1, 30, 23, 30, tzinfo=UTC),
            None,
        )
        assert chosen(provider, OLD) == {"older"}


def test_hazard_27_a_recording_without_a_recording_url_goes_unless_it_must_be_archived(
    command: Any, tmp_path: Path
) -> None:
    emulator = today()
    emulator.add_recording("r1", ended=40 * DAY, recording_url=ABSENT)
    result = command(emulator, "run", "--yes", "--format", "json", rules=with_archive(tmp_path / "archive"))
    assert (result.exit_code, outcomes(result), emulator.deleted) == (1, {"r1": "failed"}, [])
    assert command(emulator, "run", "--yes", rules=OLD_RECORDINGS).exit_code == 0
    assert emulator.deleted == ["r1"]


AGES: dict[str, dict[str, Any]] = {
    "an end long before it was added": {"add_time": wire_time(NOW - DAY)},
    "an addition long before its end": {"add_time": wire_time(NOW - 60 * DAY), "recording_end_ms": wire_ms(NOW - DAY)},
    "stored since yesterday": {"recording_storage_duration": 1},
    "stored since yesterday, as text": {"recording_storage_duration": "1"},
    "stored since today": {"recording_storage_duration": 0},
    "no end, and begun long after it was added": {"recording_end_ms": None, "recording_start_ms": wire_ms(NOW - DAY)},
}


@pytest.mark.parametrize("ages", AGES.values(), ids=AGES)
def test_hazard_28_of_two_ages_that_are_more_than_a_day_apart_the_later_counts(ages: dict[str, Any]) -> None:
    emulator = server()
    emulator.add_recording("two-ages", ended=60 * DAY, **ages)
    emulator.add_recording("one-age", ended=60 * DAY)
    with client(emulator) as provider:
        assert chosen(provider, OLD) == {"one-age"}
        ended = listed(provider, OLD)["two-ages"].ended_at
    assert ended is not None
    assert ended > NOW - 2 * DAY


def test_hazard_28_a_contradiction_is_told_in_the_reason() -> None:
    emulator = server()
    emulator.add_recording("stays", ended=60 * DAY, add_time=wire_time(NOW - 2 * DAY))
    with client(emulator) as provider:
        (reason,) = reasons(provider, OLD).values()
    assert "its add_time is more than a day later than its recording_end_ms" in reason


def test_hazard_28_what_counts_in_the_end_is_old_enough_and_goes() -> None:
    emulator = server()
    emulator.add_recording("goes", ended=90 * DAY, add_time=wire_time(NOW - 60 * DAY), recording_storage_duration=60)
    with client(emulator) as provider:
        assert chosen(provider, OLD) == {"goes"}


@pytest.mark.parametrize("hours", range(-23, 24, 2))
def test_hazard_28_ages_that_agree_to_the_day_are_as_before(hours: int) -> None:
    emulator = server()
    added = wire_time(NOW - 40 * DAY + hours * HOUR)
    emulator.add_recording("r1", ended=40 * DAY, add_time=added, recording_storage_duration=40 - (hours > 0))
    with client(emulator) as provider:
        (found,) = listed(provider, OLD).values()
    assert (found.ended_at, found.unreadable) == (NOW - 40 * DAY + timedelta(microseconds=792000), None)


@pytest.mark.parametrize("stored", [None, "", "soon", -1, True, 1.5, 10**9, [], ABSENT])
def test_hazard_28_days_of_storage_that_cannot_be_read_say_nothing(stored: Any) -> None:
    emulator = server()
    emulator.add_recording("r1", ended=40 * DAY, recording_storage_duration=stored)
    with client(emulator) as provider:
        assert chosen(provider, OLD) == {"r1"}


def test_hazard_28_the_end_stays_the_same_from_one_look_to_the_next() -> None:
    row = {"recording_id": "a", "add_time": wire_time(NOW - 60 * DAY), "recording_storage_duration": 3}
    ends = {recording(row, NOW + minutes * timedelta(minutes=1)).ended_at for minutes in range(0, 700, 50)}
    assert ends == {datetime(NOW.year, NOW.month, NOW.day, tzinfo=UTC) - 2 * DAY}


def test_hazard_30_a_room_that_began_after_its_registered_end_is_another_one_and_is_told(command: Any) -> None:
    emulator = today()
    emulator.add_room("standup", running=timedelta(minutes=5))
    ends = (datetime.now(UTC) - DAY).isoformat()
    result = command(
        emulator, "run", "--yes", "--format", "json", rules=[{"rooms": [{"name": "standup", "ends_at": ends}]}]
    )
    assert (result.exit_code, sent(emulator)) == (0, [])
    (warning,) = account(result)["warnings"]
    assert "began after the ends_at of that name" in warning
    assert '"standup"' in warning
    assert "another room of that name" in account(result)["items"][0]["reason"]


@pytest.mark.parametrize("since", [timedelta(0), timedelta(milliseconds=900), HOUR])
def test_hazard_30_a_room_that_began_before_its_end_is_ended_as_before(since: timedelta) -> None:
    """A run time of whole seconds makes it seem to have begun up to a second later than it did."""
    emulator = server()
    emulator.add_room("board", running=3 * HOUR)
    with client(emulator) as provider:
        assert chosen(provider, booked("board", ends=NOW - 3 * HOUR - timedelta(milliseconds=900) + since)) == {"board"}
        assert chosen(provider, booked("board", ends=NOW - 3 * HOUR - timedelta(seconds=2))) == set()


def test_hazard_30_other_limits_of_the_rule_do_not_end_it_either() -> None:
    emulator = server()
    emulator.add_room("board", running=9 * HOUR)
    rule = booked("board", ends=NOW - DAY, max_duration=HOUR, abandoned_after=HOUR, max_members=9)
    with client(emulator) as provider:
        assert chosen(provider, rule) == set()


def test_hazard_30_a_room_whose_details_come_just_before_its_hang_up_stays_if_it_began_later(command: Any) -> None:
    emulator = today(details="never")
    emulator.add_room("board", running=timedelta(minutes=5))
    after_the_lookups(emulator, lambda: setattr(emulator, "details", "always"))
    ends = (datetime.now(UTC) - HOUR).isoformat()
    rules = [{"rooms": [{"name": "board", "ends_at": ends}], "end_without_details": True}]
    result = command(emulator, "run", "--yes", "--format", "json", rules=rules)
    assert (outcomes(result), emulator.ended) == ({"board": "changed"}, [])


PARTS = [
    "x/Member/all",
    "x/Record",
    "x/record/",
    "x/Member/17/Play",
    "x/MEMBER/all/Speak",
    "Member/all",
    "x\\Member\\all",
]
PARTS += ["x%2FMember%2Fall", "x%252FMember%252Fall", "x/ Member /all", "x/Play", "Speak/x"]


@pytest.mark.parametrize("decodes", [True, False])
@pytest.mark.parametrize("name", PARTS)
def test_hazard_31_a_name_that_spells_a_part_of_a_room_is_never_sent(name: str, decodes: bool, command: Any) -> None:
    emulator = today(decodes_first=decodes)
    emulator.add_room("x", running=9 * HOUR)
    emulator.extra_names.append(name)
    with client(emulator) as provider:
        with pytest.raises(UnsafeId):
            provider.get(room(name))
        with pytest.raises(UnsafeId):
            provider.delete([room(name)], Permit())
        with pytest.raises(UnsafeId):
            provider.announce(room(name), Announcement("Bye.", HOUR, "WOMAN", "en-US"), Permit())
    assert emulator.seen == []
    result = command(emulator, "run", "--yes", "--format", "json")
    assert (result.exit_code, emulator.ended, emulator.disasters) == (1, ["x"], [])
    (kept,) = [entry for entry in account(result)["items"] if entry["id"] == name]
    assert "cannot be sent" in kept["reason"]


@pytest.mark.parametrize(
    "name", ["Record", "Member", "Play", "R&D/weekly", "Members/all", "x/Recording", "Member of staff"]
)
def test_hazard_31_a_name_that_only_looks_like_one_is_a_room_like_others(name: str) -> None:
    emulator = server()
    emulator.add_room(name, running=9 * HOUR)
    with client(emulator) as provider:
        assert chosen(provider) == {name}


def test_hazard_32_a_list_of_recent_recordings_alone_may_hide_older_ones_and_that_is_told(command: Any) -> None:
    emulator = today(hides_older_than=7 * DAY, counts_hidden=False)
    for days in range(1, 60):
        emulator.add_recording(f"r{days}", ended=days * DAY - HOUR)
    result = command(emulator, "run", "--yes", "--format", "json", rules=OLD_RECORDINGS)
    assert (result.exit_code, sent(emulator)) == (0, [])
    (warning,) = account(result)["warnings"]
    assert "may list only recent recordings and hide older ones" in warning
    assert {name for request in emulator.requests("GET") for name, _ in request.query} == {"limit", "offset"}


@pytest.mark.parametrize(("oldest", "told"), [(3, True), (7, True), (22, True), (23, False), (29, False), (31, False)])
def test_hazard_32_nothing_is_told_where_the_oldest_is_near_the_cutoff(oldest: int, told: bool) -> None:
    emulator = server()
    for days in range(1, oldest + 1, 3):
        emulator.add_recording(f"r{days}", ended=days * DAY)
    emulator.add_recording("oldest", ended=oldest * DAY)
    with client(emulator) as provider:
        listed(provider, OLD)
        assert bool(provider.warnings) is told


def test_hazard_32_an_empty_list_hides_nothing_that_anybody_could_see() -> None:
    with client(server()) as provider:
        assert (listed(provider, OLD), provider.warnings) == ({}, [])


def test_hazard_32_of_several_rules_the_latest_cutoff_counts() -> None:
    emulator = server()
    emulator.add_recording("r1", ended=29 * DAY)
    with client(emulator) as provider:
        listed(provider, OLD, replace(OLD, cutoff=NOW - 400 * DAY))
        assert provider.warnings == []


# Rooms and their registry ---------------------------------------------------------------------------


def test_a_room_without_members_is_abandoned_since_it_began() -> None:
    row = {"conference_name": "a", "conference_run_time": "5400", "conference_member_count": "0", "members": []}
    assert details(row, "a") == (Live(timedelta(seconds=5400), 0, None), None)


def test_member_ids_are_not_needed() -> None:
    emulator = server(member_ids_in_details=False)
    emulator.add_room("long", running=9 * HOUR)
    with client(emulator) as provider:
        assert chosen(provider) == {"long"}


def test_a_scheduled_end_is_compared_with_now_and_older_than_is_a_grace(command: Any) -> None:
    emulator = today()
    now = datetime.now(UTC)
    for name, minutes in (("over", -30), ("just over", -5), ("not yet", 30)):
        emulator.add_room(name, running=9 * HOUR)
        emulator.schedule[name] = now + timedelta(minutes=minutes)
    rooms = [{"name": name, "ends_at": end.isoformat()} for name, end in emulator.schedule.items()]
    command(emulator, "run", "--yes", rules=[{"rooms": rooms, "older_than": "15 minutes"}])
    assert emulator.ended == ["over"]
    command(emulator, "run", "--yes", rules=[{"rooms": rooms}])
    assert emulator.ended == ["over", "just over"]


def test_names_limit_a_rule_to_some_rooms(command: Any) -> None:
    emulator = today()
    for name in ("support-1", "Support-2", "sales", "support-hotline"):
        emulator.add_room(name, running=9 * HOUR)
    rules = [{"max_duration": "4 hours", "names": ["support-*"], "keep_ids": ["support-hotline"]}]
    assert command(emulator, "run", "--yes", rules=rules).exit_code == 0
    assert set(emulator.rooms) == {"sales", "support-hotline"}


def ends(zone: str = "UTC", **keys: Any) -> dict[str, datetime | None]:
    return dict(rule(**keys).live(ZoneInfo(zone)).scheduled)


def test_a_name_that_stands_twice_has_the_later_end() -> None:
    early, late = "2026-01-31T18:00:00+01:00", "2026-01-31T17:30:00Z"
    expected = {"a": datetime(2026, 1, 31, 17, 30, tzinfo=UTC)}
    for order in ([early, late], [late, early], [None, late, early], [late, None]):
        rooms = [{"name": "a", **({"ends_at": end} if end else {})} for end in order]
        assert ends(rooms=rooms) == expected


@pytest.mark.parametrize(
    ("written", "zone", "expected"),
    [
        ("2026-01-31T18:00:00+01:00", "UTC", datetime(2026, 1, 31, 17, tzinfo=UTC)),
        ("2026-01-31 18:00", "Asia/Kolkata", datetime(2026, 1, 31, 12, 30, tzinfo=UTC)),
        (datetime(2026, 2, 1, 9, 30), "Europe/Berlin", datetime(2026, 2, 1, 8, 30, tzinfo=UTC)),  # noqa: DTZ001  # as TOML gives it
        (datetime(2026, 2, 1, 9, 30, tzinfo=timezone(2 * HOUR)), "UTC", datetime(2026, 2, 1, 7, 30, tzinfo=UTC)),
        ("2026-10-25T02:30:00", "Europe/Berlin", datetime(2026, 10, 25, 1, 30, tzinfo=UTC)),
        ("2026-03-29T02:30:00", "Europe/Berlin", datetime(2026, 3, 29, 1, 30, tzinfo=UTC)),
        ("2026-01-31", "Europe/Berlin", datetime(2026, 1, 31, 23, tzinfo=UTC)),
        (datetime(2026, 1, 31).date(), "UTC", datetime(2026, 2, 1, tzinfo=UTC)),  # noqa: DTZ001  # as TOML gives it
    ],
)
def test_of_several_readings_of_an_end_the_latest_counts(written: Any, zone: str, expected: datetime) -> None:
    assert ends(zone, rooms=[{"name": "a", "ends_at": written}]) == {"a": expected}


@pytest.mark.parametrize("written", ["9999-12-31", "9999-12-31T23:59:59-12:00", "0001-01-01T00:00:00+14:00"])
def test_an_end_beyond_the_calendar_never_passes(written: str) -> None:
    (end,) = ends("America/New_York", rooms=[{"name": "a", "ends_at": written}]).values()
    assert end is not None
    assert end.year == 9999


def test_a_rooms_file_is_read_exactly(tmp_path: Path) -> None:
    file = tmp_path / "rooms.csv"
    lines = ["name,ends_at", " Team ,2026-01-31T18:00:00Z", '"a,b ""c""",', "", '"two\r\nlines",2026-02-01 09:30', "7,"]
    file.write_text("\r\n".join(lines), encoding="utf-8-sig", newline="")
    found = ends(rooms_file=str(file))
    assert found == {
        " Team ": datetime(2026, 1, 31, 18, tzinfo=UTC),
        'a,b "c"': None,
        "two\r\nlines": datetime(2026, 2, 1, 9, 30, tzinfo=UTC),
        "7": None,
    }


BAD_FILES = {
    "nothing": (b"", "line 1"),
    "no header": (b"Team,2026-01-31\n", "line 1"),
    "another header": (b"ends_at,name\n", "line 1"),
    "semicolons": (b"name;ends_at\nTeam;2026-01-31\n", "line 1"),
    "no end column": (b"name,ends_at\nTeam\n", "line 2"),
    "too many columns": (b"name,ends_at\nok,\nTeam,2026-01-31,x\n", "line 3"),
    "no name": (b"name,ends_at\n\n,2026-01-31\n", "line 3"),
    "no date": (b"name,ends_at\nTeam,soon\n", "line 2"),
    "an open quote": (b'name,ends_at\n"Team,2026-01-31\n', "line 2"),
    "text after a quote": (b'name,ends_at\n"Team"x,2026-01-31\n', "line 2"),
    "not UTF-8": ("name,ends_at\nGröße,\n".encode("latin-1"), "not UTF-8"),
    "UTF-16": ("name,ends_at\nTeam,\n".encode("utf-16"), "not UTF-8"),
}


@pytest.mark.parametrize("bad", BAD_FILES)
def test_a_line_of_a_rooms_file_that_cannot_be_read_stops_the_run_before_anything(
    bad: str, command: Any, tmp_path: Path
) -> None:
    content, where = BAD_FILES[bad]
    (tmp_path / "rooms.csv").write_bytes(content)
    emulator = today()
    rules = [{"rooms_file": str(tmp_path / "rooms.csv"), "max_duration": "4 hours"}]
    result = command(emulator, "run", "--yes", rules=rules)
    assert (result.exit_code, emulator.seen) == (2, [])
    assert "rooms_file" in result.stderr
    assert where in result.stderr


@pytest.mark.parametrize("word", ["plan", "check"])
def test_a_rooms_file_that_is_missing_stops_everything(word: str, command: Any, tmp_path: Path) -> None:
    emulator = today()
    result = command(emulator, word, rules=[{"rooms_file": str(tmp_path / "none.csv")}])
    assert (result.exit_code, emulator.seen) == (2, [])
    assert "none.csv cannot be read" in result.stderr


def test_a_rooms_file_that_vanishes_later_is_a_config_error_too(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="rooms_file"):
        rule(rooms_file=str(tmp_path / "none.csv")).live(UTC)


def test_a_rule_for_rooms_must_say_when_they_should_have_ended() -> None:
    assert len(mistakes(LiveRoomRule, what=ROOMS, names=["*"], max_members=2)) == 1
    for keys in ({"max_duration": "4 h"}, {"abandoned_after": "1 h"}, {"rooms": [{"name": "a"}]}, {"rooms_file": "x"}):
        assert mistakes(LiveRoomRule, what=ROOMS, **keys) == []


@pytest.mark.parametrize(
    ("keys", "named"),
    [
        ({"rooms": [{"name": "a", "ends_at": "soon"}]}, "rooms[1].ends_at"),
        ({"rooms": [{"name": "a"}, {"ends_at": "2026-01-31"}]}, "rooms[2].name"),
        ({"rooms": [{"name": "a", "end": "2026-01-31"}]}, "rooms[1].end"),
        ({"max_duration": "1 month"}, "max_duration"),
        ({"max_duration": "4 h", "max_members": -1}, "max_members"),
        ({"max_duration": "4 h", "owner": "anna"}, "owner"),
    ],
)
def test_a_mistake_in_a_rule_is_named(keys: Any, named: str) -> None:
    (mistake,) = mistakes(LiveRoomRule, what=ROOMS, **keys)
    assert mistake.startswith(f"{named}: ")


# Recordings -----------------------------------------------------------------------------------------


def test_the_title_is_the_room_or_who_called_whom() -> None:
    rows: list[dict[str, Any]] = [
        {"conference_name": "Team Meeting", "from_number": "+1"},
        {"conference_name": "", "from_number": "+15550100001", "to_number": "15550100009"},
        {"conference_name": None, "from_number": None, "to_number": "15550100009"},
        {"from_number": "+15550100001", "to_number": ""},
        {},
    ]
    titles = ["Team Meeting", "+15550100001 to 15550100009", None, None, None]
    assert [recording(row, NOW).title for row in rows] == titles


@pytest.mark.parametrize("field", ["from_number", "to_number"])
@pytest.mark.parametrize("value", ["", None, ABSENT, True, []])
def test_a_call_of_which_one_number_is_missing_has_no_title_and_what_is_known_is_told(field: str, value: Any) -> None:
    row = {"recording_id": "a", "add_time": wire_time(NOW - 40 * DAY), "conference_name": None, field: value}
    row = {"from_number": "+15550100001", "to_number": "15550100001", **row}
    if value is ABSENT:
        del row[field]
    found = recording(row, NOW)
    assert found.title is None
    decision = choose(found, [OLD], NOW)
    assert decision.delete
    assert "who called whom is not known" in decision.reason
    assert "15550100001" in decision.reason


@pytest.mark.parametrize("name", [ABSENT, True, []])
def test_without_a_word_of_a_conference_its_name_is_not_known(name: Any) -> None:
    row = {"from_number": "+15550100001", "to_number": "15550100009", "conference_name": name}
    if name is ABSENT:
        del row["conference_name"]
    assert recording(row, NOW).title is None


def test_people_know_a_recording_by_its_call_and_a_room_by_its_uuid() -> None:
    emulator = server()
    emulator.add_recording("r1", call_uuid="0a1b", conference_uuid="2c3d")
    emulator.add_recording("r2", call_uuid=None)
    emulator.add_room("board", running=9 * HOUR, odd={"conference_uuid": "4e5f"})
    with client(emulator) as provider:
        assert [item.aliases for item in listed(provider, OLD).values()] == [("0a1b", "2c3d"), ()]
        assert listed(provider)["board"].aliases == ("4e5f",)


def test_nothing_here_carries_a_tag_and_whose_it_is_is_not_known() -> None:
    emulator = server()
    emulator.add_recording("r1")
    emulator.add_room("board", running=9 * HOUR)
    with client(emulator) as provider:
        for item in (*listed(provider, OLD).values(), *listed(provider).values()):
            assert (item.tags, item.owner) == ((), None)


@pytest.mark.parametrize("shape", ["flat", "wrapped"])
def test_a_recording_is_looked_up_in_both_shapes(shape: Any) -> None:
    emulator = server(recording_detail=shape)
    emulator.add_recording("0007", ended=40 * DAY)
    with client(emulator) as provider:
        fresh = provider.get(sound("0007"))
        assert fresh is not None
        assert (fresh.id, fresh.ended_at) == ("0007", listed(provider, OLD)["0007"].ended_at)
        assert provider.get(sound("7")) is None


@pytest.mark.parametrize("body", [{"recording_id": "r2"}, {"objects": []}, {"objects": [{"recording_id": "r2"}]}, {}])
def test_another_recording_than_the_one_asked_for_is_an_error(body: Any) -> None:
    emulator = server()
    emulator.interfere.append(answering(Response(200, body)))
    with client(emulator) as provider, pytest.raises(ProviderError):
        provider.get(sound("r1"))


def with_archive(folder: Path) -> list[dict[str, Any]]:
    return [{"what": RECORDINGS, "older_than": "30 days", "archive": str(folder)}]


def test_hazard_24_the_sound_is_archived_with_the_accounts_headers_and_named_by_what_it_is(
    command: Any, tmp_path: Path
) -> None:
    emulator = today()
    emulator.add_recording("r1", ended=40 * DAY)
    result = command(emulator, "run", "--yes", rules=with_archive(tmp_path / "kept"))
    assert (result.exit_code, emulator.deleted) == (0, ["r1"]), result.stderr
    (file,) = (tmp_path / "kept").rglob("01-*")
    assert (file.name, file.read_bytes()) == ("01-r1.wav", sandbox.audio("r1"))


def test_hazard_24_another_name_of_this_machine_at_the_same_port_is_the_account_itself(
    command: Any, tmp_path: Path
) -> None:
    emulator = today()
    emulator.add_recording("r1", ended=40 * DAY)
    emulator.after.append(lambda request, answer: _renamed(answer) if "/Recording/" in request.path else None)
    result = command(emulator, "run", "--yes", rules=with_archive(tmp_path / "kept"))
    assert (result.exit_code, emulator.deleted) == (0, ["r1"]), result.stderr
    (asked,) = [request for request in emulator.requests("GET") if request.path == "/media/r1.mp3"]
    assert str(asked.headers["Host"]).startswith("localhost:")


def _renamed(answer: Response) -> Response | None:
    return answer.body and Response(200, json.loads(json.dumps(answer.body).replace("//127.0.0.1", "//localhost")))


def test_hazard_24_a_redirect_to_a_signed_address_is_followed_without_the_headers_and_never_shown(
    command: Any, tmp_path: Path
) -> None:
    emulator, storage = today(), today()
    emulator.add_recording("r1", ended=40 * DAY)
    storage.add_recording("r1", ended=40 * DAY)
    with Server(storage) as elsewhere:
        emulator.storage_url = elsewhere.url
        result = command(emulator, "-vv", "run", "--yes", rules=with_archive(tmp_path / "kept"))
    assert (result.exit_code, emulator.deleted) == (0, ["r1"]), result.stderr
    assert storage.disasters == []
    assert [request.path for request in storage.requests("GET")] == ["/storage/r1"]
    assert len(list((tmp_path / "kept").rglob("01-r1.wav"))) == 1
    assert sandbox.SIGNATURE not in result.output


def test_hazard_24_redirects_that_do_not_end_are_given_up(command: Any, tmp_path: Path) -> None:
    emulator = today()
    emulator.add_recording("r1", ended=40 * DAY)
    emulator.interfere.append(answering(Response(302, None, {"Location": "/media/r1.mp3?again"}), part="r1.mp3"))
    result = command(emulator, "run", "--yes", rules=with_archive(tmp_path / "kept"))
    assert (result.exit_code, emulator.deleted) == (1, [])
    assert len([request for request in emulator.requests("GET") if request.path == "/media/r1.mp3"]) == 6


@pytest.mark.parametrize(
    "place", ["https://10.0.0.7/r1.mp3", "https://169.254.169.254/latest", "https://[::ffff:192.168.1.1]/r1.mp3"]
)
def test_hazard_24_a_redirect_into_the_operators_own_network_is_not_followed(
    place: str, command: Any, tmp_path: Path
) -> None:
    emulator = today()
    emulator.add_recording("r1", ended=40 * DAY)
    emulator.interfere.append(answering(Response(302, None, {"Location": place + "?sign=abcdef"}), part="r1.mp3"))
    result = command(emulator, "-vv", "run", "--yes", rules=with_archive(tmp_path / "kept"))
    assert (result.exit_code, emulator.deleted) == (1, [])
    assert "address, from which no file is fetched" in " ".join(result.output.split())
    assert "sign=" not in result.output


NOT_SOUND = {
    "words": Response(200, b"The file has expired.", {"Content-Type": "audio/mpeg"}),
    "one word": Response(200, b"gone", {"Content-Type": "audio/mpeg"}),
    "JSON": Response(200, b'{"error": "expired"}', {"Content-Type": "audio/mpeg"}),
    "XML": Response(200, b"<?xml version='1.0'?><Error/>", {"Content-Type": "application/octet-stream"}),
    "HTML": Response(200, HTML, {"Content-Type": "video/mp4"}),
    "one byte": Response(200, b"\xff", {"Content-Type": "audio/mpeg"}),
    "nothing": Response(200, b"", {"Content-Type": "audio/mpeg"}),
    "sound called text": Response(200, sandbox.audio("r1"), {"Content-Type": "text/plain"}),
    "a beginning": Response(200, sandbox.audio("r1")[:700], {"Content-Type": "audio/mpeg"}),
}


@pytest.mark.parametrize("answer", NOT_SOUND)
def test_hazard_24_what_is_no_sound_is_no_copy_whatever_it_is_called(answer: str, command: Any, tmp_path: Path) -> None:
    emulator = today()
    emulator.add_recording("r1", ended=40 * DAY)
    emulator.interfere.append(answering(NOT_SOUND[answer], part="r1.mp3"))
    result = command(emulator, "run", "--yes", rules=with_archive(tmp_path / "kept"))
    assert (result.exit_code, emulator.deleted) == (1, [])
    assert list((tmp_path / "kept").rglob("SHA256SUMS")) == []


@pytest.mark.parametrize(
    ("keys", "hosts"),
    [
        ({}, ("*.vobiz.ai",)),
        ({"url": "https://eu.api.vobiz.ai/x"}, ("*.vobiz.ai",)),
        ({"url": "https://vobiz.example"}, ()),
        ({"url": "https://notvobiz.ai"}, ()),
        ({"media_hosts": []}, ()),
        ({"url": "https://vobiz.example", "media_hosts": ["Media.vobiz.example"]}, ("media.vobiz.example",)),
    ],
)
def test_hazard_24_the_vendors_own_hosts_get_the_headers_where_the_account_is_the_vendors(
    keys: Any, hosts: tuple[str, ...]
) -> None:
    settings = build(VobizSettings, {"provider": "vobiz", "auth_id": "MA_X", "auth_token": "t"} | keys, "", [])
    assert settings is not None
    assert settings.media() == hosts


@pytest.mark.parametrize("host", ["*", "*.ai", "https://media.vobiz.ai", "media.vobiz.ai:443", "*vobiz.ai", ""])
def test_hazard_24_what_is_no_host_may_not_get_the_headers(host: str) -> None:
    (mistake,) = mistakes(VobizSettings, provider="vobiz", auth_id="MA_X", auth_token="t", media_hosts=[host])
    assert "media_hosts" in str(mistake)


NO_SOUND = [
    Response(401),
    Response(403),
    Response(404),
    Response(503),
    Response(200, HTML, {"Content-Type": "text/html"}),
]


@pytest.mark.parametrize("answer", NO_SOUND, ids=["401", "403", "404", "503", "HTML"])
def test_a_recording_whose_sound_cannot_be_had_stays_and_the_others_go(
    answer: Response, command: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("confcleanup.deadline.Deadline.wait", lambda self, seconds: None)
    emulator = today()
    for ident in ("r1", "r2", "r3"):
        emulator.add_recording(ident, ended=40 * DAY)
    emulator.interfere.append(answering(answer, part="r2.mp3"))
    result = command(emulator, "run", "--yes", "--format", "json", rules=with_archive(tmp_path / "kept"), concurrency=1)
    assert (result.exit_code, set(emulator.recordings)) == (1, {"r2"})
    assert outcomes(result) == {"r1": "deleted", "r2": "failed", "r3": "deleted"}


@pytest.mark.parametrize("url", [None, "", 7, "ftp://127.0.0.1/x.mp3", "http://[", "http://vobiz.example/x.mp3"])
def test_without_a_usable_address_of_the_sound_a_recording_stays(url: Any, command: Any, tmp_path: Path) -> None:
    emulator = today()
    emulator.add_recording("r1", ended=40 * DAY, recording_url=url)
    result = command(emulator, "run", "--yes", "--format", "json", rules=with_archive(tmp_path / "kept"))
    assert (result.exit_code, outcomes(result), emulator.deleted) == (1, {"r1": "failed"}, [])


def test_the_accounts_headers_go_to_no_other_host(command: Any, tmp_path: Path) -> None:
    emulator, elsewhere = today(), today()
    with Server(elsewhere) as foreign:
        elsewhere.interfere.append(lambda _: Response(401))
        emulator.add_recording("r1", ended=40 * DAY, recording_url=f"{foreign.url}/media/r1.mp3")
        result = command(emulator, "run", "--yes", rules=with_archive(tmp_path / "kept"))
    assert (result.exit_code, emulator.deleted) == (1, [])
    assert "it lies on 127.0.0.1, where the account's sign-in is never sent" in " ".join(result.output.split())
    assert not [request for request in elsewhere.requests("GET") if "X-Auth-Token" in dict(request.headers)]


def test_sound_on_another_host_is_archived_where_its_address_alone_opens_it(command: Any, tmp_path: Path) -> None:
    emulator, elsewhere = today(), today()
    with Server(elsewhere) as foreign:
        elsewhere.interfere.append(lambda _: Response(200, sandbox.audio("r1"), {"Content-Type": "audio/mpeg"}))
        emulator.add_recording("r1", ended=40 * DAY, recording_url=f"{foreign.url}/r1.mp3?signature=abc")
        result = command(emulator, "run", "--yes", rules=with_archive(tmp_path / "kept"))
    assert (result.exit_code, set(emulator.recordings)) == (0, set())
    assert "X-Auth-Token" not in dict(elsewhere.requests("GET")[0].headers)


# Pace, settings, and the whole backlog --------------------------------------------------------------


def test_ten_a_second_at_the_vendors_address_are_the_default() -> None:
    settings = build(VobizSettings, {"provider": "vobiz", "auth_id": "MA_X", "auth_token": "t"}, "", [])
    assert settings is not None
    assert (settings.rate, settings.url) == (Pace(10, 1), "https://api.vobiz.ai")


@pytest.mark.parametrize("keys", [{}, {"auth_id": "MA_X"}, {"auth_id": "", "auth_token": "t"}, {"auth_id": "M A"}])
def test_credentials_are_needed(keys: Any) -> None:
    assert mistakes(VobizSettings, provider="vobiz", **keys)


@pytest.mark.parametrize(
    ("answer", "seconds"),
    [
        (refusal(429, "RATE_LIMIT_EXCEEDED", limitType="cps", limit=10, current=15, retryAfter=7), 7),
        (refusal(429, "RATE_LIMIT_EXCEEDED", retryAfter="7"), 7),
        (response_with(refusal(429, "RATE_LIMIT_EXCEEDED", retryAfter=7), headers={"Retry-After": "3"}), 3),
        (refusal(429, "RATE_LIMIT_EXCEEDED", retryAfter=True), 1),
        (refusal(429, "RATE_LIMIT_EXCEEDED"), 1),
        (Response(429, {"error": "slow down"}), 1),
    ],
)
def test_a_429_is_obeyed_wherever_it_says_how_long(answer: Response, seconds: float) -> None:
    emulator = server()
    emulator.interfere.append(lambda _: answer if len(emulator.seen) < 1 else None)
    stop = NoWaiting()
    with client(emulator, stop) as provider:
        assert listed(provider) == {}
    assert [round(wait) for wait in stop.waited] == [seconds]


def test_the_filled_backlog_is_cleaned_exactly_and_nothing_terrible_happens(command: Any) -> None:
    emulator = sandbox.Vobiz(lambda: datetime.now(UTC))
    emulator.fill(unsafe=True)
    before = {ROOMS: set(emulator.rooms), RECORDINGS: set(emulator.recordings)}
    table = tomllib.loads(emulator.account("voice", "http://127.0.0.1:1"))["accounts"]["voice"]["rules"]
    result = command(emulator, "run", "--yes", "--format", "json", rules=table)
    assert result.exit_code == 1
    assert set(emulator.rooms) == before[ROOMS] - emulator.doomed[ROOMS]
    assert set(emulator.recordings) == before[RECORDINGS] - emulator.doomed[RECORDINGS]
    assert emulator.disasters == []
    assert command(emulator, "check", rules=table).exit_code == 0


@pytest.mark.parametrize(
    "body",
    [None, {"message": "Not Found"}, {"message": "no Route matched with those values"}, b"<html>", {"error": "failed"}],
    ids=repr,
)
@pytest.mark.parametrize("what", [ROOMS, RECORDINGS])
def test_hazard_25_a_404_that_does_not_name_what_is_missing_is_never_gone(what: str, body: Any) -> None:
    emulator = server()
    emulator.interfere.append(answering(Response(404, body), "GET", "board" if what == ROOMS else "r1"))
    item = room("board") if what == ROOMS else sound("r1")
    with client(emulator) as provider, pytest.raises(ProviderError):
        provider.get(item)


@pytest.mark.parametrize(
    "said", ["{} service route not found", "{} account MA_1 not found", "The {} node was not found, try later", "{}"]
)
@pytest.mark.parametrize("what", [ROOMS, RECORDINGS])
def test_hazard_25_a_404_that_only_mentions_such_a_thing_or_names_another_kind_is_never_gone(
    what: str, said: str
) -> None:
    mine, other = ("conference", "Recording") if what == ROOMS else ("Recording", "conference")
    error = said.format(mine) if said != "{}" else f"{other} not found"
    emulator = server()
    item = room("board") if what == ROOMS else sound("r1")
    emulator.interfere.append(answering(Response(404, {"error": error}), "GET", item.id))
    with client(emulator) as provider, pytest.raises(ProviderError):
        provider.get(item)


@pytest.mark.parametrize("body", [{"message": "Not Found"}, {"message": "no Route matched with those values"}])
def test_hazard_25_a_gateways_404_to_a_deletion_is_an_error_of_the_account(body: Any) -> None:
    emulator = server()
    emulator.interfere.append(answering(Response(404, body), "DELETE"))
    with client(emulator) as provider, pytest.raises(AccessDenied, match="does not know this address"):
        provider.delete([sound("r1")], Permit())


def test_hazard_26_a_hang_up_that_was_acknowledged_and_did_not_disconnect_is_unknown(command: Any) -> None:
    emulator = today()
    emulator.add_room("board", running=9 * HOUR)
    emulator.interfere.append(answering(Response(204), "DELETE"))
    result = command(emulator, "run", "--yes", "--format", "json")
    assert (result.exit_code, outcomes(result)) == (1, {"board": "unknown"})
    assert "still there" in account(result)["items"][0]["error"]


def test_hazard_26_a_hang_up_after_which_no_details_are_given_is_unknown(command: Any) -> None:
    emulator = today(details="never")
    emulator.add_room("board", running=9 * HOUR)
    emulator.interfere.append(answering(Response(204), "DELETE"))
    over = (datetime.now(UTC) - HOUR).isoformat(timespec="seconds")
    rules = [{"rooms": [{"name": "board", "ends_at": over}], "end_without_details": True}]
    result = command(emulator, "run", "--yes", "--format", "json", rules=rules)
    assert (result.exit_code, outcomes(result)) == (1, {"board": "unknown"})
    assert "still live, or another room" in account(result)["items"][0]["error"]


@pytest.mark.parametrize("what", [ROOMS, RECORDINGS])
def test_hazard_29_a_deletion_sends_an_empty_object_under_its_content_type(what: str) -> None:
    emulator = server()
    emulator.interfere.append(
        lambda request: Response(400) if request.method == "DELETE" and request.body != b"{}" else None
    )
    emulator.add_room("board", running=9 * HOUR)
    emulator.add_recording("r1", ended=40 * DAY)
    with client(emulator) as provider:
        item = room("board") if what == ROOMS else sound("r1")
        assert provider.delete([item], Permit())[0].outcome is Outcome.DELETED
