"""Boards that no lab file names yet (未认领的板卡): the school lets the gateway reach one, and tells it to make it a device (认领)."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

from flask_babel import lazy_gettext as _l
from sqlalchemy import select

from labkit import adoption, boards, homie
from labkit.errors import LabkitError
from labkit.gateway.adopting import adopt_topic
from lms.core.audit import audit
from lms.core.db import db, write
from lms.core.errors import Invalid, NotFound
from lms.core.models import Account
from lms.core.outbox import to_mqtt
from lms.labs import rules, service
from lms.labs.bridge import ADMIN
from lms.labs.controls import profile_of
from lms.labs.models import BrokerCredential, Device

FIELDS = ("gateway", "id", "convention", "profile", "url", "sticker")
USB = "usb"


@dataclass(frozen=True)
class Order:
    """What a page sends of one stranger; ``device`` is the id that it will have."""

    gateway: str
    id: str
    convention: str
    profile: str
    url: str
    sticker: str
    device: str

    @classmethod
    def read(cls, body: Any) -> Order:
        """Raise Invalid for what is no order."""
        given = body if isinstance(body, dict) else {}
        texts = {name: str(given.get(name, ""))[:200] for name in FIELDS}
        stem = f"kit-{texts['sticker']}" if texts["convention"] == USB and texts["sticker"] else texts["id"]
        device = adoption.own_id(stem, texts["profile"])
        if not homie.is_id(device):
            raise _no_name()
        return cls(**texts, device=device)


def adopt(actor: Account, school_id: uuid.UUID, order: Order) -> service.Credential | None:
    """Tell a gateway of the school to adopt; a board on the broker gets an account of its own (returned), and the gateway its topics.

    The gateway looks in its own list for the address: what the page says of it only opens topics that such a board may have.
    Raises NotFound, Invalid.
    """
    query = select(BrokerCredential.id).where(
        BrokerCredential.school_id == school_id, BrokerCredential.username == order.gateway
    )
    if not order.gateway.startswith("gw-") or db.session.scalar(query) is None:
        raise NotFound("gateway", _l("没有这台网关。"), remedy=_l("请刷新页面再试。"))
    made = None
    with write():
        if order.convention != USB:
            profile = profile_of(order.profile)
            if profile is None or profile.foreign is None:
                raise Invalid("profile", _l("它没有说清自己是什么板卡，请在网关电脑上写进 lab.yaml。"), where="profile")
            try:
                own = boards.space(profile, order.device, order.url)
            except LabkitError as error:
                raise Invalid("url", error.zh, where="url") from error
            if _is_taken(school_id, order.device, own):
                raise _no_name()
            service.widen_gateway(school_id, order.gateway, own)
            made = service.foreign_credential(school_id, order.device, own)
        message = {"id": order.id, "profile": order.profile, "device": order.device, "sticker": order.sticker}
        to_mqtt(school_id, adopt_topic(order.gateway), message)
        audit(actor, "adopt-board", "gateway", None, school_id=school_id, gateway=order.gateway, board=order.device)
    return made


def _no_name() -> Invalid:
    return Invalid("id", _l("这块板卡的名字不能作代号，请在网关电脑上用 labkit adopt 认领。"), where="id")


def _is_taken(school_id: uuid.UUID, name: str, own: boards.Space) -> bool:
    """Whether an account or a device of that name is another's: a board's own account has the topics of the board and no more."""
    query = select(BrokerCredential).where(BrokerCredential.school_id == school_id, BrokerCredential.username == name)
    account = db.session.scalar(query)
    if account is not None:
        role = own.role(name)
        return account.rights != rules.Rights(role.send, role.receive).to_json()
    device = select(Device.id).where(Device.school_id == school_id, Device.homie_id == name)
    return name == ADMIN or db.session.scalar(device) is not None
