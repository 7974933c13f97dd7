"""The OpenAPI 3.1 document, put together from the table of endpoints: what is served is what is described."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from gateway.endpoint import Endpoint
from gateway.schemas import SCHEMAS, SCOPES, ref, text

VERSION = "0.1.0"
PROBLEM = {"content": {"application/problem+json": {"schema": ref("Problem")}}}
_TEXT = {
    "400": "The request is malformed; `code` says how, `field` where.",
    "401": "No access token, or one that does not hold.",
    "403": "The token does not allow this, or a rule forbids it.",
    "404": "There is no such thing, or none that this client may see.",
    "405": "The path does not know this method.",
    "408": "The body came too slowly.",
    "409": "The request contradicts what is there.",
    "413": "The body is larger than the limit.",
    "415": "The body's Content-Type is not taken here.",
    "422": "The document cannot be signed as it is.",
    "429": "The client asks too often; `Retry-After` says when to come back.",
    "500": "Something failed that should not have; quote the request id.",
    "503": "A part of the platform cannot be reached now.",
    "504": "The time for the call is over.",
}
IDEMPOTENCY_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": True,
    "description": "New for each request; the same when a request is sent again, which then answers the same.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 128},
}


def parameter(name: str, description: str, schema: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Describe an optional query parameter."""
    return {
        "name": name,
        "in": "query",
        "required": False,
        "description": description,
        "schema": dict(schema or {"type": "string", "maxLength": 512}),
    }


PAGE = (
    parameter("page_size", "Most rows.", {"type": "integer", "minimum": 1, "maximum": 200, "default": 50}),
    parameter("page_token", "Token of the page before."),
)


def json_body(schema: str) -> dict[str, Any]:
    """Describe a JSON request body."""
    return {"required": True, "content": {"application/json": {"schema": ref(schema)}}}


def json_answer(schema: str, description: str) -> dict[str, Any]:
    """Describe a JSON answer."""
    return {"description": description, "content": {"application/json": {"schema": ref(schema)}}}


def binary_answer(description: str, *media_types: str) -> dict[str, Any]:
    """Describe an answer of bytes."""
    return {"description": description, "content": {media_type: {} for media_type in media_types}}


def operation(
    tag: str,
    summary: str,
    answers: Mapping[str, Any],
    *,
    body: Mapping[str, Any] | None = None,
    parameters: Sequence[Mapping[str, Any]] = (),
    description: str = "",
) -> dict[str, Any]:
    """Describe what an endpoint does; security, path parameters and errors are added by `document`."""
    described: dict[str, Any] = {"tags": [tag], "summary": summary, "responses": dict(answers)}
    if description:
        described["description"] = description
    if body is not None:
        described["requestBody"] = dict(body)
    if parameters:
        described["parameters"] = [dict(item) for item in parameters]
    return described


def document(endpoints: Iterable[Endpoint], public_url: str) -> dict[str, Any]:
    """Return the whole document as JSON-ready mappings."""
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in endpoints:
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = _operation(endpoint)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Kyso",
            "version": VERSION,
            "summary": "Signs with keys that never leave an HSM, verifies, and keeps the register of certificates.",
            "description": "Every error is RFC 9457 problem+json with a stable `code`. Every answer has X-Request-Id.",
        },
        "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
        "servers": [{"url": public_url}],
        "paths": paths,
        "components": {
            "schemas": dict(SCHEMAS),
            "responses": {
                f"Problem{status}": {"description": description, **PROBLEM}
                for status, description in _TEXT.items()
            },
            "headers": {"RequestId": {"description": "Identifier of the request.", "schema": text("Id.")}},
            "securitySchemes": {
                "token": {
                    "type": "oauth2",
                    "description": "Client credentials: client_secret or private_key_jwt.",
                    "flows": {"clientCredentials": {"tokenUrl": "/oauth2/token", "scopes": SCOPES}},
                }
            },
        },
    }


def _operation(endpoint: Endpoint) -> dict[str, Any]:
    described = dict(endpoint.operation)
    names = re.findall(r"\{([a-z_]+)\}", endpoint.path)
    variables = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "maxLength": 64}}
        for name in names
    ]
    if variables:
        described["parameters"] = [*variables, *described.get("parameters", [])]
    described["operationId"] = _operation_id(endpoint)
    if endpoint.scopes is None:
        described["security"] = []
    else:
        described["security"] = [{"token": [scope]} for scope in sorted(endpoint.scopes)] or [{"token": []}]
    answers = {
        status: {**answer, "headers": {**answer.get("headers", {}), **_REQUEST_ID}}
        for status, answer in described["responses"].items()
    }
    for status in _statuses(endpoint, described, variables=bool(variables)):
        answers.setdefault(status, {"$ref": f"#/components/responses/Problem{status}"})
    described["responses"] = answers
    return described


_REQUEST_ID = {"X-Request-Id": {"$ref": "#/components/headers/RequestId"}}


def _statuses(endpoint: Endpoint, described: Mapping[str, Any], *, variables: bool) -> list[str]:
    statuses = ["400", "429", "500", "503"]
    if endpoint.scopes is not None:
        statuses += ["401", "403", "504"]
    if variables:
        statuses.append("404")
    if "requestBody" in described:
        statuses += ["408", "413", "415"]
    if endpoint.method == "POST" and endpoint.scopes is not None:
        statuses.append("409")
    return sorted(statuses)


def _operation_id(endpoint: Endpoint) -> str:
    words = re.findall(r"[A-Za-z0-9]+", endpoint.path.replace("{", "by-"))
    return "-".join([endpoint.method.lower(), *(word for word in words if word != "v1")])
