"""What a kind of activity is, and how a grade is put (活动类型、评分); pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from lms.courses.rules import Activity


@dataclass(frozen=True)
class PageContext:
    """What a page may need besides the activity: ``media`` is the address before ``media/…`` files of the lesson."""

    media: str = ""


@dataclass(frozen=True)
class Grading:
    """A kind's verdict on one answer.

    ``score`` 0…``max_score``, None where a teacher marks; ``correct`` None where right and wrong do not apply;
    ``feedback`` a sentence for the pupil; ``done``: nothing is missing; ``detail``: plain JSON that is stored.
    """

    score: float | None
    max_score: float
    correct: bool | None
    feedback: Any
    done: bool = True
    detail: dict[str, Any] = field(default_factory=dict)

    def stored(self) -> dict[str, Any]:
        """The verdict as it is kept beside the answer."""
        return {"v": 1, "correct": self.correct, "feedback": str(self.feedback), "detail": self.detail}


@dataclass(frozen=True)
class Work:
    """One answer without its author: ``answer`` as sent, ``detail`` as graded."""

    answer: Mapping[str, Any]
    detail: Mapping[str, Any]
    score: float | None = None
    done: bool = True


class Kind(Protocol):
    """A kind of activity (活动类型): one folder, ``KIND`` in its ``__init__``, ``examples.yaml`` beside it.

    Pages: ``activities/kinds/<name>.html`` (the pupil's), ``activities/answers/<name>.html`` (one answer),
    ``activities/results/<name>.html`` (the class, no names); script: ``static/js/kinds/<name>.js``.
    """

    name: str
    label: Any
    icon: str

    def check(self, settings: dict[str, Any]) -> None:
        """Raise Invalid, ``where`` naming the field, for settings that no page could show."""

    def page(self, activity: Activity, context: PageContext) -> dict[str, Any]:
        """What the browser gets before the pupil has sent: never an answer."""

    def read_form(self, activity: Activity, form: Mapping[str, Sequence[str]]) -> dict[str, Any]:
        """The answer out of a plain HTML form, for pages without JavaScript."""

    def grade(self, activity: Activity, answer: dict[str, Any]) -> Grading:
        """Check and grade an answer; raises Invalid for one that is malformed."""

    def shown(self, activity: Activity, work: Work) -> dict[str, Any]:
        """An answer that was sent, with its explanations, for the pupil and the teacher."""

    def summarise(self, activity: Activity, works: Sequence[Work]) -> dict[str, Any]:
        """The class in figures for the projector: no name, no free text of a single pupil."""


def part(score: float, whole: float, points: float) -> float:
    """``points`` times ``score``/``whole``, two decimals."""
    return round(points * score / whole, 2) if whole else 0.0


def bars(counts: Sequence[tuple[str, int]], good: Sequence[int] = ()) -> list[dict[str, Any]]:
    """Bars of a chart: ``label``, ``count``, ``percent`` of all, ``good`` for the right ones."""
    total = sum(count for _, count in counts)
    return [
        {"label": label, "count": count, "percent": round(100 * count / total) if total else 0, "good": index in good}
        for index, (label, count) in enumerate(counts)
    ]


def histogram(values: Sequence[float], bins: int = 8) -> list[tuple[str, int]]:
    """At most ``bins`` equal bins over the values' range, as (label, count); each value alone where there are few."""
    if not values:
        return []
    different = sorted(set(values))
    if len(different) <= bins:
        return [(f"{value:g}", sum(1 for other in values if other == value)) for value in different]
    low, high = different[0], different[-1]
    width = (high - low) / bins
    counts = [0] * bins
    for value in values:
        counts[min(int((value - low) / width), bins - 1)] += 1
    return [(f"{low + index * width:.3g}–{low + (index + 1) * width:.3g}", count) for index, count in enumerate(counts)]
