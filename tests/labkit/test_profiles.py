"""Profiles and lab files: the shipped ones are good, and each mistake is named with file, line and cause."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from labkit import codecs, homie, yamlfile
from labkit.cli import main
from labkit.codecs import Reported
from labkit.errors import BadDocument, Malformed
from labkit.gateway import face
from labkit.gateway.camera import readings
from labkit.lab import load_lab
from labkit.model import Kind, Profile
from labkit.profiles import load_profile, load_profiles, profiles_dir
from labkit.simulate.body import Body, MotorLog
from labkit.simulate.faults import Faults
from labkit.simulate.firmata_car import FirmataBoard
from labkit.simulate.mbot import MbotFirmware
from labkit.simulate.physics import Pose, school_table

SHIPPED = ["arduino-firmata-car", "generic-camera", "makeblock-mbot", "zhike-mqtt-car"]


def test_the_shipped_profiles() -> None:
    profiles = load_profiles()
    assert set(SHIPPED) <= set(profiles)
    assert [profiles[p].kind for p in SHIPPED] == [Kind.ROBOT, Kind.CAMERA, Kind.ROBOT, Kind.ROBOT]
    for name in profiles:
        first = (profiles_dir() / name / "profile.yaml").read_text(encoding="utf-8").partition("\n")[0]
        assert first == "# yaml-language-server: $schema=../../labkit/schemas/profile.schema.json"  # editors complete it
        assert (profiles_dir() / name / "README.md").read_text(encoding="utf-8").startswith("# ")
        assert list((profiles_dir() / name / "samples").iterdir())


@pytest.fixture
def broken(tmp_path: Path) -> Callable[[str, str], BadDocument]:
    """Replace a text in the mBot's profile and load it."""

    def load(old: str, new: str) -> BadDocument:
        folder = tmp_path / "makeblock-mbot"
        shutil.copytree(profiles_dir() / "makeblock-mbot", folder)
        file = folder / "profile.yaml"
        text = file.read_text(encoding="utf-8")
        assert old in text
        file.write_text(text.replace(old, new, 1), encoding="utf-8")
        with pytest.raises(BadDocument) as caught:
            load_profile(folder)
        return caught.value

    return load


MISTAKES = [
    ("id: makeblock-mbot", "id: other-name", "目录名"),
    ("kind: robot", "kind: tank", "x-lab.kind"),
    ("codec: makeblock_ff55", "codec: nothing", "没有编解码器"),
    ("frame:02 0a 09", "frame:02 xx 09", "xx"),
    ("frame:01 01", "frame:07 01", "动作"),
    ("{ultrasonic_port:u8}", "{nothing:u8}", "nothing"),
    ("type: integer, minimum: -255", "type: whole, minimum: -255", "type"),
    ("minimum: 0, maximum: 400", "minimum: 500, maximum: 400", "不小于"),
    ("lease_ms: 500", "lease_ms: 5000", "太大"),
    ("stop: stop", "stop: halt", "没有名为 halt"),
    ("read: firmware", "read: version", "没有名为 version"),
    ('pattern: "^06', 'pattern: "(06', "正则"),
    ("left: left", "left: wheel", "没有名为 wheel"),
    ("senior: 0.40", "senior: 0.90", "max_mps"),
    ("x-lab:", "x-labs:", "x-lab"),
    ("baud: 115200", "baud: 115201", "baud"),
    ("  left:\n", "  right:\n", "出现了两次"),
    ("title: {zh: mBot 小车, en: mBot}", "title: {zh: mBot 小车", "YAML"),
    ("rates: {left", "rates: &a {left", ""),
    ("wheel_base_m: 0.115", "wheel_base_m: -1", "太小"),
    ("confirm: {by: codec", "confirm: {by: property, property: nothing", "没有名为 nothing"),
    ("max_pwm: 255", "max_pwm: 300", "容不下 max_pwm 的 ±300"),
    ("minimum: -255, maximum: 255", "minimum: -100, maximum: 100", "容不下 max_pwm 的 ±255"),
    ("minimum: -255, maximum: 255, writeOnly: true", "minimum: -255, maximum: 255, readOnly: true", "能写的数"),
]


