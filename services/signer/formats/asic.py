"""Associated signature containers ASiC-S and ASiC-E (ETSI EN 319 162-1): contents and their signatures in one ZIP file.

ASiC-S holds one content, ASiC-E up to 255, in folders where their names say so. The signature is a detached XAdES
signature over the contents (META-INF/signatures*.xml), or a detached CAdES signature (META-INF/signature*.p7s) over
the content in ASiC-S and over an ASiCManifest of the contents in ASiC-E. An ASiC-E container takes further
signatures, each in a file of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from services.kernel.errors import BodyTooLarge, FieldInvalid
from services.signer.formats import asic_levels, asic_manifest, cms, xades, xml_check, zip_reader
from services.signer.formats.asic_container import MEDIA_TYPES, MIMETYPE, Container, documents, is_xml
from services.signer.formats.asic_integrity import require_intact
from services.signer.formats.asic_manifest import Entry, Manifest, uri_of
from services.signer.formats.cades import CadesBaseline
from services.signer.formats.errors import SelfCheckFailed
from services.signer.formats.format import Document, Prepared, Role
from services.signer.formats.parameters import Envelope, Level, SignatureParameters
from services.signer.formats.xml_document import parse
from services.signer.formats.xml_references import References, ds
from services.signer.formats.xml_signature import xml_signer
from services.signer.formats.zip_names import require_content_names
from services.signer.formats.zip_writer import STORED, Member, dos_moment

if TYPE_CHECKING:
    from services.kernel.values import DigestAlgorithm
    from services.signer.formats.asic_container import Kind
    from services.signer.formats.format import Evidence, EvidenceNeeded, Need, Signed, TimeStampNeeded

MAX_CONTENTS = 255
MAX_CONTENT_BYTES = 24 << 20
"""Of all contents together: the container goes through memory as a whole."""
_UNKNOWN_TYPE = "application/octet-stream"
_WRAPPER = (
    f'<asic:XAdESSignatures xmlns:asic="{asic_manifest.NAMESPACE}">',
    "</asic:XAdESSignatures>",
)
"""EN 319 162-1 section 4.3.3.2 and annex A.3: the root element round XAdES signatures."""
_CADES = CadesBaseline()


class Asic:
    """Makes containers of one kind, and adds signatures to ASiC-E containers (part of the role SIGNATURE)."""

    def __init__(self, kind: Kind) -> None:
        """Make ASIC_S or ASIC_E containers."""
        self._kind = kind

    def prepare(self, document: Document, parameters: SignatureParameters) -> Prepared:
        """Check names and sizes, hash the contents and build what is signed over them.

        Raises DocumentDamaged where a signature that is there is not over what the container holds now.
        """
        plan = _plan(document, parameters, self._kind)
        if plan.existing is not None:
            require_intact(plan.existing)
        inner = _inner(parameters)
        if plan.manifest or plan.cades_content:
            return _CADES.prepare(plan.covered(parameters.algorithm.digest), inner)
        digest = parameters.algorithm.digest
        files = [
            xades.DetachedFile(
                uri_of(content.name), content.hash(digest).digest(), content.media_type or _UNKNOWN_TYPE
            )
            for content in plan.contents
        ]
        return xades.prepare_detached(files, inner, wrapper=_WRAPPER)

    def complete(
        self, document: Document, parameters: SignatureParameters, state: bytes, signature: bytes
    ) -> bytes:
        """Put the container together, then open the finished file and verify the signature in it."""
        plan = _plan(document, parameters, self._kind)
        inner = _inner(parameters)
        files: dict[str, bytes] = {}
        if plan.manifest or plan.cades_content:
            covered = plan.covered(parameters.algorithm.digest)
            if plan.manifest:
                files[plan.manifest] = covered.read()
            files[plan.signature] = _CADES.complete(covered, inner, state, signature)
        else:
            if plan.open_document:
                files[plan.open_document] = plan.listing()
            files[plan.signature] = xades.complete_detached(plan.contents, inner, state, signature)
        finished = (
            plan.container(parameters).with_files(dos_moment(parameters.signing_time), files).to_bytes()
        )
        check(finished, plan, parameters)
        return finished

    def next_need(self, signed: Signed, level: Level, digest: DigestAlgorithm) -> Need | None:
        """Say what the signatures in the container, or the container itself, need next."""
        return asic_levels.next_need(signed, level, digest)

    def add_time_stamp(self, signed: Signed, need: TimeStampNeeded, token: bytes) -> bytes:
        """Put a token into a signature, or into the container; return the new container."""
        return asic_levels.add_time_stamp(signed, need, token)

    def add_evidence(self, signed: Signed, need: EvidenceNeeded, evidence: Evidence) -> bytes:
        """Put certificates and revocation values into a signature; return the new container."""
        return asic_levels.add_evidence(signed, need, evidence)


@dataclass(frozen=True, slots=True)
class Plan:
    """What a signature is over, and under which names the files go in."""

    kind: Kind
    contents: tuple[Document, ...]
    signature: str
    """Name of the signature file."""
    manifest: str = ""
    """Name of the ASiCManifest; empty: there is none."""
    open_document: str = ""
    """Name of OpenDocument's manifest; empty: none is made."""
    existing: Container | None = None
    """What the signature is added to."""

    @property
    def cades_content(self) -> bool:
        """Say whether a CAdES signature is over the content itself."""
        return not is_xml(self.signature) and not self.manifest

    def covered(self, digest: DigestAlgorithm) -> Document:
        """Return what a CAdES signature is over: the content, or the manifest of the contents."""
        if not self.manifest:
            return Document(self.contents[0].stream, self.contents[0].size)
        entries = tuple(
            Entry(content.name, content.media_type or _UNKNOWN_TYPE, digest, content.hash(digest).digest())
            for content in self.contents
        )
        written = asic_manifest.write(Manifest(self.signature, entries), asic_manifest.CMS_SIGNATURE)
        return Document.of(written)

    def listing(self) -> bytes:
        """Write OpenDocument's manifest (annex A.3: what readers of ASiC-E with XAdES look for)."""
        files = [(content.name, content.media_type or _UNKNOWN_TYPE) for content in self.contents]
        return asic_manifest.open_document(MEDIA_TYPES[self.kind], files)

    def container(self, parameters: SignatureParameters) -> Container:
        """Return the container without the new signature."""
        if self.existing is not None:
            return self.existing
        moment = dos_moment(parameters.signing_time)
        members = [Member.of(content.name, content.read(), moment) for content in self.contents]
        return Container(self.kind, {member.name: member for member in members})


