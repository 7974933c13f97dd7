"""Write settings as TOML: nested sections of texts, numbers, booleans, lists, and lists of
flat tables. The standard library only reads it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

Row = Mapping[str, str | bool | Sequence[str]]
Value = str | int | float | bool | Path | Sequence[str] | Sequence[Row]
Section = Mapping[str, "Value | Section"]


def toml_text(settings: Section) -> str:
    """Return `settings` as one TOML document; plain keys come before the sections, as the format demands."""
    return "\n".join(_lines(settings, ())) + "\n"


def _lines(section: Section, path: tuple[str, ...]) -> Iterator[str]:
    if path and any(not isinstance(value, Mapping) for value in section.values()):
        yield f"\n[{'.'.join(path)}]"
    for key, value in section.items():
        if not isinstance(value, Mapping):
            yield f"{key} = {_value(value)}"
    for key, value in section.items():
        if isinstance(value, Mapping):
            yield from _lines(value, (*path, key))


def _value(value: Value) -> str:
    if isinstance(value, list):
        return f"[{', '.join(_inline(item) for item in value)}]"
    if isinstance(value, Path):
        value = str(value)
    # A JSON text, number or boolean is a TOML one, as long as DEL is escaped too.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _inline(item: str | Row) -> str:
    if isinstance(item, Mapping):
        return "{" + ", ".join(f"{key} = {_value(value)}" for key, value in item.items()) + "}"
    return _value(item)
