"""What can go wrong: the platform refused (KysoError), or it did not answer (KysoUnreachable)."""

from __future__ import annotations

from typing import Any

import httpx

MAX_TEXT = 500


class KysoError(Exception):
    """The platform answered with an error. `code` is stable (docs/errors.md); quote `request_id` when you ask."""

    def __init__(
        self, code: str, status: int, message: str, request_id: str = "", data: dict[str, Any] | None = None
    ) -> None:
        """Take code, HTTP status (0: no answer), sentence, request id, and what else the problem details told."""
        super().__init__(f"{code}: {message}" + (f" (request id {request_id})" if request_id else ""))
        self.code = code
        self.status = status
        self.message = message
        self.request_id = request_id
        self.data = data or {}

    @property
    def retryable(self) -> bool:
        """Whether the same request may succeed later."""
        return bool(self.data.get("retryable", False))


class KysoUnreachable(KysoError):
    """No answer came. `sent` is False where the request cannot have reached the platform."""

    def __init__(self, message: str, *, sent: bool) -> None:
        """Take what happened, and whether the platform may have seen the request."""
        super().__init__("NO_ANSWER" if sent else "UNREACHABLE", 0, message)
        self.sent = sent


def error_of(answer: httpx.Response) -> KysoError:
    """Make the error of an answer that has been read: RFC 9457, or RFC 6749 section 5.2 from the token endpoint."""
    request_id = answer.headers.get("x-request-id", "")
    try:
        document = answer.json()
    except ValueError:
        document = None
    if not isinstance(document, dict):
        # Something between us and the gateway answered.
        return KysoError("HTTP_ERROR", answer.status_code, f"HTTP status {answer.status_code}", request_id)
    if "error" in document:
        code = "RATE_LIMITED" if answer.status_code == 429 else str(document["error"]).upper()
        message = str(document.get("error_description", ""))
        retryable = answer.status_code == 503
        return KysoError(code, answer.status_code, message[:MAX_TEXT], request_id, {"retryable": retryable})
    known = {"type", "title", "status", "detail", "code", "request_id"}
    data = {key: value for key, value in document.items() if key not in known}
    detail = str(document.get("detail", document.get("title", "")))[:MAX_TEXT]
    return KysoError(str(document.get("code", "HTTP_ERROR")), answer.status_code, detail, request_id, data)
