"""A dimmable lamp with the library Homie4 0.4.0 of others, run by a Python that has it; prints what it was set to.

``python homie4_lamp.py PORT USERNAME PASSWORD DEVICE``
"""

import sys
import threading

from homie.device_dimmer import Device_Dimmer


class Lamp(Device_Dimmer):
    """As in the library's own example."""

    def set_dimmer(self, percent):
        print(percent, flush=True)
        self.update_dimmer(percent)


def main(port, username, password, device):
    """Shine until killed."""
    settings = {
        "MQTT_BROKER": "127.0.0.1",
        "MQTT_PORT": int(port),
        "MQTT_USERNAME": username,
        "MQTT_PASSWORD": password,
        "MQTT_KEEPALIVE": 5,
    }
    lamp = Lamp(device_id=device, name="Lamp", mqtt_settings=settings)
    lamp.update_dimmer(10)
    threading.Event().wait()


if __name__ == "__main__":
    main(*sys.argv[1:])
