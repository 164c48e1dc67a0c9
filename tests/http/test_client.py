"""The HTTP session, over real sockets: what is sent, what is retried, what is refused before it is sent."""

from __future__ import annotations

import gc
import gzip
import json
import logging
import socket
import threading
import time
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st

from confcleanup.deadline import Deadline, Look
from confcleanup.errors import AccessDenied, HttpError, OutcomeUnknown, ProviderError, Stale, Stopped, UnsafeId
from confcleanup.http import transport as wire
from confcleanup.http.answer import Answer
from confcleanup.http.client import Http, Permit
from confcleanup.http.rate_limit import RateLimiter
from confcleanup.http.urls import as_meant, path, segment
from confcleanup.sandbox.server import Emulator, Request, Response, Server
from confcleanup.settings.values import Pace
from tests.providers.waiting import NoWaiting

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
UNLIMITED = Pace(0, 1)


class Script(Emulator):
    """Answers from a list, then with an empty object."""

    def __init__(self, *answers: Response) -> None:
        super().__init__(lambda: NOW)
        self.answers = list(answers)

    def handle(self, request: Request) -> Response:
        return self.answers.pop(0) if self.answers else Response(200, {})


class Token:
    """A sign-in that numbers its tokens."""

    def __init__(self) -> None:
        self.count = 0

    def sign_in(self, http: Http) -> Mapping[str, str]:
        self.count += 1
        return {"Authorization": f"Bearer token-{self.count}"}

    def token_expired(self, error: HttpError) -> bool:
        return error.status == 401


@contextmanager
def session(
    *answers: Response, stop: Deadline | None = None, base: str = "", auth: Token | None = None, **more: Any
) -> Iterator[tuple[Http, Script]]:
    script = Script(*answers)
    with Server(script) as server:
        http = Http(
            server.url + base, auth=auth or Token(), rate=UNLIMITED, stop=stop or NoWaiting(), clock=lambda: NOW, **more
        )
        try:
            yield http, script
        finally:
            http.close()


def test_the_token_goes_in_the_header_and_never_in_the_address() -> None:
    with session() as (http, script):
        http.get(path("things"), [("page", "1")])
    (request,) = script.requests("GET")
    assert request.headers["Authorization"] == "Bearer token-1"
    assert request.query == (("page", "1"),)


def test_a_get_is_tried_again_after_a_server_error() -> None:
    with session(Response(502, b"<html>"), Response(200, {"ok": 1})) as (http, script):
        assert http.get("things").json() == {"ok": 1}
    assert len(script.seen) == 2


def test_a_get_is_given_up_after_four_tries() -> None:
    with session(*[Response(500)] * 9) as (http, script), pytest.raises(HttpError):
        http.get("things")
    assert len(script.seen) == 4


def test_a_cut_connection_is_tried_again_for_a_get() -> None:
    with session(Response(close=True), Response(200, {"ok": 1})) as (http, _):
        assert http.get("things").json() == {"ok": 1}


@pytest.mark.parametrize("status", [400, 404, 409, 422])
def test_a_refused_get_is_not_tried_again(status: int) -> None:
    with session(Response(status, {"error": "no"})) as (http, script), pytest.raises(HttpError) as caught:
        http.get("things")
    assert caught.value.status == status
    assert len(script.seen) == 1


@pytest.mark.parametrize("answer", [Response(500), Response(502, b"<html>"), Response(408), Response(close=True)])
def test_a_delete_without_a_clear_answer_is_ambiguous_and_sent_once(answer: Response) -> None:
    with session(answer) as (http, script), pytest.raises(OutcomeUnknown):
        http.delete("things/1", Permit(), ok=(204,))
    assert len(script.requests("DELETE")) == 1


def test_a_delete_answered_by_a_promised_status_is_done() -> None:
    with session(Response(204)) as (http, _):
        assert http.delete("things/1", Permit(), ok=(204,)).status == 204


