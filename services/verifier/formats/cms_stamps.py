"""Time-stamps that a CMS signer carries (EN 319 122-1 clauses 5.2.8, 5.3 and 5.5), each with what it has to be over."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

from services.verifier import algorithms
from services.verifier.algorithms import AlgorithmError
from services.verifier.domain import TimeSource
from services.verifier.formats import ber, cms
from services.verifier.formats.ber import BerError, Node
from services.verifier.formats.cms import SignedData, SignerInfo, UnsignedValue
from services.verifier.ports import FoundTimeStamp

MAX_TIME_STAMPS = 50
"""Of one signer; a document with more is not read further."""
MAX_HASHES = 20_000
"""In one hash index."""
ARCHIVE_TIMESTAMP_V3 = "0.4.0.1733.2.4"
HASH_INDEX_V3 = "0.4.0.19122.1.5"
OLDER_HASH_INDEXES = frozenset({"0.4.0.1733.2.5", "0.4.0.19122.1.4"})
OLDER_ARCHIVE_TIMESTAMPS = frozenset({"1.2.840.113549.1.9.16.2.27", "1.2.840.113549.1.9.16.2.48"})
"""Forms before EN 319 122-1, which are named and not judged."""


def of_signer(
    message: SignedData, signer: SignerInfo, content: Callable[[str], bytes] | None
) -> tuple[FoundTimeStamp, ...]:
    """Every time-stamp of a signer. `content` computes the digest of the signed content; None: it is not at hand."""
    found = [FoundTimeStamp(TimeSource.CONTENT, token, content) for token in signer.content_stamps]
    for value in signer.unsigned:
        if value.oid == cms.SIGNATURE_TIMESTAMP:
            found.append(FoundTimeStamp(TimeSource.SIGNATURE, value.value, _digest_of(signer.signature)))
        elif value.oid == ARCHIVE_TIMESTAMP_V3 and not _indexed_before_v3(value.value):
            found.append(_archive(message, signer, content, value))
    return tuple(found[:MAX_TIME_STAMPS])


def has_unjudged(signer: SignerInfo) -> bool:
    """True where the signer carries time-stamps of a form that is not judged, or more than are."""
    kinds = {cms.SIGNATURE_TIMESTAMP, ARCHIVE_TIMESTAMP_V3}
    count = len(signer.content_stamps) + sum(value.oid in kinds for value in signer.unsigned)
    return count > MAX_TIME_STAMPS or any(map(_is_older, signer.unsigned))


def _is_older(value: UnsignedValue) -> bool:
    if value.oid == ARCHIVE_TIMESTAMP_V3:
        return _indexed_before_v3(value.value)
    return value.oid in OLDER_ARCHIVE_TIMESTAMPS


def _indexed_before_v3(token: bytes) -> bool:
    """True for an archive time-stamp with a hash index of a form before EN 319 122-1 (ETSI TS 101 733) alone."""
    try:
        signers = cms.parse(token)[0].signers
    except BerError:
        return False
    kinds = {v.oid for s in signers if not isinstance(s, BerError) for v in s.unsigned}
    return HASH_INDEX_V3 not in kinds and bool(kinds & OLDER_HASH_INDEXES)


def _digest_of(data: bytes) -> Callable[[str], bytes]:
    return lambda label: algorithms.digest(label, data)


def _archive(
    message: SignedData, signer: SignerInfo, content: Callable[[str], bytes] | None, value: UnsignedValue
) -> FoundTimeStamp:
    """Archive-time-stamp-v3, clause 5.5.3: over content, SignerInfo and the index that the token itself carries."""
    try:
        index = _index(value.value)
        covers = _covered(index, message, signer)
    except (BerError, AlgorithmError) as error:
        return FoundTimeStamp(TimeSource.ARCHIVE, value.value, fault=str(error))
    if content is None:
        return FoundTimeStamp(TimeSource.ARCHIVE, value.value, None, covers)

    def imprint(label: str) -> bytes:
        return algorithms.digest(label, message.type_octets, content(label), signer.core, index)

    return FoundTimeStamp(TimeSource.ARCHIVE, value.value, imprint, covers)


def _index(token: bytes) -> bytes:
    """The one ats-hash-index-v3 of a token's signer. Raises BerError."""
    stamp, rest = cms.parse(token)
    if rest or len(stamp.signers) != 1 or isinstance(stamp.signers[0], BerError):
        raise BerError("the archive time-stamp is no token with one readable signer")
    found = [v.value for v in stamp.signers[0].unsigned if v.oid == HASH_INDEX_V3]
    if len(found) != 1:
        raise BerError(f"the archive time-stamp has {len(found)} hash indexes of version 3, it must have one")
    return found[0]


def _covered(index: bytes, message: SignedData, signer: SignerInfo) -> frozenset[bytes]:
    """Clause 5.5.2: every hash of the index is of something that is there. SHA-256 of those. Raises BerError."""
    members = ber.load(index)[0].expect(ber.SEQUENCE, "ATSHashIndexV3").children()
    if len(members) != 4:
        raise BerError("the hash index has the wrong number of members")
    label = algorithms.digest_label(cms.algorithm(members[0]).oid)
    certificates = {algorithms.digest(label, c): c for c in message.certificate_choices}
    revocations = {algorithms.digest(label, c): cms.revocation_in(c) for c in message.revocation_choices}
    attributes = {algorithms.digest(label, v.type_octets, v.value): v.value for v in signer.unsigned}
    covered: set[bytes] = set()
    for node, there in zip(members[1:], (certificates, revocations, attributes), strict=True):
        for value in _hashes(node):
            if value not in there:
                raise BerError("the hash index names something that is not in the message")
            covered.add(hashlib.sha256(there[value]).digest())
            covered |= _inside(there[value]) if there is attributes else set()
    return frozenset(covered)


def _hashes(node: Node) -> Sequence[bytes]:
    members = node.expect(ber.SEQUENCE, "list of hashes").children()
    if len(members) > MAX_HASHES:
        raise BerError(f"more than {MAX_HASHES} hashes in an index")
    return [ber.octets(member) for member in members]


def _inside(value: bytes) -> set[bytes]:
    """SHA-256 of the certificates and revocation values in an attribute's value that is itself a token."""
    try:
        message = cms.parse(value)[0]
    except BerError:
        return set()
    return values_of(message)


def values_of(message: SignedData) -> set[bytes]:
    """SHA-256 of every certificate, CRL and OCSP response in a message."""
    values = (*message.certificates, *message.crls, *message.ocsps)
    return {hashlib.sha256(value).digest() for value in values}
