"""One school's installation as a whole: folders, database, certificates, and the processes that make it up (实例)."""

from __future__ import annotations

import json
import socket
import sys
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable
from pathlib import Path

from flask import Flask
from sqlalchemy import select

from labkit.lab import load_lab
from lms.app import create_app
from lms.config import Settings, kept_secret, metrics_environ, to_environ
from lms.core import belonging, clock, schema, tls
from lms.core.backup import upgrade
from lms.core.certificates import Certificates
from lms.core.db import db
from lms.core.models import Organisation
from lms.core.origin import claim_origin
from lms.labs.service import board_passwords, gateway_credential, write_passwords
from lms.supervisor import Spec, StartFailed, Supervisor, listening_socket, port_free, port_open, say_line

BROKER_ADMIN = "bridge"


class Instance:
    """Prepares an installation and runs its processes.

    :meth:`prepare` makes or upgrades the database and certificates; :meth:`start` starts broker, web, jobs and — once there is a
    school — the bridge. Used by ``lms up`` and ``lms demo``; a context manager that stops everything.
    """

    def __init__(self, settings: Settings, *, say: Callable[[str], None] = say_line) -> None:
        self.settings = settings
        self.say = say
        self.certificates: Certificates | None = None
        self.environ = {
            **to_environ(settings),
            **metrics_environ(settings),
            "PYTHONUNBUFFERED": "1",
            "MALLOC_ARENA_MAX": "2",
        }
        self.supervisor = Supervisor(run_dir=settings.run, say=say, environ=self.environ)
        self._sockets: list[socket.socket] = []

    def prepare(self, *, warm: bool = True) -> Flask:
        """Make folders, certificates and tables, or bring old tables up to date; returns an app on the database.

        ``warm``: start the nursery meanwhile, because :meth:`start` follows.
        """
        settings = self.settings
        settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        if warm:
            self.supervisor.warm_up()
        app = create_app(settings)
        with app.app_context():
            revision = schema.current(db.engine)
            if revision != schema.head():
                self.say("正在建立数据库 …" if revision is None else f"正在升级数据库 {revision} → {schema.head()} …")
                upgrade(settings, db.engine, clock.now())
            claim_origin(settings.origin)
            belonging.claim(settings)
            db.session.remove()
        if settings.https:
            self.certificates = tls.ensure(settings.data_dir / "tls", settings.host_name, clock.now())
        return app

    def start(self, *, timeout_s: float = 60.0) -> None:
        """Start broker, web and jobs and wait until they serve; raises StartFailed with what to do."""
        self._claim_ports()
        for spec in (self.broker_spec(), self.web_spec(), self.jobs_spec()):
            self.supervisor.add(spec)
        self.supervisor.start_all(timeout_s=timeout_s)

    def start_bridge(self, school: str = "") -> None:
        """Start the bridge; it needs a school, by name or code where there are several."""
        self.supervisor.add(Spec("bridge", lms=("bridge", *(("--school", school) if school else ()))))
        self.supervisor.start("bridge")

    def start_gateway(self, spec: Spec, *, timeout_s: float = 30.0) -> None:
        """Start a gateway (``labkit serve``) or simulator whose command line the caller knows."""
        self.supervisor.add(spec)
        self.supervisor.start(spec.name, timeout_s=timeout_s)

    def start_lab(self, app: Flask, lab: Path, code: str = "", *, simulate: bool = False, timeout_s: float = 90.0) -> None:
        """Start the gateway for the devices of ``lab``, and with ``simulate`` the simulator of them all; ``code``: the school where there are several."""
        folder = self.settings.run / "lab"
        folder.mkdir(parents=True, exist_ok=True)
        if simulate:
            with app.app_context():
                write_passwords(folder / "boards.json", board_passwords(self._school(code), lab))
                db.session.remove()
            broker = f"mqtt://127.0.0.1:{self.settings.mqtt_port}"
            argv = (sys.executable, "-m", "labkit.cli", "simulate", "--lab", str(lab), "--run-dir", str(folder), "--broker", broker)
            ports = [folder / "dev" / device.id for device in load_lab(lab).devices if device.url == "sim://pty"]
            self.start_gateway(Spec("simulator", argv, ready=lambda: all(port.exists() for port in ports)), timeout_s=timeout_s)
        self.start_gateway(self.gateway_spec(app, lab, code))

    def _school(self, code: str) -> uuid.UUID:
        query = select(Organisation).where(Organisation.level == "school")
        return db.session.scalars(query.where(Organisation.code == code) if code else query).one().id

    def broker_spec(self) -> Spec:
        """The broker; writes the file that it reads."""
        settings = self.settings
        path = settings.run / "broker.json"
        password = settings.data_dir / "keys" / "broker-admin"
        kept_secret(password)
        values = {
            "kind": settings.broker,
            "host": "127.0.0.1",
            "tcp_host": settings.listen,
            "tcp_port": settings.mqtt_port,
            "ws_port": settings.mqtt_ws_port,
            "data_dir": str((settings.data_dir / "broker").resolve()),
            "admin_username": BROKER_ADMIN,
            "admin_password_file": str(password.resolve()),
        }
        if self.certificates:
            values |= {
                "wss_host": settings.listen,
                "wss_port": settings.mqtt_wss_port,
                "cert": str(self.certificates.server.resolve()),
                "key": str(self.certificates.server_key.resolve()),
            }
        path.write_text(json.dumps(values, indent=1), "utf-8")
        argv = (sys.executable, "-m", "labkit.broker", "--config", str(path.resolve()))
        return Spec("broker", argv, ready=lambda: port_open(settings.mqtt_port) and port_open(settings.mqtt_ws_port))

    def web_spec(self) -> Spec:
        """The web server on sockets that stay open while it is started again."""
        descriptors = tuple(made.fileno() for made in self._sockets)
        return Spec("web", lms=("web", "--sockets", "{sockets}"), pass_fds=descriptors, ready=self.web_answers)

    def jobs_spec(self) -> Spec:
        """The background jobs."""
        return Spec("jobs", lms=("jobs",))

    def gateway_spec(self, app: Flask, lab: Path, code: str = "") -> Spec:
        """A gateway on this machine for the devices of ``lab``, with its own credential at the broker; ``code`` of the school where there are several."""
        name = load_lab(lab).name
        with app.app_context():
            credential = gateway_credential(self._school(code), name, lab)
        argv = (
            sys.executable,
            "-m",
            "labkit.cli",
            "serve",
            "--lab",
            str(lab),
            "--run-dir",
            str(self.settings.run / "lab"),
        )
        broker = {
            "LABKIT_BROKER": f"mqtt://127.0.0.1:{self.settings.mqtt_port}",
            "LABKIT_USERNAME": credential.username,
            "LABKIT_PASSWORD": credential.password,
        }
        return Spec("gateway", argv, env={**self.environ, **broker})

    def web_answers(self) -> bool:
        """Whether the web server says it is ready."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.settings.http_port}/readyz", timeout=5) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def addresses(self) -> list[str]:
        """Where people open it: plain HTTP on this machine first, then HTTPS by name and number."""
        settings = self.settings
        found = [f"http://localhost:{settings.http_port}"]
        if self.certificates:
            names = [name for name in tls.names_of(settings.host_name) if name != "localhost"]
            numbers = [text for text in tls.addresses_here() if ":" not in text and not text.startswith("127.")]
            found += [f"https://{name}:{settings.https_port}" for name in (*names[:2], *numbers)]
        return found

    def stop(self) -> None:
        """Stop all processes and give the ports back."""
        self.supervisor.stop()
        for made in self._sockets:
            made.close()
        self._sockets = []

    def __enter__(self) -> Instance:
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def _claim_ports(self) -> None:
        settings = self.settings
        self._sockets.append(listening_socket(settings.listen_http, settings.http_port, what="网页 (http_port)"))
        if self.certificates:
            self._sockets.append(listening_socket(settings.listen, settings.https_port, what="加密网页 (https_port)"))
        wanted = {"mqtt_port": settings.mqtt_port, "mqtt_ws_port": settings.mqtt_ws_port}
        if self.certificates:
            wanted["mqtt_wss_port"] = settings.mqtt_wss_port
        for name, port in wanted.items():
            if not port_free(port, settings.listen if name != "mqtt_ws_port" else "127.0.0.1"):
                raise StartFailed(
                    f"消息服务器的端口 {port} ({name}) 已被占用：请关闭占用它的程序，或设置 ZHIKE_{name.upper()}。"
                )
        _clean(settings.run / "metrics")


def _clean(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.glob("*.db"):
        path.unlink()
