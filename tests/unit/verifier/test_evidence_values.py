"""CRLs and OCSP responses from outside: which are relied on for a certificate, and why the others are not."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7
from cryptography.x509 import ocsp
from hypothesis import given
from hypothesis import strategies as st

from services.verifier.algorithm_policy import AlgorithmPolicy, Row
from services.verifier.config import EvidenceSettings
from services.verifier.evidence.values import (
    BadValue,
    Crl,
    OcspQuestion,
    OcspValue,
    Reliance,
    read_certificates,
)
from services.verifier.x509 import certificates
from services.verifier.x509.certificates import Certificate
from services.verifier.x509.ocsp import needs_no_status
from tests.support.outside_authority import (
    START,
    VALID,
    asked_for,
    authority,
    crl,
    der,
    leaf,
    ocsp_answer,
    responder,
)
from tests.unit.verifier.authority import subject

SKEW = timedelta(seconds=60)
HOUR = timedelta(hours=1)
CA = authority()
OTHER = authority("Another CA")
TWIN = authority()
"""Another key under the CA's name."""
LEAF = leaf(CA)
SIBLING = leaf(CA)


def loaded(certificate: x509.Certificate) -> Certificate:
    return certificates.load(der(certificate))


def require(data: bytes, certificate: x509.Certificate = LEAF, at: Any = START) -> None:
    Crl.read(data).require(loaded(certificate), loaded(CA.certificate), at, SKEW)


def read(data: bytes, *, at: Any = START, nonce: bool = False, **settings: Any) -> OcspValue:
    question = OcspQuestion.of(loaded(LEAF), loaded(CA.certificate), with_nonce=nonce)
    return question.read(data, at, EvidenceSettings(**settings))


def good(**options: Any) -> bytes:
    return ocsp_answer(LEAF, CA.certificate, CA.key, **options)


def idp(**fields: Any) -> list[tuple[x509.ExtensionType, bool]]:
    names = {
        "full_name": None, "relative_name": None, "only_contains_user_certs": False,
        "only_contains_ca_certs": False, "only_some_reasons": None, "indirect_crl": False,
        "only_contains_attribute_certs": False,
    }  # fmt: skip
    return [(x509.IssuingDistributionPoint(**(names | fields)), True)]


def test_a_crl_of_the_issuer_is_taken() -> None:
    require(crl(CA))
    require(crl(CA, extensions=idp(only_contains_user_certs=True)))


def test_a_crl_that_lists_the_certificate_is_a_value_too() -> None:
    require(crl(CA, revoked=[(LEAF, None)]))


