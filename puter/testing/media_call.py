"""What all media calls share: their vendors, scripted results, bills and failures."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from puter.testing.exchange import DriverCall, pause
from puter.testing.media_files import MediaInput
from puter.testing.metering import Bill
from puter.testing.recorded import recorded
from puter.testing.refusals import ApiError, bad_request
from puter.testing.replies import Fault, FaultRaised, UpstreamFailure, upstream_error


@dataclass(frozen=True)
class MediaCall:
    """A valid media call, as scripted callables get it and `RecordedRequest.media` keeps it.

    Attributes:
        interface: for example ``puter-tts``.
        method: for example ``synthesize``.
        args: the arguments as sent.
        user: name of the calling user.
        provider: who plays it.
        model: the id of the model that plays it.
        text: the prompt, or the text to be said.
        inputs: images, sounds and documents that came along.
        chosen: what the server made of the options: sizes, quality, voice, format.
    """

    interface: str
    method: str
    args: Mapping[str, Any]
    user: str
    provider: str
    model: str
    text: str = ""
    inputs: Sequence[MediaInput] = ()
    chosen: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, call: DriverCall, provider: str, model: object, **more: Any) -> MediaCall:
        who = (call.interface, call.method, call.args, call.user.username)
        return cls(*who, provider, str(model), **more)


@dataclass(frozen=True)
class AudioBody:
    """Audio of any size, made while it is sent and never held in memory.

    Args:
        size: bytes.
        content_type: the header of that name.
        pace: seconds between pieces of about 64 KiB.
    """

    size: int
    content_type: str = "audio/mpeg"
    pace: float = 0.0


Result: TypeAlias = "bytes | str | Mapping[str, Any] | AudioBody"
MediaResult: TypeAlias = "Result | Fault"
MediaResponder: TypeAlias = "Callable[[MediaCall], MediaResult | Awaitable[MediaResult]]"


async def ask_vendor(
    call: DriverCall,
    media: MediaCall,
    bill: Bill,
    *,
    otherwise: Result,
    refusal: str = "Insufficient credits",
    least: float | None = None,
) -> Result:
    """The scripted result of a call that passed all checks, ``otherwise`` when there is none.

    ``least`` are the micro-cents the user must have left, by default what the call costs.
    Raises ApiError or FaultRaised.
    """
    backend = call.backend
    call.exchange.record.media = media
    if (bill.cost if least is None else least) > backend.metering.remaining(call.user):
        raise ApiError(402, refusal, "insufficient_funds")
    result = await backend.script.media_answer(media)
    if isinstance(result, UpstreamFailure):
        await pause(backend.latency + result.delay)
        raise _vendor_error(result, media.provider, newer=backend.newer)
    if isinstance(result, Fault):
        if not result.ran:
            await pause(backend.latency)
            raise FaultRaised(result)
        call.exchange.fault, result = result, None
    if not backend.newer:  # whoever leaves early pays for all of it
        _charge(call, bill)
    await pause(backend.latency)
    if backend.newer:
        _charge(call, bill)
    return otherwise if result is None else result


def _charge(call: DriverCall, bill: Bill) -> None:
    call.backend.metering.charge(call.user, bill)
    call.exchange.record.ran = True


def _vendor_error(failure: UpstreamFailure, provider: str, *, newer: bool) -> ApiError:
    """A vendor's failure as media calls report it."""
    if failure.code == "upstream_failed":  # the vendor took the job, and the job failed
        return ApiError(502 if newer else 400, failure.message, failure.code, provider=provider)
    if failure.code == "moderation_flagged":
        if newer and provider == "gemini-video-generation":
            return ApiError(400, failure.message, "disallowed_value")
        return bad_request(failure.message, errorCode=failure.code)
    if newer and failure.status == 504:
        return ApiError(504, failure.message, "upstream_timeout")
    told, extra = failure.message, {"upstreamCode": failure.code} if failure.code else {}
    if provider == "elevenlabs":
        told, extra = f"ElevenLabs request failed (status {failure.status})", {"provider": provider}
    status, message, code = upstream_error(failure.status, told)
    message = told if failure.status < 500 else message
    return ApiError(status, message, code, upstreamStatus=failure.status, **extra)


def vendor_named(call: DriverCall, service: str, *others: object) -> str | None:
    """Whom ``provider``, one of ``others`` or the driver names. Raises ApiError."""
    known, given = recorded("vendors")[service], call.args.get("provider")
    words = (str(word).strip().lower() for word in (given, *others, call.asked))
    found = [known["names"].get(word) for word in words]
    if given and found[0] is None:
        raise bad_request(known["unknown"].format(given))
    return next(filter(None, found), None)


def require_vendor(call: DriverCall, service: str, vendor: str) -> None:
    """Raises ApiError 500 for a vendor that is not set up."""
    if vendor not in call.backend.vendors:
        raise ApiError(500, recorded("vendors")[service]["missing"][vendor], "internal_error")
