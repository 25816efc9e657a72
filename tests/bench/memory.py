"""Memory of process trees, as the kernel shares it out among them (PSS)."""

from __future__ import annotations

import psutil


def pss_mib(pid: int) -> float:
    """Proportional set size of a process and all its descendants, MiB."""
    process = psutil.Process(pid)
    total = 0
    for one in (process, *process.children(recursive=True)):
        try:
            total += one.memory_full_info().pss
        except psutil.NoSuchProcess:
            continue
    return round(total / 2**20, 1)
