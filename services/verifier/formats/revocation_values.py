"""OCSP responses as signatures keep them: whole, or without the outer layer (RFC 6960 4.2.1)."""

from __future__ import annotations

from services.verifier.formats import ber
from services.verifier.formats.ber import BerError

_ENUMERATED = 0x0A
_BASIC = bytes.fromhex("06092b0601050507300101")


def as_response(value: bytes) -> bytes:
    """An OCSPResponse (DER) from one, or from a BasicOCSPResponse; what is neither comes back as it is."""
    try:
        members = ber.load(value)[0].expect(ber.SEQUENCE, "OCSP value").children()
    except BerError:
        return value
    if not members or members[0].tag != ber.SEQUENCE:
        return value
    inner = ber.tlv(ber.SEQUENCE, _BASIC + ber.tlv(ber.OCTET_STRING, value))
    return ber.tlv(ber.SEQUENCE, ber.tlv(_ENUMERATED, b"\0") + ber.tlv(0xA0, inner))
