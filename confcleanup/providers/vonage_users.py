"""Vonage's users: whose on-demand recordings are meant, and what a row of the list of users says.

Source: the pages that ``vonage.py`` names.
"""

from __future__ import annotations

from typing import Any

from ..errors import ProviderError
from ..http.paging import Row
from ..settings.values import Value
from .base import text
from .vonage_recordings import is_number


class Users(Value):
    """Whose on-demand recordings: "all", "self", or a list of user ids; becomes the word or a tuple of ids."""

    @classmethod
    def parse(cls, raw: Any) -> str | tuple[str, ...]:
        if raw in ("all", "self"):
            return str(raw)
        ids = [text(entry) or "" for entry in raw] if isinstance(raw, list) else []
        if not ids or not all(map(is_number, ids)):
            raise ValueError(f'{raw!r} names no users; write "all", "self", or ids such as ["869048", "869049"]')
        return tuple(dict.fromkeys(ids))

    @classmethod
    def describe(cls) -> dict[str, Any]:
        ids = {"anyOf": [{"type": "string", "pattern": "^[0-9]+$"}, {"type": "integer", "minimum": 0}]}
        return {"anyOf": [{"enum": ["all", "self"]}, {"type": "array", "items": ids, "minItems": 1}]}


def user_of(row: Row) -> tuple[str, str]:
    """A user's id and name, which is empty if it is not known.

    Raises ProviderError without an id: nobody could list that user's recordings.
    """
    ident = text(row.get("id")) or ""
    if not is_number(ident):
        raise ProviderError(f"a user in the list has no usable id ({row.get('id')!r})")
    return ident, text(row.get("login_name")) or text(row.get("email")) or ""
