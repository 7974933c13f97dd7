"""JSON (RFC 8259), base64url and base64 as signatures carry them: read strictly, so that one text has one meaning."""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
from typing import Any

MAX_DEPTH = 32
MAX_VALUES = 200_000
"""Opening brackets and commas in one text: bounds what it takes in memory before it is parsed."""
MAX_NUMBER = 40
"""Characters of one number."""
_STRUCTURE = re.compile(
    rb'[^"\[{\]},]*+(?:"[^"\\]*+(?:\\.[^"\\]*+)*+"[^"\[{\]},]*+){0,2}+([\[{\]},]|\Z)', re.DOTALL
)
"""Up to the next bracket or comma that stands in no string: there is a name and a value before it, or less.

Nothing is tried twice: the time is that of the length.
"""
_BASE64URL = re.compile(r"[A-Za-z0-9_-]*")
_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
_DROPPED_BITS = {2: 0x0F, 3: 0x03}
"""Bits of the last character that decoding drops, by length modulo 4."""


class TextError(ValueError):
    """The text cannot be read in one way alone; the message says what is wrong and quotes no content."""


class TextLimit(TextError):
    """The text nests deeper or has more values than is read."""


def parse_json(data: bytes, limit: int = MAX_VALUES) -> Any:
    """The value of a JSON text in UTF-8: no doubled names, no NaN, no numbers without end, no half characters.

    `limit` is of values. Raises TextError, TextLimit.
    """
    values_in(data, limit)
    try:
        value = json.loads(
            data.decode("utf-8"),
            object_pairs_hook=_members,
            parse_constant=_constant,
            parse_float=_decimal,
            parse_int=_integer,
        )
    except TextError:
        raise
    except RecursionError as error:
        raise TextLimit(f"the JSON text nests deeper than {MAX_DEPTH} levels") from error
    except ValueError as error:
        # The parser's own text names line and column, the decoder's the octet: no content.
        raise TextError(f"the text is not JSON in UTF-8 ({type(error).__name__})") from error
    if b"\\u" in data:
        _whole_characters(value)
    return value


def from_base64url(text: str, what: str) -> bytes:
    """Decode base64url without padding (RFC 7515 2), which must be written the one right way. Raises TextError.

    Bits that decoding drops could be changed unseen.
    """
    if _BASE64URL.fullmatch(text) is None:
        raise TextError(f"{what} is not base64url")
    rest = len(text) % 4
    if rest == 1:
        raise TextError(f"{what} is not base64url of whole octets")
    if rest and _ALPHABET.index(text[-1]) & _DROPPED_BITS[rest]:
        raise TextError(f"{what} is base64url with bits that mean nothing")
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def to_base64url(data: bytes) -> bytes:
    """Base64url without padding (RFC 7515 2)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def from_base64(text: Any, what: str) -> bytes:
    """Decode base64 (RFC 4648 4), as certificates and tokens are written in JSON. Raises TextError."""
    if not isinstance(text, str):
        raise TextError(f"{what} is not a text")
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise TextError(f"{what} is not base64") from error


def values_in(data: bytes, limit: int = MAX_VALUES) -> int:
    """How many values a JSON text has at least, without parsing it. Raises TextError, TextLimit."""
    depth = count = position = 0
    while position < len(data):
        match = _STRUCTURE.match(data, position)
        if match is None:
            raise TextError("the text is not JSON")
        position, mark = match.end(), match.group(1)
        if mark in (b"[", b"{"):
            depth += 1
        elif mark in (b"]", b"}"):
            depth -= 1
        count += mark in (b"[", b"{", b",")
        if depth > MAX_DEPTH:
            raise TextLimit(f"the JSON text nests deeper than {MAX_DEPTH} levels")
        if count > limit:
            raise TextLimit(f"the JSON text has more than {limit} values")
        if depth < 0:
            raise TextError("the JSON text closes what it did not open")
    return count


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise TextError("a JSON object has the same name twice")
    return members


def _constant(_text: str) -> Any:
    raise TextError("the JSON text holds NaN or Infinity")


def _integer(text: str) -> int:
    if len(text) > MAX_NUMBER:
        raise TextError(f"the JSON text holds a number of more than {MAX_NUMBER} characters")
    return int(text)


def _decimal(text: str) -> float:
    value = float(text) if len(text) <= MAX_NUMBER else math.inf
    if not math.isfinite(value):
        raise TextError("the JSON text holds a number that is too large or too long")
    return value


def _whole_characters(value: Any) -> None:
    """Escapes can write half of a surrogate pair, which is no character."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            waiting += [*one.keys(), *one.values()]
        elif isinstance(one, list):
            waiting += one
        elif isinstance(one, str):
            try:
                one.encode("utf-8")
            except UnicodeEncodeError as error:
                raise TextError("the JSON text holds half of a character") from error
