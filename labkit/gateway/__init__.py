"""The gateway of one lab PC: serial kits, boards and cameras become Homie devices; wishes go to robots only under a lease."""

from __future__ import annotations

from labkit.gateway.service import Gateway

__all__ = ["Gateway"]
