"""Who refers to an object of a PDF file, found out once for all its revisions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from functools import cached_property

from services.verifier.formats.pdf_file import PdfFile
from services.verifier.formats.pdf_syntax import PdfLimit, Ref, Stream, Value

MAX_USES = 1_000_000
DESTINATION = "(destination)"
"""Stands for the key of a reference that comes first in a destination (ISO 32000-2 12.3.2.2)."""
_FITS = frozenset({"XYZ", "Fit", "FitH", "FitV", "FitR", "FitB", "FitBH", "FitBV"})
_OF_THE_TRAILER = ("Root", "Info", "Encrypt")


class Usages:
    """References by the number that they name."""

    def __init__(self, file: PdfFile) -> None:
        """Look at nothing yet."""
        self._file = file

    def of(self, number: int, revision: int) -> list[tuple[int, str]]:
        """Each reference to an object as of a revision: number of the object that holds it, and the key it stands at.

        The key is that of the innermost dictionary, "" in an array that is an object itself; the number is 0 for the
        trailer. Objects that nothing leads to count as others do. Raises PdfLimit.
        """
        uses = self._all.get(number, ())
        self._file.spend(len(uses))
        return [
            (user, key)
            for user, home, key in uses
            if home <= revision and (not user or self._is_newest(user, home, revision))
        ]

    def _is_newest(self, number: int, home: int, revision: int) -> bool:
        placed = self._file.entry(number, revision)
        return placed is not None and placed[0] == home

    @cached_property
    def _all(self) -> dict[int, list[tuple[int, int, str]]]:
        found: defaultdict[int, list[tuple[int, int, str]]] = defaultdict(list)
        left = MAX_USES
        for user, home, value in self._holders():
            for key, targets in _references(value):
                use = user, home, key
                left -= len(targets)
                if left < 0:
                    raise PdfLimit(f"more than {MAX_USES} references in the file")
                for target in targets:
                    found[target].append(use)
        return found

    @cached_property
    def dangling(self) -> dict[int, int]:
        """By revision the number of an object that it, as the first one, refers to and that is not there."""
        found: dict[int, int] = {}
        for target, uses in self._all.items():
            home = min(home for _, home, _ in uses)
            self._file.spend(1 + len(uses) // 16)
            placed = self._file.entry(target, home)
            if placed is None or not placed[1].in_use:
                found[home] = target
        return found

    def _holders(self) -> Iterator[tuple[int, int, Value]]:
        for index, revision in enumerate(self._file.revisions):
            yield 0, index, {key: revision.trailer[key] for key in _OF_THE_TRAILER if key in revision.trailer}
        for number, home in self._file.versions():
            yield number, home, self._file.load(number, home).value


def _references(value: Value) -> Iterator[tuple[str, list[int]]]:
    """Keys inside an object, each with the numbers of the references that stand there."""
    pending: list[tuple[str, Value]] = [("", value)]
    while pending:
        key, item = pending.pop()
        if isinstance(item, Stream):
            item = item.entries
        if isinstance(item, Ref):
            yield key, [item.number]
        elif isinstance(item, dict):
            pending.extend(item.items())
        elif isinstance(item, list):
            if len(item) > 1 and isinstance(item[0], Ref) and isinstance(item[1], str) and item[1] in _FITS:
                yield DESTINATION, [item[0].number]
                item = item[1:]
            yield key, [one.number for one in item if isinstance(one, Ref)]
            pending.extend((key, one) for one in item if isinstance(one, dict | list))
