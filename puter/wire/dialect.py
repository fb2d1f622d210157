"""What each provider reads: the route of a chat, its options, and the form of its pictures.

Facts of the Puter backend's routes. What the registry does not know counts as the OpenAI dialect.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

Family = Literal["openai", "responses", "claude"]

_OPENAI = ("openai-completion", "openai-responses", "azure-openai", "azure-openai-responses")
_WIDE = ("minimax", "zai", "byteplus", "meta")  # routes that pass most arguments on
_THOUGHTS = ("thinking", "redacted_thinking")
RESPONSES_ONLY = (
    "include", "instructions", "metadata", "previous_response_id", "prompt_cache_key",
    "prompt_cache_retention", "store", "truncation", "background", "service_tier",
)  # fmt: skip

PUTER_FILES = (*_OPENAI, "claude", "meta")
"""Providers for which the server opens ``puter_path`` files; others get the bare path."""


def family_of(provider: str | None, model: str, entry: Mapping[str, Any], options: Any) -> Family:
    """Which dialect the route speaks.

    Args:
        provider: Who serves the model: pinned, or from the registry; None when not known.
        model: The name asked for.
        entry: Its catalogue entry, ``{}`` when not known.
        options: The options of the call.
    """
    if provider == "claude" or (provider is None and model.lower().startswith("claude")):
        return "claude"
    if provider in _OPENAI and (
        entry.get("responses_api_only")
        or provider.endswith("-responses")
        or options.get("web_search")
        or options.get("compaction")
        or options.get("context_management")
    ):
        return "responses"
    return "openai"


def dropped(
    options: Mapping[str, Any], provider: str | None, model: str, family: Family
) -> list[str]:
    """Options that are set and that the provider is known to drop without a word."""
    if provider is None:
        return []
    return [
        name
        for name, value in options.items()
        if not (value is None or value is False or _reads(name, provider, model, family))
    ]


def _reads(name: str, provider: str, model: str, family: Family) -> bool:
    openai = provider in _OPENAI
    match name:
        case "temperature":
            return family != "responses" and provider not in ("xai", "moonshotai")
        case "max_tokens":
            return provider != "xai"
        case "top_p" | "tool_choice" | "parallel_tool_calls":
            return family == "responses" or provider in _WIDE
        case "reasoning_effort":
            chat = openai and not model.lower().rpartition("/")[2].startswith("gpt-5")
            return chat or family in ("responses", "claude") or provider == "meta"
        case "verbosity":
            chat = openai and not model.lower().rpartition("/")[2].startswith("gpt-5")
            return chat or family == "responses"
        case "compaction" | "context_management":
            return openai or family == "claude"
        case "cache_control":
            return family == "claude"
        case "web_search" | "moderation":
            return openai
        case "custom":
            return provider in ("zai", "byteplus", "meta")
        case _:
            return family == "responses" if name in RESPONSES_ONLY else True


def option_args(options: Mapping[str, Any], family: Family) -> dict[str, Any]:
    """The options as arguments of the call, in the words that the family reads."""
    args = {
        name: value
        for name, value in options.items()
        if value is not None and name not in ("extra", "timeout", "cache_control", "web_search")
    }
    if family == "responses":
        if "reasoning_effort" in args:
            args["reasoning"] = {"effort": args.pop("reasoning_effort")}
        if "verbosity" in args:
            args["text"] = {"verbosity": args.pop("verbosity")}
    if options.get("web_search"):
        args["tools"] = [{"type": "web_search"}]
    return args


def dress(messages: list[dict[str, Any]], family: Family) -> list[dict[str, Any]]:
    """The messages with pictures and files in the form the family reads; the given are not changed.

    Histories keep the OpenAI form; Claude wants its native blocks, and OpenAI does not know those.
    """
    dressed = [_dressed(message, family) for message in messages]
    return dressed if family == "claude" else _without_thoughts(dressed)


def _without_thoughts(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Other vendors do not know Claude's thinking blocks."""
    kept: list[dict[str, Any]] = []
    for message in messages:
        content = message.get("content")
        if isinstance(content, list) and any(map(_is_thought, content)):
            rest = [part for part in content if not _is_thought(part)]
            if rest:
                kept.append({**message, "content": rest})
        else:
            kept.append(message)
    return kept


def _is_thought(part: Any) -> bool:
    return isinstance(part, dict) and part.get("type") in _THOUGHTS


def _dressed(message: dict[str, Any], family: Family) -> dict[str, Any]:
    content = message.get("content")
    if not isinstance(content, list):
        return message
    parts = [_part(one, family) if isinstance(one, dict) else one for one in content]
    return message if parts == content else {**message, "content": parts}


def _part(part: dict[str, Any], family: Family) -> dict[str, Any]:
    if family == "claude":
        return _to_claude(part)
    neutral = _from_claude(part)
    return _to_responses(neutral) if family == "responses" else neutral


def _from_claude(part: dict[str, Any]) -> dict[str, Any]:
    source = part.get("source")
    if part.get("type") not in ("image", "document") or not isinstance(source, dict):
        return part
    if source.get("type") == "text":
        return {"type": "text", "text": source.get("data", "")}
    if source.get("type") == "url":
        url = source.get("url", "")
    elif source.get("type") == "base64":
        url = f"data:{source.get('media_type', '')};base64,{source.get('data', '')}"
    else:
        return part
    if part["type"] == "image":
        return {"type": "image_url", "image_url": {"url": url}}
    return {"type": "file", "file": {"filename": part.get("title", "file"), "file_data": url}}


def _to_claude(part: dict[str, Any]) -> dict[str, Any]:
    picture = _picture(part)
    if picture is not None:
        rest = {key: part[key] for key in part if key not in ("type", "image_url")}
        return {"type": "image", "source": _source(picture["url"]), **rest}
    if part.get("type") == "file" and isinstance(part.get("file"), dict):
        url = part["file"].get("file_data")
        if isinstance(url, str):
            title = part["file"].get("filename")
            block = {"type": "document", "source": _source(url)}
            return {**block, "title": title} if title else block
    if part.get("type") == "tool_use":  # keys of other vendors would be refused
        return {key: part[key] for key in part if key not in ("canonical_id", "extra_content")}
    return part


def _picture(part: dict[str, Any]) -> dict[str, Any] | None:
    """``{"url": ..., "detail"?: ...}`` of an OpenAI picture, whose type may be left out."""
    where = part.get("image_url") if part.get("type", "image_url") == "image_url" else None
    if isinstance(where, str):
        return {"url": where}
    return where if isinstance(where, dict) and isinstance(where.get("url"), str) else None


def _source(url: str) -> dict[str, str]:
    if url[:5].lower() != "data:":
        return {"type": "url", "url": url}
    head, _, data = url[5:].partition(",")
    return {"type": "base64", "media_type": head.partition(";")[0], "data": data}


def _to_responses(part: dict[str, Any]) -> dict[str, Any]:
    picture = _picture(part)
    if picture is not None:
        rest = {key: picture[key] for key in picture if key != "url"}
        return {"type": "input_image", "image_url": picture["url"], **rest}
    if part.get("type") == "file" and isinstance(part.get("file"), dict):
        file = dict(part["file"])
        if str(file.get("file_data", "")).startswith(("http://", "https://")):
            file["file_url"] = file.pop("file_data")
        return {"type": "input_file", **file}
    return part
