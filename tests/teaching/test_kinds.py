"""Kinds of lessons: make-up, parts, combined, substitute, online, aborted, open lessons of any subject (课型)."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from lms.core import clock
from lms.core.db import db, write
from lms.core.errors import Invalid, Refused
from lms.roster import service as roster
from lms.teaching import kinds, service
from lms.teaching.kinds import Wishes
from lms.teaching.models import LessonSession, RegisterEntry
from lms.usage import service as usage
from lms.usage.models import UsageRecord
from tests.factories import make_class, make_pupils, make_room, make_teacher, sign_in, token
from tests.teaching.scene import Scene, account_of, make_scene

TUESDAY = date(2026, 11, 24)


@pytest.fixture
def scene(app: Flask, fixed_clock: clock.FixedClock) -> Scene:
    made = make_scene()
    usage.set_course(None, made.school.id, "ncet")
    return made


def taught(scene: Scene, fixed: clock.FixedClock, minutes: int = 38, **wishes: object) -> LessonSession:
    """A lesson that everybody came to, ended and recorded."""
    lesson = scene.open(**wishes)
    service.mark_rest(scene.actor, lesson)
    fixed.at += timedelta(minutes=minutes)
    service.end_lesson(scene.actor, lesson)
    service.close(lesson.id)
    return lesson


def records(lesson: LessonSession) -> list[UsageRecord]:
    query = select(UsageRecord).where(UsageRecord.lesson_id == lesson.id)
    return list(db.session.scalars(query.order_by(UsageRecord.event_seq)))


def named(lesson: LessonSession) -> None:
    """The lesson names a unit of the course that counts."""
    with write():
        lesson.units = ["ncet:五上-3"]


def test_a_makeup_names_the_cancelled_slot_of_the_term(scene: Scene, fixed_clock: clock.FixedClock) -> None:
    slot = scene.slot(3)
    roster.set_day(None, scene.school.id, date(2026, 11, 17), is_school=False, reason="台风停课")
    options = kinds.cancelled_slots(scene.cohort, TUESDAY)
    assert [(one.day, one.why, one.reason) for one in options[:2]] == [
        (date(2026, 11, 17), "closed", "台风停课"),
        (date(2026, 11, 10), "missed", ""),
    ]
    with pytest.raises(Invalid, match="makeup-of"):
        scene.open(wishes=Wishes("makeup"))
    with pytest.raises(Invalid, match="makeup-of"):
        scene.open(wishes=Wishes("makeup", makeup_of=f"2026-08-04/{slot.id}"))
    lesson = scene.open(wishes=Wishes("makeup", makeup_of=options[0].link), units=())
    named(lesson)
    service.mark_rest(scene.actor, lesson)
    fixed_clock.at += timedelta(minutes=38)
    service.end_lesson(scene.actor, lesson)
    service.close(lesson.id)
    [record] = records(lesson)
    assert (record.kind, record.makeup_of) == ("makeup", f"2026-11-17/{slot.id}")
    verdict = usage.judged(record)
    assert verdict is not None
    assert verdict.counts
    assert [one.code for one in verdict.remarks] == ["kind-makeup"]
    assert options[0].link not in {one.link for one in kinds.cancelled_slots(scene.cohort, TUESDAY)}
    assert usage.verify_chain(scene.school.id).ok


def test_a_slot_called_off_ahead_may_be_made_up_before_its_day(scene: Scene) -> None:
    slot = scene.slot(3)
    roster.move_slot(None, slot, date(2026, 12, 1), None, None, "外出研学")
    [first, *_rest] = kinds.cancelled_slots(scene.cohort, TUESDAY)
    assert (first.day, first.why, first.reason) == (date(2026, 12, 1), "called-off", "外出研学")


def test_a_holiday_of_the_nation_is_no_cancelled_slot(scene: Scene) -> None:
    with write():
        slot = scene.slot(3)
        slot.weekday = 3
    roster.add_term(None, scene.school.id, 2026, 1, date(2026, 9, 1), date(2027, 1, 22))
    days = {one.day for one in kinds.cancelled_slots(scene.cohort, TUESDAY)}
    assert date(2026, 9, 24) in days
    assert date(2026, 10, 1) not in days


def test_half_classes_make_one_lesson_of_two_records(scene: Scene, fixed_clock: clock.FixedClock) -> None:
    first = scene.open(wishes=Wishes(division="halves-2"))
    named(first)
    half = [pupil.id for pupil in scene.pupils[:3]]
    service.mark_many(scene.actor, first, half, "hand")
    fixed_clock.at += timedelta(minutes=35)
    service.end_lesson(scene.actor, first)
    service.close(first.id)
    verdict = usage.judged(records(first)[0])
    assert verdict is not None
    assert verdict.reason.code == "part-missing"
    fixed_clock.at += timedelta(days=2)
    [waiting] = kinds.waiting_parts(scene.cohort, TUESDAY + timedelta(days=2))
    assert (waiting.lesson_id, waiting.number, waiting.parts) == (first.id, 2, 2)
    second = scene.open(wishes=Wishes(continues=first.id))
    named(second)
    service.mark_many(scene.actor, second, [pupil.id for pupil in scene.pupils[3:]], "hand")
    fixed_clock.at += timedelta(minutes=35)
    service.end_lesson(scene.actor, second)
    service.close(second.id)
    verdicts = [usage.judged(records(lesson)[0]) for lesson in (first, second)]
    assert [one and one.reason.code for one in verdicts] == ["counted-with", "counts"]
    assert kinds.waiting_parts(scene.cohort, TUESDAY + timedelta(days=2)) == []
    with pytest.raises(Invalid, match="part-of"):
        scene.open(wishes=Wishes(continues=first.id))


def test_a_combined_lesson_leaves_a_record_for_each_class_by_its_own_register(
    scene: Scene, fixed_clock: clock.FixedClock
) -> None:
    other = make_class(scene.school, number=2)
    guests = make_pupils(scene.school, other, 4)
    with pytest.raises(Invalid, match="combined"):
        scene.open(wishes=Wishes("combined"))
    lesson = scene.open(wishes=Wishes("combined", joined=(other.id,)))
    named(lesson)
    entries = db.session.scalars(select(RegisterEntry).where(RegisterEntry.lesson_id == lesson.id)).all()
    assert len(entries) == 10
    service.mark_many(scene.actor, lesson, [one.id for one in [*scene.pupils, *guests[:1]]], "hand")
    fixed_clock.at += timedelta(minutes=38)
    service.end_lesson(scene.actor, lesson)
    service.close(lesson.id)
    found = {record.class_id: record for record in records(lesson)}
    assert {key: (one.roster, one.present, one.kind) for key, one in found.items()} == {
        scene.cohort.id: (6, 6, "combined"),
        other.id: (4, 1, "combined"),
    }
    own, guest = usage.judged(found[scene.cohort.id]), usage.judged(found[other.id])
    assert own is not None
    assert guest is not None
    assert own.counts
    assert guest.reason.code == "too-few"
    assert own.lesson.sitting == guest.lesson.sitting
    assert not service.close(lesson.id)
    assert len(records(lesson)) == 2


def test_a_class_in_another_lesson_cannot_be_joined(scene: Scene) -> None:
    other = make_class(scene.school, number=2)
    teacher = make_teacher(scene.school, other, name="李老师")
    room, _seats = make_room(scene.school, "lab2")
    service.open_lesson(account_of(teacher), other.id, room.id, None, "")
    with pytest.raises(Refused, match="class-taken"):
        scene.open(wishes=Wishes("combined", joined=(other.id,)))


def test_a_class_that_takes_part_in_a_combined_lesson_has_no_other(scene: Scene) -> None:
    other = make_class(scene.school, number=2)
    teacher = make_teacher(scene.school, other, name="李老师")
    room, _seats = make_room(scene.school, "lab2")
    scene.open(wishes=Wishes("combined", joined=(other.id,)))
    with pytest.raises(Refused, match="class-taken"):
        service.open_lesson(account_of(teacher), other.id, room.id, None, "")


def test_the_kind_may_be_changed_until_the_record_is_written(scene: Scene, fixed_clock: clock.FixedClock) -> None:
    lesson = scene.open()
    fixed_clock.at += timedelta(minutes=5)
    service.end_lesson(scene.actor, lesson)
    kinds.change(scene.actor, lesson, Wishes("online", aborted=True))
    service.close(lesson.id)
    [record] = records(lesson)
    assert (record.kind, record.minutes) == ("online", 5)
    assert record.detail["end_reason"] == "aborted"
    assert "aborted" in record.detail["exceptions"]
    with pytest.raises(Refused, match="lesson-recorded"):
        kinds.change(scene.actor, lesson, Wishes())


def test_a_shortened_lesson_says_so_and_does_not_count(scene: Scene, fixed_clock: clock.FixedClock) -> None:
    lesson = scene.open()
    named(lesson)
    service.mark_rest(scene.actor, lesson)
    fixed_clock.at += timedelta(minutes=20)
    service.end_lesson(scene.actor, lesson)
    service.close(lesson.id)
    [record] = records(lesson)
    assert "shortened" in record.detail["exceptions"]
    verdict = usage.judged(record)
    assert verdict is not None
    assert verdict.reason.code == "too-short"


def test_a_double_lesson_outside_the_timetable_is_two_class_hours(scene: Scene, fixed_clock: clock.FixedClock) -> None:
    lesson = taught(scene, fixed_clock, minutes=76, hours=2)
    [record] = records(lesson)
    assert (record.class_hours, record.minutes) == (2, 76)


def test_a_teacher_of_any_subject_starts_an_open_lesson(
    scene: Scene, client: FlaskClient, fixed_clock: clock.FixedClock
) -> None:
    teacher = make_teacher(scene.school, name="语文老师")
    roster.assign(None, teacher, scene.cohort, "语文")
    sign_in(client, teacher)
    page = f"/today/start?class={scene.cohort.id}"
    text = client.get(page).text
    assert 'value="语文"' in text
    assert "课题" in text
    form = {
        "csrf_token": token(client, page),
        "class_id": str(scene.cohort.id),
        "subject": "语文",
        "title": "圆明园的毁灭",
        "hours": "1",
        "room_id": "",
        "kind": "regular",
        "without_terminals": "1",
    }
    assert client.post("/today/open", data=form).status_code == 302
    lesson = db.session.scalars(select(LessonSession)).one()
    assert (lesson.subject, lesson.title, lesson.package_id, lesson.kind) == ("语文", "圆明园的毁灭", None, "regular")
    service.mark_rest(account_of(teacher), lesson)
    fixed_clock.at += timedelta(minutes=38)
    service.end_lesson(account_of(teacher), lesson)
    service.close(lesson.id)
    [record] = records(lesson)
    assert (record.subject, record.units, record.class_hours) == ("语文", [], 1)
    verdict = usage.judged(record)
    assert verdict is not None
    assert verdict.reason.code == "course"
    hours = usage.judge(scene.school.id, "class-hours-term", TUESDAY)
    assert hours is not None


def test_the_pages_offer_and_keep_the_choice(scene: Scene, client: FlaskClient, fixed_clock: clock.FixedClock) -> None:
    scene.slot(3)
    other = make_class(scene.school, number=2)
    sign_in(client, scene.teacher)
    page = f"/today/start?class={scene.cohort.id}"
    text = client.get(page).text
    assert "没有开课" in text
    assert "五年级2班" in text
    link = kinds.cancelled_slots(scene.cohort, TUESDAY)[0].link
    form = {"csrf_token": token(client, page), "class_id": str(scene.cohort.id), "room_id": str(scene.room.id)}
    refused = client.post("/today/open", data={**form, "kind": "makeup"})
    assert "补课要选" in refused.text
    assert client.post("/today/open", data={**form, "kind": "makeup", "makeup_of": link}).status_code == 302
    lesson = db.session.scalars(select(LessonSession)).one()
    fixed_clock.at += timedelta(minutes=30)
    service.end_lesson(scene.actor, lesson)
    summary = f"/lessons/{lesson.id}"
    assert f"补 {link[:10]} 的课" in client.get(summary).text
    change = {"csrf_token": token(client, summary), "kind": "regular", "part": "shorts-2"}
    assert client.post(f"{summary}/kind", data=change, follow_redirects=True).status_code == 200
    db.session.expire_all()
    assert (lesson.kind, lesson.makeup_of) == ("regular", "")
    assert lesson.part_of == {"lesson": str(lesson.id), "kind": "shorts", "parts": 2}
    service.close(lesson.id)
    assert "不计" in client.get(summary).text
    assert other.id


def test_the_day_of_the_lesson_decides_in_the_schools_zone(scene: Scene, fixed_clock: clock.FixedClock) -> None:
    slot = scene.slot(1)
    fixed_clock.at = datetime(2026, 11, 24, 0, 2, tzinfo=UTC)
    lesson = scene.open(slot=scene.day_slot(slot))
    assert lesson.slot_id == slot.id
    assert (f"2026-11-24/{slot.id}") not in {one.link for one in kinds.cancelled_slots(scene.cohort, TUESDAY)}
