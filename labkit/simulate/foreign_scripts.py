"""What simulated boards of other makers say and obey, one script a convention; pure: messages in, messages out.

Each has the same bench: temperature (°C), humidity (%), a relay and a level 0–100, seeded. None has a deadman, for the real
boards have none; SIoT boards have no last will either.
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from labkit import homie
from labkit.boards import TOPIC_HREF, Space
from labkit.model import Datatype, Device, Node, Profile, Property


@dataclass(frozen=True, slots=True)
class Said:
    """A message of the board."""

    topic: str
    payload: str
    retain: bool = True
    qos: int = 1


class BenchTop:
    """The quantities of one board."""

    def __init__(self, seed: int) -> None:
        chance = random.Random(f"bench {seed}")
        self._phase, self._base = chance.uniform(0, math.tau), chance.uniform(19.0, 25.0)
        self.relay, self.level = False, 0

    def temperature(self, now: float) -> float:
        """Air, in °C; a slow wave around the room's own."""
        return round(self._base + 1.5 * math.sin(now / 60 + self._phase), 1)

    def humidity(self, now: float) -> float:
        """Air, in %."""
        return round(48.0 + 6 * math.sin(now / 90 + self._phase), 1)


class Script(Protocol):
    """One convention."""

    @property
    def will(self) -> Said | None:
        """What the broker says when the board is gone."""

    @property
    def subscriptions(self) -> tuple[str, ...]:
        """Where its orders come."""

    def hello(self, now: float) -> list[Said]:
        """After each connection."""

    def report(self, now: float) -> list[Said]:
        """The sensors."""

    def obey(self, topic: str, payload: str) -> list[Said]:
        """An order; what does not fit is ignored, as such firmware does."""

    def goodbye(self) -> list[Said]:
        """Switched off in order."""


class Homie4Script:
    """Homie 4.0: attributes one by one, then ``ready``."""

    def __init__(self, space: Space, bench: BenchTop) -> None:
        self._top, self._bench = f"homie/{space.base}", bench
        self.will = Said(f"{self._top}/$state", "lost")
        self.subscriptions = (f"{self._top}/+/+/set",)

    def hello(self, now: float) -> list[Said]:
        rows = {"$state": "init", "$homie": "4.0.0", "$name": "Bench", "$nodes": "air,bench", "$extensions": ""}
        rows |= _homie4_node(
            "air", {"temperature": ("float", "", "°C", False), "humidity": ("float", "0:100", "%", False)}
        )
        rows |= _homie4_node("bench", {"relay": ("boolean", "", "", True), "level": ("integer", "0:100", "", True)})
        said = [Said(f"{self._top}/{path}", text) for path, text in rows.items()]
        return [*said, *self.report(now), *self._outputs(), Said(f"{self._top}/$state", "ready")]

    def report(self, now: float) -> list[Said]:
        air = f"{self._top}/air"
        temperature, humidity = self._bench.temperature(now), self._bench.humidity(now)
        return [Said(f"{air}/temperature", str(temperature)), Said(f"{air}/humidity", str(humidity))]

    def obey(self, topic: str, payload: str) -> list[Said]:
        _obey_homie(self._bench, topic.split("/")[-2], payload)
        return self._outputs()

    def goodbye(self) -> list[Said]:
        return [Said(f"{self._top}/$state", "disconnected")]

    def _outputs(self) -> list[Said]:
        bench = self._bench
        return [
            Said(f"{self._top}/bench/relay", "true" if bench.relay else "false"),
            Said(f"{self._top}/bench/level", str(bench.level)),
        ]


def _obey_homie(bench: BenchTop, name: str, payload: str) -> None:
    if name == "relay" and payload in ("true", "false"):
        bench.relay = payload == "true"
    elif name == "level" and payload.isdecimal() and int(payload) <= 100:
        bench.level = int(payload)


