"""Pages of the pupil in a lesson."""

from __future__ import annotations

from lms.teaching.blueprint import bp


@bp.get("/lesson")
def lesson() -> str:
    """The lesson that the pupil sits in."""
    return ""
