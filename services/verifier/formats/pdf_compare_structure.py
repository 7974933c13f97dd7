"""What a later revision of a PDF may do to the structure tree: the field of a new signature gets its place (14.7).

The tree only grows. What it said of the content stays, as that is what a person hears who does not see the page.
"""

from __future__ import annotations

from services.verifier.formats import pdf_branches
from services.verifier.formats.pdf_compare import Comparison, Refused
from services.verifier.formats.pdf_file import View
from services.verifier.formats.pdf_syntax import PdfLimit, Ref, Stream, Value

MAX_DEPTH = 32
"""Of the tree of parents, and of what is added to the structure tree."""
_MAY_CHANGE = frozenset({"K", "ParentTree", "ParentTreeNextKey", "Nums", "Kids", "Limits"})
_LINKS = frozenset({"", "K", "P", "ParentTree", "Nums", "Kids", "IDTree", "Names"})
_OF_A_LIST = frozenset({"", "Nums", "Kids"})
_INSTEAD_OF_CONTENT = frozenset({"ActualText", "Alt", "E"})


def review(comparison: Comparison) -> None:
    """Explain what has changed of the tree beside a new signature or time-stamp. Raises Refused, PdfLimit."""
    root = comparison.old.root.get("StructTreeRoot")
    if root is None or not comparison.changed or not (comparison.deed.signed or comparison.deed.stamped):
        return
    branch = pdf_branches.structure_tree(comparison.old)
    touched = branch & comparison.changed.keys()
    for number in touched:
        before, after = comparison.changed[number]
        if isinstance(before, Stream) or type(before) is not type(after):
            raise Refused(f"object {number}, of the structure tree, is of another kind now")
        uses = comparison.usages.of(number, comparison.old.revision)
        for user, key in uses:
            if key != "StructTreeRoot" and (user not in branch or key not in _LINKS):
                raise Refused(f"object {number} is changed, and used in another way too (by object {user})")
        if isinstance(before, dict) and isinstance(after, dict):
            _node(comparison, number, before, after)
        elif isinstance(before, list) and isinstance(after, list):
            _list(comparison, number, before, after, {key for _, key in uses})
    if touched:
        _parents(comparison)
    for number in touched:
        comparison.changed.pop(number, None)


def _node(comparison: Comparison, number: int, before: dict[str, Value], after: dict[str, Value]) -> None:
    differing = comparison.differing(before, after)
    if not differing <= _MAY_CHANGE:
        raise Refused(f"object {number}, of the structure tree, says something else now")
    if "K" in differing:
        _kids(comparison, _items(comparison.old, before.get("K")), _items(comparison.new, after.get("K")))


def _list(
    comparison: Comparison, number: int, before: list[Value], after: list[Value], keys: set[str]
) -> None:
    if keys == {"K"}:
        _kids(comparison, before, after)
    elif not keys <= _OF_A_LIST:
        # One that holds children of an element and something else: neither rule is enough for it.
        raise Refused(f"object {number}, a list of the structure tree, is changed, and is more than one")


def _items(view: View, kids: Value) -> list[Value]:
    """K of an element: nothing, one child, or an array of them."""
    found = view.resolve(kids)
    if found is None:
        return []
    return found if isinstance(found, list) else [kids]


def _kids(comparison: Comparison, before: list[Value], after: list[Value]) -> None:
    """Children stay as they are and in their order; what stands between them has to be harmless."""
    comparison.file.spend(len(before) + len(after))
    waiting = iter(before)
    expected = next(waiting, None)
    added: list[Value] = []
    for item in after:
        if expected is not None and comparison.equal(expected, item):
            expected = next(waiting, None)
        else:
            added.append(item)
    if expected is not None:
        raise Refused("elements of the structure tree are removed, or stand in another order")
    _additions(comparison, added)


def _additions(comparison: Comparison, added: list[Value]) -> None:
    """New elements that hold annotations only: none says anything of the content, or instead of it."""
    pending = [(item, 0) for item in added]
    while pending:
        item, depth = pending.pop()
        comparison.file.spend(1)
        if depth > MAX_DEPTH:
            raise PdfLimit("what is added to the structure tree is too deep")
        if isinstance(item, Ref) and comparison.was_there(item.number):
            raise Refused("something else stands in another place of the structure tree now")
        value = comparison.new.resolve(item)
        if isinstance(value, dict) and value.get("Type") == "OBJR":
            continue
        if not isinstance(value, dict) or "S" not in value or _INSTEAD_OF_CONTENT & value.keys():
            raise Refused("something is added to the structure tree that is no place of an annotation")
        pending.extend((kid, depth + 1) for kid in _items(comparison.new, value.get("K")))


def _parents(comparison: Comparison) -> None:
    """The tree of parents says of everything that it knew what it said; of new annotations it may say more."""
    before, after = (_pairs(view) for view in (comparison.old, comparison.new))
    comparison.file.spend(len(before))
    for key, value in before.items():
        if key not in after or not _still(comparison, value, after[key]):
            raise Refused("the structure tree says of something on a page that it belongs elsewhere now")


def _still(comparison: Comparison, before: Value, after: Value) -> bool:
    """True for the same element, or a list of the same ones; what became of an element its own rule says."""
    old, new = comparison.old.resolve(before), comparison.new.resolve(after)
    if not isinstance(old, list):
        return comparison.equal(before, after)
    if not isinstance(new, list) or len(old) != len(new):
        return False
    comparison.file.spend(len(old))
    return all(
        comparison.equal(*pair) and not isinstance(comparison.old.resolve(pair[0]), list)
        for pair in zip(old, new, strict=True)
    )


def _pairs(view: View) -> dict[int, Value]:
    """Keys of the tree of parents with their values (7.9.7). Raises Refused for a tree that says something twice."""
    found: dict[int, Value] = {}
    pending: list[tuple[Value, int]] = [
        (view.dictionary(view.root.get("StructTreeRoot")).get("ParentTree"), 0)
    ]
    while pending:
        item, depth = pending.pop()
        if depth > MAX_DEPTH:
            raise PdfLimit("the tree of parents is too deep")
        node = view.dictionary(item)
        pairs, kids = view.array(node.get("Nums")), view.array(node.get("Kids"))
        view.file.spend(1 + len(pairs) + len(kids))
        for key, value in zip(pairs[::2], pairs[1::2], strict=False):
            if not isinstance(key, int) or key in found:
                raise Refused("the tree of parents is not what one looks like")
            found[key] = value
        pending.extend((kid, depth + 1) for kid in kids)
    return found
