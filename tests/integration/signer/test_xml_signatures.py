"""XMLDSig and XAdES B-B judged by xmlsec1 (and openssl where xmlsec1 lacks an algorithm)."""

from __future__ import annotations

import base64
from io import BytesIO
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from services.kernel.errors import DocumentLocked
from services.kernel.values import Digest, DigestAlgorithm, KeyAlgorithm, SignatureScheme, SigningAlgorithm
from services.signer.formats.format import Document
from services.signer.formats.xades import XmlSignature
from tests.support.document_signers import ALGORITHMS, RSA_SHA256, TestSigner, signed, signer
from tests.support.xml_tools import (
    DECLARATION,
    DS,
    canonical,
    element_text,
    openssl_verify,
    xmlsec_signed,
    xmlsec_verify,
)

if TYPE_CHECKING:
    from pathlib import Path

    from services.signer.formats.parameters import FormatName, SignatureParameters

XADES = XmlSignature(qualified=True)
FORMATS: dict[FormatName, XmlSignature] = {"XADES": XADES, "XMLDSIG": XmlSignature(qualified=False)}
TAX = "http://kekhaithue.gdt.gov.vn/TKhaiThue"
TARGET_ID = f"id {TAX}:HSoKhaiThue"


def signed_files(files: Document, who: TestSigner, parameters: SignatureParameters) -> bytes:
    prepared = XADES.prepare(files, parameters)
    value = who.sign(prepared.digest, parameters.algorithm)
    return XADES.complete(files, parameters, prepared.state, value)


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize(
    ("options", "where"),
    [
        ({}, "<CKyDTu/>\r\n{}</HSoThueDTu>"),
        ({"xml_target_id": "ID_1"}, "<CKyDTu/>\r\n{}</HSoThueDTu>"),
        ({"xml_target_id": "ID_1", "xml_parent": "HSoThueDTu/CKyDTu"}, "<CKyDTu>{}</CKyDTu>"),
        (
            {"xml_parent": f"{{{TAX}}}HSoThueDTu/CKyDTu", "xml_placement": "FIRST_CHILD"},
            "<CKyDTu>{}</CKyDTu>",
        ),
        (
            {"xml_parent": "/HSoThueDTu/HSoKhaiThue", "xml_placement": "AFTER"},
            "</HSoKhaiThue>{}\r\n  <CKyDTu/>",
        ),
        (
            {"xml_target_id": "ID_1", "xml_parent": "HSoThueDTu/HSoKhaiThue", "xml_placement": "FIRST_CHILD"},
            '<HSoKhaiThue id="ID_1">{}\r\n    <tenNNT>',
        ),
    ],
    ids=["whole", "by id", "by id, in a place", "whole, in a place", "after an element", "inside its target"],
)
def test_an_enveloped_signature_verifies_and_every_other_byte_stays(
    form: FormatName, options: dict[str, Any], where: str, tmp_path: Path
) -> None:
    who = signer()
    out = signed(FORMATS[form], DECLARATION, who, who.parameters(form=form, **options))
    assert xmlsec_verify(tmp_path, out, ids=(TARGET_ID,)) == ""
    signature = element_text(out.decode(), "ds:Signature")
    before, after = where.split("{}")
    place = where.format(signature).encode()
    assert place in out
    empty = before.encode() + after.encode()
    original = empty if empty in DECLARATION else b"<CKyDTu/>"
    assert out.replace(place, original) == DECLARATION
    changed = out.replace(b"1.000.000", b"9.000.000")
    assert "failed" in xmlsec_verify(tmp_path, changed, ids=(TARGET_ID,)).lower()


def test_the_root_can_be_the_target_without_what_stands_beside_it(tmp_path: Path) -> None:
    who = signer()
    document = DECLARATION.replace(b"<HSoThueDTu ", b'<HSoThueDTu ID="goc" ')
    ids = (f"ID {TAX}:HSoThueDTu",)
    out = document
    for number in (1, 2):
        out = signed(XADES, out, who, who.parameters(form="XADES", xml_target_id="goc"))
        assert [xmlsec_verify(tmp_path, out, signature=each + 1, ids=ids) for each in range(number)] == [
            ""
        ] * number
    beside = out.replace("<!-- hết -->".encode(), b"<?another instruction?>")
    assert xmlsec_verify(tmp_path, beside, ids=ids) == ""


