"""Foreign judges of XML signatures: xmlsec1, openssl, and Python's own canonicalisation, which is not libxml2's."""

from __future__ import annotations

import base64
import re
import subprocess
from io import StringIO
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from tests.support.document_signers import authority, signer

if TYPE_CHECKING:
    from pathlib import Path

DS = "http://www.w3.org/2000/09/xmldsig#"
XADES = "http://uri.etsi.org/01903/v1.3.2#"
XADES141 = "http://uri.etsi.org/01903/v1.4.1#"
PREFIXES = {"ds": DS, "xades": XADES, "xades141": XADES141}

DECLARATION = """<?xml version="1.0" encoding="UTF-8"?>
<?to-khai kieu="01/GTGT"?>
<!-- Cục Thuế -->
<HSoThueDTu xmlns="http://kekhaithue.gdt.gov.vn/TKhaiThue" xmlns:k='urn:kho'
            b = "2"  a='1'>
  <HSoKhaiThue id="ID_1">
    <tenNNT>Công ty TNHH Thử Nghiệm &amp; Đối Tác</tenNNT>
    <k:ghiChu xml:lang="vi"><![CDATA[<không phải phần tử> & ]]> &#x1EA0; <!-- trong tờ khai --></k:ghiChu>
    <rong/><tien don-vi="đồng">1.000.000</tien>
  </HSoKhaiThue>
  <CKyDTu/>
</HSoThueDTu>
<!-- hết -->
""".replace("\n", "\r\n").encode()
"""A declaration as they are filed: lines end with CR LF, the target has an id, signatures go into CKyDTu."""


def xmlsec_verify(folder: Path, document: bytes, *, signature: int = 1, ids: tuple[str, ...] = ()) -> str:
    """Ask xmlsec1 about one of a document's signatures; return "" where it verifies, else what it complained of.

    `ids` are further attributes that are ids, as "attribute namespace:element"; files beside it lie in the folder.
    """
    done = _xmlsec(folder, document, signature, ids)
    return "" if done.returncode == 0 else done.stderr.decode(errors="replace") or "failed"


def xmlsec_hashed(
    folder: Path, document: bytes, *, signature: int = 1, ids: tuple[str, ...] = ()
) -> list[bytes]:
    """Return what xmlsec1 hashed for each reference of one of a document's signatures, in order."""
    done = _xmlsec(folder, document, signature, ids, "--store-references")
    assert done.returncode == 0, done.stderr
    return _HASHED.findall(done.stdout)


_HASHED = re.compile(rb"== PreDigest data - start buffer:\n(.*?)\n== PreDigest data - end buffer", re.DOTALL)


def _xmlsec(
    folder: Path, document: bytes, signature: int, ids: tuple[str, ...], *options: str
) -> subprocess.CompletedProcess[bytes]:
    (folder / "ca.pem").write_bytes(authority()[1].public_bytes(Encoding.PEM))
    (folder / "signed.xml").write_bytes(document)
    command = ["xmlsec1", "--verify", "--trusted-pem", "ca.pem", *options]
    command += ["--node-xpath", f"(//*[local-name()='Signature' and namespace-uri()='{DS}'])[{signature}]"]
    known = (f"Id {XADES}:SignedProperties", f"Id {DS}:Object")
    for attribute, element in (entry.split(" ") for entry in (*known, *ids)):
        command += [f"--id-attr:{attribute}", element]
    return subprocess.run([*command, "signed.xml"], capture_output=True, check=False, cwd=folder)


def xmlsec_signed(
    folder: Path, document: bytes, transforms: str, uri: str = "", root: str = "HSoThueDTu"
) -> bytes:
    """Sign by xmlsec1, as the root's last child: inclusive canonicalisation, no prefix, transforms as given."""
    who = signer()
    pem = who.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / "key.pem").write_bytes(pem)
    certificate = base64.b64encode(who.chain[0]).decode()
    template = (
        f'<Signature xmlns="{DS}"><SignedInfo>'
        '<CanonicalizationMethod Algorithm="http://www.w3.org/TR/2001/REC-xml-c14n-20010315"/>'
        '<SignatureMethod Algorithm="http://www.w3.org/2001/04/xmldsig-more#rsa-sha256"/>'
        f'<Reference URI="{uri}"><Transforms>{transforms}</Transforms>'
        '<DigestMethod Algorithm="http://www.w3.org/2001/04/xmlenc#sha256"/><DigestValue/></Reference>'
        "</SignedInfo><SignatureValue/><KeyInfo><X509Data>"
        f"<X509Certificate>{certificate}</X509Certificate></X509Data></KeyInfo></Signature></{root}>"
    )
    (folder / "template.xml").write_bytes(document.replace(f"</{root}>".encode(), template.encode()))
    command = ["xmlsec1", "--sign", "--privkey-pem", "key.pem", "--output", "by-xmlsec.xml", "--id-attr:id"]
    command += ["http://kekhaithue.gdt.gov.vn/TKhaiThue:HSoKhaiThue", "template.xml"]
    subprocess.run(command, check=True, cwd=folder, capture_output=True)
    return (folder / "by-xmlsec.xml").read_bytes()


def element_text(document: str, name: str, *, after: int = 0) -> str:
    """Cut an element out of text by its qualified name, with the declarations of our prefixes put in."""
    match = re.compile(rf"<{name}[ >].*?</{name}>", re.DOTALL).search(document, after)
    assert match is not None, name
    return match[0]


def canonical(text: str) -> bytes:
    """Write an element in exclusive canonical form by Python's own code (Canonical XML 2.0 is the same for our texts).

    Prefixes of XMLDSig and XAdES that the text uses and does not declare are declared first.
    """
    tag = re.match(r"<[^>]*", text)
    assert tag is not None
    missing = [
        f' xmlns:{prefix}="{uri}"'
        for prefix, uri in PREFIXES.items()
        if re.search(rf"[</]{prefix}:", text) and f"xmlns:{prefix}=" not in tag[0]
    ]
    declared = tag[0] + "".join(missing) + text[tag.end() :]
    out = StringIO()
    ET.canonicalize(declared, out=out)
    return out.getvalue().encode()


def openssl_verify(folder: Path, certificate: bytes, data: bytes, signature: bytes, *options: str) -> str:
    """Ask openssl about a signature value over data; return "" where it verifies."""
    key = x509.load_der_x509_certificate(certificate).public_key()
    pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    for name, content in (("key.pem", pem), ("data", data), ("signature", signature)):
        (folder / name).write_bytes(content)
    command = ["openssl", "dgst", *options, "-verify", "key.pem", "-signature", "signature", "data"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
    return "" if done.returncode == 0 else done.stdout + done.stderr
