"""The Huawei client against the emulated Huawei Cloud Meeting: its hazards, its contradictions, its unknowns."""

from __future__ import annotations

import json
import logging
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from msgspec.structs import replace

from confcleanup.cli import cli
from confcleanup.deleter import Deletion, carry_out
from confcleanup.errors import AccessDenied, HttpError, Problem, ProviderError
from confcleanup.filter import Decision, Reason, Rule, decide
from confcleanup.http.client import Permit
from confcleanup.http.paging import Repeated
from confcleanup.items import Item, Kind, Outcome, Result, State
from confcleanup.listing import Listing, make_plan
from confcleanup.plan import Plan
from confcleanup.providers.huawei import Huawei as Client
from confcleanup.providers.huawei_items import meeting, moment, public, recording
from confcleanup.providers.huawei_lists import FIRST, Window, windows
from confcleanup.providers.huawei_sign_in import PERHAPS_NO_ADMINISTRATOR, HuaweiSettings, code, signature
from confcleanup.sandbox.huawei import (
    APP_LOGIN,
    DOWNLOAD_URLS,
    HISTORY,
    MEETINGS,
    RECORDING,
    RECORDINGS,
    SESSION,
    Huawei,
    film,
    wire_time,
)
from confcleanup.sandbox.server import Request, Response, Server
from confcleanup.settings.tables import build
from confcleanup.worklist import Entry
from tests.fake import Memory
from tests.providers.waiting import NoWaiting

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
CUTOFF = NOW - timedelta(days=30)
RULE = Rule(name="old", what="recordings", cutoff=CUTOFF, age="30 days")
DUE = Decision(True, Reason.DUE, "", "old")
UUID = "fd0e7200e9ff11f0a1b2c3d4e5f60718"
DAY = 86_400_000
ROW: dict[str, Any] = {
    "confUUID": UUID,
    "confID": "912000111",
    "rcdTime": 4560,
    "rcdSize": 85,
    "subject": "Budget review",
    "scheduserName": "anna",
    "startTime": "2026-01-05 06:30",
    "isDecodeFinish": True,
    "available": True,
}


@dataclass
class World:
    """An emulator, and a client signed up to it."""

    server: Huawei
    client: Client
    stop: NoWaiting

    def listed(self, what: str = "recordings") -> list[Item]:
        """Every item once, whatever other rows of it there are."""
        items = self.client.list_items(what, [replace(RULE, what=what)])
        return [item for item in items if not isinstance(item.raw, Repeated)]

    def item(self, uuid: str) -> Item:
        return next(item for item in self.listed() if item.id == uuid)

    def delete(self, items: list[Item]) -> list[Result]:
        """What came of the deletion of these items: as answered, and as found by looking."""
        plan = Plan("hw", "huawei")
        plan.selected.extend(Entry(item, DUE) for item in items)
        carry_out(Deletion(plan, self.client, [RULE], NOW, Memory(), self.stop))
        return [Result(entry.outcome, entry.error) for entry in plan.selected if entry.outcome]

    def requests(self, method: str, path: str) -> list[Request]:
        return [request for request in self.server.requests(method) if request.path == path]

    @property
    def deletions(self) -> list[Request]:
        return self.requests("DELETE", RECORDINGS)

    @property
    def sign_ins(self) -> list[Request]:
        return self.requests("POST", APP_LOGIN)


def settings(**keys: Any) -> HuaweiSettings:
    table = {"provider": "huawei", "app_id": Huawei.app_id, "app_key": "demo-app-key-2f6c91", "rate": "unlimited"}
    problems: list[Problem] = []
    built = build(HuaweiSettings, table | keys, "accounts.test", problems)
    assert not problems
    assert built
    return built


@contextmanager
def world(server: Huawei | None = None, **keys: Any) -> Iterator[World]:
    server = server or Huawei(lambda: NOW)
    with Server(server) as served:
        stop = NoWaiting()
        account = settings(**{"url": served.url, "user_id": server.user_id, **keys})
        with Client(account, stop, lambda: NOW) as client:
            assert isinstance(client, Client)
            yield World(server, client, stop)


def huawei(count: int = 0, **switches: Any) -> Huawei:
    """An emulator with so many recordings that a rule of 30 days deletes."""
    server = Huawei(lambda: NOW, **switches)
    for number in range(count):
        server.add_recording(Huawei.uuid(number), ended=timedelta(days=40, minutes=number))
    return server


def refusing(status: int, error: object, method: str = "DELETE", path: str = RECORDINGS) -> Callable[..., Any]:
    """A hook that answers such requests with this error."""
    return lambda request: Response(status, error) if (request.method, request.path) == (method, path) else None


def run(place: World, *, concurrency: int = 4) -> Plan:
    """The account's listing, selection and deletion, as a run does them."""
    plan = make_plan(Listing("hw", place.client, [RULE], NOW))
    assert plan.error is None
    carry_out(Deletion(plan, place.client, [RULE], NOW, Memory(), place.stop, concurrency=concurrency))
    return plan


def dates(requests: list[Request]) -> list[tuple[int, int]]:
    """The ranges that were asked for."""
    return [(request.number("startDate", 0), request.number("endDate", 0)) for request in requests]


# Hazards --------------------------------------------------------------------------------------


def test_hazard_01_a_deletion_without_ids_is_never_sent() -> None:
    with world(huawei(2)) as place:
        item = place.listed()[0]
        assert place.client.delete([], Permit()) == []
        assert [result.outcome for result in place.client.delete([replace(item, id="")], Permit())] == [Outcome.FAILED]
        assert place.deletions == []
        assert place.server.disasters == []


@pytest.mark.parametrize(
    "ident", ["912000111", "", ",", f"{UUID},{UUID}", f"{UUID},", UUID.upper(), UUID[:-1], UUID + "0", f"{UUID}\n"]
)
def test_hazard_02_only_a_conf_uuid_is_ever_sent(ident: str) -> None:
    with world(huawei(2)) as place:
        good, other = place.listed()
        results = place.client.delete([replace(other, id=ident), good], Permit())
        assert [result.outcome for result in results] == [Outcome.FAILED, Outcome.DELETED]
        assert [request.arg("confUUIDs") for request in place.deletions] == [good.id]
        assert place.server.recordings.keys() == {other.id}
        assert place.server.disasters == []


def test_hazard_02_a_meeting_of_the_history_is_never_sent_although_its_id_is_that_of_its_recording() -> None:
    server = huawei(1)
    server.add_history(Huawei.uuid(0))
    with world(server) as place:
        (listed,) = place.listed("meetings")
        assert place.client.delete([listed], Permit())[0].outcome is Outcome.FAILED
        assert place.deletions == []


def test_hazard_03_no_meeting_is_ever_cancelled() -> None:
    server = huawei()
    server.fill()
    meetings = dict(server.meetings)
    with world(server) as place:
        run(place)
    assert server.meetings == meetings
    assert server.disasters == []
    assert {request.path for request in server.requests("DELETE")} == {RECORDINGS, SESSION}
    assert {request.path for request in server.requests("POST")} == {APP_LOGIN}


@pytest.mark.skipif(not hasattr(time, "tzset"), reason="this system has no tzset")
@pytest.mark.parametrize("zone", ["UTC", "Asia/Shanghai", "America/Los_Angeles"])
def test_hazard_04_times_are_utc_whatever_the_zone_of_this_machine(zone: str) -> None:
    before = os.environ.get("TZ")
    os.environ["TZ"] = zone
    time.tzset()
    try:
        assert moment("2026-01-05 06:30") == datetime(2026, 1, 5, 6, 30, tzinfo=UTC)
        server = huawei()
        server.add_recording(Huawei.uuid(1), ended=timedelta(days=30, hours=1))
        server.add_recording(Huawei.uuid(2), ended=timedelta(days=29, hours=23))
        with world(server) as place:
            assert [item.id for item in place.listed() if decide(item, RULE, NOW).delete] == [Huawei.uuid(1)]
    finally:
        os.environ.pop("TZ") if before is None else os.environ.update(TZ=before)
        time.tzset()


