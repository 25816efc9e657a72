"""Accounts, sign-in, roles (账号与角色). Permission = role × organisation subtree."""

from __future__ import annotations

import functools
import hashlib
import secrets
import uuid
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import ParamSpec, TypeVar, cast

from argon2 import PasswordHasher
from argon2.exceptions import VerificationError
from flask import Flask, session
from flask_babel import lazy_gettext as _l
from flask_login import LoginManager, current_user, login_user
from sqlalchemy import RowMapping, bindparam, delete, event, select
from sqlalchemy.orm.attributes import set_committed_value

from lms.core import clock
from lms.core.db import db, write, write_apart
from lms.core.errors import NotAllowed, TooMany
from lms.core.models import Account, AuditEntry, Lockout, Organisation, RoleGrant

P = ParamSpec("P")
R = TypeVar("R")

STAFF_ROLES = ("teacher", "school_admin", "officer", "expert", "sys_admin", "sec_admin", "audit_admin")
FREE_FAILURES = 5
LOCK_MINUTES = 10

_passwords = PasswordHasher()  # argon2id, library defaults: staff passwords
_pins = PasswordHasher(time_cost=1, memory_cost=4096, parallelism=1)  # argon2id, light: a PIN is guarded by the lockout
login_manager = LoginManager()


def hash_password(password: str) -> str:
    """argon2id hash of a staff password."""
    return _passwords.hash(password)


def hash_pin(pin: str) -> str:
    """argon2id hash of a pupil's PIN or picture row; light, since the lockout of account and seat guards it."""
    return _pins.hash(pin)


def matches(stored: str | None, given: str) -> bool:
    """Whether ``given`` is the secret behind ``stored``; False where there is none."""
    if not stored:
        return False
    try:
        return _passwords.verify(stored, given)
    except VerificationError:
        return False


def waste_time(given: str) -> None:
    """Take as long as a real check, so that the time does not tell which names exist."""
    matches(_nobody(), given)


@functools.cache
def _nobody() -> str:
    return hash_password(secrets.token_hex(8))


def current_account() -> Account:
    """The signed-in account; raises NotAllowed (401) where there is none."""
    if not current_user.is_authenticated:
        raise SignInNeeded("sign-in-needed", _l("请先登录。"))
    return cast(Account, current_user._get_current_object())


class SignInNeeded(NotAllowed):
    """Nobody is signed in (未登录); the web edge sends pages to the sign-in."""

    status = 401


def current_school_id() -> uuid.UUID:
    """Organisation of the signed-in account: its school."""
    return current_account().organisation_id


def roles_of(account: Account) -> list[RoleGrant]:
    """Grants in force."""
    return [grant for grant in account.grants if grant.revoked_at is None]


def may(account: Account, roles: tuple[str, ...], organisation_id: uuid.UUID | None = None) -> bool:
    """Whether the account holds one of ``roles`` over the organisation (default: its own)."""
    if account.kind in roles:  # student, guardian
        return organisation_id in (None, account.organisation_id)
    wanted = organisation_id or account.organisation_id
    grants = [grant for grant in roles_of(account) if grant.role in roles]
    if any(grant.organisation_id == wanted for grant in grants):
        return True
    if not grants:
        return False
    target = db.session.get(Organisation, wanted)
    return target is not None and any(target.path.startswith(grant.organisation.path) for grant in grants)


