"""Reading a time-stamp request: strictly, and with the answer that RFC 3161 section 2.4.2 names for each fault."""

from __future__ import annotations

from dataclasses import dataclass

from cryptography.hazmat import asn1

from services.kernel.values import Digest
from services.signer.tsa.structures import IDENTIFIERS, VERSION, FailInfo, Imprint, Refusal, Request

MAX_REQUEST_BYTES = 16 * 1024
MAX_NONCE_BITS = 160
"""As long as the longest serial number; 64 bits are usual."""
_SEQUENCE, _OID = 0x30, 0x06


@dataclass(frozen=True, slots=True)
class Query:
    """A request that gets a token."""

    digest: Digest
    imprint: Imprint
    """As it came."""
    nonce: int | None
    certificates: bool
    """Whether the token holds our certificates."""


def read_request(der: bytes, policy: str) -> Query:
    """Read a TimeStampReq, DER. Raise Refusal where it gets no token; `policy` is the one policy that we follow."""
    if len(der) > MAX_REQUEST_BYTES:
        raise Refusal(FailInfo.BAD_DATA_FORMAT, f"the request is larger than {MAX_REQUEST_BYTES} bytes")
    try:
        request = asn1.decode_der(Request, der)
    except (ValueError, TypeError) as error:
        raise Refusal(FailInfo.BAD_DATA_FORMAT, "the request is not one TimeStampReq in DER") from error
    if request.version != VERSION:
        raise Refusal(FailInfo.BAD_REQUEST, "the request's version must be 1")
    digest = _digest(request.imprint)
    if request.policy is not None and request.policy.dotted_string != policy:
        raise Refusal(FailInfo.UNACCEPTED_POLICY, f"time-stamps are made under the policy {policy} only")
    if request.extensions is not None:
        raise Refusal(FailInfo.UNACCEPTED_EXTENSION, "no extension of requests is known here: send none")
    if request.nonce is not None and request.nonce.bit_length() > MAX_NONCE_BITS:
        raise Refusal(FailInfo.BAD_REQUEST, f"the nonce has more than {MAX_NONCE_BITS} bits")
    return Query(digest, request.imprint, request.nonce, request.certificates)


def _digest(imprint: Imprint) -> Digest:
    identifier = asn1.encode_der(imprint.algorithm)
    algorithm = IDENTIFIERS.get(identifier)
    if algorithm is None:
        # Whatever names an algorithm is one that we do not take; anything else is no AlgorithmIdentifier.
        if identifier[0] != _SEQUENCE or bytes(imprint.algorithm.data)[:1] != bytes((_OID,)):
            raise Refusal(FailInfo.BAD_DATA_FORMAT, "the imprint's algorithm is no AlgorithmIdentifier")
        raise Refusal(FailInfo.BAD_ALG, "the imprint must be by SHA-256, SHA-384 or SHA-512")
    if len(imprint.value) != algorithm.size:
        raise Refusal(
            FailInfo.BAD_DATA_FORMAT,
            f"an imprint by {algorithm.label} has {algorithm.size} bytes, this one {len(imprint.value)}",
        )
    return Digest(algorithm, imprint.value)
