"""A stand-in for a browser and its user: Puter's page is opened, and "Allow" pressed.

``BROWSER="python tests/consenting.py %s"`` makes it the browser that programs open.
"""

from __future__ import annotations

import html
import re
import shlex
import sys
from urllib.parse import urljoin

import requests

COMMAND = f"{shlex.quote(sys.executable)} {shlex.quote(__file__)} %s"
"""For the variable ``BROWSER``."""


def allow(url: str) -> bool:
    """Press the button; whether a page was seen in the end."""
    with requests.Session() as session:
        session.trust_env = False
        page = session.get(url, timeout=30).text
        fields = {
            name: html.unescape(value)
            for name, value in re.findall(r'<input[^>]* name="(\w+)"[^>]* value="([^"]*)"', page)
        }
        target = urljoin(url, re.findall(r'action="([^"]+)"', page)[0])
        return session.post(target, data={**fields, "choice": "allow"}, timeout=30).ok


if __name__ == "__main__":
    sys.exit(0 if allow(sys.argv[1]) else 1)
