"""The table of docs/how-to/local-endpoint.md is what the clients make of the endpoint today."""

from __future__ import annotations

from tests.serve.features import CLIENTS, FEATURES, PAGE, Matrix, table_in


def test_all_clients_and_the_table() -> None:
    matrix = Matrix()
    try:
        found, wrong = matrix.outcomes()
    finally:
        matrix.close()
    assert wrong == []
    assert list(found) == list(FEATURES)
    assert all(set(cells) == set(CLIENTS) for cells in found.values())
    assert table_in(PAGE.read_text("utf-8")) == found, "python -m tests.serve.features --write"
