"""TLS: which authorities a session trusts."""

from __future__ import annotations

import os
import ssl
from pathlib import Path

from requests.utils import DEFAULT_CA_BUNDLE_PATH

BUNDLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")
"""Variables that name the certificates to trust; the first that is set counts, as requests and OpenSSL have it."""


def trusted(ca_file: str | None = None) -> str:
    """The certificates to trust: ``ca_file``, else what the environment names, else requests' own."""
    named = (os.environ[name] for name in BUNDLES if os.environ.get(name))
    return ca_file or next(named, DEFAULT_CA_BUNDLE_PATH)


def context(ca_file: str | None = None) -> ssl.SSLContext:
    """What checks certificates where requests does not. Raises OSError if the file cannot be used."""
    place = Path(trusted(ca_file))
    return ssl.create_default_context(capath=place) if place.is_dir() else ssl.create_default_context(cafile=place)
