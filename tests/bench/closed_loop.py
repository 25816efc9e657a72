"""A closed-loop HTTP client: one thread is one signed-in keep-alive session, no think time; a row of figures a block."""

from __future__ import annotations

import http.client
import json
import os
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlencode

ACCEPTED = (200, 201, 302, 303)


class Client:
    """One session: a connection and its cookies."""

    def __init__(self, host: str, port: int) -> None:
        self.connection = http.client.HTTPConnection(host, port, timeout=120)
        self.cookies: dict[str, str] = {}

    def request(
        self,
        method: str,
        path: str,
        *,
        body: object = None,
        form: dict[str, str] | None = None,
        headers: dict[str, str] | None = None,
        accepted: Sequence[int] = ACCEPTED,
    ) -> bytes:
        """Send and read one request; raises RuntimeError for any other status."""
        sent = {"Cookie": "; ".join(f"{key}={value}" for key, value in self.cookies.items()), **(headers or {})}
        data = None
        if form is not None:
            data, sent["Content-Type"] = urlencode(form).encode(), "application/x-www-form-urlencoded"
        elif body is not None:
            data, sent["Content-Type"] = json.dumps(body).encode(), "application/json"
        self.connection.request(method, path, data, sent)
        answer = self.connection.getresponse()
        content = answer.read()
        for key, value in answer.getheaders():
            if key.lower() == "set-cookie":
                name, _, rest = value.split(";", 1)[0].partition("=")
                self.cookies[name] = rest
        if answer.status not in accepted:
            raise RuntimeError(f"{method} {path} -> {answer.status} {content[:300]!r}")
        return content


def load(name: str, sessions: Sequence[Callable[[int], object]], total: int, clients: Sequence[Client] = ()) -> dict[str, Any]:
    """``total`` calls shared among the sessions, all at once; each call timed.

    Returns ``{"name", "conc", "n", "errors", "p50_ms", "p99_ms", "rps", "loadavg"}``, with ``first_error`` where there was one.
    """
    for client in clients:  # idle keep-alive connections are dropped by some servers; everyone starts anew inside the block
        client.connection.close()
    taken: list[float] = []
    errors: list[str] = []
    lock = threading.Lock()
    each = max(1, total // len(sessions))
    gate = threading.Barrier(len(sessions) + 1)

    def work(call: Callable[[int], object]) -> None:
        mine: list[float] = []
        gate.wait()
        for index in range(each):
            began = time.perf_counter()
            try:
                call(index)
            except (OSError, RuntimeError, http.client.HTTPException) as error:
                with lock:
                    errors.append(repr(error)[:200])
            else:
                mine.append(time.perf_counter() - began)
        with lock:
            taken.extend(mine)

    threads = [threading.Thread(target=work, args=(call,)) for call in sessions]
    for thread in threads:
        thread.start()
    gate.wait()
    began = time.perf_counter()
    for thread in threads:
        thread.join()
    elapsed = time.perf_counter() - began
    taken.sort()

    def quantile(share: float) -> float | None:
        return round(1000 * taken[min(len(taken) - 1, int(share * len(taken)))], 1) if taken else None

    row: dict[str, Any] = {
        "name": name,
        "conc": len(sessions),
        "n": len(taken),
        "errors": len(errors),
        "p50_ms": quantile(0.5),
        "p99_ms": quantile(0.99),
        "rps": round(len(taken) / elapsed, 1),
        "loadavg": round(os.getloadavg()[0], 1),
    }
    if errors:
        row["first_error"] = errors[0]
    return row
