"""What the members of an associated signature container are (EN 319 162-1 clauses 4.3.3 and 4.4.3, annex A).

Decided by where a member lies and what it is called, as the standard has it; what it says of itself comes later.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

from services.verifier.formats.zip_members import Archive

FOLDER = "META-INF/"
_MIMETYPE = "mimetype"
_MAX_MEDIA_TYPE = 200
_OPEN_DOCUMENT = "application/vnd.oasis.opendocument."
_XML = re.compile(r"META-INF/[^/]*signatures[^/]*\.xml", re.IGNORECASE)
_MISPLACED = re.compile(r"META-INF/(?:[^/]+/)*[^/]*signature[^/]*\.xml", re.IGNORECASE)
"""Where makers from before the standard have them: in a folder of their own (ADOC), in the singular (BDOC 1.0)."""
_CMS = re.compile(r"META-INF/[^/]*signature[^/]*\.p7[sm]", re.IGNORECASE)
_TOKEN = re.compile(r"META-INF/[^/]*timestamp[^/]*\.tst", re.IGNORECASE)
_MANIFEST = re.compile(r"META-INF/[^/]*ASiC(Archive)?Manifest[^/]*\.xml", re.IGNORECASE)
_EVIDENCE = re.compile(
    r"META-INF/(?![^/]*evidencerecordmanifest)[^/]*evidencerecord[^/]*\.(xml|ers)", re.IGNORECASE
)
_EVIDENCE_MANIFEST = re.compile(r"META-INF/[^/]*ASiCEvidenceRecordManifest[^/]*\.xml", re.IGNORECASE)
_DESCRIBING = frozenset({"META-INF/manifest.xml", "META-INF/container.xml", "META-INF/metadata.xml"})
"""What OpenDocument and OCF have a container described by: nothing of it is signed, nothing of it is content."""
_OTHERS_SIGNATURES = re.compile(r"_xmlsignatures/|META-INF/[^/]+\.(SF|RSA|DSA|EC)\Z", re.IGNORECASE)
"""Office Open XML and JAR files are signed too, in ways that are not read here."""


class Kind(Enum):
    """The form of a container, by its media type, or by what it holds where that is missing or another."""

    ASIC_S = "ASiC-S"
    ASIC_E = "ASiC-E"
    OPEN_DOCUMENT = "OpenDocument"
    OTHER = "ZIP"


_MEDIA_TYPES = {
    "application/vnd.etsi.asic-s+zip": Kind.ASIC_S,
    "application/vnd.etsi.asic-e+zip": Kind.ASIC_E,
    # BDOC 1.0, of which the standard's form was made.
    "application/vnd.bdoc-1.0": Kind.ASIC_E,
}


@dataclass(frozen=True, slots=True)
class Container:
    """A container's members by what they are for. `declared`: its media type is one of the standard's."""

    archive: Archive
    kind: Kind
    declared: bool
    objects: tuple[str, ...] = ()
    """Names of the data objects: all outside META-INF."""
    xml_signatures: tuple[str, ...] = ()
    cms_signatures: tuple[str, ...] = ()
    tokens: tuple[str, ...] = ()
    manifests: tuple[str, ...] = ()
    """ASiCManifest and ASiCArchiveManifest."""
    evidence_records: tuple[str, ...] = ()
    strangers: tuple[str, ...] = ()
    """In META-INF, and none of the above."""

    @classmethod
    def of(cls, archive: Archive) -> Container:
        """Sort the members. Raises ZipError where the media type cannot be inflated."""
        names = list(archive.members)
        declared = _declared(archive)
        objects = [name for name in names if name != _MIMETYPE and name.split("/")[0] != FOLDER[:-1]]
        inside = [name for name in names if name.startswith(FOLDER) and name not in _DESCRIBING]
        sorted_out = {
            kind: tuple(name for name in inside if kind.fullmatch(name))
            for kind in (_XML, _CMS, _TOKEN, _MANIFEST, _EVIDENCE)
        }
        known = {name for some in sorted_out.values() for name in some}
        strangers = [n for n in inside if n not in known and not _EVIDENCE_MANIFEST.fullmatch(n)]
        found = cls(
            archive,
            declared or Kind.OTHER,
            declared is not None,
            tuple(objects),
            sorted_out[_XML],
            sorted_out[_CMS],
            sorted_out[_TOKEN],
            sorted_out[_MANIFEST],
            sorted_out[_EVIDENCE],
            tuple(strangers),
        )
        return found if declared is not None else found._guessed()

    @property
    def signed_otherwise(self) -> bool:
        """True for a file with signatures of a form that is not read here."""
        return any(_OTHERS_SIGNATURES.match(name) for name in self.archive.members)

    @property
    def misplaced_signatures(self) -> tuple[str, ...]:
        """Names under which signatures may stand that the standard has elsewhere, in a container with none there."""
        if self.xml_signatures or self.cms_signatures:
            return ()
        return tuple(name for name in self.strangers if _MISPLACED.fullmatch(name))

    def _guessed(self) -> Container:
        """Clause 4.3.3.1: the media type may be left out; then what is there says what it is."""
        if not (self.xml_signatures or self.cms_signatures or self.tokens):
            return self
        alone = len(self.objects) == 1 and not self.manifests and not self.xml_signatures
        return Container(
            self.archive,
            Kind.ASIC_S if alone else Kind.ASIC_E,
            False,
            self.objects,
            self.xml_signatures,
            self.cms_signatures,
            self.tokens,
            self.manifests,
            self.evidence_records,
            self.strangers,
        )


def _declared(archive: Archive) -> Kind | None:
    member = archive.members.get(_MIMETYPE)
    if member is None or member.entry.size > _MAX_MEDIA_TYPE:
        return None
    told = archive.content(_MIMETYPE).decode("utf-8", "replace").strip()
    if told.startswith(_OPEN_DOCUMENT):
        return Kind.OPEN_DOCUMENT
    return _MEDIA_TYPES.get(told)
