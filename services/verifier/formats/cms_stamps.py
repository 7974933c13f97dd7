"""Time-stamps that a CMS signer carries (EN 319 122-1 clauses 5.2.8, 5.3 and 5.5), each with what it has to be over."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from services.verifier import algorithms
from services.verifier.algorithms import AlgorithmError
from services.verifier.domain import TimeSource
from services.verifier.formats import ber, cms, cms_archive, cms_values
from services.verifier.formats.ber import BerError, Node
from services.verifier.formats.cms import SignedData, SignerInfo, UnsignedValue
from services.verifier.ports import FoundTimeStamp

T = TypeVar("T")
MAX_TIME_STAMPS = 50
"""Of one signer; a document with more is not read further."""
MAX_HASHES = 20_000
"""In one hash index."""
ARCHIVE_TIMESTAMP_V3 = "0.4.0.1733.2.4"
HASH_INDEXES = ("0.4.0.19122.1.5", "0.4.0.19122.1.4", "0.4.0.1733.2.5")
"""ats-hash-index v3 (EN 319 122-1), and the forms of before (v2; v1 of ETSI TS 101 733)."""


def of_signer(
    message: SignedData,
    signer: SignerInfo,
    content: Callable[[str], bytes] | None,
    octets: bytes | None = None,
) -> tuple[FoundTimeStamp, ...]:
    """Every time-stamp of a signer.

    `content` computes the digest of the signed content, `octets` is that content where it lies beside the message; both
    None where it is not at hand.
    """
    found = [FoundTimeStamp(TimeSource.CONTENT, token, content) for token in signer.content_stamps]
    # The value is over the signed attributes, so what stands in those existed too.
    signed = frozenset(cms_values.archived(signer).fingerprints())
    for value in signer.unsigned:
        if value.oid == cms.SIGNATURE_TIMESTAMP:
            found.append(
                FoundTimeStamp(TimeSource.SIGNATURE, value.value, _digest_of(signer.signature), signed)
            )
        elif value.oid == ARCHIVE_TIMESTAMP_V3:
            found.append(_archive(message, signer, content, value))
        elif value.oid == cms_archive.ARCHIVE_TIMESTAMP_V2 and (
            message.content is not None or octets is not None
        ):
            found.append(_archive_of_before(message, signer, octets, value))
        elif value.oid in (cms_archive.SIGNATURE_AND_REFERENCES, cms_archive.REFERENCES_ONLY):
            found.append(_references(message, signer, value))
    return tuple(found[:MAX_TIME_STAMPS])


def has_unjudged(message: SignedData, signer: SignerInfo, octets: bytes | None = None) -> bool:
    """True where the signer carries time-stamps of a form that is not judged, or more than are."""
    kinds = {
        cms.SIGNATURE_TIMESTAMP,
        ARCHIVE_TIMESTAMP_V3,
        cms_archive.ARCHIVE_TIMESTAMP_V2,
        cms_archive.SIGNATURE_AND_REFERENCES,
        cms_archive.REFERENCES_ONLY,
    }
    carried = [value.oid for value in signer.unsigned]
    without = {cms_archive.ARCHIVE_TIMESTAMP_V1}
    if message.content is None and octets is None:
        without.add(cms_archive.ARCHIVE_TIMESTAMP_V2)
    count = len(signer.content_stamps) + sum(oid in kinds for oid in carried)
    return count > MAX_TIME_STAMPS or bool(without & set(carried))


def _digest_of(data: bytes) -> Callable[[str], bytes]:
    return lambda label: algorithms.digest(label, data)


def _archive(
    message: SignedData, signer: SignerInfo, content: Callable[[str], bytes] | None, value: UnsignedValue
) -> FoundTimeStamp:
    """Archive-time-stamp-v3, clause 5.5.3: over content, SignerInfo and the index that the token itself carries."""
    try:
        index, by_value = _index(value.value)
        covers = _covered(index, message, signer, by_value=by_value)
    except (BerError, AlgorithmError) as error:
        return FoundTimeStamp(TimeSource.ARCHIVE, value.value, fault=str(error))
    if content is None:
        return FoundTimeStamp(TimeSource.ARCHIVE, value.value, None, covers)

    def imprint(label: str) -> bytes:
        return algorithms.digest(label, message.type_octets, content(label), signer.core, index)

    return FoundTimeStamp(TimeSource.ARCHIVE, value.value, imprint, covers)


def _archive_of_before(
    message: SignedData, signer: SignerInfo, octets: bytes | None, value: UnsignedValue
) -> FoundTimeStamp:
    covers = cms_values.of_message(message).fingerprints()
    kept = cms_archive.before(signer, value)
    for one in kept:
        covers |= _inside(one) | {hashlib.sha256(one.value).digest()}
    covers |= set(cms_values.referred(kept, cms_values.held(message, signer)))
    imprint = cms_archive.archive_imprint(message, signer, octets, value)
    return FoundTimeStamp(TimeSource.ARCHIVE, value.value, imprint, frozenset(covers))


def _references(message: SignedData, signer: SignerInfo, value: UnsignedValue) -> FoundTimeStamp:
    """A time-stamp over references (RFC 5126 6.3.5 and 6.3.6), with the signature or without it."""
    named = frozenset(cms_values.referred(cms_archive.referring(signer), cms_values.held(message, signer)))
    covers = named | cms_values.archived(signer).fingerprints()
    with_value = value.oid == cms_archive.SIGNATURE_AND_REFERENCES
    if with_value:
        tokens = (v.value for v in signer.unsigned if v.oid == cms.SIGNATURE_TIMESTAMP)
        covers |= {hashlib.sha256(token).digest() for token in tokens}
    kind = TimeSource.SIGNATURE if with_value else TimeSource.REFERENCES
    return FoundTimeStamp(
        kind, value.value, cms_archive.references_imprint(signer, value), covers if with_value else named
    )


def _index(token: bytes) -> tuple[bytes, bool]:
    """The one ats-hash-index of a token's signer, the newest form of it; true for that of EN 319 122-1. Raises BerError."""
    stamp, rest = cms.parse(token)
    if rest or len(stamp.signers) != 1 or isinstance(stamp.signers[0], BerError):
        raise BerError("the archive time-stamp is no token with one readable signer")
    carried = {
        oid: list(dict.fromkeys(v.value for v in stamp.signers[0].unsigned if v.oid == oid))
        for oid in HASH_INDEXES
    }
    form, found = next(((oid, values) for oid, values in carried.items() if values), ("", []))
    if len(found) != 1:
        raise BerError(f"the archive time-stamp has {len(found)} hash indexes, it must have one")
    return found[0], form == HASH_INDEXES[0]


