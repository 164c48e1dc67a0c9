"""An account's sign-in: made when first needed, and anew when it has run out."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from typing import Protocol

from ..errors import AccessDenied, HttpError, OutcomeUnknown
from .answer import Answer

log = logging.getLogger(__name__)


class Gate(Protocol):
    """What is asked before an account signs in, and told afterwards."""

    def check(self) -> None:
        """Raises AccessDenied if this sign-in must not be sent."""

    def refused(self, error: AccessDenied) -> None:
        """The vendor refused it."""

    def accepted(self) -> None:
        """The vendor took it."""


class SignIn:
    """The headers that an account's threads share. A sign-in that was refused is not tried again."""

    def __init__(
        self, host: str | None, sign_in: Callable[[], Mapping[str, str]], expired: Callable[[HttpError], bool]
    ) -> None:
        """``expired`` judges whether a refusal means that the sign-in has run out, so that a new one may help."""
        self._host = host
        self._sign_in = sign_in
        self._expired = expired
        self._headers: Mapping[str, str] | None = None
        self._count = 0
        self._lock = threading.Lock()
        self._refused: AccessDenied | None = None
        self.gate: Gate | None = None

    def use(self, send: Callable[[Mapping[str, str]], Answer]) -> Answer:
        """Sends with the current sign-in; if it has run out, signs in anew and repeats once."""
        headers, number = self.current()
        try:
            return send(headers)
        except HttpError as error:
            if isinstance(error, OutcomeUnknown) or not self._expired(error):
                raise
        log.info("the sign-in has run out; signing in again")
        headers, _ = self.current(older_than=number)
        return send(headers)

    def current(self, older_than: int = -1) -> tuple[Mapping[str, str], int]:
        """The headers and the number of this sign-in. Threads that find the same one run out renew it once."""
        with self._lock:
            if self._refused:
                raise self._refused
            if self._headers is None or self._count == older_than:
                self._headers = self._signed_in()
                self._count += 1
                log.info("signed in at %s", self._host)
            return self._headers, self._count

    def _signed_in(self) -> Mapping[str, str]:
        try:
            if self.gate:
                self.gate.check()
            headers = self._sign_in()
        except AccessDenied as error:
            self._refused = error
            if self.gate:
                self.gate.refused(error)
            raise
        if self.gate:
            self.gate.accepted()
        return headers
