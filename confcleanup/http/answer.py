"""A vendor's answer: its JSON, the rows of a list, and what its error objects say."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import msgspec

from ..errors import AccessDenied, HttpError, OutcomeUnknown, ProviderError
from ..redact import harmless, redact

REDIRECTS = frozenset({301, 302, 303, 307, 308})


class Answer(msgspec.Struct, frozen=True):
    """A vendor's answer, read to its end."""

    status: int
    headers: Mapping[str, str]
    content: bytes

    def json(self) -> dict[str, Any]:
        """The body as a JSON object. Raises ProviderError if it is anything else."""
        body = self.any_json()
        if not isinstance(body, dict):
            kind = "a list" if isinstance(body, list) else "not a JSON object"
            raise ProviderError(f"the answer (status {self.status}) is {kind}; expected a JSON object")
        return body

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


def _said(answer: Answer) -> str:
    """What an answer's body says against itself, if it says anything, in brackets."""
    body = answer.any_json()
    detail = vendor_message(body) if isinstance(body, dict) else ""
    kind = answer.headers.get("Content-Type", "").partition(";")[0] or "unknown type"
    text = detail or (f"{len(answer.content)} bytes of {redact(harmless(kind))[:60]}" if answer.content.strip() else "")
    return f" ({text})" if text else ""


def _refusal(method: str, answer: Answer) -> HttpError:
    body = answer.any_json()
    body = body if isinstance(body, dict) else {}
    text = f"{method} was answered with {answer.status}"
    if detail := vendor_message(body):
        text += f" ({detail})"
    kind: type[HttpError] = HttpError
    if answer.status in (401, 402, 403):
        kind = AccessDenied
    elif method != "GET" and (answer.status >= 500 or answer.status < 400 or answer.status == 408):
        kind = OutcomeUnknown
    error = kind(text, answer.status, body)
    error.silent = not answer.content.strip()
    error.retry_after = answer.headers.get("Retry-After")
    return error


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
