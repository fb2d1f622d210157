"""Show the model a picture: a path, a URL, bytes, an open file, a PIL image or a Puter file.

python examples/picture.py cat.jpg "What is this?"
"""

from __future__ import annotations

import sys

from where import open_client

# A red dot of one pixel, for when no picture is given.
DOT = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGA"
    "hKmMIQAAAABJRU5ErkJggg=="
)


def main() -> None:
    picture, *question = sys.argv[1:] or [DOT]
    prompt = " ".join(question) or "What is in this picture?"
    with open_client() as ai:
        # The form follows the model: Claude gets its own kind of block, OpenAI a data URI.
        for model in ("gpt-5-nano", "claude-haiku-4-5"):
            print(f"{model}: {ai.chat(prompt, model, images=picture, remember=False)}")


if __name__ == "__main__":
    main()
