"""Callers that sign without pause, straight at the signers' gRPC door, and remember all that they were answered."""

from __future__ import annotations

import asyncio
import hashlib
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

import grpc

from kyso.v1 import common_pb2, signer_pb2, signer_pb2_grpc
from services.kernel.errors import DomainError
from services.kernel.runtime.config import RpcClientSettings
from services.kernel.runtime.rpc import open_channel

CALL_SECONDS = 20.0
SETTLE_SECONDS = 60.0
PAUSE_SECONDS = 0.05
DIGESTS: Mapping[int, str] = {
    common_pb2.DIGEST_ALGORITHM_SHA256: "sha256",
    common_pb2.DIGEST_ALGORITHM_SHA384: "sha384",
    common_pb2.DIGEST_ALGORITHM_SHA512: "sha512",
}


@dataclass(frozen=True)
class Wish:
    """What a caller signs with."""

    credential: str
    scheme: common_pb2.SignatureScheme = common_pb2.SIGNATURE_SCHEME_UNSPECIFIED
    digest: common_pb2.DigestAlgorithm = common_pb2.DIGEST_ALGORITHM_SHA256


@dataclass
class Request:
    """One request under one idempotency key, with every answer it got."""

    key: str
    wish: Wish
    content: bytes
    sent_at: float = 0.0
    signatures: set[bytes] = field(default_factory=set)
    operations: set[str] = field(default_factory=set)
    chain: tuple[bytes, ...] = ()
    refusals: list[str] = field(default_factory=list)
    attempts: int = 0
    ended_at: float = 0.0

    @property
    def final(self) -> str:
        """The word "signed", or the code of the last refusal."""
        return "signed" if self.signatures else (self.refusals[-1] if self.refusals else "unanswered")

    def message(self) -> signer_pb2.SignHashesRequest:
        """Return the request as it is sent, the same at each attempt."""
        return signer_pb2.SignHashesRequest(
            credential_id=self.wish.credential,
            idempotency_key=self.key,
            digest_algorithm=self.wish.digest,
            scheme=self.wish.scheme,
            digests=[hashlib.new(DIGESTS[self.wish.digest], self.content).digest()],
            context=signer_pb2.SigningContext(document_type="cong-van", label=common_pb2.SECRECY_LABEL_NONE),
        )


FINAL = frozenset(
    {"OUTCOME_UNKNOWN", "CREDENTIAL_HELD", "CREDENTIAL_REVOKED", "CREDENTIAL_STATUS_UNAVAILABLE"}
)
"""Answers after which a caller asks no more; everything else is asked again under the same key."""


class Callers:
    """A number of callers that work through `wishes` in turn, each over its own connection."""

    def __init__(
        self, doors: Sequence[RpcClientSettings], token: str, wishes: Sequence[Wish], count: int
    ) -> None:
        """`doors` are taken in turn by the callers."""
        self._doors = doors
        self._metadata = (("authorization", f"Bearer {token}"),)
        self._wishes = wishes
        self._count = count
        self._stop = asyncio.Event()
        self._progress = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self.requests: list[Request] = []

    async def __aenter__(self) -> Self:
        """Start calling."""
        self._tasks = [asyncio.create_task(self._call(number)) for number in range(self._count)]
        return self

    async def __aexit__(self, *_: object) -> None:
        """Let every caller bring its last request to its end."""
        self._stop.set()
        async with asyncio.timeout(SETTLE_SECONDS + CALL_SECONDS):
            await asyncio.gather(*self._tasks)

    def signed(self) -> int:
        """Return how many requests have been signed so far."""
        return sum(1 for request in self.requests if request.signatures)

    def ended(self) -> int:
        """Return how many requests have ended so far."""
        return sum(1 for request in self.requests if request.ended_at)

    async def until_signed(self, more: int) -> None:
        """Wait until `more` further requests were signed; fail when the callers stall."""
        goal = self.signed() + more
        async with asyncio.timeout(SETTLE_SECONDS):
            while self.signed() < goal:
                self._progress.clear()
                await self._progress.wait()

    async def until_ended(self, more: int) -> None:
        """Wait until `more` further requests have ended, however."""
        goal = self.ended() + more
        async with asyncio.timeout(SETTLE_SECONDS):
            while self.ended() < goal:
                self._progress.clear()
                await self._progress.wait()

    async def _call(self, number: int) -> None:
        turn = number
        channel = open_channel(self._doors[number % len(self._doors)])
        try:
            stub = signer_pb2_grpc.SignerServiceStub(channel)
            while not self._stop.is_set():
                wish = self._wishes[turn % len(self._wishes)]
                turn += 1
                request = Request(uuid.uuid4().hex, wish, f"{number}/{turn}".encode())
                self.requests.append(request)
                await self._bring_to_end(stub, request)
        finally:
            await channel.close()

    async def _bring_to_end(self, stub: signer_pb2_grpc.SignerServiceAsyncStub, request: Request) -> None:
        deadline = time.monotonic() + SETTLE_SECONDS
        request.sent_at = time.time()
        while time.monotonic() < deadline:
            request.attempts += 1
            if await self._attempt(stub, request):
                break
            await asyncio.sleep(PAUSE_SECONDS)
        request.ended_at = time.time()
        self._progress.set()

    async def _attempt(self, stub: signer_pb2_grpc.SignerServiceAsyncStub, request: Request) -> bool:
        try:
            answer = await stub.SignHashes(request.message(), metadata=self._metadata, timeout=CALL_SECONDS)
        except DomainError as error:
            request.refusals.append(error.code)
            return error.code in FINAL
        except grpc.aio.AioRpcError as error:
            request.refusals.append(error.code().name)
            return False
        request.operations.add(answer.operation_id)
        request.chain = tuple(answer.certificate_chain)
        outcome = answer.outcomes[0]
        if outcome.WhichOneof("outcome") == "signature":
            request.signatures.add(outcome.signature)
            return True
        request.refusals.append(outcome.error.code)
        return outcome.error.code in FINAL
