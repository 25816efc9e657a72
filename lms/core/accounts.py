"""Verbs on accounts: passwords, sessions, roles (账号管理). Three powers are kept apart (三员分立): system, security, audit."""

from __future__ import annotations

import uuid

from flask_babel import lazy_gettext as _l
from sqlalchemy import select

from lms.core import clock
from lms.core.audit import audit
from lms.core.auth import STAFF_ROLES, hash_password, matches, may
from lms.core.db import db, write
from lms.core.errors import Invalid, NotAllowed, NotFound, Refused
from lms.core.models import Account, Organisation, RoleGrant
from lms.core.passwords import weaknesses

GRANTERS = ("sec_admin", "school_admin")
APART = ("sys_admin", "sec_admin", "audit_admin")

ROLE_NAMES = {
    "teacher": _l("教师"),
    "school_admin": _l("学校管理员"),
    "officer": _l("教育行政人员"),
    "expert": _l("专家"),
    "sys_admin": _l("系统管理员"),
    "sec_admin": _l("安全管理员"),
    "audit_admin": _l("审计管理员"),
}

WEAKNESS_TEXTS = {
    "short": _l("密码至少 8 个字符。"),
    "simple": _l("请混用大写字母、小写字母、数字和符号中的三种，或使用 14 个字符以上的长句。"),
    "name": _l("密码不能包含用户名。"),
    "common": _l("这个密码太常见，容易被猜到。"),
}


def check_password(password: str, username: str) -> None:
    """Raise Invalid where a password is too weak; says what is missing."""
    found = weaknesses(password, username)
    if found:
        raise Invalid(f"password-{found[0]}", WEAKNESS_TEXTS[found[0]], where="password", clause="GB/T 22239")


def change_password(account: Account, old: str, new: str) -> Account:
    """A person changes the own password; every other session of the account ends. Returns the account as it is now."""
    if not matches(account.password_hash, old):
        raise Invalid("password-old", _l("原来的密码不对。"), where="old")
    check_password(new, account.username)
    if old == new:
        raise Invalid("password-same", _l("新密码不能和原来的一样。"), where="password")
    hashed = hash_password(new)
    with write() as session:
        kept = session.get_one(Account, account.id)
        kept.password_hash = hashed
        kept.must_change = False
        kept.epoch += 1
        audit(account, "change-password", "account", account.id)
    return kept


def end_sessions(actor: Account, account: Account) -> None:
    """Sign an account out everywhere; one's own, or by who may manage it."""
    if actor.id != account.id:
        _need_power(actor, account.organisation_id)
    with write() as session:
        session.get_one(Account, account.id).epoch += 1
        audit(actor, "end-sessions", "account", account.id, school_id=account.organisation_id)


def set_active(actor: Account, account: Account, active: bool, reason: str) -> None:
    """Close or reopen an account; closing ends its sessions."""
    _need_power(actor, account.organisation_id)
    if actor.id == account.id:
        raise Refused("own-account", _l("不能停用自己的账号。"))
    with write():
        account.active = active
        account.epoch += 1
        action = "open-account" if active else "close-account"
        audit(actor, action, "account", account.id, reason, school_id=account.organisation_id)


def grant(actor: Account, account: Account, role: str, organisation_id: uuid.UUID) -> RoleGrant:
    """Give a role over an organisation and all below it.

    Who grants must hold power over that organisation; nobody grants to oneself; one account holds only one of the three powers.
    """
    _need_power(actor, organisation_id)
    if role not in STAFF_ROLES or account.kind != "staff":
        raise Invalid("role", _l("没有这种角色。"), where="role")
    if actor.id == account.id:
        raise Refused(
            "own-role", _l("不能给自己授权。"), remedy=_l("请另一位管理员操作。"), clause="GB/T 22239 三员分立"
        )
    held = {entry.role for entry in account.grants if entry.revoked_at is None}
    if role in APART and held & set(APART) - {role}:
        raise Refused("roles-apart", _l("系统、安全、审计三种管理员必须由不同的人担任。"), clause="GB/T 22239 三员分立")
    with write():
        found = db.session.scalar(
            select(RoleGrant).where(
                RoleGrant.account_id == account.id, RoleGrant.role == role, RoleGrant.organisation_id == organisation_id
            )
        )
        made = found or RoleGrant(account_id=account.id, role=role, organisation_id=organisation_id)
        made.revoked_at = None
        db.session.add(made)
        audit(
            actor,
            "grant-role",
            "account",
            account.id,
            school_id=account.organisation_id,
            role=role,
            organisation=str(organisation_id),
        )
    db.session.expire(account, ["grants"])
    return made


def revoke(actor: Account, entry: RoleGrant) -> None:
    """Take a role away; at once, also from open sessions. The last school admin stays."""
    _need_power(actor, entry.organisation_id)
    if actor.id == entry.account_id:
        raise Refused("own-role", _l("不能收回自己的角色。"), remedy=_l("请另一位管理员操作。"))
    with write():
        entry.revoked_at = clock.now()
        audit(actor, "revoke-role", "account", entry.account_id, school_id=entry.organisation_id, role=entry.role)


def managed_account(actor: Account, account_id: uuid.UUID) -> Account:
    """A staff account that the actor may manage; NotFound for others, as if there were none."""
    account = db.session.get(Account, account_id)
    if account is None or account.kind != "staff" or not may(actor, GRANTERS, account.organisation_id):
        raise NotFound("account", _l("没有这个账号。"))
    return account


def staff_accounts(organisation: Organisation) -> list[Account]:
    """Staff of an organisation and all below it, by name."""
    return list(
        db.session.scalars(
            select(Account)
            .join(Organisation, Account.organisation_id == Organisation.id)
            .where(Organisation.path.startswith(organisation.path), Account.kind == "staff")
            .order_by(Account.display_name, Account.username)
        )
    )


def _need_power(actor: Account, organisation_id: uuid.UUID) -> None:
    if not may(actor, GRANTERS, organisation_id):
        raise NotAllowed("role", _l("您的账号没有这项权限。"), remedy=_l("请联系学校管理员或安全管理员。"))
