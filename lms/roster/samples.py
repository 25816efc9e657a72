"""A made-up roster as schools keep it in Excel (示例花名册): messy on purpose, the same for the same seed. No real person is in it."""

from __future__ import annotations

import io
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from openpyxl import Workbook
from openpyxl.styles import Alignment, Font
from openpyxl.worksheet.worksheet import Worksheet

from lms.core.stages import entry_year_of, stage_of_grade
from lms.roster.rules import to_chinese

GRADES: Final = ((5, 6), (7, 8), (10, 11))
CLASSES_PER_GRADE: Final = 2
PUPILS_PER_CLASS: Final = 40
_SURNAMES: Final = "林周沈韩顾陆钟温叶苏江白方石唐傅丁柳梁秦蒋罗薛贺龚邵万段雷侯"
_GIVEN: Final = "晨朗若溪书瑶子墨知远安宁予诺景行一帆思齐明澈语桐嘉禾星辰怀瑾南乔清越望舒"
TEACHERS: Final = (
    ("T0101", "周明远", "一级教师", (5, 6)),
    ("T0102", "沈若兰", "高级教师", (7, 8)),
    ("T0103", "韩致和", "一级教师", (10, 11)),
    ("T0104", "温书怀", "二级教师", ()),
    ("T0105", "陆景行", "高级教师", ()),
)
SUBJECT: Final = "人工智能"
ROOM: Final = "lab1"
_PLACES: Final = tuple((weekday, ordinal) for ordinal in (2, 4, 6) for weekday in range(5))


@dataclass(frozen=True)
class SamplePupil:
    """A pupil of the sample as the import must understand one."""

    student_no: str
    name: str
    sex: str
    grade: int
    number: int


def sample_pupils(seed: int = 2026, on: date = date(2026, 9, 1)) -> list[SamplePupil]:
    """480 pupils: grades 5, 6, 7, 8, 10, 11, two classes each of 40. One class has two pupils of one name."""
    chance = random.Random(seed)
    found = []
    for stage_no, grades in enumerate(GRADES, 1):
        for grade in grades:
            entry_year = entry_year_of(stage_of_grade(grade), grade, on)
            for number in range(1, CLASSES_PER_GRADE + 1):
                names: list[str] = []
                for seat in range(1, PUPILS_PER_CLASS + 1):
                    name = _name(chance, names)
                    if (grade, number, seat) == (7, 1, 30):
                        name = names[3]
                    names.append(name)
                    sex = chance.choice("男女")
                    found.append(SamplePupil(f"{entry_year}{stage_no}{number:02d}{seat:02d}", name, sex, grade, number))
    return found


def _name(chance: random.Random, taken: list[str]) -> str:
    while True:
        name = chance.choice(_SURNAMES) + "".join(chance.sample(_GIVEN, chance.choice((1, 2, 2, 2))))
        if name not in taken:
            return name


def _class_text(pupil: SamplePupil, variant: int) -> str:
    """One class, written the ways that people write it."""
    if pupil.grade >= 10:
        year = to_chinese(pupil.grade - 9)
        return (f"高{year}（{pupil.number}）班", f"高{year}{pupil.number}班", f"高{year}({pupil.number})班")[variant % 3]
    grade = to_chinese(pupil.grade)
    forms = [f"{grade}年级{pupil.number}班", f"{grade}（{pupil.number}）班", f"{grade}年级{chr(0xFF10 + pupil.number)}班"]
    if 7 <= pupil.grade <= 9:
        forms.append(f"初{to_chinese(pupil.grade - 6)}({pupil.number})班")
    return forms[variant % len(forms)]


def _wide(text: str) -> str:
    return "".join(chr(0xFF10 + int(char)) if char.isdigit() else char for char in text)


def _spaced(name: str) -> str:
    return f"{name[0]}　{name[1]}" if len(name) == 2 else name


