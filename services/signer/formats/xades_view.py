"""XAdES signatures as they stand in a document: their properties, what validates them, and where more goes in."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING

from services.kernel.errors import DocumentDamaged, EvidenceUnavailable
from services.signer.formats import ber
from services.signer.formats.cms_container import SignedData, SignerInfo, x509_only
from services.signer.formats.cms_evidence import Holder
from services.signer.formats.xml_document import XmlDocument, damaged, splice_at
from services.signer.formats.xml_references import DIGESTS, ds, signatures
from services.signer.formats.xml_signature import XADES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lxml import etree

XADES141 = "http://uri.etsi.org/01903/v1.4.1#"
_OCSP_RESPONSE = ber.oid("1.3.6.1.5.5.7.16.2")


def xades(name: str) -> str:
    """Name an element of XAdES 1.3.2 as lxml does."""
    return f"{{{XADES}}}{name}"


def xades141(name: str) -> str:
    """Name an element of XAdES 1.4.1 as lxml does."""
    return f"{{{XADES141}}}{name}"


@dataclass(frozen=True, slots=True)
class XadesSignature:
    """One ds:Signature that has qualifying properties."""

    element: etree._Element
    qualifying: etree._Element

    @property
    def value(self) -> str:
        """The text of the signature value without white space: by this it is known in every state of the document."""
        return "".join((self.element.findtext(ds("SignatureValue")) or "").split())

    @property
    def properties(self) -> etree._Element | None:
        """The element that holds the unsigned signature properties."""
        return self.qualifying.find(f"{xades('UnsignedProperties')}/{xades('UnsignedSignatureProperties')}")

    def unsigned(self, *names: str) -> list[etree._Element]:
        """Return the unsigned signature properties with these names, all where none is given, in order."""
        properties = self.properties
        if properties is None:
            return []
        return [child for child in properties.iterchildren("*") if not names or child.tag in names]

    @property
    def signature_time_stamps(self) -> list[etree._Element]:
        """Return the time-stamps of the signature value."""
        return self.unsigned(xades("SignatureTimeStamp"))

    @property
    def archive_time_stamps(self) -> list[etree._Element]:
        """Return the archive time-stamps, those of earlier XAdES versions too."""
        return self.unsigned(xades141("ArchiveTimeStamp"), xades("ArchiveTimeStamp"))

    def certificates(self) -> list[bytes]:
        """Return the certificates in KeyInfo and in the properties, without those of time-stamp tokens."""
        path = f"{ds('KeyInfo')}/{ds('X509Data')}/{ds('X509Certificate')}"
        found = [_decoded(each) for each in self.element.iterfind(path)]
        return found + [_decoded(each) for each in self.qualifying.iter(xades("EncapsulatedX509Certificate"))]

    @property
    def certificate(self) -> bytes | None:
        """The signer's certificate, None where it is not in the signature."""
        return self._signer(self.certificates())

    def holder(self, stamps: Iterable[etree._Element]) -> tuple[tuple[bytes, ...], Holder]:
        """Return the certificates that need a revocation value, and what there is.

        They are the signer's and those of the units that made the given time-stamps. Raises EvidenceUnavailable where
        one of them is not in the signature.
        """
        chosen = [SignedData.read(token) for stamp in stamps for token in tokens(stamp)]
        everything = [
            SignedData.read(token)
            for stamp in (*self.signature_time_stamps, *self.archive_time_stamps)
            for token in tokens(stamp)
        ]
        everything = [
            SignedData.read(token)
            for stamp in (*self.signature_time_stamps, *self.archive_time_stamps)
            for token in tokens(stamp)
        ]
        own = self.certificates()
        crls = [_decoded(each) for each in self.qualifying.iter(xades("EncapsulatedCRLValue"))]
        responses = (_decoded(each) for each in self.qualifying.iter(xades("EncapsulatedOCSPValue")))
        crls += [ocsp_choice(response) for response in responses]
        held = [*own, *(each for token in everything for each in x509_only(token.certificates))]
        crls += [each for token in everything for each in token.crls]
        found = Holder(tuple(dict.fromkeys(held)), tuple(dict.fromkeys(crls)))
        wanted = [self._signer(own)]
        wanted += [found.certificate_of(SignerInfo.read(info)) for token in chosen for info in token.signers]
        if None in wanted:
            raise EvidenceUnavailable(
                "the certificate of the signer or of a time-stamp is not in the signature",
                where="certificates",
            )
        return tuple(dict.fromkeys(each for each in wanted if each is not None)), found

    def _signer(self, certificates: list[bytes]) -> bytes | None:
        """Find the certificate that the signed properties name; where they name none, the first is taken."""
        for kind in ("SigningCertificateV2", "SigningCertificate"):
            path = f"{xades('SignedProperties')}/{xades('SignedSignatureProperties')}/{xades(kind)}"
            named = self.qualifying.find(f"{path}/{xades('Cert')}/{xades('CertDigest')}")
            if named is None:
                continue
            method, digest = named.find(ds("DigestMethod")), named.find(ds("DigestValue"))
            algorithm = DIGESTS.get(method.get("Algorithm") or "") if method is not None else None
            if algorithm is not None and digest is not None:
                value = _decoded(digest)
                return next((each for each in certificates if algorithm.digest(each) == value), None)
        return certificates[0] if certificates else None


