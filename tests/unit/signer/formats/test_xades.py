"""XAdES and XMLDSig: the letters of the standards, what is refused, and what the after-sign check sees."""

from __future__ import annotations

import base64
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from io import BytesIO
from typing import Any

import pytest
from lxml import etree

from services.kernel.errors import (
    AlgorithmMismatch,
    BodyTooLarge,
    DocumentDamaged,
    DocumentLocked,
    FieldInvalid,
    TargetInvalid,
)
from services.kernel.values import DigestAlgorithm, KeyAlgorithm, SignatureScheme, SigningAlgorithm
from services.signer.formats import xades, xml_check, xml_document, xml_signature
from services.signer.formats.errors import SelfCheckFailed
from services.signer.formats.format import Document, Role, Signed
from services.signer.formats.parameters import Level
from services.signer.formats.xades import XmlSignature
from services.signer.formats.xml_references import References
from tests.support.document_signers import SIGNING_TIME, TestSigner, signed, signer
from tests.support.xml_tools import DECLARATION, DS, PREFIXES

XADES, XMLDSIG = XmlSignature(qualified=True), XmlSignature(qualified=False)
TWICE = b'<r><a Id="x"/><b id="x"/><c/><c/></r>'


def find(document: bytes, path: str) -> list[etree._Element]:
    return etree.fromstring(document).findall(f".//{path}", PREFIXES)


def text(document: bytes, path: str) -> list[str]:
    return [element.text or "" for element in find(document, path)]


def test_the_signed_properties_are_those_of_the_baseline() -> None:
    # EN 319 132-1 section 6.3: SigningTime, SigningCertificateV2, DataObjectFormat with MimeType.
    who = signer()
    out = signed(XADES, DECLARATION, who, who.parameters(form="XADES"))
    assert text(out, "xades:SigningTime") == ["2026-11-22T03:04:05Z"]
    assert text(out, "xades:SigningCertificateV2/xades:Cert/xades:CertDigest/ds:DigestValue") == [
        base64.b64encode(DigestAlgorithm.SHA256.digest(who.chain[0])).decode()
    ]
    assert text(out, "xades:DataObjectFormat/xades:MimeType") == ["text/xml"]
    (content, properties) = find(out, "ds:SignedInfo/ds:Reference")
    (described,) = find(out, "xades:DataObjectFormat")
    assert described.get("ObjectReference") == f"#{content.get('Id')}"
    assert properties.get("Type") == "http://uri.etsi.org/01903#SignedProperties"
    (signature,) = find(out, "ds:Signature")
    (qualifying,) = find(out, "xades:QualifyingProperties")
    assert qualifying.get("Target") == f"#{signature.get('Id')}"
    assert [base64.b64decode(one) for one in text(out, "ds:X509Certificate")] == list(who.chain)


def test_plain_xmldsig_has_the_subject_and_no_properties() -> None:
    who = signer(name="Lê Văn <Thử> & Con")
    out = signed(XMLDSIG, DECLARATION, who, who.parameters(form="XMLDSIG"))
    assert b"xades" not in out
    assert len(find(out, "ds:SignedInfo/ds:Reference")) == 1
    (subject,) = text(out, "ds:X509SubjectName")
    assert "CN=Lê Văn \\<Thử\\> & Con" in subject


def test_the_time_is_written_in_utc_to_the_second() -> None:
    who = signer()
    here = timezone(timedelta(hours=7))
    local = replace(
        who.parameters(form="XADES"), signing_time=datetime(2026, 1, 1, 6, 59, 59, 999999, tzinfo=here)
    )
    out = signed(XADES, DECLARATION, who, local)
    assert text(out, "xades:SigningTime") == ["2025-12-31T23:59:59Z"]
    assert local.signing_time.astimezone(UTC) != SIGNING_TIME


def test_every_id_is_new_in_every_signature() -> None:
    who = signer()
    out = signed(XADES, DECLARATION, who, who.parameters(form="XADES"))
    out = signed(XADES, out, who, who.parameters(form="XADES"))
    ids = [element.get("Id") for element in etree.fromstring(out).iter() if element.get("Id")]
    assert len(ids) == len(set(ids)) == 10


