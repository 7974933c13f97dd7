"""What is kept of a document signature for a repeated call: its level, its warnings, and what was added."""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass

from services.signer.domain import ItemFailure
from services.signer.formats.parameters import Level
from services.signer.service.levels import Reached

_HEAD = struct.Struct(">BI")
_ADDITION, _ELSEWHERE = 1, 2


@dataclass(frozen=True, slots=True)
class Kept:
    """One operation's result."""

    reached: Reached
    addition: bytes | None
    """None: the whole document lies in the blob store (asynchronous road)."""


def pack_reached(reached: Reached, addition: bytes | None) -> bytes:
    """Write a result for its operation's row."""
    missed = reached.missed
    told = [
        reached.level.value,
        [missed.code, missed.message, missed.retryable] if missed else None,
        list(reached.warnings),
    ]
    head = json.dumps(told, ensure_ascii=False).encode()
    kind = _ELSEWHERE if addition is None else _ADDITION
    return _HEAD.pack(kind, len(head)) + head + (addition or b"")


def unpack_reached(packed: bytes | None) -> Kept | None:
    """Undo `pack_reached`; None where nothing was kept."""
    if packed is None:
        return None
    kind, length = _HEAD.unpack_from(packed)
    level, missed, warnings = json.loads(packed[_HEAD.size : _HEAD.size + length])
    reached = Reached(Level(level), ItemFailure(*missed) if missed else None, tuple(warnings))
    return Kept(reached, packed[_HEAD.size + length :] if kind == _ADDITION else None)
