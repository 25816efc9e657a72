"""One file that holds a whole installation, and the way back (备份与恢复).

The archive is a zip: ``manifest.json`` (format, version, revision, checksums), the database (a SQLite snapshot, or PostgreSQL's custom dump)
and every file of the data folder. It holds keys and personal data: whoever has it has the school.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sqlite3
import subprocess
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import IO

from flask_babel import lazy_gettext as _l
from sqlalchemy import Engine, create_engine, make_url

from lms import __version__
from lms.config import Settings
from lms.core import schema
from lms.core.errors import Invalid, Refused

FORMAT = 1
MANIFEST = "manifest.json"
DATABASE = "database"
FILES = "files/"
LEFT_OUT_FOLDERS = ("run", "before-restore", "before-upgrade")
LEFT_OUT_SUFFIXES = ("-wal", "-shm", ".writers", ".new")
CHUNK = 1 << 20


@dataclass(frozen=True)
class Manifest:
    """What an archive says about itself. ``files``: SHA-256 by name inside the archive."""

    format: int
    version: str
    made_at: str
    origin: str
    database: str
    revision: str
    files: dict[str, str]


@dataclass(frozen=True)
class Restored:
    """What the hooks of :func:`on_restore` are told: when the archive was made, and when it was restored."""

    made_at: datetime
    restored_at: datetime


_hooks: list[Callable[[Restored], None]] = []


def on_restore(hook: Callable[[Restored], None]) -> None:
    """Have ``hook`` called inside an app context after a restore, e.g. to write the gap into the evidence chain."""
    _hooks.append(hook)


def after_restore(facts: Restored) -> None:
    """Call the hooks; the command does so once the restored database is open."""
    for hook in _hooks:
        hook(facts)


def backup(settings: Settings, target: Path, now: datetime) -> Manifest:
    """Write an archive at ``target`` while the school works on; the file appears whole or not at all, readable by its owner only."""
    draft = target.with_name(f"{target.name}.part")
    with TemporaryDirectory(prefix="zhike-backup-") as folder:
        dump = Path(folder) / DATABASE
        _dump(settings, dump)
        checksums: dict[str, str] = {}
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as handle, zipfile.ZipFile(handle, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, path in [(DATABASE, dump), *_files(settings)]:
                checksums[name] = _add(archive, name, path)
            kind = "sqlite" if settings.is_sqlite else "postgresql"
            made = Manifest(FORMAT, __version__, now.isoformat(), settings.origin, kind, _revision(settings), checksums)
            archive.writestr(MANIFEST, json.dumps(asdict(made), ensure_ascii=False, indent=1))
            archive.fp.flush()  # type: ignore[union-attr]  # open until the block ends
            os.fsync(handle.fileno())
    draft.replace(target)
    return made


def upgrade(settings: Settings, engine: Engine, now: datetime) -> Path | None:
    """Bring the tables up to this program, after a backup into ``<data_dir>/before-upgrade``; its path, None for an empty database.

    Raises Refused for the tables of a newer program.
    """
    revision = schema.current(engine)
    if revision is None:
        schema.upgrade(engine)
        return None
    if not schema.is_known(revision):
        raise Refused("database-newer", _l("数据库来自更新的版本。"), remedy=_l("请安装新版智课，或从备份恢复。"))
    folder = settings.data_dir / "before-upgrade"
    folder.mkdir(mode=0o700, exist_ok=True)
    saved = folder / f"{revision}-{now:%Y%m%d-%H%M%S}.zip"
    backup(settings, saved, now)
    schema.upgrade(engine)
    return saved


def check(source: Path) -> Manifest:
    """Read the manifest and every checksum; raises Invalid where the archive is damaged or no backup of ours."""
    try:
        with zipfile.ZipFile(source) as archive:
            manifest = _manifest(archive)
            names = set(archive.namelist()) - {MANIFEST}
            if names != set(manifest.files):
                raise _damaged(", ".join(sorted(names ^ set(manifest.files))[:3]))
            for name, checksum in manifest.files.items():
                if name != DATABASE and not _is_safe(name):
                    raise _damaged(name)
                with archive.open(name) as handle:
                    if _digest(handle) != checksum:
                        raise _damaged(name)
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError) as error:
        raise _damaged(str(error)) from error
    if not schema.is_known(manifest.revision):
        raise Refused("backup-newer", _l("这份备份来自更新的版本。"), remedy=_l("请先安装新版智课，再恢复。"))
    return manifest


def restore(settings: Settings, source: Path, now: datetime) -> Manifest:
    """Put an archive in the place of the data folder and the database; what was there is kept in ``<data_dir>/before-restore``
    (the files, and of PostgreSQL a dump named ``database``).

    Raises Invalid for a damaged archive and Refused where it does not fit, before anything is touched. The caller brings the tables up to
    date and calls :func:`after_restore`.
    """
    manifest = check(source)
    kind = "sqlite" if settings.is_sqlite else "postgresql"
    if manifest.database != kind:
        raise Refused(
            "backup-database",
            _l("备份来自 %(there)s，而这里使用 %(here)s。", there=manifest.database, here=kind),
            remedy=_l("请设置同一种数据库再恢复。"),
        )
    if manifest.origin != settings.origin:
        raise Refused("origin-differs", _l("备份的数据来源是 %(kept)s，与设置不同。", kept=manifest.origin))
    running = running_processes(settings)
    if running:
        raise Refused(
            "running", _l("智课正在运行（%(names)s）。", names="、".join(running)), remedy=_l("请先停止，再恢复。")
        )
    staging = settings.data_dir.with_name(f"{settings.data_dir.name}.restoring")
    shutil.rmtree(staging, ignore_errors=True)
    _unpack(source, manifest, staging)
    dump = staging / DATABASE
    before = staging.with_name(f"{settings.data_dir.name}.before")
    if not settings.is_sqlite:
        before.touch(mode=0o600)  # it holds what the database holds
        try:
            _dump(settings, before)
            _load_postgres(settings, dump)
        except Refused:  # in one transaction: the database is as it was
            before.unlink(missing_ok=True)
            shutil.rmtree(staging)
            raise
        dump.unlink()
    _exchange(settings, staging, dump)
    if before.exists():
        before.rename(settings.data_dir / "before-restore" / DATABASE)
    return manifest


def running_processes(settings: Settings) -> list[str]:
    """Names of processes of this installation that are alive."""
    found = []
    for path in sorted((settings.run / "pids").glob("*.pid")):
        try:
            os.kill(int(path.read_text("ascii")), 0)
        except (ProcessLookupError, ValueError):
            continue
        except PermissionError:
            pass
        found.append(path.stem)
    return found


def _exchange(settings: Settings, staging: Path, dump: Path) -> None:
    """Move the old content aside and the new one in; renames within one disk, so that it is quick."""
    data = settings.data_dir
    aside = data / "before-restore"
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    for entry in list(data.iterdir()):
        if entry != aside and entry != settings.run:
            entry.rename(aside / entry.name)
    if settings.is_sqlite:
        place = sqlite_path(settings)
        for suffix in ("", "-wal", "-shm"):
            old = place.with_name(place.name + suffix)
            if old.exists():
                old.rename(aside / old.name)
        dump.rename(place)
    for entry in list(staging.iterdir()):
        entry.rename(data / entry.name)
    staging.rmdir()


def _unpack(source: Path, manifest: Manifest, staging: Path) -> None:
    staging.mkdir(parents=True, mode=0o700)
    with zipfile.ZipFile(source) as archive:
        for name in manifest.files:
            target = staging / (DATABASE if name == DATABASE else name.removeprefix(FILES))
            target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with archive.open(name) as handle, target.open("wb") as out:
                shutil.copyfileobj(handle, out, CHUNK)
            target.chmod(0o600)


def sqlite_path(settings: Settings) -> Path:
    """The file of the SQLite database."""
    return Path(settings.database.removeprefix("sqlite:///"))


def _files(settings: Settings) -> Iterator[tuple[str, Path]]:
    database = sqlite_path(settings).resolve() if settings.is_sqlite else None
    for path in sorted(settings.data_dir.rglob("*")):
        relative = path.relative_to(settings.data_dir)
        if (
            not path.is_file()
            or path.is_symlink()
            or relative.parts[0] in LEFT_OUT_FOLDERS
            or path.resolve().is_relative_to(settings.run.resolve())
        ):
            continue
        if path.resolve() == database or path.name.endswith(LEFT_OUT_SUFFIXES):
            continue
        yield FILES + relative.as_posix(), path


def _dump(settings: Settings, target: Path) -> None:
    if settings.is_sqlite:
        source = sqlite3.connect(f"file:{sqlite_path(settings)}?mode=ro", uri=True)
        copy = sqlite3.connect(target)
        with source, copy:
            source.backup(copy)
        source.close()
        copy.close()
        return
    _postgres("pg_dump", settings, "--format=custom", "--no-owner", f"--file={target}")


def _load_postgres(settings: Settings, dump: Path) -> None:
    _postgres(
        "pg_restore",
        settings,
        "--clean",
        "--if-exists",
        "--no-owner",
        "--single-transaction",
        "--exit-on-error",
        str(dump),
        database_option=True,
    )


def _postgres(program: str, settings: Settings, *arguments: str, database_option: bool = False) -> None:
    if shutil.which(program) is None:
        raise Refused(
            "no-postgres-client", _l("没有找到 %(program)s。", program=program), remedy=_l("请安装 postgresql-client。")
        )
    url = make_url(settings.database).set(drivername="postgresql").render_as_string(hide_password=False)
    where = [f"--dbname={url}"] if database_option else [url]
    done = subprocess.run([program, *where, *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise Refused(
            "postgres-failed", _l("%(program)s 失败：%(why)s", program=program, why=done.stderr.strip()[-400:])
        )


def _revision(settings: Settings) -> str:
    engine = create_engine(settings.database, hide_parameters=True)
    try:
        return schema.current(engine) or ""
    finally:
        engine.dispose()


def _manifest(archive: zipfile.ZipFile) -> Manifest:
    try:
        manifest = Manifest(**json.loads(archive.read(MANIFEST)))
    except (KeyError, TypeError, ValueError) as error:
        raise Invalid("not-a-backup", _l("这不是智课的备份文件。")) from error
    if manifest.format != FORMAT:
        raise Invalid("backup-format", _l("不认识这种备份格式 %(number)s。", number=manifest.format))
    return manifest


def _is_safe(name: str) -> bool:
    path = PurePosixPath(name)
    return name.startswith(FILES) and not path.is_absolute() and ".." not in path.parts and "\\" not in name


def _add(archive: zipfile.ZipFile, name: str, path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as handle, archive.open(name, "w", force_zip64=True) as out:
        while chunk := handle.read(CHUNK):
            digest.update(chunk)
            out.write(chunk)
    return digest.hexdigest()


def _digest(handle: IO[bytes]) -> str:
    digest = hashlib.sha256()
    while chunk := handle.read(CHUNK):
        digest.update(chunk)
    return digest.hexdigest()


def _damaged(what: str) -> Invalid:
    return Invalid(
        "backup-damaged", _l("备份文件已损坏，没有恢复任何内容。"), remedy=_l("请换用另一份备份。"), where=what
    )
