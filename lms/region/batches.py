"""The hand-up batch (上报批次): a signed segment of a school's evidence chain with what the school judged from it; pure.

A zip whose members are named and written as those of an evidence pack: ``manifest.json`` (canonical JSON), ``chain.jsonl`` (one link a
line, as hashed), ``hashes.json``, ``roots.json``, ``results.json`` (facts of terms as counts and pseudonyms, and the school's verdicts) and
``manifest.sig``. The manifest names the SHA-256 of every member and is signed by the school's node key; its own SHA-256 is the batch's name.
No member holds a person's name.
"""

from __future__ import annotations

import io
import json
import uuid
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flask_babel import lazy_gettext as _l

from lms.core.errors import Invalid
from lms.usage.verifier import verify

VERSION = 1
KIND = "hand-up"
MOST_BYTES = 64 * 1024 * 1024
MOST_OF_A_FILE = 16 * MOST_BYTES
MEMBERS = ("chain.jsonl", "hashes.json", "roots.json", "results.json")
GROUP = 5
FINGERPRINT_GROUPS = 3
SECRET_GROUPS = 2
_FIXED = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class Batch:
    """A batch as read: its links ``first_seq``–``last_seq`` (``last_seq`` = ``first_seq`` − 1 for none) after the link with hash ``prev``.

    ``public_key``: what the batch claims to be signed with; whether that is the school's key is for the receiver to know.
    """

    name: str
    manifest: Mapping[str, Any]
    links: tuple[str, ...]
    hashes: tuple[str, ...]
    roots: tuple[Mapping[str, Any], ...]
    results: Mapping[str, Any]
    public_key: bytes
    signature: str
    wrong_members: tuple[str, ...]
    data: bytes

    @property
    def school(self) -> str:
        """Id of the school."""
        return str(self.manifest["school"])

    @property
    def first_seq(self) -> int:
        """Seq of the first link."""
        return int(self.manifest["first_seq"])

    @property
    def last_seq(self) -> int:
        """Seq of the last link."""
        return int(self.manifest["last_seq"])

    @property
    def signed(self) -> bool:
        """Whether the manifest's signature holds under ``public_key``."""
        return verify.signed_by(self.public_key, self.signature, verify.canonical(dict(self.manifest)))


