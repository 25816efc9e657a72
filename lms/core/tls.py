"""The school's own certificate authority and the server certificate it signs (校内证书).

Camera and WebCrypto need HTTPS; a school network has no public name. Each PC of the lab trusts ``ca.pem`` once. The authority may only
vouch for the school's own names (name constraint): a stolen key cannot forge other sites by name.
"""

from __future__ import annotations

import ipaddress
import os
import socket
from datetime import datetime, timedelta
from pathlib import Path

import psutil
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from lms.core.certificates import Certificates

CA_DAYS = 3650
SERVER_DAYS = 397  # what browsers accept at most
RENEW_DAYS = 30


def names_of(host_name: str) -> tuple[str, ...]:
    """DNS names that the server answers to: the configured one, this machine's, each with ``.local``, and localhost."""
    names = []
    for name in (host_name, socket.gethostname()):
        name = name.strip().lower().rstrip(".")
        if name and name.isascii():
            names += [name, *([f"{name}.local"] if "." not in name else [])]
    return tuple(dict.fromkeys([*names, "localhost"]))


def addresses_here() -> tuple[str, ...]:
    """IP addresses of this machine, loopback first, without link-local IPv6 (its zone is no part of a certificate)."""
    found = {"127.0.0.1", "::1"}
    for entries in psutil.net_if_addrs().values():
        for entry in entries:
            if entry.family in (socket.AF_INET, socket.AF_INET6) and "%" not in entry.address:
                found.add(entry.address)
    return tuple(sorted(found, key=lambda text: (not ipaddress.ip_address(text).is_loopback, ":" in text, text)))


def ensure(folder: Path, host_name: str, now: datetime) -> Certificates:
    """Make what is missing, renew what ends within 30 days or no longer names this machine; returns the files.

    Only the server's certificate is renewed: the authority stays, so that terminals need not be visited again. An authority made for
    another name that forbids the new one raises ValueError, which says what to do.
    """
    files = Certificates(folder)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    names, addresses = names_of(host_name), addresses_here()
    if not (files.ca.exists() and files.ca_key.exists()):
        _make_authority(files, names, now)
    if not _still_good(files, names, addresses, now):
        _make_server(files, names, addresses, now)
    return files


def _still_good(files: Certificates, names: tuple[str, ...], addresses: tuple[str, ...], now: datetime) -> bool:
    if not (files.server.exists() and files.server_key.exists()):
        return False
    certificate = x509.load_pem_x509_certificate(files.server.read_bytes())
    alternatives = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    named = set(alternatives.get_values_for_type(x509.DNSName))
    numbered = {str(address) for address in alternatives.get_values_for_type(x509.IPAddress)}
    ours = x509.load_pem_x509_certificate(files.ca.read_bytes()).subject == certificate.issuer
    return (
        ours
        and set(names) <= named
        and set(addresses) <= numbered
        and certificate.not_valid_after_utc - now > timedelta(days=RENEW_DAYS)
    )


def _subject(common_name: str) -> x509.Name:
    return x509.Name(
        [x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Zhike"), x509.NameAttribute(NameOID.COMMON_NAME, common_name)]
    )


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime, days: int
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))  # clocks of lab PCs are off
        .not_valid_after(now + timedelta(days=days))
    )


def _make_authority(files: Certificates, names: tuple[str, ...], now: datetime) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = _subject(f"Zhike CA {names[0]}"[:64])
    permitted = [x509.DNSName(name) for name in dict.fromkeys([*names, "local", "lan", "localhost"])]
    certificate = (
        _builder(subject, subject, key.public_key(), now, CA_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(sign_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.NameConstraints(permitted_subtrees=permitted, excluded_subtrees=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    _write_key(files.ca_key, key)
    files.ca.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))


def _make_server(files: Certificates, names: tuple[str, ...], addresses: tuple[str, ...], now: datetime) -> None:
    authority = x509.load_pem_x509_certificate(files.ca.read_bytes())
    authority_key = serialization.load_pem_private_key(files.ca_key.read_bytes(), None)
    if not isinstance(authority_key, ec.EllipticCurvePrivateKey):
        raise ValueError(f"{files.ca_key}: 不是椭圆曲线密钥 / not an elliptic-curve key")
    _check_names(files, authority, names)
    key = ec.generate_private_key(ec.SECP256R1())
    alternatives: list[x509.GeneralName] = [x509.DNSName(name) for name in names]
    alternatives += [x509.IPAddress(ipaddress.ip_address(address)) for address in addresses]
    certificate = (
        _builder(_subject(names[0][:64]), authority.subject, key.public_key(), now, SERVER_DAYS)
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(sign_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    _write_key(files.server_key, key)
    pem = serialization.Encoding.PEM
    files.server.write_bytes(certificate.public_bytes(pem) + authority.public_bytes(pem))


def _check_names(files: Certificates, authority: x509.Certificate, names: tuple[str, ...]) -> None:
    constraints = authority.extensions.get_extension_for_class(x509.NameConstraints).value
    permitted = [name.value for name in constraints.permitted_subtrees or [] if isinstance(name, x509.DNSName)]
    foreign = [name for name in names if not any(name == base or name.endswith(f".{base}") for base in permitted)]
    if foreign:
        raise ValueError(
            f"校内证书不能用于新的主机名 {', '.join(foreign)}：请删除 {files.ca} 和 {files.ca_key}，"
            "重新启动，再在每台终端上安装新的证书。 / the school CA does not cover the new host name; remove both files, start again,"
            " and install the new certificate on each terminal"
        )


def _usage(*, sign_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not sign_certificates,
        key_cert_sign=sign_certificates,
        crl_sign=sign_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _write_key(path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    text = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as handle:
        handle.write(text)
