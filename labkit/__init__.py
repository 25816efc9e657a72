"""labkit: the lab's devices as Homie 5 devices — kits on serial ports, boards on MQTT, cameras.

Imports nothing of ``lms``, Flask or SQLAlchemy. Entry points: ``labkit.profiles.load_profiles``, ``labkit.lab.load_lab``,
``labkit.gateway.Gateway``, the command line ``labkit`` (``labkit.cli``).
"""

from __future__ import annotations

__version__ = "0.1.0"
