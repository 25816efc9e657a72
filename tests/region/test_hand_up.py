"""A school hands up by file and by line; what is changed on the way is refused by name."""

from __future__ import annotations

import json
import shutil
import sqlite3
import zipfile
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from lms.core import clock
from lms.core.db import db, new_id, write
from lms.core.errors import Refused, ZhikeError
from lms.core.models import Account
from lms.region import batches, office, questions, rules, service, uplink
from lms.region.archive import batch_path
from lms.region.counting import connect
from lms.region.models import HandedBatch, HandedRecord, HandUpReceipt, Subordinate, Uplink
from lms.roster.models import FlaggedWeek, Person
from lms.usage import policies
from lms.usage import service as usage
from lms.usage.corrections import service as corrections
from lms.usage.evidence.chain import stamp
from lms.usage.evidence.ledger import append_event, this_key
from lms.usage.models import VOID, EvidenceAnchor, EvidenceEvent, UsageRecord
from lms.usage.rulebook import handing
from lms.usage.rulebook import service as rulebook
from lms.usage.rulebook.models import RuleVersion
from tests.factories import make_school
from tests.region.places import Place, bring, enrol_by_key, file_of, give_back, served, teach

AUTUMN = date(2026, 8, 31)


def count(made: Place, table: Any) -> int:
    with made.inside():
        return db.session.scalar(select(func.count()).select_from(table)) or 0


def count_of(table: Any) -> int:
    return db.session.scalar(select(func.count()).select_from(table)) or 0


def small_steps(monkeypatch: pytest.MonkeyPatch, links: int) -> None:
    monkeypatch.setattr(uplink, "CHUNK_LINKS", links)


def members(data: bytes) -> dict[str, bytes]:
    return batches.unzipped(data)


def test_counts_agree_and_the_receipt_comes_back(here: Place, below: Place, fixed_clock: clock.FixedClock) -> None:
    teach(below, fixed_clock, AUTUMN, range(1, 9))
    number = enrol_by_key(here, below, below.ids["school"])
    outcomes = bring(here, file_of(below))
    assert [one.status for one in outcomes] == ["applied"]
    give_back(below, outcomes)
    assert count(here, HandedRecord) == count(below, UsageRecord) == 32
    with below.inside():
        receipt = db.session.scalars(select(HandUpReceipt)).one().document["body"]
        above = db.session.get_one(Uplink, below.ids["school"])
        assert (
            (above.seq, above.rooted)
            == (receipt["seq"], receipt["rooted"])
            == (outcomes[0].last_seq, receipt["rooted"])
        )
        assert receipt["counts"]["records"] == 32
        assert receipt["counts"]["roots"] == len(receipt["roots"]) > 5
        expected = usage.evaluate(below.ids["school"], "fortnightly", fixed_clock.at.date())
    with here.inside():
        service.refresh()
        with connect() as connection:
            found = questions.classes_of(connection, service.results_folder(), "fortnightly", number)
    assert {one.id: (one.verdict, one.counted, one.required, one.effective) for one in found} == {
        key: (one["verdict"], one["counted"], one["required"], one["effective_weeks"])
        for key, one in expected["classes"].items()
    }
    assert all(sum(counted for _week, _effective, counted in one.weeks) == one.counted for one in found)


def test_an_offices_numbers_come_back_with_the_receipt(
    here: Place, below: Place, fixed_clock: clock.FixedClock
) -> None:
    """From the day the office named, both judge with them; an older programme leaves out what it does not know."""
    teach(below, fixed_clock, AUTUMN, range(1, 5))
    enrol_by_key(here, below, below.ids["school"])
    bring(here, file_of(below))
    with here.inside():
        officer = db.session.get_one(Account, here.ids["officer"])
        rule = policies.policy("twice-a-month")
        stricter = {part: dict(held) for part, held in rule.values().items()}
        stricter["lessons"]["presence_percent"] = 70
        made = rulebook.set_values(officer, rule, stricter, rulebook.today(), "区发〔2026〕9号")
        version, day = made.version, made.valid_from
    with below.inside():
        assert rulebook.policy_for(below.ids["school"], "twice-a-month", day).version == rule.version
    teach(below, fixed_clock, AUTUMN, [5])
    outcomes = bring(here, file_of(below))
    give_back(below, outcomes)
    give_back(below, outcomes)
    with below.inside():
        held = rulebook.policy_for(below.ids["school"], "twice-a-month", day)
        assert (held.version, held.values()) == (version, stricter)
        assert count_of(RuleVersion) == 1
        assert handing.learn(below.ids["school"], [told("no-such-rule"), told("fortnightly")]) == []


