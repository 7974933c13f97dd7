"""Which files may come with a PDF file: none that would be left out without a word."""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO

import pytest

from services.kernel.errors import FieldInvalid
from services.signer.formats.format import Document, Role
from services.signer.formats.pades import PadesBaseline
from tests.support.document_signers import signer
from tests.support.pdfs import one_page_pdf

PDF = one_page_pdf()


def file(role: Role) -> Document:
    return Document(BytesIO(PDF), len(PDF), "other.pdf", "", role)


@pytest.mark.parametrize(
    "roles",
    [[Role.CONTENT], [Role.SIGNATURE], [Role.IMAGE], [Role.IMAGE, Role.IMAGE], [Role.IMAGE, Role.CONTENT]],
)
def test_a_file_that_would_not_be_signed_is_refused(roles: list[Role]) -> None:
    document = replace(Document.of(PDF), others=tuple(file(role) for role in roles))
    with pytest.raises(FieldInvalid) as caught:
        PadesBaseline().prepare(document, signer().parameters())
    assert caught.value.data["field"] == "part"


@pytest.mark.parametrize("role", [Role.IMAGE, Role.SIGNATURE])
def test_what_is_no_content_is_not_signed(role: Role) -> None:
    with pytest.raises(FieldInvalid):
        PadesBaseline().prepare(file(role), signer().parameters())
