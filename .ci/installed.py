"""What an installed wheel has to hold: python .ci/installed.py PYRIGHT LIBRARIES.

Every module is imported that needs no more than the three libraries; and pyright, which is shown
a folder with those of the extras, too, finds the type of every public name. It does not see the
methods of ``PuterAI``, which tests/test_editors.py tries, and ``puter.cli`` is not for import.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import os
import pkgutil
import subprocess
import sys
import tempfile

import puter

EXTRAS = ("cli", "langchain", "llm_plugin", "mcp.http", "pydantic_ai", "testing.plugin")

assert puter.__file__.startswith(sys.prefix), puter.__file__
assert puter.__version__ == importlib.metadata.version("puter-python-sdk")

for module in pkgutil.walk_packages(puter.__path__, "puter."):
    run_by_others = module.name.endswith("__main__") or ".hook-" in module.name
    if not run_by_others and not module.name.startswith(tuple(f"puter.{name}" for name in EXTRAS)):
        importlib.import_module(module.name)

pyright, libraries = sys.argv[1:]
with tempfile.TemporaryDirectory() as elsewhere:  # where no puter/ lies about
    told = subprocess.run(
        [pyright, "--verifytypes", "puter", "--ignoreexternal", "--outputjson"],
        check=False,  # it does not know PuterAI
        cwd=elsewhere,
        env={**os.environ, "PYTHONPATH": libraries},
        stdout=subprocess.PIPE,
    ).stdout
symbols = json.loads(told)["typeCompleteness"]["symbols"]
assert len(symbols) > 1000, len(symbols)
unknown = [
    (one["name"], cause["message"])
    for one in symbols
    if one["isExported"] and not one["isTypeKnown"]
    if not one["name"].startswith(("puter.PuterAI", "puter.ai.PuterAI", "puter.cli."))
    for cause in one["diagnostics"]  # what only contains another unknown one has none
    if '"PuterAI' not in cause["message"]
]
assert not unknown, f"no known type: {unknown}"