def told(rule: str, level: str = "county") -> dict[str, Any]:
    values = policies.policy("fortnightly").values()
    return {
        "rule": rule, "number": 9, "version": "9", "values": values, "valid_from": "2026-09-01", "reason": "", "level": level,
    }  # fmt: skip


def test_a_withdrawn_record_counts_nowhere(here: Place, below: Place, fixed_clock: clock.FixedClock) -> None:
    teach(below, fixed_clock, AUTUMN, range(1, 9))
    number = enrol_by_key(here, below, below.ids["school"])
    with below.inside():
        teacher = db.session.get_one(Person, below.ids["teacher"])
        first, second = (db.session.get_one(Account, key) for key in (teacher.account_id, below.ids["admin"]))
        wrong = db.session.scalars(select(UsageRecord).order_by(UsageRecord.event_seq)).first()
        assert wrong is not None
        proposal = corrections.propose(first, wrong.id, {"kind": VOID}, "课没有上")
        corrections.countersign(second, proposal.id)
        expected = usage.evaluate(below.ids["school"], "fortnightly", fixed_clock.at.date())
        taken_back = str(wrong.class_id)
    assert [one.status for one in bring(here, file_of(below))] == ["applied"]
    with here.inside():
        service.refresh()
        with connect() as connection:
            found = questions.classes_of(connection, service.results_folder(), "fortnightly", number)
    assert {one.id: one.counted for one in found} == {key: one["counted"] for key, one in expected["classes"].items()}
    assert (
        sum(one["counted"] for key, one in expected["classes"].items() if key != taken_back)
        > 3 * expected["classes"][taken_back]["counted"]
    )


def test_no_name_leaves_the_school(below: Place, here: Place, fixed_clock: clock.FixedClock) -> None:
    teach(below, fixed_clock, AUTUMN, [1])
    enrol_by_key(here, below, below.ids["school"])
    text = "".join(part.decode() for inner in members(file_of(below)).values() for part in members(inner).values())
    assert "东风小学" in text
    assert not any(name in text for name in ("学生", "悟空", "教务主任"))
    assert not any(str(person) in text for people in below.ids["pupils"].values() for person in people)


def test_sent_twice_changes_nothing(here: Place, below: Place, fixed_clock: clock.FixedClock) -> None:
    teach(below, fixed_clock, AUTUMN, [1, 2])
    enrol_by_key(here, below, below.ids["school"])
    data = file_of(below)
    first, second = bring(here, data), bring(here, data)
    assert [one.status for one in second] == ["known"]
    assert second[0].receipt == first[0].receipt
    assert count(here, HandedRecord) == 8
    fixed_clock.at += timedelta(minutes=5)
    again = bring(here, file_of(below))  # made anew, the receipt never came back
    assert [one.status for one in again] == ["applied"]
    assert count(here, HandedRecord) == 8


