"""What hangs on a simulated MicroPython board: the modules that its program imports, and the motors behind them.

Each class has the names that our profiles use, with the values and units of the real modules; any other name is an AttributeError.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from labkit.lab import LabDevice
from labkit.model import Drive
from labkit.simulate.body import Body
from labkit.simulate.micropython import Thing, Thrown, Wait

DUTY = 1023
ECHO_US_PER_CM = 58


class Console(Protocol):
    """What a module may ask of the board."""

    now: float

    def any(self) -> bool:
        """Whether bytes wait in the serial buffer."""

    def every(self, period_ms: int, callback: object) -> None:
        """Call a function of the program again and again; it goes on while other code runs."""


@dataclass(frozen=True)
class Maker(Thing):
    """A class of the board's modules: called for an object, asked for its constants."""

    make: Callable[..., object]

    def __call__(self, *arguments: object, **named: object) -> object:
        """A new object."""
        return self.make(*arguments, **named)


class Hardware:
    """Motors on two PWM and two direction pins."""

    machine = "MicroPython board"
    sysname = "micropython"
    buffer = 256

    def __init__(self, device: LabDevice, body: Body, drive: Drive, console: Console) -> None:
        self._body, self._drive, self._console = body, drive, console
        self._parameters = device.parameters
        self._duty: dict[int, int] = {}
        self._level: dict[int, int] = {}
        self.shows = 0

    def reset(self) -> None:
        """Power on: all outputs low."""
        self._duty.clear()
        self._level.clear()
        self._turn("reset")

    def modules(self) -> Mapping[str, Mapping[str, object]]:
        """The modules by name."""
        uname = {"sysname": self.sysname, "machine": self.machine}
        parts = (self.sysname, self.sysname, "1.0", "1.0", self.machine)
        os_names: dict[str, object] = {"uname": lambda: parts, **uname}
        time_names: dict[str, object] = {
            "ticks_ms": self._ms,
            "ticks_diff": lambda a, b: a - b,
            "sleep_us": lambda us: self._sleep(us / 1e6),
            "sleep_ms": lambda ms: self._sleep(ms / 1e3),
            "sleep": self._sleep,
        }
        return {"os": os_names, "time": time_names, "utime": time_names}

    def _ms(self) -> int:
        return int(self._console.now * 1000)

    def _sleep(self, seconds: float) -> Wait:
        until = self._console.now + float(seconds)
        return Wait(lambda: self._console.now >= until)

    def _echo(self, pin: object, level: object, timeout_us: object) -> int:
        us = round(self._body.sense("range", self._console.now) * ECHO_US_PER_CM)
        return us if isinstance(timeout_us, int) and us <= timeout_us else -2

    def put(self, pin: int, duty: int) -> None:
        """Write 0..1023 to a pin."""
        if not 0 <= duty <= DUTY:
            raise Thrown("ValueError", "value must be between 0 and 1023")
        self._duty[pin] = duty
        self._level[pin] = int(duty > DUTY // 2)
        self._turn("pins")

    def level(self, pin: int, value: object) -> None:
        """Write 0 or 1 to a pin."""
        if isinstance(value, (bool, int)) and value in (0, 1):
            self._level[pin] = int(value)
            self._duty[pin] = DUTY * int(value)
            self._turn("pins")
        else:
            raise Thrown("ValueError", "value must be 0 or 1")

    def _turn(self, why: str) -> None:
        self._body.run(self._speed("left"), self._speed("right"), self._console.now, why)

    def _speed(self, side: str) -> float:
        duty = self._duty.get(self._parameters[f"{side}_pwm"], 0)
        back = bool(self._level.get(self._parameters[f"{side}_dir"], 0))
        return self._mps(side, (-duty if back else duty) / (4 * self._drive.max_pwm))

    def _mps(self, side: str, share: float) -> float:
        """A share of the motor's power, -1..1, as the wheel's speed."""
        wheel = self._drive.left if side == "left" else self._drive.right
        turned = -share if wheel in self._drive.invert else share
        return max(-1.0, min(1.0, turned)) * self._drive.max_mps


class Microbit(Hardware):
    """A micro:bit with a motor board and an HC-SR04."""

    machine = "micro:bit with nRF51822"
    sysname = "microbit"
    buffer = 64

    def modules(self) -> Mapping[str, Mapping[str, object]]:
        """``microbit``, ``machine``, ``utime``, ``os``."""
        names: dict[str, object] = {f"pin{n}": self._pin(n) for n in range(21) if n not in (17, 18)}
        names |= {
            "running_time": self._ms,
            "sleep": lambda ms: self._sleep(ms / 1000),
            "uart": Thing({"any": self._console.any}),
            "Image": Thing({"HAPPY": "happy", "HEART": "heart"}),
            "display": Thing({"show": self._show, "clear": lambda: None, "read_light_level": lambda: self._light(255)}),
        }
        return {**super().modules(), "microbit": names, "machine": {"time_pulse_us": self._echo}}

    def _pin(self, number: int) -> Thing:
        return Thing(
            {
                "write_digital": lambda value: self.level(number, value),
                "write_analog": lambda value: self.put(number, value),
                "read_digital": lambda: self._level.get(number, 0),
            }
        )

    def _show(self, image: object) -> None:
        self.shows += 1

    def _light(self, top: int) -> int:
        return round(self._body.sense("light", self._console.now) * top / 1023)


class Esp32(Hardware):
    """An ESP32 board with a motor board and an HC-SR04."""

    machine = "Generic ESP32 module with ESP32"
    sysname = "esp32"

    def modules(self) -> Mapping[str, Mapping[str, object]]:
        """``machine``, ``time``, ``os``."""
        names: dict[str, object] = {
            "Pin": Maker({"OUT": 3, "IN": 1}, self._pin),
            "PWM": self._pwm,
            "Timer": Maker({"PERIODIC": 1, "ONE_SHOT": 0}, self._timer),
            "time_pulse_us": self._echo,
        }
        return {**super().modules(), "machine": names}

    def _pin(self, number: int, mode: int = 1, value: int | None = None) -> Thing:
        if not isinstance(number, int) or not 0 <= number < 40:
            raise Thrown("ValueError", "invalid pin")

        def level(new: int | None = None) -> int | None:
            if new is None:
                return self._level.get(number, 0)
            self.level(number, int(bool(new)))
            return None

        if value is not None:
            level(value)
        return Thing({"value": level, "number": number})

    def _pwm(self, pin: Thing, freq: int = 5000, duty: int = 512) -> Thing:
        """As on the board, an output that nobody has set begins at one half."""
        number = pin.names["number"]
        assert isinstance(number, int)
        self.put(number, duty)

        def power(new: int | None = None) -> int | None:
            if new is None:
                return self._duty.get(number, 0)
            self.put(number, new)
            return None

        return Thing({"duty": power, "freq": lambda hz=0: None})

    def _timer(self, number: int) -> Thing:
        def init(period: int = 100, mode: int = 1, callback: object = None) -> None:
            self._console.every(period, callback)

        return Thing({"init": init, "deinit": lambda: None})


class Handpy(Esp32):
    """掌控板 on its expansion board 掌控拓展板 (parrot): motors by I2C, a light sensor, a battery."""

    machine = "mPython with ESP32"
    sysname = "esp32"

    def __init__(self, device: LabDevice, body: Body, drive: Drive, console: Console) -> None:
        super().__init__(device, body, drive, console)
        self._motors = {1: 0, 2: 0}

    def reset(self) -> None:
        """The expansion board has its own controller, which loses its power together with the board."""
        self._motors = {1: 0, 2: 0}
        super().reset()

    def modules(self) -> Mapping[str, Mapping[str, object]]:
        """``parrot`` and ``mpython`` beside the ESP32's own."""
        parrot: dict[str, object] = {
            "MOTOR_1": 1,
            "MOTOR_2": 2,
            "set_speed": self._set_speed,
            "get_speed": lambda motor: self._motors[motor],
            "get_battery_level": lambda: round(3300 + 9 * self._body.sense("battery", self._console.now)),
        }
        light = Thing({"read": lambda: round(self._body.sense("light", self._console.now) * 4)})
        rgb = Thing({"fill": self._fill, "write": lambda: None})
        return {**super().modules(), "parrot": parrot, "mpython": {"light": light, "rgb": rgb}}

    def _fill(self, color: object) -> None:
        self.shows += 1

    def _set_speed(self, motor: int, speed: int) -> None:
        if motor not in self._motors:
            raise Thrown("ValueError", "no such motor")
        self._motors[motor] = max(-100, min(100, int(speed)))
        self._turn("parrot")

    def _speed(self, side: str) -> float:
        return self._mps(side, self._motors[1 if side == "left" else 2] / 100)


def hardware_of(program: str) -> type[Hardware]:
    """The board that a program is written for, by what it imports."""
    if "microbit" in program:
        return Microbit
    return Handpy if "parrot" in program else Esp32
