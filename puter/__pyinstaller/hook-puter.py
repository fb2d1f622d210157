"""What a frozen program needs of ``puter``: its models, and the modules loaded on first use."""

from __future__ import annotations

from PyInstaller.utils.hooks import collect_data_files, collect_submodules

_OTHERS = ("puter.testing", "puter.__pyinstaller", "puter.__main__", "puter.cli")

datas = collect_data_files("puter", excludes=["testing"])
hiddenimports = collect_submodules(
    "puter",
    filter=lambda name: not name.startswith(_OTHERS),
    on_error="ignore",  # the plugin for llm cannot be imported without llm
)
