"""Older time-stamps over a CMS signature: archive-time-stamp v2, and those over complete references.

RFC 5126 6.3.5, 6.3.6 and 6.4.1 (ETSI TS 101 733): they are over encodings as these stand in the message. Makers have
read the text in several ways; a stamp holds if it is over the octets by one of them, each of which takes in all that is
to be protected.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime

from services.verifier import algorithms
from services.verifier.formats import ber, cms, cms_values
from services.verifier.formats.ber import BerError
from services.verifier.formats.cms import SignedData, SignerInfo, UnsignedValue

ARCHIVE_TIMESTAMP_V2 = "1.2.840.113549.1.9.16.2.48"
ARCHIVE_TIMESTAMP_V1 = "1.2.840.113549.1.9.16.2.27"
ARCHIVE_TIMESTAMP_V3 = "0.4.0.1733.2.4"
SIGNATURE_AND_REFERENCES = "1.2.840.113549.1.9.16.2.25"
REFERENCES_ONLY = "1.2.840.113549.1.9.16.2.26"
_ARCHIVES = frozenset({ARCHIVE_TIMESTAMP_V1, ARCHIVE_TIMESTAMP_V2, ARCHIVE_TIMESTAMP_V3})
_REFERENCES = (cms_values.COMPLETE_CERTIFICATE_REFERENCES, cms_values.COMPLETE_REVOCATION_REFERENCES)


def before(signer: SignerInfo, stamp: UnsignedValue) -> list[UnsignedValue]:
    """The unsigned values that were there when an archive time-stamp was made.

    That is all but itself and later archive time-stamps; attributes that hold one of those beside others are left out.
    """
    moment = _time(stamp.value)
    later = {
        value.attribute
        for value in signer.unsigned
        if value is stamp or (value.oid in _ARCHIVES and _is_later(_time(value.value), moment))
    }
    return [value for value in signer.unsigned if value.attribute not in later]


def _is_later(time: datetime | None, than: datetime | None) -> bool:
    return time is None or than is None or time >= than


def _time(token: bytes) -> datetime | None:
    try:
        content = cms.parse(token)[0].content
        return cms.timestamp_info(content).time if content is not None else None
    except BerError:
        return None


def archive_imprint(
    message: SignedData, signer: SignerInfo, content: bytes | None, stamp: UnsignedValue
) -> Callable[[str], bytes]:
    """Of an archive-time-stamp v2: content, certificates, revocation values and the SignerInfo without later stamps.

    `content` is that of a detached signature, None where the message holds it.
    """
    attributes = list(dict.fromkeys(value.attribute for value in before(signer, stamp)))
    detached = [content] if content is not None else []

    def ways() -> Iterator[tuple[bytes, ...]]:
        # The outer members as they stand or in DER; attributes with the [1] around them or without, sorted or not.
        joined, ordered = b"".join(attributes), b"".join(sorted(attributes))
        for encode in (lambda node: node.encoded, ber.der):
            outer = [encode(node) for node in message.outer]
            for unsigned in (ber.tlv(0xA1, joined), ber.tlv(0xA1, ordered), joined, ordered):
                yield (*outer[:1], *detached, *outer[1:], signer.core, unsigned)

    return _one_of(stamp.value, ways)


def references_imprint(signer: SignerInfo, stamp: UnsignedValue) -> Callable[[str], bytes]:
    """Of a time-stamp over the value, the signature time-stamps and the references, or over the references alone."""
    wanted = (
        [cms.SIGNATURE_TIMESTAMP, *_REFERENCES] if stamp.oid == SIGNATURE_AND_REFERENCES else [*_REFERENCES]
    )
    parts = [signer.signature] if stamp.oid == SIGNATURE_AND_REFERENCES else []
    encodings = [_without_header(value) for oid in wanted for value in _attributes(signer, oid)]
    return _one_of(stamp.value, lambda: [(*parts, *encodings)])


def referring(signer: SignerInfo) -> list[UnsignedValue]:
    """The complete references of a signer."""
    return [value for value in signer.unsigned if value.oid in _REFERENCES]


def _attributes(signer: SignerInfo, oid: str) -> Iterator[bytes]:
    yield from dict.fromkeys(value.attribute for value in signer.unsigned if value.oid == oid)


def _without_header(attribute: bytes) -> bytes:
    """Type and values of an attribute, without the SEQUENCE around them (TS 101 733 6.3.5, note 2)."""
    return b"".join(member.encoded for member in ber.load(attribute)[0].children())


def _one_of(token: bytes, ways: Callable[[], Iterable[tuple[bytes, ...]]]) -> Callable[[str], bytes]:
    """The digest by the first way that the token is over, else by the first way."""

    def imprint(label: str) -> bytes:
        content = cms.parse(token)[0].content
        stated = cms.timestamp_info(content).digest if content is not None else b""
        digests = (algorithms.digest(label, *way) for way in ways())
        first = next(digests)
        return first if first == stated else next((each for each in digests if each == stated), first)

    return imprint
