from __future__ import annotations

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2  # type: ignore[import-untyped]

from services.kernel import errors
from services.kernel.errors import DomainError
from services.kernel.runtime.errormap import DETAILS_KEY, from_rpc_error, to_status


def rpc_error(code: grpc.StatusCode, details: str = "", raw: bytes | None = None) -> grpc.aio.AioRpcError:
    trailing = grpc.aio.Metadata(*([(DETAILS_KEY, raw)] if raw is not None else []))
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), trailing, details=details)


def there_and_back(error: DomainError) -> DomainError:
    status = to_status(error)
    code = next(code for code in grpc.StatusCode if code.value[0] == status.code)
    return from_rpc_error(rpc_error(code, status.message, status.SerializeToString()))


@pytest.mark.parametrize("known", errors.error_codes().values(), ids=lambda known: known.code)
def test_every_error_arrives_as_its_own_class(known: type[DomainError]) -> None:
    arrived = there_and_back(known("sentence", field="x", limit=1000))
    assert type(arrived) is known
    assert arrived.message == "sentence"
    assert arrived.data == {"field": "x", "limit": 1000}


def test_digits_that_a_number_would_change_stay_text() -> None:
    data = {"tax_code": "0101234567", "huge": "9" * 30, "empty": "", "arabic": "٣"}
    assert there_and_back(errors.NotFound("x", **data)).data == data


def test_a_status_never_outgrows_the_trailers() -> None:
    huge = errors.Conflict("m" * 10_000, **{f"k{n}": "v" * 10_000 for n in range(100)})
    assert len(to_status(huge).SerializeToString()) < 6_000


def test_an_unknown_code_arrives_as_a_remote_error_that_names_it() -> None:
    status = status_pb2.Status(code=9, message="later")
    status.details.add().Pack(error_details_pb2.ErrorInfo(reason="FROM_THE_FUTURE", domain="kyso"))
    arrived = from_rpc_error(
        rpc_error(grpc.StatusCode.FAILED_PRECONDITION, "later", status.SerializeToString())
    )
    assert isinstance(arrived, errors.RemoteError)
    assert arrived.data["reason"] == "FROM_THE_FUTURE"


@pytest.mark.parametrize(
    ("code", "details", "expected"),
    [
        (grpc.StatusCode.UNAVAILABLE, "connect to 10.0.0.7 failed", errors.ServiceUnavailable),
        (grpc.StatusCode.CANCELLED, "", errors.ServiceUnavailable),
        (grpc.StatusCode.DEADLINE_EXCEEDED, "", errors.DeadlineExceeded),
        (
            grpc.StatusCode.RESOURCE_EXHAUSTED,
            "Received message larger than max (9 vs. 4)",
            errors.BodyTooLarge,
        ),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, "", errors.Overloaded),
        (grpc.StatusCode.PERMISSION_DENIED, "", errors.CallerNotAllowed),
        (grpc.StatusCode.UNAUTHENTICATED, "", errors.Unauthenticated),
        (grpc.StatusCode.UNIMPLEMENTED, "", errors.RemoteError),
        (grpc.StatusCode.UNKNOWN, "", errors.RemoteError),
    ],
)
def test_a_bare_status_names_the_service_and_hides_its_details(
    code: grpc.StatusCode, details: str, expected: type[DomainError]
) -> None:
    arrived = from_rpc_error(rpc_error(code, details), "signer")
    assert type(arrived) is expected
    assert "signer" in arrived.message
    assert "10.0.0.7" not in arrived.message


@pytest.mark.parametrize("raw", [b"\xff\xff\xff", b"", b"\x1a\x02\x0a\xff"])
def test_damaged_details_fall_back_to_the_bare_status(raw: bytes) -> None:
    assert isinstance(
        from_rpc_error(rpc_error(grpc.StatusCode.UNAVAILABLE, raw=raw)), errors.ServiceUnavailable
    )
