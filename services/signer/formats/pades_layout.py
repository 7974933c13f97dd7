"""The update that carries a new signature: laid out with room for the value, before anything is signed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC
from typing import TYPE_CHECKING

from pyhanko.pdf_utils import generic

from services.kernel.errors import DocumentLocked
from services.signer.formats import pades_fields, pdf_structure, visible
from services.signer.formats.pades_fields import Spot
from services.signer.formats.pades_room import contents_bytes
from services.signer.formats.parameters import Level
from services.signer.formats.pdf_contents import Contents, close_round, put_signature
from services.signer.formats.pdf_hostile import reading_pdf
from services.signer.formats.pdf_objects import dictionary, pointer, text_string, written
from services.signer.formats.pdf_update import Base, IncrementalUpdate

if TYPE_CHECKING:
    from pyhanko.pdf_utils.reader import PdfFileReader

    from services.signer.formats.format import Document
    from services.signer.formats.parameters import SignatureParameters


@dataclass(frozen=True, slots=True)
class LaidOut:
    """An update with zeros where its value will stand."""

    increment: bytearray
    contents: Contents
    warnings: tuple[str, ...] = ()


def base_of(document: Document, reader: PdfFileReader) -> Base:
    """Describe a file as it was read."""
    document.stream.seek(document.size - 1)
    newline = document.stream.read(1) in (b"\n", b"\r")
    return Base.of(reader, document.size, newline, pdf_structure.first_free_object(reader))


@reading_pdf()
def lay_out(document: Document, parameters: SignatureParameters) -> LaidOut:
    """Find or make the field and write the signature dictionary. Raises the DOCUMENT_* errors, FieldInvalid."""
    envelope = parameters.envelope
    reader = pdf_structure.open_pdf(document)
    fields = list(pdf_structure.form_fields(pdf_structure.dictionary_at(reader.root, "/AcroForm")))
    name = envelope.field_name or pades_fields.free_name(fields)
    pdf_structure.require_signable(reader.root, fields, name)
    if envelope.certification:
        _require_first(reader.root, fields)
    field = pades_fields.empty_field(fields, name)
    update = IncrementalUpdate(base_of(document, reader))
    value = update.new_reference()
    spot, warnings = _spot(document, reader, update, parameters)
    later = envelope.level.includes(Level.B_LT)
    if spot is None and (field is None or later):
        nothing = pades_fields.put_nothing(update) if field is None else None
        spot = Spot(*pdf_structure.first_page(reader.root), appearance=nothing)
    if field is not None:
        shown = spot if envelope.visible is not None else None
        pades_fields.fill_field(update, reader, field, value, shown)
    elif spot is not None:
        pades_fields.add_field(update, reader, spot, name, value)
    if envelope.certification:
        _permit(update, reader, value)
    if later and spot is not None:
        pades_fields.carry_along(update, reader, spot)
    update.put_changed()
    lock = pdf_structure.dictionary_at(field.dictionary, "/Lock") if field is not None else None
    head = _signature_head(parameters, reader.root_ref, lock)
    contents = put_signature(update, value, head, contents_bytes(parameters))
    return LaidOut(close_round(update, contents), contents, warnings)


def _spot(
    document: Document, reader: PdfFileReader, update: IncrementalUpdate, parameters: SignatureParameters
) -> tuple[Spot | None, tuple[str, ...]]:
    """Draw what a visible signature shows."""
    if parameters.envelope.visible is None:
        return None, ()
    drawn = visible.draw(document, reader, update, parameters)
    return Spot(drawn.page, drawn.page_dictionary, drawn.rect, drawn.appearance), drawn.warnings


def _require_first(catalog: generic.DictionaryObject, fields: list[pdf_structure.Field]) -> None:
    """Refuse a certification behind another signature: it shall be the first (ISO 32000-1 12.8.2.2.1)."""
    permissions = pdf_structure.dictionary_at(catalog, "/Perms")
    if permissions is not None and "/DocMDP" in permissions:
        raise DocumentLocked(
            "the document is certified already: sign it without certification", field="certification"
        )
    for field in fields:
        if field.is_signature and field.value is not None:
            raise DocumentLocked(
                f"the document has the signature {field.name!r} already, and a certification must come first: "
                "sign it without certification",
                field="certification",
            )


def _permit(update: IncrementalUpdate, reader: PdfFileReader, value: generic.Reference) -> None:
    """Let the catalog name the certification (ISO 32000-1 12.8.4)."""
    root = reader.root
    permissions = pdf_structure.dictionary_at(root, "/Perms")
    if permissions is None:
        root["/Perms"] = dictionary({"/DocMDP": pointer(value)})
        update.change(reader.root_ref, root)
        return
    permissions["/DocMDP"] = pointer(value)
    raw = root.raw_get("/Perms")
    if isinstance(raw, generic.IndirectObject):
        update.change(raw.reference, permissions)
    else:
        update.change(reader.root_ref, root)


def _signature_head(
    parameters: SignatureParameters, catalog: generic.Reference, lock: generic.DictionaryObject | None
) -> bytes:
    """Return what stands before the byte range in the signature dictionary."""
    envelope = parameters.envelope
    moment = parameters.signing_time.astimezone(UTC).strftime("D:%Y%m%d%H%M%S+00'00'")
    head = [
        b"<<\n/Type /Sig\n/Filter /Adobe.PPKLite\n/SubFilter /ETSI.CAdES.detached",
        b"/M (%s)" % moment.encode(),
    ]
    texts = ((b"/Reason ", envelope.reason), (b"/Location ", envelope.location))
    head.extend(key + text_string(text) for key, text in texts if text is not None)
    references = []
    if envelope.certification:
        references.append(
            b"<</Type /SigRef /TransformMethod /DocMDP /TransformParams "
            b"<</Type /TransformParams /V /1.2 /P %d>>>>" % envelope.certification
        )
    if lock is not None:
        # ISO 32000-1 12.8.2.4: the lock that the field prescribes becomes part of what is signed.
        copied = dictionary({key: lock.raw_get(key) for key in ("/Action", "/Fields", "/P") if key in lock})
        copied["/Type"] = generic.NameObject("/TransformParams")
        copied["/V"] = generic.NameObject("/1.2")
        references.append(
            b"<</Type /SigRef /TransformMethod /FieldMDP /Data %d %d R /TransformParams %s>>"
            % (catalog.idnum, catalog.generation, written(copied))
        )
    if references:
        head.append(b"/Reference [" + b"\n".join(references) + b"]")
    return b"\n".join(head)
