from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import requests

from puter.testing import LocalPuter
from tests.local_puter.support import Caller

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def puter() -> Iterator[LocalPuter]:
    with LocalPuter() as server:
        yield server


@pytest.fixture
def session() -> Iterator[requests.Session]:
    with requests.Session() as session:
        session.trust_env = False
        yield session


@pytest.fixture
def older(session: requests.Session) -> Iterator[Caller]:
    """A caller of the server of 2026-08."""
    with LocalPuter(generation="2026-08") as server:
        yield Caller(server, session)


@pytest.fixture
def caller(puter: LocalPuter, session: requests.Session) -> Caller:
    return Caller(puter, session)
