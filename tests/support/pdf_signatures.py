"""PDF files signed many times, written by hand: the libraries that sign take longer for each signature than for the last."""

from __future__ import annotations

from collections.abc import Callable

ROOM = 6000
"""Hexadecimal digits for one signature."""


class Signatures:
    """A one-page file that grows by one revision for each signature, each over all before it.

    `sign` makes a detached CMS over octets. Objects 1 to 3 are the catalog, the tree of pages and the page.
    """

    def __init__(self, sign: Callable[[bytes], bytes]) -> None:
        """Start with a file that is not signed."""
        self._sign = sign
        self._next, self._size = 4, 0
        self._fields: list[int] = []
        self._out = bytearray(b"%PDF-1.7\n")
        self._start = 0
        self.write(
            {
                1: b"<</Type/Catalog/Pages 2 0 R/AcroForm<</Fields[]/SigFlags 3>>>>",
                2: b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
                3: b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]>>",
            }
        )

    @property
    def data(self) -> bytes:
        """The file as it is."""
        return bytes(self._out)

    def write(
        self, objects: dict[int, bytes], fields: tuple[int, ...] = (), promised: dict[int, int] | None = None
    ) -> None:
        """Write a revision. `fields` are new ones of the form; `promised` are places where nothing is yet."""
        self._fields.extend(fields)
        offsets = dict(promised or {})
        for number, body in objects.items():
            offsets[number] = len(self._out)
            self._out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
        previous = b"/Prev %d" % self._start if self._start else b""
        self._start = len(self._out)
        self._size = max(self._size, *(number + 1 for number in offsets))
        lines = b"".join(b"%d 1\n%010d 00000 n \n" % pair for pair in sorted(offsets.items()))
        trailer = b"<</Size %d/Root 1 0 R%s>>" % (self._size, previous)
        self._out += b"xref\n0 1\n0000000000 65535 f \n%strailer\n%s\n" % (lines, trailer)
        self._out += b"startxref\n%d\n%%%%EOF\n" % self._start

    def text_field(self, name: bytes, value: bytes) -> None:
        """Write a text field on the page: object 20, its look object 21."""
        look = b"<</Type/XObject/Subtype/Form/BBox[0 0 99 99]/Length 8>>stream\n(100) Tj\nendstream"
        field = b"<</FT/Tx/T(%s)/V(%s)/AP<</N 21 0 R>>/Type/Annot/Subtype/Widget/Rect[0 0 99 99]/P 3 0 R>>"
        page = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Annots[20 0 R]>>"
        self.write({20: field % (name, value), 21: look, 3: page}, fields=(20,))
        self._next = 40

    def add(self, entries: bytes = b"/SubFilter/adbe.pkcs7.detached", name: bytes = b"") -> bytes:
        """Sign once more; return the file. `entries` go into the signature's dictionary, `name` is the field's."""
        value, field = self._next, self._next + 1
        self._next += 2
        self._fields.append(field)
        listed = b" ".join(b"%d 0 R" % number for number in self._fields)
        begin = len(self._out)
        held = b"/Contents <%s>" % (b"0" * ROOM)
        own = name or b"Signature%d" % len(self._fields)
        self.write(
            {
                value: b"<</Type/Sig/Filter/Adobe.PPKLite%s/ByteRange[%s]%s>>" % (entries, b" " * 40, held),
                field: b"<</FT/Sig/T(%s)/V %d 0 R/Type/Annot/Subtype/Widget/Rect[0 0 0 0]>>" % (own, value),
                1: b"<</Type/Catalog/Pages 2 0 R/AcroForm<</Fields[%s]/SigFlags 3>>>>" % listed,
            }
        )
        first = self._out.index(held, begin) + len(b"/Contents ")
        second = first + ROOM + 2
        place = self._out.index(b"/ByteRange[", begin) + len(b"/ByteRange[")
        stated = b"0 %d %d %d" % (first, second, len(self._out) - second)
        self._out[place : place + 40] = stated.ljust(40)
        container = self._sign(bytes(self._out[:first]) + bytes(self._out[second:])).hex().encode()
        self._out[first + 1 : first + 1 + len(container)] = container
        return bytes(self._out)
