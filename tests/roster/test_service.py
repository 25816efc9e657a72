"""The roster's doors: set-up, classes, timetable of a day, PINs, seats."""

from __future__ import annotations

import time
from datetime import UTC, date, datetime, timedelta
from datetime import time as clock_time

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select

from lms.core.auth import fingerprint, matches
from lms.core.clock import FixedClock
from lms.core.db import db, write
from lms.core.errors import Invalid, NotAllowed, Refused, TooMany
from lms.core.models import Account, AuditEntry, Lockout
from lms.roster import service
from lms.roster.calendar import is_school_day
from lms.roster.models import Enrollment, Period, Room, Seat, Term
from lms.roster.rules import PICTURES, Cohort
from tests.factories import make_admin, make_class, make_pupils, make_room, make_school, make_teacher

TUESDAY = date(2026, 11, 24)


def account_of(person: object) -> Account:
    account = db.session.get(Account, person.account_id)  # type: ignore[attr-defined]
    assert account is not None
    return account


def test_a_school_is_set_up_with_stages_periods_and_the_national_calendar(app: Flask) -> None:
    school = service.create_school(None, "示范学校", "九年一贯制", above=(("county", "示范区"),))
    service.add_stage(None, school.id, "junior", solution_config=2)
    service.add_stage(None, school.id, "primary", solution_config=3, class_hour_minutes=35)
    term = service.add_term(None, school.id, 2026, 1, date(2026, 9, 1), date(2027, 1, 22))
    assert [(stage.stage, stage.class_hour_minutes, stage.solution_config) for stage in service.stages_of(school.id)] == [("primary", 35, 3), ("junior", 45, 2)]
    assert len(service.periods_of(school.id, "junior")) == 8
    days = service.school_calendar(school.id, term).days
    [made_up] = days[date(2026, 10, 10)]
    assert made_up.is_school
    assert made_up.follows == 2
    assert days[date(2027, 1, 1)][0].state == "estimated"
    assert school.organisation.path.count("/") == 3


def test_terms_may_not_overlap_and_may_be_moved(app: Flask) -> None:
    school = make_school()
    with pytest.raises(Refused):
        service.add_term(None, school.id, 2026, 2, date(2027, 1, 10), date(2027, 7, 9))
    moved = service.add_term(None, school.id, 2026, 1, date(2026, 9, 1), date(2027, 1, 15))
    assert moved.ends_on == date(2027, 1, 15)
    assert len(service.terms_of(school.id)) == 1
    with pytest.raises(Invalid):
        service.add_term(None, school.id, 2026, 2, date(2027, 2, 1), date(2027, 1, 1))


def test_own_closures_survive_a_new_national_table_and_can_be_withdrawn(app: Flask) -> None:
    school = make_school()
    term = service.add_term(None, school.id, 2026, 1, date(2026, 9, 1), date(2027, 1, 22))
    day = date(2026, 10, 10)
    row = service.set_day(None, school.id, day, is_school=False, reason="台风停课")
    assert service.set_day(None, school.id, day, is_school=False, reason="台风停课").id == row.id  # said already
    service.add_term(None, school.id, 2026, 1, date(2026, 9, 1), date(2027, 1, 22))
    assert not is_school_day(service.school_calendar(school.id, term), day)
    service.withdraw(None, row)
    [fact] = service.school_calendar(school.id, term).days[day]
    assert (fact.is_school, fact.source, fact.follows) == (True, "national", 2)
    kept = service.entries_between(school.id, day, day, withdrawn=True)
    assert [(one.reason, one.withdrawn_at is not None) for one in kept] == [("国庆节调休", False), ("台风停课", True)]
    with pytest.raises(Refused, match="national-day"):
        service.withdraw(None, kept[0])


def test_a_weekend_school_day_must_say_whose_timetable_it_follows(app: Flask) -> None:
    school = make_school()
    with pytest.raises(Invalid):
        service.set_day(None, school.id, date(2026, 11, 28), is_school=True, reason="补课")


def slot_world(app: Flask) -> tuple[object, ...]:
    school = make_school()
    cohort = make_class(school)
    teacher = make_teacher(school, cohort)
    room, _seats = make_room(school)
    term = db.session.scalar(select(Term).where(Term.school_id == school.id))
    return school, cohort, teacher, room, term


