"""Certificates that CAs of others issued for our keys: what must hold before the register takes one."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from services.kernel.errors import FieldInvalid
from services.registry.x509 import certificate_facts, load_certificate, may_sign_as_ca

_NUMBERED = (NameOID.USER_ID, NameOID.SERIAL_NUMBER, NameOID.ORGANIZATION_NAME, NameOID.COMMON_NAME)
"""Attributes in which CAs write identifiers with a prefix; most write UID."""
_TAX, _CITIZEN = "MST", "CCCD"
_PREFIXED = re.compile(rf"\s*({_TAX}|{_CITIZEN})\s*:(.*)", re.IGNORECASE | re.DOTALL)
_BRANCH_WITHOUT_HYPHEN = re.compile(r"[0-9]{13}")
_PERSONAL_TAX_CODE = re.compile(r"[0-9]{12}")


@dataclass(frozen=True, slots=True)
class OutsideTrust:
    """What the operator's settings trust of others, DER."""

    anchors: tuple[bytes, ...] = ()
    intermediates: tuple[bytes, ...] = ()
    """CA certificates below the anchors: known, and trusted for nothing by themselves."""


def check_leaf(der: bytes, spki: bytes, at: datetime) -> None:
    """Raise FieldInvalid where the certificate holds another key, may act as a CA, or is not valid at `at`."""
    leaf, facts = load_certificate(der, 0), certificate_facts(der)
    if facts.spki != spki:
        raise _wrong("the certificate holds another public key than the credential", 0)
    if facts.is_ca or may_sign_as_ca(leaf):
        raise _wrong("a document certificate cannot be a CA certificate", 0)
    if not facts.not_before <= at <= facts.not_after:
        raise _wrong("the certificate is not valid now", 0)


def path_to_anchor(chain: Sequence[bytes], trust: OutsideTrust, at: datetime) -> tuple[bytes, ...]:
    """Return the certificates from the leaf to a trusted anchor, the anchor itself included.

    `chain` is leaf first, each followed by its issuer; what is missing at its end is taken from `trust`. Raise
    FieldInvalid where a certificate was not issued by the next one, where a CA between leaf and anchor could not issue
    it at `at` (RFC 5280 section 6.1.4), and where no anchor is reached.
    """
    path = [load_certificate(chain[0], 0)]
    anchors = [load_certificate(der, 0) for der in trust.anchors]
    for index, der in enumerate(chain[1:], 1):
        issuer = load_certificate(der, index)
        if path[-1] in anchors:
            # What stands above an anchor is not asked.
            break
        _require_issuer(path, issuer, at, is_anchor=issuer in anchors)
        path.append(issuer)
    known = [*anchors, *(load_certificate(der, 0) for der in trust.intermediates)]
    while path[-1] not in anchors:
        found = next((each for each in known if each not in path and _issued(path[-1], each)), None)
        if found is None:
            raise _wrong(
                "the chain leads to no CA that is trusted here: send the certificates of the CAs above, and let the "
                "operator name the topmost in outside_anchor_files",
                len(path) - 1,
            )
        _require_issuer(path, found, at, is_anchor=found in anchors)
        path.append(found)
    return tuple(certificate.public_bytes(Encoding.DER) for certificate in path)


def check_owner(der: bytes, tax_code: str, citizen_number: str) -> None:
    """Raise FieldInvalid where the subject names another tax code or citizen number; the error repeats neither."""
    for kind, number in _numbers(load_certificate(der, 0).subject):
        if (
            kind == _TAX
            and number != tax_code
            and not (number == citizen_number and _PERSONAL_TAX_CODE.fullmatch(number))
        ):
            raise _wrong("the certificate names another tax code (MST) than the subscriber's", 0)
        if kind == _CITIZEN and number != citizen_number:
            raise _wrong("the certificate names another citizen number (CCCD) than the subscriber's", 0)


def is_self_issued(der: bytes) -> bool:
    """Tell whether a certificate is a root's: signed by its own key."""
    certificate = load_certificate(der, 0)
    return _issued(certificate, certificate)


def _numbers(subject: x509.Name) -> Iterator[tuple[str, str]]:
    for attribute in subject:
        value = attribute.value
        found = _PREFIXED.fullmatch(value) if attribute.oid in _NUMBERED and isinstance(value, str) else None
        if found is not None:
            number = "".join(found[2].split())
            if found[1].upper() == _TAX and _BRANCH_WITHOUT_HYPHEN.fullmatch(number):
                number = f"{number[:10]}-{number[10:]}"
            yield found[1].upper(), number


def _require_issuer(
    path: Sequence[x509.Certificate], issuer: x509.Certificate, at: datetime, *, is_anchor: bool
) -> None:
    index = len(path)
    if not _issued(path[-1], issuer):
        raise _wrong(f"certificate {index - 1} of the chain was not issued by certificate {index}", index - 1)
    if is_anchor:
        # RFC 5280 section 6.1.1 d: an anchor's own fields are not judged, its operator was.
        return
    try:
        constraints = issuer.extensions.get_extension_for_class(x509.BasicConstraints).value
    except x509.ExtensionNotFound:
        constraints = None
    if constraints is None or not constraints.ca or not may_sign_as_ca(issuer, unless_stated=True):
        raise _wrong(f"certificate {index} of the chain is no CA", index)
    if not issuer.not_valid_before_utc <= at <= issuer.not_valid_after_utc:
        raise _wrong(f"certificate {index} of the chain is not valid now", index)
    below = sum(each.subject != each.issuer for each in path[1:])
    if constraints.path_length is not None and below > constraints.path_length:
        raise _wrong(f"certificate {index} of the chain allows fewer CAs below it", index)


def _issued(child: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        child.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _wrong(message: str, index: int) -> FieldInvalid:
    return FieldInvalid(message, field="certificate_chain", index=index)
