"""The platform's public REST API as the demo uses it: every call that it makes, and nothing else."""

from __future__ import annotations

import json
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from uuid import uuid4

import httpx

from deploy.local.console import PlatformError

CALL_SECONDS = 60.0
REFRESH_BEFORE_SECONDS = 60.0


class Api:
    """One API client of the platform: its token is fetched when it is needed and kept while it lives."""

    def __init__(self, url: str, client_id: str, secret: str) -> None:
        """`url` is the gateway's address without a path."""
        self._http = httpx.AsyncClient(base_url=url, timeout=CALL_SECONDS, trust_env=False)
        self._client_id = client_id
        self._secret = secret
        self._token = ""
        self._good_until = 0.0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.aclose()

    async def create(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """POST a JSON object and return the one in the answer."""
        answer = await self._send("POST", path, json=body)
        return _object(answer)

    async def sign(self, request: dict[str, Any], document: Path) -> bytes:
        """POST /v1/signatures, synchronously: return the signed document."""
        # The `request` part comes first: the gateway refuses before it has read a document that it will not take.
        parts: list[tuple[str, tuple[str | None, bytes, str]]] = [
            ("request", (None, json.dumps(request).encode(), "application/json")),
            ("document", (document.name, document.read_bytes(), "application/pdf")),
        ]
        return (await self._send("POST", "/v1/signatures", files=parts)).content

    async def verify(self, document: bytes, name: str) -> dict[str, Any]:
        """POST /v1/verifications: return the report."""
        content_type = {"Content-Type": "application/pdf"}
        answer = await self._send(
            "POST", "/v1/verifications", content=document, params={"file_name": name}, headers=content_type
        )
        return _object(answer)

    async def _send(self, method: str, path: str, **content: Any) -> httpx.Response:
        headers = {
            "Authorization": f"Bearer {await self._access_token()}",
            "Idempotency-Key": uuid4().hex,
            **content.pop("headers", {}),
        }
        return _checked(await self._http.request(method, path, headers=headers, **content))

    async def _access_token(self) -> str:
        if time.monotonic() > self._good_until:
            answer = _checked(
                await self._http.post(
                    "/oauth2/token",
                    data={"grant_type": "client_credentials"},
                    auth=(self._client_id, self._secret),
                )
            )
            body = _object(answer)
            self._token = str(body["access_token"])
            self._good_until = time.monotonic() + float(body["expires_in"]) - REFRESH_BEFORE_SECONDS
        return self._token


def _checked(answer: httpx.Response) -> httpx.Response:
    if answer.is_success:
        return answer
    request_id = answer.headers.get("x-request-id", "none")
    raise PlatformError(
        f"{answer.request.method} {answer.request.url.path} was answered {answer.status_code} {_problem(answer)} "
        f"(request id {request_id}: the logs name it)"
    )


def _problem(answer: httpx.Response) -> str:
    """Code and detail of a problem document (RFC 9457), or the beginning of whatever else came."""
    try:
        body = answer.json()
        return f"{body['code']}: {body['detail']}"
    except (ValueError, KeyError, TypeError):
        return answer.text.strip()[:600]


def _object(answer: httpx.Response) -> dict[str, Any]:
    body = answer.json()
    if not isinstance(body, dict):
        raise PlatformError(f"{answer.request.url.path} answered something that is no JSON object")
    return body
