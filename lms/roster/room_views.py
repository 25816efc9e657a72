"""Pages of rooms: seat grid, enrolment codes, inventory with the HN-19 checklist (教室)."""

from __future__ import annotations

import uuid
from typing import Any

from flask import flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from werkzeug.wrappers import Response as BaseResponse

from lms.core import clock, qr
from lms.core.auth import current_account, current_school_id, require
from lms.core.errors import Invalid
from lms.core.web import ok
from lms.roster import rooms as verbs
from lms.roster.access import get_row
from lms.roster.blueprint import Page, a_number, answered, back, bp
from lms.roster.models import InventoryItem, Room, Seat

NEEDS = {
    "all_in_one": _l("教学一体机 1 台"),
    "teacher_terminal": _l("教师教学终端（含配套软件）1 台"),
    "student_terminal": _l("学生学习终端（含配套软件）每人 1 台"),
    "seats": _l("座位够最大的班用"),
    "group_furniture": _l("可小组讨论、自由组合的桌椅"),
}


@bp.get("/rooms")
@require("teacher", "school_admin")
def rooms() -> Page:
    """Rooms with their seats and whether the HN-19 checklist is met."""
    lines = []
    for room in verbs.rooms_of(current_school_id()):
        seats = verbs.seats_of(room.id)
        needs = verbs.room_needs(room) if room.kind == "lab" else []
        lines.append(
            {
                "room": room,
                "seats": len(seats),
                "enrolled": sum(seat.key_hash is not None or bool(seat.host_name) for seat in seats),
                "missing": [NEEDS[need.code] for need in needs if not need.met],
            }
        )
    return render_template("roster/rooms.html", lines=lines)


@bp.post("/rooms")
@require("school_admin")
@answered
def new_room() -> Page:
    """A room with a grid of seats."""
    rows, columns = a_number("rows", 6), a_number("columns", 8)
    room = verbs.create_room(
        current_account(),
        current_school_id(),
        request.form.get("code", ""),
        request.form.get("name", ""),
        kind=request.form.get("kind", "lab"),
        rows=rows,
        columns=columns,
        seats=a_number("seats", rows * columns),
    )
    flash(_("教室已建立。"))
    return redirect(url_for("roster.room", room_id=room.id))


def _grid(room: Room, seats: list[Seat]) -> list[list[dict[str, Any]]]:
    now = clock.now()
    by_place = {(seat.row, seat.column): seat for seat in seats}
    grid = []
    for row in range(room.rows):
        line = []
        for column in range(room.columns):
            seat = by_place.get((row, column))
            waiting = seat is not None and seat.enrol_until is not None and seat.enrol_until > now
            state = "" if seat is None else "enrolled" if seat.key_hash or seat.host_name else "waiting" if waiting else "free"
            line.append({"row": row, "column": column, "seat": seat, "state": state})
        grid.append(line)
    return grid


@bp.get("/rooms/<uuid:room_id>")
@require("teacher", "school_admin")
def room(room_id: uuid.UUID) -> Page:
    """A room: seat grid, enrolment, inventory and checklist."""
    found = get_row(Room, room_id, current_school_id())
    seats = verbs.seats_of(found.id)
    return render_template(
        "roster/room.html",
        room=found,
        grid=_grid(found, seats),
        seats=seats,
        enrolled=sum(seat.key_hash is not None or bool(seat.host_name) for seat in seats),
        items=verbs.inventory_of(found.id),
        categories=verbs.CATEGORIES,
        needs=[(NEEDS[need.code], need) for need in verbs.room_needs(found)],
        picked=next((seat for seat in seats if str(seat.id) == request.args.get("seat", "")), None),
    )


@bp.post("/rooms/<uuid:room_id>/codes")
@require("teacher", "school_admin")
def room_codes(room_id: uuid.UUID) -> Page:
    """Codes for one seat, or for all that are not enrolled, on a page to read out or project."""
    found = get_row(Room, room_id, current_school_id())
    seats = verbs.seats_of(found.id)
    wanted = request.form.get("seat", "")
    chosen = [seat for seat in seats if (str(seat.id) == wanted if wanted else not (seat.key_hash or seat.host_name))]
    codes = verbs.issue_enrol_codes(current_account(), chosen)
    door = url_for("teaching.seat", _external=True)
    pictures = qr.drawn([f"{door}?code={codes[seat.id]}" for seat in chosen])
    shown = [(seat, codes[seat.id], picture) for seat, picture in zip(chosen, pictures, strict=True)]
    return render_template("roster/codes.html", room=found, codes=shown, minutes=verbs.ENROL_MINUTES)


@bp.post("/seats/<uuid:seat_id>/revoke")
@require("teacher", "school_admin")
def seat_revoke(seat_id: uuid.UUID) -> Page:
    """Take a seat's enrolment away."""
    verbs.revoke_seat(current_account(), get_row(Seat, seat_id, current_school_id()))
    flash(_("登记已撤销。"))
    return back()


@bp.post("/seats/<uuid:seat_id>/host")
@require("school_admin")
@answered
def seat_host(seat_id: uuid.UUID) -> Page:
    """Register a PC that wipes its disk by its host name or address."""
    verbs.set_host_name(current_account(), get_row(Seat, seat_id, current_school_id()), request.form.get("host_name", ""))
    flash(_("主机名已保存。"))
    return back()


@bp.post("/seats/<uuid:seat_id>/remove")
@require("school_admin")
@answered
def seat_remove(seat_id: uuid.UUID) -> Page:
    """Take a seat out of the room."""
    seat = get_row(Seat, seat_id, current_school_id())
    verbs.remove_seat(current_account(), seat)
    flash(_("座位 %(label)s 已移除。", label=seat.label))
    return redirect(url_for("roster.room", room_id=seat.room_id))


@bp.post("/rooms/<uuid:room_id>/seats")
@require("school_admin")
@answered
def new_seat(room_id: uuid.UUID) -> Page:
    """One more seat at a free place."""
    found = get_row(Room, room_id, current_school_id())
    seat = verbs.add_seat(current_account(), found, a_number("row"), a_number("column"))
    flash(_("已加座位 %(label)s。", label=seat.label))
    return back()


@bp.post("/rooms/<uuid:room_id>/places")
@require("school_admin")
def room_places(room_id: uuid.UUID) -> BaseResponse:
    """Seats dragged to other places, as JSON ``{"places": {seat id: [row, column]}}``."""
    found = get_row(Room, room_id, current_school_id())
    body = request.get_json()
    try:
        places = {uuid.UUID(seat): (int(place[0]), int(place[1])) for seat, place in body["places"].items()}
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise Invalid("places", _("座位表的格式不对，请刷新页面。"), where="places") from error
    verbs.arrange(current_account(), found, places)
    return ok(seats=len(places))


@bp.post("/rooms/<uuid:room_id>/items")
@require("school_admin")
@answered
def set_item(room_id: uuid.UUID) -> Page:
    """Enter equipment."""
    verbs.set_item(
        current_account(),
        get_row(Room, room_id, current_school_id()),
        request.form.get("category", ""),
        request.form.get("name", ""),
        a_number("quantity", 1),
        software=request.form.get("software", ""),
    )
    flash(_("设备已登记。"))
    return back()


@bp.post("/items/<uuid:item_id>/remove")
@require("school_admin")
def remove_item(item_id: uuid.UUID) -> Page:
    """Strike equipment off."""
    verbs.remove_item(current_account(), get_row(InventoryItem, item_id, current_school_id()))
    flash(_("设备已从台账删除。"))
    return back()
