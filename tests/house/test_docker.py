"""The container files, checked as far as one can without an engine."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from labkit.cli import main as labkit
from lms.cli import main as lms
from lms.config import PREFIX, Settings

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "docker"
COMPOSE: dict[str, Any] = yaml.safe_load((FOLDER / "compose.yaml").read_text("utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
DOCKERFILE = (FOLDER / "Dockerfile").read_text("utf-8")


def test_the_school_is_complete() -> None:
    assert set(SERVICES) == {"postgres", "prepare", "broker", "web", "jobs", "bridge", "gateway"}


@pytest.mark.parametrize("name", SERVICES)
def test_images_are_pinned_and_watched(name: str) -> None:
    service = SERVICES[name]
    assert re.fullmatch(r"[a-z]+:\d+\.\d+(\.\d+)?(-[a-z]+)?", service["image"])
    assert service["healthcheck"].get("test") or name == "prepare"
    assert service["restart"] == ("no" if name == "prepare" else "unless-stopped")


def test_every_base_image_is_pinned() -> None:
    bases = re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)
    assert len(bases) == 3
    assert all(re.search(r":\d+\.\d+\.\d+", base) for base in bases)


def test_nothing_runs_as_root_or_writes_outside_its_volumes() -> None:
    assert re.search(r"^USER zhike$", DOCKERFILE, re.MULTILINE)
    ours = [service for service in SERVICES.values() if service["image"].startswith("zhike")]
    assert all(service["read_only"] and service["cap_drop"] == ["ALL"] for service in ours)


def test_no_password_is_written_down() -> None:
    assert not re.search(r"PASSWORD: (?!\$\{)", (FOLDER / "compose.yaml").read_text("utf-8"))
    assert re.search(r"^POSTGRES_PASSWORD=$", (FOLDER / "example.env").read_text("utf-8"), re.MULTILINE)


@pytest.mark.parametrize("name", [name for name, service in SERVICES.items() if service.get("command")])
def test_commands_exist(name: str) -> None:
    program, *arguments = SERVICES[name]["command"]
    if program == "python":
        assert arguments[:2] == ["-m", "labkit.broker"]
        return
    options = [argument for argument in arguments if argument.startswith("--")]
    shown = CliRunner().invoke({"lms": lms, "labkit": labkit}[program], [arguments[0], "--help"])
    assert shown.exit_code == 0
    assert all(option in shown.output for option in options)


def test_settings_and_ports_are_ours() -> None:
    environment = SERVICES["web"]["environment"]
    assert {name.removeprefix(PREFIX).lower() for name in environment} <= set(Settings.__dataclass_fields__)
    published = {str(port).split(":")[-1] for service in SERVICES.values() for port in service.get("ports", [])}
    assert published == {
        str(port) for port in (Settings.http_port, Settings.https_port, Settings.mqtt_port, Settings.mqtt_wss_port)
    }


def test_variables_are_in_the_example() -> None:
    used = set(re.findall(r"\$\{(\w+)", (FOLDER / "compose.yaml").read_text("utf-8")))
    given = set(re.findall(r"^(\w+)=", (FOLDER / "example.env").read_text("utf-8"), re.MULTILINE))
    assert used == given


def test_copied_files_exist() -> None:
    for sources in re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.MULTILINE):
        assert all((ROOT / source).exists() for source in sources.split())
