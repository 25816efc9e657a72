"""Each thing that can be wrong with a lab PC is named with its fix."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from labkit import doctor
from labkit.binding import Choice
from labkit.doctor import Machine, Trouble, UsbDevice
from labkit.lab import Lab, LabDevice, load_lab
from labkit.links import DEFAULT_BROKER, BrokerAddress
from labkit.links.text import TextAddress
from labkit.ports import SerialPort
from labkit.profiles import load_profiles
from labkit.simulate import Fleet
from lms.config import Settings
from tests.effort import PATIENCE_S
from tests.labkit.brokers import ADMIN, ADMIN_PASSWORD, RunningBroker
from tests.labkit.gateway.rig import Rig
from tests.labkit.identity.bench import Bench
from tests.ports import free_ports

PORT = SerialPort("/dev/ttyUSB0", "1a86:7523", "", "1-1.4")
WELL = Machine(
    ports=lambda: (PORT,),
    usb=lambda: (UsbDevice("1a86:7523", "1-1.4", "USB Serial", True),),
    may_open=lambda _: True,
    group=lambda _: "dialout",
    holders=lambda _: (),
    has_module=lambda _: True,
    has_package=lambda _: True,
    running=lambda _: False,
)


def lab_of(folder: Path, *lines: str) -> Lab:
    path = folder / "lab.yaml"
    path.write_text("name: gw-lab1\nroom: lab1\ndevices:\n" + "".join(f"  - {one}\n" for one in lines))
    return load_lab(path)


def mbot(url: str = "hub:1-1.1", device: str = "mbot-7") -> str:
    return f'{{id: {device}, profile: makeblock-mbot, sticker: "07", settle_ms: 0, url: "{url}"}}'


def only(troubles: Iterator[Trouble]) -> Trouble:
    found = list(troubles)
    assert len(found) == 1, found
    return found[0]


def test_a_machine_that_is_well_has_no_trouble(tmp_path: Path) -> None:
    lab = lab_of(tmp_path, mbot("hub:1-1.4"))
    choices = {"mbot-7": Choice(PORT)}
    assert list(doctor.check_drivers(WELL)) == []
    assert list(doctor.check_ports(WELL, lab, choices)) == []
    assert list(doctor.check_access(WELL, [PORT])) == []
    assert list(doctor.check_busy(WELL, [PORT])) == []
    assert list(doctor.check_video(WELL, lab)) == []


def test_no_devices() -> None:
    found = only(doctor.check_ports(replace(WELL, ports=lambda: (), usb=lambda: ()), None, {}))
    assert (found.code, found.level) == ("no-devices", "fix") and "数据线" in found.fix_zh


def test_a_device_of_the_lab_that_is_not_there(tmp_path: Path) -> None:
    found = only(doctor.check_ports(WELL, lab_of(tmp_path, mbot()), {"mbot-7": Choice()}))
    assert found.code == "not-plugged" and found.subject == "07 号（mbot-7）" and "hub:1-1.1" in found.zh


def test_a_simulated_device_needs_its_simulator_and_no_cable(tmp_path: Path) -> None:
    found = only(doctor.check_ports(WELL, lab_of(tmp_path, mbot("sim://pty")), {"mbot-7": Choice()}))
    assert found.code == "not-simulated" and "labkit simulate" in found.fix_zh and "数据线" not in found.fix_zh


def test_the_default_broker_is_the_products_own() -> None:
    assert BrokerAddress.parse(DEFAULT_BROKER).port == Settings.mqtt_port


def test_a_serial_number_that_its_board_does_not_have_for_itself(tmp_path: Path) -> None:
    lab = lab_of(tmp_path, mbot("usb:1a86:7523:0001"))
    found = only(doctor.check_ports(WELL, lab, {"mbot-7": Choice()}))
    assert found.code == "no-serial" and "hub:1-1.4" in found.fix_zh


def test_cameras_that_are_not_there_or_not_allowed(tmp_path: Path) -> None:
    camera = tmp_path / "video0"
    lab = lab_of(tmp_path, f'{{id: cam-1, profile: generic-camera, url: "v4l2://{camera}"}}')
    assert only(doctor.check_cameras(WELL, lab)).code == "no-camera"
    camera.touch()
    assert list(doctor.check_cameras(WELL, lab)) == []
    denied = replace(WELL, may_open=lambda _: False, group=lambda _: "video")
    assert "usermod -aG video" in only(doctor.check_cameras(denied, lab)).fix_zh


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root can become somebody else")
def test_no_permission_as_the_system_says_it() -> None:
    master, slave = os.openpty()
    path = os.ttyname(slave)
    told = []
    for mode in (0o600, 0o666):
        os.chmod(path, mode)
        script = (
            "import grp, os; from labkit import doctor; from labkit.ports import SerialPort\n"
            "machine = doctor.this_machine(lambda: ())\n"
            "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
            f"print([(t.code, t.fix_zh) for t in doctor.check_access(machine, [SerialPort({path!r})])])"
        )
        told.append(subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout)
    os.close(master)
    os.close(slave)
    assert "no-permission" in told[0] and "usermod -aG" in told[0] and "-aG root" not in told[0]
    assert told[1].strip() == "[]"


def test_no_permission() -> None:
    found = only(doctor.check_access(replace(WELL, may_open=lambda _: False), [PORT]))
    assert found.code == "no-permission" and "usermod -aG dialout" in found.fix_zh


@pytest.mark.parametrize(("kind", "module"), [("1a86:7523", "ch341"), ("10c4:ea60", "cp210x")])
def test_missing_driver(tmp_path: Path, kind: str, module: str) -> None:
    folder = tmp_path / "bus" / "usb" / "devices" / "1-1.4"
    (folder / "1-1.4:1.0").mkdir(parents=True)
    for name, value in zip(("idVendor", "idProduct"), kind.split(":"), strict=True):
        (folder / name).write_text(value + "\n")
    machine = doctor.this_machine(lambda: (), proc=tmp_path / "proc", sys_folder=tmp_path)
    found = only(doctor.check_drivers(machine))
    assert found.code == "no-driver" and f"modprobe {module}" in found.fix_zh and "1-1.4" in found.subject
    (tmp_path / "module" / module).mkdir(parents=True)
    assert only(doctor.check_drivers(machine)).code == "no-port"
    (tmp_path / "proc" / "77").mkdir(parents=True)
    (tmp_path / "proc" / "77" / "comm").write_text("brltty\n")
    assert only(doctor.check_drivers(machine)).code == "brltty"
    (folder / "1-1.4:1.0" / "ttyUSB0").mkdir()
    assert list(doctor.check_drivers(machine)) == []


def test_missing_video_packages_matter_where_there_is_a_camera(tmp_path: Path) -> None:
    bare = replace(WELL, has_package=lambda name: name != "mediapipe")
    camera = lab_of(tmp_path, '{id: cam-1, profile: generic-camera, url: "v4l2:///dev/video0"}')
    found = only(doctor.check_video(bare, camera))
    assert (found.code, found.level, found.subject) == ("no-video", "fix", "mediapipe")
    assert only(doctor.check_video(bare, None)).level == "watch"
    assert list(doctor.check_video(bare, lab_of(tmp_path, mbot()))) == []


def test_a_port_that_another_program_has_open(bench: Bench, tmp_path: Path) -> None:
    bench.plug("one", "1-1.1", "A")
    port = SerialPort(str(tmp_path / "dev" / "one"), "1a86:7523", "A", "1-1.1")
    machine = doctor.this_machine(lambda: (port,))
    # The bench holds both ends of the pty, as a simulator does; that is not using it.
    assert list(doctor.check_busy(machine, [port])) == []
    take = f"import serial,sys; p=serial.Serial({port.path!r}, exclusive=True); print('open', flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", take], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as taker:
        assert taker.stdout and taker.stdout.readline() == b"open\n"
        found = only(doctor.check_busy(machine, [port]))
        assert found.code == "busy" and str(taker.pid) in found.zh
        taker.communicate()
    assert list(doctor.check_busy(machine, [port])) == []


def test_broker_not_there_wrong_password_no_mqtt(broker: RunningBroker, monkeypatch: pytest.MonkeyPatch) -> None:
    port = broker.config.tcp_port
    right = BrokerAddress("127.0.0.1", port, ADMIN, ADMIN_PASSWORD)
    assert list(doctor.check_broker(right)) == []
    found = only(doctor.check_broker(replace(right, password="wrong")))
    assert found.code == "wrong-password" and "LABKIT_PASSWORD" in found.fix_zh
    found = only(doctor.check_broker(replace(right, port=free_ports(1)[0])))
    assert found.code == "no-broker" and "lms up" in found.fix_zh
    monkeypatch.setattr(doctor, "MQTT_PORT", port)
    found = only(doctor.check_broker(replace(right, port=free_ports(1)[0])))
    assert found.code == "other-port" and f"--broker mqtt://127.0.0.1:{port}" in found.fix_zh
    assert only(doctor.check_broker(replace(right, host="no-such-host.invalid"))).code == "no-host"
    assert only(doctor.check_broker(replace(right, tls=True))).code in ("bad-certificate", "no-broker")


def run(folder: Path, url: str, password: str, *words: str) -> tuple[int, dict[str, Any], str]:
    base = [sys.executable, "-m", "labkit.cli", "doctor", "--lab", str(folder / "lab.yaml"), "--run-dir", str(folder)]
    done = subprocess.run(
        [*base, "--broker", url, "--username", ADMIN, *words, "--json"],
        env={**os.environ, "LABKIT_PASSWORD": password}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    return done.returncode, json.loads(done.stdout), done.stderr


def test_the_command_names_wrong_firmware_a_dead_board_and_no_broker(bench: Bench, tmp_path: Path) -> None:
    lab_of(
        tmp_path,
        mbot(),
        mbot("hub:1-1.2", "mbot-8").replace("07", "08"),
        mbot("hub:1-1.3", "mbot-9").replace("07", "09"),
    )
    bench.plug("old", "1-1.1", "A", firmware="09.01.001")
    bench.plug("good", "1-1.2", "B")
    code, found, errors = run(tmp_path, f"mqtt://127.0.0.1:{free_ports(1)[0]}", "")
    assert code == 1, errors
    named = {(t["code"], t["subject"]) for t in found["troubles"] if t["code"] != "no-broker"}
    assert named == {("wrong-firmware", "07 号（mbot-7）"), ("not-plugged", "09 号（mbot-9）")}
    assert any(t["code"] == "no-broker" for t in found["troubles"])
    assert all(t["fix_zh"] and t["fix_en"] for t in found["troubles"])
    assert not (tmp_path / "bindings.json").exists(), "it looks, it changes nothing"


def test_a_running_gateway_is_asked_and_left_alone(make_lab: Callable[..., Rig], bench: Bench, tmp_path: Path) -> None:
    rig = make_lab(mbot(), mbot("hub:1-1.2", "mbot-8").replace("07", "08"))
    bench.plug("old", "1-1.1", "A", firmware="09.01.001")
    bench.plug("good", "1-1.2", "B")
    rig.serve()
    rig.ready("mbot-8")
    rig.wait(lambda: bool(rig.last("homie/5/mbot-7/$alert/firmware")), "firmware")
    url = f"mqtt://127.0.0.1:{rig.broker.config.tcp_port}"
    code, found, errors = run(tmp_path, url, ADMIN_PASSWORD)
    assert code == 1, errors
    assert [(t["code"], t["subject"]) for t in found["troubles"]] == [("wrong-firmware", "07 号（mbot-7）")]
    assert rig.last("homie/5/mbot-8/$state") == b"ready"
    bench.unplug("old")
    bench.plug("new", "1-1.1", "A")
    rig.ready("mbot-7")
    assert run(tmp_path, url, ADMIN_PASSWORD) == (0, {"ok": True, "troubles": []}, "")


def test_programs_are_found_by_their_open_files_too(tmp_path: Path) -> None:
    opened = tmp_path / "tty"
    with opened.open("w"), subprocess.Popen(
        [sys.executable, "-c", f"import sys; f=open({str(opened)!r}); print('open', flush=True); sys.stdin.read()"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as reader:  # fmt: skip
        assert reader.stdout and reader.stdout.readline() == b"open\n"
        found = doctor.holders(str(opened), Path("/proc"))
        assert [(one.pid, one.ours) for one in found] == [(reader.pid, False)]
        reader.communicate()


TEXT = {
    "ep-1": '{id: ep-1, profile: dji-robomaster-ep, url: "sim://tcp", simulate: {faults: %s}}',
    "tello-1": '{id: tello-1, profile: ryze-tello-tt, url: "sim://udp", simulate: {faults: %s}}',
}
SIMULATED = pytest.mark.parametrize(
    ("device", "faults", "code", "fix"),
    [
        ("ep-1", "{}", "", ""),
        ("ep-1", "{firmware: version 10.0}", "wrong-firmware", "App 升级"),
        ("ep-1", "{deaf: true}", "no-firmware", "关掉正在连它的 App"),
        ("tello-1", "{}", "", ""),
        ("tello-1", "{firmware: '13'}", "wrong-firmware", "App 升级"),
        ("tello-1", "{drop: 1}", "no-firmware", "打开电源"),
    ],
)


@SIMULATED
def test_text_kits_are_asked_who_they_are(tmp_path: Path, device: str, faults: str, code: str, fix: str) -> None:
    lab = lab_of(tmp_path, TEXT[device] % faults)
    with simulating(lab, tmp_path):
        pairs, lost = doctor.text_kits(lab.devices, tmp_path)
        found = [*lost, *doctor.check_firmware(pairs)]
    assert [one.code for one in found] == ([code] if code else [])
    assert all(fix in one.fix_zh and one.fix_en for one in found)


def test_huskylens_is_asked_too_and_another_camera_is_named(tmp_path: Path) -> None:
    husky = '{id: husky-1, profile: dfrobot-huskylens, settle_ms: 0, url: "sim://pty", simulate: {faults: %s}}'
    for faults, codes in (("{}", []), ("{firmware: other}", ["no-firmware"])):
        lab = lab_of(tmp_path, husky % faults)
        with simulating(lab, tmp_path):
            port = SerialPort(str(tmp_path / "dev" / "husky-1"))
            pairs = doctor.probeable(lab.devices, {"husky-1": Choice(port)}, set())
            assert [one.code for one in doctor.check_firmware(pairs)] == codes


def test_text_kits_that_are_not_there(tmp_path: Path) -> None:
    port = free_ports(1)[0]
    lab = lab_of(
        tmp_path,
        f'{{id: ep-1, profile: dji-robomaster-ep, sticker: "31", url: "tcp://127.0.0.1:{port}?push=0"}}',
        TEXT["tello-1"] % "{}",
    )
    pairs, lost = doctor.text_kits(lab.devices, tmp_path)
    assert [(one.code, one.subject) for one in lost] == [("not-reached", "tello-1")]
    found = only(doctor.check_firmware(pairs))
    assert (found.code, found.subject) == ("not-reached", "31 号（ep-1）") and "Wi-Fi" in found.fix_zh


def test_a_state_that_does_not_come_through_is_the_firewall() -> None:
    device = load_profiles()["ryze-tello-tt"]
    lab_device = SimpleNamespace(id="t", sticker="", profile=device, pattern=device.match.pattern)
    place = TextAddress("udp://10.0.0.1:8889", "10.0.0.1", 8890)
    found = only(doctor.judge_text_kit(cast(LabDevice, lab_device), place, doctor.Answer(True, "30", told=False)))
    assert found.code == "no-state" and "放行 UDP 8890" in found.fix_zh


@contextmanager
def simulating(lab: Lab, folder: Path) -> Iterator[None]:
    """The lab's devices, simulated in this process."""
    fleet = Fleet(lab, folder, BrokerAddress("127.0.0.1", 1))
    thread = threading.Thread(target=fleet.run, daemon=True)
    thread.start()
    yield
    fleet.stop()
    thread.join(PATIENCE_S)
