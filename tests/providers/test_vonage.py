"""Vonage: the hazards of its recording API, the mistakes of its public tutorial, and what its sources contradict.

What becomes of a recording is asked of the real client over a socket, with the layers above it where they decide.
"""

from __future__ import annotations

import json
import logging
import os
import re
import time
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from filelock import FileLock
from msgspec.structs import replace

from confcleanup.cli import cli
from confcleanup.errors import AccessDenied, HttpError, OutcomeUnknown, Problem, ProviderError, UnsafeId
from confcleanup.filter import Hold, Rule, choose
from confcleanup.http.client import Permit
from confcleanup.http.rate_limit import RateLimiter
from confcleanup.items import Item, Kind, Outcome, State
from confcleanup.listing import Listing, make_plan
from confcleanup.providers.vonage import RecordingRule, Vonage
from confcleanup.providers.vonage_recordings import page_of, recording
from confcleanup.providers.vonage_sign_in import VonageSettings
from confcleanup.records.ledger import Ledger
from confcleanup.sandbox import vonage as sandbox
from confcleanup.sandbox.server import Emulator, Request, Response, Server
from confcleanup.sandbox.vonage import HOSTILE, RECORDING_API, SIZE
from confcleanup.settings.tables import build
from confcleanup.settings.values import Pace
from confcleanup.unmet import Reach
from tests.providers.contract import HTML, NOW
from tests.providers.waiting import NoWaiting

COMPANY, ON_DEMAND = "company-recordings", "on-demand-recordings"
BOTH = pytest.mark.parametrize("what", [COMPANY, ON_DEMAND])
DAY = timedelta(days=1)
RULES = {what: Rule(name="test", what=what, cutoff=NOW - 30 * DAY, age="30 days") for what in (COMPANY, ON_DEMAND)}
LIST = RECORDING_API + "/api/accounts/self/company_call_recordings"
USER = "869048"


@dataclass
class Passing(NoWaiting):
    """Time that passes only while somebody waits."""

    elapsed: float = 0.0

    def wait(self, seconds: float) -> None:
        super().wait(seconds)
        self.elapsed += seconds

    def now(self) -> datetime:
        return NOW + timedelta(seconds=self.elapsed)


def server(clock: Any = lambda: NOW, **switches: Any) -> sandbox.Vonage:
    """A vendor without recordings whose clock stands at NOW; a page has up to 100 rows."""
    return sandbox.Vonage(clock, **{"page_cap": 100, **switches})


def fill(emulator: sandbox.Vonage, count: int, what: str = COMPANY, days: int = 40) -> list[str]:
    """So many recordings whose calls ended so long ago, a minute apart; their ids."""
    user = None if what == COMPANY else USER
    if user and user not in emulator.users:
        emulator.add_user(user)
    ids = range(204401, 204401 + count)
    for ident in ids:
        emulator.add_recording(ident, user=user, ended=days * DAY + timedelta(minutes=ident - 204401))
    return [str(ident) for ident in ids]


def there(emulator: sandbox.Vonage, what: str = COMPANY) -> set[str]:
    """The ids that the vendor still has."""
    return set(emulator.company if what == COMPANY else emulator.on_demand.get(USER, {}))


def table(emulator: sandbox.Vonage, url: str, **more: Any) -> dict[str, Any]:
    """The account's keys."""
    account: dict[str, Any] = tomllib.loads(emulator.account("test", url, **more))["accounts"]["test"]
    del account["rules"]
    return account


@contextmanager
def client(emulator: sandbox.Vonage, stop: NoWaiting | None = None, path: str = "", **more: Any) -> Iterator[Vonage]:
    """The real client, talking to the emulator over a socket; ``path`` is added to the account's url."""
    with Server(emulator) as served:
        keys = table(emulator, served.url, **more)
        problems: list[Problem] = []
        settings = build(VonageSettings, {**keys, "url": keys["url"] + path}, "accounts.test", problems)
        assert settings is not None, problems
        assert not problems
        with Vonage(settings, stop or NoWaiting(), emulator.clock) as provider:
            yield provider  # type: ignore[misc]  # __enter__ is the base class's


def listed(provider: Vonage, what: str = COMPANY, *rules: Rule) -> dict[str, Item]:
    return {item.id: item for item in provider.list_items(what, rules or (RULES[what],))}


def chosen(provider: Vonage, what: str = COMPANY, *rules: Rule) -> set[str]:
    """The ids of what the rules select."""
    rules = rules or (RULES[what],)
    return {item.id for item in provider.list_items(what, rules) if choose(item, rules, NOW).delete}


def reasons(provider: Vonage, what: str = COMPANY) -> dict[str, str]:
    """Why each item that is kept is kept."""
    decisions = {item.id: choose(item, [RULES[what]], NOW) for item in provider.list_items(what, [RULES[what]])}
    return {ident: decision.reason for ident, decision in decisions.items() if not decision.delete}


def item(ident: str = "204401", what: str = COMPANY, **more: Any) -> Item:
    locator = () if what == COMPANY else (USER,)
    return Item(what, ident, **{"kind": Kind.RECORDING, "state": State.ENDED, "locator": locator, **more})


def lists(emulator: Emulator) -> list[Request]:
    """The requests for pages of recordings."""
    return [request for request in emulator.requests("GET") if request.path.endswith("call_recordings")]


def deleted(emulator: Emulator) -> list[str]:
    """The raw paths that a DELETE was sent to, from the account on."""
    return [request.path.partition("/accounts/")[2] for request in emulator.requests("DELETE")]


def answering(body: Any, status: int = 200, method: str = "GET") -> Any:
    """A hook: every request of a method is answered with this; sign-ins are left alone."""
    return lambda request: Response(status, body) if request.method == method else None


def mistakes(cls: Any, **keys: Any) -> list[str]:
    problems: list[Problem] = []
    build(cls, keys, "", problems)
    return [str(problem) for problem in problems]


@pytest.fixture
def command(tmp_path: Path) -> Iterator[Any]:
    """Runs the command line with a config file; afterwards, logging is as it was."""
    log = logging.getLogger("confcleanup")
    before = (log.propagate, log.level, list(log.handlers))

    def run(emulator: sandbox.Vonage, *words: str, archive: Path | None = None, **keys: Any) -> Result:
        file = tmp_path / "config.toml"
        with Server(emulator) as served:
            emulator.public_url = (
                served.url if emulator.public_url == sandbox.Vonage.public_url else emulator.public_url
            )
            config = emulator.account("vbc", served.url, **keys)
            age = 'older_than = "30 days"'
            file.write_text(config.replace(age, f"{age}\narchive = {str(archive)!r}") if archive else config, "utf-8")
            file.chmod(0o600)
            return CliRunner().invoke(cli, ["-c", str(file), "--state", str(tmp_path / "state"), *words])

    yield run
    log.propagate, log.level, log.handlers[:] = before


def today(**switches: Any) -> sandbox.Vonage:
    """A vendor whose clock is the machine's, as the command line's is."""
    return server(lambda: datetime.now(UTC), **switches)


def account(result: Result) -> dict[str, Any]:
    """The account in the JSON that a command printed."""
    found: dict[str, Any] = json.loads(result.stdout)["accounts"][0]
    return found


def outcomes(result: Result) -> dict[str, str]:
    return {entry["id"]: entry["outcome"] for entry in account(result)["items"] if entry["decision"] == "delete"}


# The hazards, in their order ------------------------------------------------------------------------


@pytest.mark.parametrize("count", [35, 100])
def test_hazard_01_everything_is_listed_before_the_first_deletion(count: int, command: Any) -> None:
    emulator = today(page_cap=10)
    fill(emulator, count)
    result = command(emulator, "run", "--yes")
    methods = [seen.request.method for seen in emulator.seen if seen.request.method != "POST"]
    assert result.exit_code == 0
    assert methods == sorted(methods, key=["GET", "DELETE"].index)
    assert not emulator.company


def test_hazard_02_a_recording_that_stays_is_asked_for_once_a_run(command: Any) -> None:
    emulator = today(page_cap=10)
    emulator.stubborn.update(fill(emulator, 12))
    for run in (1, 2):
        assert command(emulator, "run", "--yes").exit_code == 0
        assert len(deleted(emulator)) == 12 * run


def test_hazard_02_a_page_that_brings_only_known_ids_is_an_error(command: Any) -> None:
    emulator = today(page_cap=10, repeat_pages=True)
    fill(emulator, 12)
    result = command(emulator, "run", "--yes")
    assert result.exit_code == 1
    assert deleted(emulator) == []
    assert len(emulator.seen) < 20


@BOTH
def test_hazard_03_the_newest_survive_a_filter_that_is_ignored(what: str) -> None:
    emulator = server(ignore_filters=True, page_cap=5)
    old = fill(emulator, 8, what)
    user = None if what == COMPANY else USER
    for ident, days in ((204501, 0), (204502, 1), (204503, 29)):
        emulator.add_recording(ident, user=user, ended=days * DAY)
    with client(emulator) as provider:
        assert len(listed(provider, what)) == 11
        assert chosen(provider, what) == set(old)


