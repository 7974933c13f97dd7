"""The OpenAPI document describes what is served, and what is served fits what it describes."""

from __future__ import annotations

import re
from typing import Any

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from tests.integration.gateway.conftest import Door

pytestmark = pytest.mark.asyncio(loop_scope="module")
ROUTES = {
    "POST /oauth2/token", "POST /v1/hashes:sign", "POST /v1/signatures", "GET /v1/signatures/{id}",
    "POST /v1/signatures:batch", "POST /v1/documents:extend", "POST /v1/documents:prepare",
    "POST /v1/documents:complete", "GET /v1/signatures/{id}/document", "POST /v1/uploads", "POST /v1/verifications",
    "POST /v1/documents:extract", "GET /v1/evidence", "GET /v1/evidence/{id}", "DELETE /v1/evidence/{id}",
    "GET /v1/evidence/{id}/files/{digest}", "GET /v1/credentials",
    "POST /v1/credentials", "GET /v1/credentials/{id}", "POST /v1/credentials/{id}:hold",
    "POST /v1/credentials/{id}:release", "POST /v1/credentials/{id}:revoke",
    "GET /v1/credentials/{id}/certification-request", "POST /v1/credentials/{id}/certificate",
    "GET /v1/agencies", "POST /v1/agencies", "GET /v1/agencies/{id}", "GET /v1/subscribers", "POST /v1/subscribers",
    "GET /v1/subscribers/{id}", "GET /v1/clients", "POST /v1/clients", "GET /v1/clients/{id}",
    "POST /v1/clients/{id}:enable", "POST /v1/clients/{id}:disable", "GET /v1/audit/events",
    "GET /pki/crl/{ca}.crl", "GET /pki/aia/{ca}.cer", "POST /pki/tsa",
    "GET /livez", "GET /readyz", "GET /openapi.json", "GET /docs",
}  # fmt: skip


async def described(door: Door) -> dict[str, Any]:
    answer = await door.http.get("/openapi.json")
    assert answer.headers["content-type"] == "application/json"
    document = answer.json()
    assert isinstance(document, dict)
    return document


def operations(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {
        f"{method.upper()} {path}": operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }


def walk(node: Any) -> Any:
    yield node
    for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from walk(child)


async def test_every_route_is_described_and_no_other(door: Door) -> None:
    document = await described(door)
    assert document["openapi"] == "3.1.0"
    assert set(operations(document)) == ROUTES


async def test_every_reference_leads_somewhere_and_every_schema_is_one(door: Door) -> None:
    document = await described(door)
    for node in walk(document):
        if isinstance(node, dict) and isinstance(node.get("$ref"), str):
            target: Any = document
            for step in node["$ref"].removeprefix("#/").split("/"):
                target = target[step]
    for schema in document["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)


async def test_operations_have_what_the_specification_demands(door: Door) -> None:
    document = await described(door)
    found = operations(document)
    identifiers = [operation["operationId"] for operation in found.values()]
    assert len(set(identifiers)) == len(identifiers)
    for name, operation in found.items():
        variables = set(re.findall(r"\{([a-z_]+)\}", name))
        given = {item["name"] for item in operation.get("parameters", ()) if item["in"] == "path"}
        assert variables == given, name
        assert all(item["required"] for item in operation.get("parameters", ()) if item["in"] == "path")
        assert all(re.fullmatch(r"[1-5]\d\d", status) for status in operation["responses"])
        assert all("$ref" in answer or answer["description"] for answer in operation["responses"].values()), (
            name
        )
        assert "GET" not in name.split() or "requestBody" not in operation
    scopes = document["components"]["securitySchemes"]["token"]["flows"]["clientCredentials"]["scopes"]
    asked = {scope for one in found.values() for entry in one["security"] for scope in entry.get("token", ())}
    assert asked == set(scopes)


@pytest.mark.parametrize(
    ("method", "path", "schema", "body"),
    [
        ("GET", "/v1/credentials", "CredentialList", None),
        ("GET", "/v1/signatures/op_1", "Operation", None),
        ("GET", "/v1/audit/events", "AuditEventList", None),
        ("GET", "/v1/agencies", "AgencyList", None),
        ("GET", "/v1/subscribers", "SubscriberList", None),
        ("GET", "/v1/clients", "ClientList", None),
        ("GET", "/readyz", "Readiness", None),
        ("GET", "/v1/nothing", "Problem", None),
        ("POST", "/v1/credentials/cr_1:hold", "HoldAnswer", {"reason": "other", "reporter": "x"}),
        (
            "POST",
            "/v1/credentials/cr_1:revoke",
            "RevokeAnswer",
            {"ground": "post_changed", "request_reference": "x"},
        ),
        (
            "POST",
            "/v1/hashes:sign",
            "HashesAnswer",
            {"credential_id": "cr_1", "digest_algorithm": "SHA-256", "digests": ["AAAA", "////"]},
        ),
    ],
)
async def test_answers_fit_their_schemas(door: Door, method: str, path: str, schema: str, body: Any) -> None:
    document = await described(door)
    answer = await door.http.request(method, path, json=body, headers=door.headers())
    root = {"$ref": f"#/components/schemas/{schema}", "components": document["components"]}
    Draft202012Validator(root).validate(answer.json())


async def test_a_report_fits_its_schema(door: Door) -> None:
    document = await described(door)
    headers = door.headers(Content_Type="application/pdf")
    answer = await door.http.post("/v1/verifications", content=b"%PDF", headers=headers)
    root = {"$ref": "#/components/schemas/Verification", "components": document["components"]}
    Draft202012Validator(root).validate(answer.json())


async def test_the_page_needs_nothing_from_elsewhere_and_explains_every_code(door: Door) -> None:
    answer = await door.http.get("/docs")
    page = answer.text
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    assert "<script" not in page
    assert not re.search(r"""(?:src|href)=['"]https?:""", page)
    for route in ROUTES:
        assert f"<code>{route.split()[1]}</code>" in page
    for code in ("PART_ORDER", "BODY_TOO_LARGE", "METHOD_NOT_ALLOWED"):
        assert f"id='error-{code}'" in page
