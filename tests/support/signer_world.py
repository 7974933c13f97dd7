"""A whole signer in this process for tests: real bus, real token, real database, and a register that a test writes.

The register here answers the two RPCs that the signer asks and sends the core messages that the registry sends; it
passes for the registry only as far as the contract of those goes.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet

from kyso.v1 import common_pb2, registry_pb2, registry_pb2_grpc, signer_pb2, signer_pb2_grpc
from services.kernel.errors import CredentialNotFound
from services.kernel.events import DIRECTORY_CHANGED, DIRECTORY_HEARTBEAT
from services.kernel.runtime.bus import Bus
from services.kernel.runtime.config import (
    DatabaseSettings,
    RpcClientSettings,
    RpcServerSettings,
    TelemetrySettings,
)
from services.kernel.runtime.process import Runtime
from services.kernel.runtime.rpc import open_channel, serve_rpc
from services.kernel.values import KeyAlgorithm, new_id
from services.signer.config import BlobSettings, HsmSettings, SignerSettings
from services.signer.main import serve
from tests.support.key_usage import AUTHORITY, SIGNER, key_usage
from tests.support.nats_server import NatsServer, eventually
from tests.support.pki import MeshCa
from tests.support.rpc import free_port, make_runtime
from tests.support.softhsm import SoftHsm

AGENCY = "ag_test"
SIGNER_NAMES = ("kyso.v1.DirectoryService", "kyso.v1.TokenService")
_NUMBERS = {
    KeyAlgorithm.RSA_2048: common_pb2.KEY_ALGORITHM_RSA_2048,
    KeyAlgorithm.ECDSA_P256: common_pb2.KEY_ALGORITHM_ECDSA_P256,
    KeyAlgorithm.ECDSA_P384: common_pb2.KEY_ALGORITHM_ECDSA_P384,
}


class IssuingCa:
    """An outside CA that certifies the keys that the signer makes."""

    def __init__(self) -> None:
        """Make its key and certificate."""
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Outside CA")])
        self.certificate = self._sign(self._name, self._key.public_key(), timedelta(days=30), ca=True)

    def certify(self, spki: bytes, name: str, life: timedelta = timedelta(days=30)) -> list[bytes]:
        """Return the chain for a public key, DER, leaf first."""
        public: Any = serialization.load_der_public_key(spki)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        return [self._sign(subject, public, life, ca=False), self.certificate]

    def _sign(self, subject: x509.Name, public: Any, life: timedelta, *, ca: bool) -> bytes:
        now = datetime.now(UTC)
        usage = key_usage(*(AUTHORITY if ca else SIGNER))
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(min(now, now + life) - timedelta(days=2))
            .not_valid_after(now + life)
            .add_extension(x509.BasicConstraints(ca=ca, path_length=0 if ca else None), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False
            )
        )
        return builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


@dataclass
class Register(registry_pb2_grpc.DirectoryServiceServicer, registry_pb2_grpc.TokenServiceServicer):
    """Credentials as a test sets them, and the key that signs access tokens."""

    credentials: dict[str, registry_pb2.ResolveCredentialResponse] = field(default_factory=dict)
    head: int = 1
    asked: list[str] = field(default_factory=list)
    fails: bool = False
    beating: bool = True
    bus: Bus | None = None
    token_key: ECKey = field(default_factory=lambda: ECKey.generate_key("P-256", {"kid": "k1"}))

    async def ResolveCredential(
        self, request: registry_pb2.ResolveCredentialRequest, context: Any
    ) -> registry_pb2.ResolveCredentialResponse:
        """Answer a credential's state."""
        self.asked.append(request.credential_id)
        if self.fails:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "away")
        found = self.credentials.get(request.credential_id)
        if found is None:
            raise CredentialNotFound(f"no credential {request.credential_id}")
        answer = registry_pb2.ResolveCredentialResponse()
        answer.CopyFrom(found)
        answer.head = self.head
        return answer

    async def GetTokenKeys(
        self, request: registry_pb2.GetTokenKeysRequest, context: Any
    ) -> registry_pb2.GetTokenKeysResponse:
        """Answer the token keys."""
        if self.fails:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "away")
        keys = KeySet([self.token_key]).as_dict(private=False)
        return registry_pb2.GetTokenKeysResponse(jwks=json.dumps(keys))

    async def IssueToken(self, request: Any, context: Any) -> Any:
        """Not asked by the signer."""
        await context.abort(grpc.StatusCode.UNIMPLEMENTED, "not asked by the signer")

    def token(self, client_id: str = "cl_portal", **changes: Any) -> str:
        """Make an access token."""
        now = int(datetime.now(UTC).timestamp())
        claims = {
            "iss": "kyso",
            "aud": "kyso",
            "sub": client_id,
            "agency": AGENCY,
            "scope": "sign:hash sign:document",
            "document_types": ["*"],
            "label_required": False,
            "jti": os.urandom(8).hex(),
            "iat": now,
            "exp": now + 600,
        }
        return jwt.encode({"alg": "ES256", "kid": self.token_key.kid}, claims | changes, self.token_key)

    async def change(self, credential_id: str, status: int, *, told: bool = True) -> int:
        """Change a credential's status, as a hold does; return its version."""
        self.head += 1
        self.credentials[credential_id].status = status  # type: ignore[assignment]
        self.credentials[credential_id].version = self.head
        if told and self.bus is not None:
            names = {
                common_pb2.CREDENTIAL_STATUS_HELD: "held",
                common_pb2.CREDENTIAL_STATUS_REVOKED: "revoked",
            }
            word = {
                "credential_id": credential_id,
                "version": self.head,
                "status": names.get(status, "active"),  # type: ignore[call-overload]
            }
            await self.bus.publish_core(DIRECTORY_CHANGED, json.dumps(word).encode())
        return self.head

    async def beat(self) -> None:
        """Send heartbeats until cancelled."""
        while True:
            if self.beating and self.bus is not None and self.bus.connected:
                word = {"head": self.head, "sent_at": datetime.now(UTC).isoformat()}
                await self.bus.publish_core(DIRECTORY_HEARTBEAT, json.dumps(word).encode())
            await asyncio.sleep(0.2)


