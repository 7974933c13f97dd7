"""What single fields of a request may hold, whoever sends it."""

from __future__ import annotations

import re

from services.kernel.errors import FieldInvalid

MAX_FREE_TEXT = 200
"""Characters of reference, reason and location."""
MAX_FILE_NAME = 255

_ID = re.compile(r"[a-z]{1,8}_[0-9A-Za-z_-]{1,55}")
_IDEMPOTENCY_KEY = re.compile(r"[\x21-\x7e]{1,128}")


def require_id(value: str, field: str) -> str:
    """Return an identifier "<prefix>_<characters>" of at most 64 characters, or raise FieldInvalid."""
    if not _ID.fullmatch(value):
        raise FieldInvalid(f'{field} must be an identifier such as "cr_01j8…"', field=field)
    return value


def require_idempotency_key(value: str) -> str:
    """Return the client's key for at-most-once, or raise FieldInvalid."""
    if not _IDEMPOTENCY_KEY.fullmatch(value):
        raise FieldInvalid(
            "idempotency_key must be 1 to 128 printable ASCII characters without spaces; make a new one for each request",
            field="idempotency_key",
        )
    return value


def require_text(value: str, field: str, limit: int = MAX_FREE_TEXT) -> str:
    """Return a line of free text without control characters, or raise FieldInvalid."""
    if len(value) > limit or not value.isprintable():
        raise FieldInvalid(
            f"{field} must be at most {limit} characters without control characters", field=field
        )
    return value
