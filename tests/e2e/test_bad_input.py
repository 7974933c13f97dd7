"""Bad input gets a typed answer, and nothing is signed or lost: one row each, against the real platform.

After the whole table the signing ledger has grown by refusals only.
"""

from __future__ import annotations

import base64
import hashlib
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey

from tests.support.pdfs import encrypted_pdf, one_page_pdf
from tests.support.world import World, multipart_body

DIGEST = base64.b64encode(hashlib.sha256(b"content").digest()).decode()


@dataclass(frozen=True)
class Row:
    """One bad request with the answer it must get."""

    name: str
    send: Callable[[World], httpx.Response]
    status: int
    code: str


def hashes(
    world: World, *, key: str | None = None, token: str | None = None, **changes: object
) -> httpx.Response:
    body: dict[str, object] = {
        "credential_id": world.rsa_credential,
        "digest_algorithm": "SHA-256",
        "digests": [DIGEST],
        "document_type": "cong-van",
        "label": "none",
    }
    body.update(changes)
    return raw_hashes(world, json.dumps(body).encode(), key=key, token=token)


def raw_hashes(
    world: World, body: bytes, *, key: str | None = None, token: str | None = None
) -> httpx.Response:
    headers = world.headers(token) | {
        "Idempotency-Key": key or world.new_key(),
        "Content-Type": "application/json",
    }
    return world.http.post("/v1/hashes:sign", content=body, headers=headers)


def document(world: World, content: bytes, *, key: str | None = None, **changes: object) -> httpx.Response:
    request: dict[str, object] = {
        "credential_id": world.rsa_credential,
        "format": "pades",
        "level": "B-B",
        "digest_algorithm": "SHA-256",
        "document_type": "cong-van",
        "label": "none",
        "mode": "sync",
    }
    request.update(changes)
    return parts(world, [("request", json.dumps(request).encode()), ("document", content)], key=key)


def parts(world: World, content: list[tuple[str, bytes]], *, key: str | None = None) -> httpx.Response:
    body, content_type = multipart_body(content)
    headers = world.headers() | {"Idempotency-Key": key or world.new_key(), "Content-Type": content_type}
    return world.http.post("/v1/signatures", content=body, headers=headers)


def forged(world: World) -> httpx.Response:
    claims = world.claims()
    key = ECKey.generate_key("P-256", {"kid": world.token_kid()})
    token = jwt.encode({"alg": "ES256", "kid": world.token_kid()}, claims, key)
    return hashes(world, token=token)


def expired(world: World) -> httpx.Response:
    now = int(time.time())
    claims = world.claims() | {"iat": now - 1200, "nbf": now - 1200, "exp": now - 600}
    return hashes(world, token=world.sign_token(claims))


def same_key_other_body(world: World) -> httpx.Response:
    key = world.new_key()
    assert hashes(world, key=key).status_code == 200
    other = base64.b64encode(hashlib.sha256(b"other content").digest()).decode()
    return hashes(world, key=key, digests=[other])


def same_key_other_document(world: World) -> httpx.Response:
    key = world.new_key()
    assert document(world, one_page_pdf("first"), key=key).status_code == 200
    return document(world, one_page_pdf("second"), key=key)


def oversize_with_length(world: World) -> httpx.Response:
    return document(world, b"%PDF-1.7\n" + bytes(world.max_document_bytes))