def found_in(root: etree._Element) -> list[XadesSignature]:
    """List the XAdES signatures of a document, those that lie within other signatures left out.

    Raises DocumentDamaged where there is none.
    """
    found = []
    for element in signatures(root):
        qualifying = element.find(f"{ds('Object')}/{xades('QualifyingProperties')}")
        outermost = next(element.iterancestors(ds("Signature")), None) is None
        if outermost and qualifying is not None and element.find(ds("SignedInfo")) is not None:
            found.append(XadesSignature(element, qualifying))
    if not found:
        raise DocumentDamaged(
            "the document has no XAdES signature (EN 319 132-1): a plain XML signature has no levels to raise",
            reason="format",
        )
    return found


def tokens(stamp: etree._Element) -> list[bytes]:
    """Return the time-stamp tokens (DER) of a time-stamp property."""
    return [_decoded(found) for found in stamp.iterfind(xades("EncapsulatedTimeStamp"))]


def with_property(document: XmlDocument, signature: XadesSignature, text: str) -> bytes:
    """Put an unsigned signature property behind those that are there; return the document's new bytes."""
    properties = signature.properties
    where = properties
    if where is None:
        text = f"<xades:UnsignedSignatureProperties>{text}</xades:UnsignedSignatureProperties>"
        where = signature.qualifying.find(xades("UnsignedProperties"))
    if where is None:
        text = f"<xades:UnsignedProperties>{text}</xades:UnsignedProperties>"
        where = signature.qualifying
    if properties is None:
        text = text.replace(">", f' xmlns:xades="{XADES}">', 1)
    # UnsignedSignatureProperties come before UnsignedDataObjectProperties.
    placement = "FIRST_CHILD" if where.tag == xades("UnsignedProperties") else "LAST_CHILD"
    return splice_at(document, where, placement).apply(document.data, document.encode(text))


def _decoded(element: etree._Element) -> bytes:
    try:
        value = base64.b64decode("".join((element.text or "").split()), validate=True)
    except ValueError as error:
        raise damaged(f"line {element.sourceline} is not base64", "syntax") from error
    if not value:
        raise damaged(f"line {element.sourceline} holds no value", "syntax")
    return value


def ocsp_choice(response: bytes) -> bytes:
    """Wrap an OCSP response as CMS holds it (RFC 5940 section 2.1)."""
    return ber.encode(ber.CONTEXT_1, _OCSP_RESPONSE, response)
