"""Client of Veyon's WebAPI: lock, look at, restart and shut down the PCs of a room (Veyon 网络接口).

Veyon (GPL-2.0) stays a program of its own; this speaks HTTP to its ``webapi`` plugin. Wire format: Veyon 4.7.5–4.11.1, ``plugins/webapi``
(WebApiController, WebApiHttpServer) and the developer manual's chapter WebAPI. One connection is one PC:
``POST authentication/<host>`` → ``connection-uid``, sent as header ``Connection-Uid`` until ``DELETE`` or until it expires.
"""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote, urlencode, urlsplit

KEY_FILE: Final = "0c69b301-81b4-42d6-8fae-128cdd113314"
LOGON: Final = "63611f7c-b457-42c7-832e-67d0f9281085"
LOCK: Final = "ccb535a2-1d24-4cc1-a709-8b47d2b2ac79"
REBOOT: Final = "4f7d98f0-395a-4fff-b968-e49b8d0f748c"
POWER_DOWN: Final = "6f5a27a0-0e2f-496e-afcc-7aae62eede10"

# WebApiController::Error → what it means to us.
CODES: Final = {
    1: "strange",
    2: "expired",
    3: "no_feature",
    4: "bad_key",
    5: "method_off",
    6: "refused",
    7: "limit",
    8: "off",
    9: "no_jpeg",
    10: "no_picture_yet",
    11: "no_picture",
    12: "version",
}
# Veyon hands an order to another thread and answers at once; a connection that is closed sooner takes the order with it.
SETTLE_S: Final = 0.5
PICTURE_TRIES: Final = 12
CONFIRM_TRIES: Final = 10
LARGEST: Final = 8 * 1024 * 1024


class VeyonError(Exception):
    """``code``: a word of :data:`CODES`, or ``unreachable`` (no WebAPI at the address), ``tls`` (its certificate is not the one that was
    given), ``unconfirmed`` (the PC did not do it), ``stopped`` (we are ending)."""

    def __init__(self, code: str, detail: str = "") -> None:
        super().__init__(f"{code}: {detail}" if detail else code)
        self.code = code


@dataclass(frozen=True)
class Api:
    """Where a WebAPI listens and how it lets us in. ``method``: ``key`` (``name`` of the key pair, ``secret`` the private key, PEM) or ``logon``
    (user name and password). ``certificate``: PEM that an https address must show; empty = the system's authorities. ``timeout_s``: of each call."""

    url: str
    method: str
    name: str
    secret: str = field(repr=False)
    certificate: str = ""
    timeout_s: float = 8.0

    def login(self) -> dict[str, Any]:
        """Body of the authentication call."""
        if self.method == "logon":
            return {"method": LOGON, "credentials": {"username": self.name, "password": self.secret}}
        return {"method": KEY_FILE, "credentials": {"keyname": self.name, "keydata": self.secret}}


def _tls(api: Api) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if api.certificate:
        context.check_hostname = False  # the very certificate is known: its name adds nothing
        context.load_verify_locations(cadata=api.certificate)
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return context


def call(api: Api, verb: str, path: str, uid: str = "", body: dict[str, Any] | None = None) -> tuple[str, bytes]:
    """One request below ``<url>/api/v1/``: content type and body of the answer. Raises VeyonError."""
    where = urlsplit(api.url)
    host, headers = where.hostname or "", {"Accept": "*/*"} | ({"Connection-Uid": uid} if uid else {})
    data = None if body is None else json.dumps(body).encode()
    if data is not None:
        headers["Content-Type"] = "application/json"
    try:
        line = (
            http.client.HTTPSConnection(host, where.port or 11080, timeout=api.timeout_s, context=_tls(api))
            if where.scheme == "https"
            else http.client.HTTPConnection(host, where.port or 11080, timeout=api.timeout_s)
        )
        try:
            line.request(verb, f"{where.path.rstrip('/')}/api/v1/{path}", data, headers)
            answer = line.getresponse()
            kind, payload = answer.headers.get_content_type(), answer.read(LARGEST)
        finally:
            line.close()
    except ssl.SSLError as error:
        raise VeyonError("tls", str(error)) from error
    except TimeoutError as error:
        raise VeyonError("off", "timed out") from error
    except (OSError, http.client.HTTPException) as error:
        raise VeyonError("unreachable", str(error)) from error
    if answer.status != 200:
        raise _refusal(answer.status, payload)
    return kind, payload