def _homie4_node(node: str, properties: Mapping[str, tuple[str, str, str, bool]]) -> dict[str, str]:
    rows = {f"{node}/$name": node, f"{node}/$type": "bench", f"{node}/$properties": ",".join(properties)}
    for name, (datatype, form, unit, settable) in properties.items():
        about = {"$name": name, "$datatype": datatype, "$format": form, "$unit": unit}
        about["$settable"] = "true" if settable else "false"
        rows |= {f"{node}/{name}/{key}": text for key, text in about.items() if text}
    return rows


class Homie5Script:
    """Homie 5.0: a root with the bench, and each child a thermometer."""

    def __init__(self, space: Space, bench: BenchTop) -> None:
        self._root, self._children, self._bench = space.base, space.children, bench
        self.will = Said(homie.state_topic(self._root), "lost")
        self.subscriptions = (f"homie/5/{self._root}/+/+/set",)

    def hello(self, now: float) -> list[Said]:
        air = Node("air", "air", "", (Property("temperature", Datatype.FLOAT, unit="°C"),))
        relay = Property("relay", Datatype.BOOLEAN, settable=True)
        level = Property("level", Datatype.INTEGER, format="0:100", settable=True)
        root = Device(self._root, "Hub", "bench", (air, Node("bench", "bench", "", (relay, level))), self._children)
        said = [self._describe(root)]
        for child in self._children:
            leaf = Device(child, child, "leaf", (air,), root=self._root, parent=self._root)
            said += [self._describe(leaf), Said(homie.state_topic(child), "ready")]
        return [*said, *self.report(now), *self._outputs(), Said(homie.state_topic(self._root), "ready")]

    def report(self, now: float) -> list[Said]:
        text = str(self._bench.temperature(now))
        return [Said(homie.value_topic(one, "temperature", "air"), text) for one in (self._root, *self._children)]

    def obey(self, topic: str, payload: str) -> list[Said]:
        _obey_homie(self._bench, topic.split("/")[-2], payload)
        return self._outputs()

    def goodbye(self) -> list[Said]:
        return [Said(homie.state_topic(one), "disconnected") for one in (*self._children, self._root)]

    def _outputs(self) -> list[Said]:
        relay = "true" if self._bench.relay else "false"
        return [
            Said(homie.value_topic(self._root, "relay", "bench"), relay),
            Said(homie.value_topic(self._root, "level", "bench"), str(self._bench.level)),
        ]

    @staticmethod
    def _describe(device: Device) -> Said:
        return Said(homie.description_topic(device.id), homie.describe(device).decode())


class EsphomeScript:
    """ESPHome's discovery and topics."""

    def __init__(self, space: Space, bench: BenchTop) -> None:
        self._top, self._bench = space.base, bench
        self.will = Said(f"{self._top}/status", "offline")
        self.subscriptions = (f"{self._top}/+/+/command",)

    def hello(self, now: float) -> list[Said]:
        rows: list[tuple[str, str, dict[str, object]]] = [
            ("sensor", "temperature", {"dev_cla": "temperature", "unit_of_meas": "°C", "stat_cla": "measurement"}),
            ("sensor", "humidity", {"dev_cla": "humidity", "unit_of_meas": "%", "stat_cla": "measurement"}),
            ("switch", "relay", {"cmd_t": f"{self._top}/switch/relay/command"}),
            ("number", "level", {"cmd_t": f"{self._top}/number/level/command", "min": 0, "max": 100, "step": 1}),
        ]
        said = [Said(f"{self._top}/status", "online")]
        for component, name, more in rows:
            document = {
                "name": name.title(), "stat_t": f"{self._top}/{component}/{name}/state", "avty_t": f"{self._top}/status",
                "uniq_id": f"ESP{component}{name}", "dev": {"ids": f"sim-{self._top}", "name": self._top}, **more,
            }  # fmt: skip
            said.append(Said(f"homeassistant/{component}/{self._top}/{name}/config", _json(document)))
        return [*said, *self.report(now), *self._outputs()]

    def report(self, now: float) -> list[Said]:
        return [
            Said(f"{self._top}/sensor/temperature/state", str(self._bench.temperature(now))),
            Said(f"{self._top}/sensor/humidity/state", str(self._bench.humidity(now))),
        ]

    def obey(self, topic: str, payload: str) -> list[Said]:
        name = topic.split("/")[-2]
        if name == "relay" and payload in ("ON", "OFF"):
            self._bench.relay = payload == "ON"
        elif name == "level" and payload.isdecimal() and int(payload) <= 100:
            self._bench.level = int(payload)
        return self._outputs()

    def goodbye(self) -> list[Said]:
        return [Said(f"{self._top}/status", "offline")]

    def _outputs(self) -> list[Said]:
        return [
            Said(f"{self._top}/switch/relay/state", "ON" if self._bench.relay else "OFF"),
            Said(f"{self._top}/number/level/state", str(self._bench.level)),
        ]