@BOTH
def test_hazard_04_older_is_asked_for_with_lte(what: str) -> None:
    emulator = server(page_cap=3)
    fill(emulator, 7, what)
    with client(emulator) as provider:
        listed(provider, what)
    for request in lists(emulator):
        assert request.arg("start:lte") == "2026-01-30T12:00:00+0000"
        assert {name for name, _ in request.query} == {"start:lte", "order", "page", "page_size"}


def test_hazard_04_of_several_rules_the_latest_cutoff_is_asked_for() -> None:
    emulator = server()
    rules = [replace(RULES[COMPANY], cutoff=NOW - days * DAY) for days in (90, 7, 30)]
    with client(emulator) as provider:
        listed(provider, COMPANY, *rules)
        list(provider.list_items(COMPANY, ()))
    assert [request.arg("start:lte") for request in lists(emulator)] == ["2026-02-22T12:00:00+0000", None]


def test_with_keep_last_younger_recordings_are_asked_for_too() -> None:
    emulator = server()
    emulator.add_recording(204500, ended=2 * DAY)
    emulator.add_recording(204501, ended=40 * DAY)
    with client(emulator) as provider:
        rule = replace(RULES[COMPANY], keep_last=1, per="account")
        plan = make_plan(Listing("calls", provider, [rule], NOW))
        assert [entry.item.id for entry in plan.selected] == ["204501"]
        assert (plan.which, provider.reach(COMPANY, [rule])) == ("listed", Reach())
    assert {request.arg("start:lte") for request in lists(emulator)} == {None}


def test_hazard_05_a_plus_travels_encoded_exactly_once() -> None:
    emulator = server()
    fill(emulator, 1)
    with client(emulator) as provider:
        assert listed(provider)
    # decoded once as a form: a raw plus would be a space here, one that was encoded twice would be %2B
    assert dict(lists(emulator)[0].query)["start:lte"] == "2026-01-30T12:00:00+0000"


@pytest.mark.skipif(not hasattr(time, "tzset"), reason="the zone of this system cannot be changed in a process")
@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "Pacific/Marquesas", "America/New_York", "UTC"])
def test_hazard_06_the_hosts_time_zone_moves_nothing(zone: str) -> None:
    emulator = server()
    fill(emulator, 1)
    before = os.environ.get("TZ")
    try:
        os.environ["TZ"] = zone
        time.tzset()
        with client(emulator) as provider:
            (found,) = listed(provider).values()
    finally:
        os.environ.pop("TZ") if before is None else os.environ.update(TZ=before)
        time.tzset()
    assert lists(emulator)[0].arg("start:lte") == "2026-01-30T12:00:00+0000"
    assert found.ended_at == NOW - 40 * DAY


EMPTY: list[dict[str, Any]] = [
    {"page": 0, "page_size": 10, "total_items": 0, "total_pages": 0, "_links": {}},
    {"total_pages": 0},
    {"total_items": 0},
    {"total_items": None, "total_pages": 0},
    {"_embedded": None, "page": 0, "total_items": 0, "total_pages": 0},
    {"_embedded": {}, "page": 1, "total_items": 0, "total_pages": 1},
    {"_embedded": {"recordings": None}, "total_items": 0},
    {"_embedded": {"recordings": []}, "page": 1, "total_items": 0, "total_pages": 0},
    {"_embedded": {"recordings": []}},
]


@pytest.mark.parametrize("body", EMPTY)
def test_hazard_07_an_empty_answer_of_any_shape_is_an_empty_list(body: Any) -> None:
    emulator = server()
    emulator.interfere.append(answering(body))
    with client(emulator) as provider:
        assert listed(provider) == {}
    assert len(lists(emulator)) == 1


ROW = {"id": 1, "start": "2025-10-06T09:00:00+0000"}
NOT_EMPTY: list[dict[str, Any]] = [
    {},
    {"page": 0, "page_size": 10},
    {"_links": {}, "page": 1},
    {"total_pages": 3, "page": 1},
    {"total_pages": 1, "_embedded": {"recordings": []}},
    {"total_items": 25},
    {"total_items": 25, "_embedded": {"recordings": []}},
    {"total_items": "some", "_embedded": {"recordings": []}},
    {"total_items": -1},
    {"total_items": True},
    {"total_items": 0.0},
    {"total_items": 0, "_embedded": []},
    {"total_items": 0, "_embedded": {"recordings": {}}},
    {"total_items": 0, "_embedded": {"recordings": ["204417"]}},
    {"total_items": 0, "_embedded": {"recordings": [ROW]}},
    {"total_items": 1, "_embedded": {"recordings": [ROW, {**ROW, "id": 2}]}},
    {"_embedded": {}},
    {"_embedded": {"users": []}},
    {"fault": {"code": 900901, "message": "Invalid Credentials"}},
]


@pytest.mark.parametrize("body", NOT_EMPTY)
def test_hazard_07_an_answer_that_does_not_say_it_is_empty_is_an_error(body: Any) -> None:
    emulator = server()
    emulator.interfere.append(answering(body))
    with client(emulator) as provider, pytest.raises(ProviderError):
        listed(provider)
    assert len(emulator.seen) < 5


NO_IDS = [
    "export",
    "jobs",
    "recordings_transcriptions",
    "",
    "-5",
    "1.0",
    "204417 ",
    "204417\n",
    "１２",
    "٢",
    "1/2",
    "1?x",
]


@BOTH
@pytest.mark.parametrize("ident", NO_IDS)
def test_hazard_08_only_digits_are_sent_as_an_id(ident: str, what: str) -> None:
    emulator = server()
    fill(emulator, 1, what)
    with client(emulator) as provider:
        with pytest.raises(UnsafeId):
            provider.get(item(ident, what))
        with pytest.raises(UnsafeId):
            provider.delete([item(ident, what)], Permit())
    assert (emulator.seen, emulator.disasters) == ([], [])


@pytest.mark.parametrize("address", [(), ("",), ("all",), ("..",), ("869048/../1",), ("jobs",)])
def test_hazard_08_only_digits_or_self_are_sent_as_a_user(address: tuple[str, ...]) -> None:
    emulator = server()
    with client(emulator) as provider, pytest.raises(UnsafeId):
        provider.delete([item(what=ON_DEMAND, locator=address)], Permit())
    assert emulator.seen == []


def test_hazard_08_such_a_recording_is_kept_when_it_is_listed_and_ends_the_run_with_1(command: Any) -> None:
    emulator = today()
    old = fill(emulator, 2)
    emulator.add_recording("export", ended=40 * DAY)
    result = command(emulator, "run", "--yes", "--format", "json")
    assert result.exit_code == 1
    assert outcomes(result) == dict.fromkeys(old, "deleted")
    assert "its id 'export' is not a number" in result.stdout
    assert (there(emulator), emulator.disasters) == ({"export"}, [])


def test_hazard_08_an_id_is_never_turned_into_another_number() -> None:
    emulator = server()
    emulator.add_recording(204499, ended=DAY)
    emulator.add_recording("0000204499", ended=40 * DAY)
    with client(emulator) as provider:
        assert chosen(provider) == {"0000204499"}
        provider.delete([listed(provider)["0000204499"]], Permit())
    assert there(emulator) == {"204499"}


@BOTH
def test_hazard_09_numbers_for_texts_and_missing_fields_are_read(what: str) -> None:
    emulator = server(integer_types=True)
    ids = fill(emulator, 3, what)
    rows = emulator.company if what == COMPANY else emulator.on_demand[USER]
    del rows[ids[0]]["end"], rows[ids[0]]["rule_ids"], rows[ids[0]]["file_name"]
    rows[ids[1]].update(extensions=None, extension=None, cnam="")
    rows[ids[2]].update(caller_id=..., extensions=["701", 702, None, {}])
    del rows[ids[2]]["caller_id"]
    with client(emulator) as provider:
        found = listed(provider, what)
        assert chosen(provider, what) == set(ids)
    titles = ["ANA EXAMPLE (15550100001) to 15550100009", "15550100001 to 15550100009", None]
    assert [found[ident].title for ident in ids] == titles


def test_hazard_09_the_owner_of_a_company_recording_is_its_extensions() -> None:
    written: list[Any] = [["701"], [701, "702"], [], None, "701", [None], ["701", None, {}]]
    owners = [recording({"extensions": value}, COMPANY).owner for value in written]
    assert owners == ["701", "701,702", "", None, "701", None, None]


NO_STARTS: list[Any] = [
    *(..., None, "", "soon", 0, 1759741200, "1759741200", True, [], {}),
    *("2025-10-06", "2025-10-06 09:00:00", "2025-10-06T09:00:00", "2025-13-45T09:00:00+0000"),
    *("1970-01-01T00:00:00+0000", "0001-01-01T00:00:00+0000"),
]


@pytest.mark.parametrize("start", NO_STARTS)
def test_hazard_10_a_start_that_cannot_be_read_keeps_and_is_reported(start: Any) -> None:
    emulator = server()
    fill(emulator, 1)
    emulator.add_recording(204500, ended=40 * DAY, start=start)
    with client(emulator) as provider:
        assert chosen(provider) == {"204401"}
        assert re.search("start (is missing|cannot be read)", reasons(provider)["204500"])


