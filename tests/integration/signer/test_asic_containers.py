"""ASiC containers, judged by unzip, zipinfo, xmlsec1 and openssl."""

from __future__ import annotations

import base64
import hashlib
import re
import subprocess
import zipfile
from dataclasses import replace
from io import BytesIO
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from lxml import etree

from services.kernel.values import DigestAlgorithm, KeyAlgorithm, SignatureScheme, SigningAlgorithm
from services.signer.formats.asic import Asic
from services.signer.formats.format import Document, Role, Signed
from services.signer.formats.parameters import Level
from tests.support import stamping
from tests.support.document_signers import (
    RSA_SHA256,
    TestSigner,
    authority,
    openssl_cms_verify,
    signer,
)

if TYPE_CHECKING:
    from pathlib import Path

    from services.signer.formats.asic_container import Kind

FIRST = "Tờ trình số 15/2026\n".encode() * 30
SECOND = b"phu luc: 1, 2, 3\n"
NAMES = ("Tờ trình số 15.txt", "phụ lục/bảng kê: 1.csv")
DS = "{http://www.w3.org/2000/09/xmldsig#}"
ASIC = "{http://uri.etsi.org/02918/v1.2.1#}"


def contents(kind: Kind) -> Document:
    first = Document(BytesIO(FIRST), len(FIRST), NAMES[0], "text/plain")
    second = Document(BytesIO(SECOND), len(SECOND), NAMES[1], "text/csv")
    return first if kind == "ASIC_S" else replace(first, others=(second,))


def sign(
    document: Document,
    kind: Kind,
    signature: str,
    who: TestSigner | None = None,
    algorithm: SigningAlgorithm = RSA_SHA256,
    **options: Any,
) -> bytes:
    who = who or signer()
    parameters = who.parameters(algorithm, kind, asic_signature=signature, **options)
    prepared = Asic(kind).prepare(document, parameters)
    value = who.sign(prepared.digest, algorithm)
    return Asic(kind).complete(document, parameters, prepared.state, value)


def unpacked(data: bytes, folder: Path) -> Path:
    """Unpack with Info-ZIP, which tests every checksum."""
    (folder / "container.zip").write_bytes(data)
    where = folder / "unpacked"
    test = ["unzip", "-t", str(folder / "container.zip")]
    assert b"No errors detected" in subprocess.run(test, capture_output=True, check=True).stdout
    with zipfile.ZipFile(BytesIO(data)) as archive:
        archive.extractall(where)
    return where


def xmlsec1_verify(where: Path, name: str) -> str:
    """Ask xmlsec1; "" where it verifies. References to files are read from the folder."""
    (where / "ca.pem").write_bytes(authority()[1].public_bytes(Encoding.PEM))
    command = ["xmlsec1", "--verify", "--enabled-key-data", "x509", "--trusted-pem", "ca.pem"]
    command += ["--id-attr:Id", "http://uri.etsi.org/01903/v1.3.2#:SignedProperties", name]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=where)
    return "" if done.returncode == 0 else done.stderr or "failed"


