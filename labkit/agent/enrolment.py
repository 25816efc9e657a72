"""What the technician types once into the golden image (母盘): the server, the room's secret, the school's CA."""

from __future__ import annotations

import getpass
import json
import os
import shutil
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import urlsplit

from labkit.errors import LabkitError

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True)
class Enrolment:
    """``server``: ``https://name:port``; ``secret``: of the room's image; ``ca``: path of the school CA's file ("" = the system's)."""

    server: str
    secret: str
    ca: str = ""


def default_path() -> Path:
    """Where the enrolment lies: ``/etc/zhike-agent.json``, on Windows below ``%PROGRAMDATA%``."""
    if sys.platform == "win32":
        return Path(os.environ.get("PROGRAMDATA", r"C:\ProgramData")) / "zhike" / "agent.json"
    return Path("/etc/zhike-agent.json")


def default_run_dir() -> Path:
    """Where the running agent keeps its sockets and bindings: a folder that no pupil can have made before it."""
    if sys.platform == "win32":
        return Path(os.environ.get("PROGRAMDATA", r"C:\ProgramData")) / "zhike" / "run"
    own = os.environ.get("XDG_RUNTIME_DIR")
    if own:
        return Path(own) / "zhike-agent"
    return Path("/run/zhike-agent") if os.geteuid() == 0 else Path.home() / ".zhike-agent"


def check(enrolment: Enrolment) -> Enrolment:
    """The same, if it can be one; raises LabkitError."""
    parts = urlsplit(enrolment.server)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise LabkitError(
            "agent_server",
            f"服务器地址应像 https://zhike.school:8443，不是 {enrolment.server}",
            "the server should be like https://zhike.school:8443",
        )
    if parts.scheme == "http" and parts.hostname not in LOOPBACK:
        raise LabkitError(
            "agent_plain_http",
            "教室口令不能用 http 明文传送：请用 https 地址（教师机“教室 → 电脑”页上有）",
            "the room's secret must not travel over plain http: use the https address",
        )
    if len(enrolment.secret.replace("-", "").strip()) < 16:
        raise LabkitError(
            "agent_secret",
            "教室口令不完整：请从“教室 → 电脑”页整段复制",
            "the room's secret is incomplete: copy all of it",
        )
    if enrolment.ca and not Path(enrolment.ca).is_file():
        raise LabkitError("agent_ca", f"没有证书文件 {enrolment.ca}", f"there is no certificate file {enrolment.ca}")
    return enrolment


def read_enrolment(path: Path) -> Enrolment:
    """Read and check the file; raises LabkitError that says what to do."""
    try:
        data = json.loads(path.read_text("utf-8"))
        enrolment = Enrolment(str(data["server"]), str(data["secret"]), str(data.get("ca", "")))
    except FileNotFoundError:
        raise LabkitError(
            "not_enrolled",
            f"这台电脑还没有登记（没有 {path}）：请运行 labkit agent enrol --server … --secret …",
            f"not enrolled (no {path}): run labkit agent enrol --server … --secret …",
        ) from None
    except PermissionError:
        user = getpass.getuser()
        raise LabkitError(
            "enrolment_not_readable",
            f"{path} 不让用户 {user} 读：请用管理员身份重新登记，加上 --owner {user}（labkit agent enrol --owner {user} …）",
            f"{path} may not be read by {user}: enrol again as administrator with --owner {user}",
        ) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise LabkitError(
            "bad_enrolment",
            f"{path} 读不出来（{error}）：请重新运行 labkit agent enrol",
            f"{path} cannot be read ({error}): run labkit agent enrol again",
        ) from error
    return check(enrolment)


def write_enrolment(path: Path, enrolment: Enrolment, owner: str = "") -> None:
    """Write it for the owner's eyes only; ``owner``: the desktop's user who runs the agent ("" = who writes). Raises LabkitError."""
    check(enrolment)
    draft = path.with_name(f"{path.name}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            json.dump(asdict(enrolment), file, indent=1)
        if owner:
            shutil.chown(draft, owner)
        draft.replace(path)
    except LookupError as error:
        draft.unlink(missing_ok=True)
        raise LabkitError(
            "no_such_user",
            f"这台电脑上没有用户 {owner}：--owner 写登录桌面的用户名",
            f"there is no user {owner} on this PC",
        ) from error
    except OSError as error:
        raise LabkitError(
            "enrolment_not_written",
            f"写不了 {path}（{error.strerror}）：请用管理员身份运行，或用 --config 指定位置",
            f"cannot write {path} ({error.strerror}): run as administrator, or name a place with --config",
        ) from error