@pytest.mark.parametrize("end", ["soon", 0, True, [], "2025-10-06T09:00:00", "1970-01-01T00:00:00Z", 1759741200])
def test_hazard_10_an_end_that_cannot_be_read_keeps_even_with_a_duration(end: Any) -> None:
    emulator = server()
    emulator.add_recording(204500, ended=40 * DAY, end=end)
    with client(emulator) as provider:
        assert "end cannot be read" in reasons(provider)["204500"]


@pytest.mark.parametrize("duration", [..., None, 0, -61500, True, "soon", 61.5, [], 10**15, "1" * 30])
def test_hazard_10_a_call_that_may_still_be_recorded_has_no_end_and_is_kept(duration: Any) -> None:
    emulator = server()
    emulator.add_recording(204500, ended=40 * DAY, end=None, duration=duration)
    with client(emulator) as provider:
        assert re.search("end (is missing|cannot be read)", reasons(provider)["204500"])


def test_hazard_10_what_ends_before_it_begins_or_beyond_the_calendar_is_kept() -> None:
    late = {"start": "9999-12-31T23:59:59Z", "duration": 61500}
    backwards = {"start": "2025-10-06T09:00:00+0000", "end": "2025-10-06T08:59:59+0000"}
    for row in (late, backwards):
        found = recording({"id": 1, **row}, COMPANY)
        assert found.ended_at is None
        assert found.unreadable


def test_hazard_10_a_call_that_began_before_the_cutoff_and_ended_after_it_is_kept() -> None:
    emulator = server()
    emulator.add_recording(204500, ended=29 * DAY, length=2 * DAY)
    with client(emulator) as provider:
        assert reasons(provider) == {"204500": "ended 29 days ago, kept for 30 days"}


@BOTH
def test_hazard_11_204_without_a_body_is_deleted(what: str) -> None:
    emulator = server()
    ids = fill(emulator, 1, what)
    with client(emulator) as provider:
        (found,) = listed(provider, what).values()
        assert [result.outcome for result in provider.delete([found], Permit())] == [Outcome.DELETED]
    assert there(emulator, what) == set()
    place = "company_call_recordings" if what == COMPANY else f"users/{USER}/call_recordings"
    assert deleted(emulator) == [f"self/{place}/{ids[0]}"]


@pytest.mark.parametrize("answer", [Response(200, {}), Response(200, b"ok"), Response(202, {}), Response(500, HTML)])
def test_hazard_11_any_other_answer_is_not_taken_for_deleted(answer: Response) -> None:
    emulator = server()
    fill(emulator, 1)
    emulator.interfere.append(lambda request: answer if request.method == "DELETE" else None)
    with client(emulator) as provider:
        (found,) = listed(provider).values()
        with pytest.raises(OutcomeUnknown):
            provider.delete([found], Permit())
    assert len(deleted(emulator)) == 1


@pytest.mark.parametrize("count", [9, 10, 35])
def test_hazard_12_ten_requests_a_minute_are_never_exceeded(count: int) -> None:
    passing = Passing()
    emulator = server(passing.now, quota=10)
    fill(emulator, count)
    begun: list[float] = []
    emulator.interfere.append(lambda _: begun.append(passing.elapsed))
    with client(emulator, passing, rate="10/min") as provider:
        provider.http.limiter = RateLimiter(provider.settings.rate, lambda: passing.elapsed)
        found = list(listed(provider).values())
        provider.delete(found, Permit())
    assert len(begun) == count + 2
    assert all(later - first >= 60 for first, later in zip(begun, begun[10:], strict=False))
    assert {seen.status for seen in emulator.seen} == {200, 204}
    assert there(emulator) == set()


def test_hazard_12_ten_a_minute_is_the_default() -> None:
    keys = {"provider": "vonage", "client_id": "a", "client_secret": "b", "username": "c", "password": "d"}
    settings = build(VonageSettings, keys, "", [])
    assert settings is not None
    assert settings.rate == Pace(10, 60)


@pytest.mark.parametrize("password", ["p&w+d%41=", "a b", "ключ ü€", "%2B", "a=b&grant_type=x", "\\\"'<>#?/"])
def test_hazard_13_a_password_arrives_as_it_is(password: str) -> None:
    emulator = server(password=password, client_secret=password + "2")
    with client(emulator) as provider:
        assert listed(provider) == {}
    (request,) = emulator.requests("POST")
    assert request.headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert request.form() == {
        "grant_type": "password",
        "scope": "openid",
        "username": "cleanup@example.com@vbc.prod",
        "password": password,
        "client_id": emulator.client_id,
        "client_secret": password + "2",
    }


def test_hazard_14_a_refused_sign_in_is_not_repeated_and_ends_with_1(command: Any) -> None:
    emulator = today()
    fill(emulator, 3)
    for word in (["run", "--yes"], ["check"]):
        emulator.seen.clear()
        result = command(emulator, *word, password="wrong")
        assert result.exit_code == 1
        assert [(seen.request.method, seen.status) for seen in emulator.seen] == [("POST", 400)]
        assert "17002" in result.stderr or "invalid_grant" in result.stderr
    assert len(there(emulator)) == 3


@pytest.mark.parametrize("status", [400, 401, 403, 404, 408, 409, 422, 429, 302])
def test_hazard_14_no_refusal_of_the_sign_in_is_repeated(status: int) -> None:
    emulator = server()
    emulator.interfere.append(answering({"error": "17003 - locked"}, status, "POST"))
    with client(emulator) as provider:
        for _ in range(3):
            with pytest.raises(AccessDenied):
                listed(provider)
    assert len(emulator.seen) == 1


@pytest.mark.parametrize("body", [{}, {"access_token": None}, {"access_token": ""}, {"access_token": 7}, [], b"ok"])
def test_hazard_14_a_sign_in_without_a_token_is_an_error(body: Any) -> None:
    emulator = server()
    emulator.interfere.append(answering(body, 200, "POST"))
    with client(emulator) as provider, pytest.raises(ProviderError):
        listed(provider)
    assert len(emulator.seen) == 1


@pytest.mark.parametrize("bare", [True, False])
def test_hazard_15_a_token_that_expires_is_renewed_once_and_the_request_repeated(bare: bool) -> None:
    emulator = server(bare_errors=bare)
    fill(emulator, 6)
    with client(emulator) as provider:
        found = list(listed(provider).values())
        provider.delete(found[:3], Permit())
        emulator.expire_tokens()
        results = provider.delete(found[3:], Permit())
    assert [result.outcome for result in results] == [Outcome.DELETED] * 3
    assert len(emulator.requests("POST")) == 2
    assert len(deleted(emulator)) == 7


def test_hazard_15_a_token_that_is_refused_again_is_the_end() -> None:
    emulator = server()
    fill(emulator, 1)
    with client(emulator) as provider:
        (found,) = listed(provider).values()
        emulator.interfere.append(answering(None, 401, "DELETE"))
        with pytest.raises(AccessDenied):
            provider.delete([found], Permit())
    assert len(emulator.requests("POST")) == 2
    assert len(deleted(emulator)) == 2


def test_hazard_16_a_403_while_deleting_stops_the_account_loudly(command: Any) -> None:
    emulator = today()
    fill(emulator, 5)
    emulator.interfere.append(
        lambda request: Response(403) if len(deleted(emulator)) >= 2 and is_delete(request) else None
    )
    result = command(emulator, "run", "--yes", "--format", "json", concurrency=1)
    assert result.exit_code == 1
    assert len(deleted(emulator)) == 3
    found = account(result)
    assert (found["status"], found["deleted"], found["failed"], found["deferred"]) == ("partial", 2, 1, 2)
    assert "403" in result.stderr


def is_delete(request: Request) -> bool:
    return request.method == "DELETE"


def test_hazard_16_without_the_permission_no_company_recording_goes_and_the_message_says_what_is_missing(
    command: Any,
) -> None:
    emulator = today(company_permission=False)
    fill(emulator, 3)
    fill(emulator, 3, ON_DEMAND)
    result = command(emulator, "run", "--yes")
    assert result.exit_code == 1
    assert there(emulator) == {"204401", "204402", "204403"}
    assert not there(emulator, ON_DEMAND)
    assert "Company Call Recording" in result.stderr
    assert len([request for request in lists(emulator) if "company" in request.path]) == 1


def test_hazard_16_an_application_without_provisioning_is_told_what_to_do() -> None:
    with client(server(subscribed=False)) as provider, pytest.raises(HttpError, match=r"Provisioning.*name the"):
        listed(provider, ON_DEMAND)


def test_hazard_17_all_users_are_gone_through_also_those_who_left() -> None:
    emulator = server(page_cap=2)
    for number in range(869050, 869056):
        emulator.add_user(str(number), status="INACTIVE" if number % 2 else "ACTIVE")
        emulator.add_recording(number, user=str(number), ended=40 * DAY)
    with client(emulator) as provider:
        found = listed(provider, ON_DEMAND)
    assert set(found) == {str(number) for number in range(869050, 869056)}
    assert {entry.locator for entry in found.values()} == {(ident,) for ident in found}


def test_hazard_17_self_is_the_api_user_alone_and_check_says_so() -> None:
    emulator = server()
    fill(emulator, 2, ON_DEMAND)
    with client(emulator, users="self") as provider:
        provider.check([ON_DEMAND])
        (warning,) = provider.warnings
        assert "'self'" in warning
        assert listed(provider, ON_DEMAND) == {}
    assert lists(emulator)[0].path.endswith("/users/self/call_recordings")


