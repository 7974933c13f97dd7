"""To-be-signed certificates, CRLs and requests (RFC 5280, RFC 2986): pure functions, no key in sight.

`cryptography` builds a structure only together with a signature. The builders here therefore sign with a key that is
thrown away, and keep the to-be-signed part alone: it does not depend on the issuer's key, only on its algorithm.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import (
    AuthorityInformationAccessOID,
    ExtendedKeyUsageOID,
    NameOID,
    ObjectIdentifier,
)

from services.kernel.errors import FieldInvalid
from services.kernel.values import KeyAlgorithm
from services.registry.profiles import TIME_STAMP_POLICY, CertificateProfile

_MAX_CERTIFICATE_BYTES = 64 * 1024
_COUNTRY = "VN"
_SIGNING_ONLY_BITS = ("key_cert_sign", "crl_sign")
_REASONS = {reason.value: reason for reason in x509.ReasonFlags}


@dataclass(frozen=True, slots=True)
class CaName:
    """Distinguished name of a CA, or of our time-stamp unit: C=VN, O, CN."""

    organization: str
    common_name: str


@dataclass(frozen=True, slots=True)
class SubjectFacts:
    """What goes into a subscriber's distinguished name and subjectAltName; empty text leaves the attribute out."""

    common_name: str
    organization: str = ""
    organization_path: tuple[str, ...] = ()
    """Units below the organisation, outermost first: one OU each."""
    tax_code: str = ""
    """NNNNNNNNNN or NNNNNNNNNN-NNN; becomes UID=MST:…"""
    citizen_number: str = ""
    """Twelve digits; becomes UID=CCCD:…"""
    email: str = ""
    title: str = ""


@dataclass(frozen=True, slots=True)
class CaLinks:
    """Public addresses of the issuing CA's CRL and certificate (plain HTTP, RFC 5280 section 8)."""

    crl_url: str
    aia_url: str


@dataclass(frozen=True, slots=True)
class RevokedEntry:
    """One line of a CRL. `reason` is a CRLReason name of RFC 5280 section 5.3.1 such as "keyCompromise", or None."""

    serial: int
    at: datetime
    reason: str | None


@dataclass(frozen=True, slots=True)
class CertificateFacts:
    """What the register keeps of a certificate."""

    serial_hex: str
    subject: str
    not_before: datetime
    not_after: datetime
    spki: bytes
    is_ca: bool


def random_serial() -> int:
    """Return a positive serial number of 127 random bits (RFC 5280 section 4.1.2.2: at most 20 octets)."""
    return secrets.randbits(126) | 1 << 126


def build_root_tbs(
    name: CaName, spki: bytes, algorithm: KeyAlgorithm, serial: int, not_before: datetime, not_after: datetime
) -> bytes:
    """Return the TBSCertificate (DER) of a self-signed root CA."""
    subject = _ca_subject(name)
    builder = _base(subject, subject, spki, serial, not_before, not_after)
    return _certificate_tbs(_as_ca(builder, spki, path_length=None), algorithm)


def build_issuing_tbs(
    name: CaName,
    spki: bytes,
    issuer_certificate: bytes,
    issuer_algorithm: KeyAlgorithm,
    links: CaLinks,
    serial: int,
    not_before: datetime,
    not_after: datetime,
) -> bytes:
    """Return the TBSCertificate (DER) of an issuing CA with pathLenConstraint 0."""
    issuer = x509.load_der_x509_certificate(issuer_certificate)
    builder = _base(_ca_subject(name), issuer.subject, spki, serial, not_before, not_after)
    builder = _with_links(_as_ca(builder, spki, path_length=0), issuer, links)
    any_policy = x509.PolicyInformation(ObjectIdentifier("2.5.29.32.0"), None)
    builder = builder.add_extension(x509.CertificatePolicies([any_policy]), critical=False)
    return _certificate_tbs(builder, issuer_algorithm)


def build_leaf_tbs(
    profile: CertificateProfile,
    facts: SubjectFacts,
    spki: bytes,
    issuer_certificate: bytes,
    issuer_algorithm: KeyAlgorithm,
    links: CaLinks,
    serial: int,
    not_before: datetime,
    not_after: datetime,
) -> bytes:
    """Return the TBSCertificate (DER) of a subscriber's certificate. It never carries keyCertSign or cRLSign."""
    issuer = x509.load_der_x509_certificate(issuer_certificate)
    builder = _base(_subject(facts), issuer.subject, spki, serial, not_before, not_after)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    is_rsa = isinstance(serialization.load_der_public_key(spki), rsa.RSAPublicKey)
    enciphers = profile.key_encipherment and is_rsa
    builder = builder.add_extension(_key_usage(leaf=True, enciphers=enciphers), critical=True)
    usages = [ObjectIdentifier(oid) for oid in profile.ext_key_usage]
    builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
    policy = x509.PolicyInformation(ObjectIdentifier(profile.policy_oid), None)
    builder = builder.add_extension(x509.CertificatePolicies([policy]), critical=False)
    if facts.email:
        names = x509.SubjectAlternativeName([x509.RFC822Name(facts.email)])
        builder = builder.add_extension(names, critical=False)
    builder = builder.add_extension(_subject_key_identifier(spki), critical=False)
    return _certificate_tbs(_with_links(builder, issuer, links), issuer_algorithm)


