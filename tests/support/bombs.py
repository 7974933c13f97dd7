"""Small documents that cost a careless parser everything, or make it ask somebody: none of them is a signature."""

from __future__ import annotations

import base64
import io
import json
import re
import struct
import zipfile
import zlib
from collections.abc import Callable
from datetime import UTC, datetime

from asn1crypto import cms

from services.verifier.ports import SubmittedDocument
from tests.support import own_documents
from tests.support.own_documents import Variant

DS = "http://www.w3.org/2000/09/xmldsig#"
ASIC_E = "application/vnd.etsi.asic-e+zip"
Bomb = Callable[[str], bytes]
"""Makes the document; the argument is a URL that nobody may ask."""


def _entities(_url: str) -> bytes:
    steps = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 12))
    return f'<!DOCTYPE a [<!ENTITY e0 "ha">{steps}]><a>&e11;{_signature()}</a>'.encode()


def _long_entity(_url: str) -> bytes:
    return f'<!DOCTYPE a [<!ENTITY e "{"a" * 1_000_000}">]><a>{"&e;" * 20_000}{_signature()}</a>'.encode()


def _outer_entity(url: str) -> bytes:
    return f'<!DOCTYPE a SYSTEM "{url}dtd" [<!ENTITY e SYSTEM "{url}e">]><a>&e;{_signature()}</a>'.encode()


def _parameter_entity(url: str) -> bytes:
    return f'<!DOCTYPE a [<!ENTITY % e SYSTEM "{url}p"> %e;]><a>{_signature()}</a>'.encode()


def _style_sheet(url: str) -> bytes:
    head = f'<?xml version="1.0"?><?xml-stylesheet type="text/xsl" href="{url}s"?>'
    return f"{head}<a>{_signature()}</a>".encode()


def _include(url: str) -> bytes:
    return f'<a xmlns:xi="http://www.w3.org/2001/XInclude"><xi:include href="{url}i"/>{_signature()}</a>'.encode()


def _outer_reference(url: str) -> bytes:
    return f"<a>{_signature(url + 'r')}</a>".encode()


def _xslt(url: str) -> bytes:
    sheet = (
        '<xsl:stylesheet version="1.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform">'
        f'<xsl:template match="/"><xsl:copy-of select="document(\'{url}x\')"/></xsl:template></xsl:stylesheet>'
    )
    step = f'<ds:Transform Algorithm="http://www.w3.org/TR/1999/REC-xslt-19991116">{sheet}</ds:Transform>'
    return f"<a>{_signature('', step)}</a>".encode()


def _xpath(_url: str) -> bytes:
    path = f"<ds:XPath>count({'//.|' * 2000}//.) &gt; 0 and {'ancestor-or-self::*/' * 500}*</ds:XPath>"
    step = f'<ds:Transform Algorithm="http://www.w3.org/TR/1999/REC-xpath-19991116">{path}</ds:Transform>'
    return f"<a>{'<b/>' * 5000}{_signature('', step)}</a>".encode()


def _many_transforms(_url: str) -> bytes:
    step = '<ds:Transform Algorithm="http://www.w3.org/TR/2001/REC-xml-c14n-20010315"/>'
    return f"<a>{'<b/>' * 50_000}{_signature('', step * 20_000)}</a>".encode()


def _deep_xml(_url: str) -> bytes:
    return f"{'<a>' * 100_000}{_signature()}{'</a>' * 100_000}".encode()


def _many_attributes(_url: str) -> bytes:
    names = " ".join(f'a{n}="{n}"' for n in range(100_000))
    return f"<a {names}>{_signature()}</a>".encode()


def _many_namespaces(_url: str) -> bytes:
    names = " ".join(f'xmlns:n{n}="urn:{n}"' for n in range(20_000))
    return f"<a {names}>{'<b/>' * 20_000}{_signature()}</a>".encode()


def _long_namespace(_url: str) -> bytes:
    """Every name in it is as long as the namespace's."""
    elements = '<n:b n:x="" n:y=""/>' * 20_000
    return f'<n:a xmlns:n="urn:{"x" * 1_000_000}">{elements}{_signature()}</n:a>'.encode()


def _many_references(_url: str) -> bytes:
    one = _signature()
    reference = one[one.index("<ds:Reference") : one.index("</ds:SignedInfo>")]
    return f"<a>{'<b/>' * 20_000}{one.replace(reference, reference * 5000)}</a>".encode()


