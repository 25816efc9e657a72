"""`python -m labkit.broker --config broker.json`: the one process of a school's MQTT broker.

For Mosquitto this process becomes Mosquitto (same process id), so that a supervisor watches the broker itself.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from pathlib import Path

from labkit.broker import run_embedded
from labkit.broker.config import BrokerConfig, read_config
from labkit.broker.errors import BrokerError
from labkit.broker.mosquitto import MosquittoRunner, find_mosquitto


def main(arguments: list[str] | None = None) -> int:
    """Read the configuration and run the broker it asks for; 2 = unusable configuration or port."""
    parser = argparse.ArgumentParser(prog="python -m labkit.broker", description="智课的 MQTT 消息服务器")
    parser.add_argument("--config", type=Path, required=True, help="broker.json")
    try:
        _run(read_config(parser.parse_args(arguments).config))
    except BrokerError as error:
        print(f"labkit.broker: {error.zh} ({error.en})", file=sys.stderr, flush=True)
        return 2
    return 0


def _run(config: BrokerConfig) -> None:
    config.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    found = None if config.kind == "embedded" else find_mosquitto()
    if found is not None or config.kind == "mosquitto":
        command = MosquittoRunner(config, found).prepare()
        sys.stdout.flush()
        os.execv(command[0], command)
    if config.log_file is not None:
        config.log_file.parent.mkdir(parents=True, exist_ok=True)
    logging.basicConfig(
        level=logging.INFO,
        filename=config.log_file,
        format="%(asctime)s %(levelname)s %(name)s %(message)s",
        encoding="utf-8",
    )
    run_embedded(config)


if __name__ == "__main__":
    sys.exit(main())
