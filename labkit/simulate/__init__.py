"""Simulated kits: the profiles run backwards on ptys and MQTT, in a process apart from the gateway.

They have only the deadman that the real kit has: an mBot drives on when its PC dies, a board on the Wi-Fi stops by itself.
"""

from labkit.simulate.fleet import BOARDS_FILE, Fleet, run

__all__ = ["BOARDS_FILE", "Fleet", "run"]
