"""Programs and libraries that come with Debian packages (`make conformance` installs them); a test without them is skipped."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

SYSTEM_PYTHON = "/usr/bin/python3"


def program(name: str, package: str) -> str:
    """The path of a program."""
    return _there(shutil.which(name, path="/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"), name, package)


def file(path: str, package: str) -> Path:
    """A file of a package."""
    return Path(_there(path if Path(path).is_file() else None, path, package))


def rtsp_python() -> str:
    """The system's Python, if it can run GStreamer's RTSP server and encode JPEG."""
    words = (
        "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import Gst, GstRtspServer;"
        "Gst.init(None); assert all(Gst.ElementFactory.find(name) for name in ('avidemux', 'jpegenc', 'rtpjpegpay'))"
    )
    there = Path(SYSTEM_PYTHON).exists()
    good = there and not subprocess.run([SYSTEM_PYTHON, "-c", words], capture_output=True).returncode
    packages = "python3-gi gir1.2-gst-rtsp-server-1.0 gstreamer1.0-plugins-good"
    return _there(SYSTEM_PYTHON if good else None, "GstRtspServer", packages)


def _there(found: str | None, name: str, package: str) -> str:
    if found is None:
        pytest.skip(f"{name} 没有安装 / is not installed: sudo apt-get install {package}")
    return found
