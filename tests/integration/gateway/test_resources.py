"""The other resources: tokens, the register, PKI, and what the gateway says about itself."""

from __future__ import annotations

import base64
import io
import sys
from typing import Any

import httpx
import pytest

from services.kernel.errors import ServiceUnavailable
from services.kernel.runtime.telemetry import configure_logging
from tests.integration.gateway.conftest import Door, until
from tests.integration.gateway.stand_ins import ALL_SCOPES, CLIENT, SECRET

pytestmark = pytest.mark.asyncio(loop_scope="module")
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
GRANT = {"grant_type": "client_credentials"}


async def token(door: Door, form: Any, **more: Any) -> httpx.Response:
    return await door.http.post("/oauth2/token", data=form, **more)


async def test_a_token_is_issued_for_a_secret_in_the_body_or_in_basic(door: Door) -> None:
    in_body = await token(door, {**GRANT, "client_id": CLIENT, "client_secret": SECRET, "scope": "verify"})
    in_basic = await token(door, GRANT, auth=(CLIENT, SECRET))
    for answer, scope in ((in_body, "verify"), (in_basic, ALL_SCOPES)):
        assert answer.status_code == 200, answer.text
        assert answer.json() | {"access_token": ""} == {
            "access_token": "", "token_type": "Bearer", "expires_in": 600, "scope": scope,
        }  # fmt: skip
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-request-id"].startswith("req_")
    asked = door.services.tokens.asked
    assert [(one.client_id, one.client_secret, one.scope) for one in asked] == [
        (CLIENT, SECRET, "verify"),
        (CLIENT, SECRET, ""),
    ]


async def test_a_token_is_issued_for_an_assertion(door: Door) -> None:
    form = {**GRANT, "client_assertion_type": ASSERTION_TYPE, "client_assertion": "a.b.c"}
    assert (await token(door, form)).status_code == 200
    (asked,) = door.services.tokens.asked
    assert (asked.client_assertion, asked.client_id) == ("a.b.c", "")
    assert asked.token_endpoint == "http://127.0.0.1:8080/oauth2/token"


@pytest.mark.parametrize(
    ("form", "more", "status", "error"),
    [
        ({}, {}, 400, "invalid_request"),
        ({"grant_type": "password"}, {}, 400, "unsupported_grant_type"),
        (GRANT, {}, 401, "invalid_client"),
        ({**GRANT, "client_id": CLIENT}, {}, 401, "invalid_client"),
        ({**GRANT, "client_id": CLIENT, "client_secret": "wrong"}, {}, 401, "invalid_client"),
        ({**GRANT, "client_secret": SECRET}, {}, 401, "invalid_client"),
        (GRANT, {"auth": (CLIENT, "wrong")}, 401, "invalid_client"),
        (GRANT, {"headers": {"Authorization": "Basic ***"}}, 401, "invalid_client"),
        (GRANT, {"headers": {"Authorization": "Bearer abc"}}, 401, "invalid_client"),
        ({**GRANT, "client_secret": SECRET}, {"auth": (CLIENT, SECRET)}, 400, "invalid_request"),
        ({**GRANT, "client_id": "cl_2"}, {"auth": (CLIENT, SECRET)}, 400, "invalid_request"),
        ({**GRANT, "client_assertion": "a.b.c"}, {}, 400, "invalid_request"),
        ({"grant_type": ["client_credentials", "client_credentials"]}, {}, 400, "invalid_request"),
        ({**GRANT, **{f"x{i}": "1" for i in range(20)}}, {}, 400, "invalid_request"),
        ({**GRANT, "x": "a" * 20_000}, {}, 413, "invalid_request"),
    ],
)
async def test_a_wrong_token_request_gets_the_standards_own_error(
    door: Door, form: dict[str, Any], more: dict[str, Any], status: int, error: str
) -> None:
    answer = await token(door, form, **more)
    assert (answer.status_code, answer.json()["error"]) == (status, error), answer.text
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    basic = status == 401 and ("auth" in more or "Basic" in more.get("headers", {}).get("Authorization", ""))
    assert ("www-authenticate" in answer.headers) == basic


async def test_a_json_token_request_is_refused(door: Door) -> None:
    answer = await door.http.post("/oauth2/token", json=GRANT)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


