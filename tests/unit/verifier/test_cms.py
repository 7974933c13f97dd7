"""CMS files: attached and detached, and the ways in which they have been forged."""

from __future__ import annotations

import base64
import subprocess
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.verifier.algorithm_policy import Purpose
from services.verifier.algorithms import default_policy
from services.verifier.domain import Code, Indication, Integrity, SubIndication, Verdict
from services.verifier.formats import ber, cms
from services.verifier.formats.ber import BerError
from services.verifier.ports import TrustMaterial
from tests.unit.verifier.authority import Authority, Hierarchy, Signer
from tests.unit.verifier.conftest import Verify

CONTENT = "Công văn số 12/2026".encode()


def write(folder: Path, signer: Signer, name: str) -> None:
    """Write certificate and key as name.pem and name.key."""
    (folder / f"{name}.pem").write_bytes(signer.certificate.public_bytes(serialization.Encoding.PEM))
    (folder / f"{name}.key").write_bytes(
        signer.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )


def openssl_cms(folder: Path, signer: Signer, content: bytes, *options: str) -> bytes:
    """Sign with the openssl command, in DER."""
    (folder / "c").write_bytes(content)
    write(folder, signer, "s1")
    command = ["openssl", "cms", "-sign", "-binary", "-in", "c", "-signer", "s1.pem", "-inkey", "s1.key"]
    done = subprocess.run(
        [*command, "-outform", "DER", *options], cwd=folder, check=True, capture_output=True
    )
    return done.stdout


def test_attached_content_passes(verify: Verify, hierarchy: Hierarchy) -> None:
    report = verify(hierarchy.signer.cms(CONTENT))
    assert report.verdict is Verdict.VALID
    assert report.clean
    assert report.format == "CMS"
    assert report.signatures[0].name == "signer-1"
    assert report.signatures[0].coverage.covered_bytes == len(CONTENT)


def test_detached_content_passes_with_its_own_content_only(verify: Verify, hierarchy: Hierarchy) -> None:
    data = hierarchy.signer.cms(CONTENT, detached=True)
    assert verify(data, detached=CONTENT).verdict is Verdict.VALID
    other = verify(data, detached=CONTENT + b"!").signatures[0]
    assert (other.indication, other.sub_indication) == (Indication.TOTAL_FAILED, SubIndication.HASH_FAILURE)
    assert other.integrity is Integrity.BROKEN
    missing = verify(data).signatures[0]
    assert missing.sub_indication is SubIndication.SIGNED_DATA_NOT_FOUND


def test_other_content_beside_an_attached_signature_fails(verify: Verify, hierarchy: Hierarchy) -> None:
    report = verify(hierarchy.signer.cms(CONTENT), detached=b"something else")
    assert report.signatures[0].sub_indication is SubIndication.HASH_FAILURE


@pytest.mark.parametrize(
    "armour",
    [
        lambda der: b"-----BEGIN PKCS7-----\n" + base64.encodebytes(der) + b"-----END PKCS7-----\n",
        lambda der: b"-----BEGIN CMS-----\r\n" + base64.encodebytes(der) + b"-----END CMS-----",
        base64.b64encode,
    ],
)
def test_text_encodings_are_read(verify: Verify, hierarchy: Hierarchy, armour: object) -> None:
    assert callable(armour)
    assert verify(armour(hierarchy.signer.cms(CONTENT))).verdict is Verdict.VALID


def test_octets_after_the_message_are_malformed(verify: Verify, hierarchy: Hierarchy) -> None:
    assert verify(hierarchy.signer.cms(CONTENT) + b"\0junk").verdict is Verdict.MALFORMED


@pytest.mark.parametrize(
    "options",
    [("-cades", "-nodetach"), ("-nodetach", "-stream"), ("-nodetach", "-noattr"), ("-nodetach", "-keyid")],
)
def test_what_openssl_makes_is_read(
    verify: Verify, hierarchy: Hierarchy, tmp_path: Path, options: tuple[str, ...]
) -> None:
    key = rsa.generate_private_key(65537, 2048)
    ski = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    signer = hierarchy.issuing.signer(key=key, more=[(ski, False)])
    report = verify(openssl_cms(tmp_path, signer, CONTENT, *options))
    assert report.verdict is Verdict.VALID, report.signatures[0].detail


def test_rsa_pss_passes(verify: Verify, hierarchy: Hierarchy, tmp_path: Path) -> None:
    signer = hierarchy.issuing.signer(key=rsa.generate_private_key(65537, 2048))
    options = (
        "-nodetach",
        "-keyopt",
        "rsa_padding_mode:pss",
        "-keyopt",
        "rsa_pss_saltlen:32",
        "-md",
        "sha256",
    )
    report = verify(openssl_cms(tmp_path, signer, CONTENT, *options))
    assert report.verdict is Verdict.VALID
    assert report.signatures[0].signature_algorithm == "RSA-PSS/SHA-256"


