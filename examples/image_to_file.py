"""Generate an image and save it; the extension follows from its bytes.

python examples/image_to_file.py "A cat on a boat" cat
"""

from __future__ import annotations

import sys
from pathlib import Path

from where import open_client


def main() -> None:
    prompt = sys.argv[1] if len(sys.argv) > 1 else "A cat on a boat"
    path = Path(sys.argv[2] if len(sys.argv) > 2 else "image")
    if not path.parent.is_dir():
        sys.exit(f"There is no folder {path.parent}")  # known before the image is paid for
    with open_client() as ai:
        models = ai.list_models(kind="image")
        model = models.cheapest("gpt-image") or models[0]
        print(f"{model.id}: {model.unit_price} USD for {model.unit}")
        image = ai.txt2img(prompt, model.id, provider=model.provider)
        print(f"{prompt}: saved as {image.save(path)}")


if __name__ == "__main__":
    main()
