"""Reading JSON from outside: strictly, field by field, each failure naming the field.

A model for each body would cost the hash road a good part of its time; reading by hand costs about as much as
`json.loads` itself.
"""

from __future__ import annotations

import binascii
import json
import unicodedata
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NoReturn, TypeVar

from services.kernel.errors import Base64Invalid, DomainError, FieldInvalid, JsonInvalid

T = TypeVar("T")
MAX_TEXT = 200


class _Refused(ValueError):
    pass


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # Two parsers that choose differently between doubled names would see two requests in one.
    value = dict(pairs)
    if len(value) != len(pairs):
        raise _Refused("a name stands twice in one object")
    return value


def _constant(name: str) -> NoReturn:
    raise _Refused(f"{name} is not JSON")


_DECODE = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_constant).decode


def parse_object(raw: bytes, what: str = "the body") -> Fields:
    """Read one JSON object (RFC 8259, UTF-8); raise JsonInvalid that says where it goes wrong."""
    try:
        value = _DECODE(raw.decode("utf-8"))
    except json.JSONDecodeError as error:
        raise JsonInvalid(
            f"{what} is not JSON: {error.msg} at line {error.lineno}, column {error.colno}"
        ) from None
    except UnicodeDecodeError as error:
        raise JsonInvalid(f"{what} is not UTF-8 text: byte {error.start}") from None
    except RecursionError:
        raise JsonInvalid(f"{what} is nested too deeply") from None
    except ValueError as error:
        # A doubled name, a NaN, or a number of thousands of digits.
        text = str(error) if isinstance(error, _Refused) else "a number is too long"
        raise JsonInvalid(f"{what} is refused: {text}") from None
    if not isinstance(value, dict):
        raise JsonInvalid(f"{what} must be a JSON object")
    return Fields(value)


def clean_text(name: str, value: str, maximum: int) -> str:
    """Return text that can be shown, stored and sent on; raise FieldInvalid for control characters and lone surrogates."""
    if len(value) > maximum:
        raise FieldInvalid(f"field {name!r} is longer than {maximum} characters", field=name, maximum=maximum)
    if not value.isprintable() and any(unicodedata.category(c) in {"Cc", "Cs"} for c in value):
        raise FieldInvalid(f"field {name!r} holds control characters or half a character", field=name)
    return value


