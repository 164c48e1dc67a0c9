"""Files that are downloaded: who sees the sign-in, where nothing is fetched from, what is a file."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import cycle
from typing import Any
from urllib.parse import urlsplit

import pytest
import trustme

from confcleanup.errors import HttpError
from confcleanup.http.client import Http
from confcleanup.http.download import FileGuard
from confcleanup.http.proxies import proxies
from confcleanup.http.urls import reach
from confcleanup.sandbox.server import Response, Server
from tests.http.test_client import UNLIMITED, Script, Token, session
from tests.providers.waiting import NoWaiting


def names(monkeypatch: pytest.MonkeyPatch, **hosts: str | list[str]) -> list[str]:
    """Lets names (with _ for a dot) lead to these addresses, one after the other; what was asked for, in order."""
    asked: list[str] = []
    original = socket.getaddrinfo
    known = {name.replace("_", "."): iter(a) if isinstance(a, list) else cycle([a]) for name, a in hosts.items()}

    def look_up(host: Any, *args: Any, **kwargs: Any) -> Any:
        if host in known:
            asked.append(host)
            return original(next(known[host]), *args, **kwargs)
        return original(host, *args, **kwargs | {"flags": socket.AI_NUMERICHOST})  # the tests ask no name server

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return asked


SOUND = Response(200, b"RIFF\x24\0\0\0WAVEfmt ", {"Content-Type": "audio/mpeg"})


def fetched(http: Http, url: str, **options: Any) -> bytes:
    with http.download(url, **options) as chunks:
        return b"".join(chunks)


@contextmanager
def encrypted(*hosts: str) -> Iterator[tuple[Script, int, str]]:
    """A server on loopback with a certificate for these names; its log, its port, and the file that vouches for it."""
    authority, script = trustme.CA(), Script()
    script.answers = [SOUND] * 20
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*hosts).configure_cert(context)
    with authority.cert_pem.tempfile() as ca_file, Server(script) as server:
        server._server.socket = context.wrap_socket(server._server.socket, server_side=True)
        yield script, server.port, ca_file


@pytest.mark.parametrize(
    ("host", "signed"),
    [
        ("media.vobiz.ai", True),
        ("api.vobiz.ai", True),
        ("vobiz.ai", False),
        ("evilvobiz.ai", False),
        ("media.vobiz.ai.evil.example", False),
    ],
)
def test_the_sign_in_goes_to_the_accounts_own_host_and_its_media_hosts_alone(
    host: str, signed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    names(monkeypatch, **{"api_vobiz_ai": "127.0.0.1", host.replace(".", "_"): "127.0.0.1"})
    with encrypted("api.vobiz.ai", host) as (script, port, ca_file):
        http = Http(
            f"https://api.vobiz.ai:{port}",
            auth=Token(),
            rate=UNLIMITED,
            stop=NoWaiting(),
            ca_file=ca_file,
            media_hosts=["*.vobiz.ai"],
        )
        assert fetched(http, f"https://{host}:{port}/r.mp3") == SOUND.body
        assert ("Authorization" in script.seen[0].request.headers) == signed
        http.close()


def test_the_sign_in_never_goes_to_a_media_host_in_clear_text() -> None:
    guard = FileGuard("https://api.vobiz.ai", ["media.vobiz.ai"])
    assert guard.may_see_sign_in("https://media.vobiz.ai/r.mp3")
    assert not guard.may_see_sign_in("http://media.vobiz.ai/r.mp3")
    assert not guard.may_see_sign_in("https://evil.example%2f.media.vobiz.ai/r.mp3")


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "10.1.2.3", "192.168.1.1", "172.16.0.1", "169.254.169.254", "100.64.0.1", "0.0.0.0"),
        *("224.0.0.1", "255.255.255.255", "192.0.2.1", "::1", "::", "fe80::1", "fc00::1", "ff02::1", "fec0::1"),
        *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::a00:1", "2002:7f00:1::"),
    ],
)
def test_nothing_is_fetched_from_a_network_that_is_not_the_accounts_own(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    names(monkeypatch, api_vobiz_ai="8.8.8.8", media_vobiz_ai=address)
    http = Http("https://api.vobiz.ai", auth=Token(), rate=UNLIMITED, stop=NoWaiting(), media_hosts=["*.vobiz.ai"])
    literal = f"[{address}]" if ":" in address else address
    for host in ("media.vobiz.ai", literal):
        with pytest.raises(HttpError, match="from which no file is fetched"):
            fetched(http, f"https://{host}/r.mp3?signature=abcdef")


@pytest.mark.parametrize("address", ["8.8.8.8", "2001:4860:4860::8888", "::ffff:8.8.8.8", "64:ff9b::808:808"])
def test_an_address_of_the_internet_is_one(address: str) -> None:
    assert reach(address) is None


@pytest.mark.parametrize("odd", ["127.1", "2130706433", "0x7f.1", "localhost", "LOCALHOST", "localhost."])
def test_another_spelling_of_this_machine_is_found_out(odd: str, monkeypatch: pytest.MonkeyPatch) -> None:
    names(monkeypatch, api_vobiz_ai="8.8.8.8", localhost="127.0.0.1", localhost_="127.0.0.1")
    http = Http("https://api.vobiz.ai", auth=Token(), rate=UNLIMITED, stop=NoWaiting())
    with pytest.raises(HttpError, match="loopback address"):
        fetched(http, f"https://{odd}/r.mp3")


def test_a_name_that_leads_elsewhere_the_next_moment_is_connected_to_where_it_was_judged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with session(SOUND) as (http, _):
        port = urlsplit(http.base).port
        asked = names(monkeypatch, localhost=["127.0.0.1", "10.0.0.1"])
        assert fetched(http, f"http://localhost:{port}/r.mp3") == SOUND.body
    assert asked == ["localhost"]


def test_one_forbidden_address_among_several_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("confcleanup.http.transport._addresses", lambda host, port, flags=0: ["8.8.8.8", "10.0.0.1"])
    monkeypatch.setattr("confcleanup.http.transport.networks", lambda host, numeric=False: frozenset())
    http = Http("https://api.vobiz.ai", auth=Token(), rate=UNLIMITED, stop=NoWaiting())
    with pytest.raises(HttpError, match=r"media\.vobiz\.ai has a private address"):
        fetched(http, "https://media.vobiz.ai/r.mp3")


def test_an_account_in_a_private_network_has_its_files_there_but_not_at_the_clouds_metadata_service(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names(monkeypatch, vobiz_corp_example="10.0.0.5")
    guard = FileGuard("https://vobiz.corp.example", [])
    assert guard.is_near("private")
    assert not guard.is_near("link-local")
    assert not guard.is_near("loopback")


def test_through_a_proxy_which_resolves_names_itself_a_numeric_address_is_judged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names(monkeypatch)
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    proxies.cache_clear()
    http = Http("https://api.vobiz.ai", auth=Token(), rate=UNLIMITED, stop=NoWaiting())
    for odd in ("10.0.0.1", "127.1", "[::ffff:a9fe:a9fe]"):
        with pytest.raises(HttpError, match="from which no file is fetched"):
            fetched(http, f"https://{odd}/r.mp3")
    with pytest.raises(HttpError, match=r"the proxy .* refused the connection"):  # it is nobody here
        fetched(http, "https://media.vobiz.ai/r.mp3")
    proxies.cache_clear()


@pytest.mark.parametrize(
    "url",
    [
        "http://media.vobiz.ai/r.mp3",
        "ftp://media.vobiz.ai/r.mp3",
        "https://user:pass@media.vobiz.ai/r.mp3",
        "https://evil.example\\@media.vobiz.ai/r.mp3",
        "https://[",
        "https://media.vobiz.ai:99999/r.mp3",
        "https:///r.mp3",
        "/r.mp3",
        "https://exa mple/r.mp3",
        "https://*.example/r.mp3",
    ],
)
def test_an_address_that_cannot_be_used_is_not_shown_either(url: str) -> None:
    http = Http("https://api.vobiz.ai", auth=Token(), rate=UNLIMITED, stop=NoWaiting())
    with pytest.raises(HttpError) as caught:
        fetched(http, url + "?signature=abcdef")
    assert "abcdef" not in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "taken"),
    [
        ("audio/mpeg", True),
        ("Video/MP4; codecs=x", True),
        ("application/octet-stream", True),
        ("binary/octet-stream", True),
        ("application/ogg", True),
        ("", True),
        ("text/plain", False),
        ("application/problem+json", False),
        ("image/png", False),
        ("application/zip", False),
    ],
)
def test_a_file_comes_under_a_type_of_sound_or_pictures_or_under_none(kind: str, taken: bool) -> None:
    with session(Response(200, SOUND.body, {"Content-Type": kind})) as (http, _):
        if taken:
            assert fetched(http, http.base + "/r.mp3") == SOUND.body
        else:
            with pytest.raises(HttpError, match="no media file but"):
                fetched(http, http.base + "/r.mp3")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_of_a_file_is_followed_where_that_is_asked_for(status: int) -> None:
    with session(Response(status, None, {"Location": "/there"}), SOUND) as (http, script):
        assert fetched(http, http.base + "/here", redirects=1) == SOUND.body
        assert [seen.request.path for seen in script.seen] == ["/here", "/there"]
    with session(Response(status, None, {"Location": "/there"}), SOUND) as (http, script):
        with pytest.raises(HttpError, match=str(status)):
            fetched(http, http.base + "/here")
        assert len(script.seen) == 1


def test_headers_of_a_file_do_not_go_along_with_a_redirect() -> None:
    with session(Response(302, None, {"Location": "/there"}), SOUND) as (http, script):
        fetched(http, http.base + "/here", headers={"X-Token": "once"}, signed=False, redirects=1)
        assert [seen.request.headers.get("X-Token") for seen in script.seen] == ["once", None]


@pytest.mark.parametrize("location", ["", "http://[", "ftp://x/y", "https://user@x/?sign=abcdef"])
def test_a_redirect_to_what_is_no_address_is_an_error_that_does_not_show_it(location: str) -> None:
    answers = [Response(302, None, {"Location": location})] * 3
    with session(*answers) as (http, _), pytest.raises(HttpError) as caught:
        fetched(http, http.base + "/here", redirects=2)
    assert "abcdef" not in str(caught.value)
