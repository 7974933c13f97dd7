"""The verifier's process: builds every part, serves, and takes them down in the reverse order."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

from kyso.v1 import registry_pb2_grpc, verifier_pb2_grpc
from services.kernel.runtime import process
from services.kernel.runtime.config import ConfigError
from services.kernel.runtime.process import Runtime
from services.kernel.runtime.rpc import open_channel, serve_rpc
from services.kernel.typeface import Face, FontUnfit
from services.verifier import algorithms, online
from services.verifier.algorithm_policy import AlgorithmPolicy, PolicyFileError
from services.verifier.config import VerifierSettings
from services.verifier.egress.client import Egress, transport_of
from services.verifier.egress.hosts import Gates
from services.verifier.egress.metrics import EgressMetrics
from services.verifier.egress.time_stamps import TimeStampRelay
from services.verifier.evidence.collector import EvidenceCollector
from services.verifier.evidence.keeper import EvidenceKeeper
from services.verifier.evidence.sources import EvidenceCache, EvidenceSources
from services.verifier.metrics import VerifierMetrics
from services.verifier.online import OnlineExaminer
from services.verifier.servicer import Outside, VerifierServicer
from services.verifier.trust import freshness
from services.verifier.trust.registry import RegistryTrust
from services.verifier.workers.pool import WorkerPool

SERVICE = "kyso.v1.VerifierService"
ALLOW = {
    # The gateway has looked at its caller's access token (scope verify); the signer asks for itself, before a seal.
    f"/{SERVICE}/VerifyDocument": frozenset({"gateway", "signer"}),
    # With keep_evidence the registry checks the token that comes along: the gateway's word is not enough to keep anything.
    f"/{SERVICE}/ExamineDocument": frozenset({"gateway"}),
    f"/{SERVICE}/CollectEvidence": frozenset({"signer"}),
    f"/{SERVICE}/RequestTimeStamp": frozenset({"signer"}),
}


def utc_now() -> datetime:
    """The time, aware, UTC."""
    return datetime.now(UTC)


@asynccontextmanager
async def _outside(
    settings: VerifierSettings,
    trust: RegistryTrust,
    keeper: EvidenceKeeper,
    pool: WorkerPool,
    runtime: Runtime,
) -> AsyncIterator[Outside]:
    """What asks hosts outside; connections and what is being fetched end with the block."""
    egress, clock, log = settings.egress, time.monotonic, runtime.telemetry.log
    gates, cache = Gates(egress, clock), EvidenceCache.of(egress, clock)
    metrics = EgressMetrics.register(runtime.telemetry.registry, gates.paused, lambda: cache.bytes)
    async with transport_of(egress) as transport:
        door = Egress(egress, transport, gates, metrics, log)
        sources = EvidenceSources(door, cache, settings.evidence, egress.keep_seconds, metrics, utc_now)
        evidence = EvidenceCollector(sources, trust, settings.evidence, metrics, utc_now)
        passes = online.second_passes(runtime.telemetry.registry)
        examiner = OnlineExaminer(pool, evidence, settings.evidence.verify_seconds, passes, utc_now)
        relay = TimeStampRelay(door, settings.time_stamp_authorities)
        try:
            yield Outside(evidence, relay, keeper, examiner)
        finally:
            await cache.close()


def _policy(settings: VerifierSettings) -> AlgorithmPolicy:
    path = settings.trust.algorithm_policy_file
    try:
        return algorithms.default_policy() if path is None else algorithms.read_policy(path)
    except PolicyFileError as error:
        raise ConfigError([f"trust.algorithm_policy_file: {error}"]) from error


def _font(settings: VerifierSettings) -> Path | None:
    file = settings.reports.font_file
    try:
        if file is not None:
            Face.read(file)
    except (OSError, FontUnfit) as error:
        raise ConfigError([f"reports.font_file: {error}"]) from error
    return file


async def serve(settings: VerifierSettings, runtime: Runtime) -> None:
    """Serve until the runtime is asked to stop."""
    async with AsyncExitStack() as stack:
        channel = await stack.enter_async_context(open_channel(settings.registry))
        stub = registry_pb2_grpc.PkiServiceStub(channel)
        trust = RegistryTrust(stub, _policy(settings), settings.trust, utc_now)
        freshness.measure(runtime.telemetry.registry, lambda: trust.freshness, utc_now)
        pool = await stack.enter_async_context(WorkerPool.open(settings.limits, _font(settings)))
        metrics = VerifierMetrics.register(
            runtime.telemetry.registry, trust.age_seconds, lambda: pool.lost, lambda: pool.given_up
        )
        keeper = EvidenceKeeper(channel)
        outside = await stack.enter_async_context(_outside(settings, trust, keeper, pool, runtime))
        servicer = VerifierServicer(pool, trust, settings.limits, metrics, utc_now, outside)
        runtime.health.register("trust", trust.check)
        await stack.enter_async_context(
            serve_rpc(
                settings.rpc,
                runtime,
                lambda server: verifier_pb2_grpc.add_VerifierServiceServicer_to_server(servicer, server),
                (SERVICE,),
                ALLOW,
            )
        )
        await runtime.until_stopped()


def main() -> None:
    """Entry point of `python -m services.verifier --config PATH`."""
    process.main("verifier", VerifierSettings, serve, check=_policy)
