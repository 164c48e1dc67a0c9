"""The emulated Huawei Cloud Meeting does what the fact sheet says, traps included."""

from __future__ import annotations

import json
import tomllib
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
import requests

from confcleanup.sandbox.huawei import (
    APP_LOGIN,
    DOWNLOAD_URLS,
    HISTORY,
    MEETINGS,
    RECORDING,
    RECORDINGS,
    SESSION,
    Huawei,
    signature,
)
from confcleanup.sandbox.server import Request, Response, Server

NOW = datetime(2025, 12, 31, 23, 50, tzinfo=UTC)
ACCESS = "YTFiMmMzZDRlNWY2MDcxODI5M2E0YjVjNmQ3ZThmOTA="
BODY: dict[str, Any] = {
    "appId": "a1b2c3d4e5f60718293a4b5c6d7e8f90",
    "clientType": 72,
    "expireTime": 1767225600,
    "nonce": "0123456789abcdef0123456789abcdef",
    "userId": "cleanup-bot@example.com",
}
V1 = "0dd8d282dbde970f2b2490a52909bf5f6d51f5f8aaee3550eb995e7d69460c52"
V2 = "c33a622d88a75ee31559f32dfbbed253edea8d33ddea856b9532bbca99120d1d"
V3 = "47b9d79f3dc90c98cf0f11503118d32bc5fe49a79f5eed229a52422a952900e6"
V4 = "d537a9e80545216183359963381992d3bd02b47c8cb660c868e641a5b40f80c6"


def huawei(**switches: Any) -> Huawei:
    return Huawei(lambda: NOW, **switches)


def login(server: Huawei, signed: str = V1, access: str | None = ACCESS, **changes: Any) -> Response:
    header = f"HMAC-SHA256 signature={signed}" + (f",access={access}" if access else "")
    headers = {"Authorization": header, "Content-Type": "application/json; charset=UTF-8"}
    return server.answer(Request("POST", APP_LOGIN, (), headers, json.dumps({**BODY, **changes}).encode()))


def ask(server: Huawei, path: str, method: str = "GET", **query: str) -> Response:
    token = login(server).body["accessToken"]
    return server.answer(Request(method, path, tuple(query.items()), {"X-Access-Token": token}))


def ms(days_ago: float) -> str:
    return str(int((NOW - timedelta(days=days_ago)).timestamp() * 1000))


def listed(server: Huawei, path: str = RECORDINGS, newest: float = 30, **query: str) -> Response:
    asked = {"queryAll": "true", "limit": "100", "startDate": ms(newest + 30), "endDate": ms(newest), **query}
    return ask(server, path, **asked)


def code(response: Response) -> tuple[int, str]:
    return response.status, response.body["error_code"]


@pytest.mark.parametrize(
    ("signed", "changes", "switches"),
    [
        (V1, {}, {}),
        (V1.upper(), {}, {}),
        (V2, {"userId": ""}, {}),
        (V2, {"userId": None}, {}),
        (V3, {"corpId": "651000001"}, {"corp_id": "651000001"}),
        (V4, {"expireTime": 0}, {}),
    ],
)
def test_the_signatures_of_the_sheet_are_let_in(signed: str, changes: Any, switches: Any) -> None:
    answer = login(huawei(**switches), signed, **changes)
    assert answer.status == 200
    assert answer.body["createTime"] == int(NOW.timestamp()) * 1000
    assert answer.body["expireTime"] == int(NOW.timestamp()) + 57600


@pytest.mark.parametrize(
    ("signed", "changes"),
    [
        ("e594a36b7f26993f95c18de53bb129b1a446cbd3c4da023da1435f7b6a3b4955", {"userId": ""}),
        ("3e8c7773c19bc02595f0b5f7604d0741d2d8d060584a3d2599c43e559f407349", {}),
        ("2d622467e4285226d1845749c65fad98716e51ca4514d51d2d02c3cf799ed10f", {}),
        ("2d622467e4285226d1845749c65fad98716e51ca4514d51d2d02c3cf799ed10f", {"expireTime": 1767225600000}),
        (V3, {"corpId": "651000001"}),
        (V1, {"expireTime": 1767225601}),
    ],
)
def test_a_wrong_signature_is_401(signed: str, changes: Any) -> None:
    assert code(login(huawei(), signed, **changes)) == (401, "MMC.111070004")


