"""Encrypted PDF files that open without a password (ISO 32000-2 7.6): everybody can read those.

Deciphering is pyHanko's; it is loaded only for such files.
"""

from __future__ import annotations

from services.verifier.formats.pdf_file import PdfFile
from services.verifier.formats.pdf_syntax import PdfError, Ref, Value


class PasswordNeeded(PdfError):
    """The file cannot be read without a password."""


def open_without_password(file: PdfFile) -> None:
    """Make the streams of an encrypted file readable. Raises PasswordNeeded, PdfError."""
    stated = file.last.stated("Encrypt")
    if stated is None:
        return
    # Loaded here, as most files are not encrypted and the library takes long to load.
    from services.verifier.formats import pdf_cipher

    identifier = file.last.array(file.last.stated("ID"))
    first = identifier[0] if identifier and isinstance(identifier[0], bytes) else b""
    cipher = pdf_cipher.without_password(_direct(file, stated), first)
    if cipher is None:
        raise PasswordNeeded("the document needs a password")
    file.decipher_with(cipher, stated.number if isinstance(stated, Ref) else 0)


def _direct(file: PdfFile, stated: Value) -> dict[str, Value]:
    """The dictionary with everything in it that is given by reference."""
    found = file.last.resolve(stated)
    if not isinstance(found, dict):
        raise PdfError("the encryption dictionary is none")
    return {key: file.last.resolve(value) for key, value in found.items()}
