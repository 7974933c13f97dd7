"""KysoClient: one object for everything that an application asks of the platform."""

from __future__ import annotations

import base64
import random
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import quote

import httpx

from kyso_client.errors import KysoError, KysoUnreachable, error_of
from kyso_client.results import (
    Credential,
    Operation,
    Readiness,
    SignedDocument,
    SignedHashes,
    SubmittedDocument,
    Verification,
)
from kyso_client.tokens import ClientProof, TokenSource
from kyso_client.transfer import Content, Progress, opened, receive, signing_parts

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Retrying:
    """How often and how patiently a request is sent again, always with the same idempotency key."""

    attempts: int = 5
    first_pause_seconds: float = 0.2
    longest_pause_seconds: float = 5.0


class KysoClient:
    """The platform, for one API client. Usable from several threads; close it after use.

    Every method raises KysoError with a stable code where the platform refuses, KysoUnreachable where it does not
    answer. Requests are sent again, with the same idempotency key, only where that is safe and may help: the platform
    or a part of it is unavailable (503), or the same request is still being worked on.
    """

    def __init__(
        self,
        base_url: str,
        proof: ClientProof,
        *,
        scope: str = "",
        timeout_seconds: float = 60.0,
        retrying: Retrying | None = None,
        http: httpx.Client | None = None,
    ) -> None:
        """Take the gateway's address and the client's proof; `http` replaces the HTTP client (its base URL must fit)."""
        # A proxy of the environment cannot reach what runs on this machine.
        local = httpx.URL(base_url).host in {"127.0.0.1", "::1", "localhost"}
        self._http = http or httpx.Client(base_url=base_url, timeout=timeout_seconds, trust_env=not local)
        self._tokens = TokenSource(self._http, proof, scope)
        self._retrying = retrying or Retrying()
        self._sleep: Callable[[float], None] = time.sleep

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def sign_document(
        self,
        document: Content,
        *,
        credential_id: str,
        output: Path | None = None,
        file_name: str = "",
        idempotency_key: str = "",
        progress: Progress | None = None,
        **request: str,
    ) -> SignedDocument:
        """Sign one document and wait for it.

        `request` takes format ("pades" or "cades"), level, digest_algorithm, scheme, document_type, label, reference,
        reason, location, field_name. With `output` the signed document goes to that file, which appears only when it
        is whole; else the bytes are in the result.
        """
        key = idempotency_key or uuid.uuid4().hex
        asked = {
            "format": "pades",
            "label": "none",
            **request,
            "credential_id": credential_id,
            "mode": "sync",
        }
        with opened(document, file_name, progress) as (file, name):

            def send() -> SignedDocument:
                with self._stream(
                    "POST", "/v1/signatures", key, files=signing_parts(asked, name, file)
                ) as answer:
                    return receive(answer, output)

            return self._again(send)

    def submit_document(
        self,
        document: Content,
        *,
        credential_id: str,
        file_name: str = "",
        idempotency_key: str = "",
        progress: Progress | None = None,
        **request: str,
    ) -> SubmittedDocument:
        """Hand in one document to be signed later; `operation` and `fetch_document` follow it."""
        key = idempotency_key or uuid.uuid4().hex
        asked = {
            "format": "pades",
            "label": "none",
            **request,
            "credential_id": credential_id,
            "mode": "async",
        }
        with opened(document, file_name, progress) as (file, name):

            def send() -> dict[str, Any]:
                return self._json("POST", "/v1/signatures", key, files=signing_parts(asked, name, file))

            answer = self._again(send)
        return SubmittedDocument(str(answer["operation_id"]), str(answer["status_url"]))

    def sign_hashes(
        self,
        digests: Sequence[bytes],
        *,
        credential_id: str,
        digest_algorithm: str = "SHA-256",
        idempotency_key: str = "",
        **request: str,
    ) -> SignedHashes:
        """Sign 1 to 1,000 digests with one credential; `request` takes scheme, document_type, label, reference."""
        key = idempotency_key or uuid.uuid4().hex
        body = {
            "label": "none",
            **request,
            "credential_id": credential_id,
            "digest_algorithm": digest_algorithm,
            "digests": [base64.b64encode(digest).decode("ascii") for digest in digests],
        }
        return SignedHashes.of(self._again(lambda: self._json("POST", "/v1/hashes:sign", key, json=body)))

    def operation(self, operation_id: str) -> Operation:
        """Tell where an operation stands."""
        path = f"/v1/signatures/{_segment(operation_id)}"
        return Operation.of(self._again(lambda: self._json("GET", path)))

    def wait(self, operation_id: str, *, timeout_seconds: float, pause_seconds: float = 0.5) -> Operation:
        """Ask until the operation has ended; raise TimeoutError after `timeout_seconds`."""
        end = time.monotonic() + timeout_seconds
        while True:
            operation = self.operation(operation_id)
            if operation.ended:
                return operation
            if time.monotonic() + pause_seconds > end:
                raise TimeoutError(f"operation {operation_id} is still {operation.state}")
            self._sleep(pause_seconds)

    def fetch_document(self, operation_id: str, output: Path | None = None) -> SignedDocument:
        """Fetch the signed document of an operation that was handed in."""
        path = f"/v1/signatures/{_segment(operation_id)}/document"

        def send() -> SignedDocument:
            with self._stream("GET", path, "") as answer:
                return receive(answer, output)

        return self._again(send)

    def verify(
        self,
        document: Content,
        *,
        detached: Content | None = None,
        integrity_only: bool = False,
        file_name: str = "",
        progress: Progress | None = None,
    ) -> Verification:
        """Judge every signature of a document; `detached` is the content of a detached signature."""
        parameters = {"integrity_only": "true" if integrity_only else "false"}
        with (
            opened(document, file_name, progress) as (file, name),
            opened(detached or b"", "", None) as (
                content,
                content_name,
            ),
        ):

            def send() -> dict[str, Any]:
                file.seek(0)
                parts: list[tuple[str, Any]] = [("document", (name, file, "application/octet-stream"))]
                if detached is not None:
                    content.seek(0)
                    parts.append(("detached", (content_name, content, "application/octet-stream")))
                return self._json("POST", "/v1/verifications", params=parameters, files=parts)

            return Verification.of(self._again(send))

    def credentials(self) -> Iterator[Credential]:
        """Yield every credential that the client sees."""
        token: str | None = ""
        while token is not None:
            parameters = {"page_size": "200", **({"page_token": token} if token else {})}
            document = self._again(
                lambda asked=parameters: self._json("GET", "/v1/credentials", params=asked)  # type: ignore[misc]
            )
            yield from (Credential.of(row) for row in document["credentials"])
            following = document.get("next_page_token")
            if following is not None and following == token:
                raise KysoError("HTTP_ERROR", 200, "the list leads back to the same page")
            token = following

    def credential(self, credential_id: str) -> Credential:
        """Answer one credential."""
        path = f"/v1/credentials/{_segment(credential_id)}"
        return Credential.of(self._again(lambda: self._json("GET", path)))

    def readiness(self) -> Readiness:
        """Tell whether the platform takes requests; needs no token."""
        try:
            answer = self._http.get("/readyz")
            document = answer.json()
        except httpx.TransportError as error:
            raise _unreachable(error) from error
        except ValueError as error:
            raise KysoError("HTTP_ERROR", answer.status_code, "this is not Kyso's gateway") from error
        return Readiness(
            bool(document.get("ready")), dict(document.get("reasons", {})), dict(document.get("services", {}))
        )

    @contextmanager
    def _stream(self, method: str, path: str, key: str, **content: Any) -> Iterator[httpx.Response]:
        headers = {"Idempotency-Key": key} if key else {}
        token = self._tokens.token()
        headers["Authorization"] = f"Bearer {token}"
        try:
            with self._http.stream(method, path, headers=headers, **content) as answer:
                if not answer.is_success:
                    answer.read()
                    if answer.status_code == 401:
                        self._tokens.forget(token)
                    raise error_of(answer)
                yield answer
        except httpx.TransportError as error:
            raise _unreachable(error) from error

    def _json(self, method: str, path: str, key: str = "", **content: Any) -> dict[str, Any]:
        with self._stream(method, path, key, **content) as answer:
            answer.read()
            try:
                document = answer.json()
            except ValueError as error:
                raise KysoError("HTTP_ERROR", answer.status_code, "the answer is not JSON") from error
        if not isinstance(document, dict):
            raise KysoError("HTTP_ERROR", answer.status_code, "the answer is not a JSON object")
        return document

    def _again(self, send: Callable[[], T]) -> T:
        """Send; where that is safe and may help, send again after a pause. `send` keeps its idempotency key."""
        pause = self._retrying.first_pause_seconds
        for attempt in range(1, self._retrying.attempts + 1):
            try:
                return send()
            except KysoError as error:
                if attempt == self._retrying.attempts or not _worth_another(error, attempt):
                    raise
                asked = float(error.data.get("retry_after", 0) or 0)
                # Not all callers that were turned away may come back in the same moment.
                jittered = pause * random.uniform(0.5, 1)  # noqa: S311
                self._sleep(min(self._retrying.longest_pause_seconds, max(asked, jittered)))
                pause *= 2
        raise AssertionError("unreachable")


def _worth_another(error: KysoError, attempt: int) -> bool:
    if isinstance(error, KysoUnreachable):
        return True
    if error.code in {"TOKEN_EXPIRED", "TOKEN_INVALID"}:
        # The token was thrown away: one try with a new one, in case the platform's keys or clock moved.
        return attempt == 1
    if error.code == "OPERATION_IN_PROGRESS":
        return True
    return error.status == 503 and bool(error.data.get("retryable", True))


def _unreachable(error: httpx.TransportError) -> KysoUnreachable:
    sent = not isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout)
    return KysoUnreachable(f"the platform does not answer: {type(error).__name__} {error}".strip(), sent=sent)


def _segment(identifier: str) -> str:
    return quote(identifier, safe="")