def test_hazard_18_the_token_goes_nowhere_but_to_the_configured_addresses() -> None:
    elsewhere = Emulator()
    emulator = server(page_cap=2)
    with Server(elsewhere) as foreign:
        emulator.links_host = foreign.url
        fill(emulator, 5)
        for row in emulator.company.values():
            row["download_url"] = f"{foreign.url}/audio/1"
        with client(emulator) as provider:
            for found in listed(provider).values():
                provider.get(found)
                provider.delete([found], Permit())
    assert there(emulator) == set()
    assert elsewhere.seen == []


@pytest.mark.parametrize("method", ["GET", "DELETE", "POST"])
def test_hazard_18_a_redirect_to_another_host_is_not_followed(method: str) -> None:
    elsewhere = Emulator()
    emulator = server()
    fill(emulator, 1)
    with Server(elsewhere) as foreign, client(emulator) as provider:
        moved = Response(307, None, {"Location": f"{foreign.url}/token"})
        emulator.interfere.append(lambda request: moved if request.method == method else None)
        with pytest.raises(ProviderError):
            provider.delete(list(listed(provider).values()), Permit())
    assert elsewhere.seen == []
    assert len(there(emulator)) == 1


def archived(folder: Path) -> dict[str, bytes]:
    """The media in an archive, by their names; without the JSON and the sums."""
    files = [file for file in folder.rglob("*") if file.is_file()]
    return {file.name: file.read_bytes() for file in files if file.name not in ("item.json", "SHA256SUMS")}


def test_hazard_18_the_audio_is_fetched_with_the_token_from_the_accounts_own_address(
    command: Any, tmp_path: Path
) -> None:
    emulator = today()
    fill(emulator, 2)
    emulator.add_user(USER)
    emulator.add_recording(1, user=USER, ended=40 * DAY, file_size_in_bytes=7, duration=9000, file_name="../../x.mp3")
    result = command(emulator, "run", "--yes", archive=tmp_path / "archive")
    assert result.exit_code == 0, result.output
    assert sorted(map(len, archived(tmp_path / "archive").values())) == [7, SIZE, SIZE]
    assert there(emulator) | there(emulator, ON_DEMAND) == set()
    assert all((tmp_path / "archive") in file.parents for file in tmp_path.rglob("*x.mp3*"))


def test_hazard_18_audio_on_another_host_gets_no_token_and_the_recording_stays(command: Any, tmp_path: Path) -> None:
    emulator, foreign = today(), today()
    fill(emulator, 1)
    with Server(foreign) as elsewhere:
        emulator.public_url = elsewhere.url
        result = command(emulator, "run", "--yes", archive=tmp_path / "archive")
    assert result.exit_code == 1
    assert not [request for request in foreign.requests("GET") if request.headers.get("Authorization")]
    assert deleted(emulator) == []


SOUND = b"ID3\x04\0\0".ljust(SIZE, b"x")
NO_AUDIO = {
    "too short": Response(200, SOUND[:-1], {"Content-Type": "audio/mpeg"}),
    "too long": Response(200, SOUND + b"x", {"Content-Type": "audio/mpeg"}),
    "empty": Response(200, b"", {"Content-Type": "audio/mpeg"}),
    "cut off": Response(
        200, SOUND[:1000], {"Content-Type": "audio/mpeg", "Content-Length": str(SIZE), "Connection": "close"}
    ),
    "a page of HTML": Response(200, HTML, {"Content-Type": "text/html"}),
    "JSON": Response(200, {"fault": {}}),
    "404": Response(404),
    "403": Response(403),
    "503": Response(503),
    "a redirect": Response(302, None, {"Location": "/elsewhere"}),
    "silence": Response(close=True),
}


@pytest.mark.parametrize("answer", NO_AUDIO)
def test_hazard_19_what_is_not_archived_whole_is_not_deleted(answer: str, command: Any, tmp_path: Path) -> None:
    emulator = today()
    fill(emulator, 1)
    emulator.interfere.append(lambda request: NO_AUDIO[answer] if "/audio/" in request.path else None)
    result = command(emulator, "run", "--yes", archive=tmp_path / "archive")
    assert result.exit_code == 1
    assert deleted(emulator) == []
    assert list((tmp_path / "archive").rglob("SHA256SUMS")) == []
    assert not any(path.endswith("elsewhere") for path in (request.path for request in emulator.requests("GET")))


@pytest.mark.parametrize("url", [None, "", 7, "ftp://127.0.0.1/x", "/api/audio/recording/1", "http://vonage.example/x"])
def test_hazard_19_without_a_usable_address_of_the_audio_nothing_is_deleted(
    url: Any, command: Any, tmp_path: Path
) -> None:
    emulator = today()
    emulator.add_recording(204401, ended=40 * DAY, download_url=url)
    result = command(emulator, "run", "--yes", archive=tmp_path / "archive")
    assert result.exit_code == 1
    assert (deleted(emulator), there(emulator)) == ([], {"204401"})


def test_hazard_20_a_recording_that_is_published_late_is_taken_by_the_next_run(command: Any) -> None:
    emulator = today()
    fill(emulator, 2)
    assert command(emulator, "run", "--yes").exit_code == 0
    emulator.add_recording(204000, ended=90 * DAY)
    result = command(emulator, "run", "--yes", "--format", "json")
    assert (result.exit_code, outcomes(result)) == (0, {"204000": "deleted"})


def test_hazard_21_the_order_is_a_field_and_a_direction() -> None:
    emulator = server(page_cap=2)
    fill(emulator, 3)
    fill(emulator, 3, ON_DEMAND)
    with client(emulator) as provider:
        listed(provider)
        listed(provider, ON_DEMAND)
    assert {request.arg("order") for request in lists(emulator)} == {"start:ASC"}


def test_hazard_22_a_second_run_at_the_same_time_does_not_even_sign_in(command: Any, tmp_path: Path) -> None:
    emulator = today()
    fill(emulator, 1)
    (tmp_path / "state").mkdir()
    with FileLock(tmp_path / "state" / "lock"):
        result = command(emulator, "run", "--yes")
    assert (result.exit_code, emulator.seen) == (4, [])


@pytest.mark.parametrize(
    "switches", [{"retry_after": True}, {"nested_faults": True}, {}], ids=["Retry-After", "in a fault", "flat"]
)
def test_hazard_23_429_is_obeyed_although_the_rate_allows_more(switches: Mapping[str, Any]) -> None:
    passing = Passing()
    emulator = server(passing.now, quota=4, page_cap=2, **switches)
    fill(emulator, 17)
    with client(emulator, passing, rate="unlimited") as provider:
        provider.http.limiter = RateLimiter(provider.settings.rate, lambda: passing.elapsed)
        found = list(listed(provider).values())
        results = provider.delete(found, Permit())
    assert [result.outcome for result in results] == [Outcome.DELETED] * 17
    assert max(passing.waited) <= 60
    assert len([seen for seen in emulator.seen if seen.status == 429]) == 6


@pytest.mark.parametrize("fault", [True, False])
def test_hazard_23_next_access_time_is_how_long_everybody_waits(fault: bool) -> None:
    body: dict[str, Any] = {"code": "900800", "nextAccessTime": "2026-Mar-01 12:00:42+0000 UTC"}
    error = HttpError("…", 429, {"fault": body} if fault else body)
    with client(server()) as provider:
        assert provider._pause(error) == 42


@pytest.mark.parametrize(
    "stated", [None, "soon", 0, "", {}, "2026-Mar-01 11:59:59+0000 UTC", "2026-03-01T12:00:42Z", "2026-Foo-01 1:00"]
)
def test_hazard_23_a_next_access_time_that_is_none_leaves_the_wait_to_the_rate(stated: Any) -> None:
    for body in ({"nextAccessTime": stated}, {"fault": {"nextAccessTime": stated}}, {"fault": [stated]}, {}):
        with client(server()) as provider:
            assert provider._pause(HttpError("…", 429, body)) is None


EXTENSIONS: list[tuple[dict[str, Any], str | None]] = [
    ({}, None),
    ({"extensions": None}, None),
    ({"extensions": None, "extension": None}, None),
    ({"extensions": []}, ""),
    ({"extensions": [], "extension": None}, ""),
    ({"extension": ""}, ""),
    ({"extension": []}, ""),
    ({"extension": "701"}, "701"),
    ({"extension": 701}, "701"),
    ({"extension": ["701", 702]}, "701,702"),
    ({"extensions": None, "extension": "701"}, "701"),
    ({"extensions": [], "extension": "701"}, "701"),
    ({"extensions": ["702"], "extension": "701"}, "702,701"),
    ({"extensions": ["701"], "extension": "701"}, "701"),
    ({"extensions": {"number": "701"}}, None),
    ({"extensions": ["702"], "extension": {"number": "701"}}, None),
    ({"extensions": [True]}, None),
    ({"extension": True}, None),
]


