"""Signatures inside PDF files: PAdES (EN 319 142) and the older adbe.* kinds (ISO 32000-2 12.8.3)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from services.verifier.algorithms import AlgorithmError
from services.verifier.domain import (
    ChangeKind,
    Code,
    Coverage,
    CoverageReport,
    Indication,
    LaterChange,
    Notice,
    SubIndication,
)
from services.verifier.formats import (
    pdf_bytes,
    pdf_changes,
    pdf_encryption,
    pdf_form,
    pdf_signature,
    pdf_stamps,
    pdf_syntax,
)
from services.verifier.formats.ber import BerError
from services.verifier.formats.pdf_bytes import ByteRangeError, Ownership, SignedRange
from services.verifier.formats.pdf_changes import Review
from services.verifier.formats.pdf_digests import RangeDigests
from services.verifier.formats.pdf_file import PdfFile, View
from services.verifier.formats.pdf_form import Field
from services.verifier.formats.pdf_signature import Read
from services.verifier.formats.pdf_stamps import Placed
from services.verifier.formats.pdf_store import Stores
from services.verifier.formats.pdf_syntax import PdfError, PdfLimit, Ref, Value
from services.verifier.ports import Fault, Findings, FoundSignature, SubmittedDocument

MAX_SIGNATURES = 500


@dataclass(frozen=True, slots=True)
class _Document:
    """One PDF while its signatures are read. `names` are those of all signed fields."""

    file: PdfFile
    review: Review
    ownership: Ownership
    names: frozenset[str]


@dataclass(frozen=True, slots=True)
class _Located:
    """A signature's dictionary, found in the revision that it covers; `revision` None where it covers none whole."""

    view: View
    dictionary: dict[str, Value]
    span: SignedRange
    revision: int | None
    detail: str = ""


class PdfFormat:
    """Finds the signatures of a PDF and says of each what it covers and what came after it."""

    name = "PDF"

    def recognises(self, data: bytes) -> bool:
        """ISO 32000-2 7.5.2 wants the header first; readers in the field look through the first kilobyte."""
        return b"%PDF-" in data[:1024]

    def find(self, document: SubmittedDocument) -> Findings:
        """Every filled signature field, in the order of the form."""
        try:
            return Findings(self.name, self._find(document.data))
        except pdf_encryption.PasswordNeeded:
            return Findings(self.name, obstacle=Notice(Code.DOC_ENCRYPTED, "the document needs a password"))
        except PdfLimit as limit:
            return Findings(self.name, obstacle=Notice(Code.LIMIT_REACHED, str(limit)))
        except PdfError as error:
            return Findings(self.name, obstacle=Notice(Code.DOC_MALFORMED, str(error)))

    def _find(self, data: bytes) -> list[FoundSignature]:
        file = PdfFile(data)
        pdf_encryption.open_without_password(file)
        every = list(pdf_form.fields(file.last))
        fields = [field for field in every if _is_filled(file.last, field)]
        if len(fields) > MAX_SIGNATURES:
            raise PdfLimit(f"more than {MAX_SIGNATURES} signatures")
        # A name that two fields bear does not say which of them is signed.
        bearers = Counter(field.name for field in every if field.own is not None)
        names = frozenset(field.name for field in fields if bearers[field.name] == 1)
        ownership = Ownership(file, _signed_to(file.last, fields))
        if not fields and ownership.has_lost_signature():
            raise PdfError("a signature lies in bytes that belong to no revision")
        shared = _Document(file, Review(file), ownership, names)
        read = [one for field in _distinct(file, fields) for one in _guarded(shared, field)]
        if len(read) > MAX_SIGNATURES:
            raise PdfLimit(f"more than {MAX_SIGNATURES} signers")
        digests = RangeDigests(data, [one.span for one in read if isinstance(one, Read)])
        placed = [_placed(one, digests) for one in read]
        return pdf_stamps.with_time_stamps(placed, digests, Stores(file))

    def signed_revision(self, data: bytes, found: FoundSignature) -> bytes | None:
        """The document as it was when it was signed, with the signature; None where it covers no whole revision.

        `data` are the octets that `found` was found in.
        """
        return revision_of(data, found.coverage)


def revision_of(data: bytes, coverage: CoverageReport) -> bytes | None:
    """The octets up to the end of what a PDF signature covers; None where that is no state of the document."""
    if not coverage.end or coverage.coverage not in (Coverage.WHOLE, Coverage.REVISION):
        return None
    return data[: coverage.end]


def _is_filled(view: View, field: Field) -> bool:
    """True for a signature field with a value, also one that cannot be read: it must not pass for an empty field."""
    value = field.dictionary.get("V")
    if field.kind != "Sig" or value is None:
        return False
    if not isinstance(value, Ref):
        return True
    placed = view.file.entry(value.number, view.revision)
    return placed is not None and placed[1].in_use


def _signed_to(view: View, fields: Sequence[Field]) -> int:
    """Where the ByteRange ends that reaches furthest; whether its signature holds is judged with that signature."""
    ends = [0]
    for field in fields:
        ranges = [
            pdf_syntax.integer(n) for n in view.array(view.dictionary(field.signature).get("ByteRange"))
        ]
        if len(ranges) == 4:
            ends.append((ranges[2] or 0) + (ranges[3] or 0))
    return max(ends)


