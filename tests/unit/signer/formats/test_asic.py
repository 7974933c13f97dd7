"""ASiC: what a container cannot hold, what is refused, and that nothing leaves that does not verify."""

from __future__ import annotations

import re
import zipfile
from dataclasses import replace
from io import BytesIO
from typing import TYPE_CHECKING, Any

import pytest

from services.kernel.errors import BodyTooLarge, DocumentDamaged, DocumentLocked, FieldInvalid
from services.kernel.values import Digest, DigestAlgorithm, KeyAlgorithm
from services.signer.formats import asic, asic_manifest
from services.signer.formats.asic import Asic
from services.signer.formats.asic_container import Container
from services.signer.formats.errors import SelfCheckFailed
from services.signer.formats.format import Document, Role, Signed
from services.signer.formats.parameters import Level
from tests.support import stamping
from tests.support.document_signers import TestSigner, signer

if TYPE_CHECKING:
    from services.signer.formats.asic_container import Kind

CONTENT = b"noi dung\n" * 50
KINDS: list[Kind] = ["ASIC_S", "ASIC_E"]
FORMS = ["XADES", "CADES"]


def files(*names: str, content: bytes = CONTENT, role: Role = Role.CONTENT) -> Document:
    made = [Document(BytesIO(content), len(content), name, role=role) for name in names]
    return replace(made[0], others=tuple(made[1:]))


def sign(
    document: Document, kind: Kind, form: str = "CADES", who: TestSigner | None = None, **options: Any
) -> bytes:
    who = who or signer()
    parameters = who.parameters(form=kind, asic_signature=form, **options)
    prepared = Asic(kind).prepare(document, parameters)
    return Asic(kind).complete(document, parameters, prepared.state, who.sign(prepared.digest))


def again(container: bytes) -> Document:
    return files("container.asice", content=container, role=Role.SIGNATURE)


