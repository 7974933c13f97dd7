"""Canonical forms of parts of a document, against what XML Canonicalization says of them word by word."""

from __future__ import annotations

import pytest

from services.signer.formats.xml_document import parse
from services.signer.formats.xml_references import EXCLUSIVE, INCLUSIVE, INCLUSIVE_11, Canonicalization


@pytest.mark.parametrize("algorithm", [INCLUSIVE, INCLUSIVE_11, EXCLUSIVE])
@pytest.mark.parametrize(
    ("document", "inclusive", "exclusive"),
    [
        pytest.param(
            '<a xmlns="u:a"><s xmlns="u:s"><part><in><x/></in></part></s></a>',
            '<part xmlns="u:s"><in><x></x></in></part>',
            '<part xmlns="u:s"><in><x></x></in></part>',
            id="a default namespace of an ancestor",
        ),
        pytest.param(
            '<a xmlns="u:a" xmlns:k="u:k" xmlns:un="u:un"><k:s><k:part><k:in><x xmlns=""><y/></x></k:in></k:part></k:s></a>',
            '<k:part xmlns="u:a" xmlns:k="u:k" xmlns:un="u:un"><k:in><x xmlns=""><y></y></x></k:in></k:part>',
            '<k:part xmlns:k="u:k"><k:in><x><y></y></x></k:in></k:part>',
            id="prefixes, one of them unused, and a default namespace that ends",
        ),
        pytest.param(
            '<a xml:lang="vi"><part b="1&#9;2&#10;" a=\'"\'>x&#13;y &gt; z<!-- no --><?do it?></part> after</a>',
            '<part a="&quot;" b="1&#x9;2&#xA;" xml:lang="vi">x&#xD;y &gt; z<?do it?></part>',
            '<part a="&quot;" b="1&#x9;2&#xA;">x&#xD;y &gt; z<?do it?></part>',
            id="white space, an instruction, a language of an ancestor",
        ),
    ],
)
def test_a_part_is_written_as_if_it_stood_alone(
    algorithm: str, document: str, inclusive: str, exclusive: str
) -> None:
    root = parse(document.encode())
    (part,) = root.iter("{*}part")
    wanted = exclusive if algorithm == EXCLUSIVE else inclusive
    assert Canonicalization(algorithm).write(part).decode() == wanted
    assert part.get("{http://www.w3.org/XML/1998/namespace}lang") is None
