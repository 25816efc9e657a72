"""Experts of an office (专家库): entered by hand, with or without an account; what each declares himself (回避)."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping

from flask_babel import lazy_gettext as _l
from sqlalchemy import select

from lms.core import clock
from lms.core.audit import audit
from lms.core.auth import hash_password, may, roles_of
from lms.core.db import db, new_id, write
from lms.core.errors import Invalid, NotFound, Refused
from lms.core.models import Account, Organisation, RoleGrant
from lms.programmes import workflow
from lms.programmes.selection.models import Expert, PanelExpert, Review
from lms.programmes.selection.service import LIVE
from lms.roster.people import new_password

EXPERT = ("expert",)


def expert_here(actor: Account, expert_id: uuid.UUID) -> Expert:
    """One of the office's own experts; NotFound."""
    workflow.need_officer(actor)
    row = db.session.get(Expert, expert_id)
    if row is None or row.school_id != actor.organisation_id or row.removed_at is not None:
        raise NotFound("expert", _l("没有这位专家。"))
    return row


def save_expert(actor: Account, form: Mapping[str, str], expert_id: uuid.UUID | None = None) -> Expert:
    """Enter an expert or change what is known of him; ``username`` links an account that holds the role, "" none."""
    workflow.need_officer(actor)
    name = form.get("name", "").strip()
    if not name or len(name) > 40:
        raise Invalid("name", _l("请填写专家姓名（不超过 40 字）。"), where="name")
    unit = form.get("unit", "").strip()[:120]
    if not unit:
        raise Invalid("unit", _l("请填写工作单位：回避要靠它判断。"), where="unit")
    with write() as session:
        row = (
            expert_here(actor, expert_id)
            if expert_id
            else Expert(id=new_id(), school_id=actor.organisation_id, name="")
        )
        session.add(row)
        row.name, row.unit, row.unit_id = name, unit, unit_named(unit)
        row.title, row.phone = form.get("title", "").strip()[:40], form.get("phone", "").strip()[:24]
        row.avoid = names_in(form.get("avoid", ""))
        if form.get("username", "").strip():
            row.account_id = _account_named(actor, form["username"].strip())
        session.flush()
        audit(actor, "save-expert", "expert", row.id, linked=row.account_id is not None, avoids=len(row.avoid))
    return row


def names_in(text: str) -> list[str]:
    """Names of organisations, one a line or with commas between them."""
    return list(dict.fromkeys(one.strip()[:120] for one in re.split(r"[\n、，,;；]+", text) if one.strip()))[:50]


def unit_named(name: str) -> uuid.UUID | None:
    """The organisation of that very name, None where there is none or more than one."""
    found = db.session.scalars(select(Organisation.id).where(Organisation.name == name).limit(2)).all()
    return found[0] if len(found) == 1 else None


def _account_named(actor: Account, username: str) -> uuid.UUID:
    office = db.session.get_one(Organisation, actor.organisation_id)
    query = (
        select(Account)
        .join(Organisation, Organisation.id == Account.organisation_id)
        .where(
            Account.username == username,
            Account.kind == "staff",
            Account.active.is_(True),
            Organisation.path.startswith(office.path),
        )
    )
    found = [one for one in db.session.scalars(query) if may(one, EXPERT)]
    if len(found) != 1:
        raise Invalid(
            "username", _l("本单位和下级里没有用户名为 %(name)s 的专家账号。", name=username),
            remedy=_l("请核对用户名，或不填，再点“开通账号”。"), where="username",
        )  # fmt: skip
    return found[0].id


def open_account(actor: Account, expert_id: uuid.UUID) -> tuple[str, str]:
    """A sign-in of his own for an expert: user name and first password, which is shown once and must be changed."""
    password = new_password()
    hashed = hash_password(password)
    with write() as session:
        row = expert_here(actor, expert_id)
        account = session.get(Account, row.account_id) if row.account_id else None
        if account is not None and (
            account.organisation_id != row.school_id or {one.role for one in roles_of(account)} != {"expert"}
        ):
            raise Refused(
                "account",
                _l("这位专家用的不是在这里开通的账号，不能在这里重设密码。"),
                remedy=_l("请他向所在单位的管理员要新密码。"),
            )
        if account is None:
            account = Account(
                id=new_id(),
                organisation_id=row.school_id,
                kind="staff",
                username=f"e-{row.id.hex[-6:]}",
                display_name=row.name,
                active=True,
            )
            session.add(account)
            session.flush()
            session.add(RoleGrant(account_id=account.id, role="expert", organisation_id=row.school_id))
            row.account_id = account.id
            audit(actor, "grant-role", "account", account.id, role="expert", organisation=str(row.school_id))
        account.password_hash, account.must_change = hashed, True
        account.epoch = (account.epoch or 0) + 1
        audit(actor, "open-expert-account", "expert", row.id)
        return account.username, password


def remove_expert(actor: Account, expert_id: uuid.UUID) -> None:
    """Take an expert out of the list; Refused while reviews lie with him. What he handed in stays."""
    with write() as session:
        row = expert_here(actor, expert_id)
        if session.scalar(select(Review.id).where(Review.expert_id == row.id, Review.state.in_(LIVE)).limit(1)):
            raise Refused(
                "expert-busy", _l("%(names)s 手上还有评审，不能移出。", names=row.name), remedy=_l("请先撤销分配。")
            )
        row.removed_at = clock.now()
        for one in session.scalars(select(PanelExpert).where(PanelExpert.expert_id == row.id)):
            session.delete(one)
        audit(actor, "remove-expert", "expert", row.id)


def rows_for(account: Account) -> list[Expert]:
    """Who the signed-in account is to the offices that ask it."""
    return list(db.session.scalars(select(Expert).where(Expert.account_id == account.id, Expert.removed_at.is_(None))))


def declare(account: Account, text: str) -> int:
    """An expert declares organisations that he must not judge (申报回避); returns how many."""
    found = names_in(text)
    with write() as session:
        for row in session.scalars(select(Expert).where(Expert.account_id == account.id, Expert.removed_at.is_(None))):
            row.avoid = found
            audit(account, "declare-conflicts", "expert", row.id, school_id=row.school_id, count=len(found))
    return len(found)
