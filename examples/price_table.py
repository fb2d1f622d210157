"""What models cost, cheapest first. Free, and no account is needed on Puter either.

python examples/price_table.py claude
"""

from __future__ import annotations

import sys
from decimal import Decimal

from where import open_client


def dollars(price: Decimal | None) -> str:
    return "-" if price is None else f"{price:.2f}"


def main() -> None:
    text = sys.argv[1] if sys.argv[1:] else "gpt-5"
    with open_client() as ai:
        found = ai.list_models().find(text)
        if not found:
            sys.exit(f"No model is called anything like {text!r}")
        print(f"{'USD per million tokens':40}{'in':>8}{'out':>8}  {'context':>9}  provider")
        for model in found:
            print(
                f"{model.id[:39]:40}{dollars(model.input_price):>8}{dollars(model.output_price):>8}"
                f"  {model.context or '-':>9}  {model.provider}"
            )


if __name__ == "__main__":
    main()
