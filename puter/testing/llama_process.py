"""llama.cpp's own server in a process of its own.

Loading a model holds Python's lock for seconds, and a fault in it would end the whole program.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
from typing import Any


def serve() -> None:
    """Load the model that the first line of stdin tells, say where it answers, until stdin ends.

    That is when the process that began this one is gone, however it ended.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the program that began this one
    settings = json.loads(sys.stdin.readline())
    llama: Any = importlib.import_module("xllamacpp")
    params = llama.CommonParams()
    params.model.path = settings["path"]
    params.hostnames, params.port, params.api_keys = ["127.0.0.1"], 0, [settings["key"]]
    params.n_ctx, params.n_parallel, params.n_predict = settings["context"], 1, settings["longest"]
    params.cpuparams.n_threads = settings["threads"]
    params.verbosity, params.ui = 1, False  # errors alone
    server = llama.Server(params)
    print(server.listening_address, flush=True)  # noqa: T201
    sys.stdin.read()
    os._exit(0)
