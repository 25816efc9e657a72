"""Veyon itself: our client signs in with a key, looks, locks, frees, and names what goes wrong."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from io import BytesIO
from typing import Any

import pytest
from PIL import Image

from labkit import veyon
from labkit.veyon import VeyonError
from tests.conformance.veyon_lab import VeyonLab
from tests.effort import PATIENCE_S

PC = "127.0.0.1"


def pause(seconds: float) -> bool:
    return threading.Event().wait(seconds)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VeyonLab]:
    made = VeyonLab(tmp_path_factory.mktemp("veyon"))
    yield made
    made.end()


def screen(lab: VeyonLab) -> Image.Image:
    with veyon.Session(lab.api, PC) as session:
        return Image.open(BytesIO(session.picture(400, pause)))


def test_the_pc_offers_its_key_and_every_feature_we_use(lab: VeyonLab) -> None:
    assert veyon.KEY_FILE in veyon.methods(lab.api, PC)
    with veyon.Session(lab.api, PC) as session:
        assert {veyon.LOCK, veyon.REBOOT, veyon.POWER_DOWN} <= set(session.features())


def test_the_screen_is_a_jpeg_of_the_width_asked_for(lab: VeyonLab) -> None:
    picture = screen(lab)
    assert (picture.format, picture.size) == ("JPEG", (400, 300))


def told(lab: VeyonLab, word: str) -> int:
    """How often the program that covers the PC's screen was told so."""
    return lab.log().count(f"[WORKER] FeatureMessage(ScreenLock,{word},")


def locked(lab: VeyonLab) -> bool:
    """Whether the PC calls itself locked, asked on a connection of its own."""
    with veyon.Session(lab.api, PC) as session:
        assert until(lambda: any(session.features().values()))
        return session.features()[veyon.LOCK]


def test_a_lock_outlives_its_connection_until_the_pc_is_freed(lab: VeyonLab) -> None:
    assert not locked(lab)
    for turn in (1, 2):  # locking twice does no harm
        veyon.lock(lab.api, PC, True, pause)
        assert told(lab, "0") == turn
        assert locked(lab)
    veyon.lock(lab.api, PC, False, pause)
    assert told(lab, "1") == 1
    assert not locked(lab)
    veyon.lock(lab.api, PC, False, pause)  # freeing a free one as well


def test_an_order_needs_a_moment_to_leave(lab: VeyonLab) -> None:
    """Why the client waits before it hangs up: Veyon drops what it has not sent."""
    session = veyon.Session(lab.api, PC)
    session.put(veyon.LOCK, True)
    pause(veyon.SETTLE_S)
    session.close()
    assert locked(lab)
    veyon.lock(lab.api, PC, False, pause)


def until(check: Callable[[], bool], seconds: float = PATIENCE_S) -> bool:
    """Whether ``check`` comes true."""
    end = time.monotonic() + seconds
    while not check():
        if time.monotonic() > end:
            return False
        pause(0.1)
    return True


@pytest.mark.parametrize(("order", "feature"), [(veyon.restart, "Reboot"), (veyon.shut_down, "PowerDown")])
def test_power_orders_reach_the_pc(lab: VeyonLab, order: Callable[..., None], feature: str) -> None:
    """The PC hears them; in this namespace it has no means to obey."""
    heard = f"[SERVER] FeatureMessage({feature},"
    assert heard not in lab.log()
    order(lab.api, PC, pause)
    assert until(lambda: heard in lab.log())


@pytest.mark.parametrize(
    ("changes", "host", "code"),
    [
        ({"name": "nobody"}, PC, "refused"),
        ({"secret": "rubbish"}, PC, "bad_key"),
        ({"method": "logon"}, PC, "method_off"),
        ({}, "127.0.0.9", "off"),
    ],
)
def test_what_goes_wrong_has_the_name_we_give_it(lab: VeyonLab, changes: dict[str, Any], host: str, code: str) -> None:
    with pytest.raises(VeyonError) as caught:
        veyon.Session(replace(lab.api, **changes), host)
    assert caught.value.code == code


def test_connections_are_few_and_given_back(lab: VeyonLab) -> None:
    held = [veyon.Session(lab.api, PC) for _ in range(4)]
    with pytest.raises(VeyonError, match="limit"):
        veyon.Session(lab.api, PC)
    for session in held:
        session.close()
    with pytest.raises(VeyonError, match="expired"):
        held[0].features()
    veyon.Session(lab.api, PC).close()
