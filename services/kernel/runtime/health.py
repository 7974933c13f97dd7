"""Health: live means the event loop turns; ready means every named check is fine.

`/livez`, `/readyz` and `/metrics` are served by a small HTTP/1.1 server of its own, so that the operators' port does
not depend on the service's own doors. It answers GET only, reads at most 8 KiB and closes after each answer.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from prometheus_client import Gauge
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from services.kernel.runtime.config import split_address
from services.kernel.runtime.ending import end
from services.kernel.runtime.telemetry import Telemetry

Check = Callable[[], Awaitable[str | None]]
"""Returns None where all is fine, else the reason in a few words, without secrets."""

CHECK_SECONDS = 2.0
"""A check that has not answered by then counts as failed."""
POLL_SECONDS = 1.0
FRESH_SECONDS = 0.2
"""An answer this young is given again instead of asking every check anew."""
MAX_HEAD_BYTES = 8 * 1024
READ_SECONDS = 5.0
MAX_CONNECTIONS = 64


class Health:
    """Collects named checks, keeps their last answer, tells whoever watches when readiness changes."""

    def __init__(self, telemetry: Telemetry) -> None:
        """Start out not ready for the reason "starting"."""
        self._telemetry = telemetry
        self._checks: dict[str, Check] = {}
        self._phase: tuple[str, str] | None = ("starting", "the service is starting")
        self._reasons: dict[str, str] = {"starting": "the service is starting"}
        self._watchers: list[Callable[[bool], Awaitable[None]]] = []
        self._refreshing = asyncio.Lock()
        self._refreshed_at = float("-inf")
        self._told: bool | None = None
        self._connections = 0
        self._gauge = Gauge(
            "kyso_ready",
            "1 where this reason lets the service be ready, 0 where it keeps it from being ready.",
            ["reason"],
            registry=telemetry.registry,
        )
        self._gauge.labels("starting").set(0)

    @property
    def ready(self) -> bool:
        """Whether nothing stood against readiness when the checks ran last."""
        return not self._reasons

    @property
    def reasons(self) -> dict[str, str]:
        """What stood against readiness when the checks ran last: name of the check -> reason."""
        return dict(self._reasons)

    def register(self, name: str, check: Check) -> None:
        """Add a check; `name` becomes a metric's label, so it is a constant. Raise ValueError if it is taken."""
        if name in self._checks:
            raise ValueError(f"a health check named {name!r} is there already")
        self._checks[name] = check

    def watch(self, watcher: Callable[[bool], Awaitable[None]]) -> None:
        """Call `watcher(ready)` at every change of readiness, and once soon after now."""
        self._watchers.append(watcher)
        self._told = None

    async def set_started(self) -> None:
        """Say that the start is complete: from now on the checks decide."""
        self._phase = None
        self._gauge.labels("starting").set(1)
        await self.refresh(force=True)

    async def set_stopping(self) -> None:
        """Say that the process is stopping: not ready from now on, whatever the checks say."""
        self._phase = ("stopping", "the service is stopping")
        self._gauge.labels("stopping").set(0)
        await self.refresh(force=True)

    async def refresh(self, *, force: bool = False) -> dict[str, str]:
        """Run every check (all at once, each with its own time limit) unless the last answer is young enough."""
        async with self._refreshing:
            if force or time.monotonic() - self._refreshed_at > FRESH_SECONDS:
                checks = list(self._checks.items())
                answers = await asyncio.gather(*(self._ask(check) for _, check in checks))
                await self._settle({name: answer for (name, _), answer in zip(checks, answers, strict=True)})
            return dict(self._reasons)

    async def _ask(self, check: Check) -> str | None:
        try:
            async with asyncio.timeout(CHECK_SECONDS):
                return await check()
        except TimeoutError:
            return f"the check did not answer within {CHECK_SECONDS:g} s"
        except Exception as error:  # noqa: BLE001
            # Any failure of a check is an answer: not ready. Its text may quote data, so only the type is shown.
            return f"the check failed with {type(error).__name__}"

    async def _settle(self, answers: dict[str, str | None]) -> None:
        for name, answer in answers.items():
            self._gauge.labels(name).set(1 if answer is None else 0)
        reasons = {name: answer for name, answer in answers.items() if answer is not None}
        if self._phase is not None:
            reasons[self._phase[0]] = self._phase[1]
        self._refreshed_at = time.monotonic()
        before, self._reasons = self._reasons, reasons
        # Only transitions are logged; a reason's text may change every second (an age), its name does not.
        if before.keys() != reasons.keys():
            if reasons:
                self._telemetry.log.warning("not_ready", reasons=reasons)
            else:
                self._telemetry.log.info("ready")
        if self._told is not self.ready:
            self._told = self.ready
            for watcher in list(self._watchers):
                await watcher(self.ready)

    @asynccontextmanager
    async def serve(self, listen: str) -> AsyncIterator[int]:
        """Serve /livez, /readyz and /metrics on "host:port" and poll the checks; yield the bound port."""
        host, port = split_address(listen)
        server = await asyncio.start_server(self._answer, host, port, limit=MAX_HEAD_BYTES)
        poll = asyncio.create_task(self._poll(), name="health-poll")
        try:
            yield int(server.sockets[0].getsockname()[1])
        finally:
            server.close()
            await end(poll)

    async def _poll(self) -> None:
        while True:
            await self.refresh()
            await asyncio.sleep(POLL_SECONDS)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections += 1
        try:
            if self._connections <= MAX_CONNECTIONS:
                async with asyncio.timeout(READ_SECONDS):
                    head = await reader.readuntil(b"\r\n\r\n")
                    writer.write(await self._respond(head))
                    await writer.drain()
        except (TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError):
            # Whoever hangs, talks too much or goes away gets no answer, and costs nothing more.
            pass
        finally:
            self._connections -= 1
            writer.close()

    async def _respond(self, head: bytes) -> bytes:
        method, _, rest = head.partition(b" ")
        path = rest.partition(b" ")[0].partition(b"?")[0]
        if method != b"GET":
            return _http(
                "405 Method Not Allowed", "text/plain; charset=utf-8", b"only GET is answered here\n"
            )
        match path:
            case b"/livez":
                return _http("200 OK", "text/plain; charset=utf-8", b"alive\n")
            case b"/readyz":
                reasons = await self.refresh()
                body = (
                    json.dumps({"ready": not reasons, "reasons": reasons}, ensure_ascii=False).encode()
                    + b"\n"
                )
                status = "503 Service Unavailable" if reasons else "200 OK"
                return _http(status, "application/json", body)
            case b"/metrics":
                return _http("200 OK", CONTENT_TYPE_LATEST, generate_latest(self._telemetry.registry))
        return _http("404 Not Found", "text/plain; charset=utf-8", b"here are /livez, /readyz and /metrics\n")


def _http(status: str, content_type: str, body: bytes) -> bytes:
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n"
        "Cache-Control: no-store\r\nConnection: close\r\n\r\n"
    )
    return head.encode("ascii") + body
