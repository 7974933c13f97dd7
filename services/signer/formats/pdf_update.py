"""One incremental update of a PDF file (ISO 32000-1 7.5.6): objects, cross-reference section, trailer.

Only the bytes to append are built; the file itself is never copied or changed.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING

from pyhanko.pdf_utils import generic

from services.kernel.errors import BodyTooLarge
from services.signer.formats.pdf_objects import written

if TYPE_CHECKING:
    from pyhanko.pdf_utils.reader import PdfFileReader
    from pyhanko.pdf_utils.rw_common import PdfHandler

MAX_TABLE_OFFSET = 9_999_999_999
"""ISO 32000-1 7.5.4: an offset in a cross-reference table has ten digits."""
_STRUCTURAL = frozenset(
    {
        "/Size",
        "/Prev",
        "/Root",
        "/ID",
        "/XRefStm",
        "/Type",
        "/W",
        "/Index",
        "/Length",
        "/Filter",
        "/DecodeParms",
    }
)


@dataclass(frozen=True, slots=True)
class Base:
    """What an update must know of the bytes that it continues."""

    handler: PdfHandler
    size: int
    ends_with_newline: bool
    next_number: int
    """The lowest object number that was never used."""
    previous: int
    """Offset of the newest cross-reference section."""
    streamed: bool
    """Whether that section is a stream: files keep to one kind (ISO 32000-1 7.5.8.1)."""
    trailer: bytes
    """Trailer entries as written, those left out that every update writes anew."""
    permanent_id: bytes | None
    """First half of /ID, which an update must not change (ISO 32000-1 14.4)."""

    @classmethod
    def of(cls, reader: PdfFileReader, size: int, ends_with_newline: bool, next_number: int) -> Base:
        """Describe a file of `size` bytes that `reader` read."""
        if reader.last_startxref is None:
            raise ValueError("the reader has not read a cross-reference")
        # Keys that the file's own software put into the trailer are kept (ISO 32000-1 7.5.5).
        kept = b"".join(
            written(key) + b" " + written(value) + b"\n"
            for key, value in reader.trailer.flatten().items()
            if key not in _STRUCTURAL
        )
        return cls(
            handler=reader,
            size=size,
            ends_with_newline=ends_with_newline,
            next_number=next_number,
            previous=reader.last_startxref,
            streamed=reader.has_xref_stream,
            trailer=kept,
            permanent_id=_permanent_id(reader),
        )


def _permanent_id(reader: PdfFileReader) -> bytes | None:
    try:
        value = reader.trailer["/ID"][0]
    except (KeyError, IndexError):
        return None
    if isinstance(value, generic.TextStringObject):
        return bytes(value.original_bytes)
    return bytes(value)


class IncrementalUpdate:
    """Collects objects and closes with a cross-reference section of the kind that the file already has.

    It does not check that what is written makes sense.
    """

    def __init__(self, base: Base) -> None:
        """Start after the bytes that `base` describes."""
        self._base = base
        self._buffer = BytesIO()
        self._offsets: dict[tuple[int, int], int] = {}
        self._changed: dict[tuple[int, int], generic.PdfObject] = {}
        self._next_number = base.next_number
        if not base.ends_with_newline:
            self._buffer.write(b"\n")

    @property
    def base_size(self) -> int:
        """Bytes of the file before this update."""
        return self._base.size

    def new_reference(self) -> generic.Reference:
        """Take the next object number."""
        reference = generic.Reference(self._next_number, 0, self._base.handler)
        self._next_number += 1
        return reference

    def put(self, reference: generic.Reference, body: bytes) -> int:
        """Write an object from its bytes; return the offset of `body` within the update."""
        buffer = self._buffer
        self._offsets[reference.idnum, reference.generation] = self._base.size + buffer.tell()
        buffer.write(b"%d %d obj\n" % (reference.idnum, reference.generation))
        start = buffer.tell()
        buffer.write(body)
        buffer.write(b"\nendobj\n")
        return start

    def put_object(self, reference: generic.Reference, value: generic.PdfObject) -> None:
        """Write an object that was read from the file and changed since."""
        self.put(reference, written(value))

    def change(self, reference: generic.Reference, value: generic.PdfObject) -> None:
        """Note an object that was read from the file and is changed, perhaps more than once, before it is written."""
        self._changed[reference.idnum, reference.generation] = value

    def noted(self, reference: generic.Reference) -> generic.PdfObject | None:
        """Return what `change` noted under a reference."""
        return self._changed.get((reference.idnum, reference.generation))

    def put_changed(self) -> None:
        """Write every object that `change` noted, once."""
        for (number, generation), value in self._changed.items():
            self.put_object(generic.Reference(number, generation, self._base.handler), value)
        self._changed.clear()

    def close(self) -> bytearray:
        """Write cross-reference, trailer and end mark; return the whole update.

        Raises BodyTooLarge where an offset does not fit into the kind of cross-reference that the file has.
        """
        start = self._base.size + self._buffer.tell()
        if self._base.streamed:
            self._write_stream(start)
        else:
            self._write_table(start)
        self._buffer.write(b"startxref\n%d\n%%%%EOF\n" % start)
        return bytearray(self._buffer.getbuffer())

    def _trailer_entries(self) -> bytes:
        fresh = hashlib.sha256(self._buffer.getbuffer()).digest()[:16]
        permanent = self._base.permanent_id
        root = self._base.handler.root_ref
        # What `pdf_own` reads back stands last, always in this order.
        return self._base.trailer + b"/Root %d %d R\n/Size %d\n/Prev %d\n/ID [<%s> <%s>]\n" % (
            root.idnum,
            root.generation,
            self._next_number,
            self._base.previous,
            (fresh if permanent is None else permanent).hex().encode(),
            fresh.hex().encode(),
        )

    def _write_table(self, start: int) -> None:
        if start > MAX_TABLE_OFFSET:
            raise BodyTooLarge(
                f"the PDF file is larger than {MAX_TABLE_OFFSET} bytes, which its cross-reference table cannot hold",
                limit=MAX_TABLE_OFFSET,
            )
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
