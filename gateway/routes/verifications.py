"""POST /v1/verifications and /v1/documents:extract: signatures judged, and the documents that they are over."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, cast

from grpc.aio import EOF
from starlette.requests import Request
from starlette.responses import Response

from gateway import body, verdicts, verifying
from gateway.auth import Caller
from gateway.config import LimitSettings
from gateway.document import DocumentResponse, Upstream, content_disposition, forward
from gateway.endpoint import Endpoint, json_response
from gateway.examined import ExaminedFiles, StreamedResponse, as_archive, with_evidence
from gateway.fields import parse_object
from gateway.files import MAX_REQUEST_PART
from gateway.multipart import MultipartBody, Part
from gateway.problems import OriginalMissing, UnsupportedMediaType
from gateway.routes import described_verifications as described
from kyso.v1 import verifier_pb2 as messages
from services.kernel.errors import PartOrder, ServiceUnavailable

if TYPE_CHECKING:
    # These names exist for the type checker only.
    from kyso.v1.verifier_pb2_grpc import VerifierServiceAsyncStub

PART_BYTES = 2 * 1024
"""What the head of one file may add to a body."""
FEW_PARTS = 3
"""Request, document, and one more than may stand there, so that the answer can say which one is wrong."""
WHY = (
    "send part 'request' (application/json) first if there is one, then part 'document' (the signed document or the"
    " signature), then a part 'detached' for each content of a detached signature, under its file name"
)
_EXTENSIONS = {
    messages.REPORT_FORM_ETSI: ".xml",
    messages.REPORT_FORM_HTML: ".html",
    messages.REPORT_FORM_PDF: ".pdf",
}
_LOCKED = {
    # The page forbids itself more than this; the header holds even where a document's words got into the markup.
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox",
}
_WITHOUT = ("include_evidence", "keep_evidence", "report", "language", "reference")
"""What an extraction does not know."""


class Verifications:
    """Verifies documents, and takes the originals out of signed ones."""

    def __init__(self, verifier: VerifierServiceAsyncStub, limits: LimitSettings) -> None:
        """Take the verifier."""
        self._verifier = verifier
        self._limits = limits
        self._timeout = limits.body_seconds + limits.document_call_seconds

    def endpoints(self) -> tuple[Endpoint, ...]:
        """Return the endpoints of this resource."""
        scopes = frozenset({"verify"})
        return (
            Endpoint("POST", "/v1/verifications", self.verify, described.VERIFY, scopes),
            Endpoint("POST", "/v1/documents:extract", self.extract, described.EXTRACT, scopes),
        )

    async def verify(self, request: Request, caller: Caller) -> Response:
        """Stream the document, and the detached contents if any, to the verifier; answer its report."""
        header = verifying.read_parameters(request)
        call, report = await self._examine(request, caller, header)
        if header.report_form != messages.REPORT_FORM_UNSPECIFIED:
            return await _rendered(call, report, header)
        document = verdicts.verification(report)
        if header.include_evidence:
            pieces = with_evidence(document, ExaminedFiles(call))
            return StreamedResponse(call, pieces, "application/json", {})
        call.cancel()
        return json_response(document)

    async def extract(self, request: Request, caller: Caller) -> Response:
        """Answer the document that is signed, or a ZIP file of them where the signed file carries several."""
        header = verifying.read_parameters(request, *_WITHOUT)
        header.include_originals = True
        header.report_form = messages.REPORT_FORM_UNSPECIFIED
        call, report = await self._examine(request, caller, header, *_WITHOUT)
        files = ExaminedFiles(call)
        first = await files.next_file()
        verdict = verdicts.verdict(report)
        if first is None:
            raise OriginalMissing(
                f"the file carries no document under an intact signature (verdict: {verdict})",
                verdict=verdict,
            )
        headers = {**_about(report), "X-Kyso-Originals": str(report.originals)}
        if report.originals > 1:
            headers["Content-Disposition"] = content_disposition("originals.zip")
            return StreamedResponse(call, as_archive(first, files), "application/zip", headers)
        headers["Content-Disposition"] = content_disposition(first.name)
        return DocumentResponse(call, first.size, first.media_type, headers)

    async def _examine(
        self, request: Request, caller: Caller, header: messages.VerifyDocumentHeader, *without: str
    ) -> tuple[Upstream, messages.VerifyDocumentResponse]:
        given = body.require_media_type(request, "multipart/form-data", *described.RAW_TYPES)
        maximum = self._limits.max_document_bytes
        if given == "multipart/form-data":
            most = 2 * maximum + MAX_REQUEST_PART + (FEW_PARTS + self._limits.max_files) * PART_BYTES
            pieces = body.pieces(request, most, self._limits)
            parts = MultipartBody(request.headers["content-type"], pieces, FEW_PARTS + self._limits.max_files)
            requests = self._of_parts(header, parts, without)
        else:
            requests = _of_bytes(header, body.pieces(request, maximum, self._limits))
        call = cast(
            "Upstream", self._verifier.ExamineDocument(timeout=self._timeout, metadata=caller.metadata)
        )
        await forward(call, requests)
        answer = await call.read()
        if answer is EOF or not answer.HasField("report"):
            call.cancel()
            raise ServiceUnavailable("the verifier ended its answer before it began; send the document again")
        return call, answer.report

    async def _of_parts(
        self, header: messages.VerifyDocumentHeader, parts: MultipartBody, without: tuple[str, ...]
    ) -> AsyncIterator[messages.VerifyDocumentRequest]:
        part = await parts.next_part()
        if part is not None and part.name == "request":
            await _read_request(part, header, without)
            part = await parts.next_part()
        if part is None or part.name != "document":
            raise _misplaced(part, "document")
        header.file_name = header.file_name or part.file_name
        yield messages.VerifyDocumentRequest(header=header)
        maximum = self._limits.max_document_bytes
        async for piece in part.pieces(maximum):
            yield messages.VerifyDocumentRequest(chunk=piece)
        left = maximum
        while (part := await parts.next_part()) is not None:
            if part.name != "detached":
                raise _misplaced(part, "detached")
            yield messages.VerifyDocumentRequest(content=messages.DetachedContent(name=part.file_name))
            async for piece in part.pieces(left):
                left -= len(piece)
                yield messages.VerifyDocumentRequest(detached_chunk=piece)


def _misplaced(part: Part | None, expected: str) -> PartOrder:
    if part is None:
        return PartOrder(f"part {expected!r} is missing: {WHY}", part=expected)
    return PartOrder(f"part {part.name!r} was not expected there: {WHY}", part=part.name)


async def _read_request(part: Part, header: messages.VerifyDocumentHeader, without: tuple[str, ...]) -> None:
    if part.media_type not in {"", "application/json"}:
        raise UnsupportedMediaType("part 'request' must be application/json", part="request")
    fields = parse_object(await part.read(MAX_REQUEST_PART), "part 'request'")
    verifying.read_part(fields, header, *without)


async def _of_bytes(
    header: messages.VerifyDocumentHeader, pieces: AsyncIterator[bytes]
) -> AsyncIterator[messages.VerifyDocumentRequest]:
    yield messages.VerifyDocumentRequest(header=header)
    async for piece in pieces:
        yield messages.VerifyDocumentRequest(chunk=piece)


async def _rendered(
    call: Upstream, report: messages.VerifyDocumentResponse, header: messages.VerifyDocumentHeader
) -> Response:
    file = await ExaminedFiles(call).next_file()
    if file is None or file.kind != messages.EXAMINATION_FILE_KIND_REPORT:
        call.cancel()
        raise ServiceUnavailable("the verifier gave no report in this form; ask for json, or ask again")
    name = f"verification{_EXTENSIONS[header.report_form]}"
    headers = {**_about(report), **_LOCKED, "Content-Disposition": f'inline; filename="{name}"'}
    return DocumentResponse(call, file.size, file.media_type, headers)


def _about(report: messages.VerifyDocumentResponse) -> dict[str, str]:
    """What stands beside bytes: the verdict, and where the evidence is kept."""
    headers = {
        "X-Kyso-Verdict": verdicts.verdict(report),
        "X-Kyso-Clean": "true" if report.clean else "false",
    }
    if report.evidence_id:
        headers["X-Kyso-Evidence-Id"] = report.evidence_id
    return headers
