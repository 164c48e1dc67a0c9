"""Files that are downloaded: where from, who sees the sign-in, and what is taken for a file."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Protocol
from urllib.parse import urljoin, urlsplit

import requests
import urllib3

from ..deadline import Deadline
from ..errors import AccessDenied, HttpError
from ..redact import harmless
from ..settings.tables import is_loopback, url_mistake
from . import transport
from .answer import REDIRECTS, Answer, next_step, refusal
from .failures import NETWORK_ERRORS, Asked, transport_error
from .proxies import proxies
from .urls import origin

MEDIA = re.compile(r"(audio|video)/.*|(application|binary)/octet-stream|application/(ogg|mp4)|")
"""Types under which a server sends sound or pictures; no type may be any."""


class FileGuard:
    """Decides where an account's files may be fetched from, and where its sign-in goes along.

    ``media_hosts`` are hosts (``*.`` for all below a domain) that may see the sign-in.
    """

    def __init__(self, base: str, media_hosts: Collection[str]) -> None:
        self._base = base
        self._media_hosts = media_hosts
        self._own_networks: frozenset[str] | None = None

    def check(self, url: str) -> None:
        """Raises HttpError for what is no address, and for clear text where the account's own url has none."""
        own = urlsplit(self._base)
        insecure = own.scheme == "http" and not is_loopback(own.hostname or "")
        try:
            parts, mistake = urlsplit(url), url_mistake(url.partition("?")[0], insecure)
            requests.Request("GET", url).prepare()
        except (ValueError, requests.RequestException, urllib3.exceptions.HTTPError):
            mistake = "it cannot be read"
        if mistake or parts.scheme not in ("https", own.scheme):
            raise HttpError("the download's address cannot be used")
        if proxies(origin(url)):  # the proxy resolves names, so only a numeric address can be judged
            for network in transport.networks(parts.hostname or "", numeric=True):
                if not self.is_near(network):
                    raise HttpError(transport.forbidden(parts.hostname or "", network))

    def may_see_sign_in(self, url: str) -> bool:
        """Whether an address is the account's own (one machine has several loopback names), or on a media host."""
        there, own = urlsplit(url), urlsplit(self._base)
        host, home = there.hostname or "", own.hostname or ""
        same = host == home or (is_loopback(host) and is_loopback(home))
        if same and (there.scheme, there.port) == (own.scheme, own.port):
            return True
        return there.scheme == "https" and any(_names(name, host) for name in self._media_hosts)

    def is_near(self, network: str) -> bool:
        """Whether the account's own url is in such a network, so that its files may be there too."""
        if self._own_networks is None:
            host = urlsplit(self._base).hostname or ""
            self._own_networks = transport.networks(host, numeric=bool(proxies(origin(self._base))))
        return network in self._own_networks


class Client(Protocol):
    """What a download needs of the account's client."""

    stop: Deadline

    def signed_in(self, send: Callable[[Mapping[str, str]], Answer]) -> Answer:
        """Sends with the current sign-in, and once more with a new one if it has run out."""

    def open_file(self, url: str, headers: Mapping[str, str]) -> requests.Response:
        """Asks for a file at the account's pace; its body is still to be read."""


def file_asked(url: str, timeout: float = 0.0) -> Asked:
    """The request for a file, as its errors speak of it."""
    return Asked("GET", "read the file", url, timeout=timeout)


@contextmanager
def download(
    client: Client,
    guard: FileGuard,
    url: str,
    headers: Mapping[str, str],
    *,
    signed: bool,
    sized: bool,
    redirects: int,
) -> Iterator[Iterator[bytes]]:
    """A file, chunk by chunk; see ``Http.download``."""
    given = {"Accept": "*/*", "Accept-Encoding": "identity"}
    response = _open(client, guard, url, {**given, **headers}, signed, redirects > 0)
    for left in range(redirects - 1, -1, -1):
        if response.status_code == 200:
            break
        with response:
            url = _elsewhere(url, response.headers.get("Location", ""))
        response = _open(client, guard, url, given, signed, left > 0)
    with response:
        _require_media(response.headers, sized)
        yield _chunks(client.stop, response, url)


def _open(
    client: Client, guard: FileGuard, url: str, headers: Mapping[str, str], signed: bool, redirect: bool
) -> requests.Response:
    """The head of a file, or of a redirect where one may come. No error names more of an address than its host."""
    url = url.partition("#")[0]  # a fragment is no part of what is asked for
    guard.check(url)
    own = signed and guard.may_see_sign_in(url)
    opened: list[requests.Response] = []

    def begin(sign_in: Mapping[str, str]) -> Answer:
        response = client.open_file(url, {**sign_in, **headers})
        answer = Answer(response.status_code, response.headers, b"")
        if answer.status == 200 or (redirect and answer.status in REDIRECTS):
            opened.append(response)
            return answer
        with response:
            asked = file_asked(url)
            raise refusal(answer, asked).completed(advice=next_step(answer, asked))

    try:
        client.signed_in(begin) if own else begin({})
    except AccessDenied as error:  # of this file: its address may have run out; the account may still be fine
        advice = "its address may have run out: the next run gets another"
        if signed and not own:
            host = harmless(urlsplit(url).hostname or "")
            advice = f"it lies on {host}, where the account's sign-in is never sent"
        raise HttpError(error.what, error.status, error.body, advice=advice) from None
    return opened[0]


def _require_media(headers: Mapping[str, str], sized: bool) -> None:
    """Raises HttpError for a type that no audio or video has, and where a cut could not be noticed."""
    kind = headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if not MEDIA.fullmatch(kind):
        raise HttpError(f"the download is no media file but {harmless(kind)}")
    chunked = "chunked" in headers.get("Transfer-Encoding", "").lower()
    if not (sized or chunked or headers.get("Content-Length", "").isdigit()):
        raise HttpError("the download does not say how long it is, so that a cut could not be noticed")


def _chunks(stop: Deadline, response: requests.Response, url: str) -> Iterator[bytes]:
    size = 0
    try:
        while chunk := response.raw.read1(1024 * 1024):
            stop.check()
            size += len(chunk)
            yield chunk
    except NETWORK_ERRORS as error:
        raise transport_error(error, file_asked(url)) from None
    promised = response.headers.get("Content-Length", "")
    if promised.isdigit() and size != int(promised):
        raise HttpError(f"the download ended after {size} of {promised} bytes")


def _names(name: str, host: str) -> bool:
    """Whether a media host's name is this host, or with ``*.`` the domain that it is below."""
    plain = re.fullmatch("[a-z0-9.-]+", host) is not None
    return plain and (host.endswith(name[1:]) if name.startswith("*.") else host == name)


def _elsewhere(url: str, location: str) -> str:
    """Where a file's redirect leads. Raises HttpError without showing the address, which may be a signed one."""
    try:
        return urljoin(url, location)
    except ValueError:
        raise HttpError("the download is redirected to an address that cannot be read") from None