def test_a_delete_answered_by_an_unpromised_success_is_ambiguous() -> None:
    with session(Response(202, {})) as (http, _), pytest.raises(OutcomeUnknown):
        http.delete("things/1", Permit(), ok=(204,))


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirected_delete_is_not_followed_and_proves_nothing(status: int) -> None:
    with session(Response(status, None, {"Location": "/elsewhere"})) as (http, script), pytest.raises(OutcomeUnknown):
        http.delete("things/1", Permit(), ok=range(200, 300))
    assert [seen.request.path for seen in script.seen] == ["/things/1"]


def test_a_redirected_get_is_followed_within_the_same_origin() -> None:
    with session(Response(302, None, {"Location": "/new"}), Response(200, {"ok": 1})) as (http, script):
        assert http.get("old").json() == {"ok": 1}
    assert [seen.request.path for seen in script.seen] == ["/old", "/new"]


@pytest.mark.parametrize(
    "target", ["http://127.0.0.2:1/x", "https://example.com/", "//example.com/x", "ftp://127.0.0.1/"]
)
def test_a_redirect_to_another_origin_is_an_error(target: str) -> None:
    with session(Response(302, None, {"Location": target})) as (http, script), pytest.raises(HttpError):
        http.get("old")
    assert len(script.seen) == 1


def test_redirects_without_end_are_an_error() -> None:
    loop = [Response(302, None, {"Location": f"/{number}"}) for number in range(20)]
    with session(*loop) as (http, _), pytest.raises(HttpError):
        http.get("old")


def test_nothing_is_deleted_without_a_permit() -> None:
    with session() as (http, script), pytest.raises(ProviderError):
        http.delete("things/1", None, ok=(204,))  # type: ignore[arg-type]  # the mistake under test
    assert script.seen == []


def test_an_expired_token_is_renewed_once_and_the_request_repeated_once() -> None:
    token = Token()
    with session(Response(401), Response(200, {"ok": 1}), auth=token) as (http, script):
        assert http.get("things").json() == {"ok": 1}
    assert token.count == 2
    assert [seen.request.headers["Authorization"] for seen in script.seen] == ["Bearer token-1", "Bearer token-2"]


def test_a_token_refused_again_after_renewal_ends_the_matter() -> None:
    token = Token()
    with session(Response(401), Response(401), auth=token) as (http, script), pytest.raises(AccessDenied):
        http.get("things")
    assert (token.count, len(script.seen)) == (2, 2)