@pytest.mark.parametrize(("key", "algorithm"), ALGORITHMS, ids=lambda value: value.label)
def test_every_key_scheme_and_digest_verifies(
    key: KeyAlgorithm, algorithm: SigningAlgorithm, tmp_path: Path
) -> None:
    who = signer(key)
    out = signed(XADES, DECLARATION, who, who.parameters(algorithm, form="XADES"))
    if algorithm.scheme is not SignatureScheme.RSA_PSS:
        assert xmlsec_verify(tmp_path, out) == ""
        return
    # This xmlsec1 knows no RSA-PSS: openssl verifies SignedInfo as Python's own canonicalisation writes it.
    info = canonical(element_text(out.decode(), "ds:SignedInfo"))
    name = algorithm.digest.hashlib_name
    assert f'Algorithm="http://www.w3.org/2007/05/xmldsig-more#{name}-rsa-MGF1"'.encode() in info
    value = base64.b64decode(element_text(out.decode(), "ds:SignatureValue").split(">")[1].split("<")[0])
    options = (f"-{name}", "-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:digest")
    assert openssl_verify(tmp_path, who.chain[0], info, value, *options) == ""
    assert openssl_verify(tmp_path, who.chain[0], info + b" ", value, *options) != ""


@pytest.mark.parametrize("key", [KeyAlgorithm.ECDSA_P256, KeyAlgorithm.ECDSA_P384])
def test_an_ecdsa_value_is_r_and_s_in_the_length_of_the_field(key: KeyAlgorithm, tmp_path: Path) -> None:
    who = signer(key)
    algorithm = SigningAlgorithm(SignatureScheme.ECDSA, DigestAlgorithm.SHA256)
    out = signed(XADES, DECLARATION, who, who.parameters(algorithm, form="XADES")).decode()
    value = base64.b64decode(element_text(out, "ds:SignatureValue").split(">")[1].split("<")[0])
    half = key.bits // 8
    assert len(value) == 2 * half
    der = encode_dss_signature(int.from_bytes(value[:half], "big"), int.from_bytes(value[half:], "big"))
    info = canonical(element_text(out, "ds:SignedInfo"))
    assert openssl_verify(tmp_path, who.chain[0], info, der, "-sha256") == ""


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("media_type", ["text/xml", "application/vnd.gdt+xml", ""])
def test_xml_goes_into_an_enveloping_signature_as_it_was_written(
    form: FormatName, media_type: str, tmp_path: Path
) -> None:
    who = signer()
    parameters = who.parameters(form=form, packaging="ENVELOPING")
    document = Document(BytesIO(DECLARATION), len(DECLARATION), "tờ khai.xml", media_type)
    prepared = FORMATS[form].prepare(document, parameters)
    out = FORMATS[form].complete(document, parameters, prepared.state, who.sign(prepared.digest))
    assert xmlsec_verify(tmp_path, out) == ""
    root = DECLARATION[DECLARATION.index(b"<HSo") : DECLARATION.index(b"\r\n<!-- h")]
    assert out.count(root) == 1
    assert xmlsec_verify(tmp_path, out.replace(b"1.000.000", b"9.000.000")) != ""


@pytest.mark.parametrize("content", [b"", b"\x00\xff" * 5000, b"<html>", DECLARATION], ids=len)
def test_any_bytes_go_into_an_enveloping_signature_in_base64(content: bytes, tmp_path: Path) -> None:
    who = signer()
    parameters = who.parameters(form="XADES", packaging="ENVELOPING")
    document = Document(BytesIO(content), len(content), "tệp", "application/octet-stream")
    out = signed_files(document, who, parameters)
    assert xmlsec_verify(tmp_path, out) == ""
    assert base64.b64encode(content) in out


def test_xml_with_a_signature_in_it_can_be_enveloped_and_the_inner_one_still_verifies(tmp_path: Path) -> None:
    who = signer()
    inner = signed(XADES, DECLARATION, who, who.parameters(form="XADES", xml_target_id="ID_1"))
    out = signed(XADES, inner, who, who.parameters(form="XADES", packaging="ENVELOPING"))
    assert xmlsec_verify(tmp_path, out, signature=1) == ""
    assert xmlsec_verify(tmp_path, out, signature=2, ids=(TARGET_ID,)) == ""


def test_detached_files_are_referred_to_by_their_names(tmp_path: Path) -> None:
    who = signer()
    names = ("to khai.xml", "bảng kê #1 (50%).pdf", "c&d'\".bin")
    contents = (DECLARATION, b"%PDF-1.7", bytes(range(256)))
    streams = [
        Document(BytesIO(content), len(content), name, "application/pdf" if name.endswith("pdf") else "")
        for name, content in zip(names, contents, strict=True)
    ]
    for name, content in zip(names, contents, strict=True):
        (tmp_path / name).write_bytes(content)
    files = Document(streams[0].stream, streams[0].size, names[0], others=tuple(streams[1:]))
    out = signed_files(files, who, who.parameters(form="XADES", packaging="DETACHED"))
    assert xmlsec_verify(tmp_path, out) == ""
    assert b'URI="b%E1%BA%A3ng%20k%C3%AA%20%231%20%2850%25%29.pdf"' in out
    (tmp_path / names[1]).write_bytes(b"%PDF-1.8")
    assert xmlsec_verify(tmp_path, out) != ""


