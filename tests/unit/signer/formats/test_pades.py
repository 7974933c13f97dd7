"""PAdES B-B: structures of files, fields, locks, hostile files. Validity is judged by pdfsig, openssl and pyHanko."""

from __future__ import annotations

import re
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Any

import pytest
from asn1crypto import cms as reader
from asn1crypto import x509
from pyhanko.pdf_utils.misc import PdfError
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.diff_analysis import ModificationLevel
from pyhanko.sign.validation import async_validate_pdf_signature
from pyhanko.sign.validation.status import SignatureCoverageLevel
from pyhanko_certvalidator import ValidationContext

from services.kernel.errors import (
    DocumentDamaged,
    DocumentEncrypted,
    DocumentLocked,
    DocumentNotPdf,
    DomainError,
    FieldInvalid,
)
from services.kernel.values import KeyAlgorithm, SigningAlgorithm
from services.signer.formats.errors import SelfCheckFailed
from services.signer.formats.format import Document
from services.signer.formats.pades import PadesBaseline
from tests.support import pdfs
from tests.support.document_signers import (
    ALGORITHMS,
    RSA_SHA256,
    openssl_cms_verify,
    pdf_signature_parts,
    pdfsig,
    signed,
    signer,
)

if TYPE_CHECKING:
    from pathlib import Path


UNTOUCHED = (SignatureCoverageLevel.ENTIRE_FILE, ModificationLevel.NONE)


def sign(
    data: bytes,
    algorithm: SigningAlgorithm = RSA_SHA256,
    key: KeyAlgorithm = KeyAlgorithm.RSA_2048,
    **texts: Any,
) -> bytes:
    who = signer(key)
    return data + signed(PadesBaseline(), data, who, who.parameters(algorithm, **texts))


def judged(folder: Path, data: bytes) -> list[dict[str, str]]:
    path = folder / "signed.pdf"
    path.write_bytes(data)
    return pdfsig(path)


def assert_all_valid(folder: Path, data: bytes, count: int) -> list[dict[str, str]]:
    found = judged(folder, data)
    assert [entry["Signature Validation"] for entry in found] == ["Signature is Valid."] * count
    assert [entry["whole"] for entry in found] == ["False"] * (count - 1) + ["True"]
    return found


@pytest.mark.parametrize(("key", "algorithm"), ALGORITHMS, ids=lambda value: value.label)
def test_openssl_verifies_every_key_scheme_and_digest(
    key: KeyAlgorithm, algorithm: SigningAlgorithm, tmp_path: Path
) -> None:
    data = sign(pdfs.one_page_pdf(), algorithm, key)
    container, covered = pdf_signature_parts(data)
    assert openssl_cms_verify(tmp_path, container, covered) == ""


@pytest.mark.parametrize(
    ("key", "algorithm"),
    [pair for pair in ALGORITHMS if "PSS" not in pair[1].label],
    ids=lambda value: value.label,
)
def test_pdfsig_finds_the_signature_valid(
    key: KeyAlgorithm, algorithm: SigningAlgorithm, tmp_path: Path
) -> None:
    found = assert_all_valid(tmp_path, sign(pdfs.one_page_pdf(), algorithm, key), 1)
    assert found[0]["Signature Type"] == "ETSI.CAdES.detached"
    assert found[0]["Signing Hash Algorithm"] == algorithm.digest.label


async def validate_with_pyhanko(data: bytes) -> list[tuple[object, object]]:
    anchor = x509.Certificate.load(signer().chain[1])
    document = PdfFileReader(BytesIO(data), strict=False)
    verdicts: list[tuple[object, object]] = []
    for signature in document.embedded_signatures:
        context = ValidationContext(trust_roots=[anchor], allow_fetching=False)
        status = await async_validate_pdf_signature(signature, signer_validation_context=context)
        assert status.bottom_line
        verdicts.append((status.coverage, status.modification_level))
    return verdicts


