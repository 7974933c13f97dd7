"""Which part of PDF/A (ISO 19005) a file claims to be, and what that allows a signature to show."""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.misc import PdfError

from services.kernel.errors import ImageInvalid
from services.signer.formats import pdf_structure
from services.signer.formats.visible.page import name_at, value_at

if TYPE_CHECKING:
    from pyhanko.pdf_utils.reader import PdfFileReader

    from services.signer.formats.visible.page import Page

MAX_METADATA_BYTES = 1 << 20
_NAMESPACE = re.compile(rb"xmlns:([A-Za-z_][\w.-]*)\s*=\s*[\"']http://www\.aiim\.org/pdfa/ns/id/[\"']")


@dataclass(frozen=True, slots=True)
class Claim:
    """What a file says of itself."""

    part: int
    """1 to 4; 0: it is no PDF/A file."""
    has_intent: bool
    """A PDF/A output intent says what device colours mean."""

    @property
    def grey_needs_definition(self) -> bool:
        """Whether DeviceGray may not be used as it is (ISO 19005-2 6.2.4.3; part 1 6.2.3.3)."""
        return self.part > 0 and not self.has_intent

    def require_transparency(self, page: Page) -> None:
        """Refuse an image with alpha where the file would be no PDF/A file any more."""
        if self.part == 1:
            raise ImageInvalid(
                "the document is PDF/A-1, which forbids transparency, so it cannot show an image with a transparent "
                "background: send it as PDF/A-2 or PDF/A-3, or sign it without an image",
                check="PDF/A-1",
            )
        # ISO 19005-2 6.2.10: without an output intent the page itself must name its blending colour space.
        group = pdf_structure.dictionary_at(page.dictionary, "/Group")
        if self.part > 1 and not self.has_intent and (group is None or "/CS" not in group):
            raise ImageInvalid(
                "the document is PDF/A without an output intent, so it cannot show an image with a transparent "
                "background: save it with one, such as sRGB, or sign it without an image",
                check="PDF/A",
            )


def claim(reader: PdfFileReader) -> Claim:
    """Read the identification in the XMP metadata (ISO 19005-1 6.7.11) and the output intents."""
    return Claim(_part(reader.root), _has_intent(reader.root))


def _part(catalog: generic.DictionaryObject) -> int:
    try:
        metadata = value_at(catalog, "/Metadata")
        if not isinstance(metadata, generic.StreamObject):
            return 0
        text = bytes(metadata.data)[:MAX_METADATA_BYTES]
    except (PdfError, ValueError, NotImplementedError, AssertionError, zlib.error):
        # What nobody can read claims nothing.
        return 0
    prefix = _NAMESPACE.search(text)
    if prefix is None:
        return 0
    name = re.escape(prefix[1])
    part = re.search(rb"<" + name + rb":part\b[^>]*>\s*([1-9])|" + name + rb":part\s*=\s*[\"']([1-9])", text)
    return int(part[1] or part[2]) if part is not None else 0


def _has_intent(catalog: generic.DictionaryObject) -> bool:
    intents = value_at(catalog, "/OutputIntents")
    if not isinstance(intents, generic.ArrayObject):
        return False
    return any(
        isinstance(intent, generic.DictionaryObject) and name_at(intent, "/S") == "/GTS_PDFA1"
        for intent in (intents[index] for index in range(len(intents)))
    )
