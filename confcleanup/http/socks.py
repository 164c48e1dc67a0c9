"""Connections through a SOCKS proxy. Needs PySocks, which is the extra ``socks``."""

from __future__ import annotations

import socket

import urllib3
from urllib3.contrib.socks import SOCKSConnection, SOCKSHTTPSConnection

from .transport import Connection, SecureConnection


class _Connection(Connection, SOCKSConnection):
    """A connection of ours that PySocks makes. What the proxy says is told as the proxy's."""

    def _new_conn(self) -> socket.socket:
        try:
            return super()._new_conn()
        except urllib3.exceptions.NewConnectionError as error:
            refused = error.__context__ if isinstance(error.__context__, Exception) else error
            why = getattr(refused, "socket_err", None) or refused
            raise urllib3.exceptions.ProxyError("no connection through the SOCKS proxy", why) from error


class _SecureConnection(SecureConnection, _Connection, SOCKSHTTPSConnection):
    pass


class _Pool(urllib3.HTTPConnectionPool):
    ConnectionCls = _Connection


class _SecurePool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _SecureConnection


POOLS = {"http": _Pool, "https": _SecurePool}
