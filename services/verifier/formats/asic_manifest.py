"""ASiCManifest and ASiCArchiveManifest (EN 319 162-1 annex A.4): which members a signature or token is over.

The signature is over the manifest; that the members are those of the manifest is checked here.
"""

from __future__ import annotations

import hmac
import re
from dataclasses import dataclass

from services.verifier.formats.xml_algorithms import UnknownMethod, digest_of, octets_of
from services.verifier.formats.xml_input import DS, Source, XmlError, children, local_name
from services.verifier.formats.zip_members import Archive

MAX_ENTRIES = 2000
_ROOT = re.compile(r"\{http://uri\.etsi\.org/0?2918/v1\.[12]\.1#\}ASiCManifest")


@dataclass(frozen=True, slots=True)
class Manifest:
    """A manifest, with its references held against the members.

    `target` is the URI of the signature or token over it. `covered` are the names of the members that are as the
    manifest has them; `broken` are the URIs of those that are another, `missing` of those that are not there.
    """

    name: str
    data: bytes
    target: str
    covered: frozenset[str] = frozenset()
    broken: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    digests: tuple[str, ...] = ()
    """Labels of the algorithms of its digests."""
    unsupported: str = ""
    """Why a reference could not be checked; empty where all were."""


def read(archive: Archive, name: str) -> Manifest:
    """Read a manifest, and hash what it refers to. Raises XmlError, ZipError."""
    data = archive.content(name)
    archive.spend_on_xml(data)
    root = Source.of(data).root
    if _ROOT.fullmatch(str(root.tag)) is None:
        raise XmlError(f"{name} is no ASiCManifest")
    targets = [one for one in children(root) if local_name(one) == "SigReference"]
    # Also where some write them, in the SigReference: all of the manifest is signed.
    entries = [one for one in root.iter("*") if local_name(one) == "DataObjectReference"]
    if len(targets) != 1 or not 1 <= len(entries) <= MAX_ENTRIES:
        raise XmlError(f"{name} has not one signature and 1 to {MAX_ENTRIES} data objects")
    covered: set[str] = set()
    broken: list[str] = []
    missing: list[str] = []
    labels: set[str] = set()
    unsupported = ""
    for entry in entries:
        uri = entry.get("URI") or ""
        stated = octets_of(entry.find(f"{DS}DigestValue"), "DigestValue")
        try:
            label = digest_of(entry)
        except UnknownMethod as error:
            unsupported = str(error)
            continue
        labels.add(label)
        member = archive.resolve(uri)
        if member is None:
            missing.append(uri)
        elif hmac.compare_digest(archive.digest(label, member), stated):
            covered.add(member)
        else:
            broken.append(uri)
    return Manifest(
        name,
        data,
        targets[0].get("URI") or "",
        frozenset(covered),
        tuple(broken),
        tuple(missing),
        tuple(sorted(labels)),
        unsupported,
    )
