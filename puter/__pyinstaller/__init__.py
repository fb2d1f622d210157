"""Hooks for PyInstaller, which cannot see data files and modules that are loaded on first use."""

from __future__ import annotations

import os


def get_hook_dirs() -> list[str]:
    """Where PyInstaller finds them; it calls this through the entry point ``pyinstaller40``."""
    return [os.path.dirname(__file__)]
