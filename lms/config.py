"""Typed settings; the only place that reads the environment (配置)."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from pathlib import Path

PREFIX = "ZHIKE_"


@dataclass(frozen=True)
class Settings:
    """Every setting of an instance; each field can be set by ``ZHIKE_<FIELD>``.

    ``docs/how-to/settings.md`` explains each one; a test keeps the two equal.
    """

    data_dir: Path = Path("zhike-data")
    """Database, keys, packages, certificates and uploads; what ``lms backup`` saves."""
    run_dir: Path = Path("")
    """Logs, pid files and sockets; empty means ``<data_dir>/run``."""
    database_url: str = ""
    """SQLAlchemy address; empty means SQLite in ``data_dir``. PostgreSQL: ``postgresql+psycopg://…``."""
    host_name: str = ""
    """Name in certificates and printed addresses; empty means this machine's host name."""
    http_port: int = 8080
    """Plain HTTP, for this machine: browsers treat localhost as secure."""
    listen_http: str = "127.0.0.1"
    """Address that plain HTTP listens on; ``0.0.0.0`` only behind a proxy that speaks HTTPS."""
    https_port: int = 8443
    """HTTPS for the other machines of the school."""
    listen: str = "0.0.0.0"
    """Address that HTTPS and WSS listen on."""
    https: bool = True
    """``0`` where a proxy in front speaks HTTPS: then there is no school CA and no HTTPS port."""
    trusted_proxies: str = ""
    """Addresses or networks of proxies, comma-separated, whose X-Forwarded headers are believed; nobody else's are."""
    web_workers: int = 2
    """Web worker processes."""
    web_threads: int = 4
    """Threads of each web worker; more of them hinder each other before they help."""
    broker: str = "auto"
    """``auto`` (Mosquitto where installed), ``mosquitto`` or ``embedded``."""
    mqtt_port: int = 18830
    """MQTT over TCP, for gateways and boards."""
    mqtt_ws_port: int = 18831
    """MQTT over WebSocket on this machine."""
    mqtt_wss_port: int = 18832
    """MQTT over TLS WebSocket for the terminals of the school."""
    origin: str = "real"
    """``real`` or ``simulated``; written into every evidence record."""
    default_locale: str = "zh_CN"
    """``zh_CN`` or ``en``."""
    timezone: str = "Asia/Shanghai"
    """Zone of a new school."""
    secret_key: str = ""
    """Signs sessions; empty means a key kept in ``data_dir``."""
    log_level: str = "INFO"
    """Level of the structured logs."""
    max_upload_mb: int = 64
    """Largest upload, MiB."""
    tsa_url: str = ""
    """Address of a time-stamping authority (RFC 3161) for the evidence chain; empty means none."""
    tsa_ca: str = ""
    """File with that authority's root certificates, PEM."""

    @property
    def database(self) -> str:
        """Address of the database with the default filled in."""
        return self.database_url or f"sqlite:///{(self.data_dir / 'zhike.sqlite').resolve()}"

    @property
    def is_sqlite(self) -> bool:
        """Whether the embedded database is used."""
        return self.database.startswith("sqlite")

    @property
    def run(self) -> Path:
        """Folder of logs, pid files and sockets with the default filled in."""
        return self.run_dir if str(self.run_dir) not in ("", ".") else self.data_dir / "run"


def settings_from(environ: Mapping[str, str], **overrides: object) -> Settings:
    """Read settings from an environment; ``overrides`` win.

    Raises ValueError naming the variable for a number that is none.
    """
    values: dict[str, object] = {}
    for field in fields(Settings):
        raw = environ.get(PREFIX + field.name.upper())
        if raw is None:
            continue
        kind = type(getattr(Settings(), field.name))
        try:
            values[field.name] = raw.lower() in ("1", "true", "yes", "on") if kind is bool else kind(raw)
        except ValueError as error:
            raise ValueError(f"{PREFIX}{field.name.upper()}: 需要数字 / needs a number: {raw!r}") from error
    return replace(Settings(), **{**values, **overrides})  # type: ignore[arg-type]  # replace() cannot know the fields


_told: dict[str, object] = {}


@lru_cache(maxsize=1)
def get_settings() -> Settings:
    """Settings of this process, read once; what the command line told wins over the environment."""
    return settings_from(os.environ, **_told)


@contextmanager
def told(**values: object) -> Iterator[None]:
    """What the command line says, e.g. ``data_dir``, for as long as the command runs."""
    before = dict(_told)
    _told.update(values)
    get_settings.cache_clear()
    try:
        yield
    finally:
        _told.clear()
        _told.update(before)
        get_settings.cache_clear()


def metrics_environ(settings: Settings) -> dict[str, str]:
    """What makes the web workers share their counters: a folder of small mapped files."""
    return {"PROMETHEUS_MULTIPROC_DIR": str((settings.run / "metrics").resolve())}


def export(values: Mapping[str, str]) -> None:
    """Put values into the environment of this process and its children; before the libraries that read them are imported."""
    os.environ.update(values)


def to_environ(settings: Settings) -> dict[str, str]:
    """The environment that hands these settings to a child process."""
    return {PREFIX + field.name.upper(): str(getattr(settings, field.name)) for field in fields(Settings)}


def kept_secret(path: Path) -> str:
    """Read the secret at ``path`` or make one there, readable by its owner only; processes that start together get the same one."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not path.exists():
        draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as handle:
            handle.write(secrets.token_hex(32))
        with suppress(FileExistsError):
            os.link(draft, path)  # complete or not at all, and only the first
        draft.unlink()
    return path.read_text("ascii")
