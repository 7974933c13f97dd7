"""XML signatures: XAdES baseline (ETSI EN 319 132-1) and plain XMLDSig, enveloped, enveloping or detached.

How an enveloped signature is kept out of what it is over decides whether several can live in one document:

- Over an element by its Id, with the signature outside that element: the element is referred to, and a signature more
  elsewhere changes nothing. The enveloped-signature transform takes nothing out there; receivers of declarations
  expect to see it, so it is named.
- Over the whole document, or an element that the signature lies in: the enveloped-signature transform would take out
  this signature alone, and the next one would break it. So every signature is taken out, by the XPath
  `not(ancestor-or-self::ds:Signature)`, as the European reference implementation does; the same expression of
  XPath 1.0 is read by more verifiers than its twin in XPath Filter 2.0. The enveloped-signature transform stands
  before it all the same: some receivers look for it, and those that know no XPath then verify a lone signature.

An earlier signature that would become invalid all the same (others sign with the enveloped-signature transform alone)
makes the document refuse the new one with DOCUMENT_LOCKED.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from services.kernel.errors import BodyTooLarge, FieldInvalid, TargetInvalid
from services.signer.formats import xades_levels, xml_check, xml_document, xml_references, xml_signature
from services.signer.formats.errors import SelfCheckFailed
from services.signer.formats.format import Prepared, Role
from services.signer.formats.xml_references import ENVELOPED, EXCLUSIVE_FORM, XPATH, References, ds
from services.signer.formats.xml_signature import DECLARATION, EXCLUSIVE_TRANSFORM, Part

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lxml import etree

    from services.kernel.values import DigestAlgorithm
    from services.signer.formats.format import (
        Document,
        Evidence,
        EvidenceNeeded,
        Need,
        Signed,
        TimeStampNeeded,
    )
    from services.signer.formats.parameters import Level, SignatureParameters

MAX_ENVELOPED_BYTES = 16 << 20
"""Of a content that goes into the signature: it grows by a third there, and is held as a tree."""

_SIGNATURES_OUT = f'<ds:Transform Algorithm="{XPATH}"><ds:XPath>not(ancestor-or-self::ds:Signature)</ds:XPath></ds:Transform>'
_OWN_OUT = f'<ds:Transform Algorithm="{ENVELOPED}"></ds:Transform>'
_BASE64_TRANSFORM = f'<ds:Transform Algorithm="{xml_references.BASE64}"></ds:Transform>'
_REFERABLE = re.compile(r"[\w.:\-]+")
_XML_TYPE = re.compile(r"(?:text|application)/(?:xml|[\w.\-]+\+xml)(?:\s*;.*)?", re.IGNORECASE)
_TRIAL_VALUE = bytes(3)
_UNCHECKED = (
    "EARLIER_SIGNATURE_UNCHECKED: an earlier signature refers to what it covers in a way that is not followed here, so "
    "whether it stays valid was not checked"
)


@dataclass(frozen=True, slots=True)
class DetachedFile:
    """A file beside the signature, as its reference names it."""

    uri: str
    """Percent-encoded (RFC 3986), relative."""
    digest: bytes
    """By the digest of the signature's algorithm."""
    media_type: str = ""


class XmlSignature:
    """The formats XADES and, without qualifying properties, XMLDSIG."""

    def __init__(self, *, qualified: bool) -> None:
        """Make XAdES where qualified, else plain XMLDSig."""
        self._qualified = qualified

    def prepare(self, document: Document, parameters: SignatureParameters) -> Prepared:
        """Find or build what is signed, and write SignedInfo over it."""
        if parameters.envelope.packaging == "DETACHED":
            files = _named_files(document, parameters)
            return prepare_detached(files, parameters, qualified=self._qualified)
        if document.others:
            raise FieldInvalid("this packaging takes exactly one file, the content", field="files")
        if parameters.envelope.packaging == "ENVELOPING":
            identifier = xml_signature.new_identifier()
            part, content = _enveloping_part(document, parameters, identifier)
            return _prepared([part], parameters, identifier, {"content": content}, qualified=self._qualified)
        return _prepare_enveloped(document, parameters, qualified=self._qualified)

    def complete(
        self, document: Document, parameters: SignatureParameters, state: bytes, signature: bytes
    ) -> bytes:
        """Put the signature together and where it belongs; read the finished bytes and verify them."""
        if parameters.envelope.packaging == "DETACHED":
            return complete_detached(document.role_of(Role.CONTENT), parameters, state, signature)
        kept: dict[str, Any] = json.loads(state)
        if parameters.envelope.packaging == "ENVELOPING":
            return _complete_enveloping(document, parameters, kept, signature)
        return _complete_enveloped(document, parameters, kept, signature)

    def next_need(self, signed: Signed, level: Level, digest: DigestAlgorithm) -> Need | None:
        """Say what the signatures of the document lack for a level."""
        return xades_levels.next_need(signed, level, digest)

    def add_time_stamp(self, signed: Signed, need: TimeStampNeeded, token: bytes) -> bytes:
        """Put a token into the signature that asked for it."""
        return xades_levels.add_time_stamp(signed, need, token)

    def add_evidence(self, signed: Signed, need: EvidenceNeeded, evidence: Evidence) -> bytes:
        """Put certificates and revocation values into the signature that asked for them."""
        return xades_levels.add_evidence(signed, need, evidence)