@pytest.mark.parametrize(
    ("data", "options"),
    [
        (TWICE, {"xml_target_id": "x"}),
        (TWICE, {"xml_target_id": "missing"}),
        (TWICE, {"xml_target_id": "x') or id('y"}),
        (TWICE, {"xml_parent": "r/c"}),
        (TWICE, {"xml_parent": "r/d"}),
        (TWICE, {"xml_parent": "r/"}),
        (b"<r/>", {"xml_placement": "AFTER"}),
        (f'<r><s:Signature xmlns:s="{DS}"/></r>'.encode(), {"xml_parent": "r/Signature"}),
        (f'<r><s:Signature xmlns:s="{DS}"><o/></s:Signature></r>'.encode(), {"xml_parent": "r/Signature/o"}),
        (f'<s:Signature xmlns:s="{DS}"/>'.encode(), {}),
    ],
)
def test_a_target_or_place_that_is_not_the_only_one_is_refused(data: bytes, options: dict[str, Any]) -> None:
    who = signer()
    with pytest.raises(TargetInvalid):
        XADES.prepare(Document.of(data), who.parameters(form="XADES", **options))


@pytest.mark.parametrize("form", [XADES, XMLDSIG])
def test_hostile_xml_is_refused_in_every_packaging_that_reads_it(form: XmlSignature) -> None:
    who = signer()
    hostile = b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>'
    for packaging in ("ENVELOPED", "ENVELOPING"):
        document = Document(BytesIO(hostile), len(hostile), "a.xml")
        with pytest.raises(DocumentDamaged) as caught:
            form.prepare(document, who.parameters(form="XADES", packaging=packaging))
        assert caught.value.data["reason"] == "dtd"
    with pytest.raises(DocumentDamaged):
        form.next_need(Signed(Document.of(hostile), b""), Level.B_T, DigestAlgorithm.SHA256)


def test_a_packaging_takes_the_files_that_it_can_hold() -> None:
    who = signer()
    one, two = Document.of(b"<a/>"), Document.of(b"<b/>")
    for packaging in ("ENVELOPED", "ENVELOPING"):
        with pytest.raises(FieldInvalid, match="exactly one file"):
            XADES.prepare(replace(one, others=(two,)), who.parameters(form="XADES", packaging=packaging))
    detached = who.parameters(form="XADES", packaging="DETACHED")
    for names in (("", "b"), ("a", "a")):
        pair = replace(one, name=names[0], others=(replace(two, name=names[1]),))
        with pytest.raises(FieldInvalid, match="a name of its own"):
            XADES.prepare(pair, detached)
    with pytest.raises(FieldInvalid, match="contents only"):
        XADES.prepare(replace(one, role=Role.SIGNATURE), detached)
    with pytest.raises(FieldInvalid, match="enveloped signature only"):
        XADES.prepare(one, who.parameters(form="XADES", packaging="DETACHED", xml_target_id="x"))


def test_a_file_over_16_mebibytes_is_not_enveloped() -> None:
    who = signer()
    document = Document(BytesIO(b"x"), xades.MAX_ENVELOPED_BYTES + 1, "a.bin")
    with pytest.raises(BodyTooLarge, match="detached"):
        XADES.prepare(document, who.parameters(form="XADES", packaging="ENVELOPING"))


def test_16_mebibytes_are_enveloped_and_raised() -> None:
    who = signer()
    data = bytes(xades.MAX_ENVELOPED_BYTES)
    parameters = who.parameters(form="XADES", packaging="ENVELOPING")
    prepared = XADES.prepare(Document.of(data), parameters)
    assert len(prepared.state) < 10_000
    out = XADES.complete(Document.of(data), parameters, prepared.state, who.sign(prepared.digest))
    assert XADES.next_need(Signed(Document.of(data), out), Level.B_T, DigestAlgorithm.SHA256) is not None


def complete(who: TestSigner, value: bytes, prepared_from: bytes, completed_with: bytes) -> bytes:
    parameters = who.parameters(form="XADES")
    prepared = XADES.prepare(Document.of(prepared_from), parameters)
    value = value or who.sign(prepared.digest)
    return XADES.complete(Document.of(completed_with), parameters, prepared.state, value)


def test_nothing_is_released_that_does_not_verify() -> None:
    who = signer()
    with pytest.raises(SelfCheckFailed, match="does not verify"):
        complete(who, bytes(256), DECLARATION, DECLARATION)
    with pytest.raises(SelfCheckFailed, match="changed"):
        complete(who, b"", DECLARATION, DECLARATION.replace(b"1.000.000", b"9.000.000"))


@pytest.mark.parametrize("packaging", ["ENVELOPING", "DETACHED"])
def test_a_content_changed_between_the_steps_is_not_released(packaging: str) -> None:
    who = signer()
    parameters = who.parameters(form="XADES", packaging=packaging)
    prepared = XADES.prepare(Document.of(b"abc"), parameters)
    with pytest.raises(SelfCheckFailed, match="a digest"):
        XADES.complete(Document.of(b"abd"), parameters, prepared.state, who.sign(prepared.digest))