class TasmotaScript:
    """Tasmota 13: its own discovery, one relay, one SHT3X."""

    def __init__(self, space: Space, bench: BenchTop) -> None:
        self._topic, self._mac, self._bench = space.base, dict(space.fields).get("mac", "000000000000"), bench
        self.will = Said(f"tele/{self._topic}/LWT", "Offline")
        self.subscriptions = (f"cmnd/{self._topic}/+",)

    def hello(self, now: float) -> list[Said]:
        config = {
            "dn": "Plug", "fn": ["Plug"], "mac": self._mac, "ofln": "Offline", "onln": "Online",
            "state": ["OFF", "ON", "TOGGLE", "HOLD"], "sw": "13.1.0", "t": self._topic, "ft": "%prefix%/%topic%/",
            "tp": ["cmnd", "stat", "tele"], "rl": [1, 0, 0, 0, 0, 0, 0, 0], "ver": 1,
        }  # fmt: skip
        found = f"tasmota/discovery/{self._mac}"
        sensors = {"sn": self._sensors(now), "ver": 1}
        return [
            Said(f"tele/{self._topic}/LWT", "Online"), Said(f"{found}/config", _json(config)),
            Said(f"{found}/sensors", _json(sensors)), *self.report(now),
        ]  # fmt: skip

    def report(self, now: float) -> list[Said]:
        power = {"POWER": "ON" if self._bench.relay else "OFF"}
        return [
            Said(f"tele/{self._topic}/STATE", _json(power), retain=False),
            Said(f"tele/{self._topic}/SENSOR", _json(self._sensors(now)), retain=False),
        ]

    def obey(self, topic: str, payload: str) -> list[Said]:
        word = payload.upper()
        if topic.rpartition("/")[2].upper() != "POWER" or word not in ("ON", "OFF", "TOGGLE"):
            return []
        self._bench.relay = not self._bench.relay if word == "TOGGLE" else word == "ON"
        shown = "ON" if self._bench.relay else "OFF"
        return [
            Said(f"stat/{self._topic}/RESULT", _json({"POWER": shown}), retain=False),
            Said(f"stat/{self._topic}/POWER", shown, retain=False),
        ]

    def goodbye(self) -> list[Said]:
        return [Said(f"tele/{self._topic}/LWT", "Offline")]

    def _sensors(self, now: float) -> dict[str, object]:
        air = {"Temperature": self._bench.temperature(now), "Humidity": self._bench.humidity(now)}
        return {"SHT3X": air, "TempUnit": "C"}


