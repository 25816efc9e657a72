"""Cameras: frames in, counts and landmarks out, in a process of its own (`python -m labkit.vision`).

What it prints are numbers. A picture leaves it only on request and as coarse squares (`preview`), and none is stored without a policy
of the school that two persons have signed (`record`).
"""

from labkit.vision.counts import Detections, Face, Hand, Motion, Pose, counts, to_json

__all__ = ["Detections", "Face", "Hand", "Motion", "Pose", "counts", "to_json"]
