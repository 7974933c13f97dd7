"""Composition root of the gateway: the only file that knows every concrete class."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AsyncExitStack
from datetime import UTC, datetime

from grpc.aio import Channel

from gateway.auth import TokenVerifier
from gateway.config import GatewaySettings
from gateway.edge import Gateway, GatewayMetrics
from gateway.endpoint import Endpoint, Table
from gateway.routes.agencies import Agencies
from gateway.routes.audit import Audit
from gateway.routes.batches import Batches
from gateway.routes.clients import Clients
from gateway.routes.credentials import Credentials
from gateway.routes.documents import Documents
from gateway.routes.evidence import Evidence
from gateway.routes.hashes import Hashes
from gateway.routes.pki import Pki
from gateway.routes.platform import Platform
from gateway.routes.signatures import Signatures
from gateway.routes.subscribers import Subscribers
from gateway.routes.timestamp import TimeStamps
from gateway.routes.token import Token
from gateway.routes.verifications import Verifications
from gateway.server import serve_http
from kyso.v1.registry_pb2 import GetTokenKeysRequest
from kyso.v1.registry_pb2_grpc import (
    EvidenceServiceStub,
    PkiServiceStub,
    RegistryServiceStub,
    TokenServiceStub,
)
from kyso.v1.signer_pb2_grpc import SignerServiceStub
from kyso.v1.verifier_pb2_grpc import VerifierServiceStub
from services.kernel.errors import ServiceUnavailable
from services.kernel.runtime import process
from services.kernel.runtime.process import Runtime
from services.kernel.runtime.rpc import open_channel

KEYS_TIMEOUT_SECONDS = 3.0


def utc_now() -> datetime:
    """Return the time, aware UTC."""
    return datetime.now(UTC)


def build(settings: GatewaySettings, runtime: Runtime, channels: Mapping[str, Channel]) -> Gateway:
    """Put the application together; `channels` has "signer", "verifier" and "registry"."""
    signer = SignerServiceStub(channels["signer"])
    verifier = VerifierServiceStub(channels["verifier"])
    registry = RegistryServiceStub(channels["registry"])
    token_service = TokenServiceStub(channels["registry"])

    async def fetch_keys() -> str:
        answer = await token_service.GetTokenKeys(GetTokenKeysRequest(), timeout=KEYS_TIMEOUT_SECONDS)
        return answer.jwks

    tokens = TokenVerifier(fetch_keys, utc_now)

    async def token_keys() -> str | None:
        if tokens.ready:
            return None
        try:
            await tokens.refresh(0)
        except ServiceUnavailable as error:
            return error.message
        return None

    runtime.health.register("token_keys", token_keys)
    limits = settings.limits
    pki = Pki(PkiServiceStub(channels["registry"]), utc_now)
    platform = Platform(runtime.health, channels, settings.http.public_url)
    endpoints: list[Endpoint] = [
        *Token(token_service, settings).endpoints(),
        *Hashes(signer, limits).endpoints(),
        *Signatures(signer, limits).endpoints(),
        *Batches(signer, limits).endpoints(),
        *Documents(signer, limits).endpoints(),
        *Verifications(verifier, limits).endpoints(),
        *Evidence(EvidenceServiceStub(channels["registry"]), limits).endpoints(),
        *Credentials(registry, limits, pki.forget).endpoints(),
        *Agencies(registry, limits).endpoints(),
        *Subscribers(registry, limits).endpoints(),
        *Clients(registry, limits).endpoints(),
        *Audit(registry).endpoints(),
        *pki.endpoints(),
        *TimeStamps(signer, limits).endpoints(),
        *platform.endpoints(),
    ]
    platform.describe(endpoints)
    metrics = GatewayMetrics.register(runtime.telemetry.registry)
    return Gateway(Table(endpoints), tokens, settings, metrics, runtime.telemetry.log)


async def serve(settings: GatewaySettings, runtime: Runtime) -> None:
    """Open the channels, then the door; close the door, then the channels."""
    async with AsyncExitStack() as stack:
        channels: dict[str, Channel] = {}
        for name, section in (
            ("signer", settings.signer),
            ("verifier", settings.verifier),
            ("registry", settings.registry),
        ):
            channels[name] = await stack.enter_async_context(open_channel(section))
        application = build(settings, runtime, channels)
        port = await stack.enter_async_context(serve_http(settings.http, application))
        runtime.telemetry.log.info("http_serving", port=port)
        await runtime.until_stopped()


def main() -> None:
    """Be the gateway process."""
    process.main("gateway", GatewaySettings, serve)
