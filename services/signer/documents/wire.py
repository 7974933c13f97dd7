"""Messages between the signer and its document workers: a fixed head, a JSON part, a binary part.

Never pickle: a worker has parsed hostile documents, so what it says is read as data only.
"""

from __future__ import annotations

import struct

from services.kernel.errors import BodyTooLarge

HEAD = struct.Struct(">II")
"""Length of the JSON part and of the binary part, in bytes."""
MAX_META_BYTES = 1 << 20
MAX_BODY_BYTES = 32 << 20
"""The largest container, or update of a PDF file, that is taken from a worker; an update for 50,000 form fields needs
about 1 MB."""


class WireError(Exception):
    """A worker said something that is not a message; it is killed."""


def pack(meta: bytes, body: bytes) -> bytes:
    """Write one message. Raises BodyTooLarge where the other end would not take it."""
    require_body(len(body))
    return b"".join((HEAD.pack(len(meta), len(body)), meta, body))


def require_body(size: int) -> None:
    """Raise BodyTooLarge where that many bytes are over the limit of a message's binary part."""
    if size > MAX_BODY_BYTES:
        raise BodyTooLarge(
            f"what is signed together with its signatures is at most {MAX_BODY_BYTES} bytes, here it has {size}: "
            "sign larger files detached",
            limit=MAX_BODY_BYTES,
        )


def unpack_head(head: bytes) -> tuple[int, int]:
    """Read the two lengths, or raise WireError where they are over the limits."""
    meta, body = HEAD.unpack(head)
    if meta > MAX_META_BYTES or body > MAX_BODY_BYTES:
        raise WireError(f"a message of {meta} and {body} bytes is over the limit")
    return int(meta), int(body)


def split(body: bytes, lengths: list[int]) -> list[bytes]:
    """Cut a binary part into pieces of these lengths; raise WireError where they are not its own."""
    if sum(lengths) != len(body) or any(length < 0 for length in lengths):
        raise WireError("the lengths are not the binary part's")
    pieces, offset = [], 0
    for length in lengths:
        pieces.append(body[offset : offset + length])
        offset += length
    return pieces
