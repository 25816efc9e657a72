"""Bad Wi-Fi on one machine: a network namespace behind a veth pair, where packets get lost and the link goes down."""

from __future__ import annotations

import os
import subprocess

import pytest

from tests.conformance import debian

SCHOOL, BOARD = "10.203.7.1", "10.203.7.2"
LOSS = """
table inet wifi {
  chain in {
    type filter hook input priority 0
    iifname "wlan0" numgen random mod 100 < PERCENT drop
  }
  chain out {
    type filter hook output priority 0
    oifname "wlan0" numgen random mod 100 < PERCENT drop
  }
}
"""


class Wifi:
    """The place of one board: what runs in it by `inside` reaches this machine at ``SCHOOL`` only."""

    def __init__(self) -> None:
        if os.geteuid() != 0:
            pytest.skip("要 root 才能造网络 / only root can make a network")
        self._ip = debian.program("ip", "iproute2")
        self._nft = debian.program("nft", "nftables")
        self._name = f"zk{os.getpid()}"
        self._end = f"zk{os.getpid()}w"
        self._run(self._ip, "netns", "add", self._name)
        peer = ["peer", "name", "wlan0", "netns", self._name]
        self._run(self._ip, "link", "add", self._end, "type", "veth", *peer)
        self._run(self._ip, "addr", "add", f"{SCHOOL}/30", "dev", self._end)
        self._run(self._ip, "-n", self._name, "addr", "add", f"{BOARD}/30", "dev", "wlan0")
        for name in ("lo", "wlan0"):
            self._run(self._ip, "-n", self._name, "link", "set", name, "up")
        self.up()

    def inside(self, *words: str) -> list[str]:
        """The command line that runs there."""
        return [self._ip, "netns", "exec", self._name, *words]

    def lose(self, percent: int) -> None:
        """So many of 100 packets are lost, in each direction."""
        self._run(*self.inside(self._nft, "-f", "-"), text=LOSS.replace("PERCENT", str(percent)))

    def up(self) -> None:
        """The access point is on."""
        self._run(self._ip, "link", "set", self._end, "up")

    def down(self) -> None:
        """The access point is off."""
        self._run(self._ip, "link", "set", self._end, "down")

    def end(self) -> None:
        """Take it all away."""
        self._run(self._ip, "link", "del", self._end)
        self._run(self._ip, "netns", "del", self._name)

    def _run(self, *words: str, text: str = "") -> None:
        done = subprocess.run(words, input=text, capture_output=True, text=True)
        assert done.returncode == 0, f"{' '.join(words)}: {done.stderr}"
