"""Certificates that are not quite DER: read as others read them, and checked as they came."""

from __future__ import annotations

import base64
import hashlib
import subprocess
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from services.verifier.domain import Indication, Integrity, SubIndication, Verdict
from services.verifier.formats import ber
from services.verifier.formats.ber import tlv
from services.verifier.x509 import certificates, encoding_flaws, profile
from services.verifier.x509.certificates import Certificate, CertificateError
from tests.unit.verifier.authority import Authority, Hierarchy, Signer, subject
from tests.unit.verifier.conftest import Verify

CONTENT = "Công văn số 12/2026".encode()
BOOLEAN, UTF8, PRINTABLE, TELETEX, IA5 = 0x01, 0x0C, 0x13, 0x14, 0x16
COMMON_NAME = b"\x06\x03\x55\x04\x03"
Change = Callable[[list[bytes]], None]
"""Of the fields of a TBSCertificate."""
ISSUER, VALIDITY, SUBJECT, EXTENSIONS = 3, 4, 5, 7


def named(tag: int, value: bytes) -> Change:
    """The subject with its common name in a string of this type."""

    def change(fields: list[bytes]) -> None:
        fields[SUBJECT] = tlv(0x30, tlv(0x31, tlv(0x30, COMMON_NAME + tlv(tag, value))))

    return change


def dated(tag: int, first: bytes, last: bytes = b"270101000000Z") -> Change:
    def change(fields: list[bytes]) -> None:
        fields[VALIDITY] = tlv(0x30, tlv(tag, first) + tlv(0x17, last))

    return change


def marked(critical: bytes) -> Change:
    """Every extension with this in the place of its mark."""

    def change(fields: list[bytes]) -> None:
        inner = ber.load(fields[EXTENSIONS])[0].children()[0]
        members = [one.children() for one in inner.children()]
        listed = [tlv(0x30, one[0].encoded + critical + one[-1].encoded) for one in members]
        fields[EXTENSIONS] = tlv(0xA3, tlv(0x30, b"".join(listed)))

    return change


def made(authority: Authority, signer: Signer, change: Change) -> bytes:
    """The signer's certificate, changed, and signed anew by its authority."""
    outer = ber.load(signer.certificate.public_bytes(serialization.Encoding.DER))[0].children()
    fields = [field.encoded for field in outer[0].children()]
    change(fields)
    tbs = tlv(0x30, b"".join(fields))
    value = authority.key.sign(tbs, ec.ECDSA(hashes.SHA256()))
    return tlv(0x30, tbs + outer[1].encoded + tlv(0x03, b"\0" + value))


def signed(folder: Path, signer: Signer, certificate: bytes) -> bytes:
    """A message by openssl, which reads such certificates and names the signer as they do."""
    text = base64.encodebytes(certificate)
    (folder / "s.pem").write_bytes(b"-----BEGIN CERTIFICATE-----\n" + text + b"-----END CERTIFICATE-----\n")
    form = serialization.PrivateFormat.PKCS8
    plain = serialization.NoEncryption()
    (folder / "s.key").write_bytes(signer.key.private_bytes(serialization.Encoding.PEM, form, plain))
    (folder / "c").write_bytes(CONTENT)
    command = ["openssl", "cms", "-sign", "-binary", "-nodetach", "-cades", "-in", "c", "-outform", "DER"]
    done = subprocess.run(
        [*command, "-signer", "s.pem", "-inkey", "s.key"], cwd=folder, check=True, capture_output=True
    )
    return done.stdout


FLAWS: dict[str, Change] = {
    "TeletexString in Latin-1": named(TELETEX, "Đại lý é".encode("latin-1", "replace") + b"\xe9"),
    "PrintableString with other signs": named(PRINTABLE, b"an_nv@kyso.example *"),
    "PrintableString in Latin-1": named(PRINTABLE, b"\xe9"),
    "IA5String in Latin-1": named(IA5, b"\xe9"),
    "true as 1": marked(tlv(BOOLEAN, b"\x01")),
    "false in words": marked(tlv(BOOLEAN, b"\x00")),
    "UTCTime without seconds": dated(0x17, b"2601010000Z"),
    "UTCTime with an offset": dated(0x17, b"260101000000+0700"),
}


@pytest.mark.parametrize("flaw", FLAWS)
def test_a_signer_with_a_flawed_certificate_is_known(
    verify: Verify, hierarchy: Hierarchy, tmp_path: Path, flaw: str
) -> None:
    signer = hierarchy.signer
    certificate = made(hierarchy.issuing, signer, FLAWS[flaw])
    data = signed(tmp_path, signer, certificate)
    report = verify(data)
    assert (report.verdict, report.clean) == (Verdict.VALID, True), report.signatures[0].detail
    found = report.signatures[0].signer
    assert found is not None
    # What is handed out and hashed is the certificate as it came.
    assert (found.der, found.sha256) == (certificate, hashlib.sha256(certificate).hexdigest())
    changed = verify(data.replace(CONTENT, CONTENT[:-1] + b"7")).signatures[0]
    assert changed.integrity is Integrity.BROKEN


def test_a_flawed_certificate_is_signed_as_it_came(
    verify: Verify, hierarchy: Hierarchy, tmp_path: Path
) -> None:
    """A signature over the copy that is read from is none over the certificate."""
    signer = hierarchy.signer
    flawed = made(hierarchy.issuing, signer, FLAWS["IA5String in Latin-1"])
    copy = encoding_flaws.mended(flawed)
    assert copy is not None
    tbs, method, _ = ber.load(flawed)[0].children()
    value = hierarchy.issuing.key.sign(ber.load(copy)[0].children()[0].encoded, ec.ECDSA(hashes.SHA256()))
    forged = tlv(0x30, tbs.encoded + method.encoded + tlv(0x03, b"\0" + value))
    signature = verify(signed(tmp_path, signer, forged)).signatures[0]
    assert signature.indication is Indication.INDETERMINATE
    assert signature.sub_indication is SubIndication.NO_CERTIFICATE_CHAIN_FOUND


