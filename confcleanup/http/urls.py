"""Addresses: what is sent is what was meant, or nothing is sent."""

from __future__ import annotations

import functools
import ipaddress
import re
from urllib.parse import quote, unquote, urlsplit

import requests
import urllib3

from ..errors import UnsafeId
from ..redact import harmless

LONGEST = 1000
"""Characters of an id or a name; servers refuse addresses of some thousand."""


def path(*segments: str, slash: bool = False) -> str:
    """A path made of segments, each encoded whole. Raises UnsafeId for one that would change the path."""
    return "/".join(map(segment, segments)) + ("/" if slash else "")


@functools.lru_cache(maxsize=512)
def segment(text: str) -> str:
    """One path segment, percent-encoded with nothing left out.

    Raises UnsafeId for what a server could read as another path: an empty or dotted part, also
    after trimming or decoding, a NUL, where some servers end a name, and text that is not Unicode;
    and for what is too long for any address.
    """
    if len(text) > LONGEST:
        raise UnsafeId(f"{text[:40]!r}… cannot be sent as an id or a name: it is {len(text)} characters long")
    for reading in (text, unquote(text)):
        parts = re.split(r"[/\\]", reading)
        if any(part.strip() in ("", ".", "..") for part in parts) or "\0" in reading:
            raise UnsafeId(f"{text!r} cannot be sent as an id or a name: it could address something else")
    try:
        return quote(text, safe="")
    except UnicodeEncodeError:
        raise UnsafeId(f"{harmless(text)!r} cannot be sent as an id or a name: it is not valid Unicode") from None


_ORDINARY = re.compile(r"[A-Za-z0-9_-]{1,128}")


def unsendable(text: str) -> str | None:
    """Why a text cannot be sent as an id or a name; None if it can."""
    if _ORDINARY.fullmatch(text):
        return None
    try:
        segment(text)
    except UnsafeId as error:
        return str(error)
    return None


def as_meant(target: str) -> str:
    """The address, if the library would send exactly this one. Raises UnsafeId."""
    try:
        prepared = requests.Request("GET", target).prepare().url or ""
        sent = urllib3.util.parse_url(prepared)
    except (requests.RequestException, urllib3.exceptions.HTTPError, UnicodeError):
        raise UnsafeId("the address cannot be sent") from None
    meant = urlsplit(target)
    if (sent.path or "/", sent.query or "") != (meant.path or "/", meant.query):
        raise UnsafeId("the id or name would change the address it is sent to")
    return target


def origin(url: str) -> str:
    """An address up to its path."""
    return "/".join(url.split("/", 3)[:3])


_NAT64 = ipaddress.ip_network("64:ff9b::/96")


def reach(address: str) -> str | None:
    """Which network besides the internet a numeric address belongs to, in a word; None for one of the internet.

    An IPv4 address that is written inside an IPv6 address is judged as itself. Raises ValueError.
    """
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        inner = (
            ip.ipv4_mapped or ip.sixtofour or (ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF) if ip in _NAT64 else None)
        )
        if inner:
            return reach(str(inner))
        if ip.is_site_local:
            return "private"
    for kind in ("loopback", "unspecified", "multicast", "link_local"):
        if getattr(ip, f"is_{kind}"):
            return kind.replace("_", "-")
    return None if ip.is_global else "private"
