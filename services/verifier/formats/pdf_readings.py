"""Whether all readers see the same in a signed PDF to which something was added.

Readers repair what they cannot follow, each in its own way, and a later revision may give them a reason to: the signed
octets stay as they are and are read in another way. So whatever one reader may take in another way than the next
counts as a change that cannot be explained.
"""

from __future__ import annotations

import re
from functools import cached_property

from services.verifier.formats import pdf_syntax
from services.verifier.formats.pdf_file import PdfFile
from services.verifier.formats.pdf_syntax import Meter, PdfError, Value, integer, same
from services.verifier.formats.pdf_usage import Usages
from services.verifier.formats.pdf_xref import Revision

_WS = rb"[\x00\t\n\x0c\r ]"
_OBJECT = re.compile(rb"(?<!\d)\d{1,10}+" + _WS + rb"{1,64}+\d{1,5}+" + _WS + rb"{1,64}+obj")
_FIRST_OBJECT = re.compile(rb"\d{1,10}+" + _WS + rb"{1,64}+\d{1,5}+" + _WS + rb"{1,64}+obj")
_FIRST_TOKENS = 10_000
"""Of a linearised file's first object, which is small."""


class Readings:
    """Doubts about one file, each found out once."""

    def __init__(self, file: PdfFile, usages: Usages) -> None:
        """Look at nothing yet."""
        self._file, self._usages = file, usages
        self._of_revisions: dict[int, str] = {}

    def doubt(self, base: int, index: int) -> str:
        """Why the revisions up to `index` may be read in two ways where `base` was signed; "" where they may not.

        Raises PdfLimit.
        """
        for later in range(base + 1, index + 1):
            if later not in self._of_revisions:
                self._of_revisions[later] = self._of_revision(later)
            found = self._of_file or self._of_revisions[later] or self._of_step(base, later)
            if found:
                return found
        return ""

    @cached_property
    def _of_file(self) -> str:
        """What concerns the file as a whole, once there is more than one revision."""
        data = self._file.data
        if not data.startswith(b"%PDF-"):
            return "something stands before the header, from which some readers count offsets"
        # A linearised file is read from its beginning while it is as long as its first object says (annex F).
        first = _FIRST_OBJECT.search(data, 0, 1024)
        if first is None:
            return ""
        try:
            value, _ = pdf_syntax.parse(data, first.end(), Meter(_FIRST_TOKENS))
        except PdfError:
            return ""
        claimed = value.get("L") if isinstance(value, dict) and "Linearized" in value else None
        return "the file is as long as a linearised file that it is not" if claimed == len(data) else ""

    def _of_revision(self, index: int) -> str:
        revision, earlier = self._file.revisions[index], self._file.revisions[index - 1]
        if "Root" not in revision.trailer:
            return "a trailer does not name the catalog"
        if "Encrypt" in earlier.trailer and "Encrypt" not in revision.trailer:
            return "a trailer does not say that the file is encrypted"
        if "Encrypt" in revision.trailer and not same(_permanent(earlier), _permanent(revision)):
            return "the identifier of an encrypted file is another one"
        if revision.hidden:
            return "a table and a stream of cross-references say two things about an object"
        if index in self._usages.dangling:
            return f"a reference to object {self._usages.dangling[index]}, which is not there"
        return self._places(index)

    def _places(self, index: int) -> str:
        """Each entry leads to an object, and to each object leads an entry."""
        revision, earlier = self._file.revisions[index], self._file.revisions[index - 1]
        places = {section.start for section in revision.sections}
        for number, entry in revision.entries.items():
            if entry.in_use:
                if not self._file.is_readable(number, index):
                    return f"an entry for object {number} does not lead to one"
                places.add(pdf_syntax.skip(self._file.data, entry.offset))
        for found in _OBJECT.finditer(self._file.data, earlier.close, revision.close):
            if found.start() not in places:
                return f"an object at byte {found.start()} has no entry"
        return ""

    def _of_step(self, base: int, index: int) -> str:
        file, entries = self._file, self._file.revisions[index].entries
        for number in entries.keys() & file.containers.keys():
            if file.containers[number] > base:
                continue
            before, after = file.load(number, base).value, file.load(number, index).value
            if before is None or not same(before, after):
                # Some readers then look for objects of the signed state in the new stream.
                return f"object stream {number} of the signed revision is another one now"
        for number, home in self._unreadable:
            if home <= base and file.entry_home(number, base) == home and self._usages.of(number, base):
                return f"object {number} of the signed revision cannot be read"
        return self._size(base, index)

    @cached_property
    def _unreadable(self) -> list[tuple[int, int]]:
        return [one for one in self._file.versions() if not self._file.is_readable(*one)]

    def _size(self, base: int, index: int) -> str:
        """An object beyond Size is not there (7.5.5), for readers that look at it: it must not come into being."""
        before, after = (integer(self._file.revisions[one].trailer.get("Size")) for one in (base, index))
        if before is None or after is None:
            return "a trailer does not say how many objects there are"
        beyond = [number for number in self._file.numbers_from(before) if number < after]
        if any(self._file.is_readable(one, base) and self._usages.of(one, base) for one in beyond):
            return "the signed revision has objects beyond its size"
        return ""


def _permanent(revision: Revision) -> Value:
    """The part of a file's identifier that stays, and that the key of its encryption is made of (14.4, 7.6.4.3)."""
    stated = revision.trailer.get("ID")
    return stated[0] if isinstance(stated, list) and stated else None
