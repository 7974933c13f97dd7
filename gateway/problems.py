"""The one map between the error family and HTTP: RFC 9457 problem details, and the OAuth2 error body (RFC 6749 5.2)."""

from __future__ import annotations

import json
from typing import Any

import grpc
from starlette.responses import Response

from services.kernel.errors import DomainError, Internal, Kind, RemoteError

PROBLEM_JSON = "application/problem+json"
_RESERVED = frozenset({"type", "title", "status", "detail", "instance", "code", "request_id", "retryable"})

STATUS_OF_KIND = {
    Kind.INVALID: 400,
    Kind.UNPROCESSABLE: 422,
    Kind.TOO_LARGE: 413,
    Kind.UNAUTHENTICATED: 401,
    Kind.FORBIDDEN: 403,
    Kind.NOT_FOUND: 404,
    Kind.CONFLICT: 409,
    Kind.FAILED_PRECONDITION: 409,
    Kind.EXHAUSTED: 429,
    Kind.UNAVAILABLE: 503,
    Kind.DEADLINE: 504,
    Kind.INTERNAL: 500,
}
if STATUS_OF_KIND.keys() != set(Kind):
    raise RuntimeError("every kind of error needs its HTTP status")

_STATUS_OF_RPC = {
    grpc.StatusCode.INVALID_ARGUMENT: 400,
    grpc.StatusCode.UNAUTHENTICATED: 401,
    grpc.StatusCode.PERMISSION_DENIED: 403,
    grpc.StatusCode.NOT_FOUND: 404,
    grpc.StatusCode.FAILED_PRECONDITION: 409,
    grpc.StatusCode.RESOURCE_EXHAUSTED: 429,
    grpc.StatusCode.UNAVAILABLE: 503,
    grpc.StatusCode.DEADLINE_EXCEEDED: 504,
}


class MethodNotAllowed(DomainError):
    """The path exists and does not know this HTTP method; the header Allow names those it knows."""

    code, kind = "METHOD_NOT_ALLOWED", Kind.INVALID


class UnsupportedMediaType(DomainError):
    """The body's Content-Type is not one that this path takes."""

    code, kind = "UNSUPPORTED_MEDIA_TYPE", Kind.INVALID


class MultipartInvalid(DomainError):
    """The body is not well-formed multipart/form-data (RFC 7578), or ends before its closing boundary."""

    code, kind = "MULTIPART_INVALID", Kind.INVALID


class BodyTimeout(DomainError):
    """The body came too slowly: reading stopped and nothing was done."""

    code, kind, retryable = "BODY_TIMEOUT", Kind.INVALID, True


class OriginalMissing(DomainError):
    """The file carries no document under a signature that is intact: there is nothing to take out of it."""

    code, kind = "ORIGINAL_MISSING", Kind.UNPROCESSABLE


class HeadersTooLarge(DomainError):
    """The request line and the headers together are larger than the limit."""

    code, kind = "HEADERS_TOO_LARGE", Kind.INVALID


class HttpMalformed(DomainError):
    """The bytes are not an HTTP/1.1 request."""

    code, kind = "HTTP_MALFORMED", Kind.INVALID


_STATUS_OF_CODE = {
    MethodNotAllowed.code: 405,
    UnsupportedMediaType.code: 415,
    BodyTimeout.code: 408,
    HeadersTooLarge.code: 431,
}
"""HTTP has a status of its own for what only HTTP knows."""


def status_of(error_type: type[DomainError]) -> int:
    """Return the HTTP status that errors of this class are answered with."""
    return _STATUS_OF_CODE.get(error_type.code, STATUS_OF_KIND[error_type.kind])


def code_and_status(error: DomainError) -> tuple[str, int]:
    """Return the stable code and the HTTP status; a code that only the other service knows keeps its meaning."""
    if isinstance(error, RemoteError) and isinstance(error.__cause__, grpc.aio.AioRpcError):
        code = str(error.data.get("reason", error.code))
        return code, _STATUS_OF_RPC.get(error.__cause__.code(), 500)
    return error.code, status_of(type(error))


