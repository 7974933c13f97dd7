"""Which document time-stamps of a PDF protect which signatures, and what else they prove to have existed."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

from services.verifier.domain import Coverage, SignatureKind, TimeSource
from services.verifier.formats import cms_stamps, cms_values
from services.verifier.formats.cms import SignedData
from services.verifier.formats.pdf_bytes import SignedRange
from services.verifier.formats.pdf_digests import RangeDigests
from services.verifier.formats.pdf_store import Stores
from services.verifier.ports import FoundSignature, FoundTimeStamp

MAX_PROTECTING = 50
"""Document time-stamps that are looked at for one signature: the first ones after it and the last ones of the file."""


@dataclass(frozen=True, slots=True)
class Placed:
    """A signature with its place in the file; `span` and `message` are None where it could not be read."""

    found: FoundSignature
    span: SignedRange | None = None
    message: SignedData | None = None
    container: bytes = b""


def with_time_stamps(placed: Sequence[Placed], digests: RangeDigests, stores: Stores) -> list[FoundSignature]:
    """The signatures with their own and with the protecting time-stamps, and with the store's material."""
    stamps = _document_stamps(placed, digests, stores)
    newest = stores.newest() if any(one.span is not None for one in placed) else None
    finished = []
    for one in placed:
        found = one.found
        if one.span is None or one.message is None or newest is None:
            finished.append(found)
            continue
        later = [stamp for span, stamp in stamps if one.span.end <= span.gap_start]
        if len(later) > MAX_PROTECTING:
            later = later[: MAX_PROTECTING // 2] + later[-MAX_PROTECTING // 2 :]
        own = next((stamp for span, stamp in stamps if span is one.span), None)
        signer = found.signer
        inside = cms_stamps.of_signer(one.message, signer, found.digest) if own is None and signer else ()
        held = cms_values.held(one.message, signer) if signer else cms_values.of_message(one.message)
        finished.append(
            replace(
                found,
                certificates=tuple(
                    dict.fromkeys((*found.certificates, *held.certificates, *newest.certificates))
                ),
                crls=tuple(dict.fromkeys((*found.crls, *held.crls, *newest.crls))),
                ocsps=tuple(dict.fromkeys((*held.ocsps, *newest.ocsps))),
                time_stamps=(*inside, *later),
                own_stamp=own,
                unjudged_time_stamps=signer is not None and cms_stamps.has_unjudged(one.message, signer),
            )
        )
    return finished


def _document_stamps(
    placed: Sequence[Placed], digests: RangeDigests, stores: Stores
) -> list[tuple[SignedRange, FoundTimeStamp]]:
    """Every document time-stamp that covers a state of the document, in the order of the file."""
    spans = sorted((one for one in placed if one.span is not None), key=_end)
    proved: set[bytes] = set()
    stamps: list[tuple[SignedRange, FoundTimeStamp]] = []
    for one in spans:
        span, found = one.span, one.found
        if span is None:
            continue
        if found.kind is SignatureKind.DOCUMENT_TIMESTAMP and found.fault is None and found.coverage.revision:
            # A stamp that covers less than a whole revision proves nothing of what the document was.
            partial = found.coverage.coverage not in (Coverage.WHOLE, Coverage.REVISION)
            covers = frozenset() if partial else proved | stores.fingerprints(found.coverage.revision - 1)
            stamps.append((span, _stamp(one, span, digests, frozenset(covers))))
        proved |= _values(one)
    return stamps


def _end(one: Placed) -> int:
    return one.span.end if one.span is not None else 0


def _stamp(one: Placed, span: SignedRange, digests: RangeDigests, covers: frozenset[bytes]) -> FoundTimeStamp:
    return FoundTimeStamp(TimeSource.DOCUMENT, one.container, lambda label: digests.of(span, label), covers)


def _values(one: Placed) -> set[bytes]:
    """SHA-256 of what the signature's container holds: itself, certificates, revocation values, tokens."""
    found = {hashlib.sha256(one.container).digest()}
    if one.message is not None:
        found |= cms_stamps.values_of(one.message)
    signer = one.found.signer
    found |= cms_values.archived(signer).fingerprints() if signer is not None else set()
    for value in signer.unsigned if signer is not None else ():
        found.add(hashlib.sha256(value.value).digest())
        found |= cms_values.of_attribute(value).fingerprints()
    return found
