"""The web server: gunicorn with threads, plain HTTP for this machine and HTTPS for the school from the same workers (网页服务)."""

from __future__ import annotations

import gc
import logging
import re
import socket
import ssl
import threading
from collections.abc import Callable, Sequence
from copy import copy
from multiprocessing.sharedctypes import RawArray
from pathlib import Path
from typing import Any

from flask import Flask
from gunicorn.app.base import BaseApplication
from gunicorn.config import Config
from gunicorn.http import get_parser
from gunicorn.workers.gthread import TConn, ThreadWorker
from prometheus_client.multiprocess import mark_process_dead

from lms.config import Settings
from lms.core.process import die_with_parent

log = logging.getLogger("lms.web")

KEEP_ALIVE_S = 90
GREETING_S = 5
COURTESY_S = 0.002
TLS_RECORD = b"\x16"
HOST = re.compile(rb"\r\nhost:\s*([A-Za-z0-9.\-\[\]:]+)\r\n", re.IGNORECASE)
TARGET = re.compile(rb"^[A-Z]+ (/[\x21-\x7e]*) HTTP/1")


def tls_context(certificate: Path, key: Path) -> ssl.SSLContext:
    """One context for all connections of all workers, made before they fork: session tickets then resume on every worker."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    context.load_cert_chain(certificate, key)
    return context


class SecureConnection(TConn):
    """A connection of the HTTPS port; who speaks plain HTTP to it is sent to the right address."""

    cfg: Any
    sock: Any
    initialized: bool

    def init(self) -> None:
        """Greet by TLS, or redirect; runs in a worker thread, where blocking is allowed, and ends within five seconds."""
        if self.initialized:
            return
        self.initialized = True
        self.sock.settimeout(GREETING_S)
        try:
            if self.sock.recv(1, socket.MSG_PEEK) != TLS_RECORD:
                self._send_away()
                raise StopIteration  # gunicorn closes the connection
            self.sock = self.cfg.zhike_tls.wrap_socket(self.sock, server_side=True)
        except (TimeoutError, ssl.SSLError) as error:  # a scanner, or a browser that does not trust the school yet
            log.debug("no TLS: %s", error)
            raise StopIteration from error
        self.sock.settimeout(None)
        self.parser = get_parser(self.cfg, self.sock, self.client)

    def _send_away(self) -> None:
        asked = self.sock.recv(4096)
        host, target = HOST.search(asked), TARGET.match(asked)
        if host and target:
            where = b"https://" + host[1] + target[1]
            self.sock.sendall(
                b"HTTP/1.1 307 Temporary Redirect\r\nLocation: "
                + where
                + b"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            )


class TwoDoorWorker(ThreadWorker):
    """gunicorn's threaded worker with one TLS listener beside the plain one; gunicorn itself knows only all or none.

    A browser keeps its connection for the whole lesson, and whichever worker wakes first would take them all: the workers therefore
    tell each other how many they hold (``zhike_crowd``, shared memory), and who holds more lets the others go first.
    """

    seat: int
    courtesy = threading.Event()  # never set: waiting for it is a pause

    def accept(self, listener: Any) -> None:
        """Take a connection; on the HTTPS port it becomes a TLS one."""
        crowd = self.cfg.zhike_crowd
        if self.nr_conns > min(crowd) + 1:
            self.courtesy.wait(COURTESY_S)
        self._take(listener)
        crowd[self.seat] = self.nr_conns

    def wait_for_and_dispatch_events(self, timeout: float) -> None:
        """Serve what has come, then tell how many connections are left."""
        super().wait_for_and_dispatch_events(timeout)
        self.cfg.zhike_crowd[self.seat] = self.nr_conns

    def _take(self, listener: Any) -> None:
        if listener.getsockname()[1] != self.cfg.zhike_https_port:
            super().accept(listener)
            return
        try:
            client, address = listener.accept()
        except (BlockingIOError, ConnectionAbortedError):  # another worker took it, or the caller left
            return
        self.nr_conns += 1
        client.setblocking(True)
        self.enqueue_req(SecureConnection(self.cfg.zhike_secure, client, address, listener.getsockname()))


class WebServer(BaseApplication):
    """gunicorn as a part of this program.

    ``make_app`` is called once, before the workers fork, so that they share its memory. ``sockets``: descriptors of listening sockets
    that a supervisor holds open over restarts (HTTP first, then HTTPS); without them the server binds its own.
    """

    def __init__(
        self,
        settings: Settings,
        make_app: Callable[[], Flask],
        tls: tuple[Path, Path] | None,
        sockets: Sequence[int] = (),
    ) -> None:
        self.settings = settings
        self.make_app = make_app
        self.tls = tls
        self.sockets = sockets
        super().__init__()

    def load_config(self) -> None:
        """Hand our settings to gunicorn; it reads no file and no environment."""
        settings = self.settings
        binds = [f"fd://{descriptor}" for descriptor in self.sockets] or [
            f"{settings.listen_http}:{settings.http_port}",
            *([f"{settings.listen}:{settings.https_port}"] if self.tls else []),
        ]
        values: dict[str, Any] = {
            "bind": binds,
            "worker_class": TwoDoorWorker,
            "workers": settings.web_workers,
            "threads": settings.web_threads,
            "worker_connections": 1000,
            "preload_app": True,
            "keepalive": KEEP_ALIVE_S,
            "timeout": 60,
            "graceful_timeout": 10,
            "backlog": 1024,
            "sendfile": False,  # would bypass TLS
            "limit_request_line": 8190,
            "proc_name": "zhike-web",
            "worker_tmp_dir": "/dev/shm" if Path("/dev/shm").is_dir() else None,
            "forwarded_allow_ips": settings.trusted_proxies or "127.0.0.1",
            "loglevel": "warning",
            "errorlog": "-",
            "control_socket_disable": True,
            "when_ready": _when_ready,
            "pre_fork": _pre_fork,
            "post_fork": _post_fork,
            "child_exit": _child_exit,
        }
        for name, value in values.items():
            self.cfg.set(name, value)
        self.cfg.zhike_crowd = RawArray("i", settings.web_workers)
        self.cfg.zhike_https_port = -1
        if self.tls:
            self.cfg.zhike_https_port = settings.https_port
            self.cfg.zhike_secure = _secure(self.cfg, self.tls)

    def load(self) -> Flask:
        """The app, made in the master process."""
        return self.make_app()


def _secure(config: Config, tls: tuple[Path, Path]) -> Config:
    """gunicorn's settings as they are for a TLS connection: ``is_ssl`` makes its requests https."""
    secure = copy(config)
    secure.settings = {name: copy(setting) for name, setting in config.settings.items()}
    secure.set("certfile", str(tls[0]))
    secure.set("keyfile", str(tls[1]))
    secure.zhike_tls = tls_context(*tls)
    return secure


def _when_ready(arbiter: Any) -> None:
    gc.collect()
    gc.freeze()  # what was made before the fork stays shared


def _pre_fork(arbiter: Any, worker: Any) -> None:
    taken = {other.seat for other in arbiter.WORKERS.values()}
    seats = range(len(worker.cfg.zhike_crowd))
    worker.seat = next((seat for seat in seats if seat not in taken), 0)


def _post_fork(arbiter: Any, worker: Any) -> None:
    die_with_parent(worker.ppid)


def _child_exit(arbiter: Any, worker: Any) -> None:
    worker.cfg.zhike_crowd[worker.seat] = 0
    mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]  # prometheus_client leaves it without types
