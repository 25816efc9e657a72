"""What may stand in the register, how a row of a list is read, and what the years add up to; pure (HN-20, HN-21, HN-27, GS-13, GS-19, HA-06, ZN-13)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

KINDS: Mapping[str, str] = {"training": "培训", "research": "教研"}
CATEGORIES: Mapping[str, tuple[str, ...]] = {
    "training": (
        "局长、校长领导力",  # HA-06
        "骨干教师专业知识与技能",  # HA-06
        "人工智能课程培训",
        "网络运维",
        "其他培训",
    ),
    "research": (
        "大规模在线教研",  # ZN-13
        "基于课堂教学行为大数据的精准教研",
        "基于“三个课堂”的在线教研",
        "基于资源的自主研修",
        "跨校教研",  # GS-13
        "校本教研",  # GS-33
        "其他教研",
    ),
}
LEVELS = ("校级", "县级", "市级", "省级", "国家级")
WHO: Mapping[str, str] = {"teacher": "教师", "pupils": "学生"}
AWARDS: Mapping[str, tuple[str, ...]] = {
    "teacher": (
        "精品课征集",
        "信息化作品征集",
        "名师网络工作室首席名师",
        "信息技术课题主持",
        "教学比赛",
        "论文、著作",
        "指导学生",
        "其他",
    ),
    "pupils": ("信息素养提升实践活动", "创新之星", "科技竞赛", "其他"),
}  # HN-20, HN-21
MOST_HOURS = 400
YEAR = timedelta(days=365)


@dataclass(frozen=True)
class Fault:
    """What is wrong with a field, in words; ``column``: as lists and forms call it."""

    column: str
    why: str


@dataclass(frozen=True)
class ActivityValues:
    """An activity that may be stored; ``people``: names of own staff."""

    kind: str
    category: str
    held_on: date
    topic: str
    organiser: str = ""
    hours: float = 0.0
    credit: float = 0.0
    others: int = 0
    note: str = ""
    people: tuple[str, ...] = ()
    certificate: str = ""


@dataclass(frozen=True)
class AchievementValues:
    """An achievement that may be stored; ``person``: the teacher's name, "" for pupils."""

    who: str
    category: str
    name: str
    level: str
    year: int
    person: str = ""
    prize: str = ""
    issuer: str = ""
    number: int = 0
    note: str = ""