@pytest.mark.parametrize(("old", "new", "cause"), [m for m in MISTAKES if m[2]])
def test_a_mistake_is_named_with_its_line(
    broken: Callable[[str, str], BadDocument], old: str, new: str, cause: str
) -> None:
    error = broken(old, new)
    fault = error.faults[0]
    assert any(cause in f.zh for f in error.faults), str(error)
    assert fault.place.path.name == "profile.yaml"
    assert fault.place.line >= 1
    assert f"profile.yaml:{fault.place.line}: " in str(error)


@pytest.mark.parametrize(
    ("old", "new", "cause"),
    [
        ("homie:main/angular-z", "homie:main/angular_z", "应为 homie:节点/属性"),
        ("homie:main/angular-z", "homie:main/turn", "angular_z 的 Homie 名应为 angular-z"),
        ("  battery:\n", "  linear-x:\n", "linear-x 与 linear_x 的 Homie 名相同"),
    ],
)
def test_names_on_the_wire_are_ids(tmp_path: Path, old: str, new: str, cause: str) -> None:
    folder = tmp_path / "zhike-mqtt-car"
    shutil.copytree(profiles_dir() / "zhike-mqtt-car", folder)
    file = folder / "profile.yaml"
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises(BadDocument) as caught:
        load_profile(folder)
    assert cause in str(caught.value)


def test_the_line_is_the_right_one(broken: Callable[[str, str], BadDocument]) -> None:
    text = (profiles_dir() / "makeblock-mbot" / "profile.yaml").read_text(encoding="utf-8").splitlines()
    line = next(number for number, content in enumerate(text, 1) if "lease_ms" in content)
    assert broken("lease_ms: 500", "lease_ms: 5000").faults[0].place.line == line


def test_one_broken_folder_stops_all_and_both_are_named(tmp_path: Path) -> None:
    shutil.copytree(profiles_dir(), tmp_path / "profiles")
    (tmp_path / "profiles" / "empty-folder").mkdir()
    (tmp_path / "profiles" / "generic-camera" / "profile.yaml").write_bytes(b"\xff\xfe")
    with pytest.raises(BadDocument) as caught:
        load_profiles(tmp_path / "profiles")
    assert {f.place.path.parent.name for f in caught.value.faults} == {"empty-folder", "generic-camera"}


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        (b"a: &x [1]\nb: *x\n", "别名"),
        (b"- 1\n", "最外层"),
        (b"a: [1\n", "YAML"),
        (b"a: 1\na: 2\n", "两次"),
        (b"x: " + b"y" * 300_000, "大于"),
        (b"? [1]\n: 2\n", "键必须"),
        (b"a: !!python/object:os.system x\n", "读不懂"),
    ],
)
def test_yaml_that_is_none_of_ours(tmp_path: Path, content: bytes, cause: str) -> None:
    file = tmp_path / "x.yaml"
    file.write_bytes(content)
    with pytest.raises(BadDocument) as caught:
        yamlfile.read(file)
    assert cause in caught.value.zh


LAB = """name: gw-lab1
room: lab1
devices:
  - {id: mbot-1, profile: makeblock-mbot, sticker: "07", url: "sim://pty", simulate: {seed: 1}}
  - {id: car-1, profile: zhike-mqtt-car, sticker: "03", url: "mqtt:", room: lab2}
  - {id: cam-1, profile: generic-camera, sticker: "C1", url: "file:///media/clip%201.avi", fps: 4}
"""


def test_a_lab_file(tmp_path: Path) -> None:
    file = tmp_path / "lab.yaml"
    file.write_text(LAB, encoding="utf-8")
    lab = load_lab(file)
    assert (lab.name, lab.room, lab.rooms) == ("gw-lab1", "lab1", ("lab1", "lab2"))
    mbot, car, camera = lab.devices
    assert mbot.port(Path("/run")) == Path("/run/dev/mbot-1")
    assert (mbot.settle_ms, mbot.title.zh, mbot.title.en) == (0, "mBot 小车 07", "mBot 07")
    assert mbot.simulate
    assert mbot.simulate.seed == 1
    assert (car.room, car.simulate) == ("lab2", None)
    assert camera.fps == 4


