"""TLS: which certificates a session trusts, and why a file or a setting for it cannot be used."""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from requests.utils import DEFAULT_CA_BUNDLE_PATH
from urllib3.util.ssl_ import create_urllib3_context

from ..errors import AccessDenied
from ..settings.tables import AccountSettings
from ..system import why_denied
from . import proxies

BUNDLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")
"""Variables that name the certificates to trust; the first that is set counts, as requests and OpenSSL have it."""
KEY_LOG = "SSLKEYLOGFILE"


def context(ca_file: str | None = None, *, strict: bool = True) -> ssl.SSLContext:
    """What a session checks certificates with: ``ca_file``, else what the environment names, else requests' own.

    ``strict`` is Python's own choice: from 3.13 on it refuses certificates that do not follow RFC 5280 to the letter,
    before that it accepts them. Without it they are accepted everywhere; nothing else is relaxed. Raises AccessDenied.
    """
    made = _bare()
    if not strict:
        made.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if ca_file:
        _trust(made, Path(ca_file), "")
    elif name := _variable():
        _trust(made, Path(os.environ[name]).expanduser(), f"{name} names it: ")
    else:
        made.load_verify_locations(cafile=DEFAULT_CA_BUNDLE_PATH)
    return made


def _variable() -> str | None:
    """The variable that names the certificates to trust, if one does."""
    return next((name for name in BUNDLES if os.environ.get(name)), None)


def _bare() -> ssl.SSLContext:
    """A context as urllib3 makes it, which trusts nobody yet."""
    try:
        made = create_urllib3_context()
    except OSError as error:
        file = Path(os.environ.get(KEY_LOG, ""))
        why = why_denied(file if file.parent.is_dir() else file.parent, error)
        raise AccessDenied(f"{KEY_LOG} names a file that cannot be written: {why}; or unset {KEY_LOG}") from None
    made.verify_mode = ssl.CERT_REQUIRED
    return made


def _trust(made: ssl.SSLContext, file: Path, said: str) -> None:
    try:
        if file.is_dir():
            made.load_verify_locations(capath=file)
        else:
            made.load_verify_locations(cafile=file)
    except ssl.SSLError:
        raise AccessDenied(said + _no_certificate(file)) from None
    except OSError as error:
        raise AccessDenied(f"{said}{why_denied(file, error)}") from None


def _no_certificate(file: Path) -> str:
    """What a file holds in place of certificates in PEM form, and what to do about it."""
    content = file.read_bytes()
    if not content.strip():
        return f"{file} is empty; it should hold the certificate (PEM) of the authority to trust"
    if b"PRIVATE KEY-----" in content:
        return f"{file} holds a private key; give the authority's certificate (PEM), and keep the key where it belongs"
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=content)
    except (ssl.SSLError, ValueError):
        return f"{file} holds no certificate in PEM form, which begins with -----BEGIN CERTIFICATE-----"
    pem = file.with_suffix(".pem")
    return f"{file} is in DER form; convert it: openssl x509 -inform der -in {file} -out {pem}; then use {pem}"


def mistakes(settings: AccountSettings) -> Iterator[tuple[str, str]]:
    """What keeps an account from connecting, known before anything is contacted: pairs of key and message."""
    secure = [url for _, url in settings.urls() if urlsplit(url).scheme in ("https", "wss")]
    for message in dict.fromkeys(message for _, url in settings.urls() for message in proxies.mistakes(url)):
        yield "url", message
    key = "url"
    try:
        if secure:
            _bare()
        key = "ca_file" if settings.ca_file else "url"
        if settings.ca_file or (secure and _variable()):
            context(settings.ca_file)
    except AccessDenied as error:
        yield key, str(error)
