"""/v1/agencies: the tree of state bodies."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import Response

from gateway import body, openapi, translate
from gateway.auth import Caller
from gateway.config import LimitSettings
from gateway.endpoint import Endpoint, json_response, page, query
from gateway.fields import parse_object
from kyso.v1 import registry_pb2 as messages

if TYPE_CHECKING:
    # These names exist for the type checker only.
    from kyso.v1.registry_pb2_grpc import RegistryServiceAsyncStub

READ = frozenset({"registry:read"})
WRITE = frozenset({"registry:write"})


class Agencies:
    """The caller's agency and those below it."""

    def __init__(self, registry: RegistryServiceAsyncStub, limits: LimitSettings) -> None:
        """Take the registry."""
        self._registry = registry
        self._limits = limits

    def endpoints(self) -> tuple[Endpoint, ...]:
        """Return the endpoints of this resource."""
        return (
            Endpoint("GET", "/v1/agencies", self.list, _LIST, READ),
            Endpoint("POST", "/v1/agencies", self.create, _CREATE, WRITE),
            Endpoint("GET", "/v1/agencies/{id}", self.show, _SHOW, READ),
        )

    async def list(self, request: Request, caller: Caller) -> Response:
        """List agencies."""
        parameters = query(request, "parent_id", "page_size", "page_token")
        answer = await self._registry.ListAgencies(
            messages.ListAgenciesRequest(parent_id=parameters.get("parent_id", ""), **page(parameters)),
            metadata=caller.metadata,
        )
        rows = [translate.agency(row) for row in answer.agencies]
        return json_response({"agencies": rows, "next_page_token": answer.next_page_token or None})

    async def create(self, request: Request, caller: Caller) -> Response:
        """Make an agency."""
        body.require_media_type(request, "application/json")
        fields = parse_object(await body.read(request, self._limits.max_json_bytes, self._limits))
        message = messages.CreateAgencyRequest(
            parent_id=fields.optional_text("parent_id", 64),
            name=fields.text("name"),
            organ_id=fields.optional_text("organ_id", 64),
        )
        fields.done()
        row = await self._registry.CreateAgency(message, metadata=caller.metadata)
        return json_response(translate.agency(row), 201, {"Location": f"/v1/agencies/{row.id}"})

    async def show(self, request: Request, caller: Caller) -> Response:
        """Answer one agency."""
        query(request)
        row = await self._registry.GetAgency(
            messages.GetAgencyRequest(id=request.path_params["id"]), metadata=caller.metadata
        )
        return json_response(translate.agency(row))


_LIST = openapi.operation(
    "registry",
    "List agencies",
    {"200": openapi.json_answer("AgencyList", "One page.")},
    parameters=[openapi.parameter("parent_id", "Only those directly below this one."), *openapi.PAGE],
)
_CREATE = openapi.operation(
    "registry",
    "Make an agency",
    {"201": openapi.json_answer("Agency", "The agency.")},
    body=openapi.json_body("AgencyRequest"),
)
_SHOW = openapi.operation("registry", "Read an agency", {"200": openapi.json_answer("Agency", "The agency.")})
