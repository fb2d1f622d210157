"""Data out of a text, as a dataclass.

python examples/extract.py letter.txt
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from datetime import date
from enum import Enum
from pathlib import Path
from typing import Annotated

from where import open_client

from puter import PuterParseError

LETTER = """\
Invoice number: "R-2025-17". Date: 2025-11-30. Currency: EUR.
Please pay the total of 129.5 within 14 days.
"""


class Currency(Enum):
    """What it is paid in."""

    EUR = "EUR"
    USD = "USD"


@dataclass
class Invoice:
    """What the text says."""

    number: str
    date: date
    currency: Currency
    total: Annotated[float, "Without the sign of the currency."]
    days: int | None = field(default=None, metadata={"description": "Days to pay in."})


def main() -> None:
    with open_client() as ai:
        text = Path(sys.argv[1]).read_text(encoding="utf-8") if sys.argv[1:] else LETTER
        try:
            invoice = ai.parse(f"Take the data out of this invoice:\n\n{text}", Invoice)
        except PuterParseError as error:
            sys.exit(f"{error} The model said: {error.reply!r}")
        print(invoice)


if __name__ == "__main__":
    main()
