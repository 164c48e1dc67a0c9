"""A vendor's answer: its JSON, the rows of a list, and what its error objects say."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urljoin, urlsplit

import msgspec
import requests

from ..errors import AccessDenied, HttpError, OutcomeUnknown, ProviderError
from ..redact import harmless, redact
from .failures import Asked, proxy_refusal

MAX_ANSWER = 64 * 1024 * 1024
REDIRECTS = frozenset({301, 302, 303, 307, 308})


class Answer(msgspec.Struct, frozen=True):
    """A vendor's answer, read to its end."""

    status: int
    headers: Mapping[str, str]
    content: bytes

    def json(self) -> dict[str, Any]:
        """The body as a JSON object. Raises ProviderError if it is anything else."""
        body = self.any_json()
        if isinstance(body, dict):
            return body
        if isinstance(body, list):
            raise ProviderError(f"expected a JSON object, got a list (status {self.status})")
        advice = "; is url the address of the API? A sign-in page or a proxy may have answered" if self.is_html else ""
        raise ProviderError(f"expected JSON, got {self.kind} (status {self.status}){advice}")

    @property
    def is_html(self) -> bool:
        """Whether it is a page for people."""
        begins = self.content.lstrip()[:5].lower() in (b"<html", b"<!doc")
        return begins or "html" in self.headers.get("Content-Type", "")

    @property
    def kind(self) -> str:
        """What its body is, in words that show nothing of it."""
        if not self.content.strip():
            return "nothing"
        if self.is_html:
            return "HTML"
        return f"{len(self.content)} bytes that are no JSON"

    def any_json(self) -> Any:
        """The body as whatever JSON it is; None if it is none."""
        try:
            return msgspec.json.decode(self.content)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            pass  # it refuses some of what vendors and the standard library call JSON, as NaN
        try:
            return json.loads(self.content)
        except (ValueError, RecursionError):
            return None


def uncontradicted(answer: Answer) -> bool:
    """Whether an answer's body says nothing against its status: there is none, or it is JSON without an error."""
    if not answer.content.strip():
        return True
    body = answer.any_json()
    return isinstance(body, list) or (isinstance(body, dict) and all(body.get(name) is None for name in _ERRORS))


_ERRORS = ("error", "errors", "error_code", "errorCode", "fault")


def details(answer: Answer) -> str:
    """What an answer's body says against itself, if it says anything, in brackets."""
    body = answer.any_json()
    detail = vendor_message(body) if isinstance(body, dict) else ""
    kind = answer.headers.get("Content-Type", "").partition(";")[0] or "unknown type"
    text = detail or (f"{len(answer.content)} bytes of {redact(harmless(kind))[:60]}" if answer.content.strip() else "")
    return f" ({text})" if text else ""


def body_of(response: requests.Response, asked: Asked) -> bytes:
    """An answer's body, read to its end. Raises ProviderError if it is too large, and ``NETWORK_ERRORS``."""
    chunks: list[bytes] = []
    size = 0
    while chunk := response.raw.read1(65536, decode_content=True):
        size += len(chunk)
        if size > MAX_ANSWER:
            why = f"the answer is larger than {MAX_ANSWER // 1024 // 1024} MiB"
            if asked.changes:
                raise OutcomeUnknown(f"{asked.unconfirmed}: {why}", response.status_code)
            raise ProviderError(why)
        chunks.append(chunk)
    return b"".join(chunks)


def refusal(answer: Answer, asked: Asked) -> HttpError:
    """The error that an answer's status means. Its next step may still be missing: the provider knows better ones."""
    if answer.status == 407 and (proxy := proxy_refusal(asked)):
        return AccessDenied(f"{asked.failed}: {proxy.cause}", answer.status, advice=proxy.remedy)
    body = answer.any_json()
    body = body if isinstance(body, dict) else {}
    detail = vendor_message(body) or ("HTML" if answer.is_html else "")
    kind: type[HttpError] = HttpError
    if answer.status in (401, 402, 403):
        kind = AccessDenied
    elif asked.changes and (answer.status >= 500 or answer.status < 400 or answer.status == 408):
        kind = OutcomeUnknown
    what = asked.unconfirmed if kind is OutcomeUnknown else asked.failed
    error = kind(f"{what}: {answer.status}" + (f" ({detail})" if detail else ""), answer.status, body)
    error.silent = not answer.content.strip()
    error.retry_after = answer.headers.get("Retry-After")
    return error


def next_step(answer: Answer, asked: Asked) -> str:
    """What to do about a refusal, as far as the status alone tells it."""
    if answer.status in REDIRECTS:
        return leads_elsewhere(asked, answer)
    if answer.status == 429:
        return "the vendor's limit of requests is reached: lower this account's rate, or run when others do not"
    if answer.status in (401, 402, 403):
        return "check the account's credentials and rights"
    if asked.changes:
        return ""  # what became of it is found out at once
    return "the next run tries again; if it lasts, look at the server" if answer.status >= 500 else ""


def leads_elsewhere(asked: Asked, answer: Answer) -> str:
    """Where a redirect leads, up to its path, which may hold a secret; and what to do."""
    try:
        there = urlsplit(urljoin(asked.target, answer.headers.get("Location", "")))
        place = f"{there.scheme}://{there.netloc.rpartition('@')[2]}"
    except ValueError:
        place = "an address that cannot be read"
    return f"it redirects to {redact(harmless(place))[:200]}: write the address where the API is into {asked.key}"


def http_date(text: str) -> datetime | None:
    """The moment that a header names; None for what cannot be read."""
    try:
        when = parsedate_to_datetime(text)
        return (when if when.tzinfo else when.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, TypeError, OverflowError):
        return None


_TELLING = (
    *("reason", "error_code", "errorCode", "code", "error", "error_msg", "errorMsg", "message"),
    *("error_description", "description", "msg", "errors", "fault"),
)


def vendor_message(body: Mapping[str, Any]) -> str:
    """What a vendor's error object says, in one short harmless line: reason, code or message, wherever they are."""
    said: list[str] = []
    queue: list[Any] = [body]
    while queue and len(said) < 3:
        thing = queue.pop(0)
        if isinstance(thing, Mapping):
            for name in _TELLING:
                value = thing.get(name)
                if isinstance(value, (str, int)) and not isinstance(value, bool) and str(value) not in said:
                    said.append(str(value))
                elif isinstance(value, (Mapping, Sequence)) and not isinstance(value, str):
                    queue.append(value)
        elif isinstance(thing, Sequence) and not isinstance(thing, str):
            queue.extend(thing[:2])
    return redact(harmless(", ".join(said)))[:200]
