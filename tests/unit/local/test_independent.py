import pytest

from deploy.local.console import PlatformError
from deploy.local.independent import byte_range, flip_one_byte

SIGNED = (
    b"%PDF-1.7 1 0 obj << /Type /ObjStm >> stream\n--------------------endstream "
    b"2 0 obj << >> stream\nabcdefghijkendstream 3 0 obj << >> stream\nxyzendstream "
    b"/ByteRange [0 180 190 30] <00000000> second piece that is signed"
)


def test_the_changed_byte_is_within_the_signed_range_and_the_only_one() -> None:
    changed, offset = flip_one_byte(SIGNED)
    start, length, _, _ = byte_range(SIGNED)
    assert start <= offset < start + length
    assert SIGNED[offset : offset + 1] == b"f", "the middle of the longest stream that holds no structure"
    assert [index for index, pair in enumerate(zip(SIGNED, changed, strict=True)) if pair[0] != pair[1]] == [
        offset
    ]


def test_a_file_without_a_signature_is_told_apart() -> None:
    with pytest.raises(PlatformError, match="not signed"):
        byte_range(b"%PDF-1.7 nothing")
