"""XAdES B-T to B-LTA: every token judged by openssl over an imprint that is put together here from the standard's text.

What the references refer to comes from xmlsec1 (what it hashed), the other elements from Python's canonicalisation.
"""

from __future__ import annotations

import base64
import re
import subprocess
from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from services.kernel.errors import DocumentDamaged, EvidenceUnavailable, FieldInvalid
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
from services.signer.formats.parameters import Level
from services.signer.formats.xades import XmlSignature
from tests.support import stamping
from tests.support.document_signers import signed, signer
from tests.support.xml_tools import (
    DECLARATION,
    DS,
    XADES,
    canonical,
    element_text,
    xmlsec_hashed,
    xmlsec_verify,
)

if TYPE_CHECKING:
    from pathlib import Path

FORM = XmlSignature(qualified=True)
IDS = ("id http://kekhaithue.gdt.gov.vn/TKhaiThue:HSoKhaiThue",)
PROPERTY = re.compile(
    r"<((?:xades|xades141):(?:SignatureTimeStamp|TimeStampValidationData|CertificateValues|RevocationValues"
    r"|ArchiveTimeStamp))[ >].*?</\1>",
    re.DOTALL,
)
OBJECT = re.compile(r"<ds:Object[ >].*?</ds:Object>", re.DOTALL)


def token_in(text: str) -> bytes:
    return base64.b64decode(element_text(text, "xades:EncapsulatedTimeStamp").split(">")[1].split("<")[0])


def signature_text(document: str, number: int = 1) -> str:
    return str(re.findall(r"<ds:Signature[ >].*?</ds:Signature>", document, re.DOTALL)[number - 1])


def properties(document: bytes, number: int = 1) -> list[tuple[str, str]]:
    """Return names and texts of the unsigned signature properties."""
    text = signature_text(document.decode(), number)
    if "<xades:UnsignedSignatureProperties" not in text:
        return []
    inside = element_text(text, "xades:UnsignedSignatureProperties")
    return [(match[1].split(":")[1], match[0]) for match in PROPERTY.finditer(inside)]


def stamped(folder: Path, document: bytes, number: int = 1) -> list[tuple[bytes, bytes]]:
    """Return each time-stamp token of a signature with the octets that it must be over.

    EN 319 132-1 section 5.3 for the signature time-stamp, 5.5.2.2 for the archive time-stamp.
    """
    text = signature_text(document.decode(), number)
    found, before = [], b""
    parts = b"".join(xmlsec_hashed(folder, document, signature=number, ids=IDS))
    parts += b"".join(
        canonical(element_text(text, f"ds:{name}")) for name in ("SignedInfo", "SignatureValue", "KeyInfo")
    )
    objects = b"".join(canonical(each) for each in OBJECT.findall(text) if "QualifyingProperties" not in each)
    for name, part in properties(document, number):
        if name == "SignatureTimeStamp":
            found.append((token_in(part), canonical(element_text(text, "ds:SignatureValue"))))
        if name == "ArchiveTimeStamp":
            found.append((token_in(part), parts + before + objects))
        before += canonical(part)
    return found


def require_stamps(
    folder: Path,
    document: bytes,
    count: int,
    number: int = 1,
    digest: DigestAlgorithm = DigestAlgorithm.SHA256,
) -> None:
    stamps = stamped(folder, document, number)
    assert len(stamps) == count
    for token, octets in stamps:
        assert stamping.openssl_ts_verify(folder, token, stamping.imprint(octets, digest)) == ""
        assert stamping.openssl_ts_verify(folder, token, stamping.imprint(octets + b" ", digest)) != ""


LTA = [
    "SignatureTimeStamp",
    "TimeStampValidationData",
    "CertificateValues",
    "RevocationValues",
    "ArchiveTimeStamp",
]


