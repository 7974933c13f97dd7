"""Callers without a token who are slow: they take neither much time nor the places of others."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from tests.integration.gateway.conftest import Door, open_door, until
from tests.support.pki import MeshCa

FORM_HEAD = (
    b"POST /oauth2/token HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-www-form-urlencoded\r\n"
    b"Content-Length: 1000\r\n\r\n"
)
FORM = {"grant_type": "client_credentials", "client_id": "cl_1", "client_secret": "wrong"}


@asynccontextmanager
async def half_sent(door: Door, number: int) -> AsyncIterator[None]:
    """Have `number` forms under way whose end never comes."""
    writers = []
    try:
        for _ in range(number):
            _, writer = await asyncio.open_connection("127.0.0.1", door.port)
            writer.write(FORM_HEAD + b"grant_type=")
            await writer.drain()
            writers.append(writer)

        async def under_way() -> bool:
            return door.figure("kyso_gateway_in_flight") == number

        await until(under_way)
        yield
    finally:
        for writer in writers:
            writer.close()


@pytest.mark.parametrize(
    "head",
    [
        FORM_HEAD,
        b"POST /v1/hashes:sign HTTP/1.1\r\nHost: a\r\nAuthorization: %s\r\nIdempotency-Key: k\r\n"
        b"Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n",
    ],
    ids=["form", "JSON"],
)
async def test_a_small_body_has_one_time_limit_however_it_drips(mesh_ca: MeshCa, head: bytes) -> None:
    limits = {"small_body_seconds": 0.5, "body_idle_seconds": 20, "body_seconds": 300}
    async with AsyncExitStack() as stack:
        door = await open_door(stack, mesh_ca, limits=limits)
        head = head.replace(b"%s", door.headers()["Authorization"].encode())
        reader, writer = await asyncio.open_connection("127.0.0.1", door.port)

        async def drip() -> None:
            writer.write(head)
            while True:
                writer.write(b"a")
                await asyncio.sleep(0.05)

        dripping = asyncio.create_task(drip())
        async with asyncio.timeout(15):
            line = await reader.readline()
        dripping.cancel()
        writer.close()
    assert line.startswith(b"HTTP/1.1 408 ")


async def test_forms_without_an_end_leave_the_places_of_others_alone(mesh_ca: MeshCa) -> None:
    http = {"max_in_flight": 1, "max_open_in_flight": 4, "max_open_per_address": 0}
    async with AsyncExitStack() as stack:
        door = await open_door(stack, mesh_ca, http=http, limits={"body_idle_seconds": 20})
        async with half_sent(door, 4):
            assert (await door.http.get("/v1/credentials", headers=door.headers())).status_code == 200
            full = await door.http.post("/oauth2/token", data=FORM)
            assert (full.status_code, full.json()["code"]) == (503, "OVERLOADED")
            assert (await door.http.get("/livez")).status_code == 200


async def test_one_address_gets_a_few_of_the_open_places(mesh_ca: MeshCa) -> None:
    async with AsyncExitStack() as stack:
        door = await open_door(
            stack, mesh_ca, http={"max_open_per_address": 2}, limits={"body_idle_seconds": 20}
        )
        async with half_sent(door, 2):
            refused = await door.http.get("/pki/crl/root.crl")
            assert (refused.status_code, refused.json()["code"]) == (429, "RATE_LIMITED")
            assert refused.headers["retry-after"] == "1"
            assert (await door.http.get("/v1/credentials", headers=door.headers())).status_code == 200

        async def free() -> bool:
            return (await door.http.get("/pki/crl/root.crl")).status_code == 200

        await until(free)
