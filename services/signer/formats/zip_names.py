"""Names of members: what is a name of a file inside a container, and when two names are one."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

from services.kernel.errors import FieldInvalid

if TYPE_CHECKING:
    from services.kernel.errors import DomainError

MAX_NAME_BYTES = 1024
"""In UTF-8: 255 characters, whatever they are."""
_DRIVE = re.compile(r"[A-Za-z]:")
_BIDI = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Characters that turn a name round for the eye."""
_RESERVED = ("meta-inf", "mimetype")


def identity(name: str) -> str:
    """Return what is equal for names that some file system takes for one: NFC, without case."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def require_harmless(name: str, error: type[DomainError], **data: str | int) -> None:
    """Raise `error` where a name may lead out of the folder that a container is unpacked to, or cannot be shown."""
    shown = repr(name[:80])
    if not name or len(name.encode("utf-8", "replace")) > MAX_NAME_BYTES:
        raise error(f"a file of a container needs a name of at most {MAX_NAME_BYTES} bytes", **data)
    if name.startswith("/") or _DRIVE.match(name) or "\\" in name:
        raise error(
            f"the name {shown} is absolute or holds a backslash: name files relatively, with /", **data
        )
    if any(segment in {"", ".", ".."} for segment in name.split("/")):
        raise error(f"the name {shown} holds an empty segment, . or ..", **data)
    if any(unicodedata.category(character) in {"Cc", "Cs"} or character in _BIDI for character in name):
        raise error(f"the name {shown} holds control characters", **data)


def require_content_names(names: list[str]) -> None:
    """Raise FieldInvalid where files cannot be the contents of one container under these names."""
    seen: dict[str, str] = {}
    for name in names:
        require_harmless(name, FieldInvalid, field="file_name")
        if not unicodedata.is_normalized("NFC", name):
            raise FieldInvalid(
                f"the name {name[:80]!r} is not Unicode NFC: write it composed", field="file_name"
            )
        key = identity(name)
        if key.split("/")[0] in _RESERVED:
            raise FieldInvalid(
                f"the name {name[:80]!r} is the container's own: choose another", field="file_name"
            )
        if key in seen:
            raise FieldInvalid(
                f"the names {seen[key][:80]!r} and {name[:80]!r} are one: give each file a name of its own",
                field="file_name",
            )
        seen[key] = name
    for key in seen:
        parts = key.split("/")
        if any("/".join(parts[:depth]) in seen for depth in range(1, len(parts))):
            raise FieldInvalid(
                f"the name {seen[key][:80]!r} is a file's and a folder's at once", field="file_name"
            )