def build_time_stamp_tbs(
    name: CaName,
    spki: bytes,
    issuer_certificate: bytes,
    issuer_algorithm: KeyAlgorithm,
    links: CaLinks,
    serial: int,
    validity: tuple[datetime, datetime],
) -> bytes:
    """Return the TBSCertificate (DER) of our time-stamp unit: for time-stamping alone (RFC 3161 section 2.3)."""
    issuer = x509.load_der_x509_certificate(issuer_certificate)
    usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING])
    policy = x509.PolicyInformation(ObjectIdentifier(TIME_STAMP_POLICY), None)
    builder = (
        _base(_ca_subject(name), issuer.subject, spki, serial, *validity)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(leaf=True, enciphers=False), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.CertificatePolicies([policy]), critical=False)
        .add_extension(_subject_key_identifier(spki), critical=False)
    )
    return _certificate_tbs(_with_links(builder, issuer, links), issuer_algorithm)


def build_crl_tbs(
    issuer_certificate: bytes,
    issuer_algorithm: KeyAlgorithm,
    number: int,
    this_update: datetime,
    next_update: datetime,
    revoked: Sequence[RevokedEntry],
) -> bytes:
    """Return the TBSCertList (DER), version 2, with cRLNumber and authorityKeyIdentifier (RFC 5280 section 5)."""
    issuer = x509.load_der_x509_certificate(issuer_certificate)
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(issuer.subject)
        .last_update(this_update)
        .next_update(next_update)
        .add_extension(x509.CRLNumber(number), critical=False)
        .add_extension(_authority_key_identifier(issuer), critical=False)
    )
    for entry in revoked:
        line = x509.RevokedCertificateBuilder().serial_number(entry.serial).revocation_date(entry.at)
        if entry.reason is not None:
            line = line.add_extension(x509.CRLReason(_REASONS[entry.reason]), critical=False)
        builder = builder.add_revoked_certificate(line.build())
    key, digest = _thrown_away_key(issuer_algorithm)
    return builder.sign(key, digest).tbs_certlist_bytes


def build_certification_request_info(facts: SubjectFacts, spki: bytes) -> bytes:
    """Return the CertificationRequestInfo (DER, RFC 2986 section 4.1), version 0, without attributes."""
    version, no_attributes = b"\x02\x01\x00", b"\xa0\x00"
    return _sequence(version + _subject(facts).public_bytes() + spki + no_attributes)


def certificate_facts(der: bytes) -> CertificateFacts:
    """Read the facts of one certificate; raise FieldInvalid where it cannot be read."""
    certificate = load_certificate(der, 0)
    try:
        is_ca = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        is_ca = False
    return CertificateFacts(
        serial_hex=f"{certificate.serial_number:x}",
        subject=certificate.subject.rfc4514_string(),
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
        spki=certificate.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        ),
        is_ca=is_ca,
    )


def load_certificate(der: bytes, index: int) -> x509.Certificate:
    """Read certificate number `index` of a chain; raise FieldInvalid where it is too large or cannot be read."""
    if len(der) > _MAX_CERTIFICATE_BYTES:
        raise FieldInvalid(
            f"certificate {index} is larger than {_MAX_CERTIFICATE_BYTES} bytes", field="certificate_chain"
        )
    try:
        certificate = x509.load_der_x509_certificate(der)
        # Extensions and key are parsed lazily: ask for them here, so that what passes can be read later.
        _ = certificate.extensions, certificate.public_key()
    except (ValueError, TypeError, x509.DuplicateExtension) as error:
        raise FieldInvalid(
            f"certificate {index} cannot be read as DER", field="certificate_chain", index=index
        ) from error
    return certificate


def may_sign_as_ca(certificate: x509.Certificate, *, unless_stated: bool = False) -> bool:
    """Tell whether keyUsage lets the key sign certificates or CRLs; `unless_stated` where there is no keyUsage."""
    try:
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return unless_stated
    return any(getattr(usage, bit) for bit in _SIGNING_ONLY_BITS)


