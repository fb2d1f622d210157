"""``StrictProtocol``: answers as aiohttp reads them, but none that is damaged or unasked for."""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import socket
import sys
from typing import Any

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.http_exceptions import HttpProcessingError

from puter.wire.encoding import ContentError
from puter.wire.http import (
    HEAD,
    HEAD_END,
    INFORMATIONAL,
    USUAL_HEAD,
    cut_head,
    damaged_chunk,
    damaged_head,
    only_announced,
    plain_head,
)
from puter.wire.pieces import PIECE


class StrictProtocol(ResponseHandler):
    """Bounds what comes before an answer, and sees what comes after one or in place of its end."""

    _answered = False
    _announced = 0  # informational answers (1xx) so far
    _head = b""  # as far as it has come

    def begin(self) -> bool:
        """Whether it can have a request: nothing came after the last answer."""
        if self._parser is None:  # it has had none yet
            return True
        self._answered, self._announced = False, 0
        return not (self.should_close or self._parser.feed_eof() or _has_input(self.transport))

    def resume_reading(self, *args: Any, **named: Any) -> None:
        # Each chunk that is taken asks for it: a third of the time of a stream when there is none.
        if self._reading_paused:
            super().resume_reading(*args, **named)

    def data_received(self, data: bytes) -> None:
        if self._answered:
            super().data_received(data)
            return
        if not self._head and (usual := USUAL_HEAD.match(data)):
            end, length = usual.end(), usual[1]
            if length is not None and len(data) <= end + int(length):
                self._answered = True
                super().data_received(data)
            else:
                self._answer(data[:end], data[end:])
            return
        try:
            self._read_heads(self._head + data)
        except ContentError as error:
            self.set_exception(error)
            if self.transport is not None:
                self.transport.abort()

    def _answer(self, head: bytes, rest: bytes) -> None:
        self._head, self._answered = b"", True
        super().data_received(head)
        if rest:  # by itself: what is wrong with it must not take the head with it
            super().data_received(rest)

    def _read_heads(self, data: bytes) -> None:
        data = data.lstrip(b"\r\n")  # what may be left over
        while end := HEAD_END.search(data):
            head, data = plain_head(data[: end.end()]), data[end.end() :]
            if not 100 <= head.status < 200:
                self._answer(head.content, data)
                return
            self._announced += 1
            if self._announced > INFORMATIONAL:
                raise only_announced()
        self._head = data
        if len(data) > HEAD or not data.startswith(b"HTTP/"[: len(data)]):
            raise damaged_head(data)

    def set_exception(self, exc: Any, *cause: Any, **named: Any) -> None:
        if isinstance(self.exception(), ContentError):  # the first reason
            return
        is_damaged = isinstance(exc, HttpProcessingError)
        if is_damaged:  # its own words are those of a server, with a status that nobody sent
            exc = ContentError(" ".join(exc.message.rstrip(" ^\n").split()) or "it is damaged")
        elif self._head and isinstance(exc, _ENDED):
            exc = cut_head(self._head)
        super().set_exception(exc, *cause, **named)
        payload = self._payload
        if is_damaged and payload is not None and not payload.is_eof():
            payload.set_exception(damaged_chunk())  # aiohttp leaves whoever reads it waiting

    def connection_lost(self, exc: BaseException | None) -> None:
        if exc is not None and not self._answered:
            self._read_rest()
        payload = self._payload
        if exc is not None and payload is not None and not payload.is_eof():
            payload.set_exception(aiohttp.ClientOSError(*exc.args))  # it is no end of a body
        super().connection_lost(exc)

    def _read_rest(self) -> None:
        """What came before a write failed, such as why: asyncio reads nothing more."""
        if self.transport is None or self.transport.get_extra_info("sslcontext") is not None:
            return
        with contextlib.suppress(OSError):
            number = os.dup(self.transport.get_extra_info("socket").fileno())
            with socket.socket(fileno=number) as rest:
                while self.transport is not None and (data := rest.recv(PIECE)):
                    self.data_received(data)


_ENDED = (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError)


def _has_input(transport: asyncio.BaseTransport | None) -> bool:
    """Whether bytes, or the end, have come that the event loop has not seen yet."""
    number = transport.get_extra_info("socket").fileno() if transport is not None else -1
    if sys.platform == "win32":
        return bool(select.select([number], [], [], 0)[0])
    poll = select.poll()
    poll.register(number, select.POLLIN)
    return bool(poll.poll(0))
