"""The after-sign check of XML signatures: from the finished bytes alone, as a verifier would go about it."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm

from services.kernel.errors import DocumentDamaged, DocumentLocked, DomainError
from services.signer.formats.errors import SelfCheckFailed
from services.signer.formats.keys import signer_certificate, verify_value
from services.signer.formats.xades_view import XadesSignature
from services.signer.formats.xml_document import element_by_id
from services.signer.formats.xml_references import (
    Canonicalization,
    References,
    ds,
    is_outside,
    references,
    signatures,
)
from services.signer.formats.xml_signature import (
    METHODS,
    SIGNED_PROPERTIES_TYPE,
    XADES,
    XmlSigner,
    value_from_xml,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lxml import etree

Integrity = tuple[bool | None, ...]
"""Of the references of one signature: whether each digest is right; None where that cannot be said."""


def check_signature(
    read: References, signer: XmlSigner, identifier: str, uris: Sequence[str]
) -> etree._Element:
    """Verify the signature with an Id, over references with exactly these URIs in order; return its element.

    Raises SelfCheckFailed where the value is not by the certificate's key, a digest is not that of what its reference
    resolves to, or a reference resolves to another place than it should.
    """
    # (1) There is one element with the Id, and it is a signature.
    signature = element_by_id(read.root, identifier)
    info = signature.find(ds("SignedInfo"))
    if signature.tag != ds("Signature") or info is None:
        raise SelfCheckFailed("the finished document has no signature where it should have one")
    # (2) The value over SignedInfo, in the canonical form that it names itself, by the algorithm that it names.
    method = info.find(ds("SignatureMethod"))
    named = info.find(ds("CanonicalizationMethod"))
    form = Canonicalization.of(named) if named is not None else None
    if form is None or method is None or method.get("Algorithm") != METHODS[signer.algorithm]:
        raise SelfCheckFailed("the finished signature does not name the algorithms that it was made with")
    try:
        value = base64.b64decode(signature.findtext(ds("SignatureValue")) or "", validate=True)
    except ValueError as error:
        raise SelfCheckFailed("the finished signature's value is not base64") from error
    verify_value(
        signer.public_key, signer.algorithm, form.write(info), value_from_xml(signer.public_key, value)
    )
    # (3) The references are the wanted ones, resolve to the right places, and their digests are right.
    found = references(signature)
    if [reference.get("URI") for reference in found] != list(uris):
        raise SelfCheckFailed("the finished signature is over other things than it should be")
    for reference in found:
        _check_place(read.root, signature, reference)
        if not read.intact(reference):
            raise SelfCheckFailed(
                "a digest in the finished signature is not that of what it refers to: the document may have "
                "changed between preparing and completing its signature"
            )
    return signature


def integrity(read: References) -> dict[str, Integrity]:
    """Say of every signature in the document, by its value, which of its references are intact."""
    return {
        "".join((one.findtext(ds("SignatureValue")) or "").split()): tuple(
            _intact(read, reference) for reference in references(one)
        )
        for one in signatures(read.root)
    }


def require_value(signature: etree._Element) -> None:
    """Refuse a XAdES signature whose value is not by the key of the certificate in it. Raises DocumentDamaged.

    One without its certificate, and one by an algorithm or in a canonical form that is not made here, passes.
    """
    qualifying = signature.find(f"{ds('Object')}/{{{XADES}}}QualifyingProperties")
    info = signature.find(ds("SignedInfo"))
    if info is None or qualifying is None:
        return
    method, named = info.find(ds("SignatureMethod")), info.find(ds("CanonicalizationMethod"))
    uri = (method.get("Algorithm") or "").strip() if method is not None else ""
    algorithm = next((each for each, name in METHODS.items() if name == uri), None)
    form = Canonicalization.of(named) if named is not None else None
    certificate = XadesSignature(signature, qualifying).certificate
    if algorithm is None or form is None or certificate is None:
        return
    text = "".join((signature.findtext(ds("SignatureValue")) or "").split())
    try:
        _, key = signer_certificate((certificate,), algorithm)
        value = value_from_xml(key, base64.b64decode(text, validate=True))
        verify_value(key, algorithm, form.write(info), value)
    except (DomainError, ValueError, x509.InvalidVersion, UnsupportedAlgorithm) as error:
        where = f": {error.message}" if isinstance(error, DomainError) else ""
        raise DocumentDamaged(f"an XML signature does not verify{where}", reason="signature") from error


def require_valid(read: References, signature: etree._Element) -> None:
    """Refuse a signature with a wrong digest, of what is at hand, or a wrong value. Raises DocumentDamaged.

    What a reference resolves to by a transform that is not followed here is not looked at.
    """
    for reference in references(signature):
        try:
            intact = read.intact(reference)
        except DomainError:
            continue
        if not intact:
            raise changed()
    require_value(signature)


def changed() -> DocumentDamaged:
    """Make the refusal of a document that is not what was signed."""
    return DocumentDamaged(
        "the document is not what was signed: a digest in its signature is wrong", reason="digest"
    )


def require_kept(before: dict[str, Integrity], after: dict[str, Integrity]) -> None:
    """Raise DocumentLocked where a signature whose digests were right is missing, or has one that is wrong now."""
    for value, earlier in before.items():
        now = after.get(value, ())
        for position, intact in enumerate(earlier):
            if intact and not (position < len(now) and now[position]):
                raise DocumentLocked(
                    "an earlier signature covers the place that would be changed and would become invalid: put the "
                    "signature elsewhere (xml.parent), or sign a copy without the earlier signature",
                    reason="earlier signature",
                )


def _intact(read: References, reference: etree._Element) -> bool | None:
    if is_outside(reference):
        # No change of this document changes a file beside it.
        return True
    try:
        return read.intact(reference)
    except DomainError:
        # Another's signature may use what we do not take; it is left as it is.
        return None


def _check_place(root: etree._Element, signature: etree._Element, reference: etree._Element) -> None:
    uri = reference.get("URI") or ""
    if is_outside(reference) or not uri:
        return
    target = element_by_id(root, uri[1:])
    within = signature in target.iterancestors()
    if reference.get("Type") == SIGNED_PROPERTIES_TYPE:
        if not within or target.tag != f"{{{XADES}}}SignedProperties":
            raise SelfCheckFailed("the finished signature refers to properties that are not its own")
    elif within and target.tag != ds("Object"):
        raise SelfCheckFailed("the finished signature refers to a part of itself as its content")
