"""Reading (阅读): a text, perhaps a figure; done when the pupil marks it read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from flask_babel import lazy_gettext as _l

from lms.activities import fields
from lms.activities.rules import Grading, PageContext, Work, bars
from lms.courses.rules import Activity, render


class Reading:
    """Settings ``{text, figure?}``; answer ``{"read": true}``."""

    name = "reading"
    label = _l("阅读")
    icon = "book"  # #tabler-book: the sprite is made from such names

    def check(self, settings: dict[str, Any]) -> None:
        """``text`` markdown, ``figure`` a file below media/."""
        fields.record(settings, "settings", {"text", "figure"})
        fields.text(settings.get("text"), "text", least=1, most=20_000)
        if "figure" in settings and not fields.text(settings["figure"], "figure", least=1, most=200).startswith("media/"):
            raise fields.bad("figure", _l("图片应放在 media/ 里。"))

    def page(self, activity: Activity, context: PageContext) -> dict[str, Any]:
        """Rendered text and the figure's address."""
        figure = activity.settings.get("figure")
        return {"html": render(activity.settings["text"], context.media), "figure": context.media + figure if figure else ""}

    def read_form(self, activity: Activity, form: Mapping[str, Sequence[str]]) -> dict[str, Any]:
        """Sending the form is reading it."""
        return {"read": True}

    def grade(self, activity: Activity, answer: dict[str, Any]) -> Grading:
        """Full points for having read."""
        fields.record(answer, "answer", {"read"})
        if not fields.truth(answer.get("read"), "read"):
            raise fields.bad("read", _l("读完以后再点“我读完了”。"))
        return Grading(activity.points, activity.points, None, _l("读完了，真好。"))

    def shown(self, activity: Activity, work: Work) -> dict[str, Any]:
        """Nothing but the fact."""
        return {"read": True}

    def summarise(self, activity: Activity, works: Sequence[Work]) -> dict[str, Any]:
        """How many have read."""
        return {"bars": bars([(str(_l("读完")), len(works))])}


KIND = Reading()