@pytest.mark.parametrize(("row", "owner"), EXTENSIONS, ids=repr)
def test_hazard_25_extensions_are_read_under_both_names_and_missing_ones_are_not_known(
    row: dict[str, Any], owner: str | None
) -> None:
    assert recording({"id": 1, **row}, COMPANY).owner == owner


@pytest.mark.parametrize(
    ("switch", "owner"), [("extensions", "701"), ("text", "701"), ("list", "701"), ("neither", None)]
)
def test_hazard_25_the_live_api_may_name_the_extension_elsewhere_or_not_at_all(switch: Any, owner: str | None) -> None:
    emulator = server(extension_as=switch)
    fill(emulator, 1)
    with client(emulator) as provider:
        (found,) = listed(provider).values()
    assert found.owner == owner


def test_hazard_25_a_user_without_a_name_leaves_the_owner_unknown_whatever_the_extensions_are() -> None:
    row = {"id": 1, "extensions": ["701"]}
    assert recording(row, ON_DEMAND, (USER,), "ana").owner == "ana"
    assert recording(row, ON_DEMAND, (USER,), "").owner is None


@pytest.mark.parametrize(("call", "aliases"), [("0b1c", ("0b1c",)), (17, ("17",)), (None, ()), ("", ()), ([], ())])
def test_hazard_31_people_know_a_recording_by_its_call_id(call: Any, aliases: tuple[str, ...]) -> None:
    assert recording({"id": 1, "call_id": call}, COMPANY).aliases == aliases


@BOTH
def test_hazard_31_the_call_id_stands_beside_the_id_in_both_lists_and_in_a_look(what: str) -> None:
    emulator = server()
    fill(emulator, 1, what)
    with client(emulator) as provider:
        (found,) = listed(provider, what).values()
        fresh = provider.get(found)
    assert fresh is not None
    assert found.aliases == fresh.aliases == ("0b1c2d3e-0000-4000-8000-000000204401",)


@pytest.mark.parametrize(
    ("days", "counts"), [(0.0001, False), (0.9, False), (1.1, True), (30, True), (367, False), (-1, False)]
)
def test_of_an_end_and_a_duration_that_are_more_than_a_day_apart_the_later_counts(days: float, counts: bool) -> None:
    row = {"id": 1, "start": "2025-10-06T09:00:00Z", "end": "2025-10-06T09:00:00Z", "duration": int(days * 86_400_000)}
    found = recording(row, COMPANY)
    assert found.ended_at == datetime(2025, 10, 6, 9, tzinfo=UTC) + (timedelta(days=days) if counts else timedelta(0))
    assert ("duration" in str(found.unreadable)) is counts


def test_whoever_called_whom_is_told_as_far_as_it_is_known() -> None:
    row = {"id": 1, "start": "2025-10-06T09:00:00Z", "end": "2025-10-06T09:01:00Z", "caller_id": "15550100001"}
    decision = choose(recording(row, COMPANY), [RULES[COMPANY]], NOW)
    assert decision.delete
    assert "who called whom is not known (15550100001 to unknown)" in decision.reason


def three_users(**switches: Any) -> sandbox.Vonage:
    """Three users with a recording each, 11, 12 and 13; the last user is INACTIVE."""
    emulator = today(**switches)
    for user in ("101", "102", "103"):
        emulator.add_user(user, status="INACTIVE" if user == "103" else "ACTIVE")
        emulator.add_recording(int(user) - 90, user=user, ended=40 * DAY)
    return emulator


@pytest.mark.parametrize("status", [403, 404])
def test_hazard_26_a_user_whose_list_is_refused_is_named_and_the_others_are_cleaned(status: Any, command: Any) -> None:
    emulator = three_users(inactive_refused=status)
    result = command(emulator, "run", "--yes", "--format", "json")
    told = account(result)
    assert (result.exit_code, told["status"], outcomes(result)) == (1, "partial", {"11": "deleted", "12": "deleted"})
    assert re.search(rf"user 103: could not read page 1 of the recordings from [0-9.:]+: {status}; ", told["error"])
    assert "user 103" in result.stderr
    assert set(emulator.on_demand["103"]) == {"13"}


def test_hazard_26_of_a_user_whose_second_page_fails_nothing_goes(command: Any) -> None:
    emulator = three_users(page_cap=2)
    for ident in range(20, 23):
        emulator.add_recording(ident, user="102", ended=40 * DAY)
    emulator.interfere.append(
        lambda request: Response(404) if "/102/" in request.path and request.arg("page") == "2" else None
    )
    result = command(emulator, "run", "--yes", "--format", "json")
    assert (result.exit_code, outcomes(result)) == (1, {"11": "deleted", "13": "deleted"})
    assert (account(result)["listed"], "user 102" in account(result)["error"]) == (2, True)
    assert len(emulator.on_demand["102"]) == 4


def test_hazard_26_a_plan_says_that_the_account_could_be_listed_only_in_part(command: Any) -> None:
    result = command(three_users(inactive_refused=404), "plan")
    assert result.exit_code == 1
    assert "1 account could be listed only in part." in result.stdout
    assert "could not be listed, so nothing in it was deleted: user 103" in result.stderr


def test_hazard_26_a_list_that_lacks_a_user_is_no_measure_for_later_runs(command: Any, tmp_path: Path) -> None:
    command(three_users(inactive_refused=404), "run", "--yes")
    with Ledger(tmp_path / "state") as ledger:
        assert list(ledger.events("listing")) == []
    command(three_users(), "run", "--yes")
    with Ledger(tmp_path / "state") as ledger:
        assert len(list(ledger.events("listing"))) == 1


def test_hazard_26_where_every_users_list_is_refused_the_account_has_failed(command: Any) -> None:
    emulator = three_users(paths="v1")
    result = command(emulator, "run", "--yes", "--format", "json")
    assert (result.exit_code, account(result)["status"], deleted(emulator)) == (1, "failed", [])


@BOTH
@pytest.mark.parametrize("refusal", [400, 422])
def test_hazard_27_a_page_size_that_is_refused_is_left_to_the_vendor(refusal: Any, what: str) -> None:
    emulator = server(page_cap=10, refuse_page_size=True, refusal=refusal)
    ids = fill(emulator, 23, what)
    with client(emulator) as provider:
        assert sorted(listed(provider, what)) == ids


def shifting(emulator: sandbox.Vonage, times: int = 1) -> None:
    """After a first page was shown, so many times, a recording appears that is older than all others."""
    left = iter(range(times))

    def publish(request: Request, _: Response) -> None:
        if request.path.endswith("company_call_recordings") and request.arg("page") == "1":
            number = next(left, None)
            if number is not None:
                emulator.add_recording(7 + number, ended=(500 + number) * DAY)

    emulator.after.append(publish)


def test_hazard_28_a_recording_that_appears_while_the_list_is_read_has_it_read_once_more(command: Any) -> None:
    emulator = today(page_cap=3)
    ids = fill(emulator, 7)
    shifting(emulator)
    result = command(emulator, "run", "--yes", "--format", "json")
    assert (result.exit_code, account(result)["listed"], there(emulator)) == (0, 8, set())
    assert outcomes(result) == dict.fromkeys([*ids, "7"], "deleted")
    assert [request.arg("page") for request in lists(emulator)][:5] == ["1", "2", "1", "2", "3"]


def test_hazard_28_a_list_that_shifts_every_time_is_read_twice_and_what_it_showed_goes(command: Any) -> None:
    emulator = today(page_cap=3)
    ids = fill(emulator, 7)
    shifting(emulator, times=9)
    result = command(emulator, "run", "--yes", "--format", "json")
    assert result.exit_code == 0
    assert set(ids) <= set(outcomes(result))
    assert [request.arg("page") for request in lists(emulator)].count("1") == 2 + 1  # and the users' list of recordings


def test_hazard_28_a_list_that_stays_short_of_its_count_is_read_twice_and_fails(command: Any) -> None:
    emulator = today(page_cap=3, miscount=1)
    fill(emulator, 7)
    result = command(emulator, "run", "--yes", "--format", "json")
    assert (result.exit_code, account(result)["status"], deleted(emulator)) == (1, "failed", [])
    assert "counts 8, its pages showed 7" in account(result)["error"]


@pytest.mark.parametrize("users", ["all", [USER]])
def test_hazard_29_users_are_found_under_v1_too(users: Any) -> None:
    emulator = server(provisioning_paths="v1", provisioning_self=False)
    fill(emulator, 1, ON_DEMAND)
    named = replace(RULES[ON_DEMAND], owner=f"user{USER}")
    with client(emulator, users=users, account_id=emulator.account_id) as provider:
        assert chosen(provider, ON_DEMAND, named) == {"204401"}


def test_hazard_29_a_404_from_both_places_says_what_to_write() -> None:
    emulator = server(provisioning_paths="both", provisioning_self=False)
    with client(emulator) as provider, pytest.raises(HttpError, match="write the account's number"):
        listed(provider, ON_DEMAND)


# The mistakes of the public tutorial, each of them not made here -----------------------------------


def test_tutorial_01_the_newest_week_stays_and_what_is_older_goes() -> None:
    emulator = server()
    for days in (0, 3, 6, 8, 30):
        emulator.add_recording(204400 + days, ended=days * DAY)
    week = replace(RULES[COMPANY], cutoff=NOW - 7 * DAY)
    with client(emulator) as provider:
        assert chosen(provider, COMPANY, week) == {"204408", "204430"}


