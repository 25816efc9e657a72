"""The first-run page (首次设置): an empty folder becomes a school, in one page."""

from __future__ import annotations

import threading

from flask import Flask
from sqlalchemy import select

from lms.config import Settings, kept_secret
from lms.core.db import db
from lms.core.models import Organisation


def has_school() -> bool:
    """Whether any school has been founded here."""
    return db.session.scalar(select(Organisation.id).where(Organisation.level == "school").limit(1)) is not None


def welcome_path(settings: Settings) -> str:
    """Path of the first-run page with the token that only who reads the console knows."""
    return f"/welcome?token={kept_secret(settings.data_dir / 'keys' / 'welcome')[:16]}"


def wait_for_school(app: Flask, ended: threading.Event) -> bool:
    """Wait until a school is founded; False if ``ended`` comes first."""
    while True:
        with app.app_context():
            if has_school():
                return True
        if ended.wait(1.0):
            return False
