"""JSON signatures that pass, and the algorithms and keys that do not."""

from __future__ import annotations

import json
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from joserfc import jws as joserfc_jws
from joserfc.jwk import ECKey
from jwcrypto import jwk
from jwcrypto import jws as jwcrypto_jws

from services.verifier.domain import Code, Coverage, Indication, SubIndication, Verdict
from services.verifier.formats.jades import JadesFormat
from services.verifier.ports import SubmittedDocument
from tests.unit.verifier.authority import Hierarchy, Signer
from tests.unit.verifier.jws_signing import (
    PAYLOAD,
    UNNAMED,
    codes,
    compact,
    entry,
    flattened,
    named,
    only,
    refused,
    url,
    verify,
)


@pytest.fixture(scope="module")
def signer(hierarchy: Hierarchy) -> Signer:
    return hierarchy.signer


# --- what passes ---------------------------------------------------------------------------------------------------


def test_every_serialisation_passes(hierarchy: Hierarchy, signer: Signer) -> None:
    general = {"payload": url(PAYLOAD), "signatures": [entry(signer), entry(signer)]}
    for file in (compact(signer), flattened(signer), general):
        report = verify(hierarchy, file)
        assert report.clean, only(report).detail
        for one in report.signatures:
            assert (one.format, one.coverage.coverage) == ("JAdES-B-B", Coverage.WHOLE)
            assert one.signer is not None
            assert one.signer.common_name == "Nguyễn Văn An"
            assert one.signing_time.claimed is not None


