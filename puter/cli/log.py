"""The log of prompts, answers and costs: SQLite, kept only where the user wants one."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext, suppress
from datetime import date, datetime, timezone
from decimal import Decimal
from time import monotonic
from typing import TYPE_CHECKING, Any

from puter.cli.state import open_private, state_file
from puter.engine.ledger import UNKNOWN_MODEL, Spent
from puter.engine.pipeline import may_have_run
from puter.exceptions import PuterConfigError, PuterError
from puter.extensions import invoke
from puter.threads import begun, running_loop
from puter.types.replies import ChatReply

if TYPE_CHECKING:
    from typing_extensions import Self

    from puter.extensions import Flow, Request

VARIABLE = "PUTER_AI_LOG"
"""Names the file; a log is then kept in it, and in no other. Empty: none is kept."""

COLUMNS = (
    "id", "at", "operation", "model", "provider", "system", "prompt", "answer",
    "input_tokens", "output_tokens", "cost", "seconds", "error",
)  # fmt: skip
"""What is known of a call; ``cost`` is a text with US dollars, which is exact."""

BILLED = frozenset(
    ("chat", "parse", "img2txt", "speech2speech", "speech2txt", "txt2img", "txt2speech", "txt2vid")
)
"""Operations that are logged: those that answer a prompt."""

_SCHEMA = f"CREATE TABLE IF NOT EXISTS calls (id INTEGER PRIMARY KEY, {', '.join(COLUMNS[1:])})"
_MOST = 2**31  # rows
_RUNS = "not ended"
"""Stands for the error of a call that runs, or whose program was ended without a chance."""


def place() -> str:
    """The file, whether a log is kept or not."""
    named = os.environ.get(VARIABLE)
    return os.path.expanduser(named) if named else state_file("log.sqlite")


def kept() -> bool:
    """Whether calls are logged."""
    named = os.environ.get(VARIABLE)
    return os.path.exists(_switch()) if named is None else bool(named)


def turn_on() -> None:
    """Log calls from now on, also those of later runs."""
    open_private(_switch()).close()


def turn_off() -> None:
    """Log none any more; a log that is damaged does not stand in the way."""
    with suppress(FileNotFoundError):
        os.unlink(_switch())


def _switch() -> str:
    """The file that is there while a log is kept."""
    return state_file("log.on")


class Log:
    """The file, open; made when it is missing, for its owner alone.

    Raises:
        PuterConfigError: It is no database, or cannot be opened.
    """

    def __init__(self, path: str) -> None:
        try:
            if not os.path.exists(path):
                open_private(path).close()
            self._database = sqlite3.connect(path, timeout=10, isolation_level=None)
            try:
                self._database.execute(_SCHEMA)
                self._database.execute(f"SELECT {', '.join(COLUMNS)} FROM calls LIMIT 0")  # noqa: S608
            except BaseException:
                self._database.close()
                raise
        except (OSError, sqlite3.Error) as error:
            raise PuterConfigError(
                f"The log {path} cannot be used: {error}",
                hint=f"{VARIABLE} names it; with an empty one no log is kept."
                if os.environ.get(VARIABLE)
                else "Move it away, or keep no log: puter-ai logs off",
            ) from None

    def put(self, call: Mapping[str, Any]) -> int | None:
        """Write a call, over the one of its ``id`` where it has one; returns that."""
        names = [name for name in COLUMNS if name in call]
        marks = ", ".join("?" * len(names))
        return self._database.execute(
            f"INSERT OR REPLACE INTO calls ({', '.join(names)}) VALUES ({marks})",  # noqa: S608 - our names
            [_storable(call[name]) for name in names],
        ).lastrowid

    def find(self, text: str | None = None, count: int = 20) -> list[dict[str, Any]]:
        """The last calls, oldest first; ``text`` is part of prompt, answer or model."""
        wanted = "%" + (text or "").replace("~", "~~").replace("%", "~%").replace("_", "~_") + "%"
        rows = self._database.execute(
            f"SELECT {', '.join(COLUMNS)} FROM calls WHERE prompt || '\n' || coalesce(answer, '')"  # noqa: S608
            " || '\n' || coalesce(model, '') LIKE ? ESCAPE '~' ORDER BY id DESC LIMIT ?",
            (_storable(wanted), min(count, _MOST)),
        )
        return [dict(zip(COLUMNS, row, strict=True)) for row in reversed(rows.fetchall())]

    def spent(self, by: str, since: date = date.min, until: date = date.max) -> dict[str, Spent]:
        """Sums over calls: per ``"model"``, or per ``"day"`` as the clock here has it.

        Args:
            by: One of these.
            since: The first day that counts.
            until: The last.
        """
        rows = self._database.execute(
            "SELECT at, model, input_tokens, output_tokens, cost FROM calls ORDER BY at"
        )
        sums: dict[str, Spent] = {}
        for at, model, sent, received, cost in rows:
            day = datetime.fromisoformat(at).astimezone().date()
            if since <= day <= until:
                one = Spent(1, sent or 0, received or 0, Decimal(cost or 0), int(cost is None))
                key = day.isoformat() if by == "day" else model or UNKNOWN_MODEL
                sums.setdefault(key, Spent())._add(one)
        return sums

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._database.close()


def log_if_any() -> AbstractContextManager[Log | None]:
    """The log, open; None where there is no file, which is not made."""
    return Log(place()) if os.path.exists(place()) else nullcontext()


def logging_to(path: str, tell: Callable[[str], None]) -> Callable[..., Flow[Any]]:
    """A middleware that logs each call, whatever becomes of it; ``tell`` is told what is not.

    Raises:
        PuterConfigError: The file is no database, or cannot be opened.
    """
    with Log(path):
        pass  # told now, before anything is paid

    def log(request: Request, call_next: Callable[[Request], Flow[Any]]) -> Flow[Any]:
        if request.operation not in BILLED:
            return (yield from call_next(request))
        call = {"at": _time(datetime.now(timezone.utc)), **_asked(request)}
        began = monotonic()

        def write(answer: Any, error: PuterError | str | None) -> None:
            call.update({**_answered(answer), "error": error and str(error)})
            if answer is None and isinstance(error, PuterError) and not may_have_run(error):
                call["cost"] = "0"
            if error != _RUNS:
                call["seconds"] = round(monotonic() - began, 3)
            try:
                with Log(path) as file:
                    call["id"] = file.put(call)
            except (PuterConfigError, sqlite3.Error) as lost:
                told(lost)

        def told(lost: Exception) -> None:  # the answer is worth more
            tell(f"This call is not in the log: {lost}")

        def written(answer: Any, error: PuterError | str | None) -> Flow[None]:
            try:
                yield from invoke(write, answer, error)
            except PuterError as lost:  # no thread can be started
                told(lost)

        try:
            yield from written(None, _RUNS)
            answer = yield from call_next(request)
        except PuterError as failed:
            yield from written(failed.partial, failed)
            raise
        except BaseException:  # the flow may wait for nothing more, and the loop for no file
            came = request.call.partial
            ended = (came and came().text) or None, "interrupted"  # what it cost is not known
            try:
                begun(write, *ended) if running_loop() else write(*ended)
            except PuterError as lost:
                told(lost)
            raise
        yield from written(answer, None)
        return answer

    return log


def _storable(value: Any) -> Any:
    """A value as SQLite takes it: no halves of characters, and no NUL, where its search ends."""
    if not isinstance(value, str):
        return value
    return value.encode("utf-8", "replace").decode().replace("\0", "\ufffd")


def _time(time: datetime) -> str:
    return time.astimezone(timezone.utc).isoformat(timespec="seconds")


def _asked(request: Request) -> dict[str, Any]:
    said = {one.get("role"): _text(one.get("content")) for one in request.messages}
    prompt = said.get("user") or next(
        (str(request.args[name]) for name in ("prompt", "text") if request.args.get(name)), ""
    )
    return {
        "operation": request.operation,
        "model": request.model,
        "system": said.get("system"),
        "prompt": prompt,
    }


def _answered(answer: Any) -> dict[str, Any]:
    if not isinstance(answer, ChatReply):
        return {"answer": str(answer)} if isinstance(answer, str) else {}
    return {
        "model": answer.model,
        "provider": answer.provider or None,
        "answer": answer.text,
        "input_tokens": answer.usage.input_tokens,
        "output_tokens": answer.usage.output_tokens,
        "cost": None if answer.cost is None else str(answer.cost),
    }


def _text(content: Any) -> str:
    """The text of a message; images and files stay out."""
    if isinstance(content, str):
        return content
    parts = [one for one in content or () if isinstance(one, dict)]
    return "\n".join(str(one["text"]) for one in parts if isinstance(one.get("text"), str))
