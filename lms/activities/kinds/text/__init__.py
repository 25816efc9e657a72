"""Text answer (文字回答): a few sentences; the length is checked, the teacher marks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from flask_babel import lazy_gettext as _l

from lms.activities import fields
from lms.activities.rules import Grading, PageContext, Work, bars, histogram
from lms.courses.rules import Activity


def length(value: str) -> int:
    """Characters without blanks, as a pupil counts them."""
    return len("".join(value.split()))


class Text:
    """Settings ``{min_chars, max_chars, rubric: […], example_answer}``; answer ``{"text": "…"}``."""

    name = "text"
    label = _l("文字回答")
    icon = "writing"  # #tabler-writing: the sprite is made from such names

    def check(self, settings: dict[str, Any]) -> None:
        """0 ≤ ``min_chars`` ≤ ``max_chars`` ≤ 5000."""
        fields.record(settings, "settings", {"min_chars", "max_chars", "rubric", "example_answer"})
        most = fields.whole(settings.get("max_chars", 500), "max_chars", least=1, most=5000)
        fields.whole(settings.get("min_chars", 0), "min_chars", most=most)
        for index, line in enumerate(fields.listed(settings.get("rubric", []), "rubric", most=20)):
            fields.text(line, f"rubric[{index}]", least=1, most=200)
        fields.text(settings.get("example_answer", ""), "example_answer", most=5000)

    def page(self, activity: Activity, context: PageContext) -> dict[str, Any]:
        """Length limits and what a good answer holds; never the example."""
        settings = activity.settings
        return {
            "min_chars": settings.get("min_chars", 0),
            "max_chars": settings.get("max_chars", 500),
            "rubric": list(settings.get("rubric", ())),
        }

    def read_form(self, activity: Activity, form: Mapping[str, Sequence[str]]) -> dict[str, Any]:
        """Field ``text``; browsers send line ends as CR LF."""
        return {"text": "".join(form.get("text", ())).replace("\r\n", "\n")}

    def grade(self, activity: Activity, answer: dict[str, Any]) -> Grading:
        """Length only; ``score`` None until a teacher marks."""
        fields.record(answer, "answer", {"text"})
        text = fields.text(answer.get("text"), "text", most=20_000)
        chars, least, most = length(text), activity.settings.get("min_chars", 0), activity.settings.get("max_chars", 500)
        if chars < max(least, 1):
            raise fields.bad("text", _l("再写一点：至少 %(least)d 个字，现在 %(chars)d 个。", least=max(least, 1), chars=chars), "too-short")
        if chars > most:
            raise fields.bad("text", _l("写得太长了：最多 %(most)d 个字，现在 %(chars)d 个。", most=most, chars=chars), "too-long")
        return Grading(None, activity.points, None, _l("交上去了，等老师看。"), detail={"chars": chars})

    def shown(self, activity: Activity, work: Work) -> dict[str, Any]:
        """The text and the rubric to mark it by."""
        return {"text": work.answer["text"], "chars": work.detail.get("chars"), "rubric": list(activity.settings.get("rubric", ()))}

    def summarise(self, activity: Activity, works: Sequence[Work]) -> dict[str, Any]:
        """Lengths only: words of a single child are the teacher's to show."""
        lengths = [float(work.detail.get("chars", 0)) for work in works]
        return {"bars": bars(histogram(lengths)), "unit": str(_l("个字"))}


KIND = Text()
