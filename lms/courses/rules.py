"""A lesson as pages need it: steps resolved for a configuration, markdown rendered (课、步骤、活动); pure."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token

PHASES = ("导入", "新知", "探究", "实践", "展示评价", "小结")


@dataclass(frozen=True)
class Activity:
    """What pupils do in a step (活动); ``settings`` belong to the kind and hold answers: never send them to a browser."""

    id: str
    kind: str
    title: str
    prompt_html: str
    points: int
    settings: dict[str, Any]


@dataclass(frozen=True)
class Step:
    """One step of a lesson in one configuration (步骤); ``minutes`` planned."""

    index: int
    id: str
    phase: str
    title: str
    minutes: int
    show_html: str
    teacher_html: str
    activity_id: str | None


@dataclass(frozen=True, eq=False)
class Lesson:
    """A lesson of a package (一课). ``raw`` is lesson.yaml; ``texts`` the rendered plan, text, task_sheet and answers."""

    content_hash: str
    package_slug: str
    package_title: str
    slug: str
    title: str
    minutes: int
    objectives: tuple[str, ...]
    devices: tuple[dict[str, Any], ...]
    checklist: tuple[str, ...]
    materials: tuple[str, ...]
    counts_for: tuple[str, ...]
    media: tuple[str, ...]
    texts: dict[str, str]
    activities: dict[str, Activity]
    raw: dict[str, Any]


@cache
def _markdown() -> MarkdownIt:
    return MarkdownIt("commonmark", {"html": False, "linkify": False}).enable(["table", "strikethrough"])


def render(text: str, media_base: str = "") -> str:
    """Markdown to HTML; raw HTML is shown as text, never run. Relative ``media/…`` images get ``media_base`` before them."""
    parser = _markdown()
    tokens = parser.parse(text)
    for token in tokens:
        for child in token.children or []:
            _localise(child, media_base)
    renderer = parser.renderer
    assert isinstance(renderer, RendererHTML)
    return str(renderer.render(tokens, parser.options, {}))


def _localise(token: Token, media_base: str) -> None:
    if token.type == "image":
        source = str(token.attrs.get("src", ""))
        if source.startswith("media/") and ".." not in source:
            token.attrs["src"] = media_base + source
        elif source:
            token.attrs["src"] = ""  # pictures come from the package, never from elsewhere
    if token.type == "link_open":
        token.attrs["rel"] = "noopener noreferrer"
        token.attrs["target"] = "_blank"


def title_of(value: dict[str, str], locale: str = "zh") -> str:
    """Title in the language, Chinese where there is none."""
    return value.get(locale) or value["zh"]


def lesson_from(content_hash: str, manifest: dict[str, Any], slug: str, media_base: str) -> Lesson | None:
    """The lesson ``slug`` of a manifest, rendered; None if there is none."""
    course = manifest["course"]
    for raw in manifest["lessons"]:
        if raw["id"] != slug:
            continue
        return Lesson(
            content_hash=content_hash,
            package_slug=course["id"],
            package_title=title_of(course["title"]),
            slug=slug,
            title=title_of(raw["title"]),
            minutes=raw["minutes"],
            objectives=tuple(raw["objectives"]),
            devices=tuple(raw.get("devices", ())),
            checklist=tuple(raw.get("checklist", ())),
            materials=tuple(raw.get("materials", ())),
            counts_for=tuple(raw.get("counts_for", ())),
            media=tuple(raw.get("media", ())),
            texts={part: render(text, media_base) for part, text in raw["texts"].items()},
            activities={key: _activity(value, media_base) for key, value in raw["activities"].items()},
            raw=raw,
        )
    return None


def _activity(raw: dict[str, Any], media_base: str) -> Activity:
    return Activity(
        id=raw["id"],
        kind=raw["kind"],
        title=title_of(raw["title"]),
        prompt_html=render(raw.get("prompt", ""), media_base),
        points=raw.get("points", 10),
        settings=raw.get("settings", {}),
    )


def steps_for(lesson: Lesson, configuration: int, media_base: str) -> tuple[Step, ...]:
    """Steps with the variant of the configuration 1, 2 or 3 laid over them (GS-37)."""
    steps = []
    for index, raw in enumerate(lesson.raw["steps"]):
        variant = raw.get("variants", {}).get(str(configuration), {})
        merged = {**raw, **variant}
        steps.append(
            Step(
                index=index,
                id=raw["id"],
                phase=raw["phase"],
                title=title_of(raw["title"]),
                minutes=raw["minutes"],
                show_html=render(merged["show"], media_base),
                teacher_html=render(merged.get("teacher", ""), media_base),
                activity_id=merged.get("activity"),
            )
        )
    return tuple(steps)
