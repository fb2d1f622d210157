"""The vendors of speech: their names, engines, voices and prices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Vendor:
    """A vendor of speech.

    Attributes:
        aliases: other names it answers to.
        engines: models, or Polly's engines, as ``list_engines`` shows them.
        voices: as ``list_voices`` shows them.
        prices: micro-cents a character, by model. All models that can be used are here.
        default: the model when none is named.
        voice: the voice when none is named.
        formats: ``Content-Type`` by format.
    """

    aliases: Sequence[str]
    engines: Sequence[Mapping[str, Any]]
    voices: Sequence[Mapping[str, Any]]
    prices: Mapping[str, float]
    default: str
    voice: str
    formats: Mapping[str, str] = field(default_factory=dict)


_OPENAI_VOICES = "alloy ash ballad coral echo fable nova onyx sage shimmer"
_ENGLISH = {"name": "English", "code": "en"}
_POLLY_PRICES = {"standard": 400, "neural": 1600, "long-form": 10_000, "generative": 3000}
_POLLY_VOICES = (
    ("Joanna", "US English", "en-US", "standard neural long-form generative"),
    ("Matthew", "US English", "en-US", "standard neural long-form generative"),
    ("Salli", "US English", "en-US", "standard neural generative"),
    ("Amy", "British English", "en-GB", "standard neural generative"),
    ("Vicki", "German", "de-DE", "standard neural generative"),
    ("Hans", "German", "de-DE", "standard"),
    ("Lea", "French", "fr-FR", "standard neural generative"),
    ("Lucia", "Castilian Spanish", "es-ES", "standard neural generative"),
    ("Bianca", "Italian", "it-IT", "standard neural generative"),
)
_ELEVEN_NAMES = {
    "eleven_multilingual_v2": "Eleven Multilingual v2",
    "eleven_flash_v2_5": "Eleven Flash v2.5",
    "eleven_turbo_v2_5": "Eleven Turbo v2.5",
    "eleven_v3": "Eleven v3 Alpha",
}
_GEMINI_NAMES = {
    "gemini-2.5-flash-preview-tts": "Gemini 2.5 Flash TTS",
    "gemini-2.5-pro-preview-tts": "Gemini 2.5 Pro TTS",
}
_GEMINI_VOICES = (
    ("Zephyr", "Bright"),
    ("Puck", "Upbeat"),
    ("Charon", "Informative"),
    ("Kore", "Firm"),
    ("Fenrir", "Excitable"),
    ("Leda", "Youthful"),
    ("Orus", "Firm"),
    ("Aoede", "Breezy"),
)
_XAI_VOICES = (
    ("eve", "Eve", "Energetic, upbeat"),
    ("ara", "Ara", "Warm, friendly"),
    ("rex", "Rex", "Confident, clear"),
    ("sal", "Sal", "Smooth, balanced"),
    ("leo", "Leo", "Authoritative, strong"),
)
_SPEECHIFY_VOICES = (
    ("geffen_32", "Geffen", "Warm, conversational"),
    ("dominic_32", "Dominic", "Deep, narrator"),
    ("harper_32", "Harper", "Bright, upbeat"),
)
_OPENAI_PRICES = {"gpt-4o-mini-tts": 1500, "tts-1": 1500, "tts-1-hd": 3000}
_OPENAI_NAMES = {
    "gpt-4o-mini-tts": "GPT-4o mini TTS",
    "tts-1": "TTS 1",
    "tts-1-hd": "TTS 1 HD",
}
_MP3 = "audio/mpeg"

# Puter backend: vendors in the order in which they are set up. Prices and lists are the
# backend's own for Polly, OpenAI and ElevenLabs; the others' prices are estimates.
VENDORS: dict[str, Vendor] = {
    "openai": Vendor(
        aliases=("openai-tts",),
        engines=[
            {
                "id": name,
                "name": _OPENAI_NAMES[name],
                "pricing_per_million_chars": price // 100,
                "provider": "openai",
            }
            for name, price in _OPENAI_PRICES.items()
        ],
        voices=[
            {
                "id": voice,
                "name": voice.title(),
                "language": _ENGLISH,
                "provider": "openai",
                "supported_models": list(_OPENAI_PRICES),
            }
            for voice in _OPENAI_VOICES.split()
        ],
        prices=_OPENAI_PRICES,
        default="gpt-4o-mini-tts",
        voice="alloy",
        formats={
            "mp3": _MP3,
            "opus": "audio/opus",
            "aac": "audio/aac",
            "flac": "audio/flac",
            "wav": "audio/wav",
            "pcm": "audio/pcm",
        },
    ),
    "elevenlabs": Vendor(
        aliases=("eleven", "eleven-labs", "11labs", "11-labs", "elevenlabs-tts"),
        engines=[
            {"id": name, "name": title, "provider": "elevenlabs", "pricing_per_million_chars": 0}
            for name, title in _ELEVEN_NAMES.items()
        ],
        voices=[
            {
                "id": "21m00Tcm4TlvDq8ikWAM",
                "name": "Rachel",
                "description": "calm",
                "category": "premade",
                "provider": "elevenlabs",
                "labels": {"accent": "american"},
                "supported_models": list(_ELEVEN_NAMES),
            }
        ],
        prices={
            "eleven_multilingual_v2": 16_200,
            "eleven_turbo_v2_5": 16_200,
            "eleven_turbo_v2": 16_200,
            "eleven_flash_v2_5": 8100,
            "eleven_v3": 16_200,
        },
        default="eleven_multilingual_v2",
        voice="21m00Tcm4TlvDq8ikWAM",
        formats={
            "mp3": _MP3,
            "pcm": "audio/pcm",
            "opus": "audio/opus",
            "ulaw": "audio/basic",
            "wav": "audio/wav",
        },
    ),
    "aws-polly": Vendor(
        aliases=("aws", "polly"),
        engines=[
            {
                "id": name,
                "name": name.capitalize(),
                "provider": "aws-polly",
                "pricing_per_million_chars": price // 100,
            }
            for name, price in _POLLY_PRICES.items()
        ],
        voices=[
            {
                "id": voice,
                "name": voice,
                "language": {"name": language, "code": code},
                "provider": "aws-polly",
                "supported_engines": engines.split(),
            }
            for voice, language, code, engines in _POLLY_VOICES
        ],
        prices=_POLLY_PRICES,
        default="standard",
        voice="Joanna",
    ),
    "gemini": Vendor(
        aliases=("google", "gemini-tts", "google-tts"),
        engines=[
            {"id": name, "name": title, "provider": "gemini"}
            for name, title in _GEMINI_NAMES.items()
        ],
        voices=[
            {
                "id": voice,
                "name": voice,
                "description": description,
                "provider": "gemini",
                "supported_models": list(_GEMINI_NAMES),
            }
            for voice, description in _GEMINI_VOICES
        ],
        prices={"gemini-2.5-flash-preview-tts": 1700, "gemini-2.5-pro-preview-tts": 3400},
        default="gemini-2.5-flash-preview-tts",
        voice="Kore",
    ),
    "xai": Vendor(
        aliases=("grok", "x-ai", "xai-tts", "grok-tts"),
        engines=[
            {
                "id": "xai-tts",
                "name": "xAI TTS",
                "provider": "xai",
                "pricing_per_million_chars": 1500,
            }
        ],
        voices=[
            {"id": voice, "name": name, "description": description, "provider": "xai"}
            for voice, name, description in _XAI_VOICES
        ],
        prices={"xai-tts": 1500},
        default="xai-tts",
        voice="eve",
        formats={
            "mp3": _MP3,
            "wav": "audio/wav",
            "pcm": "audio/pcm",
            "mulaw": "audio/basic",
            "alaw": "audio/alaw",
        },
    ),
    "speechify": Vendor(
        aliases=("simba", "speechify-tts"),
        engines=[{"id": "simba-3.2", "name": "Simba 3.2", "provider": "speechify"}],
        voices=[
            {
                "id": voice,
                "name": name,
                "description": description,
                "provider": "speechify",
                "supported_models": ["simba-3.2"],
            }
            for voice, name, description in _SPEECHIFY_VOICES
        ],
        prices={"simba-3.2": 1000},
        default="simba-3.2",
        voice="geffen_32",
        formats={"mp3": _MP3, "wav": "audio/wav", "ogg": "audio/ogg", "aac": "audio/aac"},
    ),
}

# Puter backend: the same in the order its refusals name them.
NAMES = ("aws-polly", "openai", "elevenlabs", "gemini", "xai", "speechify")


def named(name: object) -> str | None:
    """The vendor of that name or alias, ``None`` when there is none."""
    wanted = name.strip().lower() if isinstance(name, str) else None
    found = (key for key, one in VENDORS.items() if wanted == key or wanted in one.aliases)
    return next(found, None)
