"""The outer shell of what an X.509 key signs: SEQUENCE { to-be-signed, AlgorithmIdentifier, BIT STRING } (RFC 5280, 2986).

The to-be-signed bytes are taken as they came and never encoded anew; they are read by `cryptography`, which knows only
whole structures, so a throw-away signature stands in while they are read.
"""

from __future__ import annotations

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from services.kernel.errors import AlgorithmUnknown, FieldInvalid
from services.kernel.values import DigestAlgorithm, SignatureScheme, SigningAlgorithm

SEQUENCE, INTEGER, BIT_STRING, CONTEXT_0 = 0x30, 0x02, 0x03, 0xA0

MAX_SERIAL_OCTETS = 20

_RSA = bytes.fromhex("2a864886f70d0101")
_ECDSA = bytes.fromhex("2a8648ce3d0403")
_NULL = b"\x05\x00"


def _oid(body: bytes) -> bytes:
    return bytes((0x06, len(body))) + body


def _identifier(body: bytes) -> bytes:
    return bytes((SEQUENCE, len(body))) + body


ALGORITHMS: dict[SigningAlgorithm, bytes] = {
    # RFC 4055 section 5: parameters NULL for RSA; RFC 5758 section 3.2: absent for ECDSA.
    SigningAlgorithm(SignatureScheme.RSA_PKCS1V15, DigestAlgorithm.SHA256): _identifier(
        _oid(_RSA + b"\x0b") + _NULL
    ),
    SigningAlgorithm(SignatureScheme.RSA_PKCS1V15, DigestAlgorithm.SHA384): _identifier(
        _oid(_RSA + b"\x0c") + _NULL
    ),
    SigningAlgorithm(SignatureScheme.RSA_PKCS1V15, DigestAlgorithm.SHA512): _identifier(
        _oid(_RSA + b"\x0d") + _NULL
    ),
    SigningAlgorithm(SignatureScheme.ECDSA, DigestAlgorithm.SHA256): _identifier(_oid(_ECDSA + b"\x02")),
    SigningAlgorithm(SignatureScheme.ECDSA, DigestAlgorithm.SHA384): _identifier(_oid(_ECDSA + b"\x03")),
    SigningAlgorithm(SignatureScheme.ECDSA, DigestAlgorithm.SHA512): _identifier(_oid(_ECDSA + b"\x04")),
}
"""AlgorithmIdentifier, DER, of what keys sign certificates, CRLs and requests with."""
_OF_IDENTIFIER = {identifier: algorithm for algorithm, identifier in ALGORITHMS.items()}


def encode(tag: int, body: bytes) -> bytes:
    """Encode one DER value (X.690 section 8.1)."""
    size = len(body)
    if size < 0x80:
        return bytes((tag, size)) + body
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(length))) + length + body


def signed(to_be_signed: bytes, algorithm: SigningAlgorithm, signature: bytes) -> bytes:
    """Put what was signed, its algorithm and the signature value together."""
    return encode(SEQUENCE, to_be_signed + ALGORITHMS[algorithm] + encode(BIT_STRING, b"\x00" + signature))


def read(data: bytes, at: int, field: str) -> tuple[int, int, int]:
    """Read tag and extent of the DER value at `at`: (tag, start of its contents, end). Raise FieldInvalid."""
    try:
        tag, first = data[at], data[at + 1]
        start = at + 2
        size = first
        if first >= 0x80:
            count = first & 0x7F
            size = int.from_bytes(data[start : start + count], "big")
            minimal = size >= 0x80 and data[start] != 0
            if not 1 <= count <= 4 or not minimal:
                raise FieldInvalid(f"{field} is not DER: a length is not in its shortest form", field=field)
            start += count
    except IndexError:
        raise FieldInvalid(f"{field} is not DER: it ends too early", field=field) from None
    if start + size > len(data):
        raise FieldInvalid(f"{field} is not DER: it ends too early", field=field)
    return tag, start, start + size


def inner_algorithm(to_be_signed: bytes, field: str) -> SigningAlgorithm:
    """Return the signature algorithm that a TBSCertificate or TBSCertList names inside."""
    tag, at, end = read(to_be_signed, 0, field)
    if tag != SEQUENCE or end != len(to_be_signed):
        raise FieldInvalid(f"{field} is not one DER SEQUENCE", field=field)
    # TBSCertificate: [0] version, INTEGER serialNumber; TBSCertList: INTEGER version. Then both: AlgorithmIdentifier.
    tag, _, stop = read(to_be_signed, at, field)
    while tag in {CONTEXT_0, INTEGER}:
        at = stop
        tag, _, stop = read(to_be_signed, at, field)
    algorithm = _OF_IDENTIFIER.get(to_be_signed[at:stop])
    if algorithm is None:
        raise AlgorithmUnknown(
            f"{field} names a signature algorithm that authority keys do not use", field=field
        )
    return algorithm


