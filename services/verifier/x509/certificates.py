"""X.509 certificates as the verifier uses them: parsed once, with every access that can fail in one place."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import unicodedata
import warnings
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import lru_cache

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import dsa
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.utils import CryptographyDeprecationWarning
from cryptography.x509.oid import NameOID

from services.verifier.domain import CertificateSummary
from services.verifier.formats import ber
from services.verifier.x509 import encoding_flaws, identifiers

MAX_CERTIFICATE_BYTES = 64 * 1024
_DSA = "1.2.840.10040.4.1"
_SPACES = re.compile(r"[^\S\x1c-\x1f]+")
"""What RFC 4518 section 2.2 maps to a space; the separators U+001C to U+001F are not among it."""
_PEM = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


class CertificateError(ValueError):
    """The bytes are not a certificate that can be used; the message says what is wrong with them."""


@dataclass(frozen=True)
class Certificate:
    """A parsed certificate. Equality is by its DER.

    `inherits_parameters`: a DSA key without parameters, which are those of its issuer's key (RFC 5280 6.1.4 e);
    `inherited_key` is then the key together with them, once the issuer is known. `flawed`: `parsed` is a copy without
    the flaws of encoding that this one has.
    """

    der: bytes
    parsed: x509.Certificate
    sha256: str
    subject_key: tuple[tuple[tuple[str, str], ...], ...]
    issuer_key: tuple[tuple[tuple[str, str], ...], ...]
    key_info: bytes
    serial: int
    tbs: bytes = field(compare=False, repr=False)
    inherits_parameters: bool = field(default=False, compare=False)
    inherited_key: PublicKeyTypes | None = field(default=None, compare=False, repr=False)
    flawed: bool = field(default=False, compare=False)

    def __hash__(self) -> int:
        """Hash by fingerprint."""
        return hash(self.sha256)

    @property
    def subject_octets(self) -> bytes:
        """The subject's name as it is encoded."""
        fields = ber.load(self.tbs)[0].children()
        return fields[5 if fields[0].tag == 0xA0 else 4].encoded

    @property
    def self_issued(self) -> bool:
        """True when subject and issuer are the same name."""
        return self.subject_key == self.issuer_key

    @property
    def not_before(self) -> datetime:
        """First moment of validity, UTC."""
        return self.parsed.not_valid_before_utc

    @property
    def not_after(self) -> datetime:
        """Last moment of validity, UTC."""
        return self.parsed.not_valid_after_utc

    def public_key(self) -> PublicKeyTypes:
        """The subject's public key. Raises CertificateError (unknown type, or damaged such as a negative modulus)."""
        if self.inherited_key is not None:
            return self.inherited_key
        if self.inherits_parameters:
            raise CertificateError("the certificate's DSA key has no parameters of its own")
        try:
            return self.parsed.public_key()
        except (ValueError, UnsupportedAlgorithm) as error:
            raise CertificateError("the certificate's public key cannot be used") from error

    def extensions(self) -> x509.Extensions:
        """The extensions. Raises CertificateError when one of them is damaged or occurs twice."""
        try:
            return self.parsed.extensions
        except (ValueError, TypeError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType) as error:
            raise CertificateError("an extension of the certificate cannot be read") from error


NameKey = tuple[tuple[tuple[str, str], ...], ...]
"""A name in the form in which names are compared: its relative names from the root, each with its attributes."""


def name_key(name: x509.Name) -> NameKey:
    """A name for comparison as RFC 5280 7.1 asks: case and runs of white space do not count, the order does."""
    return tuple(
        tuple(sorted((a.oid.dotted_string, prepared(_text(a.value))) for a in rdn)) for rdn in name.rdns
    )


def prepared(text: str) -> str:
    """RFC 4518 section 2: folded, normalised, white space at the ends removed and inside reduced to one space."""
    return _SPACES.sub(" ", unicodedata.normalize("NFKC", text.casefold())).strip()


