"""The emulated TrueConf Server does what the fact sheet says, odd habits included."""

from __future__ import annotations

import json
import tomllib
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest
import requests

from confcleanup.sandbox.server import Request, Response, Server
from confcleanup.sandbox.trueconf import HOSTILE, SCOPE, TrueConf

START = datetime(2026, 7, 31, 12, 0, tzinfo=UTC)
DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
V3, V4 = "v3.11", "v4"
SIGN_IN = {V3: "/oauth2/v1/token", V4: "/api/v4/oauth2/token"}


class Clock:
    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now


def server(api: str = V3, **switches: Any) -> TrueConf:
    return TrueConf(Clock(), api=api, **switches)


def with_conferences(count: int, api: str = V3, **switches: Any) -> TrueConf:
    emulator = server(api, **switches)
    for number in range(count):
        emulator.add_conference(f"{number:010d}")
    return emulator


def sign_in(emulator: TrueConf, path: str = "", kind: str = "application/json", **fields: str) -> Response:
    asked = {"client_id": emulator.client_id, "client_secret": emulator.client_secret, **fields}
    asked = {"grant_type": "client_credentials", **asked}
    body = json.dumps(asked) if "json" in kind else "&".join(f"{name}={quote(text)}" for name, text in asked.items())
    where = path or SIGN_IN.get(emulator.api, SIGN_IN[V3])
    return emulator.answer(Request("POST", where, (), {"Content-Type": kind}, body.encode()))


def ask(emulator: TrueConf, method: str, path: str = "", token: str | None = None, **query: Any) -> Response:
    """Asks for what is below ``conferences``, or for a whole path; with the key that may do everything."""
    whole = path if path.startswith("//") or "api/" in path else f"/api/{emulator.api}/conferences{path}"
    pairs = tuple((name, str(value)) for name, value in query.items())
    headers = {"Authorization": f"Bearer {token or emulator.secret_key}"}
    return emulator.answer(Request(method, whole, pairs, headers))


def reason(response: Response) -> Any:
    return response.body["error"]["errors"][0]["reason"]


def shown(emulator: TrueConf, **query: Any) -> list[str]:
    return [row["id"] for row in ask(emulator, "GET", **query).body["conferences"]]


def whole_list(emulator: TrueConf) -> list[str]:
    name = "page" if emulator.v4 else "page_id"
    pages = [shown(emulator, **{name: number}) for number in range(1, 20)]
    return [ident for page in pages for ident in page]


# signing in


@pytest.mark.parametrize("api", [V3, V4])
def test_an_application_gets_a_token_for_7_days(api: str) -> None:
    emulator = server(api)
    answer = sign_in(emulator)
    assert answer.status == 200
    assert (answer.body["expires_in"], answer.body["token_type"], answer.body["scope"]) == (604800, "Bearer", SCOPE)
    assert ask(emulator, "GET", token=answer.body["access_token"]).status == 200


def test_v3_takes_a_form_and_v4_does_not() -> None:
    form = "application/x-www-form-urlencoded"
    assert sign_in(server(), kind=form).status == 200
    assert sign_in(server(V4), kind=form).body["error"] == "invalid_request"


@pytest.mark.parametrize("api", [V3, V4])
def test_the_other_versions_sign_in_does_not_exist(api: str) -> None:
    other = V4 if api == V3 else V3
    assert sign_in(server(api), SIGN_IN[other]).status == 404


def test_a_wrong_secret_is_refused_in_the_shape_of_oauth_or_with_a_reason() -> None:
    emulator = server()
    answer = sign_in(emulator, client_secret="wrong")
    assert (answer.status, answer.body["error"]) == (401, "invalid_client")
    emulator.sign_in_error = "reason"
    assert sign_in(emulator, client_secret="wrong").body == {"reason": "InvalidCredentials"}


def test_an_unknown_grant_is_refused() -> None:
    assert sign_in(server(), grant_type="refresh_token").body["error"] == "unsupported_grant_type"


