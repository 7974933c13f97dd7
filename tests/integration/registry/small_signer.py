"""A small signer for the registry's tests: a real gRPC server with mTLS that signs with keys in its own memory.

It does what the registry asks of the signer and nothing else; the end-to-end tests use the true one.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from kyso.v1 import common_pb2, signer_pb2, signer_pb2_grpc
from services.kernel.errors import ServiceUnavailable
from services.kernel.runtime.config import RpcServerSettings
from services.kernel.runtime.rpc import serve_rpc
from services.kernel.values import new_id
from services.registry.domain.ledger import GENESIS, link
from tests.support.pki import MeshCa
from tests.support.rpc import free_port, make_runtime

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

# AlgorithmIdentifier of sha256WithRSAEncryption, ecdsa-with-SHA256 and ecdsa-with-SHA384, DER (RFC 4055, RFC 5758).
_RSA_SHA256 = bytes.fromhex("300d06092a864886f70d01010b0500")
_ECDSA_SHA256 = bytes.fromhex("300a06082a8648ce3d040302")
_ECDSA_SHA384 = bytes.fromhex("300a06082a8648ce3d040303")


@dataclass
class SmallSigner(signer_pb2_grpc.SignerServiceServicer):
    """Keys by credential and by authority name, and ledgers that a test fills."""

    documents: dict[str, tuple[str, PrivateKey]] = field(default_factory=dict)
    authorities: dict[str, PrivateKey] = field(
        default_factory=lambda: {
            "root": ec.generate_private_key(ec.SECP384R1()),
            "issuing": ec.generate_private_key(ec.SECP256R1()),
        }
    )
    ledgers: dict[str, list[signer_pb2.LedgerEntry]] = field(default_factory=dict)
    refuse: set[str] = field(default_factory=set)
    """Names of RPCs that answer as if the HSM were away."""
    asked: list[str] = field(default_factory=list)

    def _note(self, name: str) -> None:
        self.asked.append(name)
        if name in self.refuse:
            raise ServiceUnavailable("the HSM is away, as this test wants it")

    def append(self, ledger: str, event_id: str, data: bytes) -> signer_pb2.LedgerEntry:
        """Add an entry to a ledger, linked to the one before."""
        entries = self.ledgers.setdefault(ledger, [])
        previous = entries[-1].hash if entries else GENESIS
        entry = signer_pb2.LedgerEntry(
            ledger=ledger,
            sequence=len(entries) + 1,
            hash=link(previous, data),
            previous_hash=previous,
            data=data,
            event_id=event_id,
        )
        entries.append(entry)
        return entry

    async def GenerateKey(self, request: signer_pb2.GenerateKeyRequest, context: Any) -> Any:
        """Make a key once for each credential."""
        self._note("GenerateKey")
        if request.credential_id not in self.documents:
            key: PrivateKey = (
                rsa.generate_private_key(65537, 2048)
                if request.algorithm == common_pb2.KEY_ALGORITHM_RSA_2048
                else ec.generate_private_key(ec.SECP256R1())
            )
            self.documents[request.credential_id] = (new_id("key"), key)
        key_id, key = self.documents[request.credential_id]
        return signer_pb2.GenerateKeyResponse(key_id=key_id, spki=spki_of(key))

    async def SignCertificationRequest(
        self, request: signer_pb2.SignCertificationRequestRequest, context: Any
    ) -> Any:
        """Sign a CertificationRequestInfo."""
        self._note("SignCertificationRequest")
        key = next(key for key_id, key in self.documents.values() if key_id == request.key_id)
        signed = signed_structure(key, request.certification_request_info)
        return signer_pb2.SignCertificationRequestResponse(certification_request=signed)

    async def GenerateAuthorityKey(
        self, request: signer_pb2.GenerateAuthorityKeyRequest, context: Any
    ) -> Any:
        """Answer a CA key."""
        self._note("GenerateAuthorityKey")
        key = self.authorities[request.name]
        algorithm = (
            common_pb2.KEY_ALGORITHM_ECDSA_P384
            if request.name == "root"
            else common_pb2.KEY_ALGORITHM_ECDSA_P256
        )
        return signer_pb2.GenerateAuthorityKeyResponse(spki=spki_of(key), algorithm=algorithm)

    async def SignAuthority(self, request: signer_pb2.SignAuthorityRequest, context: Any) -> Any:
        """Sign a TBSCertificate or TBSCertList."""
        self._note("SignAuthority")
        signed = signed_structure(self.authorities[request.name], request.to_be_signed)
        return signer_pb2.SignAuthorityResponse(signed=signed)

    async def ReadLedger(self, request: signer_pb2.ReadLedgerRequest, context: Any) -> Any:
        """Answer entries and heads."""
        self._note("ReadLedger")
        entries = self.ledgers.get(request.ledger, [])
        start = max(0, request.from_sequence - 1)
        return signer_pb2.ReadLedgerResponse(
            entries=entries[start : start + request.limit],
            heads=[
                signer_pb2.LedgerHead(ledger=name, sequence=len(kept), hash=kept[-1].hash)
                for name, kept in self.ledgers.items()
                if kept
            ],
        )

    @asynccontextmanager
    async def serving(self, mesh: MeshCa, port: int | None = None) -> AsyncIterator[int]:
        """Serve to the registry only; yield the port."""
        names = [method.name for method in signer_pb2.DESCRIPTOR.services_by_name["SignerService"].methods]
        allow = {f"/kyso.v1.SignerService/{name}": frozenset({"registry"}) for name in names}
        settings = RpcServerSettings(
            listen=f"127.0.0.1:{port or free_port()}", tls=mesh.tls("signer"), drain_seconds=0
        )

        def add(server: grpc.aio.Server) -> None:
            signer_pb2_grpc.add_SignerServiceServicer_to_server(self, server)

        async with serve_rpc(
            settings, make_runtime("signer"), add, ["kyso.v1.SignerService"], allow
        ) as bound:
            yield bound.port


def spki_of(key: PrivateKey) -> bytes:
    """Return the public key, DER."""
    return key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def signed_structure(key: PrivateKey, to_be_signed: bytes) -> bytes:
    """Return SEQUENCE { toBeSigned, signatureAlgorithm, signatureValue }, the shape of RFC 5280 and RFC 2986."""
    if isinstance(key, rsa.RSAPrivateKey):
        algorithm, value = _RSA_SHA256, key.sign(to_be_signed, padding.PKCS1v15(), hashes.SHA256())
    elif key.curve.name == "secp384r1":
        algorithm, value = _ECDSA_SHA384, key.sign(to_be_signed, ec.ECDSA(hashes.SHA384()))
    else:
        algorithm, value = _ECDSA_SHA256, key.sign(to_be_signed, ec.ECDSA(hashes.SHA256()))
    return _tagged(0x30, to_be_signed + algorithm + _tagged(0x03, b"\0" + value))


def _tagged(tag: int, content: bytes) -> bytes:
    size = len(content)
    if size < 0x80:
        return bytes([tag, size]) + content
    octets = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(octets)]) + octets + content
