"""The first-run page (首次设置): an empty folder becomes a school with a room, an administrator and, if wished, a first class."""

from __future__ import annotations

import hmac
import threading
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import yaml
from flask import Blueprint, Flask, current_app, flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from sqlalchemy import select
from werkzeug.wrappers import Response as BaseResponse

from lms.config import Settings, kept_secret
from lms.core import clock
from lms.core.accounts import check_password
from lms.core.auth import require
from lms.core.db import db, write
from lms.core.errors import Invalid, NotFound, ZhikeError
from lms.core.menu import menu
from lms.core.models import Account, Organisation
from lms.core.resources import bundled
from lms.core.stages import SCHOOL_TYPES, STAGE_NAMES, STAGES, school_year
from lms.core.views import begin_session
from lms.courses.service import install_folder
from lms.region.office import LEVEL_NAMES, LEVELS, found_office, office
from lms.roster import rules
from lms.roster.calendar import default_term
from lms.roster.classes import create_class
from lms.roster.people import add_pupil, create_staff
from lms.roster.rooms import create_room
from lms.roster.school import LOCALITIES, SYSTEMS, add_stage, add_term, create_school

bp = Blueprint("first_run", __name__)

TOKEN_LENGTH = 16
MAX_SEATS = 80
DOORS = ("core.home", "core.sign_in", "teaching.seat")
MAX_PUPILS = 80


@dataclass(frozen=True)
class Founding:
    """What the page asks. ``stages``: configuration 1–3 by stage. ``class_name`` and ``pupils`` may be empty."""

    name: str
    school_type: str
    locality: str
    system: str
    county: str
    stages: Mapping[str, int]
    term_starts: date
    term_ends: date
    admin_name: str
    username: str
    password: str
    room_name: str
    seats: int
    class_name: str
    pupils: tuple[str, ...]


def has_school() -> bool:
    """Whether any school has been founded here."""
    return db.session.scalar(select(Organisation.id).where(Organisation.level == "school").limit(1)) is not None


def is_founded() -> bool:
    """Whether this is the installation of a school or of an office already."""
    return has_school() or office() is not None


def welcome_token(settings: Settings) -> str:
    """The word that only who can read the server's console knows."""
    return kept_secret(settings.data_dir / "keys" / "welcome")[:TOKEN_LENGTH]


def welcome_path(settings: Settings) -> str:
    """Path of the first-run page."""
    return f"/welcome?token={welcome_token(settings)}"


def wait_for_school(app: Flask, ended: threading.Event) -> bool:
    """Wait until a school is founded; False if ``ended`` comes first."""
    while True:
        with app.app_context():
            if has_school():
                return True
        if ended.wait(1.0):
            return False


