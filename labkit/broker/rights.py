"""Who may connect, publish, receive and subscribe: the data of Mosquitto's dynamic-security plugin (2.0), decided here. Pure.

The JSON document is the plugin's own, so that one file serves both brokers: clients with PBKDF2-HMAC-SHA512 hashes,
roles with ACLs (publishClientSend, publishClientReceive, subscribeLiteral, subscribePattern, unsubscribeLiteral,
unsubscribePattern), and the access where no ACL speaks. Groups are kept as they are and not read.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from labkit.broker import topics
from labkit.broker.errors import BrokerConfigError

SEND, RECEIVE = "publishClientSend", "publishClientReceive"
SUBSCRIBE_LITERAL, SUBSCRIBE_PATTERN = "subscribeLiteral", "subscribePattern"
UNSUBSCRIBE_LITERAL, UNSUBSCRIBE_PATTERN = "unsubscribeLiteral", "unsubscribePattern"
ACL_TYPES = (SEND, RECEIVE, SUBSCRIBE_LITERAL, SUBSCRIBE_PATTERN, UNSUBSCRIBE_LITERAL, UNSUBSCRIBE_PATTERN)

DEFAULT_ACCESS = {"publishClientSend": False, "publishClientReceive": False, "subscribe": False, "unsubscribe": True}
HASH_BYTES = 64
# Passwords of devices are random; the rounds protect the few that a person chose.
HASH_ROUNDS = 5000
_MAX_ROUNDS = 1_000_000


@dataclass(frozen=True, slots=True)
class Acl:
    """One rule of a role; of all rules that fit, the highest priority speaks."""

    kind: str
    topic: str
    allow: bool = True
    priority: int = 0

    def to_json(self) -> dict[str, Any]:
        """As the plugin writes it."""
        return {"acltype": self.kind, "topic": self.topic, "priority": self.priority, "allow": self.allow}

    @classmethod
    def from_json(cls, data: object) -> Acl:
        """Read one rule; raises ValueError or TypeError, mostly with the plugin's own words."""
        if not isinstance(data, Mapping) or data.get("acltype") not in ACL_TYPES:
            raise ValueError("Invalid/missing acltype")
        topic = data.get("topic")
        if not isinstance(topic, str) or not topics.is_filter(topic):
            raise ValueError("Invalid/missing topic")
        return cls(data["acltype"], topic, data.get("allow") is True, int(data.get("priority", 0)))


@dataclass(frozen=True, slots=True)
class PasswordHash:
    """PBKDF2-HMAC-SHA512 of a password: 64 bytes, with its salt and rounds."""

    digest: bytes
    salt: bytes
    rounds: int

    @classmethod
    def of(cls, password: str) -> PasswordHash:
        """Hash a new password with a fresh salt."""
        salt = secrets.token_bytes(12)
        return cls(_pbkdf2(password.encode(), salt, HASH_ROUNDS), salt, HASH_ROUNDS)

    def fits(self, password: bytes) -> bool:
        """Whether `password` is the one; takes the same time either way."""
        return hmac.compare_digest(self.digest, _pbkdf2(password, self.salt, self.rounds))


def _pbkdf2(password: bytes, salt: bytes, rounds: int) -> bytes:
    return hashlib.pbkdf2_hmac("sha512", password, salt, rounds, HASH_BYTES)


@dataclass(frozen=True, slots=True)
class Client:
    """One who may connect: user name, password, roles; `client_id` binds it to one MQTT client identifier."""

    username: str
    password: PasswordHash | None = None
    roles: tuple[tuple[str, int], ...] = ()
    disabled: bool = False
    client_id: str | None = None
    text: Mapping[str, str] = field(default_factory=dict)

    def to_json(self, with_password: bool) -> dict[str, Any]:
        """As the plugin writes it; the hash only where the state is stored."""
        data: dict[str, Any] = {"username": self.username}
        if self.client_id is not None:
            data["clientid"] = self.client_id
        data.update(self.text)
        if self.disabled:
            data["disabled"] = True
        data["roles"] = [
            {"rolename": name} if priority == -1 else {"rolename": name, "priority": priority}
            for name, priority in self.roles
        ]
        if not with_password:
            data["groups"] = []
        elif self.password is not None:
            data["password"] = base64.b64encode(self.password.digest).decode()
            data["salt"] = base64.b64encode(self.password.salt).decode()
            data["iterations"] = self.password.rounds
        return data


