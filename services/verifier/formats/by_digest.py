"""Contents that stay elsewhere, of which only digests are handed in: they answer where a signature is over a digest."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from services.verifier import algorithms
from services.verifier.ports import ContentDigest, DigestMissing


class KnownDigests:
    """The digests that came with a document, which have no names; knows which of them signatures are over."""

    def __init__(self, given: Iterable[ContentDigest], *, alone: bool = True) -> None:
        """Each counts once. `alone`: no content came with them."""
        self._given, self._alone = tuple(dict.fromkeys(given)), alone
        self._met = set[ContentDigest]()

    def holds(self, label: str, stated: bytes) -> bool | None:
        """Whether a digest in a signature is that of a content; None where this cannot be told.

        A lone content answers to any name, so that another digest is one of something else.
        """
        stated_one = ContentDigest(label, stated)
        if stated_one in self._given:
            self._met.add(stated_one)
            return True
        return False if self._alone and [one.label for one in self._given] == [label] else None

    def are_of(self, content: bytes) -> bool:
        """True where all of them are of this content."""
        return are_of(self._given, content)

    @property
    def spare(self) -> tuple[ContentDigest, ...]:
        """Those that no signature was found to be over."""
        return tuple(one for one in self._given if one not in self._met)

    def __len__(self) -> int:
        """How many there are."""
        return len(self._given)


def are_of(given: Iterable[ContentDigest], content: bytes) -> bool:
    """True where all of these are digests of this content."""
    wanted = set(given)
    own = {ContentDigest(label, algorithms.digest(label, content)) for label in {one.label for one in wanted}}
    return wanted <= own


def of_one(given: Iterable[ContentDigest]) -> Callable[[str], bytes] | None:
    """The digest of the one content that all of these are of, by label; None without any, or where they are of several.

    What it gives raises DigestMissing for algorithms by which there is none.
    """
    by_label: dict[str, bytes] = {}
    for one in given:
        if by_label.setdefault(one.label, one.value) != one.value:
            return None

    def digest(label: str) -> bytes:
        if label not in by_label:
            raise DigestMissing(f"no digest of the content by {label} was handed in")
        return by_label[label]

    return digest if by_label else None
