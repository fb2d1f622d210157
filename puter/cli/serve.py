"""``puter-ai serve``: an endpoint on this machine for OpenAI's and Anthropic's clients."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import Awaitable, Callable

import click
from aiohttp import web
from click.core import ParameterSource

from puter.checks import is_loopback
from puter.cli.session import Session, pass_session
from puter.serve.app import KEY, KEYS, LOOPBACK, create_app
from puter.serve.unauthenticated import UNAUTHENTICATED

PATIENCE = 8.0
"""Seconds that calls under way have to end, once the server shall."""

SOURCES: dict[ParameterSource | None, str] = {
    ParameterSource.COMMANDLINE: "the key of --key",
    ParameterSource.ENVIRONMENT: "the key of PUTER_SERVE_KEY",
}


def _key(_context: click.Context, _option: click.Parameter, key: str | None) -> str | None:
    if key is not None and not KEYS.fullmatch(key):
        raise click.BadParameter("It takes 1 to 1,000 visible ASCII characters.")
    return key


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=0,
    show_default=True,
    help="Port to listen on; 0 takes any free one.",
)
@click.option(
    "--key",
    envvar="PUTER_SERVE_KEY",
    callback=_key,
    help="What callers have to show; also PUTER_SERVE_KEY. Default: a new one each time.",
)
@pass_session
def serve(session: Session, host: str, port: int, key: str | None) -> int:
    """Let programs made for OpenAI or Anthropic use Puter."""
    is_here = is_loopback(host.lower())
    source = click.get_current_context().get_parameter_source("key")
    if key is None and not is_here:
        raise click.UsageError(f"Others can reach {host}: choose what they have to show, --key.")
    with session.client() as ai:
        ai.whoami()  # or nobody can be served
        app = create_app(ai, key=key, hosts=(*LOOPBACK, host) if is_here else None)

        def announce(bound: int) -> None:
            address = f"http://{f'[{host}]' if ':' in host else host}:{bound}"
            # A chosen key is good for long, and this line may go to a journal.
            click.echo(f"{address}/v1" if key else f"{address}/v1 key={app[KEY]}")
            session.tell(
                f"Give OpenAI's clients {address}/v1 as base URL, Anthropic's {address}, and both "
                f"{SOURCES.get(source, 'the key')} as API key. Ctrl-C ends this server."
            )
            if not is_here:
                session.tell(
                    "Whoever knows the key spends this account's money, and whoever sees the "
                    "network can read it: nothing is encrypted here.",
                    style="bold yellow",
                )

        return asyncio.run(_serve(app, host, port, announce))


async def _serve(
    app: web.Application, host: str, port: int, announce: Callable[[int], None]
) -> int:
    """Serve until a signal comes; returns the exit code."""
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)  # what is no HTTP, at length
    runner = web.AppRunner(
        app,
        handler_cancellation=True,
        access_log=None,
        shutdown_timeout=PATIENCE / 2,  # it waits for them, cancels them, and waits again
    )
    await runner.setup()
    try:
        listener = await _listening(app[UNAUTHENTICATED].listen(runner, host, port), port)
        try:
            announce(listener.sockets[0].getsockname()[1])
            return await _signalled()
        finally:
            listener.close()
    finally:
        await runner.cleanup()


async def _listening(begun: Awaitable[asyncio.Server], port: int) -> asyncio.Server:
    try:
        return await begun
    except OSError as error:  # which tells it at length, and not what to do
        told = f"Cannot listen on port {port}: {os.strerror(error.errno or 0)}"
        raise click.ClickException(f"{told}. Choose another: --port.") from error


async def _signalled() -> int:
    """Wait for Ctrl-C (130) or SIGTERM (0). A second one is not caught."""
    loop = asyncio.get_running_loop()
    came: asyncio.Future[int] = loop.create_future()
    codes = {signal.SIGINT: 130, signal.SIGTERM: 0}
    with contextlib.suppress(NotImplementedError):  # Windows: Ctrl-C cancels this
        for number, code in codes.items():
            loop.add_signal_handler(number, came.set_result, code)
    try:
        return await came
    finally:
        with contextlib.suppress(NotImplementedError):  # likewise
            for number in codes:
                loop.remove_signal_handler(number)