def pss_with_mask(folder: Path, hierarchy: Hierarchy, mask: str) -> bytes:
    """RSASSA-PSS over SHA-256 with MGF1 by another digest, as some devices make it."""
    signer = hierarchy.issuing.signer(key=rsa.generate_private_key(65537, 2048))
    stated = ("rsa_padding_mode:pss", "rsa_pss_saltlen:32", f"rsa_mgf1_md:{mask}")
    options = [part for one in stated for part in ("-keyopt", one)]
    return openssl_cms(folder, signer, CONTENT, "-nodetach", "-md", "sha256", *options)


def test_the_mask_of_rsa_pss_may_be_by_another_digest(
    verify: Verify, hierarchy: Hierarchy, tmp_path: Path
) -> None:
    data = pss_with_mask(tmp_path, hierarchy, "sha512")
    report = verify(data)
    assert (report.verdict, report.clean) == (Verdict.VALID, True)
    assert report.signatures[0].signature_algorithm == "RSA-PSS/SHA-256 (MGF1/SHA-512)"
    assert not {Code.ALG_SHA1, Code.ALG_WEAK} & {n.code for n in report.signatures[0].notices}
    changed = verify(data.replace(CONTENT, CONTENT[:-1] + b"7"))
    assert changed.signatures[0].integrity is Integrity.BROKEN
    # The identifier of SHA-512 stands in the parameters of MGF1 alone.
    (sha512, sha384) = (bytes.fromhex(f"060960864801650304020{digit}") for digit in "32")
    assert data.count(sha512) == 1
    other_mask = verify(data.replace(sha512, sha384)).signatures[0]
    assert other_mask.sub_indication is SubIndication.SIG_CRYPTO_FAILURE


def test_a_mask_by_sha1_is_intact_and_only_as_good_as_the_policy_says(
    verify: Verify, hierarchy: Hierarchy, tmp_path: Path
) -> None:
    data = pss_with_mask(tmp_path, hierarchy, "sha1")
    signature = verify(data).signatures[0]
    assert signature.sub_indication is SubIndication.CRYPTO_CONSTRAINTS_FAILURE_NO_POE
    assert Code.ALG_SHA1 in {n.code for n in signature.notices}
    report = verify(data, integrity_only=True)
    assert (report.verdict, report.clean) == (Verdict.VALID, True)
    borne = default_policy().with_digest("SHA-1", datetime.max.replace(tzinfo=UTC), {Purpose.SIGNATURE})
    assert verify(data, trust=replace(hierarchy.trust(), algorithms=borne)).verdict is Verdict.VALID


def test_two_signers_are_two_reports(verify: Verify, hierarchy: Hierarchy, tmp_path: Path) -> None:
    write(tmp_path, hierarchy.issuing.signer(), "s2")
    extra = ("-nodetach", "-signer", "s2.pem", "-inkey", "s2.key")
    report = verify(openssl_cms(tmp_path, hierarchy.signer, CONTENT, *extra))
    assert [s.name for s in report.signatures] == ["signer-1", "signer-2"]
    assert report.verdict is Verdict.VALID


def test_sha1_is_intact_but_not_allowed(verify: Verify, hierarchy: Hierarchy, tmp_path: Path) -> None:
    data = openssl_cms(tmp_path, hierarchy.signer, CONTENT, "-nodetach", "-md", "sha1")
    signature = verify(data).signatures[0]
    assert signature.sub_indication is SubIndication.CRYPTO_CONSTRAINTS_FAILURE_NO_POE
    assert Code.ALG_SHA1 in {n.code for n in signature.notices}
    assert verify(data, integrity_only=True).verdict is Verdict.VALID


def test_a_short_rsa_key_is_not_allowed(verify: Verify, hierarchy: Hierarchy) -> None:
    signer = hierarchy.issuing.signer(key=rsa.generate_private_key(65537, 1024))  # noqa: S505 - that it is refused is the test
    signature = verify(signer.cms(CONTENT)).signatures[0]
    assert signature.sub_indication is SubIndication.CRYPTO_CONSTRAINTS_FAILURE_NO_POE
    assert Code.ALG_WEAK in {n.code for n in signature.notices}


def test_a_signer_without_certificate_cannot_be_identified(
    verify: Verify, hierarchy: Hierarchy, tmp_path: Path
) -> None:
    data = openssl_cms(tmp_path, hierarchy.signer, CONTENT, "-nodetach", "-nocerts")
    assert verify(data).signatures[0].sub_indication is SubIndication.NO_SIGNING_CERTIFICATE_FOUND


def test_a_signature_by_another_key_with_the_same_name_is_a_crypto_failure(
    verify: Verify, hierarchy: Hierarchy
) -> None:
    other = hierarchy.issuing.signer()
    forged = Signer(other.key, hierarchy.signer.certificate)
    report = verify(forged.cms(CONTENT))
    assert report.signatures[0].sub_indication is SubIndication.SIG_CRYPTO_FAILURE


