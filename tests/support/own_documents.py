"""A signed document of every format, packaging and level that the signer makes, in memory."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives.serialization import Encoding

from services.signer.documents.worker import loaded
from services.signer.formats.format import Document, Signed
from services.signer.formats.parameters import (
    APPENDING_FORMATS,
    MAX_LEVELS,
    PACKAGINGS,
    FormatName,
    Level,
    PackagingName,
)
from services.verifier.ports import SubmittedDocument, TrustMaterial
from tests.support import mail, stamping
from tests.support.document_signers import authority
from tests.support.pdfs import one_page_pdf

if TYPE_CHECKING:
    from services.signer.formats.format import SignatureFormat

NAME = "to-trinh.xml"
XML = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    '<HoSo xmlns="urn:hoso"><Muc Id="a">Tờ trình số 15</Muc><Muc Id="b">Dự thảo</Muc></HoSo>\n'
).encode()
MESSAGE = (
    f"From: {mail.SENDER}\r\nTo: mot.cua@so-thu.gov.vn\r\nSubject: To trinh\r\n"
    "MIME-Version: 1.0\r\nContent-Type: text/plain\r\n\r\nKinh gui So,\r\nto trinh so 15.\r\n"
).encode()
OPTIONS: dict[FormatName, tuple[tuple[tuple[str, str], ...], ...]] = {
    "JADES": tuple((("json_serialization", name),) for name in ("COMPACT", "FLATTENED", "GENERAL")),
    "ASIC_S": tuple((("asic_signature", name),) for name in ("XADES", "CADES")),
    "ASIC_E": tuple((("asic_signature", name),) for name in ("XADES", "CADES")),
}


@dataclass(frozen=True)
class Variant:
    """What is made: format, packaging, level; JAdES: the serialization; ASiC: the kind of signature in it."""

    form: FormatName
    packaging: PackagingName
    level: Level = Level.B_B
    option: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        """Name for people."""
        return f"{self.form}-{self.packaging}-{self.level.value}{''.join(f'-{value}' for _, value in self.option)}"


def variants() -> list[Variant]:
    """Everything that can be made as a whole file (a PDF signature alone, PAdES DETACHED, is none)."""
    return [
        Variant(form, packaging, level, option)
        for form, packagings in PACKAGINGS.items()
        for packaging in packagings
        for level in Level
        for option in OPTIONS.get(form, ((),))
        if MAX_LEVELS[form].includes(level) and (form, packaging) != ("PADES", "DETACHED")
        if level is Level.B_B or dict(option).get("json_serialization") != "COMPACT"
    ]


@cache
def _forms() -> dict[str, SignatureFormat]:
    return loaded()


def content(form: FormatName) -> bytes:
    """What is signed in that format."""
    return {"PADES": one_page_pdf(), "SMIME": MESSAGE}.get(form, XML)


def make(variant: Variant, at: datetime) -> SubmittedDocument:
    """Sign and raise to the level, at that time."""
    form, who, data = _forms()[variant.form], mail.sender(), content(variant.form)
    options: dict[str, Any] = dict(variant.option)
    parameters = replace(
        who.parameters(form=variant.form, packaging=variant.packaging, level=variant.level, **options),
        signing_time=at,
    )
    document = replace(Document.of(data), name=NAME)
    prepared = form.prepare(document, parameters)
    value = who.sign(prepared.digest, parameters.algorithm)
    addition = form.complete(document, parameters, prepared.state, value)
    addition = stamping.raise_to(form, Signed(document, addition), variant.level, at=at)
    if variant.form in APPENDING_FORMATS:
        return SubmittedDocument(data + addition)
    if variant.packaging == "DETACHED" and variant.form in {"CADES", "XADES", "XMLDSIG", "JADES"}:
        return SubmittedDocument(addition, data, {NAME: data})
    return SubmittedDocument(addition)


def trust(at: datetime) -> TrustMaterial:
    """The CA of the test signers, with a list of then that names nobody."""
    return TrustMaterial((authority()[1].public_bytes(Encoding.DER),), (), (stamping.crl(at),))
