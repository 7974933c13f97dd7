"""multipart/form-data (RFC 7578) as a stream: one part after the other, never a whole document in memory.

The push parser of python-multipart finds the boundaries; this module turns its callbacks into parts that are pulled,
and sets the limits: parts, headers, boundary, sizes.
"""

from __future__ import annotations

import unicodedata
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass

from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header

from gateway.problems import MultipartInvalid
from services.kernel.errors import BodyTooLarge, FieldInvalid, PartOrder

MAX_HEADERS = 8
MAX_HEADER_BYTES = 4096
MAX_BOUNDARY = 70
"""RFC 2046 section 5.1.1."""
MAX_FILE_NAME = 255
MAX_NAME = 200


@dataclass(frozen=True, slots=True)
class _Head:
    headers: dict[bytes, bytes]


class _End:
    """A part ended."""


class _Final:
    """The closing boundary was there."""


_Event = _Head | bytes | _End | _Final


class Part:
    """One part. Its data must be read to the end before the next part is asked for."""

    def __init__(self, owner: MultipartBody, headers: dict[bytes, bytes]) -> None:
        """Read name, file name and media type from the part's headers."""
        disposition, options = parse_options_header(headers.get(b"content-disposition"))
        if disposition != b"form-data" or b"name" not in options:
            raise MultipartInvalid("a part has no Content-Disposition: form-data with a name")
        encoding = headers.get(b"content-transfer-encoding", b"binary").strip().lower()
        if encoding not in {b"binary", b"8bit", b"7bit"}:
            raise MultipartInvalid("a part has a Content-Transfer-Encoding; send the bytes as they are")
        self._owner = owner
        self._ended = False
        self.name = options[b"name"].decode("utf-8", "replace")[:MAX_NAME]
        self.file_name = safe_file_name(options.get(b"filename", b"").decode("utf-8", "replace"))
        self.media_type = parse_options_header(headers.get(b"content-type"))[0].decode("latin-1")

    async def pieces(self, limit: int) -> AsyncIterator[bytes]:
        """Yield the part's bytes; raise BodyTooLarge at the byte that crosses `limit`."""
        received = 0
        while True:
            event = await self._owner.next_event()
            if not isinstance(event, bytes):
                self._ended = True
                return
            received += len(event)
            if received > limit:
                raise BodyTooLarge(
                    f"part {self.name!r} is larger than {limit} bytes; reading stopped there",
                    limit=limit,
                    part=self.name,
                )
            yield event

    async def read(self, limit: int) -> bytes:
        """Read the part whole, at most `limit` bytes."""
        return b"".join([piece async for piece in self.pieces(limit)])

    async def discard(self) -> None:
        """Throw away what was not read of the part, so that the next one can be asked for."""
        while not self._ended:
            self._ended = not isinstance(await self._owner.next_event(), bytes)


class MultipartBody:
    """The parts of a body, in the order in which they come."""

    def __init__(self, content_type: str, body: AsyncIterator[bytes], max_parts: int) -> None:
        """Take the request's Content-Type, its bytes, which are read only as parts are asked for, and the most parts."""
        _, options = parse_options_header(content_type)
        boundary = options.get(b"boundary", b"")
        if not 1 <= len(boundary) <= MAX_BOUNDARY:
            raise MultipartInvalid(f"the Content-Type needs a boundary of 1 to {MAX_BOUNDARY} characters")
        self._body = body
        self._events: deque[_Event] = deque()
        self._parts = 0
        self._max_parts = max_parts
        self.broken = False
        """Whether reading it failed: nothing more can be had of it then."""
        self._headers: dict[bytes, bytes] = {}
        self._name = bytearray()
        self._value = bytearray()
        self._data = bytearray()
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._on_part_begin,
                "on_header_field": self._on_header_field,
                "on_header_value": self._on_header_value,
                "on_header_end": self._on_header_end,
                "on_headers_finished": self._on_headers_finished,
                "on_part_data": self._on_part_data,
                "on_part_end": self._on_part_end,
                "on_end": self._on_end,
            },
            max_header_count=MAX_HEADERS,
            max_header_size=MAX_HEADER_BYTES,
        )

    async def next_part(self) -> Part | None:
        """Return the next part, or None after the closing boundary and the end of the body."""
        event = await self.next_event()
        if isinstance(event, _Head):
            return Part(self, event.headers)
        # RFC 2046 lets an epilogue follow; it is read (within the limit of the body) and means nothing.
        async for _ in self._body:
            pass
        return None

    async def require_part(self, name: str, why: str) -> Part:
        """Return the next part, which must have this name; raise PartOrder that says `why`."""
        part = await self.next_part()
        if part is None:
            raise PartOrder(f"part {name!r} is missing: {why}", part=name)
        if part.name != name:
            raise PartOrder(f"part {name!r} was expected where {part.name!r} came: {why}", part=name)
        return part

    async def next_event(self) -> _Event:
        """Return what comes next on the wire; feed the parser for as long as that takes."""
        while not self._events:
            # Until all of this has gone well.
            self.broken = True
            data = await anext(self._body, None)
            if data is None:
                raise MultipartInvalid("the body ends before its closing boundary")
            try:
                self._parser.write(data)
            except FormParserError as error:
                raise MultipartInvalid(f"the body is not well-formed multipart/form-data: {error}") from None
            self._flush()
            self.broken = False
        return self._events.popleft()

    def _flush(self) -> None:
        # Data is handed on once for each piece fed in, however often the parser cut it: a document made of almost-
        # boundaries must not become as many messages.
        if self._data:
            self._events.append(bytes(self._data))
            self._data.clear()

    def _on_part_begin(self) -> None:
        self._parts += 1
        if self._parts > self._max_parts:
            raise MultipartInvalid(f"the body has more than {self._max_parts} parts")
        self._headers = {}

    def _on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _on_header_end(self) -> None:
        name = bytes(self._name).lower()
        if name in self._headers:
            raise MultipartInvalid("a part has the same header twice")
        self._headers[name] = bytes(self._value)
        self._name.clear()
        self._value.clear()

    def _on_headers_finished(self) -> None:
        self._events.append(_Head(self._headers))

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        self._data += memoryview(data)[start:end]

    def _on_part_end(self) -> None:
        self._flush()
        self._events.append(_End())

    def _on_end(self) -> None:
        self._events.append(_Final())


def safe_file_name(name: str) -> str:
    """Return the last component of a file name as NFC, without control and direction characters, at most 255 long.

    The name is shown, given back and written into containers; it is never used as a path. Raises FieldInvalid where it
    tries to be one that climbs.
    """
    components = name.replace("\\", "/").split("/")
    if ".." in components:
        raise FieldInvalid('a file name must not have ".." as a component', field="filename")
    last = components[-1]
    kept = "".join(
        c for c in unicodedata.normalize("NFC", last) if unicodedata.category(c) not in {"Cc", "Cf", "Cs"}
    )
    return kept[:MAX_FILE_NAME].strip()
