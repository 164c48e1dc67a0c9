"""One HTTP session for an account: the only place where requests are made and statuses become errors.

- A method that changes something needs a ``Permit``, which only the deleter has; a dry run has none.
- TLS is always verified, time-outs are always set, an answer's size and total time are bounded.
- Reading is retried, with a limit; changing is not: whoever asked looks before asking again."""

from __future__ import annotations

import logging
import re
import ssl
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote, urlencode, urljoin, urlsplit

import requests
import urllib3

from ..deadline import Deadline, Look
from ..errors import AccessDenied, HttpError, OutcomeUnknown, ProviderError, Stale, Stopped
from ..redact import harmless
from ..settings.tables import AccountSettings, is_loopback, url_mistake
from ..settings.values import Pace
from . import transport as wire
from .answer import Answer, _refusal, _said, uncontradicted
from .rate_limit import RateLimiter, backoff
from .urls import as_meant

log = logging.getLogger(__name__)
TRIES = 4
MAX_ANSWER = 64 * 1024 * 1024
MAX_PAUSE = 60.0
RETRIED = frozenset({None, 429, 500, 502, 503, 504})
"""Answers to a GET that may be better a moment later; None is no answer at all."""
MEDIA = re.compile(r"(audio|video)/.*|(application|binary)/octet-stream|application/(ogg|mp4)|")
"""Types under which a server sends sound or pictures; no type may be any."""
REDIRECTS = frozenset({301, 302, 303, 307, 308})


class Permit:
    """The right to change something at a vendor. Made by the deleter alone, handed down by it.

    With a ``look``, it is a right for ``pace.FRESH`` seconds: what could not leave by then raises Stale.
    """

    def __init__(self, look: Look | None = None) -> None:
        self._look = look

    @property
    def lapses(self) -> bool:
        """Whether the right ends with its look."""
        return self._look is not None

    def require_fresh(self, ahead: float = 0.0) -> None:
        """Raises Stale if the right has lapsed, or will have ``ahead`` seconds from now."""
        if self._look:
            self._look.require_fresh(ahead)


class Auth(Protocol):
    """How an account signs in."""

    def sign_in(self, http: Http) -> Mapping[str, str]:
        """The headers to send with every request. Raises AccessDenied."""

    def token_expired(self, error: HttpError) -> bool:
        """Whether this refusal means that the sign-in has run out, so that a new one may help."""


class Gate(Protocol):
    """What is asked before an account signs in, and told afterwards."""

    def check(self) -> None:
        """Raises AccessDenied if this sign-in must not be sent."""

    def refused(self, error: AccessDenied) -> None:
        """The vendor refused it."""

    def accepted(self) -> None:
        """The vendor took it."""


