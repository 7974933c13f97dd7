"""What a CRL lists and when it is due; how a credential's status moves."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from services.kernel.errors import CredentialRevoked, FieldInvalid, NotFound
from services.kernel.values import KeyAlgorithm
from services.registry.domain import authority, credentials
from services.registry.domain.authority import Crl
from services.registry.domain.credentials import (
    Activation,
    CreationRequest,
    Credential,
    CredentialStatus,
    IssuerKind,
    RevocationGround,
    Revoked,
)

NOW = datetime(2026, 11, 22, tzinfo=UTC)
DAY = timedelta(days=1)
CRL = Crl("issuing", 3, NOW, NOW + DAY, 1, b"", b"")


def test_an_entry_stays_until_it_was_on_a_crl_made_after_the_certificates_end() -> None:
    ended = Revoked("1", NOW - 30 * DAY, "keyCompromise", NOW - DAY, listed=True)
    valid = Revoked("2", NOW - 30 * DAY, None, NOW + DAY, listed=True)
    assert authority.listed([ended, valid], None) == [ended, valid]
    # The CRL before was made before the end: the entry must be on one more.
    assert authority.listed([ended, valid], replace(CRL, this_update=NOW - 2 * DAY)) == [ended, valid]
    assert authority.listed([ended, valid], CRL) == [valid]
    # Revoked after its end: on one CRL it must be.
    late = replace(ended, listed=False)
    assert authority.listed([late, valid], CRL) == [late, valid]


def test_a_crl_is_due_at_its_interval_and_where_there_is_none() -> None:
    assert authority.due(None, NOW, DAY)
    assert not authority.due(CRL, NOW + DAY - timedelta(seconds=1), DAY)
    assert authority.due(CRL, NOW + DAY, DAY)


def test_a_ca_that_is_not_ours_is_not_found() -> None:
    authority.require_known("root")
    with pytest.raises(NotFound):
        authority.require_known("../root")


def made(status: CredentialStatus) -> Credential:
    return Credential(
        "cr_1", "ag_1", "sub_1", status, 1, KeyAlgorithm.RSA_2048, "", b"", Activation.CLIENT, (), IssuerKind.OWN_CA,
        "organization", 1, None, CreationRequest("cl_1", "k", b""), NOW,
    )  # fmt: skip


def test_a_certificate_lifts_neither_hold_nor_revocation() -> None:
    after = {status: credentials.status_after_certificate(made(status)) for status in CredentialStatus}
    assert after == {
        CredentialStatus.PENDING: CredentialStatus.ACTIVE,
        CredentialStatus.ACTIVE: CredentialStatus.ACTIVE,
        CredentialStatus.HELD: CredentialStatus.HELD,
        CredentialStatus.REVOKED: CredentialStatus.REVOKED,
    }
    assert credentials.status_after_release(made(CredentialStatus.HELD)) is CredentialStatus.PENDING
    with pytest.raises(CredentialRevoked):
        credentials.require_not_revoked(made(CredentialStatus.REVOKED))


def test_every_ground_is_kept_under_a_name_that_is_read_again() -> None:
    assert {RevocationGround.parse(ground.label) for ground in RevocationGround} == set(RevocationGround)


@pytest.mark.parametrize("days", [-1, 1827])
def test_no_certificate_lives_longer_than_five_years(days: int) -> None:
    with pytest.raises(FieldInvalid):
        credentials.validity_days(days)


def test_pauses_grow_to_a_limit() -> None:
    pauses = [credentials.retry_pause(tries) for tries in range(1, 200)]
    assert pauses == sorted(pauses)
    assert pauses[0] <= timedelta(seconds=10)
    assert pauses[-1] == timedelta(minutes=10)
