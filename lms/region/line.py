"""The line to the office above (上报线路): HTTPS with the office's own CA, known from an identity that its key has signed."""

from __future__ import annotations

import http.client
import json
import ssl
import urllib.error
import urllib.request
from typing import Any
from urllib.parse import urlsplit

from flask_babel import lazy_gettext as _l

from lms.core.errors import Invalid, Refused, ZhikeError
from lms.region.batches import Signed, fingerprint, read_document

TIMEOUT_S = 60.0
LOOPBACK = ("127.0.0.1", "localhost", "::1")


class NoLine(ZhikeError):
    """The office could not be reached; the same can be sent again later (线路不通)."""

    status = 503


def check_url(url: str) -> str:
    """An address of an office as ``https://name:port``; plain HTTP only on this machine. Raises Invalid."""
    parts = urlsplit(url.strip())
    if (
        parts.scheme not in ("http", "https")
        or not parts.hostname
        or (parts.scheme == "http" and parts.hostname not in LOOPBACK)
    ):
        raise Invalid(
            "office-url", _l("地址应写成 https://名称:端口。"), remedy=_l("请向主管部门核对地址。"), where="url"
        )
    return f"{parts.scheme}://{parts.netloc}"


def identity_of(url: str, expected: str) -> Signed:
    """Who answers at ``url``: name, level, key and CA, signed by the key with the fingerprint ``expected``.

    The certificate is not checked here, since its authority becomes known only by this answer; the signature is. Raises NoLine, Refused.
    """
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    found = read_document("identity", _ask(urllib.request.Request(f"{url}/api/region/identity"), context), url)
    if fingerprint(found.public_key) != expected:
        raise Refused(
            "office-key",
            _l("%(url)s 的密钥指纹是 %(found)s，不是登记码里的那一个。", url=url, found=fingerprint(found.public_key)),
            remedy=_l("请向主管部门核对地址和登记码；不要继续。"),
            clause="B10",
        )
    return found


def post(url: str, path: str, ca: str, data: bytes, kind: str = "application/json") -> dict[str, Any]:
    """Send ``data`` and read the JSON answer. Raises NoLine where it may be tried again, Refused with the office's own words where not."""
    asked = urllib.request.Request(url + path, data=data, headers={"Content-Type": kind, "Accept": "application/json"})
    context = ssl.create_default_context(cadata=ca) if ca else ssl.create_default_context()
    answer = _ask(asked, context)
    if not isinstance(answer, dict):
        raise _no_line(url, "no object")
    return answer


def _ask(asked: urllib.request.Request, context: ssl.SSLContext) -> Any:
    secure = urllib.request.HTTPSHandler(context=context)
    here = [urllib.request.ProxyHandler({})] if urlsplit(asked.full_url).hostname in LOOPBACK else []
    opener = urllib.request.build_opener(secure, *here)
    try:
        with opener.open(asked, timeout=TIMEOUT_S) as answer:
            return json.loads(answer.read())
    except urllib.error.HTTPError as error:
        raise _refused(error, asked.full_url) from error
    except (
        OSError,
        ValueError,
        EOFError,
        http.client.HTTPException,
    ) as error:  # time-outs, a cut connection, half an answer
        raise _no_line(asked.full_url, str(getattr(error, "reason", error))) from error


def _no_line(url: str, why: str) -> NoLine:
    return NoLine(
        "no-line",
        _l("暂时连不上 %(url)s：%(why)s。", url=url, why=why),
        remedy=_l("系统会自动再试；一直不通时，可以导出文件用 U 盘或邮件上报。"),
        where=url,
    )


def _refused(error: urllib.error.HTTPError, url: str) -> ZhikeError:
    try:
        told = json.loads(error.read())
    except (OSError, ValueError):
        told = {}
    if error.code >= 500 or "code" not in told:
        return _no_line(url, f"HTTP {error.code}")
    return Refused(
        str(told["code"]),
        str(told.get("title", "")),
        remedy=str(told.get("remedy", "")),
        where=str(told.get("where", "")),
        clause="B10",
    )
