"""Claude's route: native blocks for images and files, and thinking that goes back with them.

The Puter backend forwards OpenAI's image parts to it untouched, and Anthropic refuses them.
"""

from __future__ import annotations

from typing import Any

from puter.wire.dialects.base import CHOICES, Dialect, Part, file_in, image_in
from puter.wire.messages import EXTRAS
from puter.wire.pieces import text_from


class ClaudeDialect(Dialect):
    """Anthropic's own models; resellers of them speak the neutral form."""

    family = "claude"
    system_first = True  # older servers drop later ones, newer ones fold them into the first
    sees_results = True

    def encode_part(self, part: Part) -> Part:
        image = image_in(part)
        if image is not None:
            rest = {key: part[key] for key in part if key not in ("type", "image_url")}
            return {"type": "image", "source": _source(image["url"]), **rest}
        file = file_in(part)
        if file is not None and isinstance(file.get("file_data"), str):
            block = {"type": "document", "source": _source(file["file_data"])}
            title = file.get("filename")
            return {**block, "title": title} if title else block
        if part.get("type") == "tool_use":  # keys of other vendors would be refused
            return {key: part[key] for key in part if key not in EXTRAS}
        return part

    def choose_tool(self, args: dict[str, Any], choice: str) -> None:
        if choice in CHOICES:
            args["tool_choice"] = {"type": "any" if choice == "required" else choice}
        else:
            args["tool_choice"] = {"type": "tool", "name": choice}


def _source(url: str) -> dict[str, Any]:
    if url[:5].lower() != "data:":
        return {"type": "url", "url": url}
    comma = url.find(",") if "," in url else len(url)
    kind = url[5:comma].partition(";")[0]
    return {"type": "base64", "media_type": kind, "data": text_from(url, comma + 1)}


CLAUDE = ClaudeDialect()