def prepare_detached(
    files: Sequence[DetachedFile],
    parameters: SignatureParameters,
    *,
    qualified: bool = True,
    wrapper: tuple[str, str] = ("", ""),
) -> Prepared:
    """Prepare a detached signature over files; containers (ASiC) put it between the two texts of a wrapper."""
    parts = [Part(file.uri, file.digest, file.media_type) for file in files]
    if not 1 <= len(parts) < xml_references.MAX_REFERENCES:
        raise FieldInvalid(
            f"a signature covers 1 to {xml_references.MAX_REFERENCES - 1} files", field="files"
        )
    identifier = xml_signature.new_identifier()
    return _prepared(parts, parameters, identifier, {"wrapper": wrapper}, qualified=qualified)


def complete_detached(
    contents: Sequence[Document], parameters: SignatureParameters, state: bytes, signature: bytes
) -> bytes:
    """Finish what `prepare_detached` began; the contents, by their names, are hashed again for the check."""
    kept: dict[str, Any] = json.loads(state)
    wrapper: list[str] = kept["wrapper"]
    finished = (DECLARATION + _written(kept, parameters, signature, "").join(wrapper)).encode()
    _checked(References(finished, xml_document.parse(finished), contents), kept, parameters)
    return finished


def _prepared(
    parts: list[Part],
    parameters: SignatureParameters,
    identifier: str,
    kept: dict[str, Any],
    *,
    qualified: bool,
) -> Prepared:
    """Write what is signed, and keep what `complete` needs."""
    signer = xml_signature.xml_signer(parameters.certificate_chain, parameters.algorithm)
    properties = ""
    if qualified:
        properties = xml_signature.signed_properties(signer, identifier, parts, parameters.signing_time)
        parts = [*parts, xml_signature.properties_part(signer, identifier, properties)]
    info = xml_signature.signed_info(signer, identifier, parts)
    kept |= {
        "id": identifier,
        "info": info,
        "properties": properties,
        "uris": [part.uri for part in parts],
    }
    return Prepared(parameters.algorithm.digest.digest(info.encode()), json.dumps(kept).encode())


def _written(kept: dict[str, Any], parameters: SignatureParameters, signature: bytes, content: str) -> str:
    """Write the signature around what `_prepared` kept; the content is a ds:Object of its own."""
    signer = xml_signature.xml_signer(parameters.certificate_chain, parameters.algorithm)
    value = xml_signature.value_for_xml(signer.public_key, signature)
    objects = content
    key_info = signer.key_info_with_subject
    if kept["properties"]:
        objects += xml_signature.qualifying_object(kept["id"], kept["properties"])
        key_info = signer.key_info
    return xml_signature.signature(kept["id"], kept["info"], value, key_info, objects)


def _checked(read: References, kept: dict[str, Any], parameters: SignatureParameters) -> etree._Element:
    signer = xml_signature.xml_signer(parameters.certificate_chain, parameters.algorithm)
    return xml_check.check_signature(read, signer, kept["id"], kept["uris"])


# --- enveloped ----------------------------------------------------------------------------------------------------


