"""The built wheel alone, installed in an empty folder, runs a lesson."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

from tests.chaos.ports import port_environ
from tests.house.test_wheel import ROOT, installed, wheel

__all__ = ["installed", "wheel"]  # pytest finds its fixtures by these names

LIMIT_S = 420


def test_the_wheel_runs_a_lesson(installed: Path, tmp_path: Path) -> None:
    environ = {"PATH": f"{installed / 'bin'}:{os.environ['PATH']}", "HOME": str(tmp_path), "LANG": "C.UTF-8", **port_environ()}
    command = ("lms", "demo", "--once", "--pupils", "3", "--report", "r.json", "--run-dir", "run")
    done = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, check=False, timeout=LIMIT_S)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads((tmp_path / "r.json").read_text("utf-8"))
    assert found["present"] == found["pupils"] == 3
    assert found["attempts_saved"] == found["attempts_sent"] > 0
    assert found["chain_ok"] is True
    logs = "".join(path.read_text("utf-8", "replace") for path in (tmp_path / "run" / "logs").glob("*.log"))
    assert f"{ROOT}/lms" not in logs
    assert f"{ROOT}/labkit" not in logs
