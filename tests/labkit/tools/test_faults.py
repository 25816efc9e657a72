"""Faults come by their seed: the same seed breaks the same bytes, and about as many as were asked for."""

from __future__ import annotations

import json
from dataclasses import fields
from importlib import resources
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.errors import BadDocument, LabkitError
from labkit.lab import load_lab
from labkit.links import BrokerAddress
from labkit.simulate.faults import Faults, FaultyLine, read_faults
from labkit.simulate.onbroker import Login, OnBroker

REPLIES = [bytes([n % 256, n // 256, 0x55]) for n in range(1000)]


@given(st.integers(0, 2**31), st.floats(0, 1), st.floats(0, 1))
def test_a_seed_repeats_itself(seed: int, noise: float, truncate: float) -> None:
    def heard(number: int) -> list[bytes]:
        line = FaultyLine(Faults(noise=noise, truncate=truncate), number)
        return [line.from_kit(reply) for reply in REPLIES[:50]]

    assert heard(seed) == heard(seed)


def test_another_seed_breaks_other_bytes() -> None:
    lines = [FaultyLine(Faults(lose=0.2), seed) for seed in (1, 2)]
    assert lines[0].to_kit(bytes(range(200))) != lines[1].to_kit(bytes(range(200)))


@pytest.mark.parametrize("name", ["noise", "truncate"])
def test_as_many_replies_break_as_were_asked_for(name: str) -> None:
    line = FaultyLine(Faults(**{name: 0.3}), 7)
    broken = sum(line.from_kit(reply) != reply for reply in REPLIES)
    assert 240 < broken < 360
    assert all(FaultyLine(Faults(), 7).from_kit(reply) == reply for reply in REPLIES[:20])


def test_a_deaf_kit_says_nothing_and_a_lost_byte_is_gone() -> None:
    assert FaultyLine(Faults(deaf=True), 1).from_kit(b"ok") == b""
    assert 700 < len(FaultyLine(Faults(lose=0.2), 1).to_kit(bytes(1000))) < 900


@pytest.mark.parametrize("fault", [{"noise": 2}, {"delay_ms": -1}, {"gravity": 1}, {"deaf": 1}, {"firmware": "版本"}])
def test_an_impossible_fault_is_refused(fault: dict[str, object]) -> None:
    with pytest.raises(LabkitError, match="mbot-1"):
        read_faults("mbot-1", fault)


def test_an_editor_knows_every_fault() -> None:
    schema = json.loads(resources.files("labkit").joinpath("schemas", "lab.schema.json").read_text(encoding="utf-8"))
    item = schema["properties"]["devices"]["items"]
    known = item["properties"]["simulate"]["properties"]["faults"]["properties"]
    assert set(known) == {field.name for field in fields(Faults)}


@pytest.mark.parametrize(
    ("device", "cause"),
    [
        ('{profile: makeblock-mbot, url: "sim://pty", simulate: {faults: {nois: 0.5}}}', "nois"),
        ('{profile: makeblock-mbot, url: "sim://pty", simulate: {faults: {truncate: 7}}}', "太大"),
        ('{profile: makeblock-mbot, url: "sim://pty", simulate: {faults: {deadman_ms: 100}}}', "没有故障 deadman_ms"),
        ('{profile: zhike-mqtt-car, url: "mqtt:", simulate: {faults: {noise: 0.1}}}', "没有故障 noise"),
        ('{profile: homie4-board, url: "mqtt:", simulate: {faults: {firmware: "9"}}}', "没有故障 firmware"),
        ('{profile: makeblock-mbot, url: "sim://pty", simulate: {start: [9, 9, 0]}}', "不在桌面上"),
        ('{profile: makeblock-mbot, url: "sim://pty", simulate: {start: [1.22, 0.78, 0]}}', "不在桌面上"),
    ],
)
def test_what_the_simulator_cannot_do_is_named_with_its_line(tmp_path: Path, device: str, cause: str) -> None:
    file = tmp_path / "lab.yaml"
    file.write_text(f"name: gw-x\nroom: r\ndevices:\n  - {{id: kit-1, {device[1:]}\n")
    with pytest.raises(BadDocument) as caught:
        load_lab(file)
    assert (len(caught.value.faults), caught.value.faults[0].place.line) == (1, 4)
    assert cause in caught.value.zh


class Air(OnBroker):
    """The line of a board, without a broker."""

    def __init__(self, faults: Faults) -> None:
        super().__init__("b", BrokerAddress("127.0.0.1", 1), lambda: Login("b", ""), [], None, False, faults, 7)
        self.up = True


def test_orders_by_air_are_lost_or_late_and_a_brown_out_forgets_them() -> None:
    lossy, late, weak = Air(Faults(drop=0.3)), Air(Faults(delay_ms=200)), Air(Faults(brown_out_s=1.0, delay_ms=200))
    for line in (lossy, late, weak):
        for number in range(1000):
            line.told.put((str(number), b""))
    assert 600 < len(list(lossy.due(0.0))) < 800
    assert not list(late.due(0.0)) and len(list(late.due(0.2))) == 1000
    assert not list(weak.due(0.0)) and not weak.browns_out(0.0)
    assert weak.browns_out(1.0) and not weak.up and not list(weak.due(9.0))
    assert not late.browns_out(100.0)
    for line in (lossy, late, weak):
        line.close()
