"""``labkit ports`` says how to name what is plugged in."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

from click.testing import CliRunner

from labkit.binding import PortBook
from labkit.cli import main
from labkit.lab import load_lab
from labkit.ports import plug_in


def test_names_profiles_and_bindings(tmp_path: Path) -> None:
    for name, board in (("a", "1a86:7523:A@1-1.1"), ("b", "1a86:7523:@1-1.2"), ("c", "ffff:0001:Z@1-1.3")):
        (tmp_path / name).touch()
        plug_in(tmp_path, name, tmp_path / name, board, name)
    lab = tmp_path / "lab.yaml"
    lab.write_text("name: gw-1\nroom: r\ndevices: [{id: car, profile: makeblock-mbot, url: 'hub:1-1.2'}]\n")
    book = PortBook(load_lab(lab), tmp_path)
    chosen = book.choice("car").port
    assert chosen and book.settle("car", chosen, "06.01.009", datetime(2026, 9, 1, tzinfo=UTC)) is None
    done = CliRunner().invoke(main, ["--json", "ports", "--run-dir", str(tmp_path)])
    rows = {row["url"]: row for row in map(json.loads, done.output.splitlines())}
    assert done.exit_code == 0
    assert {"usb:1a86:7523:A", "hub:1-1.2", "usb:ffff:0001:Z"} <= rows.keys()
    assert "makeblock-mbot" in rows["usb:1a86:7523:A"]["profiles"] and rows["usb:ffff:0001:Z"]["profiles"] == []
    assert (rows["hub:1-1.2"]["device"], rows["usb:1a86:7523:A"]["device"]) == ("car", "")
