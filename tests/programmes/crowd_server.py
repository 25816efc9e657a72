"""A real web server of several processes for the crowd's tests: ``python -m tests.programmes.crowd_server FOLDER DATABASE DESCRIPTOR``.

Its clock is what stands in the file ``clock`` of the folder, so that a test can put all workers before a deadline and behind it. Each answer
says which worker gave it.
"""

from __future__ import annotations

import os
import sys
from datetime import datetime
from pathlib import Path

from flask import Flask, Response

from lms.app import create_app
from lms.config import Settings
from lms.core import clock
from lms.server import WebServer

WORKERS = 3


class WrittenClock:
    """A clock that stands at what is written in a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def now(self) -> datetime:
        """The moment last written."""
        return datetime.fromisoformat(self.path.read_text())


def serve(folder: Path, database: str, descriptor: int) -> None:
    """Serve until it is told to end."""
    settings = Settings(data_dir=folder, database_url=database, secret_key="test-key", web_workers=WORKERS)

    def make() -> Flask:
        app = create_app(settings)

        @app.after_request
        def _say(answer: Response) -> Response:
            answer.headers["X-Worker"] = str(os.getpid())
            return answer

        return app

    clock.set_clock(WrittenClock(folder / "clock"))
    WebServer(settings, make, None, [descriptor]).run()


if __name__ == "__main__":
    serve(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
