"""Tells others how a run went: a ping, a file of metrics, a summary. None of it can fail, change or hold up a run.

Each way has a thread of its own, and all of them together are waited for no longer than the config's ``timeout``.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import requests

from ..http import transport as wire
from ..redact import redact
from ..settings.secrets import Secret
from ..settings.tables import NotifySettings, is_loopback, url_mistake
from ..system import install
from . import metrics
from .summary import Summary

log = logging.getLogger(__name__)

TRIES = 2
TELLING = 8
"""Letters from which on the last part of a ping's address is taken for a secret of its own."""


class NotSent(Exception):
    """Somebody could not be told; says why, without secrets."""


class _Way(threading.Thread):
    """One way of telling. Its thread is a daemon: a receiver that never answers does not keep the program alive."""

    def __init__(self, name: str, tell: Callable[[], None], after: threading.Thread | None = None) -> None:
        super().__init__(name=name, daemon=True)
        self._tell = tell
        self._after = after
        self.trouble: str | None = None

    def begin(self) -> None:
        """Starts it; where no thread can be started, nobody is told this way."""
        try:
            self.start()
        except RuntimeError as error:
            self.trouble = str(error)

    def run(self) -> None:
        if self._after and self._after.ident:
            self._after.join()
        try:
            self._tell()
        except NotSent as error:
            self.trouble = str(error)
        except ImportError:
            self.trouble = f"it needs an extra: {install(self.name.partition('[')[0])}"
        except OSError as error:
            self.trouble = redact(error.strerror or type(error).__name__)
        # Apprise hands over to a hundred plug-ins, which raise what they like, with addresses and passwords in the
        # text. A fault in telling must not end a run; it is not swallowed either: its kind becomes a warning.
        except Exception as error:  # noqa: BLE001  # plug-ins raise what they like; it becomes a warning
            self.trouble = f"a fault ({type(error).__name__})"


class Notifier:
    """Everybody that one run tells."""

    def __init__(self, settings: NotifySettings) -> None:
        self._settings = settings
        self._seconds = settings.timeout.total_seconds()
        self._start: _Way | None = None

    def begin(self) -> None:
        """Says that a run begins; does not wait for the answer."""
        if self._settings.ping:
            self._start = _Way("ping", partial(self._ping, self._settings.ping, "/start"))
            self._start.begin()

    def end(self, ending: Summary) -> None:
        """Tells everybody how the run ended. Whoever could not be told is named in one warning."""
        deadline = time.monotonic() + self._seconds
        ways = list(self._ways(ending))
        for way in ways:
            way.begin()
        for way in ways:
            if way.ident:
                way.join(max(0.0, deadline - time.monotonic()))
            if way.is_alive():
                way.trouble = f"no end within {self._seconds:g} s"
        if trouble := [f"{way.name}: {way.trouble}" for way in ways if way.trouble]:
            log.warning(
                "not everybody could be told of this run (the run itself is not affected): %s", "; ".join(trouble)
            )

    def _ways(self, ending: Summary) -> Iterator[_Way]:
        told = self._settings
        if told.ping:
            suffix = f"/{ending.status}" if told.ping_status else "/fail" if ending.status else ""
            yield _Way("ping", partial(self._ping, told.ping, suffix), after=self._start)
        if told.prometheus:
            yield _Way("prometheus", partial(metrics.write, told.prometheus, ending))
        wanted = {"always": True, "trouble": ending.status != 0, "change": ending.changed}[told.when]
        for number, url in enumerate(told.apprise if wanted else (), 1):
            yield _Way(f"apprise[{number}]", partial(self._summary, url, ending))

    def _ping(self, secret: Secret, suffix: str) -> None:
        url = _revealed(secret)
        if mistake := url_mistake(url, self._settings.allow_insecure_http):
            raise NotSent(mistake)
        if len(last := urlsplit(url).path.rstrip("/").rpartition("/")[2]) >= TELLING:
            redact.add(last)
        trouble: str | None = ""
        with wire.session(1) as session:
            for _ in range(TRIES):
                trouble = _get(session, url.rstrip("/") + suffix, self._seconds / TRIES)
                if not trouble:
                    return
        raise NotSent(trouble)

    def _summary(self, secret: Secret, ending: Summary) -> None:
        import apprise

        logging.getLogger("apprise").disabled = True  # it writes addresses to standard error
        plugin = apprise.Apprise.instantiate(_revealed(secret))
        if plugin is None:
            raise NotSent("this is not an address that Apprise knows")
        if not (self._settings.allow_insecure_http or _is_safe(secret.reveal(), plugin)):
            raise NotSent("its address would send secrets in clear text; use the form that ends in s, as in mailtos://")
        receiver = apprise.Apprise(asset=apprise.AppriseAsset(app_id="confcleanup", async_mode=False))
        receiver.add(plugin)
        kind = apprise.NotifyType.FAILURE if ending.status else apprise.NotifyType.SUCCESS
        text = ending.text(titles=self._settings.titles)
        if not receiver.notify(title=ending.subject, body=text, notify_type=kind, body_format="text"):
            raise NotSent("the receiver did not take it")


def _revealed(secret: Secret) -> str:
    try:
        return secret.reveal()
    except ValueError as error:
        raise NotSent(str(error)) from None


def _get(session: requests.Session, target: str, seconds: float) -> str | None:
    """Asks for an address; in words, what came of it if that was not a success."""
    try:
        with wire.send(session, "GET", target, {}, seconds) as answer:
            return None if answer.status_code < 300 else f"the answer was {answer.status_code}"
    except wire.NETWORK_ERRORS as error:
        return wire.cause(error)


def _is_safe(url: str, plugin: Any) -> bool:
    """Whether a plugin of Apprise's speaks TLS for this address, or to this machine alone."""
    plain = plugin.protocol or ()
    schema = url.partition("://")[0].lower()
    host = getattr(plugin, "host", None)
    return schema not in ((plain,) if isinstance(plain, str) else plain) or not host or is_loopback(host)
