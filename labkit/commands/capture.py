"""`labkit record FILE` keeps what is said on the bus, `labkit replay FILE` says it again."""

from __future__ import annotations

import json
import signal
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

import click

from labkit import homie
from labkit.capture import BusFrame, Frame, Retention, SerialFrame, Writer, orders, read
from labkit.commands.console import Console, Voice, as_path, broker_options, pass_voice
from labkit.errors import LabkitError, LinkDown
from labkit.gateway.mirror import ASKED_FOR_S, ask_topic, frame_topic
from labkit.links import BrokerAddress, Message
from labkit.links.mqtt import FLUSH_TOPIC
from labkit.model import State

FILTERS = ("homie/#", "homeassistant/#", "zhike/#")
FLUSH_EVERY, FLUSH_S = 500, 10.0
LOOK_S = 0.8


@dataclass
class Recorder:
    """From messages to frames: knows which topics are mirrored serial lines and which messages are old."""

    started: float
    gateways: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()

    @property
    def asking(self) -> bytes:
        """What a gateway is asked for: these devices' lines, or all."""
        return json.dumps({"devices": list(self.devices)} if self.devices else {}).encode()

    def frame(self, message: Message, now: float) -> Frame | None:
        """The frame of one message, or None when it is only our own asking."""
        at = now - self.started
        levels = message.topic.split("/")
        if message.topic == FLUSH_TOPIC:
            return None
        if levels[:2] == ["zhike", "gateway"] and len(levels) > 3 and levels[2] in self.gateways:
            if levels[3] == "mirror":
                return None
            if len(levels) == 6 and message.topic == frame_topic(levels[2], levels[4], levels[5]):
                return SerialFrame(at, levels[4], levels[5] == "out", message.payload)
        return BusFrame(at, message.topic, message.payload, retain=message.retained, old=message.retained)


@click.command(help="录制总线：把 MQTT 消息（和串口帧）写入 FILE（.jsonl 或 .jsonl.gz），到时或按 Ctrl-C 结束。")
@click.argument("file", type=as_path)
@click.option("--seconds", default=0.0, help="录多少秒（0 = 直到 Ctrl-C）")
@click.option("--topic", "topics", multiple=True, help=f"只录这些主题（默认 {' '.join(FILTERS)}）")
@click.option("--device", "devices", multiple=True, help="只录这台设备（和它的串口帧），可多次")
@click.option("--mirror", "gateways", multiple=True, help="请这个网关（gw-…）镜像它的串口帧，可多次")
@broker_options
@pass_voice
def record(
    voice: Voice, address: BrokerAddress, file: Path, seconds: float, topics: tuple[str, ...],
    devices: tuple[str, ...], gateways: tuple[str, ...],
) -> None:  # fmt: skip
    """Record the bus into a file."""
    wanted = topics + tuple(f"{homie.BASE}/{device}/#" for device in devices)
    if wanted:
        wanted += tuple(frame_topic(gateway, device, "+") for gateway in gateways for device in devices or ("+",))
    wanted = wanted or FILTERS
    with Console(address) as console:
        for topic in wanted:
            console.broker.subscribe(topic)
        try:
            writer = Writer(file, datetime.now(UTC), wanted)
        except OSError as error:
            raise LabkitError(
                "not_written", f"写不了 {file}：{error.strerror}", f"cannot write {file}: {error.strerror}"
            ) from error
        try:
            _record(console, writer, Recorder(time.monotonic(), gateways, devices), seconds)
        finally:
            writer.close()
    voice.say(
        f"{file}：录了 {writer.written} 条，略去 {writer.left_out} 条（终端的内容、画面）",
        f"{file}: {writer.written} frames, {writer.left_out} left out (terminals' content, pictures)",
        file=str(file),
        frames=writer.written,
        left_out=writer.left_out,
    )


def _record(console: Console, writer: Writer, recorder: Recorder, seconds: float) -> None:
    told = threading.Event()

    def tell(_number: int, _frame: FrameType | None) -> None:
        told.set()
        console.messages.put(Message("", b"", False))  # wakes the loop below; a SimpleQueue allows it in a handler

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, tell)
    end = recorder.started + seconds if seconds else float("inf")
    ask_at = recorder.started
    while (now := time.monotonic()) < end and not told.is_set():
        if now >= ask_at:
            ask_at = now + ASKED_FOR_S / 3
            for gateway in recorder.gateways:
                console.broker.publish(ask_topic(gateway), recorder.asking, qos=1, retain=False)
        _write(writer, recorder, console.wait_for(lambda _: True, min(end, ask_at) - now))
    # What the broker had sent before this acknowledgement has arrived before it.
    console.broker.flush(FLUSH_S)
    for message in console.waiting():
        _write(writer, recorder, message)


