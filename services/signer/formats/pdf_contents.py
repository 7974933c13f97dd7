"""The value of a signature dictionary: room reserved for it, the byte range round it (ISO 32000-1 12.8.1).

The room is fixed before anything is hashed, so a document is laid out once; what is put in later changes no other byte.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from services.signer.formats.errors import SelfCheckFailed

if TYPE_CHECKING:
    from pyhanko.pdf_utils import generic

    from services.kernel.values import DigestAlgorithm
    from services.signer.formats.format import Document
    from services.signer.formats.pdf_own import OwnUpdate
    from services.signer.formats.pdf_update import IncrementalUpdate

_BYTE_RANGE = b"[0 %d %d %d]"
_BYTE_RANGE_WIDTH = len(_BYTE_RANGE) + 3 * 20
_BEFORE_CONTENTS = b"\n/Contents "
_AFTER_CONTENTS = b"\n>>"
_WRITTEN_RANGE = re.compile(rb"/ByteRange \[0 (\d{1,20}) (\d{1,20}) (\d{1,20})\] *\n/Contents \Z")
_WRITTEN_WIDTH = len(b"/ByteRange ") + _BYTE_RANGE_WIDTH + len(_BEFORE_CONTENTS)


@dataclass(frozen=True, slots=True)
class Contents:
    """Where the value of /Contents stands: from its opening bracket to behind its closing one, within the addition."""

    start: int
    end: int

    @property
    def room(self) -> int:
        """Bytes that fit."""
        return (self.end - self.start - 2) // 2

    def moved(self, by: int) -> Contents:
        """Return the same place where something stands before the update."""
        return Contents(self.start + by, self.end + by)

    def read(self, addition: bytes | bytearray) -> bytes:
        """Return the DER value that stands there, the zeros behind it removed."""
        digits = bytes(addition[self.start + 1 : self.end - 1]).decode("ascii")
        value = bytes.fromhex(digits)
        return value[: _der_length(value)]

    def put(self, addition: bytearray, value: bytes) -> None:
        """Write a DER value and zeros behind it. Raises SelfCheckFailed where it does not fit."""
        if len(value) > self.room:
            raise SelfCheckFailed(
                f"the signature container has {len(value)} bytes, more than the {self.room} reserved for it"
            )
        addition[self.start + 1 : self.end - 1] = value.hex().upper().encode().ljust(2 * self.room, b"0")


def put_signature(
    update: IncrementalUpdate, reference: generic.Reference, head: bytes, room: int
) -> Contents:
    """Write a signature dictionary that begins with `head`, with zeros as its value of `room` bytes."""
    body = b"".join(
        (
            head,
            b"\n/ByteRange ",
            b" " * _BYTE_RANGE_WIDTH,
            _BEFORE_CONTENTS,
            b"<" + b"0" * (2 * room) + b">",
            _AFTER_CONTENTS,
        )
    )
    end = update.put(reference, body) + len(body) - len(_AFTER_CONTENTS)
    return Contents(end - 2 * room - 2, end)


def close_round(update: IncrementalUpdate, contents: Contents) -> bytearray:
    """Close the update and write the byte range: everything but the value."""
    increment = update.close()
    size = update.base_size
    byte_range = _BYTE_RANGE % (
        size + contents.start,
        size + contents.end,
        len(increment) - contents.end,
    )
    at = contents.start - len(_BEFORE_CONTENTS) - _BYTE_RANGE_WIDTH
    increment[at : at + len(byte_range)] = byte_range
    return increment


def located(addition: bytes | bytearray, update: OwnUpdate) -> Contents:
    """Find the value in the signature or time-stamp that an update of ours was made for."""
    end = update.main_end - len(_AFTER_CONTENTS)
    # No hexadecimal digit is a bracket, so the nearest one before the end opens the value.
    start = addition.rfind(b"<", update.main, end)
    if start < 0 or addition[end - 1 : end] != b">":
        raise SelfCheckFailed("the update holds no /Contents at its end")
    return Contents(start, end)


def digest_round(
    document: Document, addition: bytes | bytearray, update: OwnUpdate, digest: DigestAlgorithm
) -> bytes:
    """Digest what the byte range as written covers, after checking that this is all of the file but the value."""
    contents = located(addition, update)
    # A text that a caller chose may look like a byte range; only the one before the value counts.
    match = _WRITTEN_RANGE.search(addition, contents.start - _WRITTEN_WIDTH, contents.start)
    if match is None:
        raise SelfCheckFailed("the update holds no byte range before its /Contents")
    first, second, last = (int(match[group]) for group in (1, 2, 3))
    size = document.size
    if (first, second, second + last) != (size + contents.start, size + contents.end, size + update.end):
        raise SelfCheckFailed("the byte range does not cover the whole file but /Contents")
    return digest_but(document, addition, contents, update.end, digest)


def digest_but(
    document: Document, addition: bytes | bytearray, contents: Contents, end: int, digest: DigestAlgorithm
) -> bytes:
    """Digest the document and what was added up to `end`, but not the value."""
    running = document.hash(digest)
    with memoryview(addition) as view:
        running.update(view[: contents.start])
        running.update(view[contents.end : end])
    return running.digest()


def _der_length(data: bytes) -> int:
    """Length of the DER value that stands before the zeros."""
    if len(data) < 2 or data[1] < 0x80:
        return 2 + (data[1] if len(data) > 1 else 0)
    octets = data[1] & 0x7F
    return 2 + octets + int.from_bytes(data[2 : 2 + octets], "big")
