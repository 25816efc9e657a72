"""What the commands share: how they speak (`Voice`), how they find the broker, and a short-lived client (`Console`)."""

from __future__ import annotations

import contextlib
import functools
import json
import queue
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click

from labkit import homie
from labkit.errors import LabkitError
from labkit.links import DEFAULT_BROKER, Broker, BrokerAddress, Message

CONNECT_S = 5.0


@dataclass(frozen=True)
class Voice:
    """How to speak: language, and JSON instead of sentences."""

    lang: str = "zh"
    as_json: bool = False

    def say(self, zh: str, en: str, **facts: object) -> None:
        """One line for people, or one JSON object with the facts."""
        if self.as_json:
            click.echo(json.dumps(facts, ensure_ascii=False, default=str))
        else:
            click.echo(en if self.lang == "en" else zh)

    def fail(self, error: LabkitError) -> None:
        """Say what went wrong on standard error and end with 1."""
        if self.as_json:
            click.echo(json.dumps({"error": error.code, "zh": error.zh, "en": error.en}, ensure_ascii=False))
        click.echo(error.message(self.lang), err=True)
        sys.exit(1)


pass_voice = click.make_pass_decorator(Voice)


class Speaking(click.Group):
    """A group whose commands take ``--json`` and ``--lang`` too, so that ``labkit bench --json`` works as well."""

    def add_command(self, cmd: click.Command, name: str | None = None) -> None:
        """Add a command and both options to it."""
        cmd.params = [
            *cmd.params,
            click.Option(["--json", "as_json"], is_flag=True, expose_value=False, callback=_speak, help="输出 JSON"),
            click.Option(["--lang"], type=click.Choice(["zh", "en"]), expose_value=False, callback=_speak, hidden=True),
        ]
        super().add_command(cmd, name)


def _speak(context: click.Context, parameter: click.Parameter, value: Any) -> None:
    """Change how this command speaks, if it was asked for."""
    if value:
        context.obj = replace(context.ensure_object(Voice), **{str(parameter.name): value})


def broker_options(command: Callable[..., None]) -> Callable[..., None]:
    """``--broker --username --password --ca`` as one argument ``address``."""

    @functools.wraps(command)
    def run(broker: str, username: str, password: str, ca: str, **rest: Any) -> None:
        try:
            command(address=BrokerAddress.parse(broker, username, password, ca), **rest)
        except LabkitError as error:
            click.get_current_context().find_object(Voice).fail(error)  # type: ignore[union-attr]  # main() always sets one

    wrapped: Callable[..., None] = run
    for option in (
        click.option(
            "--broker", default=DEFAULT_BROKER, envvar="LABKIT_BROKER", show_default=True, help="代理地址"
        ),
        click.option("--username", default="", envvar="LABKIT_USERNAME", help="代理用户名"),
        click.option(
            "--password", default="", envvar="LABKIT_PASSWORD", help="代理密码（最好用环境变量 LABKIT_PASSWORD）"
        ),
        click.option("--ca", default="", help="学校 CA 证书文件（mqtts 用）"),
    ):
        wrapped = option(wrapped)
    return wrapped


as_path = click.Path(path_type=Path)


class Console:
    """A short-lived trusted client for the commands below."""

    def __init__(self, address: BrokerAddress) -> None:
        self.messages: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self.broker = Broker(address, f"labkit-{uuid.uuid4().hex[:12]}", self.messages.put, lambda: None)

    def __enter__(self) -> Console:
        self.broker.start()
        try:
            self.broker.wait(CONNECT_S)
        except LabkitError:
            self.broker.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.broker.flush(1.0)
        self.broker.stop()

    def waiting(self) -> Iterator[Message]:
        """What has arrived and was not taken yet; does not wait."""
        with contextlib.suppress(queue.Empty):
            while True:
                yield self.messages.get_nowait()

    def hear(self, seconds: float) -> list[Message]:
        """All messages of the next seconds."""
        heard, end = [], time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            try:
                heard.append(self.messages.get(timeout=left))
            except queue.Empty:
                break
        return heard

    def wait_for(self, fits: Callable[[Message], bool], seconds: float) -> Message | None:
        """The first message that fits."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            try:
                message = self.messages.get(timeout=left)
            except queue.Empty:
                return None
            if fits(message):
                return message
        return None

    def set(self, device: str, property_id: str, payload: str) -> None:
        """Write to a device's ``/set`` topic."""
        self.broker.publish(homie.set_topic(device, property_id), payload.encode(), qos=1, retain=False)