@pytest.mark.parametrize("digest", DigestAlgorithm)
@pytest.mark.parametrize(
    ("level", "names"), [(Level.B_T, LTA[:1]), (Level.B_LT, LTA[:4]), (Level.B_LTA, LTA)]
)
def test_each_level_adds_its_properties(
    level: Level, names: list[str], digest: DigestAlgorithm, tmp_path: Path
) -> None:
    who = signer()
    out = signed(FORM, DECLARATION, who, who.parameters(form="XADES"))
    raised = stamping.raise_to(FORM, Signed(Document.of(DECLARATION), out), level, digest)
    assert [name for name, _ in properties(raised)] == names
    assert xmlsec_verify(tmp_path, raised) == ""
    require_stamps(tmp_path, raised, 2 if level is Level.B_LTA else 1, digest=digest)
    assert FORM.next_need(Signed(Document.of(DECLARATION), raised), level, digest) is None
    # Nothing but the properties was added.
    start = raised.index(b"<xades:UnsignedProperties")
    end = raised.index(b"</xades:UnsignedProperties>") + len(b"</xades:UnsignedProperties>")
    assert raised[:start] + raised[end:] == out


@pytest.mark.parametrize(
    "options",
    [
        {"xml_target_id": "ID_1", "xml_parent": "HSoThueDTu/CKyDTu"},
        {"xml_target_id": "ID_1", "xml_parent": "HSoThueDTu/HSoKhaiThue"},
        {"packaging": "ENVELOPING"},
    ],
    ids=["by id", "inside its target", "enveloping"],
)
def test_every_packaging_reaches_the_archive_level(options: dict[str, Any], tmp_path: Path) -> None:
    who = signer()
    out = signed(FORM, DECLARATION, who, who.parameters(form="XADES", **options))
    raised = stamping.raise_to(FORM, Signed(Document.of(DECLARATION), out), Level.B_LTA)
    assert xmlsec_verify(tmp_path, raised, ids=IDS) == ""
    require_stamps(tmp_path, raised, 2)


@pytest.mark.parametrize("packaging", ["ENVELOPING", "DETACHED"])
def test_files_of_any_kind_are_covered_by_the_archive_time_stamp(packaging: str, tmp_path: Path) -> None:
    who = signer()
    # xmlsec1's listing of what it hashed ends at a line end: the contents have none of the words that it prints.
    contents = {"bảng kê.bin": bytes(range(128, 256)) * 50, "b.txt": "Tờ trình".encode()}
    chosen = dict(list(contents.items())[: 1 if packaging == "ENVELOPING" else 2])
    files = [Document(BytesIO(data), len(data), name, "application/x-test") for name, data in chosen.items()]
    for name, data in chosen.items():
        (tmp_path / name).write_bytes(data)
    document = Document(
        files[0].stream, files[0].size, files[0].name, files[0].media_type, others=tuple(files[1:])
    )
    parameters = who.parameters(form="XADES", packaging=packaging)
    prepared = FORM.prepare(document, parameters)
    out = FORM.complete(document, parameters, prepared.state, who.sign(prepared.digest))
    raised = stamping.raise_to(FORM, Signed(document, out), Level.B_LTA)
    assert xmlsec_verify(tmp_path, raised) == ""
    require_stamps(tmp_path, raised, 2)


def test_a_signature_made_before_is_extended_step_by_step(tmp_path: Path) -> None:
    who = signer()
    sent = signed(FORM, DECLARATION, who, who.parameters(form="XADES"))
    for level in (Level.B_T, Level.B_LT, Level.B_LTA, Level.B_LTA):
        sent = stamping.raise_to(FORM, Signed(Document.of(sent), b""), level)
        assert xmlsec_verify(tmp_path, sent) == ""
    # The last step renewed; what validates the first archive time-stamp was there already.
    assert [name for name, _ in properties(sent)] == [*LTA, "ArchiveTimeStamp"]
    require_stamps(tmp_path, sent, 3)


