"""What a signature protects of a document, read by code that is not ours (asn1crypto, lxml, zipfile, json).

A mutant is held against this: where the view is another than the original's, or cannot be taken any more, a protected
octet was touched. What is left out of the views is neutral: unsigned attributes and properties, spare certificates and
CRLs, time-stamps and evidence added after the signature, encodings of the same octets (letter case of hexadecimal,
white space in base64 and between elements), framing that no standard signs (versions, sets of algorithms, Ids of
unreferenced elements, the order of certificates in KeyInfo and of Objects, headers of mail, times and attributes of ZIP
members, letter case of signature files' names, names of manifests, the data object's name beside a plain CAdES
signature, a second copy of the same signature file), and `mimetype`.
"""

from __future__ import annotations

import base64
import io
import json
import re
import zipfile
from collections.abc import Callable
from typing import Any

from asn1crypto import cms, parser, x509
from lxml import etree

from services.verifier.ports import SubmittedDocument
from tests.support.own_documents import Variant

View = tuple[Any, ...]
DS = "{http://www.w3.org/2000/09/xmldsig#}"
BYTE_RANGE = re.compile(rb"/ByteRange\s*\[\s*(\d+)\s+(\d+)\s+(\d+)\s+(\d+)\s*\]")


def view(variant: Variant, document: SubmittedDocument) -> View | None:
    """Take the view; None where the foreign code cannot read the document any more."""
    take: dict[str, Callable[[bytes], View]] = {
        "PADES": _pdf,
        "CADES": cms_view,
        "XADES": _xml,
        "XMLDSIG": _xml,
        "JADES": _jws,
        "ASIC_S": _container,
        "ASIC_E": _container,
        "SMIME": _mail,
    }
    try:
        return (*take[variant.form](document.data), document.detached)
    except Exception:  # noqa: BLE001 - whatever foreign code says of a mutant: it could not read it
        return None


def cms_view(der: bytes) -> View:
    """Signed attributes, signature values, content, and the certificate that each signer names."""
    # Trailing octets inside are the callers' matter: PDF pads with zeros.
    info = cms.ContentInfo.load(der)
    data = info["content"]
    found: list[Any] = [info["content_type"].dump(), data["encap_content_info"].dump()]
    by_name = _by_name(data["certificates"].contents or b"")
    for signer in data["signer_infos"]:
        sid = signer["sid"].chosen
        found += [
            sid["serial_number"].native,
            by_name.get((sid["issuer"].hashable, sid["serial_number"].native)),
            signer["digest_algorithm"].dump(),
            signer["signed_attrs"].dump(),
            signer["signature_algorithm"].dump(),
            signer["signature"].native,
        ]
    return tuple(found)


def _by_name(certificates: bytes) -> dict[tuple[str, int], bytes]:
    """Certificates by issuer (as RFC 5280 section 7.1 compares names) and serial number."""
    found = {}
    at = 0
    while at < len(certificates):
        *_, header, contents, trailer = parser.parse(certificates[at:])
        one = header + contents + trailer
        at += len(one)
        try:
            certificate = x509.Certificate.load(one)
            found[certificate.issuer.hashable, certificate.serial_number] = one
        except ValueError:
            # A spare one; where it was the signer's, it will be missed.
            continue
    return found


def _pdf(data: bytes) -> View:
    """The octets of the first signature's ByteRange, and its container; what a later revision adds is not signed."""
    match = BYTE_RANGE.search(data)
    if match is None:
        raise ValueError("no ByteRange")
    first, length, second, rest = (int(group) for group in match.groups())
    gap = data[first + length : second]
    if gap[:1] + gap[-1:] != b"<>":
        raise ValueError("no string")
    # pdfsig, openssl and we ignore zeros after the container, and hexadecimal may be written in either case, with
    # white space in it and a last 0 left out (ISO 32000-2 7.3.4.3).
    digits = b"".join(gap[1:-1].replace(b"\0", b" ").split())
    container = bytes.fromhex((digits + b"0" * (len(digits) % 2)).decode("ascii"))
    return (data[first : first + length], data[second : second + rest], *cms_view(container))


def _end_entity(signature: etree._Element) -> bytes:
    """The signer's certificate, wherever it stands among those of its CAs."""
    for element in signature.iter(f"{DS}X509Certificate"):
        der = _base64(element.text)
        try:
            if not x509.Certificate.load(der).ca:
                return der
        except ValueError:
            continue
    raise ValueError("no certificate")


