"""A province at work beside the demo school (演示省份): offices of every level, their schools, and applications in every state.

Organisations and accounts are rows; applications go through the same steps as real ones, each with the clock of its day, so that journal,
receipts and notices are true; all in one transaction. A province that is there already is left as it is.
"""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import select

from lms.core import clock
from lms.core.auth import hash_password
from lms.core.db import db, new_id, write
from lms.core.models import Account, Organisation, RoleGrant
from lms.core.stages import SCHOOL_TYPES
from lms.demo.handed import hand_up
from lms.demo.places import CASES, CITIES, HENAN, HUNAN, NATION, PLAQUE_SCHOOL, PROVINCE, SCHOOLS, USERNAMES, Case
from lms.demo.plan import demo_calendar
from lms.demo.review import EXPERTS, play_cases, play_inspection, play_review
from lms.demo.school import make_lab
from lms.demo.usages import record_usage
from lms.demo.writing import written
from lms.programmes import attachments, notices, papers, service, workflow
from lms.programmes.models import Application, ApplicationEdit, ApplicationPart, NoticeVersion
from lms.programmes.pack import Document, Pack, shipped
from lms.programmes.selection import outcome
from lms.programmes.years import inspections
from lms.roster import service as roster

BATCH = "2026"
OPENED_DAYS = 60
PUT_RIGHT_DAYS = 45
DUE_DAYS = {
    "ncet-pilot": {"province": 12, "nation": 32}, "hunan-baixiao": {"province": 19}, "henan-experiment": {"province": 26}, "smart-training": {"nation": 23},
}  # fmt: skip
OWN_DATES = (("county1", "ncet-pilot", 3), ("city1", "hunan-baixiao", 6), ("county5", "hunan-baixiao", 2))
"""Earlier days of offices: user name of the officer, notice, days from today."""
PDF = b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj 2 0 obj<</Type/Pages/Count 0/Kids[]>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n"


@dataclass(frozen=True)
class Province:
    """What the guide tells of the province: (who, user name) of each level, officers first."""

    officers: tuple[tuple[str, str], ...]
    admins: tuple[tuple[str, str], ...]


def make_province(password: str, say: Callable[[str], None], zone: str = "Asia/Shanghai") -> Province:
    """Build the province in the database of the demo; every account has the same password."""
    here = _Places(hash_password(password), zone)
    known = db.session.scalar(select(Organisation.id).where(Organisation.level == "nation", Organisation.name == NATION))
    if known is None or db.session.scalar(select(NoticeVersion.id).where(NoticeVersion.school_id == known)) is None:
        say("正在建立示范省：5 个区县、36 所学校、四个通知的申报 …")
        today = clock.local_date(clock.now(), zone)
        with write():
            here.found()
            _open_batches(here.organisations[NATION], today)
            for number, case in enumerate(CASES):
                _play(here, case, number, today)
            _own_dates(here, today)
            _review_and_inspect(here, today)
        schools = {name: here.organisations[name].id for name in here.schools}
        record_usage(schools, demo_calendar(today), zone)
        hand_up(here.organisations[NATION], demo_calendar(today))
    return Province(tuple(USERNAMES.items()), tuple(here.usernames.items()))


class _Places:
    """Organisations by name and who acts for them."""

    def __init__(self, password_hash: str, zone: str) -> None:
        self._hash, self._zone = password_hash, zone
        self.organisations: dict[str, Organisation] = {}
        self.people: dict[str, Account] = {}
        self.schools = [row[0] for rows in SCHOOLS.values() for row in rows]
        self.usernames = {name: f"school{number:02d}" for number, name in enumerate(self.schools, 1)}

    def found(self) -> None:
        """Make offices, schools and accounts, in the open write."""
        nation = self._office("nation", NATION, None)
        province = self._office("province", PROVINCE, nation)
        for name, counties in CITIES.items():
            city = self._office("city", name, province)
            for county in counties:
                self._office("county", county, city)
        numbers = itertools.count(1)
        for above, rows in SCHOOLS.items():
            for name, kind, locality in rows:
                self._school(self.organisations[above], name, kind, locality, next(numbers))
        db.session.flush()

    def _office(self, level: str, name: str, above: Organisation | None) -> Organisation:
        query = select(Organisation).where(Organisation.level == level, Organisation.name == name)
        found = db.session.scalar(query.where(Organisation.parent_id == (above.id if above else None)))
        if found is None:
            found = Organisation(id=new_id(), parent_id=above.id if above else None, level=level, name=name, path="")
            found.path = f"{above.path if above else ''}{found.id.hex}/"
            db.session.add(found)
            db.session.flush()
        self.organisations[name] = found
        self.people[name] = self.person(found, USERNAMES[name], "officer", f"{name}经办人")
        return found

    def _school(self, above: Organisation, name: str, kind: str, locality: str, number: int) -> None:
        ids = [uuid.UUID(one) for one in above.path.split("/") if one][1:]
        way = [(one.level, one.name) for one in (db.session.get_one(Organisation, key) for key in ids)]
        made = roster.create_school(None, name, kind, code=f"99{number:08d}", above=way, locality=locality, zone=self._zone)
        for stage in SCHOOL_TYPES[kind]:
            roster.add_stage(None, made.id, stage, solution_config=2)
        self.organisations[name] = made.organisation
        self.people[name] = self.person(made.organisation, self.usernames[name], "school_admin", "教务主任")

    def person(self, where: Organisation, username: str, role: str, name: str) -> Account:
        """Somebody with a sign-in and a role."""
        made = Account(
            id=new_id(), organisation_id=where.id, kind="staff", username=username, display_name=name[:64], password_hash=self._hash
        )  # fmt: skip
        db.session.add(made)
        db.session.flush()
        db.session.add(RoleGrant(account_id=made.id, role=role, organisation_id=where.id))
        db.session.flush()
        return made

    def officer_of(self, office_id: uuid.UUID | None) -> Account:
        """Who acts for an office."""
        return self.people[db.session.get_one(Organisation, office_id).name]


