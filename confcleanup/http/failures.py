"""Why no usable answer came, and what to do about it: exceptions of the libraries become one sentence for people.

They are told apart by their types, by ``errno`` and by OpenSSL's codes. Only what none of them tells is quoted.
"""

from __future__ import annotations

import errno
import http.client
import re
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import requests
import urllib3

from ..errors import AccessDenied, HttpError, OutcomeUnknown, ProviderError, UnsafeId
from ..redact import harmless, redact
from .proxies import has_credentials, named, proxy_for, setting

NETWORK_ERRORS = (requests.RequestException, urllib3.exceptions.HTTPError, OSError)
"""What comes up where a request or its answer fails on the way."""

EXPIRED, NOT_YET_VALID = 10, 9
OTHER_NAME = frozenset({62, 64})
NOT_TRUSTED = frozenset({2, 18, 19, 20, 21, 27})
STRICT = frozenset({78, *range(80, 95)})
"""X509_V_ERR_… of OpenSSL's x509_vfy.h. The last are checked only with X509_V_FLAG_X509_STRICT."""
NO_TLS = frozenset({"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG", "RECORD_LAYER_FAILURE"})
TOO_OLD = frozenset(
    {
        *("UNSUPPORTED_PROTOCOL", "TLSV1_ALERT_PROTOCOL_VERSION", "NO_PROTOCOLS_AVAILABLE", "WRONG_SSL_VERSION"),
        *("SSLV3_ALERT_HANDSHAKE_FAILURE", "NO_SHARED_CIPHER", "DH_KEY_TOO_SMALL", "TLSV1_ALERT_INSUFFICIENT_SECURITY"),
    }
)
NO_ROUTE = frozenset({errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ENETDOWN, errno.EHOSTDOWN, errno.EADDRNOTAVAIL})
NOT_ALLOWED = frozenset({errno.EPERM, errno.EACCES})
SIGN_IN, DELETE = "sign-in", "deletion"
"""Nouns, where all others are verbs: what the field calls a failed one."""
PORTS = {"https": 443, "wss": 443, "http": 80, "ws": 80}


class TunnelRefused(OSError):
    """A proxy that did not connect a request to its server, and its status."""

    def __init__(self, status: int) -> None:
        self.status = status
        super().__init__(f"the proxy answered with {status}")


class Forbidden(urllib3.exceptions.NewConnectionError):
    """An address that was not connected to; ``why`` says what is wrong with it."""

    def __init__(self, connection: Any, why: str) -> None:
        self.why = why
        super().__init__(connection, why)


class Asked(NamedTuple):
    """A request as its errors speak of it. ``words`` are a verb and what it is about ("read page 2 of the rooms").

    ``key`` is the config's key of the address; ``proxied`` is False where no proxy is ever used.
    ``changes``: it may have changed something if it arrived. ``now`` is this machine's clock, which certificates are
    judged by.
    """

    method: str
    words: str
    target: str
    changes: bool = False
    timeout: float = 0.0
    ca_file: str | None = None
    now: datetime | None = None
    key: str = "url"
    proxied: bool = True

    @property
    def host(self) -> str:
        return host_of(self.target)

    @property
    def failed(self) -> str:
        """The beginning of every sentence about it: what could not be done, and where."""
        if self.words in (SIGN_IN, DELETE):
            return f"{self.words} failed at {self.host}"
        return f"could not {self.words} {'from' if self.words.startswith('read') else 'at'} {self.host}"

    @property
    def unconfirmed(self) -> str:
        """The same, where nobody knows yet whether it was done."""
        if self.words == DELETE:
            return f"{self.host} did not confirm the deletion"
        return f"asked {self.host} to {self.words}, which it did not confirm"


class Diagnosis(NamedTuple):
    """The cause and the next step, in words. ``lasting``: to try again does not help, whatever is asked for."""

    cause: str
    remedy: str
    lasting: bool = False


class Asking(threading.local):
    """What this thread's requests are for, in words; the config's key of their address, and the last one's address."""

    words: str | None = None
    key: str = "url"
    target: str = ""

    @contextmanager
    def about(self, words: str, key: str = "url") -> Iterator[None]:
        """Within it, requests and answers are about this: errors that do not say so themselves get it put first."""
        before = self.words, self.key
        self.words, self.key = words, key
        try:
            yield
        except UnsafeId:
            raise  # nothing was sent
        except HttpError as error:
            error.what = self._placed(words, error.what)
            raise error.completed() from None
        except ProviderError as error:
            error.args = (self._placed(words, str(error)),)
            raise
        finally:
            self.words, self.key = before

    def _placed(self, words: str, text: str) -> str:
        """An error that says where it happened."""
        asked = Asked("GET", words, self.target)
        return text if not self.target or asked.host in text else f"{asked.failed}: {text}"

    def now(self, method: str, target: str) -> str:
        """What is asked for at this address; without words from the provider, by the method alone."""
        self.target = target
        return self.words or {"GET": "read an answer", "DELETE": DELETE}.get(method, f"send a {method}")