class Reader:
    """Reads fields of a row and collects what is wrong."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        self.texts = {key: re.sub(r"\s+", " ", value).strip() for key, value in texts.items()}
        self.faults: list[Fault] = []

    def wrong(self, column: str, why: str) -> None:
        """Note a fault."""
        self.faults.append(Fault(column, why))

    def text(self, column: str, most: int, *, needed: bool = False) -> str:
        """A text of at most ``most`` characters."""
        found = self.texts.get(column, "")
        if needed and not found:
            self.wrong(column, "没有填")
        if len(found) > most:
            self.wrong(column, f"超过 {most} 个字符")
        return found

    def choice(self, column: str, choices: Mapping[str, str], *, default: str = "") -> str:
        """The key of a choice that is written by its name."""
        found = self.texts.get(column, "") or default
        for key, name in choices.items():
            if found in (key, name):
                return key
        self.wrong(column, f"应为 {'、'.join(choices.values())}" + (f"，写的是“{found[:20]}”" if found else ""))
        return next(iter(choices))

    def one_of(self, column: str, choices: Sequence[str]) -> str:
        """One of a list."""
        found = self.texts.get(column, "")
        if found not in choices:
            self.wrong(column, f"应为 {'、'.join(choices)}" + (f"，写的是“{found[:20]}”" if found else ""))
        return found

    def number(self, column: str, most: float, *, needed: bool = False) -> float:
        """A number from 0 to ``most``; 全角 digits and a unit behind it (“8学时”) are read."""
        plain = self.texts.get(column, "").translate(_HALF)
        plain = re.sub(r"(学时|课时|学分|小时|人次|人|分)$", "", plain).strip()
        if not plain:
            if needed:
                self.wrong(column, "没有填")
            return 0.0
        if not re.fullmatch(r"\d{1,6}(\.\d{1,2})?", plain) or float(plain) > most:
            self.wrong(column, f"应为 0 到 {most:g} 的数，写的是“{plain[:20]}”")
            return 0.0
        return float(plain)

    def whole(self, column: str, most: int) -> int:
        """A whole number from 0 to ``most``."""
        found = self.number(column, most)
        if not float(found).is_integer():
            self.wrong(column, "应为整数")
        return int(found)

    def day(self, column: str, today: date) -> date:
        """A day that is not ahead: 2026-11-03, 2026/11/3, 2026.11.3, 2026年11月3日, 20261103."""
        given = self.texts.get(column, "")
        plain = re.sub(r"\s|日|号", "", given.translate(_HALF))
        parts = [plain[:4], plain[4:6], plain[6:]] if re.fullmatch(r"\d{8}", plain) else re.split(r"[年月./\-]", plain)
        try:
            found = date(*(int(one) for one in parts if one))
        except (TypeError, ValueError):
            self.wrong(column, f"日期应写成 2026-11-03 这样，写的是“{given[:20]}”" if given else "没有填")
            return today
        if found > today:
            self.wrong(column, f"{found.isoformat()} 还没有到；活动办完再登记")
        elif found.year < 2000:
            self.wrong(column, f"{found.isoformat()} 太早")
        return found


_HALF = str.maketrans("０１２３４５６７８９．／－", "0123456789./-")


def names_in(text: str) -> tuple[str, ...]:
    """Names in one cell: 张三、李四, each once; blanks inside a name (张 三) are taken out."""
    parts = re.split(r"[、,，;；/\n]+", re.sub(r"[ \t\u3000]+", "", text))
    return tuple(dict.fromkeys(one for one in parts if one))


def read_activity(texts: Mapping[str, str], today: date) -> tuple[ActivityValues, list[Fault]]:
    """An activity from texts by column (ACTIVITY_COLUMNS), and every fault."""
    read = Reader(texts)
    category = read.texts.get("类别", "")
    kind = read.choice("类型", KINDS, default=next((one for one in KINDS if category in CATEGORIES[one]), "training"))
    values = ActivityValues(
        kind=kind,
        category=read.one_of("类别", CATEGORIES[kind]),
        held_on=read.day("日期", today),
        topic=read.text("主题", 120, needed=True),
        organiser=read.text("主办单位", 80),
        hours=read.number("学时", MOST_HOURS, needed=True),
        credit=read.number("学分", 100),
        others=read.whole("其他人数", 100_000),
        note=read.text("备注", 500),
        people=names_in(read.text("参加人员", 4000)),
        certificate=read.text("证书编号", 60),
    )
    if values.hours == 0 and not any(one.column == "学时" for one in read.faults):
        read.wrong("学时", "应大于 0")
    if values.certificate and len(values.people) != 1:
        read.wrong("证书编号", "一行只写一个人时才能填证书编号")
    return values, read.faults


def read_achievement(texts: Mapping[str, str], today: date) -> tuple[AchievementValues, list[Fault]]:
    """An achievement from texts by column (ACHIEVEMENT_COLUMNS), and every fault; nobody's name stands in one of pupils."""
    read = Reader(texts)
    who = read.choice("对象", WHO)
    person = "".join(names_in(read.text("姓名", 40))[:1])
    if who == "pupils" and person:
        read.wrong("姓名", "学生成果只记全校合计，不写姓名；请删去姓名，填人次")
    if who == "teacher" and not person:
        read.wrong("姓名", "没有填")
    number = read.whole("人次", 100_000)
    if who == "pupils" and number < 1 and not any(one.column == "人次" for one in read.faults):
        read.wrong("人次", "学生成果要填全校合计人次")
    year = read.whole("年份", 9999)
    if not 2000 <= year <= today.year and not any(one.column == "年份" for one in read.faults):
        read.wrong("年份", f"应为 2000 到 {today.year} 的年份")
    values = AchievementValues(
        who=who,
        category=read.one_of("类别", AWARDS[who]),
        name=read.text("成果名称", 120, needed=True),
        level=read.one_of("级别", LEVELS),
        year=year,
        person=person if who == "teacher" else "",
        prize=read.text("等次", 20),
        issuer=read.text("颁发单位", 80),
        number=number if who == "pupils" else 0,
        note=read.text("备注", 500),
    )
    return values, read.faults


