"""The scene of the role crawl: a school with everything that the rooms of programmes and register can hold, and people here and elsewhere.

A room that adds a route with a new argument adds here what that argument is.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select
from werkzeug.routing import Rule
from werkzeug.routing.converters import AnyConverter

from lms.core import blobs, clock
from lms.core.db import db, new_id, write
from lms.core.models import Account, Organisation
from lms.programmes import attachments, comments, service, workflow
from lms.programmes.editor import binding, drafts
from lms.programmes.models import ScanPage, ScanUpload
from lms.programmes.sealing import service as sealing
from lms.programmes.selection import behalf, experts, outcome
from lms.programmes.selection import service as selection
from lms.programmes.years import cases, events, files, inspections, norms
from lms.programmes.years import service as years
from lms.programmes.years.events import EventGiven
from lms.programmes.years.service import ReportGiven
from lms.register import intake
from lms.register import service as register
from lms.register.intake import Line
from lms.register.people import staff_of
from lms.roster.models import Person, School, SchoolClass
from tests import factories
from tests.programmes import places as make
from tests.programmes.test_originals import word_file
from tests.programmes.years.test_years import CASE, granted, inspect
from tests.register.test_register import AWARD, TEXTS

SECRET, LATER_SECRET = "只有本校知道的一段话", "挂牌以后才有的一段话"
JPEG = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00 made up \xff\xd9"


@dataclass
class Scene:
    """A school with an application at its county, a register, and people of every level here and elsewhere."""

    tree: dict[str, Organisation]
    insiders: dict[str, Account]
    strangers: dict[str, Account]
    forms: dict[str, dict[str, str]] = field(default_factory=dict)
    """What a form of an endpoint sends beside the usual."""
    given: dict[str, Any] = field(default_factory=dict)
    """What an argument of a route stands for: by ``endpoint:argument``, ``blueprint:argument`` (outer ones too) or ``argument``."""

    def value(self, rule: Rule, name: str) -> str:
        """The argument of this scene; a new one has to be told here."""
        parts = rule.endpoint.split(".")
        for key in (*(f"{'.'.join(parts[:size])}:{name}" for size in range(len(parts), 0, -1)), name):
            if key in self.given:
                return str(self.given[key])
        converter = rule._converters[name]
        if isinstance(converter, AnyConverter):
            return sorted(converter.items)[0]
        pytest.fail(f"{rule.endpoint} has an argument <{name}> that crawl_scene.py does not know")


def make_scene(fixed_clock: clock.FixedClock) -> Scene:
    """A new one."""
    tree = make.tree()
    far = make.organisation("province", "远省", tree["nation"])
    far_city = make.organisation("city", "远市", far)
    near_county = make.organisation("county", "邻县", tree["city"])
    admin, county = make.person(tree["school"]), make.person(tree["county"])
    made = Scene(
        tree,
        {"admin": admin, "teacher": make.person(tree["school"], "teacher"), "county": county, "nation": make.person(tree["nation"])},
        {
            "another school": make.person(make.school("丙县二小", tree["county"])),
            "a teacher of another school": make.person(tree["city-school"], "teacher"),
            "another county": make.person(near_county),
            "another city": make.person(far_city),
            "another province": make.person(far),
            "an expert of the county": make.person(tree["county"], "expert"),
            "the city it has not come to": make.person(tree["city"]),
            "the province it has not come to": make.person(tree["province"]),
        },
    )  # fmt: skip
    _people(tree)
    _application(made, admin, county)
    _register(made, admin)
    _editor(made, county)
    _sealing(made)
    _selection(made, county)
    _behalf(made, county)
    _years(made, admin, fixed_clock)
    return made


def _people(tree: dict[str, Organisation]) -> None:
    school = db.session.get_one(School, tree["school"].id)
    factories.make_teacher(school, name="王老师")
    factories.make_class(school)


def _application(made: Scene, admin: Account, county: Account) -> None:
    """Handed in, returned, handed in again: it lies with the county."""
    found = service.begin(admin, "ncet-pilot", "school", "2026")
    make.fill_in(admin, found)
    service.save_part(admin, found.id, "school-statement.basics", SECRET, 1)
    make.seal(admin, found)
    file = attachments.add_file(admin, found.id, "training", "证明.pdf", make.PDF)
    workflow.submit(admin, found.id)
    workflow.act(county, found.id, "return", "请补充")
    workflow.submit(admin, found.id)
    remark = comments.remark(county, found.id, "school-statement.basics", SECRET)
    made.given |= {
        "application_id": found.id,
        "key": "school-statement.basics",
        "comment_id": remark.id,
        "programmes:file_id": file.id,
        "programmes.document:name": "school-statement",
        "programmes.bundle:name": "school",
        "slug": "ncet-pilot",
    }


def _register(made: Scene, admin: Account) -> None:
    [member] = [one for one in staff_of(made.tree["school"].id) if one.name == "王老师"]
    activity = register.save_activity(admin, None, {**TEXTS, "主题": SECRET}, [member.key])
    achievement = register.save_achievement(admin, None, {**AWARD, "姓名": member.name, "成果名称": SECRET})
    scan = register.add_file(admin, activity, "证书.pdf", make.PDF)
    intake.apply(admin, "achievements", [Line("第 2 行", {**AWARD, "姓名": member.name, "成果名称": "另一项"})])
    made.given |= {
        "activity_id": activity.id,
        "achievement_id": achievement.id,
        "row_id": achievement.id,
        "register:file_id": scan.id,
        "import_id": intake.imports_of(made.tree["school"].id)[0].id,
    }


def _editor(made: Scene, county: Account) -> None:
    draft = drafts.begin(county, "hunan-baixiao")
    binding.upload(county, draft.id, "application", "申报书.docx", word_file())
    made.given |= {"draft_id": draft.id, "programmes.editor:form": "application"}


def _sealing(made: Scene) -> None:
    """A page as the reading of a scan leaves it."""
    digest = blobs.keep(sealing.ROOM, JPEG)
    with write() as session:
        upload = ScanUpload(
            id=new_id(),
            school_id=made.tree["school"].id,
            application_id=made.given["application_id"],
            files=[],
            state="done",
        )
        session.add(upload)
        session.flush()
        page = ScanPage(
            id=new_id(), school_id=upload.school_id, application_id=upload.application_id, upload_id=upload.id,
            number=1, name="封面.jpg", sha256=digest, width=10, height=10,
        )  # fmt: skip
        session.add(page)
    made.given["page_id"] = page.id


def _selection(made: Scene, county: Account) -> None:
    """The county's panel with an expert who has the application before him, and a list of what it decided."""
    found_id = made.given["application_id"]
    other = make.person(make.school("丙县三小", made.tree["county"]))
    decided = service.begin(other, "ncet-pilot", "school", "2026")
    make.fill_in(other, decided)
    workflow.submit(other, decided.id)
    panel = selection.open_panel(county, "ncet-pilot", "school", "2026")
    expert = experts.save_expert(county, {"name": "张甲", "unit": "某大学"})
    selection.engage(county, panel.id, [expert.id])
    review = selection.assign(county, panel.id, found_id, expert.id)
    experts.open_account(county, expert.id)
    db.session.expire_all()
    account = db.session.get_one(Account, expert.account_id)
    with write() as session:
        kept = session.get_one(Account, account.id)
        kept.must_change, kept.password_hash = False, county.password_hash
    made.insiders["expert"] = account
    workflow.act(county, decided.id, "recommend")
    day = clock.now().date()
    words = {
        "title": "公示",
        "starts_on": day.isoformat(),
        "ends_on": (day + timedelta(days=7)).isoformat(),
        "contact": "周",
        "phone": "1",
    }
    made.given |= {
        "panel_id": panel.id,
        "expert_id": expert.id,
        "review_id": review.id,
        "publication_id": outcome.publish(county, panel.id, words).id,
        "programmes.selection.review_file:file_id": made.given["programmes:file_id"],
        "programmes.selection:kind": "school",
        "batch": "2026",
    }
    made.forms |= {
        "programmes.selection.assign": {"application": str(found_id), "expert": str(expert.id)},
        "programmes.selection.decide": {"chosen": str(found_id), "action": "recommend"},
        "programmes.selection.recall": {"application": str(found_id), "remark": "x"},
        "programmes.selection.record": {"number": "x", "decided_on": "2026-11-20", "action": "recommend"},
        "programmes.selection.decline": {"reason": "x"},
        "programmes.selection.change_expert": {"name": "x", "unit": "x"},
        "programmes.selection.withdraw_plaque": {"reason": "x", "taken_on": "2026-11-24"},
    }


