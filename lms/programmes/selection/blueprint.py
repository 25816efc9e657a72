"""The blueprint of the selection; the files of its pages put them on it."""

from __future__ import annotations

from flask import Blueprint
from flask.blueprints import BlueprintSetupState
from flask_babel import lazy_gettext as _l

from lms.core.menu import Entry, offer

bp = Blueprint("selection", __name__, template_folder="templates", url_prefix="/selection")
OFFICER = ("officer",)
EXPERT = ("expert",)


@bp.record_once
def _menu(state: BlueprintSetupState) -> None:
    offer(
        state.app,
        Entry("programmes.selection.index", _l("评审与推荐"), "gavel", OFFICER, 61),
        Entry("programmes.selection.mine", _l("评审任务"), "gavel", EXPERT, 62),
    )
