"""Frames between the signer and its PKCS#11 workers, over one socket pair for each worker.

A frame is a 4-byte length (of what follows), a 4-byte frame id and a 1-byte kind, then the body. The hot kinds, SIGN
and SIGNED, are packed; all others carry JSON. Both ends are of the same release, so the format has no version.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from enum import IntEnum
from struct import Struct
from typing import Any

MAX_FRAME_BYTES = 16 * 1024 * 1024
"""A longer frame means that the other end is out of its mind: the connection is given up."""

HEADER = Struct("!IIB")
KEY = Struct("!16s32sBB")
"""CKA_ID, SHA-256 of the SPKI, scheme code, digest code: what the jobs of one key and algorithm have in common."""
JOB = Struct("!HQ")
"""What follows a job's key: item count, deadline in ns of CLOCK_MONOTONIC, which is the same in all processes."""
NO_DEADLINE = 0xFFFFFFFFFFFFFFFF
SIGNED = Struct("!BQH")
"""Doubt flag (1: this worker needs recovery before it can sign), CPU ns of the thread in the token, item count."""
ITEM = Struct("!BIH")
"""Status, microseconds that the token took (saturating), length of what follows: signature, or reason in ASCII."""
MAX_MICROSECONDS = 0xFFFFFFFF

DIGEST_SIZES = {1: 32, 2: 48, 3: 64}
"""Digest code -> bytes: SHA-256, SHA-384, SHA-512."""


class FrameKind(IntEnum):
    """What a frame says. Requests go to the worker, ANSWER and SIGNED come back with the request's frame id."""

    HELLO = 1
    SIGN = 2
    GENERATE = 3
    FIND = 4
    LIST = 5
    RECOVER = 6
    SIGNED = 7
    ANSWER = 8


class Scheme(IntEnum):
    """Signature scheme codes."""

    PKCS1V15 = 1
    PSS = 2
    ECDSA = 3


class Status(IntEnum):
    """What became of one item or command."""

    OK = 0
    NOT_STARTED = 1
    """Nothing reached the token: safe to ask again."""
    UNKNOWN = 2
    """The token failed during the operation: it may have signed."""
    REFUSED = 3
    """The token will not do this with this key."""
    KEY_MISSING = 4
    KEY_MISMATCH = 5
    PIN = 6
    """The token refused the PIN: it must not be tried again."""
    LATE = 7
    """The item's deadline had passed before it was its turn: nothing reached the token."""


_STATUSES = tuple(Status)


class FrameError(Exception):
    """The other end sent something that is not a frame."""


def deadline_ns(limit: float | None) -> int:
    """Return a `time.monotonic()` moment as a job carries it; None is no limit. Raises ValueError for NaN."""
    if limit is None or limit * 1e9 >= NO_DEADLINE:
        return NO_DEADLINE
    return max(0, int(limit * 1e9))


def frame(frame_id: int, kind: FrameKind, body: bytes) -> bytes:
    """Pack one frame."""
    return HEADER.pack(len(body) + 5, frame_id, kind) + body


def command(frame_id: int, kind: FrameKind, fields: dict[str, Any]) -> bytes:
    """Pack one JSON frame."""
    return frame(frame_id, kind, json.dumps(fields).encode())


class FrameReader:
    """Cuts a byte stream into frames."""

    def __init__(self) -> None:
        """Start with an empty stream."""
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[tuple[int, int, bytes]]:
        """Take the next bytes of the stream; yield (frame id, kind, body) of each frame that is whole now."""
        if self._rest:
            data = self._rest + data
        position, size = 0, len(data)
        while size - position >= 9:
            length, frame_id, kind = HEADER.unpack_from(data, position)
            if not 5 <= length <= MAX_FRAME_BYTES:
                raise FrameError(f"frame of {length} bytes")
            end = position + 4 + length
            if end > size:
                break
            body = data[position + 9 : end]
            position = end
            yield frame_id, kind, body
        self._rest = data[position:] if position else data


def read_sign_body(body: bytes) -> Iterator[tuple[bytes, bytes, int, int, int, list[bytes]]]:
    """Yield (CKA_ID, SPKI hash, scheme, digest code, deadline ns, digests) of each job in a SIGN body."""
    position = 0
    while position < len(body):
        cka_id, spki_sha256, scheme, digest = KEY.unpack_from(body, position)
        count, deadline = JOB.unpack_from(body, position + KEY.size)
        position += KEY.size + JOB.size
        size = DIGEST_SIZES[digest]
        end = position + count * size
        digests = [body[at : at + size] for at in range(position, end, size)]
        yield cka_id, spki_sha256, scheme, digest, deadline, digests
        position = end


def read_signed_body(body: bytes) -> tuple[bool, int, list[tuple[Status, int, bytes]]]:
    """Return (doubtful, CPU ns, [(status, microseconds, signature or reason)]) of a SIGNED body; raise FrameError."""
    try:
        doubt, cpu, count = SIGNED.unpack_from(body)
        position = SIGNED.size
        items = []
        unpack, size = ITEM.unpack_from, ITEM.size
        for _ in range(count):
            status, micros, length = unpack(body, position)
            position += size
            items.append((_STATUSES[status], micros, body[position : position + length]))
            position += length
    except (struct.error, LookupError) as error:
        raise FrameError("signatures that cannot be read") from error
    return bool(doubt), cpu, items


def read_answer(body: bytes) -> dict[str, Any]:
    """Return the fields of an ANSWER body; `status` and `doubtful` are always there. Raises FrameError."""
    try:
        fields = json.loads(body)
        fields["status"] = Status(fields["status"])
        fields["doubtful"] = bool(fields["doubtful"])
    except (ValueError, KeyError, TypeError) as error:
        raise FrameError("an answer that cannot be read") from error
    return dict(fields)