def _prepare_enveloped(document: Document, parameters: SignatureParameters, *, qualified: bool) -> Prepared:
    # 1. Read it, and find what is signed and where the signature goes.
    read = xml_document.read(_bytes(document, xml_document.MAX_XML_BYTES))
    target, holder, splice = _places(read, parameters)
    # 2. The digest of what is signed, without what will be in it.
    part = _enveloped_part(read, parameters, target, inside=_is_within(holder, target))
    kept: dict[str, Any] = {
        "sha256": hashlib.sha256(read.data).hexdigest(),
        "splice": [splice.offset, splice.cut, splice.before.hex(), splice.after.hex()],
        "encoding": read.encoding,
        "holder": holder.getroottree().getpath(holder),
        "earlier": {},
    }
    identifier = xml_signature.new_identifier()
    earlier = xml_check.integrity(References(read.data, read.root))
    if earlier:
        kept["earlier"] = earlier
    prepared = _prepared([part], parameters, identifier, kept, qualified=qualified)
    # 3. Where there are earlier signatures: try the place out before the key signs anything.
    if earlier:
        trial = xml_signature.signature(identifier, kept["info"], _TRIAL_VALUE, "", "")
        finished = splice.apply(read.data, read.encode(trial))
        xml_check.require_kept(
            earlier, xml_check.integrity(References(finished, xml_document.parse(finished)))
        )
        if any(intact is None for each in earlier.values() for intact in each):
            return replace(prepared, warnings=(_UNCHECKED,))
    return prepared


def _complete_enveloped(
    document: Document, parameters: SignatureParameters, kept: dict[str, Any], signature: bytes
) -> bytes:
    data = document.read()
    if hashlib.sha256(data).hexdigest() != kept["sha256"]:
        raise SelfCheckFailed("the document changed between preparing and completing its signature")
    offset, cut, before, after = kept["splice"]
    splice = xml_document.Splice(offset, cut, bytes.fromhex(before), bytes.fromhex(after))
    text = _written(kept, parameters, signature, "")
    finished = splice.apply(data, text.encode(kept["encoding"], "xmlcharrefreplace"))
    read = References(finished, xml_document.parse(finished))
    element = _checked(read, kept, parameters)
    holder = element.getparent()
    if holder is None or holder.getroottree().getpath(holder) != kept["holder"]:
        raise SelfCheckFailed("the finished signature is not where it was to be put")
    if kept["earlier"]:
        earlier = {value: tuple(intact) for value, intact in kept["earlier"].items()}
        xml_check.require_kept(earlier, xml_check.integrity(read))
    return finished


def _places(
    read: xml_document.XmlDocument, parameters: SignatureParameters
) -> tuple[etree._Element | None, etree._Element, xml_document.Splice]:
    """Find the element to sign (None: the whole document), the signature's parent, and where its bytes go."""
    envelope = parameters.envelope
    target = None
    if envelope.xml_target_id:
        if _REFERABLE.fullmatch(envelope.xml_target_id) is None:
            raise TargetInvalid("an id that is referred to has letters, digits, '.', '-', '_' and ':' only")
        target = xml_document.element_by_id(read.root, envelope.xml_target_id)
    place = xml_document.element_at(read.root, envelope.xml_parent) if envelope.xml_parent else read.root
    splice = xml_document.splice_at(read, place, envelope.xml_placement)
    holder = place
    if envelope.xml_placement == "AFTER":
        parent = place.getparent()
        holder = parent if parent is not None else place
    if holder.tag == ds("Signature") or next(holder.iterancestors(ds("Signature")), None) is not None:
        raise TargetInvalid(
            "a signature cannot be put into another one: sign this document enveloping or detached"
        )
    return target, holder, splice


def _enveloped_part(
    read: xml_document.XmlDocument,
    parameters: SignatureParameters,
    target: etree._Element | None,
    *,
    inside: bool,
) -> Part:
    algorithm = parameters.algorithm.digest
    uri = f"#{parameters.envelope.xml_target_id}" if target is not None else ""
    if target is not None and not inside:
        digest = algorithm.digest(EXCLUSIVE_FORM.write(target))
        return Part(uri, digest, "text/xml", _OWN_OUT + EXCLUSIVE_TRANSFORM)
    root = read.root
    if next(root.iter(ds("Signature")), None) is not None:
        root = xml_document.parse(read.data)
        target = xml_document.element_by_id(root, parameters.envelope.xml_target_id) if uri else None
        for signature in list(root.iter(ds("Signature"))):
            if signature is target or signature is root:
                raise TargetInvalid("a signature cannot be signed so: name an element that holds it")
            xml_references.remove(signature)
    canonical = EXCLUSIVE_FORM.write(target if target is not None else root.getroottree())
    return Part(
        uri, algorithm.digest(canonical), "text/xml", _OWN_OUT + _SIGNATURES_OUT + EXCLUSIVE_TRANSFORM
    )