def _write(writer: Writer, recorder: Recorder, message: Message | None) -> None:
    frame = recorder.frame(message, time.monotonic()) if message and message.topic else None
    if frame:
        writer.put(frame)


@click.command(
    help="重放录制：按原来的时间把 FILE 里的 MQTT 消息发到代理（串口帧只用于测试，不发）。命令（/set、愿望、租约、急停……）默认不发；"
    "有网关在运行的代理上默认不放。"
)
@click.argument("file", type=as_path)
@click.option("--speed", default=1.0, show_default=True, help="快几倍；0 = 不等待")
@click.option("--once/--loop", default=True, show_default=True, help="放一遍，或反复放直到 Ctrl-C")
@click.option("--prefix", default="", help="只放以此开头的主题")
@click.option("--with-orders", is_flag=True, help="也发命令：会让真的小车动起来")
@click.option("--force", is_flag=True, help="有网关在运行也放：会盖住真设备的状态")
@broker_options
@pass_voice
def replay(
    voice: Voice, address: BrokerAddress, file: Path, speed: float, once: bool, prefix: str, with_orders: bool, force: bool
) -> None:  # fmt: skip
    """Play a capture into a broker."""
    if speed < 0:
        raise click.UsageError("--speed 不能小于 0 / --speed cannot be below 0")
    wanted = [frame for frame in read(file) if isinstance(frame, BusFrame) and frame.topic.startswith(prefix)]
    frames = [frame for frame in wanted if with_orders or not orders(frame.topic)]
    sent, left_out, pause = 0, len(wanted) - len(frames), threading.Event()
    with Console(address) as console:
        if not force:
            _refuse_beside(console)
        try:
            while True:
                sent += play(console, frames, speed, pause)
                if once or not frames:
                    break
        except KeyboardInterrupt:
            pass
    voice.say(
        f"{file}：放了 {sent} 条，略去命令 {left_out} 条{'（要发请加 --with-orders）' if left_out else ''}",
        f"{file}: {sent} messages, {left_out} orders left out",
        file=str(file),
        messages=sent,
        left_out=left_out,
    )


def _refuse_beside(console: Console) -> None:
    """Raise LabkitError when a gateway serves this broker: a capture speaks with the voices of devices, pupils and teachers."""
    console.broker.subscribe(f"{homie.BASE}/+/$state")
    console.broker.subscribe("zhike/gateway/+/devices")
    listed, ready = set(), set()
    for message in console.hear(LOOK_S):
        levels = message.topic.split("/")
        if levels[-1] == "devices" and message.payload:
            listed.add(levels[2])
        elif message.payload == State.READY.value.encode():
            ready.add(levels[2])
    if listed & ready:
        names = "、".join(sorted(listed & ready))
        raise LabkitError(
            "gateway_ready",
            f"网关 {names} 正在这个代理上运行（或是上一次重放留下的），重放会盖住真设备的状态：请换一个代理，确实要放请加 --force",
            f"the gateway {names} serves this broker: replay to another one, or add --force",
        )


def play(console: Console, frames: list[BusFrame], speed: float, pause: threading.Event) -> int:
    """Publish the frames at their times divided by ``speed`` (0 = at once); raises LinkDown when the broker goes away."""
    begun = time.monotonic()
    first = frames[0].t if frames else 0.0
    memory = Retention()
    for number, frame in enumerate(frames, 1):
        if speed:
            pause.wait(max(0.0, begun + (frame.t - first) / speed - time.monotonic()))
        if number % FLUSH_EVERY == 0:
            console.broker.flush(FLUSH_S)
        if not console.broker.publish(frame.topic, frame.payload, qos=1, retain=memory.retains(frame)):
            raise LinkDown("代理断开了，重放中止", "the broker has gone: the replay ends")
    return len(frames)


COMMANDS = (record, replay)
