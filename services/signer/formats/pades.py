"""PAdES B-B (ETSI EN 319 142-1 section 6): an approval signature in an incremental update, invisible where it is new.

The room for the CMS is reserved from its computed size, so the document is laid out and hashed once.
"""

from __future__ import annotations

import re
import struct
from datetime import UTC
from typing import TYPE_CHECKING

from pyhanko.pdf_utils import generic

from services.kernel.errors import DocumentDamaged, DocumentLocked, FieldInvalid
from services.signer.formats import cms, pdf_structure
from services.signer.formats.errors import SelfCheckFailed
from services.signer.formats.format import Prepared
from services.signer.formats.pdf_objects import dictionary, number, pointer, text_string, written
from services.signer.formats.pdf_update import IncrementalUpdate

if TYPE_CHECKING:
    from pyhanko.pdf_utils.reader import PdfFileReader

    from services.kernel.values import DigestAlgorithm
    from services.signer.formats.format import Document, Hash
    from services.signer.formats.parameters import SignatureParameters

_STATE = struct.Struct(">QIII")
"""Document size, offset of /Contents within the update, its length with brackets, length of the signed attributes."""
_BYTE_RANGE = b"[0 %d %d %d]"
_BYTE_RANGE_WIDTH = len(_BYTE_RANGE) + 3 * 20
_WRITTEN_RANGE = re.compile(
    rb"/ByteRange\s*\[0 (\d{1,20}) (\d{1,20}) (\d{1,20})\]\s*/Contents\s*<([0-9A-F]*)>"
)
_RESERVE_UNIT = 256
_PRINT_AND_LOCKED = 132
"""Annotation flags Print and Locked; PDF/A (ISO 19005-2 6.3.2) wants Print set and Hidden clear."""


