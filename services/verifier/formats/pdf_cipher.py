"""Deciphering of PDF files that open without a password, by pyHanko's standard security handler.

Imported by `pdf_encryption` for encrypted files only.
"""

from __future__ import annotations

import logging
from typing import Any

from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.crypt import AuthStatus, SecurityHandler, StandardSecurityHandler

from services.verifier.formats.pdf_file import Cipher
from services.verifier.formats.pdf_syntax import PdfError, Stream, Value, name

# The library reports every oddity of a hostile file; the findings say what matters.
logging.getLogger("pyhanko").setLevel(logging.CRITICAL)
MAX_DEPTH = 8
"""Of an encryption dictionary."""


def without_password(entries: dict[str, Value], identifier: bytes) -> Cipher | None:
    """The cipher of a file whose user password is empty; None where it needs another. Raises PdfError."""
    try:
        handler = SecurityHandler.build(_generic(entries, 0))
        if not isinstance(handler, StandardSecurityHandler):
            return None
        if handler.authenticate("", id1=identifier).status is AuthStatus.FAILED:
            return None
    except PdfError:
        raise
    except Exception as error:
        # The library raises many kinds on hostile dictionaries; all mean the same.
        raise PdfError(
            f"the file is encrypted in a way that cannot be read ({type(error).__name__})"
        ) from error
    return _Standard(handler)


class _Standard(Cipher):
    """The standard security handler, unlocked."""

    def __init__(self, handler: StandardSecurityHandler) -> None:
        self._handler: Any = handler

    def stream(self, stream: Stream) -> bytes:
        """Data of a stream without its encryption; those of cross-references have none (7.5.8.2)."""
        if stream.entries.get("Type") == "XRef":
            return stream.raw
        wanted = _crypt_filter(stream.entries)
        return self._decrypt(
            self._handler.get_stream_filter(name=wanted), stream.number, stream.generation, stream.raw
        )

    def string(self, value: bytes, number: int, generation: int) -> bytes:
        """A string of an object of the file without its encryption, where it has one."""
        try:
            return self._decrypt(self._handler.get_string_filter(), number, generation, value)
        except PdfError:
            # As it stands: one string that cannot be read must not take its object with it.
            return value

    def _decrypt(self, crypt_filter: Any, number: int, generation: int, data: bytes) -> bytes:
        try:
            return bytes(crypt_filter.decrypt(crypt_filter.derive_object_key(number, generation), data))
        except Exception as error:
            # As above, on hostile data.
            raise PdfError(f"something encrypted cannot be read ({type(error).__name__})") from error


def _crypt_filter(entries: dict[str, Value]) -> str | None:
    """Name of the crypt filter that a stream names for itself (7.4.10), as the library writes names."""
    filters, parameters = entries.get("Filter"), entries.get("DecodeParms")
    first = filters[0] if isinstance(filters, list) and filters else filters
    stated = parameters[0] if isinstance(parameters, list) and parameters else parameters
    if name(first) != "Crypt":
        return None
    chosen = name(stated.get("Name")) if isinstance(stated, dict) else ""
    return f"/{chosen or 'Identity'}"


def _generic(value: Value, depth: int) -> Any:
    """An object as the library has it."""
    if depth > MAX_DEPTH:
        raise PdfError("the encryption dictionary is too deep")
    if isinstance(value, dict):
        pairs = {generic.pdf_name("/" + key): _generic(item, depth + 1) for key, item in value.items()}
        return generic.DictionaryObject(pairs)  # type: ignore[no-untyped-call]
    if isinstance(value, list):
        return generic.ArrayObject(_generic(item, depth + 1) for item in value)
    if isinstance(value, bytes):
        return generic.ByteStringObject(value)
    if isinstance(value, bool):
        return generic.BooleanObject(value)  # type: ignore[no-untyped-call]
    if isinstance(value, str):
        return generic.pdf_name("/" + value)
    if isinstance(value, int):
        return generic.NumberObject(value)  # type: ignore[no-untyped-call]
    raise PdfError("the encryption dictionary holds something that does not belong there")
