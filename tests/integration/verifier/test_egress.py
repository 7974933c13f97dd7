"""The way out, against a real HTTP server: what it lets through, and what it makes of servers that misbehave."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from services.kernel.runtime.config import ConfigError
from services.verifier.config import EgressSettings, OutsideHostSettings
from services.verifier.egress.client import Egress, Kind, Question, transport_of
from services.verifier.egress.hosts import EgressError, Gates, Reason
from services.verifier.egress.metrics import EgressMetrics
from tests.support.outside_server import (
    HOST,
    OutsideServer,
    dripping,
    endless,
    hanging_up,
    outside_server,
    stalling,
)
from tests.support.pki import MeshCa
from tests.support.rpc import make_runtime

LIMIT = 64 * 1024


@dataclass
class Door:
    """An Egress, with a clock and a resolver that the test sets."""

    registry: CollectorRegistry
    now: float = 1000.0
    addresses: dict[str, Sequence[str]] = field(default_factory=lambda: {HOST: [HOST]})
    resolved: list[str] = field(default_factory=list)
    egress: Egress = field(init=False)

    async def resolve(self, host: str, _port: int) -> Sequence[str]:
        """Stand in for the system's resolver."""
        self.resolved.append(host)
        if host not in self.addresses:
            raise OSError("no such host")
        return self.addresses[host]

    async def get(self, url: str, kind: Kind = Kind.CRL, **options: Any) -> bytes:
        """Ask."""
        return await self.egress.ask(Question(kind, url, LIMIT, **options))

    async def refused(self, url: str, kind: Kind = Kind.CRL, **options: Any) -> EgressError:
        """Ask, and return the refusal."""
        with pytest.raises(EgressError) as caught:
            await self.get(url, kind, **options)
        return caught.value

    def metric(self, name: str, **labels: str) -> float:
        """Return a sample."""
        return self.registry.get_sample_value(f"kyso_verifier_egress_{name}", labels) or 0.0


@asynccontextmanager
async def open_door(port: int, **changes: Any) -> AsyncIterator[Door]:
    """Open one to loopback, and to any host below .example.vn, at this port."""
    hosts = (
        OutsideHostSettings(name=HOST, ports=(port,), private_address=True),
        OutsideHostSettings(name=".example.vn", ports=(port,)),
        OutsideHostSettings(name="intra.example.vn", ports=(port,), private_address=True),
    )
    fields = {"hosts": hosts, "backoff_seconds": 0.001, "read_seconds": 0.3, "total_seconds": 30} | changes
    settings = EgressSettings.model_validate(fields)
    runtime = make_runtime("verifier")
    door = Door(runtime.telemetry.registry)
    gates = Gates(settings, lambda: door.now)
    metrics = EgressMetrics.register(runtime.telemetry.registry, gates.paused, lambda: 0)
    async with transport_of(settings) as transport:
        door.egress = Egress(settings, transport, gates, metrics, runtime.telemetry.log, door.resolve)
        yield door


@pytest.fixture
async def server() -> AsyncIterator[OutsideServer]:
    """A host outside."""
    async with outside_server() as server:
        yield server


@pytest.fixture
async def door(server: OutsideServer) -> AsyncIterator[Door]:
    """The way to it."""
    async with open_door(server.port) as door:
        yield door


async def test_what_a_host_says_comes_back_whatever_type_it_says_it_is(
    door: Door, server: OutsideServer
) -> None:
    url = server.answer("/a.crl", b"\x30\x03crl")
    assert await door.get(url) == b"\x30\x03crl"
    (request,) = server.received
    assert (request.method, request.path) == ("GET", "/a.crl")
    assert request.headers["accept-encoding"] == "identity"
    assert "cookie" not in request.headers
    assert door.metric("requests_total", kind="crl", outcome="ok") == 1
    assert door.metric("bytes_total", kind="crl") == 5


async def test_a_body_is_posted_with_its_type(door: Door, server: OutsideServer) -> None:
    url = server.compute("/ocsp", lambda request: request.body[::-1])
    assert await door.get(url, Kind.OCSP, body=b"abc", media_type="application/ocsp-request") == b"cba"
    assert server.received[0].headers["content-type"] == "application/ocsp-request"


async def test_a_host_that_is_not_on_the_list_is_not_even_resolved(door: Door, server: OutsideServer) -> None:
    for url in (
        server.url("/", "example.vn"),
        server.url("/", "ocsp.example.vn.evil.test"),
        server.url("/", "localhost"),
        f"http://{HOST}:{server.port + 1}/",
        f"ftp://{HOST}:{server.port}/",
        f"http://user@{HOST}:{server.port}/",
        "ldap://ocsp.example.vn/cn=x",
        "http://[::1/",
        "",
    ):
        assert (await door.refused(url)).reason is Reason.NOT_ALLOWED, url
    assert door.resolved == []
    assert server.connections == 0
    assert door.metric("requests_total", kind="crl", outcome="not_allowed") == 9


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.0.0.1", "192.168.1.1", "172.16.0.9", "100.64.0.1", "169.254.169.254", "0.0.0.9",
     "224.0.0.1", "::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "::ffff:127.0.0.1", "2002:7f00:1::",
     "64:ff9b::7f00:1", "ff02::1", "fec0::1"],
)  # fmt: skip
async def test_a_name_that_leads_inside_is_not_followed(
    door: Door, server: OutsideServer, address: str
) -> None:
    door.addresses["ocsp.example.vn"] = [address]
    refusal = await door.refused(server.url("/", "ocsp.example.vn"))
    assert refusal.reason is Reason.NOT_ALLOWED
    assert server.connections == 0