def test_slots_of_a_day_honour_holidays_tiaoxiu_weeks_and_zone(app: Flask) -> None:
    school, cohort, teacher, room, term = slot_world(app)
    service.add_term(None, school.id, 2026, 1, term.starts_on, term.ends_on)
    service.set_slot(None, term, cohort, teacher, weekday=1, ordinal=2, subject="人工智能", room=room)
    service.set_slot(None, term, cohort, teacher, weekday=2, ordinal=3, subject="人工智能", room=room, weeks="even")
    [slot] = service.slots_on(school.id, TUESDAY)
    assert (slot.class_id, slot.room_id, slot.ordinal) == (cohort.id, room.id, 2)
    assert (slot.starts, slot.ends) == (datetime(2026, 11, 24, 0, 55, tzinfo=UTC), datetime(2026, 11, 24, 1, 35, tzinfo=UTC))
    assert service.slots_on(school.id, date(2026, 10, 6)) == []  # National Day
    assert len(service.slots_on(school.id, date(2026, 9, 20))) == 1  # a Sunday that follows Tuesday
    assert len(service.slots_on(school.id, date(2026, 10, 10))) == 1  # a Saturday in week 6 (even) that follows Wednesday
    assert service.slots_on(school.id, date(2026, 9, 2)) == []  # Wednesday of week 1 (odd)
    assert service.slots_on(school.id, date(2026, 9, 9))
    assert service.slots_on(school.id, date(2027, 2, 3)) == []  # no term
    assert service.slots_on(school.id, TUESDAY, teacher_id=teacher.id, room_id=room.id, class_id=cohort.id)
    service.set_day(None, school.id, TUESDAY, is_school=False, reason="运动会", grades=[6])
    assert service.slots_on(school.id, TUESDAY)
    service.set_day(None, school.id, TUESDAY, is_school=False, reason="运动会", grades=[5, 6])
    assert service.slots_on(school.id, TUESDAY) == []


def test_clashes_of_class_teacher_and_room_are_refused_across_stages(app: Flask) -> None:
    school = make_school(stages=("primary", "junior"))
    young, old = make_class(school), make_class(school, "junior", 7)
    teacher, other = make_teacher(school, young), make_teacher(school, old, name="李老师")
    room, _seats = make_room(school)
    term = db.session.scalar(select(Term).where(Term.school_id == school.id))
    assert term is not None
    first = service.set_slot(None, term, young, teacher, weekday=0, ordinal=1, subject="人工智能", room=room)
    for cohort, person, place, code in ((young, other, None, "class"), (old, teacher, None, "teacher"), (old, other, room, "room")):
        with pytest.raises(Refused) as refused:
            service.set_slot(None, term, cohort, person, weekday=0, ordinal=1, subject="人工智能", room=place)
        assert refused.value.code == f"slot-{code}"
    service.set_slot(None, term, young, teacher, weekday=0, ordinal=1, subject="人工智能", room=room, weeks="odd", slot=first)
    service.set_slot(None, term, old, teacher, weekday=0, ordinal=1, subject="人工智能", room=room, weeks="even")
    assert len(service.week_slots(school.id, term.id)) == 2


def test_roster_follows_moves_and_leaving(app: Flask, fixed_clock: FixedClock) -> None:
    school = make_school()
    one, two = make_class(school, number=1), make_class(school, number=2)
    mover, leaver, stayer = make_pupils(school, one, 3)
    service.move_pupil(None, mover, two, TUESDAY)
    service.leave(None, leaver, TUESDAY)
    assert [pupil.person_id for pupil in service.roster_of(one.id, TUESDAY)] == [leaver.id, stayer.id]
    assert [pupil.person_id for pupil in service.roster_of(one.id, TUESDAY - timedelta(days=1))] == [mover.id, leaver.id, stayer.id]
    assert [pupil.person_id for pupil in service.roster_of(two.id, TUESDAY)] == [mover.id]
    assert [pupil.person_id for pupil in service.roster_of(one.id, TUESDAY + timedelta(days=1))] == [stayer.id]
    assert not account_of(leaver).active
    assert service.class_of(mover.id, TUESDAY) == two
    service.move_pupil(None, mover, one, TUESDAY)  # put right on the same day: no trace in the second class
    assert service.roster_of(two.id, TUESDAY) == []
    assert db.session.scalar(select(func.count()).select_from(Enrollment).where(Enrollment.class_id == two.id)) == 0


