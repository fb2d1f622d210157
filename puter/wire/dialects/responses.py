"""OpenAI's Responses route: its own parts for images and files, two options under other names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from puter.checks import is_url
from puter.wire.dialects.base import CHOICES, Dialect, Part, file_in, image_in, tool_name


class ResponsesDialect(Dialect):
    """Models flagged ``responses_api_only``, and calls with web search or compaction."""

    family = "openai-responses"
    knows_developer = True
    option_words: ClassVar[Mapping[str, tuple[str, str]]] = {
        "reasoning_effort": ("reasoning", "effort"),
        "verbosity": ("text", "verbosity"),
    }

    def encode_part(self, part: Part) -> Part:
        part = super().encode_part(part)
        image = image_in(part)
        if image is not None:
            url = image["url"]
            rest = {key: value for key, value in image.items() if key != "url"}
            return {"type": "input_image", "image_url": url, **rest}
        file = file_in(part)
        if file is None:
            return part
        if is_url(str(file.get("file_data", ""))):
            rest = {key: value for key, value in file.items() if key != "file_data"}
            return {"type": "input_file", **rest, "file_url": file["file_data"]}
        return {"type": "input_file", **file}

    def choose_tool(self, args: dict[str, Any], choice: str) -> None:
        if choice not in CHOICES:  # servers do not agree on a form with a name
            args["tools"] = [one for one in args["tools"] if tool_name(one) == choice]
            choice = "required"
        args["tool_choice"] = choice


RESPONSES = ResponsesDialect()
