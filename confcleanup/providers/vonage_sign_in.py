"""Sign in to Vonage Business Communications, with the settings of an account (the guides that ``vonage.py`` names)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated

from msgspec import Meta

from ..errors import HttpError
from ..http.client import Http
from ..http.failures import SIGN_IN
from ..settings.secrets import Secret
from ..settings.tables import AccountSettings
from ..settings.values import Pace
from .base import token_of
from .vonage_users import Users

ADDRESS = "https://api.vonage.com/token"
"""Where applications sign in (guide create-an-application)."""

DOMAIN = "@vbc.prod"
SENT = ("username", "password", "client_id", "client_secret")
"""What is sent to sign in."""


class VonageSettings(AccountSettings, frozen=True, kw_only=True):
    """A VBC account: the application's id and secret, and the VBC user who signs in through it.

    The default rate is the vendor's default "Per Token Quota", ten requests a minute (guide create-an-application).
    """

    client_id: str
    client_secret: Secret
    username: str
    password: Secret
    account_id: Annotated[str, Meta(pattern="^(self|[0-9]+)$")] | Annotated[int, Meta(ge=0)] = "self"
    users: Annotated[str | tuple[str, ...], Users] = "all"
    url: str = "https://api.vonage.com/t/vbc.prod/call_recording"
    token_url: str = ADDRESS
    provisioning_url: str = "https://api.vonage.com/t/vbc.prod/provisioning"
    rate: Pace = Pace(10, 60)

    def identity(self) -> tuple[str, ...]:
        """All at one address: ``self`` may be any account, and no two recordings of this vendor have one id."""
        return super().identity()

    def recorded_as(self) -> tuple[str, ...]:
        return *self.identity(), str(self.account_id)

    def urls(self) -> Iterator[tuple[str, str]]:
        yield from super().urls()
        yield "token_url", self.token_url
        yield "provisioning_url", self.provisioning_url


class Auth:
    """A password grant (guide create-an-access-token), once a run: by the next one a refresh token may be dead."""

    def __init__(self, settings: VonageSettings) -> None:
        self._settings = settings

    def sign_in(self, http: Http) -> Mapping[str, str]:
        base, check = self._settings.token_url.rstrip("/"), self._settings.named(*SENT)
        with http.asks(SIGN_IN, "token_url"):
            answer = http.authenticate("", base=base, form=self._grant(), check=check).json()
        return {"Authorization": f"Bearer {token_of(answer, also=('refresh_token', 'id_token'))}"}

    def _grant(self) -> dict[str, str]:
        return {
            "grant_type": "password",
            "scope": "openid",
            "username": login(self._settings) + DOMAIN,
            "password": self._settings.password.reveal(),
            "client_id": self._settings.client_id,
            "client_secret": self._settings.client_secret.reveal(),
        }

    def token_expired(self, error: HttpError) -> bool:
        return error.status == 401


def login(settings: VonageSettings) -> str:
    """The user name without the domain, which sign-in wants exactly once; a login name may itself hold an ``@``."""
    name = settings.username
    return name[: -len(DOMAIN)] if name.lower().endswith(DOMAIN) else name


def advise(method: str, error: HttpError) -> str:
    """What to do about a refused deletion; ``_explained`` of ``vonage.py`` knows more of a list."""
    if error.status != 403 or method != "DELETE":
        return ""
    return "the user must be an Account Administrator, the application needs the CallRecording suite"
