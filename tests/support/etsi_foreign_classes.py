"""The ETSI report's structure as pyHanko has it: classes generated from the official schema (version 1.2.1), read only.

Their module needs a library that is not installed here; it is read as text.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from lxml import etree

_CHOICES = frozenset({"SignatureAttributesType", "ValidationObjectRepresentationType", "SignersDocumentType"})
"""Types whose elements come in any order."""


@dataclass(frozen=True)
class Member:
    """An element that a type may hold."""

    name: str
    type: str
    required: bool


@cache
def _classes() -> dict[str, ast.ClassDef]:
    spec = find_spec("pyhanko")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    source = Path(spec.submodule_search_locations[0]) / "generated" / "etsi" / "ts_11910202.py"
    tree = ast.parse(source.read_text(encoding="utf-8"))
    return {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}


@cache
def members(name: str) -> tuple[Member, ...]:
    """The elements of a type in their order, those of the type that it extends first."""
    node = _classes()[name]
    inherited = [one for base in node.bases if isinstance(base, ast.Name) for one in members(base.id)]
    return (*inherited, *(found for statement in node.body if (found := _member(statement)) is not None))


def _member(statement: ast.stmt) -> Member | None:
    if not isinstance(statement, ast.AnnAssign) or not isinstance(statement.value, ast.Call):
        return None
    metadata = next((k.value for k in statement.value.keywords if k.arg == "metadata"), None)
    told = ast.literal_eval(metadata) if metadata is not None else {}
    if told.get("type") != "Element":
        return None
    types = [n.id for n in ast.walk(statement.annotation) if isinstance(n, ast.Name) and n.id in _classes()]
    required = bool(told.get("required")) or told.get("min_occurs", 0) > 0
    # Where the element is called as the attribute is, the metadata says no name.
    return Member(told.get("name", ast.unparse(statement.target)), types[0] if types else "", required)


def complaints(element: etree._Element, type_name: str = "ValidationReportType") -> list[str]:
    """Where an element does not have what its type wants: unknown, missing or misplaced elements."""
    known = members(type_name)
    names = [member.name for member in known]
    children = [(child, str(child.tag).rpartition("}")[2]) for child in element]
    found = [f"{type_name}: unknown {name}" for _, name in children if name not in names]
    present = {name for _, name in children}
    found += [f"{type_name}: no {m.name}" for m in known if m.required and m.name not in present]
    places = [names.index(name) for _, name in children if name in names]
    if places != sorted(places) and type_name not in _CHOICES:
        found.append(f"{type_name}: out of order")
    types = {member.name: member.type for member in known}
    for child, name in children:
        if types.get(name) and types[name] != "AnyType":
            found += complaints(child, types[name])
    return found