def check(finished: bytes, plan: Plan, parameters: SignatureParameters) -> None:
    """Verify the newest signature of a finished container from its bytes: form, contents, digests, signature value."""
    first = zip_reader.read(finished)[0]
    media_type = MEDIA_TYPES[plan.kind].encode("ascii")
    if (first.name, first.method, bytes(first.stored)) != (MIMETYPE, STORED, media_type):
        raise SelfCheckFailed("the finished container does not begin with its media type")
    container = Container.read(finished)
    contents = documents(container, container.contents)
    if [content.name for content in contents] != [content.name for content in plan.contents]:
        raise SelfCheckFailed("the finished container holds other contents than were sent")
    signature = container.get(plan.signature)
    if is_xml(plan.signature):
        read = References(signature, parse(signature), contents)
        [element] = read.root.findall(ds("Signature"))
        identifier = element.get("Id") or ""
        uris = [*(uri_of(content.name) for content in contents), f"#{identifier}-properties"]
        signer = xml_signer(parameters.certificate_chain, parameters.algorithm)
        xml_check.check_signature(read, signer, identifier, uris)
        return
    covered = contents[0].read()
    if plan.manifest:
        covered = container.get(plan.manifest)
        manifest = asic_manifest.read(covered)
        digests = [(entry.name, entry.digest) for entry in manifest.entries]
        digest = parameters.algorithm.digest
        if manifest.signature != plan.signature or digests != [
            (content.name, content.hash(digest).digest()) for content in contents
        ]:
            raise SelfCheckFailed("the manifest of the finished container is not that of its contents")
    parts = cms.signer_parts(parameters.certificate_chain, parameters.algorithm)
    cms.check(signature, parts, parameters.algorithm.digest.digest(covered))