def host_of(target: str) -> str:
    """The host of an address, with its port unless that is the scheme's own; nothing else of it."""
    parts = urlsplit(target)
    host = harmless(parts.netloc.rpartition("@")[2])
    return host.removesuffix(f":{PORTS.get(parts.scheme)}")


def transport_error(error: Exception, asked: Asked) -> HttpError:
    """No usable answer came: what that means depends on whether the request may have arrived."""
    cause, remedy, lasting = diagnose(error, asked)
    if asked.changes and not _unsent(error):
        return OutcomeUnknown(f"{asked.unconfirmed}: {cause}")
    return (AccessDenied if lasting else HttpError)(f"{asked.failed}: {cause}", advice=remedy)


def diagnose(error: Exception, asked: Asked) -> Diagnosis:
    """Why a request failed on its way, and what to do."""
    chain = list(_chain(error))
    proxy = proxy_for(asked.target) if asked.proxied else None
    if proxy and (refused := _first(chain, TunnelRefused)):
        return _refused_by_proxy(refused.status, proxy, asked)
    if proxy and _first(chain, urllib3.exceptions.ProxyError):
        cause = _of_the_connection(chain, asked, named(proxy, asked.target)).cause
        return Diagnosis(cause, f"correct {_setting(proxy, asked)}, or add {_name(asked)} to NO_PROXY")
    found = _of_the_connection(chain, asked, "")
    return found._replace(cause=f"{found.cause} (through {named(proxy, asked.target)})") if proxy else found


def _refused_by_proxy(status: int, proxy: str, asked: Asked) -> Diagnosis:
    who, where = named(proxy, asked.target), _setting(proxy, asked)
    if status >= 500:
        return Diagnosis(f"{who} could not connect to it ({status})", f"see whether {_name(asked)} is up")
    if status != 407:
        advice = f"have {_name(asked)} allowed in the proxy, or add it to NO_PROXY"
        return Diagnosis(f"{who} refused to connect to it ({status})", advice, lasting=True)
    if has_credentials(proxy):
        return Diagnosis(f"{who} refused its user name or password (407)", f"correct them in {where}", lasting=True)
    advice = f"write them into {where}: http://USER:PASSWORD@HOST:PORT"
    return Diagnosis(f"{who} asks for a user name and a password (407)", advice, lasting=True)


def proxy_refusal(asked: Asked) -> Diagnosis | None:
    """What a 407 means that came as an answer, as it does for plain http://."""
    proxy = proxy_for(asked.target)
    return _refused_by_proxy(407, proxy, asked) if proxy else None


def _of_the_connection(chain: list[BaseException], asked: Asked, proxy: str) -> Diagnosis:
    """What became of the connection to the server, or to the ``proxy``, which is then named in its place."""
    it = proxy or "the server"
    if forbidden := _first(chain, Forbidden):
        return Diagnosis(forbidden.why, "")
    if certificate := _first(chain, ssl.SSLCertVerificationError):
        return _of_the_certificate(certificate, asked)
    if tls := _first(chain, ssl.SSLError):
        return _of_tls(tls, asked, it)
    if unknown := _first(chain, socket.gaierror):
        return _of_the_name(unknown, asked, proxy)
    # urllib3 counts every connection that was not made among the time-outs.
    waited = [inner for inner in chain if not isinstance(inner, urllib3.exceptions.NewConnectionError)]
    if _first(waited, requests.exceptions.ConnectTimeout, urllib3.exceptions.ConnectTimeoutError):
        return _no_connection(asked, it)
    if _first(waited, requests.exceptions.Timeout, urllib3.exceptions.TimeoutError, TimeoutError):
        cause = f"no complete answer within {asked.timeout:g} s" if asked.timeout else "no complete answer in time"
        return Diagnosis(cause, "if the server is only slow, raise timeout")
    return _of_the_system(chain, asked, it)


def _of_the_system(chain: list[BaseException], asked: Asked, it: str) -> Diagnosis:
    numbers = {inner.errno for inner in chain if isinstance(inner, OSError)}
    if errno.ECONNREFUSED in numbers:
        return Diagnosis(f"{it} refused the connection", f"check that it is running, and the port in {asked.key}")
    if numbers & NO_ROUTE:
        return Diagnosis(f"there is no route to {it}", "check this machine's network, its VPN and its routes")
    if errno.ETIMEDOUT in numbers:
        return _no_connection(asked, it)
    if numbers & NOT_ALLOWED:
        return Diagnosis(
            f"this machine does not allow a connection to {it}", "allow it in this machine's firewall or sandbox"
        )
    if _first(chain, http.client.BadStatusLine) and not _first(chain, http.client.RemoteDisconnected):
        return Diagnosis("what came back is not HTTP", f"check the port in {asked.key}, and what stands before ://")
    cut = (ConnectionError, http.client.IncompleteRead, urllib3.exceptions.IncompleteRead, EOFError)
    if _first(chain, *cut):
        advice = "the next run tries again; if it lasts, look at the server, and at proxies in between"
        return Diagnosis(f"{it} closed the connection before the answer was complete", advice)
    return Diagnosis(quoted(chain[-1]), "see whether the server is well; -vv prints every request")


