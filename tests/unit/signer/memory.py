"""Ports in memory: they pass the same contract suite as the real stores (tests/integration/signer/test_store.py)."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from prometheus_client import CollectorRegistry, Counter

from services.kernel.errors import (
    CredentialNotFound,
    DomainError,
    EvidenceUnavailable,
    PersonSignatureMissing,
    TimeStampUnavailable,
)
from services.kernel.events import Event
from services.kernel.values import Digest, KeyAlgorithm, SigningAlgorithm
from services.signer.domain import Credential, Key, State
from services.signer.formats.format import Evidence
from services.signer.hsm.types import GeneratedKey, KeyLocator
from services.signer.ledger import Entry, Head, LedgerEntry, event_of
from services.signer.metrics import SignerMetrics
from services.signer.ports import AuthorityKey, DocumentPool, Ending, Intent, Recorded
from services.signer.service.documents import DocumentParts
from services.signer.service.levels import LevelRaising


class MemoryStore:
    """The SigningStore port."""

    def __init__(self, replica: str = "signer-1") -> None:
        self.replica = replica
        self.rows: dict[str, Recorded] = {}
        self.owners: dict[str, str] = {}
        self.chains: dict[bytes, tuple[bytes, ...]] = {}
        self.entries: list[LedgerEntry] = []
        self.events: list[Event] = []
        self._head = Head(replica)

    async def begin(self, intent: Intent) -> Recorded | None:
        taken = await self.find(intent.client_id, intent.idempotency_key)
        if taken is not None:
            return taken
        self.rows[intent.id] = _begun(intent)
        self.owners[intent.id] = self.replica
        return None

    async def begin_again(self, intent: Intent, state: State) -> bool:
        row = self.rows.get(intent.id)
        if row is None or row.state is not state:
            return False
        if state is State.FAILED and not (row.failure and row.failure.retryable):
            return False
        self.rows[intent.id] = replace(_begun(intent), created_at=row.created_at)
        self.owners[intent.id] = self.replica
        return True

    async def renew(self, operation_ids: Sequence[str], until: datetime) -> None:
        for operation_id in operation_ids:
            row = self.rows[operation_id]
            if row.state is State.BEGUN and self.owners[operation_id] == self.replica:
                self.rows[operation_id] = replace(row, lease_until=until)

    async def end(self, ending: Ending) -> bool:
        operation_id = ending.entry.facts.operation_id
        row = self.rows.get(operation_id)
        open_states = {State.ACCEPTED, State.BEGUN}
        if row is None or row.state not in open_states or self.owners.get(operation_id) != self.replica:
            return False
        if ending.chain is not None:
            self.chains[ending.chain.sha256] = ending.chain.der
        self.rows[operation_id] = replace(
            row,
            state=ending.state,
            ended_at=ending.entry.time,
            result=ending.result,
            chain_sha256=ending.chain.sha256 if ending.chain else None,
            algorithm=ending.algorithm,
            signing_time=ending.signing_time,
            failure=ending.entry.failure,
        )
        await self.note(ending.entry)
        self.events += ending.events
        return True

    async def note(self, entry: Entry) -> None:
        self._head, placed = self._head.append(entry)
        self.entries.append(placed)
        self.events.append(event_of(entry, placed))

    async def find(self, client_id: str, idempotency_key: str) -> Recorded | None:
        found = (
            row
            for row in self.rows.values()
            if (row.client_id, row.idempotency_key) == (client_id, idempotency_key)
        )
        return next(found, None)

    async def operation(self, operation_id: str) -> Recorded | None:
        return self.rows.get(operation_id)

    async def chain(self, sha256: bytes) -> tuple[bytes, ...]:
        return self.chains[sha256]

    async def ledger_entries(self, ledger: str, first: int, limit: int) -> list[LedgerEntry]:
        return [entry for entry in self.entries if entry.sequence >= first][:limit]

    async def ledger_heads(self) -> list[Head]:
        return [self._head] if self.entries else []


def _begun(intent: Intent) -> Recorded:
    return Recorded(
        id=intent.id,
        client_id=intent.client_id,
        idempotency_key=intent.idempotency_key,
        request_sha256=intent.request_sha256,
        kind=intent.kind,
        state=State.BEGUN,
        credential_id=intent.facts.credential_id,
        facts=intent.facts,
        lease_until=intent.lease_until,
        created_at=intent.created_at,
        ended_at=None,
        result=None,
        chain_sha256=None,
        algorithm="",
        signing_time=None,
        failure=None,
    )


class MemoryKeys:
    """The KeyStore port."""

    def __init__(self) -> None:
        self.keys: dict[str, Key] = {}
        self.authorities: dict[str, AuthorityKey] = {}

    async def key(self, key_id: str) -> Key | None:
        return self.keys.get(key_id)

    async def key_of_credential(self, credential_id: str) -> Key | None:
        return next((key for key in self.keys.values() if key.credential_id == credential_id), None)

    async def add_key(self, key: Key, at: datetime) -> Key:
        return await self.key_of_credential(key.credential_id) or self.keys.setdefault(key.id, key)

    async def authority_key(self, name: str) -> AuthorityKey | None:
        return self.authorities.get(name)

    async def add_authority_key(self, key: AuthorityKey, at: datetime) -> AuthorityKey:
        return self.authorities.setdefault(key.name, key)

    async def set_authority_subject(self, name: str, subject: bytes) -> bytes:
        key = self.authorities[name]
        if key.subject is None:
            self.authorities[name] = replace(key, subject=subject)
        return self.authorities[name].subject or b""


class SoftwareHsm:
    """The Signer port with keys in memory; `plan` answers instead of a signature where it returns something."""

    def __init__(self) -> None:
        self.private: dict[bytes, Any] = {}
        self.signed = 0
        self.plan: Callable[[int], bytes | DomainError | None] = lambda _: None
        self.before: Callable[[], None] = lambda: None

    async def generate(self, group: str, algorithm: KeyAlgorithm) -> GeneratedKey:
        private: Any
        if algorithm.family == "RSA":
            private = rsa.generate_private_key(65537, algorithm.bits)
        else:
            private = ec.generate_private_key(ec.SECP256R1() if algorithm.bits == 256 else ec.SECP384R1())
        spki = private.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        digest = hashes.Hash(hashes.SHA256())
        digest.update(spki)
        spki_sha256 = digest.finalize()
        cka_id = spki_sha256[:16]
        self.private[cka_id] = private
        return GeneratedKey(KeyLocator(group, cka_id, spki_sha256), algorithm, spki)

    async def sign(
        self,
        locator: KeyLocator,
        algorithm: SigningAlgorithm,
        digests: Sequence[bytes],
        *,
        admit: Callable[[], float | None] | None = None,
    ) -> list[bytes | DomainError]:
        self.before()
        if admit is not None:
            try:
                admit()
            except DomainError as refusal:
                return [refusal] * len(digests)
        return [self._one(locator, algorithm, digest) for digest in digests]

    def _one(self, locator: KeyLocator, algorithm: SigningAlgorithm, digest: bytes) -> bytes | DomainError:
        planned = self.plan(self.signed)
        self.signed += 1
        if planned is not None:
            return planned
        hashing = {32: hashes.SHA256(), 48: hashes.SHA384(), 64: hashes.SHA512()}[algorithm.digest.size]
        signature: bytes = self.private[locator.cka_id].sign(digest, ec.ECDSA(Prehashed(hashing)))
        return signature


class MemoryDoor:
    """A door that lets in while the directory holds the very same state."""

    def __init__(self, directory: MemoryDirectory, credential: Credential) -> None:
        self._directory, self._credential = directory, credential

    def admit(self) -> float:
        refusal = self._directory.refusal(self._credential)
        if refusal is not None:
            raise refusal
        return time.monotonic() + 60

    def close(self) -> None:
        self._directory.open_doors -= 1


class MemoryDirectory:
    """The Directory port."""

    def __init__(self) -> None:
        self.credentials: dict[str, Credential] = {}
        self.refusal: Callable[[Credential], DomainError | None] = lambda _: None
        self.fails: DomainError | None = None
        self.open_doors = 0

    async def resolve(self, credential_id: str) -> Credential:
        if self.fails is not None:
            raise self.fails
        found = self.credentials.get(credential_id)
        if found is None:
            raise CredentialNotFound(f"no credential {credential_id}")
        return found

    def door(self, credential: Credential) -> MemoryDoor:
        self.open_doors += 1
        return MemoryDoor(self, credential)


class Outside:
    """Time-stamps, evidence and the verifier's word: what a test put in, or the error that says it cannot be had."""

    def __init__(self, tokens: Sequence[bytes] = (), evidence: Sequence[Evidence] = ()) -> None:
        self.tokens, self.evidence = list(tokens), list(evidence)
        self.asked: list[str] = []
        self.person_missing = False

    async def stamp(self, authority: str, digest: Digest) -> bytes:
        self.asked.append(f"stamp {authority or 'own'} {digest.algorithm.name}")
        if not self.tokens:
            raise TimeStampUnavailable("no time-stamp today")
        return self.tokens.pop(0)

    async def collect(self, certificates: Sequence[bytes]) -> Evidence:
        self.asked.append(f"collect {len(certificates)}")
        if not self.evidence:
            raise EvidenceUnavailable("no evidence today")
        return self.evidence.pop(0)

    async def require(self, chunks: AsyncIterator[bytes]) -> None:
        self.asked.append(f"person {sum([len(chunk) async for chunk in chunks])}")
        if self.person_missing:
            raise PersonSignatureMissing("no person signed")


def levels_counter() -> Counter:
    """Return the metric that counts levels, in a registry of its own."""
    return SignerMetrics.register(CollectorRegistry()).levels


def document_parts(documents: DocumentPool, outside: Outside | None = None) -> DocumentParts:
    """Join real document workers with an outside that has nothing, unless one is given."""
    outside = outside or Outside()
    return DocumentParts(documents, LevelRaising(outside, outside, levels_counter()), outside)


def utc_now() -> datetime:
    """Tell the time."""
    return datetime.now(UTC)