@pytest.mark.parametrize(("key", "algorithm"), ALGORITHMS[::4], ids=lambda value: value.label)
async def test_pyhanko_finds_the_signature_valid(key: KeyAlgorithm, algorithm: SigningAlgorithm) -> None:
    assert await validate_with_pyhanko(sign(pdfs.one_page_pdf(), algorithm, key)) == [UNTOUCHED]


async def test_a_second_and_third_signature_leave_the_earlier_ones_valid(tmp_path: Path) -> None:
    once = sign(pdfs.one_page_pdf())
    twice = sign(once, reason="Phê duyệt")
    thrice = sign(twice, key=KeyAlgorithm.ECDSA_P384, algorithm=ALGORITHMS[-1][1])
    assert thrice.startswith(twice)
    assert twice.startswith(once)
    found = assert_all_valid(tmp_path, thrice, 3)
    assert [entry["Signature Field Name"] for entry in found] == ["Signature1", "Signature2", "Signature3"]
    verdicts = await validate_with_pyhanko(thrice)
    assert verdicts[-1] == UNTOUCHED
    assert all(level is not ModificationLevel.OTHER for _, level in verdicts)


def with_deep_page_tree(depth: int) -> bytes:
    objects = pdfs.page_objects()
    objects[pdfs.PAGES] = b"<</Type /Pages /Kids [10 0 R] /Count 1>>"
    for number in range(10, 10 + depth):
        kid = number + 1 if number < 9 + depth else pdfs.PAGE
        parent = number - 1 if number > 10 else pdfs.PAGES
        objects[number] = b"<</Type /Pages /Kids [%d 0 R] /Count 1 /Parent %d 0 R>>" % (kid, parent)
    objects[pdfs.PAGE] = objects[pdfs.PAGE].replace(b"/Parent 2", b"/Parent %d" % (9 + depth))
    return pdfs.assemble(objects)


def with_indirect_form_and_annotations() -> bytes:
    objects = pdfs.page_objects(page=b"/Annots 10 0 R", catalog=b"/AcroForm 11 0 R")
    objects |= {10: b"[]", 11: b"<</Fields 12 0 R /SigFlags 0>>", 12: b"[]"}
    return pdfs.assemble(objects)


PLAIN = pdfs.page_objects()
STRUCTURES = {
    "cross-reference table": pdfs.one_page_pdf(),
    "PDF 1.3 header": pdfs.assemble(PLAIN, version="1.3"),
    "PDF 2.0 header": pdfs.assemble(PLAIN, version="2.0"),
    "cross-reference stream": pdfs.assemble_with_streams(PLAIN),
    "object stream": pdfs.assemble_with_streams(PLAIN, frozenset({1, 2, 3, 4})),
    "hybrid": pdfs.hybrid_pdf(),
    "no newline at the end": pdfs.one_page_pdf().rstrip(),
    "blanks and a carriage return at the end": pdfs.one_page_pdf() + b" \r\n\r\n",
    "document id": pdfs.assemble(PLAIN, trailer=b"/ID [<00112233> (abc\\051)] /Info 5 0 R"),
    "text field": pdfs.form_pdf(b"/FT /Tx /T (Signature1)"),
    "indirect form and annotations": with_indirect_form_and_annotations(),
    "page tree of 60 levels": with_deep_page_tree(60),
    "rotated page": pdfs.assemble(pdfs.page_objects(page=b"/Rotate 90 /UserUnit 2")),
    "20,000 objects": pdfs.assemble(PLAIN | dict.fromkeys(range(10, 20_010), b"<</A [1 2 3]>>")),
}


@pytest.mark.parametrize("name", STRUCTURES)
def test_a_file_of_this_structure_is_signed_twice(name: str, tmp_path: Path) -> None:
    original = STRUCTURES[name]
    once = sign(original)
    twice = sign(once)
    assert twice.startswith(original)
    assert_all_valid(tmp_path, twice, 2)
    document = PdfFileReader(BytesIO(twice))
    assert len(document.embedded_signatures) == 2
    assert len(document.root["/Pages"]["/Kids"]) == 1