@BOTH
def test_tutorial_02_all_pages_are_read(what: str) -> None:
    emulator = server(page_cap=10)
    ids = fill(emulator, 101, what)
    with client(emulator) as provider:
        assert sorted(listed(provider, what)) == ids
    assert [request.arg("page") for request in lists(emulator) if what == COMPANY or USER in request.path] == [
        str(number) for number in range(1, 12)
    ]


def test_tutorial_03_an_on_demand_recording_is_deleted_under_its_user() -> None:
    emulator = server()
    fill(emulator, 1, ON_DEMAND)
    with client(emulator) as provider:
        (found,) = listed(provider, ON_DEMAND).values()
        provider.delete([found], Permit())
    assert deleted(emulator) == [f"self/users/{USER}/call_recordings/204401"]
    assert there(emulator, ON_DEMAND) == set()


def test_tutorial_04_each_kind_is_deleted_on_its_own_path_even_with_the_same_id(command: Any) -> None:
    emulator = today()
    emulator.add_user(USER)
    emulator.add_recording(1, ended=40 * DAY)
    emulator.add_recording(1, user=USER, ended=DAY)
    emulator.add_recording(2, ended=DAY)
    emulator.add_recording(2, user=USER, ended=40 * DAY)
    assert command(emulator, "run", "--yes").exit_code == 0
    assert (there(emulator), there(emulator, ON_DEMAND)) == ({"2"}, {"1"})


def test_tutorial_05_the_id_is_sent_and_not_the_call_id() -> None:
    emulator = server()
    fill(emulator, 1)
    emulator.company["204401"]["call_id"] = "7"
    emulator.add_recording(7, ended=DAY)
    with client(emulator) as provider:
        provider.delete([listed(provider)["204401"]], Permit())
    assert there(emulator) == {"7"}


def crontab() -> list[str]:
    lines = (Path(__file__).parents[2] / "crontab.example").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if re.match(r"[0-9*]", line)]


def test_tutorial_06_the_schedule_means_one_run_and_not_1440() -> None:
    assert crontab()
    for line in crontab():
        minute, hour = line.split()[:2]
        assert minute.isdigit()
        assert hour.isdigit()


def test_tutorial_07_the_schedule_names_the_program_in_full_and_keeps_its_output() -> None:
    for line in crontab():
        words = line.split(maxsplit=5)[5]
        assert words.startswith("/")
        assert "/dev/null" not in words


def test_tutorial_08_the_cutoff_is_utc_to_the_second_and_not_cut_to_midnight() -> None:
    emulator = server()
    cutoff = datetime(2026, 1, 30, 23, 59, 59, 999999, timezone_of(14))
    with client(emulator) as provider:
        listed(provider, COMPANY, replace(RULES[COMPANY], cutoff=cutoff))
    assert lists(emulator)[0].arg("start:lte") == "2026-01-30T09:59:59+0000"


def timezone_of(hours: int) -> Any:
    return datetime.fromisoformat(f"2026-01-01T00:00:00+{hours:02}:00").tzinfo


def test_tutorial_08_a_cutoff_long_ago_is_still_a_date() -> None:
    emulator = server()
    with client(emulator) as provider:
        listed(provider, COMPANY, replace(RULES[COMPANY], cutoff=datetime(26, 1, 30, tzinfo=UTC)))
    assert lists(emulator)[0].arg("start:lte") == "0026-01-30T00:00:00+0000"


def test_tutorial_09_names_and_values_of_the_query_are_encoded_by_the_library() -> None:
    emulator = server()
    fill(emulator, 1)
    with client(emulator) as provider:
        listed(provider)
    expected = [("order", "start:ASC"), ("start:lte", "2026-01-30T12:00:00+0000"), ("page", "1"), ("page_size", "100")]
    assert list(lists(emulator)[0].query) == expected


def test_tutorial_10_secrets_come_from_outside_and_the_scope_is_sent(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    emulator = server()
    monkeypatch.setenv("VBC_SECRET", emulator.client_secret)
    (tmp_path / "password").write_text(emulator.password + "\n", encoding="utf-8")
    emulator.bare_errors = True
    secrets: dict[str, Any] = {"client_secret": {"env": "VBC_SECRET"}, "password": {"file": str(tmp_path / "password")}}
    with client(emulator, **secrets) as provider:
        assert listed(provider) == {}
    assert emulator.requests("POST")[0].form()["scope"] == "openid"


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422, 429, 500, 503])
@pytest.mark.parametrize("body", [None, HTML, {"fault": {"code": 900901}}, b"User is not authorized", []])
def test_tutorial_11_a_refused_list_is_an_error_whatever_its_body(status: int, body: Any) -> None:
    emulator = server()
    emulator.interfere.append(answering(body, status))
    with client(emulator) as provider, pytest.raises(HttpError) as caught:
        listed(provider)
    assert caught.value.status == status


def test_tutorial_11_a_refused_deletion_is_not_success(command: Any) -> None:
    emulator = today()
    fill(emulator, 2)
    emulator.interfere.append(answering({"status": 400}, 400, "DELETE"))
    result = command(emulator, "run", "--yes", "--format", "json")
    assert result.exit_code == 1
    assert set(outcomes(result).values()) == {"failed"}


@BOTH
def test_tutorial_12_no_match_is_nothing_to_do(what: str, command: Any) -> None:
    emulator = today()
    fill(emulator, 2, what, days=3)
    result = command(emulator, "run", "--yes", "--format", "json")
    assert (result.exit_code, account(result)["selected"], account(result)["error"]) == (0, 0, None)


def test_tutorial_13_other_users_recordings_are_seen_by_default() -> None:
    keys = {"provider": "vonage", "client_id": "a", "client_secret": "b", "username": "c", "password": "d"}
    settings = build(VonageSettings, keys, "", [])
    assert settings is not None
    assert (settings.users, settings.account_id) == ("all", "self")


def test_tutorial_14_a_dry_run_deletes_nothing_and_a_run_asks(command: Any) -> None:
    emulator = today()
    fill(emulator, 3)
    plan = command(emulator, "plan")
    unasked = command(emulator, "run")
    assert (plan.exit_code, unasked.exit_code) == (0, 3)
    assert "Dry run: nothing was deleted" in plan.output
    assert deleted(emulator) == []


def test_tutorial_14_other_peoples_text_cannot_write_to_a_terminal(command: Any) -> None:
    emulator = today()
    emulator.add_user(USER, login_name=HOSTILE)
    for user in (None, USER):
        emulator.add_recording(1, user=user, ended=40 * DAY, cnam=HOSTILE, dnis=HOSTILE, file_name="../../etc/x")
        emulator.add_recording(2, user=user, ended=40 * DAY, start=HOSTILE)
    for word in (["plan"], ["run", "--yes"]):
        for style in ("table", "json", "jsonl"):
            result = command(emulator, "-vv", *word, "--format", style)
            assert result.exit_code == 0
            assert not [sign for sign in result.output if not sign.isprintable() and sign not in "\r\n"]


def test_tutorial_15_many_pages_need_no_recursion_and_a_second_listing_begins_anew() -> None:
    total = [1100]

    def page(request: Request) -> Response | None:
        if request.method != "GET":
            return None
        rows = [{**ROW, "id": request.number("page", 0)}] if total[0] else []
        return Response(200, {"_embedded": {"recordings": rows}, "total_items": total[0]})

    emulator = server()
    emulator.interfere.append(page)
    with client(emulator) as provider:
        assert len(listed(provider)) == 1100
        total[0] = 0
        assert listed(provider) == {}


def test_tutorial_16_a_duration_is_milliseconds() -> None:
    row = {"id": 1, "start": "2025-10-06T09:00:00+0000", "duration": 30000}
    assert recording(row, COMPANY).ended_at == datetime(2025, 10, 6, 9, 0, 30, tzinfo=UTC)


def test_tutorial_17_lte_includes_its_instant_and_the_cutoff_does_not() -> None:
    emulator = server()
    for ident, ended in ((1, 30 * DAY), (2, 30 * DAY + timedelta(seconds=1))):
        emulator.add_recording(ident, ended=ended, length=timedelta(0), duration=0)
    with client(emulator) as provider:
        assert set(listed(provider)) == {"1", "2"}
        assert chosen(provider) == {"2"}


# What the sources contradict, and what they leave open ----------------------------------------------


@pytest.mark.parametrize(("paths", "tail"), [("plain", ""), ("v1", "/v1"), ("both", "/v1/"), ("both", "//")])
def test_the_base_path_is_the_accounts(paths: Any, tail: str) -> None:
    emulator = server(paths=paths)
    fill(emulator, 2)
    with client(emulator, path=tail) as provider:
        assert len(listed(provider)) == 2


@pytest.mark.parametrize(
    ("what", "advice"), [(COMPANY, "check the account's url and account_id"), (ON_DEMAND, "user 869040.*users")]
)
def test_a_wrong_base_path_is_an_error_that_says_where_to_look(what: str, advice: str) -> None:
    emulator = server(paths="v1")
    fill(emulator, 1, what)
    with client(emulator) as provider, pytest.raises(HttpError, match=advice):
        listed(provider, what)


