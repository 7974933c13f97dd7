"""Objects of a PDF file that may be written anew because of where they stand, and the places where they may stand.

The security store and the structure tree are followed by their own keys only: by others they may lead anywhere.
"""

from __future__ import annotations

import re

from services.verifier.formats.pdf_file import View
from services.verifier.formats.pdf_syntax import Ref, Value

Places = dict[int, set[tuple[int, str]]]
"""By the number of an object: objects that refer to it, each with the key of the reference."""
_LISTS = ("Certs", "CRLs", "OCSPs")
_LISTS_OF_ONE = ("Cert", "CRL", "OCSP")
_HASH = re.compile(r"[0-9A-Fa-f]{40}")
_TREE_NODE = frozenset({"Nums", "Names", "Kids", "Limits"})


def security_store(view: View) -> Places:
    """Dictionaries and lists of the document security store (ISO 32000-2 12.8.4.3); none of the values in it."""
    places: Places = {}
    catalog = view.stated("Root")
    root = catalog.number if isinstance(catalog, Ref) else 0
    store, holder = _follow(view, places, root, "DSS", view.root.get("DSS"))
    if not isinstance(store, dict):
        return places
    for key in _LISTS:
        _follow(view, places, holder, key, store.get(key))
    related, holder = _follow(view, places, holder, "VRI", store.get("VRI"))
    for key, value in related.items() if isinstance(related, dict) else ():
        if _HASH.fullmatch(key) is None:
            continue
        entry, inner = _follow(view, places, holder, key, value)
        for name in _LISTS_OF_ONE:
            _follow(view, places, inner, name, entry.get(name) if isinstance(entry, dict) else None)
    return places


def _follow(view: View, places: Places, holder: int, key: str, value: Value) -> tuple[Value, int]:
    """The value, and the number of the object that it lies in."""
    view.file.spend(1)
    if not isinstance(value, Ref):
        return value, holder
    places.setdefault(value.number, set()).add((holder, key))
    return view.get(value), value.number


def structure_tree(view: View) -> set[int]:
    """Elements of the structure tree, nodes of its tree of parents, and the lists of both (14.7)."""
    root = view.root.get("StructTreeRoot")
    tree = view.dictionary(root)
    found = {root.number} if isinstance(root, Ref) else set()
    pending: list[tuple[Value, bool]] = [(tree.get("K"), True), (tree.get("ParentTree"), False)]
    while pending:
        item, element = pending.pop()
        view.file.spend(1)
        number = item.number if isinstance(item, Ref) else 0
        if number in found:
            continue
        value = view.resolve(item)
        if isinstance(value, list):
            pending.extend((one, element or isinstance(one, list)) for one in value)
        elif not isinstance(value, dict):
            continue
        elif element and isinstance(value.get("S"), str) and value.get("Type", "StructElem") == "StructElem":
            pending.append((value.get("K"), True))
        elif not element and value.keys() <= _TREE_NODE:
            pending.extend([(value.get("Kids"), False), (value.get("Nums"), False)])
        else:
            continue
        if number:
            found.add(number)
    return found