def test_an_update_keeps_the_first_half_of_the_document_id_and_the_information() -> None:
    data = sign(STRUCTURES["document id"])
    trailer = PdfFileReader(BytesIO(data)).trailer
    assert bytes.fromhex("00112233") == bytes(trailer["/ID"][0])
    assert trailer.raw_get("/Info").idnum == 5


def test_vietnamese_texts_arrive_and_the_time_is_the_signing_time(tmp_path: Path) -> None:
    texts: dict[str, Any] = {
        "reason": "Ký duyệt (lần 1) \\ hồ sơ",
        "location": "Thừa Thiên Huế",
    }
    data = sign(pdfs.one_page_pdf(), **texts)
    assert_all_valid(tmp_path, data, 1)
    value = PdfFileReader(BytesIO(data)).embedded_signatures[0].sig_object
    assert [str(value[key]) for key in ("/Reason", "/Location")] == list(texts.values())
    assert str(value["/M"]) == "D:20261122030405+00'00'"
    ascii_only = sign(pdfs.one_page_pdf(), reason="a (b) \\ c")
    value = PdfFileReader(BytesIO(ascii_only)).embedded_signatures[0].sig_object
    assert str(value["/Reason"]) == "a (b) \\ c"


def test_a_text_that_looks_like_a_byte_range_confuses_nobody(tmp_path: Path) -> None:
    text = "/ByteRange [0 1 2 3] /Contents <AB>"
    assert_all_valid(tmp_path, sign(sign(pdfs.one_page_pdf(), reason=text), location=text), 2)


def test_the_cms_has_no_signing_time() -> None:
    # EN 319 142-1 section 6.3 table 1: the attribute shall not be there, /M carries the time.
    container, _ = pdf_signature_parts(sign(pdfs.one_page_pdf()))
    info = reader.ContentInfo.load(container)["content"]["signer_infos"][0]
    names = {attribute["type"].native for attribute in info["signed_attrs"]}
    assert names == {"content_type", "message_digest", "signing_certificate_v2", "cms_algorithm_protection"}


def test_the_new_field_is_an_invisible_printable_widget_on_the_first_page() -> None:
    document = PdfFileReader(BytesIO(sign(pdfs.one_page_pdf())))
    widget = document.root["/Pages"]["/Kids"][0]["/Annots"][0]
    assert [int(edge) for edge in widget["/Rect"]] == [0, 0, 0, 0]
    assert widget["/F"] & 0b10 == 0
    assert widget["/F"] & 0b100
    assert document.root["/AcroForm"]["/SigFlags"] == 3


def test_an_empty_field_is_filled_and_its_lock_is_written_into_the_signature(tmp_path: Path) -> None:
    lock = b"/Lock <</Type /SigFieldLock /Action /Include /Fields [(Note)]>>"
    data = pdfs.form_pdf(b"/FT /Sig /T (Leader) " + lock, b"/FT /Tx /T (Note)")
    once = sign(data, field_name="Leader")
    assert [entry["Signature Field Name"] for entry in assert_all_valid(tmp_path, once, 1)] == ["Leader"]
    document = PdfFileReader(BytesIO(once))
    assert len(document.root["/AcroForm"]["/Fields"]) == 2
    parameters = document.embedded_signatures[0].sig_object["/Reference"][0]["/TransformParams"]
    assert (parameters["/Action"], list(parameters["/Fields"])) == ("/Include", ["Note"])
    assert_all_valid(tmp_path, sign(once), 2)


def test_a_field_inside_a_group_is_filled_by_its_full_name(tmp_path: Path) -> None:
    objects = pdfs.page_objects(page=b"/Annots [11 0 R]", catalog=b"/AcroForm <</Fields [10 0 R]>>")
    objects[10] = b"<</T (Office) /FT /Sig /Kids [11 0 R]>>"
    objects[11] = b"<</T (Head) /Parent 10 0 R /Type /Annot /Subtype /Widget /Rect [0 0 0 0] /P 3 0 R>>"
    data = sign(pdfs.assemble(objects), field_name="Office.Head")
    assert_all_valid(tmp_path, data, 1)


