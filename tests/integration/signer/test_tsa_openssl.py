"""openssl as client and verifier of our time-stamps, and imprint and structure recomputed from the standard's text."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from asn1crypto import cms, tsp
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from services.kernel.values import DigestAlgorithm, KeyAlgorithm
from services.signer.tsa.structures import granted
from tests.support.tsa_world import (
    POLICY,
    RsaHsm,
    TsaWorld,
    ca_certificate,
    openssl_query,
    openssl_text,
    openssl_verify,
    tsa_world,
)

KEYS = (KeyAlgorithm.ECDSA_P256, KeyAlgorithm.ECDSA_P384, KeyAlgorithm.RSA_2048, KeyAlgorithm.RSA_3072)
ANCHOR = ca_certificate().public_bytes(Encoding.PEM)


@pytest.fixture(params=KEYS, ids=lambda key: key.label)
async def world(request: pytest.FixtureRequest) -> TsaWorld:
    """An authority with each kind of key."""
    return await tsa_world(algorithm=request.param, hsm=RsaHsm())


@pytest.mark.parametrize("digest", ["-sha256", "-sha384", "-sha512"])
@pytest.mark.parametrize("nonce", [(), ("-no_nonce",)])
async def test_openssl_verifies_what_it_asked_for(
    world: TsaWorld, tmp_path: Path, digest: str, nonce: tuple[str, ...]
) -> None:
    query = openssl_query(tmp_path, digest, "-cert", *nonce)
    response = await world.authority.respond(query)
    assert "Verification: OK" in openssl_verify(tmp_path, query, response, ANCHOR)
    text = openssl_text(tmp_path, response)
    assert f"Policy OID: {POLICY}" in text
    assert "Accuracy: 0x01 seconds" in text


async def test_without_the_certificate_openssl_needs_to_be_given_it(world: TsaWorld, tmp_path: Path) -> None:
    query = openssl_query(tmp_path, "-sha256", "-tspolicy", POLICY)
    response = await world.authority.respond(query)
    with pytest.raises(AssertionError):
        openssl_verify(tmp_path, query, response, ANCHOR)
    given = x509.load_der_x509_certificate(world.chain[0]).public_bytes(Encoding.PEM)
    (tmp_path / "unit.pem").write_bytes(given)
    assert "Verification: OK" in openssl_verify(tmp_path, query, response, ANCHOR, "-untrusted", "unit.pem")


async def test_openssl_refuses_a_token_over_other_data(world: TsaWorld, tmp_path: Path) -> None:
    query = openssl_query(tmp_path, "-sha256", "-cert", data=b"one")
    response = await world.authority.respond(query)
    with pytest.raises(AssertionError):
        openssl_verify(tmp_path, openssl_query(tmp_path, "-sha256", "-cert", data=b"two"), response, ANCHOR)


async def test_our_own_signatures_get_tokens_that_openssl_verifies(world: TsaWorld, tmp_path: Path) -> None:
    data = b"signature value"
    for algorithm in DigestAlgorithm:
        token = await world.authority.token(algorithm.digest(data), algorithm)
        query = openssl_query(tmp_path, f"-{algorithm.hashlib_name}", "-no_nonce", "-cert", data=data)
        assert "Verification: OK" in openssl_verify(tmp_path, query, granted(token), ANCHOR)


async def test_the_token_says_what_the_standard_wants(world: TsaWorld, tmp_path: Path) -> None:
    """Read with another parser than ours, clause by clause of RFC 3161 section 2.4.2 and RFC 5816."""
    query = openssl_query(tmp_path, "-sha256", "-cert", data=b"abc")
    before = datetime.now(UTC)
    response = tsp.TimeStampResp.load(await world.authority.respond(query), strict=True)
    assert response["status"]["status"].native == "granted"
    signed = response["time_stamp_token"]["content"]
    assert signed["version"].native == "v3"
    assert signed["encap_content_info"]["content_type"].native == "tst_info"
    info = signed["encap_content_info"]["content"].parsed
    asked = tsp.TimeStampReq.load(query)
    assert info["version"].native == "v1"
    assert info["policy"].native == POLICY
    assert info["message_imprint"].dump() == asked["message_imprint"].dump()
    assert info["message_imprint"]["hashed_message"].native == hashlib.sha256(b"abc").digest()
    assert info["nonce"].native == asked["nonce"].native
    assert before - timedelta(milliseconds=1) <= info["gen_time"].native <= datetime.now(UTC)
    assert info["accuracy"]["seconds"].native == 1
    (signer,) = signed["signer_infos"]
    attributes = {one["type"].native: one["values"] for one in signer["signed_attrs"]}
    assert attributes["content_type"][0].native == "tst_info"
    content = signed["encap_content_info"]["content"].contents
    hashing = signer["digest_algorithm"]["algorithm"].native
    assert attributes["message_digest"][0].native == hashlib.new(hashing, content).digest()
    named = attributes["signing_certificate_v2"][0]["certs"][0]
    assert named["cert_hash"].native == hashlib.sha256(world.chain[0]).digest()
    assert named["issuer_serial"]["serial_number"].native == signer["sid"].chosen["serial_number"].native
    # RFC 5652 section 5.3: the signed attributes are DER, so in order.
    encoded = [one.dump() for one in signer["signed_attrs"]]
    assert encoded == sorted(encoded)
    assert isinstance(signed["certificates"][0], cms.CertificateChoices)
