"""Many questions at once, with a file to go on from: run it twice, and the second run asks nothing.

python examples/batch.py answers.jsonl
"""

from __future__ import annotations

import sys

from where import open_client

CITIES = [
    {"name": "Paris", "country": "France"},
    {"name": "Rome", "country": "Italy"},
    {"name": "Sydney", "country": "Australia"},
]


def main() -> None:
    output = sys.argv[1] if sys.argv[1:] else "answers.jsonl"
    with open_client() as ai:
        results = ai.batch(
            CITIES,
            template="Is {name} the capital of {country}?",
            output=output,
            model="gpt-5-nano",
        )
        for city, reply in zip(CITIES, results, strict=True):
            print(f"{city['name']}: {reply}")
        print(f"\n{results.summary()}; see {output}")


if __name__ == "__main__":
    main()
