"""What is wrong with this PC as a lab PC, cause by cause, each with its fix; looks, changes nothing.

`Machine` is what the checks ask of the operating system, so that tests can hand in another one.
"""

from __future__ import annotations

import importlib.util
import os
import re
import socket
import ssl
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from labkit import codecs
from labkit.binding import Choice
from labkit.codecs import Lacking, Reported
from labkit.errors import LabkitError, LinkDown
from labkit.lab import Lab, LabDevice
from labkit.links import DEFAULT_BROKER, MQTT_PORT, Broker, BrokerAddress, GuardedPort
from labkit.links.text import Pushes, TextAddress
from labkit.ports import SCHEMES, Listing, Name, SerialPort, parse_name

FIX, WATCH = "fix", "watch"
CONNECT_S = 4.0
PROBE_S = 4.0
# USB ids of bridge chips and boards → the kernel module that makes a port of them.
DRIVERS: Mapping[str, str] = {
    "1a86:7523": "ch341", "1a86:5523": "ch341", "1a86:7522": "ch341", "1a86:55d4": "cdc_acm",
    "10c4:ea60": "cp210x", "10c4:ea70": "cp210x",
    "0403:6001": "ftdi_sio", "0403:6010": "ftdi_sio", "0403:6014": "ftdi_sio", "0403:6015": "ftdi_sio",
    "067b:2303": "pl2303", "067b:23a3": "pl2303",
    "2341:0043": "cdc_acm", "2341:0001": "cdc_acm", "2341:0042": "cdc_acm", "2a03:0043": "cdc_acm",
    "0d28:0204": "cdc_acm", "303a:1001": "cdc_acm", "303a:4001": "cdc_acm",
}  # fmt: skip
# Nobody is told to join these.
NO_GROUPS = frozenset({"", "root", "wheel", "nogroup"})
VIDEO_PACKAGES = ("cv2", "mediapipe", "numpy")
WRONG_LOGIN = ("not authorized", "bad user name or password", "bad username or password")


@dataclass(frozen=True)
class Trouble:
    """One cause and its fix; ``subject`` is the port, device or address; ``level`` is ``fix`` or ``watch``."""

    code: str
    subject: str
    zh: str
    fix_zh: str
    en: str
    fix_en: str
    level: str = FIX


@dataclass(frozen=True)
class UsbDevice:
    """A USB device as the kernel sees it; ``tty`` whether a driver has made a serial port of it."""

    kind: str
    location: str
    title: str
    tty: bool


@dataclass(frozen=True)
class Holder:
    """A process that has a port open."""

    pid: int
    name: str
    ours: bool = False


@dataclass(frozen=True)
class Machine:
    """What the checks ask of the operating system."""

    ports: Listing
    usb: Callable[[], Sequence[UsbDevice]]
    may_open: Callable[[str], bool]
    group: Callable[[str], str]
    holders: Callable[[str], Sequence[Holder]]
    has_module: Callable[[str], bool]
    has_package: Callable[[str], bool]
    running: Callable[[str], bool]


def this_machine(ports: Listing, proc: Path = Path("/proc"), sys_folder: Path = Path("/sys")) -> Machine:
    """This PC (Linux; on others only ports and packages are looked at)."""
    return Machine(
        ports=ports,
        usb=lambda: usb_devices(sys_folder),
        may_open=lambda path: os.access(path, os.R_OK | os.W_OK),
        group=_group,
        holders=lambda path: holders(path, proc),
        has_module=lambda name: (sys_folder / "module" / name).is_dir(),
        has_package=lambda name: importlib.util.find_spec(name) is not None,
        running=lambda name: any(_line(p / "comm") == name for p in proc.glob("[0-9]*")),
    )