def _xml(data: bytes) -> View:
    reader = etree.XMLParser(resolve_entities=False, no_network=True, remove_comments=True)
    root = etree.fromstring(data, reader)
    found: list[Any] = []
    for signature in list(root.iter(f"{DS}Signature")):
        found += [_canonical(signature.find(f"{DS}SignedInfo"))]
        found += [_base64(signature.findtext(f"{DS}SignatureValue"))]
        found += [_end_entity(signature)]
        held = []
        for holder in signature.findall(f"{DS}Object"):
            for unsigned in list(holder.iter("{*}UnsignedProperties")):
                unsigned.getparent().remove(unsigned)
            signed = list(holder.iter("{*}SignedProperties"))
            held += [_canonical(child) for child in signed or [holder]]
        found += sorted(held)
        if signature.getparent() is not None:
            found.append(signature.tail)
            _remove(signature)
    if root.tag != f"{DS}Signature":
        found.append(_canonical(root))
    return tuple(found)


def _remove(element: Any) -> None:
    """Take an element out and leave its tail."""
    parent, before = element.getparent(), element.getprevious()
    if before is not None:
        before.tail = (before.tail or "") + (element.tail or "")
    else:
        parent.text = (parent.text or "") + (element.tail or "")
    parent.remove(element)


def _canonical(element: Any) -> bytes:
    return bytes(etree.tostring(element, method="c14n", exclusive=True, with_tail=False))


def _base64(text: str | None) -> bytes:
    return base64.b64decode("".join((text or "").split()), validate=True)


def _jws(data: bytes) -> View:
    if data[:1] != b"{":
        header, payload, value = data.strip().decode("ascii").split(".")
        return header, payload, _url(value)
    found = json.loads(data)
    signatures = found.get("signatures", [found])
    return (found.get("payload"), *((s["protected"], _url(s["signature"])) for s in signatures))


def _url(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True)


def _container(data: bytes) -> View:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        if archive.testzip() is not None:
            raise ValueError("damaged")
        names = archive.namelist()
        # A plain CAdES signature (ASiC-S) is over octets: nothing signs the name that they have.
        named = not any(re.search(r"/signature\.p7s$", name, re.IGNORECASE) for name in names)
        found: list[Any] = []
        manifests: list[bytes] = []
        seen = set[bytes]()
        for name in sorted(names):
            member = archive.read(name)
            if name.startswith("META-INF/") and member in seen:
                continue
            seen.add(member)
            if not name.startswith("META-INF/"):
                found += [] if name == "mimetype" else [name if named else "", member]
            elif re.search(r"/signatures?\w*\.xml$", name, re.IGNORECASE):
                found += [*_xml_within(member)]
            elif re.search(r"/signature\w*\.p7s$", name, re.IGNORECASE):
                found += [*cms_view(member)]
            elif re.search(r"/ASiC(Archive)?Manifest\w*\.xml$", name, re.IGNORECASE):
                manifests.append(member)
    return (*found, *sorted(filter(_is_of_a_signature, manifests)))


def _is_of_a_signature(manifest: bytes) -> bool:
    """True for a manifest that a signature is over, and not a time-stamp; its own name is signed by neither."""
    reader = etree.XMLParser(resolve_entities=False, remove_comments=True)
    reference = etree.fromstring(manifest, reader).find("{*}SigReference")
    return reference is None or not str(reference.get("URI")).lower().endswith(".tst")


def _xml_within(data: bytes) -> View:
    """Of a signature file only the signatures: its root element is signed by none."""
    root = etree.fromstring(data, etree.XMLParser(resolve_entities=False, remove_comments=True))
    return tuple(part for s in root.iter(f"{DS}Signature") for part in _xml(etree.tostring(s)))


def _mail(data: bytes) -> View:
    """The signed entity and the container, wherever damaged header fields of the outer parts leave them."""
    boundary = re.search(rb'boundary="?([^"\r\n;]+)', data)
    if boundary is None:
        return cms_view(_container_of(data))
    _, entity, container, _ = data.split(b"\r\n--" + boundary[1])
    return (entity, *cms_view(_container_of(container)))


def _container_of(part: bytes) -> bytes:
    """The CMS message behind the header fields: base64, as the signer writes it."""
    body = re.split(rb"\r?\n\r?\n", part, maxsplit=1)[1]
    return base64.b64decode(b"".join(body.split()), validate=True)
