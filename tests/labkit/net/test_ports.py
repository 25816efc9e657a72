"""Sockets of text kits on the loopback: what is lost, refused, cut off or silent ends in a bounded time and in the open."""

from __future__ import annotations

import queue
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import serial

from labkit import textport
from labkit.errors import BadDocument, LinkDown, Malformed
from labkit.lab import load_lab
from labkit.links.text import Pushes, TextAddress
from labkit.model import Transport
from labkit.textport import TcpPort, UdpPort
from tests.effort import PATIENCE_S

HOST = "127.0.0.1"
TCP = Transport("tcp", port=40923, push_port=40924)


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """A kit that accepts streams."""
    with socket.create_server((HOST, 0)) as one:
        yield one


@pytest.fixture
def drone() -> Iterator[socket.socket]:
    """A kit that takes datagrams."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.bind((HOST, 0))
        one.settimeout(3)
        yield one


def port_of(one: socket.socket) -> int:
    return int(one.getsockname()[1])


def read(port: TcpPort | UdpPort) -> bytes:
    """The first bytes that come."""
    end = time.monotonic() + 3
    while time.monotonic() < end:
        data = port.read()
        if data:
            return data
    raise AssertionError("nothing came")


def test_a_stream_both_ways_and_its_end(listener: socket.socket) -> None:
    port = textport.open_port(f"tcp://{HOST}:{port_of(listener)}")
    line, _ = listener.accept()
    with line:
        port.write(b"command;")
        assert line.recv(100) == b"command;"
        line.sendall(b"ok;")
        assert read(port) == b"ok;"
    with pytest.raises(OSError, match="closed"):
        read(port)
    port.close()


def test_a_stream_that_stays_silent_is_given_up(listener: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(textport, "SILENCE_S", 0.4)
    port = TcpPort(HOST, port_of(listener))
    line, _ = listener.accept()
    with line:
        assert port.read() == b""  # nothing was asked, so nothing is missed
        port.write(b"command;")
        with pytest.raises(OSError, match="no answer"):
            read(port)
        port.close()


def test_a_stream_that_takes_nothing_never_gets_half_a_command(listener: socket.socket) -> None:
    port = TcpPort(HOST, port_of(listener))
    line, _ = listener.accept()
    with line:
        failures: list[OSError] = []
        began = time.monotonic()
        while not failures:
            assert time.monotonic() - began < 20
            try:
                port.write(b"chassis speed x 0 y 0 z 0 seq 1000001;" * 4000)
            except OSError as error:
                failures.append(error)
        # Either nothing of the last command went out, or the stream is over.
        assert isinstance(failures[0], serial.SerialTimeoutException) or "half" in str(failures[0])
        port.close()


def test_what_was_said_last_arrives_before_the_stream_ends(listener: socket.socket) -> None:
    port = TcpPort(HOST, port_of(listener))
    line, _ = listener.accept()
    with line:
        port.write(b"stop;")
        port.close()
        got = b""
        while part := line.recv(100):
            got += part
        assert got == b"stop;"


def test_each_line_is_a_datagram_and_each_datagram_a_read(drone: socket.socket) -> None:
    port = UdpPort(HOST, port_of(drone))
    port.write(b"rc 0 0 0 0\nstop\nland\n")
    got = [drone.recvfrom(100) for _ in range(3)]
    assert [data for data, _ in got] == [b"rc 0 0 0 0", b"stop", b"land"]
    for answer in (b"ok", b"error"):
        drone.sendto(answer, got[0][1])
    assert [read(port), read(port)] == [b"ok", b"error"]
    port.close()


def test_datagrams_of_others_are_not_let_in(drone: socket.socket) -> None:
    port = UdpPort(HOST, port_of(drone))
    port.write(b"command\n")
    _, us = drone.recvfrom(100)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.sendto(b"ok", us)
    assert port.read() == b""
    port.close()


def test_a_drone_that_is_switched_off_costs_no_datagram_later(drone: socket.socket) -> None:
    number = port_of(drone)
    drone.close()
    port = UdpPort(HOST, number)
    for _ in range(5):
        port.write(b"land\n")
        assert port.read() == b""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as again:
        again.bind((HOST, number))
        again.settimeout(3)
        port.write(b"land\n")
        assert again.recv(100) == b"land"
    port.close()


def test_pushes_are_told_apart_by_their_machine(udp_sender: Callable[[str, int, bytes], None]) -> None:
    heard: queue.SimpleQueue[tuple[str, bytes]] = queue.SimpleQueue()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.bind((HOST, 0))
        number = port_of(one)
    pushes = Pushes()
    for host in ("127.0.0.2", "127.0.0.3"):
        address = TextAddress.parse(f"tcp://{host}?push={number}", TCP)
        pushes.listen(address, lambda data, host=host: heard.put((host, data)))  # type: ignore[misc]  # a lambda's defaults have no types
    for host in ("127.0.0.4", "127.0.0.3", "127.0.0.2"):
        udp_sender(host, number, b"from " + host.encode())
    assert heard.get(timeout=PATIENCE_S) == ("127.0.0.3", b"from 127.0.0.3")
    assert heard.get(timeout=PATIENCE_S) == ("127.0.0.2", b"from 127.0.0.2")
    pushes.close()


@pytest.fixture
def udp_sender() -> Callable[[str, int, bytes], None]:
    """Sends a datagram from one of the loopback's addresses."""

    def send(source: str, port: int, data: bytes) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
            one.bind((source, 0))
            one.sendto(data, (HOST, port))

    return send


def test_a_push_port_that_another_program_has_is_told(drone: socket.socket) -> None:
    pushes = Pushes()
    with pytest.raises(LinkDown) as caught:
        pushes.listen(TextAddress.parse(f"tcp://{HOST}?push={port_of(drone)}", TCP), lambda _: None)
    assert "占用" in caught.value.zh
    pushes.close()


def test_addresses() -> None:
    assert TextAddress.parse("tcp://192.168.2.1", TCP) == TextAddress("tcp://192.168.2.1:40923", "192.168.2.1", 40924)
    assert TextAddress.parse("tcp://ep:1?push=0", TCP) == TextAddress("tcp://ep:1", "ep", 0)
    for url in ("tcp://", "udp://192.168.2.1", "tcp://h:99999", "tcp://h/x", "tcp://h?push=x", "tcp://h?push=70000"):
        with pytest.raises(Malformed):
            TextAddress.parse(url, TCP)


@pytest.mark.parametrize(
    "url", ["tcp://", "tcp://a b", "udp://192.168.2.1", "tcp://1.2.3.4/x", "tcp://1.2.3.4?pull=1", "serial:///dev/x"]
)
def test_a_wrong_address_in_the_lab_file_is_named(tmp_path: Path, url: str) -> None:
    file = tmp_path / "lab.yaml"
    file.write_text(f'name: gw-x\nroom: r\ndevices:\n  - {{id: ep-1, profile: dji-robomaster-ep, url: "{url}"}}\n')
    with pytest.raises(BadDocument) as caught:
        load_lab(file)
    assert caught.value.faults[0].place.line == 4
    assert "tcp:" in str(caught.value)
