"""One HTTP session for an account: the only place where requests are made and statuses become errors.

- A method that changes something needs a ``Permit``, which only the deleter has; a dry run has none.
- TLS is always verified, time-outs are always set, an answer's size and total time are bounded.
- Reading is retried, with a limit; changing is not: whoever asked looks before asking again."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Protocol
from urllib.parse import quote, urlencode, urljoin, urlsplit

import requests

from ..deadline import Deadline
from ..errors import AccessDenied, HttpError, OutcomeUnknown, ProviderError, Stale, Stopped
from ..settings.tables import AccountSettings
from ..settings.values import Pace
from . import session as sessions
from . import transport
from .answer import REDIRECTS, Answer, body_of, details, http_date, leads_elsewhere, next_step, refusal, uncontradicted
from .download import FileGuard, download, file_asked
from .failures import NETWORK_ERRORS, SIGN_IN, Asked, Asking, transport_error
from .permit import Permit as Permit
from .rate_limit import RateLimiter, asked_pause, backoff
from .sign_in import Gate, SignIn
from .urls import as_meant

log = logging.getLogger(__name__)
TRIES = 4
MAX_PAUSE = 60.0
RETRIED = frozenset({None, 429, 500, 502, 503, 504})
"""Answers to a GET that may be better a moment later; None is no answer at all."""


Advise = Callable[[str, HttpError], str]
"""What to do about a refusal of a method, by what the vendor documents; empty for nothing."""


class Auth(Protocol):
    """How an account signs in."""

    def sign_in(self, http: Http) -> Mapping[str, str]:
        """The headers to send with every request. Raises AccessDenied."""

    def token_expired(self, error: HttpError) -> bool:
        """Whether this refusal means that the sign-in has run out, so that a new one may help."""


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
        strict_certificates: bool = True,
        stop: Deadline | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        retry_after: Callable[[HttpError], float | None] = lambda _: None,
        media_hosts: Collection[str] = (),
        advise: Advise = lambda *_: "",
    ) -> None:
        """``media_hosts`` are hosts (``*.`` for all below a domain) that may see the sign-in when a file is fetched.

        ``advise`` says what to do about a refusal, by the vendor's documentation.
        """
        self.base = url.rstrip("/")
        self.clock = clock
        self.stop = stop or Deadline()
        self.limiter = RateLimiter(rate)
        self.skew: timedelta | None = None
        self.sent, self.busy = 0, 0.0
        self._date = ""
        self._timeout = timeout.total_seconds()
        self._retry_after, self._advise = retry_after, advise
        self._ca_file = ca_file
        self._asking = Asking()
        self._sign_in = SignIn(urlsplit(self.base).hostname, partial(self._sign_in_by, auth), auth.token_expired)
        self._guard = FileGuard(self.base, tuple(media_hosts))
        session = partial(sessions.session, concurrency, ca_file, strict=strict_certificates)
        self._session, self._files = session(), session(self._guard.is_near)

    @classmethod
    def for_account(
        cls,
        settings: AccountSettings,
        auth: Auth,
        stop: Deadline,
        clock: Callable[[], datetime],
        retry_after: Callable[[HttpError], float | None] = lambda _: None,
        media_hosts: Collection[str] = (),
        advise: Advise = lambda *_: "",
    ) -> Http:
        """The session that an account's settings describe."""
        return cls(
            settings.url,
            auth=auth,
            rate=settings.rate,
            timeout=settings.timeout,
            concurrency=settings.concurrency,
            ca_file=settings.ca_file,
            strict_certificates=settings.strict_certificates,
            stop=stop,
            clock=clock,
            retry_after=retry_after,
            media_hosts=media_hosts,
            advise=advise,
        )

    def close(self) -> None:
        """Closes the connections."""
        self._session.close()
        self._files.close()

    # What a provider calls -------------------------------------------------------------------

    def asks(self, words: str, key: str = "url") -> AbstractContextManager[None]:
        """Within it, this thread's requests are for this, in the words of errors: a verb and an object
        ("read page 2 of the recordings"). ``key`` is the config's key of their address. No generator may yield within.
        """
        return self._asking.about(words, key)

    def get(self, where: str, params: Iterable[tuple[str, str]] = (), *, base: str | None = None) -> Answer:
        """Reads ``where`` (made by ``path``) under the account's base address. Raises HttpError for all but 2xx."""
        target = self._address(where, params, base)
        under = (base or self.base).rstrip("/") + "/"
        return self.signed_in(lambda headers: self._get_with_retries(target, headers, under))

    def authenticate(
        self,
        where: str,
        *,
        base: str | None = None,
        json_body: Mapping[str, Any] | None = None,
        form: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        check: str = "the account's credentials",
    ) -> Answer:
        """The one POST that needs no permit. A refusal is never repeated, because accounts get locked.

        ``check`` names the settings that are sent, for people. Raises AccessDenied.
        """
        target = self._address(where, (), base) if where else as_meant(base or self.base)
        for attempt in range(TRIES):
            try:
                return self._send("POST", target, headers or {}, json_body=json_body, form=form)
            except HttpError as error:
                refused = error.status is not None and 400 <= error.status < 500
                advice = f"correct {check}" if refused and error.status not in (404, 407, 429) else error.advice
                final = refused or error.status in REDIRECTS or isinstance(error, AccessDenied)
                if final or attempt + 1 == TRIES:
                    error = error.completed(times=attempt + 1)
                    raise AccessDenied(error.what, error.status, error.body, advice=advice) from None
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
                    self._back_off(error)
                    if error.status != 429:
                        raise
                    refused = error
                    if permit.lapses:
                        raise Stale(str(error)) from None
            else:
                raise refused
            if answer.status not in accepted or not proves(answer):
                what = f"{self._asked(method, target).unconfirmed}: {answer.status}{details(answer)}"
                raise OutcomeUnknown(what, answer.status)
            return answer

        return self.signed_in(send)

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

    def download(
        self,
        url: str,
        headers: Mapping[str, str] | None = None,
        *,
        signed: bool = True,
        sized: bool = False,
        redirects: int = 0,
    ) -> AbstractContextManager[Iterator[bytes]]:
        """Streams a file, chunk by chunk. The account's sign-in goes along if ``signed``, and only to its own origin
        and the media hosts; ``headers`` go to ``url`` alone, and to no address that it redirects to.

        ``sized``: the vendor has told the file's size, so that a cut is noticed even where the answer has no length.
        At most ``redirects`` redirects are followed. Raises HttpError for more, for a type that no audio or video
        has, for an address in a network that is not the account's own, and for a file that ends too early.
        """
        return download(self, self._guard, url, headers or {}, signed=signed, sized=sized, redirects=redirects)

    def open_file(self, url: str, headers: Mapping[str, str]) -> requests.Response:
        """Asks for a file at the account's pace; its body is still to be read. For ``download``, which checks it."""
        self._acquire()
        try:
            return self._transmit("GET", url, headers, session=self._files)
        except NETWORK_ERRORS as error:
            raise transport_error(error, file_asked(url, self._timeout)) from None

    def guard_sign_in(self, gate: Gate | None) -> None:
        """Ask ``gate``, if there is one, before each sign-in, and tell it afterwards."""
        self._sign_in.gate = gate

    def _sign_in_by(self, auth: Auth) -> Mapping[str, str]:
        with self.asks(SIGN_IN):
            return auth.sign_in(self)

    def sign_in(self) -> None:
        """Signs in now, if that has not been done."""
        self._sign_in.current()

    def signed_in(self, send: Callable[[Mapping[str, str]], Answer]) -> Answer:
        """Sends with the current sign-in; if it has run out, signs in anew and repeats once."""
        return self._sign_in.use(send)

    # Addresses --------------------------------------------------------------------------------

    def _address(self, where: str, params: Iterable[tuple[str, str]], base: str | None) -> str:
        query = urlencode(list(params), quote_via=quote, safe="")
        return as_meant((base or self.base).rstrip("/") + "/" + where + ("?" + query if query else ""))

    # Requests ---------------------------------------------------------------------------------

    def _get_with_retries(self, target: str, headers: Mapping[str, str], under: str) -> Answer:
        """A GET, repeated a few times where that can help. Redirects are followed only to what lies ``under``."""
        hops = attempt = 0
        while True:
            try:
                answer = self._send("GET", target, headers)
            except HttpError as error:
                lasting = isinstance(error, AccessDenied) or error.status not in RETRIED
                if attempt + 1 >= TRIES or lasting:
                    raise error.completed(times=attempt + 1) from None
                log.info("GET will be tried again: %s", error)
                self._back_off(error, attempt)
                attempt += 1
                continue
            if answer.status < 300:
                return answer
            hops += 1
            target = self._redirected(target, answer, hops, under)

    def _redirected(self, target: str, answer: Answer, hops: int, under: str) -> str:
        asked = self._asked("GET", target)
        try:
            location = urljoin(target, answer.headers.get("Location", ""))
        except ValueError:
            location = ""
        if hops > 3 or not as_meant(location).startswith(under) or location == target:
            raise HttpError(f"{asked.failed}: {answer.status}", answer.status, advice=leads_elsewhere(asked, answer))
        return location

    def _back_off(self, error: HttpError, attempt: int | None = None) -> None:
        """Waits as long as a refusal asks for. ``attempt`` numbers the tries of a GET; a change has none.

        A 429 holds back every thread of the account for the time it names, else until the next window. A 503 to a
        change that names a time holds back all that follows: the look, its repetition, other threads.
        """
        asked = self._retry_after(error) if error.retry_after is None else asked_pause(error, self.clock())
        if error.status == 429:
            pause = min(MAX_PAUSE, self.limiter.seconds) if asked is None else asked
            log.info("the vendor asks for fewer requests; waiting %.0f s", pause)
            self.stop.check(pause)
            self.limiter.pause(pause)
        elif attempt is not None:
            self.stop.wait(asked or backoff(attempt))
        elif error.status == 503 and asked:
            log.info("the vendor asks to come back later; waiting %.0f s", asked)
            self.limiter.pause(asked)
            with suppress(Stopped):  # what the run has no time for is left to the limiter
                self.stop.wait(asked)

    def _asked(self, method: str, target: str, *, changes: bool = False) -> Asked:
        """A request, as its errors speak of it."""
        words = self._asking.now(method, target)
        more = (changes, self._timeout, self._ca_file, self.clock(), self._asking.key)
        return Asked(method, words, target, *more)

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
        """Sends one request. Returns 2xx and, to a GET, redirects; raises everything else."""
        self._acquire(permit)
        began, leaving = time.monotonic(), permit.require_fresh if permit else None
        asked = self._asked(method, target, changes=bool(permit))
        try:
            with self._transmit(method, target, headers, leaving, json_body=json_body, form=form) as response:
                content = body_of(response, asked)
        except NETWORK_ERRORS as error:
            raise transport_error(error, asked) from None
        answer = Answer(response.status_code, response.headers, content)
        self._note_clock(answer)
        took = time.monotonic() - began
        self.sent, self.busy = self.sent + 1, self.busy + took
        if log.isEnabledFor(logging.DEBUG):
            log.debug("%s %s -> %d in %.3f s", method, urlsplit(target).path, answer.status, took)
        if 200 <= answer.status < 300 or (method == "GET" and answer.status in REDIRECTS):
            return answer
        refused = refusal(answer, asked)
        raise refused.completed(advice=self._advise(method, refused) or next_step(answer, asked))

    def _acquire(self, permit: Permit | None = None) -> None:
        """Waits until the next request may begin, but not for longer than its permit holds."""

        def wait(seconds: float) -> None:
            if permit:
                permit.require_fresh(seconds)
            self.stop.wait(seconds)

        self.limiter.acquire(wait)
        self.stop.check()

    def _transmit(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str],
        leaving: Callable[[], None] | None = None,
        session: requests.Session | None = None,
        **body: Mapping[str, Any] | None,
    ) -> requests.Response:
        """Sends; the answer's body is still to be read. ``leaving`` may refuse when the connection is made."""
        with transport.leaving(leaving):
            return sessions.send(session or self._session, method, target, headers, self._timeout, **body)

    def _note_clock(self, answer: Answer) -> None:
        """The vendor's clock minus this machine's, the smallest difference seen; each second of it is read once."""
        said = answer.headers.get("Date", "")
        if said == self._date:
            return
        self._date = said
        if when := http_date(said):
            skew = when - self.clock()
            self.skew = skew if self.skew is None else min(self.skew, skew, key=abs)