@pytest.mark.parametrize(
    ("old", "new", "line", "cause"),
    [
        ("gw-lab1", "lab one", 1, "格式"),
        ("room: lab1", "rooms: lab1", 1, "room"),
        ("id: car-1", "id: mbot-1", 5, "已在第 4 行"),
        ('"03"', '"07"', 5, "sticker 07"),
        ("zhike-mqtt-car", "zhike-boat", 5, "没有设备档案"),
        ('"mqtt:"', '"rtsp://1.2.3.4/"', 5, "地址应以"),
        ('"sim://pty"', '"serial://ttyUSB0"', 4, "绝对路径"),
        ("fps: 4", "fps: fast", 6, "应为数"),
        ("seed: 1", "seeds: 1", 4, "不认识的键 seeds"),
        ("id: cam-1", "id: gw-lab1", 6, "同名"),
        ("zhike-mqtt-car", "zhike-terminal", 5, "终端不写进 lab.yaml"),
        ("simulate:", "parameters: {range_port: 4}, simulate:", 4, "没有参数 range_port"),
    ],
)
def test_a_wrong_lab_file(tmp_path: Path, old: str, new: str, line: int, cause: str) -> None:
    file = tmp_path / "lab.yaml"
    file.write_text(LAB.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(BadDocument) as caught:
        load_lab(file)
    fault = caught.value.faults[0]
    assert fault.place.line == line, str(fault)
    assert cause in caught.value.zh


def test_check_speaks_chinese_english_and_json(tmp_path: Path) -> None:
    run = CliRunner().invoke
    good = run(main, ["check"])
    assert (good.exit_code, good.output.count("通过")) == (0, len(load_profiles()))
    unread = set(json.loads(run(main, ["check", "--json"]).output)["samples_not_compared"])
    assert unread == {p.id for p in load_profiles().values() if p.foreign or p.transport.codec in ("raw_repl", "tello", "robomaster")}
    assert good.output.count("样例未核对") == len(unread) and "makeblock-mbot: 通过\n" in good.output
    file = tmp_path / "lab.yaml"
    file.write_text(LAB.replace("fps: 4", "fps: fast"), encoding="utf-8")
    bad = run(main, ["check", str(file)])
    assert bad.exit_code == 1
    assert f"{file}:6: devices.2.fps：应为数" in bad.output
    assert f"{file}:6: " in run(main, ["--lang", "en", "check", str(file)]).output
    rows = json.loads(run(main, ["--json", "check", str(file)]).output)
    assert (rows["ok"], rows["faults"][0]["line"]) == (False, 6)


@pytest.mark.parametrize(
    ("profile", "old", "new", "cause"),
    [
        ("zhike-mqtt-car", 'payload: "83.5"', 'payload: "84.5"', "83.5"),
        ("zhike-mqtt-car", 'payload: "9", refused', 'payload: "0.1", refused', "refused"),
        ("zhike-mqtt-car", "main/range", "main/rage", "rage"),
        ("generic-camera", "gives: {frames: 12, faces: 1", "gives: {frames: 12, faces: 2", "gives"),
        ("makeblock-mbot", "gives: {range: 12.5}", "gives: {range: 13.5}", "13.5"),
    ],
)
def test_a_sample_that_is_not_true_is_named(tmp_path: Path, profile: str, old: str, new: str, cause: str) -> None:
    folder = tmp_path / profile
    shutil.copytree(profiles_dir() / profile, folder)
    (file,) = (folder / "samples").glob("*.yaml")
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new, 1), encoding="utf-8")
    done = CliRunner().invoke(main, ["check", str(folder)])
    assert done.exit_code == 1 and cause in done.output and file.name in done.output


def samples() -> list[tuple[Profile, dict[str, object]]]:
    found = []
    for profile in load_profiles().values():
        for file in sorted((Path(profile.folder) / "samples").glob("*.yaml")):
            data = yamlfile.read(file).data
            assert isinstance(data, dict)
            found += [(profile, row) for row in data["exchanges"]]
    return found