def test_a_digest_is_enough_for_a_detached_signature(tmp_path: Path) -> None:
    who = signer()
    known = Digest(DigestAlgorithm.SHA256, DigestAlgorithm.SHA256.digest(DECLARATION))
    secret = Document(BytesIO(), 0, "mật.xml", known_digest=known)
    out = signed_files(secret, who, who.parameters(form="XADES", packaging="DETACHED"))
    (tmp_path / "mật.xml").write_bytes(DECLARATION)
    assert xmlsec_verify(tmp_path, out) == ""


@pytest.mark.parametrize("form", FORMATS)
def test_several_signatures_in_one_document_all_stay_valid(form: FormatName, tmp_path: Path) -> None:
    out = DECLARATION
    requests: list[dict[str, Any]] = [
        {},
        {"xml_target_id": "ID_1", "xml_parent": "HSoThueDTu/CKyDTu"},
        {"xml_placement": "FIRST_CHILD"},
        {"xml_target_id": "ID_1", "xml_parent": "HSoThueDTu/CKyDTu", "xml_placement": "FIRST_CHILD"},
        {"xml_parent": "HSoThueDTu/CKyDTu"},
    ]
    for number, options in enumerate(requests):
        who = signer(name=f"Người ký {number}") if number < 2 else signer()
        out = signed(FORMATS[form], out, who, who.parameters(form=form, **options))
        for earlier in range(number + 1):
            assert xmlsec_verify(tmp_path, out, signature=earlier + 1, ids=(TARGET_ID,)) == "", (
                number,
                earlier,
            )


def test_anothers_signature_by_id_stays_valid_beside_ours(tmp_path: Path) -> None:
    who = signer()
    theirs = xmlsec_signed(
        tmp_path, DECLARATION, f'<Transform Algorithm="{DS}enveloped-signature"/>', uri="#ID_1"
    )
    assert xmlsec_verify(tmp_path, theirs, ids=(TARGET_ID,)) == ""
    places: list[dict[str, Any]] = [{}, {"xml_target_id": "ID_1", "xml_parent": "HSoThueDTu/CKyDTu"}]
    for options in places:
        out = signed(XADES, theirs, who, who.parameters(form="XADES", **options))
        assert xmlsec_verify(tmp_path, out, signature=1, ids=(TARGET_ID,)) == ""
        assert xmlsec_verify(tmp_path, out, signature=2, ids=(TARGET_ID,)) == ""


def test_a_signature_that_would_break_an_earlier_one_is_refused_before_the_key_signs(tmp_path: Path) -> None:
    who = signer()
    theirs = xmlsec_signed(tmp_path, DECLARATION, f'<Transform Algorithm="{DS}enveloped-signature"/>')
    assert xmlsec_verify(tmp_path, theirs) == ""
    with pytest.raises(DocumentLocked, match="earlier signature"):
        XADES.prepare(Document.of(theirs), who.parameters(form="XADES"))
    ours = signed(XADES, DECLARATION, who, who.parameters(form="XADES", xml_target_id="ID_1"))
    inside = who.parameters(form="XADES", xml_parent="HSoThueDTu/HSoKhaiThue")
    with pytest.raises(DocumentLocked):
        XADES.prepare(Document.of(ours), inside)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "ascii"])
def test_the_document_keeps_its_encoding(encoding: str, tmp_path: Path) -> None:
    who = signer(name="Trần Thị Ạ")
    name = {"utf-8-sig": "utf-8", "ascii": "us-ascii"}.get(encoding, encoding)
    text = DECLARATION.decode().replace('encoding="UTF-8"', f'encoding="{name}"')
    data = text.encode(encoding, "xmlcharrefreplace")
    out = signed(FORMATS["XMLDSIG"], data, who, who.parameters(form="XMLDSIG"))
    assert xmlsec_verify(tmp_path, out) == ""
    assert out.startswith(data[:200])
    text_out = out.decode(encoding)
    assert text_out.replace(element_text(text_out, "ds:Signature"), "") == data.decode(encoding)


def test_rsa_with_sha256_is_what_is_signed_where_nothing_else_is_said() -> None:
    who = signer()
    out = signed(XADES, DECLARATION, who, who.parameters(RSA_SHA256, form="XADES"))
    assert b'Algorithm="http://www.w3.org/2001/04/xmldsig-more#rsa-sha256"' in out
