"""Streams of cross-references and of objects, by every filter that they may have (ISO 32000-2 7.4)."""

from __future__ import annotations

import random
import time
import zlib
from collections.abc import Callable

import pytest

from services.verifier.domain import Code, Verdict
from services.verifier.formats import pdf_filters, pdf_syntax
from services.verifier.formats.pdf_filters import Budget
from services.verifier.formats.pdf_syntax import Meter, PdfError, PdfLimit
from tests.support.pdf_bombs import by_stream, lzw, lzw_zeros, runs, stream
from tests.unit.verifier.conftest import Verify

SECONDS = 10
EXAMPLE = bytes.fromhex("800B6050220C0C8501")
"""Of ISO 32000-2 7.4.4.2."""


def decoded(data: bytes, entries: bytes) -> bytes:
    """The data without the filters that the entries of the stream's dictionary name."""
    dictionary, _ = pdf_syntax.parse(b"<<%s>>" % entries, 0, Meter())
    assert isinstance(dictionary, dict)
    return pdf_filters.decoded(dictionary, data, Budget())


def repeated(data: bytes) -> bytes:
    """By run lengths: one octet repeated, or one copied."""
    return b"".join(b"\xff%c" % octet if octet % 2 else b"\x00%c" % octet for octet in data) + b"\x80"


def differences(data: bytes, columns: int) -> bytes:
    """Each octet as the difference to the one before it in its row."""
    return bytes((octet - (data[at - 1] if at % columns else 0)) & 0xFF for at, octet in enumerate(data))


def test_the_standards_example_of_lzw() -> None:
    assert decoded(EXAMPLE, b"/Filter/LZWDecode") == b"-----A---B"
    assert decoded(EXAMPLE, b"/Filter/LZW/DecodeParms<</EarlyChange 1>>") == b"-----A---B"
    assert decoded(EXAMPLE, b"/Filter/LZWDecode/DecodeParms<</EarlyChange 0>>") == b"-----A---B"


@pytest.mark.parametrize("size", [0, 1, 5, 300, 5_000, 100_000])
def test_what_was_packed_is_unpacked(size: int) -> None:
    chance = random.Random(size)  # noqa: S311 - the same octets each time
    for data in (bytes(size), chance.randbytes(size), bytes(chance.choice(b"ab") for _ in range(size))):
        assert decoded(lzw(data), b"/Filter/LZWDecode") == data
        assert decoded(repeated(data), b"/Filter/RunLengthDecode") == b"".join(
            bytes((octet,)) * (2 if octet % 2 else 1) for octet in data
        )
        columns = b"/Filter[/FlateDecode]/DecodeParms[<</Predictor 2/Columns 5>>]"
        whole = data[: size - size % 5]
        assert decoded(zlib.compress(differences(whole, 5)), columns) == whole


def test_what_repeats_for_long_is_unpacked() -> None:
    assert decoded(lzw_zeros(1), b"/Filter/LZWDecode") == bytes(1 + sum(range(2, 3838)))


def test_run_lengths_copy_and_repeat() -> None:
    assert decoded(b"\x02abc\xfed\x00e\x80x", b"/Filter/RL") == b"abcddde"


DAMAGED = {
    "LZW that is cut off": (EXAMPLE[:-2], b"/Filter/LZWDecode"),
    "LZW of nothing": (b"", b"/Filter/LZWDecode"),
    "LZW with a code that is not there yet": (bytes.fromhex("80 40C0 80".replace(" ", "")), b"/Filter/LZWDecode"),
    "LZW with more codes than there are": (b"\x80" + bytes(9000), b"/Filter/LZWDecode"),
    "LZW that changes neither early nor late": (EXAMPLE, b"/Filter/LZWDecode/DecodeParms<</EarlyChange 2>>"),
    "run lengths without an end": (b"\x02abc", b"/Filter/RunLengthDecode"),
    "a run that is cut off": (b"\x09abc\x80", b"/Filter/RunLengthDecode"),
    "a repetition that is cut off": (b"\xff", b"/Filter/RunLengthDecode"),
    "a predictor that there is not": (zlib.compress(b"abc"), b"/Filter/FlateDecode/DecodeParms<</Predictor 3>>"),
    "differences of colours": (zlib.compress(b"abc"), b"/Filter/FlateDecode/DecodeParms<</Predictor 2/Colors 3>>"),
}  # fmt: skip


