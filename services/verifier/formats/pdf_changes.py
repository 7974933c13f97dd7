"""What came after a signed revision of a PDF, revision by revision, and whether the signature allows it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum

from services.verifier.domain import ChangeKind, LaterChange
from services.verifier.formats import pdf_compare, pdf_compare_form, pdf_compare_structure
from services.verifier.formats.pdf_compare import Deed, Refused
from services.verifier.formats.pdf_file import PdfFile, View
from services.verifier.formats.pdf_form import text
from services.verifier.formats.pdf_readings import Readings
from services.verifier.formats.pdf_syntax import PdfError, PdfLimit, Value, integer
from services.verifier.formats.pdf_usage import Usages

MAX_LATER_REVISIONS = 1500
"""After one signature."""
MAX_LOCKED_NAMES = 5000
MAX_COMPARISONS = 4000
"""In one file: each revision with the one before, and with the signed one where those steps do not do."""


class Allowed(IntEnum):
    """Changes that a certifying signature allows, ISO 32000-2 table 257."""

    NOTHING = 1
    FILLING = 2
    ANNOTATING = 3


@dataclass(frozen=True, slots=True)
class FieldLock:
    """Fields whose values a signature locks, ISO 32000-2 table 259. A name stands for all that is below it too."""

    action: str
    names: tuple[str, ...] = ()

    def holds(self, field: str) -> bool:
        """True for a field that may not change."""
        if self.action == "All":
            return True
        named = any(field == name or field.startswith(name + ".") for name in self.names)
        return named if self.action == "Include" else not named


@dataclass(frozen=True, slots=True)
class Permissions:
    """What the signature itself allows afterwards; None when it says nothing."""

    document: Allowed | None = None
    fields: FieldLock | None = None


@dataclass(frozen=True, slots=True)
class Changes:
    """Later revisions; `extended`: allowed additions beyond signatures and validation material are among them."""

    later: tuple[LaterChange, ...] = ()
    extended: bool = False


def permissions(view: View, signature: dict[str, Value]) -> Permissions:
    """DocMDP and FieldMDP of a signature dictionary (ISO 32000-2 12.8.2). Raises PdfError on damaged ones."""
    document, fields = None, None
    for item in view.array(signature.get("Reference")):
        reference = view.dictionary(item)
        method = view.entry(reference, "TransformMethod")
        parameters = view.entry(reference, "TransformParams")
        stated = parameters if isinstance(parameters, dict) else {}
        if method == "DocMDP":
            document = _allowed(view, stated)
        elif method == "FieldMDP":
            fields = _lock(view, stated)
    return Permissions(document, fields)


def _allowed(view: View, parameters: dict[str, Value]) -> Allowed:
    # ISO 32000-2 table 257: without P, form filling and signing are allowed.
    level = integer(view.resolve(parameters.get("P", int(Allowed.FILLING))))
    try:
        return Allowed(level or 0)
    except ValueError as error:
        raise PdfError("P of the signature's DocMDP is none of the levels that there are") from error


def _lock(view: View, parameters: dict[str, Value]) -> FieldLock:
    action = view.entry(parameters, "Action")
    stated = view.array(parameters.get("Fields"))
    if len(stated) > MAX_LOCKED_NAMES:
        raise PdfLimit(f"a signature locks more than {MAX_LOCKED_NAMES} fields by name")
    names = [view.resolve(item) for item in stated]
    if not isinstance(action, str) or action not in ("All", "Include", "Exclude"):
        raise PdfError("the Action of the signature's FieldMDP is none that there is")
    return FieldLock(action, tuple(text(name) for name in names if isinstance(name, bytes)))


class Review:
    """Judges the revisions of one document for all its signatures. What cannot be compared is not allowed.

    A signature is content when each later revision is allowed after the one before it: these steps are compared once
    for all signatures. Only from where a step is not allowed, its own revision is compared with each later state.
    """

    def __init__(self, file: PdfFile) -> None:
        """Compare nothing yet."""
        self._file, self._usages = file, Usages(file)
        self._readings = Readings(file, self._usages)
        self._deeds: dict[tuple[int, int], Deed | str] = {}

    def changes_after(self, revision: int, allowed: Permissions, signed: Iterable[str]) -> Changes:
        """Judge every revision after `revision` (an index). `signed`: names of the fields that are signed at last.

        Raises PdfLimit.
        """
        total = len(self._file.revisions)
        if total - revision - 1 > MAX_LATER_REVISIONS:
            detail = f"more than {MAX_LATER_REVISIONS} later revisions; not compared"
            return Changes((LaterChange(total, ChangeKind.OTHER, False, detail),))
        filled = frozenset(signed)
        judged: list[LaterChange] = []
        stepwise = True
        for index in range(revision + 1, total):
            change = _judge(self._deed(index - 1, index), index, allowed, filled) if stepwise else None
            if change is None or not change.allowed:
                stepwise = False
                change = _judge(self._deed(revision, index), index, allowed, filled)
            judged.append(change)
        extensions = {ChangeKind.FORM_FILLING, ChangeKind.ANNOTATION}
        return Changes(tuple(judged), any(change.kind in extensions for change in judged))

    def _deed(self, base: int, index: int) -> Deed | str:
        """What the revision did, or why that cannot be explained."""
        if (base, index) not in self._deeds:
            if len(self._deeds) >= MAX_COMPARISONS:
                raise PdfLimit(f"more than {MAX_COMPARISONS} comparisons of revisions")
            try:
                found: Deed | str = self._readings.doubt(base, index) or pdf_compare.deed(
                    self._file,
                    self._usages,
                    base,
                    index,
                    pdf_compare_form.review,
                    pdf_compare_structure.review,
                )
            except Refused as refused:
                found = str(refused)
            except PdfLimit:
                raise
            except PdfError as error:
                found = f"cannot be compared: {error}"
            self._deeds[base, index] = found
        return self._deeds[base, index]


def _judge(deed: Deed | str, index: int, allowed: Permissions, signed: frozenset[str]) -> LaterChange:
    number, other = index + 1, ChangeKind.OTHER
    if isinstance(deed, str):
        return LaterChange(number, other, False, deed)
    if allowed.document is Allowed.NOTHING and not deed.is_harmless:
        return LaterChange(number, other, False, "the signature allows no changes at all")
    if allowed.document is not None and deed.drawn:
        return LaterChange(number, other, False, "a signature that shows is added to a certified document")
    lock = allowed.fields
    if lock is not None and any(lock.holds(name) for name in (*deed.signed, *deed.drawn, *deed.filled)):
        return LaterChange(number, other, False, "a form field is changed that the signature locks")
    filled = sorted(deed.filled - signed)
    if filled or deed.form:
        what = [*([f"{len(filled)} form fields"] if filled else []), *deed.form]
        return LaterChange(number, ChangeKind.FORM_FILLING, True, "; ".join([*what, *deed.notes]))
    if deed.signed or deed.drawn:
        return LaterChange(number, ChangeKind.SIGNATURE, True, "; ".join(["a signature field", *deed.notes]))
    if deed.stamped:
        return LaterChange(
            number, ChangeKind.TIMESTAMP, True, "; ".join(["a document time-stamp", *deed.notes])
        )
    return LaterChange(
        number, ChangeKind.VALIDATION_DATA, True, "; ".join(deed.notes) or "nothing that shows"
    )
