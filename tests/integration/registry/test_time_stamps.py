"""The certificate of our time-stamp unit: issued once, resumed after a crash, renewed before its end with the same key."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID

from kyso.v1 import registry_pb2, registry_pb2_grpc
from services.kernel.errors import CallerNotAllowed, NotFound
from services.registry import main
from services.registry.config import RegistrySettings
from services.registry.domain.time_stamps import UnitCertificate, UnitState, due, resumable
from services.registry.store.unit import SqlStore
from tests.integration.registry.conftest import Registry, Stand
from tests.support.nats_server import eventually

UNIT: dict[str, Any] = {
    "common_name": "Kyso Test Time-Stamp Unit",
    "validity_days": 10,
    "renew_days_before": 2,
}
NOW = datetime(2026, 11, 22, tzinfo=UTC)


def settings(stand: Stand, replica: str = "registry-1") -> RegistrySettings:
    stand.signer.authorities.setdefault("tsa", ec.generate_private_key(ec.SECP256R1()))
    return stand.settings(replica, time_stamp=UNIT)


async def chain(registry: Registry, caller: str = "signer", name: str = "tsa") -> list[x509.Certificate]:
    stub = registry.stub(registry_pb2_grpc.PkiServiceStub, caller)
    answer = await stub.GetTimeStampCertificate(registry_pb2.GetTimeStampCertificateRequest(name=name))
    return [x509.load_der_x509_certificate(der) for der in answer.certificate_chain]


async def issued(registry: Registry, another_than: int = 0) -> list[x509.Certificate]:
    found: list[x509.Certificate] = []

    async def is_there() -> bool:
        try:
            found[:] = await chain(registry)
        except NotFound:
            return False
        return found[0].serial_number != another_than

    await eventually(is_there, what="the unit's certificate")
    return found


async def test_the_unit_gets_a_certificate_for_time_stamping_alone(stand: Stand) -> None:
    async with (
        stand.signer.serving(stand.mesh, stand.signer_port),
        stand.running(settings(stand)) as registry,
    ):
        unit, ca = await issued(registry)
        unit.verify_directly_issued_by(ca)
        own = stand.signer.authorities["tsa"].public_key()
        spki = Encoding.DER, PublicFormat.SubjectPublicKeyInfo
        assert unit.public_key().public_bytes(*spki) == own.public_bytes(*spki)
        usage = unit.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
        assert (usage.critical, list(usage.value)) == (True, [ExtendedKeyUsageOID.TIME_STAMPING])
        keys = unit.extensions.get_extension_for_class(x509.KeyUsage)
        assert keys.critical
        assert (keys.value.digital_signature, keys.value.key_cert_sign) == (True, False)
        present = {extension.oid for extension in unit.extensions}
        assert {ExtensionOID.CRL_DISTRIBUTION_POINTS, ExtensionOID.AUTHORITY_INFORMATION_ACCESS} <= present
        assert unit.not_valid_after_utc - unit.not_valid_before_utc == timedelta(days=10)
        with pytest.raises(CallerNotAllowed):
            await chain(registry, "gateway")
        with pytest.raises(NotFound):
            await chain(registry, name="another")
        lines = await (await registry.client())("ListAuditEvents", page_size=200)
        assert "kyso.time_stamp_unit.certified" in {event.type for event in lines.events}


async def test_without_the_setting_none_is_issued(registry: Registry) -> None:
    with pytest.raises(NotFound):
        await chain(registry)


async def test_a_crash_before_the_signature_leaves_the_same_certificate_to_be_signed(
    stand: Stand, store: SqlStore
) -> None:
    async def reserved() -> UnitCertificate | None:
        async with store.reading() as unit:
            return await unit.time_stamps.newest("tsa", UnitState.TBS_STORED)

    async with stand.signer.serving(stand.mesh, stand.signer_port):
        async with stand.running() as registry:
            await registry.ready()
        stand.signer.refuse.add("SignAuthority")
        async with stand.running(settings(stand)):

            async def is_reserved() -> bool:
                return await reserved() is not None

            await eventually(is_reserved, what="the to-be-signed bytes")
        kept = await reserved()
        stand.signer.refuse.clear()
        async with stand.running(settings(stand)) as registry:
            unit, _ = await issued(registry)
    assert kept is not None
    assert f"{unit.serial_number:x}" == kept.serial_number
    assert unit.tbs_certificate_bytes == kept.tbs


async def test_two_replicas_issue_one_certificate(stand: Stand, store: SqlStore) -> None:
    async with stand.signer.serving(stand.mesh, stand.signer_port):
        async with stand.running() as registry:
            await registry.ready()
        async with (
            stand.running(settings(stand)) as one,
            stand.running(settings(stand, "registry-2")) as other,
        ):
            assert await issued(one) == await issued(other)
            async with store.reading() as unit:
                assert await unit.time_stamps.newest("tsa", UnitState.TBS_STORED) is None


async def test_it_is_renewed_before_its_end_with_the_same_key(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with stand.signer.serving(stand.mesh, stand.signer_port):
        async with stand.running(settings(stand)) as registry:
            first, _ = await issued(registry)
        monkeypatch.setattr(main, "now", lambda: datetime.now(UTC) + timedelta(days=8, hours=1))
        async with stand.running(settings(stand)) as registry:
            second, _ = await issued(registry, first.serial_number)
    assert second.public_key() == first.public_key()
    assert second.not_valid_after_utc > first.not_valid_after_utc


def _certificate(**changes: Any) -> UnitCertificate:
    fields = {
        "key": "tsa",
        "serial_number": "1",
        "state": UnitState.ISSUED,
        "not_before": NOW - timedelta(days=5),
        "not_after": NOW + timedelta(days=5),
        "tbs": b"",
        "certificate": b"",
        "reserved_at": NOW,
        **changes,
    }
    return UnitCertificate(**fields)


@pytest.mark.parametrize(
    ("newest", "renew", "end", "expected"),
    [
        (None, 3, 10, True),
        (_certificate(), 3, 10, False),
        (_certificate(), 5, 10, True),
        (_certificate(not_after=NOW - timedelta(days=1)), 3, 10, True),
        # The CA ends when it ends: a certificate that gains no day is not issued again and again.
        (_certificate(), 6, 5, False),
        (_certificate(), 6, 6, True),
    ],
)
def test_when_a_certificate_is_due(
    newest: UnitCertificate | None, renew: int, end: int, expected: bool
) -> None:
    assert due(newest, NOW, timedelta(days=renew), NOW + timedelta(days=end)) is expected


def test_what_was_reserved_long_ago_is_not_signed_any_more() -> None:
    assert resumable(_certificate(reserved_at=NOW - timedelta(minutes=59)), NOW)
    assert not resumable(_certificate(reserved_at=NOW - timedelta(hours=1)), NOW)
    assert not resumable(None, NOW)