def test_the_sign_in_may_keep_the_tokens_life_to_itself() -> None:
    assert "expires_in" not in sign_in(server(say_expiry=False)).body


@pytest.mark.parametrize("password", ["right", "wrong"])
def test_a_user_signs_in_without_a_secret(password: str) -> None:
    emulator = server()
    emulator.users["anna"] = "right"
    user = {"grant_type": "password", "client_id": "trueconf_server_users", "client_secret": "", "username": "anna"}
    assert sign_in(emulator, **user, password=password).status == (200 if password == "right" else 401)


def test_a_user_sees_what_is_owned_or_taken_part_in() -> None:
    emulator = server()
    emulator.tokens["users"] = (START + DAY, "boris")
    emulator.add_conference("his", owner="boris@vc.example.org", invitations=[])
    emulator.add_conference("a guest's")
    emulator.add_conference("hers", invitations=[])
    body = ask(emulator, "GET", token="users").body
    assert ([row["id"] for row in body["conferences"]], body["cnt"]) == (["his", "a guest's"], 2)
    assert ask(emulator, "DELETE", "/hers", token="users").status == 403
    assert emulator.disasters == []


def test_the_token_of_the_query_works_as_well() -> None:
    emulator = server()
    token = sign_in(emulator).body["access_token"]
    assert emulator.answer(Request("GET", "/api/v3.11/conferences", (("access_token", token),), {})).status == 200


def test_an_expired_token_is_403_on_v3_and_401_on_v4() -> None:
    for api, status in ((V3, 403), (V4, 401)):
        emulator = server(api)
        token = sign_in(emulator).body["access_token"]
        emulator.expire_tokens()
        answer = ask(emulator, "GET", token=token)
        assert answer.status == status
        assert api == V4 or reason(answer) == "accessTokenInvalid"


def test_a_token_lives_as_long_as_it_said() -> None:
    emulator = server(token_life=HOUR)
    token = sign_in(emulator).body["access_token"]
    emulator.clock.now += HOUR - timedelta(seconds=1)  # type: ignore[attr-defined]
    assert ask(emulator, "GET", token=token).status == 200
    emulator.clock.now += timedelta(seconds=1)  # type: ignore[attr-defined]
    assert ask(emulator, "GET", token=token).status == 403


def test_the_secret_key_never_expires() -> None:
    emulator = server()
    emulator.expire_tokens()
    emulator.clock.now += 9999 * DAY  # type: ignore[attr-defined]
    assert ask(emulator, "GET").status == 200


def test_a_missing_scope_is_403_forbidden() -> None:
    emulator = with_conferences(1, scope="conferences:read")
    token = sign_in(emulator).body["access_token"]
    assert ask(emulator, "GET", token=token).status == 200
    answer = ask(emulator, "DELETE", "/0000000000", token=token)
    assert (answer.status, reason(answer)) == (403, "forbidden")
    assert "location" not in answer.body["error"]["errors"][0]


# routes


@pytest.mark.parametrize("path", ["/api/v3.2/conferences", "/api/v3.8/conferences", "/api/v3.11/conferences"])
def test_older_numbers_of_v3_work_too(path: str) -> None:
    assert ask(server(), "GET", path).status == 200


@pytest.mark.parametrize(
    "path",
    [
        "/api/v4/conferences",
        "/api/v3/conferences",
        "/api/v3.11/Conferences",
        "/api/v3.11/users",
        "//api/v3.11/conferences",
        "/api/v3.11/conferences/",
        "/api/v3.11//conferences",
        "/api/v3.11/conferences/0000000000/",
    ],
)
@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_an_unknown_route_is_404_and_never_says_that_a_conference_is_gone(method: str, path: str) -> None:
    emulator = with_conferences(1)
    answer = ask(emulator, method, path)
    assert (answer.status, answer.body) == (404, None)
    assert len(emulator.conferences) == 1


