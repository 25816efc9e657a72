"""A small package written to disk."""

from __future__ import annotations

from pathlib import Path

COURSE = """schema: zhike-course/1
id: p5-demo
kind: package
title: {zh: 机器怎样看, en: How machines see}
stage: primary
grade: 5
version: %s
licence: CC-BY-SA-4.0
lessons: [01-see]
"""
LESSON = """schema: zhike-lesson/1
id: 01-see
title: {zh: 认识摄像头}
minutes: 40
objectives: [能说出摄像头看到的是数字]
literacies: [信息意识]
big_ideas: [perception]
modules: [concepts]
plan: plan.md
text: text.md
task_sheet: task-sheet.md
answers: answers.md
media: [media/fig1.svg]
steps:
  - id: intro
    phase: 导入
    title: {zh: 猜一猜}
    minutes: 10
    show: "机器**看见**了什么？ <script>alert(1)</script> ![图](media/fig1.svg) ![外](http://example.invalid/x.png)"
    teacher: 先问后答
  - id: work
    phase: 实践
    title: {zh: 试一试}
    minutes: 30
    show: 做小测验
    activity: check
    variants:
      1: {show: 在纸上做, activity: null}
      3: {show: 用摄像头做}
"""
QUIZ = """schema: zhike-activity/1
id: check
kind: quiz
title: {zh: 小测验}
prompt: 选一个
settings:
  questions:
    - {id: q1, type: choice, prompt: 摄像头给机器的是什么？, options: [数字, 照片纸], answer: 0, explain: 每个像素是数字, points: 5}
    - {id: q2, type: number, prompt: 8 位能表示几种亮度？, answer: 256, points: 5}
"""


def write_package(folder: Path, version: str = "1.0.0") -> Path:
    """Write the sample package; returns its folder."""
    base = folder / "lessons" / "01-see"
    (base / "activities").mkdir(parents=True)
    (base / "media").mkdir()
    (folder / "course.yaml").write_text(COURSE % version, "utf-8")
    (base / "lesson.yaml").write_text(LESSON, "utf-8")
    (base / "activities" / "check.yaml").write_text(QUIZ, "utf-8")
    (base / "media" / "fig1.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>", "utf-8")
    for name in ("plan", "text", "task-sheet", "answers"):
        (base / f"{name}.md").write_text(f"# {name}\n", "utf-8")
    return folder
