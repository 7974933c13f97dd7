"""Which format a signed file is of, by its first bytes: never by its name."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from services.kernel.errors import DocumentDamaged

if TYPE_CHECKING:
    from services.signer.formats.format import Document
    from services.signer.formats.parameters import FormatName

_HEAD_BYTES = 1024
_ASIC_S = b"application/vnd.etsi.asic-s+zip"
_FIELD = re.compile(rb"[!-9;-~]{1,76}:[ \t]")
"""How a message begins: the name of its first header field (RFC 5322 section 2.2)."""
_MARK = "\ufeff".encode()


def recognise(document: Document) -> FormatName:
    """Name the format of a signed file; raise DocumentDamaged where it is none that can be extended."""
    document.stream.seek(0)
    head = document.stream.read(_HEAD_BYTES)
    if b"%PDF-" in head:
        return "PADES"
    if head.startswith(b"PK\x03\x04"):
        # EN 319 162-1 section A.1: the member "mimetype" comes first and is stored.
        return "ASIC_S" if _ASIC_S in head[:200] else "ASIC_E"
    text = head.removeprefix(_MARK).lstrip()
    if head[:1] == b"\x30" or text.startswith(b"-----BEGIN"):
        return "CADES"
    if text.startswith(b"<"):
        return "XADES"
    if text.startswith((b"{", b"ey")):
        return "JADES"
    if _FIELD.match(text):
        return "SMIME"
    raise DocumentDamaged(
        "the file is no signed document of a known format: send a PDF file, a CMS, XML or JSON signature, or an "
        "ASiC container",
        reason="format",
    )
