"""What the device page calls to adopt a board that nobody has named (认领)."""

from __future__ import annotations

from flask import Blueprint, Response, request

from lms.core.auth import current_account, current_school_id, require
from lms.core.web import ok
from lms.labs import adopting

bp = Blueprint("adopting", __name__)


@bp.post("/api/labs/adopt")
@require("school_admin")
def adopt() -> Response:
    """{"gateway", "id", "convention", "profile", "url", "sticker"} → {"device", "account": {"username", "password"} or null}."""
    order = adopting.Order.read(request.get_json(silent=True))
    made = adopting.adopt(current_account(), current_school_id(), order)
    account = {"username": made.username, "password": made.password} if made else None
    return ok(device=order.device, account=account)
