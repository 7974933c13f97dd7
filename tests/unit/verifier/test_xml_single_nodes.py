"""XPath 1.0 filters that are asked of every node: what they leave, its canonical form, and what a forger could hide."""

from __future__ import annotations

import time
from dataclasses import replace
from xml.sax.saxutils import escape

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from services.verifier.domain import Code, DocumentReport, Indication, SubIndication, Verdict
from services.verifier.formats.xml_algorithms import UnknownMethod
from services.verifier.formats.xml_canonical import Form, NodeSet, canonical
from services.verifier.formats.xml_input import Source, XmlLimit
from services.verifier.formats.xml_paths import UnsupportedTransform
from services.verifier.formats.xml_references import MAX_HASHED, Resolver
from services.verifier.formats.xml_signature import XmlFormat
from services.verifier.formats.xml_transforms import apply
from services.verifier.ports import SubmittedDocument
from services.verifier.service import VerificationService
from tests.unit.verifier.authority import NOW, Hierarchy
from tests.unit.verifier.xml_signing import DS, ENVELOPED, EXCLUSIVELY, Target, signature

XPATH = "http://www.w3.org/TR/1999/REC-xpath-19991116"
MANY_NAMESPACES = " ".join(f'xmlns:n{number}="urn:{number}"' for number in range(200))
DOCUMENT = (
    '<?in an?><g:a xmlns="urn:d" xmlns:g="urn:g" xml:lang="vi" k="1">'
    '<b>x<!-- c --><g:c g:k="2"/>y</b><e xmlns=""><f xmlns:h="urn:h"/></e></g:a>'
)
PLAIN, ONLY = Form("exclusive"), Form("exclusive", prefixes=("#default",))


@pytest.fixture(scope="module")
def hierarchy() -> Hierarchy:
    """With a signer whose key is RSA, which the signatures written by hand need."""
    made = Hierarchy.make()
    return replace(made, signer=made.issuing.signer(key=rsa.generate_private_key(65537, 2048)))


def asking(expression: str) -> str:
    """An XPath transform in canonical form."""
    return f'<ds:Transform Algorithm="{XPATH}"><ds:XPath>{escape(expression)}</ds:XPath></ds:Transform>'


def left(expression: str, form: Form, document: str = DOCUMENT) -> str:
    """What the expression leaves of a document."""
    source = Source.of(document.encode())
    prefixes = f'xmlns:ds="{DS}" xmlns:d="urn:d" xmlns:g="urn:g"'
    transform = Source.of(f"<t {prefixes}>{asking(expression)}</t>".encode()).root[0]
    nodes = NodeSet.of(source, source.root, comments=True, whole=True)
    found = apply(nodes, transform, source.root, lambda _: None)
    assert isinstance(found, NodeSet)
    return canonical(found, form).decode()


ALL_OF_IT = (
    '<?in an?>\n<g:a xmlns="urn:d" xmlns:g="urn:g" k="1" xml:lang="vi"><b>x<g:c g:k="2"></g:c>y</b>'
    '<e xmlns=""><f xmlns:h="urn:h"></f></e></g:a>'
)


@pytest.mark.parametrize(
    ("expression", "form", "expected"),
    [
        ("self::node() and not(self::nothing)", Form(), ALL_OF_IT),
        ("self::node() or self::x", Form("1.0", comments=True), ALL_OF_IT.replace(">x<", ">x<!-- c --><")),
        (
            "self::node() or self::x",
            PLAIN,
            '<?in an?>\n<g:a xmlns:g="urn:g" k="1" xml:lang="vi"><b xmlns="urn:d">x'
            '<g:c g:k="2"></g:c>y</b><e><f></f></e></g:a>',
        ),
        ("self::text() or self::x", Form(), "xy"),
        ("self::d:b or ancestor::d:b", Form(), '<b xmlns="urn:d" xmlns:g="urn:g" xml:lang="vi">x<g:c g:k="2"></g:c>y</b>'),
        ("self::g:* and not(self::x)", PLAIN, "<g:a><g:c></g:c></g:a>"),
        ("self::d:b or self::text()", Form(), '<b xml:lang="vi">xy</b>'),
        ('name() = "g" or self::x', Form(), ' xmlns:g="urn:g"' * 5),
        ('(name() = "g") or self::*', Form(), '<g:a xmlns:g="urn:g"><b><g:c></g:c></b><e><f></f></e></g:a>'),
        ('name() = "" and self::text()', Form(), "xy"),
        ('namespace-uri() = "urn:d"', PLAIN, "<b></b>"),
        ('local-name(parent::node()) = "f"', Form(), ' xmlns:g="urn:g" xmlns:h="urn:h"'),
        ('string(self::node()) = "urn:d"', ONLY, ' xmlns="urn:d"' * 3),
        ("string(self::node()) = namespace-uri(parent::node())", Form(), ' xmlns:g="urn:g" xmlns="urn:d" xmlns:g="urn:g"<f xml:lang="vi"></f>'),
        ("self::* or (string(self::node()) = 'urn:d')", ONLY,
         '<g:a xmlns="urn:d"><b><g:c></g:c></b><e xmlns=""><f></f></e></g:a>'),
        ("count(ancestor-or-self::node()) = 2", Form(), "<?in an?>\n<g:a></g:a>"),
        ("(count(ancestor::*) mod 2) = 1 and self::*", PLAIN, "<b></b><e></e>"),
        ("count(parent::node()/namespace::* | self::node()) = count(parent::node()/namespace::*)", Form(),
         (' xmlns="urn:d" xmlns:g="urn:g"' * 3) + ' xmlns:g="urn:g"' + ' xmlns:g="urn:g" xmlns:h="urn:h"'),
        ("self::processing-instruction() or self::x", Form(), "<?in an?>\n"),
        ("self::comment() or self::x", Form("1.0", comments=True), "<!-- c -->"),
    ],
)  # fmt: skip
def test_every_node_is_asked_and_what_is_left_is_written(expression: str, form: Form, expected: str) -> None:
    assert left(expression, form) == expected