def make(
    manifest: Mapping[str, Any],
    links: Sequence[str],
    roots: Sequence[Mapping[str, Any]],
    results: Mapping[str, Any],
    public_key: bytes,
    sign: Callable[[bytes], str],
) -> bytes:
    """A batch from its parts; ``manifest`` gives school, profile, origin, made_at, first_seq, last_seq, prev and head."""
    members = {
        "chain.jsonl": "".join(f"{link}\n" for link in links).encode(),
        "hashes.json": verify.canonical([verify.digest(link.encode()) for link in links]),
        "roots.json": verify.canonical(list(roots)),
        "results.json": json.dumps(results, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode(),
    }
    files = {name: verify.digest(data) for name, data in members.items()}
    text = verify.canonical({**manifest, "v": VERSION, "kind": KIND, "files": files})
    signature = verify.canonical({"public_key": public_key.hex(), "signature": sign(text)})
    return zipped({"manifest.json": text, "manifest.sig": signature, **members})


def zipped(members: Mapping[str, bytes]) -> bytes:
    """A zip that is the same for the same content."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name, _FIXED), data, zipfile.ZIP_DEFLATED)
    return stream.getvalue()


def read(data: bytes, where: str = "") -> Batch:
    """Open a batch; raises Invalid (``batch-unreadable``) where it is none, is damaged or too large. Nothing in it is believed yet."""
    members = unzipped(data, where)
    try:
        manifest, signature = json.loads(members["manifest.json"]), json.loads(members["manifest.sig"])
        if manifest["kind"] != KIND or manifest["v"] != VERSION:
            raise ValueError(f"{manifest['kind']} v{manifest['v']}")
        for name, kind in (
            ("school", str),
            ("first_seq", int),
            ("last_seq", int),
            ("prev", str),
            ("profile", dict),
            ("files", dict),
        ):
            if not isinstance(manifest[name], kind):
                raise TypeError(name)
        uuid.UUID(manifest["school"])
        wrong = [name for name in MEMBERS if verify.digest(members[name]) != manifest["files"].get(name)]
        return Batch(
            name=verify.digest(verify.canonical(manifest)),
            manifest=manifest,
            links=tuple(members["chain.jsonl"].decode().split("\n")[:-1]),
            hashes=tuple(json.loads(members["hashes.json"])),
            roots=tuple(json.loads(members["roots.json"])),
            results=json.loads(members["results.json"]),
            public_key=bytes.fromhex(signature["public_key"]),
            signature=str(signature["signature"]),
            wrong_members=tuple(wrong),
            data=data,
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _unreadable(where, repr(error)) from error


def unzipped(data: bytes, where: str = "", most: int = MOST_BYTES) -> dict[str, bytes]:
    """Members of a zip by name; raises Invalid where it is none, damaged, or larger than ``most`` bytes unpacked."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if sum(one.file_size for one in archive.infolist()) > most:
                raise _unreadable(where, "too large")
            return {one.filename: archive.read(one) for one in archive.infolist()}
    except (zipfile.BadZipFile, OSError, EOFError, NotImplementedError, ValueError) as error:
        raise _unreadable(where, str(error)) from error


def _unreadable(where: str, why: str) -> Invalid:
    return Invalid(
        "batch-unreadable",
        _l("这不是完整的上报文件：%(why)s。", why=why),
        remedy=_l("文件可能在传送中损坏，没有导入任何内容；请重新复制或重新发送。"),
        where=where,
    )


def fingerprint(public_key: bytes) -> str:
    """A key as people read it to each other: fifteen signs (75 bits of its SHA-256), ``8F3KQ-ZX02N-4T7YB``."""
    return verify.fingerprint(public_key)


def secret_of(random: bytes) -> str:
    """The secret half of an enrolment code: ten signs of 7 or more random bytes."""
    return verify.signs(random, SECRET_GROUPS)


def tidy(text: str) -> str:
    """What somebody typed as groups of signs: upper case, O and I read as 0 and 1, one dash between groups; empty where other signs are in it."""
    signs = "".join(text.upper().split()).replace("-", "").replace("O", "0").replace("I", "1").replace("L", "1")
    if any(sign not in verify.ALPHABET for sign in signs):
        return ""
    return "-".join(signs[at : at + GROUP] for at in range(0, len(signs), GROUP))


def split_code(code: str) -> tuple[str, str]:
    """(secret, fingerprint of the office's key) of an enrolment code; raises Invalid."""
    groups = tidy(code).split("-")
    if len(groups) != SECRET_GROUPS + FINGERPRINT_GROUPS or any(len(group) != GROUP for group in groups):
        raise Invalid(
            "enrol-code",
            _l(
                "登记码应为 %(groups)s 组、每组 %(signs)s 个字符。",
                groups=SECRET_GROUPS + FINGERPRINT_GROUPS,
                signs=GROUP,
            ),
            remedy=_l("请向主管部门核对登记码。"),
            where="code",
        )
    return "-".join(groups[:SECRET_GROUPS]), "-".join(groups[SECRET_GROUPS:])


def check_fingerprint(text: str, where: str = "fingerprint") -> str:
    """A fingerprint in its usual form; raises Invalid."""
    found = tidy(text)
    if len(found) != FINGERPRINT_GROUPS * (GROUP + 1) - 1:
        raise Invalid(
            "fingerprint",
            _l("密钥指纹应为 %(groups)s 组、每组 %(signs)s 个字符。", groups=FINGERPRINT_GROUPS, signs=GROUP),
            where=where,
        )
    return found


@dataclass(frozen=True)
class Signed:
    """A small signed document (identity, enrolment, receipt): canonical ``body`` and the key that signed it."""

    body: Mapping[str, Any]
    public_key: bytes
    signature: str

    def plain(self) -> dict[str, Any]:
        """As it travels."""
        return {"body": dict(self.body), "public_key": self.public_key.hex(), "signature": self.signature}


def sign_document(kind: str, body: Mapping[str, Any], public_key: bytes, sign: Callable[[bytes], str]) -> Signed:
    """Sign ``body`` as a document of ``kind``."""
    whole = {**body, "v": VERSION, "kind": kind}
    return Signed(whole, public_key, sign(verify.canonical(whole)))


def read_document(kind: str, document: Any, where: str = "") -> Signed:
    """A signed document whose signature holds under the key that it names; raises Invalid. Whose key it is, the caller must know."""
    try:
        body = document["body"]
        found = Signed(body, bytes.fromhex(document["public_key"]), str(document["signature"]))
        good = body["kind"] == kind and body["v"] == VERSION
        good = good and verify.signed_by(found.public_key, found.signature, verify.canonical(body))
    except (KeyError, TypeError, ValueError) as error:
        raise _bad_document(where) from error
    if not good:
        raise _bad_document(where)
    return found


def _bad_document(where: str) -> Invalid:
    return Invalid(
        "document",
        _l("内容不完整或签名无效。"),
        remedy=_l("请重新获取原件；如果仍不行，请联系对方核对密钥指纹。"),
        where=where,
    )
