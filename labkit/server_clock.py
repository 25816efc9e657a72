"""The server's clock (校时): leases are the server's, and a lab PC whose clock is wrong must neither end them nor let them run on. Pure.

The server says the time every 5 s on ``zhike/clock``: ``{"at": ISO UTC}``, not retained, for an old time is a wrong one.
"""

from __future__ import annotations

from collections import deque
from datetime import UTC, datetime, timedelta

from labkit.errors import Malformed
from labkit.homie import parse_json_object

TOPIC = "zhike/clock"
BEAT_S = 5
KEPT = 3
WORTH = timedelta(seconds=0.5)
WRONG = timedelta(seconds=30)
UNITS = ((86400, "天", "days"), (3600, "小时", "hours"), (60, "分钟", "minutes"), (1, "秒", "seconds"))


class ServerClock:
    """``ahead``: how far this PC's clock is before the server's (below zero: behind)."""

    def __init__(self) -> None:
        self.ahead = timedelta()
        self._heard: deque[timedelta] = deque(maxlen=KEPT)

    def hear(self, payload: bytes, now: datetime) -> bool:
        """One beat, heard at ``now`` of this PC; whether `ahead` has changed by half a second or more. Raises Malformed."""
        try:
            at = datetime.fromisoformat(str(parse_json_object(payload).get("at")))
            if at.tzinfo is None:
                raise Malformed("at 缺少时区", "at lacks its zone")
            self._heard.append(now - at.astimezone(UTC))
        except (ValueError, OverflowError) as error:
            raise Malformed("at 应为 ISO 时间", "at should be an ISO time") from error
        # A message that was late on its way makes the PC look further ahead, never less.
        ahead = min(self._heard)
        if abs(ahead - self.ahead) < WORTH:
            return False
        self.ahead = ahead
        return True

    @property
    def wrong(self) -> bool:
        """Whether somebody should put this PC's clock right."""
        return abs(self.ahead) >= WRONG


def remedy(ahead: timedelta) -> tuple[str, str]:
    """What is wrong and what to do, in Chinese and English."""
    seconds = abs(ahead.total_seconds())
    size, zh, en = next((unit for unit in UNITS if seconds >= unit[0]), UNITS[-1])
    many, fast = round(seconds / size), ahead > timedelta()
    return (
        f"电脑的时钟{'快' if fast else '慢'}了 {many} {zh}：打开自动校时（Linux：timedatectl set-ntp true；Windows：设置→时间）",
        f"this PC's clock is {many} {en} {'fast' if fast else 'slow'}: let it set itself (timedatectl set-ntp true)",
    )
