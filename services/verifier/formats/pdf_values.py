"""Whether values of a PDF file are what they are taken for: copies of each other, metadata, a place that shows."""

from __future__ import annotations

from lxml import etree

from services.verifier.formats.pdf_file import View
from services.verifier.formats.pdf_syntax import MEASURES, Ref, Stream, Value, same

MAX_COMPARED = 5_000
"""Values, to tell whether one is a copy of another; of larger ones it is not told."""
MAX_METADATA_BYTES = 4 * 1024 * 1024
_Pair = tuple[Value, Value, bool]
"""Two values, and whether they stand where a whole number and a real one may be the same."""


def equal(old: View, new: View, one: Value, other: Value, key: str = "") -> bool:
    """True for the same value, or a copy of it under other object numbers. The same number is the same object here.

    `one` is of the view `old`, `other` of the view `new`; `key` is where both stand in a dictionary.
    """
    pending: list[_Pair] = [(one, other, key in MEASURES)]
    seen: set[_Pair] = set()
    left = MAX_COMPARED
    while pending:
        before, after, measure = pending.pop()
        left -= 1
        if left < 0:
            return False
        if isinstance(before, Ref) or isinstance(after, Ref):
            if before == after:
                continue
            if isinstance(before, Ref) and isinstance(after, Ref):
                if (before, after, measure) in seen:
                    continue
                seen.add((before, after, measure))
            before, after = old.resolve(before), new.resolve(after)
        members = _members(before, after, measure)
        if members is None:
            return False
        new.file.spend(1 + len(members))
        pending.extend(members)
    return True


def _members(before: Value, after: Value, measure: bool) -> list[_Pair] | None:
    """What has to be the same inside of two values for them to be; None where they are not."""
    if isinstance(before, Stream) and isinstance(after, Stream):
        return [(before.entries, after.entries, False)] if before.holds_same(after) else None
    if isinstance(before, dict) and isinstance(after, dict):
        same_keys = before.keys() == after.keys()
        return [(value, after[key], key in MEASURES) for key, value in before.items()] if same_keys else None
    if isinstance(before, list) and isinstance(after, list):
        pairs = zip(before, after, strict=True) if len(before) == len(after) else None
        return [(*pair, measure) for pair in pairs] if pairs is not None else None
    return [] if same(before, after, measure=measure) else None


def is_xmp(data: bytes) -> bool:
    """True for well-formed XMP (ISO 16684-1) without entities."""
    if len(data) > MAX_METADATA_BYTES or b"<!ENTITY" in data:
        return False
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
    try:
        root = etree.fromstring(data.strip(b"\0\t\n\x0c\r "), parser)
    except (etree.XMLSyntaxError, ValueError):
        return False
    return isinstance(root.tag, str) and root.tag == "{adobe:ns:meta/}xmpmeta"


def shows(view: View, annotation: dict[str, Value]) -> bool:
    """True where an annotation takes up room on its page; also where what it says of that cannot be read."""
    rectangle = view.array(annotation.get("Rect"))
    corners = [view.resolve(item) for item in rectangle]
    numbers = [float(c) for c in corners if isinstance(c, int | float) and not isinstance(c, bool)]
    if not rectangle:
        return False
    if len(numbers) != 4 or len(corners) != 4:
        return True
    return abs(numbers[0] - numbers[2]) * abs(numbers[1] - numbers[3]) > 0
