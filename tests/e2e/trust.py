"""``python trust.py HOME CA.pem``: a home folder whose browser trusts one authority, made with the NSS library that Chromium brings.

What ``certutil -A -t C`` does, without needing it installed. Runs as a process of its own: NSS opens one store in a process.
"""

from __future__ import annotations

import ctypes
import ssl
import subprocess
import sys
from pathlib import Path

STORE = ".pki/nssdb"
SUCCESS = 0
VALID_CA, TRUSTED_CA = 0x08, 0x10


class Trust(ctypes.Structure):
    """NSS's CERTCertTrust: flags for servers, mail, code."""

    _fields_ = (("servers", ctypes.c_uint), ("mail", ctypes.c_uint), ("code", ctypes.c_uint))


def trusting_home(home: Path, authority: Path) -> Path:
    """Make ``home`` trust the authority's certificate (PEM) for servers and nothing else; returns ``home``."""
    subprocess.run([sys.executable, __file__, str(home), str(authority)], check=True)
    return home


def _write(folder: Path, der: bytes) -> None:
    folder.mkdir(parents=True)
    nss, smime = ctypes.CDLL("libnss3.so"), ctypes.CDLL("libsmime3.so")
    for library, name in ((nss, "PK11_GetInternalKeySlot"), (nss, "CERT_GetDefaultCertDB"), (smime, "CERT_DecodeCertFromPackage")):
        getattr(library, name).restype = ctypes.c_void_p

    def check(what: str, status: int) -> None:
        if status != SUCCESS:
            sys.exit(f"NSS: {what} failed ({nss.PORT_GetError()})")

    check("open", nss.NSS_InitReadWrite(f"sql:{folder}".encode()))
    slot = ctypes.c_void_p(nss.PK11_GetInternalKeySlot())
    check("password", nss.PK11_InitPin(slot, None, None))
    certificate = ctypes.c_void_p(smime.CERT_DecodeCertFromPackage(der, len(der)))
    check("import", nss.PK11_ImportCert(slot, certificate, 0, b"school", 0))
    words = Trust(VALID_CA | TRUSTED_CA, 0, 0)
    check("trust", nss.CERT_ChangeCertTrust(ctypes.c_void_p(nss.CERT_GetDefaultCertDB()), certificate, ctypes.byref(words)))
    nss.CERT_DestroyCertificate(certificate)
    nss.PK11_FreeSlot(slot)
    check("close", nss.NSS_Shutdown())


if __name__ == "__main__":
    _write(Path(sys.argv[1]) / STORE, ssl.PEM_cert_to_DER_cert(Path(sys.argv[2]).read_text("ascii")))
