"""``McpTools``: the tools of a Model Context Protocol server, for ``tools=`` of a chat."""

from __future__ import annotations

import concurrent.futures
import os
import re
import sys
import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import AsyncExitStack, contextmanager
from typing import TYPE_CHECKING, Any, TextIO, overload
from urllib.parse import urlsplit

from puter import checks
from puter.exceptions import PuterError, PuterInputError, repr_of, words_of
from puter.mcp.connection import Connection, Ended
from puter.mcp.results import text_of, value_of
from puter.process import library
from puter.threads import in_thread
from puter.tools import Tool
from puter.wire.redact import Redactor

if TYPE_CHECKING:
    from typing_extensions import Self

_UNUSABLE = re.compile(r"[^A-Za-z0-9_-]")
_LONGEST_NAME = 64


class McpError(PuterError):
    """A server of the Model Context Protocol failed, or says that its tool did.

    The model reads it as the result of the tool, unless ``raise_tool_errors`` names it.
    """


class McpTools(Sequence[Tool]):
    """The tools of a server of the Model Context Protocol (MCP), while it is open.

    Opened by ``with`` it has synchronous tools, which ``chat`` and ``async_chat`` run; opened by
    ``async with``, asynchronous ones for ``async_chat``: cancelling the chat cancels the call. Each
    call of a tool is sent once, whatever becomes of it. Threads and tasks may share it.

    Args:
        command: The program to run as server, with its arguments: it is spoken to on stdin and
            stdout, keeps this program's stderr, and ends when this is closed.
        url: The address of a server to be spoken to by streamable HTTP, in place of ``command``.
        headers: HTTP headers to send to ``url``, such as ``Authorization``.
        env: Environment variables of ``command``. Beside them it gets ``PATH``, ``HOME`` and the
            like alone: no token of the environment is passed on unasked.
        cwd: The folder in which ``command`` runs. Default: the current one.
        prefix: Put before the names of all tools, for servers with tools of the same name.
        timeout: Seconds that starting may take, and each call. Default 60.

    Raises:
        PuterInputError: Neither or both of ``command`` and ``url`` are given, or one is not usable.

    Examples:
        >>> McpTools(command=["uvx", "mcp-server-time"])  # `with` starts it
        <McpTools uvx (closed)>
    """

    def __init__(
        self,
        *,
        command: Sequence[str | os.PathLike[str]] | None = None,
        url: str | None = None,
        headers: Mapping[str, str] | None = None,
        env: Mapping[str, str] | None = None,
        cwd: str | os.PathLike[str] | None = None,
        prefix: str = "",
        timeout: float = 60.0,
    ) -> None:
        if (command is None) == (url is None):
            raise PuterInputError(
                "McpTools wants a command or a url",
                hint="McpTools(command=['python', 'server.py']), or McpTools(url='https://...').",
            )
        checks.SECONDS.kind(whole=False)("timeout", timeout)
        if command is not None and (
            isinstance(command, (str, bytes))
            or not isinstance(command, Sequence)
            or not command
            or not all(isinstance(word, (str, os.PathLike)) for word in command)
        ):
            raise PuterInputError(
                "command must be a list of words",  # untold: its words may be secret
                hint="McpTools(command=['python', 'server.py']); shlex.split() makes one.",
            )
        if url is not None and not _is_http_url(url):
            raise PuterInputError("url must begin with https:// or http:// and a host")
        for name, pairs in (("headers", headers), ("env", env)):
            if pairs is not None and not (
                isinstance(pairs, Mapping)
                and all(isinstance(one, str) for pair in pairs.items() for one in pair)
            ):
                raise PuterInputError(f"{name} must be a dict with str keys and str values")
        if not isinstance(cwd, (str, os.PathLike, type(None))):
            raise PuterInputError(f"cwd must be a path, not {repr_of(cwd)}")
        if command is not None and headers:
            raise PuterInputError("headers go with url; a command has env")
        if url is not None and (env or cwd is not None):
            raise PuterInputError("env and cwd go with command; a url has headers")
        if not isinstance(prefix, str) or _UNUSABLE.search(prefix):
            raise PuterInputError(
                f"{repr_of(prefix)} cannot begin the name of a tool",
                hint="Use letters, digits, _ and -.",
            )
        self._command = [os.fspath(word) for word in command or ()]
        self._url = url
        self._headers, self._env, self._cwd = dict(headers or {}), dict(env or {}), cwd
        self.prefix: str = prefix
        """What the names of its tools begin with."""
        self.timeout: float = timeout
        """Seconds that starting may take, and each call."""
        self._lock = threading.Lock()
        self._open: Connection | None = None
        self._tools: list[Tool] = []

    @property
    def tools(self) -> list[Tool]:
        """The tools of the server, as it listed them when it was opened.

        Raises:
            PuterInputError: It is not open.
        """
        return list(self._listed())

    def _listed(self) -> list[Tool]:
        if self._open is None:
            raise PuterInputError(
                f"{self._label} is not open", hint="Use it inside `with` or `async with`."
            )
        return self._tools

    @overload
    def __getitem__(self, index: int) -> Tool: ...
    @overload
    def __getitem__(self, index: slice) -> list[Tool]: ...
    def __getitem__(self, index: int | slice) -> Tool | list[Tool]:
        """By place; so ``[*mcp, my_function]`` and ``mcp[:3]`` are lists of tools."""
        return self._listed()[index]

    def __len__(self) -> int:
        return len(self._listed())

    def __enter__(self) -> Self:
        """Start the server, and list its tools.

        Raises:
            McpError: It cannot be started, or is silent for ``timeout`` seconds.
            PuterConfigError: The library mcp is missing.
        """
        self._begin(self._connection(), False)
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        """As ``with``, without blocking the event loop."""
        connection = await in_thread(self._connection)
        try:
            await in_thread(self._begin, connection, True)
        except BaseException:
            connection.end(wait=False)
            self._forget(connection)
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await in_thread(self.close)

    def close(self) -> None:
        """End the server, and what is being called; does nothing where it is not open."""
        with self._lock:
            connection, self._open = self._open, None
        if connection is not None:
            connection.end()

    def _forget(self, connection: Connection) -> None:
        with self._lock:
            if self._open is connection:
                self._open = None

    def __repr__(self) -> str:
        state = "closed" if self._open is None else f"{len(self._tools)} tools"
        return f"<{self._label} ({state})>"

    @property
    def _label(self) -> str:
        """Which it is, without what may be secret: arguments, user names, paths, queries."""
        if self._url is None:
            return f"McpTools {os.path.basename(self._command[0])}"
        parts = urlsplit(self._url)
        port = f":{parts.port}" if parts.port else ""
        return f"McpTools {parts.scheme}://{parts.hostname}{port}"

    def _error(self, what: str, error: BaseException | None = None, hint: str = "") -> McpError:
        """The error, with what is secret taken out."""
        while (inner := getattr(error, "exceptions", None)) is not None:  # of a group of tasks
            error = inner[0]
        words = f": {words_of(error)}" if error is not None else ""
        return McpError(f"{self._label} {what}{self._redacted(words)}", hint=hint)

    def _redacted(self, words: str) -> str:
        whole = [*self._headers.values(), *self._env.values(), *self._command[1:]]
        bare = [value.rpartition(" ")[2] for value in whole]  # without a scheme such as Bearer
        if self._url is not None:
            words = words.replace(self._url, self._label)
            parts = urlsplit(self._url)
            whole += [parts.path, parts.query, parts.password or ""]
        return str(Redactor([*whole, *bare])(words))

    def _connection(self) -> Connection:
        with library("'mcp>=2'", "mcp", "McpTools"):
            from mcp import StdioServerParameters, stdio_client
            from mcp.client.streamable_http import streamable_http_client

            from puter.mcp.http import http_client

        async def transport(stack: AsyncExitStack) -> Any:
            if self._url is None:
                program, *arguments = self._command
                parameters = StdioServerParameters(
                    command=program,
                    args=arguments,
                    env=self._env,
                    cwd=None if self._cwd is None else os.fspath(self._cwd),
                    encoding_error_handler="replace",  # a byte that is none would end all reading
                )
                return stdio_client(parameters, stack.enter_context(_stderr()))
            http = http_client(self._headers, max(self.timeout, 300.0))
            await stack.enter_async_context(http)
            return streamable_http_client(self._url, http_client=http)

        return Connection(self._label, transport, self._redacted, self.timeout)

    def _begin(self, connection: Connection, asynchronous: bool) -> None:
        with self._lock:
            if self._open is not None:
                raise PuterInputError(f"{self._label} is open already")
            self._open = connection
        try:
            names: set[str] = set()
            listed = connection.start()
            self._tools = [self._tool(connection, tool, names, asynchronous) for tool in listed]
        except BaseException as error:
            connection.end(wait=False)
            self._forget(connection)
            if isinstance(error, concurrent.futures.TimeoutError):
                what = f"did not answer within {self.timeout:g} s"
                raise self._error(what) from None
            if isinstance(error, (Exception, concurrent.futures.CancelledError)):
                told = self._url is not None or isinstance(error, OSError)
                hint = "" if told else "What the program wrote to stderr may tell why."
                raise self._error("cannot be opened", error, hint) from None
            raise

    def _tool(
        self, connection: Connection, listed: Any, names: set[str], asynchronous: bool
    ) -> Tool:
        name = whole = _UNUSABLE.sub("_", self.prefix + listed.name)[:_LONGEST_NAME]
        number = 1
        while name in names:
            number += 1
            name = f"{whole[: _LONGEST_NAME - len(str(number)) - 1]}_{number}"
        names.add(name)

        async def ask(arguments: dict[str, Any]) -> Any:
            import anyio

            try:
                with anyio.fail_after(self.timeout):
                    result = await connection.client.call_tool(listed.name, arguments)
            except TimeoutError:
                what = f"{listed.name} did not answer within {self.timeout:g} s"
                raise self._error(what) from None
            except Exception as error:  # noqa: BLE001 - the server's, or of the way to it
                raise self._error(f"{listed.name} failed", error) from None
            if result.is_error:
                raise McpError(self._redacted(text_of(result.content)) or f"{listed.name} failed")
            try:
                return value_of(result)
            except ValueError as error:
                raise self._error(f"{listed.name} returned what cannot be read", error) from None

        def call(**arguments: Any) -> Any:
            try:
                return connection.call(ask(arguments))
            except Ended:
                raise self._error("is closed") from None

        async def async_call(**arguments: Any) -> Any:
            try:
                return await connection.async_call(ask(arguments))
            except Ended:
                raise self._error("is closed") from None

        function: Callable[..., Any] = async_call if asynchronous else call
        description = listed.description or listed.title or ""
        return Tool(function, name=name, description=description, parameters=listed.input_schema)


def _is_http_url(value: object) -> bool:
    if not isinstance(value, str):
        return False
    try:
        parts = urlsplit(value)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # of brackets, or of a port
        return False


@contextmanager
def _stderr() -> Generator[TextIO]:
    """Where a server may complain: this program's own stderr, where it is a file."""
    stderr = sys.__stderr__
    try:
        fileno = -1 if stderr is None else stderr.fileno()
    except (OSError, ValueError):
        fileno = -1
    if stderr is not None and fileno >= 0:
        yield stderr
    else:
        with open(os.devnull, "w") as nowhere:
            yield nowhere
