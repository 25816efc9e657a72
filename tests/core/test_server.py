"""The web server's workers share the school's connections."""

from __future__ import annotations

import http.client
import os
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.effort import PATIENCE_S

SERVER = """
import os, sys
from dataclasses import replace
from pathlib import Path
from flask import Flask
from lms.config import Settings
from lms.server import WebServer

from tests.effort import PATIENCE_S

def make():
    app = Flask("two")
    app.add_url_rule("/", "pid", lambda: str(os.getpid()))
    return app

WebServer(Settings(data_dir=Path(sys.argv[1]), web_workers=2), make, None, [int(sys.argv[2])]).run()
"""


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)
    command = (sys.executable, "-c", SERVER, str(tmp_path), str(listener.fileno()))
    environ = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    server = subprocess.Popen(command, pass_fds=[listener.fileno()], env=environ)
    yield int(listener.getsockname()[1])
    server.terminate()
    server.wait(PATIENCE_S)
    listener.close()


def ask(connection: http.client.HTTPConnection) -> bytes:
    """Which worker answers."""
    connection.request("GET", "/")
    return connection.getresponse().read()


def both_serve(port: int) -> None:
    """Wait until the slower worker has started: connections come and go until each has served one."""
    seen, deadline = set[bytes](), time.monotonic() + 60
    while len(seen) < 2:
        assert time.monotonic() < deadline
        first, second = (http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S) for _ in range(2))
        seen |= {ask(first), ask(second)}
        first.close()
        second.close()


def test_kept_connections_are_spread_over_the_workers(port: int) -> None:
    both_serve(port)
    connections, served = [http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S) for _ in range(20)], Counter[bytes]()
    for connection in connections:
        served[ask(connection)] += 1
    for connection in connections:
        connection.close()
    assert len(served) == 2
    assert min(served.values()) >= 7
