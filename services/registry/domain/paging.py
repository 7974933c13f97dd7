"""Pages: keyset paging by an opaque token that holds the last row's key."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from services.kernel.errors import FieldInvalid

DEFAULT_SIZE = 50
MAX_SIZE = 200

_KEY = re.compile(r"[A-Za-z0-9_]{1,64}")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Page:
    """What a list call asks for: how many rows, after which key (empty: from the first)."""

    size: int
    after: str

    @classmethod
    def parse(cls, size: int, token: str) -> Page:
        """Read page_size and page_token of a request; raise FieldInvalid for any other than we gave out."""
        if not 0 <= size <= MAX_SIZE:
            raise FieldInvalid(
                f"page_size must be 1 to {MAX_SIZE}, or 0 for {DEFAULT_SIZE}", field="page_size"
            )
        return cls(size or DEFAULT_SIZE, _read(token))

    def number(self) -> int:
        """Return the key as a number (0 for the first page); raise FieldInvalid where it is none."""
        if not self.after:
            return 0
        if not self.after.isdigit() or len(self.after) > 18:
            raise _wrong()
        return int(self.after)


@dataclass(frozen=True, slots=True)
class Rows(Generic[T]):
    """One page of rows and the token of the next; empty on the last."""

    rows: Sequence[T]
    next_token: str

    @classmethod
    def cut(cls, found: Sequence[T], page: Page, key: Callable[[T], str]) -> Rows[T]:
        """Cut rows that were read one beyond the page's size."""
        rows = found[: page.size]
        more = len(found) > page.size
        return cls(rows, base64.urlsafe_b64encode(key(rows[-1]).encode()).decode() if more else "")


def _read(token: str) -> str:
    if not token:
        return ""
    try:
        key = base64.b64decode(token[:200], altchars=b"-_", validate=True).decode("ascii")
    except (binascii.Error, UnicodeDecodeError):
        raise _wrong() from None
    if not _KEY.fullmatch(key):
        raise _wrong()
    return key


def _wrong() -> FieldInvalid:
    return FieldInvalid("page_token is not one that an earlier answer gave", field="page_token")
