"""Pages of this room."""

from __future__ import annotations

from flask import Blueprint

bp = Blueprint("usage", __name__, template_folder="templates")


@bp.get("/compliance")
def compliance() -> str:
    """Compliance of the school."""
    return ""
