"""JAdES: what jwcrypto and joserfc say, the letters of TS 119 182-1, and one more signature."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from joserfc import jws as joserfc_jws
from joserfc.jwk import ECKey, RSAKey
from joserfc.registry import HeaderParameter
from jwcrypto import jwk
from jwcrypto import jws as jwcrypto_jws
from jwcrypto.common import JWSEHeaderParameter

from services.kernel.errors import AlgorithmMismatch, BodyTooLarge, DocumentDamaged, FieldInvalid
from services.kernel.values import Digest, DigestAlgorithm, KeyAlgorithm, SignatureScheme, SigningAlgorithm
from services.signer.formats import jades
from services.signer.formats.errors import SelfCheckFailed
from services.signer.formats.format import Document, Role
from services.signer.formats.jades import Jades
from tests.support.document_signers import ALGORITHMS, RSA_SHA256, SIGNING_TIME, TestSigner, signer

CONTENT = '{"số":"15/2026","cơ quan":"Ủy ban nhân dân"}\n'.encode()
CURVE_DIGESTS = {
    (KeyAlgorithm.ECDSA_P256, DigestAlgorithm.SHA256),
    (KeyAlgorithm.ECDSA_P384, DigestAlgorithm.SHA384),
}
FITTING = [
    (key, algorithm)
    for key, algorithm in ALGORITHMS
    if key.family == "RSA" or (key, algorithm.digest) in CURVE_DIGESTS
]


def _is_object(value: Any) -> None:
    if not isinstance(value, dict):
        raise TypeError("must be an object")


JADES_HEADERS: dict[str, HeaderParameter] = {
    "x5t#o": HeaderParameter("certificate digest", _is_object),
    "sigD": HeaderParameter("detached contents", _is_object),
    "iat": HeaderParameter("claimed signing time", "int"),
    "b64": HeaderParameter("payload encoding", "bool"),
}


UNDERSTOOD = {name: JWSEHeaderParameter(name, True, True, None) for name in ("sigD", "x5t#o")}


def sign(
    document: Document, who: TestSigner, algorithm: SigningAlgorithm = RSA_SHA256, **options: Any
) -> bytes:
    parameters = who.parameters(algorithm, "JADES", **options)
    prepared = Jades().prepare(document, parameters)
    value = who.sign(prepared.digest, algorithm)
    return Jades().complete(document, parameters, prepared.state, value)


def header_of(finished: bytes) -> dict[str, Any]:
    text = (
        finished.split(b".")[0]
        if not finished.startswith(b"{")
        else json.loads(finished)["protected"].encode()
    )
    read: dict[str, Any] = json.loads(base64.urlsafe_b64decode(text + b"=" * (-len(text) % 4)))
    return read


def jwcrypto_verify(finished: bytes, who: TestSigner) -> bytes:
    token = jwcrypto_jws.JWS(header_registry=UNDERSTOOD)
    token.allowed_algs = [f"{kind}{size}" for kind in ("RS", "PS", "ES") for size in (256, 384, 512)]
    token.deserialize(finished.decode())
    token.verify(jwk.JWK.from_pyca(who.key.public_key()))
    # An unencoded payload comes back as text.
    payload: bytes | str = token.payload
    return payload.encode() if isinstance(payload, str) else payload


def joserfc_verify(finished: bytes, who: TestSigner) -> bytes:
    names = [f"{kind}{size}" for kind in ("RS", "PS", "ES") for size in (256, 384, 512)]
    registry = joserfc_jws.JWSRegistry(header_registry=JADES_HEADERS, algorithms=names)
    registry.max_header_length = registry.max_payload_length = 1 << 20
    kind = RSAKey if header_of(finished)["alg"][:2] != "ES" else ECKey
    key = kind.import_key(jwk.JWK.from_pyca(who.key.public_key()).export_public(as_dict=True))
    if finished.startswith(b"{"):
        return bytes(joserfc_jws.deserialize_json(json.loads(finished), key, registry=registry).payload)
    return bytes(joserfc_jws.deserialize_compact(finished, key, registry=registry).payload)


@pytest.mark.parametrize(("key", "algorithm"), FITTING, ids=lambda value: value.label)
def test_two_foreign_libraries_verify_every_key_scheme_and_digest(
    key: KeyAlgorithm, algorithm: SigningAlgorithm
) -> None:
    who = signer(key)
    finished = sign(Document.of(CONTENT), who, algorithm)
    assert jwcrypto_verify(finished, who) == CONTENT
    assert joserfc_verify(finished, who) == CONTENT
    head, payload, value = finished.split(b".")
    forged = b".".join((head, payload[:-2] + b"fQ", value))
    assert forged != finished
    with pytest.raises(jwcrypto_jws.InvalidJWSSignature):
        jwcrypto_verify(forged, who)


@pytest.mark.parametrize("serialization", ["FLATTENED", "GENERAL"])
def test_the_json_serialisations_verify_too(serialization: str) -> None:
    who = signer(KeyAlgorithm.ECDSA_P256)
    algorithm = SigningAlgorithm(SignatureScheme.ECDSA, DigestAlgorithm.SHA256)
    finished = sign(Document.of(CONTENT), who, algorithm, json_serialization=serialization)
    assert ("signatures" in json.loads(finished)) == (serialization == "GENERAL")
    assert jwcrypto_verify(finished, who) == CONTENT


@pytest.mark.parametrize("digest", DigestAlgorithm)
def test_the_header_has_what_the_baseline_demands(digest: DigestAlgorithm) -> None:
    who = signer()
    algorithm = SigningAlgorithm(SignatureScheme.RSA_PKCS1V15, digest)
    document = Document(Document.of(CONTENT).stream, len(CONTENT), media_type="application/json")
    header = header_of(sign(document, who, algorithm))
    fingerprint = base64.urlsafe_b64encode(digest.digest(who.chain[0])).decode().rstrip("=")
    if digest is DigestAlgorithm.SHA256:
        # TS 119 182-1 section 5.1.7.
        assert header.pop("x5t#S256") == fingerprint
    else:
        # Section 5.2.2: any other digest.
        assert header.pop("x5t#o") == {"digAlg": f"S{digest.size * 8}", "digVal": fingerprint}
    assert [base64.b64decode(value) for value in header.pop("x5c")] == list(who.chain)
    # Section 5.1.11 of V1.2.1: iat, in seconds (RFC 7519 section 4.1.6); sigT no more.
    assert header == {"alg": f"RS{digest.size * 8}", "iat": int(SIGNING_TIME.timestamp()), "cty": "json"}


def _named(name: str, data: bytes, media_type: str = "") -> Document:
    return Document(Document.of(data).stream, len(data), name, media_type)


def test_detached_contents_are_named_with_the_digests_of_their_bytes() -> None:
    who = signer()
    first = _named("Tờ trình.pdf", CONTENT, "application/pdf")
    second = _named("phụ lục.txt", b"phu luc", "text/plain")
    document = Document(first.stream, first.size, first.name, first.media_type, others=(second,))
    finished = sign(document, who, packaging="DETACHED")
    header = header_of(finished)
    digests = [
        base64.urlsafe_b64encode(DigestAlgorithm.SHA256.digest(data)).decode().rstrip("=")
        for data in (CONTENT, b"phu luc")
    ]
    # Section 5.2.8.3.3; with b64=false the digests are of the bytes themselves.
    assert header["sigD"] == {
        "mId": "http://uri.etsi.org/19182/ObjectIdByURIHash",
        "pars": ["Tờ trình.pdf", "phụ lục.txt"],
        "hashM": "S256",
        "hashV": digests,
        "ctys": ["pdf", "text/plain"],
    }
    # Section 5.1.9 and RFC 7797 section 6.
    assert (header["crit"], header["b64"], "cty" in header) == (["sigD", "b64"], False, False)
    assert finished.split(b".")[1] == b""
    token = jwcrypto_jws.JWS(header_registry=UNDERSTOOD)
    token.deserialize(finished.decode())
    token.verify(jwk.JWK.from_pyca(who.key.public_key()), detached_payload="")


def test_a_content_may_stay_with_the_caller() -> None:
    who = signer()
    known = Digest(DigestAlgorithm.SHA256, DigestAlgorithm.SHA256.digest(CONTENT))
    away = Document(Document.of(b"").stream, 0, "mật.pdf", known_digest=known)
    assert sign(away, who, packaging="DETACHED") == sign(
        _named("mật.pdf", CONTENT), who, packaging="DETACHED"
    )


@pytest.mark.parametrize("serialization", ["COMPACT", "FLATTENED", "GENERAL"])
def test_one_more_signature_joins_those_that_are_there(serialization: str) -> None:
    first, second = signer(), signer(KeyAlgorithm.ECDSA_P384, "Trần Thị Kiểm")
    ecdsa = SigningAlgorithm(SignatureScheme.ECDSA, DigestAlgorithm.SHA384)
    existing = sign(Document.of(CONTENT), first, json_serialization=serialization)
    document = Document(Document.of(existing).stream, len(existing), role=Role.SIGNATURE)
    both = sign(document, second, ecdsa)
    read = json.loads(both)
    assert len(read["signatures"]) == 2
    for index, who in enumerate((first, second)):
        alone = {"payload": read["payload"], **read["signatures"][index]}
        assert jwcrypto_verify(json.dumps(alone).encode(), who) == CONTENT
    # The content may come along, and is then compared.
    along = Document(Document.of(CONTENT).stream, len(CONTENT), others=(document,))
    assert len(json.loads(sign(along, second, ecdsa))["signatures"]) == 2
    with pytest.raises(FieldInvalid, match="not the payload"):
        sign(Document(Document.of(b"{}").stream, 2, others=(document,)), second, ecdsa)


@pytest.mark.parametrize("member", ["payload", "signature"])
def test_no_signature_joins_one_that_no_longer_verifies(member: str) -> None:
    read = json.loads(sign(Document.of(CONTENT), signer(), json_serialization="FLATTENED"))
    first = "A" if read[member][0] != "A" else "B"
    data = json.dumps(read | {member: first + read[member][1:]}).encode()
    sent = Document(Document.of(data).stream, len(data), role=Role.SIGNATURE)
    with pytest.raises(DocumentDamaged, match="does not verify"):
        Jades().prepare(sent, signer().parameters(RSA_SHA256, "JADES"))


def test_no_detached_signature_joins_one_over_other_contents() -> None:
    existing = sign(_named("a.pdf", CONTENT), signer(), packaging="DETACHED")
    sent = Document(Document.of(existing).stream, len(existing), role=Role.SIGNATURE)
    parameters = signer().parameters(RSA_SHA256, "JADES", packaging="DETACHED")
    changed = _named("a.pdf", CONTENT + b"x")
    document = Document(changed.stream, changed.size, changed.name, others=(sent,))
    with pytest.raises(DocumentDamaged, match=r"'a\.pdf' is not the one"):
        Jades().prepare(document, parameters)
    away = Digest(DigestAlgorithm.SHA256, DigestAlgorithm.SHA256.digest(CONTENT + b"x"))
    document = Document(changed.stream, 0, changed.name, others=(sent,), known_digest=away)
    with pytest.raises(DocumentDamaged, match=r"'a\.pdf' is not the one"):
        Jades().prepare(document, parameters)


def test_a_detached_signature_is_joined_over_the_contents_that_are_sent() -> None:
    first, second = signer(), signer(KeyAlgorithm.RSA_3072)
    content = _named("a.pdf", CONTENT)
    existing = sign(content, first, packaging="DETACHED")
    signature = Document(Document.of(existing).stream, len(existing), role=Role.SIGNATURE)
    document = Document(content.stream, content.size, content.name, others=(signature,))
    read = json.loads(sign(document, second, packaging="DETACHED"))
    assert len(read["signatures"]) == 2
    assert "payload" not in read
    with pytest.raises(FieldInvalid, match="are detached"):
        sign(document, second)


@pytest.mark.parametrize(
    ("key", "digest"),
    [
        (KeyAlgorithm.ECDSA_P256, DigestAlgorithm.SHA384),
        (KeyAlgorithm.ECDSA_P256, DigestAlgorithm.SHA512),
        (KeyAlgorithm.ECDSA_P384, DigestAlgorithm.SHA256),
        (KeyAlgorithm.ECDSA_P384, DigestAlgorithm.SHA512),
    ],
)
def test_a_curve_with_another_digest_than_its_own_is_refused(
    key: KeyAlgorithm, digest: DigestAlgorithm
) -> None:
    with pytest.raises(AlgorithmMismatch, match="P-384"):
        sign(Document.of(CONTENT), signer(key), SigningAlgorithm(SignatureScheme.ECDSA, digest))


def test_a_value_of_another_key_is_not_released() -> None:
    parameters = signer().parameters(form="JADES")
    prepared = Jades().prepare(Document.of(CONTENT), parameters)
    other = signer(KeyAlgorithm.RSA_3072).sign(prepared.digest)
    with pytest.raises(SelfCheckFailed):
        Jades().complete(Document.of(CONTENT), parameters, prepared.state, other)


def test_a_document_that_changed_between_the_steps_is_not_released() -> None:
    who = signer()
    for packaging in ("ENVELOPING", "DETACHED"):
        parameters = who.parameters(form="JADES", packaging=packaging)
        prepared = Jades().prepare(_named("a", CONTENT), parameters)
        value = who.sign(prepared.digest)
        with pytest.raises(SelfCheckFailed):
            Jades().complete(_named("a", CONTENT + b" "), parameters, prepared.state, value)


def test_an_enveloping_signature_holds_one_content_of_bounded_size() -> None:
    who = signer()
    with pytest.raises(FieldInvalid, match="holds one content"):
        sign(Document(Document.of(CONTENT).stream, 1, others=(_named("b", b"b"),)), who)
    with pytest.raises(BodyTooLarge, match="16777216 bytes"):
        sign(Document(Document.of(b"").stream, jades.MAX_PAYLOAD_BYTES + 1), who)
    with pytest.raises(FieldInvalid, match="empty content"):
        sign(Document.of(b""), who)
    known = Digest(DigestAlgorithm.SHA256, bytes(32))
    with pytest.raises(FieldInvalid, match="packaging detached"):
        sign(Document(Document.of(b"").stream, 0, known_digest=known), who)


@pytest.mark.parametrize("names", [("",), ("a", ""), ("a", "a")])
def test_detached_contents_need_names_of_their_own(names: tuple[str, ...]) -> None:
    files = [_named(name, b"x") for name in names]
    document = Document(files[0].stream, 1, files[0].name, others=tuple(files[1:]))
    with pytest.raises(FieldInvalid, match="a name of its own"):
        sign(document, signer(), packaging="DETACHED")


def test_a_general_file_keeps_members_that_nobody_knows() -> None:
    existing = json.loads(sign(Document.of(CONTENT), signer(), json_serialization="GENERAL"))
    existing["note"] = {"kept": [1, 2]}
    existing["signatures"][0]["header"] = {"kid": "một"}
    data = json.dumps(existing).encode()
    both = json.loads(sign(Document(Document.of(data).stream, len(data), role=Role.SIGNATURE), signer()))
    assert both["note"] == {"kept": [1, 2]}
    assert both["signatures"][0] == existing["signatures"][0]


def test_an_unencoded_payload_stays_unencoded() -> None:
    # RFC 7797 section 6: all signatures of one file have the same b64.
    first, second = signer(), signer(KeyAlgorithm.RSA_3072)
    token = jwcrypto_jws.JWS(CONTENT.decode())
    header = {"alg": "RS256", "b64": False, "crit": ["b64"]}
    token.add_signature(jwk.JWK.from_pyca(first.key), protected=json.dumps(header))
    existing = token.serialize().encode()
    sent = Document(Document.of(existing).stream, len(existing), role=Role.SIGNATURE)
    along = Document(Document.of(CONTENT).stream, len(CONTENT), others=(sent,))
    both = json.loads(sign(along, second))
    assert both["payload"] == CONTENT.decode()
    ours = json.loads(base64.urlsafe_b64decode(both["signatures"][1]["protected"] + "=="))
    assert (ours["b64"], ours["crit"]) == (False, ["b64"])
    for index, who in enumerate((first, second)):
        alone = {"payload": both["payload"], **both["signatures"][index]}
        assert jwcrypto_verify(json.dumps(alone).encode(), who) == CONTENT
