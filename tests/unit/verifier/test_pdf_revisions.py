"""What later revisions of a signed PDF may do: each rule tried by a file that keeps it and one that does not."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from services.verifier.domain import (
    ChangeKind,
    Code,
    Coverage,
    DocumentReport,
    Indication,
    SubIndication,
    Verdict,
)
from services.verifier.formats import ber
from services.verifier.formats.pdf import PdfFormat
from services.verifier.ports import SubmittedDocument
from tests.support.pdf_signatures import Signatures
from tests.unit.verifier.authority import Hierarchy, Signer, subject
from tests.unit.verifier.conftest import Verify

SECONDS = 10
FORM = b"<</Type/Catalog/Pages 2 0 R/AcroForm<</Fields[%s]/SigFlags 3%s>>%s>>"


def update(data: bytes, objects: dict[int, bytes], root: int = 1, free: tuple[int, ...] = ()) -> bytes:
    """The file with a further revision that writes or frees objects."""
    previous = int(re.findall(rb"startxref\s+(\d+)", data)[-1])
    size = max([*map(int, re.findall(rb"/Size (\d+)", data)), *(number + 1 for number in objects)])
    out, lines = bytearray(data), [b"%d 1\n0000000000 00001 f \n" % number for number in free]
    for number, body in sorted(objects.items()):
        lines.append(b"%d 1\n%010d 00000 n \n" % (number, len(out)))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    start = len(out)
    out += b"xref\n%strailer\n<</Size %d/Root %d 0 R/Prev %d>>\n" % (b"".join(lines), size, root, previous)
    return bytes(out + b"startxref\n%d\n%%%%EOF\n" % start)


def stream(data: bytes, entries: bytes = b"") -> bytes:
    """A stream object's text."""
    return b"<<%s/Length %d>>stream\n%s\nendstream" % (entries, len(data), data)


@pytest.fixture(scope="session")
def sign(hierarchy: Hierarchy) -> Callable[[bytes], bytes]:
    """A detached CMS by the hierarchy's signer."""
    return lambda content: hierarchy.signer.cms(content, detached=True)


@pytest.fixture(scope="session")
def once(sign: Callable[[bytes], bytes]) -> bytes:
    """A file with one signature: value 4, field 5."""
    return Signatures(sign).add()


@pytest.fixture(scope="session")
def with_text_field(sign: Callable[[bytes], bytes]) -> bytes:
    """The same with a text field that is filled (object 20, look 21) and a page (3) that shows it."""
    file = Signatures(sign)
    file.text_field(b"So tien", b"100")
    return file.add(name=b"Signature1")


def change(report: DocumentReport) -> tuple[ChangeKind, bool]:
    """Kind of the last revision after the first signature, and whether it is allowed."""
    signature = next(one for one in report.signatures if one.name == "Signature1")
    last = signature.coverage.later[-1]
    return last.kind, last.allowed


def test_a_file_written_by_hand_is_valid(verify: Verify, once: bytes) -> None:
    report = verify(once)
    assert report.verdict is Verdict.VALID
    assert report.clean


ALLOWED: dict[str, dict[int, bytes]] = {
    "nothing": {},
    "the same page again": {3: b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]>>"},
    "the page with its entries in another order": {3: b"<</MediaBox [0 0 595 842] /Parent 2 0 R /Type /Page>>"},
    "an object that nothing uses": {30: b"<</Spare true>>"},
    "validation material": {
        1: FORM % (b"5 0 R", b"", b"/DSS 30 0 R"), 30: b"<</Type/DSS/Certs[31 0 R]>>", 31: stream(b"x"),
    },
    "metadata": {
        1: FORM % (b"5 0 R", b"", b"/Metadata 30 0 R"),
        30: stream(b'<x:xmpmeta xmlns:x="adobe:ns:meta/"/>', b"/Type/Metadata/Subtype/XML"),
    },
    "default resources of a form with nothing but signatures": {1: FORM % (b"5 0 R", b"/DA(/F 1 Tf)/DR<</Font<<>>>>", b"")},
    "a version": {1: FORM % (b"5 0 R", b"", b"/Version/2.0/Extensions<</ESIC<</BaseVersion/1.7>>>>")},
}  # fmt: skip


@pytest.mark.parametrize("what", ALLOWED)
def test_what_changes_nothing_leaves_the_signature_clean(verify: Verify, once: bytes, what: str) -> None:
    report = verify(update(once, ALLOWED[what]))
    assert report.verdict is Verdict.VALID
    assert report.clean
    assert change(report) == (ChangeKind.VALIDATION_DATA, True)


