"""A browser without a window (模拟浏览器): cookies, CSRF token, patience while a server is started again."""

from __future__ import annotations

import http.client
import json
import re
import threading
import time
from typing import Any
from urllib.parse import urlencode

TOKEN = re.compile(r'name="csrf-token" content="([^"]+)"')
DATA = re.compile(r'<script[^>]*type="application/json"[^>]*>(.*?)</script>', re.DOTALL)
PATIENCE_S = 60.0
PAUSE_S = 0.3
AGAIN = (502, 503, 504)


class Refusal(Exception):
    """The server said no: ``status`` and what it answered."""

    def __init__(self, method: str, path: str, status: int, body: str) -> None:
        super().__init__(f"{method} {path} → {status} {body[:200]}")
        self.status = status
        self.body = body


class Browser:
    """One person's browser on ``host:port`` (plain HTTP, this machine). Not for several threads at once."""

    def __init__(self, host: str, port: int, stopping: threading.Event) -> None:
        self._host, self._port, self._stopping = host, port, stopping
        self._connection: http.client.HTTPConnection | None = None
        self.cookies: dict[str, str] = {}
        self.token = ""
        self.retries = 0

    def page(self, path: str) -> str:
        """Text of a page; keeps its CSRF token. Redirects are followed."""
        status, headers, body = self._send("GET", path, None, {"Accept": "text/html"})
        while status in (301, 302, 303, 307):
            status, headers, body = self._send("GET", headers["location"], None, {"Accept": "text/html"})
        text = body.decode("utf-8", "replace")
        if status != 200:
            raise Refusal("GET", path, status, text)
        found = TOKEN.search(text)
        if found:
            self.token = found[1]
        return text

    def form(self, path: str, **fields: str) -> str:
        """Post a form; returns where the answer leads (or an empty string)."""
        body = urlencode({**fields, "csrf_token": self.token}).encode()
        status, headers, content = self._send("POST", path, body, {"Content-Type": "application/x-www-form-urlencoded"})
        if status >= 400:
            raise Refusal("POST", path, status, content.decode("utf-8", "replace"))
        return headers.get("location", "")

    def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """A JSON call; a new CSRF token in the answer is kept. Raises Refusal for 4xx and 5xx."""
        headers = {"Accept": "application/json", "X-CSRFToken": self.token}
        data = None
        if body is not None:
            headers["Content-Type"] = "application/json"
            data = json.dumps(body).encode()
        status, _headers, content = self._send(method, path, data, headers)
        text = content.decode("utf-8", "replace")
        if status >= 400:
            raise Refusal(method, path, status, text)
        answer: dict[str, Any] = json.loads(text)
        self.token = answer.get("csrf_token") or answer.get("token") or self.token
        return answer

    def _send(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
        """Send once, or again with the same body while the server is away; gives up after a minute or when told to stop."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                answer = self._once(method, path, body, headers)
                if answer[0] not in AGAIN:
                    return answer
            except (OSError, http.client.HTTPException):
                self.close()
                if time.monotonic() > deadline or self._stopping.is_set():
                    raise
            self.retries += 1
            self._stopping.wait(PAUSE_S)

    def _once(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
        if self._connection is None:
            self._connection = http.client.HTTPConnection(self._host, self._port, timeout=20)
        cookies = "; ".join(f"{key}={value}" for key, value in self.cookies.items())
        self._connection.request(method, path, body, {**headers, "Cookie": cookies})
        answer = self._connection.getresponse()
        content = answer.read()
        for name, value in answer.getheaders():
            if name.lower() == "set-cookie":
                key, _, rest = value.split(";", 1)[0].partition("=")
                self.cookies[key] = rest
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, content

    def close(self) -> None:
        """Drop the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def page_data(html: str) -> list[Any]:
    """Every JSON block of a page."""
    return [json.loads(text) for text in DATA.findall(html)]
