"""Decoding of the streams that a verifier has to look into (ISO 32000-2 7.4), within a budget for the whole file."""

from __future__ import annotations

import base64
import binascii
import itertools
import zlib

from services.verifier.formats.pdf_syntax import PdfError, PdfLimit, Value, integer, name

MAX_STREAM_BYTES = 32 * 1024 * 1024
"""Decoded, of one stream."""
MAX_PREDICTED_BYTES = 8 * 1024 * 1024
"""Decoded, of one stream with a predictor, which is undone octet by octet."""
MAX_DOCUMENT_BYTES = 256 * 1024 * 1024
"""Of all streams of a file together, before and after each filter."""
MAX_ARMOURED_BYTES = 1024 * 1024
"""Of one stream in ASCII base-85, which is read octet by octet."""
MAX_PACKED_BYTES = 1024 * 1024
"""Of one stream by LZW or run lengths, which are undone code by code; decoded, MAX_PREDICTED_BYTES."""
MAX_FILTERS = 4
MAX_COLUMNS = 1024
_WHITE = bytes.maketrans(b"", b""), b"\x00\t\n\x0c\r "
_FLATE, _HEX, _ASCII85 = ("FlateDecode", "Fl"), ("ASCIIHexDecode", "AHx"), ("ASCII85Decode", "A85")
_LZW, _RUNS = ("LZWDecode", "LZW"), ("RunLengthDecode", "RL")
_CLEAR, _END, _MAX_CODES = 256, 257, 4096
_END_OF_RUNS = 128
_TIFF = 2


class Budget:
    """How many decoded bytes a file may still cost."""

    def __init__(self, size: int = MAX_DOCUMENT_BYTES) -> None:
        """`size` in bytes."""
        self._left = size

    def spend(self, size: int) -> None:
        """Raises PdfLimit where it is used up."""
        self._left -= size
        if self._left < 0:
            raise PdfLimit("the streams of the file come to more than is decoded")


def decoded(entries: dict[str, Value], raw: bytes, budget: Budget, limit: int = MAX_STREAM_BYTES) -> bytes:
    """A stream's data without its filters. Raises PdfError for what cannot be read, PdfLimit for what is too much.

    Values of /Filter and /DecodeParms have to stand in the stream's dictionary itself.
    """
    filters, parameters = _list(entries.get("Filter")), _list(entries.get("DecodeParms"))
    if len(filters) > MAX_FILTERS:
        raise PdfLimit(f"more than {MAX_FILTERS} filters on one stream")
    if len(raw) > limit:
        raise PdfLimit("a stream is larger than is decoded")
    budget.spend(len(raw))
    data = raw
    for index, one in enumerate(filters):
        stated = parameters[index] if index < len(parameters) else None
        if name(one) == "Crypt" and _is_identity(stated):
            # 7.4.10: the stream is not encrypted in a file that is; there is nothing to undo.
            continue
        if name(one) in _FLATE:
            data = _inflated(data, limit)
            budget.spend(len(data))
            data = _unpredicted(data, stated if isinstance(stated, dict) else {})
        elif name(one) in _LZW:
            known = stated if isinstance(stated, dict) else {}
            data = _unlzw(data, known.get("EarlyChange", 1), limit)
            budget.spend(len(data))
            data = _unpredicted(data, known)
        elif name(one) in _RUNS:
            data = _unrun(data, limit)
            budget.spend(len(data))
        elif name(one) in _HEX:
            data = _unhexed(data)
        elif name(one) in _ASCII85:
            data = _unarmoured(data)
        else:
            raise PdfError("a stream that has to be read has a filter that is not supported")
    return data


def _is_identity(parameters: Value) -> bool:
    chosen = parameters.get("Name", "Identity") if isinstance(parameters, dict) else parameters or "Identity"
    return chosen == "Identity"


def _list(value: Value) -> list[Value]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _inflated(data: bytes, limit: int) -> bytes:
    decoder = zlib.decompressobj()
    try:
        found = decoder.decompress(data, limit + 1)
    except zlib.error as error:
        raise PdfError("a compressed stream is damaged") from error
    if len(found) > limit:
        raise PdfLimit("a compressed stream is larger than is decoded")
    if not decoder.eof:
        raise PdfError("a compressed stream is cut off")
    return found


def _unhexed(data: bytes) -> bytes:
    digits = data.partition(b">")[0].translate(*_WHITE)
    try:
        return binascii.unhexlify(digits if len(digits) % 2 == 0 else digits + b"0")
    except binascii.Error as error:
        raise PdfError("a hexadecimal stream is damaged") from error


def _unarmoured(data: bytes) -> bytes:
    if len(data) > MAX_ARMOURED_BYTES:
        raise PdfLimit("a stream in ASCII base-85 is larger than is decoded")
    try:
        return base64.a85decode(data.partition(b"~>")[0].translate(*_WHITE))
    except ValueError as error:
        raise PdfError("an ASCII base-85 stream is damaged") from error


