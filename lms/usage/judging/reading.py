"""Facts from a JSON document: checked against the schema first, then against themselves; every error names its place (读取事实)."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from datetime import date, datetime
from functools import lru_cache
from importlib import resources
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import jsonschema
from jsonschema.exceptions import ValidationError, best_match

from lms.core.errors import Invalid
from lms.core.stages import first_grade, last_grade
from lms.usage.judging.facts import WEEKDAYS, ClassFact, DayFact, Facts, FlagFact, PartOf, SchoolFact, TaughtLesson


@lru_cache(maxsize=16)
def facts_schema(name: str = "lessons") -> dict[str, Any]:
    """JSON Schema ``name`` (``Policy.facts``) of a rule's facts, whole: the shared definitions that it uses are inside."""
    folder = resources.files("lms.usage").joinpath("schemas")
    schema: dict[str, Any] = json.loads(folder.joinpath(f"{name}.json").read_text("utf-8"))
    shared = json.loads(folder.joinpath("definitions.json").read_text("utf-8"))["$defs"]
    used: dict[str, Any] = {}
    wanted = _references(schema)
    while wanted:
        one = wanted.pop()
        if one not in used:
            used[one] = shared[one]
            wanted |= _references(shared[one])
    return schema | {"$defs": {one: shared[one] for one in shared if one in used}}


def _references(schema: Any) -> set[str]:
    return set(re.findall(r'"#/\$defs/(\w+)"', json.dumps(schema)))


def from_json(document: Any, as_of: date | None = None, schema: str = "lessons") -> Facts:
    """Read facts in the shape of ``schema`` (``Policy.facts``); ``as_of`` overrides the document's own.

    Raises Invalid (``facts``) whose ``where`` is the place in the document, e.g. ``lessons[3].date``.
    """
    _check_shape(document, schema)
    day = as_of or (_day(document["as_of"], "as_of") if "as_of" in document else None)
    if day is None:
        raise _wrong("as_of", "没有给出判定日期（as_of）")
    school = _school(document["school"])
    terms = _terms(document)
    classes = tuple(_class(row, f"classes[{index}]", school) for index, row in enumerate(document["classes"]))
    lessons = tuple(_lesson(row, f"lessons[{index}]") for index, row in enumerate(document["lessons"]))
    _check_ids(classes, lessons)
    return Facts(
        as_of=day,
        course=document.get("course", ""),
        school=school,
        term_start=terms[0][0],
        term_end=terms[0][1],
        days=tuple(_days(document.get("days", {}), school.zone)),
        flags=tuple(_flags(document.get("weeks_flagged", {}), school.zone)),
        classes=classes,
        lessons=lessons,
        basis=document.get("basis", "record"),
        subjects=tuple(document.get("subjects", ())),
        subjects_taught=tuple(document.get("subjects_taught", ())),
        later_terms=tuple(terms[1:]),
    )


def _terms(document: Mapping[str, Any]) -> list[tuple[date, date]]:
    rows = [("term", document["term"])] if "term" in document else [(f"terms[{index}]", row) for index, row in enumerate(document["terms"])]
    found: list[tuple[date, date]] = []
    for where, row in rows:
        start, end = (_day(row[key], f"{where}.{key}") for key in ("start", "end"))
        if end < start:
            raise _wrong(f"{where}.end", "学期结束早于开始")
        if (end - start).days > 366:
            raise _wrong(f"{where}.end", "一个学期不会长过一年")
        if found and start <= found[-1][1]:
            raise _wrong(f"{where}.start", "学期须按先后排列，不能重叠")
        found.append((start, end))
    return found


def _wrong(where: str, text: str) -> Invalid:
    return Invalid("facts", f"{where}：{text}", where=where, remedy="请按 lms usage schema 打印的格式修改后再试。", clause="definitions B1–B2d")


def _check_shape(document: Any, schema: str) -> None:
    found = list(jsonschema.Draft202012Validator(facts_schema(schema)).iter_errors(document))
    choices = [error for error in found if error.validator in ("anyOf", "oneOf") and not error.absolute_path]
    error = choices[0] if choices else best_match(found)
    if error is not None:
        raise _wrong(_place(error), _words(error))


def _place(error: ValidationError) -> str:
    where = ""
    for step in error.absolute_path:
        where += f"[{step}]" if isinstance(step, int) else f".{step}" if where else str(step)
    return where or "(root)"


def _words(error: ValidationError) -> str:
    value = json.dumps(error.instance, ensure_ascii=False)[:60]
    wanted: Any = error.validator_value
    schema: Any = error.schema
    given: Any = error.instance
    if error.validator == "required":
        return "缺少 " + "、".join(name for name in wanted if name not in given)
    if error.validator in ("anyOf", "oneOf") and all(set(one) == {"required"} for one in wanted):
        return ("只能写其一：" if error.validator == "oneOf" else "至少要写其一：") + "、".join(one["required"][0] for one in wanted)
    if error.validator == "additionalProperties" and isinstance(error.instance, Mapping):
        return "不认识的字段 " + "、".join(name for name in given if name not in schema.get("properties", {}))
    if error.validator == "enum":
        return f"{value} 不在可选值之内：" + "、".join(str(choice) for choice in wanted)
    if error.validator == "pattern":
        return f"{value} 不是日期（应为 YYYY-MM-DD）"
    return f"{value} 不合要求（{error.validator}: {json.dumps(wanted, ensure_ascii=False)[:60]}）"