def _many_xml_signatures(_url: str) -> bytes:
    return f"<a>{_signature() * 5000}</a>".encode()


def _signature(uri: str = "", transforms: str = "") -> str:
    return (
        f'<ds:Signature xmlns:ds="{DS}"><ds:SignedInfo>'
        '<ds:CanonicalizationMethod Algorithm="http://www.w3.org/2001/10/xml-exc-c14n#"/>'
        '<ds:SignatureMethod Algorithm="http://www.w3.org/2001/04/xmldsig-more#rsa-sha256"/>'
        f'<ds:Reference URI="{uri}"><ds:Transforms>'
        f'<ds:Transform Algorithm="{DS}enveloped-signature"/>{transforms}</ds:Transforms>'
        '<ds:DigestMethod Algorithm="http://www.w3.org/2001/04/xmlenc#sha256"/>'
        f"<ds:DigestValue>{base64.b64encode(bytes(32)).decode()}</ds:DigestValue></ds:Reference></ds:SignedInfo>"
        f"<ds:SignatureValue>{base64.b64encode(bytes(256)).decode()}</ds:SignatureValue></ds:Signature>"
    )


def _zip_bomb(_url: str) -> bytes:
    return _zip(
        [("mimetype", ASIC_E.encode()), ("a.bin", bytes(150 << 20)), ("META-INF/signatures.xml", b"<x/>")]
    )


def _zip_slip(_url: str) -> bytes:
    return _zip(
        [
            ("mimetype", ASIC_E.encode()),
            ("../../etc/x", b"x"),
            ("/etc/y", b"y"),
            ("META-INF/signatures.xml", b"<x/>"),
        ]
    )


def _zip_many(_url: str) -> bytes:
    return _zip([("mimetype", ASIC_E.encode()), *((f"{n}", b"") for n in range(60_000))])


def _zip_overlapping(_url: str) -> bytes:
    """Many entries of the directory share one compressed member."""
    one = bytearray(_zip([("mimetype", ASIC_E.encode()), ("a", bytes(20 << 20))]))
    end = one.rindex(b"PK\x05\x06")
    (start,) = struct.unpack_from("<I", one, end + 16)
    entry = one.index(b"PK\x01\x02", start + 4)
    directory = one[start:entry] + one[entry:end] * 5000
    tail = struct.pack("<4sHHHHIIH", b"PK\x05\x06", 0, 0, 5001, 5001, len(directory), start, 0)
    return bytes(one[:start] + directory + tail)


def _zip_nested(_url: str) -> bytes:
    inner = _zip([("mimetype", ASIC_E.encode()), ("a.txt", b"a"), ("META-INF/signatures.xml", b"<x/>")])
    for _ in range(30):
        inner = _zip(
            [("mimetype", ASIC_E.encode()), ("a.asice", inner), ("META-INF/signatures.xml", b"<x/>")]
        )
    return inner


