"""What RFC 3161 sends back and forth, in ASN.1: request, TSTInfo, response. DER only."""

from __future__ import annotations

from enum import Enum
from typing import Annotated

from cryptography import x509
from cryptography.hazmat import asn1

from services.kernel.values import Digest, DigestAlgorithm

ID_TST_INFO = x509.ObjectIdentifier("1.2.840.113549.1.9.16.1.4")
ID_SIGNED_DATA = x509.ObjectIdentifier("1.2.840.113549.1.7.2")
CONTENT_TYPE = x509.ObjectIdentifier("1.2.840.113549.1.9.3")
MESSAGE_DIGEST = x509.ObjectIdentifier("1.2.840.113549.1.9.4")
SIGNING_TIME = x509.ObjectIdentifier("1.2.840.113549.1.9.5")
SIGNING_CERTIFICATE = x509.ObjectIdentifier("1.2.840.113549.1.9.16.2.12")
SIGNING_CERTIFICATE_V2 = x509.ObjectIdentifier("1.2.840.113549.1.9.16.2.47")

VERSION = 1
"""Of request and TSTInfo."""
NULL = b"\x05\x00"


class FailInfo(Enum):
    """PKIFailureInfo of RFC 3161 section 2.4.2: the bit's number, and the name for people and metrics.

    addInfoNotAvailable is not among them: nothing that a request can ask for is ever missing alone.
    """

    BAD_ALG = (0, "badAlg")
    BAD_REQUEST = (2, "badRequest")
    BAD_DATA_FORMAT = (5, "badDataFormat")
    TIME_NOT_AVAILABLE = (14, "timeNotAvailable")
    UNACCEPTED_POLICY = (15, "unacceptedPolicy")
    UNACCEPTED_EXTENSION = (16, "unacceptedExtension")
    SYSTEM_FAILURE = (25, "systemFailure")

    def __init__(self, bit: int, label: str) -> None:
        """Bind the bit and the name."""
        self.bit, self.label = bit, label


class Refusal(Exception):
    """A request that gets no token; not an error but an answer (RFC 3161 section 2.4.2)."""

    def __init__(self, failure: FailInfo, text: str) -> None:
        """`text` is shown to the requester: no secrets, and the next step."""
        super().__init__(text)
        self.failure, self.text = failure, text


@asn1.sequence
class Imprint:
    """MessageImprint. The algorithm stays as it came: the token must repeat it (section 2.4.2)."""

    algorithm: asn1.TLV
    value: bytes


@asn1.sequence
class Request:
    """TimeStampReq (section 2.4.1)."""

    version: int
    imprint: Imprint
    policy: x509.ObjectIdentifier | None
    nonce: int | None
    certificates: Annotated[bool, asn1.Default(False)]
    extensions: Annotated[list[asn1.TLV] | None, asn1.Implicit(0)]


@asn1.sequence
class Accuracy:
    """How far genTime may be from UTC, either way."""

    seconds: int | None
    millis: Annotated[int | None, asn1.Implicit(0)]
    micros: Annotated[int | None, asn1.Implicit(1)]


@asn1.sequence
class TstInfo:
    """TSTInfo (section 2.4.2). `tsa` holds a GeneralName: an explicit tag round one value reads like a list of one."""

    version: int
    policy: x509.ObjectIdentifier
    imprint: Imprint
    serial: int
    time: asn1.GeneralizedTime
    accuracy: Accuracy | None
    ordering: Annotated[bool, asn1.Default(False)]
    nonce: int | None
    tsa: Annotated[list[asn1.TLV] | None, asn1.Implicit(0)]
    extensions: Annotated[list[asn1.TLV] | None, asn1.Implicit(1)]


@asn1.sequence
class _Status:
    status: int
    text: list[str] | None
    failure: asn1.BitString | None


@asn1.sequence
class _Granted:
    status: _Status
    token: asn1.TLV


@asn1.sequence
class _Rejected:
    status: _Status


_GRANTED = _Status(status=0, text=None, failure=None)
_REJECTION = 2


def granted(token: bytes) -> bytes:
    """Encode the TimeStampResp that brings a token."""
    return asn1.encode_der(_Granted(status=_GRANTED, token=tlv(token)))


def rejected(refusal: Refusal) -> bytes:
    """Encode the TimeStampResp that says why there is none."""
    bit = refusal.failure.bit
    # X.690 section 11.2.2: named bits end with the last one that is set.
    octets = bytearray(bit // 8 + 1)
    octets[-1] = 0x80 >> bit % 8
    failure = asn1.BitString(bytes(octets), 7 - bit % 8)
    return asn1.encode_der(_Rejected(status=_Status(status=_REJECTION, text=[refusal.text], failure=failure)))


def tlv(der: bytes) -> asn1.TLV:
    """Wrap one DER value."""
    return asn1.decode_der(asn1.TLV, der)


def _identifier(algorithm: DigestAlgorithm, parameters: bytes) -> bytes:
    body = asn1.encode_der(x509.ObjectIdentifier(algorithm.oid)) + parameters
    return bytes((0x30, len(body))) + body


IDENTIFIERS = {
    _identifier(algorithm, parameters): algorithm
    for algorithm in DigestAlgorithm
    # RFC 5754 section 2: absent is right, and NULL must be taken too.
    for parameters in (NULL, b"")
}
"""AlgorithmIdentifier, DER, of the digests that may be stamped."""
_OF = {algorithm: tlv(_identifier(algorithm, NULL)) for algorithm in DigestAlgorithm}


def imprint_of(digest: Digest) -> Imprint:
    """Make a MessageImprint; with parameters NULL, which older verifiers of time-stamps expect."""
    return Imprint(algorithm=_OF[digest.algorithm], value=digest.value)
