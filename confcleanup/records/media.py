"""Tell audio and video by a file's first bytes, and name such files. Pure.

What a server calls a file proves nothing: an error in words may come as ``audio/mpeg``, a WAV file as ``x.mp3``.
"""

from __future__ import annotations

import re
from collections.abc import Callable

HEAD = 64
"""Bytes from the beginning that ``suffixes`` needs."""
SLOWEST = 50
"""Bytes a second below which no codec goes: AMR's lowest rate takes 594, its frames for pure silence 50 (MP3: 1000)."""
SHORT = 10.0
"""Seconds. A recording that is not longer may have any size."""

_BRANDS = {
    b"M4A ": ("m4a", "mp4"),
    b"M4B ": ("m4b", "m4a", "mp4"),
    b"M4V ": ("m4v", "mp4"),
    b"qt  ": ("mov", "qt"),
    **dict.fromkeys((b"3gp4", b"3gp5", b"3gp6", b"3gp7", b"3gr6", b"3gs6", b"3ge6"), ("3gp", "mp4")),
    **dict.fromkeys((b"3g2a", b"3g2b", b"3g2c"), ("3g2", "mp4")),
    **dict.fromkeys((b"heic", b"heix", b"mif1", b"msf1", b"avif", b"avis", b"crx ", b"jp2 ", b"jpx "), ()),  # pictures
}


def _mp4(head: bytes) -> tuple[str, ...]:
    return _BRANDS.get(head[8:12], ("mp4", "m4a", "m4v", "mov"))


def _matroska(head: bytes) -> tuple[str, ...]:
    return ("webm",) if b"webm" in head else ("mkv", "mka")


_RATES = re.escape(bytes(byte for byte in range(0x10, 0xF0) if byte & 0b1100 != 0b1100))
"""The third byte of an MPEG frame with a valid bit rate and sampling rate."""
_Names = tuple[str, ...] | Callable[[bytes], tuple[str, ...]]
_BEGINNINGS: tuple[tuple[re.Pattern[bytes], _Names], ...] = tuple(
    (re.compile(pattern, re.DOTALL), names)
    for pattern, names in (
        (rb"(?:RIFF|RF64|RIFX|BW64)....WAVE", ("wav", "wave")),
        (rb"RIFF....AVI ", ("avi",)),
        (rb"ID3[\x02-\x04][^\xff][^\xff]", ("mp3", "mpga", "aac")),
        (rb"\xff[\xe2\xe3\xf2\xf3\xfa\xfb][" + _RATES + rb"]", ("mp3", "mpga")),
        (rb"\xff[\xf0\xf1\xf8\xf9].", ("aac",)),
        (rb"\0...ftyp", _mp4),
        (rb"OggS\0", ("ogg", "oga", "ogv", "opus")),
        (rb"\x1a\x45\xdf\xa3", _matroska),
        (rb"fLaC[\0\x80]", ("flac",)),
        (rb"#!AMR(?:-WB)?(?:_MC1\.0)?\n.", ("amr", "awb")),
        (rb"\.snd\0", ("au", "snd")),
        (rb"FORM....AIF[FC]", ("aiff", "aif", "aifc")),
        (rb"caff\0\x01", ("caf",)),
        (rb"\x30\x26\xb2\x75\x8e\x66\xcf\x11", ("wma", "wmv", "asf")),
        (rb"FLV\x01", ("flv",)),
        (rb"\0\0\x01[\xba\xb3]", ("mpg", "mpeg")),
    )
)
KNOWN = frozenset(
    suffix for _, names in (*_BEGINNINGS, *_BRANDS.items()) if isinstance(names, tuple) for suffix in names
) | {"mp4", "webm", "mkv", "mka"}
"""Every suffix that a recognised file may have."""


def suffixes(head: bytes) -> tuple[str, ...]:
    """The suffixes that fit a file, the usual one first; none if it is neither audio nor video."""
    for pattern, names in _BEGINNINGS:
        if pattern.match(head):
            return names if isinstance(names, tuple) else names(head)
    return ()


def named(name: str, fitting: tuple[str, ...]) -> str:
    """A file's name with a suffix that fits what it is; a suffix for another kind of media is replaced."""
    stem, _, suffix = name.rpartition(".")
    if stem and suffix.lower() in fitting:
        return name
    return f"{stem if stem and suffix.lower() in KNOWN else name}.{fitting[0]}"


def what_else(head: bytes) -> str:
    """What a file that is not media seems to be, in words."""
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    for beginning, kind in ((b"<?xml", "XML"), (b"<!doctype", "HTML"), (b"<html", "HTML"), (b"<", "HTML or XML")):
        if start.startswith(beginning):
            return kind
    if start[:1] in (b"{", b"["):
        return "JSON"
    return "text" if re.fullmatch(rb"[\t\r\n\x20-\x7e\x80-\xff]*", head) else "of a kind that is not known"


def too_small(size: int, seconds: float | None) -> bool:
    """Whether so few bytes cannot hold a recording of this length."""
    return seconds is not None and seconds > SHORT and size < SLOWEST * seconds
