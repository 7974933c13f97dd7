"""The one place where a PDF parser's failures on hostile bytes become an error that names them."""

from __future__ import annotations

import zlib
from contextlib import contextmanager
from decimal import InvalidOperation
from typing import TYPE_CHECKING

from pyhanko.pdf_utils.misc import PdfError

from services.kernel.errors import DocumentDamaged

if TYPE_CHECKING:
    from collections.abc import Iterator

_MAX_DETAIL_CHARACTERS = 160
_FAILURES = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    InvalidOperation,
    LookupError,
    NotImplementedError,
    RecursionError,
    TypeError,
    ValueError,
    zlib.error,
)
"""What the parser raises where an object is of another type than it takes for granted."""


@contextmanager
def reading_pdf() -> Iterator[None]:
    """Turn whatever a parser raises within into DocumentDamaged; what we raise ourselves passes."""
    try:
        yield
    except PdfError as error:
        # These messages name structure and positions; those of other exceptions may hold anything.
        raise _damaged(str(error)[:_MAX_DETAIL_CHARACTERS], error) from error
    except _FAILURES as error:
        raise _damaged(type(error).__name__, error) from error


def _damaged(detail: str, error: Exception) -> DocumentDamaged:
    return DocumentDamaged(f"the document cannot be read: {detail}", reason=type(error).__name__)
