"""What a school could try over time: another key, an old database, a moved clock, a flag or a timetable afterwards."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import select

from lms.core import backup, clock
from lms.core.db import db, new_id
from lms.roster import service as roster
from lms.roster.models import FlaggedWeek
from lms.usage import service
from lms.usage.evidence.continuity import keep_marks
from lms.usage.evidence.keys import rotate
from lms.usage.evidence.plans import commit_all
from lms.usage.evidence.windows import row_id
from lms.usage.models import EvidenceEvent
from tests.factories import make_class
from tests.usage.makers import closed_lesson
from tests.usage.tampering.conftest import FIRST, Tamper, Victim

ON_SQLITE = pytest.mark.skipif(bool(os.environ.get("ZHIKE_TEST_DATABASE")), reason="puts a SQLite file back")
NEXT = FIRST + timedelta(weeks=3)


def test_a_key_that_hands_over_is_followed(victim: Victim, app: Flask) -> None:
    rotate(app.config["ZHIKE"].data_dir)
    victim.teach(NEXT)
    victim.end_day(NEXT)
    found = victim.verify(victim.pack())
    assert (found.code, found.result["ok"]) == (0, True), found.result


def test_a_replaced_key_is_found(victim: Victim, app: Flask) -> None:
    (app.config["ZHIKE"].data_dir / "keys" / "node.pem").unlink()
    record = victim.teach(NEXT)
    found = victim.verify(victim.pack())
    assert (found.code, found.result["first_broken"], found.result["code"]) == (1, record.event_seq - 1, "key-replaced")


def test_a_retired_key_signs_no_later_root(victim: Victim, app: Flask, tamper: Tamper) -> None:
    old, _ = rotate(app.config["ZHIKE"].data_dir)
    victim.teach(NEXT)
    victim.end_day(NEXT, anchored=False)
    root = service.roots_of(victim.school.id)[-1]
    tamper(f"UPDATE daily_root SET key_id = '{old.key_id}', signature = '{old.sign(root.statement(str(victim.school.id)))}' WHERE day = '{NEXT.isoformat()}'")
    report = service.verify_chain(victim.school.id)
    assert (report.ok, report.code) == (False, "root-key")


def copy_of(app: Flask, folder: Path) -> Path:
    """A silent copy of the database file, as anybody with the disk can make."""
    saved = folder / "saved.sqlite"
    source, target = sqlite3.connect(app.config["ZHIKE"].database.removeprefix("sqlite:///")), sqlite3.connect(saved)
    source.backup(target)
    source.close()
    target.close()
    return saved


def put_back(app: Flask, saved: Path) -> None:
    db.session.remove()
    db.engine.dispose()
    place = Path(app.config["ZHIKE"].database.removeprefix("sqlite:///"))
    for suffix in ("-wal", "-shm"):
        place.with_name(place.name + suffix).unlink(missing_ok=True)
    shutil.copyfile(saved, place)


@ON_SQLITE
def test_an_old_database_put_back_in_silence_is_told_on_the_chain(victim: Victim, app: Flask) -> None:
    keep_marks(victim.clock.at)
    saved = copy_of(app, victim.folder)
    victim.teach(NEXT)
    victim.end_day(NEXT)
    assert keep_marks(victim.clock.at) == 0
    known = len(service.roots_of(victim.school.id))
    put_back(app, saved)
    victim.reload()
    assert len(service.roots_of(victim.school.id)) < known
    assert keep_marks(victim.clock.at) == 1
    assert keep_marks(victim.clock.at) == 0  # told once
    found = victim.verify(victim.pack())
    assert (found.code, found.result["code"]) == (1, "rolled-back"), found.result


@ON_SQLITE
def test_an_old_database_with_its_marks_is_found_by_what_was_handed_out(victim: Victim, app: Flask) -> None:
    """Whoever puts back the whole disk leaves no trace inside; the earlier pack and the region's receipt still know."""
    saved = copy_of(app, victim.folder)
    victim.teach(NEXT)
    receipt = victim.end_day(NEXT)
    earlier = victim.pack("earlier.zip")
    put_back(app, saved)
    victim.reload()
    (app.config["ZHIKE"].data_dir / "keys" / "heads.json").unlink(missing_ok=True)
    victim.teach(NEXT + timedelta(weeks=1))
    victim.end_day(NEXT + timedelta(weeks=1))
    pack = victim.pack()
    assert victim.verify(pack).code == 0  # alone it looks whole: docs/evidence.md says so
    kept = victim.folder / "receipt.json"
    kept.write_text(json.dumps(receipt))
    for source in (earlier, kept):
        found = victim.verify(pack, "--against", source)
        assert (found.code, found.result["code"]) == (1, "forked"), found.result
    codes = victim.verify(earlier, "--code", service.sheet_of(victim.school.id, FIRST).code)
    assert codes.code == 0
    assert victim.verify(pack, "--code", "00000-00000").code == 1


