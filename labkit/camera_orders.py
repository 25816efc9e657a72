"""Where a camera is asked for something, and where its preview goes (摄像头命令的主题); pure."""

from __future__ import annotations

LONGEST_PREVIEW_S = 60.0


def order_topic(room: str, device: str, what: str) -> str:
    """Where a camera is asked for a ``preview`` or a ``record``ing."""
    return f"zhike/room/{room}/camera/{device}/{what}"


def preview_topic(room: str, device: str) -> str:
    """Where a preview goes: ``{"at", "jpeg": base64}``."""
    return f"zhike/room/{room}/preview/{device}"