def certified(level: int) -> bytes:
    """A file with a certification whose DocMDP level is given; its signature value does not matter here."""
    objects = pdfs.page_objects(
        page=b"/Annots [10 0 R]",
        catalog=b"/AcroForm <</Fields [10 0 R] /SigFlags 3>> /Perms <</DocMDP 11 0 R>>",
    )
    objects[10] = b"<</T (Author) /FT /Sig /V 11 0 R /Type /Annot /Subtype /Widget /Rect [0 0 0 0] /P 3 0 R>>"
    objects[11] = (
        b"<</Type /Sig /Filter /Adobe.PPKLite /Reference [<</Type /SigRef /TransformMethod /DocMDP "
        b"/TransformParams <</Type /TransformParams /P %d /V /1.2>>>>]>>" % level
    )
    return pdfs.assemble(objects)


def field_locked(action: bytes) -> bytes:
    value = b"<</Type /Sig /Reference [<</TransformMethod /FieldMDP /TransformParams <<%s>>>>]>>" % action
    return pdfs.form_pdf(b"/FT /Sig /T (First) /V " + value, b"/FT /Sig /T (Second)")


@pytest.mark.parametrize("level", [2, 3])
def test_a_certified_file_that_allows_signing_is_signed(level: int) -> None:
    document = PdfFileReader(BytesIO(sign(certified(level))))
    names = [str(field.get_object()["/T"]) for field in document.root["/AcroForm"]["/Fields"]]
    assert names == ["Author", "Signature2"]
    assert document.root["/Perms"].raw_get("/DocMDP").idnum == 11


def test_a_lock_of_another_field_does_not_hinder() -> None:
    assert sign(field_locked(b"/Action /Include /Fields [(Other)]"), field_name="Second")
    assert sign(field_locked(b"/Action /Exclude /Fields [(Second)]"), field_name="Second")


@dataclass(frozen=True)
class Refusal:
    name: str
    data: bytes
    error: type[DomainError]
    says: str
    field_name: str | None = None


def circular_pages() -> bytes:
    objects = pdfs.page_objects()
    objects[pdfs.PAGES] = b"<</Type /Pages /Kids [2 0 R] /Count 1>>"
    return pdfs.assemble(objects)


def circular_fields() -> bytes:
    objects = pdfs.page_objects(catalog=b"/AcroForm <</Fields [10 0 R]>>")
    objects[10] = b"<</T (a) /Kids [10 0 R]>>"
    return pdfs.assemble(objects)


