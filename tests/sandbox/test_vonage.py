"""The emulated Vonage Business Communications does what the fact sheet says, traps included."""

from __future__ import annotations

import tomllib
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
import requests

from confcleanup.sandbox.server import Request, Response, Server
from confcleanup.sandbox.vonage import PROVISIONING, RECORDING_API, Vonage, wire_time

NOW = datetime(2026, 1, 31, 12, 0, 30, tzinfo=UTC)
COMPANY = RECORDING_API + "/api/accounts/self/company_call_recordings"
USERS = PROVISIONING + "/api/accounts/self/users"
CUTOFF = wire_time(NOW - timedelta(days=30))


def vonage(fill: bool = False, **switches: Any) -> Vonage:
    server = Vonage(lambda: NOW, **switches)
    if fill:
        server.fill()
    return server


def sign_in(server: Vonage, **changes: str) -> Response:
    form = {
        "grant_type": "password",
        "scope": "openid",
        "username": server.username + "@vbc.prod",
        "password": server.password,
        "client_id": server.client_id,
        "client_secret": server.client_secret,
        **changes,
    }
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    return server.answer(Request("POST", "/token", (), headers, urlencode(form).encode()))


def ask(server: Vonage, path: str = COMPANY, method: str = "GET", /, **query: Any) -> Response:
    headers = {"Authorization": f"Bearer {sign_in(server).body['access_token']}"}
    return server.answer(Request(method, path, tuple((key, str(value)) for key, value in query.items()), headers))


def ids(response: Response) -> list[Any]:
    return [row["id"] for row in response.body["_embedded"]["recordings"]]


def test_a_token_is_granted_and_a_living_one_served_again_with_the_rest_of_its_life() -> None:
    now = [NOW]
    server = Vonage(lambda: now[0])
    first = sign_in(server).body
    now[0] += timedelta(hours=1)
    second = sign_in(server).body
    assert (first["expires_in"], second["expires_in"]) == (86400, 82800)
    assert first["access_token"] == second["access_token"]


def test_a_password_that_was_not_form_encoded_arrives_broken() -> None:
    server = vonage()
    body = (
        f"grant_type=password&scope=openid&username={server.username}@vbc.prod&password={server.password}"
        "&client_id=demo-client&client_secret=demo-client-phrase%2F%2B%3D"
    )
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    assert server.answer(Request("POST", "/token", (), headers, body.encode())).status == 400


@pytest.mark.parametrize("suffix", ["", "@vbc.prod@vbc.prod"])
def test_the_suffix_of_the_user_name_must_be_there_once(suffix: str) -> None:
    server = vonage()
    assert sign_in(server, username=server.username + suffix).status == 400


def test_three_bad_logins_lock_the_user_for_30_minutes_after_the_last_attempt() -> None:
    now = [NOW]
    server = Vonage(lambda: now[0])
    for _ in range(3):
        assert "17002" in sign_in(server, password="x").body["error_description"]
    now[0] += timedelta(minutes=29)
    assert "17003" in sign_in(server).body["error_description"]
    now[0] += timedelta(minutes=29)
    assert "locked" in sign_in(server).body["error_description"]
    now[0] += timedelta(minutes=31)
    assert sign_in(server).status == 200


def test_a_token_without_scope_is_refused_with_a_bare_401() -> None:
    server = vonage()
    answer = sign_in(server, scope="")
    assert answer.body["scope"] == "default"
    assert "id_token" not in answer.body
    headers = {"Authorization": f"Bearer {answer.body['access_token']}"}
    refused = server.answer(Request("GET", COMPANY, (), headers))
    assert (refused.status, refused.body) == (401, None)


def test_a_refresh_token_is_good_once() -> None:
    server = vonage()
    old = sign_in(server).body["refresh_token"]
    assert sign_in(server, grant_type="refresh_token", refresh_token=old).body["refresh_token"] != old
    assert sign_in(server, grant_type="refresh_token", refresh_token=old).status == 400


def test_missing_and_dead_tokens_have_different_faults() -> None:
    server = vonage()
    headers = {"Authorization": f"Bearer {sign_in(server).body['access_token']}"}
    server.expire_tokens()
    assert server.answer(Request("GET", COMPANY, (), {})).body["fault"]["code"] == 900902
    assert server.answer(Request("GET", COMPANY, (), headers)).body["fault"]["code"] == 900901


def test_the_quota_is_per_token_and_minute() -> None:
    now = [NOW]
    server = Vonage(lambda: now[0], quota=2, retry_after=True)
    assert [ask(server).status for _ in range(3)] == [200, 200, 429]
    answer = ask(server)
    assert (answer.body["code"], answer.headers) == ("900800", {"Retry-After": "30"})
    assert answer.body["nextAccessTime"] == "2026-Jan-31 12:01:00+0000 UTC"
    now[0] += timedelta(seconds=30)
    assert ask(server).status == 200


