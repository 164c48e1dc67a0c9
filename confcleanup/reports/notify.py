"""Send notifications of a run: a ping, a file of metrics, a summary. None of them can fail, change or delay a run.

Each has its own thread; all of them together are given the config's ``timeout``.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import requests

from ..errors import AccessDenied
from ..http import session as wire
from ..http.failures import NETWORK_ERRORS, Asked, diagnose
from ..redact import redact
from ..settings.secrets import Secret
from ..settings.tables import NotifySettings, is_loopback, url_mistake
from ..system import install
from . import metrics
from .summary import Summary

log = logging.getLogger(__name__)

TRIES = 2
SECRET_LENGTH = 8
"""Characters from which on the last part of a ping's address, or a value of its query, is treated as a secret."""
START, FAIL = "/start", "/fail"


class NotSent(Exception):
    """A notification was not sent; says why, without secrets."""


class Channel(threading.Thread):
    """One notification. Its thread is a daemon: a receiver that never answers does not keep the program alive."""

    def __init__(self, name: str, send: Callable[[], None], after: threading.Thread | None = None) -> None:
        super().__init__(name=name, daemon=True)
        self._send = send
        self._after = after
        self.error: str | None = None

    def begin(self) -> None:
        """Starts the thread; if that fails, nothing is sent."""
        try:
            self.start()
        except RuntimeError as error:
            self.error = str(error)

    def run(self) -> None:
        if self._after and self._after.ident:
            self._after.join()
        try:
            self._send()
        except NotSent as error:
            self.error = str(error)
        except ImportError:
            self.error = f"it needs an extra: {install(self.name.partition('[')[0])}"
        except OSError as error:
            self.error = redact(error.strerror or type(error).__name__)
        # Apprise's plug-ins may raise anything, with addresses and passwords in the text. That must not end a run, so
        # the warning has only the kind of error.
        except Exception as error:  # noqa: BLE001  # plug-ins may raise anything; it becomes a warning
            self.error = f"unexpected error ({type(error).__name__})"


class Notifier:
    """The notifications of one run."""

    def __init__(self, settings: NotifySettings) -> None:
        self._settings = settings
        self._seconds = settings.timeout.total_seconds()
        self._start: Channel | None = None

    def begin(self) -> None:
        """Sends that a run begins; does not wait for the answer."""
        if self._settings.ping:
            self._start = Channel("ping", partial(self._ping, self._settings.ping, START))
            self._start.begin()

    def end(self, summary: Summary) -> list[str]:
        """Sends how the run ended. Returns the notifications that were not sent, and why."""
        deadline = time.monotonic() + self._seconds
        channels = list(self._channels(summary))
        for channel in channels:
            channel.begin()
        for channel in channels:
            if channel.ident:
                channel.join(max(0.0, deadline - time.monotonic()))
            if channel.is_alive():
                channel.error = f"not finished within {self._seconds:g} s"
        return [f"{channel.name}: {channel.error}" for channel in channels if channel.error]

    def _channels(self, summary: Summary) -> Iterator[Channel]:
        settings = self._settings
        if settings.ping:
            suffix = f"/{summary.status}" if settings.ping_status else FAIL if summary.status else ""
            yield Channel("ping", partial(self._ping, settings.ping, suffix, summary.status), after=self._start)
        if settings.prometheus:
            yield Channel("prometheus", partial(metrics.write, settings.prometheus, summary))
        wanted = {"always": True, "trouble": summary.due, "change": summary.changed}[settings.when]
        for number, url in enumerate(settings.apprise if wanted else (), 1):
            yield Channel(f"apprise[{number}]", partial(self._message, url, summary))

    def _ping(self, secret: Secret, suffix: str, status: int = 0) -> None:
        url = revealed(secret)
        if mistake := url_mistake(url, self._settings.allow_insecure_http, query=True):
            raise NotSent(mistake)
        parts = urlsplit(url)
        for part in (parts.path.rstrip("/").rpartition("/")[2], *(value for _, value in parse_qsl(parts.query))):
            if len(part) >= SECRET_LENGTH:
                redact.add(part)
        if (target := ping_address(url, suffix, status)) is None:
            return
        error: str | None = ""
        with wire.session(1) as session:
            for _ in range(TRIES):
                error = _get(session, target, self._seconds / TRIES)
                if not error:
                    return
        raise NotSent(error)

    def _message(self, secret: Secret, summary: Summary) -> None:
        text = summary.text(titles=self._settings.titles)
        send(secret, summary.subject, text, "FAILURE" if summary.status else "SUCCESS", self._settings)


def ping_address(url: str, suffix: str, status: int) -> str | None:
    """The address to ask for; None if this receiver has none for it.

    healthchecks.io and those like it take ``suffix`` behind the path; a query stays behind that. Uptime Kuma is told
    by the query itself, which has ``status``: ``up`` or ``down`` at the end, and nothing at the start.
    """
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    if "status" not in query:
        return parts._replace(path=parts.path.rstrip("/") + suffix).geturl()
    if suffix == START:
        return None
    query |= {"status": "down" if status else "up", "msg": f"exit status {status}"}
    return parts._replace(query=urlencode(query)).geturl()


def send(secret: Secret, title: str, text: str, kind: str, settings: NotifySettings) -> None:
    """Sends a text to an address of Apprise. Raises NotSent, and whatever its plug-ins raise."""
    import apprise

    plugin = plugin_for(secret, settings)
    receiver = apprise.Apprise(asset=apprise.AppriseAsset(app_id="confcleanup", async_mode=False))
    receiver.add(plugin)
    if not receiver.notify(title=title, body=text, notify_type=getattr(apprise.NotifyType, kind), body_format="text"):
        raise NotSent("the receiver did not accept it")


def plugin_for(secret: Secret, settings: NotifySettings) -> Any:
    """Apprise's plug-in for an address. Raises NotSent if it has none, or if secrets would travel in clear text."""
    import apprise

    logging.getLogger("apprise").disabled = True  # it writes addresses to standard error
    plugin = apprise.Apprise.instantiate(revealed(secret))
    if plugin is None:
        raise NotSent("this is not an address that Apprise knows")
    if not (settings.allow_insecure_http or _is_safe(secret.reveal(), plugin)):
        raise NotSent("its address would send secrets in clear text; use the form that ends in s, as in mailtos://")
    return plugin


def revealed(secret: Secret) -> str:
    try:
        return secret.reveal()
    except ValueError as error:
        raise NotSent(str(error)) from None


def _get(session: requests.Session, target: str, seconds: float) -> str | None:
    """Requests an address. Returns why that was not a success; None if it was."""
    try:
        with wire.send(session, "GET", target, {}, seconds) as answer:
            return None if answer.status_code < 300 else f"the answer was {answer.status_code}"
    except NETWORK_ERRORS as error:
        asked = Asked("GET", "read an answer", target, timeout=seconds)
        return f"{asked.host}: {diagnose(error, asked).cause}"
    except AccessDenied as error:  # the certificates to trust cannot be read
        return str(error)


def _is_safe(url: str, plugin: Any) -> bool:
    """Whether an Apprise plug-in uses TLS for this address, or contacts only this machine."""
    plain = plugin.protocol or ()
    schema = url.partition("://")[0].lower()
    host = getattr(plugin, "host", None)
    return schema not in ((plain,) if isinstance(plain, str) else plain) or not host or is_loopback(host)
