"""The node key (节点密钥): Ed25519 under ``data_dir/keys/node.pem``, made at first use, readable by its owner only."""

from __future__ import annotations

import hashlib
import hmac
import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


@dataclass(frozen=True)
class NodeKey:
    """The key of this installation; ``key_id``: first 16 hex digits of the SHA-256 of the raw public key."""

    private: Ed25519PrivateKey

    @property
    def public(self) -> bytes:
        """Raw public key, 32 bytes."""
        return self.private.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)

    @property
    def key_id(self) -> str:
        """Short name of the key."""
        return hashlib.sha256(self.public).hexdigest()[:16]

    def pseudonym(self, name: str) -> str:
        """A name that only this installation can make of ``name`` (HMAC-SHA-256 under the key): ``P-`` and 12 hex digits."""
        raw = self.private.private_bytes_raw()
        return "P-" + hmac.new(raw, b"pseudonym:" + name.encode(), hashlib.sha256).hexdigest()[:12]

    def sign(self, statement: bytes) -> str:
        """Ed25519 signature, hex."""
        return self.private.sign(statement).hex()


def node_key(data_dir: Path) -> NodeKey:
    """The node key of ``data_dir``; made if there is none. Raises ValueError if the file holds another kind of key."""
    path = data_dir / "keys" / "node.pem"
    _make(path)
    return _read(path, path.stat().st_mtime_ns)


def rotate(data_dir: Path) -> tuple[NodeKey, NodeKey]:
    """Put a new key in the place of the old one, which is kept in ``keys/retired`` to hand over on each chain; (old, new)."""
    old, path = node_key(data_dir), data_dir / "keys" / "node.pem"
    retired = path.parent / "retired"
    retired.mkdir(mode=0o700, exist_ok=True)
    os.link(path, retired / f"{old.key_id}.pem")
    fresh = path.with_name(".node-next.pem")
    fresh.unlink(missing_ok=True)
    _make(fresh)
    fresh.replace(path)
    return old, node_key(data_dir)


def retired_key(data_dir: Path, key_id: str) -> NodeKey | None:
    """A key that was in force before, if it was kept."""
    path = data_dir / "keys" / "retired" / f"{key_id}.pem"
    return _read(path, path.stat().st_mtime_ns) if path.exists() else None


@lru_cache(maxsize=8)
def _read(path: Path, changed_ns: int) -> NodeKey:
    private = serialization.load_pem_private_key(path.read_bytes(), password=None)
    if not isinstance(private, Ed25519PrivateKey):
        raise ValueError(f"{path}: not an Ed25519 key")
    return NodeKey(private)


def _make(path: Path) -> None:
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    pem = Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    draft = path.with_name(f".node-{os.getpid()}-{os.urandom(4).hex()}.pem")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as handle:
        handle.write(pem)
        handle.flush()
        os.fsync(handle.fileno())
    try:
        os.link(draft, path)  # whole or not at all, and the first of several processes wins
    except FileExistsError:
        pass  # another process made it meanwhile; its key holds
    finally:
        draft.unlink()
