"""CMS signed data (RFC 5652, and PKCS#7 1.5 where it still occurs), read into plain values.

Only reading: no signature is checked here. Strict where leniency has let forgeries through: attributes must be
single and well-formed, nothing may follow the message, version and kind fields must be readable.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from services.verifier.formats import ber
from services.verifier.formats.ber import BerError, Node

DATA = "1.2.840.113549.1.7.1"
SIGNED_DATA = "1.2.840.113549.1.7.2"
TST_INFO = "1.2.840.113549.1.9.16.1.4"
CONTENT_TYPE = "1.2.840.113549.1.9.3"
MESSAGE_DIGEST = "1.2.840.113549.1.9.4"
SIGNING_TIME = "1.2.840.113549.1.9.5"
SIGNING_CERTIFICATE = "1.2.840.113549.1.9.16.2.12"
SIGNING_CERTIFICATE_V2 = "1.2.840.113549.1.9.16.2.47"
SIGNATURE_TIMESTAMP = "1.2.840.113549.1.9.16.2.14"
CONTENT_TIMESTAMP = "1.2.840.113549.1.9.16.2.20"
REVOCATION_ARCHIVAL = "1.2.840.113583.1.1.8"
_OCSP_RESPONSE = "1.3.6.1.5.5.7.16.2"
_SHA256 = "2.16.840.1.101.3.4.2.1"
_SHA1 = "1.3.14.3.2.26"

T = TypeVar("T")

MAX_SIGNERS = 200
MAX_CERTIFICATES = 500
_PEM = re.compile(rb"-----BEGIN (?:PKCS7|CMS)-----\s+([A-Za-z0-9+/=\s]+?)-----END (?:PKCS7|CMS)-----\s*\Z")


@dataclass(frozen=True, slots=True)
class AlgorithmIdentifier:
    """An algorithm's object identifier and its parameters (None when absent)."""

    oid: str
    parameters: Node | None


@dataclass(frozen=True, slots=True)
class CertificateReference:
    """One ESSCertID (RFC 5035): digest of the signer's certificate by `digest_oid`."""

    digest_oid: str
    digest: bytes


@dataclass(frozen=True, slots=True)
class UnsignedValue:
    """One value of an unsigned attribute: its type, and the encodings of the type, the value and the attribute."""

    oid: str
    type_octets: bytes
    value: bytes
    attribute: bytes = b""


@dataclass(frozen=True, slots=True)
class SignerInfo:
    """One signer of a SignedData. `signed_octets`: the signed attributes' DER, empty when there are none.

    `core` is everything of the SignerInfo but the unsigned attributes, as encoded; `content_stamps` are the tokens of
    signed content time-stamps, `archived` the values of Adobe's signed attribute with revocation values.
    """

    issuer: bytes
    serial: int | None
    subject_key_id: bytes | None
    digest: AlgorithmIdentifier
    signature_algorithm: AlgorithmIdentifier
    signature: bytes
    signed_octets: bytes
    content_type: str | None
    message_digest: bytes | None
    signing_time: datetime | None
    references: tuple[CertificateReference, ...]
    has_reference_attribute: bool
    has_timestamp: bool
    core: bytes = b""
    unsigned: tuple[UnsignedValue, ...] = ()
    content_stamps: tuple[bytes, ...] = ()
    archived: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class SignedData:
    """A CMS message. `content` is None when the signature is detached. Certificates, CRLs and OCSP responses are DER.

    `certificate_choices` and `revocation_choices` are the members of the two sets as encoded, of every kind; `outer`
    are encapContentInfo and the two sets, where they are there.
    """

    content_type: str
    content: bytes | None
    certificates: tuple[bytes, ...]
    crls: tuple[bytes, ...]
    signers: tuple[SignerInfo | BerError, ...]
    ocsps: tuple[bytes, ...] = ()
    certificate_choices: tuple[bytes, ...] = ()
    revocation_choices: tuple[bytes, ...] = ()
    type_octets: bytes = b""
    outer: tuple[Node, ...] = ()


