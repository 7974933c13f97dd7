"""No revocation waits for the schedule: what a CRL does not list yet is listed as soon as the signer can sign."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from sqlalchemy import update

from kyso.v1 import registry_pb2, registry_pb2_grpc
from services.kernel.errors import ServiceUnavailable
from services.kernel.runtime.database import Database
from services.registry.domain.authority import ISSUING
from services.registry.main import MIGRATIONS
from services.registry.service.crls import CrlService
from services.registry.store import tables
from tests.integration.registry.conftest import Client, Registry, Stand
from tests.support.nats_server import eventually


async def listed(registry: Registry) -> set[str]:
    """Return the serial numbers on the newest CRL of the issuing CA."""
    pki = registry.stub(registry_pb2_grpc.PkiServiceStub, "gateway")
    answer = await pki.GetCrl(registry_pb2.GetCrlRequest(ca=ISSUING))
    return {f"{entry.serial_number:x}" for entry in x509.load_der_x509_crl(answer.crl)}


async def revoke(client: Client, credential_id: str) -> Any:
    return await client("RevokeCredential", credential_id=credential_id, ground=1, request_reference="12/CV")


async def two_credentials(registry: Registry) -> tuple[Client, Any, Any]:
    operator = await registry.client()
    subscriber = await operator.organization(await operator.agency())
    made = [await operator.credential(subscriber, f"listing-{number}") for number in (1, 2)]
    return operator, made[0], made[1]


async def test_a_second_revocation_without_the_signer_does_not_wait_for_the_schedule(stand: Stand) -> None:
    async with stand.signer.serving(stand.mesh, stand.signer_port), stand.running() as registry:
        await registry.ready()
        operator, first, second = await two_credentials(registry)
        stand.signer.refuse = {"SignAuthority"}
        # The first reserves a CRL without the second, and nobody can sign it.
        for credential in (first, second):
            with pytest.raises(ServiceUnavailable):
                await revoke(operator, credential.id)
        stand.signer.refuse = set()

        async def both() -> bool:
            return await listed(registry) == {first.serial_number, second.serial_number}

        await eventually(both, what="a CRL that lists both")


async def test_a_revocation_whose_request_ended_before_any_crl_was_begun_is_listed(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with stand.signer.serving(stand.mesh, stand.signer_port), stand.running() as registry:
        await registry.ready()
        operator, first, _ = await two_credentials(registry)

        async def nothing_begun(*_: Any) -> int:
            raise ServiceUnavailable("the request ends here, as this test wants it")

        with monkeypatch.context() as patched:
            # What a caller that goes away, or a crash, leaves: a committed revocation and no CRL.
            patched.setattr(CrlService, "publish_with", nothing_begun)
            with pytest.raises(ServiceUnavailable):
                await revoke(operator, first.id)

        async def one() -> bool:
            return await listed(registry) == {first.serial_number}

        await eventually(one, what="a CRL that lists it")


async def test_a_reserved_certificate_is_listed_when_the_revocation_is_answered(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.registry.service.issuing.LEFT_ALONE", timedelta(hours=1))
    async with stand.signer.serving(stand.mesh, stand.signer_port), stand.running() as registry:
        await registry.ready()
        operator = await registry.client()
        subscriber = await operator.organization(await operator.agency())
        stand.signer.refuse = {"SignAuthority"}
        with pytest.raises(ServiceUnavailable):
            await operator.credential(subscriber, "reserved-1")
        pending = (await operator("ListCredentials")).credentials[0]
        stand.signer.refuse = set()
        answer = await revoke(operator, pending.id)
        assert answer.crl_number > 0
        assert len(await listed(registry)) == 1


async def test_a_certificate_that_is_over_is_listed_once_and_asked_again_it_is_answered(stand: Stand) -> None:
    """Before: two CRLs and INTERNAL, because a CRL lists nothing that had ended before the one before."""
    async with stand.signer.serving(stand.mesh, stand.signer_port), stand.running() as registry:
        await registry.ready()
        operator, first, second = await two_credentials(registry)
        database = await Database.open(stand.database, MIGRATIONS)
        try:
            async with database.transaction() as connection:
                certificate = tables.certificate
                await connection.execute(
                    update(certificate)
                    .where(certificate.c.serial_number == first.serial_number)
                    .values(not_after=datetime(2020, 1, 1, tzinfo=UTC))
                )
        finally:
            await database.close()
        answer = await revoke(operator, first.id)
        assert await listed(registry) == {first.serial_number}
        assert (await revoke(operator, first.id)).crl_number == answer.crl_number
        # On one CRL made after its end is enough (RFC 5280 section 3.3).
        await revoke(operator, second.id)
        assert await listed(registry) == {second.serial_number}
        again = await revoke(operator, first.id)
        assert again.crl_number > answer.crl_number
