"""Every kind of fault x every operation x both doors: what a call becomes, and what never happens.

``outcome_of(fault, operation, door)`` carries out one cell and asserts what holds in all of them;
what it returns is judged by ``expected()`` and written into docs/reference/faults.md by
``python -m tests.fault_matrix --write``.
"""

from __future__ import annotations

import argparse
import asyncio
import inspect
import sys
import time
import traceback
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import puter
from puter import PuterAI
from puter.testing import LocalPuter, faults, samples
from puter.testing.faults import Fault

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "faults.md"
DOORS = ("sync", "async")
LIMIT = 1 << 20
PASSWORD = "correct horse hush"
FILE = "~/notes.txt"

Answers = Callable[["Cell"], Awaitable[Any]]


@dataclass
class Cell:
    """One client in one door, and what its tools did."""

    door: str
    ai: PuterAI
    ran: int = 0

    async def call(self, method: str, *args: Any, **options: Any) -> Any:
        return await _through(self.door, self.ai, method, *args, **options)

    def weather(self, city: str) -> str:
        """Tell the weather of a city."""
        self.ran += 1
        return f"Rain in {city}"


async def _through(door: str, thing: Any, method: str, *args: Any, **options: Any) -> Any:
    if door == "sync":
        return getattr(thing, method)(*args, **options)
    found = getattr(thing, f"async_{method}")(*args, **options)
    return await found if inspect.isawaitable(found) else found


async def _stream(cell: Cell) -> str:
    stream = await cell.call("chat", "Hello!", stream=True)
    done = stream.until_done()
    return str(await done if inspect.isawaitable(done) else done)


async def _download(cell: Cell) -> bytes:
    picture = await cell.call("txt2img", "a cat", provider="xai")
    return bytes(await _through(cell.door, picture, "read"))


@dataclass(frozen=True)
class Operation:
    """A call to make, and the request of it that meets the fault."""

    name: str
    sort: str
    """``free`` may be sent again; ``paid`` may not; also ``bytes``, ``stream``, ``login``."""
    request: str
    run: Answers
    after: int = 0
    billed: int = 1


def _simple(
    name: str, sort: str, *args: Any, request: str | None = None, **options: Any
) -> Operation:
    async def run(cell: Cell) -> Any:
        # a clip has a timeout of its own, unless the call says otherwise
        patience = {"timeout": cell.ai.config.timeout} if name == "txt2vid" else {}
        return _plain(await cell.call(name, *args, **options, **patience))

    return Operation(name, sort, request or name, run, billed=int(sort in ("paid", "sound")))


def _plain(value: Any) -> Any:
    """What can be compared of an answer."""
    if getattr(value, "url", None):  # another one each time
        return type(value)
    if hasattr(value, "bytes"):
        return value.bytes
    if isinstance(value, list):
        return len(value)
    return getattr(value, "username", None) or getattr(value, "path", value)


async def _tools(cell: Cell) -> Any:
    return await cell.call("chat", 'What is the weather in "Paris"?', tools=[cell.weather])


OPERATIONS = {
    operation.name: operation
    for operation in (
        _simple("whoami", "free"),
        _simple("list_models", "free"),
        _simple("login", "login"),
        _simple("chat", "paid", "Hello!"),
        Operation("chat, streamed", "stream", "chat", _stream),
        Operation("chat, second round of tools", "paid", "chat", _tools, after=1, billed=2),
        _simple(
            "parse",
            "paid",
            'The number is 7 and the name is "Ann".',
            dict[str, int],
            request="chat",
        ),
        _simple("txt2img", "paid", "a cat"),
        _simple("img2txt", "paid", samples.PNG, provider="mistral"),
        _simple("txt2speech", "sound", "Hello!"),
        _simple("speech2txt", "paid", samples.WAV),
        _simple("txt2vid", "paid", "a cat"),
        _simple("upload", "write", b"Bread, milk", "~/list.txt", overwrite=True),
        _simple("read_file", "bytes", FILE),
        Operation("read a picture by its URL", "bytes", "download", _download),
    )
}
"""By what the user calls."""

ROWS: dict[str, Fault] = {
    **faults.KINDS,
    "huge_body": faults.huge_body(4 * LIMIT),
    "gzip_bomb": faults.gzip_bomb(16 * LIMIT),
    "stream_long_line": faults.stream_long_line(4 * LIMIT),
    "continue_flood": faults.continue_flood(0.02),
    "second_answer(pause=0.05)": faults.second_answer(pause=0.05),
}
"""Every kind, those that are large or fast a little less so."""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