def oversize_chunked(world: World) -> httpx.Response:
    request = json.dumps({
        "credential_id": world.rsa_credential, "format": "pades", "level": "B-B", "digest_algorithm": "SHA-256",
        "document_type": "cong-van", "label": "none", "mode": "sync",
    }).encode()  # fmt: skip
    head, content_type = multipart_body([("request", request), ("document", b"")])
    start = head[: head.rindex(b"\r\n--")]
    headers = world.headers() | {"Idempotency-Key": world.new_key(), "Content-Type": content_type}

    def stream() -> Iterator[bytes]:
        yield start
        for _ in range(world.max_document_bytes // 65536 + 2):
            yield bytes(65536)

    return world.http.post("/v1/signatures", content=stream(), headers=headers)


def body_over_json_limit(world: World) -> httpx.Response:
    return raw_hashes(world, b'{"digests": ["' + b"A" * (1024 * 1024) + b'"]}')


HELD, REVOKED, PENDING, EXPIRED = "held", "revoked", "pending", "expired"

ROWS = [
    Row("no token", lambda w: w.http.post("/v1/hashes:sign", json={}), 401, "UNAUTHENTICATED"),
    Row("a forged token", forged, 401, "TOKEN_INVALID"),
    Row("an expired token", expired, 401, "TOKEN_EXPIRED"),
    Row("a token that is no JWT", lambda w: hashes(w, token="abc"), 401, "TOKEN_INVALID"),
    Row("a wrong scope", lambda w: hashes(w, token=w.token("verify")), 403, "SCOPE_MISSING"),
    Row(
        "an unknown credential",
        lambda w: hashes(w, credential_id="cr_" + "0" * 26),
        404,
        "CREDENTIAL_NOT_FOUND",
    ),
    Row(
        "another agency's credential",
        lambda w: hashes(w, credential_id=w.foreign_credential),
        404,
        "CREDENTIAL_NOT_FOUND",
    ),
    Row("a held credential", lambda w: hashes(w, credential_id=w.credentials[HELD]), 409, "CREDENTIAL_HELD"),
    Row(
        "a revoked credential",
        lambda w: hashes(w, credential_id=w.credentials[REVOKED]),
        409,
        "CREDENTIAL_REVOKED",
    ),
    Row(
        "an expired credential",
        lambda w: hashes(w, credential_id=w.credentials[EXPIRED]),
        409,
        "CREDENTIAL_EXPIRED",
    ),
    Row(
        "a credential without certificate",
        lambda w: hashes(w, credential_id=w.credentials[PENDING]),
        409,
        "CREDENTIAL_WITHOUT_CERTIFICATE",
    ),
    Row(
        "a wrong digest length",
        lambda w: hashes(w, digests=[base64.b64encode(bytes(20)).decode()]),
        400,
        "DIGEST_LENGTH",
    ),
    Row(
        "an unknown digest algorithm", lambda w: hashes(w, digest_algorithm="SHA-1"), 400, "ALGORITHM_UNKNOWN"
    ),
    Row("an unknown scheme", lambda w: hashes(w, scheme="DSA"), 400, "ALGORITHM_UNKNOWN"),
    Row("a scheme of another key", lambda w: hashes(w, scheme="ECDSA"), 400, "ALGORITHM_MISMATCH"),
    Row("an empty batch", lambda w: hashes(w, digests=[]), 400, "BATCH_EMPTY"),
    Row("an oversize batch", lambda w: hashes(w, digests=[DIGEST] * 1001), 400, "BATCH_TOO_LARGE"),
    Row("bad JSON", lambda w: raw_hashes(w, b'{"credential_id": '), 400, "JSON_INVALID"),
    Row("JSON of another shape", lambda w: raw_hashes(w, b"[1, 2]"), 400, "JSON_INVALID"),
    Row("a missing field", lambda w: raw_hashes(w, b"{}"), 400, "FIELD_INVALID"),
    Row("bad base64", lambda w: hashes(w, digests=["***"]), 400, "BASE64_INVALID"),
    Row("a JSON body over its limit", body_over_json_limit, 413, "BODY_TOO_LARGE"),
    Row(
        "a document type not allowed",
        lambda w: hashes(w, document_type="quyet-dinh"),
        403,
        "DOCUMENT_TYPE_NOT_ALLOWED",
    ),
    Row("a classified label", lambda w: hashes(w, label="mat"), 403, "CLASSIFIED_REFUSED"),
    Row(
        "a classified document",
        lambda w: document(w, one_page_pdf("x"), label="tuyet_mat"),
        403,
        "CLASSIFIED_REFUSED",
    ),
    Row("no label where one is demanded", lambda w: hashes(w, label=None), 400, "LABEL_REQUIRED"),
    Row("the same key with other digests", same_key_other_body, 409, "IDEMPOTENCY_CONFLICT"),
    Row("the same key with another document", same_key_other_document, 409, "IDEMPOTENCY_CONFLICT"),
    Row("not a PDF", lambda w: document(w, b"hello"), 422, "DOCUMENT_NOT_PDF"),
    Row("an encrypted PDF", lambda w: document(w, encrypted_pdf()), 422, "DOCUMENT_ENCRYPTED"),
    Row("a damaged PDF", lambda w: document(w, one_page_pdf("x")[:-200]), 422, "DOCUMENT_DAMAGED"),
    Row("an unknown format", lambda w: document(w, one_page_pdf("x"), format="odf"), 400, "FIELD_INVALID"),
    Row("an oversize document", oversize_with_length, 413, "BODY_TOO_LARGE"),
    Row("an oversize document in chunks", oversize_chunked, 413, "BODY_TOO_LARGE"),
    Row(
        "parts in the wrong order",
        lambda w: parts(w, [("document", b"%PDF-1.7"), ("request", b"{}")]),
        400,
        "PART_ORDER",
    ),
    Row("a part missing", lambda w: parts(w, [("request", b"{}")]), 400, "FIELD_INVALID"),
    Row(
        "an unknown operation",
        lambda w: w.http.get("/v1/signatures/op_" + "0" * 26, headers=w.headers()),
        404,
        "OPERATION_NOT_FOUND",
    ),
    Row("an unknown path", lambda w: w.http.get("/v1/nothing", headers=w.headers()), 404, "NOT_FOUND"),
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_bad_input_gets_its_typed_answer(world: World, row: Row) -> None:
    before = world.signed_total()
    answer = row.send(world)
    problem = answer.json()
    assert (answer.status_code, problem.get("code")) == (row.status, row.code), problem
    assert answer.headers["content-type"].startswith("application/problem+json")
    assert problem["request_id"] == answer.headers["x-request-id"]
    allowed = 1 if row.code == "IDEMPOTENCY_CONFLICT" else 0
    assert world.signed_total() - before == allowed, "something was signed that must not be"


def test_every_refusal_of_a_known_client_is_in_the_audit_log(world: World) -> None:
    operation = hashes(world, label="toi_mat").headers["x-request-id"]
    entry = world.await_audit(lambda event: json.loads(event["data"]).get("request_id") == operation)
    assert entry["type"] == "kyso.signature.refused"
    assert json.loads(entry["data"])["error_code"] == "CLASSIFIED_REFUSED"
