"""The office that this installation serves (主管部门): founding it, enrolling schools and offices below, its identity."""

from __future__ import annotations

import os
import uuid
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from flask import current_app
from flask_babel import lazy_gettext as _l
from sqlalchemy import func, select

from lms.core import clock
from lms.core.accounts import check_password
from lms.core.audit import audit
from lms.core.auth import fingerprint as secret_hash
from lms.core.auth import hash_password
from lms.core.certificates import Certificates
from lms.core.db import db, new_id, write
from lms.core.errors import Invalid, NotFound, Refused
from lms.core.models import Account, InstanceState, Organisation, RoleGrant
from lms.region.batches import Signed, check_fingerprint, fingerprint, read_document, secret_of, sign_document
from lms.region.models import Subordinate
from lms.region.rules import late_entries
from lms.usage.evidence.ledger import this_key

LEVELS = ("county", "city", "province", "nation")
LEVEL_NAMES = {
    "school": _l("学校"),
    "county": _l("区县"),
    "city": _l("市"),
    "province": _l("省"),
    "nation": _l("国家"),
}
CODE_DAYS = 14
_STATE = "office"


def office() -> Organisation | None:
    """The office of this installation, None at a school."""
    held = db.session.get(InstanceState, _STATE)
    return db.session.get(Organisation, uuid.UUID(held.value)) if held else None


def need_office() -> Organisation:
    """The office; NotFound (``no-office``) at a school."""
    found = office()
    if found is None:
        raise NotFound("no-office", _l("这里不是主管部门的系统。"))
    return found


def is_here() -> bool:
    """Whether this installation serves an office."""
    return office() is not None


def is_own(account: Account) -> bool:
    """Whether the account is of the office that this installation serves, which alone enrols, takes in and hands up."""
    found = office()
    return found is not None and found.id == account.organisation_id


def need_own(account: Account) -> Organisation:
    """The office, for those of its own officers; NotFound (``no-office``) for others."""
    found = need_office()
    if found.id != account.organisation_id:
        raise NotFound("no-office", _l("登记、接收和上报由%(name)s办理。", name=found.name))
    return found


def numbers_below(account: Account) -> tuple[int, ...] | None:
    """Numbers of the schools that the officer sees: those below its own organisation; None for every one."""
    if is_own(account):
        return None
    own = db.session.get_one(Organisation, account.organisation_id)
    query = select(Subordinate.number).join(Organisation, Organisation.id == Subordinate.organisation_id)
    return tuple(db.session.scalars(query.where(Organisation.path.startswith(own.path), Organisation.id != own.id)))


def found_office(level: str, name: str, admin_name: str, username: str, password: str) -> Account:
    """Make this installation that of an office, with an officer who may also manage accounts; raises Invalid, Refused."""
    if level not in LEVELS:
        raise Invalid("office-level", _l("层级应为区县、市、省或国家。"), where="level")
    if not name.strip() or not admin_name.strip() or not username.strip():
        raise Invalid("office-name", _l("请填写名称、姓名和用户名。"), where="name")
    check_password(password, username)
    if office() is not None or db.session.scalar(
        select(Organisation.id).where(Organisation.level == "school").limit(1)
    ):
        raise Refused(
            "founded", _l("这里已经有学校或主管部门。"), remedy=_l("请为主管部门另用一个 ZHIKE_DATA_DIR 和数据库。")
        )
    with write() as session:
        made = Organisation(id=new_id(), parent_id=None, level=level, name=name.strip(), path="")
        made.path = f"{made.id.hex}/"
        session.add(made)
        session.flush()
        session.add(InstanceState(key=_STATE, value=str(made.id)))
        account = _account(made.id, admin_name, username, password, ("officer", "sec_admin"))
        audit(None, "found-office", "organisation", made.id, level=level)
    return account


