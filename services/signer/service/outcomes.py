"""How the outcomes of a batch are kept for a repeated call: packed, in order."""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Sequence
from typing import TypeAlias

from services.kernel.errors import DomainError, RemoteError, error_class
from services.signer.domain import ItemFailure

ItemOutcome: TypeAlias = bytes | ItemFailure
"""A signature value, or why there is none."""

_HEAD = struct.Struct(">BI")
_SIGNATURE, _FAILURE = 1, 2


def pack(outcomes: Sequence[ItemOutcome]) -> bytes:
    """Join outcomes, each behind its kind and length."""
    parts = []
    for outcome in outcomes:
        if isinstance(outcome, bytes):
            parts += [_HEAD.pack(_SIGNATURE, len(outcome)), outcome]
            continue
        text = json.dumps([outcome.code, outcome.message, outcome.retryable], ensure_ascii=False).encode()
        parts += [_HEAD.pack(_FAILURE, len(text)), text]
    return b"".join(parts)


def unpack(packed: bytes) -> list[ItemOutcome]:
    """Undo `pack`."""
    outcomes: list[ItemOutcome] = []
    at = 0
    while at < len(packed):
        kind, size = _HEAD.unpack_from(packed, at)
        at += _HEAD.size
        value = packed[at : at + size]
        outcomes.append(value if kind == _SIGNATURE else ItemFailure(*json.loads(value)))
        at += size
    return outcomes


def signatures_sha256(outcomes: Sequence[ItemOutcome]) -> str:
    """SHA-256 over the signature values made, in order, hexadecimal; empty where none was."""
    made = [outcome for outcome in outcomes if isinstance(outcome, bytes)]
    return hashlib.sha256(b"".join(made)).hexdigest() if made else ""


def error_of(failure: ItemFailure) -> DomainError:
    """Make the error again that a recorded failure tells of."""
    known = error_class(failure.code)
    if known is None:
        return RemoteError(failure.message, reason=failure.code)
    return known(failure.message)
