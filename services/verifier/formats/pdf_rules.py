"""What a later revision of a PDF may touch without touching the document: additions to pyHanko's rules.

Each rule clears a change only for the places where it was looked at; an object that is also used anywhere else still
has to be explained there. Nothing here clears a change of what is shown, printed or acted upon.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.reader import HistoricalResolver, RawPdfPath
from pyhanko.sign.diff_analysis import (
    CatalogModificationRule,
    DocInfoRule,
    FormUpdatingRule,
    GenericFieldModificationRule,
    MetadataUpdateRule,
    ModificationLevel,
    ObjectStreamRule,
    ReferenceUpdate,
    SigFieldCreationRule,
    SigFieldModificationRule,
    StandardDiffPolicy,
    WhitelistRule,
    XrefStreamRule,
)
from pyhanko.sign.diff_analysis.form_rules_api import FormUpdate
from pyhanko.sign.diff_analysis.rules_api import Context

_PRODUCER_MARKS = frozenset({"/ITXT"})
_SECURITY_STORE = frozenset({"/Type", "/VRI", "/Certs", "/CRLs", "/OCSPs"})
_WRITTEN_BY_SOFTWARE = frozenset({"/ModDate", "/Producer"})


def _written(new: HistoricalResolver) -> set[generic.Reference]:
    refs: set[generic.Reference] = new.explicit_refs_in_revision()  # type: ignore[no-untyped-call]
    return refs


def _reached(new: HistoricalResolver, starts: Iterable[generic.PdfObject]) -> set[generic.Reference]:
    """References written by this revision that are reached from the starts through nothing but such references."""
    written = _written(new)
    found: set[generic.Reference] = set()
    pending = list(starts)
    while pending:
        item = pending.pop()
        if isinstance(item, generic.IndirectObject):
            # Others were there before, or are dangling; either way nothing new is behind them.
            if item.reference in written and item.reference not in found:
                found.add(item.reference)
                pending.append(new(item.reference))
        elif isinstance(item, generic.DictionaryObject):
            pending.extend(item.values())
        elif isinstance(item, generic.ArrayObject):
            pending.extend(item)
    return found


def _usages(old: HistoricalResolver, ref: generic.Reference) -> set[RawPdfPath]:
    """Paths from the trailer to the object in the signed revision. The policy itself works by them; filled once."""
    old._load_reverse_xref_cache()  # type: ignore[no-untyped-call]  # noqa: SLF001 - there is no public way
    return old._get_usages_of_ref(ref)  # noqa: SLF001 - as above


class _Branch(WhitelistRule):
    """Everything under one entry of the catalog that no viewer shows."""

    def __init__(self, *path: str) -> None:
        """`path`: from the trailer, such as "/Root", "/DSS"."""
        self._path = path

    def apply(self, old: HistoricalResolver, new: HistoricalResolver) -> Iterator[ReferenceUpdate]:
        """Old references for the paths under the entry, and new ones that nothing used before."""
        starts: list[generic.PdfObject] = []
        for ref in _written(new):
            for path in _usages(old, ref):
                if tuple(path)[: len(self._path)] == self._path:
                    starts.append(new(ref))
                    yield ReferenceUpdate(ref, context_checked=Context.from_absolute(old, path))
        if self._path[-1] in new.root:
            starts.append(new.root.raw_get(self._path[-1]))
        for ref in _reached(new, starts):
            if not _usages(old, ref) and _is_absent(old, ref):
                yield ReferenceUpdate(ref)


class _SecurityStore(_Branch):
    """Validation material (ISO 32000-2 12.8.4.3): judged when it is used; by being there it changes nothing."""

    def __init__(self) -> None:
        """The document security store."""
        super().__init__("/Root", "/DSS")

    def apply(self, old: HistoricalResolver, new: HistoricalResolver) -> Iterator[ReferenceUpdate]:
        """As for every branch, if what stands there now is such a store and nothing else."""
        try:
            store = new.root["/DSS"]
        except KeyError:
            return
        if not isinstance(store, generic.DictionaryObject) or not set(store) <= _SECURITY_STORE:
            return
        for update in super().apply(old, new):
            # Lists may grow and be rewritten; a certificate or an answer that is there stays what it is.
            if not isinstance(old(update.updated_ref), generic.StreamObject):
                yield update


class _InformationRule(DocInfoRule):
    """The information dictionary, where only what software writes about itself has changed."""

    def apply(self, old: HistoricalResolver, new: HistoricalResolver) -> Iterator[ReferenceUpdate]:
        """References of the dictionary; none when its title, author or anything else is another one."""
        before, after = (_information(revision) for revision in (old, new))
        if before == after:
            yield from super().apply(old, new)


def _information(revision: HistoricalResolver) -> dict[str, generic.PdfObject]:
    # By reference: the trailer itself would answer with the newest value, not with this revision's.
    trailer = revision.trailer_view
    values = revision(trailer.get_value_as_reference("/Info")) if "/Info" in trailer else None
    if not isinstance(values, generic.DictionaryObject):
        return {}
    return {key: value for key, value in values.items() if key not in _WRITTEN_BY_SOFTWARE}


class _NeverSupplied(WhitelistRule):
    """Numbers that only the trailer's /AdditionalStreams names, for streams that the signed revision does not have.

    Word processors leave them behind when they write without their own format; signing software uses them anew.
    """

    def apply(self, old: HistoricalResolver, new: HistoricalResolver) -> Iterator[ReferenceUpdate]:
        """References for that path only."""
        for ref in _written(new):
            for path in _usages(old, ref):
                if tuple(path)[:1] == ("/AdditionalStreams",) and _is_absent(old, ref):
                    yield ReferenceUpdate(ref, context_checked=Context.from_absolute(old, path))


class _Orphans(WhitelistRule):
    """New objects that nothing in the document reaches."""

    def apply(self, old: HistoricalResolver, new: HistoricalResolver) -> Iterator[ReferenceUpdate]:
        """References of new numbers, not used in the signed revision either."""
        before = new.reader.get_historical_resolver(new.revision - 1)
        written = _written(new)
        fresh = {ref for ref in written if before.is_ref_unassignable(ref)}
        starts: list[generic.PdfObject] = [new.trailer_view, *(new(ref) for ref in written - fresh)]
        for ref in fresh - _reached(new, starts):
            if not _usages(old, ref):
                yield ReferenceUpdate(ref)


def _is_absent(old: HistoricalResolver, ref: generic.Reference) -> bool:
    return old.reader.xrefs.get_historical_ref(ref, old.revision) is None


class _FreedUnused(WhitelistRule):
    """Object numbers that are declared free and were not in use in the signed revision, in any generation."""

    def apply(self, old: HistoricalResolver, new: HistoricalResolver) -> Iterator[ReferenceUpdate]:
        """References that are null before and after."""
        xrefs = new.reader.xrefs
        known = [xrefs.get_xref_data(index) for index in range(old.revision + 1)]
        for ref in new.refs_freed_in_revision():  # type: ignore[no-untyped-call]
            if not any(ref.idnum in d.standard_xrefs or ref.idnum in d.xrefs_in_objstm for d in known):
                yield ReferenceUpdate(ref)


class _ProducerMarks(WhitelistRule):
    """Dictionaries that differ in nothing but the mark that a producer leaves."""

    def apply(self, old: HistoricalResolver, new: HistoricalResolver) -> Iterator[ReferenceUpdate]:
        """References whose old and new values are the same without the marks."""
        for ref in _written(new):
            if _is_absent(old, ref):
                continue
            before, after = old(ref), new(ref)
            if type(before) is type(after) is generic.DictionaryObject and _unmarked(before) == _unmarked(
                after
            ):
                yield ReferenceUpdate(ref)


def _unmarked(dictionary: generic.DictionaryObject) -> dict[str, generic.PdfObject]:
    return {key: value for key, value in dictionary.items() if key not in _PRODUCER_MARKS}


class _FormRule(FormUpdatingRule):
    """The library's rule for forms; an object that was written again unchanged is no update of its field."""

    def apply(
        self, old: HistoricalResolver, new: HistoricalResolver
    ) -> Iterator[tuple[ModificationLevel, FormUpdate]]:
        """Updates, with the unchanged ones named no field's."""
        for level, update in super().apply(old, new):
            ref = update.updated_ref
            if not _is_absent(old, ref) and _same(old(ref), new(ref)):
                yield level, replace(update, field_name=None)
            else:
                yield level, update


