"""What can go wrong between us and a broker: one small tree, each with a reason code."""

from __future__ import annotations


class BrokerError(Exception):
    """Something about the MQTT broker failed; `code` is a stable word for programs, the text is for people (Chinese)."""

    code = "broker_error"


class BrokerConfigError(BrokerError):
    """The broker's configuration file is unusable; the text names the field."""

    code = "broker_config"


class BrokerUnavailable(BrokerError):
    """The broker does not answer, or the connection broke while an answer was awaited."""

    code = "broker_unavailable"


class BrokerRefused(BrokerError):
    """The broker answered a command with an error; `command` names it, `reason` is the broker's own English text."""

    code = "broker_refused"

    def __init__(self, command: str, reason: str) -> None:
        super().__init__(f"消息服务器拒绝了指令 {command}:{reason}")
        self.command = command
        self.reason = reason


class MalformedPacket(BrokerError):
    """Bytes from a client are no MQTT 3.1.1 packet; the connection is closed, nothing else is touched."""

    code = "malformed_packet"