@dataclass
class SignerWorld:
    """A running signer, its register, and stubs to call it by."""

    register: Register
    settings: SignerSettings
    runtime: Runtime
    as_gateway: Any
    as_registry: Any
    bus: Bus
    ca: IssuingCa = field(default_factory=IssuingCa)

    async def credential(
        self,
        algorithm: KeyAlgorithm = KeyAlgorithm.ECDSA_P256,
        *,
        status: int = common_pb2.CREDENTIAL_STATUS_ACTIVE,
        life: timedelta = timedelta(days=30),
        certified: bool = True,
        client_ids: Iterable[str] = (),
    ) -> str:
        """Make a key in the token and a credential in the register; return the credential's id."""
        credential_id = new_id("cr")
        made = await self.as_registry.GenerateKey(
            signer_pb2.GenerateKeyRequest(credential_id=credential_id, algorithm=_NUMBERS[algorithm])
        )
        self.register.head += 1
        self.register.credentials[credential_id] = registry_pb2.ResolveCredentialResponse(
            credential_id=credential_id,
            version=self.register.head,
            status=status,  # type: ignore[arg-type]
            agency_id=AGENCY,
            agency_path=[AGENCY, "ag_above"],
            client_ids=list(client_ids),
            activation=common_pb2.ACTIVATION_CLIENT,
            key_id=made.key_id,
            certificate_chain=self.ca.certify(made.spki, "Kiểm thử", life) if certified else [],
        )
        return credential_id

    def metadata(self, token: str | None = None) -> tuple[tuple[str, str], ...]:
        """Return the metadata of a call with an access token."""
        return (("authorization", f"Bearer {token or self.register.token()}"),)

    async def sign(self, request: signer_pb2.SignHashesRequest, token: str | None = None) -> Any:
        """Call SignHashes as the gateway."""
        return await self.as_gateway.SignHashes(request, metadata=self.metadata(token))

    def sample(self, name: str) -> float:
        """Return the value of one of the signer's figures that has no labels."""
        value = self.runtime.telemetry.registry.get_sample_value(name)
        assert value is not None, name
        return value

    async def ledger(self) -> list[dict[str, Any]]:
        """Return every record of this replica's ledger."""
        request = signer_pb2.ReadLedgerRequest(ledger=self.settings.replica, from_sequence=1, limit=1000)
        answer = await self.as_registry.ReadLedger(request)
        return [json.loads(entry.data) for entry in answer.entries]