def test_threads_that_meet_an_expired_token_together_sign_in_once() -> None:
    token = Token()
    with session(auth=token) as (http, script):
        script.interfere.append(
            lambda request: Response(401) if request.headers["Authorization"] == "Bearer token-1" else None
        )
        threads = [threading.Thread(target=http.get, args=("things",)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert token.count == 2


def test_a_refused_sign_in_is_not_repeated_by_anybody() -> None:
    class Refused(Token):
        def sign_in(self, http: Http) -> Mapping[str, str]:
            self.count += 1
            http.authenticate("token", form={"password": "x"})
            raise AssertionError("unreachable")

    token = Refused()
    with session(Response(400, {"error": "invalid_grant"}), auth=token) as (http, script):
        for _ in range(3):
            with pytest.raises(AccessDenied, match="invalid_grant"):
                http.get("things")
    assert (token.count, len(script.seen)) == (1, 1)


def test_a_429_with_seconds_is_obeyed_and_repeated_also_for_a_delete() -> None:
    stop = NoWaiting()
    with session(Response(429, None, {"Retry-After": "7"}), Response(204), stop=stop) as (http, script):
        http.delete("things/1", Permit(), ok=(204,))
    assert len(script.seen) == 2
    assert sum(stop.waited) == pytest.approx(7, abs=0.5)


def test_a_503_to_a_delete_that_names_a_time_holds_back_the_look_that_follows() -> None:
    stop = NoWaiting()
    busy = Response(503, None, {"Retry-After": "7"})
    with session(busy, Response(200, {}), stop=stop) as (http, script):
        with pytest.raises(OutcomeUnknown):
            http.delete("things/1", Permit(), ok=(204,))
        assert stop.waited == [7]
        http.get("things/1")
    assert [seen.request.method for seen in script.seen] == ["DELETE", "GET"]
    assert stop.waited == [7, pytest.approx(7, abs=0.5)]  # as this stop does not wait, the account still does


@pytest.mark.parametrize("answer", [Response(503), Response(500, None, {"Retry-After": "7"})])
def test_only_a_503_that_names_a_time_holds_anything_back(answer: Response) -> None:
    stop = NoWaiting()
    with session(answer, stop=stop) as (http, _), pytest.raises(OutcomeUnknown):
        http.delete("things/1", Permit(), ok=(204,))
    assert stop.waited == []


def test_a_503_to_a_delete_that_asks_for_longer_than_the_run_may_last_is_not_waited_for() -> None:
    stop = Deadline(deadline=time.monotonic() + 60)
    with session(Response(503, None, {"Retry-After": "21600"}), stop=stop) as (http, script):
        with pytest.raises(OutcomeUnknown, match="503"):
            http.delete("things/1", Permit(), ok=(204,))
        with stop.finishing(), pytest.raises(Stopped, match="could not be finished in time"):
            http.get("things/1")
        with pytest.raises(Stopped, match="max_runtime"):
            http.delete("things/2", Permit(), ok=(204,))
    assert len(script.seen) == 1


def test_a_429_with_a_date_is_obeyed() -> None:
    stop = NoWaiting()
    when = format_datetime(NOW + timedelta(seconds=12), usegmt=True)
    with session(Response(429, None, {"Retry-After": when}), Response(200, {}), stop=stop) as (http, _):
        http.get("things")
    assert sum(stop.waited) == pytest.approx(12, abs=0.5)


def test_a_429_that_asks_for_longer_than_the_run_may_last_ends_the_waiting() -> None:
    stop = Deadline(deadline=0.0)
    stop.deadline = time.monotonic() + 60
    with session(Response(429, None, {"Retry-After": "21600"}), stop=stop) as (http, script), pytest.raises(Stopped):
        http.get("things")
    assert len(script.seen) == 1


def test_a_429_without_a_hint_waits_for_the_next_window_of_the_rate() -> None:
    stop = NoWaiting()
    script = Script(Response(429), Response(200, {}))
    with Server(script) as server:
        http = Http(server.url, auth=Token(), rate=Pace(10, 60), stop=stop, clock=lambda: NOW)
        http.get("things")
        http.close()
    assert sum(stop.waited) == pytest.approx(60, abs=1)


def test_a_stopped_run_sends_nothing_more() -> None:
    stop = Deadline()
    stop.asked.set()
    with session(stop=stop) as (http, script), pytest.raises(Stopped):
        http.get("things")
    assert script.seen == []


def test_what_was_begun_is_finished_in_spite_of_a_stop() -> None:
    stop = Deadline()
    stop.asked.set()
    with session(stop=stop) as (http, script), stop.finishing():
        http.get("things")
    assert len(script.seen) == 1


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"null", b"3", b'"text"', b"{", b"[" * 100_000])
def test_an_answer_that_is_not_a_json_object_is_an_error(body: bytes) -> None:
    with session(Response(200, body)) as (http, _), pytest.raises(ProviderError):
        http.get("things").json()


def test_an_answer_too_large_is_an_error_and_not_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("confcleanup.http.answer.MAX_ANSWER", 1000)
    with session(Response(200, b"x" * 2000)) as (http, script), pytest.raises(ProviderError, match="larger"):
        http.get("things")
    assert len(script.seen) == 1


