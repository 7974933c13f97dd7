"""What a later revision of a PDF may do to the form and to the annotations of pages.

Signature fields may be added, placed on a page and filled; a field that is signed stays as it is. Values and looks of
other fields may change, which is reported as filled. Fields and annotations are not removed, nor other ones added.
"""

from __future__ import annotations

from services.verifier.formats import pdf_values
from services.verifier.formats.pdf_compare import Comparison, Refused
from services.verifier.formats.pdf_file import View
from services.verifier.formats.pdf_form import MAX_FIELD_DEPTH, text
from services.verifier.formats.pdf_syntax import PdfLimit, Ref, Stream, Value, name
from services.verifier.formats.pdf_usage import DESTINATION

MAX_SIBLINGS = 20_000
_FORM_MAY_CHANGE = frozenset({"Fields", "DR", "DA", "Q", "NeedAppearances", "SigFlags"})
_LOOKS_LIKE = frozenset({"DA", "Q"})
_ALWAYS = frozenset({"Ff", "Type", "ITXT"})
_VALUE = _ALWAYS | {"AP", "AS", "V", "F", "DA", "Q"}
_LINKS_TO_FIELD = frozenset({"Annots", "Fields", "Kids", "Parent", "Obj"})
_LINKS_TO_PAGE = frozenset({"Kids", "P", "Pg", "Parent", "D", "Dest", "OpenAction", DESTINATION})
_DESCRIPTION = frozenset({"Reason", "Location", "ContactInfo", "Name"})
_LOOKS = ("N", "R", "D")
_ACTIONS = frozenset({"A", "AA"})
_STAMP = "ETSI.RFC3161"
_LOCKING = 7
"""Flags of a field that say nothing of how it looks (ISO 32000-2 table 227): read-only, required, no export."""


def review(comparison: Comparison) -> None:
    """Explain what has changed of the form and of pages. Raises Refused, PdfError, PdfLimit."""
    _Form(comparison).run()


