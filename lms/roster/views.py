"""Pages of the roster; each file puts its routes on the blueprint."""

from __future__ import annotations

from lms.roster import class_views, intake_views, people_views, room_views, school_views, timetable_views
from lms.roster.blueprint import bp
from lms.roster.erasing import views as erasing_views

__all__ = ["bp", "class_views", "erasing_views", "intake_views", "people_views", "room_views", "school_views", "timetable_views"]
