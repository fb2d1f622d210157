"""What a frozen program needs of ``puter.testing``: what LocalPuter plays back."""

from __future__ import annotations

from PyInstaller.utils.hooks import collect_data_files, collect_submodules

datas = collect_data_files("puter.testing")
hiddenimports = collect_submodules(
    "puter.testing",
    filter=lambda name: name != "puter.testing.plugin",  # it is pytest's
)
