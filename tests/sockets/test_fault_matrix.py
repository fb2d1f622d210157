"""Every kind of fault x every operation, through both doors; see tests/fault_matrix.py."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from tests import fault_matrix as matrix


@pytest.fixture(scope="module", autouse=True)
def servers() -> Iterator[None]:
    yield
    matrix.stop_servers()


@pytest.fixture(scope="module")
def page() -> str:
    return matrix.PAGE.read_text("utf-8")


@pytest.mark.parametrize("name", matrix.ROWS)
@pytest.mark.parametrize("door", matrix.DOORS)
def test_every_operation_ends_well(name: str, door: str, page: str) -> None:
    found = matrix.cells(name, door)
    assert not {one: told for one, told in found.items() if told.startswith("wrong")}
    written = matrix.table_in(page)[name]
    for operation, outcome in found.items():
        told = written[operation].split(" / ")
        assert matrix.short([outcome]) == told[-1 if door == "async" else 0]


def test_the_page_lists_every_kind(page: str) -> None:
    assert matrix.parts_of(page)[1].strip().splitlines() == matrix.kinds_table()
    assert list(matrix.table_in(page)) == list(matrix.ROWS)


def test_the_matrix_is_large() -> None:
    pairs = itertools.product(matrix.ROWS.values(), matrix.OPERATIONS.values())
    assert len(matrix.ROWS) >= 60
    assert sum(matrix.fits(*pair) for pair in pairs) * len(matrix.DOORS) >= 1500
