"""The school's certificates: made once, renewed in time, good for the school's names only."""

from __future__ import annotations

import socket
import ssl
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from lms.core import tls
from lms.server import tls_context
from tests.effort import PATIENCE_S

NOW = datetime.now(UTC)


def greet(files: tls.Certificates, name: str) -> str | None:
    """Shake hands over a socket pair as a terminal that trusts the school does."""
    ours, theirs = socket.socketpair()
    context = tls_context(files.server, files.server_key)

    def answer() -> None:
        with context.wrap_socket(theirs, server_side=True) as secure:
            secure.recv(1)

    thread = threading.Thread(target=answer)
    thread.start()
    client = ssl.create_default_context(cafile=str(files.ca))
    try:
        with client.wrap_socket(ours, server_hostname=name) as secure:
            version = secure.version()
            secure.sendall(b"x")
            return version
    finally:
        thread.join(PATIENCE_S)


@pytest.mark.parametrize("name", ["lab.school.example", "localhost", "127.0.0.1"])
def test_a_terminal_that_trusts_the_school_gets_in(tmp_path: Path, name: str) -> None:
    files = tls.ensure(tmp_path / "tls", "lab.school.example", NOW)
    assert greet(files, name) == "TLSv1.3"


def test_keys_are_the_owners_alone(tmp_path: Path) -> None:
    files = tls.ensure(tmp_path / "tls", "lab", NOW)
    assert [path.stat().st_mode & 0o077 for path in (files.ca_key, files.server_key)] == [0, 0]


def test_nothing_changes_while_it_is_good(tmp_path: Path) -> None:
    files = tls.ensure(tmp_path / "tls", "lab", NOW)
    before = (files.ca.read_bytes(), files.server.read_bytes())
    tls.ensure(tmp_path / "tls", "lab", NOW + timedelta(days=tls.SERVER_DAYS - tls.RENEW_DAYS - 1))
    assert (files.ca.read_bytes(), files.server.read_bytes()) == before


def test_a_month_before_the_end_only_the_servers_is_renewed(tmp_path: Path) -> None:
    files = tls.ensure(tmp_path / "tls", "lab", NOW)
    authority, server = files.ca.read_bytes(), files.server.read_bytes()
    tls.ensure(tmp_path / "tls", "lab", NOW + timedelta(days=tls.SERVER_DAYS - tls.RENEW_DAYS + 1))
    assert files.ca.read_bytes() == authority
    assert files.server.read_bytes() != server


def test_the_authority_vouches_for_the_school_only(tmp_path: Path) -> None:
    files = tls.ensure(tmp_path / "tls", "lab", NOW)
    authority = x509.load_pem_x509_certificate(files.ca.read_bytes())
    constraint = authority.extensions.get_extension_for_class(x509.NameConstraints)
    assert constraint.critical
    permitted = {name.value for name in constraint.value.permitted_subtrees or []}
    assert {"lab", "lab.local", "localhost"} <= permitted
    assert not {"", "com", "cn", "example"} & permitted


def test_another_name_needs_another_authority_and_says_so(tmp_path: Path) -> None:
    tls.ensure(tmp_path / "tls", "lab", NOW)
    with pytest.raises(ValueError, match="校内证书不能用于新的主机名"):
        tls.ensure(tmp_path / "tls", "other.school.example", NOW)


def test_fingerprint_is_what_browsers_show(tmp_path: Path) -> None:
    files = tls.ensure(tmp_path / "tls", "lab", NOW)
    assert len(files.fingerprint().split(":")) == 32


def test_addresses_of_this_machine() -> None:
    assert tls.addresses_here()[0] == "127.0.0.1"
    assert tls.names_of("Lab")[:2] == ("lab", "lab.local")
    assert tls.names_of("校园")[-1] == "localhost"
