"""KysoClient: one object for everything that an application asks of the platform."""

from __future__ import annotations

import base64
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Unpack
from urllib.parse import quote

import httpx

from kyso_client.connection import unreachable
from kyso_client.errors import KysoError
from kyso_client.options import BatchItemOptions, SigningOptions, as_json
from kyso_client.results import (
    BatchOutcome,
    Credential,
    Operation,
    PreparedDocument,
    Readiness,
    SignedDocument,
    SignedHashes,
    SubmittedDocument,
)
from kyso_client.transfer import Progress, Source, opened, receive, request_parts
from kyso_client.verifying import Verifying


class KysoClient(Verifying):
    """The platform, for one API client. Usable from several threads; close it after use.

    Every method raises KysoError with a stable code where the platform refuses, KysoUnreachable where it does not
    answer. Requests are sent again, with the same idempotency key, only where that is safe and may help: the platform
    or a part of it is unavailable (503), or the same request is still being worked on.
    """

    def sign_document(
        self,
        document: Source | None,
        *,
        credential_id: str,
        more: Sequence[Source] = (),
        signature: Source | None = None,
        images: Sequence[Source] = (),
        output: Path | None = None,
        file_name: str = "",
        idempotency_key: str = "",
        progress: Progress | None = None,
        **options: Unpack[SigningOptions],
    ) -> SignedDocument:
        """Sign one document and wait for it; `options` are the request's fields, format pades where none is named.

        `more` are further contents (ASiC-E, XAdES and JAdES detached), `signature` is an existing container that takes
        one more signature, with or without `document`; `images` go with a visible signature. With `output` the signed
        document goes to that file, which appears only when it is whole, or into that folder under the name that the
        platform proposes; else the bytes are in the result.
        """
        key = idempotency_key or uuid.uuid4().hex
        asked = _asked(credential_id, options, mode="sync")
        sources = _sources(document, more, signature, images)
        with opened(sources, progress, file_name) as files:

            def send() -> SignedDocument:
                parts = request_parts(asked, files)
                with self._stream("POST", "/v1/signatures", key, files=parts) as answer:
                    return receive(answer, output, files[0].name if files else "")

            return self._again(send)

    def submit_document(
        self,
        document: Source | None,
        *,
        credential_id: str,
        more: Sequence[Source] = (),
        signature: Source | None = None,
        images: Sequence[Source] = (),
        file_name: str = "",
        idempotency_key: str = "",
        progress: Progress | None = None,
        **options: Unpack[SigningOptions],
    ) -> SubmittedDocument:
        """Hand in one document to be signed later; `operation` and `fetch_document` follow it."""
        key = idempotency_key or uuid.uuid4().hex
        asked = _asked(credential_id, options, mode="async")
        with opened(_sources(document, more, signature, images), progress, file_name) as files:
            answer = self._again(
                lambda: self._json("POST", "/v1/signatures", key, files=request_parts(asked, files))
            )
        return SubmittedDocument(str(answer["operation_id"]), str(answer["status_url"]))

    def sign_batch(
        self,
        documents: Mapping[str, Source],
        *,
        credential_id: str,
        idempotency_key: str,
        images: Sequence[Source] = (),
        items: Mapping[str, BatchItemOptions] | None = None,
        wait_seconds: float = 0,
        **options: Unpack[SigningOptions],
    ) -> list[BatchOutcome]:
        """Hand in many documents, by keys of the caller's; return an outcome for each, in their order.

        `items` holds what differs for single keys. The same call again with the same `idempotency_key`, whole or with
        the missing documents only, goes on instead of signing twice. Ended ones are fetched by `fetch_document`.
        """
        own = items or {}
        asked = _asked(credential_id, options, wait_seconds=wait_seconds)
        asked["items"] = [{"key": key, **own.get(key, {})} for key in documents]
        sources = [*(("image", image) for image in images), *documents.items()]
        with opened(sources) as files:
            answer = self._again(
                lambda: self._json(
                    "POST",
                    "/v1/signatures:batch",
                    idempotency_key,
                    files=request_parts(asked, files),
                    timeout=httpx.Timeout(self._timeout, read=self._timeout + wait_seconds),
                )
            )
        return [BatchOutcome.of(row) for row in answer["outcomes"]]

    def extend_document(
        self,
        document: Source,
        *,
        level: str,
        content: Sequence[Source] = (),
        content_digest: bytes | None = None,
        output: Path | None = None,
        progress: Progress | None = None,
        **request: str,
    ) -> SignedDocument:
        """Raise the signatures of a document to a higher level; `content` is what a detached signature signs.

        `request` takes digest_algorithm, level_rule, time_stamp_authority, label, document_type, reference.
        """
        asked = {"label": "none", **request, "level": level, "content_digest": content_digest}
        sources = [("document", document), *(("content", one) for one in content)]
        with opened(sources, progress) as files:

            def send() -> SignedDocument:
                parts = request_parts(asked, files)
                with self._stream("POST", "/v1/documents:extend", "", files=parts) as answer:
                    return receive(answer, output, files[0].name)

            return self._again(send)

    def prepare_document(self, *, credential_id: str, **options: Unpack[SigningOptions]) -> PreparedDocument:
        """Tell what to hash, and what to keep, to sign a document that stays here."""
        asked = as_json(_asked(credential_id, options))
        return PreparedDocument.of(
            self._again(lambda: self._json("POST", "/v1/documents:prepare", json=asked))
        )

    def complete_document(
        self,
        content_digest: bytes,
        *,
        credential_id: str,
        file_name: str = "",
        idempotency_key: str = "",
        output: Path | None = None,
        **options: Unpack[SigningOptions],
    ) -> SignedDocument:
        """Sign the digest of a document that stays here; the answer is the signature container."""
        key = idempotency_key or uuid.uuid4().hex
        asked = as_json(_asked(credential_id, options, content_digest=content_digest, file_name=file_name))

        def send() -> SignedDocument:
            with self._stream("POST", "/v1/documents:complete", key, json=asked) as answer:
                return receive(answer, output, file_name)

        return self._again(send)

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

    def fetch_document(
        self, operation_id: str, output: Path | None = None, sent_name: str = ""
    ) -> SignedDocument:
        """Fetch the signed document of an operation that was handed in; `sent_name` is its name before it was signed."""
        path = f"/v1/signatures/{_segment(operation_id)}/document"

        def send() -> SignedDocument:
            with self._stream("GET", path, "") as answer:
                return receive(answer, output, sent_name)

        return self._again(send)

    def credentials(self) -> Iterator[Credential]:
        """Yield every credential that the client sees."""
        for page in self._pages("/v1/credentials", {"page_size": "200"}):
            yield from (Credential.of(row) for row in page["credentials"])

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
            raise unreachable(error) from error
        except ValueError as error:
            raise KysoError("HTTP_ERROR", answer.status_code, "this is not Kyso's gateway") from error
        return Readiness(
            bool(document.get("ready")), dict(document.get("reasons", {})), dict(document.get("services", {}))
        )


def _segment(identifier: str) -> str:
    return quote(identifier, safe="")


def _asked(credential_id: str, options: SigningOptions, **more: Any) -> dict[str, Any]:
    return {"format": "pades", "label": "none", **options, "credential_id": credential_id, **more}


def _sources(
    document: Source | None, more: Sequence[Source], signature: Source | None, images: Sequence[Source]
) -> list[tuple[str, Source]]:
    first = [] if document is None else [document]
    return [
        *(("document", one) for one in (*first, *more)),
        *(("signature", one) for one in (signature,) if one is not None),
        *(("image", one) for one in images),
    ]
