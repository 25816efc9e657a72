"""Devices of the rooms (设备): list, a page a sticker, printed stickers, the simulated table; what their scripts call."""

from __future__ import annotations

import ipaddress
import uuid
from collections.abc import Iterable
from typing import Any

from flask import Blueprint, Response, render_template, request, url_for
from flask.blueprints import BlueprintSetupState
from flask_babel import get_locale
from flask_babel import lazy_gettext as _l
from sqlalchemy import select

from labkit.profiles import load_profiles
from lms.core import clock, qr
from lms.core.auth import current_account, current_school_id, may, require
from lms.core.db import db
from lms.core.errors import Invalid, Refused
from lms.core.jobs import every
from lms.core.menu import Entry, offer
from lms.core.web import ok
from lms.labs import adopt_views, check_views, control_views, controls, kits, pc_views, service, texts
from lms.labs.cameras import views as camera_views
from lms.labs.models import Device, TerminalPresence
from lms.labs.veyon import views as veyon_views
from lms.roster.access import get_row
from lms.roster.erasing.service import Part, holds
from lms.roster.models import Person, Room

bp = Blueprint("labs", __name__, template_folder="templates")
bp.register_blueprint(check_views.bp)
bp.register_blueprint(veyon_views.bp)
bp.register_blueprint(camera_views.bp)
bp.register_blueprint(control_views.bp)
bp.register_blueprint(adopt_views.bp)
bp.register_blueprint(pc_views.bp)
STAFF = ("teacher", "school_admin")
ROOM = "/api/labs/rooms/<uuid:room_id>"
# The filters of the list: name → label; what needs attention comes first.
FILTERS = {"attention": _l("需要处理"), "robot": _l("机器人"), "camera": _l("摄像头"), "all": _l("全部")}


@bp.record_once
def _menu(state: BlueprintSetupState) -> None:
    offer(state.app, Entry("labs.devices", _l("设备"), "robot", STAFF, 40))


def _forget() -> None:
    service.forget_old(clock.now())


every(59, "forget-labs", _forget)


def _seats_of(person: Person) -> Iterable[Part]:
    if person.account_id is not None:
        mine = (TerminalPresence.school_id == person.school_id) & (TerminalPresence.account_id == person.account_id)
        yield Part(_l("上课时坐在哪个座位（只留终端的次数）"), TerminalPresence, mine, {"account_id": None})


holds(_seats_of)


def _rooms() -> list[Room]:
    return list(db.session.scalars(select(Room).where(Room.school_id == current_school_id()).order_by(Room.code)))


def _fits(kit: kits.Kit, wanted: str) -> bool:
    return bool(kit.worries) if wanted == "attention" else wanted in ("all", kit.device.kind)


@bp.get("/devices")
@require(*STAFF)
def devices() -> str:
    """Every kit and camera by room, first what somebody should look at; ``?show=attention|robot|camera|all``."""
    wanted = request.args.get("show", "all")
    wanted = wanted if wanted in FILTERS else "all"
    rooms = [(room, kits.kits_in(room)) for room in _rooms()]
    everything = [kit for _room, found in rooms for kit in found]
    return render_template(
        "labs/devices.html",
        rooms=[(room, [kit for kit in found if _fits(kit, wanted)]) for room, found in rooms],
        filters=[(name, label, sum(_fits(kit, name) for kit in everything)) for name, label in FILTERS.items()],
        wanted=wanted,
        total=len(everything),
        strangers=_strangers([room for room, _found in rooms]) if may(current_account(), ("school_admin",)) else None,
    )


def _strangers(rooms: list[Room]) -> dict[str, Any] | None:
    """What the script that lists strangers begins with; None in a school without a room, which has no line to the broker."""
    if not rooms:
        return None
    english = str(get_locale()) == "en"
    titles = {profile.id: profile.title.text("en" if english else "zh") for profile in load_profiles().values()}
    return {"link": url_for("labs.api_link", room_id=rooms[0].id), "titles": titles, "texts": texts.stranger_texts()}


