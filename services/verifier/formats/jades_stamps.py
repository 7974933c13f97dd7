"""Time-stamps of a JAdES signature (ETSI TS 119 182-1 sections 5.2.6, 5.3.4, 5.3.5.5 to 5.3.6), with what each is over."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from services.verifier import algorithms
from services.verifier.domain import TimeSource
from services.verifier.formats import jades_unsigned
from services.verifier.formats.jades_content import Payload
from services.verifier.formats.jades_header import Header
from services.verifier.formats.jades_unsigned import Component, Unsigned
from services.verifier.formats.jws import JwsSignature
from services.verifier.ports import FoundTimeStamp

MAX_TIME_STAMPS = 50
"""Of one signature; those beyond are not judged."""
_REFERENCES = frozenset({"xRefs", "rRefs", "axRefs", "arRefs"})
_KINDS = {
    "sigTst": TimeSource.SIGNATURE,
    "sigRTst": TimeSource.SIGNATURE,
    "rfsTst": TimeSource.REFERENCES,
    "arcTst": TimeSource.ARCHIVE,
}


@dataclass(frozen=True, slots=True)
class Stamped:
    """One signature, as time-stamps are over it."""

    signature: JwsSignature
    header: Header
    payload: Payload
    unsigned: Unsigned


def of_signature(one: Stamped) -> tuple[tuple[FoundTimeStamp, ...], bool]:
    """Every time-stamp that can be judged; true where there are others, or etsiU cannot be read.

    In the clear, elements have no octets of their own: which canonical form of JSON is meant, no standard says.
    """
    content = None if one.payload.stamped is None else _digest_of(*one.payload.stamped)
    stated = jades_unsigned.container_tokens(one.header.content_stamps)
    found = [FoundTimeStamp(TimeSource.CONTENT, token, content) for token in stated[:MAX_TIME_STAMPS]]
    unjudged = not one.unsigned.readable or len(stated) > MAX_TIME_STAMPS
    components = one.unsigned.components
    for index, component in enumerate(components):
        if component.name not in _KINDS:
            continue
        room = 0 < len(component.tokens) <= MAX_TIME_STAMPS - len(found)
        over = _over(one, component, components[:index]) if room else None
        if over is None:
            unjudged = True
            continue
        imprint, covers = over
        kind = _KINDS[component.name]
        found += [FoundTimeStamp(kind, token, imprint, covers) for token in component.tokens]
    return tuple(found), unjudged


_Over = tuple[Callable[[str], bytes] | None, frozenset[bytes]]
"""What computes a token's imprint (None: content is missing), and SHA-256 of the values that existed when it was made."""


def _over(one: Stamped, component: Component, before: tuple[Component, ...]) -> _Over | None:
    """What the tokens of an element are over; None where that is not clear."""
    value = one.signature.signature.encode("utf-8")
    if component.name == "sigTst":
        # 5.3.4: the base64url text of the value.
        return _digest_of(value), frozenset()
    if not one.unsigned.readable or any(each.text is None for each in before):
        return None
    if component.name == "arcTst":
        stamped = component.value.get("timeStamped", "all") if isinstance(component.value, dict) else ""
        return _archived(one, before) if stamped == "all" else None
    if component.name == "rfsTst":
        # Annex A.1.5.2: references alone.
        return _digest_of(*_texts(before, _REFERENCES)), frozenset()
    # Annex A.1.5.1, sigRTst: the value, a full stop, and earlier time-stamps and references.
    texts = _texts(before, _REFERENCES | {"sigTst"})
    return _digest_of(value, b".", *texts), _held([each for each in before if each.name == "sigTst"])


def _archived(one: Stamped, before: tuple[Component, ...]) -> _Over:
    """5.3.6.3: content, protected header, value and the elements before it."""
    covers = _held(before) | {hashlib.sha256(der).digest() for der in one.header.certificates}
    if one.payload.stamped is None:
        return None, covers
    header, value = one.signature.protected.encode(), one.signature.signature.encode()
    texts = [each.text for each in before if each.text is not None]
    return _digest_of(*one.payload.stamped, b".", header, b".", value, b".", *texts), covers


def _texts(before: Iterable[Component], names: frozenset[str]) -> list[bytes]:
    return [each.text for each in before if each.name in names and each.text is not None]


def _held(components: Iterable[Component]) -> frozenset[bytes]:
    """SHA-256 of the tokens and values in these elements."""
    every = [value for each in components for value in (*each.tokens, *each.values.all)]
    return frozenset(hashlib.sha256(value).digest() for value in every)


def _digest_of(*parts: bytes) -> Callable[[str], bytes]:
    return lambda label: algorithms.digest(label, *parts)
