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

    __slots__ = ("_rest",)

    def __init__(self, members: dict[str, Any]) -> None:
        """Take the members."""
        self._rest = members

    def _take(self, name: str) -> Any:
        return self._rest.pop(name, None)

    def text(self, name: str, maximum: int = MAX_TEXT) -> str:
        """Return a required text."""
        value = self._take(name)
        if value is None or value == "":
            raise FieldInvalid(f"field {name!r} is required", field=name)
        return self._checked(name, value, maximum)

    def optional_text(self, name: str, maximum: int = MAX_TEXT) -> str:
        """Return a text, or "" where it is absent or null."""
        value = self._take(name)
        return "" if value is None else self._checked(name, value, maximum)

    @staticmethod
    def _checked(name: str, value: Any, maximum: int) -> str:
        if not isinstance(value, str):
            raise FieldInvalid(f"field {name!r} must be text", field=name)
        return clean_text(name, value, maximum)

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
                raise FieldInvalid(f"field {name!r} is required: one of {', '.join(options)}", field=name)
            return default
        if not isinstance(value, str) or value not in options:
            shown = clean_text(name, value, MAX_TEXT)[:40] if isinstance(value, str) else type(value).__name__
            raise error(f"field {name!r} is {shown!r}, not one of {', '.join(options)}", field=name)
        return options[value]

    def integer(self, name: str, low: int, high: int, default: int) -> int:
        """Return a whole number within bounds, or `default` where it is absent or null."""
        value = self._take(name)
        if value is None:
            return default
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise FieldInvalid(f"field {name!r} must be a whole number from {low} to {high}", field=name)
        return value

    def flag(self, name: str, *, default: bool = False) -> bool:
        """Return true or false."""
        value = self._take(name)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise FieldInvalid(f"field {name!r} must be true or false", field=name)
        return value

    def time(self, name: str) -> datetime | None:
        """Return an RFC 3339 time as aware UTC, or None where it is absent or null."""
        value = self._take(name)
        if value is None:
            return None
        return parse_time(name, self._checked(name, value, 64))

    def required_items(self, name: str) -> list[Any]:
        """Return a required list as it is, however long."""
        value = self._take(name)
        if not isinstance(value, list):
            raise FieldInvalid(f"field {name!r} is required: a list", field=name)
        return value

    def items(self, name: str, maximum: int) -> list[Any]:
        """Return a list of at most `maximum` items; empty where it is absent or null."""
        value = self._take(name)
        if value is None:
            return []
        if not isinstance(value, list):
            raise FieldInvalid(f"field {name!r} must be a list", field=name)
        if len(value) > maximum:
            raise FieldInvalid(f"field {name!r} has more than {maximum} items", field=name, maximum=maximum)
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
            raise FieldInvalid(f"field {name!r} must be an object", field=name)
        return value

    def done(self) -> None:
        """Refuse members that nobody took: a misspelt name must not silently do nothing."""
        if self._rest:
            name = next(iter(self._rest))
            shown = "".join(c if c.isprintable() else "?" for c in name[:60])
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