@pytest.mark.parametrize("what", DAMAGED)
def test_what_is_damaged_is_not_guessed_at(what: str) -> None:
    with pytest.raises(PdfError) as caught:
        decoded(*DAMAGED[what])
    assert not isinstance(caught.value, PdfLimit)


LARGE: dict[str, Callable[[], tuple[bytes, bytes]]] = {
    "LZW": lambda: (lzw_zeros(2), b"/Filter/LZWDecode"),
    "much LZW": lambda: (bytes(2 << 20), b"/Filter/LZWDecode"),
    "run lengths": lambda: (runs(9 << 20), b"/Filter/RunLengthDecode"),
    "many run lengths": lambda: (b"\x00a" * (1 << 20), b"/Filter/RunLengthDecode"),
    "run lengths in what inflates": lambda: (
        zlib.compress(b"\x81a" * (2 << 20)), b"/Filter[/FlateDecode/RunLengthDecode]",
    ),
    "differences": lambda: (
        zlib.compress(bytes(9 << 20)), b"/Filter/FlateDecode/DecodeParms<</Predictor 2/Columns 4>>",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", LARGE)
def test_what_unpacks_to_too_much_is_a_limit(what: str) -> None:
    data, entries = LARGE[what]()
    started = time.process_time()
    with pytest.raises(PdfLimit):
        decoded(data, entries)
    assert time.process_time() - started < SECONDS


ROWS = b"".join(b"\x01" + at.to_bytes(2, "big") + b"\0" for at in (9, 68))
PACKED = {
    "LZW": (lzw(b"\0\0\0\0" + ROWS), b"/Filter/LZWDecode"),
    "run lengths": (b"\x0b\0\0\0\0" + ROWS + b"\x80", b"/Filter/RunLengthDecode"),
    "LZW of differences": (
        lzw(differences(b"\0\0\0\0" + ROWS, 4)), b"/Filter/LZWDecode/DecodeParms<</Predictor 2/Columns 4>>",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", PACKED)
def test_cross_references_by_any_filter_are_followed(verify: Verify, what: str) -> None:
    data, entries = PACKED[what]
    report = verify(by_stream(data, entries + b"/Size 3/W[1 2 1]"))
    assert report.verdict is Verdict.UNSIGNED
    damaged = verify(by_stream(data[:-2], entries + b"/Size 3/W[1 2 1]"))
    assert [notice.code for notice in damaged.notices] == [Code.DOC_MALFORMED]


def test_objects_in_a_stream_by_lzw_are_read(verify: Verify) -> None:
    """The catalog names a form that is malformed: it has been read."""
    members = b"1 0 <</Type/Catalog/AcroForm 7>>"
    container = b"3 0 obj\n%s\nendobj\n" % stream(lzw(members), b"/Type/ObjStm/N 1/First 4/Filter/LZWDecode")
    head = b"%PDF-1.7\n" + container
    rows = b"".join(
        bytes((kind,)) + where.to_bytes(2, "big") + b"\0"
        for kind, where in ((0, 0), (2, 3), (0, 0), (1, 9), (1, len(head)))
    )
    table = stream(rows, b"/Type/XRef/Size 5/W[1 2 1]/Root 1 0 R")
    report = verify(head + b"4 0 obj\n%s\nendobj\nstartxref\n%d\n%%%%EOF\n" % (table, len(head)))
    assert "the form" in report.notices[0].detail
