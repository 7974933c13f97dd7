"""A PDF file as its signatures are read from it: revisions, and the objects of each, parsed when they are asked for."""

from __future__ import annotations

import bisect
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol

from services.verifier.formats import pdf_filters, pdf_syntax, pdf_xref
from services.verifier.formats.pdf_filters import Budget
from services.verifier.formats.pdf_syntax import Meter, PdfError, PdfLimit, Ref, Stream, Value, integer
from services.verifier.formats.pdf_xref import Entry, Revision

MAX_REFERENCES = 32
"""References to references to ..."""
MAX_COMPRESSED = 20_000
"""Objects in one object stream."""
MAX_OBJECTS = 300_000
"""Parsed, of all revisions together."""
MAX_STEPS = 4_000_000
"""Of all walks through the objects of a file together; each takes about a microsecond."""


class Cipher(Protocol):
    """How strings and streams of an encrypted file are read; see `pdf_encryption`."""

    def stream(self, stream: Stream) -> bytes:
        """A stream's data without encryption. Raises PdfError."""
        ...

    def string(self, value: bytes, number: int, generation: int) -> bytes:
        """A string of an object of the file without encryption; as it stands where it cannot be read."""
        ...


@dataclass(frozen=True, slots=True)
class Loaded:
    """An object as it stands in the file; `end` is 0 for one inside an object stream. `value` None: not readable."""

    value: Value
    end: int = 0


_ABSENT = Loaded(None)


