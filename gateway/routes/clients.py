"""/v1/clients: the portals and systems that may ask."""

from __future__ import annotations

import json
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


class Clients:
    """The API clients of the caller's agency and those below it."""

    def __init__(self, registry: RegistryServiceAsyncStub, limits: LimitSettings) -> None:
        """Take the registry."""
        self._registry = registry
        self._limits = limits

    def endpoints(self) -> tuple[Endpoint, ...]:
        """Return the endpoints of this resource."""
        one = "/v1/clients/{id}"
        return (
            Endpoint("GET", "/v1/clients", self.list, _LIST, READ),
            Endpoint("POST", "/v1/clients", self.create, _CREATE, WRITE),
            Endpoint("GET", one, self.show, _SHOW, READ),
            Endpoint("POST", one + ":enable", self.enable, _ENABLE, WRITE),
            Endpoint("POST", one + ":disable", self.disable, _DISABLE, WRITE),
        )

    async def list(self, request: Request, caller: Caller) -> Response:
        """List clients."""
        parameters = query(request, "agency_id", "page_size", "page_token")
        answer = await self._registry.ListClients(
            messages.ListClientsRequest(agency_id=parameters.get("agency_id", ""), **page(parameters)),
            metadata=caller.metadata,
        )
        rows = [translate.client(row) for row in answer.clients]
        return json_response({"clients": rows, "next_page_token": answer.next_page_token or None})

    async def create(self, request: Request, caller: Caller) -> Response:
        """Make a client; the answer holds its secret once."""
        body.require_media_type(request, "application/json")
        fields = parse_object(await body.read(request, self._limits.max_json_bytes, self._limits))
        jwks = fields.optional_object("jwks")
        message = messages.CreateClientRequest(
            agency_id=fields.text("agency_id", 64),
            name=fields.text("name"),
            scopes=fields.texts("scopes", maximum=32, length=64),
            document_types=fields.texts("document_types", maximum=200),
            label_required=fields.flag("label_required"),
            jwks=json.dumps(jwks) if jwks is not None else "",
        )
        fields.done()
        answer = await self._registry.CreateClient(message, metadata=caller.metadata)
        made = {"client": translate.client(answer.client), "secret": answer.secret or None}
        return json_response(made, 201, {"Location": f"/v1/clients/{answer.client.id}"})

    async def show(self, request: Request, caller: Caller) -> Response:
        """Answer one client."""
        query(request)
        row = await self._registry.GetClient(
            messages.GetClientRequest(id=request.path_params["id"]), metadata=caller.metadata
        )
        return json_response(translate.client(row))

    async def enable(self, request: Request, caller: Caller) -> Response:
        """Let a client get tokens again."""
        return await self._set(request, caller, enabled=True)

    async def disable(self, request: Request, caller: Caller) -> Response:
        """Give a client no more tokens; those already out live to their end."""
        return await self._set(request, caller, enabled=False)

    async def _set(self, request: Request, caller: Caller, *, enabled: bool) -> Response:
        query(request)
        row = await self._registry.SetClientEnabled(
            messages.SetClientEnabledRequest(id=request.path_params["id"], enabled=enabled),
            metadata=caller.metadata,
        )
        return json_response(translate.client(row))


_ONE = {"200": openapi.json_answer("Client", "The client.")}
_LIST = openapi.operation(
    "registry",
    "List clients",
    {"200": openapi.json_answer("ClientList", "One page.")},
    parameters=[openapi.parameter("agency_id", "Only those of this agency."), *openapi.PAGE],
)
_CREATE = openapi.operation(
    "registry",
    "Make a client",
    {"201": openapi.json_answer("ClientCreated", "The client with its secret.")},
    body=openapi.json_body("ClientRequest"),
)
_SHOW = openapi.operation("registry", "Read a client", _ONE)
_ENABLE = openapi.operation("registry", "Let a client get tokens again", _ONE)
_DISABLE = openapi.operation("registry", "Give a client no more tokens", _ONE)
