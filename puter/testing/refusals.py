"""Refusals in Puter's flat form, and the JSON of every answer."""

from __future__ import annotations

import json
from typing import Any


class ApiError(Exception):
    """A refusal in Puter's flat form: ``{"error": text, "message": text, "code": slug, ...}``."""

    def __init__(self, status: int, message: str, code: str | None, **extra: Any) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.body: dict[str, Any] = {"error": message, "message": message}
        if code:
            self.body["code"] = code
        self.body.update(extra)


def bad_request(message: str, **extra: Any) -> ApiError:
    """A fault in the arguments: 400."""
    return ApiError(400, message, "bad_request", **extra)


def internal_error() -> ApiError:
    """The 500 that the server answers when it cannot handle its input."""
    return ApiError(500, "Internal Server Error", "internal_error")


_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def dumps(value: object) -> bytes:
    """Compact JSON, as ``JSON.stringify`` writes it."""
    try:
        return _encode(value).encode()
    except UnicodeEncodeError:  # a lone surrogate travels as an escape
        return json.dumps(value, separators=(",", ":")).encode()