def _refusal(status: int, payload: bytes) -> VeyonError:
    try:
        error = json.loads(payload)["error"]
        return VeyonError(CODES[int(error["code"])], str(error.get("message", "")))
    except (ValueError, KeyError, TypeError):
        return VeyonError("strange", f"HTTP {status}")


def _parsed(payload: bytes) -> Any:
    try:
        return json.loads(payload)
    except ValueError as error:
        raise VeyonError("strange", "no JSON") from error


def methods(api: Api, host: str) -> frozenset[str]:
    """Ways to sign in that the PC offers: UUIDs. Needs no credentials; raises VeyonError ``off`` where no Veyon answers there."""
    found = _parsed(call(api, "GET", f"authentication/{quote(host, safe='')}")[1])
    try:
        return frozenset(str(one) for one in found["methods"])
    except (KeyError, TypeError) as error:
        raise VeyonError("strange", "no methods") from error


class Session:
    """A connection to one PC (连接). Use as a context manager: Veyon's connections are few (32 by default)."""

    def __init__(self, api: Api, host: str) -> None:
        self._api, self._host = api, host
        found = _parsed(call(api, "POST", self._door, body=api.login())[1])
        self._uid = str(found.get("connection-uid", "")) if isinstance(found, dict) else ""
        if not self._uid:
            raise VeyonError("strange", "no connection-uid")

    @property
    def _door(self) -> str:
        return f"authentication/{quote(self._host, safe='')}"

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the connection back; one that is gone already is no error."""
        try:
            call(self._api, "DELETE", self._door, self._uid)
        except VeyonError as error:
            if error.code not in ("expired", "unreachable", "off"):
                raise

    def features(self) -> dict[str, bool]:
        """Every feature's UUID, and whether it is active."""
        found = _parsed(call(self._api, "GET", "feature", self._uid)[1])
        try:
            return {str(one["uid"]): bool(one["active"]) for one in found}
        except (KeyError, TypeError) as error:
            raise VeyonError("strange", "no features") from error

    def put(self, feature: str, active: bool) -> None:
        """Begin or end a feature; that Veyon accepted it does not say that the PC did it."""
        call(self._api, "PUT", f"feature/{feature}", self._uid, {"active": active, "arguments": {}})

    def picture(self, width: int, pause: Callable[[float], bool], quality: int = 55) -> bytes:
        """The screen as JPEG, ``width`` pixels wide; waits up to 4 s for the first one. ``pause(seconds)`` gives True to give up."""
        asked = urlencode({"format": "jpeg", "width": width, "quality": quality})
        for _ in range(PICTURE_TRIES):
            try:
                kind, payload = call(self._api, "GET", f"framebuffer?{asked}", self._uid)
            except VeyonError as error:
                if error.code != "no_picture_yet":
                    raise
            else:
                if kind.startswith("image/") or payload[:2] == b"\xff\xd8":
                    return payload
                raise VeyonError("strange", kind)
            if pause(0.33):
                raise VeyonError("stopped")
        raise VeyonError("no_picture")


def lock(api: Api, host: str, on: bool, pause: Callable[[float], bool]) -> None:
    """Lock a PC's screen and keyboard, or free it (锁屏、解锁); returns once the PC itself says so. Raises VeyonError."""
    _order(api, host, LOCK, on, pause)
    with Session(api, host) as seen:  # a connection learns what is active only when it begins
        for turn in range(CONFIRM_TRIES):
            found = seen.features()
            told = any(found.values()) or turn >= CONFIRM_TRIES // 2  # before it has asked the PC, nothing is active
            if (on or told) and found.get(LOCK, False) == on:
                return
            if pause(0.3):
                raise VeyonError("stopped")
    raise VeyonError("unconfirmed")


def restart(api: Api, host: str, pause: Callable[[float], bool]) -> None:
    """Restart a PC (重启). Veyon confirms nothing: the PC falls silent."""
    _order(api, host, REBOOT, True, pause)


def shut_down(api: Api, host: str, pause: Callable[[float], bool]) -> None:
    """Shut a PC down (关机). Veyon confirms nothing: the PC falls silent."""
    _order(api, host, POWER_DOWN, True, pause)


def _order(api: Api, host: str, feature: str, on: bool, pause: Callable[[float], bool]) -> None:
    with Session(api, host) as session:
        session.put(feature, on)
        if pause(SETTLE_S):
            raise VeyonError("stopped")
