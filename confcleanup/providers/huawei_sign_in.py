"""Sign in to Huawei Cloud Meeting, and read what its errors say (meeting_21_0311, meeting_21_0307)."""

from __future__ import annotations

import base64
import hmac
import uuid
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from ..errors import AccessDenied, HttpError
from ..http.client import Http
from ..settings.secrets import Secret
from ..settings.tables import AccountSettings
from ..settings.values import Pace
from .base import text, token_of, whole

SIGN_IN = "v2/usg/acs/auth/appauth"
EXPIRED = frozenset({"MMC.111070004", "MMC.111070111", "USG.000000004"})
FORBIDDEN = frozenset({"MMC.111070002", "MMC.111070010"})
STATES = {
    412: "the account is disabled: have it enabled in the vendor's console",
    423: "the account is locked: wait, or have it unlocked in the vendor's console",
}
"""What a refused sign-in's status says of the account (meeting_21_0311)."""
SIGNATURE_LIFE = timedelta(minutes=10)
NO_ADMINISTRATOR = (
    "the account is no administrator, so that only its own recordings are listed: "
    "give an administrator's user_id, or none for the default administrator"
)
PERHAPS_NO_ADMINISTRATOR = (
    "the sign-in did not say whether the account is an administrator; if it is none, only its own recordings are listed"
)


class HuaweiSettings(AccountSettings, frozen=True, kw_only=True):
    """A Huawei Cloud Meeting account. Without ``user_id`` it is the enterprise's default administrator.

    ``corp_id`` is for service providers only; one enterprise's sign-in fails with it (meeting_21_0311).
    """

    asked = ("url", "app_id", "app_key", "user_id")

    url: str = "https://api-intl.meeting.huaweicloud.com"
    app_id: str
    app_key: Secret
    user_id: str = ""
    corp_id: str | None = None
    rate: Pace = Pace(60, 60)

    def problems(self) -> Iterator[tuple[str, str]]:
        yield from super().problems()
        if not self.app_id.strip():
            yield "app_id", "is empty"

    def identity(self) -> tuple[str, ...]:
        """Of one enterprise, whichever of its administrators signs in."""
        return *super().identity(), self.app_id, self.corp_id or ""


def signature(app_key: str, app_id: str, user_id: str, expire_time: int, nonce: str, corp_id: str = "") -> str:
    """The sign-in's HMAC-SHA256 in lower-case hex (meeting_21_0311).

    ``expire_time`` is in Unix seconds. An empty user keeps both of its colons; ``corp_id`` stands only if it is given.
    """
    parts = [app_id, *([corp_id] if corp_id else []), user_id, str(expire_time), nonce]
    return hmac.new(app_key.encode(), ":".join(parts).encode(), "sha256").hexdigest()


class Auth:
    """One token for the whole run: a user has 64 at most, and one more logs the oldest out (meeting_21_0307)."""

    def __init__(self, settings: HuaweiSettings) -> None:
        self._settings = settings
        self.doubt: str | None = None
        """Why not the whole enterprise may be listed; None for an administrator."""
        self.user = ""
        """Who signed in, in words."""

    def sign_in(self, http: Http) -> Mapping[str, str]:
        body = self._body(http.clock())
        try:
            check = self._settings.named("app_id", "app_key", "user_id", "corp_id")
            answer = http.authenticate(SIGN_IN, json_body=body, headers=self._headers(body), check=check).json()
        except AccessDenied as error:
            advice = STATES.get(error.status or 0, error.advice)
            raise AccessDenied(error.what, error.status, error.body, advice=advice) from None
        token = token_of(answer, "accessToken", also=("refreshToken",))
        user = answer.get("user")
        user = user if isinstance(user, dict) else {}
        kind = whole(user.get("adminType"))
        name = text(user.get("thirdAccount")) or self._settings.user_id
        role = {0: "the default administrator", 1: "administrator"}.get(-1 if kind is None else kind, "user")
        self.user = f"{role} {name}".strip()
        known = None if kind in (0, 1) else NO_ADMINISTRATOR
        self.doubt = PERHAPS_NO_ADMINISTRATOR if kind is None else known
        return {"X-Access-Token": token}

    def _body(self, now: datetime) -> dict[str, Any]:
        """What is signed, and sent as it was signed."""
        settings = self._settings
        expire = int((now + SIGNATURE_LIFE).timestamp())
        body = {"appId": settings.app_id, "clientType": 72, "expireTime": expire, "nonce": uuid.uuid4().hex}
        optional = {"userId": settings.user_id, "corpId": settings.corp_id}
        return body | {name: value for name, value in optional.items() if value}

    def _headers(self, body: Mapping[str, Any]) -> dict[str, str]:
        app_id, user, corp = body["appId"], body.get("userId", ""), body.get("corpId", "")
        key = self._settings.app_key.reveal()
        signed = signature(key, app_id, user, body["expireTime"], body["nonce"], corp)
        access = base64.b64encode(app_id.encode()).decode()
        return {
            "Authorization": f"HMAC-SHA256 signature={signed},access={access}",
            "Content-Type": "application/json; charset=UTF-8",
            "X-Token-Type": "LongTicket",
        }

    def token_expired(self, error: HttpError) -> bool:
        return error.status == 401 or code(error) in EXPIRED


def code(error: HttpError) -> str | None:
    """The code in Huawei's error object, in whichever of its shapes it came; None without one."""
    inner = error.body.get("error")
    for body in (error.body, inner if isinstance(inner, dict) else {}):
        for name in ("error_code", "errorCode", "code"):
            if isinstance(found := body.get(name), str):
                return found
    return None


def refusal(error: HttpError) -> HttpError:
    """The error; as a 401 or 403 if its code says that no token is good or that a right is missing."""
    for status, codes in ((401, EXPIRED), (403, FORBIDDEN)):
        if code(error) in codes:
            return AccessDenied(error.what, status, error.body, advice=advise("", error) or error.advice)
    return error


def advise(_: str, error: HttpError) -> str:
    """What to do about a refusal: these calls are for administrators (meeting_21_0048, meeting_21_0049)."""
    denied = error.status == 403 or code(error) in FORBIDDEN
    return "give an administrator's user_id, or none for the default administrator" if denied else ""