@pytest.mark.parametrize("location", ["/new", "http://[", ""])
def test_a_redirect_too_large_is_an_error_wherever_it_leads(location: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("confcleanup.http.answer.MAX_ANSWER", 1000)
    redirect = Response(302, b"x" * 2000, {"Location": location})
    with session(redirect) as (http, script), pytest.raises(ProviderError, match="larger"):
        http.get("things")
    assert len(script.seen) == 1


def test_a_small_answer_that_unpacks_to_a_huge_one_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("confcleanup.http.answer.MAX_ANSWER", 1_000_000)
    bomb = gzip.compress(b"0" * 50_000_000)
    with (
        session(Response(200, bomb, {"Content-Encoding": "gzip"})) as (http, _),
        pytest.raises(ProviderError, match="larger"),
    ):
        http.get("things")


def test_a_truncated_answer_is_no_answer() -> None:
    with (
        session(
            *[
                Response(
                    200,
                    b"{}",
                    {"Content-Length": "500"},
                )
                for _ in range(4)
            ],
            timeout=timedelta(seconds=0.2),
        ) as (http, _),
        pytest.raises(HttpError),
    ):
        http.get("things")


def test_a_server_that_cannot_be_reached_is_not_an_unknown_outcome() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    http = Http(f"http://127.0.0.1:{port}", auth=Token(), rate=UNLIMITED, stop=NoWaiting())
    with pytest.raises(HttpError) as caught:
        http.delete("things/1", Permit(), ok=(204,))
    assert not isinstance(caught.value, OutcomeUnknown)


def test_a_certificate_nobody_vouches_for_is_refused_and_the_ca_file_helps(tmp_path: Any) -> None:
    authority = trustme.CA()
    script = Script()
    with Server(script) as server:
        import ssl

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1").configure_cert(context)
        server._server.socket = context.wrap_socket(server._server.socket, server_side=True)
        url = f"https://127.0.0.1:{server.port}"
        with pytest.raises(HttpError, match="certificate"):
            Http(url, auth=Token(), rate=UNLIMITED, stop=NoWaiting()).get("things")
        ca_file = tmp_path / "ca.pem"
        authority.cert_pem.write_to_path(ca_file)
        trusting = Http(url, auth=Token(), rate=UNLIMITED, stop=NoWaiting(), ca_file=str(ca_file))
        assert trusting.get("things").status == 200
        trusting.close()


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        " . ",
        "\t",
        "a/..",
        "../x",
        "a//b",
        "/",
        "a/",
        "%2e%2e",
        "%2E",
        "a%2F..",
        "x\x00",
        "\\..\\",
    ],
)
def test_a_name_that_could_address_something_else_is_refused(name: str) -> None:
    with pytest.raises(UnsafeId):
        segment(name)


@pytest.mark.parametrize(
    ("name", "sent"),
    [
        ("0073310045", "0073310045"),
        ("0000001c@host#vcs", "0000001c%40host%23vcs"),
        ("a b", "a%20b"),
        ("a/b", "a%2Fb"),
        ("50%", "50%25"),
        ("a?b&c=d", "a%3Fb%26c%3Dd"),
        ("Ünï", "%C3%9Cn%C3%AF"),
        ("...", "..."),
        ("~", "~"),
    ],
)
def test_a_name_arrives_as_one_segment_exactly_as_it_is(name: str, sent: str) -> None:
    with session(base="/base") as (http, script):
        http.delete(path("things", name, slash=True), Permit(), ok=(200,))
    (request,) = script.requests("DELETE")
    assert request.path == f"/base/things/{sent}/"
    assert request.segments == ("base", "things", name, "")


@given(st.text(max_size=40))
def test_any_name_is_refused_or_stays_one_segment(name: str) -> None:
    try:
        where = path("api", "Conference", name, slash=True)
    except UnsafeId:
        return
    target = as_meant(f"http://127.0.0.1/{where}")
    assert target.count("/") == 6
    assert Request("DELETE", target.removeprefix("http://127.0.0.1"), (), {}).segments == (
        "api",
        "Conference",
        name,
        "",
    )


def test_a_query_is_encoded_exactly_once() -> None:
    with session() as (http, script):
        http.get("things", [("start:lte", "2026-01-01T00:00:00+0000"), ("tag", "a&state=running#ü")])
    (request,) = script.requests("GET")
    assert dict(request.query) == {"start:lte": "2026-01-01T00:00:00+0000", "tag": "a&state=running#ü"}


@pytest.mark.parametrize("base", ["", "/", "/deep/base", "/deep/base/"])
def test_a_trailing_slash_of_the_account_url_is_no_matter(base: str) -> None:
    with session(base=base) as (http, script):
        http.get("things")
    assert script.seen[0].request.path == base.rstrip("/") + "/things"


def test_a_cookie_is_never_sent_back() -> None:
    with session(Response(200, {}, {"Set-Cookie": "session=1"})) as (http, script):
        http.get("things")
        http.get("things")
    assert "Cookie" not in script.seen[1].request.headers


