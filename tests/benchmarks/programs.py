"""Rows of whole programs: CPU from the start of an interpreter to its end."""

from __future__ import annotations

from tests.benchmarks.contenders import HAS_OPENAI, HEADERS, WHOLE
from tests.benchmarks.processes import cpu_of
from tests.benchmarks.rows import Bench, Round, row
from tests.benchmarks.stub import MANY

RIVAL = {"openai": "import openai"} if HAS_OPENAI else {}


def _programs(bench: Bench, programs: dict[str, str]) -> list[Round]:
    if not bench.short:
        for code in programs.values():  # compiled, and in the memory of the system
            cpu_of(code)
    return [
        {name: cpu_of(code) for name, code in programs.items()}
        for _ in range(1 if bench.short else bench.rounds)
    ]


@row("import", "import puter", over="a bare interpreter", goal=1.3, unit="ms")
def import_puter(bench: Bench) -> list[Round]:
    return _programs(bench, {"bare": "pass", "puter": "import puter"})


@row(
    "client",
    "from puter import PuterAI; PuterAI()",
    over="import requests (both less the bare interpreter)",
    goal=0.25,
    unit="ms",
)
def first_client(bench: Bench) -> list[Round]:
    programs = {
        "requests": "import requests",
        "puter": "from puter import PuterAI; PuterAI(token='t')",
        "aiohttp": "import aiohttp",
        **RIVAL,
    }
    rounds = _programs(bench, {"bare": "pass", **programs})
    return [{name: one[name] - one["bare"] for name in programs} for one in rounds]


@row(
    "cold", "a cold program to its first reply", over="the same with requests", goal=1.05, unit="ms"
)
def cold(bench: Bench) -> list[Round]:
    base = f"{bench.stub}/{MANY}"
    asked = f"json={WHOLE!r}, headers={HEADERS!r}"
    programs = {
        "requests": f"""
import requests
print(requests.post('{base}/drivers/call', {asked}).json()['result'])""",
        "puter": f"""
from puter import PuterAI
print(PuterAI(token='t', api_base='{base}', login_url='{base}/login').chat('hello'))""",
    }
    if HAS_OPENAI:
        programs["openai"] = f"""
from openai import OpenAI
ai = OpenAI(api_key='k', base_url='{base}/v1')
print(ai.chat.completions.create(model='m', messages=[{{'role': 'user', 'content': 'hello'}}]))"""
    return _programs(bench, programs)