def test_milliseconds_are_refused_even_when_they_are_signed_as_sent() -> None:
    body = {**BODY, "expireTime": 1767225600000}
    signed = signature(huawei().app_key, body)
    assert login(huawei(), signed, expireTime=1767225600000).status == 401
    assert login(huawei(expire_unit="ms"), signed, expireTime=1767225600000).status == 200


def test_an_expired_login_is_refused() -> None:
    late = Huawei(lambda: NOW + timedelta(minutes=11))
    assert login(late).status == 401


def test_access_may_be_missing_but_not_wrong() -> None:
    assert login(huawei(), access=None).status == 200
    assert login(huawei(), access="d3Jvbmc=").status == 401
    assert login(huawei(require_access=True), access=None).status == 401


@pytest.mark.parametrize("changes", [{"nonce": "short"}, {"clientType": "72"}, {"expireTime": None}])
def test_a_malformed_login_body_is_400(changes: Any) -> None:
    assert login(huawei(), **changes).status == 400


def test_a_locked_account_is_423_without_a_body() -> None:
    answer = login(huawei(login_status=423))
    assert (answer.status, answer.body) == (423, None)


def test_the_65th_token_evicts_the_oldest() -> None:
    server = huawei()
    names = [login(server).body["accessToken"] for _ in range(65)]
    assert list(server.tokens) == names[1:]


def test_a_missing_token_and_an_unknown_one_have_different_codes() -> None:
    server = huawei()
    assert code(server.answer(Request("GET", RECORDINGS, (), {}))) == (401, "MMC.111070111")
    assert code(server.answer(Request("GET", RECORDINGS, (), {"X-Access-Token": "x"}))) == (401, "USG.000000004")


def test_tokens_end_with_their_life_or_at_once() -> None:
    now = [NOW]
    server = Huawei(lambda: now[0])
    headers = {"X-Access-Token": login(server).body["accessToken"]}
    now[0] += timedelta(hours=16)
    assert server.answer(Request("DELETE", SESSION, (), headers)).status == 401
    now[0] = NOW
    server.expire_tokens()
    assert server.answer(Request("DELETE", SESSION, (), headers)).status == 401


def test_signing_out_ends_the_token() -> None:
    server = huawei()
    assert ask(server, SESSION, "DELETE").status == 200
    assert server.tokens == {}


def test_an_unknown_route_or_another_case_is_404() -> None:
    assert ask(huawei(), RECORDINGS.upper()).status == 404


@pytest.mark.parametrize(
    "query",
    [
        {"startDate": ""},
        {"endDate": "2026-01-01"},
        {"startDate": ms(62)},
        {"startDate": ms(1)},
        {"limit": "0"},
        {"limit": "101"},
        {"offset": "-1"},
        {"queryAll": "True"},
        {"sortType": "asc"},
    ],
)
def test_a_parameter_that_does_not_pass_the_check_is_400(query: dict[str, str]) -> None:
    assert code(listed(huawei(), **query)) == (400, "MMC.111071061")


def test_an_empty_list_has_null_as_data() -> None:
    assert listed(huawei()).body == {"offset": 0, "limit": 5, "count": 0, "data": None}
    assert "data" not in listed(huawei(empty_data="missing")).body


def test_without_query_all_an_administrator_sees_his_own() -> None:
    server = huawei()
    server.fill()
    assert listed(server).body["count"] > 10
    assert [row["subject"] for row in listed(server, queryAll="false").body["data"]] == ["The administrator's own"]


def test_a_common_user_who_asks_for_all_gets_his_own_without_a_word() -> None:
    server = huawei(admin_type=2)
    server.fill()
    assert listed(server).body["count"] == 1


