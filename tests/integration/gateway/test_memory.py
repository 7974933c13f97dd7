"""A document many times the limit of what may be held passes through without being held."""

from __future__ import annotations

import asyncio
import hashlib
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from services.kernel.runtime.config import RpcServerSettings, TlsSettings
from services.kernel.runtime.rpc import serve_rpc
from tests.integration.gateway.conftest import until
from tests.integration.gateway.stand_ins import StandIns
from tests.support.pki import MeshCa
from tests.support.rpc import free_port, make_runtime

SIZE = 96 * 1024 * 1024
MAY_GROW = 24 * 1024 * 1024


def section(name: str, port: int, tls: TlsSettings) -> str:
    return (
        f'[{name}]\ntarget = "127.0.0.1:{port}"\nserver_name = "signer"\n[{name}.tls]\n'
        f'certificate_file = "{tls.certificate_file}"\nprivate_key_file = "{tls.private_key_file}"\n'
        f'ca_file = "{tls.ca_file}"\n'
    )


def configuration(mesh_ca: MeshCa, services_port: int, port: int) -> str:
    tls = mesh_ca.tls("gateway")
    head = (
        f'[telemetry]\nhttp_listen = "127.0.0.1:{free_port()}"\n[http]\nlisten = "127.0.0.1:{port}"\n'
        f"[limits]\nmax_document_bytes = {SIZE}\n"
    )
    return head + "".join(section(name, services_port, tls) for name in ("signer", "verifier", "registry"))


PART = '--b\r\nContent-Disposition: form-data; name="{}"; filename="{}.pdf"\r\nContent-Type: {}\r\n\r\n'
REQUEST = {"credential_id": "cr_1", "format": "pades", "label": "none"}


async def whole(request: dict[str, Any], *names: str) -> AsyncIterator[bytes]:
    """Yield a body whose files are SIZE bytes together."""
    yield (PART.format("request", "request", "application/json") + json.dumps(request)).encode()
    for name in names:
        yield b"\r\n" + PART.format(name, name, "application/pdf").encode()
        for _ in range(SIZE // 65536 // len(names)):
            yield bytes(65536)
    yield b"\r\n--b--\r\n"


def one_document() -> tuple[str, AsyncIterator[bytes]]:
    return "/v1/signatures", whole(REQUEST, "document")


def many_files() -> tuple[str, AsyncIterator[bytes]]:
    return "/v1/signatures", whole({**REQUEST, "format": "asic_e"}, *["document"] * 48)


def a_batch() -> tuple[str, AsyncIterator[bytes]]:
    keys = [str(number) for number in range(96)]
    return "/v1/signatures:batch", whole({**REQUEST, "items": [{"key": key} for key in keys]}, *keys)


def an_extension() -> tuple[str, AsyncIterator[bytes]]:
    return "/v1/documents:extend", whole({"level": "B-LTA"}, "document", "content")


@pytest.mark.parametrize("road", [one_document, many_files, a_batch, an_extension])
async def test_the_gateway_process_never_holds_a_document(
    mesh_ca: MeshCa, tmp_path: Path, road: Callable[[], tuple[str, AsyncIterator[bytes]]]
) -> None:
    services = StandIns()
    async with AsyncExitStack() as stack:
        listen = RpcServerSettings(listen="127.0.0.1:0", tls=mesh_ca.tls("signer"), drain_seconds=0.5)
        behind = make_runtime("stand-ins")
        bound = await stack.enter_async_context(serve_rpc(listen, behind, services.add, (), services.allow()))
        port = free_port()
        settings = tmp_path / "gateway.toml"
        settings.write_text(configuration(mesh_ca, bound.port, port))
        check = [sys.executable, "-m", "gateway", "--config", str(settings), "--check-config"]
        checked = await asyncio.to_thread(subprocess.run, check, capture_output=True, timeout=60)
        assert checked.stdout == b"configuration ok\n"
        with (tmp_path / "log").open("wb") as log:
            process = subprocess.Popen([*check[:-1]], stderr=log)
        stack.callback(process.wait, 30)
        stack.callback(process.terminate)
        http = await stack.enter_async_context(
            httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=60)
        )

        async def is_ready() -> bool:
            assert process.poll() is None, (tmp_path / "log").read_text()
            try:
                return (await http.get("/readyz")).status_code == 200
            except httpx.ConnectError:
                return False

        await until(is_ready)
        memory = psutil.Process(process.pid)
        headers = {"Authorization": f"Bearer {services.tokens.token()}", "Idempotency-Key": "k"}
        headers["Content-Type"] = "multipart/form-data; boundary=b"
        before = memory.memory_info().rss
        path, content = road()
        answer = await http.post(path, content=content, headers=headers)
        assert answer.status_code == 200, answer.text
        assert services.signer.received == SIZE
        if road is not a_batch:
            assert hashlib.sha256(bytes(SIZE)).hexdigest().encode() in answer.content
        # The peak, not the present value: what was given back has been held too.
        status = Path(f"/proc/{process.pid}/status").read_text()
        peak = int(status.partition("VmHWM:")[2].split()[0]) * 1024
        assert peak - before < MAY_GROW, (
            f"{(peak - before) / 1e6:.0f} MB for a document of {SIZE / 1e6:.0f} MB"
        )
        process.terminate()
        assert process.wait(30) == 0
