"""CMS containers that exist already, ours or foreign, time-stamp tokens among them (RFC 5652): read and added to.

What another signer signed is never encoded anew: SignerInfos, certificates and attributes keep their bytes, only
the lengths round them change.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from services.kernel.errors import BodyTooLarge, DocumentDamaged
from services.signer.formats import ber

if TYPE_CHECKING:
    from services.signer.formats.format import Document

MAX_CONTAINER_BYTES = 64 << 20
MAX_SIGNERS = 256
MAX_CERTIFICATES = 4096
"""And revocation values."""
ID_SIGNED_DATA = ber.oid("1.2.840.113549.1.7.2")
_ID_DATA = ber.oid("1.2.840.113549.1.7.1")
_MESSAGE_DIGEST = ber.oid("1.2.840.113549.1.9.4")
_PEM = re.compile(rb"\s*-----BEGIN (CMS|PKCS7)-----\s([A-Za-z0-9+/=\s]*)-----END \1-----\s*")
_SUBJECT_KEY_SIGNER = 0x80
_OTHER_CERTIFICATE, _V2_ATTRIBUTE_CERTIFICATE, _V1_ATTRIBUTE_CERTIFICATE = 0xA3, 0xA2, 0xA1


_PEM_BEGINS = frozenset((b"-", b" ", b"\t", b"\r", b"\n"))


@dataclass(frozen=True, slots=True)
class Attribute:
    """An attribute: its type as an encoded OBJECT IDENTIFIER, and its values, each whole and as it was encoded."""

    type: bytes
    values: tuple[bytes, ...]
    encoded: bytes


@dataclass(frozen=True, slots=True)
class SignerInfo:
    """RFC 5652 section 5.3; every field as it was encoded, tag and length included, b"" where it is absent."""

    version: bytes
    signer: bytes
    digest_algorithm: bytes
    signed_attributes: bytes
    """Under their tag [0]."""
    signature_algorithm: bytes
    signature: bytes
    unsigned_attributes: tuple[bytes, ...] = ()
    """Each attribute by itself."""

    @classmethod
    def read(cls, encoded: bytes) -> SignerInfo:
        """Take a SignerInfo apart. Raises DocumentDamaged."""
        fields = ber.children(_expect(ber.whole(encoded), ber.SEQUENCE, "a SignerInfo is no SEQUENCE"))
        tags = tuple(field.tag for field in fields)
        signed = ber.CONTEXT_0 in tags[3:4]
        unsigned = tags[-1:] == (ber.CONTEXT_1,)
        core = tags[: len(tags) - unsigned]
        wanted = (ber.INTEGER, *core[1:2], ber.SEQUENCE, *signed * (ber.CONTEXT_0,), ber.SEQUENCE, *core[-1:])
        if core != wanted or core[-1] & ~0x20 != ber.OCTET_STRING:
            raise ber.damaged("a SignerInfo has other fields than RFC 5652 section 5.3 knows", 0)
        encodings = [field.encoded for field in fields]
        return cls(
            version=encodings[0],
            signer=encodings[1],
            digest_algorithm=encodings[2],
            signed_attributes=encodings[3] if signed else b"",
            signature_algorithm=encodings[3 + signed],
            signature=encodings[4 + signed],
            unsigned_attributes=tuple(child.encoded for child in ber.children(fields[-1]))
            if unsigned
            else (),
        )

    @property
    def signature_value(self) -> bytes:
        """The octets of the signature value."""
        return ber.octets(ber.whole(self.signature))

    @property
    def core(self) -> bytes:
        """Everything but the unsigned attributes: never changes once it is signed."""
        return b"".join(
            (
                self.version,
                self.signer,
                self.digest_algorithm,
                self.signed_attributes,
                self.signature_algorithm,
                self.signature,
            )
        )

    @property
    def message_digest(self) -> bytes:
        """The value of the message-digest attribute. Raises DocumentDamaged where it is not there once."""
        found = self.attributes(_MESSAGE_DIGEST, signed=True)
        if len(found) != 1 or len(found[0].values) != 1:
            raise ber.damaged("a signature has no message digest among its signed attributes", 0)
        return ber.octets(ber.whole(found[0].values[0]))

    def attributes(self, kind: bytes, *, signed: bool) -> tuple[Attribute, ...]:
        """Return the attributes of a type (an encoded OBJECT IDENTIFIER), in order."""
        if not signed:
            found = (attribute(encoded) for encoded in self.unsigned_attributes)
            return tuple(each for each in found if each.type == kind)
        if not self.signed_attributes:
            return ()
        read = (attribute(child.encoded) for child in ber.children(ber.whole(self.signed_attributes)))
        return tuple(each for each in read if each.type == kind)

    def with_unsigned(self, kind: bytes, value: bytes) -> SignerInfo:
        """Return the same with one more unsigned attribute of one value."""
        new = ber.encode(ber.SEQUENCE, kind, ber.encode(ber.SET, value))
        return replace(self, unsigned_attributes=tuple(ber.extended(self.unsigned_attributes, (new,))))

    def encode(self) -> bytes:
        """Encode; only the lengths of the whole and of the unsigned attributes are written anew."""
        fields = [self.version, self.signer, self.digest_algorithm, self.signed_attributes]
        fields += [self.signature_algorithm, self.signature]
        if self.unsigned_attributes:
            fields.append(ber.encode(ber.CONTEXT_1, *self.unsigned_attributes))
        return ber.encode(ber.SEQUENCE, *fields)


@dataclass(frozen=True, slots=True)
class SignedData:
    """RFC 5652 section 5.1; the elements of every set as they were encoded."""

    digest_algorithms: tuple[bytes, ...]
    content_info: bytes
    """EncapsulatedContentInfo, whole."""
    certificates: tuple[bytes, ...]
    crls: tuple[bytes, ...]
    """RevocationInfoChoices: CRLs, and other values under [1]."""
    signers: tuple[bytes, ...]

    @classmethod
    def read(cls, container: bytes) -> SignedData:
        """Take a container apart. Raises DocumentDamaged, BodyTooLarge."""
        if len(container) > MAX_CONTAINER_BYTES:
            raise _too_large()
        outer = ber.children(
            _expect(ber.whole(container), ber.SEQUENCE, "it is no ContentInfo (RFC 5652 section 3)")
        )
        if [field.tag for field in outer] != [ber.OID, ber.CONTEXT_0] or outer[0].encoded != ID_SIGNED_DATA:
            raise ber.damaged("it is no ContentInfo with SignedData (RFC 5652 section 5)", 0)
        held = ber.children(outer[1])
        if len(held) != 1:
            raise ber.damaged("its content is not one value", outer[1].start)
        fields = ber.children(_expect(held[0], ber.SEQUENCE, "SignedData is no SEQUENCE"))
        tags = [field.tag for field in fields]
        optional = tags[3:-1]
        if tags[:3] != [ber.INTEGER, ber.SET, ber.SEQUENCE] or tags[-1] != ber.SET or len(tags) < 4:
            raise ber.damaged("SignedData has other fields than RFC 5652 section 5.1 knows", held[0].start)
        if optional not in ([], [ber.CONTEXT_0], [ber.CONTEXT_1], [ber.CONTEXT_0, ber.CONTEXT_1]):
            raise ber.damaged("SignedData has other fields than RFC 5652 section 5.1 knows", held[0].start)
        sets = dict(zip(optional, fields[3:-1], strict=True))
        signers = ber.children(fields[-1])
        if len(signers) > MAX_SIGNERS:
            raise ber.damaged(f"it has more than {MAX_SIGNERS} signers", fields[-1].start)
        return cls(
            digest_algorithms=tuple(child.encoded for child in ber.children(fields[1])),
            content_info=fields[2].encoded,
            certificates=_elements(sets.get(ber.CONTEXT_0)),
            crls=_elements(sets.get(ber.CONTEXT_1)),
            signers=tuple(signer.encoded for signer in signers),
        )

    @property
    def content_type(self) -> bytes:
        """The eContentType, an encoded OBJECT IDENTIFIER."""
        return self._content_fields()[0].encoded

    @property
    def content(self) -> bytes | None:
        """The octets of eContent, None where the content is detached."""
        fields = self._content_fields()
        if len(fields) == 1:
            return None
        held = ber.children(fields[1])
        if len(held) != 1 or held[0].tag & ~0x20 != ber.OCTET_STRING:
            raise ber.damaged("eContent is no OCTET STRING", 0)
        return ber.octets(held[0])

    def _content_fields(self) -> list[ber.Value]:
        fields = ber.children(ber.whole(self.content_info))
        if [field.tag for field in fields] not in ([ber.OID], [ber.OID, ber.CONTEXT_0]):
            raise ber.damaged("encapContentInfo has other fields than RFC 5652 section 5.2 knows", 0)
        return fields

    def with_signer(self, index: int, signer: SignerInfo) -> SignedData:
        """Return the same with one SignerInfo exchanged."""
        changed = (*self.signers[:index], signer.encode(), *self.signers[index + 1 :])
        return replace(self, signers=_as_set(self.signers, changed))

    def encode(self) -> bytes:
        """Encode the whole ContentInfo, with the version that its contents demand."""
        fields = [
            ber.integer(self._version()),
            ber.encode(ber.SET, *self.digest_algorithms),
            self.content_info,
        ]
        if self.certificates:
            fields.append(ber.encode(ber.CONTEXT_0, *self.certificates))
        if self.crls:
            fields.append(ber.encode(ber.CONTEXT_1, *self.crls))
        fields.append(ber.encode(ber.SET, *self.signers))
        data = ber.encode(ber.SEQUENCE, *fields)
        return ber.encode(ber.SEQUENCE, ID_SIGNED_DATA, ber.encode(ber.CONTEXT_0, data))

    def _version(self) -> int:
        """Find the version by the rules of RFC 5652 section 5.1."""
        kinds = {certificate[0] for certificate in self.certificates}
        if _OTHER_CERTIFICATE in kinds or any(crl[0] == ber.CONTEXT_1 for crl in self.crls):
            return 5
        if _V2_ATTRIBUTE_CERTIFICATE in kinds:
            return 4
        third = _V1_ATTRIBUTE_CERTIFICATE in kinds or self.content_type != _ID_DATA
        if third or any(SignerInfo.read(signer).signer[0] == _SUBJECT_KEY_SIGNER for signer in self.signers):
            return 3
        return 1


def read_container(document: Document) -> bytes:
    """Read a container that is a file, BER or PEM (RFC 7468 sections 8 and 9). Raises DocumentDamaged, BodyTooLarge."""
    if document.size > 2 * MAX_CONTAINER_BYTES:
        raise _too_large()
    document.stream.seek(0)
    first = document.stream.read(1)
    if first == b"\x30":
        return document.read()
    # PEM may have white space before it; all else need not be read.
    match = _PEM.fullmatch(document.read()) if first in _PEM_BEGINS else None
    if match is None:
        raise ber.damaged("it is neither BER nor PEM", 0)
    try:
        return base64.b64decode(b"".join(match[2].split()), validate=True)
    except binascii.Error as error:
        raise ber.damaged("its base64 is broken", match.start(2)) from error


def attribute(encoded: bytes) -> Attribute:
    """Take an Attribute apart. Raises DocumentDamaged."""
    fields = ber.children(_expect(ber.whole(encoded), ber.SEQUENCE, "an attribute is no SEQUENCE"))
    if [field.tag for field in fields] != [ber.OID, ber.SET]:
        raise ber.damaged("an attribute has no type and values", 0)
    values = tuple(child.encoded for child in ber.children(fields[1]))
    return Attribute(fields[0].encoded, values, encoded)


def with_unsigned_attribute(
    container: bytes, oid_dotted: str, value: bytes, *, signer: int | None = None
) -> bytes:
    """Put an unsigned attribute of one value (encoded) into a container, or into a time-stamp token.

    `signer` counts SignerInfos from 0; None: the only one. Raises DocumentDamaged, BodyTooLarge.
    """
    data = SignedData.read(container)
    index, info = _chosen(data, signer)
    return data.with_signer(index, info.with_unsigned(ber.oid(oid_dotted), value)).encode()


def signature_value(container: bytes, *, signer: int | None = None) -> bytes:
    """Return the octets of a signature value; `signer` as in `with_unsigned_attribute`. Raises DocumentDamaged."""
    return _chosen(SignedData.read(container), signer)[1].signature_value


def embedded_certificates(container: bytes) -> tuple[bytes, ...]:
    """Return the X.509 certificates of a container or token, as they are encoded there, in order."""
    return x509_only(SignedData.read(container).certificates)


def x509_only(choices: tuple[bytes, ...]) -> tuple[bytes, ...]:
    """Leave out CertificateChoices that are no X.509 certificate (RFC 5652 section 10.2.2)."""
    return tuple(choice for choice in choices if choice[0] == ber.SEQUENCE)


def _too_large() -> BodyTooLarge:
    return BodyTooLarge(
        f"a signature container is at most {MAX_CONTAINER_BYTES} bytes", limit=MAX_CONTAINER_BYTES
    )


def _chosen(data: SignedData, signer: int | None) -> tuple[int, SignerInfo]:
    if signer is None and len(data.signers) != 1:
        raise DocumentDamaged(
            f"the signature container has {len(data.signers)} signers where one is expected", reason="signers"
        )
    index = signer or 0
    if not 0 <= index < len(data.signers):
        raise DocumentDamaged(f"the signature container has no signer {index + 1}", reason="signers")
    return index, SignerInfo.read(data.signers[index])


def _as_set(before: tuple[bytes, ...], values: tuple[bytes, ...]) -> tuple[bytes, ...]:
    """Sort as DER asks where the values were sorted before."""
    return tuple(sorted(values)) if list(before) == sorted(before) else values


def _elements(value: ber.Value | None) -> tuple[bytes, ...]:
    found = [] if value is None else ber.children(value)
    if len(found) > MAX_CERTIFICATES:
        raise ber.damaged(f"it has more than {MAX_CERTIFICATES} certificates or revocation values", 0)
    return tuple(child.encoded for child in found)


def _expect(value: ber.Value, tag: int, complaint: str) -> ber.Value:
    if value.tag != tag:
        raise ber.damaged(complaint, value.start)
    return value