KINDS: list[Kind] = ["ASIC_S", "ASIC_E"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("signature", ["XADES", "CADES"])
def test_the_container_begins_with_its_media_type_and_unpacks(
    kind: Kind, signature: str, tmp_path: Path
) -> None:
    data = sign(contents(kind), kind, signature)
    media_type = b"application/vnd.etsi.asic-%s+zip" % kind[-1].lower().encode()
    # EN 319 162-1 annex A.1: the media type stands at a fixed place of the file.
    assert data[30 : 38 + len(media_type)] == b"mimetype" + media_type
    where = unpacked(data, tmp_path)
    listed = subprocess.run(
        ["zipinfo", str(tmp_path / "container.zip")], capture_output=True, check=True
    ).stdout.splitlines()
    assert re.search(rb" stor .* mimetype$", listed[2])
    assert (where / NAMES[0]).read_bytes() == FIRST
    folder = sorted(path.name for path in (where / "META-INF").iterdir())
    assert (
        folder
        == {
            ("ASIC_S", "XADES"): ["signatures.xml"],
            ("ASIC_S", "CADES"): ["signature.p7s"],
            ("ASIC_E", "XADES"): ["manifest.xml", "signatures001.xml"],
            ("ASIC_E", "CADES"): ["ASiCManifest001.xml", "signature001.p7s"],
        }[kind, signature]
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "algorithm",
    [
        (KeyAlgorithm.RSA_2048, RSA_SHA256),
        (KeyAlgorithm.ECDSA_P384, SigningAlgorithm(SignatureScheme.ECDSA, DigestAlgorithm.SHA384)),
    ],
)
def test_xmlsec1_verifies_the_signature_over_the_unpacked_files(
    kind: Kind, algorithm: tuple[KeyAlgorithm, SigningAlgorithm], tmp_path: Path
) -> None:
    where = unpacked(sign(contents(kind), kind, "XADES", signer(algorithm[0]), algorithm[1]), tmp_path)
    name = "META-INF/signatures.xml" if kind == "ASIC_S" else "META-INF/signatures001.xml"
    root = etree.parse(where / name).getroot()
    # Section 4.3.3.2: the root is XAdESSignatures, and names are relative to the container's root.
    assert root.tag == f"{ASIC}XAdESSignatures"
    uris = [one.get("URI") or "" for one in root.iter(f"{DS}Reference")]
    assert [unquote(uri) for uri in uris[:-1]] == list(NAMES[: 1 if kind == "ASIC_S" else 2])
    assert all(uri.isascii() and ":" not in uri for uri in uris)
    signature = etree.tostring(root)
    (where / "signature.xml").write_bytes(signature)
    assert xmlsec1_verify(where, "signature.xml") == ""
    (where / NAMES[0]).write_bytes(FIRST + b"x")
    assert xmlsec1_verify(where, "signature.xml") != ""


def test_openssl_verifies_the_cades_signature_over_the_content(tmp_path: Path) -> None:
    where = unpacked(sign(contents("ASIC_S"), "ASIC_S", "CADES"), tmp_path)
    container = (where / "META-INF/signature.p7s").read_bytes()
    assert openssl_cms_verify(tmp_path, container, FIRST) == ""
    assert openssl_cms_verify(tmp_path, container, FIRST + b"x") != ""


def test_openssl_verifies_the_cades_signature_over_the_manifest(tmp_path: Path) -> None:
    where = unpacked(sign(contents("ASIC_E"), "ASIC_E", "CADES"), tmp_path)
    manifest = (where / "META-INF/ASiCManifest001.xml").read_bytes()
    container = (where / "META-INF/signature001.p7s").read_bytes()
    assert openssl_cms_verify(tmp_path, container, manifest) == ""
    reference, *entries = etree.fromstring(manifest)
    assert (reference.tag, reference.get("URI")) == (f"{ASIC}SigReference", "META-INF/signature001.p7s")
    found = manifest_digests(manifest)
    assert found == {
        name: hashlib.sha256(data).digest() for name, data in zip(NAMES, (FIRST, SECOND), strict=True)
    }
    assert [entry.get("MimeType") for entry in entries] == ["text/plain", "text/csv"]


def manifest_digests(manifest: bytes) -> dict[str, bytes]:
    """Read an ASiCManifest by its schema (annex A.4)."""
    return {
        unquote(entry.get("URI") or ""): base64.b64decode(entry.findtext(f"{DS}DigestValue") or "")
        for entry in etree.fromstring(manifest).iterfind(f"{ASIC}DataObjectReference")
    }


def openssl_cms_content(folder: Path, token: bytes) -> bytes:
    """Let openssl verify a CMS that holds its content; return the content."""
    (folder / "token.der").write_bytes(token)
    (folder / "ca.pem").write_bytes(authority()[1].public_bytes(Encoding.PEM))
    command = ["openssl", "cms", "-verify", "-binary", "-inform", "DER", "-in", str(folder / "token.der")]
    command += ["-CAfile", str(folder / "ca.pem"), "-purpose", "any"]
    return subprocess.run(command, capture_output=True, check=True).stdout


def test_the_same_signature_gives_the_same_container() -> None:
    assert sign(contents("ASIC_E"), "ASIC_E", "CADES") == sign(contents("ASIC_E"), "ASIC_E", "CADES")


@pytest.mark.parametrize("signature", ["XADES", "CADES"])
def test_one_more_signature_leaves_the_first_as_it_is(signature: str, tmp_path: Path) -> None:
    existing = sign(contents("ASIC_E"), "ASIC_E", signature)
    second = signer(KeyAlgorithm.RSA_3072, "Trần Thị Kiểm")
    sent = Document(BytesIO(existing), len(existing), role=Role.SIGNATURE)
    both = sign(sent, "ASIC_E", signature, second)
    where = unpacked(both, tmp_path)
    with zipfile.ZipFile(BytesIO(existing)) as before, zipfile.ZipFile(BytesIO(both)) as after:
        assert after.namelist()[: len(before.namelist())] == before.namelist()
        assert all(before.read(name) == after.read(name) for name in before.namelist())
    if signature == "XADES":
        for name in ("signatures001.xml", "signatures002.xml"):
            (where / name).write_bytes((where / "META-INF" / name).read_bytes())
            assert xmlsec1_verify(where, name) == ""
        return
    for number in (1, 2):
        container = (where / f"META-INF/signature00{number}.p7s").read_bytes()
        manifest = (where / f"META-INF/ASiCManifest00{number}.xml").read_bytes()
        assert openssl_cms_verify(tmp_path, container, manifest) == ""
    # Only the new signature is raised.
    raised = stamping.raise_to(Asic("ASIC_E"), Signed(sent, both), Level.B_T)
    with zipfile.ZipFile(BytesIO(raised)) as after, zipfile.ZipFile(BytesIO(both)) as before:
        same = [name for name in before.namelist() if before.read(name) == after.read(name)]
        assert set(before.namelist()) - set(same) == {"META-INF/signature002.p7s"}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("signature", ["XADES", "CADES"])
@pytest.mark.parametrize("level", [Level.B_T, Level.B_LT, Level.B_LTA])
def test_each_level_is_reached_and_the_signature_stays_valid(
    kind: Kind, signature: str, level: Level, tmp_path: Path
) -> None:
    made = sign(contents(kind), kind, signature, level=level)
    finished = stamping.raise_to(Asic(kind), Signed(contents(kind), made), level)
    extended = stamping.raise_to(Asic(kind), Signed(Document.of(made)), level)
    for number, data in enumerate((finished, extended)):
        folder = tmp_path / str(number)
        folder.mkdir()
        where = unpacked(data, folder)
        if signature == "XADES":
            name = "signatures.xml" if kind == "ASIC_S" else "signatures001.xml"
            (where / name).write_bytes((where / "META-INF" / name).read_bytes())
            assert xmlsec1_verify(where, name) == ""
            continue
        name = "signature.p7s" if kind == "ASIC_S" else "signature001.p7s"
        covered = where / (NAMES[0] if kind == "ASIC_S" else "META-INF/ASiCManifest001.xml")
        container = (where / "META-INF" / name).read_bytes()
        assert openssl_cms_verify(folder, container, covered.read_bytes()) == ""


@pytest.mark.parametrize("digest", DigestAlgorithm)
def test_the_archive_time_stamp_is_over_a_manifest_of_everything(
    digest: DigestAlgorithm, tmp_path: Path
) -> None:
    made = sign(contents("ASIC_E"), "ASIC_E", "CADES", level=Level.B_LTA)
    finished = stamping.raise_to(Asic("ASIC_E"), Signed(contents("ASIC_E"), made), Level.B_LTA, digest)
    with zipfile.ZipFile(BytesIO(finished)) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    manifest = files["META-INF/ASiCArchiveManifest.xml"]
    token = files["META-INF/timestamp001.tst"]
    # Annex A.7: the time-stamp is over the manifest's bytes, the manifest over all that is to be kept.
    assert stamping.openssl_ts_verify(tmp_path, token, stamping.imprint(manifest, digest)) == ""
    beside = {"mimetype", "META-INF/ASiCArchiveManifest.xml", "META-INF/timestamp001.tst"}
    assert manifest_digests(manifest) == {
        name: hashlib.new(digest.hashlib_name, data).digest()
        for name, data in files.items()
        if name not in beside
    }
    reference = etree.fromstring(manifest).find(f"{ASIC}SigReference")
    assert reference is not None
    assert reference.get("URI") == "META-INF/timestamp001.tst"


def test_an_archive_is_renewed_by_one_more_manifest_over_the_one_before(tmp_path: Path) -> None:
    made = sign(contents("ASIC_E"), "ASIC_E", "CADES", level=Level.B_LTA)
    first = stamping.raise_to(Asic("ASIC_E"), Signed(contents("ASIC_E"), made), Level.B_LTA)
    second = stamping.raise_to(Asic("ASIC_E"), Signed(Document.of(first)), Level.B_LTA)
    with zipfile.ZipFile(BytesIO(first)) as archive:
        before = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(BytesIO(second)) as archive:
        after = {name: archive.read(name) for name in archive.namelist()}
    renamed, newest = "META-INF/ASiCArchiveManifest001.xml", "META-INF/ASiCArchiveManifest.xml"
    assert after[renamed] == before[newest]
    # The time-stamp before the new one got its own revocation values; it still is over its manifest. An OCSP response
    # in a token (RFC 5940) is more than `openssl ts` reads, so `openssl cms` judges it.
    old, new = after["META-INF/timestamp001.tst"], after["META-INF/timestamp002.tst"]
    assert len(old) > len(before["META-INF/timestamp001.tst"])
    assert stamping.imprint(after[renamed]) in openssl_cms_content(tmp_path, old)
    assert stamping.openssl_ts_verify(tmp_path, new, stamping.imprint(after[newest])) == ""
    covered = manifest_digests(after[newest])
    for name in (renamed, "META-INF/timestamp001.tst", "META-INF/signature001.p7s", *NAMES):
        assert covered[name] == hashlib.sha256(after[name]).digest()
    roots = [
        one.get("URI")
        for one in etree.fromstring(after[newest]).iterfind(f"{ASIC}DataObjectReference")
        if one.get("Rootfile") == "true"
    ]
    assert roots == [renamed]