def test_a_limit_above_the_cap_is_cut_and_offset_counts_records() -> None:
    server = huawei()
    server.fill()
    first, second = listed(server), listed(server, offset="5")
    assert first.body["limit"] == len(first.body["data"]) == 5
    assert not {row["confUUID"] for row in first.body["data"]} & {row["confUUID"] for row in second.body["data"]}


def test_offset_may_count_pages() -> None:
    server = huawei(paging="page")
    server.fill()
    assert listed(server, offset="1").body["data"][0] == listed(huawei_filled(), offset="5").body["data"][0]


def huawei_filled() -> Huawei:
    server = huawei()
    server.fill()
    return server


def test_lost_and_miscounted_rows_do_not_add_up() -> None:
    server = huawei(miscount=1, page_cap=50)
    server.add_recording("a" * 32)
    server.add_recording("b" * 32)
    server.lost.add("a" * 32)
    body = listed(server).body
    assert (body["count"], [row["confUUID"] for row in body["data"]]) == (3, ["b" * 32])


def test_the_last_page_may_come_again() -> None:
    server = huawei(stuck_last_page=True)
    server.add_recording("a" * 32)
    assert len(listed(server, offset="90").body["data"]) == 1


def test_both_edges_of_a_range_belong_to_it() -> None:
    server = huawei()
    row = server.add_recording("a" * 32, ended=timedelta(days=40), length=timedelta()).row
    assert row["startTime"] == "2025-11-21 23:50"
    assert listed(server, newest=40).body["count"] == listed(server, newest=10).body["count"] == 1


def test_the_detail_says_finished_where_the_list_does_not() -> None:
    server = huawei_filled()
    uuid = server.uuid(11)
    assert server.recordings[uuid].row["isDecodeFinish"] is False
    assert ask(server, RECORDING, confUUID=uuid).body["isDecodeFinish"] is True
    assert code(ask(server, RECORDING, confUUID="f" * 32)) == (400, "MMC.111070005")


def test_a_delete_takes_the_named_ones_and_answers_39_bytes() -> None:
    server = huawei_filled()
    answer = ask(server, RECORDINGS, "DELETE", confUUIDs=f"{server.uuid(1)},{server.uuid(2)},{'f' * 32}")
    assert (answer.status, len(answer.body)) == (200, 39)
    assert set(server.deleted) == {server.uuid(1), server.uuid(2)}
    assert server.disasters == []


def test_an_unknown_uuid_may_spoil_the_whole_batch() -> None:
    server = huawei(unknown_uuid="refused")
    server.add_recording("a" * 32)
    assert code(ask(server, RECORDINGS, "DELETE", confUUIDs=f"{'a' * 32},{'f' * 32}")) == (400, "MMC.111070005")
    assert list(server.recordings) == ["a" * 32]


@pytest.mark.parametrize("query", [{}, {"confUUIDs": ""}, {"confUuids": "a" * 32}])
def test_a_bare_delete_takes_everything(query: dict[str, str]) -> None:
    server = huawei_filled()
    ask(server, RECORDINGS, "DELETE", **query)
    assert server.recordings == {}
    assert len(server.disasters) == 1


def test_a_conf_id_takes_every_instance() -> None:
    server = huawei_filled()
    ask(server, RECORDINGS, "DELETE", confUUIDs="912000777")
    assert set(server.deleted) == {server.uuid(9), server.uuid(30)}
    assert server.disasters == ["deleted by confID 912000777: 2 recordings"]


def test_a_deleted_recording_may_linger_in_the_list() -> None:
    server = huawei(linger=True)
    server.add_recording("a" * 32)
    ask(server, RECORDINGS, "DELETE", confUUIDs="a" * 32)
    assert listed(server).body["count"] == 1
    server.settle()
    assert listed(server).body["count"] == 0


def test_a_common_user_may_not_delete_what_is_anothers() -> None:
    server = huawei(admin_type=2)
    server.add_recording("a" * 32)
    assert code(ask(server, RECORDINGS, "DELETE", confUUIDs="a" * 32)) == (403, "MMC.111070002")


