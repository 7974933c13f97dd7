"""Composition root of the registry: the only module that knows every concrete class."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import grpc

from kyso.v1 import registry_pb2, registry_pb2_grpc
from services.kernel import events
from services.kernel.errors import DomainError
from services.kernel.runtime import database, process
from services.kernel.runtime.bus import Bus
from services.kernel.runtime.config import read_secret
from services.kernel.runtime.consumer import ConsumerLimits, PullConsumer
from services.kernel.runtime.database import Database
from services.kernel.runtime.outbox import Relay
from services.kernel.runtime.process import Runtime
from services.kernel.runtime.rpc import open_channel, serve_rpc
from services.registry import trust_lists
from services.registry.anchors import read_anchors, read_outside
from services.registry.config import AuthorityNames, CaSettings, RegistrySettings
from services.registry.consumers import DURABLE, SIGNATURE_EVENTS, AuditConsumer, BusDirectory
from services.registry.domain.anchors import Anchor
from services.registry.domain.authority import ISSUING, ROOT
from services.registry.metrics import RegistryMetrics, trust_list_gauge
from services.registry.service.audit import AuditService
from services.registry.service.authorities import AuthorityPlan, AuthorityService, CaPlan
from services.registry.service.chronicle import Chronicle
from services.registry.service.clients import ClientService
from services.registry.service.credentials import CredentialService
from services.registry.service.crls import CrlSchedule, CrlService
from services.registry.service.directory import DirectoryService, Pace
from services.registry.service.evidence import EvidencePolicy, EvidenceService
from services.registry.service.holds import HoldService
from services.registry.service.issuing import IssuingService
from services.registry.service.outside_anchors import OutsideAnchors
from services.registry.service.parties import PartyService
from services.registry.service.time_stamps import TimeStampCertificates, UnitPlan
from services.registry.service.tokens import TokenService
from services.registry.servicer.evidence import EvidenceLimits, EvidenceServicer
from services.registry.servicer.platform import DirectoryServicer, PkiServicer, TokenServicer
from services.registry.servicer.registry import RegistryServicer, UseCases
from services.registry.signer_rpc import RpcSigner
from services.registry.store import tables
from services.registry.store.unit import SqlStore
from services.registry.tokenkeys import TokenKeys
from services.registry.x509 import CaName

MIGRATIONS = Path(__file__).with_name("migrations")
AUDIT_ATTEMPTS = 50
"""An entry that waits for one before it is tried for a long time: the signer may be away."""
HOUSEKEEPING_SECONDS = 60.0
FIRST_PAUSE_SECONDS, LAST_PAUSE_SECONDS = 0.5, 10.0
"""Between tries to make the CA while the signer is not up yet."""

_GATEWAY, _SIGNER, _VERIFIER = "gateway", "signer", "verifier"
_SERVICES = ("RegistryService", "EvidenceService", "TokenService", "DirectoryService", "PkiService")
_CALLERS: dict[str, frozenset[str]] = {
    # Only who judges may have evidence kept: what is kept is then what a verdict went by.
    "EvidenceService/KeepEvidence": frozenset({_VERIFIER}),
    "EvidenceService/GetEvidence": frozenset({_GATEWAY}),
    "EvidenceService/ListEvidence": frozenset({_GATEWAY}),
    "EvidenceService/FetchEvidenceFile": frozenset({_GATEWAY}),
    "EvidenceService/DeleteEvidence": frozenset({_GATEWAY}),
    "TokenService/IssueToken": frozenset({_GATEWAY}),
    "TokenService/GetTokenKeys": frozenset({_GATEWAY, _SIGNER, _VERIFIER}),
    "DirectoryService/ResolveCredential": frozenset({_SIGNER}),
    "PkiService/GetCrl": frozenset({_GATEWAY}),
    "PkiService/GetCaCertificate": frozenset({_GATEWAY}),
    "PkiService/GetTrust": frozenset({_VERIFIER}),
    "PkiService/GetTimeStampCertificate": frozenset({_SIGNER}),
}


def now() -> datetime:
    """Return the time, aware UTC."""
    return datetime.now(UTC)


def allow_list() -> dict[str, frozenset[str]]:
    """Return who may call what; RegistryService is the gateway's, which brings a client's token."""
    methods = registry_pb2.DESCRIPTOR.services_by_name["RegistryService"].methods
    named = {**{f"RegistryService/{method.name}": frozenset({_GATEWAY}) for method in methods}, **_CALLERS}
    return {f"/kyso.v1.{name}": callers for name, callers in named.items()}


@dataclass(frozen=True, slots=True)
class Room:
    """Everything that serves, put together."""

    use: UseCases
    directory: DirectoryService
    authorities: AuthorityService
    issuing: IssuingService
    crls: CrlService
    time_stamps: TimeStampCertificates
    evidence: EvidenceService
    evidence_limits: EvidenceLimits

    def add(self, server: grpc.aio.Server) -> None:
        """Register the services."""
        evidence = EvidenceServicer(self.use.tokens, self.evidence, self.evidence_limits)
        registry_pb2_grpc.add_EvidenceServiceServicer_to_server(evidence, server)
        registry_pb2_grpc.add_RegistryServiceServicer_to_server(RegistryServicer(self.use), server)
        registry_pb2_grpc.add_TokenServiceServicer_to_server(TokenServicer(self.use.tokens), server)
        registry_pb2_grpc.add_DirectoryServiceServicer_to_server(DirectoryServicer(self.directory), server)
        pki = PkiServicer(self.authorities, self.time_stamps, now)
        registry_pb2_grpc.add_PkiServiceServicer_to_server(pki, server)


def assemble(
    settings: RegistrySettings,
    plan: CaPlan,
    runtime: Runtime,
    store: SqlStore,
    signer: RpcSigner,
    bus: BusDirectory,
) -> Room:
    """Put the use cases together."""
    log = runtime.telemetry.log
    metrics = RegistryMetrics.register(runtime.telemetry.registry)
    chronicle = Chronicle(settings.replica, now)
    pace = Pace(
        settings.directory.heartbeat_interval_seconds,
        settings.directory.heartbeat_limit_seconds,
        settings.directory.cache_seconds,
    )
    directory = DirectoryService(store, bus, pace, now, metrics, log)
    authorities = AuthorityService(store, signer, plan, chronicle, now, log)
    crls = CrlService(store, signer, _schedules(settings), chronicle, now, log)
    crls.measure(metrics)
    plan.outside.measure(trust_list_gauge(runtime.telemetry.registry), now)
    issuing = IssuingService(store, signer, authorities, directory, chronicle, metrics)
    units = TimeStampCertificates(store, signer, authorities, chronicle, _unit_plan(settings), (metrics, log))
    keys = TokenKeys.open(settings.tokens.key_file)
    use = UseCases(
        tokens=TokenService(store, keys, settings.tokens.lifetime_seconds, now, metrics),
        parties=PartyService(store, chronicle, now),
        clients=ClientService(store, chronicle, now),
        credentials=CredentialService(store, signer, issuing, directory, chronicle, now),
        holds=HoldService(store, directory, crls, chronicle, now),
        audit=AuditService(store, signer, metrics, log),
    )
    kept = EvidenceService(store, chronicle, now, _evidence_policy(settings), (metrics, log))
    limits = EvidenceLimits(settings.evidence.max_bytes, settings.evidence.max_buffered_bytes)
    return Room(use, directory, authorities, issuing, crls, units, kept, limits)


def _ca_plan(settings: RegistrySettings) -> CaPlan:
    def plan(names: AuthorityNames) -> AuthorityPlan:
        return AuthorityPlan(
            CaName(names.organization, names.common_name), timedelta(days=names.validity_days)
        )

    ca = settings.ca
    return CaPlan(plan(ca.root), plan(ca.issuing), ca.public_base_url, _outside_anchors(ca))


def _outside_anchors(settings: CaSettings) -> OutsideAnchors:
    unlimited = read_outside(settings.outside_anchor_files, settings.outside_intermediate_files)
    fixed = (*map(Anchor, unlimited.anchors), *read_anchors(settings.outside_anchors))
    lists = {one.name: partial(trust_lists.read, one.name, one.file) for one in settings.trust_lists}
    return OutsideAnchors(fixed, unlimited.intermediates, lists)


def _unit_plan(settings: RegistrySettings) -> UnitPlan | None:
    unit = settings.time_stamp
    if unit is None:
        return None
    return UnitPlan(
        unit.key,
        CaName(unit.organization, unit.common_name),
        timedelta(days=unit.validity_days),
        timedelta(days=unit.renew_days_before),
    )


def _evidence_policy(settings: RegistrySettings) -> EvidencePolicy:
    days = settings.evidence.keep_days
    return EvidencePolicy(settings.evidence.max_agency_bytes, timedelta(days=days) if days else None)


def _schedules(settings: RegistrySettings) -> dict[str, CrlSchedule]:
    ca = settings.ca
    return {
        ROOT: CrlSchedule(
            timedelta(seconds=ca.root_crl_interval_seconds), timedelta(seconds=ca.root_crl_validity_seconds)
        ),
        ISSUING: CrlSchedule(
            timedelta(seconds=ca.issuing_crl_interval_seconds),
            timedelta(seconds=ca.issuing_crl_validity_seconds),
        ),
    }


async def serve(settings: RegistrySettings, runtime: Runtime) -> None:
    """Build everything, serve, and take it down in the reverse order."""
    plan = _ca_plan(settings)
    secret = read_secret(settings.bootstrap.client_secret_file).get_secret_value()
    async with AsyncExitStack() as stack:
        opened = await Database.open(settings.database, MIGRATIONS)
        stack.push_async_callback(opened.close)
        runtime.health.register("database", opened.check)
        channel = open_channel(settings.signer)
        stack.push_async_callback(channel.close)
        bus = await stack.enter_async_context(Bus.opened(settings.bus, runtime))
        relay = Relay(opened, tables.outbox, bus, runtime.telemetry)
        directory = BusDirectory(bus, relay)
        room = assemble(settings, plan, runtime, SqlStore(opened), RpcSigner(channel), directory)
        await room.use.clients.ensure_operator(
            settings.bootstrap.client_id, secret, settings.bootstrap.agency_name
        )
        stack.push_async_callback(
            await bus.subscribe_core(events.DIRECTORY_CONFIRMED, room.directory.confirmed)
        )
        await _start_background(settings, runtime, stack, room, (bus, relay))
        names = [f"kyso.v1.{name}" for name in _SERVICES]
        await stack.enter_async_context(serve_rpc(settings.rpc, runtime, room.add, names, allow_list()))
        await runtime.until_stopped()


async def _start_background(
    settings: RegistrySettings,
    runtime: Runtime,
    stack: AsyncExitStack,
    room: Room,
    moving: tuple[Bus, Relay],
) -> None:
    bus, relay = moving
    ca_made = asyncio.Event()

    async def ca_reason() -> str | None:
        return None if ca_made.is_set() else "the CA is not made yet: it waits for the signer"

    async def ca_life() -> None:
        pause = FIRST_PAUSE_SECONDS
        while settings.ca.create_at_first_start and not ca_made.is_set():
            try:
                await room.authorities.ensure()
                await room.crls.publish_due()
            except DomainError as error:
                runtime.telemetry.log.warning("ca_waits", code=error.code, message=error.message)
            if await room.authorities.published():
                ca_made.set()
            else:
                await asyncio.sleep(pause)
                pause = min(2 * pause, LAST_PAUSE_SECONDS)
        await room.crls.run(settings.ca.reconcile_seconds)

    if settings.ca.create_at_first_start:
        runtime.health.register("ca", ca_reason)
    outside = room.authorities.plan.outside
    await room.authorities.refresh_trust_lists()
    if outside.named:
        runtime.health.register("trust-lists", outside.reason)
    log = runtime.telemetry.log
    works = {
        "trust-lists": _again(runtime, settings.ca.trust_list_seconds, room.authorities.refresh_trust_lists),
        "relay": relay.run(),
        "ca": ca_life(),
        "heartbeat": room.directory.beat(),
        "issuing": _again(runtime, settings.ca.reconcile_seconds, lambda: room.issuing.reconcile(log)),
        "time-stamp-certificate": _again(runtime, settings.ca.reconcile_seconds, room.time_stamps.ensure),
        "readers": _again(runtime, HOUSEKEEPING_SECONDS, room.directory.forget_readers),
        "evidence": _again(runtime, HOUSEKEEPING_SECONDS, room.evidence.forget_expired),
        "audit": _audit_consumer(settings, runtime, room, bus).run(),
        "audit-reconciliation": room.use.audit.run(settings.audit.reconcile_seconds),
    }
    for name, work in works.items():
        # The stack ends the task; that it ended by itself is the runtime's to tell.
        _ = await stack.enter_async_context(runtime.background(name, work))


def _audit_consumer(settings: RegistrySettings, runtime: Runtime, room: Room, bus: Bus) -> PullConsumer:
    batch = settings.audit.batch
    handler = AuditConsumer(room.use.audit, batch, settings.audit.gather_seconds, runtime.telemetry.log)
    limits = ConsumerLimits(batch=batch, attempts=AUDIT_ATTEMPTS)
    return PullConsumer(bus, events.STREAM_EVENTS, DURABLE, SIGNATURE_EVENTS, handler.handle, limits)


async def _again(runtime: Runtime, seconds: float, work: Callable[[], Awaitable[None]]) -> None:
    """Do `work` every so often until cancelled; what fails is tried again at the next turn."""
    while True:
        try:
            await work()
        except DomainError as error:
            runtime.telemetry.log.warning("housekeeping_waits", code=error.code, message=error.message)
        except Exception as error:  # noqa: BLE001
            # Nobody foresaw it, and it would come again at each start: housekeeping must not end what serves.
            runtime.telemetry.log.warning("housekeeping_failed", error=type(error).__name__)
        await asyncio.sleep(seconds)


async def migrate(settings: RegistrySettings) -> None:
    """Bring the tables up to date."""
    await database.migrate(settings.database, MIGRATIONS)


def run() -> None:
    """Be the registry's process."""
    process.main("registry", RegistrySettings, serve, migrate=migrate)
