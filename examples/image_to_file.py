"""Generate an image and save it; the extension follows from its bytes.

python examples/image_to_file.py "A cat on a boat" cat
"""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryFile

from where import open_client


def check(path: Path) -> None:
    """See that it can be written, before the image is paid for."""
    if path.exists() and not path.is_file():
        sys.exit(f"{path} is there, and is no file")
    TemporaryFile(dir=path.parent).close()


def main() -> None:
    prompt = sys.argv[1] if len(sys.argv) > 1 else "A cat on a boat"
    path = Path(sys.argv[2] if len(sys.argv) > 2 else "image")
    with open_client() as ai:
        check(path)
        models = ai.list_models(kind="image")
        model = models.cheapest("gpt-image") or models[0]
        print(f"{model.id}: {model.unit_price} USD for {model.unit}")
        image = ai.txt2img(prompt, model.id, provider=model.provider)
        print(f"{prompt}: saved as {image.save(path)}")


if __name__ == "__main__":
    main()
