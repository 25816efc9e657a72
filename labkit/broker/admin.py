"""Provisioning of devices and terminals at a running broker, Mosquitto or ours: puts roles and clients, waits for answers."""

from __future__ import annotations

import hashlib
import json
import secrets
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import paho.mqtt.client as mqtt

from labkit.broker.commands import CONTROL_TOPIC, RESPONSE_TOPIC
from labkit.broker.errors import BrokerRefused, BrokerUnavailable
from labkit.broker.rights import RECEIVE, SEND, SUBSCRIBE_LITERAL, SUBSCRIBE_PATTERN, Acl

_PAGE = 100
_BATCH_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class RoleSpec:
    """A role as it shall be: filters on which its clients may publish, be given messages, and subscribe."""

    name: str
    send: tuple[str, ...] = ()
    receive: tuple[str, ...] = ()
    subscribe: tuple[str, ...] = ()

    def acls(self) -> list[dict[str, Any]]:
        """The rules in the protocol's words."""
        rules = [Acl(SEND, topic) for topic in self.send] + [Acl(RECEIVE, topic) for topic in self.receive]
        rules += [
            Acl(SUBSCRIBE_PATTERN if "+" in topic or "#" in topic else SUBSCRIBE_LITERAL, topic)
            for topic in self.subscribe
        ]
        return [rule.to_json() for rule in rules]


@dataclass(frozen=True, slots=True)
class ClientSpec:
    """A client as it shall be; the password is a generated one of at least 16 characters (None keeps what is there).

    With `client_id` it may connect under that MQTT client identifier only. Where every client of little trust is bound so,
    none of them can throw out another by taking its identifier, which Mosquitto otherwise allows.
    """

    username: str
    password: str | None
    roles: tuple[str, ...]
    client_id: str | None = None


