"""Taking secrets out of text and decoded JSON before a person may see them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

MARK = "<redacted>"
_SECRET = re.compile(
    r"eyJ[\w-]{5,}\.[\w-]{5,}\.[\w-]*"  # a JWT
    r"|(?<=[Bb]earer )[^\s\"',;]+"
    r"|(?<=://)[^/\s@\"']+(?=@)"  # user and password of a URL
)
_PRIVATE_KEYS = frozenset(
    "token auth_token reauth_token otp_jwt_token password anti_csrf authorization api_key".split()
)


def redact(value: Any, secrets: Iterable[str] = ()) -> Any:
    """``value`` (text, or dicts and lists of it) without tokens, passwords and ``secrets``.

    Examples:
        >>> redact({"code": "reauth_required", "reauth_token": "abc"})
        {'code': 'reauth_required', 'reauth_token': '<redacted>'}
    """
    if isinstance(value, str):
        for secret in secrets:
            if len(secret) >= 4:
                value = value.replace(secret, MARK)
        return _SECRET.sub(MARK, value)
    if isinstance(value, dict):
        return {
            redact(key, secrets): MARK
            if str(key).lower() in _PRIVATE_KEYS and isinstance(one, str)
            else redact(one, secrets)
            for key, one in value.items()
        }
    if isinstance(value, list):
        return [redact(one, secrets) for one in value]
    return value
