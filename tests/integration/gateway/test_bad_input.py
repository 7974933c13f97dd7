"""Every bad request gets its typed answer, and the signer is never told to sign."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from joserfc.jwk import ECKey

from services.kernel.errors import ServiceUnavailable
from tests.integration.gateway.conftest import MAX_DOCUMENT, Door, open_door, raw_exchange, until
from tests.integration.gateway.stand_ins import StandIns
from tests.support.pki import MeshCa

pytestmark = pytest.mark.asyncio(loop_scope="module")
DIGEST = base64.b64encode(hashlib.sha256(b"content").digest()).decode()
HASHES = {"credential_id": "cr_1", "digest_algorithm": "SHA-256", "digests": [DIGEST], "label": "none"}
SIGN = {"credential_id": "cr_1", "format": "pades", "label": "none"}
JSON = "application/json"
REQUEST_PART = ("request", JSON, json.dumps(SIGN).encode())
DOCUMENT_PART = ("document", "application/pdf", b"%PDF-1.7")


def multipart(*parts: tuple[str, str, bytes], end: bytes = b"--b--\r\n") -> bytes:
    body = b""
    for name, media_type, content in parts:
        head = f'--b\r\nContent-Disposition: form-data; name="{name}"\r\nContent-Type: {media_type}\r\n\r\n'
        body += head.encode() + content + b"\r\n"
    return body + end


async def post(
    door: Door, path: str, content: Any, content_type: str, headers: dict[str, str] | None = None
) -> httpx.Response:
    given = door.headers() if headers is None else headers
    return await door.http.post(path, content=content, headers={**given, "Content-Type": content_type})


def hashes(**changes: Any) -> Callable[[Door], Awaitable[httpx.Response]]:
    body = {key: value for key, value in {**HASHES, **changes}.items() if value is not ...}
    return lambda door: post(door, "/v1/hashes:sign", json.dumps(body).encode(), JSON)


def raw_hashes(body: bytes, content_type: str = JSON) -> Callable[[Door], Awaitable[httpx.Response]]:
    return lambda door: post(door, "/v1/hashes:sign", body, content_type)


def sign(
    *parts: tuple[str, str, bytes], end: bytes = b"--b--\r\n"
) -> Callable[[Door], Awaitable[httpx.Response]]:
    return lambda door: post(
        door, "/v1/signatures", multipart(*parts, end=end), "multipart/form-data; boundary=b"
    )


def sign_with(**changes: Any) -> Callable[[Door], Awaitable[httpx.Response]]:
    return sign(("request", JSON, json.dumps({**SIGN, **changes}).encode()), DOCUMENT_PART)


def authorized(value: Callable[[Door], str]) -> Callable[[Door], Awaitable[httpx.Response]]:
    def send(door: Door) -> Awaitable[httpx.Response]:
        headers = {"Authorization": value(door), "Idempotency-Key": "k"}
        return post(door, "/v1/hashes:sign", json.dumps(HASHES).encode(), JSON, headers)

    return send


def bearer(**claims: Any) -> Callable[[Door], Awaitable[httpx.Response]]:
    return authorized(lambda door: "Bearer " + door.services.tokens.token(**claims))


def forged() -> Callable[[Door], Awaitable[httpx.Response]]:
    return bearer(key=ECKey.generate_key("P-256", {"kid": "k1"}))


def tampered(door: Door) -> str:
    head, payload, signature = door.services.tokens.token().split(".")
    claims = json.loads(base64.urlsafe_b64decode(payload + "=="))
    claims["sub"] = "cl_somebody_else"
    changed = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
    return f"Bearer {head}.{changed}.{signature}"


def unsigned(door: Door) -> str:
    _, payload, _ = door.services.tokens.token().split(".")
    head = base64.urlsafe_b64encode(b'{"alg":"none","typ":"at+jwt","kid":"k1"}').rstrip(b"=").decode()
    return f"Bearer {head}.{payload}.AA"


def get(path: str, method: str = "GET") -> Callable[[Door], Awaitable[httpx.Response]]:
    return lambda door: door.http.request(method, path, headers=door.headers())


def without_key(door: Door) -> Awaitable[httpx.Response]:
    headers = {"Authorization": door.headers()["Authorization"]}
    return post(door, "/v1/hashes:sign", json.dumps(HASHES).encode(), JSON, headers)


def oversize_declared(door: Door) -> Awaitable[httpx.Response]:
    body = multipart(REQUEST_PART, ("document", "application/pdf", bytes(MAX_DOCUMENT + 300_000)))
    return post(door, "/v1/signatures", body, "multipart/form-data; boundary=b")


def oversize_chunked(door: Door) -> Awaitable[httpx.Response]:
    async def stream() -> Any:
        yield multipart(REQUEST_PART, ("document", "application/pdf", b""), end=b"")[:-2]
        for _ in range(MAX_DOCUMENT // 65536 + 3):
            yield bytes(65536)

    return post(door, "/v1/signatures", stream(), "multipart/form-data; boundary=b")


def one_byte_too_many(door: Door) -> Awaitable[httpx.Response]:
    body = multipart(REQUEST_PART, ("document", "application/pdf", bytes(MAX_DOCUMENT + 1)))
    return post(door, "/v1/signatures", body, "multipart/form-data; boundary=b")


@dataclass(frozen=True)
class Row:
    """One bad request with the answer it must get."""

    name: str
    send: Callable[[Door], Awaitable[httpx.Response]]
    status: int
    code: str


ROWS = [
    Row("no token", lambda d: d.http.post("/v1/hashes:sign", json=HASHES), 401, "UNAUTHENTICATED"),
    Row("another scheme", authorized(lambda d: "Basic YTpi"), 401, "UNAUTHENTICATED"),
    Row("a token that is no JWT", authorized(lambda d: "Bearer abc"), 401, "TOKEN_INVALID"),
    Row(
        "a token as large as a book",
        authorized(lambda d: "Bearer a." + "b" * 9000 + ".c"),
        401,
        "TOKEN_INVALID",
    ),
    Row("a forged token", forged(), 401, "TOKEN_INVALID"),
    Row("a tampered token", authorized(tampered), 401, "TOKEN_INVALID"),
    Row("an unsigned token", authorized(unsigned), 401, "TOKEN_INVALID"),
    Row("another kind of JWT", bearer(typ="JWT"), 401, "TOKEN_INVALID"),
    Row("an expired token", bearer(exp=1), 401, "TOKEN_EXPIRED"),
    Row("a token for somebody else", bearer(aud="other"), 401, "TOKEN_INVALID"),
    Row("a token of another issuer", bearer(iss="other"), 401, "TOKEN_INVALID"),
    Row("a token without an end", bearer(exp=None), 401, "TOKEN_INVALID"),
    Row("a token without a beginning", bearer(iat=None), 401, "TOKEN_INVALID"),
    Row("a token for days", bearer(exp=int(time.time()) + 3 * 24 * 3600), 401, "TOKEN_INVALID"),
    Row("a token whose end is no number", bearer(exp=float("nan")), 401, "TOKEN_INVALID"),
    Row("a wrong scope", bearer(scope="verify"), 403, "SCOPE_MISSING"),
    Row("no idempotency key", without_key, 400, "FIELD_INVALID"),
    Row("no JSON", raw_hashes(b"{"), 400, "JSON_INVALID"),
    Row("an empty body", raw_hashes(b""), 400, "JSON_INVALID"),
    Row("a JSON list", raw_hashes(b"[]"), 400, "JSON_INVALID"),
    Row("a JSON bomb", raw_hashes(b"[" * 100_000), 400, "JSON_INVALID"),
    Row("a number of a million digits", raw_hashes(b'{"a": ' + b"9" * 100_000 + b"}"), 400, "JSON_INVALID"),
    Row("NaN", raw_hashes(b'{"a": NaN}'), 400, "JSON_INVALID"),
    Row("a doubled name", raw_hashes(b'{"label": "none", "label": "mat"}'), 400, "JSON_INVALID"),
    Row("UTF-16", raw_hashes(json.dumps(HASHES).encode("utf-16")), 400, "JSON_INVALID"),
    Row("no JSON media type", raw_hashes(b"{}", "text/plain"), 415, "UNSUPPORTED_MEDIA_TYPE"),
    Row("a JSON body over its limit", raw_hashes(b" " * 600_000), 413, "BODY_TOO_LARGE"),
    Row("a missing field", hashes(credential_id=...), 400, "FIELD_INVALID"),
    Row("no digests", hashes(digests=...), 400, "FIELD_INVALID"),
    Row("an unknown field", hashes(digets=[]), 400, "FIELD_INVALID"),
    Row("a field of another type", hashes(credential_id=7), 400, "FIELD_INVALID"),
    Row("half a character", hashes(reference="\ud800"), 400, "FIELD_INVALID"),
    Row("a control character", hashes(reference="a\0b"), 400, "FIELD_INVALID"),
    Row("an endless reference", hashes(reference="a" * 201), 400, "FIELD_INVALID"),
    Row("an unknown label", hashes(label="secret"), 400, "FIELD_INVALID"),
    Row("an unknown digest algorithm", hashes(digest_algorithm="SHA-1"), 400, "ALGORITHM_UNKNOWN"),
    Row("an unknown scheme", hashes(scheme="DSA"), 400, "ALGORITHM_UNKNOWN"),
    Row("an empty batch", hashes(digests=[]), 400, "BATCH_EMPTY"),
    Row("an oversize batch", hashes(digests=[DIGEST] * 1001), 400, "BATCH_TOO_LARGE"),
    Row("bad base64", hashes(digests=["***"]), 400, "BASE64_INVALID"),
    Row("base64 without padding", hashes(digests=[DIGEST.rstrip("=")]), 400, "BASE64_INVALID"),
    Row(
        "base64 with a line break", hashes(digests=[DIGEST[:20] + "\n" + DIGEST[20:]]), 400, "BASE64_INVALID"
    ),
    Row("a digest that is a number", hashes(digests=[7]), 400, "FIELD_INVALID"),
    Row(
        "a signature without multipart",
        lambda d: post(d, "/v1/signatures", b"{}", JSON),
        415,
        "UNSUPPORTED_MEDIA_TYPE",
    ),
    Row(
        "no boundary",
        lambda d: post(d, "/v1/signatures", b"x", "multipart/form-data"),
        400,
        "MULTIPART_INVALID",
    ),
    Row(
        "an endless boundary",
        lambda d: post(d, "/v1/signatures", b"x", "multipart/form-data; boundary=" + "b" * 71),
        400,
        "MULTIPART_INVALID",
    ),
    Row(
        "no multipart",
        lambda d: post(d, "/v1/signatures", b"hello", "multipart/form-data; boundary=b"),
        400,
        "MULTIPART_INVALID",
    ),
    Row("parts in the wrong order", sign(DOCUMENT_PART, REQUEST_PART), 400, "PART_ORDER"),
    Row("no document", sign(REQUEST_PART), 400, "PART_ORDER"),
    Row("no part at all", sign(), 400, "PART_ORDER"),
    Row("a second request part", sign(REQUEST_PART, REQUEST_PART, DOCUMENT_PART), 400, "PART_ORDER"),
    Row("a second document", sign(REQUEST_PART, DOCUMENT_PART, DOCUMENT_PART), 400, "PART_ORDER"),
    Row(
        "too many parts",
        sign(("request", JSON, json.dumps({**SIGN, "format": "asic_e"}).encode()), *[DOCUMENT_PART] * 6),
        400,
        "MULTIPART_INVALID",
    ),
    Row("no closing boundary", sign(REQUEST_PART, DOCUMENT_PART, end=b""), 400, "MULTIPART_INVALID"),
    Row(
        "a request part over its limit",
        sign(("request", JSON, b" " * 65537), DOCUMENT_PART),
        413,
        "BODY_TOO_LARGE",
    ),
    Row(
        "a request part of another type",
        sign(("request", "text/xml", b"<a/>"), DOCUMENT_PART),
        415,
        "UNSUPPORTED_MEDIA_TYPE",
    ),
    Row("a request part that is no JSON", sign(("request", JSON, b"{"), DOCUMENT_PART), 400, "JSON_INVALID"),
    Row("an unknown format", sign_with(format="odf"), 400, "FIELD_INVALID"),
    Row("an unknown level", sign_with(level="B-X"), 400, "FIELD_INVALID"),
    Row("an unknown mode", sign_with(mode="later"), 400, "FIELD_INVALID"),
    Row("a PDF field in a CMS signature", sign_with(format="cades", reason="x"), 400, "FIELD_INVALID"),
    Row("an oversize document, declared", oversize_declared, 413, "BODY_TOO_LARGE"),
    Row("an oversize document, chunked", oversize_chunked, 413, "BODY_TOO_LARGE"),
    Row("a document one byte too large", one_byte_too_many, 413, "BODY_TOO_LARGE"),
    Row(
        "a document of another type to verify",
        lambda d: post(d, "/v1/verifications", b"x", "text/html"),
        415,
        "UNSUPPORTED_MEDIA_TYPE",
    ),
    Row("a doubled query parameter", get("/v1/credentials?page_size=1&page_size=2"), 400, "FIELD_INVALID"),
    Row("an unknown query parameter", get("/v1/credentials?size=1"), 400, "FIELD_INVALID"),
    Row("a page of a million", get("/v1/credentials?page_size=1000000"), 400, "FIELD_INVALID"),
    Row("a page of no number", get("/v1/credentials?page_size=%C2%B2"), 400, "FIELD_INVALID"),
    Row("a time that is none", get("/v1/audit/events?from_time=yesterday"), 400, "FIELD_INVALID"),
    Row("a time without a zone", get("/v1/audit/events?from_time=2026-01-01T00:00:00"), 400, "FIELD_INVALID"),
    Row("an unknown credential", get("/v1/credentials/cr_2"), 404, "NOT_FOUND"),
    Row("an id with a slash", get("/v1/credentials/..%2Fx"), 404, "NOT_FOUND"),
    Row("an unknown path", get("/v1/nothing"), 404, "NOT_FOUND"),
    Row("an unknown path with NUL", get("/v1/%00"), 404, "NOT_FOUND"),
    Row("an unknown CA", get("/pki/crl/other.crl"), 404, "NOT_FOUND"),
    Row("a wrong method", get("/v1/hashes:sign"), 405, "METHOD_NOT_ALLOWED"),
    Row("another wrong method", get("/v1/credentials/cr_1", "DELETE"), 405, "METHOD_NOT_ALLOWED"),
    Row("a CA that is not there, over its own path", get("/pki/crl/issuing"), 404, "NOT_FOUND"),
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
async def test_a_bad_request_gets_its_typed_answer(door: Door, row: Row) -> None:
    answer = await row.send(door)
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (row.status, row.code), problem
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["x-request-id"] == problem["request_id"]
    assert problem["status"] == row.status
    assert problem["detail"]
    assert problem["type"] == f"/docs#error-{row.code}"
    assert not door.services.signer.hashes
    assert door.services.signer.completed == 0


async def test_challenges_name_the_bearer_scheme_and_the_missing_scope(door: Door) -> None:
    nothing = await door.http.get("/v1/credentials")
    assert nothing.headers["www-authenticate"] == 'Bearer realm="kyso"'
    wrong = await door.http.get("/v1/credentials", headers={"Authorization": "Bearer abc"})
    assert wrong.headers["www-authenticate"] == 'Bearer realm="kyso", error="invalid_token"'
    narrow = await door.http.get("/v1/credentials", headers=door.headers("verify"))
    assert 'error="insufficient_scope", scope="credentials:read"' in narrow.headers["www-authenticate"]
    method = await door.http.put("/v1/credentials", headers=door.headers())
    assert method.headers["allow"] == "GET, HEAD, POST"


async def test_only_safe_request_ids_are_taken_over(door: Door) -> None:
    for given, kept in (("portal-12345", True), ("short", False), ("a" * 65, False), ("with space!", False)):
        answer = await door.http.get("/livez", headers={"X-Request-Id": given})
        assert (answer.headers["x-request-id"] == given) is kept


async def test_what_is_no_http_gets_a_problem_too(door: Door) -> None:
    answer = await raw_exchange(door.port, b"HELLO\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b'"code": "HTTP_MALFORMED"' in answer
    assert b"x-request-id: req_" in answer


async def test_endless_headers_are_cut_off(door: Door) -> None:
    many = b"".join(b"X-%d: %s\r\n" % (number, b"a" * 100) for number in range(1000))
    for head in (b"GET /livez HTTP/1.1\r\n" + many + b"\r\n", b"GET /livez HTTP/1.1\r\nX: " + b"a" * 100_000):
        answer = await raw_exchange(door.port, head)
        assert answer.startswith(b"HTTP/1.1 431 "), answer[:200]
        assert b'"code": "HEADERS_TOO_LARGE"' in answer


async def test_a_head_that_never_ends_costs_a_second_and_no_answer(door: Door) -> None:
    assert await raw_exchange(door.port, b"GET /livez HTTP/1.1\r\nHost:") == b""


async def test_a_body_that_stops_coming_ends_the_wait(door: Door) -> None:
    head = (
        f"POST /v1/signatures HTTP/1.1\r\nHost: a\r\nAuthorization: {door.headers()['Authorization']}\r\n"
        "Idempotency-Key: k\r\nContent-Type: multipart/form-data; boundary=b\r\nContent-Length: 1000\r\n\r\n"
    )
    answer = await raw_exchange(door.port, head.encode(), multipart(REQUEST_PART, end=b""))
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b'"BODY_TIMEOUT"' in answer
    assert door.services.signer.completed == 0


async def test_smuggled_lengths_are_refused(door: Door) -> None:
    head = b"POST /v1/hashes:sign HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    answer = await raw_exchange(door.port, head)
    assert answer.startswith(b"HTTP/1.1 400 ")


async def test_a_declared_oversize_body_is_refused_before_a_byte_of_it_comes(door: Door) -> None:
    token = door.headers()["Authorization"]
    head = (
        f"POST /v1/signatures HTTP/1.1\r\nHost: a\r\nAuthorization: {token}\r\nIdempotency-Key: k\r\n"
        f"Content-Type: multipart/form-data; boundary=b\r\nContent-Length: {10**12}\r\nExpect: 100-continue\r\n\r\n"
    )
    answer = await raw_exchange(door.port, head.encode())
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"100 Continue" not in answer
    assert b"connection: close" in answer


async def test_a_client_that_asks_too_often_is_told_when_to_come_back(mesh_ca: MeshCa) -> None:
    async with AsyncExitStack() as stack:
        door = await open_door(stack, mesh_ca, rates={"client_per_second": 0.5, "client_burst": 2})
        answers = [await door.http.get("/v1/credentials", headers=door.headers()) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert answers[2].json()["code"] == "RATE_LIMITED"
    assert 1 <= int(answers[2].headers["retry-after"]) <= 2


async def test_more_requests_at_once_than_the_limit_are_turned_away(mesh_ca: MeshCa) -> None:
    async with AsyncExitStack() as stack:
        door = await open_door(stack, mesh_ca, http={"max_in_flight": 1}, limits={"body_idle_seconds": 20})
        release = asyncio.Event()

        async def stream() -> Any:
            yield multipart(REQUEST_PART, end=b"")
            await release.wait()
            yield multipart(DOCUMENT_PART)

        first = asyncio.create_task(post(door, "/v1/signatures", stream(), "multipart/form-data; boundary=b"))

        async def under_way() -> bool:
            return door.figure("kyso_gateway_in_flight") == 1

        await until(under_way)
        answer = await door.http.get("/v1/credentials", headers=door.headers())
        assert (answer.status_code, answer.json()["code"]) == (503, "OVERLOADED")
        assert (await door.http.get("/livez")).status_code == 200
        release.set()
        assert (await first).status_code == 200


async def test_without_the_registrys_keys_nobody_is_let_in_and_readiness_says_why(mesh_ca: MeshCa) -> None:
    async with AsyncExitStack() as stack:
        services = StandIns()
        services.tokens.refuse = ServiceUnavailable("starting")
        door = await open_door(stack, mesh_ca, services)
        answer = await door.http.get("/v1/credentials", headers=door.headers())
        assert (answer.status_code, answer.json()["code"]) == (503, "SERVICE_UNAVAILABLE")
        assert answer.headers["retry-after"] == "1"
        ready = await door.http.get("/readyz")
        assert ready.status_code == 503
        assert list(ready.json()["reasons"]) == ["token_keys"]
        services.tokens.refuse = None

        async def is_ready() -> bool:
            return (await door.http.get("/readyz")).status_code == 200

        await until(is_ready)
        assert (await door.http.get("/v1/credentials", headers=door.headers())).status_code == 200
