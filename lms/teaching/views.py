"""Pages of the teacher: today, console, projector, register; the pupils' door."""

from __future__ import annotations

from lms.teaching import pupil_views
from lms.teaching.blueprint import bp

__all__ = ["bp", "pupil_views"]


@bp.get("/today")
def today() -> str:
    """Lessons of the day."""
    return ""


@bp.get("/seat")
def seat() -> str:
    """The pupils' door."""
    return ""
