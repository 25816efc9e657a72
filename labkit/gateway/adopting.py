"""Adopting while the gateway runs (认领): what is plugged in or on the broker and named nowhere becomes a device at once.

``zhike/gateway/<gateway>/adopt`` (not retained) ``{"id", "profile"?, "device"?, "sticker"?}`` names a row of the list of strangers; the
line goes into the lab file, the answer to ``zhike/gateway/<gateway>/adopted`` ``{"id", "device", "ok", "zh", "en"}``. Nothing else of the
row is taken from the message, so that no sender can invent an address.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace

from labkit import adoption, homie
from labkit.binding import PortBook
from labkit.errors import BadDocument, LabkitError
from labkit.gateway.board import Board
from labkit.gateway.foreign_router import ForeignRouter
from labkit.gateway.worker import log, to_json
from labkit.lab import Lab, LabDevice, load_lab
from labkit.model import Profile
from labkit.ports import SerialPort
from labkit.profiles import load_profiles

LOOK_EVERY_S = 2.0
_STICKER = re.compile(r"[A-Za-z0-9]{0,6}")


def adopt_topic(gateway: str) -> str:
    """Where a gateway is told to adopt a stranger."""
    return f"zhike/gateway/{gateway}/adopt"


class Adopting:
    """Belongs to the gateway's router thread; ``grow`` takes the lab with its new device into the running gateway."""

    def __init__(
        self, lab: Lab, book: PortBook, board: Board, foreign: ForeignRouter, grow: Callable[[Lab, LabDevice], None]
    ) -> None:
        self._lab, self._book, self._board, self._foreign, self._grow = lab, book, board, foreign, grow
        self._look_at = 0.0
        self._orders: list[dict[str, str]] = []
        self._profiles: Mapping[str, Profile] = {}
        self._reader: threading.Thread | None = None

    def tick(self) -> None:
        """Look every 2 s for boards that were plugged in and are no device's, and carry out what was ordered."""
        if time.monotonic() >= self._look_at:
            self._look_at = time.monotonic() + LOOK_EVERY_S
            free = self._book.free()
            if not free or self._ready():
                self._foreign.plugged([self._row(port) for port in free])
        if self._orders and self._ready():
            self._carry_out(self._orders.pop(0))

    def take(self, payload: bytes) -> None:
        """Adopt soon, or say why not; raises Malformed for what is no order."""
        self._orders.append({key: str(value) for key, value in homie.parse_json_object(payload).items()})

    def _ready(self) -> bool:
        """Whether the profiles are read: that takes seconds, so it is done beside the router, for a stop must not wait for it."""
        if self._reader is None:
            self._reader = threading.Thread(target=self._read, name="profiles", daemon=True)
            self._reader.start()
        return bool(self._profiles)

    def _read(self) -> None:
        try:
            self._profiles = load_profiles()
        except BadDocument as error:
            log.error("only the profiles of this lab can be adopted: %s", error.en)
            self._profiles = {one.profile.id: one.profile for one in self._lab.devices}

    def _carry_out(self, order: Mapping[str, str]) -> None:
        stranger = order.get("id", "")
        try:
            device = self._adopt(order, self._foreign.stranger(stranger))
        except LabkitError as error:
            log.warning("%s is not adopted: %s", stranger[:60], error.en)
            self._tell({"id": stranger, "device": "", "ok": False, "zh": error.zh, "en": error.en})
            return
        zh, en = (
            f"已认领 {device.id}，写进了 {self._lab.path.name}",
            f"{device.id} is adopted, and in {self._lab.path.name}",
        )
        self._tell({"id": stranger, "device": device.id, "ok": True, "zh": zh, "en": en})

    def _adopt(self, order: Mapping[str, str], row: Mapping[str, object] | None) -> LabDevice:
        if row is None:
            raise LabkitError(
                "no_stranger", "它已经不在未认领的名单里，请刷新再看", "it is not in the list of strangers any more"
            )
        profile = order.get("profile", "") or str(row["profile"])
        profiles = row.get("profiles")
        known = [str(one) for one in (profiles if isinstance(profiles, list) else [row["profile"]])]
        if profile not in known:
            zh = f"请选一种它会的档案：{'、'.join(known)}"
            raise LabkitError("profile_needed", zh, f"choose one of {', '.join(known)}")
        sticker = order.get("sticker", "")
        if not _STICKER.fullmatch(sticker):
            raise LabkitError("bad_sticker", "贴纸编号最多 6 个字母或数字", "a sticker has at most 6 letters or digits")
        name = order.get("device", "") or adoption.own_id(
            f"kit-{sticker}" if row["convention"] == "usb" and sticker else str(row["id"]), profile
        )
        if not homie.is_id(name):
            raise LabkitError("bad_id", f"代号 {name} 应为小写字母、数字、连字符", f"{name} is no id")
        if self._lab.device(name) is not None:
            zh = f"代号 {name} 正在用：请换一个，或先重启网关"
            raise LabkitError("bad_id", zh, f"{name} is in use: choose another one, or start the gateway anew first")
        try:
            line = adoption.entry(name, profile, str(row["url"]), sticker)
            adoption.append(self._lab.path, line, name, self._profiles)
        except OSError as error:
            zh = f"写不了 {self._lab.path}：{error.strerror}；请检查网关电脑上这个文件的权限"
            raise LabkitError("not_adopted", zh, f"cannot write {self._lab.path}: {error.strerror}") from error
        found = load_lab(self._lab.path, self._profiles).device(name)
        assert found
        # What else was changed in the file meanwhile begins with the next start: nothing that runs may lose its place.
        device = replace(found, room=self._lab.room)
        self._lab = replace(self._lab, devices=(*self._lab.devices, device))
        self._grow(self._lab, device)
        return device

    def _row(self, port: SerialPort) -> dict[str, object]:
        fits = [p.id for p in self._profiles.values() if port.kind in (usb.lower() for usb in p.match.usb)]
        url = f"usb:{port.kind}:{port.serial}" if port.serial else f"hub:{port.location}"
        return {
            "id": f"usb-{port.location}".replace(".", "-"), "convention": "usb", "name": port.title, "state": "ready",
            "url": url, "profile": fits[0] if len(fits) == 1 else "", "profiles": fits,
        }  # fmt: skip

    def _tell(self, answer: Mapping[str, object]) -> None:
        self._board.event(f"zhike/gateway/{self._lab.name}/adopted", to_json(answer))
