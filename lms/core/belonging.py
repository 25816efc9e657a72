"""Which data folder belongs to which database (数据文件夹与数据库成对): uploads, packages and keys lie in the one, what points at them in the other.

Several web machines on one PostgreSQL database need one shared folder. Both halves carry the same id, so that a machine with a folder of its
own is refused at its start, not found out by a file that is missing. A SQLite database inside its folder needs none.
"""

from __future__ import annotations

import os
import uuid
from pathlib import Path

from flask import Flask
from flask_babel import lazy_gettext as _l
from sqlalchemy.exc import SQLAlchemyError

from lms.config import Settings
from lms.core.db import db, write
from lms.core.errors import Refused
from lms.core.models import InstanceState

KEY = "data-folder"
FILE = "installation"


def claim(settings: Settings) -> None:
    """Give a new pair its id, refuse halves that are not of one pair; for ``lms up`` and ``lms prepare``."""
    if _is_one(settings):
        return
    place, kept = settings.data_dir / FILE, _of_database()
    if kept is None and not place.exists():
        made = uuid.uuid4().hex
        draft = place.with_name(f"{FILE}.{made}.new")
        draft.write_text(made, "ascii")
        with write() as session:
            if session.get(InstanceState, KEY) is None:
                session.add(InstanceState(key=KEY, value=made))
                os.replace(draft, place)
        draft.unlink(missing_ok=True)
    check(settings)


def check(settings: Settings) -> None:
    """Raise Refused where the folder is not that of the database; a pair without an id is an old one, and right."""
    if _is_one(settings):
        return
    place, kept = settings.data_dir / FILE, _of_database()
    found = place.read_text("ascii").strip() if place.exists() else None
    if kept != found:
        raise Refused(
            "folder-differs",
            _l("数据文件夹 %(folder)s 不属于这个数据库。", folder=str(settings.data_dir.resolve())),
            remedy=_l("几台服务器共用一个数据库时，数据文件夹必须是同一个共享文件夹；换了新数据库时，请用空文件夹；文件夹丢失时，请用 lms restore 恢复备份。"),
        )


def check_app(app: Flask) -> None:
    """:func:`check` at the start of a process of its own; a database that is away yet is asked by ``/readyz`` later."""
    with app.app_context():
        try:
            check(app.config["ZHIKE"])
        except SQLAlchemyError:
            return
        finally:
            db.session.remove()
            db.engine.dispose()  # processes that are forked share no connection


def _of_database() -> str | None:
    state = db.session.get(InstanceState, KEY)
    return state.value if state else None


def _is_one(settings: Settings) -> bool:
    place = Path(settings.database.removeprefix("sqlite:///"))
    return settings.is_sqlite and place.resolve().is_relative_to(settings.data_dir.resolve())
