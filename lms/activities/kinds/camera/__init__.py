"""Camera experiment (摄像头实验): predict a count, take the room camera's count, say what happened. Never a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from flask_babel import lazy_gettext as _l

from lms.activities import fields
from lms.activities.rules import Grading, PageContext, Work, bars, part
from lms.courses.rules import Activity

SIGNALS = ("faces", "hands")
TRIAL = {"predicted", "observed", "source", "recorded", "note"}


class Camera:
    """Settings ``{signal: faces|hands, trials, ask, recorded: [{label, media?, count}], conclude}``.

    Answer ``{"trials": [{"predicted": int, "observed": int, "source": "live"|"recorded", "recorded": index, "note": "…"}],
    "conclusion": "…"}``. A recorded observation is taken from the settings, whatever the browser says. A wrong
    prediction costs nothing: points are for the trials filled and the conclusion.
    """

    name = "camera"
    label = _l("摄像头实验")
    icon = "camera"  # #tabler-camera: the sprite is made from such names

    def check(self, settings: dict[str, Any]) -> None:
        """1–12 trials; recorded observations are counts 0–100."""
        fields.record(settings, "settings", {"signal", "trials", "ask", "recorded", "conclude"})
        fields.one_of(settings.get("signal"), "signal", SIGNALS)
        fields.whole(settings.get("trials", 4), "trials", least=1, most=12)
        fields.text(settings.get("ask", ""), "ask", most=400)
        fields.text(settings.get("conclude", ""), "conclude", most=400)
        for index, row in enumerate(fields.listed(settings.get("recorded", []), "recorded", most=12)):
            where = f"recorded[{index}]"
            fields.record(row, where, {"label", "media", "count"})
            fields.text(row.get("label"), f"{where}.label", least=1, most=120)
            fields.whole(row.get("count"), f"{where}.count", most=100)
            fields.text(row.get("media", ""), f"{where}.media", most=200)

    def page(self, activity: Activity, context: PageContext) -> dict[str, Any]:
        """Trials and the recorded situations without their counts; see :meth:`observed`."""
        settings = activity.settings
        return {
            "signal": settings["signal"],
            "trials": settings.get("trials", 4),
            "ask": settings.get("ask", ""),
            "conclude": settings.get("conclude", ""),
            "recorded": [
                {"label": row["label"], "media": context.media + row["media"] if row.get("media") else ""} for row in settings.get("recorded", ())
            ],
        }

    def observed(self, activity: Activity, recorded: Any) -> int:
        """Count of a recorded situation, asked for once the prediction stands."""
        rows = activity.settings.get("recorded", ())
        return int(rows[fields.whole(recorded, "recorded", most=len(rows) - 1)]["count"])

    def read_form(self, activity: Activity, form: Mapping[str, Sequence[str]]) -> dict[str, Any]:
        """Recorded situations only: fields ``predicted-<i>``, ``note-<i>``, ``conclusion``."""
        trials = []
        for index in range(min(activity.settings.get("trials", 4), len(activity.settings.get("recorded", ())))):
            predicted = "".join(form.get(f"predicted-{index}", ())).strip()
            if predicted:
                note = "".join(form.get(f"note-{index}", ()))
                trials.append({"predicted": fields.whole(predicted, "predicted", most=100), "source": "recorded", "recorded": index, "note": note})
        return {"trials": trials, "conclusion": "".join(form.get("conclusion", ()))}

    def grade(self, activity: Activity, answer: dict[str, Any]) -> Grading:
        """70 % for the trials filled, 30 % for a conclusion of five characters or more."""
        fields.record(answer, "answer", {"trials", "conclusion"})
        wanted = activity.settings.get("trials", 4)
        rows = [self._trial(activity, trial, f"trials[{index}]") for index, trial in enumerate(fields.listed(answer.get("trials"), "trials", most=wanted))]
        conclusion = fields.text(answer.get("conclusion", ""), "conclusion", most=1000)
        if not rows:
            raise fields.bad("trials", _l("先做一次实验，再提交。"), "empty")
        hits = sum(1 for row in rows if row["predicted"] == row["observed"])
        concluded = not activity.settings.get("conclude") or len(fields.normal(conclusion)) >= 5
        done = len(rows) == wanted and concluded
        if done:
            feedback = _l("实验完成：%(all)d 次里预测中了 %(hits)d 次。没中的更值得想一想。", all=len(rows), hits=hits)
        else:
            feedback = _l("已保存 %(rows)d 次实验，共要 %(wanted)d 次，最后写结论。", rows=len(rows), wanted=wanted)
        score = part(0.7 * len(rows) / wanted + (0.3 if concluded else 0), 1, activity.points)
        return Grading(score, activity.points, None, feedback, done, {"trials": rows, "hits": hits})

    def _trial(self, activity: Activity, trial: Any, where: str) -> dict[str, Any]:
        fields.record(trial, where, TRIAL)
        source = fields.one_of(trial.get("source"), f"{where}.source", ("live", "recorded"))
        if source == "recorded":
            observed = self.observed(activity, trial.get("recorded"))
        else:
            observed = fields.whole(trial.get("observed"), f"{where}.observed", most=100)
        fields.text(trial.get("note", ""), f"{where}.note", most=300)
        return {"predicted": fields.whole(trial.get("predicted"), f"{where}.predicted", most=100), "observed": observed, "source": source}

    def shown(self, activity: Activity, work: Work) -> dict[str, Any]:
        """The table as the pupil filled it."""
        recorded = activity.settings.get("recorded", ())
        rows = [
            {**kept, "note": sent.get("note", ""), "label": recorded[int(sent["recorded"])]["label"] if kept["source"] == "recorded" else ""}
            for kept, sent in zip(work.detail.get("trials", ()), work.answer["trials"], strict=False)
        ]
        return {"trials": rows, "conclusion": work.answer.get("conclusion", ""), "conclude": activity.settings.get("conclude", "")}

    def summarise(self, activity: Activity, works: Sequence[Work]) -> dict[str, Any]:
        """Per trial: how many predictions came true."""
        rows = []
        for index in range(activity.settings.get("trials", 4)):
            trials = [work.detail["trials"][index] for work in works if len(work.detail.get("trials", ())) > index]
            hits = sum(1 for trial in trials if trial["predicted"] == trial["observed"])
            rows.append({"trial": index + 1, "count": len(trials), "bars": bars([(str(_l("预测中了")), hits), (str(_l("没想到")), len(trials) - hits)], [0])})
        return {"trials": rows}


KIND = Camera()
