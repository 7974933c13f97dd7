"""The interactive form of a PDF file (ISO 32000-2 12.7), as of one revision."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from services.verifier.formats.pdf_file import View
from services.verifier.formats.pdf_syntax import PdfError, PdfLimit, Ref, Value, name

MAX_FIELDS = 20_000
MAX_FIELD_DEPTH = 32
MAX_NAME_CHARACTERS = 4096
"""Of a field's full name."""


@dataclass(frozen=True, slots=True)
class Field:
    """A node of the form. `name` is its full name; `number` 0 where it is no object of its own.

    `own` is its own partial name, None for a widget of the field above it; `kind` may be inherited; `array` is the
    number of the indirect array that lists its children, 0 where there is none.
    """

    name: str
    own: bytes | None
    kind: str
    number: int
    dictionary: dict[str, Value]
    array: int = 0

    @property
    def signature(self) -> dict[str, Value] | Ref | None:
        """The raw value of a signature field; None where it is not filled, or is another field."""
        value = self.dictionary.get("V")
        return value if self.kind == "Sig" and isinstance(value, dict | Ref) else None


def text(value: object) -> str:
    """A text string for people (7.9.2.2)."""
    if not isinstance(value, bytes):
        return ""
    if value[:2] == b"\xfe\xff":
        return value[2:].decode("utf-16-be", "replace")
    if value[:3] == b"\xef\xbb\xbf":
        return value[3:].decode("utf-8", "replace")
    return value.decode("latin-1")


def fields(view: View) -> Iterator[Field]:
    """Every node of the form, parents before their children, in the order of the form.

    Raises PdfError, also for a part of the form that is there and cannot be read: a signature in it would be passed
    over. Raises PdfLimit.
    """
    form = _dictionary(view, view.root.get("AcroForm"), "the form") or {}
    roots = _list(view, form.get("Fields"), "the list of the form's fields")
    pending: list[tuple[Value, str, str, int]] = [(item, "", "", 0) for item in reversed(roots)]
    seen: set[int] = set()
    count = 0
    while pending:
        item, prefix, kind, depth = pending.pop()
        count += 1
        if count > MAX_FIELDS or depth > MAX_FIELD_DEPTH:
            raise PdfLimit("the form is too large or too deep")
        number = item.number if isinstance(item, Ref) else 0
        if number in seen:
            continue
        if number:
            seen.add(number)
        dictionary = _dictionary(view, item, "a field of the form")
        if dictionary is None:
            continue
        own = view.entry(dictionary, "T")
        partial = own if isinstance(own, bytes) else None
        full = ".".join(part for part in (prefix, text(partial)) if part)
        if len(full) > MAX_NAME_CHARACTERS:
            raise PdfLimit(f"the name of a form field has more than {MAX_NAME_CHARACTERS} characters")
        kind = name(view.existing(dictionary.get("FT"))) or kind
        kids = dictionary.get("Kids")
        array = kids.number if isinstance(kids, Ref) else 0
        yield Field(full, partial, kind, number, dictionary, array)
        below = _list(view, kids, "the list of the fields below one of the form")
        pending.extend((kid, full, kind, depth + 1) for kid in reversed(below))


def _dictionary(view: View, value: Value, what: str) -> dict[str, Value] | None:
    """What stands in a place of the form; None for null, which is not there (7.3.10). Raises PdfError."""
    found = view.existing(value)
    if found is None or isinstance(found, dict):
        return found
    raise PdfError(f"{what} is no dictionary")


def _list(view: View, value: Value, what: str) -> list[Value]:
    """The same for an array, empty for null."""
    found = view.existing(value)
    if found is None or isinstance(found, list):
        return found or []
    raise PdfError(f"{what} is no array")