def internal(request_id: str) -> Internal:
    """Make the error that stands for an unexpected one: it tells nothing but the id to quote."""
    return Internal(f"an internal error occurred; quote request id {request_id}")


def problem_document(error: DomainError, request_id: str) -> dict[str, Any]:
    """Return the members of the problem details; what the error holds as data stands beside them."""
    code, status = code_and_status(error)
    document: dict[str, Any] = {
        "type": f"/docs#error-{code}",
        "title": code.replace("_", " ").capitalize(),
        "status": status,
        "detail": error.message,
        "code": code,
        "retryable": error.retryable,
        "request_id": request_id,
    }
    document.update({key: value for key, value in error.data.items() if key not in _RESERVED})
    return document


def problem_response(error: DomainError, request_id: str) -> Response:
    """Return the answer for an error, with the headers that its status asks for."""
    document = problem_document(error, request_id)
    return Response(
        json.dumps(document, ensure_ascii=False).encode("utf-8", "replace"),
        status_code=document["status"],
        headers={"Cache-Control": "no-store", **_headers(error, document["status"])},
        media_type=PROBLEM_JSON,
    )


def _headers(error: DomainError, status: int) -> dict[str, str]:
    match status:
        case 401:
            # RFC 6750 section 3: no error attribute where no token was shown.
            shown = error.code != "UNAUTHENTICATED"
            return {"WWW-Authenticate": 'Bearer realm="kyso"' + (', error="invalid_token"' if shown else "")}
        case 403 if error.code == "SCOPE_MISSING":
            scope = str(error.data.get("scope", "")).replace('"', "")
            return {"WWW-Authenticate": f'Bearer realm="kyso", error="insufficient_scope", scope="{scope}"'}
        case 405:
            return {"Allow": str(error.data.get("allow", "GET"))}
        case 429 | 503:
            return {"Retry-After": str(error.data.get("retry_after", 1))}
    return {}


_OAUTH_ERRORS = {
    "UNAUTHENTICATED": ("invalid_client", 401),
    "TOKEN_INVALID": ("invalid_client", 401),
    "TOKEN_EXPIRED": ("invalid_client", 401),
    "SCOPE_MISSING": ("invalid_scope", 400),
    "FIELD_INVALID": ("invalid_request", 400),
    "FORBIDDEN": ("unauthorized_client", 400),
}


def oauth_response(error: DomainError, *, basic: bool) -> Response:
    """Return the error body of RFC 6749 section 5.2; `basic` where the client had used HTTP Basic."""
    _, status = code_and_status(error)
    name, status = _OAUTH_ERRORS.get(error.code, (_oauth_name(status), status))
    return oauth_error(name, error.message, status, basic=basic, extra=_headers(error, status))


def _oauth_name(status: int) -> str:
    if status in {429, 503, 504}:
        return "temporarily_unavailable"
    return "invalid_request" if status < 500 else "server_error"


def oauth_error(
    name: str, description: str, status: int, *, basic: bool = False, extra: dict[str, str] | None = None
) -> Response:
    """Return one OAuth2 error; RFC 6749 section 5.2 allows printable ASCII without quote and backslash only."""
    safe = "".join(c if " " <= c <= "~" and c not in '"\\' else "'" for c in description)
    headers = {"Cache-Control": "no-store", "Pragma": "no-cache"}
    headers.update({key: value for key, value in (extra or {}).items() if key == "Retry-After"})
    if status == 401 and basic:
        headers["WWW-Authenticate"] = 'Basic realm="kyso", charset="UTF-8"'
    body = json.dumps({"error": name, "error_description": safe}).encode()
    return Response(body, status_code=status, headers=headers, media_type="application/json")
