"""Validation objects of an ETSI TS 119 102-2 report (clause 4.4): each value once, under a name made of its digest."""

from __future__ import annotations

import base64
import hashlib
from datetime import UTC, datetime

from lxml import etree

from services.verifier.domain import CertificateSummary
from services.verifier.formats.ber import BerError
from services.verifier.procedure import timestamps

VR = "http://uri.etsi.org/19102/v1.4.1#"
"""Namespace of TS 119 102-2 version 1.4.1."""
DS = "http://www.w3.org/2000/09/xmldsig#"
DIGESTS = {
    "SHA-1": "http://www.w3.org/2000/09/xmldsig#sha1",
    "SHA-256": "http://www.w3.org/2001/04/xmlenc#sha256",
    "SHA-384": "http://www.w3.org/2001/04/xmldsig-more#sha384",
    "SHA-512": "http://www.w3.org/2001/04/xmlenc#sha512",
    "SHA3-256": "http://www.w3.org/2007/05/xmldsig-more#sha3-256",
    "SHA3-384": "http://www.w3.org/2007/05/xmldsig-more#sha3-384",
    "SHA3-512": "http://www.w3.org/2007/05/xmldsig-more#sha3-512",
}
"""Names of digest algorithms (RFC 9231), by label."""
_TYPE = "urn:etsi:019102:validationObject:"
MAX_FULL_BYTES = 16 << 20
"""Octets of values that one report holds in full; what is beyond it is told by its digest, as the standard allows."""
_KINDS = {
    "certificate": ("C", "certificate"),
    "crl": ("R", "CRL"),
    "ocsp_response": ("O", "OCSPResponse"),
    "time_stamp": ("T", "timestamp"),
}
"""First letter of the name, and the standard's name of the type, by kind of evidence."""
_ORDER = {"certificate": 0, "CRL": 1, "OCSPResponse": 2, "timestamp": 3, "signedData": 4}


def element(
    name: str, parent: etree._Element | None = None, *, space: str = VR, **attributes: str
) -> etree._Element:
    """A new element, the last of its parent's."""
    if parent is None:
        return etree.Element(etree.QName(space, name), attributes, nsmap={"vr": VR, "ds": DS})
    return etree.SubElement(parent, etree.QName(space, name), attributes)


def text(data: bytes) -> str:
    """Octets as xs:base64Binary."""
    return base64.b64encode(data).decode("ascii")


def when(moment: datetime) -> str:
    """A time as xs:dateTime in UTC, to the second."""
    return moment.astimezone(UTC).replace(microsecond=0, tzinfo=None).isoformat() + "Z"


class Objects:
    """The objects of one report. All of them are known to have existed at the time of the check."""

    def __init__(self, checked_at: datetime) -> None:
        """Begin with none."""
        self._checked_at = checked_at
        self._held: dict[str, etree._Element] = {}
        self._room = MAX_FULL_BYTES
        self._stamps: list[tuple[datetime, bytes, etree._Element]] = []

    def add(self, kind: str, data: bytes) -> str | None:
        """Hold a value of the evidence; its name, or None where values of this kind are no validation objects."""
        if kind not in _KINDS:
            return None
        letter, type_name = _KINDS[kind]
        sha256 = hashlib.sha256(data).hexdigest()
        name = f"{letter}-{sha256.upper()}"
        if name not in self._held and len(data) > self._room:
            return self._digest(name, type_name, sha256)
        if name not in self._held:
            self._room -= len(data)
            held = self._new(name, type_name)
            element("base64", element("ValidationObjectRepresentation", held)).text = text(data)
            self._exist(held)
            if kind == "time_stamp":
                self._prove(held, data)
        return name

    def certificate(self, summary: CertificateSummary) -> str:
        """The name of a certificate, in full where the report has it."""
        if summary.der:
            return self.add("certificate", summary.der) or ""
        return self._digest(f"C-{summary.sha256.upper()}", "certificate", summary.sha256)

    def document(self, sha256: str, name: str) -> str:
        """The name of a signed document, which is told by its digest (hex) and, where it has one, its file name."""
        known = self._digest(f"D-{sha256.upper()}", "signedData", sha256)
        representation = self._held[known].find("{*}ValidationObjectRepresentation")
        if name and representation is not None and representation.find("{*}direct") is None:
            element("direct", representation).text = name
        return known

    def tell_digest(self, holder: etree._Element, sha256: str) -> None:
        """Put a SHA-256 value (hex) into an element."""
        group = element("DigestAlgAndValue", holder)
        element("DigestMethod", group, space=DS, Algorithm=DIGESTS["SHA-256"])
        element("DigestValue", group, space=DS).text = text(bytes.fromhex(sha256))

    def time_stamp(
        self, moment: datetime | None = None, *, within: frozenset[bytes], outside: bool = False
    ) -> etree._Element | None:
        """The token whose signature value is within (or outside) these, and of this time, to the second; None: none is.

        A time alone names no token: a signature and its document are often stamped within one second.
        """
        for made, value, held in self._stamps:
            timely = moment is None or made == moment.replace(microsecond=0)
            if timely and (value in within) is not outside:
                return held
        return None

    def unseen_time_stamp(self, name: str) -> etree._Element:
        """A time-stamp that is known by its name in the document only."""
        held = self._new(f"T-{len(self._held)}", "timestamp")
        element("direct", element("ValidationObjectRepresentation", held)).text = name
        self._exist(held)
        return held

    def write(self, root: etree._Element) -> None:
        """Put the objects behind the reports, by their kinds."""
        if not self._held:
            return
        group = element("SignatureValidationObjects", root)
        kinds = {
            name: held.findtext("{*}ObjectType", "").removeprefix(_TYPE) for name, held in self._held.items()
        }
        for name in sorted(self._held, key=lambda name: (_ORDER[kinds[name]], name)):
            group.append(self._held[name])

    def _new(self, name: str, type_name: str) -> etree._Element:
        held = self._held[name] = element("ValidationObject", None, id=name)
        element("ObjectType", held).text = f"{_TYPE}{type_name}"
        return held

    def _digest(self, name: str, type_name: str, sha256: str) -> str:
        if name not in self._held:
            held = self._new(name, type_name)
            self.tell_digest(element("ValidationObjectRepresentation", held), sha256)
            self._exist(held)
        return name

    def _exist(self, held: etree._Element) -> None:
        proof = element("POE", held)
        element("POETime", proof).text = when(self._checked_at)
        element("TypeOfProof", proof).text = "urn:etsi:019102:poetype:validation"

    def _prove(self, held: etree._Element, token: bytes) -> None:
        """A time-stamp provides proof of existence for what it is over (clause 4.4.7)."""
        try:
            read = timestamps.read(token)
        except BerError:
            # Evidence is what was sound; a token that is not proves nothing here either.
            return
        element("POETime", element("POEProvisioning", held)).text = when(read.info.time)
        self._stamps.append((read.info.time.replace(microsecond=0), read.signer.signature, held))