def test_hazard_05_an_administrator_sees_the_whole_enterprise() -> None:
    server = huawei(1)
    server.add_recording(Huawei.uuid(9), owner="00ab")
    with world(server) as place:
        assert len(place.listed()) == 2
        asked = place.requests("GET", RECORDINGS) + place.requests("GET", HISTORY)
        assert {request.arg("queryAll") for request in asked} == {"true"}
        assert place.client.warnings == []


def test_hazard_05_a_common_user_is_refused_by_the_check_and_warned_of_in_a_listing() -> None:
    server = huawei(1, admin_type=2)
    server.add_recording(Huawei.uuid(9), owner="00ab")
    with world(server) as place:
        assert [item.id for item in place.listed()] == [Huawei.uuid(9)]
        place.listed()
        assert len(place.client.warnings) == 1
        assert "administrator" in place.client.warnings[0]
        with pytest.raises(ProviderError, match="administrator"):
            place.client.check(["recordings"])


@pytest.mark.parametrize("user", [None, {}, {"adminType": None}, {"adminType": "x"}], ids=repr)
def test_hazard_05_a_sign_in_that_does_not_say_who_it_is_draws_a_warning(user: object) -> None:
    server = huawei(1)

    def nameless(request: Request, answer: Response) -> Response | None:
        body = answer.body if isinstance(answer.body, dict) else {}
        return Response(200, {**body, "user": user}) if "accessToken" in body else None

    server.after.append(nameless)
    with world(server) as place:
        assert len(place.listed()) == 1
        assert place.client.warnings == [PERHAPS_NO_ADMINISTRATOR]
        assert place.client.reach("recordings", []).only == "what this user sees"
        place.client.check(["recordings"])


def test_hazard_06_a_recording_ended_a_minute_after_its_start_and_length() -> None:
    item = recording(ROW, Window(0, 1), {})
    assert item.ended_at == datetime(2026, 1, 5, 7, 47, tzinfo=UTC)
    assert item.started_at == datetime(2026, 1, 5, 6, 30, tzinfo=UTC)


def test_hazard_06_the_end_of_its_meeting_counts_if_it_was_later() -> None:
    server = huawei()
    server.add_recording(UUID, ended=timedelta(days=31))
    server.add_history(UUID, ended=timedelta(days=29), length=timedelta(days=3))
    with world(server) as place:
        (item,) = place.listed()
        assert item.ended_at == NOW - timedelta(days=29)
        assert decide(item, RULE, NOW).why is Reason.TOO_YOUNG
    later = moment("2026-01-05 07:00")
    assert recording(ROW, Window(0, 1), {UUID: later}).ended_at == datetime(2026, 1, 5, 7, 47, tzinfo=UTC)


@pytest.mark.parametrize(
    "odd",
    [
        {"startTime": None},
        {"startTime": "soon"},
        {"startTime": "2026-01-05"},
        {"startTime": "05.01.2026 06:30"},
        {"startTime": "2026-13-05 06:30"},
        {"startTime": "1970-01-01 00:00"},
        {"startTime": "2026-01-05 06:30+08:00"},
        {"startTime": 1767594600},
        {"rcdTime": None},
        {"rcdTime": True},
        {"rcdTime": 0},
        {"rcdTime": -60},
        {"rcdTime": "76 min"},
        {"rcdTime": "4560.5"},
        {"rcdTime": 1767594600000},
    ],
    ids=repr,
)
def test_hazard_06_what_has_no_readable_end_is_kept(odd: dict[str, Any]) -> None:
    item = recording(ROW | odd, Window(0, 1), {})
    assert item.ended_at is None
    decision = decide(item, RULE, NOW)
    assert (decision.delete, decision.why) == (False, Reason.END_UNKNOWN)
    assert next(iter(odd)) in decision.reason


@pytest.mark.parametrize("odd", [{"endTime": ...}, {"endTime": "late"}, {"conferenceState": "Created"}], ids=repr)
def test_hazard_06_a_meeting_that_the_history_knows_without_an_end_keeps_its_recording(odd: dict[str, Any]) -> None:
    server = huawei(1)
    server.add_history(Huawei.uuid(0), **odd)
    with world(server) as place:
        (item,) = place.listed()
        assert decide(item, RULE, NOW).why is Reason.END_UNKNOWN
        assert "history" in str(item.unreadable)


@pytest.mark.parametrize("value", [False, "false", "true", None, 1, ...], ids=repr)
def test_hazard_07_a_recording_that_is_not_transcoded_is_kept(value: object) -> None:
    server = huawei()
    server.add_recording(UUID, isDecodeFinish=value)
    with world(server) as place:
        (item,) = place.listed()
        assert (item.state, item.unreadable) == (State.INCOMPLETE, "still being transcoded")
        assert not decide(item, RULE, NOW).delete


@pytest.mark.parametrize("value", [False, "true", None, 1, ...], ids=repr)
@pytest.mark.parametrize("finished", [True, False])
def test_hazard_07_a_recording_that_is_not_available_is_kept(finished: bool, value: object) -> None:
    server = huawei()
    server.add_recording(
        UUID, available=value, isDecodeFinish=finished, detail={"available": True, "isDecodeFinish": True}
    )
    with world(server) as place:
        (item,) = place.listed()
        assert (item.state, item.unreadable) == (State.INCOMPLETE, "not available")
        assert place.requests("GET", RECORDING) == []


def test_hazard_07_the_detail_may_say_that_it_is_transcoded_after_all() -> None:
    server = huawei()
    server.add_recording(UUID, isDecodeFinish=False, detail={"isDecodeFinish": True})
    with world(server) as place:
        (item,) = place.listed()
        assert decide(item, RULE, NOW).delete
        assert len(place.requests("GET", RECORDING)) == 1


def test_hazard_07_the_detail_may_also_say_that_it_is_not_available() -> None:
    server = huawei()
    server.add_recording(UUID, isDecodeFinish=False, detail={"isDecodeFinish": True, "available": False})
    with world(server) as place:
        assert place.listed()[0].unreadable == "not available"


def test_hazard_07_the_detail_is_asked_for_only_if_the_recording_could_be_due() -> None:
    server = huawei()
    server.add_recording(UUID, ended=timedelta(days=29), isDecodeFinish=False)
    server.add_recording(Huawei.uuid(2), rcdTime=None, isDecodeFinish=False)
    with world(server) as place:
        assert {item.state for item in place.listed()} == {State.INCOMPLETE}
        assert place.requests("GET", RECORDING) == []


def test_hazard_07_the_detail_of_something_else_proves_nothing() -> None:
    server = huawei()
    server.add_recording(UUID, isDecodeFinish=False, detail={"isDecodeFinish": True, "confUUID": Huawei.uuid(3)})
    with world(server) as place:
        assert place.listed()[0].unreadable == "still being transcoded"


def test_hazard_07_a_detail_that_is_gone_keeps_and_one_that_fails_fails_the_listing() -> None:
    server = huawei()
    server.add_recording(UUID, isDecodeFinish=False)
    with world(server) as place:
        gone = {"error_code": "MMC.111070005", "error_msg": "CONF_DATA_NOT_FOUND"}
        server.interfere.append(refusing(400, gone, "GET", RECORDING))
        assert place.listed()[0].state is State.INCOMPLETE
        server.interfere[:] = [refusing(400, {"error_code": "MMC.111071061"}, "GET", RECORDING)]
        with pytest.raises(ProviderError):
            place.listed()


