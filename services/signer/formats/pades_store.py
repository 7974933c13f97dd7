"""The document security store, DSS (ETSI EN 319 142-1 section 5.4.2): validation data behind the signatures.

No /VRI is written: it is optional, and validators take the values of the whole store. What a file has in its store,
a /VRI too, stays.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

from pyhanko.pdf_utils import generic

from services.kernel.errors import DocumentDamaged
from services.signer.formats import pdf_structure
from services.signer.formats.errors import SelfCheckFailed
from services.signer.formats.pdf_objects import dictionary, number, pointer, resolved, value_at, written
from services.signer.formats.pdf_own import NotOurs, OwnPdf
from services.signer.formats.pdf_update import IncrementalUpdate

if TYPE_CHECKING:
    from pyhanko.pdf_utils.rw_common import PdfHandler

    from services.signer.formats.format import Evidence
    from services.signer.formats.pdf_update import Base

MAX_STORED = 10_000
"""Values of one kind that a store may have before we add to it."""
_KINDS = ("/Certs", "/CRLs", "/OCSPs")
_STREAM = b"<</Length %d>>\nstream\n%s\nendstream"
_REFERENCE = re.compile(rb"(\d+) (\d+) R")
_STREAM_HEAD = re.compile(rb"<</Length (\d+)>>\nstream\n")


def values_of(evidence: Evidence) -> tuple[tuple[str, tuple[bytes, ...]], ...]:
    """Return the values by the store's key for them."""
    kinds = (evidence.certificates, evidence.crls, evidence.ocsp_responses)
    return tuple(zip(_KINDS, kinds, strict=True))


def store_update(handler: PdfHandler, base: Base, evidence: Evidence) -> bytearray:
    """Write the update that puts values into the file's store, or makes one. Raises DocumentDamaged."""
    update = IncrementalUpdate(base)
    root = handler.root
    existing = pdf_structure.dictionary_at(root, "/DSS")
    body = [b"<<\n/Type /DSS\n"]
    for key, values in values_of(evidence):
        references, known = _stored(existing, key)
        for value in values:
            fingerprint = hashlib.sha256(value).digest()
            if fingerprint not in known:
                known.add(fingerprint)
                reference = update.new_reference()
                update.put(reference, _STREAM % (len(value), value))
                references.append(pointer(reference))
        if references:
            body.append(b"%s %s\n" % (key.encode(), written(generic.ArrayObject(references))))
    if existing is not None:
        body.extend(
            written(generic.NameObject(key)) + b" " + written(existing.raw_get(key)) + b"\n"
            for key in existing
            if key not in {*_KINDS, "/Type"}
        )
    raw = root.raw_get("/DSS") if existing is not None else None
    if isinstance(raw, generic.IndirectObject):
        store = raw.reference
    else:
        store = update.new_reference()
        root["/DSS"] = pointer(store)
        _declare(root)
        update.change(handler.root_ref, root)
    update.put_changed()
    update.put(store, b"".join(body) + b">>")
    return update.close()


def _stored(store: generic.DictionaryObject | None, key: str) -> tuple[list[generic.PdfObject], set[bytes]]:
    """Return the references that a store has under a key, and the SHA-256 of what they lead to."""
    array = value_at(store, key) if store is not None else None
    if array is None:
        return [], set()
    if not isinstance(array, generic.ArrayObject) or len(array) > MAX_STORED:
        raise DocumentDamaged(
            f"{key} of the document security store is no array of at most {MAX_STORED} values", where="/DSS"
        )
    references: list[generic.PdfObject] = []
    known: set[bytes] = set()
    for index in range(len(array)):
        raw = array.raw_get(index)
        stream = resolved(raw)
        if isinstance(raw, generic.IndirectObject) and isinstance(stream, generic.StreamObject):
            references.append(raw)
            known.add(hashlib.sha256(stream.data).digest())
    return references, known


def _declare(root: generic.DictionaryObject) -> None:
    """Name the extension of PDF 1.7 that a store is (ISO 32000-1 7.12), where nothing is said of it yet."""
    if "/Extensions" not in root:
        root["/Extensions"] = dictionary({})
    extensions = root.raw_get("/Extensions")
    if isinstance(extensions, generic.DictionaryObject) and "/ESIC" not in extensions:
        extensions["/ESIC"] = dictionary(
            {"/BaseVersion": generic.NameObject("/1.7"), "/ExtensionLevel": number(1)}
        )


def check(size: int, addition: bytes | bytearray, evidence: Evidence) -> None:
    """Read the newest store back from the bytes; raise SelfCheckFailed where a value is in neither it nor the file."""
    own = OwnPdf(size, addition)
    store, body = own.newest()
    try:
        catalog = bytes(own.body(own.root_ref))
        if b"/DSS %d %d R" % (store.idnum, store.generation) not in catalog:
            raise SelfCheckFailed("the catalog does not lead to the document security store")
    except NotOurs:
        # The catalog stayed as it was in the file: the store there kept its object number.
        pass
    for key, values in values_of(evidence):
        listed = re.search(rb"\n%s \[([0-9 R]*)\]" % key.encode(), body)
        found: set[bytes] = set()
        elsewhere = 0
        for item in _REFERENCE.finditer(listed[1] if listed is not None else b""):
            try:
                found.add(_read_stream(own, generic.Reference(int(item[1]), int(item[2]), own)))
            except NotOurs:
                elsewhere += 1
        # A value that is not among ours must be one that the file had already.
        if len(set(values) - found) > elsewhere:
            raise SelfCheckFailed(f"a value is missing in {key} of the document security store")


def _read_stream(own: OwnPdf, reference: generic.Reference) -> bytes:
    body = own.body(reference)
    head = _STREAM_HEAD.match(body)
    if head is None:
        raise SelfCheckFailed("a value of the document security store cannot be read back")
    return bytes(body[head.end() : head.end() + int(head[1])])
