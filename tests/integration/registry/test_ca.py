"""The CA and its CRLs: made step by step, resumed after a crash at each, and never a revoked serial lost."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from kyso.v1 import common_pb2, registry_pb2, registry_pb2_grpc
from services.kernel.errors import (
    CredentialRevoked,
    Internal,
    NotFound,
    ServiceUnavailable,
)
from services.registry.domain.authority import ISSUING, Crl
from services.registry.service import crls as crl_service
from services.registry.store.unit import SqlStore
from tests.integration.registry.conftest import Registry, Stand
from tests.support.nats_server import eventually

OUTSIDE: dict[str, Any] = {"issuer": registry_pb2.ISSUER_KIND_OUTSIDE_CA}


def pki(registry: Registry, caller: str = "gateway") -> Any:
    return registry.stub(registry_pb2_grpc.PkiServiceStub, caller)


async def crl_of(registry: Registry, ca: str = ISSUING) -> x509.CertificateRevocationList:
    answer = await pki(registry).GetCrl(registry_pb2.GetCrlRequest(ca=ca))
    return x509.load_der_x509_crl(answer.crl)


def number_of(crl: x509.CertificateRevocationList) -> int:
    return crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number


async def test_without_the_signer_it_is_not_ready_for_the_reason_ca_and_then_makes_it(stand: Stand) -> None:
    async with stand.running() as registry:
        assert "ca" in await registry.runtime.health.refresh(force=True)
        with pytest.raises(ServiceUnavailable):
            await crl_of(registry)
        assert not (await pki(registry, "verifier").GetTrust(registry_pb2.GetTrustRequest())).anchors
        async with stand.signer.serving(stand.mesh, stand.signer_port):
            await registry.ready()
            trust = await pki(registry, "verifier").GetTrust(registry_pb2.GetTrustRequest())
            assert (len(trust.anchors), len(trust.intermediates), len(trust.crls)) == (1, 1, 2)
            issuing = await pki(registry).GetCaCertificate(registry_pb2.GetCaCertificateRequest(ca="issuing"))
            assert issuing.certificate == trust.intermediates[0]
    with pytest.raises(NotFound):
        async with stand.running() as registry:
            await crl_of(registry, "no-such-ca")


async def test_the_ca_is_the_same_after_a_crash_between_any_two_steps(stand: Stand, store: SqlStore) -> None:
    """The signer refuses from the n-th call on; what was kept until then is what is finished later."""
    kept = []
    for refused in ("GenerateAuthorityKey", "SignAuthority"):
        stand.signer.refuse = {refused}
        async with stand.signer.serving(stand.mesh, stand.signer_port), stand.running() as registry:
            await eventually(lambda name=refused: name in stand.signer.asked, what=refused)
            assert "ca" in await registry.runtime.health.refresh(force=True)
        async with store.reading() as unit:
            kept.append(await unit.authorities.get("root"))
    assert kept[0] is None
    assert kept[1] is not None
    assert kept[1].certificate == b""
    stand.signer.refuse = set()
    async with stand.signer.serving(stand.mesh, stand.signer_port), stand.running() as registry:
        await registry.ready()
        async with store.reading() as unit:
            root = await unit.authorities.get("root")
    assert root is not None
    assert (root.serial_number, root.tbs) == (kept[1].serial_number, kept[1].tbs)
    assert x509.load_der_x509_certificate(root.certificate).tbs_certificate_bytes == root.tbs


@pytest.mark.parametrize("refused", ["GenerateKey", "SignAuthority"])
async def test_a_credential_is_finished_after_its_request_died(
    stand: Stand, store: SqlStore, refused: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.registry.service.issuing.LEFT_ALONE", timedelta(0))
    async with stand.signer.serving(stand.mesh, stand.signer_port), stand.running() as registry:
        await registry.ready()
        operator = await registry.client()
        subscriber = await operator.organization(await operator.agency())
        stand.signer.refuse = {refused}
        with pytest.raises(ServiceUnavailable):
            await operator.credential(subscriber, "crash-1")
        waiting = (await operator("ListCredentials")).credentials[0]
        assert waiting.status == common_pb2.CREDENTIAL_STATUS_PENDING
        async with store.reading() as unit:
            reserved = await unit.credentials.open_certificate(waiting.id)
        assert (reserved is None) is (refused == "GenerateKey")
        stand.signer.refuse = set()

        async def active() -> bool:
            credential = await operator("GetCredential", id=waiting.id)
            return bool(credential.status == common_pb2.CREDENTIAL_STATUS_ACTIVE)

        await eventually(active, what="the reconcile loop finishes the credential")
        done = await operator.credential(subscriber, "crash-1")
        if reserved is not None:
            assert done.serial_number == reserved.serial_number
        assert registry.metric("kyso_registry_certificates_issued_total", profile="organization") == 1


async def test_a_certificate_under_way_is_revoked_with_its_credential(stand: Stand) -> None:
    async with stand.signer.serving(stand.mesh, stand.signer_port), stand.running() as registry:
        await registry.ready()
        operator = await registry.client()
        subscriber = await operator.organization(await operator.agency())
        stand.signer.refuse = {"SignAuthority"}
        with pytest.raises(ServiceUnavailable):
            await operator.credential(subscriber, "under-way-1")
        pending = (await operator("ListCredentials")).credentials[0]
        stand.signer.refuse = set()
        answer = await operator(
            "RevokeCredential", credential_id=pending.id, ground=5, request_reference="12/CV"
        )
        assert answer.credential.status == common_pb2.CREDENTIAL_STATUS_REVOKED
        again = await operator.credential(subscriber, "under-way-1")
        assert again.status == common_pb2.CREDENTIAL_STATUS_REVOKED
        # The next CRL lists the reserved serial number, which the CA may have signed.
        other = await operator.credential(subscriber, "under-way-2")
        await operator("RevokeCredential", credential_id=other.id, ground=1, request_reference="13/CV")
        assert len(list(await crl_of(registry))) == 2


async def test_a_revoked_certificate_is_on_the_crl_when_the_answer_comes(registry: Registry) -> None:
    operator = await registry.client()
    subscriber = await operator.organization(await operator.agency())
    before = number_of(await crl_of(registry))
    grounds = {
        registry_pb2.REVOCATION_GROUND_KEY_EXPOSED: x509.ReasonFlags.key_compromise,
        registry_pb2.REVOCATION_GROUND_DEVICE_BROKEN: x509.ReasonFlags.superseded,
        registry_pb2.REVOCATION_GROUND_AUTHORITY_REQUEST: x509.ReasonFlags.privilege_withdrawn,
        registry_pb2.REVOCATION_GROUND_MANAGING_BODY: None,
        registry_pb2.REVOCATION_GROUND_POST_CHANGED: x509.ReasonFlags.affiliation_changed,
        registry_pb2.REVOCATION_GROUND_SERVICE_STOPPED: x509.ReasonFlags.cessation_of_operation,
    }
    for count, (ground, reason) in enumerate(grounds.items(), 1):
        credential = await operator.credential(subscriber, f"revoke-{ground}")
        answer = await operator(
            "RevokeCredential", credential_id=credential.id, ground=ground, request_reference="05/TTr-SNV"
        )
        assert answer.crl_number == before + count
        crl = await crl_of(registry)
        entry = crl.get_revoked_certificate_by_serial_number(int(credential.serial_number, 16))
        assert (number_of(crl), len(crl)) == (answer.crl_number, count)
        assert entry is not None
        stated = [extension.value.reason for extension in entry.extensions]
        assert stated == ([] if reason is None else [reason])
    again = await operator("RevokeCredential", credential_id=credential.id, ground=1, request_reference="x")
    assert again.crl_number == answer.crl_number
    for call in (
        operator("HoldCredential", credential_id=credential.id, reason=1, reporter="x"),
        operator("ReleaseCredential", credential_id=credential.id, confirmation="x"),
    ):
        with pytest.raises(CredentialRevoked):
            await call


async def test_a_revocation_stands_though_the_crl_cannot_be_signed_and_follows(stand: Stand) -> None:
    async with stand.signer.serving(stand.mesh, stand.signer_port), stand.running() as registry:
        await registry.ready()
        operator = await registry.client()
        credential = await operator.made_credential("late-crl")
        stand.signer.refuse = {"SignAuthority"}
        with pytest.raises(ServiceUnavailable):
            await operator("RevokeCredential", credential_id=credential.id, ground=1, request_reference="x")
        stopped = await operator("GetCredential", id=credential.id)
        assert stopped.status == common_pb2.CREDENTIAL_STATUS_REVOKED
        stand.signer.refuse = set()

        async def listed() -> bool:
            return len(await crl_of(registry)) == 1

        await eventually(listed, what="the CRL lists the certificate without anyone asking again")


async def test_crls_follow_their_schedule_with_rising_numbers(stand: Stand) -> None:
    settings = stand.settings(ca={"issuing_crl_interval_seconds": 1, "issuing_crl_validity_seconds": 10})
    async with stand.signer.serving(stand.mesh, stand.signer_port), stand.running(settings) as registry:
        await registry.ready()
        first = await crl_of(registry)

        async def next_one() -> bool:
            return number_of(await crl_of(registry)) >= number_of(first) + 2

        await eventually(next_one, what="two more scheduled CRLs")
        second = await crl_of(registry)
        assert second.next_update_utc is not None
        assert second.next_update_utc - second.last_update_utc == timedelta(seconds=10)
        assert number_of(await crl_of(registry, "root")) == 1
        assert registry.metric("kyso_registry_crl_age_seconds", ca="issuing") < 5


def test_a_crl_that_would_lose_a_revoked_certificate_is_not_published(tmp_path: Any) -> None:
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC).replace(microsecond=0)

    def made(number: int, serials: list[int]) -> Crl:
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ca")]))
            .last_update(now)
            .next_update(now + timedelta(days=1))
        )
        for serial in serials:
            entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(now).build()
            builder = builder.add_revoked_certificate(entry)
        der = builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)
        return Crl("issuing", number, now, now + timedelta(days=1), len(serials), b"", der)

    crl_service._require_nothing_lost(made(2, [1, 2]), made(1, [1]), [])
    with pytest.raises(Internal, match="would lose 1"):
        crl_service._require_nothing_lost(made(2, [2]), made(1, [1]), [])
    with pytest.raises(Internal, match="older"):
        crl_service._require_nothing_lost(made(1, [1]), made(2, [1]), [])
