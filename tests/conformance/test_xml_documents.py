"""XML documents of the corpora: signed or refused, earlier signatures kept, and others' time-stamps over what we compute."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import zipfile
from functools import cache
from io import BytesIO
from pathlib import Path

import pytest
from lxml import etree

from services.kernel.errors import DocumentDamaged, DocumentLocked, DomainError, TargetInvalid
from services.signer.formats import xades_levels, xades_view, xml_document
from services.signer.formats.errors import SelfCheckFailed
from services.signer.formats.format import Document, Signed
from services.signer.formats.pades_token import imprint
from services.signer.formats.parameters import Level
from services.signer.formats.xades import XmlSignature
from services.signer.formats.xml_references import References
from tests.support import stamping
from tests.support.document_signers import signed, signer
from tests.support.xml_tools import DS

CORPORA = Path(os.environ["CORPORA"])
XADES, XMLDSIG = XmlSignature(qualified=True), XmlSignature(qualified=False)
SIGNATURE = f"{{{DS}}}Signature"
ALTERED = {
    "xades-lta-copied-atst.xml",
    "IB-3960_bdoc2.1_TSA_SignatureValue_altered.bdoc",
    "InvalidAndValidSignatures.asice",
    "container-with-xmlns-manifest-namespace.asice",
}
"""Files with a time-stamp over something else: made so, or (the last) naming no canonical form and using another."""
CONTENT_MISSING = {"Signature-X-PT-4.xml", "removed-doc.asics"}


@cache
def files() -> dict[str, Path]:
    """Return the XML files by name within the corpora."""
    found = sorted((CORPORA / "files").rglob("*.xml"))
    assert found, f"no XML file lies under {CORPORA}: set CORPORA to the folder of the corpora"
    return {path.relative_to(CORPORA).as_posix(): path for path in found}


@cache
def expected() -> dict[str, str]:
    """Return the verdict that each signed document of the corpora must get, by its name within them."""
    records = json.loads((CORPORA / "manifest.json").read_text("utf-8"))
    return {record["file"]: record["expected"] for record in records}


@cache
def containers() -> dict[str, Path]:
    """Return the ASiC containers by name within the corpora."""
    kinds = ("*.asic*", "*.bdoc", "*.sce", "*.scs")
    found = sorted(path for kind in kinds for path in (CORPORA / "files").rglob(kind))
    return {path.relative_to(CORPORA).as_posix(): path for path in found if zipfile.is_zipfile(path)}


def verdicts(folder: Path, data: bytes) -> list[bool]:
    """Ask xmlsec1 about every signature of a document, whatever its certificate is worth."""
    (folder / "judged.xml").write_bytes(data)
    root = etree.fromstring(data)
    ids: set[str] = set()
    for element in root.iter("*"):
        name = etree.QName(element)
        if element.get("Id"):
            ids.add(f"{name.namespace}:{name.localname}" if name.namespace else name.localname)
    options = [option for element in sorted(ids) for option in ("--id-attr:Id", element)]
    found = []
    for number in range(1, len(list(root.iter(SIGNATURE))) + 1):
        path = f"(//*[local-name()='Signature' and namespace-uri()='{DS}'])[{number}]"
        command = ["xmlsec1", "--verify", "--insecure", "--node-xpath", path, *options, "judged.xml"]
        done = subprocess.run(command, capture_output=True, check=False, cwd=folder)
        found.append(done.returncode == 0)
    return found


def require_reason(error: DocumentDamaged, reasons: set[str]) -> None:
    assert error.data["reason"] in reasons


@pytest.mark.parametrize("name", files())
def test_a_document_is_signed_and_verified_or_refused_with_the_reason(name: str, tmp_path: Path) -> None:
    data, who = files()[name].read_bytes(), signer()
    try:
        out = signed(XMLDSIG, data, who, who.parameters(form="XMLDSIG"))
    except DocumentDamaged as error:
        require_reason(error, {"dtd", "encoding", "syntax"})
        return
    except TargetInvalid:
        # The root is a signature itself.
        assert etree.fromstring(data).tag == SIGNATURE
        return
    except DocumentLocked:
        # One of its signatures takes only itself out of what it is over.
        assert b"enveloped-signature" in data or b"xmldsig-filter2" in data
        return
    before, after = verdicts(tmp_path, data), verdicts(tmp_path, out)
    root = etree.fromstring(out)
    own = [
        index
        for index, each in enumerate(root.iter(SIGNATURE))
        if each.getparent() is root and str(each.get("Id")).startswith("sig-")
    ][-1]
    assert after.pop(own)
    assert after == before


@pytest.mark.parametrize("name", files())
def test_a_signed_document_gets_a_time_stamp_and_its_signatures_keep_their_verdict(
    name: str, tmp_path: Path
) -> None:
    data = files()[name].read_bytes()
    try:
        extended = stamping.raise_to(XADES, Signed(Document.of(data), b""), Level.B_T) or data
    except DocumentDamaged as error:
        broken = {"digest", "signature"} if expected().get(name) != "valid" else set()
        require_reason(error, {"format", "dtd", "encoding", "syntax"} | broken)
        return
    assert verdicts(tmp_path, extended) == verdicts(tmp_path, data)


def differing(data: bytes, contents: tuple[Document, ...] = ()) -> tuple[int, list[str]]:
    """Count the time-stamps of a document that are over what we compute; name those that are not."""
    right, wrong = 0, []
    try:
        document = xml_document.read(data)
        found = xades_view.found_in(document.root)
    except DomainError:
        return 0, []
    read = References(data, document.root, contents)
    for signature in found:
        for stamp in (*signature.signature_time_stamps, *signature.archive_time_stamps):
            for token in xades_view.tokens(stamp):
                try:
                    algorithm, value = imprint(token)
                except SelfCheckFailed:
                    continue  # by SHA-1: too old to be asked about
                running = hashlib.new(algorithm)
                try:
                    xades_levels.feed_stamped(read, signature, stamp, running)
                except DomainError as error:
                    wrong.append(error.code)
                    continue
                if running.digest() == value:
                    right += 1
                else:
                    wrong.append(etree.QName(stamp).localname)
    return right, wrong


def test_the_time_stamps_of_others_are_over_what_we_compute() -> None:
    total = 0
    suspects: dict[str, list[str]] = {}
    for name, path in files().items():
        right, wrong = differing(path.read_bytes())
        total += right
        if wrong:
            suspects[Path(name).name] = wrong
    for name, path in containers().items():
        with zipfile.ZipFile(path) as archive:
            members = {member: archive.read(member) for member in archive.namelist()}
        for member, data in members.items():
            if not (member.startswith("META-INF/") and "signatures" in member and member.endswith(".xml")):
                continue
            others = {other: content for other, content in members.items() if other != member}
            contents = tuple(Document(BytesIO(each), len(each), other) for other, each in others.items())
            right, wrong = differing(data, contents)
            total += right
            if wrong:
                suspects[Path(name).name] = wrong
    assert suspects.keys() == ALTERED | CONTENT_MISSING
    assert total >= 70
