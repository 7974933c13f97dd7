"""Certificates and revocation values that stand in attributes of a CMS signer, or that these name by digest.

EN 319 122-1 annex A.1.1 and A.1.2 (the long forms of before the baseline levels), ISO 32000-2 12.8.3.3.2 (the signed
attribute of PDF signatures), and what time-stamp tokens carry for themselves.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from services.verifier import algorithms
from services.verifier.algorithms import AlgorithmError
from services.verifier.formats import ber, cms, revocation_values
from services.verifier.formats.ber import BerError, Node
from services.verifier.formats.cms import SignedData, SignerInfo, UnsignedValue

COMPLETE_CERTIFICATE_REFERENCES = "1.2.840.113549.1.9.16.2.21"
COMPLETE_REVOCATION_REFERENCES = "1.2.840.113549.1.9.16.2.22"
CERTIFICATE_VALUES = "1.2.840.113549.1.9.16.2.23"
REVOCATION_VALUES = "1.2.840.113549.1.9.16.2.24"
MAX_VALUES = 500
"""Of one attribute."""
MAX_REFERENCES = 1000
"""Digests that are looked up for one attribute."""
_FORMER = frozenset({"MD5", "SHA-1"})
"""Digests for which two values can be made that share one: naming a value by it does not prove that it existed."""


@dataclass(frozen=True, slots=True)
class Values:
    """Values in DER; OCSP responses whole, wherever only their inner part was kept."""

    certificates: tuple[bytes, ...] = ()
    crls: tuple[bytes, ...] = ()
    ocsps: tuple[bytes, ...] = ()

    def __add__(self, other: Values) -> Values:
        """Both, each value once."""
        return Values(
            tuple(dict.fromkeys(self.certificates + other.certificates)),
            tuple(dict.fromkeys(self.crls + other.crls)),
            tuple(dict.fromkeys(self.ocsps + other.ocsps)),
        )

    def fingerprints(self) -> set[bytes]:
        """SHA-256 of each."""
        return {hashlib.sha256(value).digest() for value in (*self.certificates, *self.crls, *self.ocsps)}


def of_message(message: SignedData) -> Values:
    """Those in the sets of a message."""
    return Values(message.certificates, message.crls, message.ocsps)


def held(message: SignedData, signer: SignerInfo) -> Values:
    """Everything that travels with one signer of a message, in its time-stamps too."""
    found = of_message(message) + archived(signer)
    for value in signer.unsigned:
        found += of_attribute(value)
    return found


def of_attribute(value: UnsignedValue) -> Values:
    """Those in one value of an unsigned attribute; none where it has no such values or cannot be read."""
    try:
        node = ber.load(value.value)[0]
        if value.oid == CERTIFICATE_VALUES:
            return Values(tuple(one.encoded for one in node.children()[:MAX_VALUES]))
        if value.oid == REVOCATION_VALUES:
            return _revocations(node)
        return of_message(cms.parse(value.value)[0])
    except BerError:
        return Values()


def archived(signer: SignerInfo) -> Values:
    """Those in Adobe's attribute RevocationInfoArchival, which the signature is over."""
    found = Values()
    for value in signer.archived:
        try:
            found += _revocations(ber.load(value)[0])
        except BerError:
            continue
    return found


def _revocations(node: Node) -> Values:
    """RevocationValues and RevocationInfoArchival: [0] CRLs, [1] OCSP responses, whole ones or their inner parts."""
    crls: list[bytes] = []
    ocsps: list[bytes] = []
    for member in node.expect(ber.SEQUENCE, "revocation values").children():
        into = {0xA0: crls, 0xA1: ocsps}.get(member.tag)
        for each in member.children() if into is not None else ():
            for one in each.expect(ber.SEQUENCE, "values").children()[:MAX_VALUES]:
                if into is not None:
                    into.append(one.encoded)
    return Values((), tuple(crls), tuple(map(revocation_values.as_response, ocsps)))


def referred(values: Iterable[UnsignedValue], known: Values) -> Iterator[bytes]:
    """SHA-256 of the known values that these complete references name by a digest that cannot be met by design."""
    every = (*known.certificates, *known.crls, *known.ocsps)
    by_digest: dict[str, dict[bytes, bytes]] = {}
    for value in values:
        for label, digest in _named(value):
            if label in _FORMER:
                continue
            if label not in by_digest:
                by_digest[label] = {algorithms.digest(label, one): one for one in every}
            if (found := by_digest[label].get(digest)) is not None:
                yield hashlib.sha256(found).digest()


def _named(value: UnsignedValue) -> list[tuple[str, bytes]]:
    """Label and value of every OtherHashAlgAndValue in complete references; a bare hash is one of SHA-1 (RFC 5126)."""
    if value.oid not in (COMPLETE_CERTIFICATE_REFERENCES, COMPLETE_REVOCATION_REFERENCES):
        return []
    try:
        return list(_hashes(ber.load(value.value)[0]))[:MAX_REFERENCES]
    except (BerError, AlgorithmError):
        return []


def _hashes(node: Node) -> Iterator[tuple[str, bytes]]:
    members = node.children() if node.constructed else []
    if len(members) == 2 and members[0].tag == ber.SEQUENCE and members[1].tag == ber.OCTET_STRING:
        inner = members[0].children()
        if inner and inner[0].tag == ber.OID:
            yield algorithms.digest_label(ber.oid(inner[0])), members[1].contents
            return
    for member in members:
        yield from _hashes(member)
