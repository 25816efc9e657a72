"""The same by the command line, each side in processes of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import date
from pathlib import Path

from sqlalchemy import func, select

from lms.config import to_environ
from lms.core import clock
from lms.core.db import db
from lms.region import uplink
from lms.region.models import HandedRecord
from tests.region.places import PASSWORD, Place, enrol_by_key, teach

ROOT = Path(__file__).parents[2]


def lms(made: Place, *arguments: str) -> str:
    environ = {**os.environ, **to_environ(made.app.config["ZHIKE"]), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-m", "lms", *arguments], cwd=ROOT, env=environ, capture_output=True, text=True, check=False
    )
    return done.stdout + done.stderr


def test_a_stick_goes_there_and_a_receipt_comes_back(
    here: Place, below: Place, tmp_path: Path, fixed_clock: clock.FixedClock
) -> None:
    teach(below, fixed_clock, date(2026, 8, 31), [1, 2])
    stick, back = tmp_path / "stick.zip", tmp_path / "receipts"
    assert "还没有登记上级主管部门" in lms(below, "usage", "hand-up", "--out", str(stick))
    enrol_by_key(here, below, below.ids["school"])
    assert "已写入" in lms(below, "usage", "hand-up", "--out", str(stick))
    assert "applied" in lms(here, "region", "import", str(stick), "--receipts", str(back))
    assert "known" in lms(here, "region", "import", str(stick))
    with here.inside():
        assert db.session.scalar(select(func.count()).select_from(HandedRecord)) == 8
    receipt = back / f"{below.ids['school']}.json"
    assert "已收下 1 份回执" in lms(below, "usage", "hand-up", "--receipt", str(receipt))
    with below.inside():
        assert uplink.waiting_links(below.ids["school"]) == 0
    assert "真实数据的系统不能放入模拟学校" in lms(here, "region", "synthesize", "--schools", "2")
    assert "已增加" in lms(here, "region", "officer", "--name", "王芳", "--username", "wang", "--password", PASSWORD)
    assert "已经有人用了" in lms(
        here, "region", "officer", "--name", "王芳", "--username", "wang", "--password", PASSWORD
    )
    damaged = tmp_path / "damaged.zip"
    damaged.write_bytes(stick.read_bytes()[:-50])
    assert "Error" in lms(here, "region", "import", str(damaged))
