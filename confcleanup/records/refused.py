"""Sign-ins that a vendor refused, so that the next run does not send them again.

Some vendors lock a user after a few wrong sign-ins (Vonage after three, for 30 minutes from the last one). A job in
cron would keep the user locked for as long as nobody looks.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import os
import secrets
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..errors import AccessDenied, LedgerError
from ..lock import alone
from ..redact import redact
from ..settings.tables import AccountSettings

log = logging.getLogger(__name__)
FILE = "refused.json"
TURNS = "refused.lock"
FINAL = frozenset({400, 401, 403, 412, 423})
"""Statuses that speak of the credentials. Anything else may be the server's own trouble, and is tried again."""


class RefusedSignIns:
    """What a state folder remembers of refused sign-ins: for each account a keyed hash of its credentials, and when.

    A file that cannot be read or written is as good as none: the sign-in is then tried, as without a memory.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE
        self._lock = threading.Lock()

    def gate(
        self, account: str, settings: AccountSettings, clock: Callable[[], datetime], *, by_hand: bool = False
    ) -> SignInGate:
        """What one account asks before it signs in, and tells afterwards. ``by_hand``: it is tried all the same."""
        return SignInGate(self, account, settings, clock, by_hand)

    def read(self) -> dict[str, Any]:
        """The file's content, with a key of its own; a new one if there is none."""
        with suppress(OSError, ValueError):
            content = json.loads(self._path.read_text(encoding="utf-8"))
            if isinstance(content, dict) and isinstance(content.get("accounts"), dict) and _is_key(content.get("key")):
                return content
        return {"key": secrets.token_hex(32), "accounts": {}}

    def change(self, account: str, entry: Callable[[str], dict[str, str]] | None) -> None:
        """Remembers an account's refusal, made with the file's key; or forgets it. Other processes wait meanwhile."""
        try:
            with self._lock, alone(self._path.with_name(TURNS)):
                content = self.read()
                before = dict(content["accounts"])
                content["accounts"].pop(account, None)
                if entry:
                    content["accounts"][account] = entry(content["key"])
                if content["accounts"] != before:
                    self._write(content)
        except (OSError, LedgerError) as error:
            log.info("the refused sign-in of %s is not remembered: %s", account, error)

    def _write(self, content: Mapping[str, Any]) -> None:
        beside = self._path.with_name(f".{FILE}.new")
        handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(content, file)
        beside.replace(self._path)


class SignInGate:
    """One account's sign-in."""

    def __init__(
        self,
        memory: RefusedSignIns,
        account: str,
        settings: AccountSettings,
        clock: Callable[[], datetime],
        by_hand: bool,
    ) -> None:
        self._memory = memory
        self._account = account
        self._settings = settings
        self._clock = clock
        self._by_hand = by_hand
        known = json.dumps(settings.recorded_as()).encode("utf-8", "surrogatepass")
        self._own = f"{account} {hashlib.sha256(known).hexdigest()[:16]}"
        """Earlier releases had the name alone, which accounts of two configs may share."""

    def check(self) -> None:
        """Raises AccessDenied if these very credentials were refused before."""
        content = self._memory.read()
        mark = self._mark(content["key"])
        known = [content["accounts"].get(name) for name in (self._own, self._account)]
        entry = next((one for one in known if isinstance(one, dict) and one.get("mark") == mark), None)
        if self._by_hand or entry is None:
            return
        names = " or ".join(name for name, _ in self._settings.secrets()) or "the credentials"
        error = AccessDenied(
            f"the sign-in was refused on {entry.get('at')} ({entry.get('error')}) and is not sent again, because some "
            f"vendors lock a user after three wrong ones; correct {names}, or try it by hand: "
            f"confcleanup check --account {self._account}"
        )
        error.since = entry.get("at")
        raise error

    def refused(self, error: AccessDenied) -> None:
        """Remembers these credentials, if it is they that were refused."""
        if error.status in FINAL:
            error.since = at = f"{self._clock().astimezone(UTC):%Y-%m-%d %H:%M} UTC"
            told = {"at": at, "error": redact(str(error))[:200]}
            self._memory.change(self._own, lambda key: {"mark": self._mark(key), **told})

    def accepted(self) -> None:
        """Forgets what was refused before."""
        for name in self._memory.read()["accounts"].keys() & {self._own, self._account}:
            self._memory.change(name, None)

    def _mark(self, key: str) -> str:
        """A keyed hash of all that is sent: without the key, nobody can try out secrets on the file."""
        plain = {
            name: value
            for name in self._settings.__struct_fields__
            if isinstance(value := getattr(self._settings, name), str)
        }
        hidden = {name: secret.reveal() for name, secret in self._settings.secrets()}
        sent = json.dumps([plain, hidden], sort_keys=True).encode("utf-8", "surrogatepass")
        return hmac.new(bytes.fromhex(key), sent, hashlib.sha256).hexdigest()


def _is_key(text: object) -> bool:
    with suppress(ValueError, TypeError):
        return len(bytes.fromhex(text)) == 32  # type: ignore[arg-type]  # what is no text raises TypeError
    return False
