"""/v1/subscribers: persons, organisations, devices and services that certificates name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import Response

from gateway import body, openapi, translate
from gateway.auth import Caller
from gateway.config import LimitSettings
from gateway.endpoint import Endpoint, json_response, page, query
from gateway.fields import parse_object
from gateway.routes.agencies import READ, WRITE
from kyso.v1 import registry_pb2 as messages

if TYPE_CHECKING:
    # These names exist for the type checker only.
    from kyso.v1.registry_pb2_grpc import RegistryServiceAsyncStub


class Subscribers:
    """The subscribers of the caller's agency and those below it."""

    def __init__(self, registry: RegistryServiceAsyncStub, limits: LimitSettings) -> None:
        """Take the registry."""
        self._registry = registry
        self._limits = limits

    def endpoints(self) -> tuple[Endpoint, ...]:
        """Return the endpoints of this resource."""
        return (
            Endpoint("GET", "/v1/subscribers", self.list, _LIST, READ),
            Endpoint("POST", "/v1/subscribers", self.create, _CREATE, WRITE),
            Endpoint("GET", "/v1/subscribers/{id}", self.show, _SHOW, READ),
        )

    async def list(self, request: Request, caller: Caller) -> Response:
        """List subscribers."""
        parameters = query(request, "agency_id", "page_size", "page_token")
        answer = await self._registry.ListSubscribers(
            messages.ListSubscribersRequest(agency_id=parameters.get("agency_id", ""), **page(parameters)),
            metadata=caller.metadata,
        )
        rows = [translate.subscriber(row) for row in answer.subscribers]
        return json_response({"subscribers": rows, "next_page_token": answer.next_page_token or None})

    async def create(self, request: Request, caller: Caller) -> Response:
        """Make a subscriber."""
        body.require_media_type(request, "application/json")
        fields = parse_object(await body.read(request, self._limits.max_json_bytes, self._limits))
        message = messages.CreateSubscriberRequest(
            agency_id=fields.text("agency_id", 64),
            kind=fields.choice("kind", translate.SUBSCRIBER_KINDS),
            name=fields.text("name"),
            tax_code=fields.optional_text("tax_code", 14),
            citizen_number=fields.optional_text("citizen_number", 12),
            email=fields.optional_text("email", 254),
            title=fields.optional_text("title"),
        )
        fields.done()
        row = await self._registry.CreateSubscriber(message, metadata=caller.metadata)
        return json_response(translate.subscriber(row), 201, {"Location": f"/v1/subscribers/{row.id}"})

    async def show(self, request: Request, caller: Caller) -> Response:
        """Answer one subscriber."""
        query(request)
        row = await self._registry.GetSubscriber(
            messages.GetSubscriberRequest(id=request.path_params["id"]), metadata=caller.metadata
        )
        return json_response(translate.subscriber(row))


_LIST = openapi.operation(
    "registry",
    "List subscribers",
    {"200": openapi.json_answer("SubscriberList", "One page.")},
    parameters=[openapi.parameter("agency_id", "Only those of this agency."), *openapi.PAGE],
)
_CREATE = openapi.operation(
    "registry",
    "Make a subscriber",
    {"201": openapi.json_answer("Subscriber", "The subscriber.")},
    body=openapi.json_body("SubscriberRequest"),
)
_SHOW = openapi.operation(
    "registry", "Read a subscriber", {"200": openapi.json_answer("Subscriber", "The subscriber.")}
)
