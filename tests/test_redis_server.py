"""The redis-server of the tests is a real one, empty for each of them."""

from __future__ import annotations

import pytest
import redis

from tests.redis_server import running_redis


@pytest.mark.parametrize("turn", [1, 2])
def test_each_test_finds_it_empty(redis_server: str, turn: int) -> None:
    with redis.Redis.from_url(redis_server) as client:
        assert client.dbsize() == 0
        assert client.set("key", turn)


def test_a_server_of_its_own_ends_with_the_block() -> None:
    with running_redis() as url, redis.Redis.from_url(url) as client:
        assert client.ping()
    with redis.Redis.from_url(url) as client, pytest.raises(redis.ConnectionError):
        client.ping()
