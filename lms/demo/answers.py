"""What a simulated pupil answers, from what its page shows (模拟作答): honest tries, some right, some wrong."""

from __future__ import annotations

import random
from typing import Any

SENTENCES = (
    "我发现光线变暗以后，摄像头数错了，因为它看到的数字变了。",
    "机器人离墙还有二十厘米就停下来了，传感器量得比我估计的准。",
    "我们组收集的数据里没有戴帽子的人，所以模型第一次就认错了。",
    "我觉得用之前应该先问一问同学愿不愿意，也要说清楚数据放在哪里。",
)


def answer_to(activity: dict[str, Any], chance: random.Random, *, robot: str, faces: int | None) -> dict[str, Any]:
    """An answer to the activity that a page holds (``kind`` and ``page``).

    ``robot``: Homie id of the group's robot, empty without one. ``faces``: the room camera's newest count, None without one.
    Raises KeyError for a kind that the demo does not know.
    """
    return _ANSWERS[activity["kind"]](activity["page"], chance, robot, faces)


def _reading(page: dict[str, Any], chance: random.Random, robot: str, faces: int | None) -> dict[str, Any]:
    return {"read": True}


def _quiz(page: dict[str, Any], chance: random.Random, robot: str, faces: int | None) -> dict[str, Any]:
    answers: dict[str, Any] = {}
    for question in page["questions"]:
        options = range(len(question["options"]))
        match question["type"]:
            case "choice":
                answers[question["id"]] = chance.choice(options)
            case "multi":
                answers[question["id"]] = sorted(chance.sample(options, chance.randint(1, len(options))))
            case "number":
                answers[question["id"]] = chance.randint(0, 20)
            case _:
                answers[question["id"]] = chance.choice(("数据", "特征", "样本"))
    return {"answers": answers}


def _camera(page: dict[str, Any], chance: random.Random, robot: str, faces: int | None) -> dict[str, Any]:
    trials: list[dict[str, Any]] = []
    for index in range(page["trials"]):
        trial: dict[str, Any] = {"predicted": chance.randint(0, 2), "note": ""}
        if faces is None and page["recorded"]:
            trial |= {"source": "recorded", "recorded": index % len(page["recorded"])}
        else:
            trial |= {"source": "live", "observed": faces or 0}
        trials.append(trial)
    return {"trials": trials, "conclusion": SENTENCES[0]}


def _robot(page: dict[str, Any], chance: random.Random, robot: str, faces: int | None) -> dict[str, Any]:
    python = page["mode"] == "python"
    answer: dict[str, Any] = {
        "mode": "python" if python else "buttons",
        "robot": "none" if page["robot"] == "none" else robot or "virtual",
        "report": SENTENCES[1],
        "goal": {"reached": chance.random() < 0.7},
        "checks": [{"name": row["name"], "passed": chance.random() < 0.7} for row in page["checks"]],
        "telemetry": {"seconds": round(chance.uniform(4, 20), 1), "distance_cm": round(chance.uniform(20, 120)), "runs": 1},
    }
    if python:
        answer["program"] = page["starter"] or "robot.forward(0.15, 1)\n"
    return answer


def _text(page: dict[str, Any], chance: random.Random, robot: str, faces: int | None) -> dict[str, Any]:
    words = chance.choice(SENTENCES)
    while len(words) < page["min_chars"]:
        words += chance.choice(SENTENCES)
    return {"text": words[: page["max_chars"]]}


_ANSWERS = {"reading": _reading, "quiz": _quiz, "camera": _camera, "robot": _robot, "text": _text}