class PdfFile:
    """One file. Raises PdfError where it is damaged; an object that cannot be read is null, as one that is missing."""

    def __init__(self, data: bytes) -> None:
        """Read the cross-references; no object yet."""
        self.data = data
        self._budget, self._meter = Budget(), Meter()
        self._steps = MAX_STEPS
        self.revisions: list[Revision] = pdf_xref.read(data, self._budget, self._meter)
        self.cipher: Cipher | None = None
        self._in_the_clear = 0
        self._history = _history(self.revisions)
        self._loaded: dict[tuple[int, int], Loaded] = {}
        self._compressed: dict[Entry, dict[int, tuple[int, Value]]] = {}
        self._decoded: dict[int, tuple[Stream, bytes]] = {}
        self._opening: set[tuple[int, Entry]] = set()

    def decipher_with(self, cipher: Cipher, dictionary: int) -> None:
        """Read by a cipher from now on; what was read without it is read again.

        `dictionary` is the number of the object that says how the file is encrypted, 0 where that is none: it is not.
        """
        self.cipher, self._in_the_clear = cipher, dictionary
        self._loaded.clear()
        self._compressed.clear()
        self._decoded.clear()

    @property
    def last(self) -> View:
        """The file as it is now."""
        return View(self, len(self.revisions) - 1)

    def entry(self, number: int, revision: int) -> tuple[int, Entry] | None:
        """The newest entry of an object up to a revision, and that entry's revision; None where there never was one."""
        found = None
        for candidate in self._history.get(number, ()):
            if candidate[0] > revision:
                break
            found = candidate
        return found

    def is_readable(self, number: int, revision: int) -> bool:
        """True where the object's entry leads to an object of that number, null also; False for a free entry."""
        return self.load(number, revision) is not _ABSENT

    def entry_home(self, number: int, revision: int) -> int:
        """The revision that wrote the object's newest entry up to a revision; -1 where none did."""
        placed = self.entry(number, revision)
        return placed[0] if placed is not None else -1

    def first_home(self, number: int) -> int:
        """The first revision that has an entry for an object; behind the last one where there never was one."""
        placed = self._history.get(number)
        return placed[0][0] if placed else len(self.revisions)

    @cached_property
    def containers(self) -> dict[int, int]:
        """Numbers of object streams that entries name, each with the first revision that does."""
        found: dict[int, int] = {}
        for index, revision in enumerate(self.revisions):
            for entry in revision.entries.values():
                if entry.stream:
                    found.setdefault(entry.stream, index)
        return found

    def numbers_from(self, first: int) -> list[int]:
        """Numbers of all objects that have entries, from `first` on."""
        return self._numbers[bisect.bisect_left(self._numbers, first) :]

    @cached_property
    def _numbers(self) -> list[int]:
        return sorted(self._history)

    def load(self, number: int, revision: int) -> Loaded:
        """The object of a number as of a revision, in whatever generation."""
        placed = self.entry(number, revision)
        if placed is None or not placed[1].in_use:
            return _ABSENT
        home, entry = placed
        # What an entry leads to depends on its revision: on where that ends, and on its object streams.
        key = (number, home)
        known = self._loaded.get(key)
        if known is None:
            if len(self._loaded) >= MAX_OBJECTS:
                raise PdfLimit(f"more than {MAX_OBJECTS} objects")
            known = self._loaded[key] = self._read(number, home, entry)
        return known

    def _read(self, number: int, home: int, entry: Entry) -> Loaded:
        # Objects that contain each other's lengths or streams end here: the inner one is taken for missing.
        if (number, entry) in self._opening:
            return _ABSENT
        self._opening.add((number, entry))
        try:
            return (
                self._from_stream(number, home, entry)
                if entry.stream
                else self._from_file(number, home, entry)
            )
        except PdfLimit:
            raise
        except PdfError:
            return _ABSENT
        finally:
            self._opening.discard((number, entry))

    def _from_file(self, number: int, home: int, entry: Entry) -> Loaded:
        if entry.offset >= self.revisions[home].close:
            raise PdfError("an entry points behind its own revision")
        view = View(self, home)
        found = pdf_syntax.parse_indirect(
            self.data,
            entry.offset,
            lambda length: integer(view.resolve(length)),
            self._meter,
            (number, entry.second),
        )
        if found.end > self.revisions[home].close:
            raise PdfError("an object reaches behind its own revision")
        value = found.value
        if self.cipher is not None and number != self._in_the_clear:
            value = _deciphered(value, self.cipher, number, entry.second)
        return Loaded(value, found.end)

    def _from_stream(self, number: int, home: int, entry: Entry) -> Loaded:
        container = self.entry(entry.stream, home)
        if container is None or container[1].stream:
            raise PdfError("an object stream is missing or lies in another one")
        stated, value = self._members(entry.stream, home, container[1]).get(entry.second, (-1, None))
        if stated != number:
            raise PdfError("an entry points to another object")
        return Loaded(value)

    def _members(self, number: int, home: int, place: Entry) -> dict[int, tuple[int, Value]]:
        if place in self._compressed:
            return self._compressed[place]
        stream = self.load(number, home).value
        if not isinstance(stream, Stream) or stream.entries.get("Type") != "ObjStm":
            raise PdfError("an entry names an object stream that is none")
        found = dict(_members(stream, self.content(stream), self._meter))
        self._compressed[place] = found
        return found

    def content(self, stream: Stream) -> bytes:
        """A stream's data, decrypted and without its filters. Raises PdfError."""
        known = self._decoded.get(id(stream))
        if known is None:
            raw = stream.raw if self.cipher is None else self.cipher.stream(stream)
            known = stream, pdf_filters.decoded(self._direct(stream.entries), raw, self._budget)
            self._decoded[id(stream)] = known
        return known[1]

    def _direct(self, entries: dict[str, Value]) -> dict[str, Value]:
        """Filters and their parameters may be given by reference."""
        view = self.last
        return {
            key: [view.resolve(item) for item in value] if isinstance(value, list) else value
            for key in ("Filter", "DecodeParms")
            if (value := view.resolve(entries.get(key))) is not None
        }

    def spend(self, steps: int) -> None:
        """Count steps of a walk through the objects. Raises PdfLimit where they come to more than is done."""
        self._steps -= steps
        if self._steps < 0:
            raise PdfLimit("the file needs more steps to be compared than are done")

    def versions(self) -> Iterator[tuple[int, int]]:
        """Number and revision of every entry for an object in use."""
        for number, placed in self._history.items():
            for revision, entry in placed:
                if entry.in_use:
                    yield number, revision