async def test_the_connection_goes_to_the_address_that_was_looked_at(
    door: Door, server: OutsideServer
) -> None:
    url = server.answer("/x", b"yes").replace(HOST, "intra.example.vn")
    door.addresses["intra.example.vn"] = [HOST]
    assert await door.get(url) == b"yes"
    # The name went along for the server to see; it was resolved once, by us.
    assert server.received[0].headers["host"] == f"intra.example.vn:{server.port}"
    assert door.resolved == ["intra.example.vn"]


async def test_a_name_without_an_address_is_unreachable(door: Door, server: OutsideServer) -> None:
    assert (await door.refused(server.url("/", "gone.example.vn"))).reason is Reason.UNREACHABLE


async def test_a_redirect_is_not_followed(door: Door, server: OutsideServer) -> None:
    target = server.answer("/elsewhere", b"no")
    url = server.answer("/moved", b"", 302, Location=target)
    refusal = await door.refused(url)
    assert refusal.reason is Reason.BAD_ANSWER
    assert "redirects are not followed" in refusal.detail
    assert server.count("/elsewhere") == 0


async def test_a_missing_file_is_a_bad_answer_and_asked_for_once(door: Door, server: OutsideServer) -> None:
    assert (await door.refused(server.url("/none"))).reason is Reason.BAD_ANSWER
    assert server.count("/none") == 1


async def test_a_compressed_answer_is_refused(door: Door, server: OutsideServer) -> None:
    url = server.answer("/z", b"\x1f\x8b", Content_Encoding="gzip")
    assert (await door.refused(url)).reason is Reason.BAD_ANSWER


async def test_an_empty_answer_is_refused(door: Door, server: OutsideServer) -> None:
    assert (await door.refused(server.answer("/empty", b""))).reason is Reason.BAD_ANSWER


async def test_a_body_without_end_is_cut_at_the_limit(door: Door, server: OutsideServer) -> None:
    server.handlers["/endless"] = endless
    refusal = await door.refused(server.url("/endless"))
    assert refusal.reason is Reason.TOO_LARGE
    assert server.count("/endless") == 1


async def test_a_silent_server_is_given_up_and_asked_again(door: Door, server: OutsideServer) -> None:
    server.handlers["/silent"] = stalling
    refusal = await door.refused(server.url("/silent"))
    assert refusal.reason is Reason.UNREACHABLE
    assert server.count("/silent") == 3


async def test_a_server_that_drips_ends_at_the_total_time(server: OutsideServer) -> None:
    server.handlers["/drips"] = dripping
    async with open_door(server.port, total_seconds=0.5, read_seconds=10, failures_to_pause=1) as door:
        refusal = await door.refused(server.url("/drips"))
        assert door.metric("paused_hosts") == 1
    assert refusal.reason is Reason.UNREACHABLE
    assert "took longer" in refusal.detail


async def test_a_busy_server_gets_another_try(door: Door, server: OutsideServer) -> None:
    url = server.answer("/busy", b"", 503)

    async def once(request: Any, writer: asyncio.StreamWriter) -> None:
        await busy(request, writer)
        server.answer("/busy", b"now")

    busy, server.handlers["/busy"] = server.handlers["/busy"], once
    assert await door.get(url) == b"now"
    assert server.count("/busy") == 2


async def test_a_time_stamp_is_asked_for_once(door: Door, server: OutsideServer) -> None:
    server.handlers["/tsa"] = hanging_up
    refusal = await door.refused(server.url("/tsa"), Kind.TIME_STAMP, body=b"request")
    assert refusal.reason is Reason.UNREACHABLE
    assert server.count("/tsa") == 1


async def test_a_host_that_fails_again_and_again_is_left_alone_for_a_while(server: OutsideServer) -> None:
    server.handlers["/down"] = hanging_up
    async with open_door(server.port, failures_to_pause=2, retries=0, pause_seconds=30) as door:
        for _ in range(2):
            assert (await door.refused(server.url("/down"))).reason is Reason.UNREACHABLE
        assert door.metric("paused_hosts") == 1
        refusal = await door.refused(server.url("/down"))
        assert "left alone" in refusal.detail
        assert server.count("/down") == 2
        # After the pause one try; it fails, and the pause begins anew.
        door.now += 31
        await door.refused(server.url("/down"))
        assert "left alone" in (await door.refused(server.url("/down"))).detail
        assert server.count("/down") == 3
        door.now += 31
        assert await door.get(server.answer("/down", b"up")) == b"up"
        assert await door.get(server.url("/down")) == b"up"
        assert door.metric("paused_hosts") == 0


