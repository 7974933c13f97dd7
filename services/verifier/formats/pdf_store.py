"""The document security store (ISO 32000-2 12.8.4.3, EN 319 142-1 5.4.2), as it was in any revision of a PDF."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.reader import PdfFileReader

from services.verifier.formats.pdf_changes import entry

MAX_VALUES = 2000
"""Of all kinds together; a store with more is not read further."""
MAX_VALUE_BYTES = 32 * 1024 * 1024
_KINDS = (("/Certs", "/Cert"), ("/CRLs", "/CRL"), ("/OCSPs", "/OCSP"))
_MAX_ENTRIES = 1000


@dataclass(frozen=True, slots=True)
class Store:
    """Certificates, CRLs and OCSP responses (DER), without repetition."""

    certificates: tuple[bytes, ...] = ()
    crls: tuple[bytes, ...] = ()
    ocsps: tuple[bytes, ...] = ()

    def fingerprints(self) -> frozenset[bytes]:
        """SHA-256 of every value."""
        values = (*self.certificates, *self.crls, *self.ocsps)
        return frozenset(hashlib.sha256(value).digest() for value in values)


class Stores:
    """The stores of one document's revisions; each is read once."""

    def __init__(self, reader: PdfFileReader, data: bytes) -> None:
        """Read nothing yet."""
        self._reader, self._data = reader, data
        self._found: dict[int, Store] = {}

    def newest(self) -> Store:
        """The store as it is now."""
        return self.of(self._reader.xrefs.total_revisions - 1)

    def of(self, revision: int) -> Store:
        """The store as of a revision (an index). Empty where there is none, or none that can be read."""
        if revision not in self._found:
            try:
                root = self._reader.get_historical_resolver(revision).root
                end = self._reader.xrefs.get_xref_container_info(revision).end_location
                places = _Places(self._reader, self._data, revision, end)
                self._found[revision] = _read(entry(root, "/DSS"), places)
            except Exception:  # noqa: BLE001 - the parser raises many kinds on hostile files; then there is no material
                self._found[revision] = Store()
        return self._found[revision]


@dataclass(frozen=True, slots=True)
class _Places:
    """Where a revision's objects have to lie: cross-references may point beyond it, to what was written later."""

    reader: PdfFileReader
    data: bytes
    revision: int
    end: int

    def hold(self, reference: generic.Reference, stream: generic.StreamObject) -> bool:
        """True where the stream's data lie before the end of the revision's cross-references."""
        offset = self.reader.xrefs.get_historical_ref(reference, self.revision)
        if not isinstance(offset, int):
            return False
        start = self.data.find(b"stream", offset, self.end)
        return start >= 0 and start + len(b"stream") + len(stream.encoded_data) <= self.end


def _read(store: object, places: _Places) -> Store:
    if not isinstance(store, generic.DictionaryObject):
        return Store()
    related = entry(store, "/VRI")
    entries: list[object] = []
    if isinstance(related, generic.DictionaryObject):
        entries = [entry(related, key) for key in list(related)[:_MAX_ENTRIES]]
    left = MAX_VALUES
    kinds: list[tuple[bytes, ...]] = []
    for whole, of_one in _KINDS:
        values = dict.fromkeys(_values(entry(store, whole), left, places))
        for one in entries:
            if isinstance(one, generic.DictionaryObject):
                values |= dict.fromkeys(_values(entry(one, of_one), left - len(values), places))
        left -= len(values)
        kinds.append(tuple(values))
    return Store(*kinds)


def _values(array: object, most: int, places: _Places) -> Iterator[bytes]:
    if not isinstance(array, generic.ArrayObject):
        return
    for index in range(min(len(array), max(most, 0))):
        raw, value = array.raw_get(index), array[index]
        if not isinstance(raw, generic.IndirectObject) or not isinstance(value, generic.StreamObject):
            continue
        if not places.hold(raw.reference, value):
            continue
        data = value.data
        if 0 < len(data) <= MAX_VALUE_BYTES:
            yield bytes(data)