def test_connections_are_kept() -> None:
    ports: set[int] = set()
    with session() as (http, script):
        script.interfere.append(lambda request: None)
        for _ in range(5):
            http.get("things")
        ports.update(pool.num_connections for pool in _pools(http))
    assert ports == {1}


def test_closing_lets_go_of_the_connections_and_the_next_request_makes_new_ones() -> None:
    with session() as (http, script):
        script.interfere.append(lambda request: None)
        http.get("things")
        pool = weakref.ref(_pools(http)[0])
        http.close()
        gc.collect()
        assert pool() is None
        assert http.get("things").status


def _pools(http: Http) -> list[Any]:
    manager = http._session.get_adapter("http://").poolmanager  # type: ignore[attr-defined]  # HTTPAdapter has it
    return [manager.pools[key] for key in manager.pools.keys()]  # noqa: SIM118  # not a mapping


def test_the_clocks_difference_is_read_from_the_date_header() -> None:
    late = format_datetime(NOW + timedelta(hours=2), usegmt=True)
    with session(Response(200, {}, {"Date": late})) as (http, _):
        http.get("things")
        assert http.skew == timedelta(hours=2)


def test_a_date_header_that_cannot_be_read_is_no_difference() -> None:
    with session(Response(200, {}, {"Date": "yesterday"})) as (http, _):
        http.get("things")
        assert http.skew is None


def test_requests_are_logged_without_query_headers_or_bodies(caplog: pytest.LogCaptureFixture) -> None:
    with (
        caplog.at_level(logging.DEBUG, logger="confcleanup"),
        session(Response(200, {"password": "hunter2"})) as (http, _),
    ):
        http.get("things", [("access_token", "tok-secret")])
    text = caplog.text
    assert "/things" in text
    assert "hunter2" not in text
    assert "tok-secret" not in text
    assert "Bearer" not in text


def test_the_vendors_message_is_part_of_the_error_and_harmless() -> None:
    body = {"error": {"code": 409, "errors": [{"reason": "busy", "message": "in \x1b[31muse"}]}}
    with session(Response(409, body)) as (http, _), pytest.raises(HttpError) as caught:
        http.get("things")
    assert "busy" in str(caught.value)
    assert "\x1b" not in str(caught.value)


