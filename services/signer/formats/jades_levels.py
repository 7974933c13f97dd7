"""JAdES levels B-T and B-LT (ETSI TS 119 182-1 section 6): what a JSON signature still needs, and putting it in.

Every signature of a file that was sent for extension is raised; of a file that was just signed here, only the new one.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm

from services.kernel.errors import AlgorithmMismatch, DocumentDamaged, DomainError, FieldInvalid
from services.kernel.values import DigestAlgorithm, SignatureScheme, SigningAlgorithm
from services.signer.formats import jades_unsigned
from services.signer.formats.cades_levels import token_imprint
from services.signer.formats.cms_evidence import require_all
from services.signer.formats.errors import SelfCheckFailed
from services.signer.formats.format import EvidenceNeeded, Role, TimeStampNeeded
from services.signer.formats.jades_header import BY_URI_HASH, HASH_NAMES, as_der, content_digest
from services.signer.formats.jades_json import MAX_JWS_BYTES, parse_jws, to_base64url
from services.signer.formats.keys import signer_certificate, verify_value
from services.signer.formats.parameters import Level

if TYPE_CHECKING:
    from typing import Any

    from services.signer.formats.cms_evidence import Holder
    from services.signer.formats.format import Document, Evidence, Need, Signed
    from services.signer.formats.jades_json import Jws, JwsSignature

_SCHEMES = {
    "RS": SignatureScheme.RSA_PKCS1V15,
    "PS": SignatureScheme.RSA_PSS,
    "ES": SignatureScheme.ECDSA,
}
_UNVERIFIED = (
    SelfCheckFailed,
    AlgorithmMismatch,
    FieldInvalid,
    x509.InvalidVersion,
    UnsupportedAlgorithm,
)
"""What stands for: the signature value is not by the key in the certificate, or that cannot be read."""
_DIGESTS = {"256": DigestAlgorithm.SHA256, "384": DigestAlgorithm.SHA384, "512": DigestAlgorithm.SHA512}


def next_need(signed: Signed, level: Level, digest: DigestAlgorithm) -> Need | None:
    """Say what the next step towards B-T or B-LT needs. Raises DocumentDamaged, FieldInvalid."""
    jws, targets = _opened(signed)
    for index in targets:
        signature = jws.signatures[index]
        if not signed.addition:
            require_contents(signature, signed.document)
        if level.includes(Level.B_LT):
            # Before a time-stamp is had for a signature that cannot get there.
            _chain(signature)
        if not jades_unsigned.has(signature, jades_unsigned.SIGNATURE_TIME_STAMP):
            require_valid(jws, signature, signed.document)
            # TS 119 182-1 section 5.3.4: the base64url text of the signature value is what is stamped.
            return TimeStampNeeded(digest.digest(signature.signature.encode("ascii")), _state([index]))
    if not level.includes(Level.B_LT):
        return None
    certificates: dict[bytes, None] = {}
    lacking = []
    for index in targets:
        wanted, found = _validated(jws.signatures[index])
        if found.lacking(wanted):
            require_valid(jws, jws.signatures[index], signed.document)
            lacking.append(index)
            certificates |= dict.fromkeys((*wanted, *found.certificates))
    return EvidenceNeeded(tuple(certificates), _state(lacking)) if lacking else None


def add_time_stamp(signed: Signed, need: TimeStampNeeded, token: bytes) -> bytes:
    """Put a token in, and read the finished file back."""
    jws, _ = _opened(signed)
    [index] = json.loads(need.state)
    jades_unsigned.put_time_stamp(jws.signatures[index], token)
    finished = _written(jws)
    found = _unchanged(finished, jws, [index])[0]
    algorithm, stamped = token_imprint(token)
    if jades_unsigned.time_stamps(found)[-1:] != [token]:
        raise SelfCheckFailed("the time-stamp token is not in the finished signature")
    if algorithm.digest(found.signature.encode("ascii")) != stamped:
        raise SelfCheckFailed("the time-stamp is not over the signature value")
    return finished


def add_evidence(signed: Signed, need: EvidenceNeeded, evidence: Evidence) -> bytes:
    """Put certificates and revocation values in, and read the finished file back.

    Raises EvidenceUnavailable where a certificate has no revocation value still.
    """
    jws, _ = _opened(signed)
    indexes = json.loads(need.state)
    for index in indexes:
        known = frozenset(_validated(jws.signatures[index])[1].certificates)
        jades_unsigned.put_evidence(jws.signatures[index], evidence, known)
    finished = _written(jws)
    for again in _unchanged(finished, jws, indexes):
        wanted, found = _validated(again)
        require_all(found.lacking(wanted))
    return finished


def _opened(signed: Signed) -> tuple[Jws, list[int]]:
    """Read the file as it stands, and say which of its signatures are to be raised."""
    sent = (signed.document.role_of(Role.SIGNATURE) or (signed.document,))[0]
    jws = parse_jws(signed.addition or sent.read())
    everyone = list(range(len(jws.signatures)))
    if len(everyone) == 1 or not signed.addition:
        return jws, everyone
    # Several signatures, and this is not the first step: fewer in the file that was sent means that one is new.
    before = len(parse_jws(sent.read()).signatures)
    return jws, everyone[before:] or everyone


def _written(jws: Jws) -> bytes:
    if jws.serialization == "COMPACT":
        jws.serialization = "FLATTENED"
    finished = jws.to_bytes()
    if len(finished) > MAX_JWS_BYTES:
        raise FieldInvalid(
            f"with its evidence the JSON signature would have {len(finished)} bytes, at most {MAX_JWS_BYTES} are "
            "possible: take a lower level",
            field="level",
        )
    return finished


def _unchanged(finished: bytes, jws: Jws, indexes: list[int]) -> list[JwsSignature]:
    """Read a finished file; give these signatures of it after comparing everything that is signed."""
    again = parse_jws(finished)
    signed = [(signature.protected, signature.signature) for signature in jws.signatures]
    if again.payload != jws.payload or signed != [
        (signature.protected, signature.signature) for signature in again.signatures
    ]:
        raise SelfCheckFailed("what is signed changed while something was added")
    return [again.signatures[index] for index in indexes]


def _state(indexes: list[int]) -> bytes:
    return json.dumps(indexes).encode()


def _chain(signature: JwsSignature) -> list[bytes]:
    chain = jades_unsigned.chain_of(signature.protected_header())
    if not chain:
        raise DocumentDamaged(
            "the JSON signature holds no certificate (x5c): nothing can be found for it", reason="x5c"
        )
    return chain


def _validated(signature: JwsSignature) -> tuple[list[bytes], Holder]:
    return jades_unsigned.holder(signature, _chain(signature))


def require_valid(jws: Jws, signature: JwsSignature, document: Document) -> None:
    """Refuse a signature whose value does not verify (DocumentDamaged); one whose content is not at hand passes."""
    header = signature.protected_header()
    chain = jades_unsigned.chain_of(header)[:1]
    payload = _payload(jws, header, document)
    if payload is None or not chain:
        return
    name = header.get("alg")
    scheme = _SCHEMES.get(name[:2]) if isinstance(name, str) else None
    digest = _DIGESTS.get(name[2:]) if isinstance(name, str) else None
    if scheme is None or digest is None:
        raise DocumentDamaged("the JSON signature's algorithm is not one that is raised", reason="alg")
    try:
        algorithm = SigningAlgorithm(scheme, digest)
        _, key = signer_certificate(tuple(chain), algorithm)
        verify_value(key, algorithm, signature.signed_text(payload), as_der(key, signature.value()))
    except (*_UNVERIFIED, ValueError) as error:
        where = f": {error.message}" if isinstance(error, DomainError) else ""
        raise DocumentDamaged(f"the JSON signature does not verify{where}", reason="signature") from error


def require_contents(signature: JwsSignature, document: Document) -> None:
    """Refuse a detached signature that is over other contents than those of the same names (DocumentDamaged).

    Contents that are not at hand, and digests by other algorithms than SHA-2, cannot be compared and pass.
    """
    header = signature.protected_header()
    data = header.get("sigD")
    if not isinstance(data, dict) or data.get("mId") != BY_URI_HASH:
        return
    names, hashes = data.get("pars"), data.get("hashV")
    if not isinstance(names, list) or not isinstance(hashes, list) or len(names) != len(hashes):
        raise DocumentDamaged("the JSON signature has not one digest for each content (sigD)", reason="sigD")
    algorithm = next((one for one, name in HASH_NAMES.items() if name == data.get("hashM")), None)
    if algorithm is None:
        return
    encoded = header.get("b64", True) is not False
    claimed = {name: value for name, value in zip(names, hashes, strict=True) if isinstance(name, str)}
    for content in document.role_of(Role.CONTENT):
        known = content.known_digest
        if content.name not in claimed or (
            known is not None and (encoded or known.algorithm is not algorithm)
        ):
            continue
        if claimed[content.name] != to_base64url(content_digest(content, algorithm, encoded=encoded)):
            raise DocumentDamaged(
                f"the content {content.name[:80]!r} is not the one that the JSON signature is over: send the "
                "content as it was signed",
                reason="digest",
            )


def _payload(jws: Jws, header: dict[str, Any], document: Document) -> str | None:
    """Return the payload as it is signed; None where it lies with somebody else."""
    if jws.payload is not None:
        return jws.payload
    data = header.get("sigD")
    if isinstance(data, dict):
        # Only this mechanism signs no payload (section 5.2.8.3.3).
        return "" if data.get("mId") == BY_URI_HASH else None
    sent = (document.role_of(Role.SIGNATURE) or (document,))[0]
    contents = [file for file in document.files if file.role is Role.CONTENT and file is not sent]
    if len(contents) != 1 or contents[0].known_digest is not None or header.get("b64", True) is False:
        return None
    return to_base64url(contents[0].read())
