"""The one map between the error family and gRPC, both ways.

On the wire an error is a `google.rpc.Status` with one `ErrorInfo`: `reason` is the stable code, `domain` is "kyso",
`metadata` is the error's data as text.
"""

from __future__ import annotations

import grpc
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2  # type: ignore[import-untyped]

from services.kernel import errors
from services.kernel.errors import DomainError, Kind

ERROR_DOMAIN = "kyso"
DETAILS_KEY = "grpc-status-details-bin"
MAX_MESSAGE_CHARACTERS = 1000
MAX_DATA_CHARACTERS = 200
MAX_DATA_FIELDS = 16
"""A status travels in HTTP/2 trailers, whose whole size peers limit to 8 KiB."""
MAX_EXACT_INTEGER = 2**53

_STATUS_OF_KIND = {
    Kind.INVALID: grpc.StatusCode.INVALID_ARGUMENT,
    Kind.UNPROCESSABLE: grpc.StatusCode.INVALID_ARGUMENT,
    Kind.TOO_LARGE: grpc.StatusCode.INVALID_ARGUMENT,
    Kind.UNAUTHENTICATED: grpc.StatusCode.UNAUTHENTICATED,
    Kind.FORBIDDEN: grpc.StatusCode.PERMISSION_DENIED,
    Kind.NOT_FOUND: grpc.StatusCode.NOT_FOUND,
    Kind.CONFLICT: grpc.StatusCode.FAILED_PRECONDITION,
    Kind.FAILED_PRECONDITION: grpc.StatusCode.FAILED_PRECONDITION,
    Kind.EXHAUSTED: grpc.StatusCode.RESOURCE_EXHAUSTED,
    Kind.UNAVAILABLE: grpc.StatusCode.UNAVAILABLE,
    Kind.DEADLINE: grpc.StatusCode.DEADLINE_EXCEEDED,
    Kind.INTERNAL: grpc.StatusCode.INTERNAL,
}
if _STATUS_OF_KIND.keys() != set(Kind):
    raise RuntimeError("every kind of error needs its gRPC status")


def to_status(error: DomainError) -> status_pb2.Status:
    """Return the google.rpc.Status of an error; over-long texts are cut, so that the trailers always fit."""
    status = status_pb2.Status(
        code=_STATUS_OF_KIND[error.kind].value[0], message=error.message[:MAX_MESSAGE_CHARACTERS]
    )
    info = error_details_pb2.ErrorInfo(reason=error.code, domain=ERROR_DOMAIN)
    for key, value in list(error.data.items())[:MAX_DATA_FIELDS]:
        info.metadata[key] = str(value)[:MAX_DATA_CHARACTERS]
    status.details.add().Pack(info)
    return status


def from_rpc_error(error: grpc.aio.AioRpcError, service: str = "the other service") -> DomainError:
    """Rebuild the error that the other side raised; where it sent none, say what its bare status means here.

    `service` names the other side in the messages made here. The text of a bare status may tell addresses, so it
    stays in `__cause__` for the log and is not shown.
    """
    for key, value in error.trailing_metadata() or ():
        if key == DETAILS_KEY and isinstance(value, bytes):
            rebuilt = _rebuild(value)
            if rebuilt is not None:
                return rebuilt
    return _of_bare_status(error, service)


def _rebuild(raw: bytes) -> DomainError | None:
    status = status_pb2.Status()
    try:
        status.ParseFromString(raw)
        for detail in status.details:
            info = error_details_pb2.ErrorInfo()
            if detail.Unpack(info) and info.domain == ERROR_DOMAIN:
                data = {str(key): _value(text) for key, text in info.metadata.items()}
                known = errors.error_class(info.reason)
                if known is None:
                    return errors.RemoteError(status.message, **{**data, "reason": info.reason})
                return known(status.message, **data)
    except DecodeError:
        # What cannot be read is as good as nothing.
        return None
    return None


def _value(text: str) -> str | int:
    # ErrorInfo knows only text; a number comes back as one where no digit is lost by it.
    if text.isascii() and text.isdigit() and str(int(text)) == text and int(text) < MAX_EXACT_INTEGER:
        return int(text)
    return text


def _of_bare_status(error: grpc.aio.AioRpcError, service: str) -> DomainError:
    code = error.code()
    match code:
        case grpc.StatusCode.UNAVAILABLE | grpc.StatusCode.CANCELLED:
            return errors.ServiceUnavailable(
                f"{service} cannot be reached now; try again shortly", service=service
            )
        case grpc.StatusCode.DEADLINE_EXCEEDED:
            return errors.DeadlineExceeded(f"{service} did not answer in time", service=service)
        case grpc.StatusCode.RESOURCE_EXHAUSTED if "larger than max" in (error.details() or ""):
            return errors.BodyTooLarge(f"the message is larger than {service} takes", service=service)
        case grpc.StatusCode.RESOURCE_EXHAUSTED:
            return errors.Overloaded(f"{service} takes no more calls now; try again shortly", service=service)
        case grpc.StatusCode.PERMISSION_DENIED:
            return errors.CallerNotAllowed(f"{service} refused this caller", service=service)
        case grpc.StatusCode.UNAUTHENTICATED:
            return errors.Unauthenticated(f"{service} did not recognise the caller", service=service)
    return errors.RemoteError(f"{service} answered {code.name}", service=service, status=code.name)