@pytest.fixture
def other_authority() -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    """Make a CA that certifies time-stamp units and nobody else."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "CA of the time-stamp authorities")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - timedelta(days=2)).not_valid_after(now + timedelta(days=30))
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    return key, builder.sign(key, hashes.SHA256())


def test_what_validates_a_time_stamp_stands_apart_from_what_validates_the_signer(
    other_authority: tuple[ec.EllipticCurvePrivateKey, x509.Certificate], monkeypatch: pytest.MonkeyPatch
) -> None:
    who = signer()
    other_ca = other_authority[1].public_bytes(Encoding.DER)
    of_signer = stamping.evidence(who.chain)
    with monkeypatch.context() as patched:
        patched.setattr(stamping, "authority", lambda: other_authority)
        unit = stamping.time_stamp_unit.__wrapped__()
        of_unit = stamping.evidence((unit.certificate,))
    monkeypatch.setattr(stamping, "time_stamp_unit", lambda: unit)
    together = Evidence(
        of_unit.certificates + of_signer.certificates,
        of_unit.crls + of_signer.crls,
        of_unit.ocsp_responses + of_signer.ocsp_responses,
    )
    out = signed(FORM, DECLARATION, who, who.parameters(form="XADES"))
    at_t = stamping.raise_to(FORM, Signed(Document.of(DECLARATION), out), Level.B_T)
    state = Signed(Document.of(DECLARATION), at_t)
    need = FORM.next_need(state, Level.B_LT, DigestAlgorithm.SHA256)
    assert isinstance(need, EvidenceNeeded)
    at_lt = FORM.add_evidence(state, need, together)
    found = dict(properties(at_lt))
    assert list(found) == LTA[:4]
    for value in (other_ca, of_unit.crls[0], of_unit.ocsp_responses[0]):
        assert base64.b64encode(value).decode() in found["TimeStampValidationData"]
    values = found["CertificateValues"] + found["RevocationValues"]
    for value in (of_signer.certificates[0], of_signer.crls[0], of_signer.ocsp_responses[0]):
        assert base64.b64encode(value).decode() in values
    assert base64.b64encode(other_ca).decode() not in values


def test_every_signature_of_a_document_is_extended(tmp_path: Path) -> None:
    first, second = signer(), signer(name="Thủ trưởng")
    out = signed(FORM, DECLARATION, first, first.parameters(form="XADES"))
    out = signed(
        FORM, out, second, second.parameters(form="XADES", xml_target_id="ID_1", xml_placement="FIRST_CHILD")
    )
    raised = stamping.raise_to(FORM, Signed(Document.of(out), b""), Level.B_LTA)
    for number in (1, 2):
        assert xmlsec_verify(tmp_path, raised, signature=number, ids=IDS) == ""
        assert [name for name, _ in properties(raised, number)] == LTA
        require_stamps(tmp_path, raised, 2, number)


def test_a_further_signature_leaves_the_earlier_ones_at_their_level(tmp_path: Path) -> None:
    first, second = signer(), signer(name="Thủ trưởng")
    one = signed(FORM, DECLARATION, first, first.parameters(form="XADES"))
    one = stamping.raise_to(FORM, Signed(Document.of(DECLARATION), one), Level.B_LTA)
    two = signed(FORM, one, second, second.parameters(form="XADES"))
    raised = stamping.raise_to(FORM, Signed(Document.of(one), two), Level.B_T)
    assert [name for name, _ in properties(raised, 1)] == LTA
    assert [name for name, _ in properties(raised, 2)] == LTA[:1]
    for number, count in ((1, 2), (2, 1)):
        assert xmlsec_verify(tmp_path, raised, signature=number) == ""
        require_stamps(tmp_path, raised, count, number)


def by_another(folder: Path) -> bytes:
    """Make a XAdES signature as others write it: other prefixes, inclusive canonical form, indented."""
    who = signer()
    digest = base64.b64encode(DigestAlgorithm.SHA256.digest(who.chain[0])).decode()
    certificates = "".join(
        f"<X509Certificate>{base64.encodebytes(each).decode()}</X509Certificate>" for each in who.chain
    )
    method = '<DigestMethod Algorithm="http://www.w3.org/2001/04/xmlenc#sha256"/>'
    c14n = "http://www.w3.org/TR/2001/REC-xml-c14n-20010315"
    text = f"""
  <Signature xmlns="{DS}" Id="S0"><SignedInfo>
    <CanonicalizationMethod Algorithm="{c14n}"/>
    <SignatureMethod Algorithm="http://www.w3.org/2001/04/xmldsig-more#rsa-sha256"/>
    <Reference URI="#ID_1"><Transforms><Transform Algorithm="{c14n}"/></Transforms>{method}<DigestValue/></Reference>
    <Reference URI="#S0-P" Type="http://uri.etsi.org/01903#SignedProperties">
      <Transforms><Transform Algorithm="{c14n}"/></Transforms>{method}<DigestValue/></Reference>
  </SignedInfo><SignatureValue/><KeyInfo><X509Data>{certificates}</X509Data></KeyInfo>
  <Object><etsi:QualifyingProperties xmlns:etsi="{XADES}" Target="#S0"><etsi:SignedProperties Id="S0-P">
    <etsi:SignedSignatureProperties><etsi:SigningTime>2026-11-22T00:00:00Z</etsi:SigningTime>
    <etsi:SigningCertificateV2><etsi:Cert><etsi:CertDigest>{method}<DigestValue>{digest}</DigestValue></etsi:CertDigest>
    </etsi:Cert></etsi:SigningCertificateV2></etsi:SignedSignatureProperties></etsi:SignedProperties>
  </etsi:QualifyingProperties></Object></Signature></HSoThueDTu>"""
    pem = who.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / "key.pem").write_bytes(pem)
    (folder / "template.xml").write_bytes(DECLARATION.replace(b"</HSoThueDTu>", text.encode()))
    command = ["xmlsec1", "--sign", "--privkey-pem", "key.pem", "--output", "theirs.xml"]
    command += ["--id-attr:id", IDS[0].removeprefix("id "), "--id-attr:Id", f"{XADES}:SignedProperties"]
    subprocess.run([*command, "template.xml"], check=True, cwd=folder, capture_output=True)
    return (folder / "theirs.xml").read_bytes()


def test_anothers_signature_is_extended_and_stays_as_it_is(tmp_path: Path) -> None:
    theirs = by_another(tmp_path)
    assert xmlsec_verify(tmp_path, theirs, ids=IDS) == ""
    raised = stamping.raise_to(FORM, Signed(Document.of(theirs), b""), Level.B_LT)
    assert xmlsec_verify(tmp_path, raised, ids=IDS) == ""
    start = raised.index(b"<xades:UnsignedProperties")
    end = raised.index(b"</xades:UnsignedProperties>") + len(b"</xades:UnsignedProperties>")
    assert raised[:start] + raised[end:] == theirs
    text = raised.decode()
    value = element_text(text, "SignatureValue").replace(
        "<SignatureValue", f'<SignatureValue xmlns="{DS}"', 1
    )
    token = token_in(element_text(text, "xades:SignatureTimeStamp"))
    assert stamping.openssl_ts_verify(tmp_path, token, stamping.imprint(canonical(value))) == ""


@pytest.mark.parametrize("part", ["DigestValue", "SignatureValue"])
def test_a_signature_that_does_not_verify_is_not_extended(part: str) -> None:
    text = signed(FORM, DECLARATION, signer(), signer().parameters(form="XADES")).decode()
    value = element_text(text, f"ds:{part}")
    start = value.index(">") + 1
    broken = text.replace(value, value[:start] + ("B" if value[start] == "A" else "A") + value[start + 1 :])
    with pytest.raises(DocumentDamaged, match="digest" if part == "DigestValue" else "does not verify"):
        FORM.next_need(Signed(Document.of(broken.encode()), b""), Level.B_T, DigestAlgorithm.SHA256)


def test_a_detached_signature_is_extended_with_its_files_beside_it(tmp_path: Path) -> None:
    who = signer()
    content = Document(BytesIO(b"noi dung"), 8, "a.txt")
    parameters = who.parameters(form="XADES", packaging="DETACHED")
    prepared = FORM.prepare(content, parameters)
    out = FORM.complete(content, parameters, prepared.state, who.sign(prepared.digest))
    (tmp_path / "a.txt").write_bytes(b"noi dung")
    for sent in (
        Document(BytesIO(out), len(out), role=Role.SIGNATURE, others=(content,)),
        Document(BytesIO(out), len(out), "a.xml", others=(content,)),
        Document(
            BytesIO(b"noi dung"), 8, "a.txt", others=(Document(BytesIO(out), len(out), role=Role.SIGNATURE),)
        ),
    ):
        raised = stamping.raise_to(FORM, Signed(sent, b""), Level.B_LTA)
        require_stamps(tmp_path, raised, 2)
    with pytest.raises(FieldInvalid, match="must come along"):
        stamping.raise_to(FORM, Signed(Document.of(out), b""), Level.B_LTA)
    other = Document(BytesIO(out), len(out), others=(Document(BytesIO(b"khac"), 4, "a.txt"),))
    with pytest.raises(DocumentDamaged, match="not what was signed"):
        stamping.raise_to(FORM, Signed(other, b""), Level.B_LTA)


def test_an_archive_time_stamp_needs_the_content_itself() -> None:
    who = signer()
    known = Digest(DigestAlgorithm.SHA256, DigestAlgorithm.SHA256.digest(b"mat"))
    secret = Document(BytesIO(), 0, "mat.xml", known_digest=known)
    parameters = who.parameters(form="XADES", packaging="DETACHED")
    prepared = FORM.prepare(secret, parameters)
    out = FORM.complete(secret, parameters, prepared.state, who.sign(prepared.digest))
    raised = stamping.raise_to(FORM, Signed(secret, out), Level.B_LT)
    with pytest.raises(FieldInvalid, match="the content itself"):
        FORM.next_need(Signed(secret, raised), Level.B_LTA, DigestAlgorithm.SHA256)


def test_a_token_over_something_else_is_not_put_in() -> None:
    who = signer()
    signed_document = Signed(
        Document.of(DECLARATION), signed(FORM, DECLARATION, who, who.parameters(form="XADES"))
    )
    need = FORM.next_need(signed_document, Level.B_T, DigestAlgorithm.SHA256)
    assert isinstance(need, TimeStampNeeded)
    with pytest.raises(SelfCheckFailed, match="not over"):
        FORM.add_time_stamp(signed_document, need, stamping.token(bytes(32), DigestAlgorithm.SHA256))


def test_evidence_that_does_not_validate_the_signer_is_no_evidence() -> None:
    who = signer()
    out = signed(FORM, DECLARATION, who, who.parameters(form="XADES"))
    raised = stamping.raise_to(FORM, Signed(Document.of(DECLARATION), out), Level.B_T)
    at_t = Signed(Document.of(DECLARATION), raised)
    need = FORM.next_need(at_t, Level.B_LT, DigestAlgorithm.SHA256)
    assert isinstance(need, EvidenceNeeded)
    assert set(need.certificates) == {*who.chain, stamping.time_stamp_unit().certificate}
    with pytest.raises(EvidenceUnavailable):
        FORM.add_evidence(at_t, need, Evidence())


@pytest.mark.parametrize(
    "data",
    [
        DECLARATION,
        signed(XmlSignature(qualified=False), DECLARATION, signer(), signer().parameters(form="XMLDSIG")),
    ],
    ids=["no signature", "plain XMLDSig"],
)
def test_what_is_no_xades_signature_cannot_be_extended(data: bytes) -> None:
    with pytest.raises(DocumentDamaged, match="no XAdES signature"):
        FORM.next_need(Signed(Document.of(data), b""), Level.B_T, DigestAlgorithm.SHA256)
