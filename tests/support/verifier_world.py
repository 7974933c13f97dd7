"""A running verifier for tests, as its process runs it, and the registry behind it: one RPC that answers what tests say."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc

from kyso.v1 import registry_pb2, registry_pb2_grpc, verifier_pb2, verifier_pb2_grpc
from services.kernel.errors import DomainError
from services.kernel.runtime.config import RpcClientSettings, RpcServerSettings, parse
from services.kernel.runtime.process import Runtime
from services.kernel.runtime.rpc import open_channel, serve_rpc
from services.verifier import main
from services.verifier.config import VerifierSettings
from tests.support.pki import MeshCa
from tests.support.rpc import free_port, make_runtime
from tests.unit.verifier.authority import Authority, Hierarchy

MESSAGE_BYTES = 40 * 1024 * 1024
"""As deployed: CRLs pass."""
NOW = datetime.now(UTC)
VALID: dict[str, Any] = {"not_before": NOW - timedelta(days=1), "not_after": NOW + timedelta(days=1)}
FRESH: dict[str, Any] = {"this_update": NOW - timedelta(hours=1), "next_update": NOW + timedelta(hours=1)}


def present_hierarchy() -> Hierarchy:
    """Make a hierarchy that is valid now."""
    root = Authority("Root CA", **VALID)
    issuing = Authority("Issuing CA", root, path_length=0, **VALID)
    return Hierarchy(root, issuing, issuing.signer(**VALID))


async def reached(condition: Callable[[], bool]) -> None:
    """Wait until the condition holds, giving way to the other tasks; fail after a generous time."""
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - what is waited for is another task's or process's doing
            await asyncio.sleep(0.001)


class Registry(registry_pb2_grpc.PkiServiceServicer):
    """Answers GetTrust with what the test put there; counts the calls."""

    def __init__(self, hierarchy: Hierarchy) -> None:
        """Start with fresh CRLs that list nothing."""
        self.hierarchy = hierarchy
        self.crls = [hierarchy.root.crl(**FRESH), hierarchy.issuing.crl(**FRESH)]
        self.failure: DomainError | None = None
        self.calls = 0

    async def GetTrust(
        self,
        request: registry_pb2.GetTrustRequest,
        context: grpc.aio.ServicerContext[Any, Any],
    ) -> registry_pb2.GetTrustResponse:
        """Answer."""
        self.calls += 1
        if self.failure is not None:
            raise self.failure
        return registry_pb2.GetTrustResponse(
            anchors=[registry_pb2.TrustAnchor(certificate=self.hierarchy.root.der, scope="own")],
            intermediates=[self.hierarchy.issuing.der],
            crls=self.crls,
        )


class Keeper(registry_pb2_grpc.EvidenceServiceServicer):
    """Takes what it is to keep; remembers it and whose token came along."""

    def __init__(self) -> None:
        """Start with nothing."""
        self.header: registry_pb2.KeepEvidenceHeader | None = None
        self.files: list[tuple[int, bytes]] = []
        self.authorization = ""
        self.failure: DomainError | None = None

    async def KeepEvidence(
        self,
        request_iterator: AsyncIterator[registry_pb2.KeepEvidenceRequest],
        context: grpc.aio.ServicerContext[Any, Any],
    ) -> registry_pb2.Evidence:
        """Keep."""
        self.files = []
        self.authorization = next(
            str(value) for key, value in context.invocation_metadata() or () if key == "authorization"
        )
        async for message in request_iterator:
            match message.WhichOneof("part"):
                case "header":
                    self.header = message.header
                case "file":
                    self.files.append((message.file.kind, b""))
                case "chunk":
                    kind, data = self.files[-1]
                    self.files[-1] = (kind, data + message.chunk)
        if self.failure is not None:
            raise self.failure
        return registry_pb2.Evidence(id="evd_1")


@dataclass
class Platform:
    """A running verifier, the registry behind it, and a channel as the gateway has it."""

    stub: verifier_pb2_grpc.VerifierServiceAsyncStub
    channel: Any
    registry: Registry
    runtime: Runtime
    keeper: Keeper

    async def examine(
        self, data: bytes, contents: Mapping[str, bytes] | None = None, token: str = "", **header: Any
    ) -> tuple[Any, list[tuple[Any, bytes]]]:
        """Send a document and contents by name; return the report, and each file with its bytes."""

        async def requests() -> AsyncIterator[verifier_pb2.VerifyDocumentRequest]:
            async for part in parts(data, None, **header):
                yield part
            for name, content in (contents or {}).items():
                yield verifier_pb2.VerifyDocumentRequest(content=verifier_pb2.DetachedContent(name=name))
                for offset in range(0, len(content), 65536):
                    yield verifier_pb2.VerifyDocumentRequest(detached_chunk=content[offset : offset + 65536])

        metadata = (("authorization", f"Bearer {token}"),) if token else ()
        report: Any = None
        files: list[tuple[Any, bytes]] = []
        async for answer in self.stub.ExamineDocument(requests(), metadata=metadata):
            match answer.WhichOneof("part"):
                case "report":
                    report = answer.report
                case "file":
                    files.append((answer.file, b""))
                case "chunk":
                    files[-1] = (files[-1][0], files[-1][1] + answer.chunk)
        return report, files

    async def verify(self, data: bytes, detached: bytes | None = None, **header: Any) -> Any:
        """Send a document in 64 KiB chunks."""
        return await self.stub.VerifyDocument(parts(data, detached, **header))

    def metrics(self) -> dict[str, float]:
        """Samples of the registry by name and labels."""
        return {
            sample.name + "".join(f"{{{v}}}" for v in sample.labels.values()): sample.value
            for family in self.runtime.telemetry.registry.collect()
            for sample in family.samples
        }


async def parts(
    data: bytes, detached: bytes | None, **header: Any
) -> AsyncIterator[verifier_pb2.VerifyDocumentRequest]:
    head = verifier_pb2.VerifyDocumentHeader(detached=detached is not None, **header)
    yield verifier_pb2.VerifyDocumentRequest(header=head)
    for offset in range(0, len(data), 65536):
        yield verifier_pb2.VerifyDocumentRequest(chunk=data[offset : offset + 65536])
    for offset in range(0, len(detached or b""), 65536):
        yield verifier_pb2.VerifyDocumentRequest(detached_chunk=(detached or b"")[offset : offset + 65536])


async def messages(
    *parts: verifier_pb2.VerifyDocumentRequest,
) -> AsyncIterator[verifier_pb2.VerifyDocumentRequest]:
    for part in parts:
        yield part


def _settings(mesh_ca: MeshCa, port: int, registry_port: int, further: dict[str, Any]) -> VerifierSettings:
    tls = mesh_ca.tls("verifier")
    rpc = {"listen": f"127.0.0.1:{port}", "drain_seconds": 0, "max_message_bytes": MESSAGE_BYTES, "tls": tls}
    registry = {"target": f"127.0.0.1:{registry_port}", "server_name": "registry", "tls": tls}
    fields = {"telemetry": {"http_listen": "127.0.0.1:0"}, "rpc": rpc, "registry": registry} | further
    trust = {"refresh_seconds": 0.001} | further.get("trust", {})
    return parse(VerifierSettings, fields | {"trust": trust})


@asynccontextmanager
async def running(
    mesh_ca: MeshCa,
    hierarchy: Hierarchy,
    caller: str = "gateway",
    outside: Mapping[str, Any] | None = None,
    **limits: Any,
) -> AsyncIterator[Platform]:
    """A registry stand-in and the verifier as its process runs it, each on a free port.

    `outside` has further sections: egress, evidence, time_stamp_authorities, trust.
    """
    registry = Registry(hierarchy)  # type: ignore[abstract]  # GetTrust is all that is asked here
    keeper = Keeper()  # type: ignore[abstract]  # KeepEvidence is all that is asked here

    def add(server: grpc.aio.Server) -> None:
        registry_pb2_grpc.add_PkiServiceServicer_to_server(registry, server)
        registry_pb2_grpc.add_EvidenceServiceServicer_to_server(keeper, server)

    runtime = make_runtime("verifier")
    async with AsyncExitStack() as stack:
        bound = await stack.enter_async_context(
            serve_rpc(
                RpcServerSettings(listen="127.0.0.1:0", tls=mesh_ca.tls("registry"), drain_seconds=0),
                make_runtime("registry"),
                add,
                ("kyso.v1.PkiService", "kyso.v1.EvidenceService"),
                {
                    "/kyso.v1.PkiService/GetTrust": frozenset({"verifier"}),
                    "/kyso.v1.EvidenceService/KeepEvidence": frozenset({"verifier"}),
                },
            )
        )
        port = free_port()
        settings = _settings(
            mesh_ca, port, bound.port, {"limits": {"workers": 1} | limits, **(outside or {})}
        )
        task = asyncio.create_task(main.serve(settings, runtime))
        stack.push_async_callback(_stopped, runtime, task)
        target = RpcClientSettings(
            target=f"127.0.0.1:{port}",
            server_name="verifier",
            tls=mesh_ca.tls(caller),
            max_message_bytes=MESSAGE_BYTES,
        )
        channel = await stack.enter_async_context(open_channel(target))
        await reached(lambda: task.done() or "starting" not in runtime.health.reasons)
        assert not task.done(), task.result()
        yield Platform(verifier_pb2_grpc.VerifierServiceStub(channel), channel, registry, runtime, keeper)


async def _stopped(runtime: Runtime, task: asyncio.Task[None]) -> None:
    runtime.stop("end of test")
    await task