def usb_devices(sys_folder: Path) -> tuple[UsbDevice, ...]:
    """All USB devices below ``/sys/bus/usb/devices``."""
    found = []
    for folder in sorted((sys_folder / "bus" / "usb" / "devices").glob("*")):
        vid, pid = _line(folder / "idVendor"), _line(folder / "idProduct")
        if vid and pid:
            tty = any(folder.glob(f"{folder.name}:*/tty*"))
            found.append(UsbDevice(f"{vid}:{pid}".lower(), folder.name, _line(folder / "product"), tty))
    return tuple(found)


def holders(path: str, proc: Path) -> tuple[Holder, ...]:
    """Who has a port open: by the open files of processes that we may see, and by the locks that all may see."""
    real = os.path.realpath(path)
    pids = _lockers(real, proc)
    if not real.startswith("/dev/pts/"):  # a simulator keeps both ends of its pty open; who uses it has locked it
        pids |= {int(p.name) for p in proc.glob("[0-9]*") if any(_link(fd) == real for fd in _entries(p / "fd"))}
    return tuple(_holder(pid, proc) for pid in sorted(pids - {os.getpid()}))


def _lockers(path: str, proc: Path) -> set[int]:
    try:
        status = os.stat(path)
        locks = (proc / "locks").read_text("ascii")
    except OSError:
        return set()
    wanted = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
    rows = [line.replace("-> ", "").split() for line in locks.splitlines()]
    return {int(row[4]) for row in rows if len(row) > 5 and row[5] == wanted and row[4].isdigit()}


def _holder(pid: int, proc: Path) -> Holder:
    try:
        words = (proc / str(pid) / "cmdline").read_bytes().decode("utf-8", "replace").split("\0")
    except OSError:
        words = []
    return Holder(pid, _line(proc / str(pid) / "comm") or "?", "labkit.guard" in words)


