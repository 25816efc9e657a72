"""Lab check before the lesson (课前检查): what is known of each device → what to fix, by seat and sticker number; pure.

A robot is well when its gateway is there, it is ready, nothing is alerted, its readings are fresh, its battery lasts a lesson
and it has proved a stop just now.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from labkit import health
from labkit.homie import value_topic
from labkit.model import Kind, State

FIX, WATCH = "fix", "watch"
LESSON_BATTERY = 40.0
CLOCK = "clock"  # the gateway's alert, said once for all its devices

# Alert id → the gateway's bare reason, and what to do about it in Chinese and English. An alert that says anything else says more
# than we know here, and is told as it stands.
REMEDIES: Mapping[str, tuple[str, str, str]] = {
    "unplugged": (
        "没有插上或线松了",
        "没有插上：把数据线插回电脑（只能充电的线不行），打开小车电源",
        "unplugged: plug the data cable in (a charge-only cable will not do), switch the kit on",
    ),
    "not-opened": (
        "串口打不开：被别的程序占用，或没有权限",
        "串口打不开：关掉占用它的程序（如 Arduino IDE、mBlock）；没有权限时运行 labkit doctor",
        "port not opened: close the program that uses it (Arduino IDE, mBlock); without permission run labkit doctor",
    ),
    "unreachable": (
        "连不上：没有开机，或不在同一个网络",
        "连不上：打开电源，看它和这台电脑是否在同一个 Wi-Fi，地址有没有变",
        "cannot be reached: switch it on, look whether it is in this PC's Wi-Fi and still has its address",
    ),
    "no-answer": (
        "没有回应",
        "没有回应：打开电源开关，拔下数据线再插上",
        "no answer: switch it on, pull the cable and plug it in again",
    ),
    "lost": (
        "失去连接",
        "联系不上：打开电源，看它是否连上了教室的 Wi-Fi",
        "lost: switch it on, look whether it is in the room's Wi-Fi",
    ),
    "camera": (
        "摄像头打不开或已断开",
        "摄像头打不开：检查摄像头的线和地址",
        "camera not opened: check its cable and address",
    ),
    "stale": (
        "画面已停止更新",
        "画面不动：拔下摄像头再插上",
        "the picture is frozen: plug the camera in again",
    ),
}
# Alerts that name what they read: the English of what to do (their own text is Chinese).
TELLING: Mapping[str, str] = {
    "firmware": "wrong firmware: flash the factory firmware",
    "unconfirmed": "perhaps another board: see which one it is, then confirm; not driven until confirmed",
    "abilities": "old firmware, some abilities are missing: flash the factory firmware",
}


@dataclass(frozen=True)
class Facts:
    """What is known of one device.

    ``state`` None = never seen; ``root`` its gateway's state; ``alerts`` by id; ``values`` by ``node/property`` as on the
    bus; ``proved`` whether it proved a stop just now (None = not asked), ``why`` the gateway's reason when it did not.
    """

    device: str
    kind: Kind
    sticker: str = ""
    seat: str = ""
    title: str = ""
    gateway: str = ""
    state: State | None = None
    root: State | None = None
    alerts: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[str, str] = field(default_factory=dict)
    proved: bool | None = None
    why: str = ""

    def number(self, name: str, node: str = health.NODE) -> float | None:
        """A reading as a number; None when there is none."""
        try:
            return float(self.values[f"{node}/{name}"])
        except (KeyError, ValueError):
            return None


@dataclass(frozen=True)
class Finding:
    """One thing to do about one device; ``level``: ``fix`` before the lesson, or ``watch``."""

    device: str
    sticker: str
    seat: str
    level: str
    code: str
    zh: str
    en: str

    @property
    def where(self) -> str:
        """``座位 03 · 07 号`` in Chinese, as far as known."""
        named = [f"座位 {self.seat}" if self.seat else "", f"{self.sticker} 号" if self.sticker else self.device]
        return " · ".join(part for part in named if part)

    @property
    def where_en(self) -> str:
        """The same in English."""
        named = [f"seat {self.seat}" if self.seat else "", f"no. {self.sticker}" if self.sticker else self.device]
        return " · ".join(part for part in named if part)


def judge(facts: Iterable[Facts]) -> list[Finding]:
    """Everything to fix or to watch, by seat and sticker; a gateway that is gone is said once, not for each of its kits."""
    known = list(facts)
    gone = {f.gateway for f in known if f.gateway and f.root not in (State.READY, State.INIT)}
    found = [
        Finding(
            gateway, "", "", FIX, "gateway",
            f"网关 {gateway} 没有运行：在接着小车的电脑上启动它（labkit serve）",
            f"gateway {gateway} is not running: start it on the PC with the kits (labkit serve)",
        )
        for gateway in sorted(gone)
    ]  # fmt: skip
    clocks = {f.gateway: f.alerts[CLOCK] for f in known if f.gateway and CLOCK in f.alerts}
    found += [
        Finding(
            gateway, "", "", WATCH, CLOCK, f"{gateway} {text}", f"the clock of {gateway} is wrong: let it set itself"
        )
        for gateway, text in sorted(clocks.items())
    ]
    for one in sorted(known, key=lambda f: (_natural(f.seat), _natural(f.sticker), f.device)):
        if one.gateway not in gone:
            found.extend(Finding(one.device, one.sticker, one.seat, *rest) for rest in _judge(one))
    return found


def _natural(text: str) -> list[tuple[int, str]]:
    """Sorts ``9`` before ``10``, and ``A9`` before ``A10``."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", text) if part]


