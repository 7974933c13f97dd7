"""Canonical XML: the examples of the standard, two ways to the same octets, and node sets with gaps and islands."""

from __future__ import annotations

import pytest

from services.verifier.formats.xml_algorithms import UnknownMethod
from services.verifier.formats.xml_canonical import Form, NodeSet, canonical
from services.verifier.formats.xml_input import Source, XmlError, common, union, without
from services.verifier.formats.xml_nodes import Options, write
from services.verifier.formats.xml_transforms import apply

DOCUMENTS = [
    b"<?go now?><a xmlns='urn:a' xmlns:b='urn:b' xml:lang='vi'><!-- c --><b:d z='1' b:y='&#9;&#13;\"&lt;'>x&#13;&amp;"
    b"<e xmlns=''><f xmlns:g='urn:g'><![CDATA[<&>]]></f></e></b:d>t</a><!-- end -->",
    b"<x xmlns:p='urn:1' xmlns:q='urn:1' xml:space='preserve'><y p:k='1' q:j='2'><p:w xmlns:p='urn:2'/><q:w/></y></x>",
    b"<r xmlns='urn:1'><s xmlns=''><t xmlns='urn:1'/><u/></s></r>",
]
FORMS = [
    Form(kind, comments, prefixes)
    for kind in ("1.0", "exclusive")
    for comments in (True, False)
    for prefixes in ((), ("p", "b"))
    if kind == "exclusive" or not prefixes
]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("data", DOCUMENTS)
def test_both_ways_to_a_canonical_form_give_the_same_octets(data: bytes, form: Form) -> None:
    source = Source.of(data)
    for element in source.elements:
        for whole in (False, True) if element is source.root else (False,):
            nodes = NodeSet.of(source, element, comments=True, whole=whole)
            options = Options(form.kind, form.comments, form.prefixes, whole)
            assert canonical(nodes, form) == write(source, element, nodes.intervals, options), element.tag


def test_the_examples_of_the_standard() -> None:
    # Canonical XML 1.0 section 3.3 (start and end tags) and 3.4 (character modifications), in part.
    source = Source.of(
        b"<doc><e1   /><e3   name = \"elem3\"   id=\"elem3\"   /><e5 a:attr='out' b:attr='sorted' attr2='all' "
        b"attr=\"I'm\" xmlns:b='http://www.ietf.org' xmlns:a='http://www.w3.org' xmlns='http://example.org'/>"
        b'<v>&#x32;</v><w><![CDATA[v>"0"]]></w></doc>'
    )
    assert canonical(NodeSet.of(source, source.root, whole=True), Form()) == (
        b'<doc><e1></e1><e3 id="elem3" name="elem3"></e3><e5 xmlns="http://example.org" '
        b'xmlns:a="http://www.w3.org" xmlns:b="http://www.ietf.org" attr="I\'m" attr2="all" b:attr="sorted" '
        b'a:attr="out"></e5><v>2</v><w>v&gt;"0"</w></doc>'
    )


def test_a_subtree_inherits_in_the_inclusive_forms_only() -> None:
    source = Source.of(b'<a xmlns:n="urn:n" xml:lang="vi" xml:id="i"><b/></a>')
    (child,) = source.root
    nodes = NodeSet.of(source, child)
    assert canonical(nodes, Form("1.0")) == b'<b xmlns:n="urn:n" xml:id="i" xml:lang="vi"></b>'
    assert canonical(nodes, Form("1.1")) == b'<b xmlns:n="urn:n" xml:lang="vi"></b>'
    assert canonical(nodes, Form("exclusive")) == b"<b></b>"
    assert canonical(nodes, Form("exclusive", prefixes=("n",))) == b'<b xmlns:n="urn:n"></b>'


def test_what_has_no_canonical_form_is_refused() -> None:
    relative = Source.of(b'<a xmlns="relative"/>')
    with pytest.raises(XmlError, match="relative namespace"):
        canonical(NodeSet.of(relative, relative.root), Form())


