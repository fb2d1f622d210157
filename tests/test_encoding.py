"""Any cut of an encoded body gives the same content; no bytes make it grow beyond a piece."""

from __future__ import annotations

import contextlib
import gzip
import tracemalloc
import zlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from puter.wire.encoding import PIECE, ContentError, Decoder


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


def two_members(data: bytes) -> bytes:
    half = len(data) // 2
    return gzip.compress(data[:half]) + gzip.compress(b"") + gzip.compress(data[half:])


def padded(data: bytes) -> bytes:
    return gzip.compress(data) + bytes(512)


FORMS: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "plain": ("", bytes),
    "identity": ("identity", bytes),
    "gzip": ("gzip", gzip.compress),
    "gzip in capitals": ("GZIP, identity", gzip.compress),
    "x-gzip": ("x-gzip", gzip.compress),
    "gzip of many members": ("gzip", two_members),
    "gzip with padding": ("gzip", padded),
    "deflate": ("deflate", zlib.compress),
    "raw deflate": ("deflate", raw_deflate),
}
FORM = pytest.mark.parametrize("form", FORMS)


def decode(coding: str, *pieces: bytes) -> bytes:
    decoder = Decoder(coding)
    content = [one for piece in pieces for one in decoder.decode(piece)]
    decoder.end()
    return b"".join(content)


@FORM
@given(data=st.binary(max_size=400), size=st.integers(1, 50))
def test_any_cut_gives_the_content(form: str, data: bytes, size: int) -> None:
    coding, encode = FORMS[form]
    sent = encode(data)
    assert decode(coding, sent) == data
    assert decode(coding, *(sent[n : n + size] for n in range(0, len(sent), size))) == data


COMPRESSED = pytest.mark.parametrize("form", ["gzip", "x-gzip", "deflate", "raw deflate"])


@COMPRESSED
def test_what_ends_early_is_cut(form: str) -> None:
    coding, encode = FORMS[form]
    sent = encode(bytes(range(256)) * 9)
    for length in range(1, len(sent)):
        with pytest.raises(ContentError, match="cut off"):
            decode(coding, sent[:length])


def test_a_second_member_cut_is_cut() -> None:
    second = gzip.compress(b"there")
    for length in range(1, len(second)):
        with pytest.raises(ContentError, match="cut off"):
            decode("gzip", gzip.compress(b"Hello") + second[:length])
    assert decode("gzip", gzip.compress(b"Hello") + b"\0") == b"Hello"


def test_no_body_is_not_cut() -> None:
    assert decode("gzip") == decode("deflate") == b""


@pytest.mark.parametrize("coding", ["br", "gzip, gzip", "gzip, br", "zstd", "\N{SNOWMAN}" * 999])
def test_other_codings_are_refused(coding: str) -> None:
    with pytest.raises(ContentError, match="Content-Encoding"):
        Decoder(coding)


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
@given(data=st.binary(min_size=2))
def test_garbage_is_content_or_our_error(coding: str, data: bytes) -> None:
    with contextlib.suppress(ContentError):
        decode(coding, data)


@pytest.mark.parametrize("extra", [-1, 0, 1])
@pytest.mark.parametrize("form", ["gzip", "deflate", "raw deflate"])
def test_content_as_large_as_a_piece_comes_whole(form: str, extra: int) -> None:
    coding, encode = FORMS[form]
    data = bytes(2 * PIECE + extra)
    assert decode(coding, encode(data)) == data
    assert decode(coding, *(bytes((one,)) for one in encode(data))) == data


@pytest.mark.parametrize("form", ["gzip", "deflate", "raw deflate"])
def test_a_bomb_comes_in_pieces(form: str) -> None:
    coding, encode = FORMS[form]
    bomb = encode(bytes(100 * PIECE))
    tracemalloc.start()
    try:
        sizes = [len(piece) for piece in Decoder(coding).decode(bomb)]
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert sum(sizes) == 100 * PIECE
    assert max(sizes) <= PIECE
    assert peak < 6 * PIECE


def test_empty_members_yield_nothing() -> None:
    assert list(Decoder("gzip").decode(gzip.compress(b"") * 3000)) == []


def test_what_comes_after_padding_is_padding_too() -> None:
    member = gzip.compress(b"one")
    assert decode("gzip", member + b"\0\0", member) == decode("gzip", member + b"\0\0" + member)