def sample_workbook(seed: int = 2026, on: date = date(2026, 9, 1), school: str = "示范实验学校") -> bytes:
    """The messy workbook: a pupils' sheet a stage under merged titles, with synonyms, full-width digits, numbers as text and as
    numbers, spaced names, blank rows, a repeated header and a total; a staff sheet, a timetable, and an old hidden list."""
    book = Workbook()
    book.remove(book.worksheets[0])
    pupils = sample_pupils(seed, on)
    heads = (
        ("小学部", ("序号", "学　号", "姓 名", "性别", "班 别", "身份证号", "备注")),
        ("初中部", ("序号", "学生学号", "学生姓名", "性 别", "所在班级", "备 注")),
        ("高中部", ("序号", "学号*", "姓名（必填）", "性别", "班级名称", "住宿", "备注")),
    )
    for (title, head), grades in zip(heads, GRADES, strict=True):
        sheet = book.create_sheet(title)
        _title(sheet, f"{school}{title}学生花名册", len(head))
        _pupil_rows(sheet, head, [pupil for pupil in pupils if pupil.grade in grades])
    _staff_sheet(book.create_sheet("教师任课表"), school)
    _slot_sheet(book.create_sheet("课表"), school)
    old = book.create_sheet("旧名单（勿用）")
    old.append(["学号", "姓名", "班级"])
    old.append(["1", "旧名单", "五年级1班"])
    old.sheet_state = "hidden"
    target = io.BytesIO()
    book.save(target)
    return target.getvalue()


def _title(sheet: Worksheet, text: str, columns: int) -> None:
    sheet.append([text])
    sheet.merge_cells(start_row=1, start_column=1, end_row=1, end_column=columns)
    sheet["A1"].font, sheet["A1"].alignment = Font(bold=True, size=16), Alignment(horizontal="center")
    sheet.append(["填表单位：教导处"])


def _pupil_rows(sheet: Worksheet, head: tuple[str, ...], pupils: list[SamplePupil]) -> None:
    sheet.append(list(head))
    width = len(head)
    for at, pupil in enumerate(pupils):
        if at and at % PUPILS_PER_CLASS == 0:
            sheet.append([None])
        if at == 2 * PUPILS_PER_CLASS:
            sheet.append(list(head))  # the printed list repeats its header
        number: Any = (pupil.student_no, int(pupil.student_no), _wide(pupil.student_no))[at % 3]
        row: list[Any] = [at % PUPILS_PER_CLASS + 1, number, _spaced(pupil.name), pupil.sex, _class_text(pupil, at // PUPILS_PER_CLASS + at % 2)]
        sheet.append(row + [None] * (width - len(row)))
    sheet.append([f"合计：{len(pupils)} 人"])


def _class_names(grades: tuple[int, ...]) -> Iterator[str]:
    for grade in grades:
        for number in range(1, CLASSES_PER_GRADE + 1):
            yield _class_text(SamplePupil("", "", "", grade, number), 0)


def _staff_sheet(sheet: Worksheet, school: str) -> None:
    _title(sheet, f"{school}教师任课一览表", 5)
    sheet.append(["工 号", "教师姓名", "职称", "任教班级", "任教学科"])
    for staff_no, name, title, grades in TEACHERS:
        sheet.append([staff_no, name, title, "、".join(_class_names(grades)) or None, SUBJECT if grades else None])


def _slot_sheet(sheet: Worksheet, school: str) -> None:
    _title(sheet, f"{school}人工智能课课表", 6)
    sheet.append(["班级", "星期", "节次", "学科", "任课教师", "上课地点"])
    places = iter(_PLACES)
    for _staff_no, name, _title_text, grades in TEACHERS:
        for class_text in _class_names(grades):
            weekday, ordinal = next(places)
            sheet.append([class_text, f"星期{'一二三四五'[weekday]}", f"第{to_chinese(ordinal)}节", SUBJECT, name, ROOM])
