"""A data folder and its database carry the same id; a machine with another folder is refused when it starts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from flask import Flask

from lms.config import Settings
from lms.core import belonging
from lms.core.db import db, write
from lms.core.errors import Refused
from lms.core.models import InstanceState


def test_a_new_pair_is_claimed_once(app: Flask, settings: Settings) -> None:
    belonging.check(settings)  # not claimed yet
    belonging.claim(settings)
    made = (settings.data_dir / "installation").read_text("ascii")
    belonging.claim(settings)
    db.session.remove()
    belonging.check_app(app)
    assert (settings.data_dir / "installation").read_text("ascii") == made
    assert [path.name for path in settings.data_dir.glob("installation*")] == ["installation"]


@pytest.mark.parametrize("fault", ["a folder of its own", "another database's folder", "a new database"])
def test_halves_of_different_pairs_are_refused(app: Flask, settings: Settings, tmp_path: Path, fault: str) -> None:
    belonging.claim(settings)
    wrong = settings
    if fault == "a folder of its own":
        wrong = replace(settings, data_dir=tmp_path / "local")
        wrong.data_dir.mkdir()
    elif fault == "another database's folder":
        (settings.data_dir / "installation").write_text("0" * 32, "ascii")
    else:
        with write() as session:
            session.delete(session.get_one(InstanceState, belonging.KEY))
    for verb in (belonging.check, belonging.claim):
        with pytest.raises(Refused, match="folder-differs"):
            verb(wrong)


def test_a_database_inside_its_folder_needs_no_id(app: Flask, tmp_path: Path) -> None:
    belonging.claim(Settings(data_dir=tmp_path, database_url=f"sqlite:///{tmp_path}/zhike.sqlite"))
    assert not (tmp_path / "installation").exists()
    assert db.session.get(InstanceState, belonging.KEY) is None
