"""Every structure of a PDF file is signed at the lowest and the highest level; earlier signatures stay valid."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from asn1crypto import tsp  # noqa: F401 - teaches the reader the time-stamp attribute
from pyhanko.pdf_utils import generic
from pyhanko.sign.diff_analysis import ModificationLevel

from services.signer.formats.parameters import Level
from tests.support.pades_verdicts import (
    assert_openssl,
    assert_pdfsig,
    basic_verdicts,
    extend_to,
    lta_verdicts,
    opened,
    sign_at,
)
from tests.support.pdf_structures import EARLIER, FIELDS, linearised_pdf, structures

if TYPE_CHECKING:
    from pathlib import Path

NAMES = list(structures())


@pytest.mark.parametrize("level", [Level.B_B, Level.B_LTA], ids=lambda level: level.value)
@pytest.mark.parametrize("name", NAMES)
async def test_a_file_of_this_structure_is_signed(name: str, level: Level, tmp_path: Path) -> None:
    original, before = structures()[name], EARLIER.get(name, 0)
    data = sign_at(level, original, field_name=FIELDS.get(name))
    assert data.startswith(original)
    assert_pdfsig(tmp_path, data, before + 1)
    assert assert_openssl(tmp_path, data) == (2 if level is Level.B_LTA else 0)
    verdicts = await basic_verdicts(data)
    assert [verdict.indication for verdict in verdicts] == ["AdESPassed.OK"] * (before + 1)
    assert all(verdict.changes is not ModificationLevel.OTHER for verdict in verdicts)
    assert all(verdict.docmdp_ok is not False for verdict in verdicts)
    if level is Level.B_LTA:
        assert (await lta_verdicts(data))[-1].indication == "AdESPassed.OK"


def test_the_linearised_file_is_one() -> None:
    data = linearised_pdf()
    assert b"/Linearized 1 /L %010d" % len(data) in data
    assert len(opened(data).root["/Pages"]["/Kids"]) == 1


@pytest.mark.parametrize("part", [1, 2])
def test_nothing_that_pdf_a_forbids_is_added(part: int) -> None:
    """No validator of PDF/A is at hand: what is added is looked through for what ISO 19005-1 and -2 forbid."""
    original = structures()[f"PDF/A-{part}b"]
    data = sign_at(Level.B_LTA, original)
    document = opened(data)
    added = data[len(original) :]
    # ISO 19005-1 6.1.7, 6.1.10: no LZW; 6.1.8: no external streams. 6.6.1: no actions. 6.9: no NeedAppearances, no XFA.
    assert (
        re.search(rb"/(LZWDecode|FFilter|AA|JavaScript|JS|NeedAppearances|XFA|EF|Encrypt)\b", added) is None
    )
    # ISO 19005-1 6.1.4, 6.1.5: PDF 1.4 knows no cross-reference streams; the update's is a table as the file's is.
    assert b"/Type /XRef" not in added
    assert b"/ObjStm" not in added
    # ISO 19005-1 6.1.6: /ID stays; 6.7.2: the metadata stay.
    first, _ = document.trailer["/ID"]
    assert bytes(first) == bytes.fromhex("00112233445566778899aabbccddeeff")
    assert document.root.raw_get("/Metadata").idnum == 6
    for annotation in document.root["/Pages"]["/Kids"][0]["/Annots"]:
        widget = annotation.get_object()
        flags = int(widget["/F"])
        # ISO 19005-1 6.5.3 and ISO 19005-2 6.3.2: Print set; Hidden, Invisible and NoView clear.
        assert flags & 0b100
        assert flags & 0b100011 == 0
        # ISO 19005-1 6.9: every widget has an appearance, 6.5.3: /N alone, and a stream.
        assert [float(edge) for edge in widget["/Rect"]] == [0, 0, 0, 0]
        assert list(widget["/AP"]) == ["/N"]
        assert isinstance(widget["/AP"]["/N"], generic.StreamObject)
        assert isinstance(widget["/FT"], generic.NameObject)
    # ISO 19005-2 6.1.12: /Perms, where there is one, holds DocMDP and UR3 alone.
    certified = opened(sign_at(Level.B_LTA, original, certification=2))
    assert list(certified.root["/Perms"]) == ["/DocMDP"]
    reference = certified.embedded_regular_signatures[0].sig_object["/Reference"][0]
    assert not {"/DigestLocation", "/DigestMethod", "/DigestValue"} & set(reference)


@pytest.mark.parametrize("start", [Level.B_B, Level.B_LTA], ids=lambda level: level.value)
def test_a_time_stamp_of_the_document_brings_an_appearance_only_where_one_must_be(start: Level) -> None:
    """ISO 32000-2 12.8.5 advises against one; ISO 19005-1 6.9 demands it."""
    for name, wanted in (("PDF/A-1b", True), ("PDF/A-2b", False)):
        data = extend_to(Level.B_LTA, sign_at(start, structures()[name]))
        widgets = opened(data).root["/Pages"]["/Kids"][0]["/Annots"]
        shown = ["/AP" in widget.get_object() for widget in widgets]
        assert shown[0]
        assert shown[-2:] == [wanted, wanted] if start is Level.B_B else shown[-1] == wanted
