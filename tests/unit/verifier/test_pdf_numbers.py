"""A number may be written whole or real where it is a measure (ISO 32000-2 7.3.3), and nowhere else."""

from __future__ import annotations

import pytest

from services.verifier.domain import Code, Verdict
from tests.support.pdf_signatures import Signatures
from tests.unit.verifier.authority import Hierarchy
from tests.unit.verifier.conftest import Verify
from tests.unit.verifier.test_pdf_revisions import stream, update

PAGE = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Rotate 90/Contents 21 0 R/Resources<</Font<</F 20 0 R>>>>>>"
FONT = b"<</Type/Font/Subtype/Type1/BaseFont/Times-Roman/FirstChar 65/Widths[500 600]/Encoding<</Differences[65/B/A]>>>>"
OBJECTS = {3: PAGE, 20: FONT, 21: stream(b"BT /F 9 Tf (AB) Tj ET")}


def changed(number: int, old: bytes, new: bytes) -> dict[int, bytes]:
    """An object with something else in it."""
    assert old in OBJECTS[number]
    return {number: OBJECTS[number].replace(old, new)}


SAME = {
    "a page's size": changed(3, b"595 842", b"595.0 842.00"),
    "a page's size with a sign": changed(3, b"[0 0", b"[0.0 -0.0"),
    "widths of a font": changed(20, b"500 600", b"500.0 600."),
}
OTHER = {
    "a page that is turned": changed(3, b"Rotate 90", b"Rotate 90.0"),
    "a larger page": changed(3, b"595 842", b"595.001 842"),
    "true for a number": changed(3, b"[0 0", b"[0 false"),
    "characters of a font": changed(20, b"[65", b"[65.0"),
    "the first character of a font": changed(20, b"FirstChar 65", b"FirstChar 65.0"),
    "a width of a font": changed(20, b"500 600", b"500.0 601.0"),
}


@pytest.fixture(scope="module")
def signed(hierarchy: Hierarchy) -> bytes:
    """A file with a page in numbers of many kinds."""
    file = Signatures(lambda content: hierarchy.signer.cms(content, detached=True))
    file.write(OBJECTS)
    file._next = 40
    return file.add()


@pytest.mark.parametrize("what", SAME)
def test_a_measure_is_the_same_as_whole_and_as_real_number(verify: Verify, signed: bytes, what: str) -> None:
    report = verify(update(signed, SAME[what]))
    assert report.verdict is Verdict.VALID
    assert report.clean


@pytest.mark.parametrize("what", OTHER)
def test_a_number_that_readers_may_take_in_another_way_is_a_change(
    verify: Verify, signed: bytes, what: str
) -> None:
    report = verify(update(signed, OTHER[what]))
    assert not report.clean
    assert Code.DOC_MODIFIED in {notice.code for notice in report.signatures[0].notices}


def test_a_copy_under_another_number_may_have_real_measures(verify: Verify, signed: bytes) -> None:
    page = PAGE.replace(b"20 0 R", b"30 0 R")
    copy = FONT.replace(b"500", b"500.0")
    assert verify(update(signed, {3: page, 30: copy})).clean
    assert not verify(update(signed, {3: page, 30: copy.replace(b"[65", b"[65.0")})).clean
