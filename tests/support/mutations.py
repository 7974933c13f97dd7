"""Mutants of signed documents: bits flipped, octets put in and taken out, revisions, elements and members rearranged."""

from __future__ import annotations

import copy
import io
import json
import random
import re
import zipfile
from collections.abc import Callable
from dataclasses import replace

from lxml import etree

from services.verifier.ports import SubmittedDocument
from tests.support.own_documents import Variant

OBJECT = rb"(?<!\d)(\d{1,5}) 0 obj\s*(.{4,8000}?)\s*endobj"
Mutate = Callable[[bytes, random.Random], bytes]


def mutant(variant: Variant, document: SubmittedDocument, chance: random.Random) -> SubmittedDocument:
    """Change a document, or the content that it signs, in one place."""
    if document.detached is not None and chance.random() < 0.1:
        content = chance.choice(PLAIN)(document.detached, chance)
        return replace(document, detached=content, named=dict.fromkeys(document.named, content))
    special = SPECIAL.get(variant.form, ())
    if special and chance.random() < 0.25:
        return replace(document, data=chance.choice(special)(document.data, chance))
    return replace(document, data=chance.choice(PLAIN)(document.data, chance))


def flip(data: bytes, chance: random.Random) -> bytes:
    """Flip one bit."""
    at = chance.randrange(len(data))
    return data[:at] + bytes([data[at] ^ 1 << chance.randrange(8)]) + data[at + 1 :]


def change_octet(data: bytes, chance: random.Random) -> bytes:
    """Put another octet of the file in the place of one."""
    at = chance.randrange(len(data))
    return data[:at] + bytes([chance.choice(data)]) + data[at + 1 :]


def insert(data: bytes, chance: random.Random) -> bytes:
    """Put a few octets in."""
    at = chance.randrange(len(data) + 1)
    return data[:at] + chance.randbytes(chance.randrange(1, 5)) + data[at:]


def take_out(data: bytes, chance: random.Random) -> bytes:
    """Take a few octets out."""
    at = chance.randrange(len(data))
    return data[:at] + data[at + chance.randrange(1, 5) :]


def append(data: bytes, chance: random.Random) -> bytes:
    """Put something behind the end."""
    return data + chance.choice((b"\x00", b" x", b"%%EOF\n", data[-200:], chance.randbytes(20)))


def repeat(data: bytes, chance: random.Random) -> bytes:
    """Write a stretch of the file over another."""
    size = chance.randrange(1, 64)
    source, target = chance.randrange(len(data)), chance.randrange(len(data))
    stretch = data[source : source + size]
    return data[:target] + stretch + data[target + len(stretch) :]


def revise(data: bytes, chance: random.Random) -> bytes:
    """Add a revision to a PDF file that says something else of an object that was there when it was signed."""
    signed = data[: data.index(b"/ByteRange")]
    root = re.findall(rb"/Root (\d+ \d+ R)", data)[-1]
    previous = int(re.findall(rb"startxref\s+(\d+)", data)[-1])
    found = {int(n): body for n, body in re.findall(OBJECT, signed, re.DOTALL)}
    number = chance.choice(sorted(found))
    bodies = [
        b"<</Type/Annot/Subtype/FreeText/Rect[0 0 300 300]/Contents(sua)/DA(/F 12 Tf)>>",
        b"<</Length 44>>\nstream\nBT /F1 24 Tf 100 100 Td (DA SUA DOI) Tj ET    \nendstream",
        b"<</Type/Page/MediaBox[0 0 10 10]>>",
        b"null",
        *found.values(),
    ]
    now = [body for n, body in re.findall(OBJECT, data, re.DOTALL) if int(n) == number][-1]
    # Neither what it says now, nor what it said when it was signed: going back to that changes nothing of it.
    said = chance.choice([body for body in bodies if body not in (now, found[number])])
    start = len(data) + 1
    entry = b"%d 0 obj\n%b\nendobj\n" % (number, said)
    table = b"xref\n%d 1\n%010d 00000 n \n" % (number, start)
    size = 1 + max(int(n) for n, _ in re.findall(OBJECT, data, re.DOTALL))
    trailer = b"trailer\n<</Size %d/Root %b/Prev %d>>\n" % (size, root, previous)
    end = b"startxref\n%d\n%%%%EOF\n" % (start + len(entry))
    return data + b"\n" + entry + table + trailer + end


