"""`labkit set`: one property of one device, by somebody who may write to devices (a drone's take-off, a light)."""

from __future__ import annotations

import click

from labkit import homie
from labkit.api import Lab
from labkit.commands.console import Voice, broker_options, pass_voice
from labkit.errors import Malformed
from labkit.links import BrokerAddress


@click.command("set", help="设置一台设备的一个属性（需要有权直接写设备的账号）。例：labkit set tello-1 flight takeoff")
@click.argument("device")
@click.argument("name")
@click.argument("value")
@broker_options
@pass_voice
def set_value(voice: Voice, address: BrokerAddress, device: str, name: str, value: str) -> None:
    """Write one value; the gateway checks it, and refuses with a reason in the device's ``refused``."""
    property_id = homie.property_id(name)
    for part in (device, property_id):
        if not homie.is_id(part):
            voice.fail(Malformed(f"{part} 不是设备号或属性名", f"{part} is neither a device nor a property"))
    with Lab(address) as lab:
        lab.tell(lab.device(device), property_id, value.encode())
    voice.say(f"{device}：已发出 {name} = {value}", f"{device}: sent {name} = {value}", device=device, sent=True)


COMMANDS = (set_value,)
