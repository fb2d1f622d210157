"""An answer as it comes, word by word; Ctrl-C stops it.

python examples/streaming.py "Tell me a story"
"""

from __future__ import annotations

import sys

from where import open_client


def main() -> None:
    prompt = " ".join(sys.argv[1:]) or "What is 6 times 7?"
    with open_client() as ai, ai.chat(prompt, stream=True) as stream:
        try:
            for chunk in stream:
                if chunk.type == "reasoning":
                    print(f"({chunk.reasoning})", end="", flush=True)
                print(chunk, end="", flush=True)
        finally:
            print()  # an answer that fails or is stopped ends its line, too
        print(f"\n{stream.reply.usage.output_tokens} tokens, {stream.reply.cost} USD")


if __name__ == "__main__":
    main()
