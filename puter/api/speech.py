"""Speech: from text, to text, and from one voice to another."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, TypedDict

from puter.api.downloads import attach_download, fetch, read_all
from puter.api.drivers import driver_args, invoke, result
from puter.api.sources import ResolvedSource, media_source
from puter.api.spooled import spool
from puter.checks import Range, flag
from puter.checks import text as check_text
from puter.engine.context import CallContext
from puter.engine.effects import Flow
from puter.exceptions import PuterInputError
from puter.options import Timeout, validate_options
from puter.types.media import Audio, shown_url
from puter.types.mime import canonical, mime_of
from puter.types.puter_file import Source
from puter.types.text import Transcript
from puter.wire.http import HttpReply
from puter.wire.json import as_dicts
from puter.wire.media import AUDIO_LIMIT, SPEECH_LIMIT, read_media, read_transcript, result_of

if TYPE_CHECKING:
    from typing_extensions import Unpack

_AUDIO = ("audio/", "video/", "application/octet-stream")


class SpeechOptions(TypedDict, total=False):
    """Options of ``txt2speech()`` that are passed on as they are."""

    provider: str | None
    model: str | None
    voice: str | None
    engine: str | None
    language: str | None
    instructions: str | None
    response_format: str | None
    output_format: str | None
    ssml: bool | None
    voice_settings: Mapping[str, Any] | None
    timeout: Timeout
    extra: Mapping[str, Any] | None


_SPEECH_HINTS = {
    "lang": "Use language=...",
    "format": "Use response_format= (OpenAI) or output_format= (ElevenLabs, xAI, Speechify).",
    "voice_id": "Use voice=...",
    "input": "Pass the text as text.",
}


def txt2speech(
    call: CallContext,
    text: str | None = None,
    *,
    test_mode: bool = False,
    **options: Unpack[SpeechOptions],
) -> Flow[Audio]:
    """Turn text into speech.

    Args:
        text: The text to speak, 3,000 characters at most (puter.js). Required unless ``test_mode``.
        test_mode: Return a sample, free of charge.
        provider: ``aws-polly``, ``openai``, ``elevenlabs``, ``gemini``, ``xai`` or ``speechify``.
            Default: ``aws-polly``, else the first that the server has.
        model: Name of a model of the provider. Default: the provider's.
        voice: Id of the voice, see ``list_voices()``. Default: the provider's, such as ``Joanna``
            (Polly) or ``alloy`` (OpenAI).
        engine: ``standard`` (default), ``neural``, ``long-form`` or ``generative`` (Polly). Other
            providers read it as ``model``.
        language: Language code. Default: ``en-US`` (Polly), ``en`` (xAI).
        instructions: How to speak, described in words (OpenAI, Gemini).
        response_format: ``mp3`` (default), ``wav``, ``opus``, ``aac``, ``flac`` or ``pcm``
            (OpenAI).
        output_format: Default ``mp3_44100_128`` (ElevenLabs); ``mp3``, ``wav``, ``pcm``, ``mulaw``
            or ``alaw`` (xAI); ``mp3``, ``wav``, ``ogg`` or ``aac`` (Speechify).
        ssml: Whether the text is SSML (Polly). Default: False.
        voice_settings: ``stability``, ``similarity_boost`` and ``style``, each 0 to 1, and others
            (ElevenLabs).
        timeout: Seconds to wait for the server's next bytes, above 0. Default: ``config.timeout``.
        extra: More arguments for the server, merged in last.

    Returns:
        The audio, complete: in memory up to 1 MiB, beyond that in a temporary file that goes with
        it. With ``test_mode`` a URL.

    Raises:
        TypeError: An option is unknown; the message suggests the nearest.
        PuterInputError: An argument is wrong; nothing was sent.
        PuterError: Anything else, as for ``chat()``.

    Examples:
        >>> print(ai.txt2speech("Hello!", provider="openai").save("hello"))
        hello.mp3
    """
    validate_options(txt2speech, options, SpeechOptions, _SPEECH_HINTS)
    if not test_mode or text is not None:
        check_text("text", text)
    if text is not None and len(text) > SPEECH_LIMIT:
        raise PuterInputError(
            f"The text has {len(text)} characters, and at most {SPEECH_LIMIT} can be spoken",
            hint="Speak it in parts.",
        )
    reply = yield from invoke(
        call,
        "puter-tts",
        "synthesize",
        driver_args(options, text=text, test_mode=test_mode),
        driver="ai-tts",
        stream=True,
        timeout=options.get("timeout"),
    )
    return (yield from _audio(call, reply))


def _audio(call: CallContext, reply: HttpReply) -> Flow[Audio]:
    if reply.stream is not None:
        return (yield from spool(Audio, reply))
    return attach_download(read_media(Audio, result_of(reply.data)), call)


class TranscriptionOptions(TypedDict, total=False):
    """Options of ``speech2txt()`` that are passed on as they are."""

    provider: str | None
    model: str | None
    language: str | None
    prompt: str | None
    response_format: str | None
    temperature: float | None
    timestamp_granularities: Sequence[str] | None
    logprobs: bool | None
    chunking_strategy: str | Mapping[str, Any] | None
    known_speaker_names: Sequence[str] | None
    known_speaker_references: Sequence[str] | None
    extra_body: Mapping[str, Any] | None
    format: bool | None
    diarize: bool | None
    multichannel: bool | None
    channels: int | None
    audio_format: str | None
    sample_rate: int | None
    timeout: Timeout
    extra: Mapping[str, Any] | None


_TRANSCRIPTION_HINTS = {
    "file": "Pass the file as audio.",
    "source": "Pass the file as audio.",
    "stream": "The server does not stream transcripts.",
}


def speech2txt(
    call: CallContext,
    audio: Source | None = None,
    *,
    translate: bool = False,
    test_mode: bool = False,
    **options: Unpack[TranscriptionOptions],
) -> Flow[Transcript]:
    """Transcribe speech, or translate it into English text.

    Args:
        audio: A recording, 25 MiB at most (Puter backend): a path, bytes, ``(bytes, MIME type)``,
            an open file, a URL, an ``Audio`` or a ``PuterFile``. Required unless ``test_mode``.
        translate: Translate into English. Newer servers do not: they refuse it for OpenAI, and xAI
            keeps the source language.
        test_mode: Return a sample transcript, free of charge.
        provider: ``openai`` (default) or ``xai``.
        model: Such as ``gpt-transcribe`` (OpenAI) or ``grok-voice-transcribe-2.0`` (xAI). Default:
            the server's choice, which is best: older and newer servers have different ones.
        language: Code of the language spoken, such as ``en``. Default: recognised (OpenAI).
        prompt: Names and words to expect (OpenAI; not every model).
        response_format: ``json`` (default) or ``text``; some models of older servers also
            ``srt``, ``vtt``, ``verbose_json`` or ``diarized_json``. OpenAI.
        temperature: Randomness of the choice of words, 0 to 1 (OpenAI). Default: 0.
        timestamp_granularities: ``["word"]``, ``["segment"]`` or both (OpenAI, with
            ``verbose_json``).
        logprobs: Return the logarithmic probability of each token (OpenAI; not every model).
            Default: False.
        chunking_strategy: How long audio is split: ``"auto"``, or a dict in OpenAI's format
            (OpenAI).
        known_speaker_names: Names of the speakers (OpenAI, with ``diarized_json``).
        known_speaker_references: Samples of their voices, as data URIs, in the same order (OpenAI,
            with ``diarized_json``).
        extra_body: More arguments for OpenAI, in its own format (OpenAI).
        format: Write numbers, dates and units in figures (xAI).
        diarize: Name the speaker of each word (xAI). Default: False.
        multichannel: Transcribe each channel by itself (xAI). Default: False.
        channels: Number of channels of audio without a header (xAI).
        audio_format: Format of audio without a header, such as ``pcm`` (xAI).
        sample_rate: Samples per second of audio without a header, such as 16000 (xAI).
        timeout: Seconds to wait for the server's next bytes, above 0. Default: ``config.timeout``.
        extra: More arguments for the server, merged in last.

    Returns:
        The text, with words, segments and language where the provider sends them.

    Raises:
        TypeError: An option is unknown; the message suggests the nearest.
        PuterInputError: An argument is wrong; nothing was sent.
        PuterError: Anything else, as for ``chat()``.

    Examples:
        >>> transcript = ai.speech2txt("meeting.mp3")
    """
    validate_options(speech2txt, options, TranscriptionOptions, _TRANSCRIPTION_HINTS)
    method = "translate" if flag("translate", translate) else "transcribe"
    sound: ResolvedSource | None = None
    if audio is not None or not test_mode:
        sound = yield from media_source(audio, AUDIO_LIMIT, _AUDIO, "sound")
    reply = yield from invoke(
        call,
        "puter-speech2txt",
        method,
        driver_args(options, test_mode=test_mode),
        driver="ai-speech2txt",
        source=("file", sound),
        timeout=options.get("timeout"),
    )
    return read_transcript(result_of(reply.data))


class VoiceConversionOptions(TypedDict, total=False):
    """Options of ``speech2speech()`` that are passed on as they are."""

    voice: str | None
    model: str | None
    provider: str | None
    output_format: str | None
    voice_settings: Mapping[str, Any] | None
    seed: int | None
    remove_background_noise: bool | None
    file_format: str | None
    optimize_streaming_latency: Annotated[int | None, Range(0, 4)]
    enable_logging: bool | None
    timeout: Timeout
    extra: Mapping[str, Any] | None


_CONVERSION_HINTS = {
    "file": "Pass the file as audio.",
    "source": "Pass the file as audio.",
    "voice_id": "Use voice=...",
    "model_id": "Use model=...",
}


def speech2speech(
    call: CallContext,
    audio: Source | None = None,
    *,
    test_mode: bool = False,
    **options: Unpack[VoiceConversionOptions],
) -> Flow[Audio]:
    """Turn speech into the same words in another voice. ElevenLabs is the only provider.

    Args:
        audio: A recording, 25 MiB at most (Puter backend): a path, bytes, ``(bytes, MIME type)``,
            an open file, a URL (fetched here, since the server takes none), an ``Audio`` or a
            ``PuterFile``. Required unless ``test_mode``.
        test_mode: Return a sample, free of charge.
        voice: Id of the voice: letters, digits, ``_`` and ``-``. Default:
            ``21m00Tcm4TlvDq8ikWAM``.
        model: ``eleven_multilingual_sts_v2`` (default) or ``eleven_english_sts_v2``.
        provider: ``elevenlabs``.
        output_format: Such as ``mp3_44100_128`` (default) or ``pcm_16000``.
        voice_settings: ``stability``, ``similarity_boost`` and ``style``, each 0 to 1, and others.
        seed: Start value of the random generator, 0 to 4294967295: the same seed and arguments
            give nearly the same audio.
        remove_background_noise: Remove noise from the recording first. Default: the provider's.
        file_format: Format of the recording, such as ``pcm_s16le_16``. Default: the provider's.
        optimize_streaming_latency: 0 to 4: the higher, the sooner the audio begins, and the lower
            its quality. Default: the provider's.
        enable_logging: Let the provider keep the recording. Default: the provider's.
        timeout: Seconds to wait for the server's next bytes, above 0. Default: ``config.timeout``.
        extra: More arguments for the server, merged in last.

    Returns:
        The audio, complete: in memory up to 1 MiB, beyond that in a temporary file that goes with
        it. With ``test_mode`` a URL.

    Raises:
        TypeError: An option is unknown; the message suggests the nearest.
        PuterInputError: An argument is wrong; nothing was sent.
        PuterError: Anything else, as for ``chat()``.

    Examples:
        >>> print(ai.speech2speech("me.wav").save("other"))
        other.mp3
    """
    validate_options(speech2speech, options, VoiceConversionOptions, _CONVERSION_HINTS)
    sound: ResolvedSource | None = None
    if audio is not None or not test_mode:
        # The server takes no URLs here, so the audio is fetched first.
        fetch_first = functools.partial(_fetched, call)
        sound = yield from media_source(audio, AUDIO_LIMIT, _AUDIO, "sound", fetch_first)
    reply = yield from invoke(
        call,
        "puter-speech2speech",
        "convert",
        driver_args(options, test_mode=test_mode),
        driver="ai-speech2speech",
        source=("audio", sound),
        stream=True,
        timeout=options.get("timeout"),
    )
    return (yield from _audio(call, reply))


def _fetched(call: CallContext, url: str, name: str) -> Flow[ResolvedSource]:
    reply = yield from fetch(call, url)
    data = yield from read_all(reply.stream, AUDIO_LIMIT + 1)
    reply.stream.close()
    if not data or len(data) > AUDIO_LIMIT:
        fault = "larger than 25 MiB" if data else "empty"
        raise PuterInputError(f"The sound at {shown_url(url)} is {fault}")
    mime_type = mime_of(data, name) or canonical(reply.content_type)
    return ResolvedSource(data=data, mime_type=mime_type, name=name)


def list_voices(
    call: CallContext, provider: str | None = None, *, engine: str | None = None
) -> Flow[list[dict[str, Any]]]:
    """List the voices for ``txt2speech()``. Free of charge.

    Args:
        provider: One provider, or ``"all"``. Default: Polly, else the first that the server has.
        engine: Only voices of this engine (Polly).

    Returns:
        Dicts with ``id``, ``name``, ``provider`` and more; empty for a provider that the server
        knows and does not have.

    Raises:
        PuterBadRequestError: The server does not know the provider.
        PuterError: Anything else, as for ``chat()``.

    Examples:
        >>> [one["id"] for one in ai.list_voices("openai")]
        ['alloy', 'ash', ...]
    """
    return (yield from _listed(call, "list_voices", provider=provider, engine=engine))


def list_engines(call: CallContext, provider: str | None = None) -> Flow[list[dict[str, Any]]]:
    """List the engines for ``txt2speech()``. Free of charge.

    Args:
        provider: One provider, or ``"all"``. Default: Polly, else the first that the server has.

    Returns:
        Dicts with ``id``, ``name``, price and more; empty for a provider that the server knows and
        does not have.

    Raises:
        PuterBadRequestError: The server does not know the provider.
        PuterError: Anything else, as for ``chat()``.

    Examples:
        >>> [one["id"] for one in ai.list_engines("openai")]
        ['gpt-4o-mini-tts', 'tts-1', 'tts-1-hd']
    """
    return (yield from _listed(call, "list_engines", provider=provider))


def _listed(call: CallContext, method: str, **wanted: str | None) -> Flow[list[dict[str, Any]]]:
    args = driver_args(wanted)
    found = yield from result(call, "puter-tts", method, args, driver="ai-tts", idempotent=True)
    return list(as_dicts(found))