def test_an_unknown_route_of_v4_has_a_reason_and_a_trace() -> None:
    answer = ask(server(V4), "GET", "/api/v3.11/conferences")
    assert (answer.status, reason(answer)) == (404, "routeNotFound")
    assert answer.body["trace_id"]


def test_the_list_itself_cannot_be_deleted() -> None:
    emulator = with_conferences(3)
    assert ask(emulator, "DELETE").status == 404
    assert len(emulator.conferences) == 3


# listing


@pytest.mark.parametrize(("api", "page", "count"), [(V3, "page_id", "cnt"), (V4, "page", "results")])
def test_a_page_is_smaller_than_asked_for(api: str, page: str, count: str) -> None:
    emulator = with_conferences(7, api, page_cap=3)
    query: dict[str, Any] = {"page_size": 100, page: 3}
    body = ask(emulator, "GET", **query).body
    assert ([row["id"] for row in body["conferences"]], body[count]) == (["0000000006"], 7)
    assert set(body) == {"conferences", count}
    assert shown(emulator, **{page: 4}) == []


def test_each_version_knows_its_own_page_parameter_only() -> None:
    assert shown(with_conferences(4, page_cap=2), page=2) == ["0000000000", "0000000001"]
    assert shown(with_conferences(4, V4, page_cap=2), page_id=2) == ["0000000000", "0000000001"]


def test_v4_may_count_its_pages_from_0() -> None:
    emulator = with_conferences(4, V4, page_cap=2, first_page=0)
    assert [shown(emulator, page=number) for number in range(3)] == [
        ["0000000000", "0000000001"],
        ["0000000002", "0000000003"],
        [],
    ]


def test_v3_may_name_the_next_page() -> None:
    emulator = with_conferences(5, page_cap=3, next_page=True)
    assert [ask(emulator, "GET", page_id=number).body["next_page_id"] for number in (1, 2)] == [2, -1]


def test_pages_can_be_lost_short_or_repeated() -> None:
    emulator = with_conferences(8, page_cap=2, broken_pages={2: "lost", 3: "repeated", 4: "short"})
    assert [len(shown(emulator, page_id=number)) for number in (1, 2, 3, 4)] == [2, 0, 2, 1]
    assert shown(emulator, page_id=3) == ["0000000002", "0000000003"]


def test_a_conference_can_be_shown_twice_and_counts_once() -> None:
    emulator = with_conferences(3, page_cap=2)
    emulator.repeated = {"0000000000"}
    assert whole_list(emulator) == ["0000000000", "0000000001", "0000000000", "0000000002"]
    assert ask(emulator, "GET").body["cnt"] == 3


def test_the_total_can_lie_or_be_missing_and_a_list_can_be_bare() -> None:
    assert ask(with_conferences(2, count_shift=5), "GET").body["cnt"] == 7
    assert "cnt" not in ask(with_conferences(2, count_shift=None), "GET").body
    assert [row["id"] for row in ask(with_conferences(1, V4, bare_list=True), "GET").body] == ["0000000000"]


def test_v3_filters_by_one_tag_and_v4_does_not_know_it() -> None:
    for api, ids in ((V3, ["tagged"]), (V4, ["tagged", "plain"])):
        emulator = server(api)
        emulator.add_conference("tagged", tags=["a&b"])
        emulator.add_conference("plain")
        assert shown(emulator, tag="a&b") == ids
        assert shown(emulator, tag="") == ["tagged", "plain"]


def test_stopped_includes_what_has_not_begun() -> None:
    emulator = server()
    emulator.add_conference("planned", ended=-DAY)
    emulator.add_conference("running", state="running")
    assert shown(emulator, state="stopped") == ["planned"]


def test_filters_can_be_ignored() -> None:
    emulator = with_conferences(2, ignore_filters=True)
    assert len(shown(emulator, tag="x", state="running")) == 2


# objects