def _deciphered(value: Value, cipher: Cipher, number: int, generation: int) -> Value:
    """An object with its strings in the clear; the value of a signature is so already (7.6.2)."""
    if isinstance(value, bytes):
        return cipher.string(value, number, generation)
    if isinstance(value, list):
        return [_deciphered(item, cipher, number, generation) for item in value]
    if isinstance(value, dict):
        kept = "Contents" if "ByteRange" in value else ""
        return {
            key: item if key == kept else _deciphered(item, cipher, number, generation)
            for key, item in value.items()
        }
    if isinstance(value, Stream):
        entries = _deciphered(value.entries, cipher, number, generation)
        return replace(value, entries=entries) if isinstance(entries, dict) else value
    return value


def _history(revisions: list[Revision]) -> dict[int, list[tuple[int, Entry]]]:
    found: dict[int, list[tuple[int, Entry]]] = {}
    for index, revision in enumerate(revisions):
        for number, entry in revision.entries.items():
            found.setdefault(number, []).append((index, entry))
    return found


def _members(stream: Stream, content: bytes, meter: Meter) -> Iterator[tuple[int, tuple[int, Value]]]:
    """Index of each object that can be read in an object stream (7.5.7), its number and value. Raises PdfError."""
    count, first = integer(stream.entries.get("N")), integer(stream.entries.get("First"))
    if count is None or first is None or count < 0 or not 0 <= first <= len(content):
        raise PdfError("an object stream does not say what it holds")
    if count > MAX_COMPRESSED:
        raise PdfLimit(f"more than {MAX_COMPRESSED} objects in one stream")
    heads = content[:first].split()
    if len(heads) < 2 * count or not all(head.isdigit() and len(head) <= 10 for head in heads[: 2 * count]):
        raise PdfError("the head of an object stream is damaged")
    places = zip(heads[0 : 2 * count : 2], heads[1 : 2 * count : 2], strict=True)
    for index, (number, offset) in enumerate(places):
        try:
            yield index, (int(number), pdf_syntax.parse(content, first + int(offset), meter)[0])
        except PdfLimit:
            raise
        except PdfError:
            # One that cannot be read must not take the others with it.
            continue


@dataclass(frozen=True, slots=True)
class View:
    """A file as of one of its revisions (an index)."""

    file: PdfFile
    revision: int

    def stated(self, key: str) -> Value:
        """An entry of the trailer: that of the newest revision which has it; null where none has."""
        for index in range(self.revision, -1, -1):
            trailer = self.file.revisions[index].trailer
            if key in trailer:
                return trailer[key]
        return None

    @property
    def root(self) -> dict[str, Value]:
        """The catalog. Raises PdfError."""
        root = self.resolve(self.stated("Root"))
        if not isinstance(root, dict):
            raise PdfError("the file has no catalog")
        return root

    def resolve(self, value: Value) -> Value:
        """The object behind a reference; anything else as it is. Missing ones are null (7.3.10)."""
        for _ in range(MAX_REFERENCES):
            if not isinstance(value, Ref):
                return value
            value = self.get(value)
        return None

    def get(self, reference: Ref) -> Value:
        """The object that a reference names, null where there is none of that number and generation."""
        placed = self.file.entry(reference.number, self.revision)
        if placed is None:
            return None
        if placed[1].generation != reference.generation:
            return None
        return self.file.load(reference.number, self.revision).value

    def existing(self, value: Value) -> Value:
        """The same as `resolve`, where an object must not be taken for missing that is only not readable.

        Raises PdfError for one that is in use and cannot be read, or is of another generation.
        """
        for _ in range(MAX_REFERENCES):
            if not isinstance(value, Ref):
                return value
            placed = self.file.entry(value.number, self.revision)
            if placed is None or not placed[1].in_use:
                return None
            if placed[1].generation != value.generation or not self.file.is_readable(
                value.number, self.revision
            ):
                raise PdfError(f"object {value.number} is in use and cannot be read")
            value = self.get(value)
        raise PdfError("references go round in a circle")

    def entry(self, dictionary: dict[str, Value], key: str) -> Value:
        """The object at a key of a dictionary, null where there is none."""
        return self.resolve(dictionary.get(key))

    def dictionary(self, value: Value) -> dict[str, Value]:
        """The dictionary that this is or refers to, empty for anything else."""
        found = self.resolve(value)
        return found if isinstance(found, dict) else {}

    def array(self, value: Value) -> list[Value]:
        """The array that this is or refers to, empty for anything else."""
        found = self.resolve(value)
        return found if isinstance(found, list) else []