class Fields:
    """The members of one JSON object. Each is taken once; `done()` refuses what nobody took."""

    __slots__ = ("_path", "_rest")

    def __init__(self, members: dict[str, Any], path: str = "") -> None:
        """Take the members, and where they stand in the body, such as "pdf.visible."; errors name fields by it."""
        self._rest = members
        self._path = path

    def _take(self, name: str) -> Any:
        return self._rest.pop(name, None)

    def __contains__(self, name: str) -> bool:
        """Tell whether a member is there, and not null, and not taken yet."""
        return self._rest.get(name) is not None

    def text(self, name: str, maximum: int = MAX_TEXT) -> str:
        """Return a required text."""
        value = self._take(name)
        if value is None or value == "":
            raise self._wrong(name, "is required")
        return self._checked(name, value, maximum)

    def optional_text(self, name: str, maximum: int = MAX_TEXT) -> str:
        """Return a text, or "" where it is absent or null."""
        value = self._take(name)
        return "" if value is None else self._checked(name, value, maximum)

    def _wrong(self, name: str, what: str, **data: int) -> FieldInvalid:
        field = self._path + name
        return FieldInvalid(f"field {field!r} {what}", field=field, **data)

    def _checked(self, name: str, value: Any, maximum: int) -> str:
        if not isinstance(value, str):
            raise self._wrong(name, "must be text")
        return clean_text(self._path + name, value, maximum)

    def choice(
        self,
        name: str,
        options: Mapping[str, T],
        *,
        default: T | None = None,
        error: type[DomainError] = FieldInvalid,
    ) -> T:
        """Return what a word stands for; raise `error` for another word, FieldInvalid where it is missing."""
        value = self._take(name)
        if value is None:
            if default is None:
                raise self._wrong(name, f"is required: one of {', '.join(options)}")
            return default
        if not isinstance(value, str) or value not in options:
            field = self._path + name
            shown = (
                clean_text(field, value, MAX_TEXT)[:40] if isinstance(value, str) else type(value).__name__
            )
            raise error(f"field {field!r} is {shown!r}, not one of {', '.join(options)}", field=field)
        return options[value]

    def integer(self, name: str, low: int, high: int, default: int | None) -> int:
        """Return a whole number within bounds, or `default` where it is absent or null; None: it is required."""
        value = self._take(name)
        if value is None and default is not None:
            return default
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise self._wrong(name, f"must be a whole number from {low} to {high}")
        return value

    def number(self, name: str, low: float, high: float, default: float | None) -> float:
        """Return a number within bounds, or `default` where it is absent or null; None: it is required."""
        value = self._take(name)
        if value is None and default is not None:
            return default
        # Bounds also refuse what JSON writes as 1e999 and Python reads as infinity.
        if not isinstance(value, int | float) or isinstance(value, bool) or not low <= value <= high:
            raise self._wrong(name, f"must be a number from {low:g} to {high:g}")
        return float(value)

    def flag(self, name: str, *, default: bool = False) -> bool:
        """Return true or false."""
        value = self._take(name)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise self._wrong(name, "must be true or false")
        return value

    def time(self, name: str) -> datetime | None:
        """Return an RFC 3339 time as aware UTC, or None where it is absent or null."""
        value = self._take(name)
        if value is None:
            return None
        return parse_time(self._path + name, self._checked(name, value, 64))

    def binary(self, name: str, maximum: int) -> bytes | None:
        """Return at most `maximum` bytes that are given in base64, or None where they are absent or null."""
        value = self._take(name)
        if value is None:
            return None
        field = self._path + name
        (decoded,) = base64_values(field, [self._checked(name, value, 4 * -(-maximum // 3))])
        if len(decoded) > maximum:
            raise self._wrong(name, f"is longer than {maximum} bytes", maximum=maximum)
        return decoded

    def required_items(self, name: str) -> list[Any]:
        """Return a required list as it is, however long."""
        value = self._take(name)
        if not isinstance(value, list):
            raise self._wrong(name, "is required: a list")
        return value

    def items(self, name: str, maximum: int) -> list[Any]:
        """Return a list of at most `maximum` items; empty where it is absent or null."""
        value = self._take(name)
        if value is None:
            return []
        if not isinstance(value, list):
            raise self._wrong(name, "must be a list")
        if len(value) > maximum:
            raise self._wrong(name, f"has more than {maximum} items", maximum=maximum)
        return value

    def texts(self, name: str, maximum: int = 100, length: int = MAX_TEXT) -> list[str]:
        """Return a list of texts; empty where it is absent or null."""
        return [
            self._checked(f"{name}[{i}]", item, length) for i, item in enumerate(self.items(name, maximum))
        ]

    def optional_object(self, name: str) -> dict[str, Any] | None:
        """Return a JSON object as it is, or None where it is absent or null."""
        value = self._take(name)
        if value is not None and not isinstance(value, dict):
            raise self._wrong(name, "must be an object")
        return value

    def nested(self, name: str) -> Fields | None:
        """Return the fields of an object within this one, or None where it is absent or null."""
        value = self.optional_object(name)
        # A copy: an object that several items share is read once for each of them.
        return None if value is None else Fields(dict(value), f"{self._path}{name}.")

    def rest(self) -> dict[str, Any]:
        """Return every member that nobody took, as it is; they count as taken then."""
        members, self._rest = self._rest, {}
        return members

    def done(self) -> None:
        """Refuse members that nobody took: a misspelt name must not silently do nothing."""
        if self._rest:
            name = next(iter(self._rest))
            shown = self._path + "".join(c if c.isprintable() else "?" for c in name[:60])
            raise FieldInvalid(f"field {shown!r} is not known here", field=shown)


def parse_time(name: str, text: str) -> datetime:
    """Read an RFC 3339 time as aware UTC; raise FieldInvalid for anything else."""
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None or "T" not in text.upper():
            raise ValueError(text)
        return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise FieldInvalid(
            f"field {name!r} must be an RFC 3339 time such as 2026-01-31T08:00:00Z", field=name
        ) from None


def base64_values(name: str, items: list[Any]) -> list[bytes]:
    """Decode a list of standard base64 texts; raise Base64Invalid that names the item."""
    decoded = []
    decode = binascii.a2b_base64
    for index, item in enumerate(items):
        if not isinstance(item, str):
            raise FieldInvalid(f"{name}[{index}] must be base64 text", field=name, index=index)
        try:
            decoded.append(decode(item, strict_mode=True))
        except ValueError:
            raise Base64Invalid(
                f"{name}[{index}] is not standard base64 with padding (RFC 4648 section 4)",
                field=name,
                index=index,
            ) from None
    return decoded
