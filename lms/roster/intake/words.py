"""Problems in words (提示文字): what is wrong and what to do, one pair a code."""

from __future__ import annotations

from typing import Any, Final

from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l

from lms.roster.intake.headers import TITLES
from lms.roster.intake.verdicts import Problem

PROBLEMS: Final[dict[str, tuple[Any, Any]]] = {
    "formula": (_l("单元格是公式，没有结果"), _l("请复制该列，选择性粘贴为“数值”")),
    "cell-error": (_l("单元格是错误值 %(value)s"), _l("请改正公式或直接填写内容")),
    "name-missing": (_l("没有填写"), _l("请填写姓名，或删除整行")),
    "name-long": (_l("“%(value)s”超过 %(limit)s 个字"), _l("请核对姓名")),
    "name-short": (_l("“%(value)s”只有一个字"), _l("请填写完整姓名")),
    "name-digits": (_l("“%(value)s”含有数字"), _l("请只填姓名；同名学生用学号区分，不要在姓名后加数字")),
    "name-signs": (_l("“%(value)s”含有括号、符号或无法识别的字"), _l("请只填姓名；说明写到“备注”列；生僻字请用输入法重新输入")),
    "number-date": (_l("被 Excel 变成了日期（%(value)s）"), _l("请把该列设为“文本”格式后重新填写")),
    "number-scientific": (_l("是科学计数法 %(value)s，末尾数字已丢失"), _l("请把该列设为“文本”格式，从原始名单重新复制")),
    "number-precision": (_l("超过 15 位却存成数字，Excel 已把末尾变成 0"), _l("请把该列设为“文本”格式，从原始名单重新复制")),
    "number-zeros": (_l("%(value)s 比其他人的少几位，开头的 0 可能丢了"), _l("请把该列设为“文本”格式并补上开头的 0")),
    "number-fraction": (_l("“%(value)s”不是整数"), _l("请核对，学号、工号不能有小数")),
    "number-id-card": (_l("是身份证号"), _l("本系统不保存身份证号；请改填学校自己的学号或工号，或留空")),
    "number-registry": (_l("是学籍号"), _l("请移到“学籍号”列，这里填学校自己的学号，或留空")),
    "number-signs": (_l("“%(value)s”含有汉字或符号"), _l("只能用字母、数字、点和连字符")),
    "number-long": (_l("“%(value)s”超过 32 位"), _l("请核对")),
    "number-double": (_l("%(value)s 与工作表“%(sheet)s”第 %(row)s 行（%(name)s）重复"), _l("请核对这两行，改正其中一个")),
    "row-double": (_l("与工作表“%(sheet)s”第 %(row)s 行（%(name)s）是同一名学生"), _l("请删除重复的一行")),
    "number-other": (_l("%(value)s 在系统中是另一个班的“%(name)s”"), _l("请核对学号；如果是同一人改名又转班，请分两次导入")),
    "number-none": (_l("没有学号，按“班级 + 姓名”识别"), _l("有学号更可靠，可以补上")),
    "class-missing": (_l("没有填写"), _l("请填写班级；合并的单元格请取消合并并填满每一行")),
    "class-unreadable": (_l("看不懂“%(value)s”"), _l("请写成“五年级1班”“初一（3）班”“高一5班”或“2024级3班”")),
    "class-no-grade": (_l("“%(value)s”没有年级"), _l("请写成“五年级1班”，或加一列“年级”")),
    "class-no-number": (_l("“%(value)s”没有班号"), _l("请写成“五年级1班”")),
    "class-number-range": (_l("“%(value)s”的班号不在 1 到 60 之间"), _l("请核对班号")),
    "class-graduation-year": (_l("“%(value)s”用的是毕业年份（届）"), _l("请用入学年份“2024级3班”或年级“八年级3班”")),
    "class-ambiguous-junior": (_l("“%(value)s”在五四学制中有两种理解"), _l("请写成“六年级3班”“七年级3班”")),
    "class-ambiguous-stage": (_l("“%(value)s”可能是小学、初中或高中"), _l("请写成“初中2024级3班”，或用年级“八年级3班”")),
    "class-not-offered": (_l("“%(value)s”不属于本校开设的学段"), _l("请核对；如确有这个学段，请先在“概况”页添加")),
    "class-not-in-school": (_l("“%(value)s”这一级已毕业或还没入学"), _l("请核对入学年份")),
    "class-unknown": (_l("还没有“%(value)s”这个班"), _l("勾选“自动新建班级”，或先在“班级”页新建")),
    "class-new": (_l("将新建班级“%(name)s”"), ""),
    "class-date": (_l("被 Excel 变成了日期（%(value)s）"), _l("请把该列设为“文本”格式，写成“三年级2班”")),
    "class-as-number": (_l("%(value)s 是数字，分不清是 1 班还是 10 班"), _l("请写成“五年级10班”")),
    "class-conflict": (_l("“%(value)s”与年级列“%(grade)s”不一致"), _l("请核对年级和班级")),
    "grade-unreadable": (_l("看不懂“%(value)s”，或本校没有这个年级"), _l("请写成“五年级”“初一”“高一”或“2024级”")),
    "sex": (_l("“%(value)s”不是男或女"), _l("请填“男”或“女”，或留空")),
    "roll-no": (_l("“%(value)s”不是 1 到 200 的整数"), _l("请填整数，或留空")),
    "roll-double": (_l("与同班工作表“%(sheet)s”第 %(row)s 行（%(name)s）的座号重复"), _l("请改正其中一个")),
    "phone": (_l("“%(value)s”不是一个电话号码"), _l("请只填一个 11 位手机号或带区号的座机号，或留空")),
    "phone-scientific": (_l("是科学计数法 %(value)s"), _l("请把该列设为“文本”格式后重新填写")),
    "registry": (_l("格式不对"), _l("学籍号是 G、J 或 L 加 18 位；不需要时可不导入这一列")),
    "registry-double": (_l("与工作表“%(sheet)s”第 %(row)s 行（%(name)s）重复"), _l("请核对这两行")),
    "registry-other": (_l("在系统中是“%(name)s”的"), _l("请核对学籍号")),
    "name-double": (_l("“%(name)s”与工作表“%(sheet)s”第 %(row)s 行同班同名，又没有学号"), _l("请为同名学生填写学号")),
    "name-double-known": (_l("班里有 %(count)s 名“%(name)s”，无法判断是哪一位"), _l("请填写学号")),
    "person-double": (_l("与工作表“%(sheet)s”第 %(row)s 行是同一个人（%(name)s）"), _l("请删除重复的一行")),
    "staff-double": (_l("与工作表“%(sheet)s”第 %(row)s 行的工号相同，姓名却是“%(name)s”"), _l("请核对工号")),
    "staff-other": (_l("工号 %(value)s 在系统中是“%(name)s”"), _l("请核对工号；如确已改名，请先在“人员”页修改")),
    "staff-same-name": (_l("有 %(count)s 位“%(name)s”，无法判断是哪一位"), _l("请填写工号")),
    "subject-missing": (_l("填了任教班级却没有学科"), _l("请填写学科，例如“人工智能”")),
    "subject-missing-slot": (_l("没有填写"), _l("请填写学科，例如“人工智能”")),
    "row-double-staff": (_l("与工作表“%(sheet)s”第 %(row)s 行（%(name)s）完全相同"), _l("请删除重复的一行")),
    "subject-long": (_l("“%(value)s”超过 32 个字"), _l("请只写一个学科名")),
    "classes-missing": (_l("填了学科却没有任教班级"), _l("请填写任教班级，多个班用顿号分开")),
    "weekday": (_l("看不懂“%(value)s”"), _l("请写“周一”到“周日”")),
    "period": (_l("看不懂“%(value)s”"), _l("请写“第3节”或“3”，从上午第一节连续数；连堂请每节写一行")),
    "period-none": (_l("这个学段没有第 %(value)s 节"), _l("请核对，或先在“概况”页设置作息时间")),
    "weeks": (_l("看不懂“%(value)s”"), _l("请写“单周”“双周”，每周都上就留空")),
    "teacher-missing": (_l("没有填写教师"), _l("请填写教师姓名或工号")),
    "teacher-unknown": (_l("还没有“%(value)s”这位教师"), _l("请先导入教师名单，并核对姓名")),
    "room-unknown": (_l("还没有“%(value)s”这间教室"), _l("请先在“教室”页添加，或留空")),
    "slot-class": (_l("与工作表“%(sheet)s”第 %(row)s 行冲突：同一个班同一节有两门课"), _l("请改正其中一行；隔周上请填单双周")),
    "slot-teacher": (_l("与工作表“%(sheet)s”第 %(row)s 行冲突：同一位教师同一时间有两节课"), _l("请改正其中一行")),
    "slot-room": (_l("与工作表“%(sheet)s”第 %(row)s 行冲突：同一间教室同一时间有两个班"), _l("请改正其中一行")),
    "slot-class-known": (_l("系统里这个班这一节已有别的课（单双周不同）"), _l("请先在“课表”页删除原来的课")),
    "slot-teacher-known": (_l("系统里这位教师这一节已有课"), _l("请先在“课表”页调整")),
    "slot-room-known": (_l("系统里这间教室这一节已有课"), _l("请先在“课表”页调整，或换一间教室")),
    "slot-double": (_l("与工作表“%(sheet)s”第 %(row)s 行完全相同"), _l("请删除重复的一行")),
}