def _judge(one: Facts) -> list[tuple[str, str, str, str]]:
    """Level, code, Chinese, English of one device."""
    if one.kind is Kind.TERMINAL and one.state is State.LOST:
        return [
            (
                WATCH,
                "terminal",
                "电脑掉线了：看看网线和电源，重新打开网页",
                "the PC is gone: check its network and power",
            )
        ]
    found = [_alerted(alert, text) for alert, text in sorted(one.alerts.items()) if alert not in ("battery", CLOCK)]
    if one.state is not State.READY and not _must_fix(found):
        found.append(_not_ready(one.state))
    if one.proved is False and not _must_fix(found):
        zh = "停车没有得到确认，先不要用：检查电源和数据线"
        reason = f"（{one.why}）" if one.why else ""
        found.append((FIX, "stop", zh + reason, "its stop was not confirmed, do not use it: check power and cable"))
    charge = one.number(health.BATTERY)
    charge = one.number(health.BATTERY, "main") if charge is None else charge
    if charge is not None and charge < health.LOW_BATTERY:
        found.append((FIX, "battery", f"电量只剩 {charge:.0f}%：充电或换电池", f"battery at {charge:.0f} %: charge it"))
    elif charge is not None and charge < LESSON_BATTERY:
        found.append((WATCH, "battery", f"电量 {charge:.0f}%，可能撑不到下课", f"battery at {charge:.0f} %"))
    if not found:
        found.extend(_slow(one))
    return found


def _must_fix(found: list[tuple[str, str, str, str]]) -> bool:
    return any(level == FIX for level, *_ in found)


def _alerted(alert: str, text: str) -> tuple[str, str, str, str]:
    """The remedy where the alert only says what is wrong; else its own words, which name the cause."""
    if alert == "abilities":
        return WATCH, alert, f"固件太旧，有的功能不能用：重新烧录出厂固件（{text}）", TELLING[alert]
    return FIX, alert, *remedy(alert, text)


def remedy(alert: str, text: str) -> tuple[str, str]:
    """What to say of an alert, in Chinese and English: "what is wrong: what to do"."""
    bare, zh, en = REMEDIES.get(alert, ("", "", ""))
    if bare and text.endswith(bare):  # a board of its own has its name before it
        return zh, en
    return text, TELLING.get(alert, text)


def _not_ready(state: State | None) -> tuple[str, str, str, str]:
    if state is None:
        return FIX, "unseen", "还没有出现过：打开电源，接好线", "never seen: switch it on and connect it"
    if state is State.INIT:
        return (
            FIX,
            "not-ready",
            "还没准备好：等几秒再检查，仍不行就重新插拔",
            "not ready yet: wait, then plug it in again",
        )
    _, zh, en = REMEDIES["lost"] if state is State.LOST else ("", "已断开：打开电源", "disconnected: switch it on")
    return FIX, state.value, zh, en


def _slow(one: Facts) -> Iterable[tuple[str, str, str, str]]:
    trip, age = one.number(health.ROUND_TRIP), one.number(health.READING_AGE)
    reconnects = one.number(health.RECONNECTS)
    if trip is not None and trip > health.SLOW_MS:
        yield (
            WATCH,
            "slow",
            f"反应慢（往返 {trip:.0f} 毫秒）：换一个插口或靠近路由器",
            f"slow: round trip {trip:.0f} ms",
        )
    if age is not None and age > health.OLD_READING_S:
        yield WATCH, "old", f"读数停了 {age:.0f} 秒：重新插拔", f"no reading for {age:.0f} s: plug it in again"
    if reconnects is not None and reconnects >= health.MANY_RECONNECTS:
        yield (
            WATCH,
            "loose",
            f"断开又连上 {reconnects:.0f} 次：线松了，换一根",
            f"{reconnects:.0f} reconnects: loose cable",
        )


def alerts_of(
    device: str, own: Mapping[str, str], gateway: Mapping[str, str], devices: Iterable[str]
) -> dict[str, str]:
    """The alerts of a device: its own, ``<device>-<alert>`` of its gateway (a board of its own has no other voice), and its gateway's clock."""
    found = {**own, CLOCK: gateway[CLOCK]} if CLOCK in gateway else dict(own)
    names = sorted(devices, key=len, reverse=True)
    for alert, text in gateway.items():
        named = next((name for name in names if alert.startswith(f"{name}-")), None)
        if named == device:
            found[alert.removeprefix(f"{device}-")] = text
    return found


def stop_topics(room: str) -> tuple[str, str]:
    """Where a stop is asked for, and where gateways report it."""
    return f"zhike/room/{room}/stop", f"zhike/room/{room}/stopped"


def health_topic(device: str, name: str) -> str:
    """The topic of one health property."""
    return value_topic(device, name, health.NODE)