def found(plan: Founding) -> Account:
    """Make the school, its stages, term, administrator (who may teach too), room and first class, all or nothing.

    Raises Invalid or Refused with ``where`` = the field; nothing is left behind then.
    """
    check_password(plan.password, plan.username)
    with write():
        above = (("county", plan.county),) if plan.county else ()
        school = create_school(
            None, plan.name, plan.school_type, above=above, locality=plan.locality, system=plan.system
        )
        for stage, configuration in plan.stages.items():
            add_stage(None, school.id, stage, solution_config=configuration)
        year = school_year(plan.term_starts)
        add_term(None, school.id, year, 1 if plan.term_starts.month >= 8 else 2, plan.term_starts, plan.term_ends)
        admin = create_staff(
            None,
            school.id,
            plan.admin_name,
            username=plan.username,
            roles=("school_admin", "teacher"),
            password=plan.password,
        )
        columns = 8 if plan.seats > 48 else 6
        rows = max(1, -(-plan.seats // columns))
        create_room(None, school.id, "lab1", plan.room_name, rows=rows, columns=columns, seats=plan.seats)
        if plan.class_name:
            ref = rules.parse_class_name(plan.class_name, plan.system)
            cohort = create_class(
                None, school.id, rules.cohort_of(ref, tuple(plan.stages), plan.term_starts, plan.system)
            )
            for number, name in enumerate(plan.pupils, 1):
                add_pupil(None, cohort, name, roll_no=number)
        account_id = admin.account_id
    account = db.session.get(Account, account_id)
    if account is None:
        raise RuntimeError("the administrator was not made")
    return account


def install_packages(admin: Account) -> None:
    """Install the course packages that come with the program; not the demonstration catalogue, which proves nothing at a real school."""
    for path in sorted(bundled("courses").glob("*/course.yaml")):
        if yaml.safe_load(path.read_text("utf-8")).get("kind", "package") == "package":
            install_folder(admin, admin.organisation_id, path.parent)


def read_plan(form: Mapping[str, str]) -> Founding:
    """Read the form; raises Invalid naming the field."""
    school_type = form.get("school_type", "")
    if school_type not in SCHOOL_TYPES:
        raise Invalid("school-type", _l("请选择学校类型。"), where="school_type")
    if form.get("password", "") != form.get("again", ""):
        raise Invalid("again", _l("两次输入的密码不一样。"), where="again")
    username = form.get("username", "").strip()
    if (
        not username.isascii()
        or not username.replace("-", "").replace("_", "").replace(".", "").isalnum()
        or len(username) > 32
    ):
        raise Invalid("username", _l("用户名用字母和数字，例如 zhang.wei。"), where="username")
    pupils = tuple(line.strip() for line in form.get("pupils", "").splitlines() if line.strip())
    if len(pupils) > MAX_PUPILS:
        raise Invalid(
            "pupils", _l("一个班最多 %(most)s 人；更多的班请之后用 Excel 导入。", most=MAX_PUPILS), where="pupils"
        )
    class_name = form.get("class_name", "").strip()
    if pupils and not class_name:
        raise Invalid("class-name", _l("请填写班级名称。"), where="class_name")
    if class_name:
        _check_class(class_name, form.get("system", "6-3"))
    return Founding(
        name=form.get("name", "").strip(),
        school_type=school_type,
        locality=form.get("locality", ""),
        system=form.get("system", ""),
        county=form.get("county", "").strip(),
        stages={stage: _number(form, f"config_{stage}", 1, 3) for stage in SCHOOL_TYPES[school_type]},
        term_starts=_day(form, "term_starts"),
        term_ends=_day(form, "term_ends"),
        admin_name=form.get("admin_name", "").strip(),
        username=username,
        password=form.get("password", ""),
        room_name=form.get("room_name", "").strip(),
        seats=_number(form, "seats", 0, MAX_SEATS),
        class_name=class_name,
        pupils=pupils,
    )


def _check_class(text: str, system: str) -> None:
    try:
        rules.parse_class_name(text, system)
    except rules.ClassNameError as error:
        raise Invalid("class-name", _l("看不懂班级名称，请写作“五年级1班”。"), where="class_name") from error


def _number(form: Mapping[str, str], field: str, least: int, most: int) -> int:
    try:
        number = int(form.get(field, ""))
    except ValueError as error:
        raise Invalid("number", _l("请填写数字。"), where=field) from error
    if not least <= number <= most:
        raise Invalid("range", _l("应在 %(least)s 到 %(most)s 之间。", least=least, most=most), where=field)
    return number


def _day(form: Mapping[str, str], field: str) -> date:
    try:
        return date.fromisoformat(form.get(field, ""))
    except ValueError as error:
        raise Invalid("day", _l("请填写日期。"), where=field) from error


def _defaults() -> dict[str, Any]:
    today = clock.local_date(clock.now(), current_app.config["ZHIKE"].timezone)
    year = school_year(today)
    starts, ends = default_term(year, 1)
    if today > ends:
        starts, ends = default_term(year, 2)
    room = _("人工智能实验室")
    return {
        "term_starts": starts,
        "term_ends": ends,
        "seats": 48,
        "room_name": room,
        "school_type": "小学",
        "system": "6-3",
        "locality": "城区",
    }


def _check_token(token: str) -> None:
    if is_founded() or not hmac.compare_digest(token, welcome_token(current_app.config["ZHIKE"])):
        raise NotFound(
            "welcome", _("没有这个页面。"), remedy=_("首次设置的完整地址显示在服务器的屏幕上；已经有学校时请直接登录。")
        )


@bp.route("/welcome", methods=["GET", "POST"])
def welcome() -> BaseResponse | str | tuple[str, int]:
    """Ask for the school, make it, sign its administrator in."""
    _check_token(request.values.get("token", ""))
    if request.method == "GET":
        return _page(_defaults())
    try:
        account = found(read_plan(request.form))
    except ZhikeError as refusal:
        return _page(request.form, refusal), refusal.status
    begin_session(account)
    try:
        install_packages(account)
    except ZhikeError as refusal:  # the school stands without them; they can be installed again
        flash(_("课程包没有装好：%(why)s", why=refusal.message), "error")
    return redirect(url_for("first_run.ready"))


def _page(values: Mapping[str, Any], refusal: ZhikeError | None = None) -> str:
    return render_template(
        "core/first_run.html",
        values=values,
        token=request.values.get("token", ""),
        error=refusal.message if refusal else "",
        remedy=refusal.remedy if refusal else "",
        where=refusal.where if refusal else "",
        school_types=SCHOOL_TYPES,
        stages=STAGES,
        stage_names=STAGE_NAMES,
        localities=LOCALITIES,
        systems=SYSTEMS,
        names={
            "6-3": _("六三学制"),
            "5-4": _("五四学制"),
            1: _("配置一：利用现有教室，普及科普"),
            2: _("配置二：利用现有教室，成套课程服务"),
            3: _("配置三：专用人工智能实验室"),
        },
    )


@bp.route("/welcome/office", methods=["GET", "POST"])
def welcome_office() -> BaseResponse | str | tuple[str, int]:
    """An office (区县、市、省) founds its own installation, to take in what schools hand up."""
    _check_token(request.values.get("token", ""))
    if request.method == "GET":
        return _office_page()
    form = request.form
    try:
        if form.get("password", "") != form.get("again", ""):
            raise Invalid("again", _l("两次输入的密码不一样。"), where="again")
        names = (form.get(field, "") for field in ("level", "name", "admin_name", "username", "password"))
        account = found_office(*names)
    except ZhikeError as refusal:
        return _office_page(refusal), refusal.status
    begin_session(account)
    return redirect(url_for("region.schools"))


def _office_page(refusal: ZhikeError | None = None) -> str:
    return render_template(
        "core/first_run_office.html",
        values=request.form,
        token=request.values.get("token", ""),
        refusal=refusal,
        levels={level: LEVEL_NAMES[level] for level in LEVELS},
    )


@bp.get("/welcome/ready")
@require("school_admin")
def ready() -> str:
    """The school stands: what to do for the first lesson."""
    roster = next((entry["url"] for entry in menu() if entry["endpoint"].startswith("roster.")), url_for("core.home"))
    return render_template("core/first_run_ready.html", roster=roster)


@bp.before_app_request
def _wait_for_founding() -> BaseResponse | tuple[str, int] | None:
    """Until there is a school, the doors say where the first-run page is."""
    if request.endpoint not in DOORS or current_app.extensions.get("zhike_founded"):
        return None
    if is_founded():
        current_app.extensions["zhike_founded"] = True
        return None
    return render_template("core/first_run_wait.html"), 503


def school_ids() -> list[uuid.UUID]:
    """Schools of this installation."""
    return list(db.session.scalars(select(Organisation.id).where(Organisation.level == "school")))
