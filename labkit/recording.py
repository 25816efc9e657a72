"""Who has allowed that a camera records (录像许可); pure.

No code writes a frame without a `Permit`, and there is one only for a policy that two different persons have signed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta

from labkit.errors import LabkitError

MAX_RETENTION_DAYS = 30
MAX_MINUTES = 120


class NotPermitted(LabkitError):
    """Recording is refused; ``code``: no_policy | one_person | guardians | retention | room | camera | time | off | busy."""


@dataclass(frozen=True)
class Permit:
    """A countersigned policy: what for, in which room, from when until when, how long the files are kept.

    ``entered_by`` and ``countersigned_by`` are account ids of two persons; ``guardians_informed`` is the day on which the
    guardians were told. What is recorded is squares, always (`labkit.vision.blur.pixelated`).
    """

    id: str
    purpose: str
    room: str
    begins: datetime
    ends: datetime
    entered_by: str
    countersigned_by: str
    guardians_informed: date
    retention_days: int

    def to_json(self) -> dict[str, object]:
        """As it travels to the gateway and stands beside a recording."""
        found = asdict(self)
        return {name: value.isoformat() if isinstance(value, date) else value for name, value in found.items()}


def read_permit(data: object) -> Permit:
    """Read and check a permit; raises NotPermitted that names what is missing."""
    if not isinstance(data, Mapping):
        raise NotPermitted(
            "no_policy", "没有录像许可，不能录像", "recording needs a policy of the school; there is none"
        )
    try:
        permit = Permit(
            id=_text(data, "id"),
            purpose=_text(data, "purpose"),
            room=_text(data, "room"),
            begins=_moment(data, "begins"),
            ends=_moment(data, "ends"),
            entered_by=_text(data, "entered_by"),
            countersigned_by=_text(data, "countersigned_by"),
            guardians_informed=date.fromisoformat(_text(data, "guardians_informed")),
            retention_days=_days(data.get("retention_days")),
        )
    except ValueError as error:
        raise NotPermitted("no_policy", f"录像许可不完整：{error}", f"the policy is not complete: {error}") from error
    if permit.entered_by == permit.countersigned_by:
        raise NotPermitted("one_person", "录像许可要由另一个人会签", "a second person has to countersign the policy")
    if not 1 <= permit.retention_days <= MAX_RETENTION_DAYS:
        raise NotPermitted(
            "retention",
            f"录像最多保存 {MAX_RETENTION_DAYS} 天",
            f"recordings are kept for {MAX_RETENTION_DAYS} days at most",
        )
    if permit.guardians_informed > permit.begins.date():
        raise NotPermitted("guardians", "要先告知监护人，再开始录像", "guardians are informed before recording begins")
    return permit


def allowed(permit: Permit, room: str, now: datetime) -> None:
    """Raise NotPermitted unless the permit covers this room at this moment (aware UTC)."""
    if permit.room != room:
        raise NotPermitted(
            "room", f"录像许可只用于 {permit.room}，这里是 {room}", f"the policy is for {permit.room}, this is {room}"
        )
    if not permit.begins <= now < permit.ends:
        raise NotPermitted("time", "不在录像许可的时间内", "outside the policy's time")


def last_moment(permit: Permit, wanted: datetime, now: datetime) -> datetime:
    """When a recording ends at the latest: as wanted, at the policy's end, after two hours."""
    return min(wanted, permit.ends, now + timedelta(minutes=MAX_MINUTES))


def _text(data: Mapping[str, object], name: str) -> str:
    value = data.get(name)
    if not isinstance(value, str) or not value.strip() or len(value) > 500:
        raise ValueError(name)
    return value


def _moment(data: Mapping[str, object], name: str) -> datetime:
    value = datetime.fromisoformat(_text(data, name))
    if value.tzinfo is None:
        raise ValueError(name)
    return value


def _days(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError("retention_days")
    return value
