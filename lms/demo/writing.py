"""What the demo's applicants wrote (演示申报内容): something fitting in every part of a form, whatever its notice; pure."""

from __future__ import annotations

from typing import Any

from lms.programmes.pack import Document

SURNAMES, NAMES = "赵钱孙李周吴郑王冯陈", ("一鸣", "思远", "若兰", "建国", "晓彤", "海峰")
SAMPLES = {
    "phone": "13800000000", "email": "contact@example.cn", "date": "2026-11-20", "number": "40", "credit-code": "91350100M000100Y43",
}  # fmt: skip
BY_ID = {
    "title": "高级教师", "unit": "教研室", "post": "教研员", "contact-post": "教务主任", "subject": "信息科技", "class": "五年级 1–2 班", "hours": "每两周 1 课时",
    "stage": "小学", "level": "县级", "year": "2025", "award": "精品课", "use": "学生实验", "wechat": "example", "contact-wechat": "example",
}  # fmt: skip
FILLING = (
    "我们把人工智能课程排进课表，由信息科技和科学教师共同承担，每两周左右开展一次教学，课后由教研组听评课、改进教案。",
    "实验室按小组摆放，终端、机器人和摄像头由专人管理；课前检查，课后登记，损坏的当周维修。",
    "教师参加线上线下培训和跨校教研，骨干教师带动同年级教师；每学期公开一节课，接受同行点评。",
)


def written(part: Document, document: Document, number: int) -> Any:
    """A value for the part of a notice; ``number`` varies names and figures from applicant to applicant."""
    kind = part["type"]
    if kind == "text":
        told = [f"{one}：{FILLING[(number + at) % 3]}" for at, one in enumerate(part.get("must_show", ()))]
        return "\n".join(told)[:900] if told and len(told) < 8 else "、".join(part.get("must_show", ())) + FILLING[number % 3]
    if kind == "answers":
        return {name: f"已具备。{FILLING[(number + at) % 3]}" for at, name in enumerate(part["criteria"])}
    if kind == "choices":
        options = document["choices"][part["choices"]]
        needed = part.get("themes", {}).get("needs")
        return [needed, *[one for one in options if one != needed][number % 3 : number % 3 + 1]] if needed else options[:1]
    if kind == "fields":
        return {one["id"]: _cell(one, document, number) for one in part["fields"] if not one.get("by_hand") and not one.get("from")}
    rows = max(2, part.get("rows", {}).get("least", 1))
    return [{one["id"]: _cell(one, document, number + row) for one in part["columns"]} for row in range(rows)]


def _cell(field: Document, document: Document, number: int) -> str:
    if "choices" in field:
        options = document["choices"][field["choices"]]
        return str(options[min(1, len(options) - 1)] if field["id"] == "title" else options[number % len(options)])
    if field.get("type") in SAMPLES:
        figure = "2025" if field["id"] == "year" else str(20 + number % 30)
        return figure if field["type"] == "number" else SAMPLES[field["type"]]
    if field["id"] in ("name", "contact", "leader", "by"):
        return SURNAMES[number % 10] + NAMES[number % 6]
    return BY_ID.get(field["id"], f"示例{field['label'][:6]}")
