"""docs/how-to/add-your-own-kit.md, followed step by step in a copy of labkit that has never heard of the kit."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.effort import PATIENCE_S
from tests.labkit.brokers import ADMIN, ADMIN_PASSWORD, KINDS, Person, RunningBroker, launch

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "how-to" / "add-your-own-kit.md"
KIT, CODEC, DEVICE = "makeblock-mbot2", "cyberpi.py", "mbot2-1"
LAB = "lab.yaml"
_FILE = re.compile(r"^文件 / file `([^`]+)`[^\n]*\n\n```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def page_files() -> dict[str, str]:
    """The files that the page tells to write; one in several parts is put together."""
    found: dict[str, list[str]] = {}
    for match in _FILE.finditer(PAGE.read_text(encoding="utf-8")):
        found.setdefault(match[1], []).append(match[2].rstrip("\n"))
    return {name: "\n\n\n".join(parts) + "\n" for name, parts in found.items()}


class School:
    """A folder with labkit and the other profiles; ``labkit`` runs its command line there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        others = shutil.ignore_patterns("__pycache__", CODEC, KIT)
        shutil.copytree(ROOT / "labkit", folder / "labkit", ignore=others)
        shutil.copytree(ROOT / "device_profiles", folder / "device_profiles", ignore=others)
        self.before = self.files()

    def files(self) -> dict[str, bytes]:
        """All files but caches."""
        found = (path for path in self.folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
        return {str(path.relative_to(self.folder)): path.read_bytes() for path in found}

    def write(self, files: dict[str, str]) -> None:
        """Write what the page says."""
        for name, text in files.items():
            (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / name).write_text(text, encoding="utf-8")

    def start(self, *words: str, url: str = "") -> subprocess.Popen[str]:
        """A command of this copy; ``python -m`` finds the copy first, for it is the working folder."""
        known = {"LABKIT_BROKER": url, "LABKIT_USERNAME": ADMIN, "LABKIT_PASSWORD": ADMIN_PASSWORD} if url else {}
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | known
        return subprocess.Popen(
            [sys.executable, "-m", "labkit.cli", *words], cwd=self.folder, env=environment, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def labkit(self, *words: str, url: str = "") -> tuple[int, str]:
        """Exit code and output."""
        command = self.start(*words, url=url)
        told, _ = command.communicate(timeout=PATIENCE_S)
        return command.returncode, told


@pytest.fixture
def school(tmp_path: Path) -> School:
    return School(tmp_path / "school")


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[RunningBroker]:
    running = launch(KINDS[-1], tmp_path)
    yield running
    running.stop()


def test_the_page_shows_the_kit_as_it_is_shipped() -> None:
    files = page_files()
    assert len(files) == 5
    for name, text in files.items():
        if name != LAB:
            assert text == (ROOT / name).read_text(encoding="utf-8"), f"{PAGE.name} and {name} differ"


def test_one_folder_and_one_codec_file_are_enough(school: School) -> None:
    files = page_files()
    places = {Path(name).parent.as_posix() for name in files if name != LAB}
    assert places == {f"device_profiles/{KIT}", f"device_profiles/{KIT}/samples", "labkit/codecs"}
    code, told = school.labkit("check", f"device_profiles/{KIT}")
    assert code == 1, told
    school.write(files)
    assert {name: data for name, data in school.files().items() if name in school.before} == school.before
    for name in (f"device_profiles/{KIT}", LAB):
        code, told = school.labkit("check", name)
        assert (code, told.count("通过")) == (0, 1), told
    assert json.loads(school.labkit("td", KIT)[1])["id"] == f"urn:zhike:profile:{KIT}"


def test_a_wrong_sample_and_a_missing_codec_are_named(school: School) -> None:
    files = page_files()
    school.write(files)
    samples = next(name for name in files if name.endswith("exchanges.yaml"))
    line = next(n for n, text in enumerate(files[samples].splitlines(), 1) if "sends:" in text)
    school.write({samples: files[samples].replace('sends: "f3 17', 'sends: "f3 18', 1)})
    code, told = school.labkit("check", f"device_profiles/{KIT}")
    assert code == 1
    assert f"exchanges.yaml:{line}: sends：样例写 f3 18" in told
    (school.folder / "labkit" / "codecs" / CODEC).unlink()
    code, told = school.labkit("check", f"device_profiles/{KIT}")
    assert code == 1
    assert "没有编解码器 cyberpi" in told


def motors(school: School) -> list[dict[str, float]]:
    """What the simulated wheels did, m/s."""
    return [json.loads(line) for line in (school.folder / "run" / "sim" / f"{DEVICE}.jsonl").read_text().splitlines()]


def wait_ready(person: Person, gateway: subprocess.Popen[str]) -> None:
    topic = f"homie/5/{DEVICE}/$state"
    person.wait(
        lambda: any(m.topic == topic and m.payload == b"ready" for m in person.messages),
        f"{DEVICE} is not ready; the gateway is {gateway.poll()}", 20,
    )  # fmt: skip


@pytest.mark.parametrize("faults", ["{}", "{noise: 0.2, truncate: 0.1, lose: 0.01}"], ids=["clean", "noisy"])
def test_the_simulated_kit_is_served_driven_and_stopped(school: School, broker: RunningBroker, faults: str) -> None:
    school.write(page_files())
    lab = school.folder / LAB
    lab.write_text(lab.read_text().replace("seed: 1,", f"seed: 1, faults: {faults},"))
    url = f"mqtt://127.0.0.1:{broker.config.tcp_port}"
    person = broker.person(ADMIN, ADMIN_PASSWORD, client_id="looking on")
    person.subscribe("homie/5/#")
    simulator = school.start("simulate", "--lab", LAB, "--run-dir", "run", url=url)
    gateway = school.start("serve", "--lab", LAB, "--run-dir", "run", url=url)
    try:
        wait_ready(person, gateway)
        code, told = school.labkit("drive", DEVICE, "--linear", "0.2", "--seconds", "1", url=url)
        assert (code, told.strip()) == (0, f"{DEVICE}：已停，已确认"), told
        rows = motors(school)
        assert any((row["left"], row["right"]) == (0.2, 0.2) for row in rows), rows
        assert (rows[-1]["left"], rows[-1]["right"]) == (0, 0)
        if faults != "{}":
            return  # readings may be lost, a stop may not
        heard = {m.topic.rpartition("/")[2]: m.payload for m in list(person.messages) if f"/{DEVICE}/main/" in m.topic}
        assert heard["firmware"] == b"44.01.011"
        assert 0 < float(heard["range"]) <= 300
        assert 0 < int(heard["battery"]) <= 100
    finally:
        for process in (gateway, simulator):
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=PATIENCE_S)