def _rebuilt(data: bytes, change: object) -> bytes:
    """The message with its SignerInfo's members changed by a function from list to list of encodings."""
    assert callable(change)
    outer, _ = ber.load(data)
    kind, explicit = outer.children()
    members = [m.encoded for m in explicit.children()[0].children()]
    signers, _ = ber.load(members[-1])
    info = [m.encoded for m in signers.children()[0].children()]
    members[-1] = ber.tlv(ber.SET, ber.tlv(ber.SEQUENCE, b"".join(change(info))))
    return ber.tlv(ber.SEQUENCE, kind.encoded + ber.tlv(0xA0, ber.tlv(ber.SEQUENCE, b"".join(members))))


def test_signed_attributes_offered_as_content_are_refused(verify: Verify, hierarchy: Hierarchy) -> None:
    """A signature with signed attributes, turned into one without, over content that is those attributes."""
    original = hierarchy.signer.cms(CONTENT)
    message, _ = cms.parse(original)
    signer = message.signers[0]
    assert isinstance(signer, cms.SignerInfo)
    bare = _rebuilt(original, lambda info: [*info[:3], *info[4:]])
    forged = bare.replace(ber.tlv(0xA0, ber.tlv(ber.OCTET_STRING, CONTENT)), b"")
    assert forged == bare or verify(bare, integrity_only=True).verdict is not Verdict.VALID
    report = verify(_detached(bare), detached=signer.signed_octets, integrity_only=True)
    assert report.signatures[0].sub_indication is SubIndication.FORMAT_FAILURE
    assert report.verdict is not Verdict.VALID


def _detached(data: bytes) -> bytes:
    """The message without its content."""
    outer, _ = ber.load(data)
    kind, explicit = outer.children()
    members = [m.encoded for m in explicit.children()[0].children()]
    content = ber.load(members[2])[0].children()
    members[2] = ber.tlv(ber.SEQUENCE, content[0].encoded)
    return ber.tlv(ber.SEQUENCE, kind.encoded + ber.tlv(0xA0, ber.tlv(ber.SEQUENCE, b"".join(members))))


def test_a_doubled_message_digest_is_a_format_failure(verify: Verify, hierarchy: Hierarchy) -> None:
    def double(info: list[bytes]) -> list[bytes]:
        attributes = ber.load(info[3])[0].children()
        digest = next(a.encoded for a in attributes if ber.oid(a.children()[0]) == cms.MESSAGE_DIGEST)
        return [*info[:3], ber.tlv(0xA0, b"".join(a.encoded for a in attributes) + digest), *info[4:]]

    report = verify(_rebuilt(hierarchy.signer.cms(CONTENT), double))
    assert report.signatures[0].sub_indication is SubIndication.FORMAT_FAILURE
    assert report.verdict is Verdict.MALFORMED


def test_digest_and_signature_algorithms_that_disagree_are_a_format_failure(
    verify: Verify, hierarchy: Hierarchy
) -> None:
    sha512 = ber.tlv(ber.SEQUENCE, ber.tlv(ber.OID, bytes.fromhex("608648016503040203")))
    data = _rebuilt(hierarchy.signer.cms(CONTENT), lambda info: [*info[:2], sha512, *info[3:]])
    assert verify(data).signatures[0].sub_indication is SubIndication.FORMAT_FAILURE


def test_a_signature_identifier_in_the_digests_place_is_a_format_failure(
    verify: Verify, hierarchy: Hierarchy
) -> None:
    ecdsa = ber.tlv(ber.SEQUENCE, ber.tlv(ber.OID, bytes.fromhex("2a8648ce3d040302")))
    data = _rebuilt(hierarchy.signer.cms(CONTENT), lambda info: [*info[:2], ecdsa, *info[3:]])
    assert verify(data).signatures[0].sub_indication is SubIndication.FORMAT_FAILURE


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_mutation_raises_or_passes_with_other_content(
    verify: Verify, signed_cms: bytes, data: st.DataObject
) -> None:
    mutated = bytearray(signed_cms)
    mutated[data.draw(st.integers(0, len(signed_cms) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    report = verify(bytes(mutated))
    if report.verdict is Verdict.VALID:
        message, _ = cms.parse(bytes(mutated))
        assert message.content == CONTENT


@settings(max_examples=300, deadline=None)
@given(junk=st.binary(max_size=200))
def test_any_octets_give_a_message_or_a_ber_error(junk: bytes) -> None:
    with suppress(BerError):
        assert cms.parse_file(junk).content_type


def test_ten_thousand_levels_of_nesting_are_refused_at_once() -> None:
    with pytest.raises(BerError, match="nesting"):
        ber.load(b"\x30\x80" * 10_000)[0].children()


def test_a_digest_weaker_than_the_list_allows_is_named(verify: Verify, hierarchy: Hierarchy) -> None:
    report = verify(hierarchy.signer.cms(CONTENT, digest=hashes.SHA224()))
    assert report.signatures[0].sub_indication is SubIndication.CRYPTO_CONSTRAINTS_FAILURE_NO_POE


def test_a_self_signed_signer_that_is_the_anchor_passes(verify: Verify) -> None:
    own = Authority("Self", usage=("digital_signature", "key_cert_sign", "crl_sign"))
    signer = Signer(own.key, own.certificate)
    assert verify(signer.cms(CONTENT), trust=TrustMaterial((own.der,))).verdict is Verdict.VALID