SILENT = _words("silence late_silence hints_then_silence stall stream_silence stream_never_ends")
FLOODS = _words("continue_flood newlines_after_usage")
HARMLESS = _words(
    "slow_answer drip early_hints stale_keepalive second_answer second_answer(pause=0.05) "
    "stream_without_usage "
    "stream_never_ends newlines_after_usage"
)
PERHAPS_HARMLESS = _words(
    "wrong_content_type odd_numbers bad_content_length negative_content_length"
)
"""What is still understood may be taken; what is not, not."""
REFUSALS = {
    "status": "PuterServerError",
    "unavailable": "PuterServerError",
    "bad_gateway": "PuterServerError",
    "gateway_timeout": "PuterServerError",
    "rate_limited": "PuterRateLimitError",
    "token_expired": "PuterAuthError PuterPermissionError",
    "insufficient_funds": "PuterInsufficientFundsError PuterBadRequestError",
    "too_large": "PuterBadRequestError",
    "proxy_refuses": "PuterResponseError PuterBadRequestError",
    "echo_of_token": "PuterBadRequestError PuterAuthError",
    "redirect": "PuterResponseError PuterNotFoundError",
    "empty_answer": "PuterEmptyResponseError",
    "filler": "PuterBlockedError",
}
REPEATED = _words("status unavailable bad_gateway gateway_timeout")
LOST = _words(
    "closed reset lost_answer cut_body reset_body cut_chunked cut_headers reset_without_length"
)
AS_IT_IS = _words(
    "html_page empty_body no_content not_json null_json wrong_shape deep_json odd_numbers bad_utf8"
)
"""A file may hold anything."""


def expected(name: str, operation: Operation) -> set[str]:
    """The outcomes that are right: ``answered``, or names of errors, each with its subclasses."""
    free = operation.sort in ("free", "bytes")
    if name in HARMLESS:
        return {"answered"}
    if name in REFUSALS:
        right = set(REFUSALS[name].split())
        if name == "rate_limited" and operation.sort != "login":
            return {"answered again"}
        return {"answered again"} if free and name in REPEATED else right
    if name in SILENT | FLOODS:
        right = {"PuterTimeoutError", "PuterStreamError"}
        if name == "continue_flood":  # so many of them are no answer of HTTP
            right |= {"PuterResponseError"}
    elif name in LOST:
        right = {"PuterConnectionError", "PuterStreamError", "PuterResponseError"}
        if name not in ("cut_headers", "reset_without_length"):  # half an answer may be told as one
            right -= {"PuterResponseError"}
    else:
        right = {"PuterResponseError", "PuterStreamError"}
    if operation.sort != "stream":
        right -= {"PuterStreamError"}
    if free:
        right |= {"answered again"}
    if name in PERHAPS_HARMLESS:
        right |= {"answered"}
    if name in AS_IT_IS and operation.name == "read_file":
        right |= {"answered otherwise"}
    return right


def is_right(outcome: str, right: set[str]) -> bool:
    if outcome in right:
        return True
    found = getattr(puter, outcome, None)
    return found is not None and any(
        issubclass(found, getattr(puter, one)) for one in right if hasattr(puter, one)
    )


def fits(fault: Fault, operation: Operation) -> bool:
    return fault.scope == "any" or (
        operation.request == "chat" and (fault.scope == "chat" or operation.sort == "stream")
    )


SERVERS: dict[str, LocalPuter] = {}


def server(operation: str) -> LocalPuter:
    """A server for one operation, so that the operations of a row can run side by side."""
    if operation not in SERVERS:
        local = LocalPuter(tier=None, allowance=1e6, password=PASSWORD, keep_alive=60)
        local.files[FILE] = b"Bread, milk, and a line that is long enough to be cut in two"
        SERVERS[operation] = local.start()
    return SERVERS[operation]


def stop_servers() -> None:
    while SERVERS:
        SERVERS.popitem()[1].stop()


def settings_for(name: str, local: LocalPuter) -> dict[str, Any]:
    waits = {"timeout": 2.0 if name in SILENT | FLOODS else 30.0}
    waits["deadline"] = 4.0 if name in FLOODS else 50.0
    retries = {"max_retries": 1, "retry_delay": 0.0}
    who = {"username": local.username, "password": PASSWORD, "token": local.token}
    return {**waits, **retries, **who, "auto_login": False, "max_response_bytes": LIMIT}