def _text(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.hex()


@lru_cache(maxsize=2048)
def load(der: bytes) -> Certificate:
    """A certificate from DER. Raises CertificateError."""
    if len(der) > MAX_CERTIFICATE_BYTES:
        raise CertificateError(f"certificate of {len(der)} bytes, at most {MAX_CERTIFICATE_BYTES} are read")
    try:
        with warnings.catch_warnings():
            # Old certificates with flaws that a later release will refuse are judged by the checks below.
            warnings.simplefilter("ignore", CryptographyDeprecationWarning)
            warnings.simplefilter("ignore", UserWarning)
            tbs, key_info, inherits = _own_reading(der)
            parsed, flawed = _parsed(_with_placeholder(der) if inherits else der)
            keys = name_key(parsed.subject), name_key(parsed.issuer)
            # Here, where a number below one raises no warning.
            serial = parsed.serial_number
    except _UNREADABLE as error:
        raise CertificateError("the certificate cannot be read") from error
    fingerprint = hashlib.sha256(der).hexdigest()
    return Certificate(
        der, parsed, fingerprint, *keys, key_info, serial, tbs, inherits_parameters=inherits, flawed=flawed
    )


_UNREADABLE = (ValueError, TypeError, IndexError, x509.InvalidVersion, UnsupportedAlgorithm)


def _parsed(der: bytes) -> tuple[x509.Certificate, bool]:
    """The certificate, or where it cannot be read for common flaws of its encoding, a copy without them."""
    try:
        return _read(der), False
    except _UNREADABLE:
        copy = encoding_flaws.mended(der)
        if copy is None:
            raise
        return _read(copy), True


def _read(der: bytes) -> x509.Certificate:
    """Read now what the parser leaves for later, so that it fails here."""
    parsed = x509.load_der_x509_certificate(der)
    _ = parsed.subject.rdns, parsed.issuer.rdns, parsed.not_valid_before_utc, parsed.not_valid_after_utc
    return parsed


def readable(der: bytes) -> Certificate | None:
    """The certificate; None where it cannot be read: it is of no use then, and harms nobody."""
    try:
        return load(der)
    except CertificateError:
        return None


def _own_reading(der: bytes) -> tuple[bytes, bytes, bool]:
    """What is signed, the SubjectPublicKeyInfo as encoded, and whether that is a DSA key without parameters.

    The encoded key identifies the key even where the key itself cannot be used.
    """
    tbs = ber.load(der)[0].children()[0]
    info = _key_node(tbs)
    algorithm = info.children()[0].children()
    return tbs.encoded, info.encoded, ber.oid(algorithm[0]) == _DSA and len(algorithm) == 1


def _key_node(tbs: ber.Node) -> ber.Node:
    fields = tbs.children()
    return fields[6 if fields[0].tag == 0xA0 else 5]


def _with_placeholder(der: bytes) -> bytes:
    """The certificate with parameters put into its DSA key, for a parser that needs some. Nothing is checked by it."""
    outer = ber.load(der)[0].children()
    info = _key_node(outer[0])
    stated = info.children()
    number = ber.tlv(ber.INTEGER, b"\x01")
    algorithm = ber.tlv(ber.SEQUENCE, stated[0].contents + ber.tlv(ber.SEQUENCE, number * 3))
    fields = [f.encoded for f in outer[0].children()]
    fields[fields.index(info.encoded)] = ber.tlv(ber.SEQUENCE, algorithm + stated[1].encoded)
    tbs = ber.tlv(ber.SEQUENCE, b"".join(fields))
    return ber.tlv(ber.SEQUENCE, tbs + outer[1].encoded + outer[2].encoded)


def with_parameters_of(certificate: Certificate, issuer: Certificate) -> Certificate:
    """The certificate with the working key of RFC 5280 6.1.4 (d) to (f); itself where nothing is inherited.

    Raises CertificateError when the issuer has no DSA parameters to inherit.
    """
    if not certificate.inherits_parameters:
        return certificate
    above = issuer.public_key()
    if not isinstance(above, dsa.DSAPublicKey):
        raise CertificateError("the certificate inherits DSA parameters, but its issuer's key has none")
    try:
        bits = ber.load(certificate.key_info)[0].children()[1].contents
        value = ber.integer(ber.load(bits[1:])[0])
        key = dsa.DSAPublicNumbers(value, above.public_numbers().parameter_numbers).public_key()
    except (ValueError, IndexError) as error:
        raise CertificateError("the certificate's public key cannot be used") from error
    return replace(certificate, inherited_key=key)


def load_all(data: bytes) -> tuple[Certificate, ...]:
    """Every certificate of a PEM bundle, or the one of a DER file. Raises CertificateError when there is none."""
    blocks = _PEM.findall(data)
    if not blocks:
        return (load(data),)
    try:
        return tuple(
            load(x509.load_pem_x509_certificate(block).public_bytes(Encoding.DER)) for block in blocks
        )
    except ValueError as error:
        raise CertificateError("the PEM file holds a certificate that cannot be read") from error


def der_of_pem(data: bytes) -> bytes:
    """DER in the one PEM block of `data`, not read any further. Raises CertificateError."""
    blocks = _PEM.findall(data)
    if len(blocks) != 1:
        raise CertificateError("one certificate in PEM is expected")
    try:
        return base64.b64decode(b"".join(blocks[0].split(b"-----")[2].split()), validate=True)
    except binascii.Error as error:
        raise CertificateError("the base64 of the certificate cannot be read") from error


def der_of_crl(data: bytes) -> bytes:
    """DER of a revocation list given in PEM or DER. Raises CertificateError."""
    try:
        if data.lstrip().startswith(b"-----BEGIN"):
            return x509.load_pem_x509_crl(data).public_bytes(Encoding.DER)
        return x509.load_der_x509_crl(data).public_bytes(Encoding.DER)
    except (ValueError, x509.InvalidVersion) as error:
        raise CertificateError("the revocation list cannot be read") from error


def is_authority(certificate: Certificate) -> bool:
    """True when basicConstraints says that the certificate is a CA's. Raises CertificateError."""
    try:
        return certificate.extensions().get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False


def summary(certificate: Certificate) -> CertificateSummary:
    """The readable facts of a certificate. Never raises for one that `load` accepted."""
    subject, issuer = certificate.parsed.subject, certificate.parsed.issuer
    uids = _values(subject, NameOID.USER_ID)
    spread = [
        v
        for o in (NameOID.ORGANIZATION_NAME, NameOID.COMMON_NAME, NameOID.SERIAL_NUMBER)
        for v in _values(subject, o)
    ]
    return CertificateSummary(
        subject=subject.rfc4514_string(),
        issuer=issuer.rfc4514_string(),
        serial=f"{certificate.serial:x}",
        sha256=certificate.sha256,
        not_before=certificate.not_before,
        not_after=certificate.not_after,
        common_name=_one(subject, NameOID.COMMON_NAME),
        issuer_name=_one(issuer, NameOID.COMMON_NAME) or _one(issuer, NameOID.ORGANIZATION_NAME),
        organization=_one(subject, NameOID.ORGANIZATION_NAME),
        organizational_unit=_one(subject, NameOID.ORGANIZATIONAL_UNIT_NAME),
        title=_one(subject, NameOID.TITLE),
        email=_email(certificate),
        identifiers=identifiers.collect(uids, spread),
        der=certificate.der,
    )


def _values(name: x509.Name, oid: x509.ObjectIdentifier) -> list[str]:
    return [_text(a.value) for a in name.get_attributes_for_oid(oid)]


def _one(name: x509.Name, oid: x509.ObjectIdentifier) -> str:
    return next(iter(_values(name, oid)), "")


def _email(certificate: Certificate) -> str:
    try:
        names = certificate.extensions().get_extension_for_class(x509.SubjectAlternativeName).value
    except (CertificateError, x509.ExtensionNotFound):
        return _one(certificate.parsed.subject, NameOID.EMAIL_ADDRESS)
    return next(iter(names.get_values_for_type(x509.RFC822Name)), "")
