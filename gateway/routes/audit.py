"""GET /v1/audit/events: what happened, oldest first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import Response

from gateway import openapi, translate
from gateway.auth import Caller
from gateway.endpoint import Endpoint, json_response, page, query
from gateway.fields import parse_time
from kyso.v1 import registry_pb2 as messages

if TYPE_CHECKING:
    # These names exist for the type checker only.
    from kyso.v1.registry_pb2_grpc import RegistryServiceAsyncStub


class Audit:
    """The audit log, as far as the caller's agency sees it."""

    def __init__(self, registry: RegistryServiceAsyncStub) -> None:
        """Take the registry."""
        self._registry = registry

    def endpoints(self) -> tuple[Endpoint, ...]:
        """Return the endpoints of this resource."""
        return (Endpoint("GET", "/v1/audit/events", self.list, _LIST, frozenset({"audit:read"})),)

    async def list(self, request: Request, caller: Caller) -> Response:
        """List events."""
        names = ("credential_id", "operation_id", "from_time", "page_size", "page_token")
        parameters = query(request, *names)
        since = parameters.get("from_time")
        answer = await self._registry.ListAuditEvents(
            messages.ListAuditEventsRequest(
                credential_id=parameters.get("credential_id", ""),
                operation_id=parameters.get("operation_id", ""),
                from_time=translate.timestamp(parse_time("from_time", since) if since else None),
                **page(parameters),
            ),
            metadata=caller.metadata,
        )
        rows = [translate.audit_event(row) for row in answer.events]
        return json_response({"events": rows, "next_page_token": answer.next_page_token or None})


_LIST = openapi.operation(
    "audit",
    "List audit events",
    {"200": openapi.json_answer("AuditEventList", "One page.")},
    parameters=[
        openapi.parameter("credential_id", "Only events of this credential."),
        openapi.parameter("operation_id", "Only events of this operation."),
        openapi.parameter(
            "from_time", "Only events from this time on.", {"type": "string", "format": "date-time"}
        ),
        *openapi.PAGE,
    ],
)
