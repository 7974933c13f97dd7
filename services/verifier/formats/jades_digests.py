"""Digests that the time-stamps of JSON signatures are over. Many begin alike: what they share is hashed once."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from cryptography.hazmat.primitives import hashes

from services.verifier import algorithms

Start = Callable[[str], hashes.Hash]
"""Gives, by algorithm label, a state that the caller may go on with."""


class Beginning:
    """Octets that several digests begin with: one pass for each algorithm, however many begin so."""

    def __init__(self, parts: Sequence[bytes]) -> None:
        """Hash nothing yet."""
        self._parts = tuple(parts)
        self._states: dict[str, hashes.Hash] = {}

    def running(self, label: str) -> hashes.Hash:
        """The state after these octets, to go on with."""
        if label not in self._states:
            state = hashes.Hash(algorithms.hash_algorithm(label))
            for part in self._parts:
                state.update(part)
            self._states[label] = state
        return self._states[label].copy()

    def digest(self, label: str) -> bytes:
        """The digest of these octets alone."""
        return self.running(label).finalize()


class Line:
    """Digests of a beginning with the texts of a line up to each place: one pass for each algorithm serves all places."""

    def __init__(self, start: Start, texts: Sequence[bytes]) -> None:
        """`start` gives the state before the first text; a text that does not count is empty."""
        self._start, self._texts = start, tuple(texts)
        self._found: dict[str, list[bytes]] = {}

    def before(self, place: int, label: str) -> bytes:
        """Digest of the beginning and of the texts before that place, which counts from 0."""
        if label not in self._found:
            state, found = self._start(label), list[bytes]()
            for text in self._texts:
                found.append(state.copy().finalize())
                state.update(text)
            self._found[label] = [*found, state.finalize()]
        return self._found[label][place]
