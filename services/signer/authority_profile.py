"""What certificates and CRLs an authority key may sign at all: a profile, outside which nothing is signed.

Whatever is not named here is refused, so that a registry in wrong hands gets no more than certificates like those that
it makes anyway. Clauses are RFC 5280's; lives of certificates are RG-05's.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import CRLEntryExtensionOID, ExtendedKeyUsageOID, ExtensionOID

from services.kernel.errors import FieldInvalid

FIELD = "to_be_signed"
MAX_LEAF_LIFE = timedelta(days=5 * 366 + 1)
"""Five years (RG-05) with their leap days, and a day."""
MAX_CA_LIFE = timedelta(days=20 * 365 + 5 + 1)
"""Twenty years (RG-05) with their five leap days, and a day."""
BEGINS_WITHIN = timedelta(days=1)
"""How far from now a certificate may begin, before and after: room for clocks and repeated calls, not for the past."""
CRL_MADE_WITHIN = timedelta(days=7)
"""How old `thisUpdate` may be. A CRL that was begun while no signer answered must still be signed, or none follows it."""
MAX_CRL_LIFE = timedelta(days=100)
"""The root's CRLs live a month, unless the settings say otherwise: longer ones would hide later revocations."""

CA_EXTENSIONS = frozenset(
    {
        ExtensionOID.BASIC_CONSTRAINTS,
        ExtensionOID.KEY_USAGE,
        ExtensionOID.SUBJECT_KEY_IDENTIFIER,
        ExtensionOID.AUTHORITY_KEY_IDENTIFIER,
        ExtensionOID.CRL_DISTRIBUTION_POINTS,
        ExtensionOID.AUTHORITY_INFORMATION_ACCESS,
        ExtensionOID.CERTIFICATE_POLICIES,
    }
)
LEAF_EXTENSIONS = CA_EXTENSIONS | {
    ExtensionOID.EXTENDED_KEY_USAGE,
    ExtensionOID.SUBJECT_ALTERNATIVE_NAME,
}
UNIT_EXTENSIONS = CA_EXTENSIONS | {ExtensionOID.EXTENDED_KEY_USAGE}
UNIT_USAGES = frozenset({"digital_signature", "content_commitment"})
LEAF_USAGES = frozenset({"digital_signature", "content_commitment", "key_encipherment", "data_encipherment"})
LEAF_EXTENDED_USAGES = frozenset(
    {
        ExtendedKeyUsageOID.CLIENT_AUTH,
        ExtendedKeyUsageOID.EMAIL_PROTECTION,
        ExtendedKeyUsageOID.SMARTCARD_LOGON,
    }
)
"""Those of the government PKI's second generation (RG-06). Servers, code and OCSP are none of our work,
and time-stamps are the time-stamp key's alone."""
CRL_EXTENSIONS = frozenset({ExtensionOID.CRL_NUMBER, ExtensionOID.AUTHORITY_KEY_IDENTIFIER})
CRL_ENTRY_EXTENSIONS = frozenset({CRLEntryExtensionOID.CRL_REASON, CRLEntryExtensionOID.INVALIDITY_DATE})


def require(condition: bool, text: str) -> None:
    """Raise FieldInvalid with the text unless the condition holds."""
    if not condition:
        raise FieldInvalid(f"{FIELD}: the certificate or CRL {text}", field=FIELD)


def check_certificate(parsed: x509.Certificate, now: datetime) -> None:
    """Check what holds for every certificate, of a CA or not; raise FieldInvalid."""
    require(parsed.version is x509.Version.v3, "must be version 3")
    begin, end = parsed.not_valid_before_utc, parsed.not_valid_after_utc
    require(begin < end, "must end after it begins")
    require(abs(begin - now) <= BEGINS_WITHIN, "must begin within a day of now")
    require(now < end, "must not be over already")
    require(any(comparable(parsed.subject)), "must name its subject")


def check_ca(parsed: x509.Certificate, max_path_length: int | None) -> None:
    """Check a CA's certificate, the root's own (path length None: any) or one below it; raise FieldInvalid."""
    _require_known(parsed.extensions, CA_EXTENSIONS)
    basic = _extension(parsed, ExtensionOID.BASIC_CONSTRAINTS)
    usage = _extension(parsed, ExtensionOID.KEY_USAGE)
    require(
        basic is not None
        and basic.critical
        and isinstance(basic.value, x509.BasicConstraints)
        and basic.value.ca,
        "must say critically that it is a CA: the root signs nothing else",
    )
    if max_path_length is not None and basic is not None and isinstance(basic.value, x509.BasicConstraints):
        require(basic.value.path_length == max_path_length, f"must have path length {max_path_length}")
    require(
        usage is not None
        and usage.critical
        and isinstance(usage.value, x509.KeyUsage)
        and _usages(usage.value) == {"key_cert_sign", "crl_sign"},
        "must have the critical key usage keyCertSign and cRLSign, and no other",
    )
    require(
        parsed.not_valid_after_utc - parsed.not_valid_before_utc <= MAX_CA_LIFE,
        "must not be valid for more than twenty years and a day",
    )