PAGE = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]%s>>"
WIDGET = b"<</FT/%s/T(%s)/Type/Annot/Subtype/Widget/Rect[0 0 9 9]>>"
REFUSED: dict[str, dict[int, bytes]] = {
    "contents of a page": {3: PAGE % b"/Contents 30 0 R", 30: stream(b"BT ET")},
    "size of a page": {3: b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 5 8]>>"},
    "an annotation": {3: PAGE % b"/Annots[30 0 R]", 30: b"<</Type/Annot/Subtype/FreeText/Rect[0 0 99 99]>>"},
    "another page": {2: b"<</Type/Pages/Kids[3 0 R 30 0 R]/Count 2>>", 30: PAGE % b""},
    "no page": {2: b"<</Type/Pages/Kids[]/Count 0>>"},
    "an action on opening": {1: FORM % (b"5 0 R", b"", b"/OpenAction<</S/JavaScript/JS(x)>>")},
    "scripts by name": {1: FORM % (b"5 0 R", b"", b"/Names<</JavaScript 30 0 R>>"), 30: b"<</Names[]>>"},
    "a text field": {1: FORM % (b"5 0 R 30 0 R", b"", b""), 30: WIDGET % (b"Tx", b"new")},
    "a field of a name that is taken": {1: FORM % (b"5 0 R 30 0 R", b"", b""), 30: WIDGET % (b"Sig", b"Signature1")},
    "no form": {1: b"<</Type/Catalog/Pages 2 0 R/Spare 5 0 R>>"},
    "a form by XFA": {1: FORM % (b"5 0 R", b"/XFA 30 0 R", b""), 30: stream(b"<xdp/>")},
    "the signature's field": {5: b"<</FT/Sig/T(Signature1)/V 4 0 R/Type/Annot/Subtype/Widget/Rect[0 0 99 99]>>"},
    "the signature's field without its value": {5: b"<</FT/Sig/T(Signature1)/Type/Annot/Subtype/Widget/Rect[0 0 0 0]>>"},
    "a store that is none": {1: FORM % (b"5 0 R", b"", b"/DSS 30 0 R"), 30: b"<</Type/DSS/JS(x)>>"},
    "metadata that are none": {1: FORM % (b"5 0 R", b"", b"/Metadata 30 0 R"), 30: stream(b"<script/>")},
    "metadata with entities": {
        1: FORM % (b"5 0 R", b"", b"/Metadata 30 0 R"),
        30: stream(b'<!DOCTYPE x [<!ENTITY a "b">]><x:xmpmeta xmlns:x="adobe:ns:meta/">&a;</x:xmpmeta>'),
    },
    "another kind of object": {2: b"[3 0 R]"},
    "true for a number": {2: b"<</Type/Pages/Kids[3 0 R]/Count true>>"},
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_what_could_change_the_document_is_named(verify: Verify, once: bytes, what: str) -> None:
    report = verify(update(once, REFUSED[what]), integrity_only=True)
    assert report.verdict in (Verdict.INDETERMINATE, Verdict.UNSIGNED)
    assert not report.clean
    if report.signatures:
        assert report.signatures[0].sub_indication is SubIndication.SIG_CONSTRAINTS_FAILURE
        assert change(report) == (ChangeKind.OTHER, False)


def test_what_was_added_may_not_become_something_else_later(verify: Verify, once: bytes) -> None:
    """An invisible field first, allowed by itself; then an annotation that shows, under its number."""
    listed = {1: FORM % (b"5 0 R 30 0 R", b"", b""), 3: PAGE % b"/Annots[30 0 R]"}
    field = b"<</FT/Sig/T(B)/Type/Annot/Subtype/Widget/Rect[0 0 0 0]>>"
    first = update(once, {**listed, 30: field})
    assert verify(first).clean
    note = b"<</FT/Sig/T(B)/Type/Annot/Subtype/FreeText/Rect[0 0 99 99]/Contents(x)>>"
    for second in (update(first, {30: note}), update(update(first, {30: note}), {31: b"<<>>"})):
        report = verify(second, integrity_only=True)
        assert change(report) == (ChangeKind.OTHER, False)
        assert not report.clean
    assert change(verify(update(once, {**listed, 30: note}))) == (ChangeKind.OTHER, False)


def test_annotations_keep_their_order(verify: Verify, sign: Callable[[bytes], bytes]) -> None:
    """The last one is drawn above the others."""
    file = Signatures(sign)
    note = b"<</Type/Annot/Subtype/FreeText/Rect[0 0 9 9]/Contents(%d)>>"
    file.write({20: note % 1, 21: note % 2, 3: PAGE % b"/Annots[20 0 R 21 0 R]"})
    signed = file.add()
    assert verify(update(signed, {3: PAGE % b"/Annots[20 0 R 21 0 R]"})).clean
    assert change(verify(update(signed, {3: PAGE % b"/Annots[21 0 R 20 0 R]"}))) == (ChangeKind.OTHER, False)
    assert change(verify(update(signed, {3: PAGE % b"/Annots[20 0 R 21 0 R 21 0 R]"})))[1] is False


def test_a_new_field_brings_no_actions(verify: Verify, once: bytes) -> None:
    field = b"<</FT/Sig/T(B)/Type/Annot/Subtype/Widget/Rect[0 0 0 0]/AA<</PV<</S/JavaScript/JS(x)>>>>>>"
    listed = {1: FORM % (b"5 0 R 30 0 R", b"", b""), 3: PAGE % b"/Annots[30 0 R]", 30: field}
    assert change(verify(update(once, listed))) == (ChangeKind.OTHER, False)


def test_the_same_object_in_another_generation_is_another_one(verify: Verify, once: bytes) -> None:
    page = PAGE % b""
    data = update(once, {3: page})
    assert verify(data).clean
    start = len(once)
    moved = data[:start] + data[start:].replace(b"3 0 obj", b"3 1 obj").replace(b" 00000 n", b" 00001 n")
    assert change(verify(moved)) == (ChangeKind.OTHER, False)


def test_an_object_of_the_signed_revision_may_not_be_freed(verify: Verify, once: bytes) -> None:
    report = verify(update(once, {}, free=(3,)))
    assert change(report) == (ChangeKind.OTHER, False)
    assert verify(update(once, {}, free=(77,))).clean


def test_a_missing_object_may_not_be_supplied_later(verify: Verify, sign: Callable[[bytes], bytes]) -> None:
    file = Signatures(sign)
    file.write({3: PAGE % b"/Contents 90 0 R"})
    signed = file.add()
    assert verify(signed).clean
    assert change(verify(update(signed, {90: stream(b"BT ET")}))) == (ChangeKind.OTHER, False)


def test_an_entry_may_not_point_to_what_is_written_later(
    verify: Verify, sign: Callable[[bytes], bytes]
) -> None:
    """The signed cross-references name a place behind the signed bytes, where something is put afterwards."""
    probe = Signatures(sign)
    probe.write({3: PAGE % b"/Contents 90 0 R"})
    end = len(probe.add())
    file = Signatures(sign)
    file.write({3: PAGE % b"/Contents 90 0 R"}, promised={90: end + 9})
    signed = file.add()
    forged = signed + b" " * (end + 9 - len(signed)) + b"90 0 obj\n%s\nendobj\n" % stream(b"BT ET")
    report = verify(update(forged, {91: b"<<>>"}), integrity_only=True)
    assert report.verdict is Verdict.INDETERMINATE
    assert Code.UNOWNED_BYTES in {notice.code for notice in report.signatures[0].notices}


def test_a_filled_field_is_told_and_not_clean(verify: Verify, with_text_field: bytes) -> None:
    assert verify(with_text_field).clean
    field = b"<</FT/Tx/T(So tien)/V(%s)/AP<</N 21 0 R>>/Type/Annot/Subtype/Widget/Rect[0 0 99 99]/P 3 0 R>>"
    assert verify(update(with_text_field, {20: field % b"100"})).clean
    report = verify(update(with_text_field, {20: field % b"900"}))
    assert change(report) == (ChangeKind.FORM_FILLING, True)
    assert report.verdict is Verdict.VALID
    assert not report.clean
    look = stream(b"(900) Tj", b"/Type/XObject/Subtype/Form/BBox[0 0 99 99]")
    report = verify(update(with_text_field, {20: field % b"900", 21: look}))
    assert change(report) == (ChangeKind.FORM_FILLING, True)
    assert change(verify(update(with_text_field, {21: look}))) == (ChangeKind.OTHER, False)
    moved = (field % b"100").replace(b"[0 0 99 99]", b"[9 9 99 99]")
    assert change(verify(update(with_text_field, {20: moved}))) == (ChangeKind.OTHER, False)


@pytest.mark.parametrize(
    ("reference", "allowed"),
    [
        (b"/TransformMethod/FieldMDP/TransformParams<</Action/All>>", False),
        (b"/TransformMethod/FieldMDP/TransformParams<</Action/Include/Fields[(So tien)]>>", False),
        (b"/TransformMethod/FieldMDP/TransformParams<</Action/Include/Fields[(So)]>>", True),
        (b"/TransformMethod/FieldMDP/TransformParams<</Action/Exclude/Fields[(So tien)]>>", True),
        (b"/TransformMethod/FieldMDP/TransformParams<</Action/Exclude/Fields[(Ten)]>>", False),
        (b"/TransformMethod/DocMDP/TransformParams<</P 1>>", False),
        (b"/TransformMethod/DocMDP/TransformParams<</P 2>>", True),
        (b"/TransformMethod/DocMDP/TransformParams<<>>", True),
    ],
)
def test_a_signature_allows_what_it_says(
    verify: Verify, sign: Callable[[bytes], bytes], reference: bytes, allowed: bool
) -> None:
    file = Signatures(sign)
    file.text_field(b"So tien", b"100")
    signed = file.add(b"/SubFilter/adbe.pkcs7.detached/Reference[<<%s>>]" % reference, b"Signature1")
    field = b"<</FT/Tx/T(So tien)/V(900)/AP<</N 21 0 R>>/Type/Annot/Subtype/Widget/Rect[0 0 99 99]/P 3 0 R>>"
    report = verify(update(signed, {20: field}))
    assert change(report)[1] is allowed
    assert not report.clean


@pytest.mark.parametrize(
    "reference", [b"/TransformMethod/DocMDP/TransformParams<</P 7>>", b"/TransformMethod/FieldMDP"]
)
def test_damaged_permissions_are_a_format_failure(
    verify: Verify, sign: Callable[[bytes], bytes], reference: bytes
) -> None:
    file = Signatures(sign)
    signed = file.add(b"/SubFilter/adbe.pkcs7.detached/Reference[<<%s>>]" % reference)
    (signature,) = verify(update(signed, {})).signatures
    assert (signature.indication, signature.sub_indication) == (
        Indication.TOTAL_FAILED,
        SubIndication.FORMAT_FAILURE,
    )


def test_an_object_with_two_uses_is_not_changed_by_way_of_one(
    verify: Verify, sign: Callable[[bytes], bytes]
) -> None:
    """An empty signature field that is also a page's font dictionary may not be filled."""
    file = Signatures(sign)
    field = b"<</FT/Sig/T(Later)/Type/Annot/Subtype/Widget/Rect[0 0 0 0]%s>>"
    file.write({20: field % b"", 3: PAGE % b"/Resources<</Font 20 0 R>>"}, fields=(20,))
    signed = file.add(name=b"Signature1")
    value = b"<</Type/DocTimeStamp/SubFilter/ETSI.RFC3161/Contents<00>/ByteRange[0 1 2 3]>>"
    forged = update(signed, {20: field % b"/V 31 0 R/AP<</N 32 0 R>>", 31: value, 32: b"<</Type/Font>>"})
    assert change(verify(forged)) == (ChangeKind.OTHER, False)


def test_replaced_words_with_a_signature_are_told_and_those_signed_count(
    verify: Verify, sign: Callable[[bytes], bytes]
) -> None:
    signed = Signatures(sign).add(b"/SubFilter/adbe.pkcs7.detached/Reason(Dong y)/M(D:20260101000000Z)")
    value = re.search(rb"4 0 obj\n(<<.*?>>)\nendobj", signed, re.DOTALL)
    assert value is not None
    report = verify(update(signed, {4: value[1].replace(b"Dong y", b"Phan doi")}))
    assert report.clean
    assert "words with a signature" in report.signatures[0].coverage.later[0].touches
    dated = verify(update(signed, {4: value[1].replace(b"D:2026", b"D:2020")}))
    assert change(dated) == (ChangeKind.OTHER, False)


def rsa_signer(hierarchy: Hierarchy) -> Signer:
    """A signer with an RSA key."""
    key = rsa.generate_private_key(65537, 2048)
    return hierarchy.issuing.signer(
        subject(common_name="Cu"), key=key, chain=[hierarchy.issuing.certificate, hierarchy.root.certificate]
    )


@pytest.mark.parametrize("algorithm", [hashes.SHA1(), hashes.SHA256()])  # noqa: S303 - the older encoding's
def test_a_bare_signature_with_its_certificate_beside_it_is_read(
    verify: Verify, hierarchy: Hierarchy, algorithm: hashes.HashAlgorithm
) -> None:
    who = rsa_signer(hierarchy)
    assert isinstance(who.key, rsa.RSAPrivateKey)
    key = who.key
    chain = b" ".join(
        b"<%s>" % c.public_bytes(Encoding.DER).hex().encode() for c in [who.certificate, *who.chain]
    )
    file = Signatures(
        lambda content: ber.tlv(ber.OCTET_STRING, key.sign(content, padding.PKCS1v15(), algorithm))
    )
    signed = file.add(b"/SubFilter/adbe.x509.rsa_sha1/Cert[%s]" % chain)
    report = verify(signed, integrity_only=True)
    assert report.verdict is Verdict.VALID
    assert report.clean
    (signature,) = report.signatures
    assert signature.format == "PDF (adbe.x509.rsa_sha1)"
    assert signature.signer is not None
    assert signature.signer.common_name == "Cu"
    trusted = verify(signed)
    weak = isinstance(algorithm, hashes.SHA1)
    assert trusted.verdict is (Verdict.INDETERMINATE if weak else Verdict.VALID)
    broken = bytearray(signed)
    broken[broken.index(b"595")] ^= 1
    (signature,) = verify(bytes(broken), integrity_only=True).signatures
    assert signature.sub_indication is SubIndication.SIG_CRYPTO_FAILURE


def test_a_signature_over_the_digest_of_the_document_is_read(verify: Verify, hierarchy: Hierarchy) -> None:
    file = Signatures(lambda content: hierarchy.signer.cms(hashlib.sha1(content).digest()))  # noqa: S324 - as above
    signed = file.add(b"/SubFilter/adbe.pkcs7.sha1")
    report = verify(signed, integrity_only=True)
    assert report.verdict is Verdict.VALID
    assert report.signatures[0].format == "PDF (adbe.pkcs7.sha1)"
    broken = signed.replace(b"595", b"596")
    assert verify(broken, integrity_only=True).signatures[0].sub_indication is SubIndication.HASH_FAILURE


def test_a_signature_that_cannot_be_read_is_not_passed_over(verify: Verify, once: bytes) -> None:
    for damaged in (
        once.replace(b"/Type/Sig/", b"/Type/Sig/Type/Sig/"),
        once.replace(b"/Filter/Adobe.PPKLite", b"/Filter/Adobe.PPKLite("),
        once.replace(b"/V 4 0 R", b"/V [ 1 ]"),
    ):
        report = verify(damaged)
        assert report.verdict is Verdict.MALFORMED
    assert verify(once.replace(b"/V 4 0 R", b"/V 9 0 R")).verdict is Verdict.UNSIGNED


def test_what_was_signed_can_be_taken_out(verify: Verify, once: bytes) -> None:
    later = update(once, {30: b"<<>>"})
    (found,) = PdfFormat().find(SubmittedDocument(later)).signatures
    assert found.coverage.coverage is Coverage.REVISION
    assert PdfFormat().signed_revision(later, found) == once
    (whole,) = PdfFormat().find(SubmittedDocument(once)).signatures
    assert PdfFormat().signed_revision(once, whole) == once
    (partial,) = PdfFormat().find(SubmittedDocument(once.replace(b"%%EOF", b"%%E0F"))).signatures
    assert partial.coverage.coverage is Coverage.WHOLE


def test_five_hundred_signatures_are_answered_and_one_more_is_a_limit(
    verify: Verify, sign: Callable[[bytes], bytes]
) -> None:
    file = Signatures(sign)
    for _ in range(500):
        data = file.add()
    started = time.process_time()
    report = verify(data)
    assert time.process_time() - started < SECONDS
    assert report.verdict is Verdict.VALID
    assert report.clean
    assert len(report.signatures) == 500
    more = verify(file.add())
    assert more.verdict is Verdict.INDETERMINATE
    assert more.notices[0].code is Code.LIMIT_REACHED


def test_very_many_later_revisions_with_very_much_in_them_are_a_limit(
    verify: Verify, sign: Callable[[bytes], bytes]
) -> None:
    file = Signatures(sign)
    file.add()
    store = b"<</Type/DSS/Certs[%s]>>" % b" ".join(b"%d 0 R" % number for number in range(31, 4000))
    file.write({1: FORM % (b"5 0 R", b"", b"/DSS 30 0 R"), 30: store})
    for number in range(1400):
        file.write({30: store.replace(b"Certs", b"Certs" if number % 2 else b"CRLs")})
    started = time.process_time()
    report = verify(file.data, integrity_only=True)
    assert time.process_time() - started < SECONDS
    assert report.verdict is Verdict.INDETERMINATE
    assert report.notices[0].code is Code.LIMIT_REACHED
