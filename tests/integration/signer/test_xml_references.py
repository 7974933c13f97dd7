"""What references refer to: the octets that we compute are those that xmlsec1 hashed, for every transform we take."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import pytest

from services.kernel.errors import DocumentDamaged, TargetInvalid
from services.signer.formats.xml_document import read
from services.signer.formats.xml_references import References, references, signatures
from tests.support.xml_tools import DECLARATION, DS, xmlsec_hashed, xmlsec_signed

if TYPE_CHECKING:
    from pathlib import Path

IDS = ("id http://kekhaithue.gdt.gov.vn/TKhaiThue:HSoKhaiThue",)
LANGUAGE = DECLARATION.replace(b"<HSoThueDTu ", b"<HSoThueDTu xml:lang='vi' xml:space='preserve' ")
C14N = "http://www.w3.org/TR/2001/REC-xml-c14n-20010315"
C14N_11 = "http://www.w3.org/2006/12/xml-c14n11"
EXCLUSIVE = "http://www.w3.org/2001/10/xml-exc-c14n#"
FILTER = "http://www.w3.org/2002/06/xmldsig-filter2"
OUT = f'<Transform Algorithm="{DS}enveloped-signature"/>'


def transform(algorithm: str, inside: str = "") -> str:
    return f'<Transform Algorithm="{algorithm}">{inside}</Transform>'


def xpath(expression: str, prefix: str = "q") -> str:
    inside = f'<XPath xmlns:{prefix}="{DS}">{expression}</XPath>'
    return transform("http://www.w3.org/TR/1999/REC-xpath-19991116", inside)


def subtract(expression: str, kind: str = "subtract") -> str:
    return transform(
        FILTER, f'<f:XPath xmlns:f="{FILTER}" xmlns:q="{DS}" Filter="{kind}">{expression}</f:XPath>'
    )


PREFIXES = f'<e:InclusiveNamespaces xmlns:e="{EXCLUSIVE}" PrefixList="k #default"/>'


@pytest.mark.parametrize("document", [DECLARATION, LANGUAGE], ids=["plain", "xml:lang above"])
@pytest.mark.parametrize(
    ("uri", "transforms"),
    [
        ("#ID_1", ""),
        ("#ID_1", transform(C14N)),
        ("#ID_1", transform(C14N + "#WithComments")),
        ("#ID_1", transform(C14N_11)),
        ("#ID_1", transform(EXCLUSIVE)),
        ("#ID_1", transform(EXCLUSIVE, PREFIXES)),
        ("#ID_1", OUT + transform(EXCLUSIVE + "WithComments")),
        ("#xpointer(id('ID_1'))", transform(C14N + "#WithComments")),
        ("#xpointer(id('ID_1'))", transform(EXCLUSIVE + "WithComments")),
        ("", OUT),
        ("", OUT + transform(EXCLUSIVE)),
        ("", OUT + transform(C14N + "#WithComments")),
        ("#xpointer(/)", OUT + transform(C14N + "#WithComments")),
        ("", xpath("not(ancestor-or-self::q:Signature)")),
        ("", xpath(" not( ancestor-or-self::q:Signature ) ") + transform(EXCLUSIVE)),
        ("", subtract("/descendant::q:Signature") + transform(EXCLUSIVE)),
        ("", subtract("//q:Signature")),
        ("", subtract("here()/ancestor::q:Signature[1]") + transform(EXCLUSIVE)),
    ],
)
def test_octets_are_those_that_xmlsec1_hashed(
    document: bytes, uri: str, transforms: str, tmp_path: Path
) -> None:
    out = xmlsec_signed(tmp_path, document, transforms, uri)
    (hashed,) = xmlsec_hashed(tmp_path, out, ids=IDS)
    root = read(out).root
    (signature,) = signatures(root)
    (reference,) = references(signature)
    resolver = References(out, root)
    assert resolver.octets(reference) == hashed
    assert resolver.intact(reference)
    changed = out.replace(b"1.000.000", b"9.000.000")
    root = read(changed).root
    assert not References(changed, root).intact(references(signatures(root)[0])[0])


def test_base64_content_is_decoded(tmp_path: Path) -> None:
    content = base64.encodebytes(bytes(range(32, 127)) * 3)
    document = b'<HSoThueDTu><HSoKhaiThue xmlns="http://kekhaithue.gdt.gov.vn/TKhaiThue" id="ID_1">'
    document += content + b"</HSoKhaiThue></HSoThueDTu>"
    out = xmlsec_signed(tmp_path, document, transform(f"{DS}base64"), "#ID_1")
    root = read(out).root
    reference = references(signatures(root)[0])[0]
    assert References(out, root).octets(reference) == base64.b64decode(content)
    assert xmlsec_hashed(tmp_path, out, ids=IDS) == [base64.b64decode(content)]


@pytest.mark.parametrize(
    "transforms",
    [
        xpath("true()"),
        xpath("not(ancestor-or-self::q:Signature) or true()"),
        xpath("not(ancestor-or-self::k:Signature)", "k").replace(DS, "urn:other"),
        subtract("/descendant::q:Signature", "union"),
        subtract("//*"),
        transform("urn:unknown"),
        transform(EXCLUSIVE) + transform(EXCLUSIVE),
        transform(f"{DS}base64") + transform(EXCLUSIVE),
    ],
)
def test_a_transform_that_leaves_open_what_is_signed_is_refused(transforms: str) -> None:
    text = (
        f'<r><Signature xmlns="{DS}"><SignedInfo><Reference URI=""><Transforms>{transforms}</Transforms>'
        '<DigestMethod Algorithm="http://www.w3.org/2001/04/xmlenc#sha256"/><DigestValue>AAAA</DigestValue>'
        "</Reference></SignedInfo></Signature></r>"
    )
    document = read(text.encode())
    with pytest.raises(DocumentDamaged) as caught:
        References(document.data, document.root).intact(references(signatures(document.root)[0])[0])
    assert caught.value.data["reason"] == "transform"


def test_a_reference_to_an_id_that_is_twice_there_is_not_resolved() -> None:
    text = f'<r><a Id="x"/><b id="x"/><Signature xmlns="{DS}"><SignedInfo><Reference URI="#x"/></SignedInfo></Signature></r>'
    document = read(text.encode())
    with pytest.raises(TargetInvalid):
        References(document.data, document.root).octets(references(signatures(document.root)[0])[0])
