"""`python -m labkit.simulate --lab lab.yaml --run-dir DIR --broker mqtt://127.0.0.1:18830`: all simulated devices of a lab."""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path

from labkit.errors import LabkitError
from labkit.lab import load_lab
from labkit.links import DEFAULT_BROKER
from labkit.simulate.fleet import run


def main(arguments: list[str] | None = None) -> int:
    """Run until SIGTERM; 2 = the lab file or an address is wrong."""
    parser = argparse.ArgumentParser(prog="python -m labkit.simulate", description="模拟实验室设备")
    parser.add_argument("--lab", type=Path, required=True, help="lab.yaml")
    parser.add_argument("--run-dir", type=Path, required=True, help="运行目录：dev/ 下是串口，sim/ 下是电机记录")
    parser.add_argument("--broker", default=DEFAULT_BROKER, help="MQTT 消息服务器地址")
    parser.add_argument("--credentials", type=Path, help="各板卡的密码（JSON），默认 RUN_DIR/boards.json")
    parser.add_argument("--ca", default="", help="学校 CA 证书（mqtts 用）")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    try:
        run(
            load_lab(options.lab),
            options.run_dir,
            broker=options.broker,
            ca=options.ca,
            credentials=options.credentials,
        )
    except LabkitError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
