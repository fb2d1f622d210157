"""A batch in other processes: what is sent to the workers of an executor, and what runs there."""

from __future__ import annotations

import functools
import pickle
import signal
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import Any

from puter.exceptions import (
    PuterAuthError,
    PuterConfigError,
    PuterInputError,
    with_article,
    words_of,
)

_lock = threading.Lock()


def payload(client: Any, function: Callable[..., Any] | None, executor: Any) -> bytes:
    """What each worker gets once: the client, without its token, and the function.

    Raises:
        PuterConfigError: They cannot be sent.
    """
    _check_client(client)
    # Dask, Ray and joblib have it loaded; it sends functions of a notebook or a script as well.
    pickler = sys.modules.get("cloudpickle", pickle)
    if isinstance(executor, ProcessPoolExecutor):
        pickler = pickle
    try:
        sent: bytes = pickler.dumps((client, function))
    except Exception as error:  # noqa: BLE001 - whatever the user's code does
        raise PuterConfigError(
            f"The function cannot be sent to other processes: {words_of(error)}",
            hint="Define it with def at the top of a module that they can import.",
        ) from None
    return sent


def _check_client(client: Any) -> None:
    transports = client._shared.transports
    if (own := transports.get("sync")) is not None and own is transports.get("async"):
        raise PuterConfigError(
            f"The client's transport, {with_article(type(own).__name__)}, stays in this process",
            hint="Leave out executor=, or make the client in function=.",
        )
    installed = client._extensions.installed
    for one, name in zip(installed, (*installed, None)[1:], strict=True):
        if not isinstance(one, str) and not isinstance(name, str):  # no plugin's
            raise PuterConfigError(
                f"The client uses {type(one).__name__}, which stays in this process",
                hint="Workers have extensions by PUTER_PLUGINS in their environment, or by "
                "function=, which may use a client of its own.",
            )


def submit(executor: Any, sent: bytes, arguments: dict[str, Any] | None, item: Any) -> Any:
    """Have ``work`` run there.

    Processes that start for it inherit that Ctrl-C is held back, until ``work`` ignores it: one
    that ends while it starts, or before its first item, breaks the pool as well. (Those of a fork
    server inherit from that, which serves others, too; Windows holds nothing back.)
    """
    context: Any = executor._mp_context if isinstance(executor, ProcessPoolExecutor) else None
    inherits = context is not None and context.get_start_method() != "forkserver"
    if not (inherits and hasattr(signal, "pthread_sigmask")):
        return executor.submit(work, sent, arguments, item)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        return executor.submit(work, sent, arguments, item)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def work(sent: bytes, arguments: dict[str, Any] | None, item: Any) -> Any:
    """Ask one item, in a worker.

    Args:
        sent: What ``payload()`` made.
        arguments: Of the chat; None to call the function.
        item: For the function.
    """
    _ignore_interrupts()
    with _lock:  # one client for all threads
        client, function = _loaded(sent)
    try:
        if arguments is None:
            return call(function, client, item)
        credentials = client._shared.credentials
        if not credentials.token and not credentials.password:
            raise PuterAuthError(
                "A worker of the executor has no token",
                hint="Set PUTER_AUTH_TOKEN in the environment of the workers: a client that is "
                "sent to another process carries none.",
            )
        return client.chat(**arguments)
    except Exception as error:  # noqa: BLE001 - whatever the user's code does
        raise _sendable(error) from None


def call(function: Callable[..., Any], client: Any, item: Any) -> Any:
    """What a function returns.

    Raises:
        PuterInputError: It is a coroutine.
    """
    value = function(client, item)
    if hasattr(value, "__await__"):
        getattr(value, "close", lambda: None)()
        raise PuterInputError(
            "The function of a batch is a coroutine function",
            hint="Use async_batch() without executor=, or call sync methods in it.",
        )
    return value


@functools.lru_cache(maxsize=8)
def _loaded(sent: bytes) -> Any:
    """The client and the function of a batch that this process works for."""
    try:
        return pickle.loads(sent)  # noqa: S301 - the executor's own way
    except Exception as error:  # noqa: BLE001 - whatever the user's code does
        raise PuterConfigError(
            f"A worker of the executor cannot load the batch: {words_of(error)}",
            hint="It needs this package, and the module of the function.",
        ) from None


def _sendable(error: Exception) -> Exception:
    """The error, or what it says where it cannot be sent back."""
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301 - its own
    except Exception:  # noqa: BLE001 - whatever its class does
        return RuntimeError(f"{type(error).__name__}: {words_of(error)}")
    return error


def _ignore_interrupts() -> None:
    """Ctrl-C reaches all processes of a terminal: here a call that is paid comes to its end.

    So it stays, as a worker that ends while it is idle breaks the pool, and the others with it.
    """
    processes = sys.modules.get("multiprocessing.process")
    child = processes is not None and processes.parent_process() is not None
    if child and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        if hasattr(signal, "pthread_sigmask"):
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