@ON_SQLITE
def test_a_declared_restore_is_told_apart(victim: Victim, app: Flask) -> None:
    settings = app.config["ZHIKE"]
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    keep_marks(victim.clock.at)
    archive = victim.folder / "backup.zip"
    made_at = victim.clock.at
    backup.backup(settings, archive, made_at)
    victim.teach(NEXT)
    victim.end_day(NEXT)
    lost = service.roots_of(victim.school.id)[-1].last_seq
    keep_marks(victim.clock.at)
    earlier = victim.pack("earlier.zip")
    db.session.remove()
    db.engine.dispose()
    victim.clock.at += timedelta(hours=1)
    backup.restore(settings, archive, victim.clock.at)
    backup.after_restore(backup.Restored(made_at, victim.clock.at))
    assert keep_marks(victim.clock.at) == 0
    told = db.session.scalars(select(EvidenceEvent).where(EvidenceEvent.type == "restore")).one()
    payload = json.loads(told.body)["payload"]
    assert (payload["goes_on_after"], payload["known_until"] >= lost) == (told.seq - 1, True)
    victim.end_day(NEXT + timedelta(days=1))
    found = victim.verify(victim.pack(), "--against", earlier)
    assert (found.code, found.result["restores"]) == (0, [told.seq]), found.result
    assert {one["code"] for one in found.result["remarks"]} >= {"restored", "gap-explained"}


def test_a_clock_set_back_is_remarked_and_cannot_go_behind_an_anchor(victim: Victim) -> None:
    victim.clock.at = datetime(2026, 9, 7, 3, 0, tzinfo=UTC)  # two months back: a lesson that never was
    facts_day = date(2026, 9, 7)
    victim.teach(facts_day, keep_clock=True)
    found = victim.verify(victim.pack())
    assert "clock-back" in {one["code"] for one in found.result["remarks"]}
    report = service.verify_chain(victim.school.id)
    assert "clock-back" in {one.code for one in report.remarks}


def test_a_clock_set_ahead_is_found_by_the_countersignature(victim: Victim) -> None:
    victim.clock.at = datetime(2026, 12, 7, 3, 0, tzinfo=UTC)
    victim.teach(date(2026, 12, 7))
    service.sign_daily_roots(victim.clock.at + timedelta(days=1))
    real = datetime(2026, 11, 17, 1, 0, tzinfo=UTC)
    answer = service.countersign(service.request_of(victim.school.id, "示范校"), "region", "某区教育局", victim.region, real)
    service.accept(None, victim.school.id, answer)
    report = service.verify_chain(victim.school.id)
    assert (report.ok, report.code) == (False, "anchor-clock"), report


def test_a_late_entry_cannot_be_called_an_early_one(victim: Victim) -> None:
    victim.clock.at = datetime(2026, 12, 1, 1, 0, tzinfo=UTC)
    facts = victim.teach(date(2026, 11, 5), keep_clock=True)
    assert facts.grade_of_evidence == "C"
    found = victim.verify(victim.pack())
    assert (found.code, found.result["grades"]) == (0, {"A": 3, "B": 0, "C": 1})


