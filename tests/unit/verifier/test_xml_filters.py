"""XPath filters of XML signatures: what they leave signed, what a forger can put beside that, and what is never asked."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from lxml import etree

from services.verifier.domain import Code, DocumentReport, Indication, SubIndication, Verdict
from services.verifier.formats.xml_canonical import Form, NodeSet, canonical
from services.verifier.formats.xml_input import Source, XmlLimit
from services.verifier.formats.xml_references import Resolver
from services.verifier.formats.xml_signature import XmlFormat
from services.verifier.formats.xml_transforms import apply
from services.verifier.ports import SubmittedDocument
from services.verifier.service import VerificationService
from tests.unit.verifier.authority import NOW, Hierarchy
from tests.unit.verifier.xml_signing import DS, ENVELOPED, EXCLUSIVELY, Target, signature

FILTER = "http://www.w3.org/2002/06/xmldsig-filter2"
XPATH = "http://www.w3.org/TR/1999/REC-xpath-19991116"


@pytest.fixture(scope="module")
def hierarchy() -> Hierarchy:
    """With a signer whose key is RSA, which the signatures written by hand need."""
    made = Hierarchy.make()
    return replace(made, signer=made.issuing.signer(key=rsa.generate_private_key(65537, 2048)))


def verify(hierarchy: Hierarchy, document: str, detached: bytes | None = None) -> DocumentReport:
    service = VerificationService((XmlFormat(),), hierarchy.trust())
    return service.verify(SubmittedDocument(document.encode(), detached), NOW)


def told(report: DocumentReport) -> dict[Code, str]:
    (one,) = report.signatures
    return {notice.code: notice.detail for notice in one.notices}


def by_filters(*filters: tuple[str, str]) -> str:
    """An XPath Filter 2.0 transform of these operations and expressions."""
    lines = "".join(
        f'<f:XPath xmlns:f="{FILTER}" Filter="{kind}">{path.replace("<", "&lt;")}</f:XPath>'
        for kind, path in filters
    )
    return f'<ds:Transform Algorithm="{FILTER}">{lines}</ds:Transform>'


def by_xpath(expression: str) -> str:
    """An XPath 1.0 transform, in canonical form."""
    text = expression.replace("<", "&lt;").replace(">", "&gt;")
    return f'<ds:Transform Algorithm="{XPATH}"><ds:XPath>{text}</ds:XPath></ds:Transform>'


def element(text: str) -> etree._Element:
    """A transform by itself."""
    return Source.of(f'<T xmlns:ds="{DS}">{text}</T>'.encode()).root[0]


def signed(hierarchy: Hierarchy, body: str, transforms: str, octets: str) -> str:
    """The body with a signature before its end, over these octets."""
    mark = signature(hierarchy.signer, Target("", octets.encode(), transforms + EXCLUSIVELY))
    end = body.rindex("</")
    return body[:end] + mark + body[end:]


FORM = '<don><o k="1">a</o><o k="2">b</o><o>c</o><x/><y><o>d</o></y></don>'


@pytest.mark.parametrize(
    ("path", "left"),
    [
        ('/don/*[@k="1"]', '<don><o k="2">b</o><o>c</o><x></x><y><o>d</o></y></don>'),
        ('/don/*[@k="1" or @k="2"]', "<don><o>c</o><x></x><y><o>d</o></y></don>"),
        ("/don/*[ @k = '1' and @k = '2' ]", FORM.replace("<x/>", "<x></x>")),
        ("/don/o[not(@k)] | //x", '<don><o k="1">a</o><o k="2">b</o><y><o>d</o></y></don>'),
        ("//o[@k]|/don/y[not ( @* )]\n", "<don><o>c</o><x></x></don>"),
        ("//*[@k='2']", '<don><o k="1">a</o><o>c</o><x></x><y><o>d</o></y></don>'),
        ("here()/ancestor::ds:Transforms[1]", FORM.replace("<x/>", "<x></x>")),
        ("/don/y[attribute::k]/o", FORM.replace("<x/>", "<x></x>")),
        ('/don/o[@k="|"] | /don/x', FORM.replace("<x/>", "")),
    ],
)
def test_filters_choose_elements_by_their_attributes(hierarchy: Hierarchy, path: str, left: str) -> None:
    document = signed(hierarchy, FORM, ENVELOPED + by_filters(("subtract", path)), left)
    assert verify(hierarchy, document).clean


def test_what_a_filter_leaves_out_is_told_and_what_it_leaves_cannot_change(hierarchy: Hierarchy) -> None:
    filters = ENVELOPED + by_filters(("subtract", '/don/*[@k="1"] | /don/x'))
    left = '<don><o k="2">b</o><o>c</o><y><o>d</o></y></don>'
    document = signed(hierarchy, FORM, filters, left)
    assert told(verify(hierarchy, document))[Code.PARTLY_SIGNED] == "not signed: /don/o"
    # More of what is left out can be put in, and is told; nothing else holds.
    more = verify(hierarchy, document.replace("<x/>", '<x/><huy k="1">Đơn này bị huỷ</huy>'))
    assert told(more)[Code.PARTLY_SIGNED] == "not signed: /don/o, /don/huy"
    for old, new in (('k="2"', 'k="3"'), (">c<", ">C<"), ("<o>c</o>", '<o k="1">c</o>'), ("<y>", "<y><o/>")):
        report = verify(hierarchy, document.replace(old, new))
        assert report.verdict is Verdict.INVALID, new
        assert not report.clean


@pytest.mark.parametrize("path", ["//*[@Id='a']", "//ten", "//*[@Id='a'] | //x"])
def test_what_a_filter_finds_by_name_is_not_clean_deep_in_other_things(
    hierarchy: Hierarchy, path: str
) -> None:
    part = '<ten Id="a">An</ten>'
    document = signed(hierarchy, f"<don>{part}</don>", by_filters(("intersect", path)), part)
    assert verify(hierarchy, document).clean
    for moved in (f"<huy>{part}</huy>", f'<huy ly-do="cũ"><cu>{part}</cu></huy><ten>Bình</ten>'):
        report = verify(hierarchy, document.replace(part, moved))
        assert Code.WRAPPING in told(report)
        assert not report.clean
    doubled = verify(hierarchy, document.replace(part, part + part))
    assert doubled.verdict is not Verdict.VALID


def test_a_path_from_here_names_what_stands_around_the_signature(hierarchy: Hierarchy) -> None:
    """As signers write who mean the element around the signature, without the signatures in it."""
    around = "here()/ancestor::*[6]"
    filters = by_filters(
        ("intersect", around),
        ("subtract", f'{around}/*[namespace-uri()="{DS}" and local-name()="Signature"]'),
    )
    don = "<don><ten>An</ten></don>"
    document = f"<ho-so>{signed(hierarchy, don, filters, don)}</ho-so>"
    assert verify(hierarchy, document).clean
    assert verify(hierarchy, document.replace(">An<", ">Ân<")).verdict is Verdict.INVALID
    added = verify(hierarchy, document.replace("<don>", "<y>sai</y><don>"))
    assert told(added)[Code.PARTLY_SIGNED] == "not signed: /ho-so/y"
    deeper = document.replace("<ho-so>", "<ho-so><cu>").replace("</ho-so>", "</cu></ho-so>")
    assert not verify(hierarchy, deeper).clean
    far = by_filters(("intersect", "here()/ancestor::*[60]"))
    assert verify(hierarchy, signed(hierarchy, don, far, "")).verdict is Verdict.MALFORMED


def test_here_is_nowhere_in_another_document(hierarchy: Hierarchy) -> None:
    filters = by_filters(("subtract", "here()/ancestor::ds:Signature[1]"))
    mark = signature(hierarchy.signer, Target("don.xml", b"<don></don>", filters))
    (found,) = verify(hierarchy, mark, b"<don/>").signatures
    assert (found.indication, found.sub_indication) == (Indication.INDETERMINATE, SubIndication.GENERIC)


@pytest.mark.parametrize(
    "expression",
    [
        "not(ancestor-or-self::ds:Signature)",
        "\n not ( ancestor-or-self::ds:Signature ) ",
        "count(ancestor-or-self::ds:Signature | here()/ancestor::ds:Signature[1]) >"
        "\n count(ancestor-or-self::ds:Signature)",
    ],
)
def test_the_signature_itself_is_left_out_in_the_words_of_the_standard(
    hierarchy: Hierarchy, expression: str
) -> None:
    """XMLDSig 6.6.4 gives the XPath that enveloped-signature stands for."""
    don = "<don><ten>An</ten></don>"
    document = signed(hierarchy, don, by_xpath(expression), don)
    report = verify(hierarchy, document)
    assert report.verdict is Verdict.VALID
    assert report.clean
    for old, new in ((">An<", ">Ân<"), ("<don>", "<don><x/>"), ("<ten>", '<ten k="">')):
        assert verify(hierarchy, document.replace(old, new, 1)).verdict is Verdict.INVALID


def test_the_words_of_the_standard_mean_signatures_and_no_other_element(hierarchy: Hierarchy) -> None:
    expression = "count(ancestor-or-self::ten | here()/ancestor::ten[1]) > count(ancestor-or-self::ten)"
    document = signed(hierarchy, "<don><ten>An</ten></don>", by_xpath(expression), "<don></don>")
    assert verify(hierarchy, document).verdict is Verdict.INDETERMINATE


@pytest.mark.parametrize(
    "path",
    [
        "//o[1]",
        "//o[count(//o) > 2]",
        "//o[.='a']",
        "id('a')",
        "//o/ancestor::don",
        "//o | document('don.xml')",
        '//o[@k="1]',
        "|".join(["//o"] * 9),
        "//o[@k" + " or @k" * 16 + "]",
        "here()/ancestor::*[6]/*[1]",
        "",
    ],
)
def test_what_is_more_than_such_a_path_decides_nothing(hierarchy: Hierarchy, path: str) -> None:
    (found,) = verify(hierarchy, signed(hierarchy, FORM, by_filters(("subtract", path)), FORM)).signatures
    assert (found.indication, found.sub_indication) == (Indication.INDETERMINATE, SubIndication.GENERIC)


def test_a_prefix_that_is_not_declared_is_a_fault(hierarchy: Hierarchy) -> None:
    for path in ("//k:o", "here()/ancestor::k:o[1]"):
        (found,) = verify(hierarchy, signed(hierarchy, FORM, by_filters(("subtract", path)), FORM)).signatures
        assert found.sub_indication is SubIndication.FORMAT_FAILURE


def test_filters_of_many_elements_take_one_pass_each() -> None:
    """Sets of as many parts as there are elements: comparing each with each would take hours."""
    source = Source.of(b"<d>" + b'<a k="1"/><b/>' * 60_000 + b"</d>")
    transform = element(by_filters(("intersect", "//a[@k] | //b"), ("subtract", "//b")))
    started = time.process_time()
    nodes = apply(NodeSet.of(source, source.root, whole=True), transform, source.root, lambda _: None)
    assert isinstance(nodes, NodeSet)
    assert canonical(nodes, Form()) == b'<a k="1"></a>' * 60_000
    assert time.process_time() - started < 10


def test_passes_over_a_large_document_are_counted() -> None:
    source = Source.of(b"<d>" + b"<a/>" * 300_000 + b"</d>")
    transform = element(by_filters(*[("union", "|".join(["//x"] * 8))] * 10))
    resolver = Resolver(source, lambda _: None)
    apply(NodeSet.of(source, source.root), transform, source.root, resolver.spend)
    with pytest.raises(XmlLimit):
        apply(NodeSet.of(source, source.root), transform, source.root, resolver.spend)
