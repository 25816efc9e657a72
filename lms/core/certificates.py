"""Where the school's certificates lie (证书文件); made by :mod:`lms.core.tls`, which is heavy to import."""

from __future__ import annotations

import hashlib
import ssl
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Certificates:
    """Where the files of ``<data_dir>/tls`` lie; ``server`` holds the chain, ``ca`` is what terminals install."""

    folder: Path

    @property
    def ca(self) -> Path:
        """Certificate of the authority, PEM; public."""
        return self.folder / "ca.pem"

    @property
    def ca_key(self) -> Path:
        """Key of the authority, PEM; secret."""
        return self.folder / "ca.key"

    @property
    def server(self) -> Path:
        """Certificate of the server followed by the authority's, PEM."""
        return self.folder / "server.pem"

    @property
    def server_key(self) -> Path:
        """Key of the server, PEM; secret."""
        return self.folder / "server.key"

    def fingerprint(self) -> str:
        """SHA-256 of the authority's certificate as people compare it: ``AB:CD:…``."""
        digest = hashlib.sha256(ssl.PEM_cert_to_DER_cert(self.ca.read_text("ascii"))).digest()
        return ":".join(f"{byte:02X}" for byte in digest)