async def outcome_of(name: str, operation: Operation, door: str) -> str:
    """Carry out one cell. Returns ``"answered"``, ``"answered again"`` or the error's class."""
    local, fault = server(operation.name), ROWS[name]
    local.clear_requests()
    cell = Cell(door, local.client(**settings_for(name, local)))
    try:
        return await _judge(cell, local, fault, operation)
    finally:
        local.clear_faults()
        await cell.ai.async_close()


async def _judge(cell: Cell, local: LocalPuter, fault: Fault, operation: Operation) -> str:
    ai, begun = cell.ai, time.monotonic()
    local.inject(fault, operation=operation.request, after=operation.after)
    value, error = None, None
    try:
        value = await operation.run(cell)
    except puter.PuterError as caught:
        error = caught
    assert time.monotonic() - begun < 60
    requests = [one for one in local.requests if one.operation == operation.request]
    assert len(local.injected) == 1, "the fault did not happen"
    again = len(requests) > 1 + operation.after
    _check_money(local, fault, operation, requests, cell)
    _check_history(ai, operation, error)
    assert (ai._throttle.running, ai._throttle.waiting) == (0, 0)
    if error is None:
        outcome = "answered again" if again else "answered"
        if value != await _clean(operation, cell.door):
            outcome = "answered otherwise"
    else:
        outcome = type(error).__name__
        _check_error(error, local)
        await _check_partial(error, fault, operation, cell.door)
    ai.clear_chat_history()
    if fault in (ROWS["stale_keepalive"], ROWS["second_answer(pause=0.05)"]):
        await asyncio.sleep(0.4)  # or the next request crosses on its way what comes too late
    assert await cell.call("chat", "2 + 2") == "2 + 2 = 4"
    return outcome


def _check_money(
    local: LocalPuter, fault: Fault, operation: Operation, requests: list[Any], cell: Cell
) -> None:
    billed = [one for one in local.requests if one.billed]
    assert len(billed) <= max(operation.billed, int(operation.request == "download")), "paid twice"
    assert cell.ran <= 1, "a tool ran twice"
    if fault.ran and operation.sort in ("paid", "sound", "stream"):
        assert len(requests) == 1 + operation.after, "sent again"


def _check_history(ai: PuterAI, operation: Operation, error: BaseException | None) -> None:
    turns = operation.request == "chat" and error is None
    roles = [message["role"] for message in ai.chat_history]
    assert roles[:1] == (["user"] if turns else []), roles
    assert roles[-1:] == (["assistant"] if turns else []), roles


def _check_error(error: puter.PuterError, local: LocalPuter) -> None:
    if isinstance(error, puter.PuterConnectionError):
        assert error.sent, "it is said not to have been sent"
    assert error.hint
    shown = f"{error} {error!r} {error.body!r} {error.code!r} {error.hint} {vars(error)!r}"
    shown += "".join(traceback.format_exception(error))
    for secret in (local.token, PASSWORD):
        assert secret not in shown, "a secret is shown"


async def _check_partial(
    error: puter.PuterError, fault: Fault, operation: Operation, door: str
) -> None:
    """What came before the error is kept: the text of a stream, the round that was paid."""
    partial = error.partial
    if fault.scope == "stream" and "empty" not in repr(fault):
        assert partial is not None, "the text is lost"
        assert partial.text
    if operation.sort == "stream" and fault.scope != "chat" and partial is not None:
        assert (await _clean(operation, door)).startswith(partial.text), "a part that never came"
    if operation.after:
        assert partial is not None, "the first round is lost"
        assert [one["role"] for one in partial.messages][-1] == "tool"


_CLEAN: dict[str, Any] = {}


async def _clean(operation: Operation, door: str) -> Any:
    """What the operation answers when nothing goes wrong."""
    known = _CLEAN
    if operation.name not in known:
        local = LocalPuter(tier=None, allowance=1e6, password=PASSWORD)
        local.files[FILE] = server(operation.name).files[FILE]
        with local:
            cell = Cell(door, local.client(**settings_for("", local)))
            known[operation.name] = await operation.run(cell)
            await cell.ai.async_close()
    return known[operation.name]


