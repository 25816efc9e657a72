"""Asking the server where this PC sits: ``POST <server>/api/labs/agent/hello``.

Sent: ``{"secret", "marks": ["mac:…", "uuid:…"], "run", "host", "kits": [name]}``. Answered: ``{"state": "bound" | "waiting" | "clash",
"code", "page", "again_s", "full_screen"}``, bound also ``"seat", "terminal", "room"``, and with kits ``"broker": {"url", "username",
"password"}``.
"""

from __future__ import annotations

import http.client
import json
import ssl
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from labkit.agent.enrolment import Enrolment
from labkit.errors import LabkitError, LinkDown
from labkit.links import BrokerAddress

PATIENCE_S = 5.0
MAX_ANSWER = 64_000


@dataclass(frozen=True)
class Standing:
    """Where this PC stands; ``broker`` is None where it has no seat or no kits. ``page`` opens in its browser."""

    state: str
    code: str
    page: str
    again_s: float
    full_screen: bool = True
    seat: str = ""
    terminal: str = ""
    room: str = ""
    broker: BrokerAddress | None = None


class Office:
    """One PC's way to the server; ``run`` is new with each object, so that two PCs that look alike are noticed."""

    def __init__(
        self, enrolment: Enrolment, marks: Callable[[], Sequence[str]], host: str, kits: Sequence[str] = ()
    ) -> None:
        self._enrolment, self._marks, self._host, self._kits = enrolment, marks, host, tuple(kits)
        self._run = uuid.uuid4().hex[:12]

    def hello(self) -> Standing:
        """Ask; raises LinkDown where the server is away, LabkitError where it refuses or is not the one that was enrolled."""
        body = {
            "secret": self._enrolment.secret,
            "marks": list(self._marks()),
            "run": self._run,
            "host": self._host,
            "kits": list(self._kits),
        }
        request = urllib.request.Request(
            self._enrolment.server.rstrip("/") + "/api/labs/agent/hello",
            json.dumps(body).encode(),
            {"Content-Type": "application/json", "Accept": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE_S, context=self._trust()) as answer:
                return self._read(json.loads(answer.read(MAX_ANSWER)))
        except urllib.error.HTTPError as error:
            raise _refused(error) from error
        except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError) as error:
            raise self._away(error) from error

    def _trust(self) -> ssl.SSLContext | None:
        if not self._enrolment.server.startswith("https:"):
            return None
        return ssl.create_default_context(cafile=self._enrolment.ca or None)

    def _read(self, data: Any) -> Standing:
        if not isinstance(data, dict):
            raise ValueError("no JSON object")
        broker = data.get("broker")
        address = None
        if isinstance(broker, dict):
            address = BrokerAddress.parse(
                str(broker["url"]), str(broker["username"]), str(broker["password"]), self._enrolment.ca
            )
        return Standing(
            state=str(data["state"]),
            code=str(data["code"]),
            page=str(data["page"]),
            again_s=min(120.0, max(1.0, float(data["again_s"]))),
            full_screen=data.get("full_screen") is not False,
            seat=str(data.get("seat", "")),
            terminal=str(data.get("terminal", "")),
            room=str(data.get("room", "")),
            broker=address,
        )

    def _away(self, error: Exception) -> LabkitError:
        where = self._enrolment.server
        reason = getattr(error, "reason", error)
        if isinstance(reason, ssl.SSLCertVerificationError):
            return LabkitError(
                "agent_certificate",
                f"{where} 的证书不可信：请用 labkit agent enrol --ca 指定学校的 ca.pem，并核对地址",
                f"the certificate of {where} is not trusted: name the school's ca.pem with labkit agent enrol --ca",
            )
        return LinkDown(
            f"连不上学校服务器 {where}（{reason}）：请检查网线和服务器", f"cannot reach the server {where} ({reason})"
        )


def _refused(error: urllib.error.HTTPError) -> LabkitError:
    """The server's own words, where it gives any."""
    try:
        body = json.loads(error.read(MAX_ANSWER))
        title, remedy, code = str(body["title"]), str(body.get("remedy", "")), str(body["code"])
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError):
        return LinkDown(f"学校服务器出错（{error.code}），稍后再试", f"the server failed ({error.code}); trying again")
    if error.code >= 500 or error.code == 429:
        return LinkDown(f"{title}{remedy}", f"the server failed ({error.code}); trying again")
    return LabkitError(code, f"{title}{remedy}", f"the server refuses this PC: {code}")