def looks_like(data: bytes) -> bool:
    """True when `data` starts as a CMS ContentInfo of type signed-data, in BER, PEM or bare base64."""
    return _starts(data) or _starts(_unarmoured(data) or b"")


def _starts(data: bytes) -> bool:
    # The OID of signed-data follows the outer SEQUENCE header, whose length field takes one to five octets.
    return data[:1] == b"\x30" and bytes.fromhex("06092a864886f70d010702") in data[2:18]


def _unarmoured(data: bytes) -> bytes | None:
    match = _PEM.search(data)
    text = match.group(1) if match else data
    if not match and not re.fullmatch(rb"[A-Za-z0-9+/=\s]{16,}", data[:4096]):
        return None
    try:
        return base64.b64decode(b"".join(text.split()), validate=True)
    except binascii.Error:
        return None


def parse_file(data: bytes) -> SignedData:
    """A CMS file in BER, PEM or base64. Raises BerError."""
    if not _starts(data):
        data = _unarmoured(data) or data
    message, rest = parse(data)
    if rest.strip(b"\r\n"):
        raise BerError(f"{len(rest)} octets follow the message")
    return message


def parse(data: bytes) -> tuple[SignedData, bytes]:
    """The SignedData at the start of `data`, and the octets after it. Raises BerError."""
    outer, rest = ber.load(data)
    members = outer.expect(ber.SEQUENCE, "ContentInfo").children()
    if len(members) != 2 or ber.oid(members[0]) != SIGNED_DATA:
        raise BerError("not a ContentInfo with signed data")
    inner = members[1].expect(0xA0, "explicit content").children()
    if len(inner) != 1:
        raise BerError("ContentInfo must hold exactly one content")
    return _signed_data(inner[0]), rest


def _signed_data(node: Node) -> SignedData:
    members = node.expect(ber.SEQUENCE, "SignedData").children()
    if len(members) < 4:
        raise BerError("SignedData is incomplete")
    ber.integer(members[0])
    members[1].expect(ber.SET, "digestAlgorithms")
    content_type, content = _encapsulated(members[2])
    index = 3
    certificates: list[Node] = []
    revocations: list[Node] = []
    if members[index].tag == 0xA0:
        certificates, index = _choices(members[index]), index + 1
    if index < len(members) and members[index].tag == 0xA1:
        revocations, index = _choices(members[index]), index + 1
    if index != len(members) - 1:
        raise BerError("SignedData has members that do not belong there")
    infos = members[index].expect(ber.SET, "signerInfos").children()
    if len(infos) > MAX_SIGNERS:
        raise BerError(f"more than {MAX_SIGNERS} signers")
    # Each signer in its own guard: one that cannot be read must not hide the others.
    return SignedData(
        content_type,
        content,
        # Other choices than Certificate (attribute certificates, other formats) carry a context tag.
        tuple(m.encoded for m in certificates if m.tag == ber.SEQUENCE),
        tuple(m.encoded for m in revocations if m.tag == ber.SEQUENCE),
        tuple(map(_guarded_signer, infos)),
        ocsps=tuple(found for found in map(ocsp_in, revocations) if found is not None),
        certificate_choices=tuple(m.encoded for m in certificates),
        revocation_choices=tuple(m.encoded for m in revocations),
        type_octets=members[2].children()[0].encoded,
        outer=tuple(members[2:index]),
    )


def _encapsulated(node: Node) -> tuple[str, bytes | None]:
    members = node.expect(ber.SEQUENCE, "encapContentInfo").children()
    if not 1 <= len(members) <= 2:
        raise BerError("encapContentInfo has the wrong number of members")
    if len(members) == 1:
        return ber.oid(members[0]), None
    inner = members[1].expect(0xA0, "eContent").children()
    if len(inner) != 1:
        raise BerError("eContent must hold exactly one value")
    return ber.oid(members[0]), ber.octets(inner[0])


def _choices(node: Node) -> list[Node]:
    members = node.children()
    if len(members) > MAX_CERTIFICATES:
        raise BerError(f"more than {MAX_CERTIFICATES} certificates or CRLs")
    return members


