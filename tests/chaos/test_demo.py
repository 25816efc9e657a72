"""``lms demo --once`` as a command: its report, its exit status, and that it notices every kind of loss."""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from lms.demo.run import has_vision, lost
from tests.chaos.motors import changes
from tests.chaos.ports import port_environ

PUPILS = 12
LIMIT_S = 420
FIELDS = {
    "pupils", "present", "steps_pushed", "attempts_sent", "attempts_saved", "devices", "camera_frames", "faces_max", "usage_record",
    "chain_ok", "compliance", "errors", "duration_s",
}  # fmt: skip
PROCESSES = ("web", "bridge", "gateway", "broker", "jobs")


def test_one_lesson_and_its_report(tmp_path: Path) -> None:
    report, run_dir = tmp_path / "report.json", tmp_path / "run"
    command = [sys.executable, "-m", "lms", "demo", "--once", "--pupils", str(PUPILS), "--minutes", "0.5", "--report", str(report), "--run-dir", str(run_dir)]
    environ = {**os.environ, **port_environ()}
    done = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, check=False, timeout=LIMIT_S)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(report.read_text("utf-8"))
    assert found.keys() >= FIELDS
    assert found["pupils"] == found["present"] == PUPILS
    assert found["attempts_saved"] == found["attempts_sent"] > 0
    assert found["steps_pushed"] > 1
    assert found["chain_ok"] is True
    assert found["usage_record"].keys() == {"id", "hash"}
    assert {rule: row.keys() for rule, row in found["compliance"].items()} == {
        rule: {"verdict", "counted", "required"} for rule in ("fortnightly", "twice_a_month")
    }
    assert found["errors"] == []
    assert found["duration_s"] >= 30
    robots = {name: row for name, row in found["devices"].items() if "stop_confirmed" in row}
    assert all(row["stop_confirmed"] for row in robots.values())
    assert sum(row["commands"] for row in robots.values()) > 0
    assert not any(changes(run_dir, name)[-1].moving for name in robots)
    if has_vision():
        assert found["camera_frames"] > 0
        assert found["faces_max"] == 1
    assert (run_dir / "data" / "zhike.sqlite").exists()
    assert all((run_dir / "logs" / f"{name}.log").exists() for name in PROCESSES)
    assert not [process.pid for process in psutil.process_iter(["cmdline"]) if str(run_dir) in " ".join(process.info["cmdline"] or ())]
    assert not lost(found)


GOOD: dict[str, Any] = {
    "pupils": 2,
    "present": 2,
    "attempts_sent": 4,
    "attempts_saved": 4,
    "devices": {"mbot-1": {"commands": 3, "stop_confirmed": True}, "cam-1": {"commands": 0}},
    "usage_record": {"id": "x", "hash": "y"},
    "chain_ok": True,
    "errors": [],
}


def unconfirmed(found: dict[str, Any]) -> None:
    found["devices"]["mbot-1"]["stop_confirmed"] = False


LOSSES: dict[str, Callable[[dict[str, Any]], object]] = {
    "an answer": lambda found: found.update(attempts_saved=found["attempts_sent"] - 1),
    "all answers": lambda found: found.update(attempts_sent=0, attempts_saved=0),
    "a pupil": lambda found: found.update(present=found["pupils"] - 1),
    "the record": lambda found: found.update(usage_record=None),
    "a link of the chain": lambda found: found.update(chain_ok=False),
    "the robots": lambda found: found.update(devices={}),
    "a robot's stop": unconfirmed,
    "a page": lambda found: found.update(errors=["pupil-01: no answer"]),
}


@pytest.mark.parametrize("what", LOSSES)
def test_every_loss_is_noticed(what: str) -> None:
    found = copy.deepcopy(GOOD)
    assert not lost(found)
    LOSSES[what](found)
    assert lost(found)
