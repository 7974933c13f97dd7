"""Manifests of ASiC containers: ASiCManifest and ASiCArchiveManifest (EN 319 162-1 annex A.4), and OpenDocument's."""

from __future__ import annotations

import base64
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

from services.kernel.errors import DocumentDamaged
from services.kernel.values import DigestAlgorithm
from services.signer.formats.xml_document import parse
from services.signer.formats.xml_references import DIGEST_URIS, DIGESTS, ds
from services.signer.formats.xml_signature import escaped

if TYPE_CHECKING:
    from lxml import etree

NAMESPACE = "http://uri.etsi.org/02918/v1.2.1#"
CMS_SIGNATURE = "application/pkcs7-signature"
TIME_STAMP_TOKEN = "application/vnd.etsi.timestamp-token"  # noqa: S105 - a media type
MAX_ENTRIES = 1000
_DS = "http://www.w3.org/2000/09/xmldsig#"
_ODF = "urn:oasis:names:tc:opendocument:xmlns:manifest:1.0"
_HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n'


@dataclass(frozen=True, slots=True)
class Entry:
    """One DataObjectReference."""

    name: str
    """Of the member, not as a URI."""
    media_type: str
    algorithm: DigestAlgorithm
    digest: bytes
    root: bool = False
    """Rootfile: in an archive manifest the one before it."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a manifest says."""

    signature: str
    """Name of the signature or time-stamp file that covers it."""
    entries: tuple[Entry, ...]


def uri_of(name: str) -> str:
    """Write a member's name as a relative URI (RFC 3986 section 4.2): also a colon, which would make a scheme."""
    return quote(name)


def write(manifest: Manifest, signature_type: str) -> bytes:
    """Write an ASiCManifest."""
    written = "".join(_entry(entry) for entry in manifest.entries)
    return (
        f'{_HEAD}<asic:ASiCManifest xmlns:asic="{NAMESPACE}" xmlns:ds="{_DS}">'
        f'<asic:SigReference URI="{uri_of(manifest.signature)}" MimeType="{signature_type}"/>'
        f"{written}</asic:ASiCManifest>"
    ).encode()


def read(data: bytes) -> Manifest:
    """Read a hostile ASiCManifest. Raises DocumentDamaged."""
    root = parse(data)
    reference = root.find(f"{{{NAMESPACE}}}SigReference")
    entries = root.findall(f"{{{NAMESPACE}}}DataObjectReference")
    if root.tag != f"{{{NAMESPACE}}}ASiCManifest" or reference is None or len(entries) > MAX_ENTRIES:
        raise _damaged("it is no ASiCManifest with one signature")
    return Manifest(_name(reference), tuple(_read_entry(entry) for entry in entries))


def open_document(media_type: str, files: list[tuple[str, str]]) -> bytes:
    """Write META-INF/manifest.xml (OpenDocument 1.2 part 3) of files with names and media types."""
    entries = "".join(
        f'<manifest:file-entry manifest:full-path="{_attribute(name)}" manifest:media-type="{_attribute(kind)}"/>'
        for name, kind in (("/", media_type), *files)
    )
    return (
        f'{_HEAD}<manifest:manifest xmlns:manifest="{_ODF}" manifest:version="1.2">{entries}</manifest:manifest>'
    ).encode()


def _entry(entry: Entry) -> str:
    root = ' Rootfile="true"' if entry.root else ""
    return (
        f'<asic:DataObjectReference URI="{uri_of(entry.name)}" MimeType="{_attribute(entry.media_type)}"{root}>'
        f'<ds:DigestMethod Algorithm="{DIGEST_URIS[entry.algorithm]}"/>'
        f"<ds:DigestValue>{base64.b64encode(entry.digest).decode('ascii')}</ds:DigestValue>"
        "</asic:DataObjectReference>"
    )


def _read_entry(element: etree._Element) -> Entry:
    method = element.find(ds("DigestMethod"))
    algorithm = DIGESTS.get((method.get("Algorithm") or "").strip()) if method is not None else None
    if algorithm is None:
        raise _damaged("it uses an unknown digest")
    try:
        digest = base64.b64decode("".join((element.findtext(ds("DigestValue")) or "").split()), validate=True)
    except ValueError as error:
        raise _damaged("a digest in it is not base64") from error
    return Entry(
        _name(element), element.get("MimeType") or "", algorithm, digest, element.get("Rootfile") == "true"
    )


def _name(element: etree._Element) -> str:
    return unicodedata.normalize("NFC", unquote(element.get("URI") or "")).removeprefix("/")


def _attribute(text: str) -> str:
    return escaped(text).replace('"', "&quot;").replace("\t", "&#x9;").replace("\n", "&#xA;")


def _damaged(text: str) -> DocumentDamaged:
    return DocumentDamaged(f"a manifest of the container cannot be read: {text}", reason="manifest")
