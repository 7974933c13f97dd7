"""What a JSON signature is over: its payload, or contents beside it (RFC 7515 appendix F, TS 119 182-1 section 5.2.8)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from services.verifier import algorithms
from services.verifier.domain import Code, Indication, Notice, SubIndication
from services.verifier.formats import jades_header
from services.verifier.formats.jades_header import Header
from services.verifier.formats.jws_text import TextError, from_base64url, to_base64url
from services.verifier.ports import Fault, SubmittedDocument

BY_HEADERS = "http://uri.etsi.org/19182/HttpHeaders"
BY_URI = "http://uri.etsi.org/19182/ObjectIdByURI"
BY_URI_HASH = "http://uri.etsi.org/19182/ObjectIdByURIHash"
MAX_CONTENTS = 1000
"""That one signature names."""


class Contents:
    """Contents that came in beside a signature, found by the names that signatures give them; knows which were."""

    def __init__(self, named: Mapping[str, bytes]) -> None:
        """Without a name of its own, a lone content answers to any."""
        self._named, self._used = dict(named), set[str]()

    @classmethod
    def of(cls, document: SubmittedDocument) -> Contents:
        """Those of a submitted document."""
        lone = {"": document.detached} if document.detached is not None else {}
        return cls(document.named or lone)

    def only(self) -> bytes | None:
        """The content where no name is given for it."""
        if len(self._named) != 1:
            return None
        self._used |= self._named.keys()
        return next(iter(self._named.values()))

    def named(self, uri: str, *, alone: bool) -> bytes | None:
        """The content of that name, or of the last part of that address; `alone`: the signature names no other."""
        for name in (uri, unquote(uri).rpartition("/")[2]):
            if name in self._named:
                self._used.add(name)
                return self._named[name]
        return self.only() if alone else None

    @property
    def spare(self) -> list[str]:
        """Names of the contents that no signature asked for."""
        return sorted(self._named.keys() - self._used)

    def __len__(self) -> int:
        """How many there are."""
        return len(self._named)


@dataclass(frozen=True, slots=True)
class Payload:
    """What a signature is over. `octets` is the payload as it goes into the signature (RFC 7515 5.1, RFC 7797 3).

    `stamped` is the payload or the contents as time-stamps are over them, in parts; None where one is not at hand.
    `enveloped` is the content that the file itself carries. `size` counts octets of content, `digests` are labels of the
    algorithms that content was compared by.
    """

    octets: bytes = b""
    stamped: tuple[bytes, ...] | None = None
    enveloped: bytes | None = None
    size: int = 0
    described: str = ""
    notices: tuple[Notice, ...] = ()
    digests: tuple[str, ...] = ()
    fault: Fault | None = None


def of(header: Header, payload: str | None, contents: Contents) -> Payload:
    """What is signed, as far as it is at hand. Raises TextError, UnknownAlgorithm."""
    if header.signed_data is not None:
        if payload is not None:
            raise TextError("there is a payload beside contents that are named (sigD)")
        return _described(header, header.signed_data, contents)
    if payload is not None:
        return _enveloped(header, payload, contents)
    content = contents.only()
    if content is None:
        return Payload(fault=_missing("the signature is detached; hand in the signed content as well"))
    octets = to_base64url(content) if header.encoded else content
    return Payload(octets, (octets,), size=len(content), described="the detached content")


def _enveloped(header: Header, payload: str, contents: Contents) -> Payload:
    octets = payload.encode("utf-8")
    content = from_base64url(payload, "the payload") if header.encoded else octets
    fault = None
    if len(contents):
        beside = contents.only()
        if beside != content:
            detail = "the content given beside the signature is not the content that it carries"
            fault = Fault(Indication.TOTAL_FAILED, SubIndication.HASH_FAILURE, detail)
    return Payload(octets, (octets,), content, len(content), "the payload", fault=fault)


def _described(header: Header, described: Any, contents: Contents) -> Payload:
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
    found = [contents.named(name, alone=len(names) == 1) for name in names]
    if mechanism == BY_URI_HASH:
        return _by_hash(header, described, names, found)
    return _run_together(header, names, found)


def _by_hash(
    header: Header, described: dict[str, Any], names: list[str], found: list[bytes | None]
) -> Payload:
    """5.2.8.3.3: digests of the contents are signed, and no payload."""
    label = jades_header.digest_label(described.get("hashM"), "sigD")
    values = described.get("hashV")
    if not isinstance(values, list) or len(values) != len(names):
        raise TextError("sigD has not one digest for each name (hashV)")
    digests = [from_base64url(value if isinstance(value, str) else "=", "hashV") for value in values]
    octets = [_contributed(header, content) for content in found]
    for name, content, digest in zip(names, octets, digests, strict=True):
        if content is not None and algorithms.digest(label, content) != digest:
            detail = f"the content {name[:80]!r} is not the one that was signed"
            changed = Notice(Code.DOC_MODIFIED, detail)
            fault = Fault(Indication.TOTAL_FAILED, SubIndication.HASH_FAILURE, detail, (changed,))
            return Payload(fault=fault)
    return _complete(Payload(b"", described=_list(names), digests=(label,)), names, found, octets)


def _run_together(header: Header, names: list[str], found: list[bytes | None]) -> Payload:
    """5.2.8.3.2: the contents, one after the other, are the payload."""
    octets = [_contributed(header, content) for content in found]
    payload = b"".join(content for content in octets if content is not None)
    notices: tuple[Notice, ...] = ()
    if len(names) > 1:
        # What ends one content could be moved to the start of the next, and the signature would not tell.
        detail = "the contents are signed run together: the signature does not tell where each of them ends"
        notices = (Notice(Code.WRAPPING, detail),)
    return _complete(Payload(payload, described=_list(names), notices=notices), names, found, octets)


def _complete(
    payload: Payload, names: list[str], found: list[bytes | None], octets: list[bytes | None]
) -> Payload:
    missing = [name for name, content in zip(names, found, strict=True) if content is None]
    if missing:
        return Payload(fault=_missing(f"signed contents are missing, hand them in as well: {_list(missing)}"))
    stamped = tuple(content for content in octets if content is not None)
    size = sum(len(content) for content in found if content is not None)
    return Payload(
        payload.octets, stamped, None, size, payload.described, payload.notices, payload.digests, None
    )


def _contributed(header: Header, content: bytes | None) -> bytes | None:
    return to_base64url(content) if header.encoded and content is not None else content


def _missing(detail: str) -> Fault:
    return Fault(Indication.INDETERMINATE, SubIndication.SIGNED_DATA_NOT_FOUND, detail)


def _list(names: list[str]) -> str:
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(repr(name[:60]) for name in names[:5]) + more