def test_out_of_order_waits_and_shows_the_gap(
    here: Place, below: Place, fixed_clock: clock.FixedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    teach(below, fixed_clock, AUTUMN, range(1, 5))
    small_steps(monkeypatch, 6)
    number = enrol_by_key(here, below, below.ids["school"])
    parts = [data for _name, data in sorted(members(file_of(below)).items())]
    assert len(parts) >= 3
    last = bring(here, parts[-1])[0]
    assert last.status == "waiting"
    assert (last.gaps[0].first_seq, last.gaps[0].last_seq) == (1, 6 * (len(parts) - 1))
    assert count(here, HandedRecord) == 0
    assert bring(here, parts[0])[0].seq == 6
    with here.inside():
        found = db.session.scalars(select(Subordinate).where(Subordinate.number == number)).one()
        gap = service.intake.gaps_of(found)[0]
        assert gap.after is not None and gap.after < gap.before
    for part in parts[1:-1]:
        done = bring(here, part)[0]
    assert done.seq == last.last_seq  # what waited was applied at once
    assert count(here, HandedRecord) == 16
    with here.inside():
        assert set(db.session.scalars(select(HandedBatch.state))) == {"applied"}


def forge(data: bytes, change: Callable[[dict[str, bytes]], None]) -> bytes:
    parts = members(next(iter(members(data).values())))
    change(parts)
    return batches.zipped(parts)


def link(parts: dict[str, bytes], seq: int) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(parts["chain.jsonl"].decode().split("\n")[seq - 1])
    return found


def more_present(parts: dict[str, bytes]) -> None:
    lines = parts["chain.jsonl"].decode().split("\n")
    lines[4] = lines[4].replace('"present":3', '"present":2')
    parts["chain.jsonl"] = "\n".join(lines).encode()


def rehashed(parts: dict[str, bytes]) -> None:
    more_present(parts)
    lines = parts["chain.jsonl"].decode().split("\n")[:-1]
    parts["hashes.json"] = json.dumps([batches.verify.digest(line.encode()) for line in lines]).encode()


def cut_out(parts: dict[str, bytes]) -> None:
    lines = parts["chain.jsonl"].decode().split("\n")
    del lines[4]
    parts["chain.jsonl"] = "\n".join(lines).encode()


def other_results(parts: dict[str, bytes]) -> None:
    parts["results.json"] = parts["results.json"].replace(b'"present":3', b'"present":2', 1)


@pytest.mark.parametrize(
    ("change", "code", "seq"),
    [
        (more_present, "changed", 5),
        (rehashed, "unlinked", 6),
        (cut_out, "changed", 5),
        (other_results, "manifest", None),
    ],
)
def test_what_is_changed_on_the_way_is_refused_by_name(
    here: Place,
    below: Place,
    fixed_clock: clock.FixedClock,
    change: Callable[[dict[str, bytes]], None],
    code: str,
    seq: int | None,
) -> None:
    teach(below, fixed_clock, AUTUMN, [1, 2])
    number = enrol_by_key(here, below, below.ids["school"])
    whole = file_of(below)
    with pytest.raises(Refused) as refused:
        bring(here, forge(whole, change))
    assert refused.value.code == code
    if seq is not None:
        with below.inside():
            told = json.loads(db.session.scalars(select(EvidenceEvent.body).where(EvidenceEvent.seq == seq)).one())
        assert f"第 {seq} 环" in str(refused.value.message)
        assert refused.value.where == told["payload"]["record"]["id"] or change is cut_out
        assert refused.value.where in str(refused.value.message)
    assert count(here, HandedRecord) == 0
    with here.inside():
        found = db.session.scalars(select(Subordinate).where(Subordinate.number == number)).one()
        assert found.refused_at is not None and found.trouble
    assert bring(here, whole)[0].status == "applied"
    with here.inside():
        assert db.session.scalars(select(Subordinate).where(Subordinate.number == number)).one().trouble == ""


def test_a_manifest_that_was_touched_is_refused(here: Place, below: Place, fixed_clock: clock.FixedClock) -> None:
    teach(below, fixed_clock, AUTUMN, [1])
    enrol_by_key(here, below, below.ids["school"])

    def touch(parts: dict[str, bytes]) -> None:
        parts["manifest.json"] = parts["manifest.json"].replace("东风小学".encode(), "西风小学".encode())

    with pytest.raises(Refused, match="manifest-signature"):
        bring(here, forge(file_of(below), touch))
    with pytest.raises(ZhikeError, match="batch-unreadable"):
        bring(here, file_of(below)[:-200])


def resigned(below: Place, data: bytes, change: Callable[[dict[str, Any]], None]) -> bytes:
    """A batch whose results the school's own administrator changed and signed again with the school's key."""
    with below.inside():
        parts = members(next(iter(members(data).values())))
        manifest = {
            key: value for key, value in json.loads(parts["manifest.json"]).items() if key not in ("v", "kind", "files")
        }
        results = json.loads(parts["results.json"])
        change(results)
        key = this_key()
        links = parts["chain.jsonl"].decode().split("\n")[:-1]
        return batches.make(manifest, links, json.loads(parts["roots.json"]), results, key.public, key.sign)


def test_a_claimed_lesson_must_stand_on_the_chain(here: Place, below: Place, fixed_clock: clock.FixedClock) -> None:
    teach(below, fixed_clock, AUTUMN, [1, 2])
    enrol_by_key(here, below, below.ids["school"])

    def invent(results: dict[str, Any]) -> None:
        lessons = results["terms"][0]["facts"]["lessons"]
        lessons.append({**lessons[0], "id": "00000000-0000-7000-8000-000000000001", "date": "2026-10-12"})

    def better(results: dict[str, Any]) -> None:
        results["terms"][0]["facts"]["lessons"][0]["minutes"] = 45

    def said(**other: Any) -> Callable[[dict[str, Any]], None]:
        return lambda results: results["terms"][0]["facts"]["lessons"][0].update(other)

    for change, named in (
        (invent, "00000000-0000-7000-8000-000000000001"),
        (better, "minutes"),
        (said(course="ncet", unit="五上-99"), "units"),
        (said(course="ncet", unit=None), "units"),
        (said(roster=1), "roster"),
        (said(roster=None), "roster"),
        (said(subject="别的学科"), "subject"),
        (said(makeup_of="2026-09-07/1"), "makeup_of"),
        (said(part_of={"lesson": "x", "kind": "halves", "parts": 2}), "part_of"),
    ):
        with pytest.raises(Refused, match="unsupported") as refused:
            bring(here, resigned(below, file_of(below), change))
        assert named in str(refused.value.message)
        assert str(refused.value.where) in str(refused.value.message)

    def praise(results: dict[str, Any]) -> None:
        results["terms"][0]["verdicts"][0]["verdict"] = "met"

    with pytest.raises(Refused, match="verdict-differs"):
        bring(here, resigned(below, file_of(below), praise))


def test_an_unknown_school_is_refused_with_its_fingerprint(
    here: Place, below: Place, fixed_clock: clock.FixedClock
) -> None:
    teach(below, fixed_clock, AUTUMN, [1])
    with here.inside():
        own = office.own_fingerprint()
    with below.inside():
        uplink.join_by_fingerprint(
            db.session.get_one(Account, below.ids["admin"]), below.ids["school"], "示范区教育局", own
        )
        mark = office.own_fingerprint()
    with pytest.raises(Refused, match="school-unknown") as refused:
        bring(here, file_of(below))
    assert mark in str(refused.value.message)


def test_a_receipt_of_somebody_else_is_no_receipt(here: Place, below: Place, fixed_clock: clock.FixedClock) -> None:
    teach(below, fixed_clock, AUTUMN, [1])
    enrol_by_key(here, below, below.ids["school"])
    outcome = bring(here, file_of(below))[0]
    with below.inside():
        forged = batches.sign_document("receipt", outcome.receipt["body"], this_key().public, this_key().sign).plain()
        with pytest.raises(Refused, match="receipt-key"):
            uplink.accept(None, below.ids["school"], forged)
        changed = {**outcome.receipt, "body": {**outcome.receipt["body"], "seq": 9999}}
        with pytest.raises(ZhikeError, match="document"):
            uplink.accept(None, below.ids["school"], changed)


def test_the_line_enrols_by_code_and_hands_up(
    here: Place, below: Place, fixed_clock: clock.FixedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    teach(below, fixed_clock, AUTUMN, range(1, 5))
    small_steps(monkeypatch, 5)
    with here.inside():
        _found, code = office.register(db.session.get_one(Account, here.ids["officer"]), "school", "东风小学", "")
    with served(here) as url, below.inside():
        admin = db.session.get_one(Account, below.ids["admin"])
        with pytest.raises(Refused, match="office-key"):
            uplink.join_by_code(admin, below.ids["school"], url, code[:-1] + ("0" if code[-1] != "0" else "1"))
        uplink.join_by_code(admin, below.ids["school"], url, code.lower())
        with pytest.raises(Refused, match="enrol-code"):  # once only
            uplink.join_by_code(admin, below.ids["school"], url, code)
        uplink.send(below.ids["school"])
        above = db.session.get_one(Uplink, below.ids["school"])
        assert uplink.waiting_links(below.ids["school"]) == 0
        assert db.session.scalars(select(EvidenceAnchor.kind)).all() == ["region"] * count_of(EvidenceAnchor)
        assert count_of(EvidenceAnchor) >= 3
        assert usage.verify_chain(below.ids["school"]).ok
        assert not uplink.is_due(above, fixed_clock.at.date())
        assert len(uplink.receipts_of(below.ids["school"])) >= 3
    assert count(here, HandedRecord) == 16


def test_an_office_forwards_to_the_office_above(
    here: Place, below: Place, tmp_path: Any, migrated: str, fixed_clock: clock.FixedClock, empty_database_url: str
) -> None:
    from tests.region.places import county

    city = county(tmp_path / "city", empty_database_url, "city", "示范市教育局")
    teach(below, fixed_clock, AUTUMN, [1, 2])
    enrol_by_key(here, below, below.ids["school"])
    bring(here, file_of(below))
    with here.inside():
        own = office.need_office().id
    with city.inside():
        _found, code = office.register(db.session.get_one(Account, city.ids["officer"]), "county", "示范区教育局", "")
    with served(city) as url, here.inside():
        uplink.join_by_code(db.session.get_one(Account, here.ids["officer"]), own, url, code)
        assert service.forwarding.forward_due() == 1
        assert service.forwarding.forward_due() == 0
    assert count(city, HandedRecord) == 8
    with city.inside():
        found = db.session.scalars(select(Subordinate).where(Subordinate.level == "school")).one()
        assert (found.name, found.via_id is not None) == ("东风小学", True)
    city.close()


def test_a_school_that_is_refused_above_holds_up_nobody_else(
    here: Place, monkeypatch: pytest.MonkeyPatch, fixed_clock: clock.FixedClock
) -> None:
    forwarding = service.forwarding
    with here.inside():
        own = office.need_office().id
        with write() as session:
            session.add(Uplink(organisation_id=own, url="https://city.test", name="示范市教育局", fingerprint="X"))
            bad, good = (make_school(name).id for name in ("西风小学", "东风小学"))
            for number, school_id in enumerate((bad, good, bad, good)):
                row = HandedBatch(
                    school_id=school_id, name=f"b{number}", first_seq=number + 1, last_seq=number + 1, size=1
                )
                row.first_day = row.last_day = AUTUMN
                row.state, row.received_at, row.receipt = "applied", clock.now() + timedelta(minutes=number), {}
                session.add(row)
                batch_path(school_id, row.name).parent.mkdir(parents=True, exist_ok=True)
                batch_path(school_id, row.name).write_bytes(str(school_id).encode())
        asked: list[str] = []

        def post(url: str, path: str, ca: str, data: bytes, kind: str) -> dict[str, Any]:
            asked.append(members(data)["batch.zip"].decode())
            if asked[-1] == str(bad):
                raise Refused("forked", "证据链不同。")
            return {}

        monkeypatch.setattr(forwarding.line, "post", post)
        assert forwarding.forward_due() == 2
        assert asked == [str(bad), str(good), str(good)]
        trouble = db.session.get_one(Uplink, own).trouble
        assert "西风小学" in trouble and "证据链不同" in trouble and "东风小学" not in trouble
        assert [row.school_id for row in forwarding.open_batches(9)] == [bad, bad]

        def cut(*told: Any) -> dict[str, Any]:
            raise forwarding.line.NoLine("no-line", "暂时连不上。")

        monkeypatch.setattr(forwarding.line, "post", cut)
        assert forwarding.forward_due() == 0
        assert db.session.get_one(Uplink, own).trouble.startswith("暂时连不上")
        monkeypatch.setattr(forwarding.line, "post", lambda *told: {})
        assert forwarding.forward_due() == 2
        assert db.session.get_one(Uplink, own).trouble == ""


def test_the_zip_opens_everywhere(below: Place, here: Place, fixed_clock: clock.FixedClock) -> None:
    teach(below, fixed_clock, AUTUMN, [1])
    enrol_by_key(here, below, below.ids["school"])
    with zipfile.ZipFile(BytesIO(file_of(below))) as archive:
        assert archive.testzip() is None


def put_back(below: Place, copy: Path, at: datetime, *, declared: bool) -> None:
    """An old database takes the place of the school's; said so, or in silence."""
    below.close()
    with below.inside():
        path = db.engine.url.database
        assert path is not None
        for suffix in ("-wal", "-shm"):
            Path(path + suffix).unlink(missing_ok=True)
        shutil.copyfile(copy, path)
        if declared:
            told = {"made_at": stamp(at), "restored_at": stamp(at), "goes_on_after": 1, "known_until": None}
            append_event(below.ids["school"], "restore", told, (), at)


def saved(below: Place, target: Path) -> Path:
    with below.inside():
        path = db.engine.url.database
    assert path is not None
    with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(target)) as copy:
        source.backup(copy)
    return target


@pytest.mark.parametrize("declared", [True, False])
def test_an_old_database_put_back_is_declared_or_refused(
    here: Place,
    below: Place,
    tmp_path: Path,
    fixed_clock: clock.FixedClock,
    monkeypatch: pytest.MonkeyPatch,
    declared: bool,
) -> None:
    small_steps(monkeypatch, 6)
    enrol_by_key(here, below, below.ids["school"])
    teach(below, fixed_clock, AUTUMN, [1])
    give_back(below, bring(here, file_of(below)))
    teach(below, fixed_clock, AUTUMN, [2], classes=(0, 1))
    copy = saved(below, tmp_path / "old.sqlite")
    teach(below, fixed_clock, AUTUMN, [2], classes=(2, 3))
    give_back(below, bring(here, file_of(below)))
    assert count(here, HandedRecord) == 8
    put_back(below, copy, fixed_clock.at, declared=declared)
    teach(below, fixed_clock, AUTUMN, [3], classes=(1,))
    if not declared:
        with pytest.raises(Refused, match="forked") as refused:
            bring(here, file_of(below))
        assert "环" in str(refused.value.message)
        assert count(here, HandedRecord) == 8
        return
    outcomes = bring(here, file_of(below))
    give_back(below, outcomes)
    assert count(here, HandedRecord) == count(below, UsageRecord) == 7
    with here.inside():
        found = db.session.scalars(select(Subordinate)).one()
    with below.inside():
        assert uplink.hash_at(below.ids["school"], found.seq) == found.hash
    teach(below, fixed_clock, AUTUMN, [4])
    bring(here, file_of(below))
    assert count(here, HandedRecord) == count(below, UsageRecord) == 11


def test_a_flag_counts_from_when_the_chain_saw_it(here: Place, below: Place, fixed_clock: clock.FixedClock) -> None:
    """The school hands up flagged weeks that it entered too late, or never, as entered in time: the office judges by the chain."""
    teach(below, fixed_clock, AUTUMN, [1, 2, 4])
    number = enrol_by_key(here, below, below.ids["school"])
    school_id = below.ids["school"]
    with below.inside(), write() as session:
        late = FlaggedWeek(
            id=new_id(), school_id=school_id, monday=date(2026, 9, 14), reason="考试", entered_at=fixed_clock.at
        )
        session.add(late)
    with below.inside():
        told = usage.evaluate(school_id, "fortnightly", fixed_clock.at.date())

    def backdate(results: dict[str, Any]) -> None:
        facts = results["terms"][0]["facts"]
        assert [row["entered"] for row in facts["weeks_flagged"].values()] == [fixed_clock.at.date().isoformat()]
        facts["weeks_flagged"]["2026-09-14"]["entered"] = "2026-09-01"
        facts["weeks_flagged"]["2026-09-21"] = {"reason": "", "entered": "2026-09-01", "countersigned": True}

    bring(here, resigned(below, file_of(below), backdate))
    with here.inside():
        service.refresh()
        with connect() as connection:
            found = {
                one.id: one.effective
                for one in questions.classes_of(connection, service.results_folder(), "fortnightly", number)
            }
    assert found == {key: one["effective_weeks"] for key, one in told["classes"].items()}
    with here.inside():
        below_here = db.session.scalars(select(Subordinate)).one()
        late = [key for key, _row in rules.late_entries(below_here.calendar)]
        officer = db.session.get_one(Account, here.ids["officer"])
        assert office.countersign(officer, below_here.id, [*late, "another"]) == len(late) == 1
    fixed_clock.at += timedelta(minutes=10)
    give_back(below, bring(here, file_of(below)))  # this receipt brings it back
    with below.inside():
        signed = usage.evaluate(school_id, "fortnightly", fixed_clock.at.date())
        assert usage.verify_chain(school_id).ok
    assert all(
        one["effective_weeks"] == told["classes"][key]["effective_weeks"] - 1 for key, one in signed["classes"].items()
    )
    fixed_clock.at += timedelta(minutes=10)
    bring(here, file_of(below))  # and both judge alike: no refusal
    with here.inside():
        service.refresh()
        with connect() as connection:
            again = questions.classes_of(connection, service.results_folder(), "fortnightly", number)
    assert {one.id: one.effective for one in again} == {
        key: one["effective_weeks"] for key, one in signed["classes"].items()
    }


def test_the_clock_hands_up_and_spreads_the_night(here: Place, below: Place, fixed_clock: clock.FixedClock) -> None:
    teach(below, fixed_clock, AUTUMN, [1])
    with here.inside():
        _found, code = office.register(db.session.get_one(Account, here.ids["officer"]), "school", "东风小学", "")
    school_id = below.ids["school"]
    with served(here) as url, below.inside():
        uplink.join_by_code(db.session.get_one(Account, below.ids["admin"]), school_id, url, code)
        service.hand_up_due()
        assert uplink.waiting_links(school_id) == 0
        own_minute = school_id.int % service.SPREAD_MINUTES
        midnight = datetime(2026, 9, 30, 16, 0, tzinfo=UTC)
        for minute, handed in ((own_minute - 1, False), (own_minute, True)):
            if minute < 0:
                continue
            fixed_clock.at = midnight + timedelta(minutes=minute)
            service.hand_up_due()
            assert (uplink.need_uplink(school_id).results_on == date(2026, 10, 1)) is handed
    with below.inside():
        service.hand_up_due(force=True)  # the office is away: said on the page, nothing breaks
        assert "暂时连不上" in uplink.need_uplink(school_id).trouble
    assert count(here, HandedRecord) == 4


@pytest.mark.parametrize(
    ("change", "code"), [({"ended_at": "2026-09-01T03:00:00Z"}, "backdated"), ({"id": "another"}, "record-twice")]
)
def test_a_record_that_no_lesson_can_leave_is_refused(
    here: Place, below: Place, fixed_clock: clock.FixedClock, change: dict[str, str], code: str
) -> None:
    """Who owns the school's database and key writes a link of his own: well formed and signed, but impossible."""
    teach(below, fixed_clock, AUTUMN, [1])
    enrol_by_key(here, below, below.ids["school"])
    give_back(below, bring(here, file_of(below)))
    with below.inside():
        newest = (
            select(EvidenceEvent.body).where(EvidenceEvent.type == "usage-record").order_by(EvidenceEvent.seq.desc())
        )
        payload = json.loads(db.session.scalars(newest.limit(1)).one())["payload"]
        lesson = {} if code == "record-twice" else {"lesson": "another", "id": "another"}
        payload["record"] |= {**lesson, **change}
        append_event(below.ids["school"], "usage-record", payload, (), fixed_clock.at)
    with pytest.raises(Refused, match=code) as refused:
        bring(here, file_of(below))
    assert refused.value.where == "another"
    assert count(here, HandedRecord) == 4


def test_the_line_takes_no_rubbish(here: Place, below: Place, fixed_clock: clock.FixedClock) -> None:
    client = here.app.test_client()
    with here.inside():
        for path in ("/api/region/batches", "/api/region/enrolments"):
            answer = client.post(
                path, data=b"rubbish", content_type="application/zip", headers={"Accept": "application/json"}
            )
            assert answer.status_code == 422, answer.text
            assert answer.get_json()["title"]
        huge = batches.zipped({"chain.jsonl": b" " * (batches.MOST_BYTES + 1)})
        assert len(huge) < 1_000_000
        assert client.post("/api/region/batches", data=huge).status_code == 422
        assert client.post("/api/region/batches", data=b"x" * (17 * 1024 * 1024)).status_code == 413
    with below.inside():
        assert (
            below.app.test_client().post("/api/region/batches", data=huge).status_code == 404
        )  # a school is no office
        assert below.app.test_client().get("/api/region/identity").status_code == 404