def _text(oid: ObjectIdentifier, value: str) -> x509.NameAttribute[str]:
    return x509.NameAttribute(oid, value)


def _ca_subject(name: CaName) -> x509.Name:
    return x509.Name(
        [
            _text(NameOID.COUNTRY_NAME, _COUNTRY),
            _text(NameOID.ORGANIZATION_NAME, name.organization),
            _text(NameOID.COMMON_NAME, name.common_name),
        ]
    )


def _subject(facts: SubjectFacts) -> x509.Name:
    # Order as the second-generation certificates have it: C, O, OU…, CN, then the identifiers of the first generation.
    attributes = [_text(NameOID.COUNTRY_NAME, _COUNTRY)]
    if facts.organization:
        attributes.append(_text(NameOID.ORGANIZATION_NAME, facts.organization))
    attributes += [_text(NameOID.ORGANIZATIONAL_UNIT_NAME, unit) for unit in facts.organization_path]
    attributes.append(_text(NameOID.COMMON_NAME, facts.common_name))
    if facts.title:
        attributes.append(_text(NameOID.TITLE, facts.title))
    if facts.tax_code:
        attributes.append(_text(NameOID.USER_ID, f"MST:{facts.tax_code}"))
    if facts.citizen_number:
        attributes.append(_text(NameOID.USER_ID, f"CCCD:{facts.citizen_number}"))
    return x509.Name(attributes)


def _base(
    subject: x509.Name, issuer: x509.Name, spki: bytes, serial: int, not_before: datetime, not_after: datetime
) -> x509.CertificateBuilder:
    key = serialization.load_der_public_key(spki)
    if not isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey):
        raise FieldInvalid("the key is neither RSA nor EC", field="spki")
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(serial)
        .not_valid_before(not_before)
        .not_valid_after(not_after)
    )


def _as_ca(builder: x509.CertificateBuilder, spki: bytes, path_length: int | None) -> x509.CertificateBuilder:
    return (
        builder.add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
        .add_extension(_key_usage(leaf=False, enciphers=False), critical=True)
        .add_extension(_subject_key_identifier(spki), critical=False)
    )


def _key_usage(*, leaf: bool, enciphers: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=leaf,
        content_commitment=leaf,
        key_encipherment=enciphers,
        data_encipherment=enciphers,
        key_agreement=False,
        key_cert_sign=not leaf,
        crl_sign=not leaf,
        encipher_only=False,
        decipher_only=False,
    )


def _subject_key_identifier(spki: bytes) -> x509.SubjectKeyIdentifier:
    key = serialization.load_der_public_key(spki)
    if not isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey):
        raise FieldInvalid("the key is neither RSA nor EC", field="spki")
    return x509.SubjectKeyIdentifier.from_public_key(key)


def _authority_key_identifier(issuer: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    identifier = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier)


def _with_links(
    builder: x509.CertificateBuilder, issuer: x509.Certificate, links: CaLinks
) -> x509.CertificateBuilder:
    crl = x509.DistributionPoint([x509.UniformResourceIdentifier(links.crl_url)], None, None, None)
    ca_issuers = x509.AccessDescription(
        AuthorityInformationAccessOID.CA_ISSUERS, x509.UniformResourceIdentifier(links.aia_url)
    )
    return (
        builder.add_extension(_authority_key_identifier(issuer), critical=False)
        .add_extension(x509.CRLDistributionPoints([crl]), critical=False)
        .add_extension(x509.AuthorityInformationAccess([ca_issuers]), critical=False)
    )


@cache
def _rsa_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def _thrown_away_key(
    issuer: KeyAlgorithm,
) -> tuple[rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey, hashes.SHA256 | hashes.SHA384]:
    # Only the algorithm identifier reaches the to-be-signed bytes, and it does not name the size of an RSA key.
    if issuer is KeyAlgorithm.ECDSA_P384:
        return ec.generate_private_key(ec.SECP384R1()), hashes.SHA384()
    if issuer is KeyAlgorithm.ECDSA_P256:
        return ec.generate_private_key(ec.SECP256R1()), hashes.SHA256()
    return _rsa_key(), hashes.SHA256()


def _certificate_tbs(builder: x509.CertificateBuilder, issuer: KeyAlgorithm) -> bytes:
    key, digest = _thrown_away_key(issuer)
    return builder.sign(key, digest).tbs_certificate_bytes


def _sequence(content: bytes) -> bytes:
    size = len(content)
    if size < 0x80:
        return b"\x30" + bytes([size]) + content
    octets = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return b"\x30" + bytes([0x80 | len(octets)]) + octets + content