def _tree(change: Callable[[list[etree._Element], random.Random], None]) -> Mutate:
    def mutate(data: bytes, chance: random.Random) -> bytes:
        root = etree.fromstring(data, etree.XMLParser(resolve_entities=False))
        change(list(root.iter("*")), chance)
        return bytes(etree.tostring(root, xml_declaration=True, encoding="UTF-8"))

    return mutate


def _move(elements: list[etree._Element], chance: random.Random) -> None:
    element, target = chance.choice(elements[1:]), chance.choice(elements)
    if target not in list(element.iter()):
        target.insert(chance.randrange(len(target) + 1), element)


def _double(elements: list[etree._Element], chance: random.Random) -> None:
    element, target = chance.choice(elements[1:]), chance.choice(elements)
    target.insert(chance.randrange(len(target) + 1), copy.deepcopy(element))


def _drop(elements: list[etree._Element], chance: random.Random) -> None:
    element = chance.choice(elements[1:])
    parent = element.getparent()
    if parent is not None:
        parent.remove(element)


def _rename(elements: list[etree._Element], chance: random.Random) -> None:
    element = chance.choice(elements)
    element.set(
        chance.choice(("Id", "ID", "URI", "Target", "Algorithm")), chance.choice(("a", "#b", "", "x"))
    )


def _archive(change: Callable[[list[tuple[str, bytes]], random.Random], None]) -> Mutate:
    def mutate(data: bytes, chance: random.Random) -> bytes:
        with zipfile.ZipFile(io.BytesIO(data)) as source:
            members = [(name, source.read(name)) for name in source.namelist()]
        change(members, chance)
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w") as target:
            for name, content in members:
                target.writestr(zipfile.ZipInfo(name), content)
        return out.getvalue()

    return mutate


def _add_member(members: list[tuple[str, bytes]], chance: random.Random) -> None:
    name = chance.choice(("them.txt", "META-INF/them.txt", "thu-muc/to-trinh.xml", "META-INF/signature9.p7s"))
    members.insert(chance.randrange(1, len(members) + 1), (name, chance.choice(members)[1]))


def _rename_member(members: list[tuple[str, bytes]], chance: random.Random) -> None:
    at = chance.randrange(1, len(members))
    members[at] = (members[at][0].replace("t", "T", 1), members[at][1])


def _change_member(members: list[tuple[str, bytes]], chance: random.Random) -> None:
    at = chance.randrange(1, len(members))
    members[at] = (members[at][0], flip(members[at][1], chance))


def _swap_members(members: list[tuple[str, bytes]], chance: random.Random) -> None:
    one, other = chance.sample(range(1, len(members)), 2)
    (name, content), (second, replacement) = members[one], members[other]
    members[one], members[other] = (name, replacement), (second, content)


def _drop_member(members: list[tuple[str, bytes]], chance: random.Random) -> None:
    del members[chance.randrange(1, len(members))]


def twist_json(data: bytes, chance: random.Random) -> bytes:
    """Take a member of a JSON object out, write it twice, or give it another's value."""
    if data[:1] != b"{":
        parts = data.split(b".")
        chance.shuffle(parts)
        return b".".join(parts)
    whole = json.loads(data)
    place = whole["signatures"][0] if "signatures" in whole and chance.random() < 0.7 else whole
    name = chance.choice(sorted(place))
    match chance.randrange(4):
        case 0:
            del place[name]
        case 1:
            place[name] = place[chance.choice(sorted(place))]
        case 2:
            text = json.dumps(whole)
            return text.replace(f'"{name}":', f'"{name}": "eHg", "{name}":', 1).encode()
        case _:
            place[chance.choice(("header", "payload", "signature", "protected"))] = "eyJhbGciOiJub25lIn0"
    return json.dumps(whole).encode()


PLAIN: tuple[Mutate, ...] = (flip, flip, flip, flip, change_octet, insert, take_out, append, repeat)
TREE = tuple(_tree(change) for change in (_move, _double, _drop, _rename))
ARCHIVE = tuple(
    _archive(change) for change in (_add_member, _rename_member, _change_member, _swap_members, _drop_member)
)
SPECIAL: dict[str, tuple[Mutate, ...]] = {
    "PADES": (revise,),
    "XADES": TREE,
    "XMLDSIG": TREE,
    "JADES": (twist_json,),
    "ASIC_S": ARCHIVE,
    "ASIC_E": ARCHIVE,
}
