"""JSON signatures written by hand, so that any rule can be broken, and what the verifier says of them."""

from __future__ import annotations

import base64
import json
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils
from cryptography.hazmat.primitives.serialization import Encoding

from services.verifier.domain import Code, DocumentReport, Indication, SignatureReport, SubIndication, Verdict
from services.verifier.formats.jades import JadesFormat
from services.verifier.ports import SubmittedDocument
from services.verifier.service import VerificationService
from tests.unit.verifier.authority import NOW, Hierarchy, Signer

PAYLOAD = "Tờ trình số 15".encode()
UNNAMED: dict[str, Any] = {"x5t#S256": None}
"""For a header without the certificate's digest."""
_HASHES: dict[str, hashes.HashAlgorithm] = {
    "256": hashes.SHA256(),
    "384": hashes.SHA384(),
    "512": hashes.SHA512(),
}


def url(data: bytes) -> str:
    """Base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def text(value: Any) -> bytes:
    """JSON; octets stay as they are."""
    return value if isinstance(value, bytes) else json.dumps(value).encode()


def digest(data: bytes, algorithm: hashes.HashAlgorithm | None = None) -> bytes:
    """By SHA-256, or another."""
    state = hashes.Hash(algorithm or hashes.SHA256())
    state.update(data)
    return state.finalize()


def der(signer: Signer) -> bytes:
    """The signer's certificate."""
    return signer.certificate.public_bytes(Encoding.DER)


def named(signer: Signer, **more: Any) -> dict[str, Any]:
    """A protected header as JAdES B-B has it, changed by `more` (None: left out); `x5t` is for x5t#S256."""
    chain = [der(signer), *(one.public_bytes(Encoding.DER) for one in signer.chain)]
    header = {
        "alg": "ES256",
        "x5t#S256": url(digest(chain[0])),
        "x5c": [base64.b64encode(one).decode() for one in chain],
        "iat": 1780300000,
    }
    return {name: value for name, value in (header | more).items() if value is not None}


def value(key: Any, algorithm: str, octets: bytes) -> bytes:
    """A signature value by RFC 7518."""
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key.sign(octets)
    chosen = _HASHES.get(algorithm[2:], hashes.SHA256())
    if isinstance(key, rsa.RSAPrivateKey):
        if algorithm[:2] == "PS":
            return key.sign(octets, padding.PSS(padding.MGF1(chosen), chosen.digest_size), chosen)
        return key.sign(octets, padding.PKCS1v15(), chosen)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    size = (key.key_size + 7) // 8
    numbers = utils.decode_dss_signature(key.sign(octets, ec.ECDSA(chosen)))
    return b"".join(number.to_bytes(size, "big") for number in numbers)


def entry(signer: Signer, payload: bytes | str = PAYLOAD, **header: Any) -> dict[str, Any]:
    """One signature, as the general serialisation has it. A payload that is a text is signed as it stands."""
    members = named(signer, **header)
    return entry_of(signer.key, text(members), payload, str(members.get("alg", "ES256")))


def entry_of(
    key: Any, header: bytes, payload: bytes | str = PAYLOAD, algorithm: str = "ES256"
) -> dict[str, Any]:
    """One signature with a protected header in these very octets."""
    protected = url(header)
    encoded = payload if isinstance(payload, str) else url(payload)
    made = value(key, algorithm, f"{protected}.{encoded}".encode())
    return {"protected": protected, "signature": url(made)}


def flattened(signer: Signer, payload: bytes | str = PAYLOAD, **header: Any) -> dict[str, Any]:
    """A whole file, to be changed and written."""
    encoded = payload if isinstance(payload, str) else url(payload)
    return {"payload": encoded, **entry(signer, payload, **header)}


def compact(signer: Signer, payload: bytes = PAYLOAD, **header: Any) -> bytes:
    """The compact serialisation."""
    made = entry(signer, payload, **header)
    return f"{made['protected']}.{url(payload)}.{made['signature']}".encode()


def with_unsigned(file: dict[str, Any], *components: dict[str, Any], clear: bool = False) -> dict[str, Any]:
    """The file with these elements of etsiU."""
    elements = [one if clear else url(text(one)) for one in components]
    return {**file, "header": {"etsiU": elements}}


def container(*tokens: bytes) -> dict[str, Any]:
    """A tstContainer (TS 119 182-1 5.4.3.3)."""
    return {"tstTokens": [{"val": base64.b64encode(token).decode()} for token in tokens]}


def verify(
    hierarchy: Hierarchy,
    file: bytes | dict[str, Any],
    *,
    integrity: bool = False,
    detached: bytes | None = None,
    **named_contents: bytes,
) -> DocumentReport:
    """Judge with the hierarchy's trust, or without any; contents by name, where "_" stands for a full stop."""
    data = file if isinstance(file, bytes) else json.dumps(file).encode()
    assert JadesFormat().recognises(data)
    contents = {name.replace("_", "."): content for name, content in named_contents.items()}
    detached = next(iter(contents.values()), detached)
    service = VerificationService((JadesFormat(),), hierarchy.trust(), integrity_only=integrity)
    return service.verify(SubmittedDocument(data, detached, contents), NOW)


def only(report: DocumentReport) -> SignatureReport:
    (signature,) = report.signatures
    return signature


def codes(report: DocumentReport) -> set[Code]:
    return {notice.code for one in report.signatures for notice in one.notices}


def refused(report: DocumentReport) -> str:
    """Why the one signature is no signature at all."""
    one = only(report)
    assert (one.indication, one.sub_indication) == (Indication.TOTAL_FAILED, SubIndication.FORMAT_FAILURE)
    assert report.verdict is Verdict.MALFORMED
    return one.detail


def malformed(report: DocumentReport) -> str:
    """Why the file cannot be read."""
    assert report.verdict is Verdict.MALFORMED
    assert not report.signatures
    return report.notices[0].detail
