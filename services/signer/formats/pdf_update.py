"""One incremental update of a PDF file (ISO 32000-1 7.5.6): objects, cross-reference section, trailer.

Only the bytes to append are built; the file itself is never copied or changed.
"""

from __future__ import annotations

import hashlib
from io import BytesIO
from typing import TYPE_CHECKING

from pyhanko.pdf_utils import generic

from services.signer.formats.pdf_objects import written

if TYPE_CHECKING:
    from pyhanko.pdf_utils.reader import PdfFileReader

_STRUCTURAL = frozenset(
    {"/Size", "/Prev", "/ID", "/XRefStm", "/Type", "/W", "/Index", "/Length", "/Filter", "/DecodeParms"}
)


class IncrementalUpdate:
    """Collects objects and closes with a cross-reference section of the kind that the file already has.

    It does not check that what is written makes sense.
    """

    def __init__(self, reader: PdfFileReader, size: int, ends_with_newline: bool, next_number: int) -> None:
        """Start after `size` bytes of the file that `reader` read; new objects are numbered from `next_number`."""
        self._reader = reader
        if reader.last_startxref is None:
            raise ValueError("the reader has not read a cross-reference")
        self._previous = reader.last_startxref
        self._base = size
        self._buffer = BytesIO()
        self._offsets: dict[tuple[int, int], int] = {}
        self._next_number = next_number
        if not ends_with_newline:
            self._buffer.write(b"\n")

    def new_reference(self) -> generic.Reference:
        """Take the next object number."""
        reference = generic.Reference(self._next_number, 0, self._reader)
        self._next_number += 1
        return reference

    def put(self, reference: generic.Reference, body: bytes) -> int:
        """Write an object from its bytes; return the offset of `body` within the update."""
        buffer = self._buffer
        self._offsets[reference.idnum, reference.generation] = self._base + buffer.tell()
        buffer.write(b"%d %d obj\n" % (reference.idnum, reference.generation))
        start = buffer.tell()
        buffer.write(body)
        buffer.write(b"\nendobj\n")
        return start

    def put_object(self, reference: generic.Reference, value: generic.PdfObject) -> None:
        """Write an object that was read from the file and changed since."""
        self.put(reference, written(value))

    def close(self) -> bytearray:
        """Write cross-reference, trailer and end mark; return the whole update."""
        start = self._base + self._buffer.tell()
        if self._reader.has_xref_stream:
            self._write_stream(start)
        else:
            self._write_table()
        self._buffer.write(b"startxref\n%d\n%%%%EOF\n" % start)
        return bytearray(self._buffer.getbuffer())

    def _trailer_entries(self) -> bytes:
        # Keys that the file's own software put into the trailer are kept (ISO 32000-1 7.5.5).
        trailer = self._reader.trailer.flatten()
        body = BytesIO()
        for key, value in trailer.items():
            if key not in _STRUCTURAL:
                body.write(written(key) + b" " + written(value) + b"\n")
        body.write(b"/Size %d\n/Prev %d\n" % (self._next_number, self._previous))
        fresh = hashlib.sha256(self._buffer.getbuffer()).digest()[:16]
        body.write(b"/ID [<%s> <%s>]\n" % (self._permanent_id(fresh).hex().encode(), fresh.hex().encode()))
        return body.getvalue()

    def _permanent_id(self, fresh: bytes) -> bytes:
        """Return the first half of /ID, which an update must not change (ISO 32000-1 14.4), or a fresh one."""
        try:
            value = self._reader.trailer["/ID"][0]
        except (KeyError, IndexError):
            return fresh
        if isinstance(value, generic.TextStringObject):
            return bytes(value.original_bytes)
        return bytes(value)

    def _write_table(self) -> None:
        buffer = self._buffer
        buffer.write(b"xref\n")
        for run in _runs(sorted(self._offsets)):
            buffer.write(b"%d %d\n" % (run[0][0], len(run)))
            for number, generation in run:
                buffer.write(b"%010d %05d n \n" % (self._offsets[number, generation], generation))
        buffer.write(b"trailer\n<<\n" + self._trailer_entries() + b">>\n")

    def _write_stream(self, start: int) -> None:
        reference = self.new_reference()
        self._offsets[reference.idnum, 0] = start
        runs = _runs(sorted(self._offsets))
        rows = b"".join(
            b"\x01" + self._offsets[key].to_bytes(8, "big") + key[1].to_bytes(2, "big")
            for run in runs
            for key in run
        )
        index = " ".join(f"{run[0][0]} {len(run)}" for run in runs).encode()
        self._buffer.write(
            b"%d 0 obj\n<<\n/Type /XRef\n/W [1 8 2]\n/Index [%s]\n/Length %d\n%s>>\nstream\n%s\nendstream\nendobj\n"
            % (reference.idnum, index, len(rows), self._trailer_entries(), rows)
        )


def _runs(keys: list[tuple[int, int]]) -> list[list[tuple[int, int]]]:
    """Group object keys, sorted, into runs of consecutive numbers."""
    runs: list[list[tuple[int, int]]] = []
    for key in keys:
        if runs and key[0] == runs[-1][-1][0] + 1:
            runs[-1].append(key)
        else:
            runs.append([key])
    return runs