@pytest.mark.parametrize("value", [b"", b"\x30\x00", bytes(64), b"\x30\x06\x02\x01\x00\x02\x01\x00"])
def test_a_broken_ecdsa_value_is_not_released(value: bytes) -> None:
    who = signer(KeyAlgorithm.ECDSA_P256)
    algorithm = SigningAlgorithm(SignatureScheme.ECDSA, DigestAlgorithm.SHA256)
    parameters = who.parameters(algorithm, form="XADES")
    prepared = XADES.prepare(Document.of(DECLARATION), parameters)
    with pytest.raises(SelfCheckFailed):
        XADES.complete(Document.of(DECLARATION), parameters, prepared.state, value)


def test_a_key_that_does_not_fit_the_algorithm_is_refused() -> None:
    ecdsa = SigningAlgorithm(SignatureScheme.ECDSA, DigestAlgorithm.SHA256)
    with pytest.raises(AlgorithmMismatch):
        XADES.prepare(Document.of(DECLARATION), signer().parameters(ecdsa, form="XADES"))


def check(document: bytes, identifier: str, uris: list[str]) -> None:
    who = signer()
    constant = xml_signature.xml_signer(who.chain, who.parameters(form="XADES").algorithm)
    xml_check.check_signature(References(document, xml_document.parse(document)), constant, identifier, uris)


def test_the_after_sign_check_follows_each_reference_to_its_place() -> None:
    who = signer()
    out = signed(XADES, DECLARATION, who, who.parameters(form="XADES", xml_target_id="ID_1"))
    (signature,) = find(out, "ds:Signature")
    identifier = str(signature.get("Id"))
    uris = ["#ID_1", f"#{identifier}-properties"]
    check(out, identifier, uris)
    with pytest.raises(SelfCheckFailed, match="other things"):
        check(out, identifier, ["", uris[1]])
    with pytest.raises(SelfCheckFailed, match="a digest"):
        check(out.replace(b"1.000.000", b"9.000.000"), identifier, uris)
    with pytest.raises(SelfCheckFailed, match="a digest"):
        check(out.replace(b"2026-11-22T03:04:05Z", b"2026-11-22T03:04:06Z"), identifier, uris)
    with pytest.raises(SelfCheckFailed, match="does not verify"):
        check(out.replace(b"#ID_1", b"#ID_2").replace(b'"ID_1"', b'"ID_2"'), identifier, ["#ID_2", uris[1]])
    with pytest.raises(SelfCheckFailed, match="algorithms"):
        check(out.replace(b"#rsa-sha256", b"#rsa-sha384"), identifier, uris)
    # A wrapped target: the signed element is moved away, another one is put in its place.
    wrapped = out.replace(
        b'<HSoKhaiThue id="ID_1">', b'<HSoKhaiThue><x id="ID_1"/></HSoKhaiThue><HSoKhaiThue>'
    )
    with pytest.raises(SelfCheckFailed, match="a digest"):
        check(wrapped, identifier, uris)
    # Properties with the right Id and digest, but those of another place.
    (properties,) = find(out, "xades:SignedProperties")
    inside = etree.tostring(properties, with_tail=False)
    start, end = out.index(b"<xades:SignedProperties"), out.index(b"</xades:SignedProperties>") + 25
    moved = (out[:start] + out[end:]).replace(b"<CKyDTu/>", b"<CKyDTu>" + inside + b"</CKyDTu>")
    with pytest.raises(SelfCheckFailed, match="not its own"):
        check(moved, identifier, uris)


def test_an_earlier_signature_that_cannot_be_followed_is_named_in_a_warning() -> None:
    who = signer()
    out = signed(XADES, DECLARATION, who, who.parameters(form="XADES"))
    assert XADES.prepare(Document.of(out), who.parameters(form="XADES")).warnings == ()
    strange = out.replace(b"not(ancestor-or-self::ds:Signature)", b"count(ancestor-or-self::ds:Signature)=0")
    (warning,) = XADES.prepare(Document.of(strange), who.parameters(form="XADES")).warnings
    assert warning.startswith("EARLIER_SIGNATURE_UNCHECKED: ")


def test_an_earlier_signature_must_stay_what_it_was() -> None:
    before: dict[str, xml_check.Integrity] = {"value": (True, False, None)}
    xml_check.require_kept(before, {"value": (True, True, False), "new": (False,)})
    broken: list[dict[str, xml_check.Integrity]] = [
        {},
        {"value": ()},
        {"value": (False, False, None)},
        {"value": (None, False, None)},
    ]
    for after in broken:
        with pytest.raises(DocumentLocked):
            xml_check.require_kept(before, after)
