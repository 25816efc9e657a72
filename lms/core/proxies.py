"""Proxies in front (反向代理): only those that the settings list are believed about who asks, and by which address."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from werkzeug.middleware.proxy_fix import ProxyFix

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def networks(text: str) -> tuple[Network, ...]:
    """Addresses and networks (``10.0.0.5, 10.1.0.0/16``), comma-separated; raises ValueError naming the one that is none."""
    found = []
    for part in filter(None, (one.strip() for one in text.split(","))):
        try:
            found.append(ipaddress.ip_network(part))
        except ValueError as error:
            raise ValueError(f"ZHIKE_TRUSTED_PROXIES: {part!r} 不是 IP 地址或网段，请写成 10.0.0.5 或 10.0.0.0/24，用逗号分开。") from error
    return tuple(found)


class TrustedProxies:
    """WSGI: ``X-Forwarded-{For,Proto,Host}`` of a listed proxy are believed, those of anybody else are not looked at."""

    def __init__(self, app: WSGIApplication, trusted: Iterable[Network]) -> None:
        self._plain = app
        self._forwarded = ProxyFix(app, x_for=1, x_proto=1, x_host=1)
        self._trusted = tuple(trusted)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Any:
        """One request."""
        app = self._forwarded if self._is_trusted(environ.get("REMOTE_ADDR", "")) else self._plain
        return app(environ, start_response)

    def _is_trusted(self, peer: str) -> bool:
        try:
            address = ipaddress.ip_address(peer)
        except ValueError:  # a Unix socket has no address
            return False
        address = getattr(address, "ipv4_mapped", None) or address  # ::ffff:10.0.0.5 of a socket that listens on both
        return any(address in network for network in self._trusted)
