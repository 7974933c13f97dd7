"""gRPC between the services: both ends authenticated by TLS, keepalive on both ends, limits on both ends."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from services.kernel.runtime.channel import MeshChannel
from services.kernel.runtime.config import RpcClientSettings, RpcServerSettings, TlsSettings, read_pem
from services.kernel.runtime.interceptors import ServerChain
from services.kernel.runtime.process import Runtime, StartError

KEEPALIVE_MS = 10_000
"""Between pings of an idle connection: a peer that vanished is noticed within this and the next."""
KEEPALIVE_TIMEOUT_MS = 5_000
MIN_PING_INTERVAL_MS = 5_000
"""What the server tolerates; below KEEPALIVE_MS, or it would punish our own clients with GOAWAY."""
MAX_METADATA_BYTES = 16 * 1024
MAX_RECONNECT_MS = 1_000
"""gRPC's own upper limit is two minutes: a restarted service would stay unseen for as long."""
MIN_RESOLVE_MS = 5_000
"""gRPC's own is half a minute; replicas that were replaced have other addresses."""

_KEEPALIVE = (
    ("grpc.keepalive_time_ms", KEEPALIVE_MS),
    ("grpc.keepalive_timeout_ms", KEEPALIVE_TIMEOUT_MS),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.max_metadata_size", MAX_METADATA_BYTES),
)


@dataclass(frozen=True, slots=True)
class BoundServer:
    """A server that serves."""

    port: int


def _limits(max_message_bytes: int) -> tuple[tuple[str, int], ...]:
    return (
        ("grpc.max_receive_message_length", max_message_bytes),
        ("grpc.max_send_message_length", max_message_bytes),
    )


def _read_tls(tls: TlsSettings) -> tuple[bytes, bytes, bytes]:
    return (
        read_pem(tls.private_key_file, "private key"),
        read_pem(tls.certificate_file, "certificate"),
        read_pem(tls.ca_file, "CA certificate"),
    )


def _server(
    settings: RpcServerSettings, runtime: Runtime, allow: Mapping[str, frozenset[str]]
) -> grpc.aio.Server:
    return grpc.aio.server(
        interceptors=(ServerChain(runtime.telemetry, allow, settings.max_call_seconds),),
        options=(
            *_KEEPALIVE,
            *_limits(settings.max_message_bytes),
            ("grpc.http2.min_recv_ping_interval_without_data_ms", MIN_PING_INTERVAL_MS),
            # Two processes on one port would share its callers by chance; the second must fail instead.
            ("grpc.so_reuseport", 0),
        ),
        maximum_concurrent_rpcs=settings.max_concurrent_calls,
    )


@asynccontextmanager
async def serve_rpc(
    settings: RpcServerSettings,
    runtime: Runtime,
    add: Callable[[grpc.aio.Server], None],
    service_names: Sequence[str],
    allow: Mapping[str, frozenset[str]],
) -> AsyncIterator[BoundServer]:
    """Serve until the block ends, then refuse new calls, let those under way end (`drain_seconds`), and close.

    `add` registers the servicers. `allow` maps a full method name ("/kyso.v1.SignerService/SignHashes") to the DNS
    names of the certificates that may call it; a method that is not listed is refused to everyone. The standard
    health service follows `runtime.health` for "" and every name in `service_names`; reflection is there too.
    """
    server = _server(settings, runtime, allow)
    add(server)
    probes = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(probes, server)
    reflection.enable_server_reflection(
        [*service_names, health.SERVICE_NAME, reflection.SERVICE_NAME], server
    )
    key, certificate, authority = _read_tls(settings.tls)
    credentials = grpc.ssl_server_credentials([(key, certificate)], authority, require_client_auth=True)
    try:
        port = server.add_secure_port(settings.listen, credentials)
    except RuntimeError as error:
        raise StartError(
            f"cannot listen on {settings.listen}: the port is taken or the address not ours"
        ) from error

    async def follow(ready: bool) -> None:
        state = (
            health_pb2.HealthCheckResponse.SERVING if ready else health_pb2.HealthCheckResponse.NOT_SERVING
        )
        for name in ("", *service_names):
            await probes.set(name, state)

    await follow(ready=False)
    await server.start()
    runtime.health.watch(follow)
    runtime.telemetry.log.info("rpc_serving", port=port)
    try:
        yield BoundServer(port)
    finally:
        # From here on NOT_SERVING for good, so that callers turn away before the listener closes.
        await probes.enter_graceful_shutdown()
        await server.stop(settings.drain_seconds)
        runtime.telemetry.log.info("rpc_drained")


def open_channel(settings: RpcClientSettings) -> MeshChannel:
    """Open a channel to another service (it connects by itself, and again after every loss); close it after use.

    Stubs made on it carry the request id, have a deadline always, and raise DomainError subclasses.
    """
    key, certificate, authority = _read_tls(settings.tls)
    channel = grpc.aio.secure_channel(
        settings.target,
        grpc.ssl_channel_credentials(authority, key, certificate),
        options=(
            *_KEEPALIVE,
            *_limits(settings.max_message_bytes),
            # The certificate names the service, not the address that it happens to have.
            ("grpc.ssl_target_name_override", settings.server_name),
            ("grpc.default_authority", settings.server_name),
            ("grpc.initial_reconnect_backoff_ms", 100),
            ("grpc.min_reconnect_backoff_ms", 1_000),
            ("grpc.max_reconnect_backoff_ms", MAX_RECONNECT_MS),
            # Where the name has several addresses, the calls are spread over all of them, not sent to the first.
            ("grpc.lb_policy_name", "round_robin"),
            ("grpc.dns_min_time_between_resolutions_ms", MIN_RESOLVE_MS),
            # Our calls are repeated by those who know that repeating is safe.
            ("grpc.enable_retries", 0),
        ),
    )
    return MeshChannel(channel, settings.server_name, settings.timeout_seconds)
