from __future__ import annotations

import asyncio
import json

import pytest

from services.kernel.runtime import health
from services.kernel.runtime.health import Health
from tests.support.rpc import make_runtime


async def ask(port: int, request: bytes) -> tuple[int, bytes]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    head, _, body = answer.partition(b"\r\n\r\n")
    return (int(head.split()[1]) if head else 0), body


async def get(port: int, path: str) -> tuple[int, bytes]:
    return await ask(port, f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())


async def fine() -> str | None:
    return None


async def away() -> str | None:
    return "no heartbeat for 4.2 s"


async def broken() -> str | None:
    raise RuntimeError("password=hunter2")


async def silent() -> str | None:
    await asyncio.Event().wait()
    return None


async def test_a_service_is_not_ready_before_its_start_is_complete_and_while_it_stops() -> None:
    state = make_runtime().health
    state.register("database", fine)
    assert set(await state.refresh(force=True)) == {"starting"}
    await state.set_started()
    assert state.ready
    await state.set_stopping()
    assert set(state.reasons) == {"stopping"}


async def test_each_failing_check_is_a_named_reason_without_internals(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(health, "CHECK_SECONDS", 0.05)
    state = make_runtime().health
    for name, check in (("database", fine), ("directory", away), ("hsm", broken), ("bus", silent)):
        state.register(name, check)
    await state.set_started()
    assert state.reasons == {
        "directory": "no heartbeat for 4.2 s",
        "hsm": "the check failed with RuntimeError",
        "bus": "the check did not answer within 0.05 s",
    }


def test_a_name_is_given_to_one_check_only() -> None:
    async def register_twice() -> None:
        state = make_runtime().health
        state.register("database", fine)
        with pytest.raises(ValueError, match="there already"):
            state.register("database", fine)

    asyncio.run(register_twice())


async def test_whoever_watches_hears_of_every_change_once() -> None:
    state, heard = make_runtime().health, []
    answer: list[str | None] = [None]

    async def check() -> str | None:
        return answer[0]

    async def hear(ready: bool) -> None:
        heard.append(ready)

    state.register("bus", check)
    state.watch(hear)
    await state.set_started()
    await state.refresh(force=True)
    answer[0] = "away"
    await state.refresh(force=True)
    await state.refresh(force=True)
    answer[0] = None
    await state.refresh(force=True)
    assert heard == [True, False, True]


async def test_live_ready_and_metrics_are_served() -> None:
    runtime = make_runtime()
    runtime.health.register("directory", away)
    async with runtime.health.serve("127.0.0.1:0") as port:
        await runtime.health.set_started()
        assert await get(port, "/livez") == (200, b"alive\n")
        status, body = await get(port, "/readyz?verbose=1")
        assert (status, json.loads(body)) == (
            503,
            {"ready": False, "reasons": {"directory": "no heartbeat for 4.2 s"}},
        )
        status, body = await get(port, "/metrics")
        assert status == 200
        assert b'kyso_ready{reason="directory"} 0.0' in body
        assert b"process_cpu_seconds_total" in body
        assert (await get(port, "/"))[0] == 404
        assert (await ask(port, b"POST /livez HTTP/1.1\r\nHost: x\r\n\r\n"))[0] == 405


@pytest.mark.parametrize(
    "request_bytes", [b"GET /livez HTTP/1.1\r\nX: " + b"a" * 20_000, b"\x16\x03\x01\x02\r\n\r\n"]
)
async def test_hostile_requests_cost_a_closed_connection_and_no_more(request_bytes: bytes) -> None:
    runtime = make_runtime()
    async with runtime.health.serve("127.0.0.1:0") as port:
        status, _ = await ask(port, request_bytes)
        assert status in (0, 405)
        assert (await get(port, "/livez"))[0] == 200


async def test_a_client_that_never_finishes_its_request_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "READ_SECONDS", 0.05)
    state: Health = make_runtime().health
    async with state.serve("127.0.0.1:0") as port:
        assert await ask(port, b"GET /livez") == (0, b"")