def _day(text: str, where: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise _wrong(where, f"没有 {text} 这一天") from error


def _entry_day(text: str | None, where: str, zone: str) -> date | None:
    """The school's calendar day of a time of entry; a bare date stands for itself."""
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise _wrong(where, f"不认识的时间 {text}") from error
    return moment.astimezone(ZoneInfo(zone)).date() if moment.tzinfo else moment.date()


def _school(row: Mapping[str, Any]) -> SchoolFact:
    zone = row.get("zone", "Asia/Shanghai")
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise _wrong("school.zone", f"不认识的时区 {zone}") from error
    hours = tuple(sorted(row.get("class_hour_minutes", {}).items()))
    return SchoolFact(row["id"], tuple(row["stages"]), row.get("system", "6-3"), zone, hours)


def _grades(row: Mapping[str, Any]) -> frozenset[int] | None:
    grades = row.get("grades")
    return None if grades is None else frozenset(grades)


def _entries(value: Any) -> list[Mapping[str, Any]]:
    return value if isinstance(value, list) else [value]


def _days(rows: Mapping[str, Any], zone: str) -> Iterable[DayFact]:
    for key, value in sorted(rows.items()):
        where = f"days.{key}"
        for row in _entries(value):
            follows = row.get("follows")
            yield DayFact(
                day=_day(key, where),
                is_school=row["school"],
                source=row.get("source", "school"),
                follows=WEEKDAYS.index(follows) if isinstance(follows, str) else follows,
                entered=_entry_day(row.get("entered"), f"{where}.entered", zone),
                countersigned=row.get("countersigned", False),
                grades=_grades(row),
                reason=row.get("reason", ""),
            )


def _flags(rows: Mapping[str, Any], zone: str) -> Iterable[FlagFact]:
    for key, value in sorted(rows.items()):
        where = f"weeks_flagged.{key}"
        monday = _day(key, where)
        if monday.weekday() != 0:
            raise _wrong(where, f"{key} 不是星期一")
        for row in _entries(value):
            entered = _entry_day(row.get("entered"), f"{where}.entered", zone)
            yield FlagFact(monday, row.get("reason", ""), entered, row.get("countersigned", False), _grades(row))


def _class(row: Mapping[str, Any], where: str, school: SchoolFact) -> ClassFact:
    stage, grade = row["stage"], row["grade"]
    if not first_grade(stage, school.system) <= grade <= last_grade(stage, school.system):
        raise _wrong(f"{where}.grade", f"学制 {school.system} 的 {stage} 没有 {grade} 年级")
    days = {name: _day(row[name], f"{where}.{name}") if row.get(name) else None for name in ("created", "closed", "admitted")}
    return ClassFact(
        id=row["id"],
        stage=stage,
        grade=grade,
        roster=row["roster"],
        number=row.get("number", 1),
        type=row.get("type", "administrative"),
        regular_slot=row.get("regular_slot", True),
        created=days["created"],
        closed=days["closed"],
        admitted=days["admitted"],
        name=row.get("name", ""),
    )


def _lesson(row: Mapping[str, Any], where: str) -> TaughtLesson:
    unit = row.get("unit")
    if not math.isfinite(row["minutes"]):
        raise _wrong(f"{where}.minutes", "不是数")
    part = row.get("part_of")
    return TaughtLesson(
        id=row["id"],
        class_id=row["class"],
        date=_day(row["date"], f"{where}.date"),
        minutes=row["minutes"],
        present=row["present"],
        leave=row.get("leave", 0),
        roster=row.get("roster"),
        class_hours=row.get("class_hours", 1),
        kind=row.get("kind", "regular"),
        course=row.get("course"),
        units=tuple(unit) if isinstance(unit, list) else (unit,) if unit else (),
        subject=row.get("subject", ""),
        teacher_registered=row.get("teacher_registered", False),
        evidence=row.get("evidence"),
        makeup_of=row.get("makeup_of"),
        part_of=PartOf(part["lesson"], part["kind"], part["parts"]) if part else None,
        sitting=row.get("sitting"),
    )


def _check_ids(classes: tuple[ClassFact, ...], lessons: tuple[TaughtLesson, ...]) -> None:
    known: set[str] = set()
    for index, cohort in enumerate(classes):
        if cohort.id in known:
            raise _wrong(f"classes[{index}].id", f"班级 {cohort.id} 出现两次")
        known.add(cohort.id)
    seen: set[tuple[str, str]] = set()
    for index, row in enumerate(lessons):
        if (row.class_id, row.id) in seen:  # 合班 may use one id in several classes
            raise _wrong(f"lessons[{index}].id", f"课 {row.id} 出现两次")
        seen.add((row.class_id, row.id))
        if row.class_id not in known:
            raise _wrong(f"lessons[{index}].class", f"没有班级 {row.class_id}")
