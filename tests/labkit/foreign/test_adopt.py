"""`labkit strangers` and `labkit adopt`: from the list into the lab file, and from there to a device that obeys."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from labkit.adoption import append, entry
from labkit.boards import gateway_role, space
from labkit.broker import BrokerAdmin
from labkit.cli import main
from labkit.errors import LabkitError
from labkit.lab import load_lab
from labkit.simulate.foreign_scripts import script
from tests.effort import PATIENCE_S
from tests.labkit.brokers import ADMIN, ADMIN_PASSWORD
from tests.labkit.foreign.bench import board_of
from tests.labkit.foreign.rig import GATEWAY, ForeignRig
from tests.labkit.foreign.test_strangers import CAR, strangers


def labkit(rig: ForeignRig, *words: str) -> Result:
    broker = ["--broker", rig.url, "--username", ADMIN, "--password", ADMIN_PASSWORD]
    return CliRunner().invoke(main, ["--json", words[0], *broker, *words[1:]])


def test_a_stranger_is_adopted_and_obeys(make_rig: Callable[..., ForeignRig]) -> None:
    rig = make_rig(CAR)
    folder = rig.folder / "board"
    folder.mkdir()
    device = board_of(folder, "homie4-board", "mqtt:old-bench")
    said = script(device.profile, space(device.profile, device.id, device.url), 1).hello(0.0)
    rig.console.publish_all(((one.topic, one.payload) for one in said), retain=True)
    rig.console.publish("homie/old-bench/$name", "\x1b[2JBench\r\n", retain=True)
    gateway = rig.serve()
    rig.wait(lambda: "Bench" in strangers(rig).get("old-bench", {}).get("name", ""), "old-bench is not listed")
    assert "\x1b" not in strangers(rig)["old-bench"]["name"]
    listed = labkit(rig, "strangers")
    assert [json.loads(line)["id"] for line in listed.output.splitlines()] == ["old-bench"]

    assert labkit(rig, "adopt", "nobody", "--lab", str(rig.lab_file)).exit_code == 1
    done = labkit(rig, "adopt", "old-bench", "--lab", str(rig.lab_file), "--id", "bench-4", "--sticker", "H4")
    assert done.exit_code == 0, done.output
    added = load_lab(rig.lab_file).devices[-1]
    assert (added.id, added.profile.id, added.url, added.sticker) == ("bench-4", "homie4-board", "mqtt:old-bench", "H4")

    gateway.terminate()
    gateway.wait(PATIENCE_S)
    rig.lab = load_lab(rig.lab_file)
    rig.provision()
    rig.serve()
    rig.until("homie/5/bench-4/$state", "ready")
    rig.wait(lambda: not strangers(rig), "it is still a stranger")
    rig.console.publish("homie/5/bench-4/main/bench-level/set", "42")
    rig.until("homie/old-bench/bench/level/set", "42")


def test_a_stranger_is_adopted_while_the_gateway_runs(make_rig: Callable[..., ForeignRig]) -> None:
    rig = make_rig(CAR)
    folder = rig.folder / "board"
    folder.mkdir()
    device = board_of(folder, "homie4-board", "mqtt:old-bench")
    own = space(device.profile, device.id, device.url)
    rig.console.publish_all(((one.topic, one.payload) for one in script(device.profile, own, 1).hello(0.0)), retain=True)
    # The school has let the gateway reach it, as its device page does.
    BrokerAdmin(rig.console.client).put_many([gateway_role(GATEWAY, [*rig.spaces.values(), own])], [])
    gateway = rig.serve()
    rig.wait(lambda: "old-bench" in strangers(rig), "old-bench is not listed")
    rig.console.publish(f"zhike/gateway/{GATEWAY}/adopt", json.dumps({"id": "old-bench", "device": "bench-4"}).encode())
    rig.until("homie/5/bench-4/$state", "ready")
    rig.wait(lambda: not strangers(rig), "it is still a stranger")
    rig.console.publish("homie/5/bench-4/main/bench-level/set", "42")
    rig.until("homie/old-bench/bench/level/set", "42")
    assert gateway.poll() is None


@pytest.mark.parametrize(
    ("device_id", "profile", "url", "cause"),
    [
        ("kit-1", "homie4-board", "mqtt:x", "用过"),
        ("kit-2", "no-board", "mqtt:x", "没有设备档案"),
        ("kit-2", "homie4-board", "mqtt:5", "Homie"),
        ("../x", "homie4-board", "mqtt:x", "格式"),
        ("kit-2", "esphome-board", 'mqtt:x"}, {id: evil', "主题"),
    ],
)  # fmt: skip
def test_what_is_not_good_is_not_written(tmp_path: Path, device_id: str, profile: str, url: str, cause: str) -> None:
    board_of(tmp_path, "homie4-board", "mqtt:lamp")
    file = tmp_path / "lab.yaml"
    before = file.read_bytes()
    with pytest.raises(LabkitError, match=cause):
        append(file, entry(device_id, profile, url, ""), device_id)
    assert file.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["lab.yaml"]


@pytest.mark.parametrize(
    "text",
    [
        "name: gw-a\nroom: r\ndevices:\n  - {id: a, profile: homie4-board, url: 'mqtt:lamp'}",
        "devices:\n- id: a\n  profile: homie4-board\n  url: mqtt:lamp\nname: gw-a\nroom: r\n",
        "# ours\ndevices:\n    - id: a\n      profile: homie4-board\n      url: 'mqtt:lamp' # the lamp\n\nroom: r\nname: gw-a\n",
    ],
)
def test_the_line_stands_behind_the_last_device_wherever_that_is(tmp_path: Path, text: str) -> None:
    file = tmp_path / "lab.yaml"
    file.write_text(text, encoding="utf-8")
    append(file, entry("b", "homie4-board", "mqtt:bench", "H4"), "b")
    after = file.read_text(encoding="utf-8")
    assert [one.id for one in load_lab(file).devices] == ["a", "b"]
    assert all(line in after.splitlines() for line in text.splitlines())
