"""labkit: the lab's devices as Homie 5 devices — kits on serial ports, boards on MQTT, cameras.

Imports nothing of ``lms``, Flask or SQLAlchemy. Entry points: ``labkit.profiles.load_profiles``, ``labkit.lab.load_lab``,
``labkit.gateway.Gateway``, the command line ``labkit`` (``labkit.cli``), and for notebooks ``labkit.lab()`` (``labkit.api``).
"""

from __future__ import annotations

import importlib

__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    """``labkit.lab()`` after a bare ``import labkit``; nothing is loaded before, for guards must start fast."""
    if name == "lab":
        return importlib.import_module("labkit.lab")
    raise AttributeError(f"module 'labkit' has no attribute {name!r}")
