"""``python -m tests.postgres COMMAND…`` runs a command beside a throwaway PostgreSQL cluster; its address is in ZHIKE_TEST_DATABASE.

The server refuses to run as root, so that as root it runs as ``postgres`` or ``nobody``. The cluster lies in a temporary folder,
listens on a free port of 127.0.0.1 and is removed afterwards.
"""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any


def program(name: str) -> str:
    """Path of a server program; Debian keeps it out of PATH."""
    found = shutil.which(name) or next(
        (str(path) for path in sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), reverse=True)), None
    )
    if found is None:
        sys.exit(f"PostgreSQL is not installed: no {name} (make system)")
    return found


def somebody() -> dict[str, Any]:
    """Whom the server runs as: ourselves, or somebody harmless instead of root."""
    if os.geteuid() != 0:
        return {}
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
    sys.exit("no user postgres or nobody to run PostgreSQL as")


@contextmanager
def cluster() -> Iterator[str]:
    """A running server; yields the address of its first database."""
    who = somebody()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with TemporaryDirectory(prefix="zhike-postgres-") as folder:
        if who:
            os.chown(folder, who["user"], who["group"])
        data = f"{folder}/data"

        def run(*command: str) -> None:
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=folder, **who)

        run(program("initdb"), "-D", data, "-U", "zhike", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync")
        options = f"-p {port} -h 127.0.0.1 -k {folder} -c fsync=off -c full_page_writes=off -c max_connections=200"
        run(program("pg_ctl"), "-D", data, "-l", f"{folder}/log", "-w", "-o", options, "start")
        try:
            yield f"postgresql+psycopg://zhike@127.0.0.1:{port}/postgres"
        finally:
            run(program("pg_ctl"), "-D", data, "-m", "immediate", "-w", "stop")


def main(command: list[str]) -> int:
    """Run the command; its exit status is ours."""
    with cluster() as address:
        return subprocess.run(command, env={**os.environ, "ZHIKE_TEST_DATABASE": address}, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
