"""What the gateway says about itself: health, the OpenAPI document, the page that shows it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from grpc import ChannelConnectivity
from grpc.aio import Channel
from starlette.requests import Request
from starlette.responses import Response

from gateway import docs_page, openapi
from gateway.auth import Caller
from gateway.endpoint import Endpoint, json_response
from services.kernel.runtime.health import Health


class Platform:
    """Health and documentation; open to everyone."""

    def __init__(self, health: Health, channels: Mapping[str, Channel], public_url: str) -> None:
        """Take the process's health, and the channels to the services by their names."""
        self._health = health
        self._channels = dict(channels)
        self._public_url = public_url
        self._openapi = b"{}"
        self._page = b""

    def endpoints(self) -> tuple[Endpoint, ...]:
        """Return the endpoints of this resource."""
        return (
            Endpoint("GET", "/livez", self.live, _LIVE),
            Endpoint("GET", "/readyz", self.ready, _READY),
            Endpoint("GET", "/openapi.json", self.document, _OPENAPI),
            Endpoint("GET", "/docs", self.docs, _DOCS),
        )

    def describe(self, endpoints: Sequence[Endpoint]) -> None:
        """Make the OpenAPI document and its page from the whole table, once."""
        document: dict[str, Any] = openapi.document(endpoints, self._public_url)
        self._openapi = json.dumps(document, ensure_ascii=False).encode("utf-8")
        self._page = docs_page.render(document).encode("utf-8")

    async def live(self, _request: Request, _: Caller) -> Response:
        """Answer that the event loop turns."""
        return Response(b"alive\n", media_type="text/plain", headers={"Cache-Control": "no-store"})

    async def ready(self, _request: Request, _: Caller) -> Response:
        """Answer 200 where requests are taken, else 503 with the reasons; and which services are in reach."""
        reasons = await self._health.refresh()
        services = {name: _reach(channel) for name, channel in self._channels.items()}
        document = {"ready": not reasons, "reasons": reasons, "services": services}
        return json_response(document, 503 if reasons else 200)

    async def document(self, _request: Request, _: Caller) -> Response:
        """Answer the OpenAPI 3.1 document."""
        return Response(self._openapi, media_type="application/json", headers={"Cache-Control": "no-cache"})

    async def docs(self, _request: Request, _: Caller) -> Response:
        """Answer the page that shows the OpenAPI document; it loads nothing and runs nothing."""
        headers = {"Cache-Control": "no-cache", "Content-Security-Policy": docs_page.CONTENT_SECURITY_POLICY}
        return Response(self._page, media_type="text/html", headers=headers)


def _reach(channel: Channel) -> str:
    state = channel.get_state(try_to_connect=True)
    return "unreachable" if state is ChannelConnectivity.TRANSIENT_FAILURE else "reachable"


_LIVE = openapi.operation(
    "platform", "Tell whether the gateway lives", {"200": openapi.binary_answer("Alive.", "text/plain")}
)
_READY = openapi.operation(
    "platform",
    "Tell whether requests are taken",
    {
        "200": openapi.json_answer("Readiness", "Ready."),
        "503": openapi.json_answer("Readiness", "Not ready; the reasons are named."),
    },
)
_OPENAPI = openapi.operation(
    "platform", "Get this document", {"200": openapi.binary_answer("OpenAPI 3.1.", "application/json")}
)
_DOCS = openapi.operation(
    "platform", "Read this document", {"200": openapi.binary_answer("A page.", "text/html")}
)
