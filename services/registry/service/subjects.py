"""What of the register goes into a certificate's name."""

from __future__ import annotations

from services.kernel.errors import Conflict, FieldInvalid
from services.registry.domain.parties import Agency, Subscriber
from services.registry.ports import Unit
from services.registry.profiles import CertificateProfile
from services.registry.x509 import SubjectFacts

MAX_COMMON_NAME = 64
"""RFC 5280 appendix A.1, ub-common-name."""


def check_fit(subscriber: Subscriber, profile: CertificateProfile) -> None:
    """Raise FieldInvalid where no certificate of this profile can be made for the subscriber."""
    if len(subscriber.name) > MAX_COMMON_NAME:
        raise FieldInvalid(
            f"the subscriber's name has more than the {MAX_COMMON_NAME} characters that a certificate holds: "
            "make the subscriber with a shorter form of the name",
            field="subscriber_id",
        )
    if profile.email_required and not subscriber.email:
        raise FieldInvalid(
            f"the profile {profile.name} needs the subscriber's official e-mail", field="subscriber_id"
        )


async def subject_facts(unit: Unit, subscriber: Subscriber, agency: Agency) -> SubjectFacts:
    """Collect name and identifiers: O is the topmost agency below the platform, one OU for each agency under it."""
    found = await unit.parties.agencies(agency.path)
    if len(found) != len(agency.path):
        raise Conflict("an agency above the subscriber's is missing from the register", id=agency.id)
    # The first is the platform's own agency, which is nobody's organisation; it counts where there is no other.
    names = [found[agency_id].name for agency_id in agency.path]
    names = names[1:] or names
    if len(names) > 1 and names[-1] == subscriber.name:
        # An organisation's certificate names it once, as CN.
        names.pop()
    return SubjectFacts(
        common_name=subscriber.name,
        organization=names[0],
        organization_path=tuple(names[1:]),
        tax_code=subscriber.tax_code,
        citizen_number=subscriber.citizen_number,
        email=subscriber.email,
        title=subscriber.title,
    )
