"""Session cookies for a server with two doors: HTTPS cookies are Secure and have a name of their own (会话)."""

from __future__ import annotations

from flask import Flask, request
from flask.sessions import SecureCookieSessionInterface
from itsdangerous import URLSafeTimedSerializer

PLAIN, SECURE = "zhike", "zhike_s"


class TwoDoorSessions(SecureCookieSessionInterface):
    """Flask's signed cookie; over HTTPS it is Secure. Browsers refuse to let plain HTTP overwrite a Secure cookie, hence two names."""

    def __init__(self) -> None:
        self._serializer: URLSafeTimedSerializer | None = None

    def get_signing_serializer(self, app: Flask) -> URLSafeTimedSerializer | None:
        """Flask's own, made once: the key of a running app does not change."""
        if self._serializer is None:
            self._serializer = super().get_signing_serializer(app)
        return self._serializer

    def get_cookie_name(self, app: Flask) -> str:
        """Name of the cookie of this door."""
        return SECURE if request.is_secure else PLAIN

    def get_cookie_secure(self, app: Flask) -> bool:
        """Secure exactly where the request is."""
        return request.is_secure
