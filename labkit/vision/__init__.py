"""Cameras: frames in, counts and landmarks out, in a process of its own (`python -m labkit.vision`).

No picture is stored and none leaves the process; what it prints are numbers.
"""

from labkit.vision.counts import Detections, Face, Hand, Motion, Pose, counts, to_json

__all__ = ["Detections", "Face", "Hand", "Motion", "Pose", "counts", "to_json"]