@BOTH
@pytest.mark.parametrize("count", [0, 1, 3, 4, 7])
def test_the_first_page_may_be_0(count: int, what: str) -> None:
    emulator = server(first_page=0, page_cap=3)
    ids = fill(emulator, count, what)
    with client(emulator) as provider:
        assert sorted(listed(provider, what)) == ids


@pytest.mark.parametrize("key", ["data", "users"])
def test_users_may_stand_under_either_key(key: Any) -> None:
    emulator = server(users_key=key, page_cap=2)
    fill(emulator, 2, ON_DEMAND)
    with client(emulator) as provider:
        assert len(listed(provider, ON_DEMAND)) == 2


def test_a_provisioning_that_knows_no_self_is_an_error_that_says_what_to_write() -> None:
    emulator = server(provisioning_self=False)
    fill(emulator, 1, ON_DEMAND)
    with client(emulator) as provider, pytest.raises(HttpError, match="write the account's number"):
        listed(provider, ON_DEMAND)
    for ident in (emulator.account_id, int(emulator.account_id)):
        with client(emulator, account_id=ident) as provider:
            assert len(listed(provider, ON_DEMAND)) == 1


def test_a_page_size_that_is_refused_is_left_to_the_vendor() -> None:
    emulator = server(page_cap=10, refuse_page_size=True)
    ids = fill(emulator, 23)
    with client(emulator) as provider:
        assert sorted(listed(provider)) == ids
    assert [request.arg("page_size") for request in lists(emulator)] == ["100", None, None, None]


def test_a_page_size_is_not_changed_in_the_middle_of_a_list() -> None:
    emulator = server(page_cap=10)
    fill(emulator, 23)
    refusals = [Response(400)]
    emulator.interfere.append(lambda request: refusals.pop() if request.arg("page") == "2" and refusals else None)
    with client(emulator) as provider, pytest.raises(HttpError, match="400"):
        listed(provider)


@BOTH
@pytest.mark.parametrize("trouble", ["lost", "miscount"])
def test_fewer_rows_than_counted_are_no_list(trouble: str, what: str) -> None:
    emulator = server(page_cap=3)
    ids = fill(emulator, 7, what)
    if trouble == "lost":
        emulator.lost.add(ids[4])
    else:
        emulator.miscount = 1
    with client(emulator) as provider, pytest.raises(ProviderError, match="not complete"):
        listed(provider, what)


def test_a_user_who_is_counted_and_not_shown_leaves_the_account_alone(command: Any) -> None:
    emulator = today()
    fill(emulator, 3, ON_DEMAND)
    emulator.lost.add(USER)
    assert command(emulator, "run", "--yes").exit_code == 1
    assert deleted(emulator) == []


def test_a_list_of_users_without_any_is_not_believed() -> None:
    emulator = server()
    emulator.users.clear()
    with client(emulator) as provider, pytest.raises(ProviderError, match="list of users is empty"):
        listed(provider, ON_DEMAND)


@pytest.mark.parametrize("ident", [None, "", "export", 1.5, True, "1/2"])
def test_a_user_without_a_usable_id_is_an_error(ident: Any) -> None:
    emulator = server()
    emulator.add_user(USER)["id"] = ident
    with client(emulator) as provider, pytest.raises(ProviderError, match="no usable id"):
        listed(provider, ON_DEMAND)


def test_users_given_as_ids_are_asked_for_without_provisioning() -> None:
    emulator = server(subscribed=False)
    fill(emulator, 2, ON_DEMAND)
    emulator.add_user("869049")
    with client(emulator, users=[869048, "869049", "869048"]) as provider:
        assert {entry.owner for entry in listed(provider, ON_DEMAND).values()} == {USER}
    assert [request.path.split("/")[-2] for request in lists(emulator)] == ["869048", "869049"]


@pytest.mark.parametrize("users", ["all", ["869048", "1"]])
def test_a_user_whose_recordings_are_404_is_named_in_the_error(users: Any) -> None:
    emulator = server()
    fill(emulator, 1, ON_DEMAND)
    gone = "/users/1/" if users != "all" else f"/users/{USER}/"
    emulator.interfere.append(lambda request: Response(404) if gone in request.path else None)
    with client(emulator, users=users) as provider, pytest.raises(HttpError, match=gone.split("/")[2]):
        listed(provider, ON_DEMAND)


@pytest.mark.parametrize(
    ("fields", "owner"),
    [
        ({}, "user869048"),
        ({"login_name": None}, "user869048@example.com"),
        ({"login_name": ..., "email": ""}, None),
        ({"login_name": 701}, "701"),
    ],
)
def test_the_owner_of_an_on_demand_recording_is_its_user(fields: Mapping[str, Any], owner: str | None) -> None:
    emulator = server()
    emulator.add_user(USER, **fields)
    fill(emulator, 1, ON_DEMAND)
    with client(emulator) as provider:
        (found,) = listed(provider, ON_DEMAND).values()
        fresh = provider.get(found)
    assert found.owner == owner
    assert fresh == found


def held(*owners: str) -> Rule:
    return replace(RULES[ON_DEMAND], holds=tuple(Hold("a lawsuit", owner=owner) for owner in owners))


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (held("user869048"), set()),
        (held("USER869048@example.com"), set()),
        (held(USER), set()),
        (held("nobody", USER), set()),
        (held("nobody"), {"204401"}),
        (replace(held("user869048"), owner="*"), set()),
        (replace(RULES[ON_DEMAND], owner="user8690*"), {"204401"}),
        (replace(RULES[ON_DEMAND], owner=USER), {"204401"}),
        (replace(RULES[ON_DEMAND], owner="nobody"), set()),
    ],
)
def test_holds_and_owners_fit_users_given_as_ids_by_name_and_by_id(rule: Rule, expected: set[str]) -> None:
    emulator = server()
    fill(emulator, 1, ON_DEMAND)
    with client(emulator, users=[USER]) as provider:
        assert chosen(provider, ON_DEMAND, rule) == expected


def test_a_hold_that_cannot_be_compared_leaves_the_account_alone() -> None:
    emulator = server(subscribed=False)
    fill(emulator, 1, ON_DEMAND)
    with client(emulator, users=[USER]) as provider, pytest.raises(HttpError, match="Provisioning"):
        chosen(provider, ON_DEMAND, held("ana"))


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("2025-10-06T09:00:00+0000", datetime(2025, 10, 6, 9, tzinfo=UTC)),
        ("2025-10-06T09:00:00Z", datetime(2025, 10, 6, 9, tzinfo=UTC)),
        ("2025-10-06T09:00:00+00:00", datetime(2025, 10, 6, 9, tzinfo=UTC)),
        ("2025-10-06T11:30:00+0230", datetime(2025, 10, 6, 9, tzinfo=UTC)),
        ("2025-10-05T23:00:00-1000", datetime(2025, 10, 6, 9, tzinfo=UTC)),
        ("2025-10-06T09:00:00.125Z", datetime(2025, 10, 6, 9, 0, 0, 125000, tzinfo=UTC)),
        ("2025-10-06T09:00:00.123456789+0000", datetime(2025, 10, 6, 9, 0, 0, 123456, tzinfo=UTC)),
    ],
)
def test_dates_are_read_in_every_way_they_are_written(written: str, expected: datetime) -> None:
    row = {"id": 1, "start": written, "end": written}
    assert (recording(row, COMPANY).started_at, recording(row, COMPANY).ended_at) == (expected, expected)


def test_the_documented_row_is_read_field_by_field() -> None:
    row = {
        "id": 204417,
        "call_id": "0b1c2d3e-0000-4000-8000-000000000001",
        "call_direction": "INBOUND",
        "caller_id": "15550100001",
        "cnam": "ANA EXAMPLE",
        "dnis": "15550100009",
        "download_url": "https://api.vonage.com/t/vbc.prod/call_recording/api/audio/recording/204417",
        "duration": 61500,
        "start": "2025-10-06T09:00:00+0000",
        "end": "2025-10-06T09:01:01+0000",
        "extensions": ["701"],
        "file_name": "730048.204417.mp3",
        "file_size_in_bytes": 98304,
        "rule_ids": [1989, 2012],
    }
    assert recording(row, COMPANY) == Item(
        what=COMPANY,
        id="204417",
        kind=Kind.RECORDING,
        state=State.ENDED,
        title="ANA EXAMPLE (15550100001) to 15550100009",
        owner="701",
        tags=(),
        started_at=datetime(2025, 10, 6, 9, tzinfo=UTC),
        ended_at=datetime(2025, 10, 6, 9, 1, 1, tzinfo=UTC),
        size_bytes=98304,
        aliases=("0b1c2d3e-0000-4000-8000-000000000001",),
        raw=row,
    )
    assert recording({**row, "end": ""}, COMPANY).ended_at == datetime(2025, 10, 6, 9, 1, 1, 500000, tzinfo=UTC)


