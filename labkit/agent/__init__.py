"""The agent of a lab PC (学生电脑代理): says who the PC is, bridges the kits plugged into it, keeps the lesson page open.

It is a gateway (``labkit.gateway``) with another root: the kits are children of the seat's terminal. It holds no password on disk
but the secret of the room's disk image, which says only that this is a PC of the room.
"""

from labkit.agent.enrolment import Enrolment, read_enrolment, write_enrolment
from labkit.agent.service import Agent

__all__ = ["Agent", "Enrolment", "read_enrolment", "write_enrolment"]
