"""Ports by what is plugged in, and when a board may be another one than it was."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from labkit.binding import FILE, PortBook
from labkit.errors import BadDocument, Malformed
from labkit.lab import Lab, load_lab
from labkit.ports import Name, SerialPort, parse_name, plug_in, simulated_ports, unique_serials

AT = datetime(2026, 9, 1, tzinfo=UTC)
CH340 = "1a86:7523"


def port(location: str, serial: str = "", session: str = "s", boot: str = "b1", kind: str = CH340) -> SerialPort:
    return SerialPort(f"/dev/ttyUSB-{location}", kind, serial, location, f"{boot}/{location}/{session}", boot)


class Hub:
    """What is plugged in, as the test says."""

    def __init__(self, *ports: SerialPort) -> None:
        self.ports: Sequence[SerialPort] = ports
        self.now = 0.0

    def __call__(self) -> Sequence[SerialPort]:
        return unique_serials(self.ports)

    def plug(self, *ports: SerialPort) -> None:
        self.ports = ports
        self.now += 10


def lab_of(folder: Path, *urls: str, head: str = "") -> Lab:
    devices = "".join(f'  - {{id: mbot-{n}, profile: makeblock-mbot, url: "{url}"}}\n' for n, url in enumerate(urls, 1))
    path = folder / "lab.yaml"
    path.write_text(f"name: gw-lab1\nroom: lab1\n{head}devices:\n{devices}")
    return load_lab(path)


def open_book(lab: Lab, folder: Path, hub: Hub) -> PortBook:
    book = PortBook(lab, folder, hub, lambda: hub.now)
    for device in lab.devices:
        book.choice(device.id)  # as the workers do when a gateway starts
    return book


def settle(book: PortBook, hub: Hub, *devices: str) -> list[bool]:
    """What the workers do when the boards answer; whether each may be driven."""
    hub.now += 10
    found = []
    for device in devices:
        chosen = book.choice(device).port
        assert chosen is not None, device
        found.append(book.settle(device, chosen, "06.01.009", AT) is None)
    return found


def where(book: PortBook, hub: Hub, device: str) -> str | None:
    hub.now += 10
    chosen = book.choice(device).port
    return chosen.location if chosen else None


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("usb:1A86:7523:A5", Name(CH340, "A5")),
        ("usb:1a86:7523:", Name(CH340)),
        ("hub:1-1.4", Name(location="1-1.4")),
        ("hub:2-3", Name(location="2-3")),
        ("auto", Name()),
    ],
)
def test_names_of_ports(url: str, name: Name) -> None:
    assert parse_name(url) == name


@pytest.mark.parametrize("url", ["usb:1a86", "hub:one", "hub:1-1.", "auto7", "usb:xxxx:7523:A"])
def test_names_that_are_none_are_refused_with_file_and_line(url: str, tmp_path: Path) -> None:
    with pytest.raises(Malformed):
        parse_name(url)
    with pytest.raises(BadDocument):
        lab_of(tmp_path, url)


@pytest.mark.parametrize("url", ["usb:1a86:7523:A", "hub:1-1.4", "serial:///dev/ttyUSB0"])
def test_a_port_belongs_to_one_device_only(url: str, tmp_path: Path) -> None:
    with pytest.raises(BadDocument, match="已在第 4 行用过"):
        lab_of(tmp_path, url, url)
    assert len(lab_of(tmp_path, "auto", "auto", "usb:1a86:7523:", "usb:1a86:7523:").devices) == 4


def test_a_board_with_a_serial_number_is_found_in_any_socket(tmp_path: Path) -> None:
    hub = Hub(port("1-1.1", "A"), port("1-1.2", "B"))
    book = open_book(lab_of(tmp_path, "usb:1a86:7523:A", "auto"), tmp_path, hub)
    assert (where(book, hub, "mbot-1"), where(book, hub, "mbot-2")) == ("1-1.1", "1-1.2")
    assert settle(book, hub, "mbot-1", "mbot-2") == [True, True]
    hub.plug(port("1-1.2", "A", "new"), port("1-1.1", "B", "new"))
    assert (where(book, hub, "mbot-1"), where(book, hub, "mbot-2")) == ("1-1.2", "1-1.1")
    assert settle(book, hub, "mbot-1", "mbot-2") == [True, True]


def test_two_named_boards_in_each_others_sockets_are_refused_until_both_are_confirmed(tmp_path: Path) -> None:
    hub = Hub(port("1-1.1", "A"), port("1-1.2", "B"))
    lab = lab_of(tmp_path, "hub:1-1.1", "hub:1-1.2")
    book = open_book(lab, tmp_path, hub)
    assert settle(book, hub, "mbot-1", "mbot-2") == [True, True]
    hub.plug(port("1-1.1", "B", "new"), port("1-1.2", "A", "new"))
    assert settle(book, hub, "mbot-1", "mbot-2") == [False, False]
    again = open_book(lab, tmp_path, hub)
    assert settle(again, hub, "mbot-1", "mbot-2") == [False, False], "a restart forgot the doubt"
    assert again.confirm("mbot-1", AT, "teacher")
    assert settle(again, hub, "mbot-1", "mbot-2") == [True, False]
    assert again.confirm("mbot-2", AT, "teacher")
    assert settle(again, hub, "mbot-1", "mbot-2") == [True, True]
    assert again.bindings()["mbot-1"].by == "teacher"


def test_boards_put_back_where_they_were_drive_again_without_a_word(tmp_path: Path) -> None:
    hub = Hub(port("1-1.1", "A"), port("1-1.2", "B"))
    book = open_book(lab_of(tmp_path, "hub:1-1.1", "hub:1-1.2"), tmp_path, hub)
    settle(book, hub, "mbot-1", "mbot-2")
    hub.plug(port("1-1.1", "B", "2"), port("1-1.2", "A", "2"))
    assert settle(book, hub, "mbot-1", "mbot-2") == [False, False]
    hub.plug(port("1-1.1", "A", "3"), port("1-1.2", "B", "3"))
    assert settle(book, hub, "mbot-1", "mbot-2") == [True, True]


@pytest.mark.parametrize("serial", ["", "0001"])
def test_boards_without_serial_numbers_that_both_left_their_sockets_are_refused(tmp_path: Path, serial: str) -> None:
    hub = Hub(port("1-1.1", serial), port("1-1.2", serial), port("1-1.3", serial))
    book = open_book(lab_of(tmp_path, "hub:1-1.1", "hub:1-1.2", "hub:1-1.3"), tmp_path, hub)
    assert settle(book, hub, "mbot-1", "mbot-2", "mbot-3") == [True, True, True]
    hub.plug(port("1-1.1", serial, "new"), port("1-1.2", serial), port("1-1.3", serial))
    assert settle(book, hub, "mbot-1") == [True], "one alone cannot have been swapped"
    hub.plug(port("1-1.1", serial, "x"), port("1-1.2", serial, "x"), port("1-1.3", serial))
    assert settle(book, hub, "mbot-1", "mbot-2", "mbot-3") == [False, False, True]
    book.confirm("mbot-1", AT, "teacher")
    assert settle(book, hub, "mbot-1", "mbot-2") == [True, True]


def test_one_of_two_alike_is_refused_while_the_other_is_still_out(tmp_path: Path) -> None:
    hub = Hub(port("1-1.1"), port("1-1.2"))
    book = open_book(lab_of(tmp_path, "hub:1-1.1", "hub:1-1.2"), tmp_path, hub)
    settle(book, hub, "mbot-1", "mbot-2")
    hub.plug()
    assert where(book, hub, "mbot-1") is None
    hub.plug(port("1-1.1", session="new"))
    assert settle(book, hub, "mbot-1") == [False]


@pytest.mark.parametrize(("head", "believed"), [("", True), ("identity: strict\n", False)])
def test_after_a_reboot_the_socket_is_believed_unless_the_lab_is_strict(
    tmp_path: Path, head: str, believed: bool
) -> None:
    lab = lab_of(tmp_path, "hub:1-1.1", "hub:1-1.2", head=head)
    hub = Hub(port("1-1.1"), port("1-1.2"))
    settle(open_book(lab, tmp_path, hub), hub, "mbot-1", "mbot-2")
    hub.plug(port("1-1.1", boot="b2"), port("1-1.2", boot="b2"))
    assert settle(open_book(lab, tmp_path, hub), hub, "mbot-1", "mbot-2")[0] is believed


def test_a_hub_that_comes_up_a_little_later_is_believed(tmp_path: Path) -> None:
    lab = lab_of(tmp_path, "hub:1-1.1", "hub:1-1.2")
    hub = Hub(port("1-1.1"), port("1-1.2"))
    settle(open_book(lab, tmp_path, hub), hub, "mbot-1", "mbot-2")
    hub.plug()
    book = open_book(lab, tmp_path, hub)
    hub.plug(port("1-1.1", boot="b2"), port("1-1.2", boot="b2"))
    hub.now -= 5
    assert [book.choice(d).doubt for d in ("mbot-1", "mbot-2")] == [None, None]
    assert settle(book, hub, "mbot-1", "mbot-2") == [True, True]


def test_plugged_in_after_the_start_of_a_new_day_is_not_believed(tmp_path: Path) -> None:
    lab = lab_of(tmp_path, "hub:1-1.1", "hub:1-1.2")
    hub = Hub(port("1-1.1"), port("1-1.2"))
    settle(open_book(lab, tmp_path, hub), hub, "mbot-1", "mbot-2")
    hub.plug()
    book = open_book(lab, tmp_path, hub)
    hub.plug(port("1-1.1", boot="b2"), port("1-1.2", boot="b2"))
    assert settle(book, hub, "mbot-1", "mbot-2") == [False, False]


def test_auto_takes_what_the_profile_knows_and_asks_when_there_are_two(tmp_path: Path) -> None:
    stranger = port("1-1.1", "Z", kind="0403:6001")
    hub = Hub(stranger, port("1-1.2", "B"))
    lab = lab_of(tmp_path, "auto")
    book = open_book(lab, tmp_path, hub)
    assert where(book, hub, "mbot-1") == "1-1.2" and settle(book, hub, "mbot-1") == [True]
    (tmp_path / FILE).unlink()
    hub.plug(port("1-1.2", "B"), port("1-1.3", "C"))
    two = open_book(lab_of(tmp_path, "auto", "auto"), tmp_path, hub)
    assert settle(two, hub, "mbot-1", "mbot-2") == [False, False]
    assert {where(two, hub, "mbot-1"), where(two, hub, "mbot-2")} == {"1-1.2", "1-1.3"}
    two.confirm("mbot-1", AT, "teacher")
    assert settle(two, hub, "mbot-1", "mbot-2") == [True, True]


def test_another_board_in_place_of_a_broken_one_waits_for_a_word(tmp_path: Path) -> None:
    hub = Hub(port("1-1.1", "A"))
    book = open_book(lab_of(tmp_path, "auto"), tmp_path, hub)
    settle(book, hub, "mbot-1")
    hub.plug(port("1-1.1", "B"))
    assert settle(book, hub, "mbot-1") == [False]
    book.confirm("mbot-1", AT, "teacher")
    assert settle(book, hub, "mbot-1") == [True]


def test_a_broken_file_of_bindings_is_set_aside_and_everything_must_be_confirmed(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text('{"bindings": {"mbot-1": {"boar')
    hub = Hub(port("1-1.1", "A"))
    book = open_book(lab_of(tmp_path, "hub:1-1.1"), tmp_path, hub)
    assert settle(book, hub, "mbot-1") == [False]
    book.confirm("mbot-1", AT, "teacher")
    assert settle(book, hub, "mbot-1") == [True]
    assert (tmp_path / "bindings.broken").exists()
    assert settle(open_book(lab_of(tmp_path, "hub:1-1.1"), tmp_path, hub), hub, "mbot-1") == [True]


def test_nothing_is_confirmed_that_is_not_there(tmp_path: Path) -> None:
    hub = Hub()
    assert open_book(lab_of(tmp_path, "hub:1-1.1"), tmp_path, hub).confirm("mbot-1", AT, "teacher") is False


def test_simulated_boards_are_files_that_come_and_go(tmp_path: Path) -> None:
    pty = tmp_path / "pty"
    pty.touch()
    entry = plug_in(tmp_path, "a", pty, "1a86:7523:A@1-1.4", "first")
    assert simulated_ports(tmp_path) == (SerialPort(str(pty), CH340, "A", "1-1.4", "first", "simulated", "simulated"),)
    (tmp_path / "usb" / "b.json").write_text("[]")
    assert len(simulated_ports(tmp_path)) == 1
    entry.unlink()
    assert simulated_ports(tmp_path) == ()
    with pytest.raises(Malformed):
        plug_in(tmp_path, "a", pty, "1a86:7523", "first")


def test_a_path_that_is_no_usb_device_is_what_its_name_says(tmp_path: Path) -> None:
    uart = tmp_path / "ttyS0"
    hub = Hub()
    book = open_book(lab_of(tmp_path, f"serial://{uart}"), tmp_path, hub)
    assert book.choice("mbot-1").port is None
    uart.touch()
    assert settle(book, hub, "mbot-1") == [True]
    assert book.bindings() == {}