def serve(organisation: Organisation) -> None:
    """Make an organisation that is here already the office of this installation: a server of several levels, of which it is the highest; in the open write."""
    db.session.merge(InstanceState(key=_STATE, value=str(organisation.id)))


def add_officer(name: str, username: str, password: str) -> Account:
    """One more officer of this office, who chooses another password at the first sign-in; raises Invalid, Refused (``username``)."""
    here = need_office()
    if not name.strip() or not username.strip():
        raise Invalid("office-name", _l("请填写名称、姓名和用户名。"), where="name")
    check_password(password, username)
    if db.session.scalar(
        select(Account.id).where(Account.organisation_id == here.id, Account.username == username.strip())
    ):
        raise Refused("username", _l("用户名 %(name)s 已经有人用了。", name=username.strip()), where="username")
    with write():
        account = _account(here.id, name, username, password, ("officer",))
        account.must_change = True
        audit(None, "add-officer", "account", account.id, school_id=here.id)
    return account


def _account(organisation_id: uuid.UUID, name: str, username: str, password: str, roles: Sequence[str]) -> Account:
    account = Account(
        id=new_id(),
        organisation_id=organisation_id,
        kind="staff",
        username=username.strip(),
        display_name=name.strip(),
        password_hash=hash_password(password),
    )
    db.session.add(account)
    db.session.flush()
    db.session.add_all(RoleGrant(account_id=account.id, role=role, organisation_id=organisation_id) for role in roles)
    return account


def identity() -> Signed:
    """Who this office is, signed: name, level, key and the CA of its HTTPS certificate."""
    key, files = this_key(), Certificates(current_app.config["ZHIKE"].data_dir / "tls")
    made = need_office()
    ca = files.ca.read_text("ascii") if current_app.config["ZHIKE"].https and files.ca.exists() else ""
    return sign_document("identity", {"name": made.name, "level": made.level, "ca": ca}, key.public, key.sign)


def own_fingerprint() -> str:
    """Fingerprint of this installation's key."""
    return fingerprint(this_key().public)


def subordinate(subordinate_id: uuid.UUID) -> Subordinate:
    """A school or office below; NotFound."""
    found = db.session.get(Subordinate, subordinate_id)
    if found is None:
        raise NotFound("subordinate", _l("没有登记这个下级。"))
    return found


def register(actor: Account, level: str, name: str, code: str) -> tuple[Subordinate, str]:
    """Enrol a school or office below; returns it with the one-time code that it must enter within CODE_DAYS."""
    found = _new(actor, level, name, code)
    return found, new_code(actor, found.id)


def register_key(actor: Account, level: str, name: str, code: str, text: str) -> Subordinate:
    """Enrol one that has no line by the fingerprint that it reads out; its key is accepted at its first file."""
    known = check_fingerprint(text)
    if db.session.scalar(select(Subordinate.id).where(Subordinate.fingerprint == known)):
        raise Refused("registered", _l("这个密钥指纹已经登记。"), where="fingerprint")
    with write() as session:
        found = session.get_one(Subordinate, _new(actor, level, name, code).id)
        found.fingerprint = known
    return found


def next_number() -> int:
    """The next free number for the result files; inside the write that uses it."""
    return (db.session.scalar(select(func.max(Subordinate.number))) or 0) + 1


def _new(actor: Account | None, level: str, name: str, code: str) -> Subordinate:
    above = need_office()
    below = ("school", *LEVELS[: LEVELS.index(above.level)])
    if level not in below:
        raise Invalid("level", _l("请选择下级的层级。"), where="level")
    if not name.strip():
        raise Invalid("name", _l("请填写名称。"), where="name")
    with write() as session:
        if code.strip() and session.scalar(select(Subordinate.id).where(Subordinate.code == code.strip())):
            raise Refused("registered", _l("标识码 %(code)s 已经登记。", code=code.strip()), where="code")
        found = Subordinate(id=new_id(), number=next_number(), level=level, name=name.strip(), code=code.strip())
        session.add(found)
        audit(actor, "register-subordinate", "subordinate", found.id, level=level)
    return found


