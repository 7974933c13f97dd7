"""Signing through the door: what reaches the signer, what comes back, and what never does."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

import httpx
import pytest

from services.kernel.errors import CredentialHeld, HsmTimeout
from tests.integration.gateway.conftest import MAX_DOCUMENT, Door

pytestmark = pytest.mark.asyncio(loop_scope="module")
DIGEST = hashlib.sha256(b"content").digest()
REQUEST = {"credential_id": "cr_1", "format": "pades", "document_type": "cong-van", "label": "none"}
PDF = b"%PDF-1.7\n" + bytes(200_000)


def files(
    request: dict[str, object] | None = None, content: bytes = PDF, name: str = "letter.pdf"
) -> list[Any]:
    asked = json.dumps({**REQUEST, **(request or {})})
    return [("request", (None, asked, "application/json")), ("document", (name, content, "application/pdf"))]


async def test_hashes_are_signed_in_order_with_an_outcome_each(door: Door) -> None:
    digests = [DIGEST, b"\xff" * 32, hashlib.sha256(b"other").digest()]
    body = {
        "credential_id": "cr_1",
        "digest_algorithm": "SHA-256",
        "digests": [base64.b64encode(digest).decode() for digest in digests],
        "document_type": "cong-van",
        "label": "none",
        "reference": "1030/UBND-VX",
    }
    headers = door.headers("sign:hash", X_Request_Id="portal-12345")
    answer = await door.http.post("/v1/hashes:sign", json=body, headers=headers)
    assert answer.status_code == 200, answer.text
    document = answer.json()
    assert document["operation_id"] == "op_1"
    assert base64.b64decode(document["signatures"][0]["signature"]) == b"signed:" + DIGEST
    assert document["signatures"][1] == {
        "error": {"code": "HSM_TIMEOUT", "message": "too late", "retryable": True}
    }
    assert base64.b64decode(document["signatures"][2]["signature"]) == b"signed:" + digests[2]
    assert document["scheme"] == "ECDSA"
    assert [base64.b64decode(item) for item in document["certificate_chain"]] == [b"leaf", b"issuer"]
    assert answer.headers["x-request-id"] == "portal-12345"
    (asked,) = door.services.signer.hashes
    assert list(asked.digests) == digests
    assert asked.idempotency_key == headers["Idempotency-Key"]
    assert asked.context.reference == "1030/UBND-VX"
    assert door.services.signer.authorizations == [headers["Authorization"]]


async def test_a_document_comes_back_signed_with_its_vietnamese_name(door: Door) -> None:
    answer = await door.http.post(
        "/v1/signatures", files=files(name="Công văn đến.pdf"), headers=door.headers("sign:document")
    )
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/pdf"
    assert answer.headers["x-kyso-operation-id"] == "op_2"
    assert int(answer.headers["content-length"]) == len(answer.content)
    assert answer.content.startswith(b"%PDF-signed " + hashlib.sha256(PDF).hexdigest().encode())
    disposition = answer.headers["content-disposition"]
    assert 'filename="Cong van den-signed.pdf"' in disposition
    assert "filename*=UTF-8''C%C3%B4ng%20v%C4%83n%20%C4%91%E1%BA%BFn-signed.pdf" in disposition
    (header,) = door.services.signer.headers
    assert header.file_name == "Công văn đến.pdf"
    assert door.services.signer.largest_chunk <= 64 * 1024
    assert door.services.signer.received == len(PDF)


async def test_a_cades_signature_is_a_file_of_its_own(door: Door) -> None:
    answer = await door.http.post("/v1/signatures", files=files({"format": "cades"}), headers=door.headers())
    assert answer.headers["content-type"] == "application/pkcs7-signature"
    assert 'filename="letter.pdf.p7s"' in answer.headers["content-disposition"]


async def test_an_asynchronous_request_is_accepted_and_its_document_fetched(door: Door) -> None:
    answer = await door.http.post("/v1/signatures", files=files({"mode": "async"}), headers=door.headers())
    assert answer.status_code == 202, answer.text
    assert answer.json() == {"operation_id": "op_3", "status_url": "/v1/signatures/op_3", "replayed": False}
    assert answer.headers["location"] == "/v1/signatures/op_3"
    state = (await door.http.get(answer.headers["location"], headers=door.headers("sign:document"))).json()
    assert state["state"] == "signed"
    assert state["document_url"] == "/v1/signatures/op_3/document"
    document = await door.http.get(state["document_url"], headers=door.headers("sign:document"))
    assert document.content == b"%PDF-1.7"
    assert 'filename="Cong van-signed.pdf"' in document.headers["content-disposition"]


async def test_an_upload_is_kept_for_a_job(door: Door) -> None:
    headers = door.headers("sign:document", Content_Type="application/octet-stream")
    answer = await door.http.post("/v1/uploads?file_name=a.pdf", content=PDF, headers=headers)
    assert answer.status_code == 201, answer.text
    assert answer.json()["upload_id"] == "up_1"
    assert answer.json()["size"] == len(PDF)


@pytest.mark.parametrize("error", [CredentialHeld("it is on hold"), HsmTimeout("waited too long")])
async def test_the_signers_refusal_comes_through(door: Door, error: CredentialHeld | HsmTimeout) -> None:
    door.services.signer.refuse = error
    answer = await door.http.post("/v1/signatures", files=files(), headers=door.headers())
    expected = {"CREDENTIAL_HELD": 409, "HSM_TIMEOUT": 503}[error.code]
    assert (answer.status_code, answer.json()["code"]) == (expected, error.code)
    assert answer.json()["detail"] == error.message
    assert answer.json()["retryable"] is error.retryable
    assert ("retry-after" in answer.headers) == (expected == 503)


@pytest.mark.parametrize("fault", ["break_off", "announce_too_much"])
async def test_an_answer_that_breaks_off_is_never_taken_for_a_whole_one(door: Door, fault: str) -> None:
    setattr(door.services.signer, fault, 100)
    with pytest.raises(httpx.RemoteProtocolError):
        await door.http.post("/v1/signatures", files=files(), headers=door.headers())


async def test_a_document_as_large_as_the_limit_passes(door: Door) -> None:
    content = b"%PDF" + bytes(MAX_DOCUMENT - 4)
    answer = await door.http.post("/v1/signatures", files=files(content=content), headers=door.headers())
    assert answer.status_code == 200, answer.text
    assert door.services.signer.received == MAX_DOCUMENT
