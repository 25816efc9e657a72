"""What a newcomer is told once the demo runs (演示说明), and the waiting until the end."""

from __future__ import annotations

import threading
from collections.abc import Callable

from lms.core.db import db
from lms.demo.places import APPLYING_AREA, LATE_SCHOOL, PLAQUE_SCHOOL, USERNAMES
from lms.demo.province import Province
from lms.demo.review import EXPERTS
from lms.demo.run import Demo
from lms.roster import service as roster
from lms.roster.models import Person

CODE_MINUTES = 14


def keep_open(demo: Demo, say: Callable[[str], None]) -> None:
    """Tell where everything is; renew the free seat's code as it lapses; return on SIGTERM or SIGINT."""
    school = demo.school
    local, *others = demo.instance.addresses()
    say("")
    say("══ 演示学校已就绪（所有数据与设备均为模拟）══")
    say(f"  本机打开：{local}      其他电脑：{'  '.join(others)}")
    say(f"  教师：{school.teacher_login} / {school.password}    → 进入正在上的课，翻步骤、分组、停车、下课")
    say(f"  管理员：{school.admin_login} / {school.password}    → 开课达标情况")
    if demo.province:
        _tell_province(demo.province, school.password, say)
    say("  学生：另开一个无痕窗口，打开 " + local + "/seat")
    stopped = threading.Event()
    thread = threading.Thread(target=_offer_seat, args=(demo, say, stopped), daemon=True)
    thread.start()
    say("  按 Ctrl+C 结束演示。")
    demo.instance.supervisor.wait()
    stopped.set()
    say("正在结束演示 …")


def _tell_province(province: Province, password: str, say: Callable[[str], None]) -> None:
    """Officers of each level, and the three schools to look at; all with the same password."""
    say(f"  示范省（申报、看板、日程），密码都是 {password}：")
    say("    主管部门：" + "、".join(f"{name} {username}" for name, username in province.officers))
    say("    评审专家：" + "、".join(f"{name} {username}" for username, name, _unit in EXPERTS))
    admins = dict(province.admins)
    told = {PLAQUE_SCHOOL: "已挂牌", LATE_SCHOOL: "两周一次快要落下"}
    say("    学校：" + "、".join(f"{name}（{why}）{admins[name]}" for name, why in told.items()) + f"；{APPLYING_AREA}（正在申报）{USERNAMES[APPLYING_AREA]}")


def _offer_seat(demo: Demo, say: Callable[[str], None], stopped: threading.Event) -> None:
    """Print the last pupil's sign-in; the pupil's PIN is made anew once, the seat's code every quarter of an hour."""
    school = demo.school
    with demo.app.app_context():
        teacher = db.session.get_one(Person, school.teacher_id)
        assert teacher.account is not None
        pupil = db.session.get_one(Person, roster.roster_of(school.class_id, school.calendar.today)[len(demo.terminals)].person_id)
        pin = roster.set_pin(teacher.account, pupil)
        seat = roster.seats_of(school.room_id)[len(demo.terminals)]
        while not stopped.is_set():
            code = roster.issue_enrol_code(teacher.account, seat)
            say(f"    座位登记码 {code}（{seat.label} 号座位，15 分钟有效），名字“{pupil.name}”，密码 {pin}")
            db.session.remove()
            stopped.wait(CODE_MINUTES * 60)
