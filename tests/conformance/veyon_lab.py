"""A pupil's PC that runs Veyon itself, and Veyon's WebAPI before it, in a corner of this machine that cannot switch it off.

Both run in a mount namespace of their own: their settings (``/etc/xdg``) are not those of this machine, and ``/run`` is empty, so that no
D-Bus is there by which Veyon could restart or shut down the computer that tests it.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from labkit import veyon
from labkit.veyon import Api, VeyonError
from tests.conformance import debian
from tests.effort import PATIENCE_S
from tests.ports import free_ports

PACKAGES = "veyon-service veyon-plugins libqca-qt5-2-plugins xvfb"
PLUGIN = "/usr/lib/x86_64-linux-gnu/veyon/webapi.so"

INSIDE = """
set -e
mount -t tmpfs tmpfs /etc/xdg
mount -t tmpfs tmpfs /run
set -- {settings}
while [ $# -gt 0 ]; do veyon-cli config set "$1" "$2" >/dev/null; shift 2; done
veyon-cli authkeys create lab >/dev/null
Xvfb -displayfd 3 -screen 0 1024x768x24 -wr -nolisten tcp 3>{folder}/display &
until [ -s {folder}/display ]; do kill -0 $!; done
XDG_SESSION_CLASS=user DISPLAY=:$(cat {folder}/display) QT_QPA_PLATFORM=xcb veyon-server >{folder}/server.log 2>&1 &
echo $! >{folder}/server.pid
veyon-cli webapi runserver >{folder}/webapi.log 2>&1 &
wait
"""


class VeyonLab:
    """The PC at 127.0.0.1 behind the WebAPI at :attr:`api`."""

    def __init__(self, folder: Path, limit: int = 4) -> None:
        for name in ("veyon-cli", "veyon-server", "Xvfb", "unshare"):
            debian.program(name, PACKAGES)
        plugins = list(Path("/usr/lib").glob("*/veyon/webapi.so"))
        debian.file(str(plugins[0]) if plugins else PLUGIN, PACKAGES)
        if subprocess.run(["unshare", *self._own(), "mount", "-t", "tmpfs", "tmpfs", "/run"], capture_output=True).returncode:
            pytest.skip("这里不能建挂载命名空间 / no mount namespaces here: sudo, or docker run --cap-add SYS_ADMIN")
        self._folder, ports = folder, free_ports(5)
        settings = {
            "Authentication/PrivateKeyBaseDir": folder / "private",
            "Authentication/PublicKeyBaseDir": folder / "public",
            "Authentication/Method": 1,
            "WebAPI/HttpServerPort": ports[0],
            "WebAPI/ConnectionLimit": limit,
            "WebAPI/ConnectionAuthenticationTimeout": 3,
            "Network/VeyonServerPort": ports[1],
            "Network/VncServerPort": ports[2],
            "Network/FeatureWorkerManagerPort": ports[3],
            "Network/DemoServerPort": ports[4],
            "Network/LocalConnectOnly": "true",
            "Logging/LogLevel": 5,
        }
        for name in ("private", "public", "home"):
            (folder / name).mkdir()
        words = " ".join(f"{name} {value}" for name, value in settings.items())
        others = ("DBUS", "XDG", "DISPLAY", "WAYLAND", "QT_")  # OpenCV, once imported, points every Qt to its own plug-ins
        environment = {name: value for name, value in os.environ.items() if not name.startswith(others)}
        environment |= {"HOME": str(folder / "home"), "TMPDIR": str(folder / "home"), "QT_QPA_PLATFORM": "offscreen"}
        environment |= {"DBUS_SYSTEM_BUS_ADDRESS": "unix:path=/nowhere", "DBUS_SESSION_BUS_ADDRESS": "unix:path=/nowhere"}
        script = INSIDE.format(settings=words, folder=folder)
        command = ["unshare", *self._own(), "--pid", "--fork", "--kill-child", "sh", "-c", script]
        self._process = subprocess.Popen(command, env=environment, start_new_session=True)
        self.api = Api(f"http://127.0.0.1:{ports[0]}", "key", "lab", "")
        try:
            self._wait(folder / "private" / "lab" / "key")
        except BaseException:
            self.end()
            raise

    @staticmethod
    def _own() -> list[str]:
        return ["--mount"] if os.geteuid() == 0 else ["--mount", "--user", "--map-root-user"]

    def _wait(self, key: Path, seconds: float = PATIENCE_S) -> None:
        """Until the PC lets us in; while it starts it refuses every key."""
        pause, end = threading.Event(), time.monotonic() + seconds
        while True:
            try:
                self.api = replace(self.api, secret=key.read_text() if key.exists() else "")
                veyon.Session(self.api, "127.0.0.1").close()
                return
            except VeyonError as error:
                if self._process.poll() is not None or time.monotonic() > end:
                    raise AssertionError(f"Veyon does not start: {error}\n{self.log()}") from error
            pause.wait(0.2)

    def log(self) -> str:
        """What the PC's server wrote."""
        file = self._folder / "server.log"
        return file.read_text("utf-8", "replace") if file.exists() else ""

    def end(self) -> None:
        """Everything in the namespace ends with its first process."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(PATIENCE_S)
        shutil.rmtree(self._folder / "home", ignore_errors=True)
