"""What the gateway keeps of CRLs and CA certificates, and for how long it gives them on without the registry."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import Response

from gateway.auth import ANONYMOUS
from gateway.routes import pki as module
from gateway.routes.pki import Pki
from kyso.v1 import registry_pb2 as messages
from services.kernel.errors import NotFound, ServiceUnavailable

START = datetime(2026, 11, 22, 10, tzinfo=UTC)
DAYS = timedelta(days=7)


class Registry:
    """Answers a CRL that holds for a week, or fails; a name in `slow` is answered once its event is set."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.question = asyncio.Event()
        self.failure: Exception | None = None
        self.slow: dict[str, asyncio.Event] = {}

    async def _wait(self, ca: str) -> None:
        self.asked.append(ca)
        self.question.set()
        if ca in self.slow:
            await self.slow[ca].wait()
        if self.failure is not None:
            raise self.failure

    async def GetCrl(self, request: Any, timeout: float) -> Any:
        await self._wait(request.ca)
        answer = messages.GetCrlResponse(crl=b"crl of " + request.ca.encode())
        answer.this_update.FromDatetime(START)
        answer.next_update.FromDatetime(START + DAYS)
        return answer

    async def GetCaCertificate(self, request: Any, timeout: float) -> Any:
        await self._wait(request.ca)
        return messages.GetCaCertificateResponse(certificate=b"certificate of " + request.ca.encode())


class World:
    def __init__(self) -> None:
        self.now = START
        self.registry = Registry()
        self.pki = Pki(self.registry, lambda: self.now)  # type: ignore[arg-type]

    def crl(self, ca: str) -> Awaitable[Response]:
        return self.pki.crl(_request(ca), ANONYMOUS)

    def certificate(self, ca: str) -> Awaitable[Response]:
        return self.pki.certificate(_request(ca), ANONYMOUS)


def _request(ca: str) -> Request:
    return Request({"type": "http", "path_params": {"ca": ca}, "query_string": b"", "headers": []})


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    # Nothing is fresh any more, and no failure is remembered: every call asks.
    monkeypatch.setattr(module, "KEPT_SECONDS", 0.0)
    monkeypatch.setattr(module, "FAILURE_SECONDS", 0.0)
    return World()


async def test_a_crl_outlives_the_registry_until_its_next_update(world: World) -> None:
    await world.crl("issuing")
    world.registry.failure = ServiceUnavailable("gone")
    world.now = START + DAYS - timedelta(seconds=60)
    answer = await world.crl("issuing")
    assert answer.body == b"crl of issuing"
    assert answer.headers["cache-control"] == "public, max-age=60"
    assert world.registry.asked == ["issuing"] * 2
    world.now = START + DAYS
    with pytest.raises(ServiceUnavailable):
        await world.crl("issuing")


async def test_a_crl_that_is_out_of_date_by_a_revocation_is_better_than_none(world: World) -> None:
    await world.crl("issuing")
    world.pki.forget()
    world.registry.failure = ServiceUnavailable("gone")
    assert (await world.crl("issuing")).body == b"crl of issuing"


async def test_a_ca_certificate_outlives_the_registry(world: World) -> None:
    await world.certificate("root")
    world.registry.failure = ServiceUnavailable("gone")
    world.now = START + 100 * DAYS
    assert (await world.certificate("root")).body == b"certificate of root"


async def test_a_ca_that_is_no_more_is_said_to_be_none(world: World) -> None:
    await world.crl("root")
    world.registry.failure = NotFound("no such CA")
    with pytest.raises(NotFound):
        await world.crl("root")


async def test_a_dead_registry_is_asked_once_for_many(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FAILURE_SECONDS", 60.0)
    world.registry.failure = ServiceUnavailable("gone")
    answers = await asyncio.gather(*(world.crl("root") for _ in range(20)), return_exceptions=True)
    assert {type(answer) for answer in answers} == {ServiceUnavailable}
    assert world.registry.asked == ["root"]


async def test_an_unknown_name_reaches_nobody_and_a_slow_one_holds_up_no_other(world: World) -> None:
    world.registry.slow["root"] = asyncio.Event()
    waiting = asyncio.ensure_future(world.crl("root"))
    async with asyncio.timeout(10):
        await world.registry.question.wait()
        assert (await world.crl("issuing")).body == b"crl of issuing"
        for name in ("other", "ROOT", "x" * 64):
            with pytest.raises(NotFound):
                await world.crl(name)
            with pytest.raises(NotFound):
                await world.certificate(name)
    assert world.registry.asked == ["root", "issuing"]
    world.registry.slow["root"].set()
    assert (await waiting).body == b"crl of root"
