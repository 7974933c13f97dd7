"""What became of an earlier state of a PDF: every object that is another one now, explained by its place.

An object that was there is explained only by a rule for the place where it stands, and only where every reference to it
stands in such a place too: an object that is used in two ways cannot be changed by way of the harmless one. New objects
need no rule of their own: they are what a place that may change leads to, or nothing leads to them. The rules for form
and pages are in `pdf_compare_form`, those for the structure tree in `pdf_compare_structure`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from services.verifier.formats import pdf_branches, pdf_values
from services.verifier.formats.pdf_file import PdfFile, View
from services.verifier.formats.pdf_syntax import Ref, Stream, Value, same
from services.verifier.formats.pdf_usage import Usages
from services.verifier.formats.pdf_xref import Entry

_CATALOG_MAY_CHANGE = frozenset({"AcroForm", "DSS", "Extensions", "Metadata", "MarkInfo", "Version"})
_CATALOG_MAY_GET = frozenset({"Perms", "PieceInfo"})
_PRIVATE = frozenset({"LastModified", "Private"})
_SECURITY_STORE = frozenset({"Type", "VRI", "Certs", "CRLs", "OCSPs"})
_WRITTEN_BY_SOFTWARE = frozenset({"ModDate", "Producer"})
_PRODUCER_MARKS = frozenset({"ITXT"})


class Refused(Exception):
    """The revision did something that cannot be explained; the message says what, and quotes nothing."""


@dataclass(slots=True)
class Deed:
    """What a revision did, apart from what is harmless. Names are full names of form fields.

    `signed` were filled by a signature, `stamped` by a document time-stamp; `drawn` are new signature fields that show;
    `filled` other fields with another value or look, or new signature fields that show and are not signed.
    `form` something of the form as a whole.
    """

    signed: set[str] = field(default_factory=set)
    stamped: set[str] = field(default_factory=set)
    drawn: set[str] = field(default_factory=set)
    filled: set[str] = field(default_factory=set)
    form: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def is_harmless(self) -> bool:
        """Nothing but validation material, time-stamps and what software writes about itself."""
        return not (self.signed or self.drawn or self.filled or self.form)


class Comparison:
    """One comparison while it runs, of the states of a file as of two revisions, `base` and `index`.

    `changed` are the objects that were there, or were referred to, and are others now; rules take theirs out of it.
    """

    def __init__(self, file: PdfFile, usages: Usages, base: int, index: int) -> None:
        """Find out which objects have changed."""
        self.file, self.usages = file, usages
        self.old, self.new = View(file, base), View(file, index)
        self.deed = Deed()
        self.changed: dict[int, tuple[Value, Value]] = {}
        written: set[int] = set()
        for revision in file.revisions[base + 1 : index + 1]:
            file.spend(len(revision.entries))
            written.update(revision.entries)
        for number in written:
            self._look_at(number)

    def _look_at(self, number: int) -> None:
        file, base, index = self.file, self.old.revision, self.new.revision
        before, after = file.load(number, base).value, file.load(number, index).value
        known, now = file.entry(number, base), file.entry(number, index)
        file.spend(_size(after) // 1024)
        if known is None or not known[1].in_use:
            if after is not None and self.usages.of(number, base):
                self.changed[number] = None, after
        elif not same(before, after):
            self.changed[number] = before, after
        elif now != known and now is not None and _is_another(known[1], now[1], before):
            self.changed[number] = before, None

    def was_there(self, number: int) -> bool:
        """True for an object in use in the earlier state."""
        known = self.file.entry(number, self.old.revision)
        return known is not None and known[1].in_use

    def explain(self, number: int, keys: frozenset[str], arrays: frozenset[int] = frozenset()) -> None:
        """Take a change for explained if every reference to the object stands at one of these keys or in these arrays.

        Raises Refused.
        """
        for user, key in self.usages.of(number, self.old.revision):
            if key not in keys and not (key == "" and user in arrays):
                raise Refused(f"object {number} is changed, and used in another way too (by object {user})")
        self.changed.pop(number, None)

    def equal(self, one: Value, other: Value, key: str = "") -> bool:
        """True for the same object, or for a copy under another number, where both stand at a key."""
        return pdf_values.equal(self.old, self.new, one, other, key)

    def differing(self, before: dict[str, Value], after: dict[str, Value]) -> set[str]:
        """Keys whose values are not the same."""
        keys = before.keys() | after.keys()
        return {key for key in keys if not self.equal(before.get(key), after.get(key), key)}


def _is_another(known: Entry, now: Entry, before: Value) -> bool:
    """What could not be read then is not known to be the same; nor do references reach another generation."""
    return before is None or known.generation != now.generation


def _size(value: Value) -> int:
    return value.size if isinstance(value, Stream) else 0


Rule = Callable[[Comparison], None]


def deed(file: PdfFile, usages: Usages, base: int, index: int, form: Rule, structure: Rule) -> Deed:
    """What the revisions after `base` up to `index` did to the state `base`. Raises Refused, PdfError, PdfLimit."""
    comparison = Comparison(file, usages, base, index)
    _catalog(comparison)
    _information(comparison)
    _metadata(comparison)
    form(comparison)
    _beside_a_signature(comparison)
    _security_store(comparison)
    _producer_marks(comparison)
    structure(comparison)
    if comparison.changed:
        number = min(comparison.changed)
        before, after = comparison.changed[number]
        what = "removed" if after is None else "supplied later" if before is None else "another one now"
        raise Refused(f"object {number} of the signed revision ({_kind(before)}) is {what}")
    return comparison.deed


def _kind(value: Value) -> str:
    entries = value.entries if isinstance(value, Stream) else value
    stated = entries.get("Type") if isinstance(entries, dict) else None
    known = stated if isinstance(stated, str) and stated.isalnum() and len(stated) < 20 else ""
    return " ".join(part for part in (known, type(value).__name__.lower()) if part)


def _catalog(comparison: Comparison) -> None:
    old, new = comparison.old, comparison.new
    before, after = old.root, new.root
    own = comparison.file.revisions[new.revision].trailer
    if "Root" not in own:
        raise Refused("the trailer names no catalog any more")
    if not same(old.stated("Encrypt"), own.get("Encrypt")):
        raise Refused("the file was encrypted, or is in another way")
    new_ones = _CATALOG_MAY_GET & (after.keys() - before.keys())
    extra = comparison.differing(before, after) - _CATALOG_MAY_CHANGE - new_ones
    if extra:
        raise Refused(f"{len(extra)} entries of the catalog are changed")
    roots = [view.stated("Root") for view in (old, new)]
    for root in roots:
        if isinstance(root, Ref) and root.number in comparison.changed:
            if root != roots[0]:
                raise Refused("another object of the signed revision is the catalog now")
            comparison.explain(root.number, frozenset({"Root", "Data"}))
    for key in ("Extensions", "MarkInfo"):
        value = before.get(key)
        if isinstance(value, Ref) and value.number in comparison.changed:
            if not isinstance(new.get(value), dict):
                raise Refused(f"{key} of the catalog is no dictionary any more")
            comparison.explain(value.number, frozenset({key}))


def _beside_a_signature(comparison: Comparison) -> None:
    """What the catalog may get by a signature: word of its permissions (12.8.6), private data of its software (14.5).

    Neither shows. Once there, both stay: what they say is signed.
    """
    old, new = comparison.old, comparison.new
    found = {key: new.root[key] for key in _CATALOG_MAY_GET if key in new.root and key not in old.root}
    if found and not comparison.deed.signed:
        raise Refused("permissions or private data are added to the catalog without a signature")
    if "Perms" in found:
        permissions = new.dictionary(found["Perms"])
        named = permissions.get("DocMDP")
        if permissions.keys() != {"DocMDP"} or not isinstance(named, Ref):
            raise Refused("the catalog states permissions other than those of a signature")
        users = comparison.usages.of(named.number, new.revision)
        if comparison.was_there(named.number) or all(key != "V" for _, key in users):
            raise Refused("the catalog states permissions of something else than a new signature")
    for value in new.dictionary(found.get("PieceInfo")).values():
        private = new.resolve(value)
        if not isinstance(private, dict) or not private.keys() <= _PRIVATE:
            raise Refused("private data of the catalog are not what they look like")


def _information(comparison: Comparison) -> None:
    """The information dictionary, where only what software writes about itself is another."""
    old, new = comparison.old, comparison.new
    reference = old.stated("Info")
    before, after = old.dictionary(reference), new.dictionary(new.stated("Info"))
    differing = comparison.differing(before, after)
    if not differing <= _WRITTEN_BY_SOFTWARE:
        if after:
            raise Refused("title, author or other information about the document is changed")
        return
    if differing:
        comparison.deed.notes.append("document information")
    if isinstance(reference, Ref) and isinstance(new.get(reference), dict):
        _explain_if_changed(comparison, reference.number, "Info")


def _explain_if_changed(comparison: Comparison, number: int, *keys: str) -> None:
    if number in comparison.changed:
        comparison.explain(number, frozenset(keys))


def _metadata(comparison: Comparison) -> None:
    """Metadata of the document (14.3.2): another stream of XMP may take the place of the one before."""
    before, after = (view.root.get("Metadata") for view in (comparison.old, comparison.new))
    if after is None and before is None:
        return
    moved = before != after
    if not isinstance(after, Ref) or (not moved and after.number not in comparison.changed):
        if moved:
            raise Refused("the metadata of the document are removed")
        return
    if moved and comparison.was_there(after.number):
        raise Refused("another object of the signed revision is the document's metadata now")
    stream = comparison.new.get(after)
    if not isinstance(stream, Stream) or not pdf_values.is_xmp(comparison.file.content(stream)):
        raise Refused("the metadata of the document are not what metadata look like")
    comparison.deed.notes.append("metadata")
    _explain_if_changed(comparison, after.number, "Metadata")


def _security_store(comparison: Comparison) -> None:
    """Validation material (12.8.4.3): judged when it is used; by being there it changes nothing."""
    old, new = comparison.old, comparison.new
    store = new.entry(new.root, "DSS")
    if store is None:
        return
    if not isinstance(store, dict) or not store.keys() <= _SECURITY_STORE:
        raise Refused("the document security store is not what one looks like")
    if not same(old.root.get("DSS"), new.root.get("DSS")):
        comparison.deed.notes.append("validation material")
    if not comparison.changed:
        return
    # Lists may grow and be rewritten; a certificate or an answer that is there stays what it is.
    places = pdf_branches.security_store(old)
    touched = places.keys() & comparison.changed.keys()
    for number in touched:
        for use in comparison.usages.of(number, old.revision):
            if use not in places[number] or isinstance(comparison.changed[number][0], Stream):
                raise Refused(f"object {number} is changed, and is more than a part of the security store")
        comparison.changed.pop(number, None)
    if touched and "validation material" not in comparison.deed.notes:
        comparison.deed.notes.append("validation material")


def _producer_marks(comparison: Comparison) -> None:
    """Dictionaries that differ in nothing but the mark that a producer leaves."""
    for number, (before, after) in list(comparison.changed.items()):
        if isinstance(before, dict) and isinstance(after, dict):
            # Of other kinds it may be anything that is called so.
            unmarked = [
                {k: v for k, v in one.items() if k not in _PRODUCER_MARKS or not isinstance(v, bytes)}
                for one in (before, after)
            ]
            if same(*unmarked):
                del comparison.changed[number]
