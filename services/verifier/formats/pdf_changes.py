"""What came after a signed revision of a PDF, revision by revision, and whether a signature allows it.

The comparison of objects is pyHanko's difference analysis; what it lets pass is narrowed here: an update of form
data or appearances is an extension that people are told of, and only further signatures and validation material
leave the document clean.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.diff_analysis import ModificationLevel, SuspiciousModification
from pyhanko.sign.fields import FieldMDPSpec, MDPPerm

from services.verifier.domain import ChangeKind, LaterChange
from services.verifier.formats import pdf_rules

MAX_LATER_REVISIONS = 200


@dataclass(frozen=True, slots=True)
class Permissions:
    """What the signature itself allows afterwards: DocMDP level and locked fields; None when it says nothing."""

    document: MDPPerm | None = None
    fields: FieldMDPSpec | None = None


@dataclass(frozen=True, slots=True)
class Closing:
    """Names of the filled signature fields, and by revision index what kind of signature it brought."""

    fields: frozenset[str]
    kinds: Mapping[int, ChangeKind]


@dataclass(frozen=True, slots=True)
class Changes:
    """Later revisions; `extended`: allowed additions beyond signatures and validation material are among them."""

    later: tuple[LaterChange, ...] = ()
    extended: bool = False


def entry(dictionary: generic.DictionaryObject, key: str, default: Any = None) -> Any:
    """Value of a key with references resolved; the default where it is missing, null or dangling."""
    try:
        return dictionary[key]
    except KeyError:
        return default


def permissions(signature: generic.DictionaryObject) -> Permissions:
    """DocMDP and FieldMDP of a signature dictionary (ISO 32000-2 12.8.2). Raises on damaged ones."""
    document, fields = None, None
    for item in entry(signature, "/Reference", ()):
        reference = item.get_object()
        method = entry(reference, "/TransformMethod")
        parameters = entry(reference, "/TransformParams")
        if method == "/DocMDP":
            # ISO 32000-2 table 257: without P, form filling and signing are allowed.
            document = (
                MDPPerm(int(entry(parameters, "/P", 2))) if parameters is not None else MDPPerm.FILL_FORMS
            )
        elif method == "/FieldMDP" and parameters is not None:
            fields = FieldMDPSpec.from_pdf_object(parameters)
    return Permissions(document, fields)


class Review:
    """Judges the revisions of one document for all its signatures. Never raises: what cannot be compared is not allowed.

    A signature that restricts nothing itself is content when each later revision is allowed after the one before it:
    these steps are compared once for all signatures. Only where a step is not allowed, or the signature has
    permissions of its own, is its own revision compared with each later one.
    """

    def __init__(self, reader: PdfFileReader, closing: Closing) -> None:
        """`closing`: the signature fields, and what each revision brought."""
        self._reader, self._closing = reader, closing
        self._steps: dict[int, LaterChange] = {}

    def changes_after(self, revision: int, allowed: Permissions) -> Changes:
        """Judge every revision after `revision` (an index)."""
        total = self._reader.xrefs.total_revisions
        if total - revision - 1 > MAX_LATER_REVISIONS:
            detail = f"more than {MAX_LATER_REVISIONS} later revisions; not compared"
            return Changes((LaterChange(total, ChangeKind.OTHER, False, detail),))
        judged: list[LaterChange] = []
        stepwise = allowed == Permissions()
        for index in range(revision + 1, total):
            change = self._step(index) if stepwise else None
            if change is None or not change.allowed:
                stepwise = False
                change = _judge(self._reader, revision, index, allowed, self._closing)
            judged.append(change)
        extensions = {ChangeKind.FORM_FILLING, ChangeKind.ANNOTATION}
        return Changes(tuple(judged), any(change.kind in extensions for change in judged))

    def _step(self, index: int) -> LaterChange:
        if index not in self._steps:
            self._steps[index] = _judge(self._reader, index - 1, index, Permissions(), self._closing)
        return self._steps[index]


def _judge(
    reader: PdfFileReader, base: int, index: int, allowed: Permissions, closing: Closing
) -> LaterChange:
    number, other = index + 1, ChangeKind.OTHER
    try:
        policy = pdf_rules.WITH_SIGNATURE if index in closing.kinds else pdf_rules.PLAIN
        result = policy.apply(
            old=reader.get_historical_resolver(base),
            new=reader.get_historical_resolver(index),
            field_mdp_spec=allowed.fields,
            doc_mdp=allowed.document,
        )
    except SuspiciousModification:
        return LaterChange(
            number, other, False, "objects of the signed revision are changed or used in another way"
        )
    except Exception as error:  # noqa: BLE001 - the analysis raises many kinds on hostile files; then nothing is allowed
        return LaterChange(number, other, False, f"cannot be compared ({type(error).__name__})")
    level = result.modification_level
    if level <= ModificationLevel.LTA_UPDATES:
        if closing.kinds.get(index) is ChangeKind.TIMESTAMP:
            return LaterChange(number, ChangeKind.TIMESTAMP, True, "a document time-stamp")
        return LaterChange(number, ChangeKind.VALIDATION_DATA, True, "validation material")
    if allowed.document is MDPPerm.NO_CHANGES:
        return LaterChange(number, other, False, "the signature allows no changes at all")
    filled = sorted(result.changed_form_fields - closing.fields)
    if level is ModificationLevel.FORM_FILLING and not filled:
        kind = closing.kinds.get(index, ChangeKind.SIGNATURE)
        return LaterChange(number, kind, True, "a signature field")
    if filled:
        return LaterChange(number, ChangeKind.FORM_FILLING, True, f"{len(filled)} form fields")
    return LaterChange(number, ChangeKind.ANNOTATION, True, "annotations")
