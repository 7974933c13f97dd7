"""The structure tree of a tagged PDF: a later signature's field gets its place, what was signed keeps its words."""

from __future__ import annotations

import pytest

from services.verifier.domain import Code, Verdict
from tests.support.pdf_signatures import Signatures
from tests.unit.verifier.authority import Hierarchy
from tests.unit.verifier.conftest import Verify

CONTENT = b"/P <</MCID 0>> BDC BT /F1 12 Tf 72 770 Td (Pay 100) Tj ET EMC"
ROOT = b"<</Type/StructTreeRoot/K 41 0 R/ParentTree %s/ParentTreeNextKey 2>>"
DOCUMENT = b"<</Type/StructElem/S/Document/P 40 0 R/K%s>>"
PARAGRAPH = b"<</Type/StructElem/S/P/P 41 0 R/K 0/Pg 3 0 R%s>>"
PLACE = b"<</Type/StructElem/S/Form/P 41 0 R/K<</Type/OBJR/Obj 53 0 R>>/Pg 3 0 R>>"
PARENTS = b"<</Nums[0 45 0 R 1 [46 0 R]]>>"
TREE = {
    40: ROOT % b"44 0 R",
    41: DOCUMENT % b"[42 0 R 46 0 R]",
    42: PARAGRAPH % b"",
    44: PARENTS,
    45: b"[42 0 R]",
    46: PARAGRAPH % b"/Lang(vi)",
}


class Tagged(Signatures):
    """A tagged file; `later` are objects that the revision of the second signature writes besides."""

    def __init__(self, hierarchy: Hierarchy, later: dict[int, bytes]) -> None:
        """Start with a file that is not signed."""
        self._later: dict[int, bytes] = {}
        super().__init__(lambda content: hierarchy.signer.cms(content, detached=True))
        page = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/StructParents 0/Contents 43 0 R>>"
        content = b"<</Length %d>>stream\n%s\nendstream" % (len(CONTENT), CONTENT)
        self.write({**TREE, 3: page, 43: content, 1: b"<</Type/Catalog/Pages 2 0 R/AcroForm<</Fields[]>>>>"})
        self._next = 50
        self.add()
        self._later = later
        self.add()

    def write(
        self, objects: dict[int, bytes], fields: tuple[int, ...] = (), promised: dict[int, int] | None = None
    ) -> None:
        """Write a revision."""
        tree = b"/Pages 2 0 R/StructTreeRoot 40 0 R/MarkInfo<</Marked true>>"
        tagged = {number: body.replace(b"/Pages 2 0 R", tree) for number, body in objects.items()}
        super().write({**tagged, **self._later}, fields, promised)


GROWN = DOCUMENT % b"[42 0 R 46 0 R 60 0 R]"
KEPT: dict[str, dict[int, bytes]] = {
    "nothing": {},
    "a place at the end": {41: GROWN, 60: PLACE, 44: b"<</Nums[0 45 0 R 1 [46 0 R] 2 60 0 R]>>"},
    "a place between others": {41: DOCUMENT % b"[42 0 R 60 0 R 46 0 R]", 60: PLACE},
    "a place in a section of its own": {
        41: GROWN, 60: b"<</Type/StructElem/S/Sect/P 41 0 R/K[61 0 R]>>", 61: PLACE,
    },
    "the tree of parents anew": {
        40: ROOT % b"62 0 R", 62: b"<</Kids[63 0 R 64 0 R]>>",
        63: b"<</Limits[0 0]/Nums[0 65 0 R]>>", 65: b"[42 0 R]",
        64: b"<</Limits[1 2]/Nums[1 [46 0 R] 2 60 0 R]>>", 60: PLACE,
    },
}  # fmt: skip
LIE = b"<</Type/StructElem/S/P/P 41 0 R/Pg 3 0 R/ActualText(Pay 999999)>>"
CHANGED: dict[str, dict[int, bytes]] = {
    "other words for the content": {42: PARAGRAPH % b"/ActualText(Pay 999999)"},
    "another element for the content": {41: DOCUMENT % b"[60 0 R 46 0 R]", 60: PARAGRAPH % b"/Alt(Pay 999999)"},
    "an element that speaks": {41: GROWN, 60: LIE},
    "an element that describes": {41: GROWN, 60: LIE.replace(b"/ActualText", b"/Alt")},
    "an element that speaks below a new one": {41: GROWN, 60: b"<</S/Sect/P 41 0 R/K 61 0 R>>", 61: LIE},
    "content a second time": {41: GROWN, 60: PARAGRAPH % b""},
    "content by a reference to it": {41: GROWN, 60: b"<</S/P/P 41 0 R/K<</Type/MCR/MCID 0/Pg 3 0 R>>>>"},
    "an element a second time": {41: DOCUMENT % b"[42 0 R 46 0 R 42 0 R]"},
    "no elements": {41: DOCUMENT % b"[]"},
    "an element less": {41: DOCUMENT % b"[46 0 R]"},
    "elements in another order": {41: DOCUMENT % b"[46 0 R 42 0 R]"},
    "a root with another element": {40: (ROOT % b"44 0 R").replace(b"41 0 R", b"60 0 R"), 60: DOCUMENT % b"[46 0 R]"},
    "a parent less": {44: b"<</Nums[0 45 0 R]>>"},
    "another parent": {44: b"<</Nums[0 [60 0 R] 1 [46 0 R]]>>", 60: LIE},
    "another parent in a list": {45: b"[60 0 R]", 60: LIE},
    "one parent more in a list": {45: b"[42 0 R 60 0 R]", 60: LIE},
    "a parent twice": {44: b"<</Nums[0 [60 0 R] 0 45 0 R 1 [46 0 R]]>>", 60: LIE},
    "no tree of parents": {40: (ROOT % b"44 0 R").replace(b"/ParentTree 44 0 R", b"")},
    "another role": {40: (ROOT % b"44 0 R").replace(b"/K", b"/RoleMap<</P/Artifact>>/K")},
}  # fmt: skip


@pytest.mark.parametrize("name", KEPT)
def test_a_signature_in_a_tagged_document_gets_its_place(
    verify: Verify, hierarchy: Hierarchy, name: str
) -> None:
    report = verify(Tagged(hierarchy, KEPT[name]).data)
    assert report.verdict is Verdict.VALID
    assert report.clean


@pytest.mark.parametrize("name", CHANGED)
def test_what_is_read_out_instead_of_the_content_stays_as_it_was_signed(
    verify: Verify, hierarchy: Hierarchy, name: str
) -> None:
    report = verify(Tagged(hierarchy, CHANGED[name]).data)
    assert not report.clean
    first = report.signatures[0]
    assert Code.DOC_MODIFIED in {notice.code for notice in first.notices}


def test_a_very_large_tree_is_compared_in_time(verify: Verify, hierarchy: Hierarchy) -> None:
    many = b"42 0 R " * 40_000
    later = {60: PLACE, **{70 + n: DOCUMENT % b"[%s60 0 R]" % many for n in range(20)}}
    report = verify(Tagged(hierarchy, {41: DOCUMENT % b"[%s]" % many, **later}).data)
    assert not report.clean