@pytest.mark.parametrize(
    "expression",
    [
        "//x = 'a'",
        "count(//*) = 3",
        "descendant::x or self::x",
        "following::x or self::x",
        "id('a') or self::x",
        "document('x') or self::x",
        "self::*[1] or self::x",
        "self::x = 'a'",
        "count(self::x)",
        "string(parent::node()) = 'a'",
        "string() = 'a'",
        "count(ancestor::x) > 1",
        "self::k:x or self::y",
        "self::x or",
        "or or or",
        "self::x self::x",
        "(self::x",
        "not(1)",
        "1 = '1'",
        "(count(self::x) mod 0) = 0",
        "count(self::x) = 99999",
        "not(" * 21 + "self::x" + ")" * 21,
        "self::x or " * 100 + "self::x",
        "self::x and ancestor-or-self::x/ancestor::x",
        "@k or self::x",
        "",
    ],
)
def test_what_is_not_of_the_language_is_not_asked(expression: str) -> None:
    with pytest.raises(UnsupportedTransform):
        left(expression, Form())


def test_what_is_not_known_of_single_nodes_is_not_done() -> None:
    for form in (
        Form("1.1"),
        Form("exclusive", prefixes=("g",)),
        Form("exclusive", prefixes=("#default", "g")),
    ):
        with pytest.raises(UnknownMethod):
            left("self::text() or self::x", form)
    with pytest.raises(UnsupportedTransform, match="attributes"):
        left("name() = 'k'", Form())


def verify(hierarchy: Hierarchy, document: str, detached: bytes | None = None) -> DocumentReport:
    service = VerificationService((XmlFormat(),), hierarchy.trust())
    return service.verify(SubmittedDocument(document.encode(), detached), NOW)


def codes(report: DocumentReport) -> set[Code]:
    return {notice.code for one in report.signatures for notice in one.notices}


def signed(hierarchy: Hierarchy, body: str, *targets: tuple[str, str]) -> str:
    """The body with a signature before its end: over what these expressions leave, each in exclusive form."""
    references = [Target("", octets.encode(), asking(text) + EXCLUSIVELY) for text, octets in targets]
    end = body.rindex("</")
    return body[:end] + signature(hierarchy.signer, *references) + body[end:]


OWN = "not(ancestor-or-self::ds:Signature) and (self::node() or self::x)"
DON = '<don so="1"><ten ho="Ng">An</ten><tien>5</tien></don>'


def test_a_document_signed_node_by_node_is_clean_and_holds_for_no_other(hierarchy: Hierarchy) -> None:
    document = signed(hierarchy, DON, (OWN, DON))
    report = verify(hierarchy, document)
    assert report.verdict is Verdict.VALID
    assert report.clean
    assert Code.PARTLY_SIGNED not in codes(report)
    for old, new in (
        (">An<", ">Ân<"),
        ('so="1"', 'so="2"'),
        ("<tien>", "<x/><tien>"),
        ("<don ", '<don xmlns="u:u" '),
    ):
        changed = verify(hierarchy, document.replace(old, new, 1))
        assert changed.verdict is Verdict.INVALID
        assert not changed.clean


@pytest.mark.parametrize(
    ("expression", "octets"),
    [
        # Of names, attributes, texts, namespaces, elements and order, each time something is left out.
        ("self::text() and parent::ten", "An"),
        ("self::ten or parent::ten", '<ten ho="Ng">An</ten>'),
        ("self::* and not(ancestor-or-self::ds:Signature)", "<don><ten></ten><tien></tien></don>"),
        (
            "(self::* or self::text()) and not(ancestor-or-self::ds:Signature)",
            "<don><ten>An</ten><tien>5</tien></don>",
        ),
        (f"{OWN} and not(self::ten or parent::ten)", '<don so="1"><tien>5</tien></don>'),
        (f"{OWN} and not(self::text())", '<don so="1"><ten ho="Ng"></ten><tien></tien></don>'),
        (f"{OWN} and not(self::tien)", '<don so="1"><ten ho="Ng">An</ten>5</don>'),
        (f"{OWN} and not(name() = 'u')", DON),
        (
            f"{OWN} and not(self::don) and not(parent::don and name() = 'so')",
            '<ten ho="Ng">An</ten><tien>5</tien>',
        ),
    ],
)
def test_single_nodes_that_are_not_all_of_it_are_no_document(
    hierarchy: Hierarchy, expression: str, octets: str
) -> None:
    body = DON.replace("<don ", '<don xmlns:u="urn:u" ') if "'u'" in expression else DON
    report = verify(hierarchy, signed(hierarchy, body, (expression, octets)))
    (found,) = report.signatures
    assert (found.indication, found.sub_indication) == (Indication.INDETERMINATE, SubIndication.GENERIC)
    assert "single nodes" in found.detail
    assert not report.clean