class ZigbeeScript:
    """Zigbee2MQTT 2 with one device: a plug that measures the air; the last will is the bridge's."""

    def __init__(self, space: Space, bench: BenchTop) -> None:
        self._name, self._ieee, self._bench = space.base, dict(space.fields).get("ieee", ""), bench
        self.will = Said("zigbee2mqtt/bridge/state", _json({"state": "offline"}))
        self.subscriptions = (f"zigbee2mqtt/{self._name}/set",)

    def hello(self, now: float) -> list[Said]:
        online = _json({"state": "online"})
        topics = ("zigbee2mqtt/bridge/state", f"zigbee2mqtt/{self._name}/availability")
        template = "{{ value_json.state }}"
        rows: list[tuple[str, str, dict[str, object]]] = [
            ("sensor", "temperature", {"unit_of_measurement": "°C", "value_template": "{{ value_json.temperature }}"}),
            ("sensor", "battery", {"unit_of_measurement": "%", "value_template": "{{ value_json.battery }}"}),
            ("switch", "switch", {"command_topic": f"zigbee2mqtt/{self._name}/set", "value_template": template}),
        ]
        said = [Said(topic, online) for topic in topics]
        for component, name, more in rows:
            document = {
                "name": name, "state_topic": f"zigbee2mqtt/{self._name}", "unique_id": f"{self._ieee}_{name}",
                "availability": [{"topic": topic, "value_template": template} for topic in topics],
                "availability_mode": "all", "device": {"identifiers": [f"zigbee2mqtt_{self._ieee}"]}, **more,
            }  # fmt: skip
            said.append(Said(f"homeassistant/{component}/{self._ieee}/{name}/config", _json(document)))
        return [*said, *self.report(now)]

    def report(self, now: float) -> list[Said]:
        state = {
            "temperature": self._bench.temperature(now),
            "battery": 91,
            "state": "ON" if self._bench.relay else "OFF",
        }
        return [Said(f"zigbee2mqtt/{self._name}", _json(state))]

    def obey(self, topic: str, payload: str) -> list[Said]:
        if payload not in ("ON", "OFF"):
            return []
        self._bench.relay = payload == "ON"
        return self.report(0.0)

    def goodbye(self) -> list[Said]:
        return [self.will]


class RawScript:
    """A board with the topics of its profile: tells what can be read, repeats what it is told; QoS 0, no last will."""

    def __init__(self, profile: Profile, space: Space, bench: BenchTop) -> None:
        self.will = None
        self._bench = bench
        self._told: dict[str, str] = {}
        self._reads: dict[str, str] = {}
        orders: list[str] = []
        for item in profile.properties.values():
            for form in item.forms:
                if match := TOPIC_HREF.fullmatch(form.href):
                    topic = space.fill(match[1])
                    if item.read_only:
                        self._reads[topic] = item.id
                    else:
                        orders.append(topic)
        self.subscriptions = tuple(orders)

    def hello(self, now: float) -> list[Said]:
        return self.report(now)

    def report(self, now: float) -> list[Said]:
        known: Mapping[str, Callable[[], str]] = {
            "temperature": lambda: str(self._bench.temperature(now)),
            "humidity": lambda: str(self._bench.humidity(now)),
            "light": lambda: str(round(self._bench.humidity(now) * 20)),
            "sound": lambda: str(round(self._bench.temperature(now) * 10)),
            "button": lambda: "0",
        }
        return [Said(topic, known[name](), retain=False, qos=0) for topic, name in self._reads.items() if name in known]

    def obey(self, topic: str, payload: str) -> list[Said]:
        self._told[topic] = payload  # the same topic both ways: it hears what it would say, and says nothing
        return []

    def goodbye(self) -> list[Said]:
        return []


def script(profile: Profile, space: Space, seed: int) -> Script:
    """The script of a board's convention."""
    bench = BenchTop(seed)
    convention = profile.transport.convention
    if convention == "homie4":
        return Homie4Script(space, bench)
    if convention == "homie5":
        return Homie5Script(space, bench)
    if convention == "raw":
        return RawScript(profile, space, bench)
    given = dict(space.fields)
    if "ieee" in given:
        return ZigbeeScript(space, bench)
    return TasmotaScript(space, bench) if "mac" in given else EsphomeScript(space, bench)


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
