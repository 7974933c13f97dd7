"""The updates that we appended to a PDF file, read back from their own bytes, without the file before them.

What a signature at a higher level still has to change lies in the updates already written for it, so the later steps
need not parse the file again. Nothing that the file's author wrote decides where we look: every position follows from
the update's own end.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass
from enum import Enum
from io import BytesIO

from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.rw_common import PdfHandler

from services.signer.formats.errors import SelfCheckFailed
from services.signer.formats.pdf_update import Base

_END = re.compile(rb"startxref\n(\d{1,20})\n%%EOF\n\Z")
_END_BYTES = 48
_TAIL = re.compile(rb"/Root (\d+) (\d+) R\n/Size (\d+)\n/Prev (\d+)\n/ID \[<([0-9a-f]*)> <[0-9a-f]*>\]\n\Z")
_STREAM = re.compile(rb"(\d+) 0 obj\n<<\n/Type /XRef\n/W \[1 8 2\]\n/Index \[([0-9 ]*)\]\n/Length (\d+)\n")
_OBJECT = re.compile(rb"(\d+) (\d+) obj\n")
_PAGE = re.compile(rb"/Type\s*/Page\b")
_AFTER_OBJECT = b"\nendobj\n"
_ROW = 11
"""Bytes of a row of our cross-reference streams: 1, 8 and 2."""


class NotOurs(Exception):
    """An object is not among those that we wrote: the file itself must be read."""


class Kind(Enum):
    """What an update of ours was made for, by how its last object begins."""

    SIGNATURE = b"<<\n/Type /Sig\n"
    EVIDENCE = b"<<\n/Type /DSS\n"
    TIME_STAMP = b"<<\n/Type /DocTimeStamp\n"


_BEGINNINGS = tuple((kind, kind.value) for kind in Kind)


@dataclass(frozen=True, slots=True)
class OwnUpdate:
    """One update; all offsets within the addition."""

    kind: Kind
    start: int
    end: int
    main_key: tuple[int, int]
    main: int
    """Where the body of its last object begins: the signature, time-stamp or store that it was made for."""
    main_end: int
    offsets: dict[tuple[int, int], int]
    trailer: bytes
    root: tuple[int, int]
    next_number: int
    previous: int
    permanent_id: bytes
    reference_offset: int
    streamed: bool


def own_updates(size: int, addition: bytes | bytearray) -> list[OwnUpdate]:
    """Read the updates appended to a file of `size` bytes, the oldest first. Raises SelfCheckFailed."""
    found: list[OwnUpdate] = []
    end = len(addition)
    while end:
        update = _read(size, addition, end)
        if update.start >= end:
            raise _broken()
        found.append(update)
        end = update.start
    found.reverse()
    return found


def newest_update(size: int, addition: bytes | bytearray) -> OwnUpdate:
    """Read the last of the updates alone. Raises SelfCheckFailed."""
    return _read(size, addition, len(addition))


def _read(size: int, addition: bytes | bytearray, end: int) -> OwnUpdate:
    tail_at = max(0, end - _END_BYTES)
    match = _END.search(addition[tail_at:end])
    if match is None:
        raise _broken()
    closing = tail_at + match.start()
    at = int(match[1]) - size
    if not 0 <= at < closing:
        raise _broken()
    streamed = addition[at : at + 5] != b"xref\n"
    read = _read_stream if streamed else _read_table
    offsets, entries = read(addition, at, closing)
    tail = _TAIL.search(entries, max(0, entries.rfind(b"/Root ")))
    if tail is None or not offsets:
        raise _broken()
    within = {key: offset - size for key, offset in offsets.items() if offset - size != at}
    newest = max(within, key=lambda key: within[key])
    head = b"%d %d obj\n" % newest
    main, main_end = within[newest] + len(head), at - len(_AFTER_OBJECT)
    if addition[within[newest] : main] != head or addition[main_end:at] != _AFTER_OBJECT:
        raise _broken()
    kind = next((kind for kind, beginning in _BEGINNINGS if addition.startswith(beginning, main)), None)
    if kind is None:
        raise _broken()
    previous = int(tail[4])
    return OwnUpdate(
        kind=kind,
        # The first update may begin with the line feed that the file lacked.
        start=min(within.values()) if previous >= size else 0,
        end=end,
        main_key=newest,
        main=main,
        main_end=main_end,
        offsets=within,
        trailer=entries[: tail.start()],
        root=(int(tail[1]), int(tail[2])),
        next_number=int(tail[3]),
        previous=previous,
        permanent_id=bytes.fromhex(tail[5].decode("ascii")),
        reference_offset=at + size,
        streamed=streamed,
    )


def _read_table(
    addition: bytes | bytearray, at: int, closing: int
) -> tuple[dict[tuple[int, int], int], bytes]:
    offsets: dict[tuple[int, int], int] = {}
    position = at + len(b"xref\n")
    while addition[position : position + 8] != b"trailer\n":
        line_end = addition.index(b"\n", position, closing)
        first, count = (int(part) for part in addition[position:line_end].split())
        position = line_end + 1
        for number in range(first, first + count):
            row = addition[position : position + 20]
            offsets[number, int(row[11:16])] = int(row[:10])
            position += 20
    return offsets, bytes(addition[position + len(b"trailer\n<<\n") : closing - len(b">>\n")])


def _read_stream(
    addition: bytes | bytearray, at: int, closing: int
) -> tuple[dict[tuple[int, int], int], bytes]:
    match = _STREAM.match(addition, at, closing)
    if match is None:
        raise _broken()
    rows_at = closing - len(b"\nendstream\nendobj\n") - int(match[3])
    entries = bytes(addition[match.end() : rows_at - len(b">>\nstream\n")])
    runs = [int(part) for part in match[2].split()]
    offsets: dict[tuple[int, int], int] = {}
    position = rows_at
    for first, count in zip(runs[::2], runs[1::2], strict=True):
        for number in range(first, first + count):
            row = addition[position : position + _ROW]
            offsets[number, int.from_bytes(row[9:], "big")] = int.from_bytes(row[1:9], "big")
            position += _ROW
    return offsets, entries


class OwnPdf(PdfHandler):
    """Resolves references among the objects of our own updates; raises NotOurs for every other."""

    def __init__(
        self, size: int, addition: bytes | bytearray, updates: list[OwnUpdate] | None = None
    ) -> None:
        """Read back what was added to a file of `size` bytes; `updates` where they were read already."""
        self._addition = addition
        self._size = size
        self.updates = own_updates(size, addition) if updates is None else updates
        self._objects: dict[tuple[int, int], generic.PdfObject] = {}
        self._offsets: dict[tuple[int, int], int] = {}
        for update in self.updates:
            self._offsets |= update.offsets
        self._starts = sorted(offset for update in self.updates for offset in update.offsets.values())

    def _newest(self) -> OwnUpdate:
        if not self.updates:
            raise NotOurs("update")
        return self.updates[-1]

    @property
    def root_ref(self) -> generic.Reference:
        """The document catalog's reference."""
        return generic.Reference(*self._newest().root, self)

    def get_object(
        self,
        ref: generic.Reference,
        as_metadata_stream: bool = False,  # noqa: ARG002
    ) -> generic.PdfObject:
        """Return the newest version of an object, the same instance each time."""
        key = (ref.idnum, ref.generation)
        if key not in self._objects:
            stream = BytesIO(self.body(ref))
            self._objects[key] = generic.read_object(stream, generic.Reference(*key, self))
        return self._objects[key]

    def body(self, ref: generic.Reference) -> memoryview:
        """Return the bytes of an object's newest version, from behind its number to the next object or further."""
        offset = self._offsets.get((ref.idnum, ref.generation))
        if offset is None:
            raise NotOurs(f"object {ref.idnum}")
        match = _OBJECT.match(self._addition, offset)
        if match is None:
            raise _broken()
        following = bisect_right(self._starts, offset)
        end = self._starts[following] if following < len(self._starts) else len(self._addition)
        return memoryview(self._addition)[match.end() : end]

    def newest(self) -> tuple[generic.Reference, bytes]:
        """Return what the newest update was made for, as written."""
        update = self._newest()
        return generic.Reference(*update.main_key, self), bytes(self._addition[update.main : update.main_end])

    def page(self) -> tuple[generic.Reference, generic.DictionaryObject]:
        """Return a page that an update of ours changed. Raises NotOurs where none did."""
        for key in self._offsets:
            reference = generic.Reference(*key, self)
            # Reading an object costs; signature values and fonts more than all else.
            if _PAGE.search(self.body(reference)) is None:
                continue
            value = self.get_object(reference)
            if isinstance(value, generic.DictionaryObject) and value.get("/Type") == "/Page":
                return reference, value
        raise NotOurs("page")

    def find(self, body: bytes) -> generic.Reference:
        """Return an object that we wrote with this body. Raises NotOurs where there is none."""
        for key in self._offsets:
            reference = generic.Reference(*key, self)
            if self.body(reference)[: len(body)] == body:
                return reference
        raise NotOurs("body")

    def base(self) -> Base:
        """Describe the file with what was added so far, for the next update."""
        newest = self._newest()
        return Base(
            handler=self,
            size=self._size + len(self._addition),
            ends_with_newline=True,
            next_number=newest.next_number,
            previous=newest.reference_offset,
            streamed=newest.streamed,
            trailer=newest.trailer,
            permanent_id=newest.permanent_id,
        )


def _broken() -> SelfCheckFailed:
    return SelfCheckFailed("what was added to the PDF file cannot be read back")
