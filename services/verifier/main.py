"""The verifier's process: builds every part, serves, and takes them down in the reverse order."""

from __future__ import annotations

from contextlib import AsyncExitStack
from datetime import UTC, datetime

from kyso.v1 import registry_pb2_grpc, verifier_pb2_grpc
from services.kernel.runtime import process
from services.kernel.runtime.process import Runtime
from services.kernel.runtime.rpc import open_channel, serve_rpc
from services.verifier.config import VerifierSettings
from services.verifier.metrics import VerifierMetrics
from services.verifier.servicer import VerifierServicer
from services.verifier.trust import RegistryTrust
from services.verifier.workers import WorkerPool

SERVICE = "kyso.v1.VerifierService"
ALLOW = {f"/{SERVICE}/VerifyDocument": frozenset({"gateway"})}


def utc_now() -> datetime:
    """The time, aware, UTC."""
    return datetime.now(UTC)


async def serve(settings: VerifierSettings, runtime: Runtime) -> None:
    """Serve until the runtime is asked to stop."""
    async with AsyncExitStack() as stack:
        channel = await stack.enter_async_context(open_channel(settings.registry))
        trust = RegistryTrust(registry_pb2_grpc.PkiServiceStub(channel), settings.trust, utc_now)
        pool = await stack.enter_async_context(WorkerPool.open(settings.limits))
        metrics = VerifierMetrics.register(
            runtime.telemetry.registry, trust.age_seconds, lambda: pool.lost, lambda: pool.given_up
        )
        servicer = VerifierServicer(pool, trust, settings.limits, metrics, utc_now)
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
    process.main("verifier", VerifierSettings, serve)