def require(*roles: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Let only these roles into a view; others get 401 or 403."""

    def decorate(view: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(view)
        def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
            if not may(current_account(), roles):
                raise NotAllowed("role", _l("您的账号没有这项权限。"), remedy=_l("请联系学校管理员开通。"))
            return view(*args, **kwargs)

        return guarded

    return decorate


_LOCKED_UNTIL = select(Lockout.locked_until).where(Lockout.subject.in_(bindparam("subjects", expanding=True)))
_FORGET = delete(Lockout).where(Lockout.subject.in_(bindparam("subjects", expanding=True)))


def check_lock(*subjects: str) -> None:
    """Raise TooMany if any of the subjects (``account:<id>``, ``seat:<id>``) is locked."""
    now = clock.now()
    if any(until is not None and until > now for until in db.session.connection().execute(_LOCKED_UNTIL, {"subjects": subjects}).scalars()):
        raise TooMany(
            "locked",
            _l("试错次数太多，暂时锁定。"),
            remedy=_l("请老师在课堂控制台点“解锁”，或 10 分钟后再试。"),
            clause="GB/T 22239",
        )


def name_subject(username: str) -> str:
    """Lockout subject of a sign-in name that no account has: it locks like any other, so that locks do not tell which names exist."""
    return f"name:{fingerprint(username)[:32]}"


def note_failure(school_id: uuid.UUID | None, *subjects: str) -> None:
    """Count a failed sign-in against account and seat, in a transaction of its own; the fifth locks for ten minutes."""
    now = clock.now()
    with write_apart() as session:
        for subject in subjects:
            row = session.get(Lockout, subject) or Lockout(subject=subject, school_id=school_id, failures=0)
            if row.locked_until is not None and row.locked_until <= now:  # a lock that has run out begins anew
                row.failures, row.locked_until = 0, None
            row.failures += 1
            row.last_at = now
            if row.failures >= FREE_FAILURES:
                row.locked_until = now + timedelta(minutes=LOCK_MINUTES)
            session.add(row)
        session.add(
            AuditEntry(
                school_id=school_id,
                action="sign-in-failed",
                object_kind="sign-in",
                object_id=subjects[0],
                detail={"subjects": list(subjects)},
            )
        )


def clear_failures(*subjects: str) -> None:
    """Forget failures after a success; writes nothing where there are none."""
    if db.session.scalar(select(Lockout.subject).where(Lockout.subject.in_(subjects)).limit(1)) is None:
        return
    forget_failures(*subjects)


def forget_failures(*subjects: str) -> None:
    """Forget failures, in the open transaction or in one of its own."""
    with write() as session:
        session.connection().execute(_FORGET, {"subjects": subjects})


def locked(school_ids: Sequence[uuid.UUID] | None = None) -> list[Lockout]:
    """Locks in force, newest first; of these schools, or of all."""
    query = select(Lockout).where(Lockout.locked_until > clock.now()).order_by(Lockout.last_at.desc())
    return list(db.session.scalars(query if school_ids is None else query.where(Lockout.school_id.in_(school_ids))))


def forget_old_failures() -> None:
    """Drop counts whose last failure is a day old."""
    with write() as session:
        session.execute(delete(Lockout).where(Lockout.last_at < clock.now() - timedelta(days=1)))


def unlock(actor: Account, *subjects: str) -> None:
    """A teacher lifts a lock (解锁)."""
    with write():
        for subject in subjects:
            row = db.session.get(Lockout, subject)
            if row is not None:
                db.session.delete(row)
        db.session.add(
            AuditEntry(
                school_id=actor.organisation_id,
                actor_id=actor.id,
                action="unlock",
                object_kind="lockout",
                object_id=subjects[0],
                detail={},
            )
        )


def fingerprint(secret: str) -> str:
    """SHA-256 of a random secret, hex; for tokens that need no slow hash."""
    return hashlib.sha256(secret.encode()).hexdigest()


_ACCOUNT = select(Account.__table__).where(Account.__table__.c.id == bindparam("account"))
_GRANTS = (
    select(RoleGrant.__table__, *(column.label(f"organisation__{column.name}") for column in Organisation.__table__.columns))
    .join(Organisation.__table__, Organisation.__table__.c.id == RoleGrant.__table__.c.organisation_id)
    .where(RoleGrant.__table__.c.account_id == bindparam("account"))
)
_READ_ONLY = "zhike_read_only"


@login_manager.user_loader  # type: ignore[untyped-decorator]  # flask_login has no types
def _load(token: str) -> Account | None:
    key, _, epoch = token.partition(".")
    try:
        account = signed_in(uuid.UUID(hex=key))
    except ValueError:
        return None
    return account if account is not None and account.active and str(account.epoch) == epoch else None


def signed_in(account_id: uuid.UUID) -> Account | None:
    """Who acts: the account with its grants as a copy apart from the session, since every request needs it; to change it, load it."""
    connection = db.session.connection()
    row = connection.execute(_ACCOUNT, {"account": account_id}).mappings().first()
    if row is None:
        return None
    account = Account()
    account.__dict__.update(row)  # without the events of a change: this runs for every request
    rows = connection.execute(_GRANTS, {"account": account_id}).mappings() if account.kind == "staff" else ()
    set_committed_value(account, "grants", [_grant(account, found) for found in rows])
    account.__dict__[_READ_ONLY] = True
    return account


def _grant(account: Account, row: RowMapping) -> RoleGrant:
    own = {name: value for name, value in row.items() if not name.startswith("organisation__")}
    grant = RoleGrant(**own)
    organisation = Organisation(**{name.removeprefix("organisation__"): value for name, value in row.items() if name.startswith("organisation__")})
    set_committed_value(grant, "organisation", organisation)
    set_committed_value(grant, "account", account)
    return grant


def _refuse_lost_change(account: Account, value: object, before: object, initiator: object) -> None:
    if _READ_ONLY in account.__dict__:
        raise RuntimeError("the signed-in account is a copy: load it to change it")


for _attribute in Account.__mapper__.column_attrs:
    event.listen(getattr(Account, _attribute.key), "set", _refuse_lost_change)


def begin(account: Account) -> None:
    """Sign the account in, in this browser's session."""
    login_user(account)
    session.pop("_id", None)  # address and browser, for a protection that is off: it would make every cookie twice as long


def init_auth(app: Flask) -> None:
    """Install Flask-Login."""
    login_manager.init_app(app)
    login_manager.session_protection = None  # addresses are shared and change in a lab


def end_sessions(account: Account) -> None:
    """Sign the account out everywhere (all its cookies die)."""
    with write():
        account.epoch += 1