async def test_a_credential_is_made_and_read(door: Door) -> None:
    body = {
        "subscriber_id": "sub_1",
        "key_algorithm": "RSA-2048",
        "client_ids": ["cl_1"],
        "issuer": "outside_ca",
    }
    headers = door.headers("credentials:write")
    made = await door.http.post("/v1/credentials", json=body, headers=headers)
    assert made.status_code == 201, made.text
    assert made.headers["location"] == "/v1/credentials/cr_1"
    asked = door.services.registry.last
    assert (asked.idempotency_key, list(asked.client_ids)) == (headers["Idempotency-Key"], ["cl_1"])
    read = await door.http.get("/v1/credentials/cr_1", headers=door.headers("credentials:read"))
    assert read.json() == made.json()
    assert read.json()["status"] == "active"
    assert read.json()["certificate_chain"] == [base64.b64encode(b"leaf").decode()]
    listed = await door.http.get("/v1/credentials?page_size=7", headers=door.headers("credentials:read"))
    assert listed.json() == {"credentials": [made.json()], "next_page_token": "next"}
    assert door.services.registry.last.page_size == 7


async def test_a_credential_is_held_released_and_revoked(door: Door) -> None:
    headers = door.headers("credentials:write")
    body = {"reason": "key_suspected", "reporter": "Văn thư", "suspected_since": "2026-11-22T07:00:00+07:00"}
    held = await door.http.post("/v1/credentials/cr_1:hold", json=body, headers=headers)
    assert held.status_code == 200, held.text
    assert held.json()["credential"]["status"] == "held"
    assert held.json()["confirmations"] == [{"replica": "signer-1", "milliseconds": 3}]
    assert door.services.registry.last.suspected_since.ToJsonString() == "2026-11-22T00:00:00Z"
    release = {"confirmation": "15/CV 22-11-2026"}
    released = await door.http.post("/v1/credentials/cr_1:release", json=release, headers=headers)
    assert released.json()["status"] == "active"
    revoke = {"ground": "key_exposed", "request_reference": "16/CV"}
    revoked = await door.http.post("/v1/credentials/cr_1:revoke", json=revoke, headers=headers)
    assert (revoked.json()["crl_number"], revoked.json()["credential"]["status"]) == (2, "revoked")


async def test_an_outside_ca_is_served_with_request_and_certificate(door: Door) -> None:
    headers = door.headers("credentials:write")
    request = await door.http.get("/v1/credentials/cr_1/certification-request", headers=headers)
    assert (request.headers["content-type"], request.content) == ("application/pkcs10", b"\x30\x00")
    pem = "".join(
        f"-----BEGIN CERTIFICATE-----\n{base64.b64encode(one).decode()}\n-----END CERTIFICATE-----\n"
        for one in (b"leaf", b"issuer")
    )
    for content, media_type in (
        (pem.encode(), "application/x-pem-file"),
        (b'{"certificate_chain": ["bGVhZg==", "aXNzdWVy"]}', "application/json"),
    ):
        answer = await door.http.post(
            "/v1/credentials/cr_1/certificate",
            content=content,
            headers={**headers, "Content-Type": media_type},
        )
        assert answer.status_code == 200, answer.text
        assert list(door.services.registry.last.certificate_chain) == [b"leaf", b"issuer"]
    nothing = await door.http.post(
        "/v1/credentials/cr_1/certificate",
        content=b"x",
        headers={**headers, "Content-Type": "application/x-pem-file"},
    )
    assert (nothing.status_code, nothing.json()["field"]) == (400, "certificate_chain")


@pytest.mark.parametrize(
    ("path", "body", "names"),
    [
        ("agencies", {"parent_id": "ag_1", "name": "UBND xã An Bình"}, ("id", "ag_2")),
        ("subscribers", {"agency_id": "ag_1", "kind": "organization", "name": "UBND xã"}, ("id", "sub_1")),
    ],
)
async def test_a_row_of_the_register_is_made_listed_and_read(
    door: Door, path: str, body: dict[str, str], names: tuple[str, str]
) -> None:
    made = await door.http.post(f"/v1/{path}", json=body, headers=door.headers("registry:write"))
    assert made.status_code == 201, made.text
    assert made.json()[names[0]] == names[1]
    listed = await door.http.get(f"/v1/{path}", headers=door.headers("registry:read"))
    assert listed.json() == {path: [made.json()], "next_page_token": None}
    read = await door.http.get(made.headers["location"], headers=door.headers("registry:read"))
    assert read.json() == made.json()


async def test_a_client_is_made_and_switched_off_and_on(door: Door) -> None:
    body = {
        "agency_id": "ag_1",
        "name": "Cổng",
        "scopes": ["verify"],
        "document_types": ["*"],
        "jwks": {"keys": []},
    }
    made = await door.http.post("/v1/clients", json=body, headers=door.headers("registry:write"))
    assert (made.status_code, made.json()["secret"]) == (201, "shown once")
    assert door.services.registry.last.jwks == '{"keys": []}'
    for verb, enabled in (("disable", False), ("enable", True)):
        answer = await door.http.post(f"/v1/clients/cl_1:{verb}", headers=door.headers("registry:write"))
        assert answer.json()["enabled"] is enabled
    listed = await door.http.get("/v1/clients", headers=door.headers("registry:read"))
    assert listed.json()["clients"][0]["id"] == "cl_1"
    assert (await door.http.get("/v1/clients/cl_1", headers=door.headers("registry:read"))).status_code == 200


