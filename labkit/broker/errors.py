"""What can go wrong between us and a broker: a branch of labkit's error tree."""

from __future__ import annotations

from labkit.errors import LabkitError, Malformed


class BrokerError(LabkitError):
    """Something about the MQTT broker failed."""

    def __init__(self, zh: str, en: str, code: str = "broker_error") -> None:
        super().__init__(code, zh, en)


class BrokerConfigError(BrokerError):
    """The broker's configuration or its stored rights are unusable; the text names the file and the field."""

    def __init__(self, zh: str, en: str) -> None:
        super().__init__(zh, en, "broker_config")


class BrokerUnavailable(BrokerError):
    """The broker does not answer, cannot listen, or the connection broke while an answer was awaited."""

    def __init__(self, zh: str, en: str) -> None:
        super().__init__(zh, en, "broker_unavailable")


class BrokerRefused(BrokerError):
    """The broker answered a command with an error; `command` names it, `reason` is the broker's own English text."""

    def __init__(self, command: str, reason: str) -> None:
        super().__init__(
            f"消息服务器拒绝了指令 {command}：{reason}", f"the broker refused {command}: {reason}", "broker_refused"
        )
        self.command = command
        self.reason = reason


class MalformedPacket(Malformed):
    """Bytes from a client are no MQTT 3.1.1 packet; the connection is closed, nothing else is touched."""
