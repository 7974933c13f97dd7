"""Agencies, subscribers and clients, and the forms that their identifiers must have."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from datetime import datetime

from services.kernel.errors import FieldInvalid
from services.registry.profiles import SubscriberKind

MAX_NAME = 200
"""Characters of a name or a title."""
MAX_EMAIL = 254
"""RFC 5321 section 4.5.3.1.3, less the angle brackets."""
MAX_MAKERS = 12
"""Clients between a client and the one that was there from the first start on."""
MAX_DEPTH = 12
"""Levels of the agency tree. Viet Nam's administration has four; the rest is room for units below them."""

# QCVN 102:2016/BTTTT: VVV.ZZ.YY.MXX, each part of digits and capital letters, the last a letter and two digits.
_ORGAN_ID = re.compile(r"[0-9A-Z]{3}\.[0-9A-Z]{2}\.[0-9A-Z]{2}\.[A-Z][0-9]{2}")
_TAX_CODE = re.compile(r"[0-9]{10}(-[0-9]{3})?")
_CITIZEN_NUMBER = re.compile(r"[0-9]{12}")
# Deliberately narrower than RFC 5322: official mailboxes have no quoted local parts, comments or address literals.
_EMAIL = re.compile(r"[A-Za-z0-9._%+-]{1,64}@([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z]{2,63}")


@dataclass(frozen=True, slots=True)
class Agency:
    """A node of the tree of state bodies."""

    id: str
    parent_id: str | None
    name: str
    organ_id: str | None
    path: tuple[str, ...]
    """Ids from the tree's root down to this agency itself: materialised, because every call checks a subtree."""
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Subscriber:
    """A subscriber (thuê bao). `citizen_number` is whole: it is never shown or logged so (see `masked`)."""

    id: str
    agency_id: str
    kind: SubscriberKind
    name: str
    tax_code: str
    citizen_number: str
    email: str
    title: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Client:
    """An API client. Exactly one proof is set: `secret` (salt and hash) or `jwks` (JSON text)."""

    id: str
    agency_id: str
    name: str
    scopes: tuple[str, ...]
    document_types: tuple[str, ...]
    label_required: bool
    enabled: bool
    secret: SecretHash | None
    jwks: str
    makers: tuple[str, ...]
    """Ids of the clients that made it, from the first down to the one that made this: kept for good."""
    created_at: datetime


@dataclass(frozen=True, slots=True)
class SecretHash:
    """A client secret as it is kept."""

    salt: bytes
    hash: bytes


def text(value: str, field: str, *, maximum: int = MAX_NAME, required: bool = True) -> str:
    """Return the text normalised (NFC, outer spaces off); refuse control characters and a wrong length."""
    if len(value) > maximum:
        raise FieldInvalid(f"{field} may have at most {maximum} characters", field=field)
    cleaned = unicodedata.normalize("NFC", value).strip()
    if required and not cleaned:
        raise FieldInvalid(f"{field} is required: 1 to {maximum} characters", field=field)
    # NFC can lengthen a text.
    if len(cleaned) > maximum or any(unicodedata.category(character)[0] == "C" for character in cleaned):
        raise FieldInvalid(
            f"{field} must be at most {maximum} printable characters, without line breaks", field=field
        )
    return cleaned


def organ_id(value: str) -> str | None:
    """Check an OrganId such as 000.00.01.H56 (QCVN 102:2016); empty means none."""
    if value and not _ORGAN_ID.fullmatch(value):
        raise FieldInvalid(
            'organ_id must have the form of QCVN 102:2016, such as "000.00.01.H56"', field="organ_id"
        )
    return value or None


def tax_code(value: str) -> str:
    """Check a tax code (MST): ten digits, or ten digits, a hyphen and the three of a branch; empty means none."""
    if value and not _TAX_CODE.fullmatch(value):
        raise FieldInvalid('tax_code must be 10 digits, or 10 digits, "-" and 3 digits', field="tax_code")
    return value


def citizen_number(value: str, kind: SubscriberKind) -> str:
    """Check a citizen number (CCCD): twelve digits, persons only; empty means none. Errors never repeat it."""
    if value and kind is not SubscriberKind.PERSON:
        raise FieldInvalid("citizen_number is for persons only", field="citizen_number")
    if value and not _CITIZEN_NUMBER.fullmatch(value):
        raise FieldInvalid("citizen_number must be 12 digits", field="citizen_number")
    return value


def email(value: str) -> str:
    """Check an official mailbox; empty means none."""
    if value and (len(value) > MAX_EMAIL or not _EMAIL.fullmatch(value)):
        raise FieldInvalid("email must be a plain mailbox such as vanthu@example.gov.vn", field="email")
    return value


def title(value: str, kind: SubscriberKind) -> str:
    """Check a title (chức vụ): persons only; empty means none."""
    if value and kind is not SubscriberKind.PERSON:
        raise FieldInvalid("title is for persons only", field="title")
    return text(value, "title", required=False)


def masked(number: str) -> str:
    """Show the first and last three digits of a citizen number; nothing of an empty one."""
    return f"{number[:3]}{'*' * (len(number) - 6)}{number[-3:]}" if number else ""
