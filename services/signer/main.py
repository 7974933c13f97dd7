"""The signer's composition root: the only file that knows every concrete class."""

from __future__ import annotations

from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc

from kyso.v1 import signer_pb2_grpc
from services.kernel.runtime import process
from services.kernel.runtime.bus import Bus
from services.kernel.runtime.database import Database, migrate
from services.kernel.runtime.outbox import Relay
from services.kernel.runtime.process import Runtime
from services.kernel.runtime.rpc import open_channel, serve_rpc
from services.kernel.values import KeyAlgorithm
from services.signer.authority import Authority, AuthorityRule
from services.signer.config import AUTHORITY_GROUP, DOCUMENT_GROUP, SignerSettings
from services.signer.consumers import DirectoryFeed
from services.signer.directory import CredentialDirectory, DirectoryLimits
from services.signer.failpoints import Failpoint
from services.signer.hsm import Hsm
from services.signer.metrics import SignerMetrics
from services.signer.registry_rpc import RegistryRpc
from services.signer.service.hashes import HashSigning
from services.signer.service.keys import KeyService
from services.signer.service.steps import SigningParts, SigningSteps
from services.signer.servicer import ALLOW, SERVICE_NAME, SignerServicer
from services.signer.servicer.rpc import UseCases
from services.signer.store.committer import Committer
from services.signer.store.keys import SqlKeyStore
from services.signer.store.signings import SqlSigningStore
from services.signer.store.tables import outbox
from services.signer.tokens import TokenVerifier

MIGRATIONS = Path(__file__).parent / "migrations"


def utc_now() -> datetime:
    """Tell the time."""
    return datetime.now(UTC)


async def serve(settings: SignerSettings, runtime: Runtime) -> None:
    """Start in order, serve, stop in the reverse order: the server drains first, the HSM closes last."""
    telemetry = runtime.telemetry
    metrics = SignerMetrics.register(telemetry.registry)
    failpoint = Failpoint(settings.faults.failpoint, settings.faults.after)
    async with AsyncExitStack() as stack:
        groups = {DOCUMENT_GROUP: settings.hsm.documents, AUTHORITY_GROUP: settings.hsm.authority}
        hsm = await stack.enter_async_context(Hsm.open(groups, telemetry))
        runtime.health.register("hsm", hsm.check)
        database = await Database.open(settings.database, MIGRATIONS)
        stack.push_async_callback(database.close)
        runtime.health.register("database", database.check)
        bus = await stack.enter_async_context(Bus.opened(settings.bus, runtime))
        relay = Relay(database, outbox, bus, telemetry)
        _ = await stack.enter_async_context(runtime.background("outbox", relay.run()))
        registry = RegistryRpc(
            await stack.enter_async_context(open_channel(settings.registry)), settings.replica
        )
        tokens = TokenVerifier(registry.token_keys)
        runtime.health.register("tokens", tokens.check)
        feed = DirectoryFeed(bus, settings.replica, telemetry)
        directory = _directory(settings, registry, feed)
        stack.push_async_callback(directory.close)
        await feed.follow(directory)
        runtime.health.register("directory", directory.check)
        metrics.directory_age.set_function(lambda: directory.age)
        metrics.directory_entries.set_function(lambda: len(directory))
        committer = Committer(database, settings.replica, telemetry, metrics, relay.notify)
        _ = await stack.enter_async_context(runtime.background("committer", committer.run()))
        store, keys = SqlSigningStore(database, committer, settings.replica), SqlKeyStore(database)
        steps = SigningSteps(
            SigningParts(
                store=store,
                keys=keys,
                directory=directory,
                hsm=hsm,
                clock=utc_now,
                metrics=metrics,
                failpoint=failpoint,
                lease=timedelta(seconds=settings.lease_seconds),
            )
        )
        stack.push_async_callback(steps.drain)
        servicer = SignerServicer(
            UseCases(
                tokens=tokens,
                hashes=HashSigning(steps),
                keys=KeyService(keys, hsm, DOCUMENT_GROUP, utc_now),
                authority=Authority(_rules(settings), keys, hsm, AUTHORITY_GROUP, utc_now),
                store=store,
            )
        )

        def add(server: grpc.aio.Server) -> None:
            signer_pb2_grpc.add_SignerServiceServicer_to_server(servicer, server)

        await stack.enter_async_context(serve_rpc(settings.rpc, runtime, add, (SERVICE_NAME,), ALLOW))
        await runtime.until_stopped()


def _directory(settings: SignerSettings, registry: RegistryRpc, feed: DirectoryFeed) -> CredentialDirectory:
    limits = DirectoryLimits(
        heartbeat=settings.directory.heartbeat_limit_seconds,
        entry=settings.directory.entry_seconds,
        entries=settings.directory.entries,
    )
    return CredentialDirectory(registry.resolve, feed.confirm, registry.probe, limits)


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
