"""The commands of Mosquitto's dynamic-security protocol that the embedded broker understands: JSON in, JSON out.

Topic `$CONTROL/dynamic-security/v1`, answers on `…/response`. Words and answers are those of Mosquitto 2.0.11, checked by
running the same tests on both. Like there, a client is disconnected when its password, roles or standing change, and not
when the rules of its role are replaced by modifyRole.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from labkit.broker.rights import Acl, Client, PasswordHash, Rights

CONTROL_TOPIC = "$CONTROL/dynamic-security/v1"
RESPONSE_TOPIC = f"{CONTROL_TOPIC}/response"

_NAME_MAX = 256


class _Refused(Exception):
    """A command that is answered with an error."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one message of commands leads to: the answer, the user names to disconnect, whether to store the state."""

    response: dict[str, Any]
    kicked: frozenset[str]
    changed: bool


def handle(rights: Rights, payload: bytes) -> Outcome:
    """Carry out the commands of one message, each for itself, in order; never raises for what a client sent."""
    before = rights.version
    kicked: set[str] = set()
    try:
        message = json.loads(payload)
    except (ValueError, RecursionError):
        return _unknown("Payload not valid JSON")
    commands = message.get("commands") if isinstance(message, Mapping) else None
    if not isinstance(commands, list):
        return _unknown("Invalid/missing commands")
    responses = [_one(rights, command, kicked) for command in commands]
    return Outcome({"responses": responses}, frozenset(kicked), rights.version != before)


def _unknown(error: str) -> Outcome:
    return Outcome({"responses": [{"command": "Unknown command", "error": error}]}, frozenset(), False)


def _one(rights: Rights, command: object, kicked: set[str]) -> dict[str, Any]:
    if not isinstance(command, Mapping):
        return {"command": "Unknown command", "error": "Command not an object"}
    name = command.get("command")
    answer: dict[str, Any] = {"command": name if isinstance(name, str) else "Unknown command"}
    verb = _VERBS.get(name) if isinstance(name, str) else None
    try:
        if verb is None:
            raise _Refused("Unknown command" if isinstance(name, str) else "Missing command")
        data = verb(rights, command, kicked)
        if data is not None:
            answer["data"] = data
    except _Refused as refusal:
        answer["error"] = str(refusal)
    if isinstance(command.get("correlationData"), str):
        answer["correlationData"] = command["correlationData"]
    return answer


def _text(command: Mapping[str, Any], key: str) -> str:
    value = command.get(key)
    if not isinstance(value, str) or not 0 < len(value) <= _NAME_MAX:
        raise _Refused(f"Invalid/missing {key}")
    return value


def _known(rights: Rights, command: Mapping[str, Any]) -> Client:
    client = rights.clients.get(_text(command, "username"))
    if client is None:
        raise _Refused("Client not found")
    return client


def _roles(rights: Rights, command: Mapping[str, Any]) -> tuple[tuple[str, int], ...]:
    entries = command.get("roles", [])
    if not isinstance(entries, list):
        raise _Refused("Invalid/missing roles")
    found: list[tuple[str, int]] = []
    for entry in entries:
        name = entry.get("rolename") if isinstance(entry, Mapping) else None
        priority = entry.get("priority", -1) if isinstance(entry, Mapping) else -1
        if not isinstance(name, str) or not isinstance(priority, int):
            raise _Refused("Invalid/missing rolename")
        if name not in rights.roles:
            raise _Refused("Role not found")
        found.append((name, priority))
    return tuple(found)


def _acls(command: Mapping[str, Any]) -> tuple[Acl, ...]:
    entries = command.get("acls", [])
    if not isinstance(entries, list):
        raise _Refused("Invalid/missing acls")
    try:
        return tuple(Acl.from_json(entry) for entry in entries)
    except (TypeError, ValueError) as error:
        raise _Refused(str(error)) from error


def _notes(command: Mapping[str, Any]) -> dict[str, str]:
    return {key: command[key] for key in ("textname", "textdescription") if isinstance(command.get(key), str)}


def _create_client(rights: Rights, command: Mapping[str, Any], kicked: set[str]) -> None:
    name = _text(command, "username")
    if name in rights.clients:
        raise _Refused("Client already exists")
    password = PasswordHash.of(_text(command, "password")) if "password" in command else None
    client_id = _text(command, "clientid") if "clientid" in command else None
    rights.put_client(Client(name, password, _roles(rights, command), False, client_id, _notes(command)))