class _Form:
    """The comparison's form in both states. `widgets` are what new or newly filled signature fields place on pages."""

    def __init__(self, comparison: Comparison) -> None:
        self._all = comparison
        self._old, self._new, self._deed = comparison.old, comparison.new, comparison.deed
        self._before = self._old.entry(self._old.root, "AcroForm")
        self._after = self._new.entry(self._new.root, "AcroForm")
        self._roots = self._numbers(self._old, self._before)
        self._widgets: set[int] = set()

    def _numbers(self, view: View, form: Value) -> set[int]:
        items = view.array(form.get("Fields")) if isinstance(form, dict) else []
        view.file.spend(len(items))
        return {item.number for item in items if isinstance(item, Ref)}

    def run(self) -> None:
        """The form's dictionary, its fields, signatures, and the pages, in this order."""
        self._dictionary()
        fields = [number for number in self._all.changed if self._is_field(number)]
        # Parents first: what they add is looked at with them.
        for number in fields:
            self._field(number)
        for number, (before, after) in list(self._all.changed.items()):
            if isinstance(before, dict) and name(before.get("Type")) in ("Sig", "DocTimeStamp"):
                self._description(number, before, after)
        for number, (before, _) in list(self._all.changed.items()):
            if isinstance(before, dict) and before.get("Type") == "Page":
                self._page(number)
        for number, (before, _) in list(self._all.changed.items()):
            if isinstance(before, list):
                self._annotations_apart(number)

    def _dictionary(self) -> None:
        reference = self._old.root.get("AcroForm")
        if self._before is None and self._after is None:
            return
        if not isinstance(self._before, dict) or not isinstance(self._after, dict):
            raise Refused("the form was added or removed as a whole")
        if isinstance(reference, Ref):
            later = self._new.root.get("AcroForm")
            if later != reference and isinstance(later, Ref):
                self._fresh(later, "the form")
            if reference.number in self._all.changed:
                self._all.explain(reference.number, frozenset({"AcroForm"}))
        differing = self._all.differing(self._before, self._after)
        if not differing <= _FORM_MAY_CHANGE:
            raise Refused("entries of the form are changed that signing does not touch")
        self._defaults(differing)
        self._listed(self._before.get("Fields"), self._after.get("Fields"))

    def _listed(self, old: Value, new: Value) -> None:
        """The fields that the form lists: new ones may be there, none may be missing."""
        # One list may serve the form and a page: then it is looked at with the annotations.
        changed = isinstance(old, Ref) and old.number in self._all.changed
        if isinstance(old, Ref) and changed and "Annots" not in self._keys(old.number):
            self._all.explain(old.number, frozenset({"Fields"}))
        added = self._additions(self._old.array(old), self._new.array(new), "fields of the form")
        if added:
            taken = self._names(self._old, self._old.array(old))
            for position, item in enumerate(added):
                # A list that serves the form and a page may have it for both.
                if position == 0 or item != added[position - 1]:
                    self._new_field(item, "", taken)

    def _defaults(self, differing: set[str]) -> None:
        """How fields look that have no look of their own: said where there are fields for that to matter."""
        before, after = self._before, self._after
        if not isinstance(before, dict) or not isinstance(after, dict):
            return
        flags = self._new.entry(after, "SigFlags")
        if "SigFlags" in differing and (not isinstance(flags, int) or not 0 <= flags <= 3):
            raise Refused("SigFlags of the form is not what it may be")
        if all(self._is_for_signatures(number) for number in self._roots):
            # A signature's look brings resources of its own, so the form's are nobody's.
            for key in ("DR", "DA", "Q"):
                value = before.get(key)
                if isinstance(value, Ref) and value.number in self._all.changed:
                    self._all.explain(value.number, frozenset({key}))
            return
        if "DR" in differing:
            self._resources(before.get("DR"), after.get("DR"))
        redrawn = "NeedAppearances" in differing and self._new.entry(after, "NeedAppearances") is True
        if differing & _LOOKS_LIKE or redrawn:
            self._deed.form.append("how fields of the form are drawn")

    def _is_for_signatures(self, number: int) -> bool:
        node = self._old.file.load(number, self._old.revision).value
        return isinstance(node, dict) and name(self._old.entry(node, "FT")) == "Sig"

    def _resources(self, before: Value, after: Value) -> None:
        """Default resources may be added; one that is there stays."""
        old, new = self._old.dictionary(before), self._new.dictionary(after)
        for kind, value in old.items():
            resources, kept = self._old.resolve(value), self._new.entry(new, kind)
            if not isinstance(resources, dict):
                if not self._all.equal(value, new.get(kind)):
                    raise Refused("default resources of the form are changed")
                continue
            for key, resource in resources.items():
                if not isinstance(kept, dict) or not self._all.equal(resource, kept.get(key)):
                    raise Refused("default resources of the form are changed")
            if isinstance(value, Ref) and value.number in self._all.changed:
                self._all.explain(value.number, frozenset({kind}))
        if isinstance(before, Ref) and before.number in self._all.changed:
            self._all.explain(before.number, frozenset({"DR"}))

    def _additions(self, before: list[Value], after: list[Value], what: str) -> list[Value]:
        """What is in the later list only. Nothing may be missing from it. Raises Refused."""
        self._old.file.spend((len(before) + len(after)) // 16)
        if after[: len(before)] == before:
            return after[len(before) :]
        if not all(isinstance(item, Ref) for item in (*before, *after)):
            raise Refused(f"{what} are changed that are no objects of their own")
        missing = {i for i in before if isinstance(i, Ref)} - {i for i in after if isinstance(i, Ref)}
        if missing:
            raise Refused(f"{len(missing)} {what} are removed")
        self._old.file.spend(len(before) + len(after))
        known = {item for item in before if isinstance(item, Ref)}
        return [item for item in after if item not in known]

    def _fresh(self, item: Value, what: str) -> Ref:
        if not isinstance(item, Ref) or self._all.was_there(item.number):
            raise Refused(f"{what} is no new object of its own")
        return item

    def _names(self, view: View, items: list[Value]) -> set[str]:
        if len(items) > MAX_SIBLINGS:
            raise PdfLimit(f"more than {MAX_SIBLINGS} fields beside each other")
        view.file.spend(len(items))
        names = (view.dictionary(item).get("T") for item in items)
        return {text(one) for one in names if isinstance(one, bytes)}

    def _new_field(self, item: Value, parent: str, taken: set[str]) -> None:
        """A signature field that was not there before. Raises Refused."""
        reference = self._fresh(item, "a new field")
        field = self._new.dictionary(reference)
        own = text(self._new.entry(field, "T"))
        if name(self._new.entry(field, "FT")) != "Sig":
            raise Refused("a field is added that is not for signatures")
        if not own or own in taken or "." in own:
            raise Refused("a field is added under a name that is taken, or is none")
        taken.add(own)
        full = ".".join(part for part in (parent, own) if part)
        kids = [self._fresh(kid, "a widget of a new field") for kid in self._new.array(field.get("Kids"))]
        widgets = [self._new.dictionary(kid) for kid in kids]
        if any("T" in one or not self._is_widget(one) for one in widgets):
            raise Refused("a new field has fields below it")
        if any(_ACTIONS & one.keys() for one in (field, *widgets)):
            raise Refused("a new signature field has actions")
        self._widgets |= {kid.number for kid in kids}
        if self._is_widget(field):
            self._widgets.add(reference.number)
        visible = any(pdf_values.shows(self._new, one) for one in (field, *widgets))
        if visible:
            self._deed.drawn.add(full)
        self._filled(full, field, visible)
        if visible and "V" not in field:
            self._deed.filled.add(full)

    def _is_widget(self, annotation: dict[str, Value]) -> bool:
        return name(self._new.entry(annotation, "Subtype")) == "Widget"

    def _filled(self, full: str, field: dict[str, Value], visible: bool) -> None:
        """A signature field that has got its value. Raises Refused."""
        if "V" not in field:
            return
        if not visible and self._is_signature(field["V"]):
            # A second place of a signature that stays what it is, and nobody sees it.
            self._deed.signed.add(full)
            return
        value = self._new.get(self._fresh(field["V"], "the value of a signature field"))
        if not isinstance(value, dict):
            raise Refused("the value of a signature field is no dictionary")
        if value.get("Type") != "DocTimeStamp" and self._new.entry(value, "SubFilter") != _STAMP:
            self._deed.signed.add(full)
            return
        self._deed.stamped.add(full)
        if visible:
            # Nobody vouches for what it shows: anybody may run a time-stamp authority.
            self._deed.form.append("a document time-stamp that shows")

    def _is_signature(self, value: Value) -> bool:
        """True for the value that a signature field has had before, unchanged."""
        if not isinstance(value, Ref) or self._new.get(value) is None or value.number in self._all.changed:
            return False
        uses = self._all.usages.of(value.number, self._old.revision)
        return any(key == "V" and self._is_for_signatures(user) and self._chain(user) for user, key in uses)

    def _is_field(self, number: int) -> bool:
        before = self._all.changed[number][0]
        return (
            isinstance(before, dict)
            and ("FT" in before or "Parent" in before or number in self._roots)
            and (bool(self._chain(number)))
        )

    def _chain(self, number: int) -> list[dict[str, Value]]:
        """The field and those above it, as far as the form lists them; empty where the form does not lead here."""
        found: list[dict[str, Value]] = []
        while len(found) < MAX_FIELD_DEPTH:
            node = self._old.file.load(number, self._old.revision).value
            if not isinstance(node, dict):
                return []
            found.append(node)
            if number in self._roots:
                return found
            parent = node.get("Parent")
            if not isinstance(parent, Ref):
                return []
            kids = self._old.array(self._old.dictionary(parent).get("Kids"))
            self._old.file.spend(len(kids))
            if not any(isinstance(kid, Ref) and kid.number == number for kid in kids):
                return []
            number = parent.number
        return []

    def _field(self, number: int) -> None:
        before, after = self._all.changed[number]
        chain = self._chain(number)
        if not isinstance(before, dict) or not isinstance(after, dict):
            raise Refused("a field of the form is no field any more")
        full = ".".join(text(one["T"]) for one in reversed(chain) if isinstance(one.get("T"), bytes))
        kind = next((name(self._old.entry(one, "FT")) for one in chain if "FT" in one), "")
        differing = self._all.differing(before, after)
        if "Type" in differing and after.get("Type") != "Annot":
            raise Refused("a field says that it is something else")
        if "Kids" in differing and "V" not in differing:
            self._new_kids(before, after, full)
            differing -= {"Kids"}
        if kind == "Sig":
            self._signature_field(full, before, after, differing)
        elif not differing <= _VALUE:
            raise Refused("a field of the form is changed in more than its value and its look")
        elif differing - _ALWAYS or self._reflagged(before, after):
            self._deed.filled.add(full)
        if self._appearance(before, after):
            if kind == "Sig" and ("V" in before or "V" not in after):
                raise Refused("the look of a signature field is changed that is signed, or still is not")
            self._deed.filled |= {full} if kind != "Sig" else set()
        self._all.explain(number, _LINKS_TO_FIELD, frozenset(self._lists(number)))

    def _signature_field(
        self, full: str, before: dict[str, Value], after: dict[str, Value], differing: set[str]
    ) -> None:
        if "V" in before or "V" not in after:
            if not differing <= _ALWAYS:
                raise Refused("a signature field is changed that is signed, or is still not signed")
            return
        if not differing <= _VALUE:
            raise Refused("a signature field is changed in more than its value and its look")
        kids = [kid for kid in self._new.array(after.get("Kids")) if isinstance(kid, Ref)]
        shown = [after, *(self._new.dictionary(kid) for kid in kids)]
        self._filled(full, after, any(pdf_values.shows(self._new, one) for one in shown))
        self._widgets |= {kid.number for kid in kids}

    def _new_kids(self, before: dict[str, Value], after: dict[str, Value], full: str) -> None:
        kids = self._old.array(before.get("Kids"))
        added = self._additions(kids, self._new.array(after.get("Kids")), "fields of the form")
        taken = self._names(self._old, kids)
        for item in added:
            self._new_field(item, full, taken)

    def _lists(self, number: int) -> list[int]:
        """Indirect arrays that may list a field: of fields, of its siblings, of annotations."""
        uses = self._all.usages.of(number, self._old.revision)
        return [user for user, key in uses if key == "" and self._is_list(user)]

    def _keys(self, number: int) -> set[str]:
        return {key for _, key in self._all.usages.of(number, self._old.revision)}

    def _is_list(self, number: int) -> bool:
        keys = self._keys(number)
        return bool(keys) and keys <= {"Fields", "Kids", "Annots"}

    def _reflagged(self, before: dict[str, Value], after: dict[str, Value]) -> bool:
        """True where flags are others that say how the field looks."""
        one, other = (view.entry(d, "Ff") or 0 for view, d in ((self._old, before), (self._new, after)))
        return not isinstance(one, int) or not isinstance(other, int) or (one ^ other) & ~_LOCKING != 0

    def _appearance(self, before: dict[str, Value], after: dict[str, Value]) -> bool:
        """Streams of a changed field's look may be written anew where nothing else uses them; True where they are."""
        changed = len(self._all.changed)
        reference = before.get("AP")
        looks = self._old.dictionary(reference)
        if isinstance(reference, Ref) and reference.number in self._all.changed:
            if len(self._all.usages.of(reference.number, self._old.revision)) != 1:
                raise Refused("the look of a field is changed, and another one's with it")
            self._all.explain(reference.number, frozenset({"AP"}))
        if "AS" in before:
            return changed != len(self._all.changed)
        kept = self._new.dictionary(after.get("AP"))
        for key in _LOOKS:
            look = looks.get(key)
            if isinstance(look, Ref) and look.number in self._all.changed and kept.get(key) == look:
                if not isinstance(self._new.get(look), Stream):
                    raise Refused("the look of a field is none any more")
                if len(self._all.usages.of(look.number, self._old.revision)) != 1:
                    raise Refused("the look of a field is changed, and something else with it")
                self._all.explain(look.number, frozenset({key}))
        return changed != len(self._all.changed)

    def _description(self, number: int, before: dict[str, Value], after: Value) -> None:
        """The words with a signature may be others: what is reported of it is what it said when it was made."""
        if isinstance(after, dict) and self._all.differing(before, after) <= _DESCRIPTION:
            self._deed.notes.append("the words with a signature are replaced; those that were signed count")
            self._all.explain(number, frozenset({"V"}))

    def _page(self, number: int) -> None:
        before, after = self._all.changed[number]
        if not isinstance(before, dict) or not isinstance(after, dict):
            raise Refused("a page is none any more")
        if not self._all.differing(before, after) <= {"Annots"}:
            raise Refused("a page is changed in more than its annotations")
        reference, other = before.get("Annots"), after.get("Annots")
        if isinstance(other, Ref) and other != reference:
            self._fresh(other, "the list of a page's annotations")
        self._annotations(self._old.array(reference), self._new.array(other))
        if isinstance(reference, Ref) and reference.number in self._all.changed:
            self._all.explain(reference.number, frozenset({"Annots"}))
        self._all.explain(number, _LINKS_TO_PAGE, frozenset(self._lists(number)))

    def _annotations_apart(self, number: int) -> None:
        """A page's list of annotations that is an object of its own, where the page is as it was."""
        before, after = self._all.changed[number]
        keys = self._keys(number)
        if keys not in ({"Annots"}, {"Annots", "Fields"}) and not (
            keys and keys <= {"Kids"} and self._is_kids(number)
        ):
            return
        if not isinstance(before, list) or not isinstance(after, list):
            raise Refused("a list of annotations is none any more")
        self._annotations(before, after)
        self._all.explain(number, frozenset(keys))

    def _is_kids(self, number: int) -> bool:
        """True for the list of children of fields, not of pages."""
        users = [user for user, _ in self._all.usages.of(number, self._old.revision)]
        return all(bool(self._chain(user)) for user in users)

    def _annotations(self, before: list[Value], after: list[Value]) -> None:
        """Widgets of new or newly filled signature fields may be placed; those that do not show may be taken away."""
        present = {item for item in after if isinstance(item, Ref)}
        gone = {
            item for item in before if isinstance(item, Ref) and item not in present and self._may_go(item)
        }
        kept = [item for item in before if not (isinstance(item, Ref) and item in gone)]
        standing = {item for item in kept if isinstance(item, Ref)}
        if [item for item in after if isinstance(item, Ref) and item in standing] != [
            item for item in kept if isinstance(item, Ref)
        ]:
            # The later one is drawn above the earlier one.
            raise Refused("annotations stand in another order")
        for item in self._additions(kept, after, "annotations"):
            if not isinstance(item, Ref) or item.number not in self._widgets:
                raise Refused("an annotation is added that is no signature's")

    def _may_go(self, item: Value) -> bool:
        widget = self._old.dictionary(item)
        chain = self._chain(item.number) if isinstance(item, Ref) else []
        kind = next((name(self._old.entry(one, "FT")) for one in chain if "FT" in one), "")
        return kind == "Sig" and not pdf_values.shows(self._old, widget)
