"""An ASiC container (EN 319 162-1): which of its members are contents, signatures, manifests and time-stamps."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, replace
from io import BytesIO
from typing import Literal

from services.kernel.errors import DocumentDamaged, FieldInvalid
from services.signer.formats import zip_reader, zip_writer
from services.signer.formats.format import Document
from services.signer.formats.zip_reader import MAX_ZIP_BYTES
from services.signer.formats.zip_writer import Member

Kind = Literal["ASIC_S", "ASIC_E"]
MIMETYPE = "mimetype"
MEDIA_TYPES: dict[Kind, str] = {
    "ASIC_S": "application/vnd.etsi.asic-s+zip",
    "ASIC_E": "application/vnd.etsi.asic-e+zip",
}
"""EN 319 162-1 sections 4.3.3.1 and 4.4.3.1."""
FOLDER = "META-INF/"
ARCHIVE_MANIFEST = "META-INF/ASiCArchiveManifest.xml"
"""The newest archive manifest has this name (annex A.7); earlier ones are renamed."""

_XML = re.compile(r"META-INF/[^/]*signatures[^/]*\.xml\Z", re.IGNORECASE)
_CMS = re.compile(r"META-INF/[^/]*signature[^/]*\.p7s\Z", re.IGNORECASE)
_MANIFEST = re.compile(r"META-INF/[^/]*ASiC(Archive)?Manifest[^/]*\.xml\Z", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Container:
    """A container's kind and its members but `mimetype`, by name, in order."""

    kind: Kind
    members: dict[str, Member]

    @classmethod
    def read(cls, data: bytes) -> Container:
        """Read a hostile container. Raises DocumentDamaged, DocumentEncrypted."""
        members = {member.name: member for member in zip_reader.read(data)}
        kind = _kind(members.pop(MIMETYPE, None), members)
        container = cls(kind, members)
        if not container.contents:
            raise _damaged("it holds no content", "content")
        if kind == "ASIC_S" and len(container.contents) != 1:
            raise _damaged(
                f"an ASiC-S container has one content, this one has {len(container.contents)}", "content"
            )
        if not container.signatures:
            raise _damaged("it holds no signature", "signatures")
        return container

    @property
    def contents(self) -> list[str]:
        """Names of what is signed: all outside META-INF."""
        return [name for name in self.members if not name.upper().startswith(FOLDER)]

    @property
    def signatures(self) -> list[str]:
        """Names of the signature files, XML and CMS."""
        return [name for name in self.members if is_xml(name) or _CMS.match(name)]

    @property
    def manifests(self) -> list[str]:
        """Names of the ASiCManifest and ASiCArchiveManifest files."""
        return [name for name in self.members if _MANIFEST.match(name)]

    def get(self, name: str) -> bytes:
        """Inflate a member. Raises DocumentDamaged where it is not there or not what is declared."""
        if name not in self.members:
            raise _damaged(f"it has no member {name[:200]!r}", "member")
        return zip_reader.content(self.members[name])

    def with_files(self, moment: tuple[int, int], files: dict[str, bytes]) -> Container:
        """Return the same with files added at the end, or exchanged where they are."""
        made = {name: Member.of(name, data, moment) for name, data in files.items()}
        return replace(self, members={**self.members, **made})

    def renamed(self, old: str, new: str) -> Container:
        """Return the same with a member under another name."""
        members = {
            (new if name == old else name): (replace(member, name=new) if name == old else member)
            for name, member in self.members.items()
        }
        return replace(self, members=members)

    def free_name(self, pattern: str) -> str:
        """Return the first name of a numbered pattern such as "META-INF/signatures{:03}.xml" that is free."""
        taken = {name.casefold() for name in self.members}
        number = 1
        while (name := pattern.format(number)).casefold() in taken:
            number += 1
        return name

    @property
    def moment(self) -> tuple[int, int]:
        """MS-DOS time of the newest member: what is added later carries it too, so that a container tells no more."""
        return max(member.moment for member in self.members.values())

    def to_bytes(self) -> bytes:
        """Write the container: `mimetype` first and stored (annex A.1). Raises FieldInvalid where it gets too large."""
        media_type = MEDIA_TYPES[self.kind].encode("ascii")
        first = Member.of(MIMETYPE, media_type, self.moment, deflate=False)
        finished = zip_writer.write([first, *self.members.values()])
        if len(finished) > MAX_ZIP_BYTES:
            raise FieldInvalid(
                f"with what is added the container would have {len(finished)} bytes, at most {MAX_ZIP_BYTES} are "
                "possible: take a lower level or fewer files",
                field="level",
            )
        return finished


def documents(container: Container, names: list[str]) -> tuple[Document, ...]:
    """Inflate members as documents with their names, composed (Unicode NFC) as references are compared."""
    found = [(unicodedata.normalize("NFC", name), container.get(name)) for name in names]
    return tuple(Document(BytesIO(data), len(data), name) for name, data in found)


def is_xml(name: str) -> bool:
    """Say whether a signature file holds XAdES signatures, by its name."""
    return _XML.match(name) is not None


def _kind(mimetype: Member | None, members: dict[str, Member]) -> Kind:
    if mimetype is None:
        # Section 4.3.3.1: the member may be left out.
        several = any(_MANIFEST.match(name) for name in members) or len(members) > 2
        return "ASIC_E" if several else "ASIC_S"
    if mimetype.size > 100:
        raise _damaged("its member mimetype is no media type", "mimetype")
    told = zip_reader.content(mimetype).strip()
    for kind, media_type in MEDIA_TYPES.items():
        if told == media_type.encode("ascii"):
            return kind
    raise _damaged("its media type is neither ASiC-S nor ASiC-E", "mimetype")


def _damaged(text: str, reason: str) -> DocumentDamaged:
    return DocumentDamaged(f"the ASiC container cannot be read: {text}", reason=reason)