def test_a_week_flagged_afterwards_is_remarked_and_does_not_help(victim: Victim, tamper: Tamper) -> None:
    admin = victim.account(victim.admin)
    victim.clock.at = datetime(2026, 11, 27, 3, 0, tzinfo=UTC)
    roster.flag_week(admin, victim.school.id, date(2026, 11, 9), "复习")
    tamper("UPDATE flagged_week SET entered_at = '2026-11-01 00:00:00.000000'")
    facts = service.facts_of(victim.school.id, date(2026, 11, 27))
    assert [flag.entered for flag in facts.flags] == [date(2026, 11, 27)]  # the chain saw it then, whatever the table says
    found = victim.verify(victim.pack())
    assert "late-flag" in {one["code"] for one in found.result["remarks"]}
    roster.flag_week(admin, victim.school.id, date(2026, 12, 7), "期末复习")
    late = [one for one in victim.verify(victim.pack()).result["remarks"] if one["code"] == "late-flag"]
    assert len(late) == 1
    assert db.session.scalar(select(FlaggedWeek.entered_at).where(FlaggedWeek.monday == date(2026, 11, 9))) == datetime(2026, 11, 1, tzinfo=UTC)


def test_the_ends_of_the_window_are_not_moved_afterwards(victim: Victim, tamper: Tamper) -> None:
    """Term, pilot admission and 分班 date: a day that was reached is not moved, by the page or by the table, until the county countersigns."""
    admin, school, term, cohort = victim.account(victim.admin), victim.school.id, victim.term, victim.cohort.id
    victim.clock.at = datetime(2027, 1, 20, 3, 0, tzinfo=UTC)
    before = service.judge(school, "fortnightly", date(2027, 1, 22))
    roster.add_term(admin, school, term.school_year, term.ordinal, term.starts_on, date(2026, 11, 15))
    roster.add_stage(admin, school, "primary", admitted_on=date(2026, 10, 26))
    facts = service.facts_of(school, date(2027, 1, 22))
    assert (facts.term_end, facts.classes[0].admitted) == (before.facts.term_end, None)
    assert [why.code for why in facts.remarks] == ["window-late", "window-late"]
    after = service.judge(school, "fortnightly", date(2027, 1, 22))
    assert [(one.verdict, one.counted, one.required) for one in after.classes] == [(one.verdict, one.counted, one.required) for one in before.classes]
    found = victim.verify(victim.pack())
    told = [one["text"] for one in found.result["remarks"] if one["code"] == "late-window"]
    assert (found.code, len(told), any("2026-11-15" in one for one in told)) == (0, 2, True)
    tamper("UPDATE term SET ends_on = '2026-12-04' WHERE ordinal = 1")
    assert commit_all(victim.clock.at) == 1  # by the clock, half an hour later
    assert service.facts_of(school, date(2027, 1, 22)).term_end == before.facts.term_end
    tamper(f"UPDATE school_class SET formed_on = '2026-12-07' WHERE formed_on <> '2026-12-07' AND number = {victim.cohort.number}")
    db.session.expire_all()
    assert service.facts_of(school, date(2027, 1, 22)).classes[0].created == before.facts.classes[0].created
    service.append_event(school, "calendar-countersigned", {"entries": [row_id(school, "stage", "primary")], "office": "某区教育局"}, (), victim.clock.at)
    facts = service.facts_of(school, date(2027, 1, 22))
    assert (facts.classes[0].id, facts.classes[0].admitted, len(facts.remarks)) == (str(cohort), date(2026, 10, 26), 1)
    roster.add_term(admin, school, 2026, 2, date(2027, 2, 22), date(2027, 7, 2))
    roster.add_term(admin, school, 2026, 2, date(2027, 2, 25), date(2027, 7, 9))  # still to come: as the school likes
    assert service.facts_of(school, date(2027, 2, 26)).term_start == date(2027, 2, 25)
    assert service.verify_chain(school).ok


def test_a_lesson_outside_timetable_and_swaps_is_unscheduled(victim: Victim) -> None:
    wednesday = FIRST + timedelta(days=23)
    victim.clock.at = datetime(2026, 11, 25, 1, 0, tzinfo=UTC)
    assert victim.teach(wednesday).detail["plan"] == "unscheduled"
    roster.move_slot(victim.account(victim.admin), victim.slot, date(2026, 11, 30), date(2026, 12, 3), 3, "教师外出")
    victim.clock.at = datetime(2026, 12, 3, 1, 0, tzinfo=UTC)
    assert not roster.slots_on(victim.school.id, date(2026, 11, 30), class_id=victim.cohort.id)
    assert victim.teach(date(2026, 12, 3)).detail["plan"] == "changed"
    found = victim.verify(victim.pack())
    assert (found.code, found.result["plans"]) == (0, {"scheduled": 3, "unscheduled": 1, "changed": 1}), found.result


