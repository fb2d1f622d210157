"""Pictures, OCR, speech and films."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from puter.doors.base import Doors, share_docstrings
from puter.operations import films, pictures, speech
from puter.options import _finite, _flag, _mapping, _text, check_timeout

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from puter.media import Audio, Image, Video
    from puter.results import OcrText, Transcript
    from puter.sources import Source


_KINDS: dict[Callable[[str, Any], None], str] = {
    _text: "model provider quality aspect_ratio negative_prompt image_url image_base64"
    " mask_image_url mask_image_base64 style generation_mode response_format"
    " voice engine language instructions output_format audio_format file_format size",
    _finite: "width height seed steps n prompt_strength guidance contrast output_quality"
    " safety_tolerance image_limit image_min_size temperature channels sample_rate seconds fps"
    " guidance_scale optimize_streaming_latency",
    _flag: "test_mode translate prompt_enhance prompt_upsampling go_fast disable_safety_checker"
    " include_image_base64 ssml logprobs format diarize multichannel remove_background_noise"
    " enable_logging generate_audio no_extra_params",
    _mapping: "extra bbox_annotation_format document_annotation_format voice_settings extra_body"
    " metadata",
    check_timeout: "timeout",
}
_CHECKS = {name: check for check, names in _KINDS.items() for name in names.split()}


def _media_options(options: dict[str, Any]) -> dict[str, Any]:
    """The arguments of a media door, checked where the server would answer a bare 500."""
    options.pop("self")
    for name, value in options.items():
        if value is not None and name in _CHECKS:
            _CHECKS[name](name, value)
    return options


class MediaDoors(Doors):
    """Pictures, OCR, speech and films."""

    def txt2img(
        self,
        prompt: str | None = None,
        model: str | None = None,
        *,
        provider: str | None = None,
        quality: str | None = None,
        ratio: str | tuple[float, float] | dict[str, float] | None = None,
        width: int | None = None,
        height: int | None = None,
        aspect_ratio: str | None = None,
        input_images: Source | Sequence[Source] | None = None,
        negative_prompt: str | None = None,
        seed: int | None = None,
        steps: int | None = None,
        n: int | None = None,
        image_url: str | None = None,
        image_base64: str | None = None,
        mask_image_url: str | None = None,
        mask_image_base64: str | None = None,
        prompt_strength: float | None = None,
        guidance: float | None = None,
        style: str | None = None,
        contrast: float | None = None,
        generation_mode: str | None = None,
        prompt_enhance: bool | None = None,
        prompt_upsampling: bool | None = None,
        go_fast: bool | None = None,
        output_quality: int | None = None,
        output_megapixels: str | None = None,
        response_format: str | None = None,
        safety_tolerance: int | None = None,
        disable_safety_checker: bool | None = None,
        puter_output_path: str | None = None,
        test_mode: bool = False,
        timeout: float | None = None,
        extra: dict[str, Any] | None = None,
    ) -> Image:
        """Draw a picture.

        Args:
            prompt: What to draw.
            model: Which model. Default: the provider's, or the server's first.
            provider: ``openai``, ``gemini``, ``together``, ``cloudflare``, ``xai``, ``replicate``
                or ``byteplus``.
            quality: ``low``, ``medium``, ``high`` (OpenAI), ``1K``, ``2K`` ... (Gemini), ``1k``,
                ``2k`` (xAI). The server replaces one that the model does not know, silently.
            ratio: ``"16:9"``, ``(16, 9)`` or a size such as ``(1024, 1024)``.
            width: Pixels, together with ``height``.
            height: Pixels.
            aspect_ratio: ``"16:9"``, in the server's own words.
            input_images: One or more pictures to start from (see ``puter.sources.load()``).
            negative_prompt: What to leave out (some vendors).
            seed: Repeats a picture (some vendors).
            steps: More is finer (some vendors).
            n: How many (some vendors; one comes back).
            image_url: A picture to start from, in the words of Together, Replicate and Cloudflare;
                so with all that follow down to ``disable_safety_checker``.
            image_base64: The same as base64.
            mask_image_url: Where it may be changed.
            mask_image_base64: The same as base64.
            prompt_strength: How far it may move away from the picture, 0 to 1.
            guidance: How closely it follows the prompt.
            style: A style the model knows.
            contrast: How strong.
            generation_mode: A mode the model knows.
            prompt_enhance: Let the vendor improve the prompt.
            prompt_upsampling: The same, of another vendor.
            go_fast: Quicker and poorer.
            output_quality: Of a JPEG or WebP, 0 to 100.
            output_megapixels: Size, such as ``"1"``.
            response_format: Whether the vendor sends the picture or its URL.
            safety_tolerance: How much is let through.
            disable_safety_checker: Let everything through.
            puter_output_path: Save it in your Puter as well: absolute, or under ``~/``.
            test_mode: A sample picture, free. Default False.
            timeout: Seconds of silence allowed. Default: the client's.
            extra: More arguments for the server, merged in last.

        Raises:
            PuterInputError: An argument is wrong; nothing was sent.
            PuterModelNotFoundError: The server does not know the model.
            PuterInsufficientFundsError: The allowance does not reach.
            PuterUpstreamError: The vendor failed.
            PuterError: Anything else, as for ``chat()``.

        Examples:
            >>> ai.txt2img("A cat on a boat").save("cat")  # doctest: +SKIP
            PosixPath('cat.png')
        """
        return self._run(pictures.txt2img, **_media_options(locals()))

    async def async_txt2img(
        self,
        prompt: str | None = None,
        model: str | None = None,
        *,
        provider: str | None = None,
        quality: str | None = None,
        ratio: str | tuple[float, float] | dict[str, float] | None = None,
        width: int | None = None,
        height: int | None = None,
        aspect_ratio: str | None = None,
        input_images: Source | Sequence[Source] | None = None,
        negative_prompt: str | None = None,
        seed: int | None = None,
        steps: int | None = None,
        n: int | None = None,
        image_url: str | None = None,
        image_base64: str | None = None,
        mask_image_url: str | None = None,
        mask_image_base64: str | None = None,
        prompt_strength: float | None = None,
        guidance: float | None = None,
        style: str | None = None,
        contrast: float | None = None,
        generation_mode: str | None = None,
        prompt_enhance: bool | None = None,
        prompt_upsampling: bool | None = None,
        go_fast: bool | None = None,
        output_quality: int | None = None,
        output_megapixels: str | None = None,
        response_format: str | None = None,
        safety_tolerance: int | None = None,
        disable_safety_checker: bool | None = None,
        puter_output_path: str | None = None,
        test_mode: bool = False,
        timeout: float | None = None,
        extra: dict[str, Any] | None = None,
    ) -> Image:
        return await self._async_run(pictures.txt2img, **_media_options(locals()))

    def img2txt(
        self,
        source: Source | None = None,
        *,
        provider: str | None = None,
        model: str | None = None,
        pages: Sequence[int] | None = None,
        include_image_base64: bool | None = None,
        image_limit: int | None = None,
        image_min_size: int | None = None,
        bbox_annotation_format: Mapping[str, Any] | None = None,
        document_annotation_format: Mapping[str, Any] | None = None,
        test_mode: bool = False,
        timeout: float | None = None,
        extra: dict[str, Any] | None = None,
    ) -> OcrText:
        """Read the text in a picture or document (OCR).

        Args:
            source: A picture or PDF, 10 MiB at most (see ``puter.sources.load()``).
            provider: ``aws-textract`` or ``mistral``.
            model: Which model of the provider.
            pages: Numbers of the pages to read, from 0 (Mistral).
            include_image_base64: Send pictures in the document back (Mistral).
            image_limit: How many of them at most (Mistral).
            image_min_size: How large at least (Mistral).
            bbox_annotation_format: Schema for annotations of pictures (Mistral).
            document_annotation_format: Schema for an annotation of the document (Mistral).
            test_mode: A sample answer, free. Default False.
            timeout: Seconds of silence allowed. Default: the client's.
            extra: More arguments for the server, merged in last.

        Raises:
            PuterInputError: The source cannot be used; nothing was sent.
            PuterError: Anything else, as for ``chat()``.

        Examples:
            >>> print(ai.img2txt("receipt.jpg"))  # doctest: +SKIP
        """
        return self._run(pictures.img2txt, **_ocr_options(locals()))

    async def async_img2txt(
        self,
        source: Source | None = None,
        *,
        provider: str | None = None,
        model: str | None = None,
        pages: Sequence[int] | None = None,
        include_image_base64: bool | None = None,
        image_limit: int | None = None,
        image_min_size: int | None = None,
        bbox_annotation_format: Mapping[str, Any] | None = None,
        document_annotation_format: Mapping[str, Any] | None = None,
        test_mode: bool = False,
        timeout: float | None = None,
        extra: dict[str, Any] | None = None,
    ) -> OcrText:
        return await self._async_run(pictures.img2txt, **_ocr_options(locals()))

    def txt2speech(
        self,
        text: str | None = None,
        *,
        provider: str | None = None,
        model: str | None = None,
        voice: str | None = None,
        engine: str | None = None,
        language: str | None = None,
        instructions: str | None = None,
        response_format: str | None = None,
        output_format: str | None = None,
        ssml: bool | None = None,
        voice_settings: Mapping[str, Any] | None = None,
        test_mode: bool = False,
        timeout: float | None = None,
        extra: dict[str, Any] | None = None,
    ) -> Audio:
        """Speak a text.

        Args:
            text: What to say, 3,000 characters at most (puter.js refuses more).
            provider: ``aws-polly`` (default), ``openai``, ``elevenlabs``, ``gemini``, ``xai`` or
                ``speechify``.
            model: Which model of the provider.
            voice: Which voice; see ``list_voices()``.
            engine: ``standard``, ``neural``, ``long-form`` or ``generative`` (Polly).
            language: Such as ``en-US`` (Polly, xAI).
            instructions: How to say it (OpenAI, Gemini).
            response_format: ``mp3``, ``wav``, ``opus``, ``aac``, ``flac`` or ``pcm`` (OpenAI).
            output_format: The same for ElevenLabs (``mp3_44100_128``), xAI and Speechify.
            ssml: The text is SSML (Polly).
            voice_settings: Stability and the like (ElevenLabs).
            test_mode: A sample, free. Default False.
            timeout: Seconds of silence allowed. Default: the client's.
            extra: More arguments for the server, merged in last.

        Returns:
            The sound. What is longer than 1 MiB is still on its way: save, read or close it.

        Raises:
            PuterInputError: An argument is wrong; nothing was sent.
            PuterError: Anything else, as for ``chat()``.

        Examples:
            >>> ai.txt2speech("Hello!", provider="openai").save("hello")  # doctest: +SKIP
            PosixPath('hello.mp3')
        """
        return self._run(speech.txt2speech, **_media_options(locals()))

    async def async_txt2speech(
        self,
        text: str | None = None,
        *,
        provider: str | None = None,
        model: str | None = None,
        voice: str | None = None,
        engine: str | None = None,
        language: str | None = None,
        instructions: str | None = None,
        response_format: str | None = None,
        output_format: str | None = None,
        ssml: bool | None = None,
        voice_settings: Mapping[str, Any] | None = None,
        test_mode: bool = False,
        timeout: float | None = None,
        extra: dict[str, Any] | None = None,
    ) -> Audio:
        return await self._async_run(speech.txt2speech, **_media_options(locals()))

    def speech2txt(
        self,
        audio: Source | None = None,
        *,
        translate: bool = False,
        provider: str | None = None,
        model: str | None = None,
        language: str | None = None,
        prompt: str | None = None,
        response_format: str | None = None,
        temperature: float | None = None,
        timestamp_granularities: Sequence[str] | None = None,
        logprobs: bool | None = None,
        chunking_strategy: str | Mapping[str, Any] | None = None,
        known_speaker_names: Sequence[str] | None = None,
        known_speaker_references: Sequence[str] | None = None,
        extra_body: Mapping[str, Any] | None = None,
        format: bool | None = None,  # noqa: A002 - the server's own word
        diarize: bool | None = None,
        multichannel: bool | None = None,
        channels: int | None = None,
        audio_format: str | None = None,
        sample_rate: int | None = None,
        test_mode: bool = False,
        timeout: float | None = None,
        extra: dict[str, Any] | None = None,
    ) -> Transcript:
        """Write down what is said.

        Args:
            audio: Sound, 25 MiB at most (Puter backend; see ``puter.sources.load()``).
            translate: Into English. Default False.
            provider: ``openai`` (default) or ``xai``.
            model: ``gpt-4o-mini-transcribe`` (default), ``gpt-4o-transcribe``,
                ``gpt-4o-transcribe-diarize``, ``whisper-1`` (default when translating).
            language: What is spoken, such as ``en``.
            prompt: Names and words to expect.
            response_format: ``json``, ``text``, ``srt``, ``verbose_json``, ``vtt``,
                ``diarized_json``; which of them depends on the model.
            temperature: How freely it guesses.
            timestamp_granularities: ``["word"]``, ``["segment"]`` (whisper-1, ``verbose_json``).
            logprobs: How sure it is of each piece.
            chunking_strategy: How long sound is cut.
            known_speaker_names: Who speaks (diarize model).
            known_speaker_references: Samples of their voices, as data URIs.
            extra_body: More in the vendor's own words (OpenAI).
            format: Write numbers and the like as figures (xAI; so with all that follow).
            diarize: Tell the speakers apart.
            multichannel: One transcript for each channel.
            channels: How many there are.
            audio_format: Of sound without a header, such as ``pcm``.
            sample_rate: Samples a second of such sound.
            test_mode: A sample answer, free. Default False.
            timeout: Seconds of silence allowed. Default: the client's.
            extra: More arguments for the server, merged in last.

        Raises:
            PuterInputError: The sound cannot be used; nothing was sent.
            PuterError: Anything else, as for ``chat()``.

        Examples:
            >>> print(ai.speech2txt("meeting.mp3"))  # doctest: +SKIP
        """
        return self._run(speech.speech2txt, **_media_options(locals()))

    async def async_speech2txt(
        self,
        audio: Source | None = None,
        *,
        translate: bool = False,
        provider: str | None = None,
        model: str | None = None,
        language: str | None = None,
        prompt: str | None = None,
        response_format: str | None = None,
        temperature: float | None = None,
        timestamp_granularities: Sequence[str] | None = None,
        logprobs: bool | None = None,
        chunking_strategy: str | Mapping[str, Any] | None = None,
        known_speaker_names: Sequence[str] | None = None,
        known_speaker_references: Sequence[str] | None = None,
        extra_body: Mapping[str, Any] | None = None,
        format: bool | None = None,  # noqa: A002 - the server's own word
        diarize: bool | None = None,
        multichannel: bool | None = None,
        channels: int | None = None,
        audio_format: str | None = None,
        sample_rate: int | None = None,
        test_mode: bool = False,
        timeout: float | None = None,
        extra: dict[str, Any] | None = None,
    ) -> Transcript:
        return await self._async_run(speech.speech2txt, **_media_options(locals()))

    def speech2speech(
        self,
        audio: Source | None = None,
        *,
        voice: str | None = None,
        model: str | None = None,
        provider: str | None = None,
        output_format: str | None = None,
        voice_settings: Mapping[str, Any] | None = None,
        seed: int | None = None,
        remove_background_noise: bool | None = None,
        file_format: str | None = None,
        optimize_streaming_latency: int | None = None,
        enable_logging: bool | None = None,
        test_mode: bool = False,
        timeout: float | None = None,
        extra: dict[str, Any] | None = None,
    ) -> Audio:
        """Say the same in another voice.

        Args:
            audio: Sound, 25 MiB at most. The server takes no URLs here; one is fetched first.
            voice: Id of the voice. Default: the provider's.
            model: ``eleven_multilingual_sts_v2`` (default) or ``eleven_english_sts_v2``.
            provider: ``elevenlabs``, the only one.
            output_format: Default ``mp3_44100_128``.
            voice_settings: Stability and the like.
            seed: Repeats a result.
            remove_background_noise: As it says.
            file_format: What is sent.
            optimize_streaming_latency: 0 to 4, quicker and poorer.
            enable_logging: Whether the provider may keep it.
            test_mode: A sample, free. Default False.
            timeout: Seconds of silence allowed. Default: the client's.
            extra: More arguments for the server, merged in last.

        Raises:
            PuterInputError: The sound cannot be used; nothing was sent.
            PuterError: Anything else, as for ``chat()``.

        Examples:
            >>> ai.speech2speech("me.wav").save("other")  # doctest: +SKIP
            PosixPath('other.mp3')
        """
        return self._run(speech.speech2speech, **_media_options(locals()))

    async def async_speech2speech(
        self,
        audio: Source | None = None,
        *,
        voice: str | None = None,
        model: str | None = None,
        provider: str | None = None,
        output_format: str | None = None,
        voice_settings: Mapping[str, Any] | None = None,
        seed: int | None = None,
        remove_background_noise: bool | None = None,
        file_format: str | None = None,
        optimize_streaming_latency: int | None = None,
        enable_logging: bool | None = None,
        test_mode: bool = False,
        timeout: float | None = None,
        extra: dict[str, Any] | None = None,
    ) -> Audio:
        return await self._async_run(speech.speech2speech, **_media_options(locals()))

    def txt2vid(
        self,
        prompt: str,
        model: str | None = None,
        *,
        provider: str | None = None,
        seconds: float | None = None,
        size: str | None = None,
        width: int | None = None,
        height: int | None = None,
        fps: int | None = None,
        steps: int | None = None,
        guidance_scale: float | None = None,
        seed: int | None = None,
        negative_prompt: str | None = None,
        generate_audio: bool | None = None,
        output_format: str | None = None,
        output_quality: int | None = None,
        input_reference: Source | None = None,
        last_frame: Source | None = None,
        reference_images: Source | Sequence[Source] | None = None,
        frame_images: Sequence[Any] | None = None,
        metadata: Mapping[str, Any] | None = None,
        no_extra_params: bool | None = None,
        puter_output_path: str | None = None,
        test_mode: bool = False,
        timeout: float | None = None,
        extra: dict[str, Any] | None = None,
    ) -> Video:
        """Film a text. It takes minutes, in which the server is silent.

        Args:
            prompt: What to film.
            model: Which model. Default: ``sora-2``, or the first the server has.
            provider: ``openai``, ``together``, ``gemini`` or ``byteplus``.
            seconds: Length; the server takes the nearest the model knows, silently.
            size: Such as ``720x1280`` or ``720p``; the same.
            width: Pixels (some vendors).
            height: Pixels (some vendors).
            fps: Pictures a second (some vendors).
            steps: More is finer (some vendors).
            guidance_scale: How closely it follows the prompt (some vendors).
            seed: Repeats a film (some vendors).
            negative_prompt: What to leave out (some vendors).
            generate_audio: With sound (some vendors).
            output_format: Such as ``MP4`` (some vendors).
            output_quality: How good (some vendors).
            input_reference: A picture to start from.
            last_frame: A picture to end with (Gemini).
            reference_images: One or more pictures of what shall be in it (some vendors).
            frame_images: Pictures at certain times, in the vendor's own form (Together).
            metadata: More in the vendor's own words (Together).
            no_extra_params: Send the vendor nothing that was not asked for (Together).
            puter_output_path: Save it in your Puter as well. OpenAI's Sora needs it: its films
                cannot be fetched from the answer, and are read from there.
            test_mode: A sample film, free. Default False.
            timeout: Seconds of silence allowed. Default: 900 or the client's, whichever is more.
            extra: More arguments for the server, merged in last.

        Raises:
            PuterInputError: An argument is wrong; nothing was sent.
            PuterResponseError: It is one of Sora's, without ``puter_output_path``.
            PuterError: Anything else, as for ``chat()``.

        Examples:
            >>> ai.txt2vid("Waves", "veo-3.1-fast").save("waves")  # doctest: +SKIP
            PosixPath('waves.mp4')
        """
        return self._run(films.txt2vid, **_media_options(locals()))

    async def async_txt2vid(
        self,
        prompt: str,
        model: str | None = None,
        *,
        provider: str | None = None,
        seconds: float | None = None,
        size: str | None = None,
        width: int | None = None,
        height: int | None = None,
        fps: int | None = None,
        steps: int | None = None,
        guidance_scale: float | None = None,
        seed: int | None = None,
        negative_prompt: str | None = None,
        generate_audio: bool | None = None,
        output_format: str | None = None,
        output_quality: int | None = None,
        input_reference: Source | None = None,
        last_frame: Source | None = None,
        reference_images: Source | Sequence[Source] | None = None,
        frame_images: Sequence[Any] | None = None,
        metadata: Mapping[str, Any] | None = None,
        no_extra_params: bool | None = None,
        puter_output_path: str | None = None,
        test_mode: bool = False,
        timeout: float | None = None,
        extra: dict[str, Any] | None = None,
    ) -> Video:
        return await self._async_run(films.txt2vid, **_media_options(locals()))

    def list_voices(
        self, provider: str | None = None, *, engine: str | None = None
    ) -> list[dict[str, Any]]:
        """Voices for ``txt2speech()``: dicts with ``id``, ``name``, ``provider`` and more. Free.

        Args:
            provider: One provider, or ``"all"``. Default: Polly, or the server's first.
            engine: Those of one engine (Polly).

        Raises:
            PuterError: The server does not know the provider, or did not answer.

        Examples:
            >>> [one["id"] for one in ai.list_voices("openai")]  # doctest: +SKIP
            ['alloy', 'ash', ...]
        """
        return self._run(speech.voices, "list_voices", provider=provider, engine=engine)

    async def async_list_voices(
        self, provider: str | None = None, *, engine: str | None = None
    ) -> list[dict[str, Any]]:
        return await self._async_run(speech.voices, "list_voices", provider=provider, engine=engine)

    def list_engines(self, provider: str | None = None) -> list[dict[str, Any]]:
        """Engines for ``txt2speech()``: dicts with ``id``, ``name``, price and more. Free.

        Args:
            provider: One provider, or ``"all"``. Default: Polly, or the server's first.

        Raises:
            PuterError: The server does not know the provider, or did not answer.

        Examples:
            >>> [one["id"] for one in ai.list_engines("openai")]  # doctest: +SKIP
            ['tts-1', ...]
        """
        return self._run(speech.voices, "list_engines", provider=provider)

    async def async_list_engines(self, provider: str | None = None) -> list[dict[str, Any]]:
        return await self._async_run(speech.voices, "list_engines", provider=provider)


_CAMEL = {
    "include_image_base64": "includeImageBase64",
    "image_limit": "imageLimit",
    "image_min_size": "imageMinSize",
    "bbox_annotation_format": "bboxAnnotationFormat",
    "document_annotation_format": "documentAnnotationFormat",
}


def _ocr_options(options: dict[str, Any]) -> dict[str, Any]:
    """OCR is the one driver that wants camelCase."""
    return {_CAMEL.get(name, name): value for name, value in _media_options(options).items()}


share_docstrings(MediaDoors)
