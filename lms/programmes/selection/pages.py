"""All pages of the selection on their blueprint."""

from __future__ import annotations

from lms.programmes.selection import behalf_views, deadlines, expert_views, outcome_views, views
from lms.programmes.selection.blueprint import bp

__all__ = ["behalf_views", "bp", "deadlines", "expert_views", "outcome_views", "views"]
