"""XAdES above B-B (ETSI EN 319 132-1 section 6): time-stamps and validation data as unsigned properties.

Works on documents that were signed just now and on those that others signed: what is added is spliced into the bytes,
so nothing else of the document changes.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from typing import TYPE_CHECKING

from services.kernel.errors import DomainError
from services.signer.formats import cms_evidence, xades_evidence, xml_check, xml_document
from services.signer.formats.errors import SelfCheckFailed
from services.signer.formats.format import EvidenceNeeded, Role, TimeStampNeeded
from services.signer.formats.pades_token import imprint as token_imprint
from services.signer.formats.parameters import Level
from services.signer.formats.xades_view import (
    XADES141,
    XadesSignature,
    found_in,
    tokens,
    with_property,
    xades,
)
from services.signer.formats.xml_document import DS, XmlDocument
from services.signer.formats.xml_references import (
    EXCLUSIVE,
    EXCLUSIVE_FORM,
    STANDARD_FORM,
    Canonicalization,
    References,
    ds,
    is_outside,
    references,
)
from services.signer.formats.xml_signature import XADES

if TYPE_CHECKING:
    from lxml import etree

    from services.kernel.values import DigestAlgorithm
    from services.signer.formats.format import Document, Evidence, Hash, Need, Signed

_METHOD = f'<ds:CanonicalizationMethod xmlns:ds="{DS}" Algorithm="{EXCLUSIVE}"></ds:CanonicalizationMethod>'


def next_need(signed: Signed, level: Level, digest: DigestAlgorithm) -> Need | None:
    """Say what must be had next; see `SignatureFormat.next_need`.

    A signature that has archive time-stamps already gets a new one: that is how they are renewed.
    """
    if level is Level.B_B:
        return None
    document = _current(signed)
    targets = _targets(signed, document)
    if not signed.addition:
        _require_valid(signed, document, targets)
    for target in targets:
        if not target.signature_time_stamps:
            value = target.element.find(ds("SignatureValue"))
            if value is None:
                raise xml_document.damaged("a signature in it has no value", "syntax")
            return TimeStampNeeded(digest.digest(EXCLUSIVE_FORM.write(value)), _state(target, "signature"))
    if not level.includes(Level.B_LT):
        return None
    unstamped = _unstamped(signed, targets) if level is Level.B_LTA else []
    for target in targets:
        stamps = list(target.signature_time_stamps)
        stamps += target.archive_time_stamps if target in unstamped else []
        wanted, found = target.holder(stamps)
        if found.lacking(wanted) or not xades_evidence.has_certificates(target):
            return EvidenceNeeded(tuple(dict.fromkeys((*wanted, *found.certificates))), _state(target, ""))
    if not unstamped:
        return None
    running = hashlib.new(digest.hashlib_name)
    feed_archive(_references(signed, document), unstamped[0], EXCLUSIVE_FORM, running)
    return TimeStampNeeded(running.digest(), _state(unstamped[0], "archive"))


def add_time_stamp(signed: Signed, need: TimeStampNeeded, token: bytes) -> bytes:
    """Put a token in as the last unsigned property, and compute its imprint anew from the finished bytes."""
    document = _current(signed)
    value, kind = json.loads(need.state)
    encoded = base64.b64encode(token).decode("ascii")
    content = f"{_METHOD}<xades:EncapsulatedTimeStamp>{encoded}</xades:EncapsulatedTimeStamp>"
    name = f"ts-{secrets.token_hex(8)}"
    if kind == "signature":
        text = f'<xades:SignatureTimeStamp xmlns:xades="{XADES}" Id="{name}">{content}</xades:SignatureTimeStamp>'
    else:
        text = (
            f'<xades141:ArchiveTimeStamp xmlns:xades141="{XADES141}" xmlns:xades="{XADES}" Id="{name}">'
            f"{content}</xades141:ArchiveTimeStamp>"
        )
    finished = with_property(document, _of_value(document.root, value), text)
    changed = _checked(signed, document, finished)
    signature = _of_value(changed.root, value)
    stamp = signature.unsigned()[-1]
    if tokens(stamp) != [token]:
        raise SelfCheckFailed("the time-stamp is not where it was to be put")
    algorithm, stamped = token_imprint(token)
    running = hashlib.new(algorithm)
    feed_stamped(_references(signed, changed), signature, stamp, running)
    if running.digest() != stamped:
        raise SelfCheckFailed("the time-stamp is not over the finished signature")
    return finished


def add_evidence(signed: Signed, need: EvidenceNeeded, evidence: Evidence) -> bytes:
    """Put certificates and revocation values in. Raises EvidenceUnavailable where one is lacking still."""
    document = _current(signed)
    value, _ = json.loads(need.state)
    finished = xades_evidence.with_evidence(document, _of_value(document.root, value), evidence)
    changed = _checked(signed, document, finished)
    signature = _of_value(changed.root, value)
    wanted, found = signature.holder([*signature.signature_time_stamps, *signature.archive_time_stamps])
    cms_evidence.require_all(found.lacking(wanted))
    return finished


def feed_stamped(read: References, signature: XadesSignature, stamp: etree._Element, running: Hash) -> None:
    """Hash what one of the signature's time-stamps is over, in the canonical form that it names."""
    named = stamp.find(ds("CanonicalizationMethod"))
    form = Canonicalization.of(named) if named is not None else STANDARD_FORM
    if form is None:
        raise xml_document.damaged("a time-stamp in it names an unknown canonical form", "c14n")
    if stamp.tag == xades("SignatureTimeStamp"):
        value = signature.element.find(ds("SignatureValue"))
        running.update(form.write(value) if value is not None else b"")
    else:
        feed_archive(read, signature, form, running, before=stamp)