class Ticking:
    """A clock that moves when told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def wait(self, seconds: float) -> None:
        self.now += seconds


def grants(limiter: RateLimiter, clock: Ticking, count: int) -> list[float]:
    granted = []
    for _ in range(count):
        limiter.acquire(clock.wait)
        granted.append(clock.now)
    return granted


@pytest.mark.parametrize("pace", [Pace(10, 60), Pace(300, 60), Pace(50, 1), Pace(1, 1), Pace(500, 3600)])
def test_no_window_ever_holds_more_than_the_rate_and_almost_all_of_it_is_used(pace: Pace) -> None:
    clock = Ticking()
    times = grants(RateLimiter(pace, clock), clock, pace.count * 5)
    for start in times:
        assert sum(start <= at < start + pace.seconds for at in times) <= pace.count
    assert len(times) / (times[-1] - times[0] + 0.001) >= 0.98 * pace.count / pace.seconds


def test_unlimited_is_unlimited() -> None:
    clock = Ticking()
    assert set(grants(RateLimiter(UNLIMITED, clock), clock, 1000)) == {100.0}


def test_a_pause_holds_back_everybody() -> None:
    clock = Ticking()
    limiter = RateLimiter(UNLIMITED, clock)
    limiter.pause(30)
    waits: list[float] = []
    limiter.acquire(waits.append)
    limiter.acquire(waits.append)
    assert waits == [30, 30]


@pytest.mark.parametrize("pace", [Pace(10, 60), Pace(300, 60), Pace(50, 1)])
def test_who_was_waiting_for_a_turn_when_a_pause_began_waits_for_its_end_too(pace: Pace) -> None:
    clock = Ticking()
    limiter = RateLimiter(pace, clock)
    waits: list[float] = []

    def wait(seconds: float) -> None:
        waits.append(seconds)
        clock.now += seconds
        if len(waits) == pace.count:
            limiter.pause(200)

    for _ in range(pace.count + 1):
        limiter.acquire(wait)
    assert sum(waits[:-1]) == pytest.approx(pace.seconds * 1.005 + 0.005)
    assert waits[-1] == 200


def test_the_requests_of_a_window_are_spread_over_a_second() -> None:
    clock = Ticking()
    assert grants(RateLimiter(Pace(10, 60), clock), clock, 10) == pytest.approx(
        [100 + number / 10 for number in range(10)]
    )


def test_who_wakes_late_does_not_bring_the_next_window_closer() -> None:
    clock = Ticking()
    limiter = RateLimiter(Pace(2, 10), clock)
    begun: list[float] = []

    def wait(seconds: float) -> None:
        clock.now += seconds + (3 if len(begun) == 2 else 0)

    for _ in range(5):
        limiter.acquire(wait)
        begun.append(clock.now)
    assert begun[2] - begun[0] > 13
    assert begun[4] - begun[2] >= 10


def test_a_turn_that_is_free_is_taken_without_waiting() -> None:
    RateLimiter(UNLIMITED, Ticking()).acquire(pytest.fail)


@given(st.integers(1, 20), st.lists(st.tuples(st.integers(0, 30), st.sampled_from([0, 0, 0, 3, 45])), max_size=60))
def test_whatever_pauses_come_no_window_holds_more_than_the_rate(count: int, steps: list[tuple[int, int]]) -> None:
    clock = Ticking()
    limiter = RateLimiter(Pace(count, 60), clock)
    begun: list[float] = []

    def wait(seconds: float) -> None:
        clock.now += seconds

    for passed, pause in steps:
        clock.now += passed / 10
        if pause:
            limiter.pause(pause)
        limiter.acquire(wait)
        begun.append(clock.now)
    for start in begun:
        assert sum(start <= at < start + 60 for at in begun) <= count


@given(
    st.sampled_from([Pace(1, 1), Pace(2, 60), Pace(3, 10), Pace(10, 60), Pace(20, 1)]),
    st.lists(st.tuples(st.integers(0, 30), st.integers(0, 15), st.booleans()), min_size=1, max_size=40),
)
def test_pairs_follow_each_other_within_two_seconds_at_any_rate_and_no_window_is_exceeded(
    pace: Pace, steps: list[tuple[int, int, bool]]
) -> None:
    clock = Ticking()
    limiter = RateLimiter(pace, clock)
    begun: list[float] = []
    assert limiter.spread(2) <= 1.5
    for passed, answered, second in steps:
        clock.now += passed / 10
        with limiter.together(2, clock.wait):
            limiter.acquire(clock.wait)
            begun.append(clock.now)
            clock.now += answered / 30
            if second:
                limiter.acquire(clock.wait)
                assert clock.now - begun[-1] <= 2
                begun.append(clock.now)
    for start in begun:
        assert sum(start <= at < start + pace.seconds for at in begun) <= pace.count


def test_a_place_that_is_not_used_is_given_back() -> None:
    clock = Ticking()
    limiter = RateLimiter(Pace(2, 10), clock)
    with limiter.together(2, clock.wait):
        limiter.acquire(clock.wait)
    limiter.acquire(clock.wait)
    assert clock.now == 100 + limiter.spread(2)


def test_a_pair_that_no_rate_carries_is_known_before() -> None:
    assert RateLimiter(Pace(1, 60), Ticking()).spread(2) > 60
    assert RateLimiter(UNLIMITED, Ticking()).spread(2) == 0


def test_a_pause_between_a_look_and_its_deletion_lets_go_of_the_place() -> None:
    clock = Ticking()
    limiter = RateLimiter(Pace(20, 1), clock)
    with limiter.together(2, clock.wait):
        limiter.acquire(clock.wait)
        limiter.pause(30)
        limiter.acquire(clock.wait)
    assert clock.now >= 130


@pytest.mark.parametrize("sleeper", [0, 1], ids=["the process waited", "the machine slept"])
def test_a_look_is_fresh_for_two_seconds_by_whichever_clock_went_on(sleeper: int) -> None:
    clocks = [Ticking(), Ticking()]
    look = Look(*clocks)
    clocks[sleeper].now += 1.9
    look.require_fresh()
    with pytest.raises(Stale):
        look.require_fresh(0.2)
    clocks[sleeper].now += 0.2
    with pytest.raises(Stale, match="2 seconds"):
        look.require_fresh()


def aged(seconds: float) -> Permit:
    """A permit whose look was so long ago."""
    clock = Ticking()
    look = Look(clock, clock)
    clock.now += seconds
    return Permit(look)


def test_a_request_whose_look_is_too_old_is_not_sent() -> None:
    with session(Response(204)) as (http, script), pytest.raises(Stale):
        http.delete("things/1", aged(2.1), ok={204})
    assert script.seen == []


def test_a_request_whose_look_is_fresh_is_sent() -> None:
    with session(Response(204)) as (http, _):
        assert http.delete("things/1", aged(1.9), ok={204}).status == 204


def test_after_a_429_a_request_that_rests_on_a_look_is_not_repeated_by_itself() -> None:
    with session(Response(429, {}, {"Retry-After": "1"}), Response(204)) as (http, script), pytest.raises(Stale):
        http.delete("things/1", aged(0), ok={204})
    assert len(script.seen) == 1


def test_what_grew_too_old_while_it_was_connected_is_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Ticking()
    permit = Permit(Look(clock, clock))
    connect = wire.Connection.connect

    def slowly(self: Any) -> None:
        connect(self)
        clock.now += 3

    monkeypatch.setattr(wire.Connection, "connect", slowly)
    with session(Response(204)) as (http, script), pytest.raises(Stale):
        http.delete("things/1", permit, ok={204})
    assert script.seen == []


@pytest.mark.parametrize(
    ("answer", "proven"),
    [
        (Response(204), True),
        (Response(200), True),
        (Response(200, {"id": "1"}), True),
        (Response(200, b"[]"), True),
        (Response(200, b"<html>sign in</html>"), False),
        (Response(200, {"error": "no"}), False),
        (Response(200, {"errors": [{"reason": "x"}]}), False),
        (Response(200, b'"text"'), False),
    ],
    ids=lambda value: repr(getattr(value, "body", value)),
)
def test_a_success_proves_a_deletion_unless_its_body_contradicts(answer: Response, proven: bool) -> None:
    with session(answer) as (http, _):
        if proven:
            http.delete("things/1", Permit(), ok={200, 204})
        else:
            with pytest.raises(OutcomeUnknown):
                http.delete("things/1", Permit(), ok={200, 204})


def test_a_request_is_not_begun_if_its_turn_comes_after_the_end_of_the_run() -> None:
    import time

    stop = Deadline(deadline=time.monotonic() + 5)
    script = Script()
    with Server(script) as server:
        http = Http(server.url, auth=Token(), rate=Pace(1, 3600), stop=stop)
        http.get("things")
        with pytest.raises(Stopped):
            http.get("things")
        http.close()
    assert len(script.seen) == 1


@pytest.mark.parametrize("target", ["/other", "/basement", "/base/../admin", "/base%2F..%2Fadmin/"])
def test_a_redirect_out_of_the_accounts_base_is_an_error(target: str) -> None:
    redirect = Response(302, None, {"Location": target})
    with session(redirect, base="/base") as (http, script), pytest.raises(ProviderError):
        http.get("old")
    assert len(script.seen) == 1


@given(
    st.text()
    | st.binary()
    | st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    ).map(json.dumps)
)
def test_an_answer_is_read_as_the_standard_library_reads_it(body: str | bytes) -> None:
    content = body.encode("utf-8", "surrogatepass") if isinstance(body, str) else body
    try:
        expected = json.loads(content)
    except (ValueError, RecursionError):
        expected = None
    assert repr(Answer(200, {}, content).any_json()) == repr(expected)


@pytest.mark.parametrize("content", [b'"\\ud800"', b"[NaN, 1e400]", b"\xef\xbb\xbf{}", b"[" * 100_000, b"9" * 5000])
def test_odd_json_is_read_or_is_none(content: bytes) -> None:
    try:
        expected = json.loads(content)
    except (ValueError, RecursionError):
        expected = None
    assert repr(Answer(200, {}, content).any_json()) == repr(expected)
