"""Sets of single nodes as xmlsec1, which asks libxml2, leaves and writes them: the digests are its own."""

from __future__ import annotations

from pathlib import Path
from xml.sax.saxutils import escape

import pytest

from services.verifier.formats.xml_input import DS, Source
from services.verifier.formats.xml_references import Resolver, State
from tests.support.xml_tools import xmlsec_signed

C14N = "http://www.w3.org/TR/2001/REC-xml-c14n-20010315"
EXCLUSIVE = "http://www.w3.org/2001/10/xml-exc-c14n#"
DOCUMENT = b"""<?xml version="1.0"?>
<?in an?>
<!-- before -->
<d:a xmlns:d="urn:d" xmlns="urn:x" xmlns:q="urn:q" xml:lang="vi" xml:space="preserve">
  <b k="1" q:k="2">An &amp; <!-- in --> Binh<d:c xmlns:q="urn:p"><q:e>1&#13;</q:e></d:c></b>
  <f xmlns=""><g xmlns="urn:x" k="a&#9;b"><?go on?></g>t<h/></f>
</d:a>
"""
NAMESPACES = "string(self::node()) = namespace-uri(parent::node())"
EXPRESSIONS = [
    "not(ancestor-or-self::ds:Signature) and (self::node() or self::none)",
    "self::text() or self::none",
    "not(self::text()) and not(ancestor-or-self::ds:Signature)",
    "ancestor-or-self::x:b and not(self::d:c)",
    "(ancestor-or-self::x:b) and not(self::x:b or name() = 'k' or name() = 'q:k')",
    f"ancestor-or-self::d:c and (self::text() or (namespace-uri() != '') or ({NAMESPACES}))",
    "ancestor-or-self::x:b and (self::* or self::text())",
    "not(ancestor-or-self::ds:Signature) and (self::* or name() = 'q')",
    "not(ancestor-or-self::ds:Signature) and (self::* or name() = '')",
    "ancestor-or-self::f and (count(parent::node()/namespace::*) != count(parent::node()/namespace::* | self::node()))",
    "ancestor::f and (name() = 'g' or self::text() or ((count(ancestor-or-self::node()) mod 2) = 0))",
    "self::processing-instruction() or self::d:*",
    "name() = 'd' or name() = 'q:e' or local-name(parent::node()) = 'h'",
]
HIDING = {
    "ancestor-or-self::f and (count(parent::node()/namespace::*) != count(parent::node()/namespace::* | self::node()))",
    "ancestor::f and (name() = 'g' or self::text() or ((count(ancestor-or-self::node()) mod 2) = 0))",
    "not(ancestor-or-self::ds:Signature) and (self::* or name() = 'q')",
    "ancestor-or-self::x:b and (self::* or self::text())",
}
INCLUSIVE = f'<InclusiveNamespaces xmlns="{EXCLUSIVE}" PrefixList="#default"/>'


@pytest.mark.parametrize("enveloped", [True, False])
@pytest.mark.parametrize(
    "form",
    [
        "",
        f'<Transform Algorithm="{C14N}"/>',
        f'<Transform Algorithm="{EXCLUSIVE}"/>',
        f'<Transform Algorithm="{EXCLUSIVE}">{INCLUSIVE}</Transform>',
        f'<Transform Algorithm="{EXCLUSIVE}WithComments"/>',
    ],
)
def test_what_single_nodes_are_left_and_how_they_are_written_is_as_xmlsec_has_it(
    tmp_path: Path, form: str, *, enveloped: bool
) -> None:
    other = []
    for expression in EXPRESSIONS:
        transforms = '<Transform Algorithm="http://www.w3.org/2000/09/xmldsig#enveloped-signature"/>'
        transforms = transforms if enveloped else ""
        if not enveloped and "Signature" not in expression and "ancestor" not in expression:
            # What changes with the digest cannot be signed.
            continue
        prefixes = f'xmlns:ds="{DS[1:-1]}" xmlns:x="urn:x" xmlns:d="urn:d"'
        transforms += (
            '<Transform Algorithm="http://www.w3.org/TR/1999/REC-xpath-19991116">'
            f"<XPath {prefixes}>{escape(expression)}</XPath></Transform>{form}"
        )
        source = Source.of(xmlsec_signed(tmp_path, DOCUMENT, transforms, root="d:a"))
        mark = next(source.root.iter(f"{DS}Signature"))
        (reference,) = Resolver(source, lambda _: None).references(mark, mark[0])
        # Names of which the default namespace is left out and to be written are not judged.
        expected = State.UNSUPPORTED if "#default" in form and expression in HIDING else State.HOLDS
        if reference.state is not expected:
            other.append((expression, reference.detail))
    assert not other
