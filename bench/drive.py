"""Callers for the measurements: over gRPC as the gateway would, and over REST as a portal would."""

from __future__ import annotations

import asyncio
import base64
import json
import secrets
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import httpx

from kyso.v1 import common_pb2, signer_pb2, signer_pb2_grpc
from services.kernel.runtime.config import RpcClientSettings
from services.kernel.runtime.rpc import open_channel
from tests.support.platform import TestPlatform
from tests.support.world import World, multipart_body

SECONDS = 5.0
WARM_SECONDS = 1.0

Call = Callable[[], Awaitable[int]]
"""One call; returns how many signatures it brought."""


@dataclass(frozen=True)
class Measured:
    """What one run came to."""

    per_second: float
    own_cpu_ms: float
    """CPU of all server processes for each signature, without the time inside C_Sign."""
    all_cpu_ms: float
    """The same with it."""


async def measure(platform: TestPlatform, calls: list[Call], seconds: float = SECONDS) -> Measured:
    """Run every call in a loop of its own for a time; the first second is not counted."""
    counting = asyncio.Event()
    stop = asyncio.Event()
    done = 0

    async def loop(call: Call) -> None:
        nonlocal done
        while not stop.is_set():
            made = await call()
            if counting.is_set():
                done += made

    tasks = [asyncio.create_task(loop(call)) for call in calls]
    await asyncio.sleep(WARM_SECONDS)
    cpu, token, start = _cpu(platform), _token_seconds(platform), time.monotonic()
    counting.set()
    await asyncio.sleep(seconds)
    stop.set()
    await asyncio.gather(*tasks)
    elapsed = time.monotonic() - start
    spent, inside = _cpu(platform) - cpu, _token_seconds(platform) - token
    return Measured(done / elapsed, (spent - inside) / done * 1000, spent / done * 1000)


def _cpu(platform: TestPlatform) -> float:
    return sum(process.cpu_seconds() for process in platform.processes.values())


def _token_seconds(platform: TestPlatform) -> float:
    lines = (line for signer in platform.signers for line in platform.metrics(signer.name).splitlines())
    return sum(
        float(line.rsplit(" ", 1)[1])
        for line in lines
        if line.startswith("kyso_signer_hsm_token_seconds_total{")
    )


class GrpcCallers:
    """Callers at the signer's gRPC door, a connection each as replicas of a gateway would have."""

    def __init__(self, door: RpcClientSettings, token: str, connections: int) -> None:
        """Open the connections."""
        self._channels = [open_channel(door) for _ in range(connections)]
        self._metadata = (("authorization", f"Bearer {token}"),)

    def calls(self, credential: str, callers: int, batch: int) -> list[Call]:
        """Return one call for each caller."""
        stubs = [signer_pb2_grpc.SignerServiceStub(channel) for channel in self._channels]
        return [self._call(stubs[number % len(stubs)], credential, batch) for number in range(callers)]

    def _call(self, stub: signer_pb2_grpc.SignerServiceAsyncStub, credential: str, batch: int) -> Call:
        context = signer_pb2.SigningContext(document_type="cong-van", label=common_pb2.SECRECY_LABEL_NONE)

        async def call() -> int:
            request = signer_pb2.SignHashesRequest(
                credential_id=credential,
                idempotency_key=uuid.uuid4().hex,
                digest_algorithm=common_pb2.DIGEST_ALGORITHM_SHA256,
                digests=[secrets.token_bytes(32) for _ in range(batch)],
                context=context,
            )
            answer = await stub.SignHashes(request, metadata=self._metadata, timeout=60)
            assert all(outcome.signature for outcome in answer.outcomes)
            return len(answer.outcomes)

        return call

    async def close(self) -> None:
        """Close the connections."""
        for channel in self._channels:
            await channel.close()


class RestCallers:
    """Callers at the gateway's REST door."""

    def __init__(self, world: World) -> None:
        """Open a client."""
        limits = httpx.Limits(max_connections=64, max_keepalive_connections=64)
        self._http = httpx.AsyncClient(
            base_url=world.platform.url, timeout=60, trust_env=False, limits=limits
        )
        self._headers = world.headers()

    def hashes(self, credential: str, batch: int) -> Call:
        """Return a call of POST /v1/hashes:sign."""

        async def call() -> int:
            body = {
                "credential_id": credential, "digest_algorithm": "SHA-256", "document_type": "cong-van", "label": "none",
                "digests": [base64.b64encode(secrets.token_bytes(32)).decode() for _ in range(batch)],
            }  # fmt: skip
            headers = self._headers | {"Idempotency-Key": uuid.uuid4().hex}
            answer = await self._http.post("/v1/hashes:sign", json=body, headers=headers)
            assert answer.status_code == 200, answer.text
            return sum(1 for item in answer.json()["signatures"] if "signature" in item)

        return call

    def document(self, credential: str, pdf: bytes) -> Call:
        """Return a call of POST /v1/signatures."""
        request = json.dumps({
            "credential_id": credential, "format": "pades", "level": "B-B", "digest_algorithm": "SHA-256",
            "document_type": "cong-van", "label": "none", "mode": "sync",
        }).encode()  # fmt: skip
        body, content_type = multipart_body([("request", request), ("document", pdf)])

        async def call() -> int:
            headers = self._headers | {"Idempotency-Key": uuid.uuid4().hex, "Content-Type": content_type}
            answer = await self._http.post("/v1/signatures", content=body, headers=headers)
            assert answer.status_code == 200, answer.text
            return 1

        return call

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()