@dataclass
class WorldParts:
    """What outlives one signer: bus, token and the mesh's certificates."""

    folder: Path
    mesh: MeshCa
    nats: NatsServer
    token: SoftHsm

    @classmethod
    def make(cls, folder: Path) -> WorldParts:
        """Start a bus and make both tokens."""
        token = SoftHsm(folder / "hsm")
        token.create_token("documents")
        token.create_token("authority")
        return cls(folder, MeshCa(folder / "mesh"), NatsServer(folder / "nats").start(), token)

    def _client(self, name: str) -> RpcClientSettings:
        return RpcClientSettings(
            target=f"127.0.0.1:{free_port()}",
            server_name=name,
            tls=self.mesh.tls("signer"),
            timeout_seconds=3,
        )

    def settings(
        self, database: DatabaseSettings, replica: str = "signer-1", **changes: Any
    ) -> SignerSettings:
        """Return the settings of one signer; its register listens on a port that is free now."""
        made = {
            "replica": replica,
            "telemetry": TelemetrySettings(http_listen="127.0.0.1:0", log_level="warning"),
            "rpc": RpcServerSettings(listen="127.0.0.1:0", tls=self.mesh.tls("signer")),
            "registry": self._client("registry"),
            # Nobody listens there: these tests ask for nothing that comes from outside.
            "verifier": self._client("verifier"),
            "bus": self.nats.settings(),
            "database": database,
            "hsm": HsmSettings(
                documents=self.token.group("documents", workers=2),
                authority=self.token.group("authority", workers=1),
            ),
            "blobs": BlobSettings(folder=self.folder / "blobs"),
            "authority": {
                "keys": [{"name": name, "role": name, "create": True} for name in ("root", "issuing")]
            },
        }
        return SignerSettings.model_validate(made | changes)


@asynccontextmanager
async def running_register(settings: SignerSettings, parts: WorldParts) -> AsyncIterator[Register]:
    """Serve a register where the signer's settings look for the registry."""
    register = Register()
    runtime = make_runtime("registry")
    async with AsyncExitStack() as stack:
        bus = register.bus = await stack.enter_async_context(Bus.opened(settings.bus, runtime))
        server = RpcServerSettings(
            listen=settings.registry.target, tls=parts.mesh.tls("registry"), drain_seconds=0
        )

        def add(rpc: grpc.aio.Server) -> None:
            registry_pb2_grpc.add_DirectoryServiceServicer_to_server(register, rpc)
            registry_pb2_grpc.add_TokenServiceServicer_to_server(register, rpc)

        allow = {
            "/kyso.v1.DirectoryService/ResolveCredential": frozenset({"signer"}),
            "/kyso.v1.TokenService/GetTokenKeys": frozenset({"signer"}),
        }
        await stack.enter_async_context(serve_rpc(server, runtime, add, SIGNER_NAMES, allow))
        _ = await stack.enter_async_context(runtime.background("beat", register.beat()))
        assert bus.connected
        yield register


@asynccontextmanager
async def running_signer(
    settings: SignerSettings, parts: WorldParts, register: Register, ca: IssuingCa | None = None
) -> AsyncIterator[SignerWorld]:
    """Run a signer in this process until the block ends, then stop it in order."""
    port = free_port()
    settings = settings.model_copy(
        update={"rpc": settings.rpc.model_copy(update={"listen": f"127.0.0.1:{port}"})}
    )
    runtime = make_runtime("signer")
    serving = asyncio.create_task(serve(settings, runtime))
    try:
        async with AsyncExitStack() as stack:
            stubs = []
            for name in ("gateway", "registry"):
                client = RpcClientSettings(
                    target=f"127.0.0.1:{port}",
                    server_name="signer",
                    tls=parts.mesh.tls(name),
                    timeout_seconds=60,
                )
                channel = await stack.enter_async_context(open_channel(client))
                stubs.append(signer_pb2_grpc.SignerServiceStub(channel))
            await eventually(
                lambda: serving.done() or "starting" not in runtime.health.reasons, what="the signer's start"
            )
            if serving.done():
                await serving
            bus = await stack.enter_async_context(Bus.opened(settings.bus, make_runtime("watcher")))
            yield SignerWorld(register, settings, runtime, stubs[0], stubs[1], bus, ca or IssuingCa())
    finally:
        runtime.stop("the test is over")
        await asyncio.wait_for(serving, 30)


@asynccontextmanager
async def signer_world(
    parts: WorldParts, database: DatabaseSettings, **changes: Any
) -> AsyncIterator[SignerWorld]:
    """Run a register and one signer."""
    settings = parts.settings(database, **changes)
    async with (
        running_register(settings, parts) as register,
        running_signer(settings, parts, register) as world,
    ):
        yield world


__all__ = [
    "Register",
    "SignerWorld",
    "WorldParts",
    "replace",
    "running_register",
    "running_signer",
    "signer_world",
]