def _is_within(element: etree._Element, target: etree._Element | None) -> bool:
    return target is None or element is target or target in element.iterancestors()


# --- enveloping ---------------------------------------------------------------------------------------------------


def _enveloping_part(
    document: Document, parameters: SignatureParameters, identifier: str
) -> tuple[Part, list[int | str]]:
    """Refer to the ds:Object that will hold the content; say which bytes go in, by which codec ("": in base64)."""
    if parameters.envelope.xml_target_id or parameters.envelope.xml_parent:
        raise FieldInvalid("an element is named for an enveloped signature only", field="xml")
    data = _bytes(document, MAX_ENVELOPED_BYTES)
    algorithm = parameters.algorithm.digest
    uri = f"#{identifier}-content"
    kind = xml_signature.OBJECT_TYPE
    if not _is_xml(document, data):
        part = Part(uri, algorithm.digest(data), document.media_type, _BASE64_TRANSFORM, kind)
        return part, [0, len(data), ""]
    read = xml_document.read(data)
    start, end = xml_document.outer(read, read.root)
    # The digest is over the whole ds:Object, in the form that it will have in the signature.
    head = f'<ds:Object xmlns:ds="{xml_document.DS}" Id="{identifier}-content">'
    if xml_document.DS.encode(read.encoding) in data:
        inside = data[start:end].decode(read.encoding)
        canonical = EXCLUSIVE_FORM.write(xml_document.parse(f"{head}{inside}</ds:Object>".encode()))
    else:
        canonical = head.encode() + EXCLUSIVE_FORM.write(read.root) + b"</ds:Object>"
    media_type = document.media_type or "text/xml"
    part = Part(uri, algorithm.digest(canonical), media_type, EXCLUSIVE_TRANSFORM, kind)
    return part, [start, end, read.encoding]


def _complete_enveloping(
    document: Document, parameters: SignatureParameters, kept: dict[str, Any], signature: bytes
) -> bytes:
    start, end, encoding = kept["content"]
    data = document.read()[start:end]
    name = f'Id="{kept["id"]}-content"'
    if encoding:
        content = f"<ds:Object {name}>{data.decode(encoding)}</ds:Object>"
    else:
        encoded = base64.b64encode(data).decode("ascii")
        content = f'<ds:Object {name} Encoding="{xml_references.BASE64}">{encoded}</ds:Object>'
    finished = (DECLARATION + _written(kept, parameters, signature, content)).encode()
    _checked(References(finished, xml_document.parse(finished)), kept, parameters)
    return finished


def _is_xml(document: Document, data: bytes) -> bool:
    if document.media_type:
        return _XML_TYPE.fullmatch(document.media_type) is not None
    return document.name.lower().endswith(".xml") or data.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<?xml")


# --- detached -----------------------------------------------------------------------------------------------------


def _named_files(document: Document, parameters: SignatureParameters) -> list[DetachedFile]:
    """Refer to the files by name. One alone may have none; several need each its own."""
    contents = document.role_of(Role.CONTENT)
    if len(contents) != len(document.files):
        raise FieldInvalid("a detached XML signature takes contents only", field="files")
    if parameters.envelope.xml_target_id or parameters.envelope.xml_parent:
        raise FieldInvalid("an element is named for an enveloped signature only", field="xml")
    names = [content.name for content in contents]
    if len(names) > 1 and (not all(names) or len(set(names)) != len(names)):
        raise FieldInvalid("every file of a detached signature needs a name of its own", field="files")
    algorithm = parameters.algorithm.digest
    return [
        DetachedFile(
            quote(content.name, safe="") or "content", content.hash(algorithm).digest(), content.media_type
        )
        for content in contents
    ]


def _bytes(document: Document, limit: int) -> bytes:
    if document.known_digest is not None:
        raise FieldInvalid("this packaging needs the content itself, not its digest", field="content_digest")
    if document.size > limit:
        raise BodyTooLarge(
            f"this packaging takes at most {limit} bytes: sign larger files detached", limit=limit
        )
    return document.read()
