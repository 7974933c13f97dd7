"""What a signer must know of a PDF file: its catalog, first page, form fields, and what earlier signatures forbid.

Reading is pyHanko's strict reader. Nothing here decides about trust, and nothing here writes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.reader import PdfFileReader

from services.kernel.errors import DocumentDamaged, DocumentEncrypted, DocumentLocked, DocumentNotPdf
from services.signer.formats.pdf_objects import resolved
from services.signer.formats.pdf_values import read_ahead

if TYPE_CHECKING:
    from collections.abc import Iterator

    from services.signer.formats.format import Document

HEADER_BYTES = 1024
TAIL_BYTES = 4096
MAX_OBJECTS = 1_000_000
"""Highest object number accepted: a cross-reference of this size takes about 200 MB to read."""
MAX_REVISIONS = 500
MAX_PAGE_TREE_DEPTH = 64
MAX_FIELD_DEPTH = 32
MAX_FIELDS = 50_000
_WHITESPACE = b"\x00\t\n\x0c\r "


@dataclass(frozen=True, slots=True)
class Field:
    """A form field: its full name (partial names joined by dots), its dictionary, and where that stands."""

    name: str
    dictionary: generic.DictionaryObject
    reference: generic.Reference | None
    is_signature: bool

    @property
    def value(self) -> generic.DictionaryObject | None:
        """The signature dictionary of a filled signature field."""
        read_ahead(self.dictionary, "/V")
        return dictionary_at(self.dictionary, "/V")


def open_pdf(document: Document) -> PdfFileReader:
    """Read header, cross-reference and trailer; refuse with a DOCUMENT_* error what cannot be signed safely."""
    _check_header(document)
    _check_tail(document)
    reader = PdfFileReader(document.stream, strict=True)
    if "/Encrypt" in reader.trailer:
        raise DocumentEncrypted(
            "the PDF file is encrypted, so its signature could not be checked by others: send it without protection"
        )
    if reader.xrefs.total_revisions > MAX_REVISIONS:
        raise DocumentDamaged(f"the PDF file has more than {MAX_REVISIONS} revisions", limit=MAX_REVISIONS)
    if reader.xrefs.hybrid_xrefs_present:
        _require_one_content(reader)
    return reader


def _check_header(document: Document) -> None:
    document.stream.seek(0)
    head = document.stream.read(HEADER_BYTES)
    if head.startswith(b"%PDF-"):
        return
    where = head.find(b"%PDF-")
    if where < 0:
        raise DocumentNotPdf("the document is not a PDF file: it does not start with %PDF-")
    raise DocumentNotPdf(
        f"{where} bytes stand before %PDF-: remove them, the file must start with its header"
    )


def _check_tail(document: Document) -> None:
    document.stream.seek(max(0, document.size - TAIL_BYTES))
    tail = document.stream.read(TAIL_BYTES)
    end = tail.rfind(b"%%EOF")
    if end < 0:
        raise DocumentDamaged(
            "the PDF file has no %%EOF at its end: it was cut off or something was added to it"
        )
    rest = tail[end + 5 :].strip(_WHITESPACE)
    if rest:
        # Bytes that no revision owns would be covered by the signature without ever having been shown.
        raise DocumentDamaged(
            f"{len(rest)} bytes after the last %%EOF belong to no revision of the PDF file: save it again",
            reason="bytes_after_end",
        )


def _require_one_content(reader: PdfFileReader) -> None:
    """Accept a hybrid cross-reference (ISO 32000-1 7.5.8.4), which word processors write, if it hides, not replaces.

    Its stream may add objects that readers of PDF 1.4 do not see. Where it gives an object another place than the
    table, two kinds of readers see two contents under one signature.
    """
    plain: dict[int, tuple[int, int]] = {}
    for revision in range(reader.xrefs.total_revisions):
        section = reader.xrefs.get_xref_data(revision)
        for number in section.freed:
            plain.pop(number, None)
        if section.hybrid is not None:
            # The section's own table comes first for every reader; some tools repeat an old stream behind it.
            hidden = section.hybrid.xref_data
            streamed: dict[int, object] = {**hidden.standard_xrefs, **hidden.xrefs_in_objstm}
            own = section.standard_xrefs.keys()
            _refuse_contradiction(
                any(key not in own and plain.get(key, place) != place for key, place in streamed.items())
            )
        plain.update(section.standard_xrefs)


def _refuse_contradiction(contradicts: bool) -> None:
    if contradicts:
        raise DocumentDamaged(
            "the PDF file has a hybrid cross-reference whose two parts contradict each other, so what it shows "
            "depends on the viewer: save it again without compatibility with PDF 1.4",
            reason="hybrid_reference",
        )


def first_free_object(reader: PdfFileReader) -> int:
    """Return an object number above every number in use, whatever /Size says."""
    size = int(reader.trailer["/Size"])
    for revision in range(reader.xrefs.total_revisions):
        section = reader.xrefs.get_xref_data(revision)
        used = [section.explicit_refs_in_revision]
        if section.hybrid is not None:
            used.append(section.hybrid.xref_data.explicit_refs_in_revision)
        size = max(size, *(1 + max((number for number, _ in numbers), default=0) for numbers in used))
    if size > MAX_OBJECTS:
        raise DocumentDamaged(f"the PDF file numbers its objects above {MAX_OBJECTS}", limit=MAX_OBJECTS)
    return size


def first_page(catalog: generic.DictionaryObject) -> tuple[generic.Reference, generic.DictionaryObject]:
    """Find the first page: an invisible signature field needs a page to stand on (ISO 32000-1 12.5.2)."""
    pages = catalog.raw_get("/Pages")
    found = _first_leaf(pages, 0, set())
    if found is None:
        raise DocumentDamaged("the PDF file has no page", where="/Pages")
    return found


def _first_leaf(
    node: generic.PdfObject, depth: int, seen: set[generic.Reference]
) -> tuple[generic.Reference, generic.DictionaryObject] | None:
    if not isinstance(node, generic.IndirectObject) or depth > MAX_PAGE_TREE_DEPTH or node.reference in seen:
        raise DocumentDamaged("the page tree is broken, too deep or goes in a circle", where="/Pages")
    seen.add(node.reference)
    dictionary = resolved(node)
    if not isinstance(dictionary, generic.DictionaryObject):
        raise DocumentDamaged("a node of the page tree is not a dictionary", where="/Pages")
    if "/Kids" not in dictionary:
        return node.reference, dictionary
    kids = dictionary["/Kids"]
    if not isinstance(kids, generic.ArrayObject):
        raise DocumentDamaged("/Kids of a page tree node is not an array", where="/Pages")
    for index in range(len(kids)):
        found = _first_leaf(kids.raw_get(index), depth + 1, seen)
        if found is not None:
            return found
    return None


def dictionary_at(parent: generic.DictionaryObject, key: str) -> generic.DictionaryObject | None:
    """Return the dictionary that stands at a key, directly or by reference; None where nothing or null does."""
    try:
        value = parent[key]
    except KeyError:
        return None
    if not isinstance(value, generic.DictionaryObject):
        raise DocumentDamaged(f"{key} is not a dictionary", where=key)
    return value


def form_fields(form: generic.DictionaryObject | None) -> Iterator[Field]:
    """Yield the terminal fields of an AcroForm (ISO 32000-1 12.7.3), parents before the fields behind them."""
    if form is None or "/Fields" not in form:
        return
    seen: set[generic.Reference] = set()
    stack = [(item, "", "", 0) for item in reversed(_items(form["/Fields"]))]
    while stack:
        item, prefix, inherited_type, depth = stack.pop()
        if isinstance(item, generic.IndirectObject):
            if item.reference in seen:
                raise DocumentDamaged("the form fields go in a circle", where="/AcroForm")
            seen.add(item.reference)
        if depth > MAX_FIELD_DEPTH or len(seen) > MAX_FIELDS:
            raise DocumentDamaged(
                "the form has too many fields or too deep a tree of them", where="/AcroForm"
            )
        dictionary = resolved(item)
        if not isinstance(dictionary, generic.DictionaryObject):
            raise DocumentDamaged("a form field is not a dictionary", where="/AcroForm")
        partial = dictionary.get("/T")
        name = (
            prefix
            if partial is None
            else f"{prefix}.{resolved(partial)}"
            if prefix
            else str(resolved(partial))
        )
        kind = str(dictionary["/FT"]) if "/FT" in dictionary else inherited_type
        kids = _items(dictionary["/Kids"]) if "/Kids" in dictionary else []
        children = [kid for kid in kids if _is_field(kid)]
        if children:
            stack.extend((kid, name, kind, depth + 1) for kid in reversed(children))
        reference = item.reference if isinstance(item, generic.IndirectObject) else None
        if not children or "/V" in dictionary:
            yield Field(name, dictionary, reference, kind == "/Sig")


def _items(array: generic.PdfObject) -> list[generic.PdfObject]:
    if not isinstance(array, generic.ArrayObject):
        raise DocumentDamaged("a list of form fields is not an array", where="/AcroForm")
    return [array.raw_get(index) for index in range(len(array))]


def _is_field(kid: generic.PdfObject) -> bool:
    # A kid without a name of its own is only a widget of its parent (ISO 32000-1 12.7.3.1).
    dictionary = resolved(kid)
    return isinstance(dictionary, generic.DictionaryObject) and "/T" in dictionary


def require_signable(catalog: generic.DictionaryObject, fields: list[Field], target: str) -> None:
    """Raise DocumentLocked where a certification, a field lock or a lock of the whole forbids signing `target`."""
    permissions = dictionary_at(catalog, "/Perms")
    if permissions is not None:
        read_ahead(permissions, "/DocMDP")
    certification = dictionary_at(permissions, "/DocMDP") if permissions is not None else None
    signatures = [
        (field.name, field.value) for field in fields if field.is_signature and field.value is not None
    ]
    if certification is not None:
        signatures.append(("certification", certification))
    for name, signature in signatures:
        for method, parameters in _transforms(signature):
            if _level(parameters) == 1:
                raise DocumentLocked(
                    f"the earlier signature {name!r} allows no change of the document, so it cannot be signed again",
                    field=name[:128],
                )
            if method == "/FieldMDP" and _locks(parameters, target):
                raise DocumentLocked(
                    f"the earlier signature {name!r} locks the signature field {target!r}", field=name[:128]
                )


def _transforms(signature: generic.DictionaryObject) -> Iterator[tuple[str, generic.DictionaryObject]]:
    if "/Reference" not in signature:
        return
    references = signature["/Reference"]
    if not isinstance(references, generic.ArrayObject):
        raise DocumentDamaged("/Reference of a signature is not an array", where="/Reference")
    for index in range(len(references)):
        reference = references[index]
        if isinstance(reference, generic.DictionaryObject) and "/TransformMethod" in reference:
            method = str(reference["/TransformMethod"])
            parameters = dictionary_at(reference, "/TransformParams")
            # ISO 32000-1 table 254: DocMDP without /P means 2, which allows signing; ISO 32000-2 12.8.2.4 lets a
            # FieldMDP carry /P as well.
            if method in ("/DocMDP", "/FieldMDP") and parameters is not None:
                yield method, parameters


def _level(parameters: generic.DictionaryObject) -> int:
    return int(parameters["/P"]) if "/P" in parameters else 2


def _locks(parameters: generic.DictionaryObject, name: str) -> bool:
    action = str(parameters["/Action"]) if "/Action" in parameters else "/All"
    if action == "/All":
        return True
    listed = (
        [str(resolved(item)) for item in _items(parameters["/Fields"])] if "/Fields" in parameters else []
    )
    named = any(name == entry or name.startswith(entry + ".") for entry in listed)
    return named if action == "/Include" else not named