REFUSED: dict[str, tuple[Document, Kind, str]] = {
    "two files in ASiC-S": (files("a", "b"), "ASIC_S", "holds one content, got 2"),
    "too many files": (files(*(f"{number}" for number in range(256))), "ASIC_E", "1 to 255 contents"),
    "no file": (again(b""), "ASIC_S", "cannot be read"),
    "no name": (files(""), "ASIC_S", "needs a name"),
    "a slip": (files("../a"), "ASIC_E", r"\.\."),
    "an absolute name": (files("/a"), "ASIC_E", "absolute"),
    "a backslash": (files("a\\b"), "ASIC_E", "backslash"),
    "the container's own folder": (files("META-INF/signatures.xml"), "ASIC_E", "container's own"),
    "the container's own file": (files("mimetype"), "ASIC_E", "container's own"),
    "the same name": (files("a", "a"), "ASIC_E", "are one"),
    "the same name by case": (files("Tờ.pdf", "tờ.PDF"), "ASIC_E", "are one"),
    "an image": (replace(files("a"), others=(files("b", role=Role.IMAGE),)), "ASIC_E", "no image"),
    "a container and contents": (
        replace(files("a"), others=(again(b"PK"),)),
        "ASIC_E",
        "send nothing else",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_a_container_cannot_hold_is_refused(name: str) -> None:
    document, kind, reason = REFUSED[name]
    with pytest.raises((FieldInvalid, DocumentDamaged), match=reason):
        sign(document, kind)


def test_contents_are_bounded_together() -> None:
    half = asic.MAX_CONTENT_BYTES // 2 + 1
    document = replace(Document(BytesIO(b""), half, "a"), others=(Document(BytesIO(b""), half, "b"),))
    with pytest.raises(BodyTooLarge, match="25165824 bytes together"):
        sign(document, "ASIC_E")


def test_a_digest_is_not_enough_for_a_container() -> None:
    known = Digest(DigestAlgorithm.SHA256, bytes(32))
    with pytest.raises(FieldInvalid, match="send the contents"):
        sign(Document(BytesIO(b""), 0, "a", known_digest=known), "ASIC_S")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("form", FORMS)
def test_a_value_of_another_key_is_not_released(kind: Kind, form: str) -> None:
    parameters = signer().parameters(form=kind, asic_signature=form)
    prepared = Asic(kind).prepare(files("a"), parameters)
    other = signer(KeyAlgorithm.RSA_3072).sign(prepared.digest)
    with pytest.raises(SelfCheckFailed):
        Asic(kind).complete(files("a"), parameters, prepared.state, other)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("form", FORMS)
def test_a_content_that_changed_between_the_steps_is_not_released(kind: Kind, form: str) -> None:
    who = signer()
    parameters = who.parameters(form=kind, asic_signature=form)
    prepared = Asic(kind).prepare(files("a"), parameters)
    with pytest.raises(SelfCheckFailed):
        Asic(kind).complete(
            files("a", content=CONTENT + b"x"), parameters, prepared.state, who.sign(prepared.digest)
        )


def test_a_container_can_be_a_content() -> None:
    inside = sign(files("a", "b"), "ASIC_E")
    made = sign(files("inside.asice", content=inside), "ASIC_E")
    raised = stamping.raise_to(
        Asic("ASIC_E"), Signed(files("inside.asice", content=inside), made), Level.B_LTA
    )
    container = Container.read(raised)
    assert container.contents == ["inside.asice"]
    assert container.get("inside.asice") == inside


def test_one_more_signature_is_of_the_same_kind_in_an_asice_container() -> None:
    existing = sign(files("a", "b"), "ASIC_E", "CADES")
    with pytest.raises(FieldInvalid, match="take CADES"):
        sign(again(existing), "ASIC_E", "XADES")
    with pytest.raises(FieldInvalid, match="ASiC-E"):
        sign(again(existing), "ASIC_S", "CADES")
    with pytest.raises(FieldInvalid, match="ASiC-E"):
        sign(again(sign(files("a"), "ASIC_S")), "ASIC_S")


def _with(container: bytes, **changed: bytes | None) -> bytes:
    """Write a container anew with other members; None leaves one out."""
    found = Container.read(container)
    names = {name.replace("/", "_").replace(".", "_").replace("-", "_"): name for name in found.members}
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("mimetype", changed.pop("mimetype", None) or b"application/vnd.etsi.asic-e+zip")
        for key, name in names.items():
            data = changed.pop(key, found.get(name))
            if data is not None:
                archive.writestr(name, data)
        for key, data in changed.items():
            archive.writestr(key, data or b"")
    return buffer.getvalue()


MADE = sign(files("a", "b"), "ASIC_E", "CADES")
HOSTILE: dict[str, tuple[bytes, str]] = {
    "another media type": (_with(MADE, mimetype=b"application/epub+zip"), "neither ASiC-S nor ASiC-E"),
    "a long media type": (_with(MADE, mimetype=b"x" * 200), "no media type"),
    "no content": (_with(MADE, a=None, b=None), "no content"),
    "no signature": (_with(MADE, META_INF_signature001_p7s=None), "no signature"),
    "two contents in ASiC-S": (_with(MADE, mimetype=b"application/vnd.etsi.asic-s+zip"), "one content"),
    "no manifest": (_with(MADE, META_INF_ASiCManifest001_xml=None), "no manifest in the container names"),
    "a manifest that is no XML": (_with(MADE, META_INF_ASiCManifest001_xml=b"x"), "not well-formed"),
    "a manifest with a DTD": (
        _with(MADE, META_INF_ASiCManifest001_xml=b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'),
        "DTD|DOCTYPE|document type",
    ),
    "a manifest of another kind": (_with(MADE, META_INF_ASiCManifest001_xml=b"<a/>"), "no ASiCManifest"),
    "a manifest whose digest is no base64": (
        _with(
            MADE,
            META_INF_ASiCManifest001_xml=Container.read(MADE)
            .get("META-INF/ASiCManifest001.xml")
            .replace(b"<ds:DigestValue>", "<ds:DigestValue>é".encode()),
        ),
        "not base64",
    ),
    "a content too few": (_with(MADE, a=None), "not those that .*ASiCManifest001"),
    "another content": (_with(MADE, a=CONTENT + b"x"), "not those that .*ASiCManifest001"),
    "another content than the XML signature's": (
        _with(sign(files("a", "b"), "ASIC_E", "XADES"), b=b"x"),
        "not those that .*signatures001",
    ),
    "a signature that is no CMS": (_with(MADE, META_INF_signature001_p7s=b"x"), "cannot be read|container"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_container_is_refused_with_the_reason(name: str) -> None:
    data, reason = HOSTILE[name]
    with pytest.raises((DocumentDamaged, DocumentLocked), match=reason):
        Asic("ASIC_E").next_need(Signed(Document.of(data)), Level.B_LTA, DigestAlgorithm.SHA256)


XML = sign(files("a", "b"), "ASIC_E", "XADES")
P7S = Container.read(MADE).get("META-INF/signature001.p7s")
MANIFEST = Container.read(MADE).get("META-INF/ASiCManifest001.xml")
XADES = Container.read(XML).get("META-INF/signatures001.xml")
CHANGED: dict[str, tuple[bytes, str, str]] = {
    "a content, CAdES": (_with(MADE, a=CONTENT + b"x"), "CADES", "not those that"),
    "a content, XAdES": (_with(XML, b=CONTENT + b"x"), "XADES", "not those that"),
    "a content taken out": (_with(MADE, b=None), "CADES", "not those that"),
    "the manifest": (
        _with(MADE, META_INF_ASiCManifest001_xml=MANIFEST.replace(b"octet-stream", b"octet_stream")),
        "CADES",
        "not what was signed",
    ),
    "no manifest": (_with(MADE, META_INF_ASiCManifest001_xml=None), "CADES", "no manifest"),
    "the value, CAdES": (
        _with(MADE, META_INF_signature001_p7s=P7S[:-1] + bytes((P7S[-1] ^ 1,))),
        "CADES",
        "not by the key",
    ),
    "the value, XAdES": (
        _with(
            XML,
            META_INF_signatures001_xml=re.sub(
                rb"(<ds:SignatureValue[^>]*>)(.)",
                lambda found: found[1] + (b"A" if found[2] != b"A" else b"B"),
                XADES,
            ),
        ),
        "XADES",
        "XML signature does not verify",
    ),
    "the signing time, XAdES": (
        _with(XML, META_INF_signatures001_xml=re.sub(rb"SigningTime>2026", b"SigningTime>2025", XADES)),
        "XADES",
        "not those that",
    ),
}


@pytest.mark.parametrize("name", CHANGED)
def test_no_signature_joins_those_that_no_longer_fit(name: str) -> None:
    data, form, reason = CHANGED[name]
    parameters = signer().parameters(form="ASIC_E", asic_signature=form)
    with pytest.raises(DocumentDamaged, match=reason):
        Asic("ASIC_E").prepare(again(data), parameters)
    with pytest.raises(DocumentDamaged, match=reason):
        Asic("ASIC_E").next_need(Signed(Document.of(data)), Level.B_T, DigestAlgorithm.SHA256)


@pytest.mark.parametrize("form", FORMS)
def test_a_signature_joins_those_that_fit(form: str) -> None:
    both = sign(again(sign(files("a", "b"), "ASIC_E", form)), "ASIC_E", form)
    assert len(Container.read(both).signatures) == 2


def test_a_signature_under_an_archive_manifest_is_left_alone() -> None:
    archived = stamping.raise_to(Asic("ASIC_E"), Signed(files("a", "b"), MADE), Level.B_LTA)
    bare = Container.read(MADE).get("META-INF/signature001.p7s")
    data = _with(archived, META_INF_signature001_p7s=bare)
    with pytest.raises(DocumentLocked, match="covered by a manifest"):
        Asic("ASIC_E").next_need(Signed(Document.of(data)), Level.B_LTA, DigestAlgorithm.SHA256)


def test_a_container_without_a_media_type_is_read() -> None:
    data = sign(files("a"), "ASIC_S", "CADES")
    members = Container.read(data).members
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in members:
            archive.writestr(name, Container.read(data).get(name))
    assert Container.read(buffer.getvalue()).kind == "ASIC_S"


def test_names_are_written_as_relative_uris_and_read_back() -> None:
    name = "phụ lục/bảng: 1 & 2 <'\">.csv"
    entry = asic_manifest.Entry(name, "text/csv", DigestAlgorithm.SHA512, bytes(64))
    written = asic_manifest.write(asic_manifest.Manifest("META-INF/a.p7s", (entry,)), "x/y")
    assert asic_manifest.read(written) == asic_manifest.Manifest("META-INF/a.p7s", (entry,))
    assert asic_manifest.uri_of("a:b").find(":") < 0


def test_a_container_that_would_grow_too_large_is_refused() -> None:
    large = Container.read(MADE).with_files((0, 0), {"META-INF/x": b"\0" * (32 << 20)})
    with pytest.raises(FieldInvalid, match="take a lower level"):
        large.to_bytes()