@pytest.mark.parametrize(
    ("data", "why"),
    [
        pytest.param(crl(OTHER), "another issuer", id="another CA"),
        pytest.param(crl(TWIN), "not the issuer's", id="another key under the name"),
        pytest.param(crl(CA)[:-1], "cannot be read", id="cut"),
        pytest.param(b"\x30\x03\x02\x01\x01", "cannot be read", id="no CRL"),
        pytest.param(crl(CA, hours=-0.5), "is for", id="over"),
        pytest.param(crl(CA, at=START + 3 * HOUR), "is for", id="of the future"),
        pytest.param(crl(CA, extensions=[(x509.DeltaCRLIndicator(1), True)]), "kind", id="delta"),
        pytest.param(crl(CA, extensions=idp(indirect_crl=True)), "kind", id="indirect"),
        pytest.param(crl(CA, extensions=idp(only_contains_ca_certs=True)), "kind", id="of CAs only"),
        pytest.param(
            crl(CA, extensions=idp(only_some_reasons=frozenset([x509.ReasonFlags.key_compromise]))),
            "kind", id="of some reasons",
        ),
        pytest.param(
            crl(CA, extensions=idp(full_name=[x509.UniformResourceIdentifier("http://ca.example.vn/2.crl")])),
            "kind", id="of another distribution point",
        ),
        pytest.param(
            crl(CA, extensions=[(x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00"), True)]),
            "kind", id="critical unknown",
        ),
    ],
)  # fmt: skip
def test_a_crl_that_cannot_be_relied_on_is_refused(data: bytes, why: str) -> None:
    with pytest.raises(BadValue, match=why):
        require(data)


def test_a_forged_crl_is_refused_wherever_it_was_changed() -> None:
    data = crl(CA)
    at = data.index(b"\x17\x0d") + 10
    forged = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
    with pytest.raises(BadValue, match=r"not the issuer's|is for|cannot be read"):
        require(forged)


@pytest.mark.parametrize("pss", [False, True])
def test_rsa_authorities_may_sign_either_way(*, pss: bool) -> None:
    key = rsa.generate_private_key(65537, 2048)
    name = subject(common_name="RSA CA")
    ca = authority().issue(name, key.public_key(), extensions=[], **VALID)
    scheme = padding.PSS(padding.MGF1(hashes.SHA256()), 32) if pss else padding.PKCS1v15()
    builder = x509.CertificateRevocationListBuilder().issuer_name(name)
    builder = builder.last_update(START - HOUR).next_update(START + HOUR)
    data = builder.sign(key, hashes.SHA256(), rsa_padding=scheme).public_bytes(Encoding.DER)
    Crl.read(data).require(loaded(LEAF), loaded(ca), START, SKEW)


def with_sha1(crl: Crl, key: rsa.RSAPrivateKey) -> bytes:
    """The same list, signed over SHA-1: no library here writes one any more."""
    sha256, sha1 = (bytes.fromhex("06092a864886f70d0101") + last for last in (b"\x0b", b"\x05"))
    old = key.sign(crl.parsed.tbs_certlist_bytes, padding.PKCS1v15(), hashes.SHA256())
    body = crl.parsed.tbs_certlist_bytes.replace(sha256, sha1)
    signature = key.sign(body, padding.PKCS1v15(), hashes.SHA1())  # noqa: S303 - that it is refused is the test
    assert old in crl.der
    return crl.der.replace(sha256, sha1).replace(old, signature)


def test_a_list_that_sha1_signs_counts_only_where_sha1_links_are_pinned() -> None:
    key = rsa.generate_private_key(65537, 2048)
    name = subject(common_name="RSA CA")
    ca = loaded(authority().issue(name, key.public_key(), extensions=[], **VALID))
    builder = x509.CertificateRevocationListBuilder().issuer_name(name)
    builder = builder.last_update(START - HOUR).next_update(START + HOUR)
    new = Crl.read(builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER))
    old = Crl.read(with_sha1(new, key))
    leaf = loaded(LEAF)
    with pytest.raises(BadValue, match="does not count"):
        old.require(leaf, ca, START, SKEW)
    old.require(leaf, ca, START, SKEW, Reliance(sha1_lists=True))
    # An algorithm that has ended counts no more either.
    ended = Reliance(AlgorithmPolicy("test", (Row(frozenset({"SHA-256"}), START),), ()))
    new.require(leaf, ca, START, SKEW)
    with pytest.raises(BadValue, match="does not count"):
        new.require(leaf, ca, START, SKEW, ended)


@pytest.mark.parametrize("by_name", [True, False])
@pytest.mark.parametrize("digest", [hashes.SHA1(), hashes.SHA256()], ids=["sha1", "sha256"])  # noqa: S303
def test_the_issuer_itself_may_answer(*, by_name: bool, digest: hashes.HashAlgorithm) -> None:
    value = read(good(by_name=by_name, digest=digest))
    assert value.responder is None
    assert value.next_update == START + HOUR


def test_a_delegated_responder_may_answer_and_its_certificate_comes_along() -> None:
    delegated = responder(CA)
    value = read(ocsp_answer(LEAF, CA.certificate, delegated.key, delegated.certificate))
    assert value.responder == loaded(delegated.certificate)
    assert needs_no_status(loaded(delegated.certificate))
    assert not needs_no_status(loaded(responder(CA, checked=True).certificate))
    assert not needs_no_status(loaded(CA.signer(more=[(x509.OCSPNoCheck(), False)], **VALID).certificate))


def test_a_revocation_is_a_value_too() -> None:
    assert read(good(status=ocsp.OCSPCertStatus.REVOKED)).responder is None


def test_an_answer_without_next_update_is_taken_while_it_is_young() -> None:
    data = good(next_update=None)
    assert read(data, max_age_seconds=7200).next_update is None
    with pytest.raises(BadValue, match="is for"):
        read(data, max_age_seconds=60)


GOOD = good()
CRL = crl(CA)


def delegated_answer(by: Any = CA, **options: Any) -> bytes:
    who = responder(by, **{key: value for key, value in options.items() if key in VALID or key == "more"})
    return ocsp_answer(LEAF, CA.certificate, who.key, who.certificate, attached=options.get("attached", True))


def plain_answer() -> bytes:
    """Answer with the key of an ordinary certificate of the same CA."""
    who = CA.signer(**VALID)
    return ocsp_answer(LEAF, CA.certificate, who.key, who.certificate)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        pytest.param(b"\x30\x03\x0a\x01\x00", "cannot be read|says", id="successful without an answer"),
        pytest.param(b"\x30\x03\x0a\x01\x06", "unauthorized", id="unauthorized"),
        pytest.param(b"\x30\x80" * 30, "cannot be read", id="no OCSP"),
        pytest.param(good()[:-2], "cannot be read", id="cut"),
        pytest.param(good(status=ocsp.OCSPCertStatus.UNKNOWN), "does not know", id="unknown"),
        pytest.param(ocsp_answer(SIBLING, CA.certificate, CA.key), "another certificate", id="other serial"),
        pytest.param(ocsp_answer(LEAF, TWIN.certificate, TWIN.key), "another certificate", id="other issuer key"),
        pytest.param(GOOD[:-1] + bytes([GOOD[-1] ^ 1]), "not the responder's|cannot be read", id="forged"),
        pytest.param(good(this_update=START - 3 * HOUR, next_update=START - HOUR), "is for", id="over"),
        pytest.param(good(this_update=START + HOUR, next_update=START + 2 * HOUR), "is for", id="of the future"),
        pytest.param(plain_answer(), "not for signing OCSP", id="responder without the purpose"),
        pytest.param(delegated_answer(OTHER), "not by the certificate's issuer", id="responder of another CA"),
        pytest.param(delegated_answer(TWIN), "not by the certificate's issuer", id="responder of a twin"),
        pytest.param(delegated_answer(attached=False), "neither by the issuer", id="responder unknown"),
        pytest.param(
            delegated_answer(not_before=START - 5 * HOUR, not_after=START - 4 * HOUR), "validity",
            id="responder over",
        ),
        pytest.param(good(nonce=b"12345678"), "nonce", id="a nonce that nobody asked for"),
    ],
)  # fmt: skip
def test_an_ocsp_response_that_cannot_be_relied_on_is_refused(data: bytes, why: str) -> None:
    with pytest.raises(BadValue, match=why):
        read(data)