TEXT_FIELD = pdfs.form_pdf(b"/FT /Tx /T (Note)")
SIGNED_FIELD = field_locked(b"/Action /Include /Fields [(Other)]")
SEEDED_FIELD = pdfs.form_pdf(b"/FT /Sig /T (Leader) /SV <</Ff 1 /Filter /Adobe.PPKLite>>")
ONE_PAGE = pdfs.one_page_pdf()
REFUSALS = [
    Refusal("empty", b"", DocumentNotPdf, "does not start"),
    Refusal("text", b"Kinh gui", DocumentNotPdf, "does not start"),
    Refusal("bytes before the header", b"\xef\xbb\xbf" + ONE_PAGE, DocumentNotPdf, "3 bytes stand before"),
    Refusal("encrypted", pdfs.encrypted_pdf(), DocumentEncrypted, "encrypted"),
    Refusal("cut off", ONE_PAGE[:-200], DocumentDamaged, "%%EOF"),
    Refusal(
        "bytes after the end", ONE_PAGE + b"9 0 obj\n<<>>\nendobj\n", DocumentDamaged, "belong to no revision"
    ),
    Refusal("wrong startxref", ONE_PAGE.replace(b"startxref\n", b"startxref\n9"), DocumentDamaged, ""),
    Refusal("size too small", pdfs.assemble(PLAIN, size=3), DocumentDamaged, "size mismatch"),
    Refusal("contradictory hybrid", pdfs.hybrid_pdf(contradictory=True), DocumentDamaged, "contradict"),
    Refusal("page tree in a circle", circular_pages(), DocumentDamaged, "circle"),
    Refusal("page tree of 70 levels", with_deep_page_tree(70), DocumentDamaged, "too deep"),
    Refusal("fields in a circle", circular_fields(), DocumentDamaged, "circle"),
    Refusal(
        "no page",
        pdfs.assemble(PLAIN | {2: b"<</Type /Pages /Kids [] /Count 0>>"}),
        DocumentDamaged,
        "no page",
    ),
    Refusal("certified against changes", certified(1), DocumentLocked, "allows no change"),
    Refusal("all fields locked", field_locked(b"/Action /All"), DocumentLocked, "locks"),
    Refusal(
        "field locked",
        field_locked(b"/Action /Include /Fields [(Second)]"),
        DocumentLocked,
        "locks",
        "Second",
    ),
    Refusal(
        "other fields locked",
        field_locked(b"/Action /Exclude /Fields [(X)]"),
        DocumentLocked,
        "locks",
        "Second",
    ),
    Refusal("field not for signatures", TEXT_FIELD, FieldInvalid, "not a signature field", "Note"),
    Refusal("field signed already", SIGNED_FIELD, FieldInvalid, "signed already", "First"),
    Refusal("dotted name of no field", ONE_PAGE, FieldInvalid, "cannot have that name", "a.b"),
    Refusal("field with demands", SEEDED_FIELD, DocumentLocked, "prescribes", "Leader"),
]


@pytest.mark.parametrize("row", REFUSALS, ids=lambda row: row.name)
def test_a_file_that_cannot_be_signed_is_refused_with_the_reason(row: Refusal) -> None:
    # What pyHanko's reader raises is turned into DocumentDamaged at the worker's door; here it shows as it is.
    who = signer()
    expected: tuple[type[Exception], ...] = (row.error,)
    if row.error is DocumentDamaged:
        expected = (DocumentDamaged, PdfError)
    with pytest.raises(expected, match=re.compile(row.says)):
        PadesBaseline().prepare(Document.of(row.data), who.parameters(field_name=row.field_name))


def test_a_signature_by_another_key_is_not_released() -> None:
    who, other = signer(), signer(name="Người Khác")
    form, document = PadesBaseline(), Document.of(ONE_PAGE)
    prepared = form.prepare(document, who.parameters())
    with pytest.raises(SelfCheckFailed, match="does not verify"):
        form.complete(document, who.parameters(), prepared.state, other.sign(prepared.digest))


@pytest.mark.parametrize("changed", [ONE_PAGE + b" ", ONE_PAGE.replace(b"Kyso", b"Kys0")])
def test_a_document_changed_between_the_steps_is_not_released(changed: bytes) -> None:
    who, form = signer(), PadesBaseline()
    prepared = form.prepare(Document.of(ONE_PAGE), who.parameters())
    with pytest.raises(SelfCheckFailed):
        form.complete(Document.of(changed), who.parameters(), prepared.state, who.sign(prepared.digest))


def test_a_flipped_byte_breaks_the_signature_for_pdfsig(tmp_path: Path) -> None:
    data = bytearray(sign(ONE_PAGE))
    data[data.index(b"Kyso")] ^= 1
    assert judged(tmp_path, bytes(data))[0]["Signature Validation"] == "Digest Mismatch."


def test_preparing_twice_gives_the_same_bytes() -> None:
    who, form = signer(), PadesBaseline()
    first, second = (form.prepare(Document.of(ONE_PAGE), who.parameters()) for _ in range(2))
    assert first == second