def check_leaf(parsed: x509.Certificate, ca_names: Iterable[x509.Name]) -> None:
    """Check a subscriber's certificate; raise FieldInvalid. `ca_names` are those that nobody else may have."""
    _require_known(parsed.extensions, LEAF_EXTENSIONS)
    _check_end_entity(parsed, ca_names, LEAF_USAGES)
    extended = _extension(parsed, ExtensionOID.EXTENDED_KEY_USAGE)
    require(
        extended is not None
        and isinstance(extended.value, x509.ExtendedKeyUsage)
        and set(extended.value) <= LEAF_EXTENDED_USAGES,
        # Without the extension it would serve for all of them (section 4.2.1.12).
        "must have the extended key usage clientAuth, emailProtection or smart card logon, and no other",
    )
    names = _extension(parsed, ExtensionOID.SUBJECT_ALTERNATIVE_NAME)
    if names is not None and isinstance(names.value, x509.SubjectAlternativeName):
        mailboxes = all(isinstance(name, x509.RFC822Name) for name in names.value)
        require(mailboxes, "must have mailboxes only as alternative names")


def check_time_stamp_unit(parsed: x509.Certificate, ca_names: Iterable[x509.Name]) -> None:
    """Check the certificate of our own time-stamp key (RFC 3161 section 2.3); raise FieldInvalid."""
    _require_known(parsed.extensions, UNIT_EXTENSIONS)
    _check_end_entity(parsed, ca_names, UNIT_USAGES)
    extended = _extension(parsed, ExtensionOID.EXTENDED_KEY_USAGE)
    require(
        extended is not None
        and extended.critical
        and isinstance(extended.value, x509.ExtendedKeyUsage)
        and list(extended.value) == [ExtendedKeyUsageOID.TIME_STAMPING],
        "must have the critical extended key usage timeStamping, and no other: it certifies the time-stamp key",
    )


def _check_end_entity(
    parsed: x509.Certificate, ca_names: Iterable[x509.Name], usages: frozenset[str]
) -> None:
    taken = {comparable(name) for name in ca_names}
    require(comparable(parsed.subject) not in taken, "must not have a CA's name as its subject")
    basic = _extension(parsed, ExtensionOID.BASIC_CONSTRAINTS)
    if basic is not None and isinstance(basic.value, x509.BasicConstraints):
        require(not basic.value.ca, "must not be a CA")
    usage = _extension(parsed, ExtensionOID.KEY_USAGE)
    require(usage is not None and isinstance(usage.value, x509.KeyUsage), "must have a key usage")
    if usage is not None and isinstance(usage.value, x509.KeyUsage):
        words = "signing" if usages == UNIT_USAGES else "signing or encipherment"
        require(_usages(usage.value) <= usages, f"must have a key usage of {words} only")
    require(
        parsed.not_valid_after_utc - parsed.not_valid_before_utc <= MAX_LEAF_LIFE,
        "must not be valid for more than five years and a day",
    )
    public = parsed.public_key()
    fits = (isinstance(public, rsa.RSAPublicKey) and 2048 <= public.key_size <= 4096) or (
        isinstance(public, ec.EllipticCurvePublicKey)
        and isinstance(public.curve, (ec.SECP256R1, ec.SECP384R1))
    )
    require(fits, "must certify an RSA key of 2048 to 4096 bits or an EC key on P-256 or P-384")


def check_crl(
    parsed: x509.CertificateRevocationList, entry_extensions: Iterable[x509.ObjectIdentifier], now: datetime
) -> None:
    """Check a CRL, and what its entries say beside number and date (`entry_extensions`); raise FieldInvalid."""
    made, following = parsed.last_update_utc, parsed.next_update_utc
    require(
        following is not None and made < following,
        "must say when the next one comes (RFC 5280 section 5.1.2.5)",
    )
    require(-CRL_MADE_WITHIN <= made - now <= BEGINS_WITHIN, "must be made now")
    require(
        following is not None and following - made <= MAX_CRL_LIFE, "must be followed within a hundred days"
    )
    _require_known(parsed.extensions, CRL_EXTENSIONS)
    present = {extension.oid for extension in parsed.extensions}
    require(ExtensionOID.CRL_NUMBER in present, "must have a number (RFC 5280 section 5.2.3)")
    strange = set(entry_extensions) - CRL_ENTRY_EXTENSIONS
    require(not strange, f"has an entry with an extension that is not in the profile: {_listed(strange)}")


def crl_number(parsed: x509.CertificateRevocationList) -> int:
    """Return the number of a CRL that `check_crl` has let pass."""
    return parsed.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number


def comparable(name: x509.Name) -> tuple[frozenset[tuple[str, str]], ...]:
    """Return a form of a name in which those are the same that a relying party takes for the same (section 7.1).

    Attributes without text are left out.
    """
    parts = (
        frozenset(
            (attribute.oid.dotted_string, text)
            for attribute in relative
            if (text := _folded(attribute.value))
        )
        for relative in name.rdns
    )
    return tuple(part for part in parts if part)


def _folded(value: str | bytes) -> str:
    if isinstance(value, bytes):
        return value.hex()
    return " ".join(unicodedata.normalize("NFKC", value).casefold().split())


def _require_known(extensions: x509.Extensions, known: frozenset[x509.ObjectIdentifier]) -> None:
    strange = {extension.oid for extension in extensions} - known
    require(not strange, f"has an extension that is not in the profile: {_listed(strange)}")


def _listed(oids: Iterable[x509.ObjectIdentifier]) -> str:
    return ", ".join(sorted(oid.dotted_string for oid in oids)[:4])


def _extension(
    parsed: x509.Certificate, oid: x509.ObjectIdentifier
) -> x509.Extension[x509.ExtensionType] | None:
    try:
        return parsed.extensions.get_extension_for_oid(oid)
    except x509.ExtensionNotFound:
        return None


def _usages(usage: x509.KeyUsage) -> set[str]:
    names = (
        "digital_signature",
        "content_commitment",
        "key_encipherment",
        "data_encipherment",
        "key_agreement",
        "key_cert_sign",
        "crl_sign",
    )
    return {name for name in names if getattr(usage, name)}