def _behalf(made: Scene, county: Account) -> None:
    """A school without an account, for which the county fills in."""
    form = {
        "level": "school",
        "name": "丙县四小",
        "parent": str(made.tree["county"].id),
        "school_type": "小学",
        "locality": "乡村",
        "code": "3600000009",
    }
    ward = behalf.begin(county, behalf.add_organisation(county, form).id, "ncet-pilot", "school", "2026")
    for endpoint in ("originals", "original", "take_original", "hand_over"):
        made.given[f"programmes.selection.{endpoint}:application_id"] = ward.id
    made.given["programmes.selection:file_id"] = behalf.take_original(county, ward.id, "原件.docx", word_file()).id


def _years(made: Scene, admin: Account, fixed_clock: clock.FixedClock) -> None:
    """A plaque, a report, a case, a seed teacher, a drawn inspection with its visit, a risk."""
    province = make.person(made.tree["province"])
    made.insiders["province"] = province
    found = granted(made.tree, admin, "hunan-baixiao")
    teacher = db.session.scalars(select(Person).where(Person.name == "王老师")).one()
    owed = years.owed_by(found)[0]
    years.save_report(admin, found.id, owed.report["id"], owed.period.id, ReportGiven("", LATER_SECRET, {}, 0))
    case = cases.save_case(admin, found.id, replace(CASE, summary=LATER_SECRET))
    seed = years.name_seed(admin, found.id, teacher.id, "数学", LATER_SECRET, clock.now().date())
    event = events.add_event(
        province, EventGiven(found.slug, "推进会", "第一次推进会", clock.now().date(), "省馆", 1, (), LATER_SECRET)
    )
    file = files.add(admin, found.school_id, case.id, "课例.pdf", make.PDF)
    risk = norms.save_risk(admin, 2026, norms.RiskGiven(LATER_SECRET, 1, 1, "x", "x", None))
    norms.publish(admin, norms.starting_text().replace(norms.DRAFT, ""), "")
    plaque = outcome.give_plaque(province, found.id, "P-1", clock.now().date(), "")
    inspection, visit = inspect(province, found, fixed_clock, clock.now().date() + timedelta(days=1))
    rectification = inspections.order(
        province, found.id, LATER_SECRET, clock.now().date() + timedelta(days=30), visit.id
    )
    made.given |= {
        "programmes.years:application_id": found.id,
        "report": owed.report["id"],
        "period": owed.period.id,
        "case_id": case.id,
        "seed_id": seed.id,
        "event_id": event.id,
        "programmes.years:file_id": file.id,
        "risk_id": risk.id,
        "inspection_id": inspection.id,
        "visit_id": visit.id,
        "rectification_id": rectification.id,
        "plaque_id": plaque.id,
        "class_id": db.session.scalars(select(SchoolClass.id)).one(),
    }
    day = clock.now().date()
    made.forms |= {
        "programmes.years.save_report": {"action": "save"},
        "programmes.years.name_seed": {
            "person": str(teacher.id),
            "subject": "x",
            "reason": "x",
            "consent_on": day.isoformat(),
        },
        "programmes.years.cases.step": {"action": "submit"},
        "programmes.years.inspections.draw": {"seed": "1 2 3 4 5 6"},
        "programmes.years.inspections.cancel": {"reason": "x"},
        "programmes.years.inspections.warn": {"findings": "x", "due_on": (day + timedelta(days=9)).isoformat()},
        "programmes.years.inspections.rectification": {"action": "report", "report": "x" * 30},
        "programmes.years.inspections.end": {"action": "exit"},
    }
