"""ASiC containers above B-B (EN 319 162-1 section 5): each signature in its own file, as its own format has it.

Archive time-stamps of XAdES signatures, and of the CAdES signature of an ASiC-S container, lie in the signature. In
an ASiC-E container with CAdES an ASiCArchiveManifest covers everything that is there, and a time-stamp file
(META-INF/timestamp*.tst) covers the manifest (section 4.4.5 item 2, annex A.7).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING

from services.kernel.errors import DocumentLocked, DomainError
from services.signer.formats import asic_manifest, cms_evidence
from services.signer.formats.asic_container import ARCHIVE_MANIFEST, Container, documents, is_xml
from services.signer.formats.asic_integrity import require_intact
from services.signer.formats.asic_manifest import Entry, Manifest
from services.signer.formats.cades import CadesBaseline
from services.signer.formats.cades_levels import token_imprint
from services.signer.formats.cms_container import SignedData, SignerInfo
from services.signer.formats.errors import SelfCheckFailed
from services.signer.formats.format import Document, EvidenceNeeded, Role, Signed, TimeStampNeeded
from services.signer.formats.parameters import Level
from services.signer.formats.xades import XmlSignature

if TYPE_CHECKING:
    from services.kernel.values import DigestAlgorithm
    from services.signer.formats.format import Evidence, Need, SignatureFormat

_NAME = struct.Struct(">H")
_CADES: SignatureFormat = CadesBaseline()
_XADES: SignatureFormat = XmlSignature(qualified=True)
_TIME_STAMP = "META-INF/timestamp{:03}.tst"


@dataclass(frozen=True, slots=True)
class _View:
    """A container on its way: as it is now, and as it came."""

    now: Container
    before: Container | None
    """None: there was none, the contents were signed just now."""

    @property
    def targets(self) -> list[str]:
        """Names of the signature files to raise: the new ones where there are any, else all."""
        known = self.before.signatures if self.before is not None else []
        return [name for name in self.now.signatures if name not in known] or self.now.signatures

    def inner(self, name: str) -> Signed:
        """Show one signature file as its own format wants to see it."""
        contents = self._covered(name)
        current = self.now.get(name)
        if self.before is None or name not in self.before.signatures:
            first, *others = contents
            return Signed(Document(first.stream, first.size, first.name, others=tuple(others)), current)
        original = self.before.get(name)
        sent = Document(BytesIO(original), len(original), role=Role.SIGNATURE, others=contents)
        return Signed(sent, b"" if current == original else current)

    def _covered(self, name: str) -> tuple[Document, ...]:
        """Return what a signature file is over: the contents, or the manifest that names it."""
        wanted = self.now.contents
        if self.now.kind == "ASIC_E" and not is_xml(name):
            wanted = [
                manifest
                for manifest in self.now.manifests
                if asic_manifest.read(self.now.get(manifest)).signature == name
            ][:1]
            if not wanted:
                raise DocumentLocked(
                    f"no manifest in the container names the signature {name[:80]!r}", reason="manifest"
                )
        return documents(self.now, wanted)

    def is_archived(self, name: str) -> bool:
        """Say whether a manifest covers a META-INF file, so that it must stay as it is."""
        manifests = (asic_manifest.read(self.now.get(manifest)) for manifest in self.now.manifests)
        return any(entry.name == name for manifest in manifests for entry in manifest.entries)


def next_need(signed: Signed, level: Level, digest: DigestAlgorithm) -> Need | None:
    """Ask for what one signature after the other needs, then for what the container needs."""
    if level is Level.B_B:
        return None
    view = _view(signed)
    if not signed.addition:
        require_intact(view.now)
    for name in view.targets:
        within = Level.B_LT if _is_archived_outside(view.now, name) and level is Level.B_LTA else level
        need = _format_of(name).next_need(view.inner(name), within, digest)
        if need is None:
            continue
        if view.is_archived(name):
            raise DocumentLocked(
                f"the signature {name[:80]!r} is covered by a manifest: nothing may be added to it",
                reason="manifest",
            )
        return _wrapped(name, need)
    if level is Level.B_LTA and any(_is_archived_outside(view.now, name) for name in view.targets):
        return _archive_need(view, digest)
    return None


def add_time_stamp(signed: Signed, need: TimeStampNeeded, token: bytes) -> bytes:
    """Put a token where it was asked for."""
    view = _view(signed)
    name, state = _unwrapped(need.state)
    if name == ARCHIVE_MANIFEST:
        return _archived(view.now, state, token)
    inner = TimeStampNeeded(need.imprint, state)
    return _exchanged(view.now, name, _format_of(name).add_time_stamp(view.inner(name), inner, token))


def add_evidence(signed: Signed, need: EvidenceNeeded, evidence: Evidence) -> bytes:
    """Put evidence where it was asked for: into a signature, or into the newest archive time-stamp."""
    view = _view(signed)
    name, state = _unwrapped(need.state)
    if name not in view.now.signatures:
        data = cms_evidence.with_evidence(SignedData.read(view.now.get(name)), evidence)
        wanted, found = _validated(data)
        cms_evidence.require_all(found.lacking(wanted))
        return _exchanged(view.now, name, data.encode())
    inner = EvidenceNeeded(need.certificates, state)
    return _exchanged(view.now, name, _format_of(name).add_evidence(view.inner(name), inner, evidence))


def _view(signed: Signed) -> _View:
    sent = (signed.document.role_of(Role.SIGNATURE) or (signed.document,))[0]
    if not signed.addition:
        container = Container.read(sent.read())
        return _View(container, container)
    now = Container.read(signed.addition)
    try:
        before = Container.read(sent.read())
    except DomainError:
        return _View(now, None)
    # A content may be a container itself; what was sent for more signatures is found again in the result.
    same = all(
        name in now.members and now.members[name].crc == before.members[name].crc for name in before.contents
    )
    return _View(now, before if same else None)


def _format_of(name: str) -> SignatureFormat:
    return _XADES if is_xml(name) else _CADES


def _is_archived_outside(container: Container, name: str) -> bool:
    return container.kind == "ASIC_E" and not is_xml(name)


def _wrapped(name: str, need: Need) -> Need:
    encoded = name.encode()
    state = _NAME.pack(len(encoded)) + encoded + need.state
    if isinstance(need, TimeStampNeeded):
        return TimeStampNeeded(need.imprint, state)
    return EvidenceNeeded(need.certificates, state)


def _unwrapped(state: bytes) -> tuple[str, bytes]:
    (length,) = _NAME.unpack_from(state)
    end = _NAME.size + length
    return state[_NAME.size : end].decode(), state[end:]


def _exchanged(container: Container, name: str, data: bytes) -> bytes:
    """Write the container with one file exchanged, and read it back."""
    finished = container.with_files(container.members[name].moment, {name: data}).to_bytes()
    again = Container.read(finished)
    others = {other: member.crc for other, member in container.members.items() if other != name}
    if again.get(name) != data or others != {
        other: member.crc for other, member in again.members.items() if other != name
    }:
        raise SelfCheckFailed("the finished container holds other files than were put into it")
    return finished


# --- the archive manifest of ASiC-E with CAdES -------------------------------------------------------------------


def _archive_need(view: _View, digest: DigestAlgorithm) -> Need | None:
    now = view.now
    newest = asic_manifest.read(now.get(ARCHIVE_MANIFEST)) if ARCHIVE_MANIFEST in now.members else None
    if newest is not None:
        covered = {entry.name for entry in newest.entries}
        earlier = view.before.members if view.before is not None else {}
        if newest.signature not in earlier and covered.issuperset(view.targets):
            return None
        # Annex A.7 item 2: the time-stamp before the new one holds everything for its own validation.
        wanted, found = _validated(SignedData.read(now.get(newest.signature)))
        if found.lacking(wanted):
            return _wrapped(newest.signature, EvidenceNeeded((*wanted, *found.certificates)))
    manifest = _archive_manifest(now, digest)
    return _wrapped(ARCHIVE_MANIFEST, TimeStampNeeded(digest.digest(manifest), manifest))


def _archive_manifest(now: Container, digest: DigestAlgorithm) -> bytes:
    """Write the manifest of everything that is there; the one before it gets the name that it is given here."""
    former = now.free_name("META-INF/ASiCArchiveManifest{:03}.xml")
    entries = [
        Entry(
            former if name == ARCHIVE_MANIFEST else name,
            _media_type(name),
            digest,
            digest.digest(now.get(name)),
            root=name == ARCHIVE_MANIFEST,
        )
        for name in now.members
    ]
    manifest = Manifest(now.free_name(_TIME_STAMP), tuple(entries))
    return asic_manifest.write(manifest, asic_manifest.TIME_STAMP_TOKEN)


def _archived(now: Container, written: bytes, token: bytes) -> bytes:
    """Put manifest and time-stamp in, and verify both from the finished bytes."""
    manifest = asic_manifest.read(written)
    moment = now.moment
    for entry in manifest.entries:
        if entry.root:
            now = now.renamed(ARCHIVE_MANIFEST, entry.name)
    finished = now.with_files(moment, {ARCHIVE_MANIFEST: written, manifest.signature: token}).to_bytes()
    again = Container.read(finished)
    found = asic_manifest.read(again.get(ARCHIVE_MANIFEST))
    covered = {entry.name: entry.digest for entry in found.entries}
    algorithm, imprint = token_imprint(again.get(found.signature))
    if algorithm.digest(again.get(ARCHIVE_MANIFEST)) != imprint:
        raise SelfCheckFailed("the archive time-stamp is not over the archive manifest")
    for name in again.members:
        if name in {ARCHIVE_MANIFEST, found.signature}:
            continue
        if covered.pop(name, b"") != algorithm.digest(again.get(name)):
            raise SelfCheckFailed(f"the archive manifest does not cover {name[:80]!r} as it is")
    if covered:
        raise SelfCheckFailed("the archive manifest covers files that are not there")
    return finished


def _validated(token: SignedData) -> tuple[tuple[bytes, ...], cms_evidence.Holder]:
    """Return the certificates of a token's unit, and what the token holds."""
    found = cms_evidence.holder(token, ())
    units = [found.certificate_of(SignerInfo.read(info)) for info in token.signers]
    return tuple(unit for unit in units if unit is not None), found


def _media_type(name: str) -> str:
    endings = {
        ".p7s": asic_manifest.CMS_SIGNATURE,
        ".tst": asic_manifest.TIME_STAMP_TOKEN,
        ".xml": "text/xml",
    }
    return next(
        (kind for ending, kind in endings.items() if name.startswith("META-INF/") and name.endswith(ending)),
        "application/octet-stream",
    )