def test_a_nonce_that_was_sent_must_come_back_or_none() -> None:
    question = OcspQuestion.of(loaded(LEAF), loaded(CA.certificate), with_nonce=True)
    assert len(question.nonce) == 32
    sent = asked_for(question.der).extensions.get_extension_for_class(x509.OCSPNonce).value.nonce
    assert sent == question.nonce
    settings = EvidenceSettings(ocsp_nonce=True)
    assert question.read(good(nonce=question.nonce), START, settings).responder is None
    assert question.read(good(), START, settings).responder is None
    with pytest.raises(BadValue, match="another nonce"):
        question.read(good(nonce=bytes(32)), START, settings)


@pytest.mark.parametrize(
    ("data", "check"), [pytest.param(GOOD, read, id="ocsp"), pytest.param(CRL, require, id="crl")]
)
@pytest.mark.parametrize("flip", [0x01, 0x80])
def test_a_value_with_any_byte_changed_or_cut_off_is_refused(
    data: bytes, check: Callable[[bytes], object], flip: int
) -> None:
    check(data)
    taken = []
    for index in range(len(data)):
        for changed in (data[:index] + bytes([data[index] ^ flip]) + data[index + 1 :], data[:index]):
            try:
                check(changed)
            except BadValue:
                continue
            taken.append((index, changed))
    assert taken == []


@given(st.binary(max_size=300), st.integers(0, 150))
def test_bytes_of_any_kind_are_refused_by_name(noise: bytes, at: int) -> None:
    for data in (noise, GOOD[:at] + noise, CRL[:at] + noise):
        for check in (read, require, read_certificates):
            with pytest.raises(BadValue):
                check(data)


def test_an_issuer_may_come_alone_or_in_a_cms() -> None:
    assert read_certificates(CA.der) == (loaded(CA.certificate),)
    bundle = pkcs7.serialize_certificates([OTHER.certificate, CA.certificate], Encoding.DER)
    assert set(read_certificates(bundle)) == {loaded(CA.certificate), loaded(OTHER.certificate)}
    for bad in (b"<html>", b"\x30\x00", bundle[:-5]):
        with pytest.raises(BadValue):
            read_certificates(bad)
