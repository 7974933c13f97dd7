"""A whole registry in the test's own event loop: real bus, real database, real mTLS, a small signer beside it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from nats.js.errors import NotFoundError

from kyso.v1 import registry_pb2, registry_pb2_grpc
from services.kernel.events import STREAM_EVENTS
from services.kernel.runtime.bus import Bus
from services.kernel.runtime.config import DatabaseSettings, RpcClientSettings, parse
from services.kernel.runtime.database import Database
from services.kernel.runtime.process import Runtime
from services.kernel.runtime.rpc import open_channel
from services.registry.config import RegistrySettings
from services.registry.consumers import DURABLE, SIGNATURE_EVENTS
from services.registry.main import MIGRATIONS, serve
from services.registry.store.unit import SqlStore
from tests.integration.registry.small_signer import SmallSigner
from tests.support.nats_server import NatsServer, eventually
from tests.support.pki import MeshCa
from tests.support.rpc import free_port, make_runtime

OPERATOR_SECRET = "operator-secret-of-more-than-32-characters"
STOP_SECONDS = 60


@dataclass
class Registry:
    """One running registry and the ways into it."""

    settings: RegistrySettings
    runtime: Runtime
    task: asyncio.Task[None]
    mesh: MeshCa
    stack: AsyncExitStack
    tokens: dict[str, str] = field(default_factory=dict)

    def stub(self, make: Callable[[Any], Any], caller: str) -> Any:
        """Return a stub that calls as `caller`."""
        settings = RpcClientSettings(
            target=self.settings.rpc.listen, server_name="registry", tls=self.mesh.tls(caller)
        )
        channel = open_channel(settings)
        self.stack.push_async_callback(channel.close)
        return make(channel)

    async def token(self, client_id: str = "operator", secret: str = OPERATOR_SECRET, scope: str = "") -> str:
        """Return an access token."""
        stub = self.stub(registry_pb2_grpc.TokenServiceStub, "gateway")
        answer = await stub.IssueToken(
            registry_pb2.IssueTokenRequest(client_id=client_id, client_secret=secret, scope=scope)
        )
        return str(answer.access_token)

    async def client(self, token: str | None = None) -> Client:
        """Return the register as a client sees it through the gateway; without a token: as the operator."""
        stub = self.stub(registry_pb2_grpc.RegistryServiceStub, "gateway")
        return Client(stub, token or await self.token())

    async def ready(self) -> None:
        """Wait until readiness has no reason against it."""

        async def is_ready() -> bool:
            assert not self.task.done(), self.task.exception()
            return not await self.runtime.health.refresh(force=True)

        await eventually(is_ready, what="the registry is ready")

    def metric(self, name: str, **labels: str) -> float:
        """Return a figure; 0 where it was never touched."""
        return self.runtime.telemetry.registry.get_sample_value(name, labels) or 0.0

    async def stop(self) -> None:
        """Stop in an orderly way."""
        self.runtime.stop("the test is over")
        done, _ = await asyncio.wait([self.task], timeout=STOP_SECONDS)
        assert done, f"the registry does not stop: {self.task.get_stack(limit=1)}; {asyncio.all_tasks()}"
        await self.task


@dataclass
class Client:
    """Calls RegistryService with one client's token."""

    stub: Any
    token: str

    async def __call__(self, method: str, **fields: Any) -> Any:
        """Call `method` with a request of these fields."""
        name = "GetCertificationRequestRequest" if method == "GetCertificationRequest" else f"{method}Request"
        request = getattr(registry_pb2, name)(**fields)
        metadata = (("authorization", f"Bearer {self.token}"),)
        return await getattr(self.stub, method)(request, metadata=metadata)

    async def agency(self, name: str = "UBND tỉnh Lâm Đồng", parent: str = "") -> str:
        """Make an agency; return its id."""
        return str((await self("CreateAgency", name=name, parent_id=parent)).id)

    async def organization(self, agency_id: str, name: str = "Sở Nội vụ") -> str:
        """Make an organisation as subscriber; return its id."""
        made = await self(
            "CreateSubscriber",
            agency_id=agency_id,
            kind=registry_pb2.SUBSCRIBER_KIND_ORGANIZATION,
            name=name,
            tax_code="0106793535",
        )
        return str(made.id)

    async def credential(self, subscriber_id: str, key: str, **fields: Any) -> Any:
        """Make a credential of our own CA; return it."""
        asked = {
            "key_algorithm": 4,
            "activation": 1,
            "issuer": registry_pb2.ISSUER_KIND_OWN_CA,
            "idempotency_key": key,
            **fields,
        }
        return await self("CreateCredential", subscriber_id=subscriber_id, **asked)

    async def made_credential(self, key: str) -> Any:
        """Make agency, subscriber and credential; return the credential."""
        agency_id = await self.agency()
        return await self.credential(await self.organization(agency_id), key)


