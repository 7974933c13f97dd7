"""The form field of a signature (ISO 32000-1 12.7.4.5): found or made, entered in page and form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyhanko.pdf_utils import generic

from services.kernel.errors import DocumentDamaged, DocumentLocked, FieldInvalid
from services.signer.formats import pdf_structure
from services.signer.formats.pdf_objects import (
    dictionary,
    integer_at,
    number,
    pointer,
    real,
    resolved,
    text_string,
    value_at,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyhanko.pdf_utils.rw_common import PdfHandler

    from services.signer.formats.pdf_update import IncrementalUpdate

_PRINT_AND_LOCKED = 132
"""Annotation flags Print and Locked; PDF/A (ISO 19005-2 6.3.2) wants Print set and Hidden clear."""
_HIDING = 2 | 32
"""Annotation flags Hidden and NoView."""
_PRINT = 4
_SIGNATURES_EXIST_APPEND_ONLY = 3
NOTHING = b"<</Type /XObject /Subtype /Form /BBox [0 0 0 0] /Resources <<>> /Length 0>>\nstream\n\nendstream"


@dataclass(frozen=True, slots=True)
class Spot:
    """Where a field's widget stands and what it shows; invisible where the rectangle has no extent."""

    page: generic.Reference
    page_dictionary: generic.DictionaryObject
    rect: tuple[float, float, float, float] = (0, 0, 0, 0)
    """Default user space of the page (ISO 32000-1 8.3.2.3)."""
    appearance: generic.Reference | None = None
    """Form XObject for /AP; None: the widget has none."""


def put_nothing(update: IncrementalUpdate) -> generic.Reference:
    """Write an appearance that shows nothing: ISO 19005-1 6.9 asks one of every widget, even of one without extent."""
    reference = update.new_reference()
    update.put(reference, NOTHING)
    return reference


def free_name(fields: list[pdf_structure.Field]) -> str:
    """Return a name that no field has."""
    taken = {field.name.partition(".")[0] for field in fields}
    count = 1 + sum(field.is_signature for field in fields)
    while f"Signature{count}" in taken:
        count += 1
    return f"Signature{count}"


def empty_field(fields: list[pdf_structure.Field], name: str) -> pdf_structure.Field | None:
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
        if seed is not None and integer_at(seed, "/Ff"):
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


def add_field(
    update: IncrementalUpdate, handler: PdfHandler, spot: Spot, name: str, value: generic.Reference
) -> None:
    """Write a new field merged with its widget; enter it in page and form, which are only noted as changed."""
    field = update.new_reference()
    shown = b" ".join(real(edge) for edge in spot.rect)
    body = (
        b"<<\n/Type /Annot\n/Subtype /Widget\n/FT /Sig\n/T %s\n/F %d\n/Rect [%s]\n/P %d %d R\n/V %d 0 R\n"
        % (
            text_string(name),
            _PRINT_AND_LOCKED,
            shown,
            spot.page.idnum,
            spot.page.generation,
            value.idnum,
        )
    )
    if spot.appearance is not None:
        body += b"/AP <</N %d %d R>>\n" % (spot.appearance.idnum, spot.appearance.generation)
    update.put(field, body + b">>")
    entry = pointer(field)
    _append(update, spot.page, spot.page_dictionary, "/Annots", entry)
    form = pdf_structure.dictionary_at(handler.root, "/AcroForm")
    if form is None:
        form = dictionary({"/Fields": generic.ArrayObject([entry])})
        reference = update.new_reference()
        handler.root["/AcroForm"] = pointer(reference)
        form["/SigFlags"] = number(_SIGNATURES_EXIST_APPEND_ONLY)
        update.change(reference, form)
        update.change(handler.root_ref, handler.root)
        return
    changed = _append(update, None, form, "/Fields", entry)
    _put_form(update, handler, form, changed=changed)


def fill_field(
    update: IncrementalUpdate,
    handler: PdfHandler,
    field: pdf_structure.Field,
    value: generic.Reference,
    spot: Spot | None,
) -> None:
    """Enter a value in an empty field; where a spot is given its widget is moved there and shows the appearance."""
    assert field.reference is not None  # noqa: S101 - empty_field saw to it
    field.dictionary["/V"] = pointer(value)
    update.change(field.reference, field.dictionary)
    if spot is not None:
        _show(update, field, spot)
    form = pdf_structure.dictionary_at(handler.root, "/AcroForm")
    if form is not None:
        _put_form(update, handler, form, changed=False)