def test_the_end_is_the_start_in_seconds_and_the_length() -> None:
    row = server().add_conference("a", ended=40 * DAY, length=2 * HOUR)
    assert row["schedule"]["start_time"] + row["schedule"]["duration"] == (START - 40 * DAY).timestamp()


def test_v4_writes_words_and_texts_where_v3_has_numbers() -> None:
    old, new = server(), server(V4, v4_times="digits")
    for emulator in (old, new):
        emulator.add_conference("a", type=3)
    (three,), (four,) = (ask(emulator, "GET").body["conferences"] for emulator in (old, new))
    assert (three["type"], three["schedule"]["type"]) == (3, 1)
    assert (four["mode"], four["schedule"]["type"]) == ("S|L", "once")
    assert four["schedule"]["start_time"] == str(three["schedule"]["start_time"])
    assert four["created_at"].endswith("Z")
    assert "type" not in four


def test_v4_mixes_its_ways_to_write_a_time_and_means_the_same() -> None:
    emulator = with_conferences(6, V4)
    rows = {row["id"]: row["schedule"]["start_time"] for row in ask(emulator, "GET").body["conferences"]}
    assert {text[10:11] for text in rows.values()} == {"", "T"}
    for ident, text in rows.items():
        meant = int(text) if text.isdigit() else datetime.fromisoformat(text).timestamp()
        assert meant == emulator.conferences[ident]["schedule"]["start_time"]


def test_weekly_conferences_and_rooms_have_their_own_schedules() -> None:
    emulator = server()
    assert emulator.add_weekly("w")["schedule"]["days"] == ["monday", "friday"]
    assert emulator.add_room("r")["schedule"] == {"type": -1}
    emulator.api = V4
    weekly, room = ask(emulator, "GET").body["conferences"]
    assert (weekly["schedule"]["type"], room["schedule"]) == ("week", {"type": "none"})
    assert "time" not in weekly["schedule"]


def test_one_conference_is_wrapped_and_v4_adds_a_key() -> None:
    assert ask(with_conferences(1), "GET", "/0000000000").body["conference"]["id"] == "0000000000"
    assert "sai" in ask(with_conferences(1, V4), "GET", "/0000000000").body["conference"]


# deleting


@pytest.mark.parametrize(
    ("api", "wanted", "status", "body"),
    [(V3, None, 200, {"id": "0000000000"}), (V4, None, 204, None), (V3, 204, 204, None)],
)
def test_delete_answers_200_with_the_id_or_204_with_nothing(api: str, wanted: Any, status: int, body: Any) -> None:
    emulator = with_conferences(2, api, delete_status=wanted)
    answer = ask(emulator, "DELETE", "/0000000000")
    assert (answer.status, answer.body) == (status, body)
    assert set(emulator.conferences) == {"0000000001"}


def test_what_is_gone_is_404_with_its_reason() -> None:
    for method in ("GET", "DELETE"):
        answer = ask(server(), method, "/0073310045")
        assert (answer.status, reason(answer)) == (404, "conferenceNotFound")


def test_leading_zeros_and_encoded_ids_matter() -> None:
    emulator = server()
    emulator.add_conference("0000001c@host#vcs")
    assert ask(emulator, "DELETE", "/0000001c@host").status == 404
    assert ask(emulator, "DELETE", "/1c%40host%23vcs").status == 404
    assert ask(emulator, "DELETE", "/0000001c%40host%23vcs").status == 200


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"state": "running"}, "running"),
        ({"ended": -DAY}, "not begun"),
        ({"schedule": {"type": 0, "start_time": 1577836800, "duration": 60}}, "weekly"),
    ],
)
def test_what_should_never_be_deleted_is_deleted_and_remembered(change: dict[str, Any], word: str) -> None:
    emulator = server()
    emulator.add_conference("a", **change)
    assert ask(emulator, "DELETE", "/a").status == 200
    assert emulator.conferences == {}
    assert word in emulator.disasters[0]