CHANGES: Final[dict[str, Any]] = {
    "name": _l("姓名更正"),
    "class": _l("转班"),
    "sex": _l("性别"),
    "roll_no": _l("座号"),
    "student_no": _l("补学号"),
    "registry_no": _l("补学籍号"),
    "returns": _l("返校"),
    "guardian": _l("监护人"),
    "title": _l("职称"),
    "staff_no": _l("补工号"),
    "duties": _l("任课"),
    "subject": _l("学科"),
    "teacher": _l("教师"),
    "room": _l("教室"),
}
STATUS: Final[dict[str, Any]] = {"new": _l("新增"), "changed": _l("更新"), "unchanged": _l("无变化"), "error": _l("有问题")}


def reason_of(problem: Problem) -> str:
    """What is wrong, naming the column: 学号列：……"""
    text, _remedy = PROBLEMS[problem.code]
    return str(_("%(column)s列：%(text)s", column=TITLES.get(problem.field, problem.field), text=str(text) % problem.facts))


def remedy_of(problem: Problem) -> str:
    """What to do."""
    return str(PROBLEMS[problem.code][1]) % problem.facts


def line_of(problem: Problem, row: int) -> str:
    """The whole sentence: row, column, what is wrong, what to do."""
    remedy = remedy_of(problem)
    return str(_("第 %(row)s 行%(reason)s。%(remedy)s", row=row, reason=reason_of(problem), remedy=f"{remedy}。" if remedy else ""))
