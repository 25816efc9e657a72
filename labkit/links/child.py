"""Starting a labkit module as a process of its own with the interpreter and packages of this one."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path


def start(
    module: str, *arguments: str, stderr: int | None = None, secrets: Mapping[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """``python -m <module> …`` with pipes on both sides, in a session of its own.

    ``secrets`` go by the environment: everybody on the PC can read the words of a command line.
    The session keeps a terminal's Ctrl-C and a killed process group away from guards, which must outlive the gateway.
    """
    top = str(Path(__file__).resolve().parents[2])
    paths = [top, *(p for p in os.environ.get("PYTHONPATH", "").split(os.pathsep) if p)]
    return subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=stderr,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), "PYTHONUNBUFFERED": "1", **(secrets or {})},
        start_new_session=True,
    )