def _covered(index: bytes, message: SignedData, signer: SignerInfo, *, by_value: bool) -> frozenset[bytes]:
    """Clause 5.5.2: every hash of the index is of something that is there. SHA-256 of those. Raises BerError.

    `by_value`: the index names attributes by their single values, as version 3 does; else whole attributes, or so.
    """
    members = ber.load(index)[0].expect(ber.SEQUENCE, "ATSHashIndex").children()
    label = "SHA-256"
    if len(members) == 4:
        label = algorithms.digest_label(cms.algorithm(members.pop(0)).oid)
    if len(members) != 3:
        raise BerError("the hash index has the wrong number of members")
    certificates, revocations, attributes = map(_hashes, members)
    covered: set[bytes] = set()
    for hashes, choices, inside in (
        (certificates, message.certificate_choices, bytes),
        (revocations, message.revocation_choices, _revocation_in),
    ):
        there = {algorithms.digest(label, choice): inside(choice) for choice in choices}
        covered |= {hashlib.sha256(_there(there, value)).digest() for value in hashes}
    values: dict[bytes, list[UnsignedValue]] = {}
    for one in signer.unsigned:
        values.setdefault(algorithms.digest(label, one.type_octets, one.value), []).append(one)
        if not by_value:
            values.setdefault(algorithms.digest(label, one.attribute), []).append(one)
    named = [one for value in attributes for one in _there(values, value)]
    for one in named:
        covered |= _inside(one) | {hashlib.sha256(one.value).digest()}
    return frozenset(covered | set(cms_values.referred(named, cms_values.held(message, signer))))


def _revocation_in(choice: bytes) -> bytes:
    """The CRL or OCSP response in one member of the set of revocation values, the member itself where it is neither."""
    try:
        return cms.ocsp_in(ber.load(choice)[0]) or choice
    except BerError:
        return choice


def _there(known: Mapping[bytes, T], value: bytes) -> T:
    if value not in known:
        raise BerError("the hash index names something that is not in the message")
    return known[value]


def _hashes(node: Node) -> Sequence[bytes]:
    members = node.expect(ber.SEQUENCE, "list of hashes").children()
    if len(members) > MAX_HASHES:
        raise BerError(f"more than {MAX_HASHES} hashes in an index")
    return [ber.octets(member) for member in members]


def _inside(value: UnsignedValue) -> set[bytes]:
    """SHA-256 of the certificates and revocation values in an attribute that is a token or holds such values."""
    return cms_values.of_attribute(value).fingerprints()


def values_of(message: SignedData) -> set[bytes]:
    """SHA-256 of every certificate, CRL and OCSP response in a message."""
    return cms_values.of_message(message).fingerprints()
