"""How a message leaves the school: mail (SMTP) and the group robots of WeCom, DingTalk and Feishu (发送). No database here.

Sources: RFC 5321; developer.work.weixin.qq.com/document/path/91770; open.dingtalk.com “自定义机器人安全设置”;
open.feishu.cn “自定义机器人使用指南”.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import smtplib
import ssl
import time
from collections.abc import Callable, Mapping
from email.message import EmailMessage
from typing import Any
from urllib.error import URLError
from urllib.parse import quote_plus, urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

PATIENCE_S = 10
LONGEST = 1800  # characters; DingTalk takes 20,000 bytes, WeCom 4,096
KINDS = ("smtp", "wecom", "dingtalk", "feishu")


class NotSent(Exception):
    """The other side did not take it; the message says why, without the secret."""


def send(kind: str, settings: Mapping[str, Any], secret: str, title: str, text: str) -> None:
    """Send one message; raises NotSent, also for a wrong address, a timeout (10 s) or a certificate that is not trusted."""
    try:
        _WAYS[kind](settings, secret, title, text[:LONGEST])
    except (OSError, smtplib.SMTPException, URLError) as error:
        raise NotSent(
            f"{type(error).__name__}: {error}".replace(secret, "…") if secret else f"{type(error).__name__}: {error}"
        ) from error


def _mail(settings: Mapping[str, Any], secret: str, title: str, text: str) -> None:
    message = EmailMessage()
    message["Subject"], message["From"], message["To"] = title, settings["sender"], ", ".join(settings["recipients"])
    message.set_content(text)
    host, port = settings["host"], int(settings["port"])
    context = ssl.create_default_context()
    if settings["security"] == "tls":
        server: smtplib.SMTP = smtplib.SMTP_SSL(host, port, timeout=PATIENCE_S, context=context)
    else:
        server = smtplib.SMTP(host, port, timeout=PATIENCE_S)
    with server:
        if settings["security"] == "starttls":
            server.starttls(context=context)
        if settings.get("username"):
            server.login(settings["username"], secret)
        refused = server.send_message(message)
    if refused:
        raise NotSent(", ".join(sorted(refused)))


def _wecom(settings: Mapping[str, Any], _secret: str, title: str, text: str) -> None:
    _post(settings["url"], {"msgtype": "markdown", "markdown": {"content": f"**{title}**\n{text}"}}, "errcode")


def _dingtalk(settings: Mapping[str, Any], secret: str, title: str, text: str) -> None:
    url = settings["url"]
    if secret:
        stamp = str(round(time.time() * 1000))
        sign = hmac.new(secret.encode(), f"{stamp}\n{secret}".encode(), hashlib.sha256).digest()
        url += f"&timestamp={stamp}&sign={quote_plus(base64.b64encode(sign))}"
    body = text.replace("\n", "\n\n")
    _post(url, {"msgtype": "markdown", "markdown": {"title": title, "text": f"### {title}\n\n{body}"}}, "errcode")


def _feishu(settings: Mapping[str, Any], secret: str, title: str, text: str) -> None:
    message: dict[str, Any] = {"msg_type": "text", "content": {"text": f"{title}\n{text}"}}
    if secret:
        stamp = str(round(time.time()))
        sign = hmac.new(f"{stamp}\n{secret}".encode(), b"", hashlib.sha256).digest()
        message |= {"timestamp": stamp, "sign": base64.b64encode(sign).decode()}
    _post(settings["url"], message, "code")


class _Straight(HTTPRedirectHandler):
    """A robot's address never leads elsewhere."""

    def redirect_request(self, *_args: Any, **_more: Any) -> None:
        return None


def _post(url: str, message: Mapping[str, Any], field: str) -> None:
    if urlsplit(url).scheme not in ("https", "http"):
        raise NotSent("https://…")
    request = Request(
        url, json.dumps(message, ensure_ascii=False).encode(), {"Content-Type": "application/json; charset=utf-8"}
    )
    with build_opener(_Straight).open(request, timeout=PATIENCE_S) as answer:
        text = answer.read(4096)
    try:
        document = json.loads(text)
    except ValueError as error:
        raise NotSent(f"HTTP {answer.status}") from error
    if not isinstance(document, dict) or document.get(field) != 0:
        told = (
            document
            if not isinstance(document, dict)
            else document.get("errmsg") or document.get("msg") or document.get(field)
        )
        raise NotSent(f"{told}")


_WAYS: Mapping[str, Callable[[Mapping[str, Any], str, str, str], None]] = {
    "smtp": _mail,
    "wecom": _wecom,
    "dingtalk": _dingtalk,
    "feishu": _feishu,
}
