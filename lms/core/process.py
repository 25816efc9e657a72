"""What a process asks of the kernel: to end when its parent ends (进程)."""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1
PR_SET_NAME = 15

_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def die_with_parent(parent: int, sig: int = signal.SIGTERM) -> None:
    """Have the kernel send ``sig`` to this process when the thread that started it ends; nothing where there is no Linux.

    ``parent`` is the starter's pid: one that died before this was called is noticed too. Called in the child between fork and exec: it
    must not import, allocate locks or log.
    """
    if _libc is not None:
        _libc.prctl(PR_SET_PDEATHSIG, sig, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)


def name_this(name: str) -> None:
    """Give this process the name that ``ps`` and ``top`` show (at most 15 bytes)."""
    if _libc is not None:
        _libc.prctl(PR_SET_NAME, name.encode()[:15], 0, 0, 0)
