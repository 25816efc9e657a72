"""Free ports for a demo that is started as a command."""

from __future__ import annotations

from tests.ports import free_ports

NAMES = ("ZHIKE_HTTP_PORT", "ZHIKE_HTTPS_PORT", "ZHIKE_MQTT_PORT", "ZHIKE_MQTT_WS_PORT", "ZHIKE_MQTT_WSS_PORT")


def port_environ() -> dict[str, str]:
    """Settings that put every door on a port that was free a moment ago."""
    return {name: str(port) for name, port in zip(NAMES, free_ports(len(NAMES)), strict=True)}