@pytest.mark.parametrize("count", [1, 2, 3, 4, 6, 7, 17])
@pytest.mark.parametrize("paging", ["record", "page"])
@pytest.mark.parametrize("stuck", [False, True])
def test_hazard_08_every_recording_is_listed_once_under_both_readings_of_offset(
    count: int, paging: Any, stuck: bool
) -> None:
    server = huawei(count, paging=paging, page_cap=3, stuck_last_page=stuck)
    with world(server) as place:
        assert sorted(item.id for item in place.listed()) == sorted(server.recordings)


@pytest.mark.parametrize("paging", ["record", "page"])
@pytest.mark.parametrize("fault", [{"miscount": 1}, {"repeat_pages": True}, {"lost": {Huawei.uuid(4)}}], ids=repr)
def test_hazard_08_fewer_recordings_than_the_vendor_counts_fail_the_listing(paging: Any, fault: dict[str, Any]) -> None:
    with world(huawei(7, paging=paging, page_cap=3, **fault)) as place:
        with pytest.raises(ProviderError, match="not complete"):
            place.listed()
        plan = make_plan(Listing("hw", place.client, [RULE], NOW))
        assert plan.status == ("failed" if "miscount" in fault else "partial")
        assert all("not complete" in why for why in [plan.error, *plan.unlisted] if why)
        assert list(plan.selected) == []


def test_hazard_08_more_recordings_than_the_vendor_counts_fail_the_listing_too() -> None:
    with world(huawei(3, page_cap=3, miscount=-1)) as place, pytest.raises(ProviderError, match="not complete"):
        place.listed()


def test_hazard_09_the_windows_of_a_listing_have_neither_gap_nor_overlap() -> None:
    with world() as place:
        place.listed()
        ranges = dates(place.requests("GET", RECORDINGS))
        for later, earlier in pairwise(ranges):
            assert earlier[1] + 1 == later[0]
        assert all(last - first < 30 * DAY for first, last in ranges)
        assert ranges[-1][0] == int(FIRST.timestamp()) * 1000
        assert ranges[0][1] == int(NOW.timestamp()) * 1000 + DAY


def test_hazard_09_the_history_is_listed_over_a_year_at_least() -> None:
    with world() as place:
        place.listed()
        ranges = dates(place.requests("GET", HISTORY))
        assert ranges[-1][0] <= int((NOW - timedelta(days=366)).timestamp()) * 1000
        assert ranges[0] == dates(place.requests("GET", RECORDINGS))[0]


def test_hazard_09_what_lies_on_an_edge_is_listed_and_deleted_once() -> None:
    server = huawei()
    edges = list(windows(NOW - timedelta(days=400), NOW))[2:]
    for number, window in enumerate(edges):
        for side, at in enumerate(window):
            start = datetime.fromtimestamp(at / 1000, UTC)
            row = server.add_recording(Huawei.uuid(number * 2 + side), startTime=wire_time(start))
            row.filed_at = start
    with world(server) as place:
        assert sorted(item.id for item in place.listed()) == sorted(server.recordings)
        plan = run(place)
        assert plan.count(Outcome.DELETED) == 2 * len(edges)
        sent = [uuid for request in place.deletions for uuid in str(request.arg("confUUIDs")).split(",")]
        assert len(sent) == len(set(sent)) == 2 * len(edges)


def test_hazard_09_a_server_that_ignores_the_range_shows_nothing_twice() -> None:
    server = huawei(7, ignore_filters=True, page_cap=3)
    with world(server) as place:
        assert sorted(item.id for item in place.listed()) == sorted(server.recordings)
        assert run(place).count(Outcome.DELETED) == 7


@pytest.mark.parametrize("body", [b"", b'{"returnCode":0,"returnDesc":"Success"}', b"[]", b"<html>", b"{}"])
def test_hazard_10_the_body_of_a_deletion_says_nothing(body: bytes) -> None:
    with world(huawei(1, delete_body=body)) as place:
        assert place.delete(place.listed()) == [Result(Outcome.DELETED)]


def test_hazard_11_what_is_still_listed_is_not_confirmed_and_not_asked_for_again() -> None:
    with world(huawei(2, linger=True)) as place:
        results = place.delete(place.listed())
        assert {result.outcome for result in results} == {Outcome.UNKNOWN}
        assert "still there" in str(results[0].error)
        assert len(place.deletions) == 1


def test_hazard_11_only_those_that_are_still_listed_are_unknown() -> None:
    stubborn = Huawei.uuid(1)
    with world(huawei(3, stubborn={stubborn})) as place:
        items = place.listed()
        outcomes = {item.id: result.outcome for item, result in zip(items, place.delete(items), strict=True)}
        assert outcomes.pop(stubborn) is Outcome.UNKNOWN
        assert set(outcomes.values()) == {Outcome.DELETED}


def test_hazard_12_a_live_meeting_of_the_same_number_is_not_touched() -> None:
    server = huawei()
    server.add_recording(UUID, confID="912000777")
    server.add_recording(Huawei.uuid(5), confID="912000777", ended=timedelta(days=2))
    server.add_meeting("912000777", starts=timedelta(hours=-1))
    with world(server) as place:
        plan = run(place)
        assert [entry.item.id for entry in plan.selected] == [UUID]
        assert plan.count(Outcome.DELETED) == 1
    assert server.recordings.keys() == {Huawei.uuid(5)}
    assert server.meetings.keys() == {"912000777"}
    assert MEETINGS not in {seen.request.path for seen in server.seen}


def test_hazard_13_one_token_serves_the_whole_run_and_is_given_back() -> None:
    server = huawei(25)
    with world(server) as place:
        run(place)
        assert len(place.sign_ins) == 1
        assert len(server.tokens) == 1
    assert server.tokens == {}


def test_hazard_13_a_dry_run_changes_nothing_and_leaves_its_token_to_expire() -> None:
    server = huawei(1)
    with world(server) as place:
        make_plan(Listing("hw", place.client, [RULE], NOW))
    assert server.requests("DELETE") == []
    assert len(server.tokens) == 1


def test_hazard_13_a_token_that_cannot_be_given_back_is_no_failure() -> None:
    server = huawei(1)
    with world(server) as place:
        assert place.delete(place.listed()) == [Result(Outcome.DELETED)]
        server.interfere.append(refusing(500, None, "DELETE", SESSION))
    assert len([r for r in server.requests("DELETE") if r.path == SESSION]) == 1


@pytest.mark.parametrize("asked", ["DELETE", "GET"])
def test_hazard_13_a_token_that_expires_in_mid_run_is_renewed_once(asked: str) -> None:
    server = huawei(3)
    with world(server) as place:
        items = place.listed()
        server.expire_tokens()
        if asked == "GET":
            assert place.client.get(items[0]) is not None
        else:
            assert {result.outcome for result in place.delete(items)} == {Outcome.DELETED}
        assert len(place.sign_ins) == 2


@pytest.mark.parametrize("error", ["MMC.111070004", "MMC.111070111", "USG.000000004"])
def test_hazard_13_a_new_token_that_is_refused_as_well_ends_it(error: str) -> None:
    server = huawei(1)
    with world(server) as place:
        server.interfere.append(refusing(400, {"error_code": error}, "GET", RECORDINGS))
        with pytest.raises(HttpError):
            place.listed()
        assert len(place.sign_ins) == 2
        assert len(place.requests("GET", RECORDINGS)) == 2


VECTORS = [
    (("cleanup-bot@example.com", 1767225600, ""), "0dd8d282dbde970f2b2490a52909bf5f6d51f5f8aaee3550eb995e7d69460c52"),
    (("", 1767225600, ""), "c33a622d88a75ee31559f32dfbbed253edea8d33ddea856b9532bbca99120d1d"),
    (
        ("cleanup-bot@example.com", 1767225600, "651000001"),
        "47b9d79f3dc90c98cf0f11503118d32bc5fe49a79f5eed229a52422a952900e6",
    ),
    (("cleanup-bot@example.com", 0, ""), "d537a9e80545216183359963381992d3bd02b47c8cb660c868e641a5b40f80c6"),
]