PARTS = "not(ancestor-or-self::ds:Signature) and ancestor-or-self::muc and (self::node() or self::x)"


def test_all_but_a_root_without_anything_of_its_own_is_all(hierarchy: Hierarchy) -> None:
    muc = "<muc>1<m></m></muc>"
    document = signed(hierarchy, f'<don xml:lang="vi">{muc} {muc}</don>', (PARTS, muc + muc))
    assert verify(hierarchy, document).clean
    for old, new in (
        ("<don ", '<don so="1" '),
        ("<don xml", "<don xmlns:u='urn:u' so='' xml"),
        (f"{muc} {muc}", f"{muc}và{muc}"),
        (f"{muc} {muc}", f"{muc}<huy/>{muc}"),
        (f"{muc} {muc}", f"<huy>{muc}</huy>{muc}"),
        (f"{muc} {muc}", f"<huy>{muc}{muc}</huy>"),
        ("1<m>", "2<m>"),
        ("<m></m>", ""),
    ):
        assert old in document
        report = verify(hierarchy, document.replace(old, new, 1))
        assert not report.clean, new
        assert report.verdict is not Verdict.VALID


def test_what_one_reference_has_of_single_nodes_adds_nothing_to_another(hierarchy: Hierarchy) -> None:
    """One question for each kind of element: whoever takes one out of the other changes neither answer."""
    targets = (("self::a", "<a></a>"), ("self::b or parent::b", "<b>1</b>"))
    document = signed(hierarchy, "<don><a><b>1</b></a></don>", *targets)
    for one in (document, document.replace("<a><b>1</b></a>", "<a></a><b>1</b>")):
        assert not verify(hierarchy, one).clean


def test_more_references_to_single_nodes_of_what_is_signed_take_nothing_away(hierarchy: Hierarchy) -> None:
    muc = "<muc>1<m></m></muc>"
    targets = (
        ("ancestor-or-self::muc", muc),
        ("ancestor-or-self::muc and self::text()", "1"),
        ("ancestor-or-self::muc and not (self::m)", "<muc>1</muc>"),
    )
    document = signed(hierarchy, f"<don>{muc}</don>", *targets)
    assert verify(hierarchy, document).clean
    assert verify(hierarchy, document.replace(">1<", ">2<", 1)).verdict is Verdict.INVALID
    added = verify(hierarchy, document.replace("<don>", "<don><x>2</x>"))
    assert Code.PARTLY_SIGNED in codes(added)


def test_single_nodes_of_other_documents_and_further_transforms_are_not_known(hierarchy: Hierarchy) -> None:
    (detached,) = verify(
        hierarchy, signature(hierarchy.signer, Target("x.xml", b"<a></a>", asking(OWN))), b"<a/>"
    ).signatures
    further = Target("", DON.encode(), asking(OWN) + ENVELOPED)
    mark = DON.replace("</don>", signature(hierarchy.signer, further) + "</don>")
    (twice,) = verify(hierarchy, mark).signatures
    for found in (detached, twice):
        assert (found.indication, found.sub_indication) == (Indication.INDETERMINATE, SubIndication.GENERIC)


@pytest.mark.parametrize(
    ("document", "expression"),
    [
        (f"<d>{'<a/>' * 150_000}</d>", "self::a or self::b"),
        (
            f"<d {MANY_NAMESPACES}>{'<a/>' * 900}</d>",
            "count(parent::node()/namespace::*) = count(self::node()/namespace::*)",
        ),
        (
            f"<d>{('<a>' * 150 + '<b/>' * 3000 + '</a>' * 150) * 4}</d>",
            " and ".join(["(count(ancestor::node()) != 1)"] * 24),
        ),
        (f"<d>{'<a>' * 150}{'x' * 4_000_000}{'</a>' * 150}</d>", "string(self::node()) = 'x'"),
    ],
    ids=["many", "namespaces", "deep", "long text"],
)
def test_questions_about_large_documents_end_in_time(document: str, expression: str) -> None:
    """Each step is counted, also up from deep elements, through many namespaces, and over long texts."""
    source = Source.of(document.encode())
    transform = Source.of(f'<t xmlns:ds="{DS}">{asking(expression)}</t>'.encode()).root[0]
    resolver = Resolver(source, lambda _: None, spent=MAX_HASHED - (64 << 20))
    started = time.process_time()
    with pytest.raises(XmlLimit):
        apply(NodeSet.of(source, source.root), transform, source.root, resolver.spend)
    assert time.process_time() - started < 20