def _modify_client(rights: Rights, command: Mapping[str, Any], kicked: set[str]) -> None:
    client = _known(rights, command)
    changed = replace(client, text={**client.text, **_notes(command)})
    if "password" in command:
        changed = replace(changed, password=PasswordHash.of(_text(command, "password")))
    if "roles" in command:
        changed = replace(changed, roles=_roles(rights, command))
    rights.put_client(changed)
    kicked.add(client.username)


def _set_password(rights: Rights, command: Mapping[str, Any], kicked: set[str]) -> None:
    client = _known(rights, command)
    rights.put_client(replace(client, password=PasswordHash.of(_text(command, "password"))))
    kicked.add(client.username)


def _set_client_id(rights: Rights, command: Mapping[str, Any], kicked: set[str]) -> None:
    client = _known(rights, command)
    rights.put_client(replace(client, client_id=_text(command, "clientid") if command.get("clientid") else None))
    kicked.add(client.username)


def _disable_client(rights: Rights, command: Mapping[str, Any], kicked: set[str]) -> None:
    client = _known(rights, command)
    rights.put_client(replace(client, disabled=True))
    kicked.add(client.username)


def _enable_client(rights: Rights, command: Mapping[str, Any], kicked: set[str]) -> None:
    rights.put_client(replace(_known(rights, command), disabled=False))


def _delete_client(rights: Rights, command: Mapping[str, Any], kicked: set[str]) -> None:
    client = _known(rights, command)
    rights.drop_client(client.username)
    kicked.add(client.username)


def _get_client(rights: Rights, command: Mapping[str, Any], kicked: set[str]) -> dict[str, Any]:
    return {"client": _known(rights, command).to_json(with_password=False)}


def _list_clients(rights: Rights, command: Mapping[str, Any], kicked: set[str]) -> dict[str, Any]:
    entries = [
        client.to_json(with_password=False) if command.get("verbose") is True else client.username
        for client in rights.clients.values()
    ]
    return {"totalCount": len(entries), "clients": _page(entries, command)}


def _create_role(rights: Rights, command: Mapping[str, Any], kicked: set[str]) -> None:
    name = _text(command, "rolename")
    if name in rights.roles:
        raise _Refused("Role already exists")
    rights.put_role(name, _acls(command))


def _modify_role(rights: Rights, command: Mapping[str, Any], kicked: set[str]) -> None:
    name = _text(command, "rolename")
    if name not in rights.roles:
        raise _Refused("Role does not exist")
    if "acls" in command:
        rights.put_role(name, _acls(command))


def _delete_role(rights: Rights, command: Mapping[str, Any], kicked: set[str]) -> None:
    name = _text(command, "rolename")
    if name not in rights.roles:
        raise _Refused("Role not found")
    kicked.update(client.username for client in rights.clients.values() if name in dict(client.roles))
    rights.drop_role(name)


def _get_role(rights: Rights, command: Mapping[str, Any], kicked: set[str]) -> dict[str, Any]:
    name = _text(command, "rolename")
    if name not in rights.roles:
        raise _Refused("Role not found")
    return {"role": _role_json(rights, name)}


def _list_roles(rights: Rights, command: Mapping[str, Any], kicked: set[str]) -> dict[str, Any]:
    entries = [_role_json(rights, name) if command.get("verbose") is True else name for name in rights.roles]
    return {"totalCount": len(entries), "roles": _page(entries, command)}


def _role_json(rights: Rights, name: str) -> dict[str, Any]:
    return {"rolename": name, "acls": [acl.to_json() for acl in rights.roles[name]]}


def _page(entries: list[Any], command: Mapping[str, Any]) -> list[Any]:
    count, offset = command.get("count", -1), command.get("offset", 0)
    if not isinstance(count, int) or not isinstance(offset, int):
        raise _Refused("Invalid/missing count")
    start = max(offset, 0)
    return entries[start:] if count < 0 else entries[start : start + count]


_Verb = Callable[[Rights, Mapping[str, Any], set[str]], dict[str, Any] | None]
_VERBS: dict[str, _Verb] = {
    "createClient": _create_client,
    "modifyClient": _modify_client,
    "setClientPassword": _set_password,
    "setClientId": _set_client_id,
    "enableClient": _enable_client,
    "disableClient": _disable_client,
    "deleteClient": _delete_client,
    "getClient": _get_client,
    "listClients": _list_clients,
    "createRole": _create_role,
    "modifyRole": _modify_role,
    "deleteRole": _delete_role,
    "getRole": _get_role,
    "listRoles": _list_roles,
}
