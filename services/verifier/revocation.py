"""Status of a certificate from its issuer's CRLs (RFC 5280 6.3, for complete CRLs that the CA itself issues)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from functools import lru_cache

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm

from services.verifier.certificates import Certificate, name_key
from services.verifier.domain import StatusReport, StatusSource


class Status(Enum):
    """What the CRLs say of a certificate at a time."""

    GOOD = "good"
    REVOKED = "revoked"
    HELD = "held"
    STALE = "stale"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Answer:
    """A status and the evidence for it."""

    status: Status
    report: StatusReport


@lru_cache(maxsize=256)
def load(der: bytes) -> x509.CertificateRevocationList:
    """A CRL from DER. Raises ValueError."""
    return x509.load_der_x509_crl(der)


def status_of(certificate: Certificate, issuer: Certificate, crls: Iterable[bytes], at: datetime) -> Answer:
    """Newest usable word of `issuer` on `certificate`. STALE: only CRLs past their nextUpdate are there."""
    fresh: list[x509.CertificateRevocationList] = []
    stale: list[x509.CertificateRevocationList] = []
    for der in crls:
        crl = _usable(der, certificate, issuer)
        if crl is None or crl.last_update_utc > at:
            continue
        (fresh if crl.next_update_utc is not None and at <= crl.next_update_utc else stale).append(crl)
    newest = max(fresh or stale, key=lambda c: c.last_update_utc, default=None)
    if newest is None:
        return Answer(Status.UNKNOWN, StatusReport())
    answer = _entry(certificate, newest, at)
    # A revocation in an old list still stands; the absence of one says nothing about today.
    if not fresh and answer.status is Status.GOOD:
        return Answer(Status.STALE, answer.report)
    return answer


def _usable(
    der: bytes, certificate: Certificate, issuer: Certificate
) -> x509.CertificateRevocationList | None:
    """The CRL, if this issuer signed it, it speaks of this kind of certificate, and every critical part is known."""
    try:
        crl = load(der)
        return crl if speaks_of(crl, certificate, issuer) and _signed_by(crl, issuer) else None
    except UNREADABLE:
        # A list that cannot be read is as good as none: the answer is then that the status is unknown.
        return None


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


def speaks_of(crl: x509.CertificateRevocationList, certificate: Certificate, issuer: Certificate) -> bool:
    """True when the CRL is the issuer's, which may sign one, and its scope includes the certificate.

    Raises one of UNREADABLE. The signature is not looked at.
    """
    if name_key(crl.issuer) != issuer.subject_key or not _may_sign_crls(issuer):
        return False
    return _scope_includes(crl, certificate)


def _signed_by(crl: x509.CertificateRevocationList, issuer: Certificate) -> bool:
    """True when the issuer's key signed the CRL. Raises one of UNREADABLE."""
    return crl.is_signature_valid(issuer.public_key())  # type: ignore[arg-type]


def _may_sign_crls(issuer: Certificate) -> bool:
    try:
        usage = issuer.extensions().get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return True
    return usage.crl_sign


def _scope_includes(crl: x509.CertificateRevocationList, certificate: Certificate) -> bool:
    for extension in crl.extensions:
        value = extension.value
        if isinstance(value, x509.DeltaCRLIndicator):
            return False
        if isinstance(value, x509.IssuingDistributionPoint):
            if value.indirect_crl or value.only_some_reasons or value.only_contains_attribute_certs:
                return False
            authority = is_authority(certificate)
            if (value.only_contains_user_certs and authority) or (
                value.only_contains_ca_certs and not authority
            ):
                return False
            if value.full_name is not None and not _named_in(certificate, value.full_name):
                return False
            if value.relative_name is not None:
                return False
        elif extension.critical:
            return False
    return True


def _named_in(certificate: Certificate, names: Iterable[x509.GeneralName]) -> bool:
    """RFC 5280 6.3.3 (b)(2)(i): one name of the list's distribution point is one of the certificate's."""
    try:
        points = certificate.extensions().get_extension_for_class(x509.CRLDistributionPoints).value
    except x509.ExtensionNotFound:
        return False
    own = {name for point in points for name in point.full_name or ()}
    return not own.isdisjoint(names)


def is_authority(certificate: Certificate) -> bool:
    """True when basicConstraints says that the certificate is a CA's. Raises CertificateError."""
    try:
        return certificate.extensions().get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False


def _entry(certificate: Certificate, crl: x509.CertificateRevocationList, at: datetime) -> Answer:
    seen = StatusReport(StatusSource.CRL, crl.last_update_utc, crl.next_update_utc)
    entry = crl.get_revoked_certificate_by_serial_number(certificate.parsed.serial_number)
    if entry is None or entry.revocation_date_utc > at:
        return Answer(Status.GOOD, seen)
    reason = x509.ReasonFlags.unspecified
    for extension in entry.extensions:
        if isinstance(extension.value, x509.CRLReason):
            reason = extension.value.reason
    if reason is x509.ReasonFlags.remove_from_crl:
        return Answer(Status.GOOD, seen)
    report = StatusReport(
        StatusSource.CRL, crl.last_update_utc, crl.next_update_utc, entry.revocation_date_utc, reason.value
    )
    return Answer(Status.HELD if reason is x509.ReasonFlags.certificate_hold else Status.REVOKED, report)