def _open_batches(nation: Organisation, today: date) -> None:
    """The shipped notices with a batch that is open today, as the nation's versions: the demo works in any year."""
    for pack in shipped().values():
        batches = [_dated(one, pack.slug, today) for one in pack.document["batches"]]
        dated = Pack(pack.document | {"batches": batches})
        db.session.add(
            NoticeVersion(id=new_id(), school_id=nation.id, slug=pack.slug, version=pack.version, digest=dated.digest, document=dated.document)
        )
    db.session.flush()


def _dated(batch: Document, slug: str, today: date) -> Document:
    if batch["id"] != BATCH:
        return batch
    due = {level: (today + timedelta(days=days)).isoformat() for level, days in DUE_DAYS[slug].items()}
    return batch | {"name": "演示批次（日期为示例）", "opens": (today - timedelta(days=OPENED_DAYS)).isoformat(), "due": due}


@contextmanager
def _on(day: date, hour: int = 10) -> Iterator[None]:
    """Act with the clock of a morning."""
    before = clock.get_clock()
    clock.set_clock(clock.FixedClock(datetime.combine(day, time(hour), ZoneInfo("Asia/Shanghai")).astimezone(UTC)))
    try:
        yield
    finally:
        clock.set_clock(before)


def _play(here: _Places, case: Case, number: int, today: date) -> None:
    """Begin, fill in and walk one application along its steps."""
    actor, steps = here.people[case.who], case.steps.split()
    if case.kind == "school" and case.slug in (HUNAN, HENAN) and not roster.rooms_of(actor.organisation_id):
        make_lab(actor.organisation_id, "ai-lab")
    with _on(today - timedelta(days=case.days)):
        found = service.begin(actor, case.slug, case.kind, BATCH)
        _fill(actor, found, number, half=not steps)
    for place, step in enumerate(steps):
        with _on(today - timedelta(days=case.days - round(place * (case.days - 1) / len(steps))), 11 + place):
            _take(here, actor, found, step)


def _take(here: _Places, actor: Account, found: Application, step: str) -> None:
    verb, _colon, status = step.partition(":")
    if verb == "submit":
        _seal(actor, found)
        workflow.submit(actor, found.id)
    elif verb == "withdraw":
        workflow.withdraw(actor, found.id, "学校合并，今年不再申报。")
    elif verb == "appeal":
        workflow.appeal(actor, found.id, "附上获奖证书原件，请复核。")
    elif verb == "warn":
        due = clock.local_date(clock.now(), "Asia/Shanghai") + timedelta(days=PUT_RIGHT_DAYS)
        inspections.order(here.people[PROVINCE], found.id, "随机抽查：近四周没有开课记录，请补课并说明。", due)
    elif verb == "plaque":
        day = clock.local_date(clock.now(), "Asia/Shanghai")
        outcome.give_plaque(here.people[PROVINCE], found.id, f"示范-{day.year}-001", day, f"示范函〔{day.year}〕1号")
    elif verb == "to":
        workflow.climb(here.people[PROVINCE], found.id, status, "实地查看后确定。")
    else:
        action = {"up": "recommend"}.get(verb, verb)
        remark = {"return": "开课计划里的班级和课表对不上，请核对后再报。", "refuse": "近三年没有开设相关课程。"}.get(verb, "")
        workflow.act(here.officer_of(found.office_id), found.id, action, remark)


def _fill(actor: Account, found: Application, number: int, *, half: bool) -> None:
    """Write in every part (a draft: in the first half), and hand in what is required, in the open write."""
    pack = notices.pack_of(found)
    keys = [key for key in pack.keys_of(found.kind) if "collect" not in pack.part(key)]
    for place, key in enumerate(keys[: len(keys) // 2] if half else keys):
        common: dict[str, Any] = {
            "id": new_id(), "school_id": found.school_id, "application_id": found.id, "key": key, "edition": 1, "saved_by": actor.id,
            "value": {"value": written(pack.part(key), pack.document, number + place)},
        }  # fmt: skip
        db.session.add_all([ApplicationPart(**common), ApplicationEdit(**common | {"id": new_id()})])
    db.session.flush()
    for one in () if half else pack.attachments_of(found.kind):
        if one.get("required"):
            attachments.add_file(actor, found.id, one["id"], f"{one['name']}（示例）.pdf", PDF)


def _seal(actor: Account, found: Application) -> None:
    """Scans of the stamped pages, as the documents stand now."""
    for name, code in papers.codes_of(found).items():
        attachments.add_file(actor, found.id, f"scan:{name}", "盖章页扫描件（示例）.pdf", PDF, code)


def _review_and_inspect(here: _Places, today: date) -> None:
    """What the province does beside deciding: experts who score, cases of lessons, a drawn inspection."""
    officer = here.people[PROVINCE]
    reviewers = [here.person(here.organisations[PROVINCE], username, "expert", name) for username, name, _unit in EXPERTS]
    play_review(officer, reviewers, _on, today)
    play_cases(officer, here.people[PLAQUE_SCHOOL], _on, today)
    play_inspection(officer, _on, today)


def _own_dates(here: _Places, today: date) -> None:
    names: Sequence[str] = list(USERNAMES)
    for username, slug, days in OWN_DATES:
        office = next(name for name in names if USERNAMES[name] == username)
        notices.set_date(here.people[office], slug, BATCH, today + timedelta(days=days))