def require_serial(to_be_signed: bytes, field: str) -> None:
    """Raise FieldInvalid unless a TBSCertificate's serial number is positive and has at most 20 octets.

    RFC 5280 section 4.1.2.2. Read here, because the parser will take a negative one for no certificate at all.
    """
    _, at, _ = read(to_be_signed, 0, field)
    tag, start, end = read(to_be_signed, at, field)
    if tag == CONTEXT_0:
        tag, start, end = read(to_be_signed, end, field)
    serial = to_be_signed[start:end]
    if tag != INTEGER or not 1 <= len(serial) <= MAX_SERIAL_OCTETS or serial[0] >= 0x80 or not any(serial):
        raise FieldInvalid(
            f"{field}: the serial number must be positive and have at most {MAX_SERIAL_OCTETS} octets",
            field=field,
        )


def parse_certificate(tbs: bytes, algorithm: SigningAlgorithm, field: str) -> x509.Certificate:
    """Parse a TBSCertificate; raise FieldInvalid."""
    try:
        parsed = x509.load_der_x509_certificate(signed(tbs, algorithm, b"\x00"))
        # Parsing is lazy: what is read here cannot fail later.
        _ = (
            parsed.issuer,
            parsed.subject,
            parsed.extensions,
            parsed.public_key(),
            parsed.serial_number,
            parsed.version,
        )
        _ = parsed.not_valid_before_utc, parsed.not_valid_after_utc
    except (ValueError, TypeError, UnsupportedAlgorithm, x509.DuplicateExtension) as error:
        raise FieldInvalid(f"{field} is not a TBSCertificate: {_short(error)}", field=field) from error
    return parsed


def parse_crl(tbs: bytes, algorithm: SigningAlgorithm, field: str) -> x509.CertificateRevocationList:
    """Parse a TBSCertList; raise FieldInvalid."""
    try:
        parsed = x509.load_der_x509_crl(signed(tbs, algorithm, b"\x00"))
        _ = parsed.issuer, parsed.extensions, parsed.last_update_utc, parsed.next_update_utc, len(parsed)
    except (ValueError, TypeError, UnsupportedAlgorithm, x509.DuplicateExtension) as error:
        raise FieldInvalid(f"{field} is not a TBSCertList: {_short(error)}", field=field) from error
    return parsed


def entry_extensions(parsed: x509.CertificateRevocationList, field: str) -> set[x509.ObjectIdentifier]:
    """Return every extension that some entry of a CRL has; raise FieldInvalid where one cannot be read."""
    try:
        return {extension.oid for revoked in parsed for extension in revoked.extensions}
    except (ValueError, TypeError, x509.DuplicateExtension) as error:
        raise FieldInvalid(
            f"{field} has an entry that cannot be read: {_short(error)}", field=field
        ) from error


def name_of(subject: bytes, spki: bytes) -> x509.Name:
    """Parse a Name, DER, of a CA whose key is `spki`: both are ours, so what is wrong is ours too."""
    # Names are read within whole structures only; the smallest is a request without attributes.
    request_info = encode(SEQUENCE, b"\x02\x01\x00" + subject + spki + b"\xa0\x00")
    stand_in = SigningAlgorithm(SignatureScheme.ECDSA, DigestAlgorithm.SHA256)
    return x509.load_der_x509_csr(signed(request_info, stand_in, b"\x00")).subject


def spki_of_request_info(request_info: bytes) -> bytes:
    """Return the SubjectPublicKeyInfo, DER, inside a CertificationRequestInfo; raise FieldInvalid."""
    field = "certification_request_info"
    stand_in = SigningAlgorithm(SignatureScheme.ECDSA, DigestAlgorithm.SHA256)
    try:
        parsed = x509.load_der_x509_csr(signed(request_info, stand_in, b"\x00"))
        if parsed.tbs_certrequest_bytes != request_info:
            raise FieldInvalid(f"{field} is not in DER", field=field)
        return parsed.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise FieldInvalid(
            f"{field} is not a CertificationRequestInfo: {_short(error)}", field=field
        ) from error


def _short(error: Exception) -> str:
    return str(error)[:120] or type(error).__name__
