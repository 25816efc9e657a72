"""Pages of this room."""

from __future__ import annotations

from flask import Blueprint

bp = Blueprint("roster", __name__, template_folder="templates")