def _zip(members: list[tuple[str, bytes]]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            kind = zipfile.ZIP_STORED if name == "mimetype" else zipfile.ZIP_DEFLATED
            archive.writestr(name, content, kind)
    return out.getvalue()


SIGNED_DATA = bytes.fromhex("06092a864886f70d010702")


def _deep_der(_url: str) -> bytes:
    inner = b""
    for _ in range(10_000):
        inner = _tlv(0x30, inner)
    return _tlv(0x30, SIGNED_DATA + _tlv(0xA0, inner))


def _deep_indefinite(_url: str) -> bytes:
    return b"\x30\x80" + SIGNED_DATA + b"\xa0\x80" + b"\x30\x80" * 10_000 + b"\x00\x00" * 10_002


def _deep_octet_string(_url: str) -> bytes:
    content = b"\x24\x80" * 10_000 + b"\x04\x01a" + b"\x00\x00" * 10_000
    whole = (
        _tlv(0x02, b"\x01") + _tlv(0x31, b"") + _tlv(0x30, SIGNED_DATA[:-1] + b"\x01" + _tlv(0xA0, content))
    )
    return _tlv(0x30, SIGNED_DATA + _tlv(0xA0, _tlv(0x30, whole + _tlv(0x31, b""))))


def _long_der(_url: str) -> bytes:
    return b"\x30\x84\xff\xff\xff\xff" + SIGNED_DATA + bytes(1000)


def _many_signers(_url: str) -> bytes:
    data = own_documents.make(Variant("CADES", "ENVELOPING"), datetime.now(UTC)).data
    content = cms.ContentInfo.load(data)["content"]
    kept = b"".join(
        content[name].dump()
        for name in ("version", "digest_algorithms", "encap_content_info", "certificates")
    )
    signers = _tlv(0x31, content["signer_infos"][0].dump() * 3000)
    return _tlv(0x30, SIGNED_DATA + _tlv(0xA0, _tlv(0x30, kept + signers)))


def _tlv(tag: int, contents: bytes) -> bytes:
    size = len(contents)
    if size < 128:
        return bytes([tag, size]) + contents
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + contents


def _deep_json(_url: str) -> bytes:
    return b'{"payload":"eA","signatures":' + b"[" * 100_000 + b"]" * 100_000 + b"}"


def _many_json_signatures(_url: str) -> bytes:
    one = {"protected": base64.urlsafe_b64encode(b'{"alg":"RS256"}').rstrip(b"=").decode(), "signature": "eA"}
    return json.dumps({"payload": "eA", "signatures": [one] * 20_000}).encode()


def _huge_json_number(_url: str) -> bytes:
    return (
        b'{"payload":"eA","protected":"eyJhbGciOiJSUzI1NiJ9","signature":"eA","n":' + b"9" * 2_000_000 + b"}"
    )


def _key_by_url(url: str) -> bytes:
    header = json.dumps({"alg": "RS256", "x5u": url + "c", "jku": url + "k"}).encode()
    return base64.urlsafe_b64encode(header).rstrip(b"=") + b".eA.eA"


def _deep_mail(_url: str) -> bytes:
    head, tail = b"", b""
    for n in range(5000):
        head += b'Content-Type: multipart/signed; boundary="%d"\r\n\r\n--%d\r\n' % (n, n)
        tail = b"\r\n--%d--\r\n" % n + tail
    return b"From: a@b.vn\r\n" + head + tail


def _long_header(_url: str) -> bytes:
    return b"From: a@b.vn\r\nContent-Type: multipart/signed" + b'; a="b"' * 1_000_000 + b"\r\n\r\n"


def _pdf(objects: list[bytes], trailer: bytes = b"") -> bytes:
    out, offsets = bytearray(b"%PDF-1.7\n"), []
    for number, body in enumerate(objects, 1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%b\nendobj\n" % (number, body)
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    out += b"trailer\n<</Size %d/Root 1 0 R%b>>\nstartxref\n%d\n%%%%EOF\n" % (
        len(objects) + 1,
        trailer,
        start,
    )
    return bytes(out)


FIELD = b"<</FT/Sig/T(s)/V<</Type/Sig/Filter/Adobe.PPKLite/SubFilter/adbe.pkcs7.detached/ByteRange[0 1 2 3]/Contents<30>>>>>"
CATALOG = b"<</Type/Catalog/Pages 2 0 R/AcroForm<</SigFlags 3/Fields[%b]>>>>"
PAGES = b"<</Type/Pages/Count 1/Kids[3 0 R]>>"
PAGE = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]/Contents 5 0 R>>"


def _pdf_inflating(_url: str) -> bytes:
    packed = zlib.compress(zlib.compress(bytes(200 << 20), 1), 9)
    stream = b"<</Length %d/Filter[/FlateDecode/FlateDecode]>>\nstream\n%b\nendstream" % (len(packed), packed)
    return _pdf([CATALOG % b"4 0 R", PAGES, PAGE, FIELD, stream])


def _pdf_inflating_objects(_url: str) -> bytes:
    """The catalog lies in an object stream that unpacks to 200 MiB; the table of the file is a stream like it."""
    packed = zlib.compress(b"1 0 " + CATALOG % FIELD + b" " * (200 << 20), 9)
    body = b"%PDF-1.7\n"
    first = len(body)
    body += (
        b"9 0 obj\n<</Type/ObjStm/N 1/First 4/Filter/FlateDecode/Length %d>>\nstream\n%b\nendstream\nendobj\n"
        % (len(packed), packed)
    )
    second = len(body)
    rows = (
        bytes([2, 0, 0, 9, 0])
        + bytes([1])
        + first.to_bytes(3, "big")
        + b"\0"
        + bytes([1])
        + second.to_bytes(3, "big")
        + b"\0"
    )
    body += (
        b"10 0 obj\n<</Type/XRef/Size 11/Root 1 0 R/W[1 3 1]/Index[1 1 9 2]/Length %d>>\nstream\n%b\nendstream\nendobj\n"
        % (len(rows), rows)
    )
    return body + b"startxref\n%d\n%%%%EOF\n" % second


def _pdf_table_loop(_url: str) -> bytes:
    whole = _pdf([CATALOG % b"4 0 R", PAGES, PAGE, FIELD])
    start = int(re.findall(rb"startxref\n(\d+)", whole)[-1])
    return whole.replace(b"/Root 1 0 R", b"/Root 1 0 R/Prev %d" % start)


def _pdf_huge_table(_url: str) -> bytes:
    return _pdf([CATALOG % b"4 0 R", PAGES, PAGE, FIELD], b"/Size 2000000000").replace(
        b"xref\n0 5", b"xref\n0 2000000000"
    )


def _pdf_page_loop(_url: str) -> bytes:
    return _pdf(
        [CATALOG % b"4 0 R", b"<</Type/Pages/Count 9/Kids[2 0 R 2 0 R 2 0 R]/Parent 2 0 R>>", PAGE, FIELD]
    )


def _pdf_field_loop(_url: str) -> bytes:
    return _pdf([CATALOG % b"4 0 R", PAGES, PAGE, b"<</T(s)/FT/Sig/Kids[4 0 R 4 0 R]/Parent 4 0 R>>"])


def _pdf_reference_loop(_url: str) -> bytes:
    return _pdf([CATALOG % b"4 0 R", PAGES, PAGE, b"5 0 R", b"4 0 R"])


def _pdf_deep_array(_url: str) -> bytes:
    return _pdf([CATALOG % (b"[" * 100_000 + b"]" * 100_000), PAGES, PAGE])


def _pdf_many_signatures(_url: str) -> bytes:
    return _pdf([CATALOG % (b" ".join(b"%d 0 R" % n for n in range(4, 504))), PAGES, PAGE, *[FIELD] * 500])


def _pdf_many_revisions(_url: str) -> bytes:
    data = own_documents.make(Variant("PADES", "ENVELOPED"), datetime.now(UTC)).data
    previous = int(re.findall(rb"startxref\s+(\d+)", data)[-1])
    out = bytearray(data)
    for _ in range(3000):
        start = len(out)
        out += b"xref\n0 0\ntrailer\n<</Size 12/Root 1 0 R/Prev %d>>\nstartxref\n%d\n%%%%EOF\n" % (
            previous,
            start,
        )
        previous = start
    return bytes(out)


BOMBS: dict[str, Bomb] = {
    "entities": _entities,
    "long_entity": _long_entity,
    "outer_entity": _outer_entity,
    "parameter_entity": _parameter_entity,
    "style_sheet": _style_sheet,
    "include": _include,
    "outer_reference": _outer_reference,
    "xslt": _xslt,
    "xpath": _xpath,
    "many_transforms": _many_transforms,
    "deep_xml": _deep_xml,
    "many_attributes": _many_attributes,
    "many_namespaces": _many_namespaces,
    "long_namespace": _long_namespace,
    "many_references": _many_references,
    "many_xml_signatures": _many_xml_signatures,
    "zip_bomb": _zip_bomb,
    "zip_slip": _zip_slip,
    "zip_many": _zip_many,
    "zip_overlapping": _zip_overlapping,
    "zip_nested": _zip_nested,
    "deep_der": _deep_der,
    "deep_indefinite": _deep_indefinite,
    "deep_octet_string": _deep_octet_string,
    "long_der": _long_der,
    "many_signers": _many_signers,
    "deep_json": _deep_json,
    "many_json_signatures": _many_json_signatures,
    "huge_json_number": _huge_json_number,
    "key_by_url": _key_by_url,
    "deep_mail": _deep_mail,
    "long_header": _long_header,
    "pdf_inflating": _pdf_inflating,
    "pdf_inflating_objects": _pdf_inflating_objects,
    "pdf_table_loop": _pdf_table_loop,
    "pdf_huge_table": _pdf_huge_table,
    "pdf_page_loop": _pdf_page_loop,
    "pdf_field_loop": _pdf_field_loop,
    "pdf_reference_loop": _pdf_reference_loop,
    "pdf_deep_array": _pdf_deep_array,
    "pdf_many_signatures": _pdf_many_signatures,
    "pdf_many_revisions": _pdf_many_revisions,
}


def document(name: str, url: str) -> SubmittedDocument:
    """Make one."""
    return SubmittedDocument(BOMBS[name](url))
