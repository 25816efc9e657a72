"""Files for the browser to keep (下载)."""

from __future__ import annotations

from urllib.parse import quote

from flask import Response

TYPES = {
    "crt": "application/x-x509-ca-cert",
    "csv": "text/csv; charset=utf-8",
    "ics": "text/calendar; charset=utf-8",
    "json": "application/json",
    "pdf": "application/pdf",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "zip": "application/zip",
}


def download(data: bytes, name: str) -> Response:
    """``data`` as a file called ``name``, which may be Chinese; its ending, one of TYPES, says what it is. No cache keeps it."""
    headers = {"Content-Disposition": f"attachment; filename*=UTF-8''{quote(name)}"}
    return Response(data, content_type=TYPES[name.rpartition(".")[2]], headers=headers)
