"""The core's blueprint; the files of its pages put them on it."""

from __future__ import annotations

from flask import Blueprint

bp = Blueprint("core", __name__)
