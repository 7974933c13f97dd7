"""The signer's composition root: the only file that knows every concrete class."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import grpc
from prometheus_client import CollectorRegistry

from kyso.v1 import signer_pb2_grpc
from services.kernel.runtime import process
from services.kernel.runtime.bus import Bus
from services.kernel.runtime.database import Database, migrate
from services.kernel.runtime.outbox import Relay
from services.kernel.runtime.process import Runtime
from services.kernel.runtime.rpc import open_channel, serve_rpc
from services.kernel.runtime.telemetry import Telemetry
from services.kernel.values import KeyAlgorithm
from services.signer.authority import Authority, AuthorityRule
from services.signer.blobs import FileBlobStore
from services.signer.config import AUTHORITY_GROUP, DOCUMENT_GROUP, DocumentSettings, SignerSettings
from services.signer.consumers import DirectoryFeed, JobFeed
from services.signer.directory import CredentialDirectory, DirectoryLimits
from services.signer.documents.documents import DocumentWorkers
from services.signer.failpoints import BeforePublish, Failpoint
from services.signer.hsm.hsm import Hsm
from services.signer.metrics import SignerMetrics
from services.signer.reconcile import Keeping, Reconciler
from services.signer.registry_rpc import RegistryRpc
from services.signer.service.documents import DocumentParts, DocumentSigning
from services.signer.service.extension import Extension
from services.signer.service.hashes import HashSigning
from services.signer.service.jobs import JobParts, JobSigning
from services.signer.service.keys import KeyService
from services.signer.service.levels import LevelRaising
from services.signer.service.preparation import Preparing
from services.signer.service.steps import SigningParts, SigningSteps
from services.signer.servicer import ALLOW, SERVICE_NAME, SignerServicer
from services.signer.servicer.rpc import UseCases
from services.signer.store.committer import Committer
from services.signer.store.jobs import SqlJobStore
from services.signer.store.keys import SqlKeyStore
from services.signer.store.signings import SqlSigningStore
from services.signer.store.tables import outbox
from services.signer.time_stamps import TimeStampGround, TimeStampService, open_time_stamps
from services.signer.tokens import TokenVerifier
from services.signer.verifier_rpc import VerifierRpc

OUTBOX_LAG_SECONDS = 3600.0
MIGRATIONS = Path(__file__).parent / "migrations"


def utc_now() -> datetime:
    """Tell the time."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class _Ground:
    """What the use cases stand on: everything that was opened."""

    hsm: Hsm
    documents: DocumentWorkers
    bus: Bus
    relay: Relay
    store: SqlSigningStore
    keys: SqlKeyStore
    jobs: SqlJobStore
    blobs: FileBlobStore
    tokens: TokenVerifier
    directory: CredentialDirectory
    verifier: VerifierRpc
    time_stamps: TimeStampService
    metrics: SignerMetrics
    failpoint: Failpoint


async def serve(settings: SignerSettings, runtime: Runtime) -> None:
    """Start in order, serve, stop in the reverse order: the server drains first, the HSM closes last."""
    async with AsyncExitStack() as stack:
        ground = await _open(settings, runtime, stack)
        steps = SigningSteps(_parts(settings, ground))
        _ = await stack.enter_async_context(runtime.background("leases", steps.keep_leases()))
        stack.push_async_callback(steps.drain)
        use_cases = _use_cases(settings, ground, steps)
        keeping = Keeping(settings.replica, timedelta(hours=settings.idempotency_hours))
        seen = (runtime.telemetry, ground.metrics)
        reconciler = Reconciler(ground.store, ground.jobs, ground.blobs, keeping, utc_now, seen)
        # What this replica left behind is settled before it takes the first call.
        left = await reconciler.at_start()
        runtime.telemetry.log.info("reconciled_at_start", operations=left)
        _ = await stack.enter_async_context(runtime.background("reconcile", reconciler.run()))
        for number, consumer in enumerate(JobFeed(use_cases.jobs, runtime.telemetry).consumers(ground.bus)):
            _ = await stack.enter_async_context(runtime.background(f"jobs-{number}", consumer.run()))
        servicer = SignerServicer(use_cases)

        def add(server: grpc.aio.Server) -> None:
            signer_pb2_grpc.add_SignerServiceServicer_to_server(servicer, server)

        await stack.enter_async_context(serve_rpc(settings.rpc, runtime, add, (SERVICE_NAME,), ALLOW))
        await runtime.until_stopped()


