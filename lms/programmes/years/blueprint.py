"""The blueprint of the years after with its parts put together (实施)."""

from __future__ import annotations

from lms.programmes.years import deadlines, reminders
from lms.programmes.years.case_views import bp as cases
from lms.programmes.years.event_views import bp as events
from lms.programmes.years.inspection_views import bp as inspections
from lms.programmes.years.norm_views import bp as norms
from lms.programmes.years.views import bp

__all__ = ["bp", "deadlines", "reminders"]

for part in (cases, events, inspections, norms):
    bp.register_blueprint(part)
