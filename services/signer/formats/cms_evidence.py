"""Certificates and revocation values within a CMS container: whose are there, whose are wanted (EN 319 122-1 section 6.3)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.x509 import ocsp

from services.kernel.errors import EvidenceUnavailable
from services.signer.formats import ber
from services.signer.formats.cms_container import SignedData, x509_only

if TYPE_CHECKING:
    from collections.abc import Iterable

    from services.signer.formats.cms_container import SignerInfo
    from services.signer.formats.format import Evidence

_OCSP_RESPONSE = ber.oid("1.3.6.1.5.5.7.16.2")
"""id-ri-ocsp-response, RFC 5940 section 2.1."""
_KEY_IDENTIFIER = (0x80, 0xA0)
_UNREADABLE = (ValueError, x509.InvalidVersion, x509.DuplicateExtension, x509.UnsupportedGeneralNameType)
_WITHOUT_STATUS = frozenset(
    {
        "2.5.29.56",  # noRevAvail, RFC 9608
        "0.4.0.194121.2.1",  # validity assured, short term: EN 319 412-1 section 5.2
    }
)
"""Extensions of certificates for which no revocation value is ever issued."""


class Holder:
    """What a container and the tokens in it hold."""

    def __init__(self, certificates: tuple[bytes, ...], crls: tuple[bytes, ...]) -> None:
        """Take certificates and RevocationInfoChoices, without repetition."""
        self.certificates, self.crls = certificates, crls
        self._by_signer: dict[object, bytes] = {}
        for certificate in certificates:
            for key in _signer_keys(certificate):
                self._by_signer.setdefault(key, certificate)
        self._covered: _Covered | None = None

    def certificate_of(self, signer: SignerInfo) -> bytes | None:
        """Find a signer's certificate (RFC 5652 section 5.3), None where it is not here."""
        identifier = ber.whole(signer.signer)
        if identifier.tag in _KEY_IDENTIFIER:
            return self._by_signer.get(ber.octets(identifier))
        fields = ber.children(identifier)
        if [field.tag for field in fields] != [ber.SEQUENCE, ber.INTEGER]:
            raise ber.damaged("a signer is named in no way that RFC 5652 section 5.3 knows", 0)
        serial = int.from_bytes(fields[1].contents, "big", signed=True)
        return self._by_signer.get((fields[0].encoded, serial))

    def lacking(self, certificates: Iterable[bytes]) -> tuple[bytes, ...]:
        """Return the certificates whose revocation value is not here, self-signed ones left out."""
        if self._covered is None:
            self._covered = _Covered()
            for choice in self.crls:
                self._covered.take(choice)
        return tuple(each for each in certificates if not self._covered.has(each))

    def has_whole_paths(self, certificates: Iterable[bytes]) -> bool:
        """Say whether each certificate's issuers are here up to one that signed itself, with revocation values."""
        by_subject: dict[bytes, list[bytes]] = {}
        for each in self.certificates:
            by_subject.setdefault(_names(each)[1], []).append(each)
        waiting, seen = list(certificates), set[bytes]()
        while waiting:
            certificate = waiting.pop()
            if certificate in seen:
                continue
            seen.add(certificate)
            issuer, subject = _names(certificate)
            if issuer == subject:
                continue
            above = by_subject.get(issuer, [])
            if not above or self.lacking((certificate,)):
                return False
            waiting += above
        return True


class _Covered:
    """Issuers that a CRL here is of, and serial numbers that an OCSP response here is about."""

    def __init__(self) -> None:
        self._issuers: set[bytes] = set()
        self._serials: set[int] = set()

    def take(self, choice: bytes) -> None:
        """Note what a RevocationInfoChoice is about; one that cannot be read is about nothing."""
        try:
            if choice[0] == ber.SEQUENCE:
                self._issuers.add(x509.load_der_x509_crl(choice).issuer.public_bytes())
                return
            kind, value = ber.children(ber.whole(choice))
            if kind.encoded == _OCSP_RESPONSE:
                responses = ocsp.load_der_ocsp_response(value.encoded).responses
                self._serials.update(each.serial_number for each in responses)
        except _UNREADABLE:
            return

    def has(self, certificate: bytes) -> bool:
        """Say whether a value covers the certificate, or none can."""
        try:
            read = x509.load_der_x509_certificate(certificate)
            issuer = read.issuer.public_bytes()
            if issuer == read.subject.public_bytes() or issuer in self._issuers:
                return True
            if read.serial_number in self._serials:
                return True
            return any(extension.oid.dotted_string in _WITHOUT_STATUS for extension in read.extensions)
        except _UNREADABLE as error:
            raise ber.damaged("a signer's certificate cannot be read (RFC 5280)", 0) from error


def holder(data: SignedData, tokens: Iterable[SignedData]) -> Holder:
    """Gather what a container and the time-stamp tokens in it hold."""
    certificates, crls = list(x509_only(data.certificates)), list(data.crls)
    for token in tokens:
        certificates += x509_only(token.certificates)
        crls += token.crls
    return Holder(tuple(dict.fromkeys(certificates)), tuple(dict.fromkeys(crls)))


def with_evidence(data: SignedData, evidence: Evidence) -> SignedData:
    """Put certificates and revocation values into SignedData (EN 319 122-1 section 5.4): nothing twice."""
    others = (ber.encode(ber.CONTEXT_1, _OCSP_RESPONSE, response) for response in evidence.ocsp_responses)
    return replace(
        data,
        certificates=tuple(ber.extended(data.certificates, evidence.certificates)),
        crls=tuple(ber.extended(data.crls, (*evidence.crls, *others))),
    )


def require_all(lacking: tuple[bytes, ...]) -> None:
    """Raise EvidenceUnavailable where a certificate has no revocation value, naming the first."""
    if lacking:
        serial = x509.load_der_x509_certificate(lacking[0]).serial_number
        raise EvidenceUnavailable(
            f"no revocation value was found for the certificate with the serial number {serial:x}",
            serial_number=f"{serial:x}",
        )


def _names(certificate: bytes) -> tuple[bytes, bytes]:
    """Return issuer and subject; nothing for a certificate that cannot be read."""
    try:
        read = x509.load_der_x509_certificate(certificate)
        return read.issuer.public_bytes(), read.subject.public_bytes()
    except _UNREADABLE:
        return b"", b""


def _signer_keys(certificate: bytes) -> list[object]:
    """Return what a SignerIdentifier may name a certificate by; nothing for one that cannot be read."""
    try:
        read = x509.load_der_x509_certificate(certificate)
        keys: list[object] = [(read.issuer.public_bytes(), read.serial_number)]
        keys.append(read.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest)
    except x509.ExtensionNotFound:
        return keys
    except _UNREADABLE:
        return []
    return keys
