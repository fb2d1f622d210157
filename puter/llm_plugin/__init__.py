"""The plugin for the ``llm`` command: Puter's models as ``puter/<id>``. Needs ``llm``."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.util import find_spec

try:
    from llm import hookimpl
except ImportError as _error:
    raise ImportError(
        "puter.llm_plugin needs llm: pip install llm (the extra puter-python-sdk[llm])"
    ) from _error


@hookimpl
def register_models(register: Callable[..., None]) -> None:
    """Add the models of the offline registry; nothing is sent for that."""
    if find_spec("llm.parts") is None:  # the command goes on without them
        sys.stderr.write("Models of Puter need llm 0.32 or later: llm install -U llm\n")
        return
    from puter.llm_plugin.models import known_models

    for model, twin in known_models():
        register(model, twin)