def _distinct(file: PdfFile, fields: Sequence[Field]) -> list[Field]:
    """One field for each signature: where several have the same, the one that was there first, in the form's order."""
    found: dict[Value | int, Field] = {}
    for index, field in enumerate(fields):
        value = field.signature if isinstance(field.signature, Ref) else index
        known = found.get(value)
        if known is None or file.first_home(field.number) < file.first_home(known.number):
            found[value] = field
    return list(found.values())


def _guarded(document: _Document, field: Field) -> list[Read | FoundSignature]:
    """One for each signer. No signature hides the others by what cannot be read of it."""
    try:
        return list(_read(document, field, field.name))
    except PdfLimit:
        raise
    except (ByteRangeError, BerError, PdfError, AlgorithmError) as error:
        return [pdf_signature.unreadable(field.name, str(error))]


def _placed(one: Read | FoundSignature, digests: RangeDigests) -> Placed:
    if isinstance(one, FoundSignature):
        return Placed(one)
    try:
        found = pdf_signature.bound(one, digests.of)
    except (BerError, AlgorithmError) as error:
        return Placed(pdf_signature.unreadable(one.found.name, str(error)))
    # What says nothing of the document proves nothing of others either.
    return Placed(found) if found.signer is None else Placed(found, one.span, one.message, one.container)


def _read(document: _Document, field: Field, name: str) -> Sequence[Read | FoundSignature]:
    last = document.file.last
    value = last.resolve(field.signature)
    if not isinstance(value, dict):
        raise PdfError("the value of the signature field is no signature dictionary, or cannot be read")
    subfilter = pdf_syntax.name(last.entry(value, "SubFilter"))
    if subfilter not in pdf_signature.SUPPORTED:
        detail = f"signature encoding {subfilter[:40] or '(none)'} is not supported"
        unsupported = (Notice(Code.FORMAT_UNSUPPORTED, detail),)
        fault = Fault(Indication.INDETERMINATE, SubIndication.GENERIC, detail, unsupported)
        unknown = CoverageReport(Coverage.UNKNOWN)
        return [FoundSignature(name, f"PDF ({subfilter[:40]})", unknown, fault=fault)]
    contents = value.get("Contents")
    if not isinstance(contents, bytes):
        raise ByteRangeError("/Contents of the signature must be a string in the signature dictionary itself")
    span = pdf_bytes.signed_range(document.file.data, last.entry(value, "ByteRange"), contents)
    located = _located(document.file, field, value, span)
    coverage, notices = _coverage(document, located)
    every = pdf_signature.read(located.view, located.dictionary, span, name, coverage)
    return [replace(one, found=replace(one.found, notices=notices)) for one in every]


def _located(file: PdfFile, field: Field, value: dict[str, Value], span: SignedRange) -> _Located:
    """The signature as it stands in the revision that it covers: what stands there later was not signed.

    Raises ByteRangeError.
    """
    if pdf_bytes.covers_whole_file(file.data, span.end):
        return _Located(file.last, value, span, len(file.revisions) - 1)
    try:
        revision = pdf_bytes.signed_revision(file, span.end)
    except ByteRangeError as error:
        return _Located(file.last, value, span, None, str(error))
    view = View(file, revision)
    signed = view.resolve(field.signature)
    if not isinstance(field.signature, Ref):
        node = file.load(field.number, revision).value
        signed = node.get("V") if isinstance(node, dict) else None
    if not isinstance(signed, dict) or any(
        not pdf_syntax.same(signed.get(key), value.get(key)) for key in ("Contents", "ByteRange", "SubFilter")
    ):
        raise ByteRangeError("the signature is not in the revision that it covers, or is another one there")
    return _Located(view, signed, span, revision)


def _coverage(document: _Document, located: _Located) -> tuple[CoverageReport, tuple[Notice, ...]]:
    file, span = document.file, located.span
    total, size = len(file.revisions), len(file.data)
    covered = span.end - (span.gap_end - span.gap_start)
    if located.revision is None:
        # The hash may hold, but what it holds is not a state that the document ever had as a whole.
        notices = (Notice(Code.DOC_MODIFIED, located.detail), Notice(Code.UNOWNED_BYTES, located.detail))
        rest = (LaterChange(0, ChangeKind.UNOWNED_BYTES, False, located.detail),)
        return CoverageReport(Coverage.PARTIAL, covered, size, 0, total, rest), notices
    if pdf_bytes.covers_whole_file(file.data, span.end):
        report = CoverageReport(Coverage.WHOLE, covered, size, total, total, end=span.end)
        return report, (Notice(Code.DOC_INTACT),)
    allowed = pdf_changes.permissions(located.view, located.dictionary)
    changes = document.review.changes_after(located.revision, allowed, document.names)
    later, found = changes.later, []
    if not all(change.allowed for change in later):
        found.append(Notice(Code.DOC_MODIFIED, _told(c for c in later if not c.allowed)))
    elif changes.extended:
        found.append(Notice(Code.DOC_EXTENDED, _told(later)))
    else:
        found.append(Notice(Code.DOC_INTACT, "only signatures and validation material were added"))
    gaps = document.ownership.unowned_after(span.end)
    if gaps:
        detail = f"bytes {gaps[0][0]} to {gaps[0][1]} belong to no revision"
        found.append(Notice(Code.UNOWNED_BYTES, detail))
        later = (*later, LaterChange(0, ChangeKind.UNOWNED_BYTES, False, detail))
    revision = located.revision + 1
    return CoverageReport(Coverage.REVISION, covered, size, revision, total, later, span.end), tuple(found)


def _told(changes: Iterable[LaterChange]) -> str:
    return "; ".join(change.touches for change in changes)[:400]