async def _open(settings: SignerSettings, runtime: Runtime, stack: AsyncExitStack) -> _Ground:
    telemetry, health = runtime.telemetry, runtime.health
    metrics = SignerMetrics.register(telemetry.registry)
    failpoint = Failpoint(settings.faults.failpoint, settings.faults.after)
    groups = {DOCUMENT_GROUP: settings.hsm.documents, AUTHORITY_GROUP: settings.hsm.authority}
    hsm = await stack.enter_async_context(Hsm.open(groups, telemetry))
    health.register("hsm", hsm.check)
    documents = await stack.enter_async_context(_document_workers(settings.documents, telemetry))
    health.register("documents", documents.check)
    database = await Database.open(settings.database, MIGRATIONS)
    stack.push_async_callback(database.close)
    health.register("database", database.check)
    bus = await stack.enter_async_context(Bus.opened(settings.bus, runtime))
    relay = Relay(database, outbox, BeforePublish(bus, failpoint), telemetry)
    _ = await stack.enter_async_context(runtime.background("outbox", relay.run()))
    health.register("outbox", partial(_check_outbox, telemetry.registry))
    # A renewed lease has half of its time left, or more, when the database goes away.
    patience = settings.lease_seconds / 2
    committer = Committer(database, settings.replica, telemetry, metrics, relay.notify, patience)
    _ = await stack.enter_async_context(runtime.background("committer", committer.run()))
    registry = RegistryRpc(await stack.enter_async_context(open_channel(settings.registry)), settings.replica)
    verifier = VerifierRpc(await stack.enter_async_context(open_channel(settings.verifier)))
    tokens = TokenVerifier(registry.token_keys)
    health.register("tokens", tokens.check)
    keys = SqlKeyStore(database)
    ground = TimeStampGround(
        database=database,
        keys=keys,
        hsm=hsm,
        fetch_chain=registry.time_stamp_chain,
        outside=verifier.request_time_stamp,
        clock=utc_now,
    )
    time_stamps = await stack.enter_async_context(open_time_stamps(settings.time_stamp, ground, runtime))
    return _Ground(
        hsm=hsm,
        documents=documents,
        bus=bus,
        relay=relay,
        store=SqlSigningStore(database, committer, settings.replica),
        keys=keys,
        jobs=SqlJobStore(database, relay.notify),
        blobs=FileBlobStore(settings.blobs.folder),
        tokens=tokens,
        directory=await _directory(settings, runtime, stack, registry, bus, metrics),
        verifier=verifier,
        time_stamps=time_stamps,
        metrics=metrics,
        failpoint=failpoint,
    )


def _document_workers(
    limits: DocumentSettings, telemetry: Telemetry
) -> AbstractAsyncContextManager[DocumentWorkers]:
    return DocumentWorkers.open(
        limits.workers,
        limits.timeout_seconds,
        limits.max_document_bytes,
        telemetry,
        require_confinement=limits.require_confinement,
        font_file=limits.font_file,
    )


async def _check_outbox(registry: CollectorRegistry) -> str | None:
    # The bus may be away for long: signing goes on, and the ledger keeps everything. This is the time to call somebody.
    lag = registry.get_sample_value("kyso_outbox_lag_seconds") or 0.0
    return f"the oldest event has waited {lag:.0f} s to be published" if lag > OUTBOX_LAG_SECONDS else None


def _parts(settings: SignerSettings, ground: _Ground) -> SigningParts:
    return SigningParts(
        store=ground.store,
        keys=ground.keys,
        directory=ground.directory,
        hsm=ground.hsm,
        clock=utc_now,
        metrics=ground.metrics,
        failpoint=ground.failpoint,
        lease=timedelta(seconds=settings.lease_seconds),
    )


def _use_cases(settings: SignerSettings, ground: _Ground, steps: SigningSteps) -> UseCases:
    hashes = HashSigning(steps)
    levels = LevelRaising(ground.time_stamps, ground.verifier, ground.metrics.levels)
    documents = DocumentSigning(steps, DocumentParts(ground.documents, levels, ground.verifier))
    parts = JobParts(
        jobs=ground.jobs,
        blobs=ground.blobs,
        tokens=ground.tokens,
        documents=ground.documents,
        replica=settings.replica,
        keep=timedelta(seconds=settings.blobs.keep_seconds),
        max_document_bytes=settings.documents.max_document_bytes,
    )
    return UseCases(
        tokens=ground.tokens,
        hashes=hashes,
        keys=KeyService(ground.keys, ground.hsm, DOCUMENT_GROUP, ground.store, utc_now),
        authority=Authority(
            _rules(settings), ground.keys, ground.hsm, AUTHORITY_GROUP, ground.store, utc_now
        ),
        store=ground.store,
        documents=documents,
        jobs=JobSigning(steps, hashes, documents, parts),
        extension=Extension(ground.documents, levels, utc_now),
        preparing=Preparing(steps),
        time_stamps=ground.time_stamps,
    )


async def _directory(
    settings: SignerSettings,
    runtime: Runtime,
    stack: AsyncExitStack,
    registry: RegistryRpc,
    bus: Bus,
    metrics: SignerMetrics,
) -> CredentialDirectory:
    limits = DirectoryLimits(
        heartbeat=settings.directory.heartbeat_limit_seconds,
        entry=settings.directory.entry_seconds,
        entries=settings.directory.entries,
    )
    feed = DirectoryFeed(bus, settings.replica, runtime.telemetry)
    directory = CredentialDirectory(registry.resolve, feed.confirm, registry.probe, limits)
    stack.push_async_callback(directory.close)
    await feed.follow(directory)
    runtime.health.register("directory", directory.check)
    metrics.directory_age.set_function(lambda: directory.age)
    metrics.directory_entries.set_function(lambda: len(directory))
    return directory


def _rules(settings: SignerSettings) -> dict[str, AuthorityRule]:
    return {
        key.name: AuthorityRule(
            name=key.name,
            role=key.role,
            algorithm=KeyAlgorithm.parse(key.algorithm),
            may_sign=frozenset(key.may_sign),
            create=key.create,
        )
        for key in settings.authority.keys
    }


async def migrate_tables(settings: SignerSettings) -> None:
    """Bring the signer's tables up to date."""
    await migrate(settings.database, MIGRATIONS)


def run() -> None:
    """Be the process."""
    process.main("signer", SignerSettings, serve, migrate=migrate_tables)
