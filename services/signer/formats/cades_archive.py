"""The archive time-stamp of CAdES (EN 319 122-1 sections 5.5.2 and 5.5.3): what it covers, to the byte."""

from __future__ import annotations

from typing import TYPE_CHECKING

from services.kernel.values import DigestAlgorithm
from services.signer.formats import ber
from services.signer.formats.cms_container import SignedData, attribute
from services.signer.formats.errors import SelfCheckFailed

if TYPE_CHECKING:
    from collections.abc import Iterable

    from services.signer.formats.cms_container import SignerInfo

HASH_INDEX_V3 = "0.4.0.19122.1.5"
ALGORITHMS = {ber.oid(algorithm.oid): algorithm for algorithm in DigestAlgorithm}
"""By the encoded OBJECT IDENTIFIER."""


def hash_index(data: SignedData, signer: SignerInfo, digest: DigestAlgorithm) -> bytes:
    """Encode ATSHashIndexV3 over everything that is there now (section 5.5.2).

    Hashed are whole encodings: each certificate, each revocation value, and each value of each unsigned attribute
    with the attribute's type before it.
    """
    values = (
        read.type + value for read in map(attribute, signer.unsigned_attributes) for value in read.values
    )
    return ber.encode(
        ber.SEQUENCE,
        ber.encode(ber.SEQUENCE, ber.oid(digest.oid)),
        _hashes(data.certificates, digest),
        _hashes(data.crls, digest),
        _hashes(values, digest),
    )


def imprint(
    data: SignedData, signer: SignerInfo, content_digest: bytes, index: bytes, digest: DigestAlgorithm
) -> bytes:
    """Compute the message imprint of an archive time-stamp (section 5.5.3, steps 1 to 4).

    `content_digest` is by the time-stamp's own digest algorithm.
    """
    return digest.digest(
        b"".join(
            (
                data.content_type,
                content_digest,
                signer.version,
                signer.signer,
                signer.digest_algorithm,
                signer.signed_attributes,
                signer.signature_algorithm,
                signer.signature,
                index,
            )
        )
    )


def check_index(index: bytes, data: SignedData, signer: SignerInfo) -> DigestAlgorithm:
    """Validate a hash index as a verifier would (section 5.5.2): every entry is of something that is there.

    Returns the algorithm. Raises SelfCheckFailed.
    """
    algorithm, *lists = ber.children(ber.whole(index))
    digest = ALGORITHMS.get(ber.children(algorithm)[0].encoded)
    if digest is None or len(lists) != 3:
        raise SelfCheckFailed("the hash index of the archive time-stamp cannot be read back")
    read = [attribute(encoded) for encoded in signer.unsigned_attributes]
    there = (
        data.certificates,
        data.crls,
        tuple(each.type + value for each in read for value in each.values),
    )
    for entries, values in zip(lists, there, strict=True):
        found = {digest.digest(value) for value in values}
        if not all(ber.octets(entry) in found for entry in ber.children(entries)):
            raise SelfCheckFailed("the archive time-stamp refers to something that is not in the container")
    return digest


def _hashes(values: Iterable[bytes], digest: DigestAlgorithm) -> bytes:
    entries = (ber.encode(ber.OCTET_STRING, digest.digest(value)) for value in values)
    return ber.encode(ber.SEQUENCE, *entries)
