"""The chassis' gRPC over real TLS: who may call, what an error becomes, what a deadline and a drain do."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from services.kernel import errors
from services.kernel.errors import DomainError
from services.kernel.runtime.channel import MeshChannel
from services.kernel.runtime.process import StartError
from services.kernel.runtime.rpc import open_channel
from services.kernel.runtime.telemetry import call_deadline, caller, request_id
from tests.support.mesh_service import KINDS, SERVICE, call, echo, serving
from tests.support.nats_server import eventually
from tests.support.pki import MeshCa


@pytest.mark.parametrize("kind", KINDS)
async def test_an_allowed_caller_gets_its_answer_and_is_counted(mesh_ca: MeshCa, kind: str) -> None:
    async with serving(mesh_ca, echo) as mesh, mesh.client() as channel:
        assert await call(channel, kind, b"hello") == b"hello"
        method = f"/{SERVICE}/{kind}"
        await eventually(lambda: mesh.metric("kyso_rpc_requests_total", method=method, code="OK") == 1)
        assert mesh.metric("kyso_rpc_seconds_count", method=method) == 1
        assert mesh.metric("kyso_rpc_in_progress", method=method) == 0


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["verifier", "operator"])
async def test_a_caller_that_is_not_on_the_list_is_refused_before_the_handler(
    mesh_ca: MeshCa, kind: str, name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    reached: list[bytes] = []

    async def behave(request: bytes) -> bytes:
        reached.append(request)
        return request

    async with serving(mesh_ca, behave) as mesh, mesh.client(name) as channel:
        with pytest.raises(errors.CallerNotAllowed):
            await call(channel, kind, b"x")
    assert reached == []
    lines = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
    (refusal,) = (line for line in lines if line["event"] == "rpc_caller_refused")
    assert refusal["caller"] == name
    assert refusal["method"] == f"/{SERVICE}/{kind}"


async def test_a_method_that_is_on_no_list_is_refused_to_everyone(mesh_ca: MeshCa) -> None:
    async with serving(mesh_ca, echo) as mesh, mesh.client() as channel:
        with pytest.raises(errors.CallerNotAllowed):
            await call(channel, "Unlisted", b"x")


async def test_a_certificate_of_another_ca_opens_no_connection(mesh_ca: MeshCa, tmp_path: Any) -> None:
    stranger = MeshCa(tmp_path / "stranger").tls("gateway")
    forged = stranger.model_copy(update={"ca_file": mesh_ca.ca_file})
    async with serving(mesh_ca, echo) as mesh, mesh.client(tls=forged) as channel:
        with pytest.raises(errors.ServiceUnavailable):
            await call(channel, "UnaryUnary", b"x")


async def test_a_server_under_another_name_is_not_believed(mesh_ca: MeshCa) -> None:
    async with serving(mesh_ca, echo) as mesh, mesh.client(server_name="registry") as channel:
        with pytest.raises(errors.ServiceUnavailable):
            await call(channel, "UnaryUnary", b"x")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("known", [errors.CredentialHeld, errors.HsmUnavailable, errors.BodyTooLarge])
async def test_a_domain_error_reaches_the_caller_as_itself(
    mesh_ca: MeshCa, kind: str, known: type[DomainError]
) -> None:
    async def behave(_request: bytes) -> bytes:
        raise known("câu tiếng Việt", limit=3)

    async with serving(mesh_ca, behave) as mesh, mesh.client() as channel:
        with pytest.raises(known) as caught:
            await call(channel, kind, b"x")
        assert (caught.value.message, caught.value.data) == ("câu tiếng Việt", {"limit": 3})
        method = f"/{SERVICE}/{kind}"
        await eventually(lambda: mesh.metric("kyso_rpc_requests_total", method=method, code=known.code) == 1)


@pytest.mark.parametrize("kind", KINDS)
async def test_an_unexpected_error_shows_an_id_and_logs_the_trace(
    mesh_ca: MeshCa, kind: str, capfd: pytest.CaptureFixture[str]
) -> None:
    async def behave(_request: bytes) -> bytes:
        raise ZeroDivisionError("pin 1234 in the text")

    request_id.set("req_for_this_test")
    async with serving(mesh_ca, behave) as mesh, mesh.client() as channel:
        with pytest.raises(errors.Internal) as caught:
            await call(channel, kind, b"x")
    assert "req_for_this_test" in caught.value.message
    assert "1234" not in caught.value.message
    lines = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
    (failure,) = (line for line in lines if line["event"] == "rpc_failed")
    assert failure["request_id"] == "req_for_this_test"
    assert failure["caller"] == "gateway"
    assert "ZeroDivisionError" in failure["exception"]


@pytest.mark.parametrize("malformed", ["not fit for a log", "x" * 65, "line\tbreak", ""])
async def test_the_request_id_is_carried_and_a_malformed_one_replaced(
    mesh_ca: MeshCa, malformed: str
) -> None:
    async def behave(_request: bytes) -> bytes:
        return f"{request_id.get()} {caller.get()}".encode()

    async with serving(mesh_ca, behave) as mesh, mesh.client("registry") as channel:
        request_id.set("req_carried")
        assert await call(channel, "UnaryUnary", b"") == b"req_carried registry"
        request_id.set(malformed)
        bare: Any = channel._inner.unary_unary(f"/{SERVICE}/UnaryUnary")
        sent = malformed.replace("\t", "!")
        for answer in (
            await call(channel, "UnaryUnary", b""),
            await bare(b"", metadata=(("x-request-id", sent),)),
        ):
            assert answer.decode().startswith("req_0")
            assert answer.decode().endswith(" registry")


async def test_a_caller_without_deadline_gets_the_servers(mesh_ca: MeshCa) -> None:
    cancelled = asyncio.Event()

    async def behave(_request: bytes) -> bytes:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
        return b""

    async with serving(mesh_ca, behave, max_call_seconds=0.2) as mesh, mesh.client() as channel:
        bare: Any = channel._inner.unary_unary(f"/{SERVICE}/UnaryUnary")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await bare(b"x")
        assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        await asyncio.wait_for(cancelled.wait(), 10)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_callers_deadline_ends_the_handler_too(mesh_ca: MeshCa, kind: str) -> None:
    cancelled = asyncio.Event()

    async def behave(_request: bytes) -> bytes:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
        return b""

    async with serving(mesh_ca, behave) as mesh, mesh.client(timeout_seconds=0.3) as channel:
        with pytest.raises(errors.DeadlineExceeded, match="signer did not answer in time"):
            await call(channel, kind, b"x")
        await asyncio.wait_for(cancelled.wait(), 10)


async def test_calls_made_on_the_way_do_not_outlive_the_call_they_serve(mesh_ca: MeshCa) -> None:
    async def behave(_request: bytes) -> bytes:
        deadline = call_deadline.get()
        assert deadline is not None
        return str(deadline - asyncio.get_running_loop().time()).encode()

    async with serving(mesh_ca, behave) as mesh, mesh.client(timeout_seconds=60) as channel:
        assert 50 < float(await call(channel, "UnaryUnary", b"")) <= 60
        call_deadline.set(asyncio.get_running_loop().time() + 5)
        assert float(await call(channel, "UnaryUnary", b"")) < 6


async def test_a_client_that_goes_away_cancels_the_handler(mesh_ca: MeshCa) -> None:
    started, cancelled = asyncio.Event(), asyncio.Event()

    async def behave(_request: bytes) -> bytes:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
        return b""

    async with serving(mesh_ca, behave) as mesh, mesh.client() as channel:
        under_way = channel.unary_stream(f"/{SERVICE}/UnaryStream")(b"x")
        await asyncio.wait_for(started.wait(), 10)
        under_way.cancel()
        await asyncio.wait_for(cancelled.wait(), 10)
        method = f"/{SERVICE}/UnaryStream"
        await eventually(lambda: mesh.metric("kyso_rpc_requests_total", method=method, code="CANCELLED") == 1)


async def test_a_message_beyond_the_limit_is_refused_on_either_side(mesh_ca: MeshCa) -> None:
    async with serving(mesh_ca, echo, max_message_bytes=2048) as mesh:
        async with mesh.client() as channel:
            with pytest.raises(errors.BodyTooLarge):
                await call(channel, "UnaryUnary", b"x" * 3000)
            assert await call(channel, "UnaryUnary", b"x" * 1000) == b"x" * 1000
        async with mesh.client(max_message_bytes=1024) as channel:
            with pytest.raises(errors.BodyTooLarge):
                await call(channel, "UnaryUnary", b"x" * 1500)


@pytest.mark.parametrize("attempt", range(10))
async def test_a_refusal_while_the_client_still_streams_arrives_as_itself(
    mesh_ca: MeshCa, attempt: int
) -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"x" * 64 * 1024

    async def behave(_request: bytes) -> bytes:
        raise errors.CredentialHeld("on hold")

    async with serving(mesh_ca, behave) as mesh:
        async with mesh.client("operator") as channel:
            with pytest.raises(errors.CallerNotAllowed):
                await channel.stream_unary(f"/{SERVICE}/StreamUnary")(endless())
            with pytest.raises(errors.CallerNotAllowed):
                await write_for_ever(channel)
        async with mesh.client() as channel:
            with pytest.raises(errors.CredentialHeld):
                await anext(aiter(channel.stream_stream(f"/{SERVICE}/StreamStream")(endless())))
            with pytest.raises(errors.CredentialHeld):
                await write_for_ever(channel)


async def write_for_ever(channel: MeshChannel) -> None:
    """Write until the other side ends the call."""
    under_way = channel.stream_stream(f"/{SERVICE}/StreamStream")()
    async with asyncio.timeout(20):
        while True:
            await under_way.write(b"x" * 64 * 1024)


async def test_a_stop_lets_calls_under_way_end_and_takes_no_new_ones(mesh_ca: MeshCa) -> None:
    started, release = asyncio.Event(), asyncio.Event()

    async def behave(request: bytes) -> bytes:
        started.set()
        await release.wait()
        return request

    stack = serving(mesh_ca, behave)
    mesh = await stack.__aenter__()
    async with mesh.client() as channel:
        under_way = asyncio.ensure_future(call(channel, "UnaryUnary", b"kept"))
        await asyncio.wait_for(started.wait(), 10)
        stopping = asyncio.ensure_future(stack.__aexit__(None, None, None))

        async def refused() -> bool:
            async with mesh.client(timeout_seconds=2) as another:
                try:
                    await call(another, "UnaryStream", b"x")
                except (errors.ServiceUnavailable, errors.DeadlineExceeded):
                    return True
            return False

        await eventually(refused)
        assert not stopping.done()
        release.set()
        assert await under_way == b"kept"
        await stopping


async def test_the_standard_health_service_follows_readiness(mesh_ca: MeshCa) -> None:
    trouble: list[str | None] = [None]

    async def check() -> str | None:
        return trouble[0]

    async with serving(mesh_ca, echo) as mesh, mesh.client("operator") as channel:
        mesh.runtime.health.register("directory", check)
        probe: Any = health_pb2_grpc.HealthStub(channel)

        async def state(service: str) -> int:
            answer: health_pb2.HealthCheckResponse = await probe.Check(
                health_pb2.HealthCheckRequest(service=service)
            )
            return answer.status

        for service in ("", SERVICE):
            assert await state(service) == health_pb2.HealthCheckResponse.SERVING
        trouble[0] = "no heartbeat"
        await mesh.runtime.health.refresh(force=True)
        for service in ("", SERVICE):
            assert await state(service) == health_pb2.HealthCheckResponse.NOT_SERVING
        with pytest.raises(errors.RemoteError):
            await state("test.Unknown")


async def test_reflection_lists_the_services(mesh_ca: MeshCa) -> None:
    async with serving(mesh_ca, echo) as mesh, mesh.client("operator") as channel:
        plain: Any = channel
        stub: Any = reflection_pb2_grpc.ServerReflectionStub(plain)

        async def ask() -> AsyncIterator[reflection_pb2.ServerReflectionRequest]:
            yield reflection_pb2.ServerReflectionRequest(list_services="")

        answers = [answer async for answer in stub.ServerReflectionInfo(ask())]
        assert SERVICE in {service.name for service in answers[0].list_services_response.service}


async def test_a_second_server_on_the_port_fails_with_a_sentence(mesh_ca: MeshCa) -> None:
    async with serving(mesh_ca, echo) as mesh:
        with pytest.raises(StartError, match=f"cannot listen on 127.0.0.1:{mesh.port}"):
            async with serving(mesh_ca, echo, listen=f"127.0.0.1:{mesh.port}"):
                pass


async def test_a_client_finds_a_restarted_server_again(mesh_ca: MeshCa) -> None:
    async with serving(mesh_ca, echo) as mesh:
        port, settings = mesh.port, mesh.settings()
    channel = open_channel(settings)

    async def answered() -> bool:
        try:
            return await call(channel, "UnaryUnary", b"x") == b"x"
        except errors.ServiceUnavailable:
            return False

    try:
        assert not await answered()
        async with serving(mesh_ca, echo, listen=f"127.0.0.1:{port}"):
            await eventually(answered, seconds=20)
    finally:
        await channel.close()