@pytest.mark.parametrize(("given", "expected"), VECTORS, ids=["user", "administrator", "service provider", "for ever"])
def test_hazard_14_the_signature_is_that_of_the_test_vectors(given: tuple[str, int, str], expected: str) -> None:
    user, expire, corp = given
    nonce = "0123456789abcdef0123456789abcdef"
    assert signature("demo-app-key-2f6c91", "a1b2c3d4e5f60718293a4b5c6d7e8f90", user, expire, nonce, corp) == expected


@pytest.mark.parametrize("user", ["cleanup-bot@example.com", ""])
def test_hazard_14_what_is_sent_is_what_was_signed(user: str) -> None:
    with world(huawei(require_access=True, require_token_type=True), user_id=user) as place:
        place.client.http.sign_in()
        (request,) = place.sign_ins
        body = request.json()
        assert body["clientType"] == 72
        assert body["expireTime"] == int(NOW.timestamp()) + 600
        assert re.fullmatch(r"[0-9a-f]{32}", body["nonce"])
        assert body.get("userId", "") == user
        assert "corpId" not in body
        header = str(request.headers.get("Authorization"))
        signed = signature("demo-app-key-2f6c91", Huawei.app_id, user, body["expireTime"], body["nonce"])
        assert header == f"HMAC-SHA256 signature={signed},access=YTFiMmMzZDRlNWY2MDcxODI5M2E0YjVjNmQ3ZThmOTA="
        assert request.headers.get("Content-Type") == "application/json; charset=UTF-8"


def test_hazard_14_a_service_provider_signs_its_corp_id() -> None:
    with world(huawei(1, corp_id="651000001"), corp_id="651000001") as place:
        assert len(place.listed()) == 1
        assert place.sign_ins[0].json()["corpId"] == "651000001"


def test_hazard_14_every_sign_in_has_a_nonce_of_its_own() -> None:
    with world(huawei(1)) as place:
        place.listed()
        place.server.expire_tokens()
        place.listed()
        first, second = (request.json()["nonce"] for request in place.sign_ins)
        assert first != second


@pytest.mark.parametrize(("status", "words"), [(412, "disabled"), (423, "locked")])
def test_hazard_15_a_locked_account_is_asked_for_once(status: int, words: str) -> None:
    with world(huawei(1, login_status=status)) as place:
        for _ in range(2):
            with pytest.raises(AccessDenied, match=words):
                place.listed()
        assert len(place.sign_ins) == 1
        assert place.stop.waited == []


def test_hazard_15_a_wrong_key_is_not_tried_again() -> None:
    with world(huawei(1), app_key="another") as place:
        with pytest.raises(AccessDenied, match=r"sign-in failed.*MMC\.111070004"):
            place.listed()
        assert len(place.sign_ins) == 1


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_hazard_16_a_429_is_obeyed_and_the_request_repeated(method: str) -> None:
    server = huawei(2)
    throttled = Response(429, {"error_code": "APIG.0308", "error_msg": "throttled"}, {"Retry-After": "4"})
    left = [throttled, throttled]
    with world(server) as place:
        items = place.listed() if method == "DELETE" else []
        server.interfere.append(lambda r: left.pop() if left and (r.method, r.path) == (method, RECORDINGS) else None)
        if method == "GET":
            assert len(place.listed()) == 2
        else:
            assert {result.outcome for result in place.delete(items)} == {Outcome.DELETED}
        assert not left
        assert max(place.stop.waited) > 3


def test_hazard_16_a_429_that_does_not_end_fails_the_listing() -> None:
    with world(huawei(1, quota=5)) as place, pytest.raises(ProviderError, match="429"):
        place.listed()


def files_of(place: World, item: Item) -> list[bytes]:
    """What a download of an item's files brings."""
    found = []
    for media in place.client.media(item):
        with media.open as chunks:
            found.append(b"".join(chunks))
    return found


def test_hazard_17_files_come_from_another_host_which_never_sees_the_access_token() -> None:
    server = huawei(1)
    with world(server) as place, Server(server) as elsewhere:
        server.public_url = elsewhere.url
        (item,) = place.listed()
        assert files_of(place, item) == list(server.recordings[item.id].files.values())
        downloads = [request for request in server.requests("GET") if request.path.startswith("/download/")]
        assert len(downloads) == 2
        assert {request.headers.get("X-Access-Token") for request in downloads} == {None}
        assert server.disasters == []


def test_hazard_17_every_attempt_asks_for_new_addresses_because_a_token_is_good_once() -> None:
    server = huawei(1)
    with world(server) as place:
        server.public_url = place.client.http.base
        (item,) = place.listed()
        assert files_of(place, item) == files_of(place, item)
        assert len(place.requests("GET", DOWNLOAD_URLS)) == 2
        tokens = [r.headers.get("Authorization") for r in server.requests("GET") if r.path.startswith("/download/")]
        assert len(set(tokens)) == len(tokens) == 4


@pytest.mark.parametrize("count", [9, 10, 99, 100, 130, 250])
@pytest.mark.parametrize(
    "habit",
    [{}, {"paging": "page"}, {"files_cap": 20}, {"stuck_last_page": True}, {"paging": "page", "stuck_last_page": True}],
    ids=str,
)
def test_hazard_25_all_files_are_fetched_however_many_there_are(count: int, habit: dict[str, Any]) -> None:
    server = huawei(**habit)
    server.add_recording(UUID, files={f"Hd/0_{number}.mp4": film(str(number)) for number in range(count)})
    with world(server) as place:
        server.public_url = place.client.http.base
        found = files_of(place, place.item(UUID))
    assert sorted(found) == sorted(film(str(number)) for number in range(count))


def test_hazard_25_a_page_that_is_repeated_with_new_tokens_brings_no_file_twice() -> None:
    server = huawei(repeat_pages=True)
    server.add_recording(UUID, files={f"Hd/0_{number}.mp4": film(str(number)) for number in range(100)})
    with world(server) as place:
        assert len(list(place.client.media(place.item(UUID)))) == 100


def test_hazard_25_files_that_share_an_address_are_told_apart_by_their_tokens() -> None:
    urls = [{"token": f"t{number}", "fileType": "Hd", "url": "https://192.0.2.20/f"} for number in range(100)]
    with world(huawei(1)) as place:
        (item,) = place.listed()
        body = {"recordUrls": [{"confUuid": item.id, "urls": urls}]}
        place.server.interfere.append(refusing(200, body, "GET", DOWNLOAD_URLS))
        assert len(list(place.client.media(item))) == 100


def test_hazard_25_a_list_of_files_that_does_not_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("confcleanup.providers.huawei_lists.MOST_FILES", 250)
    server = huawei()
    server.add_recording(UUID, files={f"Hd/0_{number}.mp4": film(str(number)) for number in range(300)})
    with world(server) as place, pytest.raises(ProviderError, match="does not end"):
        list(place.client.media(place.item(UUID)))


def test_the_length_of_a_recording_is_that_of_its_file_if_it_has_only_one() -> None:
    server = huawei()
    server.add_recording(UUID, files={"Hd/0_0.mp4": film()})
    server.add_recording("f" * 32, files={"Hd/0_0.mp4": film(), "Aux/0_0.mp4": film()})
    with world(server) as place:
        assert [media.duration for media in place.client.media(place.item(UUID))] == [3600]
        assert [media.duration for media in place.client.media(place.item("f" * 32))] == [None, None]


@pytest.mark.parametrize("urls", [[], [{"fileType": "Hd", "url": "https://192.0.2.20/a.mp4"}], [{"token": "d1"}], None])
def test_hazard_17_files_without_address_or_token_are_an_error(urls: object) -> None:
    with world(huawei(1)) as place:
        (item,) = place.listed()
        body = {"recordUrls": [{"confUuid": item.id, "urls": urls}]}
        place.server.interfere.append(refusing(200, body, "GET", DOWNLOAD_URLS))
        with pytest.raises(ProviderError):
            files_of(place, item)


