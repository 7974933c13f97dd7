"""Certificates that are not quite DER, as some authorities made them: a copy of one that a strict parser reads.

What others read as well (X.509's readers of the field bear all of it): strings with characters that their type does not
have, truth written otherwise than as 0xFF or where it may be left out, and times without seconds or with an offset. The
copy only gives the values; what is signed, hashed, compared and handed out is the certificate as it came.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache

from services.verifier.formats import ber
from services.verifier.formats.ber import BerError, Node

_BOOLEAN, _UTF8_STRING = 0x01, 0x0C
_PERMITTED = {
    0x13: re.compile(rb"[A-Za-z0-9 '()+,./:=?-]*"),
    0x14: re.compile(rb"[\x00-\x7f]*"),
    0x16: re.compile(rb"[\x00-\x7f]*"),
}
"""What PrintableString, TeletexString and IA5String are read with; more of it is taken for Latin-1, as others do."""
MAX_MEMBERS = 50
"""Relative names in a name, attributes in one of them, extensions: no certificate of use has more, and each is work."""
_UTC_TIME = re.compile(rb"\d{12}Z")
_LENIENT_UTC_TIME = re.compile(rb"\d{10}(?:\d\d)?(?:Z|[+-]\d{4})")

_Write = Callable[[Node], bytes]


@lru_cache(maxsize=1024)
def mended(der: bytes) -> bytes | None:
    """The certificate without these flaws; None where other things are wrong with it, or nothing is.

    Remembered, as a message may bring one that is of no use and have many signers look for theirs.
    """
    try:
        return _mended(der)
    except (BerError, IndexError):
        return None


def _mended(der: bytes) -> bytes:
    whole, rest = ber.load(der)
    # Lengths that are written in another way, or octets behind the end, are none of the flaws.
    if rest or _assembled(whole, _as_it_is, _as_it_is, _as_it_is) != der:
        raise BerError("the certificate is not encoded as DER")
    copy = _assembled(whole, _string, _time, _extension)
    if copy == der:
        raise BerError("nothing in the certificate is to be mended")
    return copy


def _members(node: Node, tag: int, what: str) -> list[Node]:
    members = node.expect(tag, what).children()
    if len(members) > MAX_MEMBERS:
        raise BerError(f"{what} has more than {MAX_MEMBERS} members")
    return members


def _assembled(whole: Node, string: _Write, time: _Write, extension: _Write) -> bytes:
    """A certificate from its parts (RFC 5280 4.1), each written so."""
    tbs, *signature = whole.expect(ber.SEQUENCE, "Certificate").children()
    fields = tbs.expect(ber.SEQUENCE, "TBSCertificate").children()
    first = 1 if fields[0].tag == 0xA0 else 0
    if len(fields) < first + 6:
        raise BerError("the certificate is incomplete")
    written = [field.encoded for field in fields]
    for place in (first + 2, first + 4):
        written[place] = _name(fields[place], string)
    validity = fields[first + 3].expect(ber.SEQUENCE, "Validity")
    written[first + 3] = ber.tlv(ber.SEQUENCE, b"".join(map(time, validity.children()[:2])))
    if fields[-1].tag == 0xA3:
        inner = fields[-1].children()
        listed = b"".join(map(extension, _members(inner[0], ber.SEQUENCE, "Extensions")))
        written[-1] = ber.tlv(
            0xA3, ber.tlv(ber.SEQUENCE, listed) + b"".join(one.encoded for one in inner[1:])
        )
    parts = ber.tlv(ber.SEQUENCE, b"".join(written)) + b"".join(one.encoded for one in signature)
    return ber.tlv(ber.SEQUENCE, parts)


def _name(name: Node, string: _Write) -> bytes:
    rdns = []
    for rdn in _members(name, ber.SEQUENCE, "Name"):
        members = _members(rdn, ber.SET, "RelativeDistinguishedName")
        written = [_attribute(member, string) for member in members]
        if written != [member.encoded for member in members]:
            written.sort()
        rdns.append(ber.tlv(ber.SET, b"".join(written)))
    return ber.tlv(ber.SEQUENCE, b"".join(rdns))


def _attribute(attribute: Node, string: _Write) -> bytes:
    members = attribute.expect(ber.SEQUENCE, "AttributeTypeAndValue").children()
    if len(members) != 2:
        raise BerError("an attribute of a name has the wrong number of members")
    return ber.tlv(ber.SEQUENCE, members[0].encoded + string(members[1]))


def _as_it_is(node: Node) -> bytes:
    return node.encoded


def _string(value: Node) -> bytes:
    permitted = _PERMITTED.get(value.tag)
    if permitted is None or permitted.fullmatch(value.contents):
        return value.encoded
    return ber.tlv(_UTF8_STRING, value.contents.decode("latin-1").encode("utf-8"))


def _time(stated: Node) -> bytes:
    if stated.tag != ber.UTC_TIME or _UTC_TIME.fullmatch(stated.contents):
        return stated.encoded
    if not _LENIENT_UTC_TIME.fullmatch(stated.contents):
        raise BerError("a time of the certificate cannot be read")
    moment = ber.time(stated)
    if 1950 <= moment.year <= 2049:
        return ber.tlv(ber.UTC_TIME, f"{moment:%y%m%d%H%M%S}Z".encode())
    return ber.tlv(ber.GENERALIZED_TIME, f"{moment:%Y%m%d%H%M%S}Z".encode())


def _extension(extension: Node) -> bytes:
    """RFC 5280 4.1: critical is BOOLEAN DEFAULT FALSE, and true is 0xFF (X.690 11.1)."""
    members = extension.expect(ber.SEQUENCE, "Extension").children()
    if len(members) != 3 or members[1].tag != _BOOLEAN or len(members[1].contents) != 1:
        return extension.encoded
    critical = ber.tlv(_BOOLEAN, b"\xff") if members[1].contents != b"\0" else b""
    return ber.tlv(ber.SEQUENCE, members[0].encoded + critical + members[2].encoded)
