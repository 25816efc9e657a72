"""What a kit shows of itself as a Homie device; pure."""

from __future__ import annotations

from labkit import health
from labkit.homie import property_id
from labkit.lab import Lab, LabDevice
from labkit.model import MAIN_NODE, Affordance, Datatype, Device, Drive, Kind, Node, Profile, Property
from labkit.vision.counts import FIELDS

LINEAR, ANGULAR, STOP, IDENTIFY, MOVING = "linear-x", "angular-z", "stop", "identify", "moving"
CONFIRM, POSE = "confirm", "pose"
COMMANDS, STOP_CONFIRMED, REFUSED = "commands", "stop-confirmed", "refused"
_DATATYPES = {
    "boolean": Datatype.BOOLEAN,
    "integer": Datatype.INTEGER,
    "number": Datatype.FLOAT,
    "string": Datatype.STRING,
    "object": Datatype.JSON,
}


def kit_device(device: LabDevice, gateway: str, version: int) -> Device:
    """A kit behind this gateway, as its child: every property under the node ``main``."""
    hidden = _not_looked_for(device) | (motors(device.profile.drive) if device.profile.drive else set())
    own = tuple(sensor(item) for item in device.profile.properties.values() if item.id not in hidden)
    return Device(
        id=device.id,
        name=device.title.zh,
        type=device.profile.id,
        nodes=(
            Node(MAIN_NODE, device.title.zh, device.profile.kind.value, (*robot_properties(device), *own)),
            health.node(device.profile),
        ),
        root=gateway,
        parent=gateway,
        version=version,
    )


def steer_topic(gateway: str, device: str) -> str:
    """Where a trusted client drives a robot by its gateway: ``{"linear_x": m/s, "angular_z": rad/s, "by": id}``, not retained."""
    return f"zhike/gateway/{gateway}/steer/{device}"


def motors(drive: Drive) -> set[str]:
    """The properties that move it: they are driven for a time that somebody watches, never set for good."""
    return {drive.left, drive.right} if drive.model == "differential" else {drive.linear, drive.angular}


def _not_looked_for(device: LabDevice) -> set[str]:
    """A camera's properties that its ``look`` leaves out: nobody should wait for them."""
    left_out = {f"vision:{field}" for look, field in FIELDS.items() if look not in device.look}
    return {item.id for item in device.profile.properties.values() if item.forms[0].href in left_out}


# What a pupil's page writes below its terminal; on a seat's PC the agent describes it, for the root device is one.
PAGE_NODES = ("terminal", "wish")
_PAGE = (
    ("heartbeat", Datatype.DATETIME), ("seat", Datatype.STRING), ("lesson", Datatype.STRING), ("step", Datatype.INTEGER),
    ("needs-help", Datatype.BOOLEAN), ("visible", Datatype.BOOLEAN),
)  # fmt: skip


def _page_nodes() -> tuple[Node, ...]:
    terminal = tuple(Property(name, datatype, name) for name, datatype in _PAGE)
    drive = Property("drive", Datatype.JSON, "drive", format="{}", retained=False)
    return (Node("terminal", "terminal", properties=terminal), Node("wish", "wish", properties=(drive,)))


def gateway_device(lab: Lab, version: int) -> Device:
    """The gateway itself: the root of all kits that are plugged in here (boards of their own are not its children)."""
    return Device(
        id=lab.name,
        name=lab.title.zh,
        type="zhike-terminal" if lab.seated else "zhike-gateway",
        nodes=_page_nodes() if lab.seated else (),
        children=tuple(d.id for d in lab.devices if d.bridged),
        version=version,
    )


def robot_properties(device: LabDevice) -> tuple[Property, ...]:
    """What every robot offers beside its own sensors."""
    drive = device.profile.drive
    confirm = Property(CONFIRM, Datatype.ENUM, "确认是这一台", format="confirm", settable=True, retained=False)
    if device.profile.kind is Kind.SENSOR and device.profile.transport.type == "serial":
        return (confirm,)
    if device.profile.kind is not Kind.ROBOT:
        return ()
    wheels = () if drive is None else _wheels(drive)
    return (
        *wheels,
        *_poses(device.profile),
        Property(STOP, Datatype.ENUM, "停", format="stop", settable=True, retained=False),
        Property(IDENTIFY, Datatype.ENUM, "认一认", format="identify", settable=True, retained=False),
        confirm,
        Property(MOVING, Datatype.BOOLEAN, "在动"),
        Property(COMMANDS, Datatype.INTEGER, "指令数", "#", "0:"),
        Property(STOP_CONFIRMED, Datatype.BOOLEAN, "停止已确认"),
        Property(REFUSED, Datatype.JSON, "被拒绝的指令", retained=False),
    )


def _poses(profile: Profile) -> tuple[Property, ...]:
    known = ",".join(profile.poses)
    return (Property(POSE, Datatype.ENUM, "姿势", format=known, settable=True, retained=False),) if known else ()


def _wheels(drive: Drive) -> tuple[Property, Property]:
    mps, radps = f"{drive.max_mps:g}", f"{drive.max_radps:g}"
    return (
        Property(LINEAR, Datatype.FLOAT, "前进速度", "m/s", f"-{mps}:{mps}", settable=True),
        Property(ANGULAR, Datatype.FLOAT, "转弯速度", "rad/s", f"-{radps}:{radps}", settable=True),
    )


def sensor(item: Affordance) -> Property:
    """A profile's property as a Homie property."""
    bounds = ""
    if item.type in ("integer", "number") and (item.minimum is not None or item.maximum is not None):
        bounds = f"{_bound(item, item.minimum)}:{_bound(item, item.maximum)}"
    datatype = Datatype.ENUM if item.enum else _DATATYPES[item.type]
    form = ",".join(item.enum) or bounds
    return Property(property_id(item.id), datatype, item.title.zh, item.unit, form, settable=not item.read_only)


def affordance(profile: Profile, wire_id: str) -> Affordance | None:
    """The profile's property that stands under this Homie id."""
    return next((item for item in profile.properties.values() if property_id(item.id) == wire_id), None)


def _bound(item: Affordance, value: float | None) -> str:
    if value is None:
        return ""
    return str(int(value)) if item.type == "integer" else f"{value:g}"