def test_a_reference_is_to_the_certificate_as_it_came(
    verify: Verify, hierarchy: Hierarchy, tmp_path: Path
) -> None:
    signer = hierarchy.signer
    flaw = FLAWS["IA5String in Latin-1"]
    certificate = other = made(hierarchy.issuing, signer, flaw)
    while other == certificate or len(other) != len(certificate):
        # The same once more, with another signature of its authority.
        other = made(hierarchy.issuing, signer, flaw)
    data = signed(tmp_path, signer, certificate)
    assert data.count(certificate) == 1
    swapped = verify(data.replace(certificate, other), integrity_only=True).signatures[0]
    assert swapped.sub_indication is SubIndication.NO_SIGNING_CERTIFICATE_FOUND


def read(hierarchy: Hierarchy, change: Change) -> Certificate:
    return certificates.load(made(hierarchy.issuing, hierarchy.signer, change))


def test_values_are_those_that_were_meant(hierarchy: Hierarchy) -> None:
    latin = read(hierarchy, named(TELETEX, b"Nguy\xe9n"))
    (name,) = latin.parsed.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    assert name.value == "Nguyén"
    assert latin.subject_key == read(hierarchy, named(UTF8, "Nguyén".encode())).subject_key
    assert latin.subject_octets != latin.parsed.subject.public_bytes()
    east = read(hierarchy, dated(0x17, b"260101000000+0700"))
    assert east.not_before == datetime(2025, 12, 31, 17, tzinfo=UTC)
    assert read(hierarchy, dated(0x17, b"2601010000Z")).not_before == datetime(2026, 1, 1, tzinfo=UTC)
    late = read(hierarchy, dated(0x17, b"260101000000Z", b"491231230000-0500"))
    assert late.not_after == datetime(2050, 1, 1, 4, tzinfo=UTC)
    assert all(one.critical for one in read(hierarchy, FLAWS["true as 1"]).extensions())
    assert not any(one.critical for one in read(hierarchy, FLAWS["false in words"]).extensions())


def test_the_whole_profile_has_no_room_for_flaws(hierarchy: Hierarchy) -> None:
    flawed = read(hierarchy, FLAWS["IA5String in Latin-1"])
    assert flawed.flawed
    assert "DER" in profile.fault_of(flawed, leaf=True, anchor=False)
    assert not certificates.load(hierarchy.issuing.der).flawed


def lengthened(der: bytes) -> bytes:
    """The same with the outer length in one octet more than it needs."""
    node = ber.load(der)[0]
    size = len(node.contents).to_bytes(3, "big")
    return b"\x30\x83" + size + node.contents


@pytest.mark.parametrize(
    "spoil",
    [
        lambda der: der + b"\0",
        lengthened,
        lambda der: der[:-1],
        lambda der: der.replace(b"\xe9", b"\xe9\xe9", 1),
        lambda der: b"\x30\x80" + ber.load(der)[0].contents + b"\0\0",
    ],
)
def test_other_faults_are_not_mended(hierarchy: Hierarchy, spoil: Callable[[bytes], bytes]) -> None:
    der = made(hierarchy.issuing, hierarchy.signer, FLAWS["IA5String in Latin-1"])
    certificates.load(der)
    with pytest.raises(CertificateError):
        certificates.load(spoil(der))


@pytest.mark.parametrize(
    "change",
    [
        named(UTF8, b"\xff\xfe"),
        named(0x1E, b"\0a\0"),
        dated(0x17, b"261301000000Z"),
        dated(0x17, b"26010100Z"),
        dated(0x17, b"2601010000"),
        marked(tlv(BOOLEAN, b"\x01\x01")),
    ],
)
def test_what_has_no_meaning_is_refused(hierarchy: Hierarchy, change: Change) -> None:
    with pytest.raises(CertificateError):
        read(hierarchy, change)


def test_many_names_are_refused_without_much_work(hierarchy: Hierarchy) -> None:
    def change(fields: list[bytes]) -> None:
        one = tlv(0x31, tlv(0x30, COMMON_NAME + tlv(PRINTABLE, b"@")))
        fields[SUBJECT] = tlv(0x30, one * 3000)

    der = made(hierarchy.issuing, hierarchy.signer, change)
    started = time.monotonic()
    for _ in range(1000):
        assert certificates.readable(der) is None
    assert time.monotonic() - started < 2


def test_an_authority_with_a_flawed_name_issues_to_it(tmp_path: Path, verify: Verify) -> None:
    """The name of the issuer in the signer's certificate has the same flaw."""
    root = Authority("Root CA")
    ca = Authority("CA", root)
    name = tlv(0x30, tlv(0x31, tlv(0x30, COMMON_NAME + tlv(TELETEX, b"CA \xe9"))))

    def subject_of(fields: list[bytes]) -> None:
        fields[SUBJECT] = name

    def issuer_of(fields: list[bytes]) -> None:
        fields[ISSUER] = name

    flawed = made(root, Signer(ca.key, ca.certificate, []), subject_of)
    signer = ca.signer(subject(common_name="An"))
    data = signed(tmp_path, signer, made(ca, signer, issuer_of))
    authority = certificates.load(flawed)
    leaf = certificates.load(made(ca, signer, issuer_of))
    assert leaf.issuer_key == authority.subject_key
    report = verify(data, integrity_only=True)
    assert report.clean
    assert report.signatures[0].integrity is Integrity.INTACT