@pytest.mark.parametrize(
    ("row", "title"),
    [
        ({}, None),
        ({"dnis": "2"}, None),
        ({"caller_id": 1, "dnis": 2}, None),
        ({"cnam": None, "caller_id": 1, "dnis": 2}, None),
        ({"cnam": "ANA", "caller_id": "1"}, None),
        ({"cnam": "ANA", "caller_id": "", "dnis": "2"}, None),
        ({"cnam": [], "caller_id": True, "dnis": {}}, None),
        ({"cnam": "", "caller_id": 1, "dnis": 2}, "1 to 2"),
        ({"cnam": "ANA", "caller_id": 1, "dnis": 2}, "ANA (1) to 2"),
    ],
)
def test_a_title_is_known_where_the_name_and_both_numbers_are(row: Mapping[str, Any], title: str | None) -> None:
    assert recording(row, COMPANY).title == title


@pytest.mark.parametrize("ident", [..., None, "", 1.5, True, [], {}])
def test_a_recording_without_an_id_is_listed_and_kept(ident: Any) -> None:
    emulator = server()
    fill(emulator, 1)
    for key in ("a", "b"):
        row = emulator.add_recording(key, ended=40 * DAY, cnam=key, id=ident)
        assert row
    with client(emulator) as provider:
        found = [entry for entry in provider.list_items(COMPANY, [RULES[COMPANY]]) if not entry.id]
        assert [entry.title for entry in found] == ["a (15550100001) to 15550100009", "b (15550100001) to 15550100009"]
        assert chosen(provider) == {"204401"}


def test_the_backlog_of_the_sandbox_is_cleaned_exactly(command: Any) -> None:
    emulator = sandbox.Vonage()
    emulator.fill()
    before = {COMPANY: set(emulator.company), ON_DEMAND: demand(emulator)}
    result = command(emulator, "run", "--yes")
    assert result.exit_code == 0
    assert set(emulator.company) == before[COMPANY] - emulator.doomed[COMPANY]
    assert demand(emulator) == before[ON_DEMAND] - emulator.doomed[ON_DEMAND]
    assert emulator.disasters == []


def demand(emulator: sandbox.Vonage) -> set[str]:
    return {ident for rows in emulator.on_demand.values() for ident in rows}


def test_looking_again_needs_the_same_recording() -> None:
    emulator = server()
    fill(emulator, 2)
    with client(emulator) as provider:
        first = listed(provider)["204401"]
        assert provider.get(first) == first
        emulator.interfere.append(answering({"id": 204402}))
        with pytest.raises(ProviderError, match="something else"):
            provider.get(first)
        emulator.interfere[:] = [answering(None, 404)]
        assert provider.get(first) is None


def test_checking_needs_few_requests_however_many_users_there_are() -> None:
    emulator = server()
    for number in range(869050, 869080):
        emulator.add_user(str(number))
    with client(emulator) as provider:
        provider.check([COMPANY, ON_DEMAND])
        assert provider.warnings == []
    assert [seen.status for seen in emulator.seen] == [200] * 4


def test_checking_tries_every_user_that_is_named() -> None:
    emulator = server()
    emulator.add_user(USER)
    with client(emulator, users=[USER, "404404"]) as provider, pytest.raises(HttpError, match="404404"):
        provider.check([ON_DEMAND])


@pytest.mark.parametrize("username", ["ana", "ana@vbc.prod", "ana@VBC.prod"])
def test_the_domain_of_the_user_name_is_there_once(username: str) -> None:
    emulator = server(username="ana")
    with client(emulator, username=username) as provider:
        assert listed(provider) == {}
    assert emulator.requests("POST")[0].form()["username"] == "ana@vbc.prod"


def test_the_sign_in_may_be_on_another_server() -> None:
    emulator, gateway = server(), server()
    gateway.tokens = emulator.tokens
    with Server(gateway) as served, client(emulator, token_url=f"{served.url}/token/") as provider:
        assert listed(provider) == {}
    assert [request.path for request in gateway.requests("POST")] == ["/token"]
    assert emulator.requests("POST") == []


def test_page_numbers_end_the_list_whatever_the_count_is() -> None:
    body = {"_embedded": {"recordings": [ROW]}, "total_pages": 2}
    assert not page_of(body, ["recordings"], 1).last
    assert page_of(body, ["recordings"], 2).last
    assert page_of({**body, "total_items": 2}, ["recordings"], 2).last
    assert page_of({"_embedded": {"recordings": [ROW]}}, ["recordings"], 2).last is None


def test_a_list_without_any_count_is_read_to_its_empty_page() -> None:
    emulator = server(page_cap=2)
    ids = fill(emulator, 5)

    def bare(_: Request, response: Response) -> Response | None:
        rows = response.body.get("_embedded") if isinstance(response.body, dict) else None
        return Response(200, {"_embedded": rows}) if rows else None

    emulator.after.append(bare)
    with client(emulator) as provider:
        assert sorted(listed(provider)) == ids
    assert len(lists(emulator)) == 4


# The settings ---------------------------------------------------------------------------------------

NEEDED = {"provider": "vonage", "client_id": "a", "client_secret": "b", "username": "c", "password": "d"}


@pytest.mark.parametrize("key", ["client_id", "client_secret", "username", "password"])
def test_the_credentials_must_be_there(key: str) -> None:
    assert mistakes(VonageSettings, **{name: value for name, value in NEEDED.items() if name != key}) == [
        f"{key}: is missing"
    ]


@pytest.mark.parametrize("key", ["url", "token_url", "provisioning_url"])
@pytest.mark.parametrize("url", ["http://api.vonage.com/token", "api.vonage.com", "https://a:b@api.vonage.com/"])
def test_every_address_is_checked(key: str, url: str) -> None:
    (mistake,) = mistakes(VonageSettings, **NEEDED, **{key: url})
    assert mistake.startswith(f"{key}: ")


@pytest.mark.parametrize("users", ["", "everybody", "869048", [], [""], ["ana"], [True], [1.5], [-1], ["all"], {}, 1])
def test_users_are_all_self_or_ids(users: Any) -> None:
    (mistake,) = mistakes(VonageSettings, **NEEDED, users=users)
    assert mistake.startswith("users: ")


@pytest.mark.parametrize("ident", ["", "me", "12a", "../1", "1/2", -1, True, 1.5, []])
def test_an_account_id_is_digits_or_self(ident: Any) -> None:
    (mistake,) = mistakes(VonageSettings, **NEEDED, account_id=ident)
    assert mistake.startswith("account_id: ")


@pytest.mark.parametrize("key", ["tags", "keep_tags", "rooms", "names", "users"])
def test_a_rule_has_no_keys_that_would_mean_nothing_here(key: str) -> None:
    (mistake,) = mistakes(RecordingRule, what=COMPANY, **{key: ["x"]})
    assert mistake.startswith(f"{key}: unknown")


GATEWAYS = [
    {"code": "404", "type": "Status report", "message": "Runtime Error"},
    b"<am:fault><am:message>No matching resource found</am:message></am:fault>",
    {"unscripted": True},
]


@pytest.mark.parametrize("body", GATEWAYS, ids=["JSON", "XML", "anything"])
def test_hazard_24_a_404_with_a_body_to_a_look_is_no_proof(body: Any) -> None:
    emulator = server()
    fill(emulator, 1)
    with client(emulator) as provider:
        (item,) = listed(provider).values()
        emulator.interfere.append(answering(body, 404))
        with pytest.raises(ProviderError):
            provider.get(item)


@pytest.mark.parametrize("body", [None, *GATEWAYS], ids=["none", "JSON", "XML", "anything"])
def test_hazard_24_a_404_to_a_deletion_is_not_gone_while_the_recording_is_there(body: Any, command: Any) -> None:
    emulator = today()
    fill(emulator, 1)
    emulator.interfere.append(answering(body, 404, "DELETE"))
    result = command(emulator, "run", "--yes", "--format", "json")
    assert (result.exit_code, account(result)["items"][0]["outcome"]) == (1, "failed")


def test_hazard_24_a_404_to_a_deletion_is_gone_if_a_look_agrees(command: Any) -> None:
    emulator = today()
    fill(emulator, 1)
    emulator.interfere.append(lambda request: emulator.company.clear() if request.method == "DELETE" else None)
    result = command(emulator, "run", "--yes", "--format", "json")
    assert (result.exit_code, account(result)["items"][0]["outcome"]) == (0, "gone")


def test_hazard_24_an_account_whose_deletions_are_all_answered_with_404_is_left(command: Any) -> None:
    emulator = today()
    fill(emulator, 25)
    emulator.interfere.append(answering(None, 404, "DELETE"))
    result = command(emulator, "run", "--yes", "--format", "json")
    assert result.exit_code == 1
    assert "all answered with 404" in account(result)["error"]
    assert len(emulator.requests("DELETE")) < 25


def test_hazard_30_a_wrong_password_is_not_sent_again_by_the_next_run(tmp_path: Path) -> None:
    emulator = today()
    emulator.interfere.append(lambda request: Response(400, {"error": "17003"}) if request.path == "/token" else None)
    file = tmp_path / "config.toml"
    with Server(emulator) as served:
        file.write_text(emulator.account("vbc", served.url), encoding="utf-8")
        file.chmod(0o600)
        for _ in range(3):
            words = ["-c", str(file), "--state", str(tmp_path / "state"), "run", "--yes"]
            assert CliRunner().invoke(cli, words).exit_code == 1
    assert len([request for request in emulator.requests("POST") if request.path == "/token"]) == 1