class PadesBaseline:
    """Adds one signature to a PDF file by an incremental update, so that earlier signatures stay valid."""

    def prepare(self, document: Document, parameters: SignatureParameters) -> Prepared:
        """Lay out the update, hash document and update, encode the signed attributes."""
        # 1. Room for the CMS: everything but the digest is known, and its size is too.
        digest = parameters.algorithm.digest
        parts = cms.signer_parts(parameters.certificate_chain, parameters.algorithm)
        room = cms.max_bytes(parts, cms.signed_attributes(parts, bytes(digest.size), None))
        room = -(-room // _RESERVE_UNIT) * _RESERVE_UNIT
        # 2. The update with zeros in that room and the final byte range.
        increment, start = _lay_out(document, parameters, room)
        end = start + 2 * room + 2
        # 3. Hash what the byte range covers: everything but /Contents (ISO 32000-1 12.8.1).
        running = document.hash(digest)
        _hash_update(running, increment, start, end)
        attributes = cms.signed_attributes(parts, running.digest(), None)
        state = _STATE.pack(document.size, start, end - start, len(attributes)) + attributes + increment
        return Prepared(digest.digest(attributes), state)

    def complete(
        self, document: Document, parameters: SignatureParameters, state: bytes, signature: bytes
    ) -> bytes:
        """Put the CMS into its room, then read the signed file back and verify it."""
        size, start, length, attributes_length = _STATE.unpack_from(state)
        if size != document.size:
            raise SelfCheckFailed("the document changed between preparing and completing its signature")
        attributes = state[_STATE.size : _STATE.size + attributes_length]
        increment = bytearray(state[_STATE.size + attributes_length :])
        parts = cms.signer_parts(parameters.certificate_chain, parameters.algorithm)
        container = cms.assemble(parts, attributes, signature).hex().upper().encode()
        if len(container) > length - 2:
            raise SelfCheckFailed("the signature container is larger than the room reserved for it")
        increment[start + 1 : start + 1 + len(container)] = container
        check(document, increment, start, parts, parameters.algorithm.digest)
        return bytes(increment)


def check(
    document: Document, increment: bytearray, start: int, parts: cms.SignerParts, digest: DigestAlgorithm
) -> None:
    """Verify a finished signature from the bytes alone: byte range, digest, signed attributes, signature value."""
    # A text that a caller chose may look like a byte range; only the one at our reserved room counts.
    found = [match for match in _WRITTEN_RANGE.finditer(increment) if match.start(4) - 1 == start]
    if len(found) != 1:
        raise SelfCheckFailed("the update holds no byte range before its /Contents")
    match = found[0]
    first, second, last = (int(match[group]) for group in (1, 2, 3))
    end = match.end(4) + 1
    total = document.size + len(increment)
    if (first, second, second + last) != (document.size + start, document.size + end, total):
        raise SelfCheckFailed("the byte range does not cover the whole file but /Contents")
    running = document.hash(digest)
    _hash_update(running, increment, start, end)
    contents = bytes.fromhex(match[4].decode("ascii"))
    cms.check(contents[: _der_length(contents)], parts, running.digest())


def _hash_update(running: Hash, increment: bytearray, start: int, end: int) -> None:
    with memoryview(increment) as view:
        running.update(view[:start])
        running.update(view[end:])


def _der_length(data: bytes) -> int:
    """Length of the DER value that stands before the zeros."""
    if len(data) < 2 or data[1] < 0x80:
        return 2 + (data[1] if len(data) > 1 else 0)
    octets = data[1] & 0x7F
    return 2 + octets + int.from_bytes(data[2 : 2 + octets], "big")


def _lay_out(document: Document, parameters: SignatureParameters, room: int) -> tuple[bytearray, int]:
    """Return the update with zeros as /Contents, and where within it /Contents begins (its bracket)."""
    reader = pdf_structure.open_pdf(document)
    catalog = reader.root
    form = pdf_structure.dictionary_at(catalog, "/AcroForm")
    fields = list(pdf_structure.form_fields(form))
    name = parameters.envelope.field_name or _free_name(fields)
    pdf_structure.require_signable(catalog, fields, name)
    field = _empty_field(fields, name)
    document.stream.seek(document.size - 1)
    newline = document.stream.read(1) in (b"\n", b"\r")
    update = IncrementalUpdate(reader, document.size, newline, pdf_structure.first_free_object(reader))
    signature = update.new_reference()
    if field is None:
        _add_field(update, reader, form, signature, name)
    else:
        _fill_field(update, field, signature)
        _set_signature_flags(update, reader, form)
    lock = pdf_structure.dictionary_at(field.dictionary, "/Lock") if field is not None else None
    head, tail = _signature_dictionary(parameters, reader.root_ref, lock)
    contents_at = len(head) + _BYTE_RANGE_WIDTH + len(b"\n/Contents ")
    body = head + b" " * _BYTE_RANGE_WIDTH + b"\n/Contents <" + b"0" * (2 * room) + b">\n" + tail
    offset = update.put(signature, body)
    increment = update.close()
    start = offset + contents_at
    end = start + 2 * room + 2
    byte_range = _BYTE_RANGE % (document.size + start, document.size + end, len(increment) - end)
    increment[offset + len(head) : offset + len(head) + len(byte_range)] = byte_range
    return increment, start


def _free_name(fields: list[pdf_structure.Field]) -> str:
    taken = {field.name.partition(".")[0] for field in fields}
    number = 1 + sum(field.is_signature for field in fields)
    while f"Signature{number}" in taken:
        number += 1
    return f"Signature{number}"


def _empty_field(fields: list[pdf_structure.Field], name: str) -> pdf_structure.Field | None:
    """Return the empty signature field of that name, None where one must be made; FieldInvalid where neither goes."""
    for field in fields:
        if field.name != name:
            continue
        if not field.is_signature:
            raise FieldInvalid(f"the form field {name!r} is not a signature field", field="field_name")
        if field.value is not None:
            raise FieldInvalid(
                f"the signature field {name!r} is signed already: name another", field="field_name"
            )
        if field.reference is None:
            raise DocumentDamaged(
                f"the signature field {name!r} is not an object of its own", where="/AcroForm"
            )
        seed = pdf_structure.dictionary_at(field.dictionary, "/SV")
        if seed is not None and int(seed.get("/Ff", 0)):
            raise DocumentLocked(
                f"the signature field {name!r} prescribes how it must be signed (/SV), which is not supported",
                field=name,
            )
        return field
    if "." in name or any(field.name.startswith(name + ".") for field in fields):
        raise FieldInvalid(
            f"there is no signature field {name!r}, and a new one cannot have that name", field="field_name"
        )
    return None


def _add_field(
    update: IncrementalUpdate,
    reader: PdfFileReader,
    form: generic.DictionaryObject | None,
    signature: generic.Reference,
    name: str,
) -> None:
    """Write a field merged with its widget, of no size, on the first page; enter it in page and form."""
    page_reference, page = pdf_structure.first_page(reader.root)
    field = update.new_reference()
    update.put(
        field,
        b"<<\n/Type /Annot\n/Subtype /Widget\n/FT /Sig\n/T %s\n/F %d\n/Rect [0 0 0 0]\n/P %d %d R\n/V %d 0 R\n>>"
        % (
            text_string(name),
            _PRINT_AND_LOCKED,
            page_reference.idnum,
            page_reference.generation,
            signature.idnum,
        ),
    )
    entry = pointer(field)
    if _append(update, page, "/Annots", entry):
        update.put_object(page_reference, page)
    if form is None:
        form = dictionary({"/Fields": generic.ArrayObject([entry])})
        form["/SigFlags"] = number(3)
        reference = update.new_reference()
        update.put_object(reference, form)
        reader.root["/AcroForm"] = pointer(reference)
        update.put_object(reader.root_ref, reader.root)
        return
    changed = _append(update, form, "/Fields", entry)
    if changed or int(form.get("/SigFlags", 0)) != 3:
        _put_form(update, reader, form)


def _append(
    update: IncrementalUpdate, parent: generic.DictionaryObject, key: str, entry: generic.IndirectObject
) -> bool:
    """Append to the array at a key; say whether the parent must be written (not where the array is an object)."""
    if key not in parent:
        parent[key] = generic.ArrayObject([entry])
        return True
    array = parent[key]
    if not isinstance(array, generic.ArrayObject):
        raise DocumentDamaged(f"{key} is not an array", where=key)
    array.append(entry)
    raw = parent.raw_get(key)
    if isinstance(raw, generic.IndirectObject):
        update.put_object(raw.reference, array)
        return False
    return True


def _fill_field(update: IncrementalUpdate, field: pdf_structure.Field, signature: generic.Reference) -> None:
    assert field.reference is not None  # noqa: S101 - _empty_field saw to it
    field.dictionary["/V"] = pointer(signature)
    update.put_object(field.reference, field.dictionary)


def _set_signature_flags(
    update: IncrementalUpdate, reader: PdfFileReader, form: generic.DictionaryObject | None
) -> None:
    if form is not None and int(form.get("/SigFlags", 0)) != 3:
        _put_form(update, reader, form)


def _put_form(update: IncrementalUpdate, reader: PdfFileReader, form: generic.DictionaryObject) -> None:
    """Write the form with SignaturesExist and AppendOnly set, alone or with the catalog that holds it."""
    form["/SigFlags"] = number(3)
    raw = reader.root.raw_get("/AcroForm")
    if isinstance(raw, generic.IndirectObject):
        update.put_object(raw.reference, form)
    else:
        update.put_object(reader.root_ref, reader.root)


def _signature_dictionary(
    parameters: SignatureParameters, catalog: generic.Reference, lock: generic.DictionaryObject | None
) -> tuple[bytes, bytes]:
    """Return what stands before and after byte range and contents in the signature dictionary."""
    moment = parameters.signing_time.astimezone(UTC).strftime("D:%Y%m%d%H%M%S+00'00'")
    head = [
        b"<<\n/Type /Sig\n/Filter /Adobe.PPKLite\n/SubFilter /ETSI.CAdES.detached",
        b"/M (%s)" % moment.encode(),
    ]
    for key, text in (
        (b"/Reason ", parameters.envelope.reason),
        (b"/Location ", parameters.envelope.location),
    ):
        if text is not None:
            head.append(key + text_string(text))
    if lock is not None:
        # ISO 32000-1 12.8.2.4: the lock that the field prescribes becomes part of what is signed.
        copied = dictionary({key: lock.raw_get(key) for key in ("/Action", "/Fields", "/P") if key in lock})
        copied["/Type"] = generic.NameObject("/TransformParams")
        copied["/V"] = generic.NameObject("/1.2")
        body = written(copied)
        head.append(
            b"/Reference [<</Type /SigRef /TransformMethod /FieldMDP /Data %d %d R /TransformParams %s>>]"
            % (catalog.idnum, catalog.generation, body)
        )
    head.append(b"/ByteRange ")
    return b"\n".join(head), b">>"