async def test_a_kind_of_question_that_fails_pauses_no_other(server: OutsideServer) -> None:
    server.handlers["/down"] = hanging_up
    async with open_door(server.port, failures_to_pause=1, retries=0) as door:
        await door.refused(server.url("/down"))
        assert "left alone" in (await door.refused(server.url("/down"))).detail
        url = server.answer("/ocsp", b"yes")
        assert await door.get(url, Kind.OCSP, body=b"abc") == b"yes"
        assert await door.get(url, Kind.TIME_STAMP, body=b"abc") == b"yes"
        assert door.metric("paused_hosts") == 1


async def test_another_scheme_on_a_port_pauses_no_questions_of_the_right_one(server: OutsideServer) -> None:
    async with open_door(server.port, failures_to_pause=1, retries=0) as door:
        url = server.answer("/x", b"yes")
        wrong = url.replace("http:", "https:")
        await door.refused(wrong)
        assert "left alone" in (await door.refused(wrong)).detail
        assert await door.get(url) == b"yes"


@pytest.mark.parametrize(("status", "paused"), [(404, 0), (429, 0), (500, 0), (502, 1), (503, 1), (504, 1)])
async def test_only_a_status_of_a_host_that_is_away_counts(
    server: OutsideServer, status: int, paused: int
) -> None:
    async with open_door(server.port, failures_to_pause=2, retries=0) as door:
        url = server.answer("/x", b"", status)
        for _ in range(3):
            await door.refused(url)
        assert door.metric("paused_hosts") == paused


async def test_while_one_tries_after_the_pause_the_others_are_refused(server: OutsideServer) -> None:
    server.handlers["/down"] = hanging_up
    reached, go_on = asyncio.Event(), asyncio.Event()
    async with open_door(server.port, failures_to_pause=1, retries=0, read_seconds=30) as door:
        await door.refused(server.url("/down"))
        door.now += 31
        url = server.answer("/slow", b"up")

        async def later(request: Any, writer: asyncio.StreamWriter) -> None:
            reached.set()
            await go_on.wait()
            await reply(request, writer)

        reply, server.handlers["/slow"] = server.handlers["/slow"], later
        first = asyncio.create_task(door.get(url))
        await reached.wait()
        assert "left alone" in (await door.refused(url)).detail
        go_on.set()
        assert await first == b"up"


async def test_no_more_connections_at_a_time_than_a_host_is_allowed(server: OutsideServer) -> None:
    inside, most, go_on = 0, 0, asyncio.Event()
    url = server.answer("/x", b"yes")
    reply = server.handlers["/x"]

    async def counted(request: Any, writer: asyncio.StreamWriter) -> None:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        if inside == 2:
            go_on.set()
        await go_on.wait()
        inside -= 1
        await reply(request, writer)

    server.handlers["/x"] = counted
    async with open_door(server.port, connections_per_host=2, read_seconds=30) as door:
        kinds = [Kind.CRL, Kind.CERTIFICATE] * 4
        assert await asyncio.gather(*(door.get(url, kind) for kind in kinds)) == [b"yes"] * 8
    assert most == 2


async def test_a_caller_that_goes_away_is_not_the_hosts_failure(server: OutsideServer) -> None:
    reached = asyncio.Event()

    async def silent(request: Any, writer: asyncio.StreamWriter) -> None:
        reached.set()
        await stalling(request, writer)

    server.handlers["/silent"] = silent
    async with open_door(server.port, failures_to_pause=1, read_seconds=30) as door:
        task = asyncio.create_task(door.get(server.url("/silent")))
        await reached.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert task.cancelled()
        assert await door.get(server.answer("/x", b"yes")) == b"yes"
        assert door.metric("requests_total", kind="crl", outcome="cancelled") == 1


async def test_proxies_of_the_environment_are_not_used(
    server: OutsideServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    async with open_door(server.port) as door:
        assert await door.get(server.answer("/x", b"direct")) == b"direct"


async def test_a_servers_certificate_is_checked_against_the_name_and_our_cas(mesh_ca: MeshCa) -> None:
    tls = mesh_ca.tls("intra.example.vn")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(tls.certificate_file, tls.private_key_file)
    async with outside_server(context) as server, open_door(server.port, ca_file=tls.ca_file) as door:
        door.addresses["intra.example.vn"] = [HOST]
        url = server.answer("/x", b"yes").replace("http:", "https:")
        assert await door.get(url.replace(HOST, "intra.example.vn")) == b"yes"
        # The same server by its address: the certificate does not name it.
        assert (await door.refused(url)).reason is Reason.UNREACHABLE
    async with outside_server(context) as server, open_door(server.port) as door:
        door.addresses["intra.example.vn"] = [HOST]
        url = server.url("/x", "intra.example.vn").replace("http:", "https:")
        assert (await door.refused(url)).reason is Reason.UNREACHABLE


def test_a_ca_file_that_holds_none_is_a_setting_that_is_wrong(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    file.write_text("no certificate")
    with pytest.raises(ConfigError, match=r"egress\.ca_file"):
        transport_of(EgressSettings(ca_file=file))
