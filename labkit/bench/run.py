"""Runs the measurements, each with processes of its own, and gathers their figures."""

from __future__ import annotations

import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil

from labkit import homie
from labkit.bench import vision, wire
from labkit.bench.loops import Pilot, p99_ms
from labkit.lab import Lab, load_lab
from labkit.links import BrokerAddress
from labkit.simulate.room import Room

PARTS = ("throughput", "estop", "vision", "house")
ROUNDS = 7
STOPS = 100
PACE_HZ = 10.0
TARGETS = {
    "throughput_ratio": (">=", 0.7), "estop_ratio": ("<=", 3.0), "vision_ratio": (">=", 0.9),
    "house_cores": ("<", 1.0), "house_rss_mib": ("<", 250.0),
}  # fmt: skip
EXAMPLE = Path(__file__).resolve().parents[1] / "examples" / "room.yaml"
Figures = dict[str, float | None]


def met(name: str, value: float | None) -> bool | None:
    """Whether a figure meets its target; None where there is no target or no figure."""
    if value is None or name not in TARGETS:
        return None
    way, limit = TARGETS[name]
    return value >= limit if way == ">=" else value <= limit if way == "<=" else value < limit


@dataclass(frozen=True)
class Bench:
    """``seconds`` of each closed loop; ``folder`` for logs and clips."""

    folder: Path
    seconds: float = 3.0

    def run(self, parts: tuple[str, ...] = PARTS) -> Figures:
        """The figures of the named parts; raises LabkitError bench_broken, room_not_ready."""
        figures: Figures = {}
        self.folder.mkdir(parents=True, exist_ok=True)
        if {"throughput", "estop"} & set(parts):
            with self._road() as (pilot, stations):
                if "throughput" in parts:
                    figures |= self._throughput(pilot, stations)
                if "estop" in parts:
                    figures |= self._estop(pilot)
        if "vision" in parts:
            figures |= self._vision()
        if "house" in parts:
            figures |= self._house()
        return figures

    def _throughput(self, pilot: Pilot, stations: dict[str, psutil.Process]) -> Figures:
        ways = {"bare": pilot.through_relay, "labkit": pilot.through_labkit}
        for send in ways.values():
            pilot.chase(send, 1.0)
        rates: dict[str, list[float]] = {name: [] for name in ways}
        used = dict.fromkeys(ways, 0.0)
        for _ in range(ROUNDS):
            for name, send in ways.items():
                before = _cpu_s(stations[name])
                rates[name].append(pilot.chase(send, self.seconds / 2))
                used[name] += _cpu_s(stations[name]) - before
        ratios = [ours / bare for ours, bare in zip(rates["labkit"], rates["bare"], strict=True)]
        return {
            "throughput_ratio": round(statistics.median(ratios), 3),
            "throughput_per_s": round(statistics.median(rates["labkit"]), 1),
            "bare_per_s": round(statistics.median(rates["bare"]), 1),
            "command_cpu_us": round(1e6 * used["labkit"] / (sum(rates["labkit"]) * self.seconds / 2), 1),
            "bare_command_cpu_us": round(1e6 * used["bare"] / (sum(rates["bare"]) * self.seconds / 2), 1),
            "direct_per_s": round(pilot.chase(pilot.direct, self.seconds), 1),
            "command_p99_ms": round(p99_ms(pilot.pace(pilot.through_labkit, self.seconds, PACE_HZ)), 2),
            "bare_command_p99_ms": round(p99_ms(pilot.pace(pilot.through_relay, self.seconds, PACE_HZ)), 2),
        }

    def _estop(self, pilot: Pilot) -> Figures:
        for _ in range(3):
            pilot.stop_room(), pilot.stop_directly()
        pairs = [(pilot.stop_room(), pilot.stop_directly()) for _ in range(STOPS)]
        ours, bare = p99_ms([pair[0] for pair in pairs]), p99_ms([pair[1] for pair in pairs])
        return {
            "estop_p99_ms": round(ours, 2),
            "estop_ratio": round(ours / bare, 3),
            "bare_estop_p99_ms": round(bare, 2),
            "estop_median_ms": round(1000 * statistics.median(pair[0] for pair in pairs), 2),
            "bare_estop_median_ms": round(1000 * statistics.median(pair[1] for pair in pairs), 2),
        }

    def _vision(self) -> Figures:
        clip = (self.folder / "clip.avi").resolve()
        if not vision.make_clip(clip):
            return {"vision_ratio": None}
        # Turn by turn, for the machine's mood changes more than the difference.
        pairs = [
            (vision.labkit_rate(clip, self.seconds), vision.bare_rate(clip, self.seconds)) for _ in range(ROUNDS // 2)
        ]
        ours, bare = (statistics.median(rates) for rates in zip(*pairs, strict=True))
        ratio = statistics.median(one / other for one, other in pairs)
        return {
            "vision_ratio": round(ratio, 3), "vision_per_s": round(ours, 2), "bare_vision_per_s": round(bare, 2),
        }  # fmt: skip

    def _house(self) -> Figures:
        folder = Path(tempfile.mkdtemp(prefix="house-", dir=self.folder))
        with Room(load_lab(EXAMPLE), folder, drive=True, wish_hz=PACE_HZ) as room:
            room.wait_ready(90)
            threading.Event().wait(3.0)
            house = [psutil.Process(room.processes[name].pid) for name in ("gateway", "broker")]
            house += [child for process in house for child in process.children(recursive=True)]
            before = [_cpu_s(process) for process in house]
            seconds = max(10.0, self.seconds * 4)
            threading.Event().wait(seconds)
            room.check()
            used = sum(_cpu_s(process) for process in house) - sum(before)
            rss = sum(process.memory_info().rss for process in house)
            return {
                "house_cores": round(used / seconds, 3),
                "house_rss_mib": round(rss / 2**20, 1),
                "house_processes": len(house),
            }

    @contextmanager
    def _road(self) -> Iterator[tuple[Pilot, dict[str, psutil.Process]]]:
        """A broker, the boards, the bare relay and the gateway, with a pilot who has a lease for every robot.

        Gives the pilot and the two processes that are compared.
        """
        # A folder of this run's own: an older broker's retained topics would make absent ones look ready.
        folder = Path(tempfile.mkdtemp(prefix="road-", dir=self.folder))
        with contextlib.ExitStack() as stack:
            room = stack.enter_context(Room(_bench_lab(folder), folder, terminals=0, processes=()))
            address = room.doors.address
            started: dict[str, subprocess.Popen[bytes]] = {}
            lab_file = str(folder / "lab.yaml")
            for module, *words in (
                ("boards", str(address.port)), ("relay", str(address.port)), ("gateway", lab_file, str(folder), room.doors.url),
            ):  # fmt: skip
                started[module] = _start(folder, module, words, address)
                stack.callback(_end, started[module])
            pilot = stack.enter_context(Pilot(address))
            ready = [homie.state_topic(board) for board in wire.BOARDS]
            pilot.wait_for("bench", [*ready, "bench/relay", homie.value_topic(wire.BOARDS[-1], "commands")])
            pilot.lease_all((datetime.now(UTC) + timedelta(hours=1)).isoformat())
            yield (
                pilot,
                {name: psutil.Process(started[of].pid) for name, of in (("bare", "relay"), ("labkit", "gateway"))},
            )


def _bench_lab(folder: Path) -> Lab:
    folder.mkdir(parents=True, exist_ok=True)
    rows = [f'  - {{id: {board}, profile: zhike-mqtt-car, url: "mqtt:"}}\n' for board in wire.BOARDS]
    (folder / "lab.yaml").write_text(f"name: gw-bench\nroom: {wire.ROOM}\ndevices:\n{''.join(rows)}", "utf-8")
    return load_lab(folder / "lab.yaml")


def _start(folder: Path, module: str, words: list[str], address: BrokerAddress) -> subprocess.Popen[bytes]:
    with (folder / f"{module}.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", f"labkit.bench.{module}", *words],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            env={**os.environ, "LABKIT_USERNAME": address.username, "LABKIT_PASSWORD": address.password},
        )  # fmt: skip


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)
