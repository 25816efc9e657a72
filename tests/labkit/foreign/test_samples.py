"""Every sample of a foreign board's profile, through the worker that the gateway uses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from labkit import homie, yamlfile
from labkit.codecs.foreign import Send
from labkit.gateway.foreign_homie5 import boards_topic
from labkit.model import Datatype, Property, Value
from labkit.profiles import load_profiles
from tests.labkit.foreign.bench import GATEWAY, Bench, Hub, board_of

FOREIGN = {name: profile for name, profile in load_profiles().items() if profile.foreign}


def rows(profile: str) -> tuple[str, list[dict[str, Any]]]:
    data = yamlfile.read(Path(FOREIGN[profile].folder) / "samples" / "topics.yaml").data
    assert isinstance(data, dict)
    return data["url"], data["exchanges"]


def payload_of(value: Value) -> str:
    """A value as a console would send it."""
    kind = {bool: Datatype.BOOLEAN, int: Datatype.INTEGER, float: Datatype.FLOAT, str: Datatype.STRING}[type(value)]
    return homie.encode(Property("x", kind), value).decode()


@pytest.mark.parametrize("profile", [name for name in FOREIGN if name != "homie5-board"])
def test_samples(profile: str, tmp_path: Path) -> None:
    url, exchanges = rows(profile)
    bench = Bench(board_of(tmp_path, profile, url))
    for row in exchanges:
        check(bench, row)


def check(bench: Bench, row: dict[str, Any]) -> None:
    title, before = row["title"], len(bench.refusals)
    bench.sent.clear()
    bench.cleared.clear()
    for heard in row.get("hears", []):
        bench.hears(heard["topic"], heard["payload"], heard.get("retained", False))
    bench.turn()
    for name, value in row.get("set", {}).items():
        bench.set(name, payload_of(value))
    for name, value in row.get("gives", {}).items():
        assert bench.value(name) == value, title
    if "state" in row:
        assert bench.state == row["state"], title
        assert bench.value("online") is (row["state"] == "ready"), title
    sends = [Send(s["topic"], s["payload"].encode(), s["qos"]) for s in row.get("sends", [])]
    assert bench.sent == sends, title
    assert bench.cleared == row.get("clears", []), title
    refused = bool(row.get("refused") or row.get("clears"))
    assert (len(bench.refusals) > before) is refused, (title, bench.refusals)
    if refused:
        assert bench.refusals[-1]["zh"], title


def test_homie5_samples(tmp_path: Path) -> None:
    url, exchanges = rows("homie5-board")
    hub = Hub(board_of(tmp_path, "homie5-board", url, "hub-5"))
    for row in exchanges:
        for heard in row["hears"]:
            hub.hears(heard["topic"], heard["payload"])
        told = json.loads(hub.wall.kept[boards_topic(GATEWAY, "hub-5")])
        assert (told["state"], told["children"]) == (row["state"], row["children"]), row["title"]
    alerts = {topic for topic in hub.wall.kept if "$alert" in topic}
    assert alerts == {homie.alert_topic(GATEWAY, "hub-5-lost"), homie.alert_topic(GATEWAY, "leaf-5-lost")}


@pytest.mark.parametrize("profile", list(FOREIGN))
def test_a_lab_file_names_them_and_overlaps_are_refused(profile: str, tmp_path: Path) -> None:
    url, _ = rows(profile)
    device_id = "hub-5" if profile == "homie5-board" else "kit-1"
    assert board_of(tmp_path, profile, url, device_id).profile.id == profile