@pytest.mark.parametrize("algorithm", ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"])
def test_foreign_rsa_signatures_pass(hierarchy: Hierarchy, rsa_signer: Signer, algorithm: str) -> None:
    token = jwcrypto_jws.JWS(PAYLOAD)
    header = named(rsa_signer, alg=algorithm)
    token.add_signature(jwk.JWK.from_pyca(rsa_signer.key), protected=json.dumps(header))
    report = verify(hierarchy, token.serialize(compact=True).encode())
    assert report.clean, only(report).detail
    assert only(report).digest_algorithm == f"SHA-{algorithm[2:]}"


@pytest.fixture(scope="module")
def rsa_signer(hierarchy: Hierarchy) -> Signer:
    return hierarchy.issuing.signer(key=rsa.generate_private_key(65537, 2048))


@pytest.mark.parametrize(
    ("algorithm", "curve"), [("ES256", ec.SECP256R1), ("ES384", ec.SECP384R1), ("ES512", ec.SECP521R1)]
)
def test_foreign_ecdsa_signatures_pass(
    hierarchy: Hierarchy, algorithm: str, curve: type[ec.EllipticCurve]
) -> None:
    signer = hierarchy.issuing.signer(key=ec.generate_private_key(curve()))
    header = named(signer, alg=algorithm)
    key = ECKey.import_key(
        signer.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )
    made = compact(signer, alg=algorithm)
    # What the other library takes, and what it makes, is what we take.
    registry = joserfc_jws.JWSRegistry(algorithms=[algorithm], strict_check_header=False)
    registry.max_header_length = len(made)
    assert joserfc_jws.deserialize_compact(made, key, registry=registry).payload == PAYLOAD
    token = jwcrypto_jws.JWS(PAYLOAD)
    token.add_signature(jwk.JWK.from_pyca(signer.key), protected=json.dumps(header))
    for data in (made, token.serialize().encode()):
        assert verify(hierarchy, data).clean


def test_a_plain_jws_is_called_one(hierarchy: Hierarchy, signer: Signer) -> None:
    report = verify(hierarchy, compact(signer, **UNNAMED, iat=None))
    assert report.clean
    assert only(report).format == "JWS"
    qualified = verify(hierarchy, compact(signer, iat=None, sigPl={"addressCountry": "VN"}))
    assert only(qualified).format == "JAdES"


def test_white_space_around_is_neutral(hierarchy: Hierarchy, signer: Signer) -> None:
    assert verify(hierarchy, b"\n " + compact(signer) + b"\r\n").clean
    assert verify(hierarchy, b"\xef\xbb\xbf" + json.dumps(flattened(signer), indent=2).encode()).clean


def test_the_payload_is_handed_out(signer: Signer) -> None:
    file = {"payload": url(PAYLOAD), "signatures": [entry(signer), entry(signer)]}
    (content,) = JadesFormat().find(SubmittedDocument(json.dumps(file).encode())).contents
    assert (content.name, content.data) == ("", PAYLOAD)
    assert content.signed_by == ("signature-1", "signature-2")
    detached = entry(signer)
    assert not JadesFormat().find(SubmittedDocument(json.dumps(detached).encode(), PAYLOAD)).contents


def test_json_without_signatures_is_unsigned(hierarchy: Hierarchy) -> None:
    for data in (b"{}", b' {"payload":"eHg"}', b'{"ten":"An"}', b'{"ten": hong', b'{"a":' + b"[" * 10_000):
        assert verify(hierarchy, data).verdict is Verdict.UNSIGNED
    # Members of these names are not uncommon.
    for other in ({"signature": "An"}, {"payload": {}, "signature": "An"}, {"signatures": ["An", "Ba"]}):
        assert verify(hierarchy, other).verdict is Verdict.UNSIGNED


def test_other_texts_are_not_recognised() -> None:
    for data in (
        b"",
        b"[]",
        b"{\\rtf1 An}",
        b"{{ten}}",
        b"a.b.c",
        b"eyJ",
        b"eyJhbGciOiJIUzI1NiJ9.eHg",
        b"%PDF-1.7",
        b"www.gov.vn.vn",
    ):
        assert not JadesFormat().recognises(data)


# --- algorithms and keys -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["none", "None", "NONE", "HS256", "HS512", "", None, 5])
def test_what_shows_no_signer_is_refused(hierarchy: Hierarchy, signer: Signer, name: Any) -> None:
    file = flattened(signer)
    members = {**named(signer), "alg": name}
    file["protected"] = url(json.dumps(members).encode())
    for signature in (file["signature"], ""):
        for integrity in (False, True):
            assert refused(verify(hierarchy, {**file, "signature": signature}, integrity=integrity))


def test_an_hmac_by_the_public_key_is_refused(hierarchy: Hierarchy, signer: Signer) -> None:
    """The confusion of a public key with a shared secret."""
    secret = signer.key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    token = jwcrypto_jws.JWS(PAYLOAD)
    key = jwk.JWK(kty="oct", k=url(secret))
    token.add_signature(key, protected=json.dumps(named(signer, alg="HS256")))
    assert "HMAC" in refused(verify(hierarchy, token.serialize(compact=True).encode(), integrity=True))


@pytest.mark.parametrize("name", ["ES256K", "RS1", "PS1", "ES224", "Ed448", "RSA256", "es256"])
def test_unknown_algorithms_are_not_decided(hierarchy: Hierarchy, signer: Signer, name: str) -> None:
    file = flattened(signer)
    file["protected"] = url(json.dumps({**named(signer), "alg": name}).encode())
    one = only(verify(hierarchy, file))
    assert (one.indication, one.sub_indication) == (Indication.INDETERMINATE, SubIndication.GENERIC)


@pytest.mark.parametrize("name", ["ES384", "ES512", "RS256", "PS256", "EdDSA"])
def test_key_and_algorithm_must_fit(hierarchy: Hierarchy, signer: Signer, name: str) -> None:
    one = only(verify(hierarchy, compact(signer, alg=name)))
    assert (one.indication, one.sub_indication) == (
        Indication.TOTAL_FAILED,
        SubIndication.SIG_CRYPTO_FAILURE,
    )


def test_a_value_in_der_is_none(hierarchy: Hierarchy, signer: Signer) -> None:
    file = flattened(signer)
    octets = f"{file['protected']}.{file['payload']}".encode()
    assert isinstance(signer.key, ec.EllipticCurvePrivateKey)
    file["signature"] = url(signer.key.sign(octets, ec.ECDSA(hashes.SHA256())))
    assert only(verify(hierarchy, file)).sub_indication is SubIndication.SIG_CRYPTO_FAILURE


def test_ed25519_is_intact_and_not_on_the_allowed_list(hierarchy: Hierarchy) -> None:
    signer = hierarchy.issuing.signer(key=ed25519.Ed25519PrivateKey.generate())
    for name in ("EdDSA", "Ed25519"):
        data = compact(signer, alg=name)
        assert verify(hierarchy, data, integrity=True).clean
        report = verify(hierarchy, data)
        assert report.verdict is Verdict.INDETERMINATE
        assert Code.ALG_WEAK in codes(report)
        assert not verify(hierarchy, data[:-4] + b"AAAA", integrity=True).clean


def test_a_bare_key_shows_integrity_and_no_signer(hierarchy: Hierarchy, signer: Signer) -> None:
    bare = json.loads(jwk.JWK.from_pyca(signer.key.public_key()).export_public())
    data = compact(signer, **UNNAMED, x5c=None, jwk=bare)
    report = verify(hierarchy, data, integrity=True)
    assert report.clean
    assert only(report).signer is None
    trusted = only(verify(hierarchy, data))
    assert trusted.sub_indication is SubIndication.NO_SIGNING_CERTIFICATE_FOUND
    other = json.loads(jwk.JWK.generate(kty="EC", crv="P-256").export_public())
    forged = compact(signer, **UNNAMED, x5c=None, jwk=other)
    assert only(verify(hierarchy, forged, integrity=True)).indication is Indication.TOTAL_FAILED


@pytest.mark.parametrize(
    "key",
    [
        5,
        {"kty": "oct", "k": "AAAA"},
        {"kty": "EC", "crv": "P-256", "x": "AAAA", "y": "AAAA"},
        {"kty": "EC", "crv": "P-256", "x": "AAAA", "y": "AAAA", "d": "AAAA"},
        {"kty": "EC", "crv": "secp256k1", "x": "AAAA", "y": "AAAA"},
        {"kty": "RSA", "n": "AA", "e": "AQAB"},
        {"kty": "RSA", "n": "_" * 4000, "e": "AQAB"},
        {"kty": "RSA", "n": "_" * 20000, "e": "AQAB"},
        {"kty": "OKP", "crv": "Ed25519", "x": "AAAA"},
    ],
)
def test_odd_keys_are_refused(hierarchy: Hierarchy, signer: Signer, key: Any) -> None:
    assert "jwk" in refused(verify(hierarchy, compact(signer, x5c=None, jwk=key), integrity=True))
