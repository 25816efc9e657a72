"""`labkit simulate`: the devices of a lab file, or with ``--room`` a whole room with broker, gateway and terminals."""

from __future__ import annotations

import contextlib
import signal
import tempfile
import threading
from pathlib import Path
from types import FrameType

import click

from labkit.commands.console import Voice, as_path, broker_options, pass_voice
from labkit.lab import Lab, load_lab
from labkit.links import BrokerAddress

EXAMPLE = Path(__file__).resolve().parents[1] / "examples" / "room.yaml"
READY_S = 90.0


@click.command(
    help="启动模拟器。--lab：按 lab.yaml 模拟小车（串口在 RUN_DIR/dev/ 下）。"
    "--room：模拟整间教室（代理、网关、小车、终端），--room example 用自带的例子。直到收到 SIGTERM 或按 Ctrl-C。"
)
@click.option("--lab", "lab_file", type=as_path, help="lab.yaml：只模拟小车，代理要已经在运行")
@click.option("--room", "room_file", help="lab.yaml 或 example：整间教室，自带代理")
@click.option("--run-dir", type=as_path, help="运行目录（--room 时默认是临时目录）")
@click.option("--terminals", type=click.IntRange(0, 99), help="终端数（默认按 lab.yaml）")
@click.option("--drive", is_flag=True, help="把小车分给终端，让它们自己开")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="自带代理的端口（默认任选）")
@broker_options
@pass_voice
def simulate(
    voice: Voice, address: BrokerAddress, lab_file: Path | None, room_file: str | None, run_dir: Path | None,
    terminals: int | None, drive: bool, port: int,
) -> None:  # fmt: skip
    """Simulate the devices of a lab file, or a whole room, in processes of their own."""
    if room_file and not lab_file:
        lab = load_lab(EXAMPLE if room_file == "example" else Path(room_file))
        with contextlib.ExitStack() as stack:
            folder = run_dir or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="labkit-room-")))
            _room(voice, lab, folder, terminals, drive, port)
        return
    if lab_file is None or run_dir is None or room_file:
        raise click.UsageError("请给出 --lab 和 --run-dir，或 --room / give --lab and --run-dir, or --room")
    from labkit import simulate as simulators

    scheme = "mqtts" if address.tls else "mqtt"
    url = f"{scheme}://{address.host}:{address.port}"
    simulators.run(
        load_lab(lab_file), run_dir, broker=url, username=address.username, password=address.password, ca=address.ca
    )


def _room(voice: Voice, lab: Lab, folder: Path, terminals: int | None, drive: bool, port: int) -> None:
    from labkit.simulate.room import Room

    told = threading.Event()

    def end(_number: int, _frame: FrameType | None) -> None:
        told.set()

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    with Room(lab, folder, terminals=terminals, drive=drive, port=port) as room:
        room.wait_ready(READY_S)
        url, address = room.doors.url, room.doors.address
        known = f"LABKIT_BROKER={url} LABKIT_USERNAME={address.username} LABKIT_PASSWORD={address.password}"
        voice.say(
            f"{len(room.robots)} 台小车、{len(room.terminals)} 台终端已就绪。另开一个窗口，先执行：\nexport {known}",
            f"{len(room.robots)} robots and {len(room.terminals)} terminals are ready. In another window first:\nexport {known}",
            broker=url, ws_port=room.doors.ws_port, username=address.username, password=address.password,
            robots=len(room.robots), terminals=len(room.terminals), folder=str(folder),
        )  # fmt: skip
        while not told.wait(1.0):
            room.check()


COMMANDS = (simulate,)