class BrokerAdmin:
    """Puts roles and clients through a connected paho client whose network loop runs in another thread.

    Idempotent: what is already so is not sent again, because the broker disconnects a client whose password or roles are
    set. Replacing the rules of a role (`put_role`) disconnects nobody on either broker. Never call it inside a paho
    callback: the answer would wait for the call to end. Raises BrokerUnavailable and BrokerRefused.
    """

    def __init__(self, client: mqtt.Client, timeout_s: float = 10.0) -> None:
        self._client, self._timeout_s = client, timeout_s
        self._turn = threading.Lock()
        self._arrived = threading.Condition()
        self._answers: dict[str, dict[str, Any]] = {}
        client.message_callback_add(RESPONSE_TOPIC, self._on_answer)

    def put_role(
        self, name: str, *, send: Iterable[str] = (), receive: Iterable[str] = (), subscribe: Iterable[str] = ()
    ) -> None:
        """Make the role `name` exactly this: filters for publishing, for delivery, and for subscribing."""
        self.put_many(roles=[RoleSpec(name, tuple(send), tuple(receive), tuple(subscribe))])

    def put_client(self, username: str, password: str | None, roles: Iterable[str]) -> None:
        """Make the client exactly this; it is disconnected only if its password or roles change."""
        self.put_many(clients=[ClientSpec(username, password, tuple(roles))])

    def put_many(self, roles: Sequence[RoleSpec] = (), clients: Sequence[ClientSpec] = ()) -> int:
        """Put roles, then clients, in as few messages as there are 256 KiB; returns how many things were not so before."""
        known_roles = {role["rolename"]: role for role in self._list("listRoles", "roles")} if roles else {}
        known_clients = {entry["username"]: entry for entry in self._list("listClients", "clients")} if clients else {}
        commands = [command for role in roles if (command := _role_command(role, known_roles.get(role.name)))]
        commands += [
            command for client in clients for command in _client_commands(client, known_clients.get(client.username))
        ]
        self.command(commands)
        return len(commands)

    def remove_client(self, username: str) -> bool:
        """Delete a client and disconnect it; False if there was none."""
        return self._unless("Client not found", {"command": "deleteClient", "username": username})

    def remove_role(self, name: str) -> bool:
        """Delete a role; False if there was none."""
        return self._unless("Role not found", {"command": "deleteRole", "rolename": name})

    def disable_client(self, username: str) -> None:
        """Disconnect a client and refuse it until it is enabled again."""
        self.command([{"command": "disableClient", "username": username}])

    def enable_client(self, username: str) -> None:
        """Let a disabled client in again."""
        self.command([{"command": "enableClient", "username": username}])

    def list_clients(self) -> list[str]:
        """The user names that the broker knows, in its order."""
        (answer,) = self.command([{"command": "listClients"}])
        return [str(name) for name in answer["clients"]]

    def client_roles(self, username: str) -> list[str] | None:
        """The roles of a client, or None if there is no such client."""
        for entry in self._list("listClients", "clients"):
            if entry["username"] == username:
                return [str(role["rolename"]) for role in entry.get("roles", ())]
        return None

    def command(self, commands: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Send raw dynamic-security commands in order and return the `data` of each answer ({} where there is none).

        All of them are carried out before the first error is raised, as BrokerRefused.
        """
        answers = [answer for batch in _batches(commands) for answer in self._exchange(batch)]
        for sent, answer in zip(commands, answers, strict=True):
            if "error" in answer:
                raise BrokerRefused(str(sent["command"]), str(answer["error"]))
        return [answer.get("data", {}) for answer in answers]

    def _unless(self, harmless: str, command: Mapping[str, Any]) -> bool:
        try:
            self.command([command])
        except BrokerRefused as error:
            if error.reason == harmless:
                return False
            raise
        return True

    def _list(self, verb: str, key: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        (head,) = self.command([{"command": verb, "count": 1}])
        for offset in range(0, int(head["totalCount"]), _PAGE):
            (answer,) = self.command([{"command": verb, "verbose": True, "count": _PAGE, "offset": offset}])
            found += answer[key]
        return found

    def _exchange(self, commands: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        marks = [secrets.token_hex(8) for _ in commands]
        message = {
            "commands": [{**command, "correlationData": mark} for command, mark in zip(commands, marks, strict=True)]
        }
        with self._turn:
            # Subscribed anew each time: the broker handles it before the command, also after a reconnect.
            if self._client.subscribe(RESPONSE_TOPIC, 1)[0] != mqtt.MQTT_ERR_SUCCESS:
                raise BrokerUnavailable("没有连上消息服务器", "not connected to the broker")
            if self._client.publish(CONTROL_TOPIC, json.dumps(message), 1).rc != mqtt.MQTT_ERR_SUCCESS:
                raise BrokerUnavailable("没有连上消息服务器", "not connected to the broker")
            with self._arrived:
                complete = self._arrived.wait_for(lambda: all(mark in self._answers for mark in marks), self._timeout_s)
                answers = [self._answers.pop(mark, None) for mark in marks]
        if not complete:
            raise BrokerUnavailable(
                f"消息服务器 {self._timeout_s:g} 秒内没有回答",
                f"no answer from the broker within {self._timeout_s:g} s",
            )
        return [answer for answer in answers if answer is not None]

    def _on_answer(self, client: mqtt.Client, userdata: object, message: mqtt.MQTTMessage) -> None:
        try:
            responses = json.loads(message.payload)["responses"]
            marked = {str(item["correlationData"]): item for item in responses if "correlationData" in item}
        except (ValueError, KeyError, TypeError):
            return
        with self._arrived:
            self._answers.update(marked)
            self._arrived.notify_all()


def fingerprint(username: str, password: str) -> str:
    """A mark kept in the client's description, by which an unchanged password is known without sending it again.

    SHA-256 of name and password: no secret leaks from it, because the passwords of devices are random.
    """
    return "sha256:" + hashlib.sha256(f"{username}\0{password}".encode()).hexdigest()[:40]


def _batches(commands: Sequence[Mapping[str, Any]]) -> Iterable[list[Mapping[str, Any]]]:
    batch: list[Mapping[str, Any]] = []
    size = 0
    for command in commands:
        length = len(json.dumps(command)) + 40
        if batch and size + length > _BATCH_BYTES:
            yield batch
            batch, size = [], 0
        batch.append(command)
        size += length
    if batch:
        yield batch


def _role_command(role: RoleSpec, known: Mapping[str, Any] | None) -> dict[str, Any] | None:
    acls = role.acls()
    if known is None:
        return {"command": "createRole", "rolename": role.name, "acls": acls}
    if _rules(known.get("acls", [])) == _rules(acls):
        return None
    return {"command": "modifyRole", "rolename": role.name, "acls": acls}


def _rules(acls: Iterable[Mapping[str, Any]]) -> set[tuple[Any, ...]]:
    return {(acl["acltype"], acl["topic"], acl.get("priority", 0), acl.get("allow")) for acl in acls}


def _client_commands(client: ClientSpec, known: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    command: dict[str, Any] = {"username": client.username, "roles": [{"rolename": role} for role in client.roles]}
    if client.password is not None:
        command |= {"password": client.password, "textdescription": fingerprint(client.username, client.password)}
    if known is None:
        if client.password is None:
            raise BrokerRefused("createClient", "Invalid/missing password")
        bound = {} if client.client_id is None else {"clientid": client.client_id}
        return [{"command": "createClient", **command, **bound}]
    commands: list[dict[str, Any]] = []
    same_roles = [role["rolename"] for role in known.get("roles", [])] == list(client.roles)
    same_password = client.password is None or known.get("textdescription") == command["textdescription"]
    if not (same_roles and same_password):
        commands.append({"command": "modifyClient", **command})
    if known.get("clientid") != client.client_id:
        commands.append({"command": "setClientId", "username": client.username, "clientid": client.client_id or ""})
    return commands
