"""The examples in docstrings run, but for those marked as needing an account."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import puter

MODULES = [
    found.name
    for found in pkgutil.walk_packages(puter.__path__, "puter.")
    if not found.name.endswith("__main__")
]
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


@pytest.mark.parametrize("name", MODULES)
def test_docstrings(name: str) -> None:
    failed, _ = doctest.testmod(importlib.import_module(name), optionflags=FLAGS)
    assert failed == 0


def test_there_are_examples() -> None:
    finder = doctest.DocTestFinder()
    found = sum(bool(one.examples) for one in finder.find(importlib.import_module("puter.schema")))
    assert found