CARS = ("makeblock_ff55", "firmata")  # boards with a REPL, arms and sensors are replayed in folders of their own
SERIAL = [
    pytest.param(p, row, id=f"{p.id}-{row['title']}")
    for p, row in samples()
    if p.transport.codec in CARS and p.drive is not None
]


@pytest.mark.parametrize(("profile", "row"), SERIAL)
def test_the_samples_are_what_the_codec_says(profile: Profile, row: dict[str, str | dict[str, object]]) -> None:
    codec = codecs.create(profile.transport.codec, profile)
    sent = _sends(codec, profile, row)
    assert sent.hex(" ") == row["sends"]
    codec.expect_stop()
    events = codec.feed(bytes.fromhex(str(row.get("answers", ""))))
    given = {e.property: e.value for e in events if isinstance(e, Reported)}
    assert given == row.get("gives", {})
    assert [type(e).__name__ for e in events if not isinstance(e, Reported)] == row.get("tells", [])


@pytest.mark.parametrize(("profile", "row"), SERIAL)
def test_the_simulator_answers_the_samples(profile: Profile, row: dict[str, object], tmp_path: Path) -> None:
    file = tmp_path / "lab.yaml"
    file.write_text(f"name: gw-x\nroom: r\ndevices:\n  - {{id: kit-1, profile: {profile.id}, url: 'sim://pty'}}\n")
    device = load_lab(file).devices[0]
    drive = device.profile.drive
    assert drive
    motors = MotorLog(tmp_path / "log")
    body = Body(school_table(), Pose(1.0, 1.0, 0.0), drive, 1, motors, 0.0)
    board = (MbotFirmware if profile.transport.codec == "makeblock_ff55" else FirmataBoard)(device, body, Faults(), 1, 0.0)
    codec = codecs.create(profile.transport.codec, profile)
    codec.feed(b"".join(board.tick(0.01) + board.feed(codec.opening(), 0.02)))
    codec.expect_stop()
    replies = board.feed(_sends(codec, profile, row), 0.03) + board.tick(1.0)
    motors.close()
    events = codec.feed(b"".join(replies))
    gives, tells = row.get("gives", {}), row.get("tells", [])
    assert isinstance(gives, dict)
    assert isinstance(tells, list)
    assert set(gives) <= {e.property for e in events if isinstance(e, Reported)}
    assert set(tells) <= {type(e).__name__ for e in events}


BOARDS = [pytest.param(p, row, id=str(row["title"])) for p, row in samples() if p.transport.type == "mqtt" and not p.foreign]


@pytest.mark.parametrize(("profile", "row"), BOARDS)
def test_the_boards_samples_fit_its_profile(profile: Profile, row: dict[str, object]) -> None:
    address = homie.parse_topic(str(row["topic"]))
    affordance = face.affordance(profile, address.property)
    assert affordance
    item = face.sensor(affordance)
    payload = str(row["payload"]).encode()
    if row.get("refused"):
        with pytest.raises(Malformed):
            homie.decode(item, payload)
    else:
        assert {item.id: homie.decode(item, payload)} == row["gives"]


CAMERAS = [pytest.param(p, row, id=str(row["title"])) for p, row in samples() if p.transport.type == "vision"]


@pytest.mark.parametrize(("profile", "row"), CAMERAS)
def test_the_cameras_lines_become_readings(profile: Profile, row: dict[str, object]) -> None:
    given, refused = readings(profile, json.loads(str(row["line"])))
    assert given == row["gives"]
    assert bool(refused) is ("another type" in str(row["title"]))


def _sends(codec: codecs.Codec, profile: Profile, row: dict[str, object]) -> bytes:
    do = row["do"]
    assert isinstance(do, dict)
    if "read" in do:
        return codec.read(profile.properties[do["read"]])
    if "write" in do:
        return b"".join(codec.write(profile.properties[name], value) for name, value in do["write"].items())
    if "stop" in do:
        assert profile.safety
        return b"".join(codec.stop(profile.actions[profile.safety.stop], 0))
    return b""