def test_a_teacher_resets_pins_of_own_classes_only_and_it_is_journalled(app: Flask, fixed_clock: FixedClock) -> None:
    school = make_school()
    one, two = make_class(school, number=1), make_class(school, number=2)
    teacher = account_of(make_teacher(school, one))
    [mine], [other] = make_pupils(school, one, 1), make_pupils(school, two, 1)
    with write():
        db.session.add(Lockout(subject=f"account:{mine.account_id}", school_id=school.id, failures=5, locked_until=fixed_clock.at + timedelta(minutes=9)))
    pin = service.set_pin(teacher, mine)
    assert len(pin) == 4
    assert pin.isdigit()
    assert matches(account_of(mine).pin_hash, pin)
    assert db.session.get(Lockout, f"account:{mine.account_id}") is None
    with pytest.raises(NotAllowed):
        service.set_pin(teacher, other)
    lines = db.session.scalars(select(AuditEntry).where(AuditEntry.action == "set-pin")).all()
    assert [(line.object_id, line.actor_id) for line in lines] == [(str(mine.id), teacher.id)]
    assert pin not in str(lines[0].detail)


def test_cards_for_forty_are_quick_and_work_as_pictures_too(app: Flask, fixed_clock: FixedClock) -> None:
    school = make_school()
    cohort = make_class(school)
    admin = account_of(make_admin(school))
    pupils = make_pupils(school, cohort, 40)
    started = time.perf_counter()
    cards = service.pin_cards(admin, cohort.id)
    assert time.perf_counter() - started < 15
    assert len(cards) == 40
    assert cards[0].class_name == "五年级1班"
    assert all(matches(account_of(pupil).pin_hash, card.pin) for pupil, card in zip(pupils, cards, strict=True))
    assert service.pin_cards(admin, cohort.id, only_missing=True) == []
    service.set_pin_style(admin, cohort, "pictures")
    card = service.pin_cards(admin, cohort.id)[0]
    assert len(card.pictures) == 3
    assert set(card.pictures) <= set(PICTURES)
    assert card.pin == ""
    assert account_of(pupils[0]).picture
    assert matches(account_of(pupils[0]).pin_hash, "-".join(card.pictures))


def test_staff_get_accounts_roles_and_a_password_that_is_shown_once(app: Flask) -> None:
    school = make_school()
    admin = account_of(make_admin(school))
    person = service.create_staff(admin, school.id, "赵老师", staff_no="T007", roles=("teacher", "school_admin"))
    account = account_of(person)
    assert account.username == "T007"
    assert account.password_hash is None
    assert {grant.role for grant in account.grants} == {"teacher", "school_admin"}
    password = service.reset_password(admin, person)
    assert matches(account_of(person).password_hash, password)
    assert account_of(person).must_change
    with pytest.raises(Refused):
        service.create_staff(admin, school.id, "钱老师", staff_no="T007")
    with pytest.raises(NotAllowed):
        service.create_staff(account_of(make_teacher(school)), school.id, "孙老师")


def test_a_code_enrols_one_seat_once_within_fifteen_minutes(app: Flask, fixed_clock: FixedClock) -> None:
    school = make_school()
    teacher = account_of(make_teacher(school))
    _room, seats = make_room(school)
    code = service.issue_enrol_code(teacher, seats[0])
    assert len(code) == 6
    assert code.isdigit()
    with app.test_request_context():
        seat, secret = service.enrol_seat(f" {code[:3]} {code[3:]}")
        assert seat.id == seats[0].id
        assert seat.key_hash == fingerprint(secret)
        with pytest.raises(Invalid):
            service.enrol_seat(code)
        late = service.issue_enrol_code(teacher, seats[1])
        fixed_clock.at += timedelta(minutes=15)
        with pytest.raises(Invalid):
            service.enrol_seat(late)
        cookie = service.seat_cookie(seat, secret)
    with app.test_request_context(headers={"Cookie": f"zhike_seat={cookie}"}):
        found = service.seat_of_request()
        assert found is not None
        assert found.id == seat.id
    with app.test_request_context(headers={"Cookie": f"zhike_seat={seat.id}.{secret}"}):
        assert service.seat_of_request() is None  # unsigned
    service.revoke_seat(teacher, seat)
    with app.test_request_context(headers={"Cookie": f"zhike_seat={cookie}"}):
        assert service.seat_of_request() is None


