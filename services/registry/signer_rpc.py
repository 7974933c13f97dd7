"""The Signer and Ledgers ports over gRPC."""

from __future__ import annotations

from collections.abc import Mapping

import grpc

from kyso.v1 import common_pb2, signer_pb2, signer_pb2_grpc
from services.kernel.errors import Internal
from services.kernel.values import KeyAlgorithm
from services.registry.domain.ledger import HASH_SIZE, Entry, Head
from services.registry.domain.records import entry_of
from services.registry.ports import AuthorityKey, DocumentKey

KEY_SECONDS = 60.0
"""An RSA key of 4,096 bits takes an HSM many seconds."""
CRL_SECONDS = 30.0

_TO_PROTO = {
    KeyAlgorithm.RSA_2048: common_pb2.KEY_ALGORITHM_RSA_2048,
    KeyAlgorithm.RSA_3072: common_pb2.KEY_ALGORITHM_RSA_3072,
    KeyAlgorithm.RSA_4096: common_pb2.KEY_ALGORITHM_RSA_4096,
    KeyAlgorithm.ECDSA_P256: common_pb2.KEY_ALGORITHM_ECDSA_P256,
    KeyAlgorithm.ECDSA_P384: common_pb2.KEY_ALGORITHM_ECDSA_P384,
}
_FROM_PROTO = {number: algorithm for algorithm, number in _TO_PROTO.items()}


class RpcSigner:
    """Calls the signer; the channel raises DomainError where it cannot answer."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        """Bind a channel of the mesh to the signer."""
        # Generated stubs take either kind of channel; their types know the synchronous one's callables.
        self._stub: signer_pb2_grpc.SignerServiceAsyncStub = signer_pb2_grpc.SignerServiceStub(channel)

    async def document_key(self, credential_id: str, algorithm: KeyAlgorithm) -> DocumentKey:
        """Make the key of a credential; the same answer every time."""
        request = signer_pb2.GenerateKeyRequest(credential_id=credential_id, algorithm=_TO_PROTO[algorithm])
        answer = await self._stub.GenerateKey(request, timeout=KEY_SECONDS)
        return DocumentKey(answer.key_id, answer.spki)

    async def certification_request(self, key_id: str, info: bytes) -> bytes:
        """Sign a CertificationRequestInfo; return the whole CertificationRequest, DER."""
        request = signer_pb2.SignCertificationRequestRequest(key_id=key_id, certification_request_info=info)
        return (await self._stub.SignCertificationRequest(request)).certification_request

    async def authority_key(self, name: str) -> AuthorityKey:
        """Make, or find, a CA key."""
        answer = await self._stub.GenerateAuthorityKey(
            signer_pb2.GenerateAuthorityKeyRequest(name=name), timeout=KEY_SECONDS
        )
        algorithm = _FROM_PROTO.get(answer.algorithm)
        if algorithm is None:
            raise Internal(f"the signer answered a key type that is not known here for the CA key {name}")
        return AuthorityKey(answer.spki, algorithm)

    async def sign_certificate(self, authority: str, tbs: bytes) -> bytes:
        """Sign a TBSCertificate; return the whole certificate, DER."""
        request = signer_pb2.SignAuthorityRequest(
            name=authority, purpose=signer_pb2.AUTHORITY_PURPOSE_CERTIFICATE, to_be_signed=tbs
        )
        return (await self._stub.SignAuthority(request)).signed

    async def sign_crl(self, authority: str, tbs: bytes) -> bytes:
        """Sign a TBSCertList; return the whole CRL, DER."""
        request = signer_pb2.SignAuthorityRequest(
            name=authority, purpose=signer_pb2.AUTHORITY_PURPOSE_CRL, to_be_signed=tbs
        )
        return (await self._stub.SignAuthority(request, timeout=CRL_SECONDS)).signed

    async def heads(self) -> Mapping[str, Head]:
        """Return where every ledger stands."""
        answer = await self._stub.ReadLedger(signer_pb2.ReadLedgerRequest())
        return {head.ledger: Head(head.sequence, head.hash) for head in answer.heads}

    async def read(self, ledger: str, from_sequence: int, limit: int) -> list[Entry]:
        """Return entries in order; none past the head."""
        request = signer_pb2.ReadLedgerRequest(ledger=ledger, from_sequence=from_sequence, limit=limit)
        answer = await self._stub.ReadLedger(request)
        return [_entry(ledger, entry) for entry in answer.entries]


def _entry(ledger: str, read: signer_pb2.LedgerEntry) -> Entry:
    entry = entry_of(read.event_id, read.data, read.hash, read.previous_hash)
    if (entry.ledger, entry.sequence) != (ledger, read.sequence) or len(read.hash) != HASH_SIZE:
        raise Internal(f"the signer's ledger {ledger} contradicts itself at entry {read.sequence}")
    return entry
