"""The weekly digest (开课周报): on Monday morning, or the next day that the server is on, the verdict and what each class still has to teach; in the app and by the school's channels."""

from __future__ import annotations

import logging
import uuid
from datetime import date, time

from flask import current_app, url_for
from flask_babel import force_locale
from flask_babel import gettext as _
from sqlalchemy import select

from lms.core import clock
from lms.core.db import db, write
from lms.core.errors import ZhikeError
from lms.core.jobs import every
from lms.core.models import Account
from lms.notices.models import Notice
from lms.notices.service import Matter, holders, send_out, tell
from lms.roster.models import School
from lms.usage import board, policies
from lms.usage.judging.gathering import facts_of
from lms.usage.judging.verdicts import VERDICT_NAMES, SchoolResult
from lms.usage.ownclasses import own_classes
from lms.usage.rulebook.service import rules_for
from lms.usage.speech import say

log = logging.getLogger("lms.usage")
SENT_FROM = time(7, 0)
LINES = 8


def digest_due() -> int:
    """Write the digest of this week, once, for each school where it is past 7 o'clock; returns how many schools.

    Usually on Monday; a server that was off then writes it the next day that it is on.
    """
    due = 0
    for school in db.session.scalars(select(School)).all():
        here = clock.local(clock.now(), school.zone)
        if here.time() < SENT_FROM:
            continue
        try:
            due += write_digest(school, here.date())
        except ZhikeError as refusal:  # no term, no stage: nothing to tell yet
            log.info("no digest", extra={"school": str(school.id), "why": refusal.code})
    return due


def write_digest(school: School, today: date) -> bool:
    """Tell admins of the school and teachers of their classes, once a week; False where it was told already, or there is nobody to tell."""
    year, week, _day = today.isocalendar()
    key = f"digest:{year}-W{week:02d}:{school.id}"
    if db.session.scalar(select(Notice.id).where(Notice.school_id == school.id, Notice.key == key).limit(1)):
        return False
    admins = holders(school.id, "school_admin")
    if not admins:
        return False
    facts = facts_of(school.id, today)
    results = {rule.name: policies.evaluate(facts, rule) for rule in rules_for(school.id, facts.judged_on, "lessons")}
    with force_locale(current_app.config["ZHIKE"].default_locale), current_app.test_request_context():
        whole = _matter(key, results, None)
        matters = {account: _matter(key, results, _own(account, today)) for account in holders(school.id, "teacher")}
    with write():
        tell(school.id, admins, whole)
        for account, matter in matters.items():
            if account not in admins and matter.body:
                tell(school.id, [account], matter)
        send_out(school.id, f"{school.organisation.name} {whole.title}", whole.body)
    return True


def _own(account_id: uuid.UUID, today: date) -> frozenset[str]:
    account = db.session.get(Account, account_id)
    return (own_classes(account, today) if account else None) or frozenset()


def _matter(key: str, results: dict[str, SchoolResult], own: frozenset[str] | None) -> Matter:
    """The whole school's for ``own`` None, else those classes'; classes are named, pupils never."""
    lines = []
    if own is None:
        lines = [
            f"{_(policies.policy(name).title)}：{_(VERDICT_NAMES[result.verdict])}" for name, result in results.items()
        ]
    result = results["fortnightly"]
    boards = board.stage_boards(result, own)
    pressing = board.todo(boards)
    lines += [f"{tile.name}：{say(board.advice(tile.result))}" for tile in pressing[:LINES]]
    if len(pressing) > LINES:
        lines.append(_("另有 %(count)s 个班要补课", count=len(pressing) - LINES))
    calm = board.on_track(boards)
    if calm:
        lines.append(_("%(count)s 个班目前够数，照常上课即可。", count=calm))
    first = next((tile.next_day for tile in pressing if tile.next_day), None)
    title = _("开课周报：%(count)s 个班要补课", count=len(pressing)) if pressing else _("开课周报：各班都够数")
    return Matter(key, title, "\n".join(lines), url_for("usage.compliance"), first)


def _write_due() -> None:
    digest_due()


every(15, "weekly-digest", _write_due)
