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

    def __init__(self, reader: PdfFileReader) -> None:
        """Read nothing yet."""
        self._reader = reader
        self._found: dict[int, Store] = {}

    def newest(self) -> Store:
        """The store as it is now."""
        return self.of(self._reader.xrefs.total_revisions - 1)

    def of(self, revision: int) -> Store:
        """The store as of a revision (an index). Empty where there is none, or none that can be read."""
        if revision not in self._found:
            try:
                root = self._reader.get_historical_resolver(revision).root
                self._found[revision] = _read(entry(root, "/DSS"))
            except Exception:  # noqa: BLE001 - the parser raises many kinds on hostile files; then there is no material
                self._found[revision] = Store()
        return self._found[revision]


def _read(store: object) -> Store:
    if not isinstance(store, generic.DictionaryObject):
        return Store()
    related = entry(store, "/VRI")
    entries: list[object] = []
    if isinstance(related, generic.DictionaryObject):
        entries = [entry(related, key) for key in list(related)[:_MAX_ENTRIES]]
    left = MAX_VALUES
    kinds: list[tuple[bytes, ...]] = []
    for whole, of_one in _KINDS:
        values = dict.fromkeys(_values(entry(store, whole), left))
        for one in entries:
            if isinstance(one, generic.DictionaryObject):
                values |= dict.fromkeys(_values(entry(one, of_one), left - len(values)))
        left -= len(values)
        kinds.append(tuple(values))
    return Store(*kinds)


def _values(array: object, most: int) -> Iterator[bytes]:
    if not isinstance(array, generic.ArrayObject):
        return
    for index in range(min(len(array), max(most, 0))):
        value = array[index]
        if not isinstance(value, generic.StreamObject):
            continue
        data = value.data
        if 0 < len(data) <= MAX_VALUE_BYTES:
            yield bytes(data)