def ocsp_in(node: Node) -> bytes | None:
    """The OCSPResponse in an OtherRevocationInfoFormat (RFC 5940 2.1); None where it is something else."""
    if node.tag != 0xA1:
        return None
    members = node.children()
    if len(members) != 2 or ber.oid(members[0]) != _OCSP_RESPONSE:
        return None
    return members[1].encoded


def signer_info(data: bytes) -> SignerInfo:
    """The SignerInfo that these octets are, as a counter-signature is one (RFC 5652 11.4). Raises BerError."""
    return _signer(ber.load(data)[0])


def _guarded_signer(node: Node) -> SignerInfo | BerError:
    try:
        return _signer(node)
    except BerError as error:
        return error


def _signer(node: Node) -> SignerInfo:
    members = node.expect(ber.SEQUENCE, "SignerInfo").children()
    if len(members) < 5:
        raise BerError("SignerInfo is incomplete")
    ber.integer(members[0])
    issuer, serial, key_id = _signer_identifier(members[1])
    digest = algorithm(members[2])
    if digest.parameters is not None and digest.parameters.encoded != b"\x05\x00":
        raise BerError("the digest algorithm's parameters are neither absent nor NULL (RFC 5754 2)")
    index = 3
    attributes: dict[str, list[list[Node]]] = {}
    octets = b""
    if members[index].tag == 0xA0:
        attributes = _attributes(members[index])
        octets = _signed_octets(members[index])
        index += 1
    if len(members) not in (index + 2, index + 3):
        raise BerError("SignerInfo has the wrong number of members")
    unsigned: tuple[UnsignedValue, ...] = ()
    if len(members) == index + 3:
        unsigned = _unsigned(members[index + 2].expect(0xA1, "unsignedAttrs"))
    references = _references(attributes)
    return SignerInfo(
        issuer=issuer,
        serial=serial,
        subject_key_id=key_id,
        digest=digest,
        signature_algorithm=algorithm(members[index]),
        signature=ber.octets(members[index + 1]),
        signed_octets=octets,
        content_type=_optional(attributes, CONTENT_TYPE, ber.oid) if octets else None,
        message_digest=_optional(attributes, MESSAGE_DIGEST, ber.octets) if octets else None,
        signing_time=_optional(attributes, SIGNING_TIME, ber.time),
        references=references,
        has_reference_attribute=SIGNING_CERTIFICATE in attributes or SIGNING_CERTIFICATE_V2 in attributes,
        has_timestamp=any(value.oid == SIGNATURE_TIMESTAMP for value in unsigned),
        core=b"".join(member.encoded for member in members[: index + 2]),
        unsigned=unsigned,
        content_stamps=_encoded(attributes, CONTENT_TIMESTAMP),
        archived=_encoded(attributes, REVOCATION_ARCHIVAL),
    )


def _encoded(attributes: dict[str, list[list[Node]]], oid: str) -> tuple[bytes, ...]:
    return tuple(value.encoded for values in attributes.get(oid, []) for value in values)


def _signer_identifier(node: Node) -> tuple[bytes, int | None, bytes | None]:
    if node.tag == 0x80:
        return b"", None, node.contents
    if node.tag == 0xA0:
        return b"", None, ber.octets(node.children()[0])
    members = node.expect(ber.SEQUENCE, "issuerAndSerialNumber").children()
    if len(members) != 2:
        raise BerError("issuerAndSerialNumber has the wrong number of members")
    return members[0].encoded, ber.integer(members[1]), None


def algorithm(node: Node) -> AlgorithmIdentifier:
    """An AlgorithmIdentifier. Raises BerError."""
    members = node.expect(ber.SEQUENCE, "AlgorithmIdentifier").children()
    if not 1 <= len(members) <= 2:
        raise BerError("AlgorithmIdentifier has the wrong number of members")
    return AlgorithmIdentifier(ber.oid(members[0]), members[1] if len(members) == 2 else None)


def _signed_octets(node: Node) -> bytes:
    """RFC 5652 5.4: the signature is over the DER of the SET OF, whatever the encoding of the [0] that is stored."""
    return ber.der(node, ber.SET)


