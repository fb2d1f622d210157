"""What ``Callback`` answers a browser: a page that says that the token came, or 404."""

from __future__ import annotations

import base64
import hashlib

_SCRIPT = 'history.replaceState(null, "", "/")'  # the token leaves the address bar
_STYLE = """
:root { color-scheme: light dark; font-family: system-ui, sans-serif }
body { display: grid; place-content: center; min-height: 90vh; margin: 1rem; text-align: center }
"""
_HTML = f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Your program has the token</title>
<link rel="icon" href="data:,">
<style>{_STYLE}</style>
<script>{_SCRIPT}</script>
</head>
<body>
<h1>Your program has the token</h1>
<p>It tells whether Puter takes it. This tab may be closed.</p>
</body>
</html>
"""


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _reply(status: str, body: str, more: dict[str, str]) -> bytes:
    headers = {
        "Content-Length": str(len(body.encode())),
        "Connection": "close",
        "Cache-Control": "no-store",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        **more,
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {status}\r\n{head}\r\n{body}".encode()


PAGE = _reply(
    "200 OK",
    _HTML,
    {
        "Content-Type": "text/html; charset=utf-8",
        "Content-Security-Policy": f"default-src 'none'; img-src data:; "
        f"style-src {_hash(_STYLE)}; script-src {_hash(_SCRIPT)}; "
        "base-uri 'none'; frame-ancestors 'none'",
    },
)
NOT_FOUND = _reply("404 Not Found", "Not Found\n", {"Content-Type": "text/plain; charset=utf-8"})
