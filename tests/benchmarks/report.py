"""The table as text."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from tests.benchmarks.rows import Result, Row

UNITS = {"us": 1e-6, "ms": 1e-3, "MiB": 2**20}
LIBRARIES = ("puter-python-sdk", "requests", "urllib3", "aiohttp", "openai")
_CPU = Path("/proc/cpuinfo")


def ratio(value: float, row: Row) -> str:
    return f"{value * 100:.3g} %" if row.unit == "%" else f"{value:.2f}x"


def figure(value: float, unit: str) -> str:
    unit = "ms" if unit == "%" else unit
    shown = value / UNITS[unit]
    digits = 0 if shown >= 100 else 1 if shown >= 10 else 2
    return f"{shown:.{digits}f} {unit}"


def goal(row: Row) -> str:
    return f"{'>=' if row.at_least else '<='} {ratio(row.goal, row)}"


def figures(result: Result) -> str:
    """Everybody's median and its ratio over the first."""
    ratios = result.ratios
    first, *others = (
        f"{who} {figure(value, result.row.unit)}" for who, value in result.figures.items()
    )
    _, *over = (ratio(value, result.row) for value in ratios.values())
    return "; ".join([first, *(f"{one} ({x})" for one, x in zip(others, over, strict=True))])


def line(result: Result) -> str:
    """A line of the table."""
    row = result.row
    mark = "met " if result.met else "MISS"
    return (
        f"{row.title:42} {goal(row):>10} {ratio(result.reached, row):>8} {mark} {figures(result)}"
    )


def rounds(number: int) -> str:
    return f"{number} round{'s' if number > 1 else ''}"


def failure(error: Exception) -> str:
    """What went wrong, in one line."""
    return " ".join(f"{type(error).__name__}: {error}".split())


def machine() -> str:
    """Python, the libraries and the processor."""
    cpu = _CPU.read_text(encoding="utf-8") if _CPU.exists() else ""
    models = [one.partition(":")[2].strip() for one in cpu.splitlines() if "model name" in one]
    model = models[0] if models else platform.processor() or platform.machine()
    python = f"{platform.python_implementation()} {platform.python_version()}"
    libraries = ", ".join(map(_version, LIBRARIES))
    return f"{python}, {libraries}; {os.cpu_count()} cores, {model}, {platform.system()}"


def _version(name: str) -> str:
    try:
        return f"{name} {version(name)}"
    except PackageNotFoundError:
        return f"{name} not installed"
