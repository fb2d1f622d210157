"""Count what a call enters: files and functions of ``puter/`` per plain sync chat, calls per chunk.

usage: python tests/benchmarks/hot_path.py [--list]

Comprehensions are not counted. The chunks come from a server that sends them in one piece, each as
an HTTP chunk of its own.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import puter
from puter import PuterAI

ROOT = str(Path(puter.__file__).parent) + os.sep
COMPREHENSIONS = {"<listcomp>", "<dictcomp>", "<setcomp>", "<genexpr>", "<lambda>"}
CHUNKS = 600

Entry = tuple[str, str, int]


def _head(kind: str, length: str) -> bytes:
    return f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\n{length}\r\n\r\n".encode()


def _whole_answer() -> bytes:
    message = {"role": "assistant", "content": "Hello.", "refusal": None}
    usage = {"prompt_tokens": 12, "completion_tokens": 5, "cached_tokens": 0, "usd_cents": 0.001}
    result = {"index": 0, "message": message, "finish_reason": "stop", "usage": usage}
    metadata = {"service_used": "openai-completion", "providerUsed": "gpt-5-nano"}
    body = json.dumps({"success": True, "result": result, "metadata": metadata}).encode()
    return _head("application/json", f"Content-Length: {len(body)}") + body


def _streamed_answer() -> bytes:
    lines: list[dict[str, Any]] = [{"type": "text", "text": f"word{n} "} for n in range(CHUNKS)]
    lines.append({"type": "usage", "usage": {"prompt_tokens": 12, "completion_tokens": CHUNKS}})
    head = _head("application/x-ndjson", "Transfer-Encoding: chunked")
    pieces = [json.dumps(line).encode() + b"\n" for line in lines]
    chunks = [b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces]
    return head + b"".join(chunks) + b"0\r\n\r\n"


def _serve(listener: socket.socket) -> None:
    """Answer each request on one connection after the other; as cheap as can be."""
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=_answer, args=(connection,), daemon=True).start()


def _answer(connection: socket.socket) -> None:
    with connection:
        received = b""
        while data := connection.recv(65536):
            received += data
            head, end, body = received.partition(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0] or 0)
            if end and len(body) >= length:
                streamed = b'"stream":true' in body
                connection.sendall(_streamed_answer() if streamed else _whole_answer())
                received = b""


def traced(function: Callable[[], Any]) -> list[Entry]:
    """The functions of ours that it enters, one entry for each call."""
    entered: list[Entry] = []

    def profile(frame: Any, event: str, _: Any) -> None:
        code = frame.f_code
        ours = event == "call" and code.co_filename.startswith(ROOT)
        if ours and code.co_name not in COMPREHENSIONS:
            name = getattr(code, "co_qualname", code.co_name)
            entered.append((code.co_filename[len(ROOT) :], name, code.co_firstlineno))

    sys.setprofile(profile)
    try:
        function()
    finally:
        sys.setprofile(None)
    return entered


def main() -> None:
    """Print the counts."""
    listener = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=_serve, args=(listener,), daemon=True).start()
    base = f"http://127.0.0.1:{listener.getsockname()[1]}"
    ai = PuterAI(token="t", api_base=base, login_url=base + "/login")
    ai.chat("warm")
    ai.chat("warm")
    ai.clear_chat_history()
    calls = [traced(lambda: ai.chat("hello")) for _ in range(4)]
    best = min(calls, key=lambda entered: len(set(entered)))
    stream = ai.chat("hello", stream=True)
    each = [traced(lambda: next(stream)) for _ in range(CHUNKS)]
    stream.close()
    ai.close()
    files = {file for file, _, _ in best}
    print(f"a plain sync chat: {len(files)} files, {len(set(best))} functions, {len(best)} calls")
    print(f"a stream chunk: {sum(map(len, each)) / len(each):.1f} calls")
    if "--list" in sys.argv:
        print(*sorted({f"{file}: {name}" for file, name, _ in best}), sep="\n")
        per_chunk = [entry for entered in each for entry in entered]
        for entry in sorted(set(per_chunk)):
            print(f"{per_chunk.count(entry) / len(each):6.2f}  {entry[0]}: {entry[1]}")


if __name__ == "__main__":
    main()