async def test_audit_events_are_listed_as_they_were_recorded(door: Door) -> None:
    path = "/v1/audit/events?operation_id=op_1&from_time=2026-11-22T15:00:00%2B07:00"
    answer = await door.http.get(path, headers=door.headers("audit:read"))
    (event,) = answer.json()["events"]
    assert (event["data"], event["position"]) == ('{"outcome":"completed"}', 1)
    asked = door.services.registry.last
    assert (asked.operation_id, asked.from_time.ToJsonString()) == ("op_1", "2026-11-22T08:00:00Z")


async def test_crls_and_ca_certificates_are_open_and_cacheable(door: Door) -> None:
    crl = await door.http.get("/pki/crl/issuing.crl")
    assert (crl.status_code, crl.content) == (200, b"crl 1")
    assert crl.headers["content-type"] == "application/pkix-crl"
    assert crl.headers["cache-control"].startswith("public, max-age=")
    assert "GMT" in crl.headers["expires"]
    again = await door.http.get("/pki/crl/issuing.crl", headers={"If-None-Match": crl.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    head = await door.http.head("/pki/crl/issuing.crl")
    assert (head.status_code, head.headers["content-length"], head.content) == (200, "5", b"")
    certificate = await door.http.get("/pki/aia/issuing.cer")
    assert (certificate.content, certificate.headers["content-type"]) == (
        b"certificate of issuing",
        "application/pkix-cert",
    )


async def test_a_crl_is_new_at_once_after_a_revocation(door: Door) -> None:
    await door.http.get("/pki/crl/root.crl")
    door.services.pki.number += 1
    body = {"ground": "key_exposed", "request_reference": "16/CV"}
    await door.http.post("/v1/credentials/cr_1:revoke", json=body, headers=door.headers("credentials:write"))
    assert (await door.http.get("/pki/crl/root.crl")).content == b"crl %d" % door.services.pki.number


async def test_a_verified_token_is_verified_once_and_keys_are_asked_for_once(door: Door) -> None:
    headers = door.headers("credentials:read")
    before = door.services.tokens.keys_asked
    for _ in range(5):
        assert (await door.http.get("/v1/credentials", headers=headers)).status_code == 200
    assert door.services.tokens.keys_asked == before


async def test_a_registry_that_restarts_does_not_shut_the_door(door: Door) -> None:
    door.services.tokens.refuse = ServiceUnavailable("restarting")
    try:
        answer = await door.http.get("/v1/credentials", headers=door.headers("credentials:read"))
        assert answer.status_code == 200
    finally:
        door.services.tokens.refuse = None


async def test_figures_name_routes_and_never_what_callers_made_up(door: Door) -> None:
    labels = {"route": "/v1/credentials/{id}", "method": "GET", "status": "200"}
    before = door.figure("kyso_gateway_requests_total", **labels)
    await door.http.get("/v1/credentials/cr_1", headers=door.headers())
    await door.http.request("BREW", "/v1/coffee/cr_1")
    assert door.figure("kyso_gateway_requests_total", **labels) == before + 1
    assert door.figure("kyso_gateway_seconds_count", route="/v1/credentials/{id}") >= 1
    assert door.figure("kyso_gateway_sent_bytes_total") > 0
    assert door.figure("kyso_gateway_in_flight") == 0


async def test_the_log_has_one_line_for_a_request_and_nothing_secret(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    headers = door.headers("credentials:read", X_Request_Id="log-line-12345")
    with monkeypatch.context() as patch:
        stderr = io.StringIO()
        patch.setattr(sys, "stderr", stderr)
        configure_logging("gateway", "debug")
        await door.http.get("/v1/credentials?page_token=hidden", headers=headers)
        await token(door, {**GRANT, "client_id": CLIENT, "client_secret": SECRET})

        async def logged() -> bool:
            return "/oauth2/token" in stderr.getvalue()

        await until(logged)
    configure_logging("gateway", "debug")
    written = stderr.getvalue()
    lines = [line for line in written.splitlines() if "http_request" in line and "log-line-12345" in line]
    assert len(lines) == 1
    assert f'"caller": "{CLIENT}"' in lines[0]
    assert '"route": "/v1/credentials"' in lines[0]
    for secret in ("hidden", SECRET, headers["Authorization"][7:]):
        assert secret not in written
