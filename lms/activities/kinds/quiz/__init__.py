"""Quiz (测验): choice, multi, number, fill; graded on the server."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from flask_babel import lazy_gettext as _l

from lms.activities import fields
from lms.activities.rules import Grading, PageContext, Work, bars, histogram, part
from lms.courses.rules import Activity, render

ID = re.compile(r"[a-z0-9_-]{1,40}")
TYPES = ("choice", "multi", "number", "fill")
QUESTION = {"id", "type", "prompt", "options", "answer", "tolerance", "explain", "points"}


class Quiz:
    """Settings ``{questions: [{id, type, prompt, options, answer, tolerance, explain, points}]}``.

    Answer ``{"answers": {<question id>: index | [indices] | number | "text"}}``; a question left out counts nothing.
    Several right options earn (hits − misses)/all; a number is right within ``tolerance``; filled text is compared
    without blanks, letter case and full-width forms.
    """

    name = "quiz"
    label = _l("测验")
    icon = "list-check"  # #tabler-list-check: the sprite is made from such names

    def check(self, settings: dict[str, Any]) -> None:
        """Every question has an answer of its type; ids are unique."""
        fields.record(settings, "settings", {"questions"})
        seen: set[str] = set()
        for index, question in enumerate(fields.listed(settings.get("questions"), "questions", least=1, most=40)):
            where = f"questions[{index}]"
            fields.record(question, where, QUESTION)
            name = fields.text(question.get("id"), f"{where}.id", least=1, most=40)
            if not ID.fullmatch(name) or name in seen:
                raise fields.bad(f"{where}.id", _l("题目的 id 只用小写字母、数字、-、_，而且不能重复。"))
            seen.add(name)
            fields.text(question.get("prompt"), f"{where}.prompt", least=1)
            fields.text(question.get("explain", ""), f"{where}.explain")
            fields.number(question.get("points", 1), f"{where}.points", least=0, most=100)
            _check_answer(question, where)

    def page(self, activity: Activity, context: PageContext) -> dict[str, Any]:
        """Questions without answers and explanations."""
        return {
            "questions": [
                {
                    "id": question["id"],
                    "type": question["type"],
                    "html": render(question["prompt"], context.media),
                    "options": [str(option) for option in question.get("options", ())],
                }
                for question in activity.settings["questions"]
            ]
        }

    def read_form(self, activity: Activity, form: Mapping[str, Sequence[str]]) -> dict[str, Any]:
        """Fields ``q-<id>``; empty ones are left out."""
        answers: dict[str, Any] = {}
        for question in activity.settings["questions"]:
            given = [value for value in form.get(f"q-{question['id']}", ()) if value.strip()]
            if not given:
                continue
            where = f"answers.{question['id']}"
            if question["type"] == "multi":
                answers[question["id"]] = [fields.whole(value, where) for value in given]
            elif question["type"] == "choice":
                answers[question["id"]] = fields.whole(given[0], where)
            else:
                answers[question["id"]] = given[0]
        return {"answers": answers}

    def grade(self, activity: Activity, answer: dict[str, Any]) -> Grading:
        """Points by question weight; ``correct`` only where everything is right."""
        fields.record(answer, "answer", {"answers"})
        questions = activity.settings["questions"]
        given = fields.record(answer.get("answers"), "answers", [question["id"] for question in questions])
        if not any(value not in (None, "", []) for value in given.values()):
            raise fields.bad("answers", _l("先作答，再提交。"), "empty")
        parts = {question["id"]: _earned(question, given.get(question["id"])) for question in questions}
        weights = {question["id"]: float(question.get("points", 1)) for question in questions}
        earned = sum(weights[name] * (got or 0) for name, got in parts.items())
        missing = [name for name, got in parts.items() if got is None]
        right = sum(1 for got in parts.values() if got == 1)
        if right == len(questions):
            feedback = _l("全对了！")
        elif missing:
            feedback = _l("答对 %(right)d 题，还有 %(missing)d 题没有做。", right=right, missing=len(missing))
        else:
            feedback = _l("答对 %(right)d 题，共 %(all)d 题。看看解释，可以再试一次。", right=right, all=len(questions))
        score = part(earned, sum(weights.values()), activity.points)
        return Grading(score, activity.points, right == len(questions), feedback, not missing, {"parts": parts})

    def shown(self, activity: Activity, work: Work) -> dict[str, Any]:
        """Each question with what was given, how much it earned, and why."""
        parts, given = work.detail.get("parts", {}), work.answer["answers"]
        return {
            "items": [
                {
                    "id": question["id"],
                    "prompt": question["prompt"],
                    "given": _words(question, given.get(question["id"])),
                    "part": parts.get(question["id"]),
                    "explain": question.get("explain", "") if parts.get(question["id"]) is not None else "",  # no hint before an answer
                }
                for question in activity.settings["questions"]
            ]
        }

    def summarise(self, activity: Activity, works: Sequence[Work]) -> dict[str, Any]:
        """Per question: how often each option, number or accepted text; other words are counted, never shown."""
        return {"questions": [_summary(question, [work.answer["answers"].get(question["id"]) for work in works]) for question in activity.settings["questions"]]}


def _check_answer(question: dict[str, Any], where: str) -> None:
    kind, answer = fields.one_of(question.get("type"), f"{where}.type", TYPES), question.get("answer")
    here = f"{where}.answer"
    if kind in ("choice", "multi"):
        options = fields.listed(question.get("options"), f"{where}.options", least=2, most=12)
        wanted = [answer] if kind == "choice" else fields.listed(answer, here, least=1, most=len(options))
        for index in wanted:
            if isinstance(index, str):
                raise fields.bad(here, _l("答案写选项的序号，从 0 开始。"))
            fields.whole(index, here, most=len(options) - 1)
        if len(set(wanted)) != len(wanted):
            raise fields.bad(here, _l("答案里有重复的序号。"))
    elif kind == "number":
        if isinstance(answer, str):
            raise fields.bad(here, _l("这里应该填数字。"))
        fields.number(answer, here)
        fields.number(question.get("tolerance", 0), f"{where}.tolerance", least=0)
    else:
        for word in fields.listed(answer, here, least=1, most=40):
            if not normal_word(word, here):
                raise fields.bad(here, _l("答案不能是空的。"))


def normal_word(value: Any, where: str) -> str:
    """A filled text as it is compared."""
    return fields.normal(fields.text(value, where, most=200))


def _earned(question: dict[str, Any], given: Any) -> float | None:
    """Share 0…1 of the question's points; None where nothing was given."""
    where = f"answers.{question['id']}"
    if given is None or given in ("", []):
        return None
    if question["type"] == "choice":
        return float(fields.whole(given, where, most=len(question["options"]) - 1) == question["answer"])
    if question["type"] == "multi":
        chosen = [fields.whole(value, where, most=len(question["options"]) - 1) for value in fields.listed(given, where, most=len(question["options"]))]
        right = set(question["answer"])
        hits = len(set(chosen) & right)
        return round(max(0.0, (hits - len(set(chosen) - right)) / len(right)), 4)
    if question["type"] == "number":
        distance = abs(fields.number(given, where) - question["answer"])
        return float(distance <= float(question.get("tolerance", 0)) + 1e-9)
    word = normal_word(given, where)
    return float(word in {fields.normal(accepted) for accepted in question["answer"]}) if word else None


def _words(question: dict[str, Any], given: Any) -> str:
    """What was given, in words."""
    if given is None or given in ("", []):
        return ""
    if question["type"] == "choice":
        return str(question["options"][int(given)])
    if question["type"] == "multi":
        return "；".join(str(question["options"][int(index)]) for index in sorted(given, key=int))
    return str(given)


def _summary(question: dict[str, Any], given: Sequence[Any]) -> dict[str, Any]:
    answered = [value for value in given if value not in (None, "", [])]
    right = sum(1 for value in answered if _earned(question, value) == 1)
    if question["type"] in ("choice", "multi"):
        good = [question["answer"]] if question["type"] == "choice" else list(question["answer"])
        chosen = Counter(int(index) for value in answered for index in (value if isinstance(value, list) else [value]))
        chart = bars([(str(option), chosen[index]) for index, option in enumerate(question["options"])], good)
    elif question["type"] == "number":
        chart = bars(histogram([fields.number(value, "answers") for value in answered]))
    else:
        chart = bars([(str(_l("答对")), right), (str(_l("其他写法")), len(answered) - right)], [0])
    return {"id": question["id"], "prompt": question["prompt"], "answered": len(answered), "right": right, "bars": chart}


KIND = Quiz()
