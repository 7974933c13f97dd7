"""Documents that cannot be signed as they are asked for: a typed 4xx each, against the real platform, and nothing signed."""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass
from functools import cache
from typing import Any

import pytest
from PIL import Image

from tests.support import pdfs
from tests.support.pictures import letter_pdf, seal_png, signature_png
from tests.support.rest_documents import post
from tests.support.world import World

File = tuple[str, str, bytes, str]


def pdf(data: bytes) -> File:
    return "document", "công văn.pdf", data, "application/pdf"


def xml(data: bytes | str) -> File:
    content = data.encode() if isinstance(data, str) else data
    return "document", "hồ sơ.xml", content, "application/xml"


def mail(data: str) -> File:
    return "document", "thư.eml", data.encode(), "message/rfc822"


def named(name: str) -> File:
    return "document", name, b"content", "text/plain"


def image(data: bytes) -> File:
    return "image", "chữ ký.png", data, "image/png"


def locked_field() -> bytes:
    """A form whose field prescribes how it must be signed."""
    return pdfs.form_pdf(b"/FT /Sig /T (Ky) /SV <</Ff 1 /Filter /Other>>")


@cache
def opaque_png() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (300, 120), (20, 40, 190)).save(out, "PNG")
    return out.getvalue()


@cache
def jpeg() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (300, 120), (20, 40, 190)).save(out, "JPEG")
    return out.getvalue()


@cache
def bomb() -> bytes:
    """A signed container by its looks, whose one member is 256 MiB of nothing."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("mimetype", "application/vnd.etsi.asic-e+zip", zipfile.ZIP_STORED)
        with archive.open("a.bin", "w", force_zip64=True) as member:
            for _ in range(256):
                member.write(bytes(1 << 20))
        archive.writestr("META-INF/signatures.xml", "<x/>")
    return out.getvalue()


def slip() -> bytes:
    """A container with a member that wants to lie somewhere else."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("mimetype", "application/vnd.etsi.asic-e+zip", zipfile.ZIP_STORED)
        archive.writestr("../../etc/passwd", b"x")
        archive.writestr("META-INF/signatures.xml", "<x/>")
    return out.getvalue()


def visible(profile: str, **options: object) -> dict[str, Any]:
    return {"format": "pades", "pdf": {"visible": {"profile": profile, **options}}}


BOX = {"page": 1, "left": 50, "bottom": 50, "width": 120, "height": 50}
ANCHOR = {"width": 120, "height": 40}
XADES, TARGET = {"format": "xades"}, {"format": "xades", "xml": {"target_id": "a"}}
STYLE = (
    '<a xmlns:ds="http://www.w3.org/2000/09/xmldsig#"><ds:Signature><ds:SignedInfo><ds:Reference><ds:Transforms>'
    '<ds:Transform Algorithm="http://www.w3.org/TR/1999/REC-xslt-19991116"/></ds:Transforms></ds:Reference>'
    "</ds:SignedInfo></ds:Signature></a>"
)


@dataclass(frozen=True)
class Row:
    """One request that must be refused."""

    name: str
    request: dict[str, Any]
    files: tuple[File, ...]
    status: int
    code: str
    path: str = "/v1/signatures"
    said: str = ""
    """What the detail must name."""