async def client_of(
    registry: Registry, operator: Client, agency_id: str, scopes: list[str] | None = None
) -> tuple[str, Client]:
    """Make a client of an agency; return its id and the register as it sees it."""
    wanted = scopes or [
        "credentials:read",
        "credentials:write",
        "registry:read",
        "registry:write",
        "audit:read",
    ]
    made = await operator(
        "CreateClient", agency_id=agency_id, name="Cổng DVC", scopes=wanted, document_types=["*"]
    )
    return made.client.id, await registry.client(await registry.token(made.client.id, made.secret))


@dataclass
class Stand:
    """Where registries of one test are started."""

    folder: Path
    mesh: MeshCa
    nats: NatsServer
    database: DatabaseSettings
    signer: SmallSigner = field(default_factory=SmallSigner)
    signer_port: int = field(default_factory=free_port)

    def settings(self, replica: str = "registry-1", **sections: dict[str, Any]) -> RegistrySettings:
        """Return settings; `sections` are laid over them key by key."""
        secret = self.folder / "operator.secret"
        secret.write_text(OPERATOR_SECRET + "\n")
        document: dict[str, Any] = {
            "replica": replica,
            "telemetry": {"http_listen": "127.0.0.1:0"},
            "rpc": {
                "listen": f"127.0.0.1:{free_port()}",
                "tls": self.mesh.tls("registry").model_dump(),
                "drain_seconds": 0,
            },
            "signer": {
                "target": f"127.0.0.1:{self.signer_port}",
                "server_name": "signer",
                "tls": self.mesh.tls("registry").model_dump(),
                "timeout_seconds": 5,
            },
            "bus": self.nats.settings().model_dump(),
            "database": self.database.model_dump(),
            "ca": {
                "public_base_url": "http://kyso.example/pki",
                "create_at_first_start": True,
                "reconcile_seconds": 0.1,
            },
            "tokens": {"key_file": self.folder / "token-keys.json"},
            "bootstrap": {"client_id": "operator", "client_secret_file": secret},
            "directory": {"heartbeat_interval_seconds": 0.1, "heartbeat_limit_seconds": 1},
            "audit": {"reconcile_seconds": 0.2, "gather_seconds": 0.02},
        }
        for name, section in sections.items():
            document[name] = {**document.get(name, {}), **section}
        return parse(RegistrySettings, document)

    @asynccontextmanager
    async def running(self, settings: RegistrySettings | None = None) -> AsyncIterator[Registry]:
        """Run one registry for the length of a block."""
        settings = settings or self.settings()
        runtime = make_runtime("registry")
        async with AsyncExitStack() as stack:
            task = asyncio.create_task(serve(settings, runtime))
            registry = Registry(settings, runtime, task, self.mesh, stack)
            try:
                await eventually(
                    lambda: task.done() or "starting" not in runtime.health.reasons,
                    what="the registry serves",
                )
                if task.done():
                    task.result()
                yield registry
            finally:
                if not task.done():
                    await registry.stop()


@pytest.fixture
async def stand(
    tmp_path: Path, mesh_ca: MeshCa, nats_server: NatsServer, database_settings: DatabaseSettings
) -> Stand:
    """A place for registries, once on SQLite and once on PostgreSQL; the signer is not up yet."""
    await forget_events(nats_server)
    return Stand(tmp_path, mesh_ca, nats_server, database_settings)


async def forget_events(server: NatsServer) -> None:
    """Take what earlier tests left for the audit log off the shared bus: this test's signer knows nothing of it."""
    bus = await Bus.connect(server.settings(), make_runtime("test"))
    try:
        await bus.ensure_streams()
        jetstream = await bus.until_connected()
        await jetstream.purge_stream(STREAM_EVENTS, subject=SIGNATURE_EVENTS)
        with suppress(NotFoundError):
            await jetstream.delete_consumer(STREAM_EVENTS, DURABLE)
    finally:
        await bus.close()


@pytest.fixture
async def registry(stand: Stand) -> AsyncIterator[Registry]:
    """A ready registry with its signer."""
    async with stand.signer.serving(stand.mesh, stand.signer_port), stand.running() as running:
        await running.ready()
        yield running


@pytest.fixture
async def store(stand: Stand) -> AsyncIterator[SqlStore]:
    """The stand's database, beside whatever registry runs on it."""
    database = await Database.open(stand.database, MIGRATIONS)
    yield SqlStore(database)
    await database.close()
