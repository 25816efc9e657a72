"""The web server's workers share the school's connections."""

from __future__ import annotations

import http.client
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

SERVER = """
import os, sys
from dataclasses import replace
from pathlib import Path
from flask import Flask
from lms.config import Settings
from lms.server import WebServer

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
    server = subprocess.Popen(command, pass_fds=[listener.fileno()])
    yield int(listener.getsockname()[1])
    server.terminate()
    server.wait(20)
    listener.close()


def test_kept_connections_are_spread_over_the_workers(port: int) -> None:
    connections, served = [http.client.HTTPConnection("127.0.0.1", port, timeout=30) for _ in range(20)], Counter[bytes]()
    for connection in connections:
        connection.request("GET", "/")
        served[connection.getresponse().read()] += 1
    for connection in connections:
        connection.close()
    assert len(served) == 2
    assert min(served.values()) >= 7
