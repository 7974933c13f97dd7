"""Certificate profiles as data: what a certificate of each subscriber class holds (RG-06, verification-rules 11).

The organisation profile follows the second generation of the government PKI as its certificates show it. Nobody here
has seen that generation's person and device profiles: those two are this project's own design, narrower than the
organisation's. The policy identifier is this project's own arc (ITU-T X.667, 2.25.<UUID>), not Viet Nam's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType

POLICY_ARC = "2.25.276143064756067490626061319986090920208"
"""Arc of this project's own certificate policies; .1 organisation, .2 person, .3 device or service, .4 time-stamp unit."""
TIME_STAMP_POLICY = POLICY_ARC + ".4"

EKU_CLIENT_AUTH = "1.3.6.1.5.5.7.3.2"
EKU_EMAIL_PROTECTION = "1.3.6.1.5.5.7.3.4"
EKU_SMARTCARD_LOGON = "1.3.6.1.4.1.311.20.2.2"


class SubscriberKind(Enum):
    """Class of a subscriber (NĐ 68/2024 Đ10)."""

    PERSON = "person"
    ORGANIZATION = "organization"
    DEVICE_OR_SERVICE = "device_or_service"


@dataclass(frozen=True, slots=True)
class CertificateProfile:
    """What the CA puts into a certificate of one subscriber class."""

    name: str
    subscriber_kind: SubscriberKind
    validity_days: int
    """Usual validity; 1,826 days (five years) is the most a subscriber gets (RG-05)."""
    key_encipherment: bool
    """keyEncipherment and dataEncipherment beside digitalSignature and nonRepudiation; RSA keys only (RFC 8813)."""
    ext_key_usage: tuple[str, ...]
    policy_oid: str
    email_required: bool
    """True where the subjectAltName must hold the official mailbox."""


PROFILES: Mapping[str, CertificateProfile] = MappingProxyType(
    {
        profile.name: profile
        for profile in (
            CertificateProfile(
                name="organization",
                subscriber_kind=SubscriberKind.ORGANIZATION,
                validity_days=1826,
                key_encipherment=True,
                ext_key_usage=(EKU_CLIENT_AUTH, EKU_EMAIL_PROTECTION, EKU_SMARTCARD_LOGON),
                policy_oid=POLICY_ARC + ".1",
                email_required=False,
            ),
            CertificateProfile(
                name="person",
                subscriber_kind=SubscriberKind.PERSON,
                validity_days=1096,
                key_encipherment=False,
                ext_key_usage=(EKU_CLIENT_AUTH, EKU_EMAIL_PROTECTION),
                policy_oid=POLICY_ARC + ".2",
                email_required=False,
            ),
            CertificateProfile(
                name="device_or_service",
                subscriber_kind=SubscriberKind.DEVICE_OR_SERVICE,
                validity_days=1096,
                key_encipherment=False,
                ext_key_usage=(EKU_CLIENT_AUTH,),
                policy_oid=POLICY_ARC + ".3",
                email_required=False,
            ),
        )
    }
)


def profile_for(kind: SubscriberKind) -> CertificateProfile:
    """Return the profile of a subscriber class."""
    return PROFILES[kind.value]
