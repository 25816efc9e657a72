"""Mosquitto as our broker: finds it, writes its configuration, gives the command line that runs it."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from labkit.broker.config import MAX_MESSAGE_BYTES, BrokerConfig, read_rights
from labkit.broker.errors import BrokerConfigError

_PROGRAMS = ("/usr/sbin/mosquitto", "/usr/local/sbin/mosquitto", "/opt/homebrew/sbin/mosquitto")
_PLUGIN = "mosquitto_dynamic_security.so"
_PLUGIN_FOLDERS = ("/usr/lib", "/usr/lib64", "/usr/local/lib", "/usr/local/lib64", "/opt/homebrew/lib")


@dataclass(frozen=True, slots=True)
class Mosquitto:
    """An installed Mosquitto: the program and its dynamic-security plugin."""

    program: Path
    plugin: Path


def find_mosquitto() -> Mosquitto | None:
    """Mosquitto with its dynamic-security plugin (Debian's folders, others' too), or None where either is missing."""
    on_path = shutil.which("mosquitto")
    programs = [Path(on_path)] if on_path else []
    programs += [Path(name) for name in _PROGRAMS]
    program = next((path for path in programs if os.access(path, os.X_OK)), None)
    plugin = next(
        (
            path
            for folder in _PLUGIN_FOLDERS
            for path in (Path(folder) / _PLUGIN, *Path(folder).glob(f"*/{_PLUGIN}"))
            if path.is_file()
        ),
        None,
    )
    return Mosquitto(program, plugin) if program and plugin else None


class MosquittoRunner:
    """Writes `mosquitto.conf` and the first `dynamic-security.json` into the data folder, and names the command to run."""

    def __init__(self, config: BrokerConfig, found: Mosquitto | None = None) -> None:
        installed = found or find_mosquitto()
        if installed is None:
            raise BrokerConfigError(
                "这台电脑没有安装 Mosquitto（Debian：apt install mosquitto）",
                "Mosquitto is not installed here (Debian: apt install mosquitto)",
            )
        self._config = config
        self._installed = installed

    @property
    def conf_file(self) -> Path:
        """The configuration that Mosquitto reads."""
        return self._config.data_dir / "mosquitto.conf"

    def prepare(self) -> list[str]:
        """Write the files (the stored clients and roles are kept) and return the command line."""
        read_rights(self._config)
        self.conf_file.write_text(self.conf(), encoding="utf-8")
        self.conf_file.chmod(0o600)
        return [str(self._installed.program), "-c", str(self.conf_file)]

    def conf(self) -> str:
        """The text of `mosquitto.conf`."""
        config = self._config
        folder = config.data_dir
        lines = [
            "# Written at every start: changes here are lost.",
            "per_listener_settings false",
            "allow_anonymous false",
        ]
        if os.geteuid() == 0:
            # Started as root it would become user mosquitto, who cannot read the private data folder or the TLS key.
            lines.append("user root")
        lines += [
            f"plugin {self._installed.plugin}",
            f"plugin_opt_config_file {config.security_file}",
            "persistence true",
            f"persistence_location {folder}/",
            "persistence_file retained.db",
            "autosave_on_changes true",
            "autosave_interval 100",
            "persistent_client_expiration 1d",
            f"message_size_limit {MAX_MESSAGE_BYTES}",
            "max_queued_messages 5000",
            "max_inflight_messages 100",
            "set_tcp_nodelay true",
            f"log_dest file {config.log_file or folder / 'mosquitto.log'}",
            "log_type error",
            "log_type warning",
            "log_type notice",
            "connection_messages false",
        ]
        for name, host, port in config.listeners():
            # Without the domain a WebSocket listener of 2.0.11 takes no notice of its address and opens on all of them.
            lines += ["", f"listener {port} {host}", f"socket_domain {'ipv6' if ':' in host else 'ipv4'}"]
            if name != "tcp":
                lines.append("protocol websockets")
            if name == "wss":
                lines += [f"certfile {config.cert}", f"keyfile {config.key}"]
        return "\n".join(lines) + "\n"