def test_a_timetable_entered_after_the_bell_does_not_make_a_lesson_scheduled(victim: Victim) -> None:
    tuesday = FIRST + timedelta(days=22)
    victim.clock.at = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)  # after school
    roster.set_slot(victim.account(victim.admin), victim.term, victim.cohort, victim.teacher, weekday=1, ordinal=2, subject="人工智能")
    assert victim.teach(tuesday).detail["plan"] == "unscheduled"
    victim.clock.at = datetime(2026, 12, 1, 8, 0, tzinfo=UTC)
    assert victim.teach(tuesday + timedelta(weeks=1)).detail["plan"] == "changed"


def test_a_timetable_that_was_not_anchored_early_is_remarked(app: Flask, fixed_clock: clock.FixedClock, tmp_path: Path) -> None:
    class Late(Victim):
        def end_day(self, day: date, *, anchored: bool = True) -> None:  # type: ignore[override]  # no receipt
            super().end_day(day, anchored=day >= FIRST)

    late = Late(tmp_path, fixed_clock)
    late.three_weeks()
    codes = {one["code"] for one in late.verify(late.pack()).result["remarks"]}
    assert "late-timetable" in codes


def test_a_record_that_lies_about_its_plan_is_found(victim: Victim, tamper: Tamper) -> None:
    """The forger's own program writes the link, so hashes fit; the timetable on the chain does not bear it out."""
    record = victim.teach(FIRST + timedelta(days=23))
    body = json.loads(db.session.scalars(select(EvidenceEvent.body).where(EvidenceEvent.seq == record.event_seq)).one())
    payload = body["payload"] | {"plan": {"status": "scheduled", "slot": str(victim.slot.id), "seq": 2}, "slot": [None, None]}
    payload["record"] |= {"id": "forged", "lesson": "forged"}
    service.append_event(victim.school.id, "usage-record", payload, (), victim.clock.at)
    report = service.verify_chain(victim.school.id)
    assert (report.ok, report.code) == (False, "plan")


def test_classes_taught_together_share_a_lesson_and_no_lesson_has_two_records(victim: Victim) -> None:
    lesson = new_id()
    victim.teach(NEXT, lesson_id=lesson, kind="combined")
    other = make_class(victim.school, number=2)
    record = service.record_lesson(closed_lesson(other, victim.teacher, [], NEXT, lesson_id=lesson, kind="combined"), None)
    assert service.verify_chain(victim.school.id).ok
    body = json.loads(db.session.scalars(select(EvidenceEvent.body).where(EvidenceEvent.seq == record.event_seq)).one())
    body["payload"]["record"]["id"] = "again"
    service.append_event(victim.school.id, "usage-record", body["payload"], (), victim.clock.at)
    assert service.verify_chain(victim.school.id).code == "record-twice"


def test_grades_depend_on_anchors_without_changing_the_record(victim: Victim) -> None:
    record = victim.teach(NEXT)
    assert (record.grade_of_evidence, service.Standing(victim.school.id, victim.clock.at).of(record)[0]) == ("A", "A")  # there is still time
    victim.end_day(NEXT, anchored=False)
    late = victim.clock.at + timedelta(days=2)
    grade, why = service.Standing(victim.school.id, late).of(record)
    assert (grade, why.code, record.grade_of_evidence) == ("B", "anchor-late", "A")
    victim.clock.at = late
    service.accept(None, victim.school.id, service.countersign(service.request_of(victim.school.id, ""), "peer", "友校", victim.region, late))
    assert service.Standing(victim.school.id, late).of(record)[0] == "B"  # an anchor that comes late does not raise it again
    assert victim.verify(victim.pack()).result["grades"] == {"A": 3, "B": 1, "C": 0}


def test_database_and_file_say_the_same(victim: Victim) -> None:
    report = service.verify_chain(victim.school.id)
    result = victim.verify(victim.pack()).result
    assert (report.ok, report.length, report.signed_until, list(report.origins)) == (result["ok"], result["length"], result["signed_until"], result["origins"])
    assert replace(report, remarks=()).in_words().startswith("完整")
