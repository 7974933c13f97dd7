"""What a JSON signature is over: its payload, or contents beside it (RFC 7515 appendix F, TS 119 182-1 section 5.2.8)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from services.verifier import algorithms
from services.verifier.domain import Code, Indication, Notice, SubIndication
from services.verifier.formats import beside, jades_header
from services.verifier.formats.by_digest import KnownDigests
from services.verifier.formats.jades_digests import Beginning
from services.verifier.formats.jades_header import Header
from services.verifier.formats.jws_text import TextError, TextLimit, from_base64url, to_base64url
from services.verifier.ports import ContentDigest, Fault, SubmittedDocument

BY_HEADERS = "http://uri.etsi.org/19182/HttpHeaders"
BY_URI = "http://uri.etsi.org/19182/ObjectIdByURI"
BY_URI_HASH = "http://uri.etsi.org/19182/ObjectIdByURIHash"
MAX_CONTENTS = 1000
"""That one signature names."""


MAX_HASHED_BYTES = 2 << 30
"""Of content, over all signatures of a file: each hashes all that it is over by itself."""


class Item:
    """One content, written and hashed once for all signatures that are over it."""

    def __init__(self, data: bytes) -> None:
        """Write and hash nothing yet."""
        self.data = data
        self._encoded: bytes | None = None
        self._digests: dict[tuple[str, bool], bytes] = {}

    def octets(self, *, encoded: bool) -> bytes:
        """The content itself, or its base64url text, as a header has it (RFC 7797 3)."""
        if not encoded:
            return self.data
        if self._encoded is None:
            self._encoded = to_base64url(self.data)
        return self._encoded

    def digest(self, label: str, *, encoded: bool) -> bytes:
        """Digest of these octets by an algorithm's label."""
        key = label, encoded
        if key not in self._digests:
            self._digests[key] = algorithms.digest(label, self.octets(encoded=encoded))
        return self._digests[key]


class Contents:
    """Contents that came in beside a signature, found by the names that signatures give them; knows which were."""

    def __init__(self, named: Mapping[str, bytes], digests: Sequence[ContentDigest] = ()) -> None:
        """Without a name of its own, a lone content answers to any. `digests` are of contents that did not come."""
        self._named = {name: Item(data) for name, data in named.items()}
        self.digests = KnownDigests(digests, alone=not named)
        self._used = set[str]()

    @classmethod
    def of(cls, document: SubmittedDocument) -> Contents:
        """Those of a submitted document."""
        lone = {"": document.detached} if document.detached is not None else {}
        return cls(document.named or lone, document.digests)

    def only(self) -> Item | None:
        """The content where no name is given for it."""
        if len(self._named) != 1:
            return None
        self._used |= self._named.keys()
        return next(iter(self._named.values()))

    def named(self, uri: str, *, alone: bool) -> Item | None:
        """The content of that name, or of the last part of that address; `alone`: the signature names no other."""
        for name in (uri, unquote(uri).rpartition("/")[2]):
            if name in self._named:
                self._used.add(name)
                return self._named[name]
        return self.only() if alone else None

    @property
    def spare(self) -> list[str]:
        """Names of the contents that no signature asked for."""
        return [*sorted(self._named.keys() - self._used), *map(beside.told, self.digests.spare)]

    def are(self, content: bytes) -> bool:
        """True where nothing but this content came, if anything."""
        lone = self.only()
        alone = not self._named or (lone is not None and lone.data == content)
        return alone and self.digests.are_of(content)


class Source:
    """What the signatures of one file can be over: its payload as it stands there, and contents beside it."""

    def __init__(self, payload: str | None, contents: Contents) -> None:
        """Read and hash nothing yet."""
        self.payload, self.contents = payload, contents
        self._read: dict[bool, tuple[bytes, bytes]] = {}
        self._beginnings: dict[tuple[int, ...], Beginning] = {}
        self._left = MAX_HASHED_BYTES

    def enveloped(self, payload: str, *, encoded: bool) -> tuple[bytes, bytes]:
        """The payload as it goes into signatures, and the content that it is. Raises TextError."""
        if encoded not in self._read:
            octets = payload.encode("utf-8")
            content = from_base64url(payload, "the payload") if encoded else octets
            self._read[encoded] = octets, content
        return self._read[encoded]

    def beginning(self, parts: Sequence[bytes], *, signed: bool = True) -> Beginning:
        """What time-stamps begin with, one for all that begin so; `signed`: it goes into this signature's value too.

        Raises TextLimit where the file's signatures come to more than is hashed.
        """
        # The parts are held by the items or by this source, so that no other octets get their identity.
        key = tuple(map(id, parts))
        if signed or key not in self._beginnings:
            self._left -= sum(len(part) for part in parts)
        if self._left < 0:
            raise TextLimit("the signatures of the file cover more bytes together than are hashed")
        return self._beginnings.setdefault(key, Beginning(parts))


@dataclass(frozen=True, slots=True)
class Payload:
    """What a signature is over. `parts` is the payload as it goes into the signature (RFC 7515 5.1, RFC 7797 3).

    `stamped` is the payload or the contents as time-stamps are over them; None where one is not at hand. `enveloped` is
    the content that the file itself carries. `size` counts octets of content, `digests` are labels of the algorithms
    that content was compared by.
    """

    parts: tuple[bytes, ...] = ()
    stamped: Beginning | None = None
    enveloped: bytes | None = None
    size: int = 0
    described: str = ""
    notices: tuple[Notice, ...] = ()
    digests: tuple[str, ...] = ()
    fault: Fault | None = None