@pytest.mark.parametrize(("paths", "plain", "v1"), [("both", 200, 200), ("plain", 200, 404), ("v1", 404, 200)])
def test_the_base_path_may_or_may_not_have_a_version(paths: str, plain: int, v1: int) -> None:
    server = vonage(paths=paths)
    assert ask(server).status == plain
    assert ask(server, COMPANY.replace("/api/", "/v1/api/")).status == v1


@pytest.mark.parametrize(
    "path",
    [
        COMPANY.replace("self", "549826"),
        COMPANY.upper(),
        COMPANY + "/",
        COMPANY + "/999",
        RECORDING_API + "/api/accounts/self/users/1/call_recordings",
        "/api/accounts/self/company_call_recordings",
    ],
)
def test_a_wrong_path_is_404(path: str) -> None:
    assert ask(vonage(), path).status == 404


def test_an_empty_answer_has_no_embedded_and_page_0() -> None:
    body = ask(vonage()).body
    assert "_embedded" not in body
    assert (body["page"], body["total_items"], body["total_pages"]) == (0, 0, 0)


def test_a_page_size_above_the_cap_is_cut() -> None:
    server = vonage(fill=True)
    body = ask(server, page_size=100).body
    assert (body["page"], body["page_size"], len(body["_embedded"]["recordings"])) == (1, 5, 5)
    assert body["total_pages"] == -(-len(server.company) // 5)


def test_pages_cover_everything_once() -> None:
    server = vonage(fill=True)
    pages = ask(server).body["total_pages"]
    got = [str(number) for page in range(1, pages + 1) for number in ids(ask(server, page=page, order="start:ASC"))]
    assert sorted(got) == sorted(server.company)
    assert ids(ask(server, page=pages + 1)) == []


def test_page_0_is_refused_unless_it_is_the_first() -> None:
    assert ask(vonage(), page=0).body["invalid_parameters"][0]["name"] == "page"
    server = vonage(fill=True, first_page=0)
    assert ids(ask(server, page=0)) == ids(ask(server)) != ids(ask(server, page=1))


def test_pages_may_repeat_lose_and_miscount() -> None:
    server = vonage(repeat_pages=True, miscount=1)
    server.add_recording(1)
    server.add_recording(2)
    server.lost.add("2")
    assert ids(ask(server, page=7)) == [1]
    assert ask(server).body["total_items"] == 3


def test_the_links_drop_the_filters_and_name_another_host() -> None:
    links = ask(vonage(fill=True), **{"start:lte": CUTOFF}).body["_links"]
    assert links["next"]["href"].startswith("https://api.vonage.com/t/vbc.prod/call_recording/api/")
    assert links["next"]["href"].endswith("company_call_recordings?page=2")
    assert "prev" not in links


def test_a_raw_plus_in_a_date_is_a_space_and_malformed() -> None:
    server = vonage()
    with Server(server) as served:
        headers = {"Authorization": f"Bearer {sign_in(server).body['access_token']}"}
        url = f"{served.url}{COMPANY}?start:lte=2026-01-01T00:00:00"
        assert 'malformed at " 0000"' in requests.get(url + "+0000", headers=headers, timeout=5).json()["title"]
        assert requests.get(url + "%2B0000", headers=headers, timeout=5).status_code == 200
        assert requests.get(url + "%252B0000", headers=headers, timeout=5).status_code == 400


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("2026-01-01T00:00:00+0000", 200),
        ("2026-01-01T00:00:00Z", 200),
        ("2026-01-01T00:00:00.125Z", 200),
        ("2026-01-01 09:00:41", 400),
        ("2026-01-01", 400),
        ("1767225600", 400),
    ],
)
def test_only_instants_are_dates(text: str, status: int) -> None:
    assert ask(vonage(), **{"start:lte": text}).status == status


def test_the_range_of_start_is_inclusive_and_lets_the_unreadable_pass() -> None:
    server = vonage()
    start = server.add_recording(1)["start"]
    server.add_recording(2, start=...)
    server.add_recording(3, ended=timedelta(days=1))
    assert ids(ask(server, **{"start:lte": start})) == [1, 2]
    assert ids(ask(server, **{"start:gte": start})) == [3, 1, 2]


def test_the_filter_is_extension_and_durations_are_milliseconds() -> None:
    server = vonage()
    server.add_recording(1, extensions=[702], duration=14000)
    server.add_recording(2)
    assert ids(ask(server, extension="702")) == [1]
    assert ids(ask(server, **{"duration:lte": "14000"})) == [1]


def test_filters_may_be_ignored() -> None:
    server = vonage(ignore_filters=True)
    server.add_recording(1, ended=timedelta(days=1))
    assert ids(ask(server, **{"start:lte": CUTOFF})) == [1]


@pytest.mark.parametrize("order", ["asc", "start:asc", "start", ""])
def test_an_order_that_is_no_field_and_direction_is_400(order: str) -> None:
    assert ask(vonage(), order=order).status == 400