ROWS = [
    Row("a field that prescribes another way", {"format": "pades", "field_name": "Ky"}, (pdf(locked_field()),), 422, "DOCUMENT_LOCKED"),
    Row("an encrypted PDF", {"format": "pades"}, (pdf(pdfs.encrypted_pdf()),), 422, "DOCUMENT_ENCRYPTED"),
    Row("a broken xref", {"format": "pades"}, (pdf(pdfs.one_page_pdf().replace(b"startxref\n", b"startxref\n9")),), 422, "DOCUMENT_DAMAGED"),
    Row("a level that the format has not", {"format": "smime", "level": "B-T"}, (mail("From: a@b.vn\r\n\r\nx"),), 400, "FIELD_INVALID"),
    Row("an option of another format", {"format": "cades", "reason": "Duyệt"}, (named("a.txt"),), 400, "FIELD_INVALID"),
    Row("XML with a DTD", XADES, (xml("<!DOCTYPE a [<!ELEMENT a ANY>]><a/>"),), 422, "DOCUMENT_DAMAGED"),
    Row("XML with an entity", XADES, (xml('<!DOCTYPE a [<!ENTITY e SYSTEM "file:///etc/passwd">]><a>&e;</a>'),), 422, "DOCUMENT_DAMAGED"),
    Row("XML that is none", XADES, (xml("<a><b></a>"),), 422, "DOCUMENT_DAMAGED"),
    Row("a target that is missing", TARGET, (xml("<r><b Id='b'/></r>"),), 422, "TARGET_INVALID"),
    Row("a target that is there twice", TARGET, (xml("<r><b Id='a'/><c Id='a'/></r>"),), 422, "TARGET_INVALID"),
    Row("a parent that is missing", {"format": "xades", "xml": {"parent": "/r/none"}}, (xml("<r/>"),), 422, "TARGET_INVALID"),
    Row("a signature with XSLT", XADES, (xml(STYLE),), 422, "DOCUMENT_DAMAGED"),
    Row("mail without From", {"format": "smime"}, (mail("Subject: x\r\n\r\ny"),), 400, "FIELD_INVALID"),
    Row("mail of another sender", {"format": "smime"}, (mail("From: nobody@vidu.example\r\n\r\ny"),), 422, "SENDER_MISMATCH"),
    Row("a name that climbs", {"format": "asic_e"}, (named("../a.txt"),), 400, "FIELD_INVALID"),
    Row("two files of one name", {"format": "asic_e"}, (named("a.txt"), named("a.txt")), 400, "FIELD_INVALID"),
    Row("a ZIP bomb", {"level": "B-T", "digest_algorithm": "SHA-256"}, (("document", "a.asice", bomb(), "application/zip"),), 422, "DOCUMENT_DAMAGED", "/v1/documents:extend"),
    Row("a ZIP slip", {"level": "B-T", "digest_algorithm": "SHA-256"}, (("document", "a.asice", slip(), "application/zip"),), 422, "DOCUMENT_DAMAGED", "/v1/documents:extend"),
    Row("nothing that was signed", {"level": "B-T", "digest_algorithm": "SHA-256"}, (("document", "a.bin", b"\x00\x01", "application/octet-stream"),), 422, "DOCUMENT_DAMAGED", "/v1/documents:extend"),
    Row("an image that is no PNG", visible("free", box=BOX), (pdf(pdfs.one_page_pdf()), image(jpeg())), 422, "IMAGE_INVALID"),
    Row("an image without alpha", visible("free", box=BOX), (pdf(pdfs.one_page_pdf()), image(opaque_png())), 422, "IMAGE_INVALID", said="VS-30"),
    Row("a red signature", visible("nd30.person", box=BOX), (pdf(letter_pdf()), image(seal_png())), 422, "IMAGE_INVALID", said="VS-32"),
    Row("a page out of range", visible("free", box={**BOX, "page": 9}, lines=["{time}"]), (pdf(pdfs.one_page_pdf()),), 422, "PLACE_INVALID"),
    Row("an anchor that is not there", visible("free", anchor={"text": "Không có", **ANCHOR}, lines=["{time}"]), (pdf(letter_pdf()),), 422, "PLACE_INVALID"),
    Row("an anchor that is there twice", visible("free", anchor={"text": "Căn cứ", **ANCHOR}, lines=["{time}"]), (pdf(letter_pdf()),), 422, "PLACE_INVALID"),
    Row("a seal before any signature", visible("nd30.agency", image_width_mm=36, image_height_mm=36), (pdf(letter_pdf()), image(seal_png())), 422, "PERSON_SIGNATURE_MISSING", said="chưa có chữ ký"),
    Row("a seal without a size", visible("nd30.agency", box=BOX), (pdf(letter_pdf()), image(seal_png())), 400, "FIELD_INVALID"),
    Row("a seal in the archive's profile", visible("archive05", agency_name="UBND"), (pdf(letter_pdf()), image(signature_png())), 422, "IMAGE_INVALID", said="VS-64"),
    Row("a digest for an enveloped signature", {"format": "xades", "packaging": "enveloped", "content_digest": "A" * 43 + "="}, (), 400, "FIELD_INVALID"),
]  # fmt: skip


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_it_gets_its_typed_answer(world: World, row: Row) -> None:
    before = world.signed_total()
    request = row.request | ({"credential_id": world.rsa_credential} if row.path == "/v1/signatures" else {})
    answer = post(world, row.path, request, *row.files)
    problem = answer.json()
    assert (answer.status_code, problem.get("code")) == (row.status, row.code), problem
    assert row.said in problem["detail"]
    assert world.signed_total() == before, "something was signed that must not be"