def test_hazard_17_an_account_that_may_not_download_is_refused() -> None:
    with world(huawei(1, whitelisted=False)) as place:
        (item,) = place.listed()
        with pytest.raises(AccessDenied):
            files_of(place, item)


@pytest.mark.parametrize("empty", ["null", "missing", "list", "error"])
def test_hazard_18_nothing_found_is_empty_and_no_error(empty: Any) -> None:
    with world(huawei(empty_data=empty)) as place:
        assert place.listed() == []
        assert place.listed("meetings") == []
        place.client.check(["recordings", "meetings"])
    with world(huawei(1, empty_data=empty)) as place:
        assert len(place.listed()) == 1


@pytest.mark.parametrize("data", [None, ...], ids=["null", "missing"])
def test_hazard_18_data_that_is_missing_while_something_is_counted_is_an_error(data: object) -> None:
    body = {"offset": 0, "limit": 100, "count": 2} | ({} if data is ... else {"data": data})
    with world() as place:
        place.server.interfere.append(refusing(200, body, "GET", RECORDINGS))
        with pytest.raises(ProviderError, match="not complete"):
            place.listed()


@pytest.mark.parametrize(
    ("numbers", "aliases"),
    [
        ({"confID": "912000111"}, ("912000111",)),
        ({"confID": 912000111}, ("912000111",)),
        ({"confID": "004811003", "conferenceID": "004811003"}, ("004811003",)),
        ({"confID": "912000111", "vmrConferenceID": "555"}, ("912000111", "555")),
        ({"confID": None}, ()),
        ({"confID": ""}, ()),
    ],
    ids=repr,
)
def test_hazard_23_people_know_a_recording_by_the_number_of_its_meeting(
    numbers: dict[str, Any], aliases: tuple[str, ...]
) -> None:
    assert recording(ROW | numbers, Window(0, 1), {}).aliases == aliases


def test_hazard_23_a_meeting_of_the_history_has_the_same_number_under_another_name() -> None:
    server = huawei()
    server.add_recording(UUID, confID="912000777")
    server.add_history(UUID, conferenceID="912000777")
    with world(server) as place:
        assert [place.listed(what)[0].aliases for what in ("recordings", "meetings")] == [("912000777",)] * 2


@pytest.mark.parametrize(
    "ident", ["912000111", UUID.upper(), UUID[:-1], f"{UUID}0", f"{UUID},{UUID}", f"{UUID}\n", "x"]
)
def test_hazard_24_an_id_of_the_wrong_form_cannot_be_deleted_from_when_it_is_listed(ident: str) -> None:
    server = huawei(1)
    server.add_recording(ident)
    with world(server) as place:
        plan = run(place)
        assert [entry.item.id for entry in plan.selected] == [Huawei.uuid(0)]
        (kept,) = plan.overdue
        assert "is not 32 hexadecimal digits" in kept.decision.reason
        assert (kept.item.id, plan.undone) == (ident, True)
    assert server.recordings.keys() == {ident}


def test_hazard_24_such_an_id_disturbs_nobody_until_it_is_due() -> None:
    server = huawei(1)
    server.add_recording("912000111", ended=timedelta(days=3))
    with world(server) as place:
        assert not run(place).undone


def test_hazard_26_a_recording_that_began_late_in_its_meeting_is_no_older_than_the_meeting() -> None:
    """Its row has the meeting's start, so that start + length alone would make it too old."""
    server = huawei()
    hours = timedelta(hours=1)
    server.add_recording(UUID, ended=timedelta(days=30) - hours, length=hours / 2, late=5 * hours)
    server.add_history(UUID, ended=timedelta(days=30) - hours, length=5.5 * hours)
    server.add_recording(Huawei.uuid(2), ended=timedelta(days=30) + hours, length=hours / 2, late=5 * hours)
    server.add_history(Huawei.uuid(2), ended=timedelta(days=30) + hours, length=5.5 * hours)
    with world(server) as place:
        items = {item.id: item for item in place.listed()}
        assert items[UUID].ended_at == NOW - timedelta(days=30) + hours
        assert {ident for ident, item in items.items() if decide(item, RULE, NOW).delete} == {Huawei.uuid(2)}


@pytest.mark.parametrize("states", [{"available": False}, {"isDecodeFinish": False}], ids=repr)
def test_what_never_becomes_available_has_the_end_that_its_row_gives(states: dict[str, Any]) -> None:
    item = recording(ROW | states, Window(0, 1), {})
    assert (item.state, item.ended_at) == (State.INCOMPLETE, datetime(2026, 1, 5, 7, 47, tzinfo=UTC))
    assert decide(item, RULE, NOW).why is Reason.RUNNING


@pytest.mark.parametrize("length", [0, None, "soon"], ids=repr)
def test_what_never_became_available_and_has_no_length_has_its_start(length: Any) -> None:
    item = recording(ROW | {"available": False, "rcdTime": length}, Window(0, 1), {})
    assert (item.ended_at, item.started_at) == (None, datetime(2026, 1, 5, 6, 30, tzinfo=UTC))
    assert decide(item, RULE, NOW).why is Reason.RUNNING


@pytest.mark.parametrize(
    ("value", "known"), [(None, None), (["x"], None), ("", ""), ("anna", "anna"), (7, "7")], ids=repr
)
def test_a_subject_or_a_scheduler_that_huawei_does_not_give_is_not_known(value: Any, known: str | None) -> None:
    row = ROW | {"subject": value, "scheduserName": value, "endTime": "2026-01-05 07:46"}
    for item in (recording(row, Window(0, 1), {}), meeting(row, Window(0, 1))):
        assert (item.title, item.owner, item.tags) == (known, known, ())


# The backlog ----------------------------------------------------------------------------------


def test_a_run_deletes_of_the_backlog_what_must_go_and_nothing_else() -> None:
    server = huawei()
    server.fill()
    before = set(server.recordings)
    with world(server) as place:
        plan = run(place)
        assert not plan.undone
        assert plan.listed == len(before)
    assert before - set(server.recordings) == server.doomed["recordings"]
    assert server.disasters == []


def test_a_dry_run_of_the_backlog_deletes_nothing() -> None:
    server = huawei()
    server.fill()
    before = set(server.recordings)
    with world(server) as place:
        plan = make_plan(Listing("hw", place.client, [RULE], NOW))
        assert {entry.item.id for entry in plan.selected} == server.doomed["recordings"]
    assert set(server.recordings) == before
    assert {seen.request.method for seen in server.seen} == {"GET", "POST"}


# Listing --------------------------------------------------------------------------------------


def test_a_recording_is_translated() -> None:
    item = recording(ROW | {"isDecodeFinish": True}, Window(1_767_225_600_000, 1), {})
    assert (item.what, item.id, item.kind, item.state) == ("recordings", UUID, Kind.RECORDING, State.ENDED)
    assert (item.title, item.owner, item.size_bytes) == ("Budget review", "anna", 85 * 1024 * 1024)
    assert (item.unreadable, item.undeletable, item.locator) == (None, None, ("1767225600000",))


@pytest.mark.parametrize("size", [0, None, -1, "85 MB", True], ids=repr)
def test_a_size_that_says_nothing_is_unknown(size: object) -> None:
    assert recording(ROW | {"rcdSize": size}, Window(0, 1), {}).size_bytes is None


@pytest.mark.parametrize("ident", [None, "", 912000111, ["a"]], ids=repr)
def test_a_recording_without_a_conf_uuid_cannot_be_deleted(ident: object) -> None:
    decision = decide(recording(ROW | {"confUUID": ident}, Window(0, 1), {}), RULE, NOW)
    assert decision.why is Reason.UNDELETABLE