def _show(update: IncrementalUpdate, field: pdf_structure.Field, spot: Spot) -> None:
    """Give the field's one widget, which is the field itself or its only kid, place and appearance."""
    reference, widget = field.reference, field.dictionary
    if "/Kids" in widget:
        kids = widget["/Kids"]
        kid = kids.raw_get(0) if isinstance(kids, generic.ArrayObject) and len(kids) == 1 else None
        if not isinstance(kid, generic.IndirectObject):
            raise DocumentDamaged(f"the signature field {field.name!r} has not one widget", where="/AcroForm")
        reference, found = kid.reference, resolved(kid)
        if not isinstance(found, generic.DictionaryObject):
            raise DocumentDamaged("a widget is not a dictionary", where="/AcroForm")
        widget = found
    assert reference is not None  # noqa: S101 - empty_field saw to it
    flags = integer_at(widget, "/F")
    widget["/Type"], widget["/Subtype"] = generic.NameObject("/Annot"), generic.NameObject("/Widget")
    widget["/F"] = number((flags | _PRINT) & ~_HIDING)
    widget["/Rect"] = generic.ArrayObject(
        [generic.FloatObject(real(edge).decode()) for edge in spot.rect]  # type: ignore[no-untyped-call]
    )
    if spot.appearance is not None:
        widget["/AP"] = dictionary({"/N": pointer(spot.appearance)})
    widget.pop("/AS", None)
    if "/P" not in widget or widget.raw_get("/P") != pointer(spot.page):
        widget["/P"] = pointer(spot.page)
    update.change(reference, widget)
    if not _stands_on(spot.page_dictionary, reference):
        _append(update, spot.page, spot.page_dictionary, "/Annots", pointer(reference))


def _stands_on(page: generic.DictionaryObject, widget: generic.Reference) -> bool:
    annotations = value_at(page, "/Annots")
    if not isinstance(annotations, generic.ArrayObject):
        return False
    return any(
        isinstance(item, generic.IndirectObject) and item.reference == widget for item in _raw(annotations)
    )


def _raw(array: generic.ArrayObject) -> Iterator[generic.PdfObject]:
    return (array.raw_get(index) for index in range(len(array)))


def _append(
    update: IncrementalUpdate,
    reference: generic.Reference | None,
    parent: generic.DictionaryObject,
    key: str,
    entry: generic.IndirectObject,
) -> bool:
    """Append to the array at a key; say whether the parent changed (not where the array is an object).

    What changed is noted in the update; the parent only where its reference is given.
    """
    raw = parent.raw_get(key) if key in parent else None
    array = value_at(parent, key)
    if array is None:
        parent[key] = generic.ArrayObject([entry])
    else:
        if not isinstance(array, generic.ArrayObject):
            raise DocumentDamaged(f"{key} is not an array", where=key)
        # A page's annotations may be the form's fields too: the same object, which has the entry then.
        if entry not in _raw(array):
            array.append(entry)
        if isinstance(raw, generic.IndirectObject):
            update.change(raw.reference, array)
            return False
    if reference is not None:
        update.change(reference, parent)
    return True


def _put_form(
    update: IncrementalUpdate, handler: PdfHandler, form: generic.DictionaryObject, *, changed: bool
) -> None:
    """Write the form where it changed, with SignaturesExist and AppendOnly set, alone or with its catalog."""
    if integer_at(form, "/SigFlags") != _SIGNATURES_EXIST_APPEND_ONLY:
        form["/SigFlags"] = number(_SIGNATURES_EXIST_APPEND_ONLY)
    elif not changed:
        return
    raw = handler.root.raw_get("/AcroForm")
    if isinstance(raw, generic.IndirectObject):
        update.change(raw.reference, form)
    else:
        update.change(handler.root_ref, handler.root)


def carry_along(update: IncrementalUpdate, handler: PdfHandler, spot: Spot) -> None:
    """Write, though unchanged, what later updates of this signature will change: they need not read the file then."""
    root = handler.root
    update.change(handler.root_ref, root)
    update.change(spot.page, spot.page_dictionary)
    for parent, key in ((root, "/AcroForm"), (spot.page_dictionary, "/Annots")):
        value = _carry(update, parent, key)
        if key == "/AcroForm" and isinstance(value, generic.DictionaryObject):
            _carry(update, value, "/Fields")


def _carry(update: IncrementalUpdate, parent: generic.DictionaryObject, key: str) -> generic.PdfObject | None:
    raw = parent.raw_get(key) if key in parent else None
    if not isinstance(raw, generic.IndirectObject):
        return raw
    # An object that this update makes is not in the file yet.
    value = update.noted(raw.reference)
    if value is None:
        value = resolved(raw)
    update.change(raw.reference, value)
    return value