def _no_connection(asked: Asked, it: str) -> Diagnosis:
    within = f" within {asked.timeout:g} s" if asked.timeout else ""
    port = urlsplit(asked.target).port or PORTS.get(urlsplit(asked.target).scheme)
    advice = f"check that it is up, and that a firewall lets this machine connect to port {port}"
    return Diagnosis(f"no connection to {it}{within}", advice)


def _of_the_name(error: socket.gaierror, asked: Asked, proxy: str) -> Diagnosis:
    name = f"the name of {proxy}" if proxy else f"the name {_name(asked)}"
    if error.errno == socket.EAI_AGAIN:
        return Diagnosis(f"no DNS server answered for {proxy or _name(asked)}", "check this machine's DNS")
    return Diagnosis(f"{name} is not known", "check it for a typing mistake, and this machine's DNS")


def _of_the_certificate(error: ssl.SSLCertVerificationError, asked: Asked) -> Diagnosis:
    """What OpenSSL has against a certificate. Only where nobody vouches for it is ``ca_file`` the remedy."""
    code, said = error.verify_code, redact(harmless(str(error.verify_message)))[:200]
    clock = f"this machine's clock says {asked.now:%Y-%m-%d %H:%M} UTC" if asked.now else "see this machine's clock"
    name = _name(asked)
    if code == EXPIRED:
        found = ("its certificate, or that of an authority above it, has expired", f"have it renewed there; {clock}")
    elif code == NOT_YET_VALID:
        found = ("its certificate is not valid yet", f"{clock}: set it if that is wrong, else have it issued anew")
    elif code in OTHER_NAME:
        port = urlsplit(asked.target).port or PORTS.get(urlsplit(asked.target).scheme)
        show = f"openssl s_client -connect {name}:{port} </dev/null | openssl x509 -noout -ext subjectAltName"
        advice = f"write a name of the certificate into {asked.key}, shown by: {show}"
        found = (f"its certificate is not for {name}", advice)
    elif code in NOT_TRUSTED:
        found = _of_the_issuer(asked, said)
    elif code in STRICT:
        advice = "have it issued anew, or accept it: strict_certificates = false relaxes this one check"
        found = (f"this Python refuses its certificate, which does not follow RFC 5280: {said}", advice)
    else:
        found = (f"its certificate was refused: {said}", "have it issued anew")
    return Diagnosis(*found, lasting=True)


def _of_the_issuer(asked: Asked, said: str) -> tuple[str, str]:
    why = f"its certificate is signed by no authority that this machine trusts ({said})"
    if asked.ca_file:
        return (
            f"its certificate is signed by no authority in the ca_file {asked.ca_file} ({said})",
            "put the certificate (PEM) of the authority that signed it, and those in between, into that file",
        )
    return why, "if the authority is your own, set ca_file to its certificate (PEM)"


def _of_tls(error: ssl.SSLError, asked: Asked, it: str) -> Diagnosis:
    reason = error.reason or type(error).__name__
    if reason in NO_TLS:
        return Diagnosis(
            f"{it} does not speak TLS on this port ({reason})", f"check the port in {asked.key}", lasting=True
        )
    if reason in TOO_OLD:
        cause = f"{it} and this machine have no version or cipher of TLS in common ({reason})"
        return Diagnosis(cause, "switch on TLS 1.2 or 1.3 at the server", lasting=True)
    if "CERTIFICATE_REQUIRED" in reason:
        cause = f"{it} asks for a client certificate, which confcleanup has none of"
        return Diagnosis(cause, "let this machine in without one", lasting=True)
    return Diagnosis(f"TLS failed ({reason})", "see whether the server is well, and what stands in between")


def quoted(error: BaseException) -> str:
    """What an exception says, in one harmless line."""
    text = str(error.args[-1] if error.args else "") or type(error).__name__
    return redact(harmless(re.sub(r"^\w*Connection\(.*?\): ", "", text)))[:200]


def _name(asked: Asked) -> str:
    return harmless(urlsplit(asked.target).hostname or "")


def _setting(proxy: str, asked: Asked) -> str:
    return setting(proxy, asked.target) or "the system's proxy settings"


def _first(chain: list[BaseException], *kinds: type[Any]) -> Any:
    """The first of the errors that is of one of these kinds."""
    return next((inner for inner in chain if isinstance(inner, kinds)), None)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An error and the errors it wraps, as requests, urllib3 and Python wrap them."""
    inner: Any = error
    while isinstance(inner, BaseException):
        yield inner
        reason = getattr(inner, "reason", None)
        wrapped = [reason, *inner.args, inner.__cause__]
        inner = next((other for other in wrapped if isinstance(other, BaseException)), None)


def _unsent(error: Exception) -> bool:
    """Whether the request was certainly not sent: there was no connection, or its server was not trusted."""
    kinds = (
        *(urllib3.exceptions.NewConnectionError, urllib3.exceptions.NameResolutionError, TunnelRefused),
        *(requests.exceptions.ConnectTimeout, ssl.SSLCertVerificationError),
    )
    return any(isinstance(inner, kinds) for inner in _chain(error))
