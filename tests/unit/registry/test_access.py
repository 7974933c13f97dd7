"""Scopes, document types, idempotency keys, pages: the small rules at the register's door."""

from __future__ import annotations

import base64

import pytest

from services.kernel.errors import DocumentTypeNotAllowed, FieldInvalid, NotFound, ScopeMissing
from services.registry.domain import access
from services.registry.domain.access import SCOPES, Caller
from services.registry.domain.paging import Page, Rows

CALLER = Caller("cl_a", "ag_2", frozenset({"registry:read"}))


def test_a_caller_reaches_its_agency_and_what_lies_below() -> None:
    assert CALLER.reaches(("ag_1", "ag_2"))
    assert CALLER.reaches(("ag_1", "ag_2", "ag_3"))
    assert not CALLER.reaches(("ag_1",))
    with pytest.raises(NotFound):
        CALLER.require_reach(("ag_1", "ag_22"), "ag_22")


def test_a_missing_scope_is_named() -> None:
    CALLER.require("registry:read")
    with pytest.raises(ScopeMissing, match="registry:write"):
        CALLER.require("registry:write")


def test_scopes_are_known_held_and_in_one_order() -> None:
    assert access.scopes(["verify", "sign:hash", "verify"], frozenset(SCOPES)) == ("sign:hash", "verify")
    for wrong in ([], ["admin"], ["verify", ""]):
        with pytest.raises(FieldInvalid):
            access.scopes(wrong, frozenset(SCOPES))
    with pytest.raises(ScopeMissing, match="sign:hash"):
        access.scopes(["verify", "sign:hash"], frozenset({"verify"}))


def test_document_types_are_names_or_the_star_alone() -> None:
    assert access.document_types(["*"]) == ("*",)
    assert access.document_types([]) == ()
    assert access.document_types(["cong-van", "bao-cao", "cong-van"]) == ("cong-van", "bao-cao")
    for wrong in (
        ["*", "x"],
        ["Cong-van"],
        ["cong van"],
        ["-x"],
        [""],
        ["x" * 65],
        [f"t{n}" for n in range(101)],
        [f"{n:02d}-{'x' * 28}" for n in range(100)],
    ):
        with pytest.raises(FieldInvalid):
            access.document_types(wrong)


def test_document_types_given_are_among_those_held() -> None:
    access.require_document_types(["cong-van"], ["bao-cao", "cong-van"])
    access.require_document_types(["*"], ["*"])
    access.require_document_types([], [])
    for asked, held in ((["*"], ["cong-van"]), (["bao-cao"], ["cong-van"]), (["bao-cao"], [])):
        with pytest.raises(DocumentTypeNotAllowed):
            access.require_document_types(asked, held)


@pytest.mark.parametrize("value", ["", "a b", "a\n", "é", "x" * 129])
def test_idempotency_keys_are_printable_ascii(value: str) -> None:
    with pytest.raises(FieldInvalid):
        access.idempotency_key(value)


def test_a_page_token_leads_to_the_next_row() -> None:
    page = Page.parse(2, "")
    rows = Rows.cut(["a", "b", "c"], page, str)
    assert list(rows.rows) == ["a", "b"]
    assert Page.parse(2, rows.next_token) == Page(2, "b")
    assert Rows.cut(["a", "b"], page, str).next_token == ""
    assert Page.parse(0, "").size == 50


@pytest.mark.parametrize(
    ("size", "token"),
    [
        (-1, ""),
        (201, ""),
        (1, "%"),
        (1, "=="),
        (1, base64.b64encode(b"\xff").decode()),
        (1, base64.b64encode(b"a b").decode()),
    ],
)
def test_other_pages_are_refused(size: int, token: str) -> None:
    with pytest.raises(FieldInvalid):
        Page.parse(size, token)


def test_a_position_must_be_a_number() -> None:
    assert Page(1, "").number() == 0
    assert Page(1, "17").number() == 17
    for wrong in ("x", "9" * 19, "1_0"):
        with pytest.raises(FieldInvalid):
            Page(1, wrong).number()
