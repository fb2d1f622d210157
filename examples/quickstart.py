"""A first conversation.

python examples/quickstart.py
"""

from __future__ import annotations

from where import open_client  # `PuterAI()` in a program of your own


def main() -> None:
    with open_client() as ai:
        for prompt in ("Hello! My name is Ada.", "What is 6 times 7?", "What is my name?"):
            reply = ai.chat(prompt)
            print(f"you:    {prompt}\n{reply.model}: {reply}\n")

        print(f"{ai.usage.requests} calls, {ai.usage.output_tokens} tokens, {ai.usage.cost} USD")


if __name__ == "__main__":
    main()