@pytest.mark.parametrize(
    ("outer", "inner", "own", "joined"),
    [
        ("http://vi.du/a/b.xml", None, None, "http://vi.du/a/b.xml"),
        ("http://vi.du/a/b.xml", "c/", None, "http://vi.du/a/c/"),
        ("http://vi.du/a/b.xml", "c/", "d", "http://vi.du/a/c/d"),
        ("http://vi.du/a/b/", "..", "d", "http://vi.du/a/d"),
        ("http://vi.du/a/b.", None, "d", "http://vi.du/a/d"),
        ("http://vi.du/a/", "https://khac.vn/x", "", "https://khac.vn/x"),
        (None, None, "tuong/doi", "tuong/doi"),
        ("tuong/doi", None, None, "tuong/doi"),
        (None, None, "", ""),
    ],
)
def test_form_1_1_joins_what_says_where_a_part_stands(
    outer: str | None, inner: str | None, own: str | None, joined: str
) -> None:
    said = [f' xml:base="{one}"' if one is not None else "" for one in (outer, inner, own)]
    source = Source.of("<a{}><b{}><c{}/></b></a>".format(*said).encode())
    nodes = NodeSet.of(source, source.elements[2])
    written = f'<c xml:base="{joined}"></c>' if joined else "<c></c>"
    assert canonical(nodes, Form("1.1")) == written.encode()


def test_form_1_1_below_a_relative_xml_base_is_not_known() -> None:
    source = Source.of(b'<a xml:base="a/"><b xml:base="b/"/></a>')
    with pytest.raises(UnknownMethod, match="xml:base"):
        canonical(NodeSet.of(source, source.root[0]), Form("1.1"))


def test_what_a_filter_leaves_has_a_form_1_1_where_nothing_says_where_it_stands() -> None:
    source = Source.of(b'<a xml:id="i" xml:lang="vi"><b xml:id="j"><c/></b></a>')
    nodes = NodeSet(source, source.root, ((2, 3),), cuts=None)
    assert canonical(nodes, Form("1.1")) == b'<c xml:lang="vi"></c>'
    assert canonical(nodes, Form("1.0")) == b'<c xml:id="j" xml:lang="vi"></c>'
    based = Source.of(b'<a xml:base="http://vi.du/"><b/></a>')
    with pytest.raises(UnknownMethod, match="xml:base"):
        canonical(NodeSet(based, based.root, ((1, 2),), cuts=None), Form("1.1"))


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ([("subtract", "//n")], b"<d><t><a></a></t>.</d>"),
        ([("intersect", "//t")], b"<t><a></a><n>x<r>y</r></n></t>"),
        ([("intersect", "//t"), ("subtract", "//n")], b"<t><a></a></t>"),
        ([("intersect", "//t"), ("subtract", "//n"), ("union", "//r")], b"<t><a></a><r>y</r></t>"),
        ([("subtract", "/")], b""),
        ([("intersect", "/d/t/n/r"), ("union", "/d/t/a")], b"<a></a><r>y</r>"),
    ],
)
def test_xpath_filters_combine_subtrees(filters: list[tuple[str, str]], expected: bytes) -> None:
    source = Source.of(b"<d><t><a/><n>x<r>y</r></n></t>.</d>")
    lines = "".join(f'<f:XPath Filter="{kind}"> {path} </f:XPath>' for kind, path in filters)
    name = "http://www.w3.org/2002/06/xmldsig-filter2"
    transform = Source.of(f'<T Algorithm="{name}" xmlns:f="{name}">{lines}</T>'.encode()).root
    nodes = apply(NodeSet.of(source, source.root, whole=True), transform, source.root, lambda _: None)
    assert isinstance(nodes, NodeSet)
    assert canonical(nodes, Form()) == expected


def test_intervals_are_joined_cut_and_met() -> None:
    assert union([(5, 7), (1, 3)], [(2, 5)]) == ((1, 7),)
    assert without(((0, 10),), [(2, 4), (8, 12)]) == ((0, 2), (4, 8))
    assert common(((0, 5), (7, 9)), [(3, 8)]) == ((3, 5), (7, 8))
    assert without(((0, 4),), [(0, 4)]) == ()