def test_without_the_permission_company_recordings_are_403_in_plain_text() -> None:
    answer = ask(vonage(company_permission=False))
    assert (answer.status, answer.body[:4]) == (403, b"User")


def test_a_delete_is_204_without_a_body_and_then_404() -> None:
    server = vonage(fill=True)
    first, again = (ask(server, COMPANY + "/204401", "DELETE") for _ in range(2))
    assert (first.status, first.body, again.status) == (204, None, 404)
    assert "204401" not in server.company


def test_call_ids_and_other_users_ids_are_404() -> None:
    server = vonage(fill=True)
    assert ask(server, f"{COMPANY}/{server.company['204401']['call_id']}", "DELETE").status == 404
    users = RECORDING_API + "/api/accounts/549825/users/869049/call_recordings/305001"
    assert ask(server, users, "DELETE").status == 404
    assert ask(server, users.replace("869049", "869048"), "DELETE").status == 204


@pytest.mark.parametrize("tail", ["", "/", "/export", "/jobs/1"])
def test_deleting_the_collection_or_its_words_is_a_disaster(tail: str) -> None:
    server = vonage(fill=True)
    assert ask(server, COMPANY + tail, "DELETE").status in (404, 405)
    assert len(server.disasters) == 1


def test_no_word_that_stands_where_ids_stand_is_a_recording() -> None:
    assert ask(vonage(fill=True), COMPANY + "/export", "POST").status == 404
    assert ask(vonage(fill=True), COMPANY + "/export").status == 404


@pytest.mark.parametrize(
    ("path", "method", "allowed"),
    [
        ("/token", "GET", "POST"),
        (COMPANY, "PUT", "GET"),
        (COMPANY + "/204401", "PATCH", "GET, DELETE"),
        (USERS, "DELETE", "GET"),
        (RECORDING_API + "/api/audio/recording/204401", "DELETE", "GET"),
    ],
)
def test_a_method_that_is_not_allowed_is_405_with_those_that_are(path: str, method: str, allowed: str) -> None:
    answer = ask(vonage(fill=True), path, method)
    assert (answer.status, answer.headers) == (405, {"Allow": allowed})


@pytest.mark.parametrize("page", ["", "0", "-1", "1.0", "١", "1" * 13])
def test_a_page_that_is_no_number_of_a_page_is_400(page: str) -> None:
    assert ask(vonage(fill=True), COMPANY, page=page).status == 400


def test_self_is_the_api_user_without_recordings() -> None:
    server = vonage(fill=True)
    assert ask(server, RECORDING_API + "/api/accounts/self/users/self/call_recordings").body["total_items"] == 0


@pytest.mark.parametrize("key", ["data", "users"])
def test_users_come_in_pages_under_either_key(key: str) -> None:
    body = ask(vonage(fill=True, users_key=key), USERS, page_size=100).body
    assert (body["total_items"], len(body["_embedded"][key])) == (7, 5)


def test_provisioning_may_know_no_self() -> None:
    server = vonage(provisioning_self=False)
    assert ask(server, USERS).body == {"msg": "Account not found", "status": 404}
    assert ask(server, USERS.replace("self", "549825")).status == 200


def test_audio_needs_the_token_and_has_the_promised_size() -> None:
    server = vonage(fill=True)
    with Server(server) as served:
        server.public_url = served.url
        row = ask(server, COMPANY + "/204401").body
        headers = {"Authorization": f"Bearer {sign_in(server).body['access_token']}"}
        assert requests.get(row["download_url"], timeout=5).status_code == 401
        got = requests.get(row["download_url"], headers=headers, timeout=5)
    assert len(got.content) == row["file_size_in_bytes"]


def test_audio_may_be_served_under_v1_only() -> None:
    server = vonage(fill=True, audio_paths="v1")
    path = RECORDING_API + "/api/audio/recording/204401"
    assert ask(server, path).status == 404
    assert ask(server, path.replace("/api/", "/v1/api/")).status == 200


def test_numbers_may_stand_where_text_is_documented() -> None:
    server = vonage(integer_types=True)
    server.add_recording(1)
    row = ask(server, COMPANY + "/1").body
    assert (row["caller_id"], row["extensions"]) == (15550100001, [701])


def test_the_backlog_needs_several_pages_and_its_account_is_toml() -> None:
    server = vonage(fill=True)
    assert server.doomed["company-recordings"] < server.company.keys()
    assert ask(server, **{"start:lte": CUTOFF}).body["total_pages"] > 2
    demand = {key for rows in server.on_demand.values() for key in rows}
    assert server.doomed["on-demand-recordings"] < demand
    account = tomllib.loads(server.account("vbc", "http://127.0.0.1:9", concurrency=2))["accounts"]["vbc"]
    assert account["token_url"] == "http://127.0.0.1:9/token"
    assert account["password"] == server.password
    assert [rule["what"] for rule in account["rules"]] == list(server.doomed)