def test_deleting_another_owners_conference_as_a_guest_is_a_disaster() -> None:
    emulator = with_conferences(1)
    emulator.tokens["users"] = (START + DAY, "boris")
    assert ask(emulator, "DELETE", "/0000000000", token="users").status == 200
    assert "somebody else's" in emulator.disasters[0]


def test_a_running_conference_may_refuse_to_go() -> None:
    emulator = server(delete_running=False)
    emulator.add_conference("a", state="running")
    assert ask(emulator, "DELETE", "/a").status == 400
    assert "a" in emulator.conferences


def test_stopping_a_conference_is_a_disaster() -> None:
    emulator = server()
    emulator.add_conference("a", state="running")
    assert ask(emulator, "POST", "/a/stop").body == {"state": "stopped"}
    assert emulator.disasters


def test_deleting_while_paging_skips_conferences() -> None:
    emulator = with_conferences(4, page_cap=2)
    for ident in shown(emulator, page_id=1):
        ask(emulator, "DELETE", f"/{ident}")
    assert shown(emulator, page_id=2) == []
    assert len(emulator.conferences) == 2


# the backlog


def test_the_backlog_has_every_kind_and_needs_several_pages() -> None:
    emulator = server()
    emulator.fill()
    listed = whole_list(emulator)
    assert set(listed) == set(emulator.conferences)
    assert len(listed) > len(set(listed)) > 2 * emulator.page_cap
    assert {"0048411003", "48411003", "0073310045", "73310045"} <= set(listed)
    assert HOSTILE in [row["topic"] for row in emulator.conferences.values()]
    assert emulator.doomed["conferences"] < set(listed)


def test_the_backlog_is_the_same_every_time() -> None:
    first, second = server(), server()
    for emulator in (first, second):
        emulator.fill()
        sign_in(emulator)
    assert (first.conferences, first.tokens) == (second.conferences, second.tokens)


def test_the_backlog_can_be_shown_in_v4() -> None:
    emulator = server(V4, v4_end_time=True)
    emulator.fill()
    assert set(whole_list(emulator)) == set(emulator.conferences)
    assert ask(emulator, "GET", "/0073310045").body["conference"]["schedule"]["end_time"].isdigit()


def test_the_account_is_valid_toml_with_its_rules() -> None:
    text = server(V4).account("hq", "http://127.0.0.1:1", room_url="ws://127.0.0.1:2", room_pin="2468")
    account = tomllib.loads(text)["accounts"]["hq"]
    assert (account["api"], account["room_pin"], account["rate"]) == ("v4", "2468", "unlimited")
    assert {rule["what"] for rule in account["rules"]} == {"conferences"}
    assert all((rule["older_than"], rule["keep_tags"]) == ("30 days", ["keep"]) for rule in account["rules"])
    assert not {"archive", "announce", "concurrency", "limits"} & set(account)


def test_over_a_socket_it_says_the_time_and_takes_encoded_ids() -> None:
    emulator = server()
    emulator.add_conference("a/b ü")
    with Server(emulator) as served:
        url = f"{served.url}/api/v3.11/conferences/{quote('a/b ü', safe='')}"
        answer = requests.delete(url, headers={"Authorization": f"Bearer {emulator.secret_key}"}, timeout=5)
    assert (answer.status_code, answer.json()) == (200, {"id": "a/b ü"})
    assert answer.headers["Date"] == "Fri, 31 Jul 2026 12:00:00 GMT"


def test_v4_tells_which_sessions_run_and_who_takes_part() -> None:
    emulator = with_conferences(2, V4)
    emulator.conferences["0000000001"]["state"] = "running"
    (session,) = ask(emulator, "GET", "/api/v4/sessions").body["conference_sessions"]
    assert session["conference_id"] == "0000000001"
    sizes = [len(ask(emulator, "GET", f"/000000000{number}/participants").body["list"]) for number in (0, 1)]
    assert sizes == [0, 1]
