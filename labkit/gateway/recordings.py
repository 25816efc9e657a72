"""The recordings of one gateway (录像): where they lie, who allowed them, when they are deleted; every step is journaled.

In ``<run dir>/recordings``: ``<id>.avi`` with ``<id>.json`` beside it, and ``journal.jsonl``. A file that stands nowhere is deleted, and so
is one whose days are over, at the start and every minute. The list of the newest is
retained on ``zhike/gateway/<gateway>/recordings``.
"""

from __future__ import annotations

import json
import logging
import re
import threading
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from pathlib import Path

from labkit.errors import LabkitError
from labkit.gateway.board import Board
from labkit.recording import NotPermitted, Permit

log = logging.getLogger("labkit.gateway")
SWEEP_S = 60.0
MOST_TOLD = 100
REFUSED, RECORDING, ENDED, DELETED = "refused", "recording", "ended", "deleted"
_ID = re.compile(r"[0-9a-f-]{8,40}")


def list_topic(gateway: str) -> str:
    """Where a gateway tells its recordings."""
    return f"zhike/gateway/{gateway}/recordings"


class Recordings:
    """Thread-safe; times are aware UTC."""

    def __init__(self, folder: Path, gateway: str, board: Board) -> None:
        self._folder, self._topic, self._board = folder, list_topic(gateway), board
        self._lock = threading.RLock()
        self._entries: dict[str, dict[str, object]] = {}
        for file in sorted(folder.glob("*.json")):
            try:
                entry = json.loads(file.read_text("utf-8"))
                datetime.fromisoformat(entry["delete_at"])
            except (ValueError, KeyError, TypeError):
                log.error("%s cannot be read: its recording will be deleted", file)
                continue
            # The process that wrote it is gone.
            self._entries[file.stem] = entry | {"state": ENDED}

    def knows(self, number: str) -> bool:
        """Whether an order with this id was answered already."""
        with self._lock:
            return number in self._entries

    def begin(self, number: str, device: str, room: str, permit: Permit, now: datetime) -> Path:
        """The file of a new recording; raises NotPermitted busy for an id that is none or is used."""
        with self._lock:
            if not _ID.fullmatch(number) or number in self._entries:
                raise NotPermitted("busy", "这个录像编号已用过", "this recording's id is used already")
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._entries[number] = {
                "id": number,
                "device": device,
                "room": room,
                "state": RECORDING,
                "began": now.isoformat(),
                "delete_at": (now + timedelta(days=permit.retention_days)).isoformat(),
                "permit": permit.to_json(),
            }
            self._changed(number, now)
            return self._folder / f"{number}.avi"

    def refuse(self, number: str, device: str, room: str, error: LabkitError, now: datetime) -> None:
        """Tell why nothing is recorded; a file that was begun for it goes."""
        with self._lock:
            known = number in self._entries
            if not known and not _ID.fullmatch(number):
                return
            entry = self._entries.get(number, {"id": number, "device": device, "room": room})
            self._entries[number] = entry | {"state": REFUSED, "code": error.code, "zh": error.zh, "en": error.en}
            self._try(number, self._unlink)
            self._changed(number, now, keep=False)

    def ended(self, number: str, now: datetime) -> None:
        """The recording is complete."""
        with self._lock:
            if self._entries.get(number, {}).get("state") == RECORDING:
                self._entries[number] |= {"state": ENDED, "ended": now.isoformat()}
                if _over(self._entries[number], now):
                    self._try(number, lambda number: self._delete(number, now))
                else:
                    self._try(number, lambda number: self._changed(number, now))
                self._publish()

    def erase(self, number: str, now: datetime) -> None:
        """Delete a recording before its time; one that still runs as soon as it has ended."""
        with self._lock:
            state = self._entries.get(number, {}).get("state")
            if state in (RECORDING, ENDED):
                self._entries[number] |= {"delete_at": now.isoformat()}
                self._try(number, lambda number: (self._delete if state == ENDED else self._changed)(number, now))

    def sweep(self, now: datetime) -> None:
        """Delete what is over, and files that stand nowhere; what cannot be deleted is tried again at the next sweep."""
        with self._lock:
            for number, entry in list(self._entries.items()):
                if entry["state"] == ENDED and _over(entry, now):
                    self._try(number, lambda number: self._delete(number, now))
            known = {n for n, e in self._entries.items() if e["state"] in (RECORDING, ENDED)}
            for file in self._folder.glob("*.avi"):
                if file.stem not in known:
                    self._try(file.stem, lambda number: self._strike(number, now))
            self._publish()

    def _try(self, number: str, act: Callable[[str], None]) -> None:
        try:
            act(number)
        except OSError as error:
            log.error("recording %s: the disk fails: %s", number, error)

    def _unlink(self, number: str) -> None:
        (self._folder / f"{number}.avi").unlink(missing_ok=True)
        (self._folder / f"{number}.json").unlink(missing_ok=True)

    def _strike(self, number: str, now: datetime) -> None:
        (self._folder / f"{number}.avi").unlink()
        self._journal({"id": number, "state": DELETED, "why": "unknown"}, now)

    def _delete(self, number: str, now: datetime) -> None:
        # The file first: an entry without a file harms nobody.
        self._unlink(number)
        self._entries[number] |= {"state": DELETED, "deleted": now.isoformat()}
        self._changed(number, now, keep=False)

    def _changed(self, number: str, now: datetime, keep: bool = True) -> None:
        entry = self._entries.pop(number)
        self._entries[number] = entry  # what has changed last stands last
        if keep:
            (self._folder / f"{number}.json").write_text(json.dumps(entry, ensure_ascii=False), "utf-8")
        self._journal(entry, now)
        self._publish()

    def _journal(self, entry: dict[str, object], now: datetime) -> None:
        log.warning("recording %s: %s", entry["id"], entry["state"])
        if self._folder.is_dir():
            try:
                with (self._folder / "journal.jsonl").open("a", encoding="utf-8") as journal:
                    journal.write(json.dumps({"at": now.isoformat(), **entry}, ensure_ascii=False) + "\n")
            except OSError as error:
                log.error("recording %s: not in the journal: %s", entry["id"], error)

    def _publish(self) -> None:
        over = [n for n, e in self._entries.items() if e["state"] in (REFUSED, DELETED)][:-MOST_TOLD]
        for number in over:
            del self._entries[number]
        newest = list(self._entries.values())[-MOST_TOLD:]
        shown = [{name: value for name, value in entry.items() if name != "permit"} for entry in newest]
        self._board.put(self._topic, json.dumps(shown, ensure_ascii=False, separators=(",", ":")).encode())


def _over(entry: Mapping[str, object], now: datetime) -> bool:
    return "delete_at" in entry and datetime.fromisoformat(str(entry["delete_at"])) <= now