def _unlzw(data: bytes, early: Value, limit: int) -> bytes:
    """7.4.4: codes of 9 to 12 bits, `early` 1 where the width grows one code before it has to."""
    if integer(early) not in (0, 1):
        raise PdfError("EarlyChange of a stream is neither 0 nor 1")
    _check_packed(data)
    most, ahead = min(limit, MAX_PREDICTED_BYTES), integer(early) or 0
    single = [*(bytes((octet,)) for octet in range(256)), b"", b""]
    table, previous, found = list(single), b"", bytearray()
    held, bits, width = 0, 0, 9
    for octet in data:
        held, bits = held << 8 | octet, bits + 8
        if bits < width:
            continue
        bits -= width
        code, held = held >> bits, held & (1 << bits) - 1
        if code == _END:
            return bytes(found)
        if code == _CLEAR:
            table, previous, width = list(single), b"", 9
            continue
        if code > len(table) or (code == len(table) and not previous):
            raise PdfError("a stream by LZW has a code that stands for nothing")
        entry = table[code] if code < len(table) else previous + previous[:1]
        found += entry
        if len(found) > most:
            raise PdfLimit("a stream by LZW is larger than is decoded")
        if previous:
            if len(table) == _MAX_CODES:
                # What a code means then is one reader's guess.
                raise PdfError("a stream by LZW has more codes than there are")
            table.append(previous + entry[:1])
            width = min(12, (len(table) + ahead).bit_length())
        previous = entry
    raise PdfError("a stream by LZW is cut off")


def _unrun(data: bytes, limit: int) -> bytes:
    """7.4.5: octets to copy, or one to repeat."""
    _check_packed(data)
    most, found, position = min(limit, MAX_PREDICTED_BYTES), bytearray(), 0
    while position < len(data):
        length = data[position]
        if length == _END_OF_RUNS:
            return bytes(found)
        copied = length < _END_OF_RUNS
        stop = position + (length + 2 if copied else 2)
        if stop > len(data):
            break
        found += data[position + 1 : stop] if copied else data[position + 1 : stop] * (257 - length)
        if len(found) > most:
            raise PdfLimit("a stream of run lengths is larger than is decoded")
        position = stop
    raise PdfError("a stream of run lengths is cut off")


def _check_packed(data: bytes) -> None:
    if len(data) > MAX_PACKED_BYTES:
        raise PdfLimit("a stream by LZW or run lengths is larger than is decoded")


def _unpredicted(data: bytes, parameters: dict[str, Value]) -> bytes:
    predictor = parameters.get("Predictor", 1)
    if predictor == 1:
        return data
    columns, colours = integer(parameters.get("Columns", 1)), integer(parameters.get("Colors", 1))
    bits = integer(parameters.get("BitsPerComponent", 8))
    number = integer(predictor)
    if number not in (_TIFF, *range(10, 16)) or columns is None or colours != 1 or bits != 8:
        raise PdfError("a stream has a predictor that is not supported")
    if not 0 < columns <= MAX_COLUMNS:
        raise PdfError("a predictor's number of columns is not usable")
    if len(data) > MAX_PREDICTED_BYTES:
        raise PdfLimit("a stream with a predictor is larger than is decoded")
    if number == _TIFF:
        return _from_the_left(data, columns)
    width = columns + 1
    data = data[: len(data) - len(data) % width]
    kinds = set(data[::width])
    if kinds <= {2}:
        return _all_up(data, columns)
    if kinds <= {0, 1, 2, 3, 4}:
        return _rows(data, columns)
    raise PdfError("a predicted row names a predictor that there is not")


def _from_the_left(data: bytes, columns: int) -> bytes:
    """Every octet is the difference to the one before it in its row (TIFF 6.0 section 14)."""
    found = bytearray(data[: len(data) - len(data) % columns])
    for column in range(1, columns):
        pairs = zip(found[column::columns], found[column - 1 :: columns], strict=False)
        found[column::columns] = bytes([(value + left) & 0xFF for value, left in pairs])
    return bytes(found)


def _all_up(data: bytes, columns: int) -> bytes:
    """Every row is the difference to the one above, as every writer of cross-reference streams has it."""
    found = bytearray(len(data) // (columns + 1) * columns)
    for column in range(columns):
        sums = itertools.accumulate(data[column + 1 :: columns + 1])
        found[column::columns] = bytes([value & 0xFF for value in sums])
    return bytes(found)


def _rows(data: bytes, columns: int) -> bytes:
    """Rows by any of the predictors of PNG (ISO/IEC 15948 9.2), one octet to a column."""
    found = bytearray()
    above = bytes(columns)
    for start in range(0, len(data), columns + 1):
        kind, row = data[start], bytearray(data[start + 1 : start + columns + 1])
        for index in range(columns if kind else 0):
            left = row[index - 1] if index else 0
            corner = above[index - 1] if index else 0
            row[index] = (row[index] + _predicted(kind, left, above[index], corner)) & 0xFF
        found += row
        above = bytes(row)
    return bytes(found)


def _predicted(kind: int, left: int, up: int, corner: int) -> int:
    if kind == 1:
        return left
    if kind == 2:
        return up
    if kind == 3:
        return (left + up) // 2
    estimate = left + up - corner
    return min((left, up, corner), key=lambda value: abs(estimate - value))