ACTIVITY_COLUMNS = (
    "日期",
    "类型",
    "类别",
    "主题",
    "主办单位",
    "学时",
    "学分",
    "参加人员",
    "其他人数",
    "证书编号",
    "备注",
)
ACTIVITY_NEEDED = ("日期", "类别", "主题", "学时")
ACHIEVEMENT_COLUMNS = ("对象", "姓名", "类别", "成果名称", "级别", "等次", "年份", "颁发单位", "人次", "备注")
ACHIEVEMENT_NEEDED = ("对象", "类别", "成果名称", "级别", "年份")
OTHER_NAMES: Mapping[str, str] = {
    "时间": "日期", "培训时间": "日期", "活动日期": "日期", "培训类型": "类型", "培训类别": "类别", "活动类别": "类别", "培训名称": "主题", "活动主题": "主题",
    "培训主题": "主题", "主办": "主办单位", "组织单位": "主办单位", "课时": "学时", "继续教育学分": "学分", "教师": "姓名", "教师姓名": "姓名", "参加教师": "参加人员",
    "参训人员": "参加人员", "人员": "参加人员", "其他参加人数": "其他人数", "成果": "成果名称", "获奖名称": "成果名称", "奖项": "成果名称", "获奖等次": "等次", "等级": "等次",
    "获奖级别": "级别", "获奖年份": "年份", "年度": "年份", "发证单位": "颁发单位", "颁奖单位": "颁发单位", "人数": "人次", "获奖人次": "人次",
}  # fmt: skip


# --- what it adds up to


@dataclass(frozen=True)
class Held:
    """An activity as the self-check sees it: ``people``: own staff and others together; ``names``: those of the own staff."""

    kind: str
    category: str
    day: date
    hours: float
    people: int
    names: frozenset[str] = frozenset()
    topic: str = ""


@dataclass(frozen=True)
class Award:
    """An achievement as the self-check sees it."""

    who: str
    category: str
    name: str
    level: str
    year: int
    person: str = ""
    title: str = ""
    number: int = 0


@dataclass(frozen=True)
class Record:
    """The register of one organisation."""

    held: tuple[Held, ...] = ()
    awards: tuple[Award, ...] = ()
    today: date = date(2000, 1, 1)

    def lately(self, kind: str = "", categories: Sequence[str] = (), days: int = 365) -> tuple[Held, ...]:
        """Activities of the last ``days`` days, of one kind and some categories where these are given."""
        first = self.today - timedelta(days=days)
        return tuple(
            one
            for one in self.held
            if first < one.day <= self.today
            and kind in ("", one.kind)
            and (not categories or one.category in categories)
        )

    def awards_of(self, who: str, years: int = 3) -> tuple[Award, ...]:
        """Achievements of this calendar year and the ones before it, ``years`` in all (近3年); highest level and newest first."""
        found = [one for one in self.awards if one.who == who and self.today.year - years < one.year <= self.today.year]
        return tuple(sorted(found, key=lambda one: (-LEVELS.index(one.level), -one.year, one.name, one.person)))


def figures(held: Sequence[Held]) -> str:
    """“3 次、24 学时、12 人次”."""
    hours = sum(one.hours for one in held)
    return f"{len(held)} 次、{hours:g} 学时、{sum(one.people for one in held)} 人次"


def levels_told(awards: Sequence[Award]) -> str:
    """“国家级 1、省级 2”, highest first."""
    counts = {level: sum(one.level == level for one in awards) for level in reversed(LEVELS)}
    return "、".join(f"{level} {number}" for level, number in counts.items() if number)