def _plan(document: Document, parameters: SignatureParameters, kind: Kind) -> Plan:
    if document.role_of(Role.IMAGE):
        raise FieldInvalid("a container's signature has no image", field="part")
    contents, existing = document.role_of(Role.CONTENT), document.role_of(Role.SIGNATURE)
    if document.known_digest is not None:
        raise FieldInvalid(
            "a container holds its contents, so a digest is not enough: send the contents, or make a detached "
            "signature of another format",
            field="content_digest",
        )
    with_xml = parameters.envelope.asic_signature == "XADES"
    if existing:
        if len(existing) > 1 or contents:
            raise FieldInvalid(
                "one more signature goes over the contents of one container: send nothing else", field="part"
            )
        return _addition(Container.read(existing[0].read()), kind, with_xml=with_xml)
    _require_contents(contents, kind)
    if kind == "ASIC_S":
        name = "META-INF/signatures.xml" if with_xml else "META-INF/signature.p7s"
        return Plan(kind, contents, name)
    if with_xml:
        return Plan(kind, contents, "META-INF/signatures001.xml", open_document="META-INF/manifest.xml")
    return Plan(kind, contents, "META-INF/signature001.p7s", manifest="META-INF/ASiCManifest001.xml")


def _addition(container: Container, kind: Kind, *, with_xml: bool) -> Plan:
    if container.kind != kind or kind == "ASIC_S":
        raise FieldInvalid(
            "one more signature goes into an ASiC-E container, as the format ASIC_E", field="format"
        )
    if any(is_xml(name) != with_xml for name in container.signatures):
        # EN 319 162-1 section 4.4.4.2 note 1: a container of both kinds conforms to neither profile.
        other = "CADES" if with_xml else "XADES"
        raise FieldInvalid(
            f"the signatures that are there are of the other kind: take {other}", field="asic_signature"
        )
    require_content_names(container.contents)
    contents = documents(container, container.contents)
    if with_xml:
        name = container.free_name("META-INF/signatures{:03}.xml")
        return Plan(kind, contents, name, existing=container)
    name = container.free_name("META-INF/signature{:03}.p7s")
    manifest = container.free_name("META-INF/ASiCManifest{:03}.xml")
    return Plan(kind, contents, name, manifest=manifest, existing=container)


def _require_contents(contents: tuple[Document, ...], kind: Kind) -> None:
    most = 1 if kind == "ASIC_S" else MAX_CONTENTS
    if not 1 <= len(contents) <= most:
        raise FieldInvalid(
            f"an {kind.replace('ASIC', 'ASiC').replace('_', '-')} container holds "
            f"{'one content' if most == 1 else f'1 to {most} contents'}, got {len(contents)}",
            field="document",
        )
    require_content_names([content.name for content in contents])
    total = sum(content.size for content in contents)
    if total > MAX_CONTENT_BYTES:
        raise BodyTooLarge(
            f"the contents of a container have at most {MAX_CONTENT_BYTES} bytes together, these have {total}",
            limit=MAX_CONTENT_BYTES,
        )


def _inner(parameters: SignatureParameters) -> SignatureParameters:
    """Give the parameters of the detached signature inside."""
    form = parameters.envelope.asic_signature
    envelope = Envelope(form, Level.B_B, "DETACHED")
    return SignatureParameters(
        parameters.certificate_chain, parameters.algorithm, parameters.signing_time, envelope
    )