def test_recordings_without_a_conf_uuid_do_not_stop_the_others() -> None:
    server = huawei(2)
    server.add_recording(Huawei.uuid(7), confUUID=..., subject="one")
    server.add_recording(Huawei.uuid(8), confUUID=..., subject="two")
    with world(server) as place:
        assert sorted(item.id for item in place.listed()) == ["", "", *sorted(map(Huawei.uuid, range(2)))]


def test_a_recording_of_many_years_ago_is_found() -> None:
    server = huawei()
    server.add_recording(UUID, ended=timedelta(days=2200))
    with world(server) as place:
        assert [item.id for item in place.listed()] == [UUID]


def test_a_history_that_fails_fails_the_listing_of_recordings() -> None:
    with world(huawei(1)) as place:
        place.server.interfere.append(refusing(400, {"error_code": "MMC.111071008"}, "GET", HISTORY))
        with pytest.raises(ProviderError, match=r"MMC\.111071008"):
            place.listed()


def test_meetings_are_listed_and_never_go() -> None:
    server = huawei()
    server.add_history(UUID, ended=timedelta(days=90))
    with world(server) as place:
        (item,) = place.listed("meetings")
        assert (item.kind, item.id, item.owner) == (Kind.MEETING, UUID, "anna")
        assert item.ended_at == NOW - timedelta(days=90)
        decision = decide(item, replace(RULE, what="meetings"), NOW)
        assert decision.why is Reason.UNDELETABLE
        assert "ages out" in decision.reason
        assert place.client.get(item) == item
    assert not Client.sources["meetings"].deletes


def test_passwords_and_links_leave_the_module_in_no_shape() -> None:
    server = huawei()
    server.add_recording(UUID)
    server.add_history(UUID, chairJoinUri="https://join.example.net/chair", confConfigInfo={"guestPwd": "112233"})
    with world(server) as place:
        shown = repr([item.raw for what in ("recordings", "meetings") for item in place.listed(what)])
    for secret in ("483920", "join.example.net", "play.example.net", "112233"):
        assert secret not in shown
    assert "Budget review" in shown


def test_what_is_private_is_left_out_at_any_depth() -> None:
    row = {"a": [{"password": "x", "b": 1}], "playUrl": "x", "url": ["x"], "audienceJoinUri": "x", "passwordEntry": []}
    assert public(row) == {"a": [{"b": 1}]}


@pytest.mark.parametrize("status", [200, 400, 403, 500])
@pytest.mark.parametrize("shape", ["error_code", "errorCode", "code", "nested"])
def test_an_error_code_is_read_in_every_shape(shape: Any, status: int) -> None:
    body = huawei(error_shape=shape)._error("MMC.111070005", "CONF_DATA_NOT_FOUND")
    assert isinstance(body, dict)
    assert code(HttpError("no", status, body)) == "MMC.111070005"


@pytest.mark.parametrize("body", [{}, {"error": "no"}, {"error": None}, {"code": 5}, {"error_code": ["x"]}], ids=repr)
def test_an_error_without_a_code_has_none(body: dict[str, Any]) -> None:
    assert code(HttpError("no", 400, body)) is None


@pytest.mark.parametrize("error", ["MMC.111070002", "MMC.111070010"])
@pytest.mark.parametrize("status", [400, 403])
def test_a_missing_right_concerns_the_whole_account(error: str, status: int) -> None:
    with world(huawei(1)) as place:
        items = place.listed()
        place.server.interfere.append(lambda request: Response(status, {"error_code": error}))
        with pytest.raises(AccessDenied):
            place.listed()
        with pytest.raises(AccessDenied):
            place.client.delete(items, Permit())


# Checking -------------------------------------------------------------------------------------


def test_a_check_asks_little() -> None:
    with world(huawei(7)) as place:
        place.client.check(["recordings", "meetings"])
        assert [request.path for request in place.server.requests("POST")] == [APP_LOGIN]
        assert sorted(request.path for request in place.server.requests("GET")) == [HISTORY, RECORDINGS]


def test_a_check_says_what_the_history_refuses() -> None:
    with world(huawei()) as place:
        place.server.interfere.append(refusing(403, {"error_code": "MMC.111070002"}, "GET", HISTORY))
        with pytest.raises(AccessDenied):
            place.client.check(["recordings"])


def planned(place: World) -> Plan:
    return make_plan(Listing("hw", place.client, [RULE], NOW))


@pytest.mark.parametrize("cap", [1, 2, 3, 100])
def test_hazard_19_a_meeting_that_was_recorded_twice_is_one_item_and_goes_once(cap: int) -> None:
    server = huawei(2, page_cap=cap)
    server.add_row(Huawei.uuid(0), rcdTime=7200, rcdSize=15)
    with world(server) as place:
        item = place.item(Huawei.uuid(0))
        assert item.started_at
        assert item.ended_at == item.started_at + timedelta(seconds=7260)
        assert item.size_bytes == 100 * 1024 * 1024
        plan = run(place)
        assert (plan.listed, plan.count(Outcome.DELETED)) == (2, 2)
        assert len(place.deletions) == 1


@pytest.mark.parametrize(
    "odd",
    [
        {"available": False, "rcdTime": 60},
        {"rcdTime": 60 * 86400},
        {"rcdTime": None},
        {"isDecodeFinish": False, "rcdTime": 60},
        {"startTime": wire_time(NOW - timedelta(days=3)), "rcdTime": 60},
    ],
    ids=repr,
)
def test_hazard_19_it_stays_unless_each_of_its_rows_is_due(odd: dict[str, Any]) -> None:
    server = huawei(2)
    for recording_ in server.recordings.values():
        recording_.detail["isDecodeFinish"] = False
    server.add_row(Huawei.uuid(0), **odd)
    with world(server) as place:
        plan = planned(place)
    assert [entry.item.id for entry in plan.selected] == [Huawei.uuid(1)]
    assert (plan.status, plan.listed, plan.kept.total()) == ("ok", 2, 1)


@pytest.mark.parametrize("other", [{"rcdTime": 900}, {"startTime": wire_time(NOW - timedelta(days=41))}], ids=repr)
def test_hazard_19_that_one_recording_is_transcoded_proves_nothing_of_the_other(other: dict[str, Any]) -> None:
    server = huawei(1)
    server.add_row(Huawei.uuid(0), isDecodeFinish=False, **other)
    with world(server) as place:
        plan = planned(place)
        assert len(place.requests("GET", RECORDING)) == 1
    assert (list(plan.selected), plan.kept.total()) == ([], 1)


def test_hazard_19_a_row_of_another_window_keeps_it_too() -> None:
    server = huawei(1)
    server.add_row(Huawei.uuid(0), startTime=wire_time(NOW - timedelta(days=3)))
    server.ignore_filters = True
    with world(server) as place:
        plan = planned(place)
    assert (list(plan.selected), plan.listed, plan.kept.total()) == ([], 1, 1)


def test_hazard_19_what_is_looked_at_again_is_looked_at_as_a_whole() -> None:
    server = huawei(1)
    server.add_row(Huawei.uuid(0), rcdTime=7200)
    with world(server) as place:
        item = place.item(Huawei.uuid(0))
        fresh = place.client.get(item)
        assert fresh
        assert (fresh.key, fresh.ended_at) == (item.key, item.ended_at)


@pytest.mark.parametrize("status", [400, 403])
def test_hazard_20_a_window_that_is_refused_is_named_and_the_others_are_cleaned(status: int) -> None:
    server = huawei(2)
    server.add_recording(Huawei.uuid(9), ended=timedelta(days=900))
    old = int((NOW - timedelta(days=500)).timestamp()) * 1000

    def refuse(request: Request) -> Response | None:
        first = request.arg("startDate")
        return Response(status, {"error_code": "MMC.111070010"}) if first and int(first) < old else None

    server.interfere.append(refuse)
    with world(server) as place:
        plan = run(place)
    assert (plan.status, plan.undone, plan.count(Outcome.DELETED)) == ("partial", True, 2)
    assert "recordings from 2019-01-01 to 2019-01-30" in plan.unlisted[0]
    assert re.search(rf"could not read the recordings from 127\.0\.0\.1:[0-9]+: {status}", plan.unlisted[0])
    assert set(server.recordings) == {Huawei.uuid(9)}