def feed_archive(
    read: References,
    signature: XadesSignature,
    form: Canonicalization,
    running: Hash,
    *,
    before: etree._Element | None = None,
) -> None:
    """Hash what an archive time-stamp is over (EN 319 132-1 section 5.5.2.2), in the order of that section.

    `before`: the time-stamp itself, where it is in the signature already; what follows it does not count.
    """
    # 1) to 2) What the references refer to, the signed properties among it.
    for reference in references(signature.element):
        if not read.intact(reference):
            raise xml_check.changed()
        read.feed(reference, running, form)
    # 3) SignedInfo, SignatureValue, KeyInfo.
    for name in ("SignedInfo", "SignatureValue", "KeyInfo"):
        element = signature.element.find(ds(name))
        if element is not None:
            running.update(form.write(element))
    # 4) The unsigned signature properties before this one.
    for unsigned in signature.unsigned():
        if unsigned is before:
            break
        running.update(form.write(unsigned))
    # 5) Every ds:Object but the one with the qualifying properties, those too that a reference has covered already:
    # so do the signatures of other makers that are at hand (only XAdES 1.3.2 left the referenced ones out).
    for held in signature.element.iterchildren(ds("Object")):
        if held is not signature.qualifying.getparent():
            running.update(form.write(held))


def _current(signed: Signed) -> XmlDocument:
    return xml_document.read(signed.addition or xml_document.taken(_original(signed.document)), signed=True)


def _original(document: Document) -> Document:
    """Find the file that has the signature: the one said to be a container, else the first."""
    return next(iter(document.role_of(Role.SIGNATURE)), document)


def _references(signed: Signed, document: XmlDocument) -> References:
    """Read references with the signed files at hand: those that came along, but for the signature's own file."""
    found = found_in(document.root)
    if not any(is_outside(reference) for each in found for reference in references(each.element)):
        return References(document.data, document.root)
    original = _original(signed.document)
    is_container = not signed.addition or not {each.value for each in found}.isdisjoint(_before(signed))
    files = signed.document.role_of(Role.CONTENT)
    chosen = tuple(file for file in files if file is not original or not is_container)
    return References(document.data, document.root, chosen)


def _before(signed: Signed) -> dict[str, int]:
    """Count the archive time-stamps of each signature in the file that the caller sent; empty where it has none."""
    try:
        read = xml_document.read(xml_document.taken(_original(signed.document)), signed=True)
        return {each.value: len(each.archive_time_stamps) for each in found_in(read.root)}
    except DomainError:
        # The file is a content that was signed, not a signed document.
        return {}


def _targets(signed: Signed, document: XmlDocument) -> list[XadesSignature]:
    """Return the signatures to raise: of a document that was signed once more just now only the new one."""
    everyone = found_in(document.root)
    if len(everyone) == 1 or not signed.addition:
        return everyone
    before = _before(signed)
    return [each for each in everyone if each.value not in before] or everyone


def _require_valid(signed: Signed, document: XmlDocument, targets: list[XadesSignature]) -> None:
    # What is to be raised is the caller's word so far, and a time-stamp on it would seem to vouch for it.
    read = _references(signed, document)
    for target in targets:
        xml_check.require_valid(read, target.element)


def _unstamped(signed: Signed, targets: list[XadesSignature]) -> list[XadesSignature]:
    """Return the signatures that have no more archive time-stamps than in the caller's file."""
    if not any(target.archive_time_stamps for target in targets):
        return targets
    counts = {target.value: len(target.archive_time_stamps) for target in targets}
    before = _before(signed) if signed.addition else counts
    return [target for target in targets if counts[target.value] <= before.get(target.value, 0)]


def _state(target: XadesSignature, kind: str) -> bytes:
    return json.dumps([target.value, kind]).encode()


def _of_value(root: etree._Element, value: str) -> XadesSignature:
    found = [each for each in found_in(root) if each.value == value]
    if len(found) != 1:
        raise SelfCheckFailed("the signature to be raised is not in the document, or is there twice")
    return found[0]


def _checked(signed: Signed, before: XmlDocument, finished: bytes) -> XmlDocument:
    """Read the finished bytes; every signature whose digests were right must be as right as before."""
    changed = xml_document.read(finished, signed=True)
    after = xml_check.integrity(_references(signed, changed))
    if any(intact is not True for each in after.values() for intact in each):
        xml_check.require_kept(xml_check.integrity(_references(signed, before)), after)
    return changed