def _attributes(node: Node) -> dict[str, list[list[Node]]]:
    found: dict[str, list[list[Node]]] = {}
    for member in node.children():
        pair = member.expect(ber.SEQUENCE, "attribute").children()
        if len(pair) != 2:
            raise BerError(f"attribute at {member.start} has the wrong number of members")
        found.setdefault(ber.oid(pair[0]), []).append(pair[1].expect(ber.SET, "attribute values").children())
    return found


def _unsigned(node: Node) -> tuple[UnsignedValue, ...]:
    found: list[UnsignedValue] = []
    for member in node.children():
        pair = member.expect(ber.SEQUENCE, "attribute").children()
        if len(pair) != 2:
            raise BerError(f"attribute at {member.start} has the wrong number of members")
        oid, values = ber.oid(pair[0]), pair[1].expect(ber.SET, "attribute values").children()
        found.extend(UnsignedValue(oid, pair[0].encoded, value.encoded, member.encoded) for value in values)
    return tuple(found)


def _optional(attributes: dict[str, list[list[Node]]], oid: str, read: Callable[[Node], T]) -> T | None:
    """RFC 5652 11.1-11.3: these attributes occur once and with one value. Two of them are how forgeries choose."""
    instances = attributes.get(oid)
    if instances is None:
        return None
    if len(instances) != 1 or len(instances[0]) != 1:
        raise BerError(f"attribute {oid} must occur once with one value")
    return read(instances[0][0])


def _references(attributes: dict[str, list[list[Node]]]) -> tuple[CertificateReference, ...]:
    """First ESSCertID of each signing-certificate attribute (RFC 5035: the first one names the signer's)."""
    found: list[CertificateReference] = []
    for oid in (SIGNING_CERTIFICATE, SIGNING_CERTIFICATE_V2):
        for values in attributes.get(oid, []):
            if len(values) != 1:
                raise BerError(f"attribute {oid} must have one value")
            identifiers = _first(_first(values[0], "signing certificate"), "certificate list")
            found.append(_reference(identifiers, oid == SIGNING_CERTIFICATE))
    return tuple(found)


def _first(node: Node, what: str) -> Node:
    members = node.expect(ber.SEQUENCE, what).children()
    if not members:
        raise BerError(f"{what} is empty")
    return members[0]


def _reference(node: Node, version_one: bool) -> CertificateReference:
    members = node.expect(ber.SEQUENCE, "ESSCertID").children()
    if version_one:
        return CertificateReference(_SHA1, ber.octets(_first(node, "ESSCertID")))
    if members and members[0].tag == ber.SEQUENCE:
        return CertificateReference(algorithm(members[0]).oid, ber.octets(members[1]))
    if not members:
        raise BerError("ESSCertIDv2 is empty")
    return CertificateReference(_SHA256, ber.octets(members[0]))


@dataclass(frozen=True, slots=True)
class TimestampInfo:
    """What a time-stamp token says (RFC 3161 2.4.2): which digest existed, and when."""

    digest_oid: str
    digest: bytes
    time: datetime


def timestamp_info(content: bytes) -> TimestampInfo:
    """The TSTInfo in `content`. Raises BerError."""
    node, rest = ber.load(content)
    members = node.expect(ber.SEQUENCE, "TSTInfo").children()
    if rest or len(members) < 5:
        raise BerError("TSTInfo is incomplete or followed by other octets")
    imprint = members[2].expect(ber.SEQUENCE, "messageImprint").children()
    if len(imprint) != 2:
        raise BerError("messageImprint has the wrong number of members")
    return TimestampInfo(algorithm(imprint[0]).oid, ber.octets(imprint[1]), ber.time(members[4]))


def reads_as_attributes(content: bytes) -> bool:
    """True when content is itself a SET OF attributes with a message digest.

    Without signed attributes a signature over such content could have been lifted from a message that had them.
    """
    if content[:1] != b"\x31":
        return False
    try:
        node, rest = ber.load(content)
        return not rest and MESSAGE_DIGEST in _attributes(node)
    except BerError:
        return False
