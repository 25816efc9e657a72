"""A database is real or simulated, once and for ever (数据来源): demo data must never pass for proof of teaching."""

from __future__ import annotations

from flask_babel import lazy_gettext as _l

from lms.core.db import db, write
from lms.core.errors import Invalid, Refused
from lms.core.models import InstanceState

ORIGINS = ("real", "simulated")


def claim_origin(origin: str) -> None:
    """Write the origin into a new database; refuse one that has the other. Called at every start.

    Raises Refused where they differ, Invalid for a word that is none of the two.
    """
    if origin not in ORIGINS:
        raise Invalid("origin", _l("ZHIKE_ORIGIN 只能是 real 或 simulated。"), where="origin")
    if kept_origin() is None:
        with write() as session:
            if session.get(InstanceState, "origin") is None:
                session.add(InstanceState(key="origin", value=origin))
    if kept_origin() != origin:
        raise Refused(
            "origin-differs",
            _l(
                "这个数据库的数据来源是 %(kept)s，而设置是 %(asked)s：演示数据与真实数据不能混用。",
                kept=kept_origin(),
                asked=origin,
            ),
            remedy=_l("请为演示和正式教学使用不同的 ZHIKE_DATA_DIR。"),
        )


def kept_origin() -> str | None:
    """The origin that the database was made with; None for one just made."""
    state = db.session.get(InstanceState, "origin")
    return state.value if state else None
