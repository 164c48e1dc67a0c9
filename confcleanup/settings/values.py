"""Values that a config writes as text: ages, lengths of time, shares, rates, times."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any, ClassVar

import msgspec

from ..cutoff import Period


class Value:
    """A setting written as text that needs reading; ``parse`` raises ValueError with a sentence.

    ``describe`` is its JSON Schema, with ``example``.
    """

    example: ClassVar[str] = ""

    @classmethod
    def parse(cls, raw: Any) -> Any:
        raise NotImplementedError

    @classmethod
    def read(cls, raw: Any, folder: Path) -> Any:
        """The value of a key in a config that lies in ``folder``."""
        return cls.parse(raw)

    @classmethod
    def describe(cls) -> dict[str, Any]:
        return {"type": "string"} | ({"examples": [cls.example]} if cls.example else {})


class Age(Value):
    """A retention such as "30 days"; becomes a ``Period``."""

    example = "30 days"

    @classmethod
    def parse(cls, raw: Any) -> Period:
        return Period.parse(_text(raw, 'a length of time in quotes, for example "30 days"'))


class Span(Value):
    """An exact length of time such as "50 minutes"; becomes a ``timedelta``."""

    example = "50 minutes"

    @classmethod
    def parse(cls, raw: Any) -> timedelta:
        return Period.parse(_text(raw, 'a length of time in quotes, for example "50 minutes"')).exact()


class Notice(Value):
    """How long something is announced before it is deleted; becomes a ``timedelta``, which may be zero."""

    example = "7 days"

    @classmethod
    def parse(cls, raw: Any) -> timedelta:
        return Period.parse(_text(raw, 'a length of time in quotes, for example "7 days"'), zero=True).exact()


class Share(Value):
    """A part of the whole such as "25%"; becomes a ``Fraction`` of 1."""

    example = "25%"

    @classmethod
    def parse(cls, raw: Any) -> Fraction:
        found = re.fullmatch(r"\s*([0-9]{1,3}(?:\.[0-9]{1,6})?)\s*%\s*", _text(raw, 'a percentage in quotes, "25%"'))
        if not found or Fraction(found[1]) > 100:
            raise ValueError(f'{raw!r} is not a percentage from "0%" to "100%"')
        return Fraction(found[1]) / 100


class Pace(msgspec.Struct, frozen=True):
    """At most ``count`` requests in any ``seconds``; ``count`` 0 means unlimited."""

    count: int
    seconds: float


class Rate(Value):
    """A request rate such as "20/s", "10/min" or "unlimited"; becomes a ``Pace``."""

    example = "20/s"

    @classmethod
    def parse(cls, raw: Any) -> Pace:
        text = _text(raw, 'a rate in quotes, for example "10/min"').strip().lower()
        if text == "unlimited":
            return Pace(0, 1)
        found = re.fullmatch(r"([0-9]{1,6})\s*/\s*(s|sec|second|min|minute|h|hour)", text)
        if not found or int(found[1]) == 0:
            raise ValueError(f'{raw!r} is not a rate; write "20/s", "10/min", "500/h" or "unlimited"')
        return Pace(int(found[1]), {"s": 1, "m": 60, "h": 3600}[found[2][0]])


class When(Value):
    """A moment: RFC 3339 text, or a TOML date or time. Without an offset it is in the config's time zone."""

    example = "2026-01-31T18:00:00+01:00"

    @classmethod
    def parse(cls, raw: Any) -> str:
        if isinstance(raw, (datetime, date)):
            return raw.isoformat()
        text = _text(raw, "a date or time")
        try:
            datetime.fromisoformat(text.strip())
        except ValueError:
            raise ValueError(f"{text!r} is not a date or time; write 2026-01-31T18:00:00+01:00") from None
        return text


class FilePath(Value):
    """The path of a file or a folder; becomes an absolute one. A relative path begins at the config's folder."""

    @classmethod
    def parse(cls, raw: Any) -> str:
        return cls.read(raw, Path())

    @classmethod
    def read(cls, raw: Any, folder: Path) -> str:
        return located(_text(raw, "a path in quotes"), folder)


class ArchivePlace(FilePath):
    """The path of a folder, or the address of a storage such as s3://bucket/prefix, which stays as it is."""

    @classmethod
    def read(cls, raw: Any, folder: Path) -> str:
        return raw if isinstance(raw, str) and "://" in raw else super().read(raw, folder)


def located(path: str, folder: Path) -> str:
    """Where a path of a config leads to: from the user's home (``~``), else from the config's folder.

    Raises ValueError if that is nowhere.
    """
    if not path.strip() or re.search("[\x00-\x1f\x7f]", path):
        raise ValueError("is not a path; write a Windows path in single quotes, as 'C:\\folder\\file'")
    try:
        return str(folder.absolute() / Path(path).expanduser())
    except RuntimeError:
        raise ValueError(f"{path}: there is no such home folder; write the path without ~") from None


def _text(raw: Any, wanted: str) -> str:
    if not isinstance(raw, str):
        raise ValueError(f"expected {wanted}")
    return raw
