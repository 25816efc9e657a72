"""The administrator's page of a room's Veyon: address, key, PCs, a test (Veyon 设置)."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from werkzeug.wrappers import Response as BaseResponse

from lms.core.auth import current_account, current_school_id, require
from lms.core.errors import Invalid
from lms.core.jobs import every
from lms.labs import kits
from lms.labs.veyon import service
from lms.labs.veyon.models import RoomVeyon
from lms.labs.veyon.texts import result_texts
from lms.roster.models import Room

bp = Blueprint("veyon", __name__, template_folder="templates")
METHODS = {"key": _l("密钥文件（推荐）"), "logon": _l("用户名和密码")}
FIELDS = ("url", "method", "name", "certificate")

every(53, "forget-pc-orders", service.forget_old)


def _room(room_code: str) -> Room:
    return kits.room_by_code(current_school_id(), room_code)


def _values(row: RoomVeyon | None) -> dict[str, str]:
    return {name: str(getattr(row, name)) for name in FIELDS} if row is not None else {"url": "http://127.0.0.1:11080", "method": "key"}


def _page(room: Room, values: Mapping[str, str], pcs: list[dict[str, Any]], problem: Invalid | None = None) -> str:
    row = service.settings_of(room.id)
    found = None
    with suppress(KeyError, ValueError):  # without a test, or with a mistyped one, there is none to show
        found = service.order_of(room, uuid.UUID(request.args["run"]))
    results = [(pc, found.results.get(pc["id"], "")) for pc in pcs] if found is not None else []
    return render_template(
        "veyon/settings.html",
        room=room,
        connected=row is not None,
        values=values,
        pcs=pcs,
        methods=METHODS.items(),
        problem=problem,
        test=found,
        results=results,
        good=sum(code == "ok" for _pc, code in results),
        words=result_texts(),
    )


def _pcs(room: Room, given: Mapping[str, str] | None = None) -> list[dict[str, Any]]:
    """The rows of the table of PCs: as stored, or as they were sent."""
    rows = []
    for pc in service.pcs_of(room.id):
        key = str(pc.seat.id)
        sent = given if given is not None else {f"address-{key}": pc.address, f"mac-{key}": pc.mac}
        rows.append({"id": key, "label": pc.seat.label, "address": sent.get(f"address-{key}", ""), "mac": sent.get(f"mac-{key}", "")})
    return rows


@bp.get("/labs/veyon/<room_code>")
@require("school_admin")
def settings(room_code: str) -> str:
    """Address, key and PCs; ``?run=`` names a test that was begun, its part of the page is fetched anew until it is done."""
    room = _room(room_code)
    return _page(room, _values(service.settings_of(room.id)), _pcs(room))


@bp.post("/labs/veyon/<room_code>")
@require("school_admin")
def connect(room_code: str) -> BaseResponse | tuple[str, int]:
    """Keep address and key; what was wrong is said beside the field, nothing that was typed is lost but the key."""
    room, form = _room(room_code), request.form
    try:
        service.connect(current_account(), room, *(form.get(name, "") for name in ("url", "method", "name", "secret", "certificate")))
    except Invalid as problem:
        return _page(room, form, _pcs(room), problem), 422
    flash(_("Veyon 设置已保存。填好电脑地址后，请点“测试连接”。"))
    return redirect(url_for("labs.veyon.settings", room_code=room.code))


@bp.post("/labs/veyon/<room_code>/pcs")
@require("school_admin")
def pcs(room_code: str) -> BaseResponse | tuple[str, int]:
    """Keep the addresses of the PCs."""
    room, form = _room(room_code), request.form
    given = {pc["id"]: (form.get(f"address-{pc['id']}", ""), form.get(f"mac-{pc['id']}", "")) for pc in _pcs(room)}
    try:
        service.set_pcs(current_account(), room, given)
    except Invalid as problem:
        return _page(room, _values(service.settings_of(room.id)), _pcs(room, form), problem), 422
    flash(_("电脑地址已保存。"))
    return redirect(url_for("labs.veyon.settings", room_code=room.code))


@bp.post("/labs/veyon/<room_code>/test")
@require("school_admin")
def test(room_code: str) -> BaseResponse:
    """Sign in to every PC once, in the background; nothing is locked, looked at or switched."""
    room = _room(room_code)
    run = service.order(current_account(), room, "test", [])
    return redirect(url_for("labs.veyon.settings", room_code=room.code, run=run.id))


@bp.post("/labs/veyon/<room_code>/remove")
@require("school_admin")
def remove(room_code: str) -> BaseResponse:
    """The room has no Veyon any more."""
    room = _room(room_code)
    service.disconnect(current_account(), room)
    flash(_("已断开 Veyon，密钥已从服务器删除。"))
    return redirect(url_for("roster.room", room_id=room.id))
