"""Transcribe a recording, with the time of each word.

    python examples/transcript.py meeting.mp3

Without a file, a sentence is turned into speech first.
"""

from __future__ import annotations

import sys

from where import open_client

SENTENCE = "The quick brown fox jumps over the lazy dog."


def main() -> None:
    with open_client() as ai:
        audio = sys.argv[1] if sys.argv[1:] else ai.txt2speech(SENTENCE, provider="openai")
        transcript = ai.speech2txt(audio, provider="xai")
        print(transcript, "\n")
        for word in transcript.words:
            print(f"{word['start']:7.2f} s  {word['text']}")


if __name__ == "__main__":
    main()