class Http:
    """The requests of one account, at its pace, signed in when first needed.

    ``sent`` is how many were answered so far, ``busy`` how many seconds that took in all, without waiting for a turn.
    """

    def __init__(
        self,
        url: str,
        *,
        auth: Auth,
        rate: Pace,
        timeout: timedelta = timedelta(seconds=30),
        concurrency: int = 8,
        ca_file: str | None = None,
        stop: Deadline | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        retry_after: Callable[[HttpError], float | None] = lambda _: None,
        media_hosts: Collection[str] = (),
    ) -> None:
        """``media_hosts`` are hosts (``*.`` for all below a domain) that may see the sign-in when a file is fetched."""
        self.base = url.rstrip("/")
        self.clock = clock
        self.stop = stop or Deadline()
        self.limiter = RateLimiter(rate)
        self.skew: timedelta | None = None
        self.sent, self.busy = 0, 0.0
        self._date = ""
        self._timeout = timeout.total_seconds()
        self._auth = auth
        self._retry_after = retry_after
        self._headers: Mapping[str, str] | None = None
        self._signed = 0
        self._sign_in_lock = threading.Lock()
        self._refused: AccessDenied | None = None
        self.gate: Gate | None = None
        self._media_hosts = tuple(media_hosts)
        self._own_networks: frozenset[str] | None = None
        self._session = wire.session(concurrency, ca_file)
        self._files = wire.session(concurrency, ca_file, self._near)

    @classmethod
    def for_account(
        cls,
        settings: AccountSettings,
        auth: Auth,
        stop: Deadline,
        clock: Callable[[], datetime],
        retry_after: Callable[[HttpError], float | None] = lambda _: None,
        media_hosts: Collection[str] = (),
    ) -> Http:
        """The session that an account's settings describe."""
        return cls(
            settings.url,
            auth=auth,
            rate=settings.rate,
            timeout=settings.timeout,
            concurrency=settings.concurrency,
            ca_file=settings.ca_file and str(Path(settings.ca_file).expanduser()),
            stop=stop,
            clock=clock,
            retry_after=retry_after,
            media_hosts=media_hosts,
        )

    def close(self) -> None:
        """Closes the connections."""
        self._session.close()
        self._files.close()

    # What a provider calls -------------------------------------------------------------------

    def get(self, where: str, params: Iterable[tuple[str, str]] = (), *, base: str | None = None) -> Answer:
        """Reads ``where`` (made by ``path``) under the account's base address. Raises HttpError for all but 2xx."""
        target = self._address(where, params, base)
        under = (base or self.base).rstrip("/") + "/"
        return self._signed_in(lambda headers: self._get_with_retries(target, headers, under))

    def authenticate(
        self,
        where: str,
        *,
        base: str | None = None,
        json_body: Mapping[str, Any] | None = None,
        form: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """The one POST that needs no permit. A refusal is never repeated, because accounts get locked.

        Raises AccessDenied.
        """
        target = self._address(where, (), base) if where else as_meant(base or self.base)
        for attempt in range(TRIES):
            try:
                return self._send("POST", target, headers or {}, json_body=json_body, form=form)
            except HttpError as error:
                final = error.status is not None and error.status < 500
                if final or attempt + 1 == TRIES:
                    raise AccessDenied(f"the sign-in failed: {error}", error.status, error.body) from None
                self.stop.wait(backoff(attempt))
        raise AssertionError("unreachable: the last attempt returns or raises")

    def change(
        self,
        method: str,
        where: str,
        permit: Permit,
        *,
        ok: Iterable[int],
        proves: Callable[[Answer], bool] = uncontradicted,
        params: Iterable[tuple[str, str]] = (),
        json_body: Mapping[str, Any] | None = None,
    ) -> Answer:
        """A request that changes something; an answer proves that it was done by its status and by its body.

        Raises OutcomeUnknown where it was sent and its outcome is not known: silence, 5xx, a redirect, or a 2xx that
        proves nothing. Raises HttpError where it was refused, and Stale where it was not sent because its permit had
        lapsed.
        """
        if not isinstance(permit, Permit):
            raise ProviderError(f"a {method} needs the deleter's permit; this is a fault in the program")
        target = self._address(where, params, None)
        accepted = frozenset(ok)

        def send(headers: Mapping[str, str]) -> Answer:
            for _ in range(TRIES):
                try:
                    answer = self._send(method, target, headers, json_body=json_body, permit=permit)
                    break
                except HttpError as error:
                    if error.status != 429:
                        self._heed(error)
                        raise
                    refused = error
                    self._hold(error)
                    if permit.lapses:
                        raise Stale(str(error)) from None
            else:
                raise refused
            if answer.status not in accepted or not proves(answer):
                raise OutcomeUnknown(f"{method} was answered with {answer.status}{_said(answer)}", answer.status)
            return answer

        return self._signed_in(send)

    def delete(
        self,
        where: str,
        permit: Permit,
        *,
        ok: Iterable[int],
        proves: Callable[[Answer], bool] = uncontradicted,
        params: Iterable[tuple[str, str]] = (),
        json_body: Mapping[str, Any] | None = None,
    ) -> Answer:
        """``change`` with DELETE."""
        return self.change("DELETE", where, permit, ok=ok, proves=proves, params=params, json_body=json_body)

    def together(self, requests: int) -> AbstractContextManager[None]:
        """Within it, this thread's next few requests follow each other as closely as the rate allows."""
        return self.limiter.together(requests, self.stop.wait)

    @contextmanager
    def download(
        self,
        url: str,
        headers: Mapping[str, str] | None = None,
        *,
        signed: bool = True,
        sized: bool = False,
        redirects: int = 0,
    ) -> Iterator[Iterator[bytes]]:
        """Streams a file, chunk by chunk. The account's sign-in goes along if ``signed``, and only to its own origin
        and the media hosts; ``headers`` go to ``url`` alone, and to no address that it redirects to.

        ``sized``: the vendor has told the file's size, so that a cut is noticed even where the answer has no length.
        At most ``redirects`` redirects are followed. Raises HttpError for more, for a type that no audio or video
        has, for an address in a network that is not the account's own, and for a file that ends too early.
        """
        given = {"Accept": "*/*", "Accept-Encoding": "identity"}
        response = self._open(url, {**given, **(headers or {})}, signed, redirects > 0)
        for left in range(redirects - 1, -1, -1):
            if response.status == 200:
                break
            with response:
                url = _elsewhere(url, response.headers.get("Location", ""))
            response = self._open(url, given, signed, left > 0)
        with response:
            kind = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
            if not MEDIA.fullmatch(kind):
                raise HttpError(f"the download is no media file but {harmless(kind)}")
            chunked = "chunked" in response.headers.get("Transfer-Encoding", "").lower()
            if not (sized or chunked or response.headers.get("Content-Length", "").isdigit()):
                raise HttpError("the download does not say how long it is, so that a cut could not be noticed")
            yield self._chunks(response)

    def _open(self, url: str, given: Mapping[str, str], signed: bool, redirect: bool) -> wire.Opened:
        """The head of a file, or of a redirect where one may come. No error names more of an address than its host."""
        url = url.partition("#")[0]  # a fragment is no part of what is asked for
        self._check_file_address(url)
        own = signed and self._may_see_the_sign_in(url)
        opened: list[wire.Opened] = []

        def begin(sign_in: Mapping[str, str]) -> Answer:
            self._turn()
            response = self._transmit("GET", url, {**sign_in, **given}, session=self._files)
            answer = Answer(response.status, response.headers, b"")
            if answer.status == 200 or (redirect and answer.status in REDIRECTS):
                opened.append(response)
                return answer
            with response:
                raise _refusal("GET", answer)

        try:
            self._signed_in(begin) if own else begin({})
        except AccessDenied as error:  # of this file: its address may have run out; the account may still be fine
            host = harmless(urlsplit(url).hostname or "")
            foreign = f"; it lies on {host}, where the account's sign-in is never sent"
            why = f"the file cannot be had: {error}{foreign if signed and not own else ''}"
            raise HttpError(why, error.status, error.body) from None
        return opened[0]

    def _check_file_address(self, url: str) -> None:
        """Raises HttpError for what is no address, and for clear text where the account's own url has none."""
        own = urlsplit(self.base)
        insecure = own.scheme == "http" and not is_loopback(own.hostname or "")
        try:
            parts, mistake = urlsplit(url), url_mistake(url.partition("?")[0], insecure)
            requests.Request("GET", url).prepare()
        except (ValueError, requests.RequestException, urllib3.exceptions.HTTPError):
            mistake = "it cannot be read"
        if mistake or parts.scheme not in ("https", own.scheme):
            raise HttpError("the download's address cannot be used")
        if wire.proxies(_origin(url)):  # the proxy resolves names, so only a numeric address can be judged
            for network in wire.networks(parts.hostname or "", numeric=True):
                if not self._near(network):
                    raise HttpError(wire.forbidden(parts.hostname or "", network))

    def _may_see_the_sign_in(self, url: str) -> bool:
        """Whether an address is the account's own (one machine has several loopback names), or on a media host."""
        there, own = urlsplit(url), urlsplit(self.base)
        host, home = there.hostname or "", own.hostname or ""
        same = host == home or (is_loopback(host) and is_loopback(home))
        if same and (there.scheme, there.port) == (own.scheme, own.port):
            return True
        return there.scheme == "https" and any(_names(name, host) for name in self._media_hosts)

    def _near(self, network: str) -> bool:
        """Whether the account's own url is in such a network, so that its files may be there too."""
        if self._own_networks is None:
            host = urlsplit(self.base).hostname or ""
            self._own_networks = wire.networks(host, numeric=bool(wire.proxies(_origin(self.base))))
        return network in self._own_networks

    def _chunks(self, response: wire.Opened) -> Iterator[bytes]:
        size = 0
        response.is_a_file()
        try:
            while chunk := response.raw.read1(1024 * 1024):
                self.stop.check()
                size += len(chunk)
                yield chunk
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            raise self._transport_error("GET", error) from None
        promised = response.headers.get("Content-Length", "")
        if promised.isdigit() and size != int(promised):
            raise HttpError(f"the download ended after {size} of {promised} bytes")

    def sign_in(self) -> None:
        """Signs in now, if that has not been done."""
        self._current_headers()

    # Addresses --------------------------------------------------------------------------------

    def _address(self, where: str, params: Iterable[tuple[str, str]], base: str | None) -> str:
        query = urlencode(list(params), quote_via=quote, safe="")
        return as_meant((base or self.base).rstrip("/") + "/" + where + ("?" + query if query else ""))

    # Sign-in ----------------------------------------------------------------------------------

    def _signed_in(self, send: Callable[[Mapping[str, str]], Answer]) -> Answer:
        """Sends with the current sign-in; if it has run out, signs in anew and repeats once."""
        headers, number = self._current_headers()
        try:
            return send(headers)
        except HttpError as error:
            if isinstance(error, OutcomeUnknown) or not self._auth.token_expired(error):
                raise
        log.info("the sign-in has run out; signing in again")
        headers, _ = self._current_headers(older_than=number)
        return send(headers)

    def _current_headers(self, older_than: int = -1) -> tuple[Mapping[str, str], int]:
        with self._sign_in_lock:
            if self._refused:
                raise self._refused
            if self._headers is None or self._signed == older_than:
                try:
                    if self.gate:
                        self.gate.check()
                    self._headers = self._auth.sign_in(self)
                except AccessDenied as error:
                    self._refused = error
                    if self.gate:
                        self.gate.refused(error)
                    raise
                if self.gate:
                    self.gate.accepted()
                self._signed += 1
                log.info("signed in at %s", urlsplit(self.base).hostname)
            return self._headers, self._signed

    # Requests ---------------------------------------------------------------------------------

    def _get_with_retries(self, target: str, headers: Mapping[str, str], under: str) -> Answer:
        """A GET, repeated a few times where that can help. Redirects are followed only to what lies ``under``."""
        hops = attempt = 0
        while True:
            try:
                answer = self._send("GET", target, headers)
            except HttpError as error:
                if attempt + 1 >= TRIES or error.status not in RETRIED:
                    raise
                log.info("GET will be tried again: %s", error)
                self._before_again(error, attempt)
                attempt += 1
                continue
            if answer.status < 300:
                return answer
            hops += 1
            target = self._redirected(target, answer, hops, under)

    def _before_again(self, error: HttpError, attempt: int) -> None:
        if error.status == 429:
            self._hold(error)
        else:
            self.stop.wait(self._asked_pause(error) or backoff(attempt))

    def _redirected(self, target: str, answer: Answer, hops: int, under: str) -> str:
        try:
            location = urljoin(target, answer.headers.get("Location", ""))
        except ValueError:
            raise HttpError("the server redirects to an address that cannot be read", answer.status) from None
        if hops > 3 or not as_meant(location).startswith(under) or location == target:
            raise HttpError("the server redirects elsewhere; check the account's url", answer.status)
        return location

    def _hold(self, error: HttpError) -> None:
        """Obeys a 429: every thread of the account waits as long as the vendor asks, or for the next window."""
        asked = self._asked_pause(error)
        pause = min(MAX_PAUSE, self.limiter.seconds) if asked is None else asked
        log.info("the vendor asks for fewer requests; waiting %.0f s", pause)
        self.stop.check(pause)
        self.limiter.pause(pause)

    def _heed(self, error: HttpError) -> None:
        """A 503 that says when to come back holds back all that follows: the look, its repetition, other threads.

        What the run has no time for is left to the limiter, and to how long what was begun may take.
        """
        if error.status == 503 and (pause := self._asked_pause(error)):
            log.info("the vendor asks to come back later; waiting %.0f s", pause)
            self.limiter.pause(pause)
            with suppress(Stopped):
                self.stop.wait(pause)

    def _asked_pause(self, error: HttpError) -> float | None:
        header = error.retry_after
        if header is None:
            return self._retry_after(error)
        if re.fullmatch(r"\s*[0-9]{1,9}\s*", header):
            return float(header)
        try:
            return max(0.0, (_aware(parsedate_to_datetime(header)) - self.clock()).total_seconds())
        except (ValueError, TypeError, OverflowError):
            return None

    def _send(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str],
        *,
        json_body: Mapping[str, Any] | None = None,
        form: Mapping[str, str] | None = None,
        permit: Permit | None = None,
    ) -> Answer:
        """One request on the wire. 2xx and redirects come back; everything else is raised."""
        self._turn(permit)
        began = time.monotonic()
        leaving = permit.require_fresh if permit else None
        try:
            with self._transmit(method, target, headers, leaving, json_body=json_body, form=form) as response:
                content = self._body(method, response)
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            raise self._transport_error(method, error) from None
        answer = Answer(response.status, response.headers, content)
        self._note_clock(answer)
        took = time.monotonic() - began
        self.sent, self.busy = self.sent + 1, self.busy + took
        if log.isEnabledFor(logging.DEBUG):
            log.debug("%s %s -> %d in %.3f s", method, urlsplit(target).path, answer.status, took)
        if 200 <= answer.status < 300 or (method == "GET" and answer.status in REDIRECTS):
            return answer
        raise _refusal(method, answer)

    def _turn(self, permit: Permit | None = None) -> None:
        """Waits until the next request may begin, but not for longer than its permit holds."""

        def wait(seconds: float) -> None:
            if permit:
                permit.require_fresh(seconds)
            self.stop.wait(seconds)

        self.limiter.turn(wait)
        self.stop.check()

    def _transmit(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str],
        leaving: Callable[[], None] | None = None,
        session: requests.Session | None = None,
        **body: Mapping[str, Any] | None,
    ) -> wire.Opened:
        """Sends; the answer's body is still to be read. ``leaving`` may refuse when the connection is made."""
        try:
            with wire.leaving(leaving):
                return wire.send(session or self._session, method, target, headers, self._timeout, **body)
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            raise self._transport_error(method, error) from None

    def _body(self, method: str, response: wire.Opened) -> bytes:
        chunks: list[bytes] = []
        size = 0
        while chunk := response.raw.read1(65536, decode_content=True):
            size += len(chunk)
            if size > MAX_ANSWER:
                why = f"the answer is larger than {MAX_ANSWER // 1024 // 1024} MiB"
                raise ProviderError(why) if method == "GET" else OutcomeUnknown(why, response.status)
            chunks.append(chunk)
        return b"".join(chunks)

    def _transport_error(self, method: str, error: Exception) -> HttpError:
        """No usable answer came: what that means depends on whether the request may have arrived."""
        if any(isinstance(inner, ssl.SSLCertVerificationError) for inner in wire.chain(error)):
            return AccessDenied(f"the server's certificate was not accepted: {wire.cause(error)}; see ca_file")
        if isinstance(error, requests.exceptions.ConnectTimeout) or wire.never_connected(error):
            return HttpError(f"the server cannot be reached: {wire.cause(error)}")
        text = f"no complete answer came to {method}: {wire.cause(error)}"
        return HttpError(text) if method == "GET" else OutcomeUnknown(text)

    def _note_clock(self, answer: Answer) -> None:
        """The vendor's clock minus this machine's, the smallest difference seen; each second of it is read once."""
        said = answer.headers.get("Date", "")
        if said == self._date:
            return
        self._date = said
        try:
            skew = _aware(parsedate_to_datetime(said)) - self.clock()
        except (ValueError, TypeError, OverflowError):
            return
        if self.skew is None or abs(skew) < abs(self.skew):
            self.skew = skew


def _origin(url: str) -> str:
    """An address up to its path."""
    return "/".join(url.split("/", 3)[:3])


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


def _aware(when: datetime) -> datetime:
    return when.replace(tzinfo=UTC) if when.tzinfo is None else when
