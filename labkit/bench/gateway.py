"""The gateway of the bench, with the kits' own pace lifted: ``python -m labkit.bench.gateway LAB RUN_DIR BROKER``."""

from __future__ import annotations

import os
import signal
import sys
import threading
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from labkit.gateway import Gateway
from labkit.lab import load_lab
from labkit.links import BrokerAddress
from labkit.model import Rate
from labkit.profiles import load_profiles

UNPACED = MappingProxyType({"linear_x": Rate(max_hz=1e6)})


def main() -> None:
    """Serve until SIGTERM."""
    told = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: told.set())
    profiles = {key: replace(profile, rates=UNPACED) for key, profile in load_profiles().items()}
    address = BrokerAddress.parse(sys.argv[3], os.environ["LABKIT_USERNAME"], os.environ["LABKIT_PASSWORD"])
    gateway = Gateway(load_lab(Path(sys.argv[1]), profiles), address, Path(sys.argv[2]))
    gateway.start()
    told.wait()
    gateway.stop()


if __name__ == "__main__":
    main()
