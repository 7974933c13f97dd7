"""One signature of a PDF file: the encodings of ISO 32000-2 12.8.3, with the older ones, bound to the bytes they sign."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from services.verifier import algorithms
from services.verifier.algorithms import AlgorithmError
from services.verifier.domain import (
    Code,
    Coverage,
    CoverageReport,
    Indication,
    Notice,
    SignatureKind,
    SubIndication,
)
from services.verifier.formats import ber, cms
from services.verifier.formats.ber import BerError
from services.verifier.formats.cms import AlgorithmIdentifier, SignedData, SignerInfo
from services.verifier.formats.pdf_bytes import SignedRange
from services.verifier.formats.pdf_file import View
from services.verifier.formats.pdf_syntax import Value
from services.verifier.ports import Fault, FoundSignature
from services.verifier.x509 import certificates
from services.verifier.x509.certificates import CertificateError

MAX_CERTIFICATES = 50
"""In the /Cert of an adbe.x509.rsa_sha1 signature."""
_DETACHED = {"ETSI.CAdES.detached": "PAdES", "adbe.pkcs7.detached": "PDF (adbe.pkcs7.detached)"}
_SHA1 = "adbe.pkcs7.sha1"
_TIMESTAMP = "ETSI.RFC3161"
_X509 = "adbe.x509.rsa_sha1"
_NAMES = {
    _SHA1: "PDF (adbe.pkcs7.sha1)",
    _TIMESTAMP: "PDF document time-stamp",
    _X509: "PDF (adbe.x509.rsa_sha1)",
}
_COMPARING = "SHA-256"
SUPPORTED = frozenset({*_DETACHED, *_NAMES})
_RSA = "1.2.840.113549.1.1.1"
_SHA1_OID = "1.3.14.3.2.26"
_DATE = re.compile(r"D:(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)?(?:(Z)|([+-])(\d\d)'?(\d\d)?'?)?")

Digests = Callable[[SignedRange, str], bytes]


@dataclass(frozen=True, slots=True)
class Read:
    """A signature as its dictionary holds it. `message` is None where that is no CMS.

    `detached`: what is signed are the octets themselves, also where the message carries them.
    """

    found: FoundSignature
    span: SignedRange
    message: SignedData | None
    container: bytes
    detached: bool = False


def read(
    view: View, signature: dict[str, Value], span: SignedRange, name: str, coverage: CoverageReport
) -> list[Read]:
    """What the signature's dictionary and container say, of each signer, not yet bound to the file. Raises BerError.

    A signer who cannot be read is one with a fault.
    """
    subfilter = str(view.entry(signature, "SubFilter"))
    if subfilter == _X509:
        return [_bare(view, signature, span, name, coverage)]
    message, rest = cms.parse(span.contents)
    if rest.strip(b"\0"):
        raise BerError("octets other than zero padding follow the signature in /Contents")
    count = len(message.signers)
    # EN 319 142-1 5.2 wants one; PKCS#7 and its readers know of several, and then each has signed.
    if not count or (count > 1 and subfilter not in _DETACHED):
        raise BerError(f"a PDF signature must have exactly one signer, this one has {count}")
    if subfilter not in _DETACHED and message.content is None:
        raise BerError("the signature carries no content, but its encoding needs one")
    container = span.contents[: len(span.contents) - len(rest)]
    stated = date(view.entry(signature, "M"))
    every = []
    for index, signer in enumerate(message.signers):
        own = f"{name}/signer-{index + 1}" if count > 1 else name
        if isinstance(signer, BerError):
            found = unreadable(own, str(signer))
        else:
            found = _found(subfilter, message, signer, own, coverage, stated)
        every.append(Read(found, span, message, container, subfilter in _DETACHED))
    return every


def unreadable(name: str, detail: str) -> FoundSignature:
    """A signature of which nothing can be said but that it is there."""
    notices = (Notice(Code.DOC_MALFORMED, detail),)
    fault = Fault(Indication.TOTAL_FAILED, SubIndication.FORMAT_FAILURE, detail, notices)
    return FoundSignature(name, "PDF", CoverageReport(Coverage.UNKNOWN), fault=fault)


def _found(
    subfilter: str,
    message: SignedData,
    signer: SignerInfo,
    name: str,
    coverage: CoverageReport,
    stated: datetime | None,
) -> FoundSignature:
    found = FoundSignature(
        name=name,
        format=_level(subfilter, message, signer),
        coverage=coverage,
        signer=signer,
        content_type=message.content_type,
        certificates=message.certificates,
        crls=message.crls,
        claimed_time=signer.signing_time or stated,
    )
    if subfilter == _TIMESTAMP and message.content is not None:
        time = cms.timestamp_info(message.content).time
        found = replace(found, kind=SignatureKind.DOCUMENT_TIMESTAMP, claimed_time=time)
    return found


def _level(subfilter: str, message: SignedData, signer: SignerInfo) -> str:
    """Format with its baseline level (EN 319 142-1 6.3): B-B needs the signed reference to the certificate.

    A message with several signers, or with the document in it, is no PAdES.
    """
    if subfilter not in _DETACHED:
        return _NAMES[subfilter]
    if len(message.signers) > 1 or message.content is not None:
        return f"PDF ({subfilter})"
    if subfilter == "ETSI.CAdES.detached" and signer.has_reference_attribute:
        return "PAdES-B-B"
    return _DETACHED[subfilter]


def bound(one: Read, digests: Digests) -> FoundSignature:
    """The signature bound to the bytes of the file, in the way of its encoding. Raises BerError, AlgorithmError."""
    found, span = one.found, one.span
    content = one.message.content if one.message is not None else None
    if found.fault is not None:
        return found
    if one.detached and content is not None:
        # Some software puts what it signs into the message as well: all of it, or the two say different things.
        if algorithms.digest(_COMPARING, content) != digests(span, _COMPARING):
            raise BerError("a detached PDF signature must not carry content other than what it covers")
        content = None
    if content is None:
        return replace(found, digest=lambda label: digests(span, label))
    if found.kind is SignatureKind.DOCUMENT_TIMESTAMP:
        info = cms.timestamp_info(content)
        stated, actual = info.digest, digests(span, algorithms.digest_label(info.digest_oid))
    else:
        # ISO 32000-1 12.8.3.3.1: what is signed is the SHA-1 digest of the byte range.
        stated, actual = content, digests(span, "SHA-1")
        found = replace(found, notices=(*found.notices, Notice(Code.ALG_SHA1, "digest of the document")))
    if stated != actual:
        detail = "the digest in the signature is not that of the document"
        return replace(found, fault=Fault(Indication.TOTAL_FAILED, SubIndication.HASH_FAILURE, detail))
    return replace(found, digest=lambda label: algorithms.digest(label, content))


def _bare(
    view: View, signature: dict[str, Value], span: SignedRange, name: str, coverage: CoverageReport
) -> Read:
    """adbe.x509.rsa_sha1 (ISO 32000-1 12.8.3.2): a bare PKCS#1 value, its certificates beside it in /Cert."""
    node, rest = ber.load(span.contents)
    if rest.strip(b"\0"):
        raise BerError("octets other than zero padding follow the signature in /Contents")
    value = ber.octets(node)
    stated = view.entry(signature, "Cert")
    items = stated[:MAX_CERTIFICATES] if isinstance(stated, list) else [stated]
    chain = tuple(one for one in map(view.resolve, items) if isinstance(one, bytes))
    if not chain:
        raise BerError("the signature names no certificate in /Cert")
    try:
        certificate = certificates.load(chain[0])
    except CertificateError as error:
        raise BerError("the signer's certificate in /Cert cannot be read") from error
    signer = SignerInfo(
        issuer=certificate.parsed.issuer.public_bytes(),
        serial=certificate.serial,
        subject_key_id=None,
        digest=AlgorithmIdentifier(_digest_oid(chain[0], value), None),
        signature_algorithm=AlgorithmIdentifier(_RSA, None),
        signature=value,
        signed_octets=b"",
        content_type=None,
        message_digest=None,
        signing_time=None,
        references=(),
        has_reference_attribute=False,
        has_timestamp=False,
    )
    found = FoundSignature(
        name,
        _NAMES[_X509],
        coverage,
        signer=signer,
        certificates=chain,
        claimed_time=date(view.entry(signature, "M")),
    )
    return Read(found, span, None, span.contents[: node.end])