def test_guessing_codes_is_stopped_and_does_not_touch_sign_in(app: Flask, fixed_clock: FixedClock) -> None:
    school = make_school()
    _room, seats = make_room(school)
    code = service.issue_enrol_code(account_of(make_admin(school)), seats[0])
    with app.test_request_context(environ_base={"REMOTE_ADDR": "10.0.0.9"}):
        for _attempt in range(20):
            with pytest.raises(Invalid):
                service.enrol_seat("x")
        with pytest.raises(TooMany):
            service.enrol_seat(code)
    with app.test_request_context(environ_base={"REMOTE_ADDR": "10.0.0.10"}):
        assert service.enrol_seat(code)


def test_a_wiped_pc_is_known_by_its_registered_address(app: Flask) -> None:
    school = make_school()
    admin = account_of(make_admin(school))
    _room, seats = make_room(school)
    service.set_host_name(admin, seats[2], "192.0.2.17")
    with app.test_request_context(environ_base={"REMOTE_ADDR": "192.0.2.17"}):
        found = service.seat_of_request()
        assert found is not None
        assert found.id == seats[2].id
    with app.test_request_context(environ_base={"REMOTE_ADDR": "127.0.0.1"}):
        assert service.seat_of_request() is None
    with pytest.raises(Refused):
        service.set_host_name(admin, seats[3], "192.0.2.17")


def test_rooms_have_grids_whose_seats_move_together(app: Flask) -> None:
    school = make_school()
    room = service.create_room(None, school.id, "Lab2", "二号实验室", rows=2, columns=3, seats=4)
    seats = service.seats_of(room.id)
    assert [(seat.label, seat.row, seat.column, seat.terminal) for seat in seats][:1] == [("01", 0, 0, "t-lab2-01")]
    assert len(seats) == 4
    service.arrange(None, room, {seats[0].id: (0, 1), seats[1].id: (0, 0)})
    assert [seat.label for seat in service.seats_of(room.id)] == ["02", "01", "03", "04"]
    for places in ({seats[0].id: (1, 0)}, {seats[0].id: (9, 9)}):
        with pytest.raises(Invalid):
            service.arrange(None, room, places)
    assert service.add_seat(None, room, 1, 2).label == "05"
    with pytest.raises(Refused):
        service.create_room(None, school.id, "lab2", "重复")
    with pytest.raises(Invalid):
        service.create_room(None, school.id, "实验室", "中文代号")


def test_other_schools_rows_are_not_to_be_had(app: Flask, client: FlaskClient) -> None:
    here, there = make_school("甲校"), make_school("乙校")
    admin = account_of(make_admin(here))
    foreign = make_class(there)
    with pytest.raises(NotAllowed):
        service.pin_cards(admin, foreign.id)
    with pytest.raises(NotAllowed):
        service.create_class(admin, there.id, Cohort("primary", 2022, 9))
    room, seats = make_room(there)
    with pytest.raises(NotAllowed):
        service.issue_enrol_code(admin, seats[0])
    assert isinstance(room, Room)
    assert isinstance(seats[0], Seat)


def test_periods_may_not_overlap_and_move_together(app: Flask) -> None:
    school = make_school()
    later = [(period.ordinal, period.starts_at.replace(minute=59), period.ends_at.replace(hour=period.ends_at.hour + 1)) for period in service.periods_of(school.id)]
    with pytest.raises(Invalid):
        service.set_periods(None, school.id, "primary", [(1, clock_time(8, 0), clock_time(9, 0))])
    with pytest.raises(Invalid):
        service.set_periods(None, school.id, "primary", later)
    service.set_periods(None, school.id, "primary", [(1, clock_time(7, 30), clock_time(8, 10)), (2, clock_time(8, 20), clock_time(9, 0))])
    assert [(period.starts_at, period.ends_at) for period in service.periods_of(school.id)][:2] == [(clock_time(7, 30), clock_time(8, 10)), (clock_time(8, 20), clock_time(9, 0))]
    assert db.session.scalar(select(func.count()).select_from(Period)) == 8