def test_hazard_20_recordings_of_a_time_whose_history_is_refused_stay_and_that_time_is_named() -> None:
    server = huawei(1)
    server.add_recording(Huawei.uuid(9), ended=timedelta(days=300))
    old = int((NOW - timedelta(days=200)).timestamp()) * 1000

    def refuse(request: Request) -> Response | None:
        return Response(400) if request.path == HISTORY and int(request.arg("startDate") or 0) < old else None

    server.interfere.append(refuse)
    with world(server) as place:
        plan = planned(place)
    assert [entry.item.id for entry in plan.selected] == [Huawei.uuid(0)]
    assert plan.status == "partial"
    assert any("the history of meetings from" in line for line in plan.unlisted)


def test_hazard_20_a_page_of_100_that_is_refused_is_left_to_the_vendor() -> None:
    server = huawei(3, recordings_limit=50)
    with world(server) as place:
        assert len(place.listed()) == 3
        limits = [request.arg("limit") for request in place.requests("GET", RECORDINGS)]
        assert limits[0] == "100"
        assert set(limits[1:]) == {None}


@pytest.mark.parametrize("most", [1, 3, 7])
def test_hazard_21_a_batch_that_is_too_large_is_halved(most: int) -> None:
    server = huawei(20, max_batch=most)
    with world(server) as place:
        assert run(place).count(Outcome.DELETED) == 20
        assert len(place.deletions) <= 39


def test_hazard_21_what_is_refused_alone_has_failed_alone() -> None:
    server = huawei(20)
    bad = Huawei.uuid(7)
    server.refused_uuids.add(bad)
    with world(server) as place:
        plan = run(place)
        assert (plan.count(Outcome.DELETED), plan.count(Outcome.FAILED)) == (19, 1)
        (failed,) = plan.selected.ended(Outcome.FAILED)
        assert failed.item.id == bad
        assert "400" in str(failed.error)
        assert len(place.deletions) <= 11
    assert set(server.recordings) == {bad}


def test_hazard_21_an_access_that_is_refused_is_not_halved() -> None:
    with world(huawei(4)) as place:
        items = place.listed()
        place.server.interfere.append(refusing(400, {"error_code": "MMC.111070002"}))
        with pytest.raises(AccessDenied):
            place.client.delete(items, Permit())
        assert len(place.deletions) == 1


def test_hazard_21_a_half_that_was_deleted_is_told_although_the_other_could_not_be() -> None:
    server = huawei(4)
    answers = [Response(400, {"error_code": "MMC.111071061"}), None, Response(403)]
    server.interfere.append(
        lambda request: answers.pop(0) if (request.method, request.path) == ("DELETE", RECORDINGS) else None
    )
    with world(server) as place:
        results = place.delete(place.listed())
    assert [result.outcome for result in results] == [Outcome.DELETED] * 2 + [Outcome.FAILED] * 2
    assert "403" in str(results[-1].error)


def test_hazard_21_a_right_that_is_refused_in_a_half_keeps_the_rest_from_being_sent() -> None:
    server = huawei(8)
    answers = [Response(400, {"error_code": "MMC.111071061"}), Response(400, {"error_code": "MMC.111071061"}), None]
    server.interfere.append(
        lambda request: (
            (answers.pop(0) if answers else Response(403))
            if (request.method, request.path) == ("DELETE", RECORDINGS)
            else None
        )
    )
    with world(server) as place:
        results = place.delete(place.listed())
        assert len(place.deletions) == 4
    assert [result.outcome for result in results] == [Outcome.DELETED] * 2 + [Outcome.FAILED] * 6


# Deleting -------------------------------------------------------------------------------------


def test_recordings_are_deleted_by_twenties_and_listed_again() -> None:
    server = huawei(45)
    with world(server) as place:
        plan = run(place)
        assert plan.count(Outcome.DELETED) == 45
        assert sorted(len(str(r.arg("confUUIDs")).split(",")) for r in place.deletions) == [5, 20, 20]
    assert server.recordings == {}


def test_threads_do_not_disturb_each_others_verification() -> None:
    with world(huawei(65, page_cap=3)) as place:
        assert run(place, concurrency=8).count(Outcome.DELETED) == 65


@pytest.mark.parametrize("shape", ["error_code", "errorCode", "code", "nested"])
def test_one_that_is_gone_does_not_keep_the_others_of_its_batch(shape: Any) -> None:
    server = huawei(3, unknown_uuid="refused", error_shape=shape)
    with world(server) as place:
        items = place.listed()
        del server.recordings[items[1].id]
        outcomes = [result.outcome for result in place.delete(items)]
        assert outcomes == [Outcome.DELETED, Outcome.GONE, Outcome.DELETED]
    assert server.recordings == {}


def test_not_found_is_not_believed_while_it_is_listed() -> None:
    with world(huawei(2)) as place:
        items = place.listed()
        place.server.interfere.append(refusing(400, {"error_code": "MMC.111070005"}))
        results = place.delete(items)
        assert {result.outcome for result in results} == {Outcome.FAILED}
        assert "MMC.111070005" in str(results[0].error)
        assert len(place.deletions) == 3


@pytest.mark.parametrize("error", ["MMC.111072065", "MMC.111071065", "MMC.111070003", "MMC.100000429"])
def test_other_refusals_are_not_already_gone_unless_the_list_agrees(error: str) -> None:
    with world(huawei(2)) as place:
        gone, there = place.listed()
        del place.server.recordings[gone.id]
        place.server.interfere.append(refusing(400, {"error_code": error}))
        results = place.delete([gone, there])
        assert [result.outcome for result in results] == [Outcome.GONE, Outcome.FAILED]
        assert error in str(results[1].error)


def test_a_refusal_that_is_no_json_is_a_refusal() -> None:
    with world(huawei(1)) as place:
        items = place.listed()
        place.server.interfere.append(lambda r: Response(400, b"no") if r.method == "DELETE" else None)
        (result,) = place.delete(items)
        assert (result.outcome, "400" in str(result.error)) == (Outcome.FAILED, True)


def test_hazard_21_a_batch_that_is_refused_is_halved_until_what_is_refused_alone_has_failed_alone() -> None:
    bad = Huawei.uuid(5)
    with world(huawei(8)) as place:
        items = place.listed()
        place.server.interfere.append(
            lambda r: Response(400) if r.method == "DELETE" and bad in str(r.arg("confUUIDs")) else None
        )
        outcomes = {item.id: result.outcome for item, result in zip(items, place.delete(items), strict=True)}
        assert outcomes.pop(bad) is Outcome.FAILED
        assert set(outcomes.values()) == {Outcome.DELETED}
        assert len(place.deletions) == 7


def test_hazard_22_a_list_that_lags_behind_a_deletion_is_looked_at_again() -> None:
    shown: dict[object, Response] = {}
    late = [1, 2, 3]
    with world(huawei(2)) as place:

        def lagging(request: Request, answer: Response) -> Response | None:
            if (request.method, request.path) != ("GET", RECORDINGS):
                return None
            if not place.deletions:
                shown[request.query] = answer
                return None
            return shown[request.query] if late and late.pop() else None

        place.server.after.append(lagging)
        assert {result.outcome for result in place.delete(place.listed())} == {Outcome.DELETED}
        assert (late, len(place.deletions)) == ([], 1)