def cells(name: str, door: str) -> dict[str, str]:
    """The outcomes of all operations that a fault can happen to, carried out side by side."""
    chosen = [one for one in OPERATIONS.values() if fits(ROWS[name], one)]

    def run(operation: Operation) -> str:
        try:
            outcome = asyncio.run(outcome_of(name, operation, door))
        except Exception as error:  # noqa: BLE001 - the other cells of the row count as well
            return f"wrong: {type(error).__name__}: {error}"
        right = expected(name, operation)
        return outcome if is_right(outcome, right) else f"wrong: {outcome}, not {sorted(right)}"

    with ThreadPoolExecutor(len(chosen)) as pool:
        return dict(zip([one.name for one in chosen], pool.map(run, chosen), strict=True))


# ---------------------------------------------------------------- the page

MARK = "<!-- written by python -m tests.fault_matrix --write -->"
SHORT = {"answered": "✓", "answered again": "✓ again", "answered otherwise": "as it came"}


def short(outcomes: list[str]) -> str:
    """A cell of the table: the doors' outcomes, once when they agree."""
    told = [SHORT.get(one, one.removeprefix("Puter").removesuffix("Error")) for one in outcomes]
    return " / ".join(dict.fromkeys(told))


IN_MEMORY = {
    "closed": "`PuterConnectionError`",
    "reset": "`PuterConnectionError`",
    "silence": "`PuterTimeoutError`",
}


def kinds_table() -> list[str]:
    lines = ["| fault | what happens | run | in memory |", "|---|---|---|---|"]
    for name, fault in faults.KINDS.items():
        signature = inspect.signature(getattr(faults, name))
        parameters = ", ".join(signature.parameters)
        scope = {"stream": " (streams)", "chat": " (chats)"}.get(fault.scope, "")
        about = fault.about.rstrip(".") + scope
        memory = IN_MEMORY.get(fault.trouble or "", "`PuterResponseError`")
        memory = memory if fault.trouble else "the same"
        ran = "yes" if fault.ran else "no"
        lines.append(f"| `{name}({parameters})` | {about} | {ran} | {memory} |")
    return lines


def outcome_table(found: dict[str, dict[str, str]]) -> list[str]:
    """One line for each kind; operations that never differ share a column."""
    columns: dict[tuple[str, ...], list[str]] = {}
    for operation in OPERATIONS:
        column = tuple(found[name].get(operation, "") for name in found)
        columns.setdefault(column, []).append(operation)
    heads = ["<br>".join(names) for names in columns.values()]
    lines = [f"| | {' | '.join(heads)} |", "|---" * (len(heads) + 1) + "|"]
    lines += [
        f"| `{name}` | {' | '.join(column[number] for column in columns)} |"
        for number, name in enumerate(found)
    ]
    return lines


def parts_of(page: str) -> list[str]:
    """The page in front of, between and behind the marks."""
    return page.split(MARK)


def table_in(page: str) -> dict[str, dict[str, str]]:
    """The outcomes on the page, by kind and operation."""
    head, _, *rows = (line[1:-1].split("|") for line in parts_of(page)[3].strip().splitlines())
    found: dict[str, dict[str, str]] = {}
    for name, *outcomes in rows:
        told = zip(head[1:], outcomes, strict=True)
        found[name.strip(" `")] = {
            operation.strip(): outcome.strip()
            for names, outcome in told
            for operation in names.split("<br>")
        }
    return found


def main() -> int:
    """Carry out all cells; print those that are wrong, or write the page."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--write", action="store_true", help="write docs/reference/faults.md")
    parser.add_argument("kinds", nargs="*", default=list(ROWS))
    options = parser.parse_args()
    found, wrong = {}, 0
    for name in options.kinds:
        doors = {door: cells(name, door) for door in DOORS}
        for door, row in doors.items():
            for operation, outcome in row.items():
                if outcome.startswith("wrong"):
                    wrong += 1
                    print(f"{name} x {operation} x {door}: {outcome[:300]}", flush=True)
        found[name] = {one: short([row[one] for row in doors.values()]) for one in doors["sync"]}
    print(f"{sum(map(len, found.values())) * len(DOORS)} cells, {wrong} wrong")
    if options.write and not wrong:
        parts = parts_of(PAGE.read_text("utf-8"))
        parts[1] = "\n" + "\n".join(kinds_table()) + "\n"
        parts[3] = "\n" + "\n".join(outcome_table(found)) + "\n"
        PAGE.write_text(MARK.join(parts), "utf-8")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
