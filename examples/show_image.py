"""Show the model an image: a path, a URL, bytes, an open file, a PIL image or a Puter file.

python examples/show_image.py cat.jpg "What is this?"
"""

from __future__ import annotations

import sys

from where import open_client

# A red dot of one pixel, for when no image is given.
DOT = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGA"
    "hKmMIQAAAABJRU5ErkJggg=="
)


def main() -> None:
    image, *question = sys.argv[1:] or [DOT]
    prompt = " ".join(question) or "What is in this image?"
    with open_client() as ai:
        # Each model gets the image in its own form: Claude a block of base64, OpenAI a data URI.
        for model in ("gpt-5-nano", "claude-haiku-4-5"):
            print(f"{model}: {ai.chat(prompt, model, images=image, remember=False)}")


if __name__ == "__main__":
    main()
