"""Certificates and revocation values that stand in XAdES properties (EN 319 132-1 clauses 5.4.1 to 5.4.3), or are named there."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from lxml import etree

from services.verifier import algorithms
from services.verifier.formats import revocation_values
from services.verifier.formats.xades import NAMESPACES
from services.verifier.formats.xml_algorithms import UnknownMethod, digest_of, octets_of
from services.verifier.formats.xml_input import DS, XmlError, local_name

V132 = f"{{{NAMESPACES[0]}}}"
V141 = "{http://uri.etsi.org/01903/v1.4.1#}"
MAX_VALUES = 500
"""Certificates, CRLs and OCSP responses, of each kind, that are taken from one signature."""
MAX_REFERENCES = 1000
"""Digests of such values that are looked up for one signature."""
CERTIFICATE, CRL, OCSP, TOKEN = (
    f"{V132}{name}"
    for name in (
        "EncapsulatedX509Certificate",
        "EncapsulatedCRLValue",
        "EncapsulatedOCSPValue",
        "EncapsulatedTimeStamp",
    )
)
_DATA = frozenset(
    {
        f"{V132}CertificateValues",
        f"{V132}RevocationValues",
        f"{V141}TimeStampValidationData",
        f"{V141}AnyValidationData",
    }
)
_BROKEN = frozenset({"MD5", "SHA-1"})
"""Digests for which two values can be made that share one: naming a value by it does not prove that it existed."""
_DIGESTS = frozenset({f"{V132}CertDigest", f"{V132}DigestAlgAndValue"})


@dataclass(slots=True)
class Values:
    """Values that travel in the unsigned properties, and by which digests others refer to them."""

    certificates: tuple[bytes, ...] = ()
    crls: tuple[bytes, ...] = ()
    ocsps: tuple[bytes, ...] = ()
    _by_digest: dict[str, dict[bytes, bytes]] = field(default_factory=dict)

    def referred(self, element: etree._Element) -> Iterator[bytes]:
        """SHA-256 of the values whose digests stand in a property."""
        for count, one in enumerate(element.iter(*_DIGESTS)):
            if count >= MAX_REFERENCES:
                return
            try:
                label, stated = digest_of(one), octets_of(one.find(f"{DS}DigestValue"), "DigestValue")
            except (UnknownMethod, XmlError):
                continue
            if label in _BROKEN:
                continue
            if (value := self._known(label).get(stated)) is not None:
                yield hashlib.sha256(value).digest()

    def _known(self, label: str) -> Mapping[bytes, bytes]:
        if label not in self._by_digest:
            every = (*self.certificates, *self.crls, *self.ocsps)
            self._by_digest[label] = {algorithms.digest(label, value): value for value in every}
        return self._by_digest[label]


def values_in(properties: Iterable[etree._Element]) -> Values:
    """Those that these unsigned signature properties hold; attributes' authorities are left aside."""
    data = [one for one in properties if one.tag in _DATA]
    return Values(
        tuple(decoded(data, CERTIFICATE)),
        tuple(decoded(data, CRL)),
        tuple(map(revocation_values.as_response, decoded(data, OCSP))),
    )


def decoded(places: Iterable[etree._Element], tag: str) -> list[bytes]:
    """Values of one kind; what cannot be read is of no use and harms nobody."""
    found: dict[bytes, None] = {}
    for place in places:
        for element in place.iter(tag):
            if len(found) >= MAX_VALUES:
                return list(found)
            try:
                found[octets_of(element, local_name(element))] = None
            except XmlError:
                continue
    return list(found)
