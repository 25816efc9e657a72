"""Training, 教研 and achievements of the demo school (演示登记): enough that the register and what it fills are not empty; nothing here happened."""

from __future__ import annotations

from datetime import timedelta

from lms.core.models import Account
from lms.register import service as register
from lms.register.people import staff_of

# days ago, category, topic, organiser, hours, credits, how many of the staff, others
_ACTIVITIES = (
    (6, "校本教研", "《机器怎样看世界》集体备课", "本校", "2", "", 12, ""),
    (20, "基于“三个课堂”的在线教研", "城乡同上一堂人工智能课", "示范区电教中心", "2", "", 5, "40"),
    (45, "跨校教研", "五校同课异构：让小车认路", "示范区教研室", "4", "", 4, "26"),
    (120, "骨干教师专业知识与技能", "人工智能课程骨干教师研修班", "示范市电教馆", "24", "3", 3, ""),
    (150, "网络运维", "实验室设备与网络维护", "示范市电教馆", "8", "1", 1, ""),
    (210, "局长、校长领导力", "智能时代的学校管理", "示范省电教馆", "16", "2", 1, ""),
)
# years ago, who, category, name, level, prize, issuer, pupils
_AWARDS = (
    (0, "teacher", "教学比赛", "人工智能课堂教学展示", "市级", "一等奖", "示范市教育局", ""),
    (1, "teacher", "精品课征集", "基础教育精品课《机器怎样看世界》", "省级", "", "示范省教育厅", ""),
    (0, "pupils", "信息素养提升实践活动", "学生信息素养提升实践活动", "市级", "", "示范市电教馆", "12"),
    (1, "pupils", "创新之星", "创新之星", "省级", "", "示范省电教馆", "1"),
)


def fill_register(admin: Account, teacher: str) -> None:
    """Enter them for the school of ``admin``; achievements of teachers are those of ``teacher``, who joined everything but the heads' course."""
    today = register.today()
    staff = sorted(staff_of(admin.organisation_id), key=lambda one: (one.name != teacher, one.name))
    for days, category, topic, organiser, hours, credit, people, others in _ACTIVITIES:
        texts = {
            "日期": (today - timedelta(days=days)).isoformat(),
            "类别": category,
            "主题": topic,
            "主办单位": organiser,
            "学时": hours,
            "学分": credit,
            "其他人数": others,
        }
        chosen = staff[-1:] if category.startswith("局长") else staff[:people]
        register.save_activity(admin, None, texts, [one.key for one in chosen])
    for years, who, category, name, level, prize, issuer, pupils in _AWARDS:
        register.save_achievement(
            admin,
            None,
            {
                "对象": who,
                "姓名": teacher if who == "teacher" else "",
                "类别": category,
                "成果名称": name,
                "级别": level,
                "等次": prize,
                "年份": str(today.year - years),
                "颁发单位": issuer,
                "人次": pupils,
            },
        )