@pytest.mark.parametrize("lost", [Response(500), Response(502, b"<html>"), Response(close=True), Response(204)])
def test_an_unclear_deletion_is_looked_at_and_never_repeated(lost: Response) -> None:
    with world(huawei(3, stubborn={Huawei.uuid(2)})) as place:
        items = place.listed()
        place.server.after.append(lambda request, _: lost if request.method == "DELETE" else None)
        outcomes = {item.id: result.outcome for item, result in zip(items, place.delete(items), strict=True)}
        assert outcomes.pop(Huawei.uuid(2)) is Outcome.UNKNOWN
        assert set(outcomes.values()) == {Outcome.DELETED}
        assert len(place.deletions) == 1


@pytest.mark.parametrize("answer", [Response(400), Response(500), Response(403), Response(200, {"count": 9})])
def test_what_cannot_be_verified_is_unknown(answer: Response) -> None:
    server = huawei(2)
    with world(server) as place:
        items = place.listed()
        server.interfere.append(
            lambda r: answer if (r.method, r.path) == ("GET", RECORDINGS) and place.deletions else None
        )
        results = place.delete(items)
        assert {result.outcome for result in results} == {Outcome.UNKNOWN}
        assert "inconclusive" in str(results[0].error)
        assert len(place.deletions) == 1


def test_a_stop_does_not_cut_off_the_verification() -> None:
    server = huawei(2)
    with world(server) as place:
        items = place.listed()

        def stopping(request: Request, _: Response) -> None:
            if request.method == "DELETE":
                place.stop.asked.set()

        server.after.append(stopping)
        assert place.delete(items) == [Result(Outcome.DELETED)] * 2
        assert [result.outcome for result in place.delete(items)] == [Outcome.DEFERRED] * 2


# Looking again --------------------------------------------------------------------------------


def test_a_new_client_finds_what_an_old_one_listed() -> None:
    server = huawei(2)
    server.add_history(Huawei.uuid(0), ended=timedelta(days=35), length=timedelta(days=6))
    with world(server) as place:
        items = place.listed()
    bare = [Item("recordings", item.id, item.kind, State.UNKNOWN, locator=item.locator) for item in items]
    with world(server) as place:
        assert [place.client.get(item) for item in bare] == items
        del server.recordings[items[0].id]
        assert place.client.get(bare[0]) is None


def test_what_an_incomplete_list_lacks_is_not_gone() -> None:
    with world(huawei(2)) as place:
        item = place.item(Huawei.uuid(1))
        place.server.lost.add(item.id)
        with pytest.raises(ProviderError, match="not complete"):
            place.client.get(item)


def test_an_item_without_its_window_cannot_be_looked_for() -> None:
    with world(huawei(1)) as place:
        item = place.item(Huawei.uuid(0))
        with pytest.raises(ProviderError, match="which part"):
            place.client.get(replace(item, locator=()))


# Settings -------------------------------------------------------------------------------------


def mistakes(kind: Any, table: dict[str, Any]) -> list[str]:
    problems: list[Problem] = []
    build(kind, table, "x", problems)
    return list(map(str, problems))


def test_the_international_site_and_sixty_requests_a_minute_are_the_default() -> None:
    account = build(HuaweiSettings, {"provider": "huawei", "app_id": "a", "app_key": "k"}, "x", [])
    assert account
    assert account.url == "https://api-intl.meeting.huaweicloud.com"
    assert (account.rate.count, account.rate.seconds, account.user_id, account.corp_id) == (60, 60, "", None)


def test_app_id_and_app_key_are_needed() -> None:
    found = mistakes(HuaweiSettings, {"provider": "huawei"})
    assert found == ["x.app_id: is missing", "x.app_key: is missing"]
    assert mistakes(HuaweiSettings, {"provider": "huawei", "app_id": " ", "app_key": "k"}) == ["x.app_id: is empty"]


@pytest.mark.parametrize("ident", ["fd0e7200", UUID + "0", "budget", ""])
def test_keep_ids_that_could_keep_nothing_are_a_mistake(ident: str | int) -> None:
    (found,) = mistakes(Client.sources["recordings"].rule, {"what": "recordings", "keep_ids": [ident]})
    assert "confUUID" in found


@pytest.mark.parametrize("ident", [UUID, UUID.upper(), "fd0e7200-e9ff-11f0-a1b2-c3d4e5f60718"])
def test_keep_ids_take_every_spelling_of_a_conf_uuid(ident: str) -> None:
    rule = build(Client.sources["recordings"].rule, {"what": "recordings", "keep_ids": [ident]}, "x", [])
    assert rule
    assert {text for meant in rule.ids().values() for text in meant} == {UUID}


@pytest.mark.parametrize("ident", [912000111, "912000111", "912 000 111", "912-000-111"])
def test_hazard_23_keep_ids_take_a_meetings_number_as_people_write_it(ident: str | int) -> None:
    rule = build(Client.sources["recordings"].rule, {"what": "recordings", "keep_ids": [ident]}, "x", [])
    assert rule
    assert [*rule.ids()[str(ident)]] == ["912000111"]


# The whole program ----------------------------------------------------------------------------


@pytest.fixture
def command(tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Runs the program against an emulator; gives its exit status and the account in its JSON."""
    log = logging.getLogger("confcleanup")
    before = log.propagate, log.level, list(log.handlers)

    def started(server: Huawei, *words: str, rule: str = "") -> tuple[int, dict[str, Any]]:
        with Server(server) as served:
            server.public_url = served.url
            file = tmp_path / "config.toml"
            file.write_text(server.account("hw", served.url) + rule, "utf-8")
            file.chmod(0o600)
            words = ("-c", str(file), "--state", str(tmp_path / "state"), *words, "--format", "json")
            result = CliRunner().invoke(cli, words)
        return result.exit_code, json.loads(result.stdout)["accounts"][0]

    yield started
    log.propagate, log.level, log.handlers[:] = before


def today(**switches: Any) -> Huawei:
    """An emulator with a backlog, whose clock is the machine's, as the program's is."""
    server = Huawei(lambda: datetime.now(UTC), **switches)
    server.fill()
    return server


def test_the_program_cleans_the_backlog_and_a_second_run_finds_nothing_to_do(command: Any) -> None:
    server = today()
    kept = set(server.recordings) - server.doomed["recordings"]
    status, account = command(server, "run", "--yes")
    assert (status, account["deleted"]) == (0, len(server.doomed["recordings"]))
    assert set(server.recordings) == kept
    status, account = command(server, "run", "--yes")
    assert (status, account["selected"], account["listed"]) == (0, 0, len(kept))
    assert server.disasters == []


def test_hazard_08_the_program_ends_with_1_and_deletes_nothing_after_an_incomplete_list(command: Any) -> None:
    server = today(miscount=1)
    before = set(server.recordings)
    status, account = command(server, "run", "--yes")
    assert (status, account["status"]) == (1, "failed")
    assert "not complete" in account["error"]
    assert set(server.recordings) == before


def test_hazard_11_the_program_ends_with_1_if_a_deletion_is_not_confirmed(command: Any) -> None:
    server = today(stubborn={Huawei.uuid(1)})
    status, account = command(server, "run", "--yes")
    assert (status, account["unknown"]) == (1, 1)
    assert account["deleted"] == len(server.doomed["recordings"]) - 1


def test_hazard_05_the_program_warns_and_deletes_only_what_a_common_user_owns(command: Any) -> None:
    server = today(admin_type=2)
    others = {uuid for uuid, recording in server.recordings.items() if recording.owner != "00ab"}
    status, account = command(server, "run", "--yes")
    assert (status, account["deleted"]) == (0, 1)
    assert others <= set(server.recordings)


def test_hazard_17_an_archive_that_cannot_be_made_keeps_the_recording(command: Any, tmp_path: Path) -> None:
    server = today(whitelisted=False)
    before = set(server.recordings)
    status, account = command(server, "run", "--yes", rule=f"archive = {str(tmp_path / 'kept')!r}\n")
    assert (status, account["deleted"]) == (1, 0)
    assert set(server.recordings) == before
