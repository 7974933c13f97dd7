"""Who may do what: services by certificate, outside systems by their bus user."""

from __future__ import annotations

import asyncio
import ssl

import nats
import pytest
from nats.aio.client import Client

from deploy.local.bus import OUTSIDE, provide_bus
from kyso.v1 import registry_pb2, registry_pb2_grpc, signer_pb2, signer_pb2_grpc
from services.kernel.errors import CallerNotAllowed
from services.kernel.runtime.rpc import open_channel
from tests.support.platform import TestPlatform
from tests.support.world import World


@pytest.mark.parametrize("caller", ["gateway", "verifier", "operator"])
async def test_only_the_registry_may_ask_for_authority_signatures(
    platform: TestPlatform, caller: str
) -> None:
    channel = open_channel(platform.channel(caller, "signer"))
    stub = signer_pb2_grpc.SignerServiceStub(channel)
    request = signer_pb2.SignAuthorityRequest(
        name="root", purpose=signer_pb2.AUTHORITY_PURPOSE_CERTIFICATE, to_be_signed=b"\x30\x00"
    )
    with pytest.raises(CallerNotAllowed):
        await stub.SignAuthority(request)
    await channel.close()


@pytest.mark.parametrize("caller", ["verifier", "operator", "registry"])
async def test_only_the_gateway_may_ask_for_signatures(
    platform: TestPlatform, world: World, caller: str
) -> None:
    channel = open_channel(platform.channel(caller, "signer"))
    stub = signer_pb2_grpc.SignerServiceStub(channel)
    request = signer_pb2.SignHashesRequest(credential_id=world.ec_credential, idempotency_key=world.new_key())
    with pytest.raises(CallerNotAllowed):
        await stub.SignHashes(request, metadata=(("authorization", f"Bearer {world.token()}"),))
    await channel.close()


@pytest.mark.parametrize("caller", ["gateway", "verifier", "operator"])
async def test_only_the_signer_may_resolve_credentials(
    platform: TestPlatform, world: World, caller: str
) -> None:
    channel = open_channel(platform.channel(caller, "registry"))
    stub = registry_pb2_grpc.DirectoryServiceStub(channel)
    request = registry_pb2.ResolveCredentialRequest(
        credential_id=world.ec_credential, replica="x", cacheable=True
    )
    with pytest.raises(CallerNotAllowed):
        await stub.ResolveCredential(request)
    await channel.close()


@pytest.mark.parametrize(
    "subject",
    [
        "kyso.job.cl_other.sign.normal",
        "kyso.event.signature.completed.ag_x",
        "kyso.directory.changed",
        "kyso.directory.confirmed",
        "kyso.result.cl_other.op_x",
    ],
)
async def test_an_outside_system_cannot_publish_to_anothers_subject(
    platform: TestPlatform, world: World, subject: str
) -> None:
    refused = asyncio.Event()

    async def on_error(error: Exception) -> None:
        if "permissions violation" in str(error).lower():
            refused.set()

    bus = await _as_outside_system(platform, world, on_error)
    await bus.publish(subject, b"{}")
    await bus.flush(5)
    async with asyncio.timeout(10):
        await refused.wait()
    await bus.close()


async def test_an_outside_system_may_publish_to_its_own_subject(platform: TestPlatform, world: World) -> None:
    errors: list[Exception] = []

    async def on_error(error: Exception) -> None:
        errors.append(error)

    bus = await _as_outside_system(platform, world, on_error)
    # A job without a token: stored, then parked by the signer with the reason; nothing is signed.
    answer = await bus.jetstream().publish(f"kyso.job.{world.client.id}.sign.normal", b"{}", timeout=10)
    assert answer.stream == "KYSO_JOBS"
    assert errors == []
    await bus.close()


async def _as_outside_system(platform: TestPlatform, world: World, on_error: object) -> Client:
    bus = platform.provisions.bus
    provide_bus(bus.configuration.parent, platform.mesh["nats"], platform.settings.ports, world.client.id)
    # A client that is connected while the server reads its configuration is thrown out.
    await asyncio.to_thread(platform.reload_bus)
    context = ssl.create_default_context(cafile=str(platform.mesh["nats"].ca))
    password = bus.passwords[OUTSIDE].read_text(encoding="utf-8").strip()
    return await nats.connect(
        f"tls://127.0.0.1:{platform.settings.ports.bus}",
        tls=context,
        user=OUTSIDE,
        password=password,
        inbox_prefix=f"_INBOX.{OUTSIDE}".encode(),
        error_cb=on_error,
    )
