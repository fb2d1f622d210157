"""Whole programs in an interpreter of their own.

Every warning is an error there, unless the program leaves an event loop in a state that asyncio
itself has ResourceWarnings about: then it must be silent under Python's default filters.
"""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from puter.testing import LocalPuter

ROOT = Path(__file__).parents[2]

PREAMBLE = """
import asyncio, gc, os, sys, threading, time
from puter import PuterAI
import puter.transports.aiohttp_transport, puter.transports.requests_transport
ai = PuterAI(proxy="")

def run(main):
    async def patient():
        # importing and connecting take their time; debug mode reports steps above 0.1 s
        asyncio.get_running_loop().slow_callback_duration = 10
        return await main
    return asyncio.run(patient())
"""


STRICT = (
    *("-W", "error"),
    *("-W", "ignore:A synchronous method"),  # some programs block an event loop on purpose
    *("-W", "ignore:This process:DeprecationWarning"),  # 3.12: any fork of a process with threads
)


def start(puter: LocalPuter, body: str, *, strict: bool = True) -> subprocess.Popen[str]:
    """Run ``body`` after the preamble; ``ai`` is a client of ``puter``."""
    environment = {
        **os.environ,
        "PUTER_API_BASE": puter.api_base,
        "PUTER_LOGIN_URL": puter.login_url,
        "PUTER_AUTH_TOKEN": puter.token,
        "MALLOC_MMAP_THRESHOLD_": "131072",  # else what glibc keeps of freed memory counts as held
        "PYTHONASYNCIODEBUG": "1",
        "PYTHONPATH": str(ROOT),
    }
    program = PREAMBLE + textwrap.dedent(body)
    return subprocess.Popen(
        [sys.executable, *(STRICT if strict else ()), "-c", program],
        env=environment,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(puter: LocalPuter, body: str, *, strict: bool = True, timeout: float = 30) -> str:
    """What the program printed; it must end well and not complain."""
    with start(puter, body, strict=strict) as program:
        out, err = program.communicate(timeout=timeout)
    assert (program.returncode, err) == (0, ""), err
    return out
