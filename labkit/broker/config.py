"""What a broker is told at its start: one frozen value, read from a JSON file."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from labkit.broker.errors import BrokerConfigError, BrokerUnavailable
from labkit.broker.rights import Rights, with_admin

Kind = Literal["auto", "mosquitto", "embedded"]

SECURITY_FILE = "dynamic-security.json"
MAX_MESSAGE_BYTES = 512 * 1024
_PORTS = ("tcp_port", "ws_port", "wss_port")


@dataclass(frozen=True, slots=True)
class BrokerConfig:
    """One broker's listeners, folder and administrator.

    `host` is the address of every listener (127.0.0.1 or 0.0.0.0) unless `tcp_host`, `ws_host` or `wss_host` says
    otherwise. The administrator (the bridge) reads its password from `admin_password_file`.

        {"kind": "auto", "host": "127.0.0.1", "tcp_port": 1883, "ws_port": 8083, "wss_port": 8084,
         "cert": "…/server.crt", "key": "…/server.key", "data_dir": "…/broker",
         "admin_username": "bridge", "admin_password_file": "…/broker.password", "log_file": "…/broker.log"}
    """

    data_dir: Path
    admin_username: str
    admin_password_file: Path
    kind: Kind = "auto"
    host: str = "127.0.0.1"
    tcp_port: int = 1883
    ws_port: int | None = None
    wss_port: int | None = None
    tcp_host: str | None = None
    ws_host: str | None = None
    wss_host: str | None = None
    cert: Path | None = None
    key: Path | None = None
    log_file: Path | None = None

    def admin_password(self) -> str:
        """The administrator's password, without the line end; raises BrokerConfigError."""
        try:
            password = self.admin_password_file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise BrokerConfigError(
                f"admin_password_file 读不出来：{error}", f"cannot read admin_password_file: {error}"
            ) from error
        if not password:
            raise BrokerConfigError("admin_password_file 是空的", "admin_password_file is empty")
        return password

    @property
    def security_file(self) -> Path:
        """Where clients and roles are stored."""
        return self.data_dir / SECURITY_FILE

    def listeners(self) -> list[tuple[str, str, int]]:
        """(`tcp` | `ws` | `wss`, host, port) of each listener."""
        wanted = (
            ("tcp", self.tcp_host, self.tcp_port),
            ("ws", self.ws_host, self.ws_port),
            ("wss", self.wss_host, self.wss_port),
        )
        return [(name, host or self.host, port) for name, host, port in wanted if port is not None]

    def to_json(self) -> dict[str, Any]:
        """The file's content."""
        values = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {name: str(value) if isinstance(value, Path) else value for name, value in values.items()}


def read_config(path: Path) -> BrokerConfig:
    """Read and check a configuration file; relative paths start at its folder. Raises BrokerConfigError."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BrokerConfigError(f"{path}:{error}", f"{path}: {error}") from error
    if not isinstance(data, Mapping):
        raise BrokerConfigError(f"{path}：不是 JSON 对象", f"{path}: no JSON object")
    unknown = sorted(set(data) - set(BrokerConfig.__dataclass_fields__))
    if unknown:
        raise BrokerConfigError(
            f"{path}：不认识的字段 {', '.join(unknown)}", f"{path}: unknown fields {', '.join(unknown)}"
        )
    values: dict[str, Any] = {name: value for name, value in data.items() if value is not None}
    for name in ("data_dir", "admin_password_file", "cert", "key", "log_file"):
        if name in values:
            values[name] = path.parent / _text(path, name, values[name])
    missing = [name for name in ("data_dir", "admin_username", "admin_password_file") if name not in values]
    if missing:
        raise BrokerConfigError(
            f"{path}：缺少字段 {', '.join(missing)}", f"{path}: missing fields {', '.join(missing)}"
        )
    for name in ("admin_username", "host", "tcp_host", "ws_host", "wss_host"):
        if name in values:
            _text(path, name, values[name])
    for name in _PORTS:
        if name in values and not (type(values[name]) is int and 0 < values[name] < 65536):
            raise BrokerConfigError(f"{path}：{name} 应是 1–65535 的端口", f"{path}: {name} should be a port, 1–65535")
    if values.get("kind", "auto") not in get_args(Kind):
        raise BrokerConfigError(
            f"{path}：kind 应是 {' | '.join(get_args(Kind))}", f"{path}: kind should be {' | '.join(get_args(Kind))}"
        )
    config = BrokerConfig(**values)
    if config.wss_port is not None and (config.cert is None or config.key is None):
        raise BrokerConfigError(f"{path}：有 wss_port 时必须给出 cert 和 key", f"{path}: wss_port needs cert and key")
    return config


def _text(path: Path, name: str, value: object) -> str:
    if not isinstance(value, str) or not value or "\n" in value:
        raise BrokerConfigError(f"{path}：{name} 应是一行文字", f"{path}: {name} should be one line of text")
    return value


def read_rights(config: BrokerConfig) -> Rights:
    """The stored clients and roles with the administrator among them; written back if that changed anything."""
    file = config.security_file
    rights = Rights()
    if file.exists():
        try:
            rights = Rights.from_json(json.loads(file.read_text(encoding="utf-8")))
        except (OSError, ValueError) as error:
            raise BrokerConfigError(f"{file}:{error}", f"{file}: {error}") from error
    if with_admin(rights, config.admin_username, config.admin_password()) or not file.exists():
        store_rights(config, rights)
    return rights


def store_rights(config: BrokerConfig, rights: Rights) -> None:
    """Write clients and roles so that a crash leaves the old file or the new one; only the owner may read it."""
    config.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = config.security_file.with_suffix(".new")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as out:
        out.write(rights.dumps())
        out.flush()
        os.fsync(out.fileno())
    draft.replace(config.security_file)


def wait_ready(config: BrokerConfig, timeout_s: float = 10.0) -> None:
    """Return when every listener accepts connections; raises BrokerUnavailable after `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    pause = threading.Event()
    for name, host, port in config.listeners():
        address = "127.0.0.1" if host in ("0.0.0.0", "") else host
        while True:
            try:
                socket.create_connection((address, port), timeout=1.0).close()
                break
            except OSError as error:
                if time.monotonic() >= deadline:
                    raise BrokerUnavailable(
                        f"消息服务器的 {name} 端口 {port} 在 {timeout_s:g} 秒内没有开放",
                        f"the broker's {name} port {port} did not open within {timeout_s:g} s",
                    ) from error
                pause.wait(0.05)
