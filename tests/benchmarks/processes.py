"""Processes of their own: servers, programs measured as a whole, and functions measured alone."""

from __future__ import annotations

import gc
import json
import os
import resource
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

TIMEOUT = 120
"""Seconds that a program may take at most."""
ROOT = Path(__file__).parents[2]
# As it is with users: modules are compiled once, not by each program.
ENVIRONMENT = {
    name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"
}


class ProgramError(Exception):
    """A program failed; tells the last line of its own error."""


def run(code: str) -> str:
    """What a program prints, run by this interpreter; or `ProgramError`."""
    try:
        done = subprocess.run(
            [sys.executable, "-c", code],
            check=False,
            capture_output=True,
            text=True,
            cwd=ROOT,
            env=ENVIRONMENT,
            timeout=TIMEOUT,
        )
    except subprocess.TimeoutExpired:
        raise ProgramError(f"took longer than {TIMEOUT} s") from None
    if done.returncode:
        told = done.stderr.splitlines() or [f"exit status {done.returncode}"]
        raise ProgramError(told[-1])
    return done.stdout


@contextmanager
def server(module: str, *arguments: str) -> Generator[tuple[int, subprocess.Popen[str]]]:
    """The port and the process of a module that prints the port and serves until killed."""
    program = [sys.executable, "-m", module, *arguments]
    pipe = subprocess.PIPE
    with subprocess.Popen(program, stdin=pipe, stdout=pipe, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline()), process
        finally:
            process.kill()


def cpu_of(code: str) -> float:
    """Seconds of CPU that a program takes from its start to its end."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    run(code)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def alone(function: Callable[..., Any], *arguments: Any) -> Any:
    """What a function of this package returns in a process of its own; travels as JSON."""
    told = f"f(*json.loads({json.dumps(arguments)!r}))"
    code = f"import json; from {function.__module__} import {function.__name__} as f; "
    return json.loads(run(f"{code}print(json.dumps({told}))"))


def memory_now() -> int:
    """Bytes that Python objects take; from the first call on they are counted."""
    if not tracemalloc.is_tracing():
        tracemalloc.start()
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


def peak_of(function: Callable[[], object]) -> int:
    """Bytes that Python objects take at most while it runs, on top of those before."""
    before = memory_now()
    tracemalloc.reset_peak()
    function()
    return tracemalloc.get_traced_memory()[1] - before


def more_descriptors() -> None:
    """Allow this process as many open sockets as it may allow itself."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
