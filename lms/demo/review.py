"""The review, the cases and the inspection of the demo's province (演示评审、课例、抽查): the same steps as in life, each with the clock of its day."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import date, timedelta

from sqlalchemy import select

from lms.core.db import db
from lms.core.models import Account, Organisation
from lms.demo.places import HENAN, HUNAN, NCET, PLAQUE_SCHOOL
from lms.programmes.models import Application
from lms.programmes.notices import pack_of
from lms.programmes.selection import experts, scoring
from lms.programmes.selection import service as selection
from lms.programmes.years import cases, inspections
from lms.programmes.years.cases import CaseGiven

On = Callable[[date, int], AbstractContextManager[None]]
EXPERTS = (("expert1", "冯明远", "示范师范大学"), ("expert2", "陈若兰", "示范省教育科学研究院"))
"""User name, name and employer."""
SHARES = (0.92, 0.86, 0.78, 0.81)
SEED_FROM, SEED = "当日福利彩票双色球开奖号码（示例）", "05 09 14 20 28 33 11"
LESSONS = (
    ("用数据看家庭用水", "数学", "5", "学生采集一周家庭用水数据，用决策树分类并验证，讨论偏差从哪里来。", True),
    ("让小车看懂路标", "科学", "6", "小组采集路标图片、训练分类模型，让小车在模拟桌上按路标行驶，比较样本多少带来的差别。", True),
    ("会听口令的教室灯", "信息科技", "5", "学生录制口令、训练语音模型，控制模拟教室灯，讨论误识别和隐私。", False),
)
"""Title, subject, grade, summary, whether it was selected."""


def play_review(officer: Account, reviewers: list[Account], on: On, today: date) -> None:
    """A panel of two experts on what waits at the province; all but the last review handed in."""
    with on(today - timedelta(days=1), 20):
        panel = selection.open_panel(officer, NCET, "school", "2026")
        known = [
            experts.save_expert(officer, {"name": name, "unit": unit, "username": username}) for username, name, unit in EXPERTS
        ]
        selection.engage(officer, panel.id, [one.id for one in known])
        selection.draw(officer, panel.id, SEED)
        accounts = {one.id: account for one, account in zip(known, reviewers, strict=True)}
        reviews = sorted(selection.reviews_of(panel), key=lambda one: (str(one.application_id), str(one.expert_id)))
        for place, review in enumerate(reviews[:-1]):
            share = SHARES[place % len(SHARES)]
            given = {f"score.{one['id']}": str(round(one["most"] * share, 1)) for one in panel.sheet}
            comment = "计划落到了班级和课时，教师队伍稳定；建议补充校际教研的安排。"
            scoring.save(accounts[review.expert_id], review.id, given | {"comment": comment}, hand_in=True)


def play_cases(officer: Account, author: Account, on: On, today: date) -> None:
    """Two cases that were selected, one that waits for review."""
    own = db.session.scalars(select(Organisation).where(Organisation.name == PLAQUE_SCHOOL)).one()
    found = db.session.scalars(select(Application).where(Application.school_id == own.id, Application.slug == HUNAN)).one()
    theme = cases.themes_of(pack_of(found))[0]
    report = str(cases.case_reports(found)[0]["id"])
    with on(today - timedelta(days=1), 21):
        for title, subject, grade, summary, chosen in LESSONS:
            given = CaseGiven(report, title, subject, "primary", grade, theme, "李老师", summary, None)
            row = cases.save_case(author, found.id, given)
            for actor, step in ((author, "submit"), *(((officer, "accept"), (officer, "select")) if chosen else ())):
                cases.step(actor, row.id, step)


def play_inspection(officer: Account, on: On, today: date) -> None:
    """A half-yearly inspection: the list first, three days later the public seed, drawn with it."""
    seed_on = today - timedelta(days=2)
    with on(today - timedelta(days=5), 9):
        row = inspections.announce(officer, HENAN, "school", 1, "", SEED_FROM, seed_on)
    with on(seed_on, 21):
        inspections.draw(officer, row.id, SEED)