class Rights:
    """The clients, roles and defaults of one broker, and the decisions that follow from them.

    `version` grows with every change, so that decisions may be remembered until then.
    """

    def __init__(self) -> None:
        self.clients: dict[str, Client] = {}
        self.roles: dict[str, tuple[Acl, ...]] = {}
        self.default_access: dict[str, bool] = dict(DEFAULT_ACCESS)
        self.groups: list[Any] = []
        self.version = 0

    # ---- decisions ------------------------------------------------------------------------------------------------

    def admits(self, username: str | None, password: bytes | None, client_id: str) -> bool:
        """Whether this name, password and client identifier may connect."""
        client = self.clients.get(username or "")
        if client is None or password is None or client.password is None or client.disabled:
            return False
        if client.client_id is not None and client.client_id != client_id:
            return False
        return client.password.fits(password)

    def may_send(self, username: str, topic: str) -> bool:
        """Whether the client may publish on `topic`."""
        return self._speaks(username, SEND, lambda rule: topics.matches(rule, topic), self.default_access[SEND])

    def may_receive(self, username: str, topic: str) -> bool:
        """Whether a message on `topic`, live or retained, may be delivered to the client."""
        return self._speaks(username, RECEIVE, lambda rule: topics.matches(rule, topic), self.default_access[RECEIVE])

    def may_subscribe(self, username: str, pattern: str) -> bool:
        """Whether the client may subscribe to the filter `pattern`, wildcards and all."""
        literal = self._verdict(username, SUBSCRIBE_LITERAL, lambda rule: rule == pattern)
        if literal is not None:
            return literal
        return self._speaks(
            username, SUBSCRIBE_PATTERN, lambda rule: topics.covers(rule, pattern), self.default_access["subscribe"]
        )

    def _speaks(self, username: str, kind: str, fits: Callable[[str], bool], default: bool) -> bool:
        verdict = self._verdict(username, kind, fits)
        return default if verdict is None else verdict

    def _verdict(self, username: str, kind: str, fits: Callable[[str], bool]) -> bool | None:
        client = self.clients.get(username)
        if client is None or client.disabled:
            return False
        for name, _ in sorted(client.roles, key=lambda role: -role[1]):
            best: Acl | None = None
            for acl in self.roles.get(name, ()):
                if acl.kind == kind and fits(acl.topic) and (best is None or acl.priority > best.priority):
                    best = acl
            if best is not None:
                return best.allow
        return None

    # ---- the stored document --------------------------------------------------------------------------------------

    def to_json(self) -> dict[str, Any]:
        """The plugin's document."""
        return {
            "defaultACLAccess": dict(self.default_access),
            "clients": [client.to_json(with_password=True) for client in self.clients.values()],
            "groups": self.groups,
            "roles": [{"rolename": name, "acls": [acl.to_json() for acl in acls]} for name, acls in self.roles.items()],
        }

    @classmethod
    def from_json(cls, data: object) -> Rights:
        """Read the plugin's document; raises BrokerConfigError that says what is wrong."""
        if not isinstance(data, Mapping):
            raise BrokerConfigError("权限文件不是 JSON 对象", "the rights file is no JSON object")
        rights = cls()
        try:
            for role in data.get("roles", ()):
                rights.roles[str(role["rolename"])] = tuple(Acl.from_json(acl) for acl in role.get("acls", ()))
            for entry in data.get("clients", ()):
                client = _client_from_json(entry)
                rights.clients[client.username] = client
            rights.groups = list(data.get("groups", ()))
            access = data.get("defaultACLAccess", {})
            rights.default_access.update({key: access[key] is True for key in DEFAULT_ACCESS if key in access})
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise BrokerConfigError(f"权限文件有误：{error}", f"bad rights file: {error}") from error
        return rights

    def dumps(self) -> str:
        """The document as text."""
        return json.dumps(self.to_json(), ensure_ascii=False, indent=1)

    # ---- changes --------------------------------------------------------------------------------------------------

    def put_client(self, client: Client) -> None:
        """Store `client` under its name."""
        self.clients[client.username] = client
        self.version += 1

    def drop_client(self, username: str) -> None:
        """Forget a client; raises KeyError."""
        del self.clients[username]
        self.version += 1

    def put_role(self, name: str, acls: tuple[Acl, ...]) -> None:
        """Store a role's rules."""
        self.roles[name] = acls
        self.version += 1

    def drop_role(self, name: str) -> None:
        """Forget a role, also at the clients that have it; raises KeyError."""
        del self.roles[name]
        for client in list(self.clients.values()):
            if any(role == name for role, _ in client.roles):
                kept = tuple(role for role in client.roles if role[0] != name)
                self.clients[client.username] = replace(client, roles=kept)
        self.version += 1


def _client_from_json(entry: Mapping[str, Any]) -> Client:
    password = None
    if entry.get("password"):
        try:
            digest = base64.b64decode(entry["password"], validate=True)
            salt = base64.b64decode(entry["salt"], validate=True)
        except binascii.Error as error:
            raise ValueError(f"{entry['username']}: password, salt") from error
        rounds = int(entry.get("iterations", 101))
        if not 1 <= rounds <= _MAX_ROUNDS:
            raise ValueError(f"{entry['username']}: iterations")
        password = PasswordHash(digest, salt, rounds)
    return Client(
        username=str(entry["username"]),
        password=password,
        roles=tuple((str(role["rolename"]), int(role.get("priority", -1))) for role in entry.get("roles", ())),
        disabled=entry.get("disabled") is True,
        client_id=entry.get("clientid"),
        text={key: str(entry[key]) for key in ("textname", "textdescription") if entry.get(key)},
    )


def admin_acls() -> tuple[Acl, ...]:
    """What the bridge may do: everything, and the security commands."""
    patterns = ("#", "$CONTROL/dynamic-security/#", "$SYS/#")
    return tuple(Acl(kind, pattern) for kind in (SEND, RECEIVE, SUBSCRIBE_PATTERN) for pattern in patterns)


def with_admin(rights: Rights, username: str, password: str) -> bool:
    """Make sure that the administrator `username` exists with this password; returns whether anything changed."""
    known = rights.clients.get(username)
    admin = ((username, -1),)
    good = known is not None and known.password is not None and known.password.fits(password.encode())
    if known is not None and good and known.roles == admin and not known.disabled and username in rights.roles:
        return False
    rights.put_role(username, admin_acls())
    rights.put_client(Client(username, PasswordHash.of(password), admin))
    return True
