"""Requests that tests of several modules send."""

from __future__ import annotations

import hashlib
import os

from kyso.v1 import common_pb2, signer_pb2


def hashes_request(credential_id: str, count: int = 1, **changes: object) -> signer_pb2.SignHashesRequest:
    """Ask for signatures of fresh digests; `changes` replace fields."""
    fields: dict[str, object] = {
        "credential_id": credential_id,
        "idempotency_key": os.urandom(8).hex(),
        "digest_algorithm": common_pb2.DIGEST_ALGORITHM_SHA256,
        "digests": [hashlib.sha256(os.urandom(8)).digest() for _ in range(count)],
        "context": signer_pb2.SigningContext(label=common_pb2.SECRECY_LABEL_NONE, reference="1030/UBND-VX"),
    }
    return signer_pb2.SignHashesRequest(**(fields | changes))  # type: ignore[arg-type]
