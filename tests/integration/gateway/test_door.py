"""The door itself: TLS, connections beyond the limit, a stop that lets requests end, a port that is taken."""

from __future__ import annotations

import asyncio
import json
import ssl
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.config import HttpSettings
from gateway.server import serve_http
from services.kernel.runtime.config import ConfigError
from tests.integration.gateway.conftest import open_door, until
from tests.integration.gateway.test_bad_input import DOCUMENT_PART, REQUEST_PART, multipart, post
from tests.support.pki import MeshCa


async def _hello(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


async def test_the_door_speaks_tls_where_it_is_told_to(mesh_ca: MeshCa) -> None:
    # "nats" is the one test certificate that names this machine's address.
    tls = mesh_ca.tls("nats")
    files = {"certificate_file": tls.certificate_file, "private_key_file": tls.private_key_file}
    settings = HttpSettings.model_validate({"listen": "127.0.0.1:0", "tls": files, "drain_seconds": 1})
    trusted = ssl.create_default_context(cafile=str(mesh_ca.ca_file))
    async with (
        serve_http(settings, _hello) as port,
        httpx.AsyncClient(verify=trusted, trust_env=False) as http,
    ):
        assert (await http.get(f"https://127.0.0.1:{port}/")).text == "ok"


async def test_a_certificate_that_is_not_there_is_a_wrong_setting(tmp_path: Path) -> None:
    files = {"certificate_file": tmp_path / "a.pem", "private_key_file": tmp_path / "a.key"}
    settings = HttpSettings.model_validate({"listen": "127.0.0.1:0", "tls": files})
    with pytest.raises(ConfigError, match=r"http\.tls"):
        async with serve_http(settings, _hello):
            pass


async def test_a_taken_port_is_named() -> None:
    async with serve_http(HttpSettings(listen="127.0.0.1:0", drain_seconds=1), _hello) as port:
        with pytest.raises(OSError, match=f"cannot listen on 127.0.0.1:{port}"):
            async with serve_http(HttpSettings(listen=f"127.0.0.1:{port}"), _hello):
                pass


async def test_connections_beyond_the_limit_are_closed() -> None:
    settings = HttpSettings(listen="127.0.0.1:0", max_connections=1, drain_seconds=1)
    async with serve_http(settings, _hello) as port:
        _, first = await asyncio.open_connection("127.0.0.1", port)
        reader, second = await asyncio.open_connection("127.0.0.1", port)
        async with asyncio.timeout(5):
            assert await reader.read() == b""
        first.close()
        second.close()


async def test_a_stop_lets_the_request_under_way_end(mesh_ca: MeshCa) -> None:
    release = asyncio.Event()

    async def stream() -> Any:
        yield multipart(REQUEST_PART, end=b"")
        await release.wait()
        yield multipart(DOCUMENT_PART)

    stack = AsyncExitStack()
    door = await open_door(stack, mesh_ca, http={"drain_seconds": 20}, limits={"body_idle_seconds": 20})
    # A client of its own: the one of the door is closed first.
    async with httpx.AsyncClient(base_url=door.url, trust_env=False, timeout=20) as http:
        door.http, own = http, door.http
        request = asyncio.create_task(
            post(door, "/v1/signatures", stream(), "multipart/form-data; boundary=b")
        )

        async def under_way() -> bool:
            return door.figure("kyso_gateway_in_flight") == 1

        await until(under_way)
        await own.aclose()
        stopping = asyncio.create_task(stack.aclose())

        async def closed() -> bool:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", door.port)
            except ConnectionError:
                return True
            writer.close()
            return False

        await until(closed)
        release.set()
        answer = await request
        assert answer.status_code == 200, answer.text
        await stopping


async def test_answers_carry_json_that_is_utf8(mesh_ca: MeshCa) -> None:
    async with AsyncExitStack() as stack:
        door = await open_door(stack, mesh_ca)
        answer = await door.http.get("/v1/agencies", headers=door.headers())
    assert "UBND xã An Bình".encode() in answer.content
    assert json.loads(answer.content)["agencies"][0]["name"] == "UBND xã An Bình"
