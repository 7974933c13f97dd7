"""Time-stamps of a JAdES signature (ETSI TS 119 182-1 sections 5.2.6, 5.3.4, 5.3.5.5 to 5.3.6), with what each is over."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

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
_OF_REFERENCES_ONLY = "rfsTst"
_BEFORE_SIGNATURE_AND_REFERENCES = _REFERENCES | {"sigTst"}


def of_signature(
    signature: JwsSignature, header: Header, payload: Payload, unsigned: Unsigned
) -> tuple[FoundTimeStamp, ...]:
    """Every time-stamp that can be judged."""
    content = None if payload.stamped is None else _digest_of(*payload.stamped)
    stated = jades_unsigned.container_tokens(header.content_stamps)
    found = [FoundTimeStamp(TimeSource.CONTENT, token, content) for token in stated]
    value = signature.signature.encode("utf-8")
    for index, component in enumerate(unsigned.components):
        before = unsigned.components[:index]
        for token in jades_unsigned.tokens(component):
            if component.name == "sigTst":
                # 5.3.4: the base64url text of the value.
                found.append(FoundTimeStamp(TimeSource.SIGNATURE, token, _digest_of(value)))
            elif component.name == "sigRTst" and unsigned.readable and _is_encoded(before):
                found.append(_of_references(value, before, token))
            elif component.name == "arcTst" and unsigned.readable and _is_archive(component, before):
                found.append(_archive(signature, header, payload, before, token))
    return tuple(found[:MAX_TIME_STAMPS])


def has_unjudged(header: Header, unsigned: Unsigned) -> bool:
    """True where there are time-stamps of a kind that is not judged, or more than are, or etsiU cannot be read.

    Time-stamps over references alone say nothing of the signature. In the clear, elements have no octets of their own:
    which canonical form of JSON is meant, no standard says.
    """
    count = len(jades_unsigned.container_tokens(header.content_stamps))
    unjudged = not unsigned.readable
    for index, component in enumerate(unsigned.components):
        before = unsigned.components[:index]
        count += len(jades_unsigned.tokens(component))
        unjudged |= component.name == _OF_REFERENCES_ONLY
        unjudged |= component.name == "sigRTst" and not _is_encoded(before)
        unjudged |= component.name == "arcTst" and not _is_archive(component, before)
    return unjudged or count > MAX_TIME_STAMPS


def _is_encoded(before: tuple[Component, ...]) -> bool:
    return all(component.text is not None for component in before)


def _is_archive(component: Component, before: tuple[Component, ...]) -> bool:
    """True for an archive time-stamp over everything before it, all of it in base64url."""
    stamped = component.value.get("timeStamped", "all") if isinstance(component.value, dict) else "all"
    return stamped == "all" and _is_encoded(before)


def _of_references(value: bytes, before: tuple[Component, ...], token: bytes) -> FoundTimeStamp:
    """The sigRTst (annex A.1.5.1): over the value, a full stop, and earlier time-stamps and references."""
    texts = [c.text for c in before if c.name in _BEFORE_SIGNATURE_AND_REFERENCES and c.text is not None]
    stamps = tuple(c for c in before if c.name == "sigTst")
    covers = frozenset(hashlib.sha256(t).digest() for c in stamps for t in jades_unsigned.tokens(c))
    return FoundTimeStamp(TimeSource.SIGNATURE, token, _digest_of(value, b".", *texts), covers)


def _archive(
    signature: JwsSignature,
    header: Header,
    payload: Payload,
    before: tuple[Component, ...],
    token: bytes,
) -> FoundTimeStamp:
    """The arcTst (5.3.6.3): over content, protected header, value and the elements before it."""
    values = jades_unsigned.values_of(before).all
    tokens = [token for component in before for token in jades_unsigned.tokens(component)]
    covered = (*header.certificates, *values, *tokens)
    covers = frozenset(hashlib.sha256(one).digest() for one in covered)
    if payload.stamped is None:
        return FoundTimeStamp(TimeSource.ARCHIVE, token, None, covers)
    texts = [component.text for component in before if component.text is not None]
    signed = (signature.protected.encode(), b".", signature.signature.encode(), b".")
    imprint = _digest_of(*payload.stamped, b".", *signed, *texts)
    return FoundTimeStamp(TimeSource.ARCHIVE, token, imprint, covers)


def _digest_of(*parts: bytes) -> Callable[[str], bytes]:
    return lambda label: algorithms.digest(label, *parts)
