"""The room's blueprint; views.py and pupil_views.py put their pages on it."""

from __future__ import annotations

from flask import Blueprint

bp = Blueprint("teaching", __name__, template_folder="templates")
