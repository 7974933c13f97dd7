"""PAdES: certification, signatures without the file, visible fields, and answers that do not fit their question."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

from services.kernel.errors import (
    DocumentDamaged,
    DocumentLocked,
    DomainError,
    FieldInvalid,
    TimeStampUnavailable,
)
from services.kernel.values import Digest, DigestAlgorithm
from services.signer.formats.errors import SelfCheckFailed
from services.signer.formats.format import (
    Document,
    Evidence,
    EvidenceNeeded,
    Role,
    Signed,
    TimeStampNeeded,
)
from services.signer.formats.pades import PadesBaseline
from services.signer.formats.pades_room import contents_bytes
from services.signer.formats.parameters import Level, Place, Visible
from services.signer.formats.pdf_own import Kind, own_updates
from tests.support import pdfs
from tests.support.document_signers import (
    openssl_cms_verify,
    pdf_signature_parts,
    pdfsig,
    signed,
    signer,
)
from tests.support.pades_verdicts import extend_to, opened, sign_at
from tests.support.stamping import evidence, imprint, openssl_ts_verify, token

if TYPE_CHECKING:
    from pathlib import Path

ONE_PAGE = pdfs.one_page_pdf()
SHA256 = DigestAlgorithm.SHA256


def fresh(level: Level, data: bytes = ONE_PAGE) -> Signed:
    who = signer()
    return Signed(Document.of(data), signed(PadesBaseline(), data, who, who.parameters(level=level)))


def asked(signed_: Signed, level: Level) -> TimeStampNeeded:
    need = PadesBaseline().next_need(signed_, level, SHA256)
    assert isinstance(need, TimeStampNeeded)
    return need


# --- certification -----------------------------------------------------------------------------------------------


def test_a_certification_is_named_by_catalog_and_reference() -> None:
    document = opened(sign_at(Level.B_B, ONE_PAGE, certification=3))
    signature = document.embedded_regular_signatures[0].sig_object
    parameters = signature["/Reference"][0]["/TransformParams"]
    assert (parameters["/P"], parameters["/V"]) == (3, "/1.2")
    assert document.root["/Perms"]["/DocMDP"] is signature


@pytest.mark.parametrize(
    ("earlier", "says"), [(0, "has the signature 'Signature1' already"), (2, "certified already")]
)
def test_a_certification_comes_first_or_not_at_all(earlier: int, says: str) -> None:
    data = sign_at(Level.B_B, ONE_PAGE, certification=earlier)
    with pytest.raises(DocumentLocked, match=says):
        sign_at(Level.B_B, data, certification=2)


def test_a_certification_keeps_other_permissions_and_an_own_object_for_them() -> None:
    objects = pdfs.page_objects(catalog=b"/Perms 10 0 R")
    objects[10] = b"<</UR3 11 0 R>>"
    objects[11] = b"<</Type /Sig>>"
    document = opened(sign_at(Level.B_B, pdfs.assemble(objects), certification=2))
    assert document.root.raw_get("/Perms").idnum == 10
    assert set(document.root["/Perms"]) == {"/UR3", "/DocMDP"}


def test_a_certification_with_a_field_lock_carries_both() -> None:
    data = pdfs.form_pdf(b"/FT /Sig /T (Leader) /Lock <</Type /SigFieldLock /Action /All>>")
    document = opened(sign_at(Level.B_B, data, certification=2, field_name="Leader"))
    references = document.embedded_regular_signatures[0].sig_object["/Reference"]
    methods = [references[index]["/TransformMethod"] for index in range(len(references))]
    assert methods == ["/DocMDP", "/FieldMDP"]


def test_a_file_certified_against_changes_is_not_signed_but_raised() -> None:
    data = sign_at(Level.B_B, ONE_PAGE, certification=1)
    with pytest.raises(DocumentLocked, match="allows no change"):
        sign_at(Level.B_B, data)
    assert extend_to(Level.B_LTA, data).startswith(data)


# --- the container alone -----------------------------------------------------------------------------------------


def known(data: bytes) -> Document:
    return Document(io.BytesIO(), 0, known_digest=Digest(SHA256, SHA256.digest(data)))


def embedded_elsewhere(level: Level) -> tuple[bytes, bytes]:
    """Lay a file out as a caller would: return what stands before and after /Contents."""
    who = signer()
    room = contents_bytes(who.parameters(level=level))
    whole = sign_at(level, ONE_PAGE)
    found = re.search(rb"/Contents <([0-9A-F]*)>", whole)
    assert found is not None
    assert found.end(1) - found.start(1) == 2 * room
    return whole[: found.start(1) - 1], whole[found.end(1) + 1 :]


@pytest.mark.parametrize("level", [Level.B_B, Level.B_T], ids=lambda level: level.value)
def test_a_container_made_from_a_digest_fits_the_file_that_stayed_away(level: Level, tmp_path: Path) -> None:
    form, who = PadesBaseline(), signer()
    before, after = embedded_elsewhere(level)
    parameters = who.parameters(packaging="DETACHED", level=level)
    document = known(before + after)
    prepared = form.prepare(document, parameters)
    container = form.complete(document, parameters, prepared.state, who.sign(prepared.digest))
    if level is Level.B_T:
        need = asked(Signed(document, container), level)
        assert need.state == b""
        stamp = token(need.imprint, SHA256)
        container = form.add_time_stamp(Signed(document, container), need, stamp)
        assert openssl_ts_verify(tmp_path, stamp, need.imprint) == ""
    assert form.next_need(Signed(document, container), level, SHA256) is None
    room = contents_bytes(parameters)
    whole = before + b"<" + container.hex().encode().ljust(2 * room, b"0") + b">" + after
    assert openssl_cms_verify(tmp_path, container, before + after) == ""
    (tmp_path / "whole.pdf").write_bytes(whole)
    assert [entry["Signature Validation"] for entry in pdfsig(tmp_path / "whole.pdf")] == [
        "Signature is Valid."
    ]


@pytest.mark.parametrize("level", [Level.B_LT, Level.B_LTA], ids=lambda level: level.value)
def test_a_container_alone_reaches_no_level_that_is_written_into_the_file(level: Level) -> None:
    form, who = PadesBaseline(), signer()
    parameters = who.parameters(packaging="DETACHED", level=level)
    with pytest.raises(FieldInvalid, match="embed the container, then extend") as caught:
        form.prepare(known(b"x"), parameters)
    assert caught.value.data["field"] == "level"
    with pytest.raises(FieldInvalid, match="embed the container, then extend"):
        form.next_need(Signed(known(b"x"), b""), level, SHA256)


@pytest.mark.parametrize(
    ("document", "options", "says"),
    [
        (Document.of(ONE_PAGE), {"packaging": "DETACHED"}, "send content_digest"),
        (known(b"x"), {}, "goes with packaging detached"),
        (known(b"x"), {"packaging": "DETACHED", "certification": 1}, "are in the file"),
        (known(b"x"), {"packaging": "DETACHED", "field_name": "Leader"}, "are in the file"),
        (known(b"x"), {"packaging": "DETACHED", "reason": "Phê duyệt"}, "are in the file"),
    ],
)
def test_digest_and_packaging_belong_together(document: Document, options: dict[str, Any], says: str) -> None:
    with pytest.raises(FieldInvalid, match=says):
        PadesBaseline().prepare(document, signer().parameters(**options))


def test_a_known_digest_by_another_algorithm_is_refused() -> None:
    document = Document(io.BytesIO(), 0, known_digest=Digest(DigestAlgorithm.SHA512, bytes(64)))
    with pytest.raises(FieldInvalid, match="SHA-256"):
        PadesBaseline().prepare(document, signer().parameters(packaging="DETACHED"))


# --- visible fields ----------------------------------------------------------------------------------------------


def with_image(data: bytes) -> Document:
    out = io.BytesIO()
    drawn = Image.new("RGBA", (400, 300), (0, 0, 0, 0))
    drawn.paste((255, 0, 0, 255), (50, 50, 350, 250))
    drawn.save(out, "PNG")
    picture = Document(io.BytesIO(out.getvalue()), len(out.getvalue()), "seal.png", "image/png", Role.IMAGE)
    return Document(io.BytesIO(data), len(data), others=(picture,))


def sign_visibly(data: bytes, visible: Visible, field_name: str | None = None) -> bytes:
    form, who = PadesBaseline(), signer()
    parameters = who.parameters(visible=visible, field_name=field_name)
    prepared = form.prepare(with_image(data), parameters)
    return data + form.complete(with_image(data), parameters, prepared.state, who.sign(prepared.digest))


def test_a_visible_signature_stands_in_a_new_field(tmp_path: Path) -> None:
    place = Place(width=80, height=60, page=1, left=100, bottom=200)
    data = sign_visibly(ONE_PAGE, Visible("free", place))
    widget = opened(data).root["/Pages"]["/Kids"][0]["/Annots"][0]
    assert [float(edge) for edge in widget["/Rect"]] == [100, 200, 180, 260]
    assert widget["/F"] == 132
    assert widget["/AP"]["/N"]["/Subtype"] == "/Form"
    (tmp_path / "visible.pdf").write_bytes(data)
    assert [entry["Signature Validation"] for entry in pdfsig(tmp_path / "visible.pdf")] == [
        "Signature is Valid."
    ]


@pytest.mark.parametrize("apart", [False, True], ids=["merged", "kid"])
def test_an_empty_field_is_filled_where_it_stands(apart: bool) -> None:
    objects = pdfs.page_objects(page=b"/Annots [11 0 R]", catalog=b"/AcroForm <</Fields [10 0 R]>>")
    widget = b"/Type /Annot /Subtype /Widget /F 2 /Rect [50 60 150 120] /P 3 0 R"
    if apart:
        objects[10] = b"<</FT /Sig /T (Leader) /Kids [11 0 R]>>"
        objects[11] = b"<<" + widget + b" /Parent 10 0 R>>"
    else:
        objects[pdfs.PAGE] = objects[pdfs.PAGE].replace(b"11 0 R", b"10 0 R")
        objects[10] = b"<</FT /Sig /T (Leader) " + widget + b">>"
    data = sign_visibly(pdfs.assemble(objects), Visible("free"), "Leader")
    page = opened(data).root["/Pages"]["/Kids"][0]
    assert len(page["/Annots"]) == 1
    shown = page["/Annots"][0]
    assert [float(edge) for edge in shown["/Rect"]] == [50, 60, 150, 120]
    # Hidden is cleared, Print is set: what was signed is shown.
    assert shown["/F"] == 4
    assert shown["/AP"]["/N"]["/Subtype"] == "/Form"
    assert opened(data).embedded_regular_signatures[0].field_name == "Leader"


# --- answers that do not fit --------------------------------------------------------------------------------------


@pytest.mark.parametrize("level", [Level.B_T, Level.B_LTA], ids=["in the signature", "of the document"])
def test_a_token_over_other_bytes_is_not_put_in(level: Level) -> None:
    form = PadesBaseline()
    state = fresh(Level.B_LTA)
    if level is Level.B_LTA:
        state = Signed(state.document, sign_at(Level.B_LT, ONE_PAGE)[len(ONE_PAGE) :])
    need = asked(state, level)
    wrong = token(imprint(b"something else"), SHA256)
    with pytest.raises(SelfCheckFailed, match="over other bytes"):
        form.add_time_stamp(state, need, wrong)


@pytest.mark.parametrize("level", [Level.B_T, Level.B_LTA], ids=["in the signature", "of the document"])
def test_a_token_that_does_not_fit_is_told_apart(level: Level, monkeypatch: pytest.MonkeyPatch) -> None:
    form = PadesBaseline()
    state = fresh(Level.B_B)
    if level is Level.B_LTA:
        monkeypatch.setattr("services.signer.formats.pades_levels.TOKEN_BYTES", 512)
        state = Signed(state.document, sign_at(Level.B_LT, ONE_PAGE)[len(ONE_PAGE) :])
    need = asked(state, level)
    with pytest.raises(TimeStampUnavailable, match="does not fit"):
        form.add_time_stamp(state, need, token(need.imprint, SHA256))


@pytest.mark.parametrize("junk", [b"", b"0", b"\x30\x03\x02\x01\x01", b"\x30\x80\x00\x00"])
@pytest.mark.parametrize("level", [Level.B_T, Level.B_LTA], ids=["in the signature", "of the document"])
def test_what_is_no_token_is_not_put_in(level: Level, junk: bytes) -> None:
    state = fresh(Level.B_LTA)
    if level is Level.B_LTA:
        state = Signed(state.document, sign_at(Level.B_LT, ONE_PAGE)[len(ONE_PAGE) :])
    with pytest.raises((DocumentDamaged, SelfCheckFailed)):
        PadesBaseline().add_time_stamp(state, asked(state, level), junk)


def test_a_document_that_changed_before_its_time_stamp_is_not_released() -> None:
    form = PadesBaseline()
    addition = sign_at(Level.B_LT, ONE_PAGE)[len(ONE_PAGE) :]
    need = asked(Signed(Document.of(ONE_PAGE), addition), Level.B_LTA)
    changed = Signed(Document.of(ONE_PAGE.replace(b"Kyso", b"Kys0")), addition)
    with pytest.raises(SelfCheckFailed, match="other bytes than the file's"):
        form.add_time_stamp(changed, need, token(need.imprint, SHA256))


def test_an_addition_that_is_not_ours_is_not_continued() -> None:
    form = PadesBaseline()
    addition = fresh(Level.B_LTA).addition
    for broken in (addition[:-1], addition + b" ", addition.replace(b"/Prev", b"/Pref"), b"%%EOF\n"):
        with pytest.raises(SelfCheckFailed, match="cannot be read back"):
            form.next_need(Signed(Document.of(ONE_PAGE), broken), Level.B_LTA, SHA256)
    with pytest.raises(SelfCheckFailed, match="cannot be read back"):
        form.next_need(Signed(Document.of(ONE_PAGE + b"\n"), addition), Level.B_LTA, SHA256)


def test_an_unsigned_file_is_not_raised() -> None:
    with pytest.raises(DocumentDamaged, match="no signature"):
        extend_to(Level.B_T, ONE_PAGE)


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (b"/SubFilter /adbe.x509.rsa_sha1 /Contents <00>", "holds no CMS"),
        (b"/Contents <3003020101>", "holds no CMS"),
        (b"/SubFilter /ETSI.CAdES.detached /ByteRange [0 1 2 3]", "no /Contents"),
        (b"/SubFilter /ETSI.CAdES.detached /Contents null /ByteRange [0 1 2 3]", "no /Contents"),
        (b"/SubFilter /ETSI.CAdES.detached /Contents <3003020101> /ByteRange null", "/ByteRange"),
        (b"/SubFilter /ETSI.CAdES.detached /Contents <3003020101> /ByteRange [0 1 2]", "/ByteRange"),
        (b"/SubFilter /ETSI.CAdES.detached /Contents <0000> /ByteRange [0 1 2 3]", "cannot be read"),
        (b"/SubFilter /ETSI.CAdES.detached /Contents <3082> /ByteRange [0 1 2 3]", "no ASN.1 value"),
        (b"/SubFilter /ETSI.CAdES.detached /Contents <3003020101> /ByteRange [0 1 2 99999]", "cut off"),
    ],
)
def test_a_signature_that_cannot_be_read_is_not_raised(value: bytes, says: str) -> None:
    data = pdfs.form_pdf(b"/FT /Sig /T (First) /V <</Type /Sig " + value + b">>")
    with pytest.raises(DomainError, match=re.escape(says)):
        extend_to(Level.B_T, data)


@pytest.mark.parametrize(
    "store",
    [
        b"/DSS <</Type /DSS /Certs [10 0 R]>>",
        b"/DSS 11 0 R",
        b"/DSS 11 0 R /Extensions <</ADBE <</BaseVersion /1.7 /ExtensionLevel 5>>>>",
    ],
    ids=["direct", "object", "with extensions"],
)
@pytest.mark.parametrize("elsewhere", [False, True], ids=["fresh", "extended"])
def test_a_store_that_the_file_had_is_kept(store: bytes, elsewhere: bool) -> None:
    objects = pdfs.page_objects(catalog=store)
    objects[10] = b"<</Length 3>>\nstream\nabc\nendstream"
    objects[11] = b"<</Type /DSS /Certs 12 0 R /VRI 13 0 R>>"
    objects[12] = b"[10 0 R]"
    objects[13] = b"<<>>"
    data = pdfs.assemble(objects)
    data = extend_to(Level.B_LT, sign_at(Level.B_B, data)) if elsewhere else sign_at(Level.B_LT, data)
    document = opened(data)
    kept = document.root["/DSS"]
    assert kept["/Certs"].raw_get(0).idnum == 10
    assert kept["/Certs"][0].data == b"abc"
    assert len(kept["/Certs"]) == 2
    if b"11 0 R" in store:
        assert document.root.raw_get("/DSS").idnum == 11
        assert kept.raw_get("/VRI").idnum == 13
    if b"ADBE" in store:
        assert "/ADBE" in document.root["/Extensions"]


@pytest.mark.parametrize("store", [b"/DSS [1]", b"/DSS <</Certs (x)>>", b"/DSS <</CRLs 5>>"])
def test_a_store_of_another_shape_is_refused(store: bytes) -> None:
    with pytest.raises(DocumentDamaged):
        sign_at(Level.B_LT, pdfs.assemble(pdfs.page_objects(catalog=store)))


def test_evidence_is_stored_once_each() -> None:
    form = PadesBaseline()
    state = Signed(Document.of(ONE_PAGE), sign_at(Level.B_T, ONE_PAGE)[len(ONE_PAGE) :])
    need = form.next_need(state, Level.B_LT, SHA256)
    assert isinstance(need, EvidenceNeeded)
    one = evidence(need.certificates)
    twice = Evidence(one.certificates * 2, one.crls * 2, one.ocsp_responses * 2)
    store = opened(ONE_PAGE + form.add_evidence(state, need, twice)).root["/DSS"]
    assert [len(store[key]) for key in ("/Certs", "/CRLs", "/OCSPs")] == [1, 1, len(one.ocsp_responses)]


# --- what was added, read back ------------------------------------------------------------------------------------


@pytest.mark.parametrize("streamed", [False, True], ids=["table", "stream"])
def test_what_was_added_is_found_again(streamed: bool) -> None:
    objects = pdfs.page_objects()
    data = pdfs.assemble_with_streams(objects, frozenset({1, 2})) if streamed else pdfs.assemble(objects)
    addition = sign_at(Level.B_LTA, data)[len(data) :]
    updates = own_updates(len(data), addition)
    assert [update.kind for update in updates] == [Kind.SIGNATURE, Kind.EVIDENCE, Kind.TIME_STAMP]
    assert [update.start for update in updates] == [0, updates[0].end, updates[1].end]
    assert updates[-1].end == len(addition)


def test_texts_of_the_file_do_not_lead_the_reading_back_astray(tmp_path: Path) -> None:
    trap = b"(/Root 9 0 R\\n/Size 1\\n/Prev 0\\n/ID [<> <>]\\nstartxref\\n0\\n%%EOF\\ntrailer\\n)"
    objects = pdfs.page_objects(catalog=b"/Trap " + trap, page=b"/Type2 " + trap)
    data = pdfs.assemble(objects, trailer=b"/Trap " + trap)
    whole = sign_at(Level.B_LTA, data, reason="/Type /Page /Contents <AB> startxref\u00a01 %%EOF")
    (tmp_path / "whole.pdf").write_bytes(whole)
    assert pdfsig(tmp_path / "whole.pdf")[0]["Signature Validation"] == "Signature is Valid."
    container, covered = pdf_signature_parts(whole, 0)
    assert openssl_cms_verify(tmp_path, container, covered) == ""
