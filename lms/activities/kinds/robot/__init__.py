"""Robot mission (机器人任务): drive by buttons or a short Python program, on a real or virtual robot, or pure Python.

The program runs in the pupil's browser. What it reports (goal, checks, telemetry) is kept and marked ``client_run``:
it shows what happened on that screen and proves nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from flask_babel import lazy_gettext as _l

from lms.activities import fields
from lms.activities.rules import Grading, PageContext, Work, bars, histogram, part
from lms.courses.rules import Activity

SETTINGS = {"mode", "robot", "needs", "starter", "hint", "arena", "goal", "report", "checks"}
ARENA = {"size", "start", "walls", "line", "lights", "targets"}
GOAL = {"type", "min_cm", "max_cm", "target", "share", "title"}
NEEDS = ("linear_x", "angular_z", "range", "line", "light", "battery")
ANSWER = {"mode", "robot", "program", "output", "goal", "checks", "telemetry", "report", "error"}
TELEMETRY = {"seconds", "distance_cm", "turned_deg", "min_range_cm", "last_range_cm", "commands", "bumps", "runs"}


class Robot:
    """Settings ``{mode: buttons|python|both, robot: real|virtual|either|none, needs, starter, hint, arena, goal, report, checks}``.

    ``arena`` (centimetres, degrees): ``size [w, h]``, ``start [x, y, deg]``, ``walls [[x1, y1, x2, y2]]``, ``line [[x, y]]``,
    ``lights [[x, y]]``, ``targets [[x, y, r]]``. ``goal.type``: reach (a ``target``, all by default), stop_before
    (``min_cm``…``max_cm``), follow (``share`` of the line, 0.8), free.
    Answer ``{"mode", "robot": "virtual"|"none"|<device id>, "program", "output", "goal": {"reached": bool, "note"},
    "checks": [{"name", "passed"}], "telemetry": {…numbers}, "report", "error"}``.
    """

    name = "robot"
    label = _l("机器人任务")
    icon = "robot"  # #tabler-robot: the sprite is made from such names

    def check(self, settings: dict[str, Any]) -> None:
        """Mode and robot fit each other; the arena holds its start."""
        fields.record(settings, "settings", SETTINGS)
        mode = fields.one_of(settings.get("mode", "buttons"), "mode", ("buttons", "python", "both"))
        robot = fields.one_of(settings.get("robot", "either"), "robot", ("real", "virtual", "either", "none"))
        if robot == "none" and mode != "python":
            raise fields.bad("mode", _l("没有机器人的任务只能用 python。"))
        for index, need in enumerate(fields.listed(settings.get("needs", []), "needs", most=8)):
            fields.one_of(need, f"needs[{index}]", NEEDS)
        fields.text(settings.get("starter", ""), "starter", most=20_000)
        fields.text(settings.get("hint", ""), "hint", most=2000)
        fields.text(settings.get("report", ""), "report", most=400)
        _check_goal(settings.get("goal", {"type": "free"}), settings.get("arena", {}))
        for index, row in enumerate(fields.listed(settings.get("checks", []), "checks", most=20)):
            fields.record(row, f"checks[{index}]", {"name", "code"})
            fields.text(row.get("name"), f"checks[{index}].name", least=1, most=120)
            fields.text(row.get("code"), f"checks[{index}].code", least=1, most=2000)
        if "arena" in settings:
            _check_arena(settings["arena"])

    def page(self, activity: Activity, context: PageContext) -> dict[str, Any]:
        """Everything but nothing secret: the checks run in the browser."""
        settings = activity.settings
        return {
            "mode": settings.get("mode", "buttons"),
            "robot": settings.get("robot", "either"),
            "needs": list(settings.get("needs", ())),
            "starter": settings.get("starter", ""),
            "hint": settings.get("hint", ""),
            "arena": settings.get("arena", {"size": [150, 100], "start": [30, 50, 0]}),
            "goal": settings.get("goal", {"type": "free"}),
            "report": settings.get("report", ""),
            "checks": list(settings.get("checks", ())),
            "media": context.media,
        }

    def read_form(self, activity: Activity, form: Mapping[str, Sequence[str]]) -> dict[str, Any]:
        """Without JavaScript only the report can be written."""
        return {"mode": "buttons", "robot": "none", "report": "".join(form.get("report", ())).replace("\r\n", "\n")}

    def grade(self, activity: Activity, answer: dict[str, Any]) -> Grading:
        """Share of checks and goal that the browser reports as passed; full points where the task has neither."""
        fields.record(answer, "answer", ANSWER)
        mode = fields.one_of(answer.get("mode"), "mode", ("buttons", "python"))
        robot = fields.text(answer.get("robot", "none"), "robot", most=60)
        program = fields.text(answer.get("program", ""), "program", most=20_000)
        report = fields.text(answer.get("report", ""), "report", most=2000)
        fields.text(answer.get("output", ""), "output", most=20_000)
        error = fields.text(answer.get("error", ""), "error", most=2000)
        telemetry = fields.record(answer.get("telemetry", {}), "telemetry", TELEMETRY)
        kept = {name: fields.number(value, f"telemetry.{name}", least=-1e7, most=1e7) for name, value in telemetry.items()}
        verdicts = self._verdicts(activity, answer)
        if mode == "python" and not program.strip():
            raise fields.bad("program", _l("还没有写程序。"), "empty")
        if not kept and not report.strip() and mode == "buttons":
            raise fields.bad("answer", _l("先开一开机器人，或写下你看到的，再提交。"), "empty")
        passed = sum(1 for row in verdicts if row["passed"])
        done = not error and (passed == len(verdicts)) and bool(report.strip() or not activity.settings.get("report"))
        feedback: Any
        if verdicts and passed == len(verdicts):
            feedback = _l("任务完成！")
        elif verdicts:
            feedback = _l("通过 %(passed)d 项，共 %(all)d 项。改一改再试。", passed=passed, all=len(verdicts))
        else:
            feedback = _l("收到了。")
        score = part(passed, len(verdicts), activity.points) if verdicts else (0.0 if error else float(activity.points))
        detail = {"client_run": True, "mode": mode, "robot": robot, "verdicts": verdicts, "telemetry": kept, "error": error[:300]}
        return Grading(score, activity.points, passed == len(verdicts) if verdicts else None, feedback, done, detail)

    def _verdicts(self, activity: Activity, answer: dict[str, Any]) -> list[dict[str, Any]]:
        sent: dict[str, bool] = {}
        for index, row in enumerate(fields.listed(answer.get("checks", []), "checks", most=20)):
            fields.record(row, f"checks[{index}]", {"name", "passed"})
            name = fields.text(row.get("name"), f"checks[{index}].name", most=120)
            sent[name] = fields.truth(row.get("passed"), f"checks[{index}].passed")
        asked = [str(row["name"]) for row in activity.settings.get("checks", ())]
        for name in sent:
            if name not in asked:
                raise fields.bad("checks", _l("有不认识的检查项。"))
        verdicts = [{"name": name, "passed": sent.get(name, False)} for name in asked]
        goal = fields.record(answer.get("goal", {}), "goal", {"reached", "note"})
        fields.text(goal.get("note", ""), "goal.note", most=200)
        if activity.settings.get("goal", {"type": "free"})["type"] != "free":
            reached = fields.truth(goal.get("reached", False), "goal.reached")
            verdicts.insert(0, {"name": str(_l("到达目标")), "passed": reached})
        return verdicts

    def shown(self, activity: Activity, work: Work) -> dict[str, Any]:
        """Program, verdicts, figures and report."""
        return {
            "program": work.answer.get("program", ""),
            "output": work.answer.get("output", ""),
            "report": work.answer.get("report", ""),
            "question": activity.settings.get("report", ""),
            **{name: work.detail.get(name) for name in ("mode", "robot", "verdicts", "telemetry", "error")},
        }

    def summarise(self, activity: Activity, works: Sequence[Work]) -> dict[str, Any]:
        """How many passed each check; where they stopped."""
        names = [row["name"] for row in (works[0].detail.get("verdicts", ()) if works else ())]
        rows = []
        for name in names:
            passed = sum(1 for work in works for row in work.detail.get("verdicts", ()) if row["name"] == name and row["passed"])
            rows.append({"name": name, "bars": bars([(str(_l("通过")), passed), (str(_l("还没有")), len(works) - passed)], [0])})
        stopped = [work.detail["telemetry"]["last_range_cm"] for work in works if "last_range_cm" in work.detail.get("telemetry", {})]
        return {"verdicts": rows, "stopped": bars(histogram([round(value) for value in stopped])) if "range" in activity.settings.get("needs", ()) else []}


def _check_goal(goal: Any, arena: Any) -> None:
    fields.record(goal, "goal", GOAL)
    kind = fields.one_of(goal.get("type"), "goal.type", ("reach", "stop_before", "follow", "free"))
    arena = fields.record(arena, "arena")
    if kind == "stop_before":
        least = fields.number(goal.get("min_cm", 0), "goal.min_cm", least=0, most=400)
        fields.number(goal.get("max_cm"), "goal.max_cm", least=least, most=400)
    elif kind == "reach":
        targets = fields.listed(arena.get("targets"), "arena.targets", least=1)
        if "target" in goal:
            fields.whole(goal["target"], "goal.target", most=len(targets) - 1)
    elif kind == "follow":
        fields.listed(arena.get("line"), "arena.line", least=2, most=400)
        fields.number(goal.get("share", 0.8), "goal.share", least=0.1, most=1)


def _check_arena(arena: Any) -> None:
    fields.record(arena, "arena", ARENA)
    size = _numbers(arena.get("size"), "arena.size", 2, 20, 1000)
    start = _numbers(arena.get("start"), "arena.start", 3, -360, 1000)
    if not (0 <= start[0] <= size[0] and 0 <= start[1] <= size[1]):
        raise fields.bad("arena.start", _l("起点不在场地里。"))
    for name, width in (("walls", 4), ("line", 2), ("lights", 2), ("targets", 3)):
        for index, row in enumerate(fields.listed(arena.get(name, []), f"arena.{name}", most=400)):
            _numbers(row, f"arena.{name}[{index}]", width, 0, 1000)


def _numbers(value: Any, where: str, count: int, least: float, most: float) -> list[float]:
    return [fields.number(item, where, least=least, most=most) for item in fields.listed(value, where, least=count, most=count)]


KIND = Robot()