def _same(before: generic.PdfObject, after: generic.PdfObject) -> bool:
    if type(before) is not type(after):
        return False
    if isinstance(before, generic.StreamObject) and isinstance(after, generic.StreamObject):
        return before.encoded_data == after.encoded_data and dict(before) == dict(after)
    return before == after


def _policy(more: Iterable[WhitelistRule]) -> StandardDiffPolicy:
    added = [rule.as_qualified(ModificationLevel.FORM_FILLING) for rule in more]
    harmless: tuple[WhitelistRule, ...] = (
        _InformationRule(),
        XrefStreamRule(),
        ObjectStreamRule(),
        MetadataUpdateRule(),  # type: ignore[no-untyped-call]
        _SecurityStore(),
        _NeverSupplied(),
        _Orphans(),
        _FreedUnused(),
        _ProducerMarks(),
    )
    return StandardDiffPolicy(
        global_rules=[
            CatalogModificationRule(),  # type: ignore[no-untyped-call]
            *(rule.as_qualified(ModificationLevel.LTA_UPDATES) for rule in harmless),
            *added,
        ],
        form_rule=_FormRule(
            field_rules=[
                SigFieldCreationRule(),  # type: ignore[no-untyped-call]
                SigFieldModificationRule(),
                GenericFieldModificationRule(),
            ]
        ),
        # Freed and orphaned objects are explained by the rules above or not at all; those built in cannot bear
        # dangling references.
        reject_object_freeing=False,
        ignore_orphaned_objects=False,
    )


PLAIN = _policy(())
"""For a revision that brings no signature."""
WITH_SIGNATURE = _policy((_Branch("/Root", "/StructTreeRoot"),))
"""For a revision that brings one: in a tagged document the new field gets its place in the structure tree."""
