"""``OpenAICompatible``: the driver of servers that speak OpenAI's chat completions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from puter.checks import flag, text
from puter.engine.credentials import check_token
from puter.engine.servers import ChatRequest, names_of
from puter.exceptions import PuterConfigError, PuterInputError
from puter.frames import without_arguments
from puter.secret import Secret
from puter.settings import check_url
from puter.types.replies import ChatChunk, ChatReply
from puter.wire.completion_stream import CompletionStream
from puter.wire.dialects.completions import COMPLETIONS, READS
from puter.wire.http import HttpReply, HttpRequest
from puter.wire.json import as_dict
from puter.wire.pieces import json_body
from puter.wire.server_errors import server_error, told_error


class OpenAICompatible:
    """Any server of OpenAI's form behind ``chat``, ``parse``, streams and tools.

    llama.cpp, Ollama, vLLM, LM Studio, OpenAI itself, Puter's own ``/puterai/openai/v1``. Such a
    server needs no account at Puter; it is never shown Puter's token, nor Puter its key.

    Args:
        base_url: Address up to ``/chat/completions``, such as ``http://127.0.0.1:8080/v1``. Plain
            http is for this machine alone, unless the client has ``allow_http=True``.
        models: Names that ``model=`` takes -> what the server calls them; or a list, where they are
            the same.
        api_key: Sent as ``Authorization: Bearer ...``. Default: none.
        name: What ``available_models`` and ``reply.provider`` call the server. Default
            ``openai-compatible``.
        free: Nobody is billed: ``reply.cost`` is 0 where the server tells none, and what fails with
            a 5xx or a lost connection is asked again. Default False.
        max_concurrency: Calls at the same time, 1 or more. Default None: no limit.
        rate_limit_requests: Calls per ``rate_limit_period``, 1 or more. Default None: no limit.
        rate_limit_period: Seconds that ``rate_limit_requests`` counts for, above 0. Default 60.

    Raises:
        PuterConfigError: An argument is not valid.

    Examples:
        >>> address = "http://127.0.0.1:8080/v1"
        >>> server = OpenAICompatible(address, models={"smollm2": "SmolLM2"})
        >>> server.models["smollm2"]
        'SmolLM2'
    """

    reads = READS
    """Options that are passed on; users are warned of others."""

    @without_arguments
    def __init__(
        self,
        base_url: str,
        *,
        models: Mapping[str, str] | Sequence[str],
        api_key: str | None = None,
        name: str = "openai-compatible",
        free: bool = False,
        max_concurrency: int | None = None,
        rate_limit_requests: int | None = None,
        rate_limit_period: float = 60.0,
    ) -> None:
        self.name: str = text("name", name)
        self.free: bool = flag("free", free)
        self._key = None if api_key is None else _key(api_key)
        self.base_url: str = check_url("base_url", base_url).removesuffix("/chat/completions")
        listed = names_of(models)
        self.models: Mapping[str, str] = (
            dict(models) if isinstance(models, Mapping) else dict(zip(listed, listed, strict=True))
        )
        self.max_concurrency = max_concurrency
        self.rate_limit_requests = rate_limit_requests
        self.rate_limit_period = rate_limit_period

    def prepare(self, request: ChatRequest) -> HttpRequest:
        """The request of a chat.

        Raises:
            PuterInputError: It has something that such a server does not read.
        """
        options, model = request.options, request.model or ""
        body: dict[str, Any] = {"model": self.models.get(model, model)}
        body.update(COMPLETIONS.encode(list(request.messages), options, self.name, model))
        tools = request.args.get("tools")
        if tools is not None and tools.schemas:
            body["tools"] = tools.schemas
        if isinstance(choice := body.get("tool_choice"), str):
            COMPLETIONS.choose_tool(body, choice)
        if request.stream:
            body.update(stream=True, stream_options={"include_usage": True})
        extra = options.get("extra") or {}
        body.update((key, extra[key]) for key in extra if key not in ("model", "provider"))
        return HttpRequest(
            "POST",
            f"{self.base_url}/chat/completions",
            {"Content-Type": "application/json"},
            json_body(body),
            token=self._key,
            idempotent=self.free,
        )

    def read(self, reply: HttpReply) -> ChatReply:
        """The reply in a whole answer.

        Raises:
            PuterError: It has none.
        """
        data = reply.decoded()
        if as_dict(data).get("error"):
            raise told_error(self.name, data)  # some servers answer 200 all the same
        if not as_dict(data).get("choices"):
            raise server_error(self.name, reply)
        return COMPLETIONS.decode(data)

    def stream(self) -> CompletionStream:
        """What reads the lines of one stream: tool calls come in pieces."""
        return CompletionStream(self.name)

    def read_line(self, line: bytes) -> Sequence[ChatChunk]:
        """The chunks of one line that stands for itself; ``stream()`` reads whole streams."""
        return self.stream().read_line(line)

    def __repr__(self) -> str:
        models = list(self.models)
        return f"OpenAICompatible({self.base_url!r}, models={models}, name={self.name!r})"


def _key(api_key: str) -> Secret:
    try:
        return check_token(api_key)
    except PuterInputError:
        raise PuterConfigError(
            "api_key must be a non-empty str of printable ASCII without spaces",
            hint="Copy it again, or leave it out where the server wants none.",
        ) from None
