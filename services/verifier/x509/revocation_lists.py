"""Certificate revocation lists as the verifier uses them: read once, with every entry's issuer (RFC 5280 section 5)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm

from services.verifier import algorithms
from services.verifier.algorithms import AlgorithmError, SignatureAlgorithm
from services.verifier.formats import ber, cms
from services.verifier.formats.ber import BerError
from services.verifier.x509.certificates import Certificate, CertificateError, NameKey, name_key

MAX_INDIRECT_ENTRIES = 100_000
UNREADABLE = (
    ValueError,
    TypeError,
    IndexError,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)
"""What the parsers raise on bytes that are not the certificate, CRL or response they ought to be."""
_ENTRY_EXTENSIONS = (x509.CRLReason, x509.InvalidityDate, x509.CertificateIssuer)
_CRITICAL = b"\x01\x01\xff"


class UnknownCriticalError(ValueError):
    """A CRL has a critical extension that is not processed: it must not be used (RFC 5280 5.2, 5.3)."""


@dataclass(frozen=True, slots=True, eq=False)
class RevocationList:
    """A parsed CRL. `base_number` is set for a delta CRL, and names the complete list that it builds on."""

    der: bytes
    parsed: x509.CertificateRevocationList
    issuer_key: NameKey
    point: x509.IssuingDistributionPoint | None
    number: int | None
    base_number: int | None
    authority_key: bytes | None

    def entry(self, certificate: Certificate) -> x509.RevokedCertificate | None:
        """What the list says of a certificate, the entry's issuer taken into account. Raises one of UNREADABLE."""
        serial = certificate.serial
        if self.point is None or not self.point.indirect_crl:
            return self.parsed.get_revoked_certificate_by_serial_number(serial)
        return _indirect_entries(self.der).get((certificate.issuer_key, serial))


@lru_cache(maxsize=256)
def parse(der: bytes) -> x509.CertificateRevocationList:
    """A CRL from DER. Raises ValueError."""
    return x509.load_der_x509_crl(der)


@lru_cache(maxsize=512)
def read(der: bytes) -> RevocationList:
    """A CRL, all of whose critical extensions are processed. Raises one of UNREADABLE."""
    parsed = parse(der)
    described = describe(parsed, der)
    # Only where more is marked critical than the list's own extensions is each entry looked at: lists are long.
    if der.count(_CRITICAL) > sum(extension.critical for extension in parsed.extensions):
        _refuse_unknown_entries(parsed)
    return described


def describe(parsed: x509.CertificateRevocationList, der: bytes) -> RevocationList:
    """What the list says of itself, its entries not looked at. Raises UnknownCriticalError, one of UNREADABLE."""
    point: x509.IssuingDistributionPoint | None = None
    number: int | None = None
    base: int | None = None
    authority: bytes | None = None
    for extension in parsed.extensions:
        value = extension.value
        if isinstance(value, x509.IssuingDistributionPoint):
            point = value
        elif isinstance(value, x509.CRLNumber):
            number = value.crl_number
        elif isinstance(value, x509.DeltaCRLIndicator):
            base = value.crl_number
        elif isinstance(value, x509.AuthorityKeyIdentifier):
            authority = value.key_identifier
        elif extension.critical:
            raise UnknownCriticalError(f"critical CRL extension {extension.oid.dotted_string}")
    return RevocationList(der, parsed, name_key(parsed.issuer), point, number, base, authority)


def conforms(crl: RevocationList) -> bool:
    """True when the list has an authority key identifier and a number, neither of them critical (RFC 5280 5.2.1, 5.2.3)."""
    critical = any(
        one.critical and isinstance(one.value, (x509.CRLNumber, x509.AuthorityKeyIdentifier))
        for one in crl.parsed.extensions
    )
    return crl.number is not None and crl.authority_key is not None and not critical


def _refuse_unknown_entries(entries: Iterable[x509.RevokedCertificate]) -> None:
    """RFC 5280 5.3: a list with a critical entry extension that is not processed must not be used."""
    for entry in entries:
        for extension in entry.extensions:
            if extension.critical and not isinstance(extension.value, _ENTRY_EXTENSIONS):
                raise UnknownCriticalError(f"critical CRL entry extension {extension.oid.dotted_string}")


@lru_cache(maxsize=32)
def _indirect_entries(der: bytes) -> dict[tuple[NameKey, int], x509.RevokedCertificate]:
    """Entries by issuer and serial; an entry that names no issuer has that of the one before it (5.3.3)."""
    crl = parse(der)
    if len(crl) > MAX_INDIRECT_ENTRIES:
        raise ValueError(f"indirect CRL with more than {MAX_INDIRECT_ENTRIES} entries")
    issuer = name_key(crl.issuer)
    found: dict[tuple[NameKey, int], x509.RevokedCertificate] = {}
    for entry in crl:
        for extension in entry.extensions:
            if isinstance(extension.value, x509.CertificateIssuer):
                names = extension.value.get_values_for_type(x509.DirectoryName)
                if len(names) != 1:
                    raise ValueError("the issuer of a CRL entry is not one directory name")
                issuer = name_key(names[0])
        found[issuer, entry.serial_number] = entry
    return found


@lru_cache(maxsize=512)
def scheme_of(der: bytes) -> SignatureAlgorithm | None:
    """What the list is signed by, None where that cannot be told."""
    try:
        identifier = cms.algorithm(ber.load(der)[0].children()[1])
        return algorithms.signature_algorithm(identifier, "")
    except (BerError, AlgorithmError, IndexError):
        # What is not known is not relied on.
        return None


def digest_of(der: bytes) -> str:
    """Label of the digest under the list's signature, "" where it cannot be told or is not the only one."""
    scheme = scheme_of(der)
    return "" if scheme is None or scheme.mask else scheme.digest


def signed_by(der: bytes, issuer: Certificate) -> bool:
    """True when the issuer's key signed the CRL."""
    # A key with inherited parameters belongs to one path, not to the certificate: it is not remembered.
    return _check_signature(der, issuer) if issuer.inherits_parameters else _checked_signature(der, issuer)


def _check_signature(der: bytes, issuer: Certificate) -> bool:
    try:
        outer = ber.load(der)[0].children()
        fields = outer[0].children()
        stated = fields[1 if fields[0].tag == ber.INTEGER else 0]
        if stated.encoded != outer[1].encoded:
            return False
        scheme = algorithms.signature_algorithm(cms.algorithm(outer[1]), "")
        value = algorithms.digest(scheme.digest, outer[0].encoded)
        return algorithms.holds(issuer.public_key(), scheme, outer[2].contents[1:], value)
    except (BerError, AlgorithmError, CertificateError, IndexError, KeyError):
        # A signature that cannot be read or checked does not bind the list to this issuer.
        return False


_checked_signature = lru_cache(maxsize=512)(_check_signature)
