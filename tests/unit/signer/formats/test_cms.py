"""CMS and CAdES: what openssl says, and the letters of the standards."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from asn1crypto import cms as reader
from asn1crypto import core, tsp

from services.kernel.errors import AlgorithmMismatch, FieldInvalid
from services.kernel.values import DigestAlgorithm, KeyAlgorithm, SignatureScheme, SigningAlgorithm
from services.signer.formats import cms
from services.signer.formats.cades import CadesBaseline
from services.signer.formats.errors import SelfCheckFailed
from services.signer.formats.format import Document
from tests.support.document_signers import ALGORITHMS, openssl_cms_verify, signed, signer

if TYPE_CHECKING:
    from pathlib import Path

ESS = tsp.SigningCertificateV2
"""Loading the module teaches the reader this attribute (RFC 5035)."""
CONTENT = "Công văn số 15/2026 của Ủy ban nhân dân\n".encode()


@pytest.mark.parametrize(("key", "algorithm"), ALGORITHMS, ids=lambda value: value.label)
def test_openssl_verifies_every_key_scheme_and_digest(
    key: KeyAlgorithm, algorithm: SigningAlgorithm, tmp_path: Path
) -> None:
    who = signer(key)
    container = signed(CadesBaseline(), CONTENT, who, who.parameters(algorithm))
    assert openssl_cms_verify(tmp_path, container, CONTENT) == ""
    assert "content verify error" in openssl_cms_verify(tmp_path, container, CONTENT + b"x")


def _signer_info(container: bytes) -> reader.SignerInfo:
    return reader.ContentInfo.load(container, strict=True)["content"]["signer_infos"][0]


def test_the_container_is_der_with_version_1_and_no_content() -> None:
    who = signer()
    container = signed(CadesBaseline(), CONTENT, who, who.parameters())
    data = reader.ContentInfo.load(container, strict=True)["content"]
    assert (data["version"].native, data["signer_infos"][0]["version"].native) == ("v1", "v1")
    assert data["encap_content_info"]["content"].native is None
    # RFC 5652 section 5.3: the signed attributes must be DER whatever the rest is; ours is DER as a whole.
    assert reader.ContentInfo.load(container).copy().dump(force=True) == container
    encoded = [attribute.dump() for attribute in data["signer_infos"][0]["signed_attrs"]]
    assert encoded == sorted(encoded)


def test_cades_has_the_attributes_that_the_baseline_demands() -> None:
    # EN 319 122-1 section 6.3 table 1: content-type, message-digest, signing-certificate-v2, signing-time.
    who = signer()
    info = _signer_info(signed(CadesBaseline(), CONTENT, who, who.parameters()))
    attributes = {attribute["type"].native: attribute["values"] for attribute in info["signed_attrs"]}
    assert attributes.keys() == {
        "content_type",
        "message_digest",
        "signing_certificate_v2",
        "signing_time",
        "cms_algorithm_protection",
    }
    assert attributes["signing_time"][0].native == datetime(2026, 11, 22, 3, 4, 5, tzinfo=UTC)
    assert attributes["content_type"][0].native == "data"
    protection = attributes["cms_algorithm_protection"][0]
    assert protection["signature_algorithm"].untag().dump() == info["signature_algorithm"].dump()
    assert protection["digest_algorithm"].dump() == info["digest_algorithm"].dump()


@pytest.mark.parametrize("digest", DigestAlgorithm)
def test_the_signing_certificate_is_identified_by_hash_issuer_and_serial(digest: DigestAlgorithm) -> None:
    who = signer()
    algorithm = SigningAlgorithm(SignatureScheme.RSA_PKCS1V15, digest)
    info = _signer_info(signed(CadesBaseline(), CONTENT, who, who.parameters(algorithm)))
    found = next(a for a in info["signed_attrs"] if a["type"].native == "signing_certificate_v2")
    assert isinstance(found["values"][0], ESS)
    identifier = found["values"][0]["certs"][0]
    assert identifier["cert_hash"].native == digest.digest(who.chain[0])
    assert identifier["issuer_serial"]["serial_number"].native == info["sid"].chosen["serial_number"].native
    # RFC 5035 section 4: SHA-256 is the default and DER leaves defaults out.
    left_out = core.Sequence.load(identifier.dump())[0].tag == core.OctetString.tag
    assert left_out == (digest is DigestAlgorithm.SHA256)


def test_a_time_after_2049_is_written_as_generalized_time() -> None:
    who = signer()
    late = replace(who.parameters(), signing_time=datetime(2051, 1, 2, tzinfo=UTC))
    info = _signer_info(signed(CadesBaseline(), CONTENT, who, late))
    found = next(a for a in info["signed_attrs"] if a["type"].native == "signing_time")
    assert found["values"][0].name == "generalized_time"
    assert found["values"][0].native == datetime(2051, 1, 2, tzinfo=UTC)


@pytest.mark.parametrize(("key", "algorithm"), ALGORITHMS, ids=lambda value: value.label)
def test_the_reserved_size_is_never_too_small_and_little_too_large(
    key: KeyAlgorithm, algorithm: SigningAlgorithm
) -> None:
    who = signer(key)
    parts = cms.signer_parts(who.chain, algorithm)
    attributes = cms.signed_attributes(parts, bytes(algorithm.digest.size), None)
    longest = cms.assemble(parts, attributes, bytes(parts.max_signature_bytes))
    assert len(longest) <= cms.max_bytes(parts, attributes) <= len(longest) + 256


def test_a_signature_by_another_key_is_not_released() -> None:
    who, other = signer(), signer(name="Người Khác")
    form, document = CadesBaseline(), Document.of(CONTENT)
    prepared = form.prepare(document, who.parameters())
    with pytest.raises(SelfCheckFailed, match="does not verify"):
        form.complete(document, who.parameters(), prepared.state, other.sign(prepared.digest))


def test_a_document_changed_between_the_steps_is_not_released() -> None:
    who, form = signer(), CadesBaseline()
    prepared = form.prepare(Document.of(CONTENT), who.parameters())
    value = who.sign(prepared.digest)
    with pytest.raises(SelfCheckFailed, match="another digest"):
        form.complete(Document.of(CONTENT + b"!"), who.parameters(), prepared.state, value)


def test_an_algorithm_that_does_not_fit_the_certificate_is_refused() -> None:
    who = signer(KeyAlgorithm.ECDSA_P256)
    with pytest.raises(AlgorithmMismatch):
        CadesBaseline().prepare(Document.of(CONTENT), who.parameters())


def test_a_chain_that_is_no_certificate_is_refused() -> None:
    parameters = replace(signer().parameters(), certificate_chain=(b"\x30\x03\x02\x01\x01",))
    with pytest.raises(FieldInvalid, match="not DER"):
        CadesBaseline().prepare(Document.of(CONTENT), parameters)
