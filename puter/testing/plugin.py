"""The pytest plugin: fixtures for tests of programs that use Puter.

pytest loads this module wherever the SDK is installed, so it imports nothing but pytest; a fixture
imports what it needs when a test asks for it.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from puter.ai import PuterAI
    from puter.testing.server import LocalPuter
    from puter.transports.mock import MockRequest


@pytest.fixture
def local_puter() -> Iterator[LocalPuter]:
    """A running `LocalPuter` without limits, stopped at the end of the test."""
    from puter.testing import LocalPuter

    with LocalPuter(tier=None) as server:
        yield server


@pytest.fixture
def puter_client(local_puter: LocalPuter) -> Iterator[PuterAI]:
    """A `PuterAI` signed in to the test's `local_puter`, closed at the end of the test."""
    with local_puter.client() as client:
        yield client


class MockPuter:
    """Answers calls in memory, without sockets; what the fixture `mock_puter` returns."""

    def __init__(self) -> None:
        self.replies: list[Any] = []
        """Answers to the next requests, each taken once; the last one is repeated. A ``str``, a
        dict (the result), an exception to raise, or whatever else a handler of `MockTransport` may
        return. ``"Hello!"`` when empty."""
        self.requests: list[MockRequest] = []
        """All requests so far, in order."""
        self._clients = ExitStack()

    def client(self, **settings: Any) -> PuterAI:
        """A `PuterAI` with ``settings`` whose calls are answered from `replies`."""
        from puter import PuterAI
        from puter.testing import MockTransport

        settings = {"token": "mock", "transport": MockTransport(self._answer), **settings}
        return self._clients.enter_context(PuterAI(**settings))

    def close(self) -> None:
        """Close all clients."""
        self._clients.close()

    def _answer(self, request: MockRequest) -> Any:
        self.requests.append(request)
        if not self.replies:
            return "Hello!"
        answer = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        kind = type(answer)
        if (kind.__module__, kind.__name__) == ("puter.testing.replies", "Reply"):
            from puter.exceptions import PuterError

            raise PuterError(
                "Reply is for LocalPuter",
                hint="Give a str, a dict (the result), an exception or a MockReply.",
            )
        return answer


@pytest.fixture
def mock_puter() -> Iterator[MockPuter]:
    """A `MockPuter`: append to its ``replies``, read its ``requests``, call its ``client()``."""
    mock = MockPuter()
    yield mock
    mock.close()
