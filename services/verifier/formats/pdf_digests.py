"""Digests of the ranges that the signatures of one PDF cover. Ranges nest, so one pass over the file serves them all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from cryptography.hazmat.primitives import hashes

from services.verifier import algorithms
from services.verifier.formats.pdf_bytes import SignedRange
from services.verifier.formats.pdf_syntax import PdfLimit

MAX_HASHED_BYTES = 2 * 1024 * 1024 * 1024
"""Of one file, over all its signatures. Each begins where the one before ended, so real files come to little more than
their size; a file whose signatures all stand at its beginning has to be read once for each."""


class RangeDigests:
    """Computes digests of ranges when they are asked for, all ranges of the file in one pass for each algorithm."""

    def __init__(self, data: bytes, ranges: Sequence[SignedRange]) -> None:
        """Hash nothing yet. Raises PdfLimit where the ranges come to more than is hashed."""
        self._data = memoryview(data)
        self._ranges = sorted(set(ranges), key=lambda one: one.gap_start)
        self._found: dict[str, dict[SignedRange, bytes]] = {}
        total = sum(one.end - one.gap_end for one in self._ranges)
        if self._ranges and total + self._ranges[-1].gap_start > MAX_HASHED_BYTES:
            raise PdfLimit("the signatures of the file cover more bytes together than are hashed")

    def of(self, span: SignedRange, label: str) -> bytes:
        """Digest of one of the ranges by an algorithm's label."""
        if label not in self._found:
            self._found[label] = dict(self._pass(label))
        return self._found[label][span]

    def _pass(self, label: str) -> Iterator[tuple[SignedRange, bytes]]:
        running, position = hashes.Hash(algorithms.hash_algorithm(label)), 0
        for span in self._ranges:
            running.update(self._data[position : span.gap_start])
            position = span.gap_start
            branch = running.copy()
            branch.update(self._data[span.gap_end : span.end])
            yield span, branch.finalize()