def test_cancelling_a_meeting_is_a_disaster() -> None:
    server = huawei_filled()
    assert code(ask(server, MEETINGS, "DELETE", conferenceID="912000888")) == (400, "MMC.111071067")
    assert ask(server, MEETINGS, "DELETE", conferenceID="912000888", type="1").status == 200
    assert code(ask(server, MEETINGS, "DELETE", conferenceID="912000111")) == (400, "MMC.111070005")
    assert "912000888" not in server.meetings
    assert len(server.disasters) == 3


def test_a_download_token_is_good_once_and_only_for_its_file() -> None:
    server = huawei_filled()
    with Server(server) as served:
        server.public_url = served.url
        urls = ask(server, DOWNLOAD_URLS, confUUID=server.uuid(1)).body["recordUrls"][0]["urls"]
        first = {"Authorization": urls[0]["token"]}
        assert requests.get(urls[1]["url"], headers=first, timeout=5).status_code == 401
        got = requests.get(urls[0]["url"], headers=first, timeout=5)
        assert got.content == server.recordings[server.uuid(1)].files["Hd/0_0.mp4"]
        assert requests.get(urls[0]["url"], headers=first, timeout=5).status_code == 401


def test_files_come_in_pages() -> None:
    server = huawei_filled()
    server.files_cap = 3
    server.add_recording("f" * 32, files={f"Hd/0_{number}.mp4": b"x" for number in range(5)})

    def names(offset: int) -> list[str]:
        rows = ask(server, DOWNLOAD_URLS, confUUID="f" * 32, offset=str(offset), limit="100").body["recordUrls"]
        return [row["url"][-7:] for row in rows[0]["urls"]]

    assert [names(0), names(3), names(5)] == [["0_0.mp4", "0_1.mp4", "0_2.mp4"], ["0_3.mp4", "0_4.mp4"], []]
    server.paging = "page"
    assert names(1) == ["0_3.mp4", "0_4.mp4"]


def test_the_access_token_at_the_download_host_is_a_disaster() -> None:
    server = huawei_filled()
    assert ask(server, f"/download/{server.uuid(1)}/Hd/0_0.mp4").status == 403
    assert len(server.disasters) == 1


def test_the_history_forgets_after_half_a_year_and_knows_the_longer_end() -> None:
    server = huawei_filled()
    assert listed(server, HISTORY, newest=180).body["count"] == 0
    row = server.history[server.uuid(33)]
    end = datetime.strptime(row["endTime"], "%Y-%m-%d %H:%M").replace(tzinfo=UTC)
    assert end > NOW - timedelta(days=30) > server.recordings[server.uuid(33)].moment
    detail = ask(server, HISTORY + "/confDetail", confUUID=server.uuid(33)).body
    assert detail["conferenceData"] == row


def test_the_meeting_list_shows_what_is_not_over() -> None:
    states = {
        row["conferenceID"]: row["conferenceState"]
        for row in ask(huawei_filled(), MEETINGS, queryAll="true").body["data"]
    }
    assert states == {"912000888": "Created", "912000901": "Schedule", "912000902": "Schedule"}


def test_more_than_the_quota_is_throttled() -> None:
    server = huawei(quota=1)
    assert listed(server).status == 200
    assert code(listed(server)) == (429, "APIG.0308")


def test_the_comma_of_a_batch_may_be_encoded() -> None:
    server = huawei_filled()
    query = urlencode({"confUUIDs": f"{server.uuid(1)},{server.uuid(2)}"})
    assert "%2C" in query
    with Server(server) as served:
        headers = {"X-Access-Token": login(server).body["accessToken"]}
        assert requests.delete(f"{served.url}{RECORDINGS}?{query}", headers=headers, timeout=5).status_code == 200
    assert len(server.deleted) == 2


def test_the_backlog_needs_several_pages_and_its_account_is_toml() -> None:
    server = huawei_filled()
    assert server.doomed["recordings"] < server.recordings.keys()
    assert listed(server).body["count"] > 2 * server.page_cap
    account = tomllib.loads(server.account("hw", "http://127.0.0.1:9", timeout="5 s"))["accounts"]["hw"]
    assert (account["timeout"], account["rules"][0]["what"]) == ("5 s", "recordings")