def of(header: Header, source: Source) -> Payload:
    """What is signed, as far as it is at hand. Raises TextError, TextLimit, UnknownAlgorithm."""
    if header.signed_data is not None:
        if source.payload is not None:
            raise TextError("there is a payload beside contents that are named (sigD)")
        return _described(header, header.signed_data, source)
    if source.payload is not None:
        return _enveloped(header, source.payload, source)
    content = source.contents.only()
    if content is None:
        return Payload(fault=_missing("the signature is detached; hand in the signed content as well"))
    parts = (content.octets(encoded=header.encoded),)
    return Payload(parts, source.beginning(parts), size=len(content.data), described="the detached content")


def _enveloped(header: Header, payload: str, source: Source) -> Payload:
    octets, content = source.enveloped(payload, encoded=header.encoded)
    fault = None
    if not source.contents.are(content):
        detail = "the content given beside the signature is not the content that it carries"
        fault = Fault(Indication.TOTAL_FAILED, SubIndication.HASH_FAILURE, detail)
    beginning = source.beginning((octets,))
    return Payload((octets,), beginning, content, len(content), "the payload", fault=fault)


def _described(header: Header, described: Any, source: Source) -> Payload:
    """TS 119 182-1 5.2.8: contents by name."""
    if not isinstance(described, dict):
        raise TextError("sigD is not an object")
    mechanism, names = described.get("mId"), described.get("pars")
    if not isinstance(names, list) or not 1 <= len(names) <= MAX_CONTENTS:
        raise TextError(f"sigD does not name 1 to {MAX_CONTENTS} contents (pars)")
    if not all(isinstance(name, str) for name in names):
        raise TextError("a name in sigD is not a text")
    if mechanism == BY_HEADERS:
        return Payload(fault=_missing("the signature is over HTTP header fields, which cannot be handed in"))
    if len(set(names)) != len(names):
        raise TextError("sigD names a content twice")
    if mechanism not in (BY_URI, BY_URI_HASH):
        detail = "the way in which sigD refers to contents is not known"
        return Payload(fault=Fault(Indication.INDETERMINATE, SubIndication.GENERIC, detail))
    found = {name: source.contents.named(name, alone=len(names) == 1) for name in names}
    compared = _compared(header, described, found, source) if mechanism == BY_URI_HASH else _Compared()
    if compared.fault is not None:
        return Payload(fault=compared.fault)
    missing = [name for name, item in found.items() if item is None and name not in compared.known]
    if missing:
        return Payload(fault=_missing(f"signed contents are missing, hand them in as well: {_list(missing)}"))
    items = [item for item in found.values() if item is not None]
    parts = tuple(item.octets(encoded=header.encoded) for item in items)
    run_together = mechanism == BY_URI
    return Payload(
        # By digest no payload is signed (5.2.8.3.3); else it is the contents, one after the other (5.2.8.3.2).
        parts if run_together else (),
        None if compared.known else source.beginning(parts, signed=run_together),
        size=sum(len(item.data) for item in items),
        described=_list(names),
        notices=_NO_ENDS if run_together and len(names) > 1 else (),
        digests=compared.digests,
    )


_NO_ENDS = (
    # What ends one content could be moved to the start of the next, and the signature would not tell.
    Notice(
        Code.WRAPPING,
        "the contents are signed run together: the signature does not tell where each of them ends",
    ),
)


@dataclass(frozen=True, slots=True)
class _Compared:
    """By which algorithm contents were compared, the names of those that are known by it alone, or what differs."""

    digests: tuple[str, ...] = ()
    known: frozenset[str] = frozenset()
    fault: Fault | None = None


def _compared(
    header: Header, described: dict[str, Any], found: Mapping[str, Item | None], source: Source
) -> _Compared:
    """5.2.8.3.3: the digests that are signed against those of the contents, or of their base64url text.

    The digest of a content does not tell that of its text.
    """
    known = set()
    label = jades_header.digest_label(described.get("hashM"), "sigD")
    values = described.get("hashV")
    if not isinstance(values, list) or len(values) != len(found):
        raise TextError("sigD has not one digest for each name (hashV)")
    for value, (name, item) in zip(values, found.items(), strict=True):
        digest = jades_header.octets(value, "hashV")
        if item is not None:
            same: bool | None = item.digest(label, encoded=header.encoded) == digest
        else:
            same = None if header.encoded else source.contents.digests.holds(label, digest)
            known |= {name} if same else set()
        if same is False:
            detail = f"the content {name[:80]!r} is not the one that was signed"
            changed = Notice(Code.DOC_MODIFIED, detail)
            fault = Fault(Indication.TOTAL_FAILED, SubIndication.HASH_FAILURE, detail, (changed,))
            return _Compared(fault=fault)
    return _Compared((label,), frozenset(known))


def _missing(detail: str) -> Fault:
    return Fault(Indication.INDETERMINATE, SubIndication.SIGNED_DATA_NOT_FOUND, detail)


def _list(names: list[str]) -> str:
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(repr(name[:60]) for name in names[:5]) + more
