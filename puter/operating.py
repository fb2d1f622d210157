"""The doors of everything but chat: media, models, the account, files and raw calls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeVar

from puter.catalogue import CostEstimate, Model, ModelList, estimate, read_model
from puter.exceptions import PuterInputError
from puter.operations import account, files, films, models, pictures, raw, speech
from puter.options import check_timeout

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from puter.account import AccountUsage
    from puter.flow import Flow
    from puter.media import Audio, Image, Video
    from puter.models import ModelRegistry
    from puter.results import OcrText, Transcript
    from puter.sources import PuterFile, Source

T = TypeVar("T")
Kind = Literal["chat", "image", "video"]


class _Runs:
    """What the doors below stand on."""

    if TYPE_CHECKING:
        _registry: ModelRegistry
        _catalogues: dict[str, ModelList]

        @property
        def current_model(self) -> str: ...
        def _run(self, operation: Callable[..., Flow[T]], *args: Any, **kwargs: Any) -> T: ...
        async def _async_run(
            self, operation: Callable[..., Flow[T]], *args: Any, **kwargs: Any
        ) -> T: ...


def _media_options(options: dict[str, Any]) -> dict[str, Any]:
    """The arguments of a media door, checked where they are alike."""
    options.pop("self")
    check_timeout("timeout", options["timeout"])
    if not isinstance(options["test_mode"], bool):
        raise PuterInputError(f"test_mode must be True or False, not {options['test_mode']!r}")
    extra = options["extra"]
    if extra is not None and not isinstance(extra, dict):
        raise PuterInputError(f"extra must be a dict, not {type(extra).__name__}")
    return options


class MediaDoors(_Runs):
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
            input_images: Pictures to start from (see :func:`puter.sources.load`).
            negative_prompt: What to leave out (some vendors).
            seed: Repeats a picture (some vendors).
            steps: More is finer (some vendors).
            n: How many (some vendors; one comes back).
            puter_output_path: Save it in your Puter as well: absolute, or under ``~/``.
            test_mode: A sample picture, free. Default False.
            timeout: Seconds of silence allowed. Default: the client's.
            extra: More arguments for the server, merged in last.

        Raises:
            PuterInputError: An argument is wrong; nothing was sent.
            PuterModelNotFoundError: The server does not know the model.
            PuterInsufficientFundsError: The allowance does not reach.
            PuterUpstreamError: The vendor failed.
            PuterError: Anything else, as for :meth:`chat`.

        Example:
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
            source: A picture or PDF, 10 MiB at most (see :func:`puter.sources.load`).
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
            PuterError: Anything else, as for :meth:`chat`.

        Example:
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
            voice: Which voice; see :meth:`list_voices`.
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
            PuterError: Anything else, as for :meth:`chat`.

        Example:
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
        diarize: bool | None = None,
        test_mode: bool = False,
        timeout: float | None = None,
        extra: dict[str, Any] | None = None,
    ) -> Transcript:
        """Write down what is said.

        Args:
            audio: Sound, 25 MiB at most (Puter backend; see :func:`puter.sources.load`).
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
            diarize: Tell the speakers apart (xAI).
            test_mode: A sample answer, free. Default False.
            timeout: Seconds of silence allowed. Default: the client's.
            extra: More arguments for the server, merged in last.

        Raises:
            PuterInputError: The sound cannot be used; nothing was sent.
            PuterError: Anything else, as for :meth:`chat`.

        Example:
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
        diarize: bool | None = None,
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
            PuterError: Anything else, as for :meth:`chat`.

        Example:
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
        seed: int | None = None,
        negative_prompt: str | None = None,
        generate_audio: bool | None = None,
        input_reference: Source | None = None,
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
            seed: Repeats a film (some vendors).
            negative_prompt: What to leave out (some vendors).
            generate_audio: With sound (some vendors).
            input_reference: A picture to start from.
            puter_output_path: Save it in your Puter as well. OpenAI's Sora needs it: its films
                cannot be fetched from the answer.
            test_mode: A sample film, free. Default False.
            timeout: Seconds of silence allowed. Default: 900 or the client's, whichever is more.
            extra: More arguments for the server, merged in last.

        Raises:
            PuterInputError: An argument is wrong; nothing was sent.
            PuterResponseError: The film is of the kind that only ``puter_output_path`` saves.
            PuterError: Anything else, as for :meth:`chat`.

        Example:
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
        seed: int | None = None,
        negative_prompt: str | None = None,
        generate_audio: bool | None = None,
        input_reference: Source | None = None,
        puter_output_path: str | None = None,
        test_mode: bool = False,
        timeout: float | None = None,
        extra: dict[str, Any] | None = None,
    ) -> Video:
        return await self._async_run(films.txt2vid, **_media_options(locals()))

    def list_voices(
        self, provider: str | None = None, *, engine: str | None = None
    ) -> list[dict[str, Any]]:
        """Voices for :meth:`txt2speech`: dicts with ``id``, ``name``, ``provider`` and more. Free.

        Args:
            provider: One provider, or ``"all"``. Default: Polly, or the server's first.
            engine: Those of one engine (Polly).

        Raises:
            PuterError: The server does not know the provider, or did not answer.

        Example:
            >>> [one["id"] for one in ai.list_voices("openai")]  # doctest: +SKIP
            ['alloy', 'ash', ...]
        """
        return self._run(speech.voices, "list_voices", provider=provider, engine=engine)

    async def async_list_voices(
        self, provider: str | None = None, *, engine: str | None = None
    ) -> list[dict[str, Any]]:
        return await self._async_run(speech.voices, "list_voices", provider=provider, engine=engine)

    def list_engines(self, provider: str | None = None) -> list[dict[str, Any]]:
        """Engines for :meth:`txt2speech`: dicts with ``id``, ``name``, price and more. Free.

        Args:
            provider: One provider, or ``"all"``. Default: Polly, or the server's first.

        Raises:
            PuterError: The server does not know the provider, or did not answer.

        Example:
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


class ModelDoors(_Runs):
    """The live catalogue."""

    def list_models(
        self, provider: str | None = None, *, kind: Kind = "chat", refresh: bool = False
    ) -> ModelList:
        """The server's models with prices and abilities. Free; no token needed.

        Args:
            provider: Only those of one provider, such as ``"claude"``.
            kind: ``chat`` (default), ``image`` or ``video``.
            refresh: Ask again; otherwise the answer is kept for the life of the client.

        Returns:
            A list of :class:`~puter.catalogue.Model` with ``find(...)`` and ``cheapest(...)``.

        Raises:
            PuterInputError: There is no such kind.
            PuterAPIError: The server failed or did not answer.

        Example:
            >>> ai.list_models().cheapest(vision=True, tools=True).id  # doctest: +SKIP
            'gpt-5-nano'
        """
        if kind not in models.KINDS:
            raise PuterInputError(f"kind must be one of {', '.join(models.KINDS)}, not {kind!r}")
        if refresh or kind not in self._catalogues:
            self._catalogues[kind] = _read(self._run(models.model_list, kind), kind)
        return _of(self._catalogues[kind], provider)

    async def async_list_models(
        self, provider: str | None = None, *, kind: Kind = "chat", refresh: bool = False
    ) -> ModelList:
        if kind not in models.KINDS:
            raise PuterInputError(f"kind must be one of {', '.join(models.KINDS)}, not {kind!r}")
        if refresh or kind not in self._catalogues:
            self._catalogues[kind] = _read(await self._async_run(models.model_list, kind), kind)
        return _of(self._catalogues[kind], provider)

    def list_model_providers(self, *, kind: Kind = "chat") -> list[str]:
        """The providers in the server's catalogue, sorted. Free; no token needed.

        Args:
            kind: ``chat`` (default), ``image`` or ``video``.

        Raises:
            PuterAPIError: The server failed or did not answer.

        Example:
            >>> ai.list_model_providers()  # doctest: +SKIP
            ['azure-openai', 'claude', ...]
        """
        return sorted({one.provider for one in self.list_models(kind=kind)})

    async def async_list_model_providers(self, *, kind: Kind = "chat") -> list[str]:
        return sorted({one.provider for one in await self.async_list_models(kind=kind)})

    def estimate_cost(
        self, prompt: str, model: str | None = None, *, output_tokens: int = 500
    ) -> CostEstimate:
        """An estimate of what a chat would cost, from list prices and without network.

        The text counts as a quarter of a token a character; the server's own count will differ.

        Args:
            prompt: What would be said, history included.
            model: Which model. Default: ``current_model``.
            output_tokens: How long the answer is assumed to be. Default 500.

        Raises:
            PuterInputError: The prompt is no str.

        Example:
            >>> print(ai.estimate_cost("Hello!", "gpt-4.1"))  # doctest: +SKIP
            about 0.00401 USD
        """
        name = self._registry.resolve(model or self.current_model)
        live = next((m for m in self._catalogues.get("chat", ()) if m.id == name), None)
        entry = self._registry.entry(name)
        known = live or (read_model(entry, "chat") if entry else Model(name, ""))
        return estimate(known, prompt, output_tokens)


def _read(entries: list[dict[str, Any]], kind: str) -> ModelList:
    return ModelList(read_model(entry, kind) for entry in entries)


def _of(listed: ModelList, provider: str | None) -> ModelList:
    return ModelList(one for one in listed if provider is None or one.provider == provider)


class AccountDoors(_Runs):
    """What the account spent, and tokens for programs."""

    def account_usage(self) -> AccountUsage:
        """What the account spent this month and has left, in US dollars. Free.

        Raises:
            PuterAuthError: Not signed in, or the token is no longer good.
            PuterAPIError: The server failed or did not answer.

        Example:
            >>> ai.account_usage().remaining  # doctest: +SKIP
            Decimal('0.4983')
        """
        return self._run(account.account_usage)

    async def async_account_usage(self) -> AccountUsage:
        return await self._async_run(account.account_usage)

    def create_api_token(
        self, label: str | None = None, expires_in: int | str | None = None
    ) -> str:
        """Make a token with full access, for a program to use instead of the password.

        Needs the session that :meth:`login` gives. Keep it as you would a password.

        Args:
            label: A name for it, 64 characters at most.
            expires_in: Seconds, or a span such as ``"30d"``. Default: never.

        Raises:
            PuterInputError: An argument is wrong.
            PuterPermissionError: API tokens may not make others; sign in first.
            PuterRateLimitError: More than 20 in an hour (Puter backend).

        Example:
            >>> token = ai.create_api_token("nightly job", "30d")  # doctest: +SKIP
        """
        return self._run(account.create_api_token, label, expires_in)

    async def async_create_api_token(
        self, label: str | None = None, expires_in: int | str | None = None
    ) -> str:
        return await self._async_run(account.create_api_token, label, expires_in)

    def revoke_api_token(self, token: str) -> None:
        """Make a token worthless. Needs the session that :meth:`login` gives.

        Args:
            token: The token, or its id.

        Raises:
            PuterPermissionError: An API token may not do this; sign in first.
            PuterAPIError: The server failed or did not answer.

        Example:
            >>> ai.revoke_api_token(token)  # doctest: +SKIP
        """
        self._run(account.revoke_api_token, token)

    async def async_revoke_api_token(self, token: str) -> None:
        await self._async_run(account.revoke_api_token, token)


class FileDoors(_Runs):
    """Files in the user's Puter, and raw calls."""

    def upload(
        self,
        source: Source,
        path: str | PuterFile | None = None,
        *,
        overwrite: bool = False,
    ) -> PuterFile:
        """Put a file into your Puter.

        Args:
            source: A path on this machine, bytes, an open file and the like; 37 MiB at most.
            path: Where to: absolute, or under ``~/``; a folder ends with ``/``. Default:
                ``~/Documents/`` and the file's own name.
            overwrite: Replace what is there. Default False.

        Returns:
            The file, usable in ``files=`` and ``images=``.

        Raises:
            PuterInputError: The source or the path cannot be used; nothing was sent.
            PuterBadRequestError: There is such a file already.
            PuterError: Anything else the server refused.

        Example:
            >>> cat = ai.upload("cat.jpg")  # doctest: +SKIP
            >>> ai.chat("What is this?", "claude-haiku-4-5", images=cat)  # doctest: +SKIP
        """
        return self._run(files.upload, source, path, overwrite=overwrite)

    async def async_upload(
        self,
        source: Source,
        path: str | PuterFile | None = None,
        *,
        overwrite: bool = False,
    ) -> PuterFile:
        return await self._async_run(files.upload, source, path, overwrite=overwrite)

    def read_file(self, path: str | PuterFile) -> bytes:
        """The bytes of a file in your Puter.

        Raises:
            PuterNotFoundError: There is none, or the token may not see it.

        Example:
            >>> ai.read_file("~/Documents/notes.txt")  # doctest: +SKIP
        """
        return self._run(files.read_file, path)

    async def async_read_file(self, path: str | PuterFile) -> bytes:
        return await self._async_run(files.read_file, path)

    def stat_file(self, path: str | PuterFile) -> PuterFile:
        """What your Puter says of a file: size, type and more in ``.raw``.

        Raises:
            PuterNotFoundError: There is none, or the token may not see it.

        Example:
            >>> ai.stat_file("~/Documents/notes.txt").size  # doctest: +SKIP
            18
        """
        return self._run(files.stat_file, path)

    async def async_stat_file(self, path: str | PuterFile) -> PuterFile:
        return await self._async_run(files.stat_file, path)

    def list_files(self, path: str | PuterFile = "~/") -> list[PuterFile]:
        """What is in a folder of your Puter. Default: the home folder.

        Raises:
            PuterNotFoundError: There is no such folder, or the token may not see it.

        Example:
            >>> [one.name for one in ai.list_files()]  # doctest: +SKIP
            ['Desktop', 'Documents', ...]
        """
        return self._run(files.list_files, path)

    async def async_list_files(self, path: str | PuterFile = "~/") -> list[PuterFile]:
        return await self._async_run(files.list_files, path)

    def delete_file(self, path: str | PuterFile, *, recursive: bool = False) -> None:
        """Delete a file of your Puter, or with ``recursive=True`` a folder.

        Raises:
            PuterNotFoundError: There is none, or the token may not see it.

        Example:
            >>> ai.delete_file("~/Documents/notes.txt")  # doctest: +SKIP
        """
        self._run(files.delete_file, path, recursive=recursive)

    async def async_delete_file(self, path: str | PuterFile, *, recursive: bool = False) -> None:
        await self._async_run(files.delete_file, path, recursive=recursive)

    def call(
        self,
        interface: str,
        method: str,
        args: dict[str, Any] | None = None,
        *,
        driver: str | None = None,
    ) -> Any:
        """Call any driver of Puter's, for what this client has no method for.

        It counts as a call that may be billed, so it is never repeated when its outcome is unknown.

        Args:
            interface: Such as ``"puter-kvstore"``.
            method: Such as ``"set"``.
            args: Its arguments.
            driver: Which driver. Default: the interface's own.

        Returns:
            The ``result`` of an envelope (None when there is none), a list of dicts for a stream of
            lines, a :class:`~puter.media.Media` for anything else.

        Raises:
            PuterNotFoundError: There is no such interface, driver or method.
            PuterError: Anything else, as for :meth:`chat`.

        Example:
            >>> ai.call("puter-kvstore", "set", {"key": "a", "value": 1})  # doctest: +SKIP
            True
        """
        return self._run(raw.raw_call, interface, method, args, driver)

    async def async_call(
        self,
        interface: str,
        method: str,
        args: dict[str, Any] | None = None,
        *,
        driver: str | None = None,
    ) -> Any:
        return await self._async_run(raw.raw_call, interface, method, args, driver)


def share_docstrings(*classes: type) -> None:
    """One docstring serves both doors."""
    for cls in classes:
        for name, method in vars(cls).copy().items():
            twin = vars(cls).get(f"async_{name}")
            if twin is not None:
                twin.__doc__ = method.__doc__


share_docstrings(MediaDoors, ModelDoors, AccountDoors, FileDoors)