def _digest_oid(der: bytes, value: bytes) -> str:
    """The digest algorithm that the value itself states (RFC 8017 9.2); SHA-1, as the encoding's name has it, else.

    Nothing is believed here: the value is checked with that algorithm like any other.
    """
    try:
        key = certificates.load(der).public_key()
        if isinstance(key, rsa.RSAPublicKey):
            stated = key.recover_data_from_signature(value, padding.PKCS1v15(), None)
            oid = cms.algorithm(ber.load(stated)[0].children()[0]).oid
            algorithms.digest_label(oid)
            return oid
    except (CertificateError, InvalidSignature, UnsupportedAlgorithm, AlgorithmError, BerError, IndexError):
        pass
    return _SHA1_OID


def date(value: object) -> datetime | None:
    """A PDF date (ISO 32000-2 7.9.4); None when there is none that can be read."""
    match = _DATE.match(value.decode("latin-1")) if isinstance(value, bytes) else None
    if match is None:
        return None
    try:
        shift = timedelta(hours=int(match.group(9) or 0), minutes=int(match.group(10) or 0))
        year, month, day, hour, minute, second = (int(match.group(i) or 0) for i in range(1, 7))
        moment = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
        return moment - shift if match.group(8) != "-" else moment + shift
    except (ValueError, OverflowError):
        return None
