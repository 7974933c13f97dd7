"""Time-stamps of a JAdES signature (ETSI TS 119 182-1 sections 5.2.6, 5.3.4, 5.3.5.5 to 5.3.6), with what each is over."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from cryptography.hazmat.primitives import hashes

from services.verifier.domain import TimeSource
from services.verifier.formats import jades_unsigned
from services.verifier.formats.jades_content import Payload
from services.verifier.formats.jades_digests import Beginning, Line
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


_TEXT = {"sigRTst": _REFERENCES | {"sigTst"}, "rfsTst": _REFERENCES}
"""Elements that are stamped: earlier time-stamps and references (annex A.1.5.1), references alone (A.1.5.2)."""


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
    content = None if one.payload.stamped is None else one.payload.stamped.digest
    stated = jades_unsigned.container_tokens(one.header.content_stamps)
    found = [FoundTimeStamp(TimeSource.CONTENT, token, content) for token in stated[:MAX_TIME_STAMPS]]
    unjudged = not one.unsigned.readable or len(stated) > MAX_TIME_STAMPS
    components = one.unsigned.components
    lines = _lines(one)
    for place, component in enumerate(components):
        if component.name not in _KINDS:
            continue
        room = 0 < len(component.tokens) <= MAX_TIME_STAMPS - len(found)
        if not room or not _is_clear(one, component, components[:place]):
            unjudged = True
            continue
        imprint = _imprint(lines[component.name], place)
        covers = _covered(one, component, components[:place])
        kind = _KINDS[component.name]
        found += [FoundTimeStamp(kind, token, imprint, covers) for token in component.tokens]
    return tuple(found), unjudged


def _lines(one: Stamped) -> dict[str, Line | None]:
    """By kind of time-stamp, the digests of what it is over at each place; None where content is missing."""
    value, header = one.signature.signature.encode("utf-8"), one.signature.protected.encode("utf-8")
    components = one.unsigned.components
    texts = [component.text or b"" for component in components]
    chosen = {
        name: [
            text if component.name in names else b""
            for text, component in zip(texts, components, strict=True)
        ]
        for name, names in _TEXT.items()
    }
    lines: dict[str, Line | None] = {
        # 5.3.4: the base64url text of the value.
        "sigTst": Line(Beginning((value,)).running, [b""] * len(texts)),
        "sigRTst": Line(Beginning((value, b".")).running, chosen["sigRTst"]),
        "rfsTst": Line(Beginning(()).running, chosen["rfsTst"]),
        "arcTst": None,
    }
    stamped = one.payload.stamped
    if stamped is not None:
        # 5.3.6.3: content, protected header, value and the elements before it.
        def start(label: str) -> hashes.Hash:
            state = stamped.running(label)
            state.update(b".".join((b"", header, value, b"")))
            return state

        lines["arcTst"] = Line(start, texts)
    return lines


def _imprint(line: Line | None, place: int) -> Callable[[str], bytes] | None:
    return None if line is None else lambda label: line.before(place, label)


def _is_clear(one: Stamped, component: Component, before: Sequence[Component]) -> bool:
    """True where it is clear what the tokens of an element are over."""
    if component.name == "sigTst":
        return True
    if not one.unsigned.readable or any(each.text is None for each in before):
        return False
    value = component.value if isinstance(component.value, dict) else {}
    return component.name != "arcTst" or value.get("timeStamped", "all") == "all"


def _covered(one: Stamped, component: Component, before: Sequence[Component]) -> frozenset[bytes]:
    """SHA-256 of the values that existed when the tokens of an element were made."""
    if component.name == "arcTst":
        own = {hashlib.sha256(der).digest() for der in one.header.certificates}
        return _held(before) | own
    if component.name == "sigRTst":
        return _held([each for each in before if each.name == "sigTst"])
    return frozenset()


def _held(components: Iterable[Component]) -> frozenset[bytes]:
    """SHA-256 of the tokens and values in these elements."""
    every = [value for each in components for value in (*each.tokens, *each.values.all)]
    return frozenset(hashlib.sha256(value).digest() for value in every)