def new_code(actor: Account, subordinate_id: uuid.UUID) -> str:
    """A new one-time enrolment code, also for one whose key is lost; the old code dies."""
    secret = secret_of(os.urandom(8))
    with write():
        found = subordinate(subordinate_id)
        found.secret_hash, found.secret_until = secret_hash(secret), clock.now() + timedelta(days=CODE_DAYS)
        audit(actor, "enrolment-code", "subordinate", found.id)
    return f"{secret}-{own_fingerprint()}"


def accept_key(actor: Account, subordinate_id: uuid.UUID, text: str) -> Subordinate:
    """Accept another key of one that is enrolled, by the fingerprint that it reads out."""
    known = check_fingerprint(text)
    with write():
        found = subordinate(subordinate_id)
        found.fingerprint, found.secret_hash = known, None
        audit(actor, "accept-key", "subordinate", found.id, fingerprint=known)
    return found


def countersign(actor: Account, subordinate_id: uuid.UUID, keys: Sequence[str]) -> int:
    """Countersign closures and flagged weeks that a school entered late (会签, B1); the school learns it by its next receipt. Returns how many."""
    with write():
        found = subordinate(subordinate_id)
        today = clock.local_date(clock.now(), current_app.config["ZHIKE"].timezone).isoformat()
        late = {key for key, row in late_entries(found.calendar) if not row["countersigned"]} & set(keys)
        found.calendar = {
            key: {**row, "countersigned": today} if key in late else row for key, row in found.calendar.items()
        }
        audit(
            actor, "calendar-countersigned", "subordinate", found.id, school_id=found.organisation_id, entries=len(late)
        )
    return len(late)


def enrol(document: Any) -> dict[str, Any]:
    """Bind the key of who knows a one-time code; raises Refused (``enrol-code``)."""
    asked = read_document("enrolment", document)
    try:
        organisation_id = uuid.UUID(str(asked.body["organisation"]))
        profile, secret = dict(asked.body["profile"]), str(asked.body["secret"])
    except (KeyError, TypeError, ValueError) as error:
        raise Invalid("enrolment", _l("登记请求不完整。")) from error
    with write() as session:
        found = session.scalar(
            select(Subordinate)
            .where(Subordinate.secret_hash == secret_hash(secret), Subordinate.secret_until > clock.now())
            .with_for_update()
        )
        if found is None or found.level != profile.get("level"):
            raise Refused(
                "enrol-code",
                _l("登记码不对、已用过或已过期。"),
                remedy=_l("请向主管部门要一个新的登记码。"),
                where="code",
            )
        if found.organisation_id not in (None, organisation_id):
            raise Refused("enrol-other", _l("这个登记码属于另一个单位。"), where="code")
        found.secret_hash = None
        found.fingerprint, found.public_key = fingerprint(asked.public_key), asked.public_key.hex()
        place(found, organisation_id, profile)
        audit(None, "enrol", "subordinate", found.id, fingerprint=found.fingerprint)
    return {"name": found.name}


def place(found: Subordinate, organisation_id: uuid.UUID, profile: dict[str, Any]) -> None:
    """Give a subordinate its organisation below this office (or below the office that forwards for it); in the open write."""
    via = db.session.get(Subordinate, found.via_id) if found.via_id else None
    above = db.session.get(Organisation, via.organisation_id) if via and via.organisation_id else need_office()
    assert above is not None
    known = db.session.get(Organisation, organisation_id)
    if known is None:
        known = Organisation(
            id=organisation_id, parent_id=above.id, level=found.level, name=found.name, code=found.code, path=""
        )
        known.path = f"{above.path}{organisation_id.hex}/"
        db.session.add(known)
        db.session.flush()
    found.organisation_id = organisation_id
    found.profile = {key: profile[key] for key in ("type", "system", "zone", "stages") if key in profile}