@bp.get("/labs/device/<room_code>/<number>")
@require(*STAFF)
def device(room_code: str, number: str) -> str:
    """The page that a sticker's QR code opens: identify, state, alerts, holder, newest readings, stop."""
    kit = kits.kit_of(current_school_id(), room_code, number)
    return render_template(
        "labs/device.html",
        kit=kit,
        readings=kits.readings(kit.device),
        camera=camera_views.panel(kit.device, kit.room) if kit.device.kind == "camera" else None,
        data=_page(kit.room, own=kits.facts(kit)),
        controls=controls.controls(kit.device),
        blinks=controls.blinks(kit.device),
        texts=texts.kit_texts(),
    )


@bp.get("/labs/arena/<room_code>")
@require(*STAFF)
def arena(room_code: str) -> str:
    """The room's simulated table from above, live."""
    room = kits.room_by_code(current_school_id(), room_code)
    return render_template("labs/arena.html", room=room, data=_page(room), texts=texts.kit_texts())


def _page(room: Room, **more: Any) -> dict[str, Any]:
    """What the scripts of a room's page begin with."""
    robots = [kits.facts(kit) for kit in kits.kits_in(room) if kit.drives]
    return {
        "room": room.code,
        "url": url_for("labs.api_kits", room_id=room.id).removesuffix("/kits"),
        "robots": robots,
        "texts": texts.kit_texts() | camera_views.texts(),
        **more,
    }


@bp.get("/labs/stickers")
@require(*STAFF)
def stickers() -> str:
    """Numbers to cut out and stick on the devices, with the QR code of each one's page; ``?room=<code>`` for one room."""
    wanted = request.args.get("room", "")
    found = [
        kit
        for room in _rooms()
        if wanted in ("", room.code)
        for kit in sorted(kits.kits_in(room), key=lambda kit: kit.number)
    ]
    addresses = [url_for("labs.device", room_code=kit.room.code, number=kit.number, _external=True) for kit in found]
    return render_template(
        "labs/stickers.html",
        stickers=list(zip(found, addresses, qr.drawn(addresses), strict=True)),
        rooms=_rooms(),
        wanted=wanted,
        only_here=only_here(request.host.rpartition(":")[0] or request.host),
    )


def only_here(host: str) -> bool:
    """Whether other computers cannot open an address with this host."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


@bp.get(f"{ROOM}/kits")
@require(*STAFF)
def api_kits(room_id: uuid.UUID) -> Response:
    """State of the room's devices, for pages without MQTT."""
    room = get_row(Room, room_id, current_school_id())
    return ok(kits=[kits.facts(kit) for kit in kits.kits_in(room)])


@bp.get(f"{ROOM}/link")
@require(*STAFF)
def api_link(room_id: uuid.UUID) -> Response:
    """This page's broker credential: it may read the devices and say the room's stop."""
    made = service.console_credential(current_account(), get_row(Room, room_id, current_school_id()))
    fields = ("username", "password", "client_id", "ws_path", "ws_port", "wss_port", "room", "ready")
    return ok(link={field: getattr(made, field) for field in fields})


@bp.post(f"{ROOM}/stop")
@require(*STAFF)
def api_stop(room_id: uuid.UUID) -> Response:
    """Stop all robots of the room: {"id": the id that the browser has already published}."""
    room = get_row(Room, room_id, current_school_id())
    try:
        stop_id = str(uuid.UUID(str((request.get_json(silent=True) or {})["id"])))
    except (KeyError, TypeError, ValueError):
        raise Invalid("id", _l("请求格式不对。"), where="id") from None
    event = service.stop_room(current_account(), room, kits.running_lesson(room), stop_id)
    return ok(stop=event.stop_id)


@bp.get(f"{ROOM}/stop/<uuid:stop_id>")
@require(*STAFF)
def api_stop_report(room_id: uuid.UUID, stop_id: uuid.UUID) -> Response:
    """What a stop reached, as the gateway reported it."""
    get_row(Room, room_id, current_school_id())
    return ok(**service.stop_report(str(stop_id)))


@bp.post("/api/labs/devices/<uuid:device_id>/identify")
@require(*STAFF)
def api_identify(device_id: uuid.UUID) -> Response:
    """Let a device blink or beep."""
    found = get_row(Device, device_id, current_school_id())
    if not controls.blinks(found):
        raise Refused("identify", _l("这种设备不会闪灯。"), remedy=_l("请看贴纸号，或顺着线找。"))
    service.identify(current_account(), found)
    return ok(device=found.homie_id)
