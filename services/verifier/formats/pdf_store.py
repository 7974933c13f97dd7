"""The document security store (ISO 32000-2 12.8.4.3, EN 319 142-1 5.4.2), as it was in any revision of a PDF."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from services.verifier.formats.pdf_file import PdfFile, View
from services.verifier.formats.pdf_syntax import PdfError, PdfLimit, Stream, Value

MAX_VALUES = 2000
"""Of all kinds together; a store with more is not read further."""
_KINDS = (("Certs", "Cert"), ("CRLs", "CRL"), ("OCSPs", "OCSP"))
_MAX_ENTRIES = 1000


@dataclass(frozen=True, slots=True)
class Store:
    """Certificates, CRLs and OCSP responses (DER), without repetition."""

    certificates: tuple[bytes, ...] = ()
    crls: tuple[bytes, ...] = ()
    ocsps: tuple[bytes, ...] = ()

    @property
    def values(self) -> tuple[bytes, ...]:
        """All of them."""
        return (*self.certificates, *self.crls, *self.ocsps)


class Stores:
    """The stores of one document's revisions; each is read once."""

    def __init__(self, file: PdfFile) -> None:
        """Read nothing yet."""
        self._file = file
        self._found: dict[int, Store] = {}
        self._fingerprints: dict[bytes, bytes] = {}

    def fingerprints(self, revision: int) -> frozenset[bytes]:
        """SHA-256 of every value of the store as of a revision; each value is hashed once. Raises PdfLimit."""
        values = self.of(revision).values
        self._file.spend(len(values))
        for value in values:
            if value not in self._fingerprints:
                self._fingerprints[value] = hashlib.sha256(value).digest()
        return frozenset(self._fingerprints[value] for value in values)

    def newest(self) -> Store:
        """The store as it is now. Raises PdfLimit."""
        return self.of(len(self._file.revisions) - 1)

    def of(self, revision: int) -> Store:
        """The store as of a revision (an index). Empty where there is none, or none that can be read.

        Raises PdfLimit.
        """
        if revision not in self._found:
            view = View(self._file, revision)
            try:
                self._found[revision] = _read(view)
            except PdfLimit:
                raise
            except PdfError:
                self._found[revision] = Store()
        return self._found[revision]


def _read(view: View) -> Store:
    store = view.dictionary(view.root.get("DSS"))
    related = view.dictionary(store.get("VRI"))
    entries = [view.dictionary(related[key]) for key in list(related)[:_MAX_ENTRIES]]
    left = MAX_VALUES
    kinds: list[tuple[bytes, ...]] = []
    for whole, of_one in _KINDS:
        values = dict.fromkeys(_values(view, store.get(whole), left))
        for one in entries:
            values |= dict.fromkeys(_values(view, one.get(of_one), left - len(values)))
        left -= len(values)
        kinds.append(tuple(values))
    return Store(*kinds)


def _values(view: View, array: Value, most: int) -> Iterator[bytes]:
    for item in view.array(array)[: max(most, 0)]:
        stream = view.resolve(item)
        view.file.spend(1)
        if not isinstance(stream, Stream):
            continue
        try:
            data = view.file.content(stream)
        except PdfLimit:
            raise
        except PdfError:
            continue
        if data:
            yield data
