"""The MQTT broker of a school: Mosquitto where it is installed, the embedded one elsewhere, provisioned the same way."""

from labkit.broker.admin import BrokerAdmin, ClientSpec, RoleSpec
from labkit.broker.config import BrokerConfig, read_config, wait_ready
from labkit.broker.errors import BrokerConfigError, BrokerError, BrokerRefused, BrokerUnavailable, MalformedPacket
from labkit.broker.mosquitto import Mosquitto, MosquittoRunner, find_mosquitto

__all__ = [
    "BrokerAdmin",
    "BrokerConfig",
    "BrokerConfigError",
    "BrokerError",
    "BrokerRefused",
    "BrokerUnavailable",
    "ClientSpec",
    "MalformedPacket",
    "Mosquitto",
    "MosquittoRunner",
    "RoleSpec",
    "find_mosquitto",
    "read_config",
    "run_embedded",
    "wait_ready",
]


def run_embedded(config: BrokerConfig) -> None:
    """Run the embedded broker in this process until SIGTERM or SIGINT; raises BrokerUnavailable, BrokerConfigError."""
    # Imported only here: whoever only provisions or uses Mosquitto needs no WebSocket server.
    from labkit.broker.embedded import run_embedded as run

    run(config)