def _entries(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []


def _link(path: Path) -> str:
    try:
        return os.readlink(path)
    except OSError:
        return ""


def _line(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace").strip()
    except OSError:
        return ""


def _group(path: str) -> str:
    try:
        return Path(path).group() if os.name == "posix" else ""
    except (KeyError, OSError):
        return ""


# Checks: each gives the troubles of one kind.


def check_drivers(machine: Machine) -> Iterator[Trouble]:
    """A known board without a port: its kernel module is missing, or brltty has taken it."""
    for device in machine.usb():
        module = DRIVERS.get(device.kind)
        if module is None or device.tty:
            continue
        subject = f"{device.title or device.kind}（{device.location}）"
        if module in ("ch341", "cp210x") and machine.running("brltty"):
            yield Trouble(
                "brltty", subject,
                f"{device.kind} 被盲文程序 brltty 占走了", "卸载它：sudo apt remove brltty，再重新插一次",
                f"{device.kind} is taken by brltty", "remove it: sudo apt remove brltty, then plug in again",
            )  # fmt: skip
        elif machine.has_module(module):
            yield Trouble(
                "no-port", subject,
                f"驱动 {module} 已装入，但没有出现串口", "拔下再插；仍不行就换一个插口或数据线",
                f"{module} is loaded, but there is no port", "plug it in again; else another socket or cable",
            )  # fmt: skip
        else:
            yield Trouble(
                "no-driver", subject,
                f"缺驱动：内核模块 {module} 没有装入", f"运行 sudo modprobe {module}；没有这个模块就更新系统内核",
                f"driver missing: kernel module {module} is not loaded",
                f"sudo modprobe {module}; if there is none, update the kernel",
            )  # fmt: skip


def check_ports(machine: Machine, lab: Lab | None, choices: Mapping[str, Choice]) -> Iterator[Trouble]:
    """No device at all, or one of the lab file that is not there."""
    wanted = [d for d in lab.devices if _has_port(d)] if lab else []
    usable = [p for p in machine.ports() if p.kind]
    if lab is None and not usable and not any(d.kind in DRIVERS for d in machine.usb()):
        yield Trouble(
            "no-devices", "USB",
            "没有找到任何小车或开发板", "打开电源，用数据线（不是只能充电的线）接上；集线器要有自己的电源",
            "no kit found", "switch it on, use a data cable (not a charge-only one); the hub needs a power supply",
        )  # fmt: skip
    for device in wanted:
        if choices[device.id].port is None:
            nameless = _nameless(device, usable)
            if nameless:
                yield nameless
                continue
            if device.scheme == "sim":
                yield Trouble(
                    "not-simulated", named(device), "是模拟设备，模拟器没有在运行（或用了另一个运行目录）",
                    "启动模拟器：labkit simulate --lab lab.yaml --run-dir …，运行目录与网关的相同",
                    "is simulated, but no simulator runs (or in another run directory)",
                    "labkit simulate --lab lab.yaml --run-dir …, the gateway's own run directory",
                )  # fmt: skip
                continue
            yield Trouble(
                "not-plugged", named(device),
                f"{device.url} 上没有设备", "插上它的数据线并打开电源；换过插口或板子就改 lab.yaml 里的 url",
                f"nothing at {device.url}", "plug its data cable in, switch it on; or correct the url in lab.yaml",
            )  # fmt: skip


def _nameless(device: LabDevice, usable: Sequence[SerialPort]) -> Trouble | None:
    """A device that is named by a serial number which its board does not have for itself."""
    name = parse_name(device.url) if device.scheme in SCHEMES else Name()
    alike = [p.location for p in usable if name.serial and p.kind == name.kind and not p.serial]
    if not alike:
        return None
    sockets = "、".join(f"hub:{location}" for location in alike)
    return Trouble(
        "no-serial", named(device),
        f"插着的 {name.kind} 板子没有自己的序列号（厂家给每块都写了一样的），认不出 {name.serial}",
        f"在 lab.yaml 里改用插口：{sockets}",
        f"the boards {name.kind} that are plugged in have no serial number of their own", f"name the socket: {sockets}",
    )  # fmt: skip


def check_cameras(machine: Machine, lab: Lab | None) -> Iterator[Trouble]:
    """USB cameras that are not there, or that this user may not open."""
    for device in lab.devices if lab else ():
        path = unquote(urlsplit(device.url).path)
        if device.scheme == "v4l2" and not os.path.exists(path):
            yield Trouble(
                "no-camera", named(device),
                f"没有 {path}", "插上摄像头；换过插口就用 /dev/v4l/by-id/ 下的名字",
                f"there is no {path}", "plug the camera in; use its name below /dev/v4l/by-id/",
            )  # fmt: skip
        elif device.scheme == "v4l2":
            yield from check_access(machine, [SerialPort(path)])


def check_access(machine: Machine, ports: Iterable[SerialPort]) -> Iterator[Trouble]:
    """Ports that this user may not open."""
    for port in ports:
        if not machine.may_open(port.path):
            group = machine.group(port.path)
            group = group if group not in NO_GROUPS else "dialout"
            yield Trouble(
                "no-permission", port.path,
                f"没有权限打开 {port.path}", f"运行 sudo usermod -aG {group} $USER，然后注销再登录",
                f"no permission for {port.path}", f"sudo usermod -aG {group} $USER, then log out and in",
            )  # fmt: skip


def check_busy(machine: Machine, ports: Iterable[SerialPort]) -> Iterator[Trouble]:
    """Ports that another program has open; our own guards are no trouble."""
    for port in ports:
        others = [h for h in machine.holders(port.path) if not h.ours]
        if others:
            who = "、".join(f"{h.name}（进程 {h.pid}）" for h in others)
            yield Trouble(
                "busy", port.path,
                f"{port.path} 被 {who} 占用", f"关掉 {others[0].name}（Arduino IDE、mBlock、串口助手等），再试",
                f"{port.path} is used by {', '.join(f'{h.name} ({h.pid})' for h in others)}",
                f"close {others[0].name}, then try again",
            )  # fmt: skip


def check_video(machine: Machine, lab: Lab | None) -> Iterator[Trouble]:
    """Packages that cameras need; to fix only where the lab has a camera."""
    missing = [name for name in VIDEO_PACKAGES if not machine.has_package(name)]
    cameras = [d for d in lab.devices if d.profile.transport.type == "vision"] if lab else []
    if missing and (cameras or lab is None):
        yield Trouble(
            "no-video", "、".join(missing),
            f"没有安装视频组件 {'、'.join(missing)}", "按安装说明装齐锁定文件里的组件：pip install --require-hashes -r requirements.lock",
            f"video packages missing: {', '.join(missing)}", "pip install --require-hashes -r requirements.lock",
            FIX if cameras else WATCH,
        )  # fmt: skip


def _listens(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), CONNECT_S / 4).close()
    except OSError:
        return False
    return True


def check_broker(address: BrokerAddress) -> Iterator[Trouble]:
    """No such host, nobody listens, a wrong certificate, a wrong password."""
    where = f"{address.host}:{address.port}"
    try:
        with socket.create_connection((address.host, address.port), CONNECT_S) as line:
            if address.tls:
                context = ssl.create_default_context(cafile=address.ca or None)
                context.wrap_socket(line, server_hostname=address.host).close()
    except socket.gaierror:
        yield Trouble(
            "no-host", where, f"找不到服务器 {address.host}", "检查 --broker 的地址，或改用服务器的 IP 地址",
            f"no such host {address.host}", "check --broker, or use the server's IP address",
        )  # fmt: skip
        return
    except ssl.SSLError as error:
        yield Trouble(
            "bad-certificate", where, f"证书不对：{error.reason}", "用 --ca 指向学校的 CA 证书，地址要与证书一致",
            f"wrong certificate: {error.reason}", "name the school CA with --ca; the address must be the certificate's",
        )  # fmt: skip
        return
    except (OSError, ValueError) as error:
        usual = {urlsplit(DEFAULT_BROKER).port or MQTT_PORT, MQTT_PORT} - {address.port}
        answers = next((port for port in sorted(usual, reverse=True) if _listens(address.host, port)), None)
        if answers:
            url = f"mqtt://{address.host}:{answers}"
            yield Trouble(
                "other-port", where, f"{where} 没有消息代理，但 {address.host}:{answers} 有", f"加上 --broker {url}（或 LABKIT_BROKER={url}）",
                f"no broker at {where}, but one at {address.host}:{answers}", f"add --broker {url} (or LABKIT_BROKER={url})",
            )  # fmt: skip
            return
        yield Trouble(
            "no-broker", where, f"连不上消息代理 {where}（{error}）", "在服务器上启动智课（lms up）；检查网线、防火墙和端口",
            f"no broker at {where} ({error})", "start the server (lms up); check cable, firewall and port",
        )  # fmt: skip
        return
    yield from _check_login(address, where)


def _check_login(address: BrokerAddress, where: str) -> Iterator[Trouble]:
    broker = Broker(address, f"doctor-{os.getpid()}", lambda _: None, lambda: None)
    broker.start()
    try:
        broker.wait(CONNECT_S)
    except LabkitError as error:
        if any(text in error.en.lower() for text in WRONG_LOGIN):
            yield Trouble(
                "wrong-password", where, f"用户名或密码不对（{address.username or '没有给用户名'}）",
                "在服务器上运行 lms labs credential gw-…，把密码放进 LABKIT_PASSWORD",
                f"wrong user name or password ({address.username or 'none given'})",
                "run lms labs credential gw-… on the server, put the password into LABKIT_PASSWORD",
            )  # fmt: skip
        else:
            yield Trouble(
                "no-answer", where, f"{where} 没有按 MQTT 回应：{error.zh}", "检查端口：MQTT 是 1883，加密的是 8883",
                f"{where} does not answer as MQTT: {error.en}", "check the port: MQTT is 1883, with TLS 8883",
            )  # fmt: skip
    finally:
        broker.stop()


@dataclass(frozen=True)
class Answer:
    """What a kit made of the probe: ``reached`` the line opened, ``version`` what it says it is, ``told`` it tells its state too."""

    reached: bool = False
    version: str | None = None
    told: bool = False


def check_firmware(pairs: Sequence[tuple[LabDevice, SerialPort | TextAddress]]) -> Iterator[Trouble]:
    """Open each line through a guard (which stops the kit), ask for the firmware, compare it with the profile; all at once."""
    answers: dict[str, Answer] = {}
    pushes = Pushes()
    threads = [
        threading.Thread(target=lambda d=d, p=p: answers.update({d.id: ask_firmware(d, p, pushes)}), daemon=True)
        for d, p in pairs
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    pushes.close()
    for device, place in pairs:
        answer = answers.get(device.id, Answer())
        if isinstance(place, TextAddress):
            yield from judge_text_kit(device, place, answer)
        else:
            yield from judge_firmware(device, place.path, answer.version)


def ask_firmware(device: LabDevice, place: SerialPort | TextAddress, pushes: Pushes) -> Answer:
    """What the kit says it is; it has 4 s to answer after opening."""
    profile, over, reached, told = device.profile, threading.Event(), threading.Event(), threading.Event()
    versions: list[str] = []
    codec = codecs.create(profile.transport.codec, profile, device.parameters)
    text = isinstance(place, TextAddress)
    waits = isinstance(place, TextAddress) and place.push_port > 0

    def receive(data: bytes) -> None:
        for event in codec.feed(data):
            if isinstance(event, (Reported, Lacking)) and event.property == profile.match.probe:
                versions.append(str(event.value) if isinstance(event, Reported) else event.answer[:40])
                if told.is_set() or not waits:
                    over.set()

    def note(event: dict[str, object]) -> None:
        if event.get("event") == "open":
            reached.set()
            opening = b"" if text else codec.opening()
            port.write(opening + codec.read(profile.properties[profile.match.probe]))
        elif event.get("event") == "exit":
            over.set()

    def push(_data: bytes) -> None:
        told.set()
        if versions:
            over.set()

    port = GuardedPort(receive, note)
    safety = profile.safety
    stop = codec.stop(profile.actions[safety.stop], safety.resync_before_stop) if safety else ()
    repeat = safety.repeat_stop if safety else 1
    if isinstance(place, TextAddress):
        try:
            pushes.listen(place, push)
        except LinkDown:
            return Answer()
        port.open(place.url, 0, device.settle_ms, stop, repeat, getattr(codec, "numbers_from", 0))
    else:
        port.open(Path(place.path), profile.transport.baud, device.settle_ms, stop, repeat)
    over.wait(PROBE_S + device.settle_ms / 1000)
    port.close()
    return Answer(reached.is_set(), versions[0] if versions else None, told.is_set())


def judge_firmware(device: LabDevice, path: str, version: str | None) -> Iterator[Trouble]:
    """Compare a firmware with what the profile (or the lab file) asks for."""
    if version is None:
        yield Trouble(
            "no-firmware", named(device), f"{path} 上的板子没有按 {device.profile.title.zh} 回应",
            "打开电源；看 lab.yaml 里的 profile 是否选对；还不行就重新烧录固件",
            f"the board at {path} does not answer as {device.profile.title.en}",
            "switch it on; check its profile in lab.yaml; else flash its firmware",
        )  # fmt: skip
    elif not re.search(device.pattern, version):
        yield Trouble(
            "wrong-firmware", named(device), f"固件不对：读到 {version}，应符合 {device.pattern}",
            f"给 {device.profile.title.zh} 重新烧录出厂固件，或在 lab.yaml 换成对的 profile",
            f"wrong firmware: read {version}, expected {device.pattern}",
            "flash the factory firmware, or name the right profile in lab.yaml",
        )  # fmt: skip


def judge_text_kit(device: LabDevice, place: TextAddress, answer: Answer) -> Iterator[Trouble]:
    """A kit on the Wi-Fi: not there, silent, another firmware, or its state does not get through."""
    subject, title = named(device), device.profile.title
    if not answer.reached:
        yield Trouble(
            "not-reached", subject, f"连不上 {place.url}",
            "打开电源；让这台电脑和它在同一个 Wi-Fi（多数套件自己就是热点）；用 ping 核对 lab.yaml 里的地址",
            f"cannot reach {place.url}", "switch it on; join its Wi-Fi with this PC; check the address in lab.yaml",
        )  # fmt: skip
    elif answer.version is None:
        yield Trouble(
            "no-firmware", subject, f"{place.url} 没有按 {title.zh} 的 SDK 回应",
            "打开电源；关掉正在连它的 App 和别的电脑；看 lab.yaml 里的地址和 profile 是否选对",
            f"{place.url} does not answer as the SDK of {title.en}",
            "switch it on; close the app or PC that holds it; check address and profile in lab.yaml",
        )  # fmt: skip
    elif not re.search(device.pattern, answer.version):
        yield Trouble(
            "wrong-firmware", subject, f"固件不对：读到 {answer.version}，应符合 {device.pattern}",
            f"用厂家的 App 升级 {title.zh} 的固件，或在 lab.yaml 换成对的 profile",
            f"wrong firmware: read {answer.version}, expected {device.pattern}",
            "update it with its maker's app, or name the right profile in lab.yaml",
        )  # fmt: skip
    elif place.push_port and not answer.told:
        yield Trouble(
            "no-state", subject, f"它有回应，但 UDP {place.push_port} 端口收不到它的状态（电量、高度、是否停下）",
            f"让防火墙放行 UDP {place.push_port}；关掉占用这个端口的程序",
            f"it answers, but its state does not come in at UDP {place.push_port}",
            f"let the firewall pass UDP {place.push_port}; close the program that uses that port",
        )  # fmt: skip


def text_kits(devices: Iterable[LabDevice], run_dir: Path) -> tuple[list[tuple[LabDevice, TextAddress]], list[Trouble]]:
    """The text kits of a lab file and where they are; a wrong address, a busy state port and a missing simulator are troubles."""
    found: list[tuple[LabDevice, TextAddress]] = []
    troubles: list[Trouble] = []
    for device in devices:
        if device.profile.transport.type not in ("tcp", "udp"):
            continue
        try:
            place = TextAddress.find(device, run_dir)
        except LabkitError as error:
            fix = ("改 lab.yaml 里的 url", "correct the url in lab.yaml")
            troubles.append(Trouble("bad-address", named(device), error.zh, fix[0], error.en, fix[1]))
            continue
        if place is None:
            troubles.append(
                Trouble(
                    "not-reached", named(device), "模拟设备没有运行", "运行 labkit simulate，--run-dir 与网关相同",
                    "its simulator does not run", "run labkit simulate with the gateway's --run-dir",
                )
            )  # fmt: skip
        else:
            found.append((device, place))
    return found, troubles


def probeable(
    devices: Iterable[LabDevice], choices: Mapping[str, Choice], bad: set[str]
) -> list[tuple[LabDevice, SerialPort]]:
    """Devices on serial ports without other trouble whose profile can be probed."""
    found = []
    for device in devices:
        port = choices[device.id].port if device.id in choices else None
        if port and port.path not in bad and device.profile.match.probe and device.profile.transport.type == "serial":
            found.append((device, port))
    return found


def named(device: LabDevice) -> str:
    """``07 号（mbot-07）``, or its id."""
    return f"{device.sticker} 号（{device.id}）" if device.sticker else device.id


def _has_port(device: LabDevice) -> bool:
    return device.profile.transport.type == "serial" and device.scheme in (*SCHEMES, "serial", "sim")
