"""PAdES (ETSI EN 319 142-1 section 6): approval and certification signatures in incremental updates, B-B to B-LTA.

The room for the CMS is reserved from its computed size, so the document is laid out and hashed once.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from services.kernel.errors import FieldInvalid
from services.signer.formats import cms, pades_levels
from services.signer.formats.errors import SelfCheckFailed
from services.signer.formats.format import Prepared, Role
from services.signer.formats.pades_layout import lay_out
from services.signer.formats.pdf_contents import Contents, digest_but, digest_round, located
from services.signer.formats.pdf_own import Kind, own_updates

if TYPE_CHECKING:
    from services.kernel.values import DigestAlgorithm
    from services.signer.formats.format import (
        Document,
        Evidence,
        EvidenceNeeded,
        Need,
        Signed,
        TimeStampNeeded,
    )
    from services.signer.formats.parameters import Envelope, Level, SignatureParameters

_STATE = struct.Struct(">QIII")
"""Document size, offset of /Contents within the update, its length with brackets, length of the signed attributes."""


class PadesBaseline:
    """Adds one signature to a PDF file by an incremental update, so that earlier signatures stay valid.

    Packaged "detached" it makes the CMS alone, from the digest of a byte range that the caller laid out.
    """

    def prepare(self, document: Document, parameters: SignatureParameters) -> Prepared:
        """Lay out the update, hash document and update, encode the signed attributes."""
        _require_files(document, parameters.envelope)
        digest = parameters.algorithm.digest
        parts = cms.signer_parts(parameters.certificate_chain, parameters.algorithm)
        if _is_detached(document, parameters):
            return Prepared(digest.digest(attributes := _attributes(parts, document, digest)), attributes)
        # 1. The update with zeros in the room for the CMS and the final byte range.
        laid_out = lay_out(document, parameters)
        increment, contents = laid_out.increment, laid_out.contents
        # 2. Hash what the byte range covers: everything but /Contents (ISO 32000-1 12.8.1).
        value = digest_but(document, increment, contents, len(increment), digest)
        attributes = cms.signed_attributes(parts, value, None)
        place = (contents.start, contents.end - contents.start)
        state = _STATE.pack(document.size, *place, len(attributes)) + attributes + increment
        return Prepared(digest.digest(attributes), state, laid_out.warnings)

    def complete(
        self, document: Document, parameters: SignatureParameters, state: bytes, signature: bytes
    ) -> bytes:
        """Put the CMS into its room, then read the signed file back and verify it."""
        parts = cms.signer_parts(parameters.certificate_chain, parameters.algorithm)
        digest = parameters.algorithm.digest
        if _is_detached(document, parameters):
            container = cms.assemble(parts, state, signature)
            cms.check(container, parts, document.hash(digest).digest())
            return container
        size, start, length, attributes_length = _STATE.unpack_from(state)
        if size != document.size:
            raise SelfCheckFailed("the document changed between preparing and completing its signature")
        attributes = state[_STATE.size : _STATE.size + attributes_length]
        increment = bytearray(memoryview(state)[_STATE.size + attributes_length :])
        Contents(start, start + length).put(increment, cms.assemble(parts, attributes, signature))
        check(document, increment, parts, digest)
        return bytes(increment)

    def next_need(self, signed: Signed, level: Level, digest: DigestAlgorithm) -> Need | None:
        """Say what a just signed file, or one signed elsewhere, needs next for a level."""
        return pades_levels.next_need(signed, level, digest)

    def add_time_stamp(self, signed: Signed, need: TimeStampNeeded, token: bytes) -> bytes:
        """Put a token into the signature, or into the document time-stamp that was laid out for it."""
        return pades_levels.add_time_stamp(signed, need, token)

    def add_evidence(self, signed: Signed, need: EvidenceNeeded, evidence: Evidence) -> bytes:  # noqa: ARG002
        """Append a document security store with these values."""
        return pades_levels.add_evidence(signed, evidence)


def check(document: Document, increment: bytearray, parts: cms.SignerParts, digest: DigestAlgorithm) -> None:
    """Verify a finished signature from the bytes alone: byte range, digest, signed attributes, signature value."""
    updates = own_updates(document.size, increment)
    if [update.kind for update in updates] != [Kind.SIGNATURE]:
        raise SelfCheckFailed("the update is not that of one signature")
    value = digest_round(document, increment, updates[0], digest)
    cms.check(located(increment, updates[0]).read(increment), parts, value)


def _require_files(document: Document, envelope: Envelope) -> None:
    """Refuse files that would not be signed and not be seen: whoever sends them thinks otherwise."""
    if document.role is not Role.CONTENT:
        raise FieldInvalid("send the PDF file to sign first, as the content", field="part")
    roles = [one.role for one in document.others]
    if roles and roles != [Role.IMAGE]:
        raise FieldInvalid(
            "one PDF file is signed by itself; only an image of its visible signature may come with it: sign each "
            "file by a call of its own",
            field="part",
        )
    if roles and envelope.visible is None:
        raise FieldInvalid("an image goes with a visible signature: say which with pdf.visible", field="part")


def _is_detached(document: Document, parameters: SignatureParameters) -> bool:
    detached = parameters.envelope.packaging == "DETACHED"
    if detached != (document.known_digest is not None):
        raise FieldInvalid(
            "a PDF signature alone is made from the digest of the file's byte range: send content_digest"
            if detached
            else "a digest of the content goes with packaging detached",
            field="packaging",
        )
    if detached:
        _require_container_alone(parameters.envelope)
    return detached


def _require_container_alone(envelope: Envelope) -> None:
    """Refuse what is written into the file: whoever asks for it expects to find it there."""
    written = (
        envelope.visible,
        envelope.certification,
        envelope.field_name,
        envelope.reason,
        envelope.location,
    )
    if any(written):
        raise FieldInvalid(
            "field, certification, appearance, reason and location are in the file, which is not here: lay them "
            "out with it",
            field="packaging",
        )
    pades_levels.require_level_of_container(envelope.level)


def _attributes(parts: cms.SignerParts, document: Document, digest: DigestAlgorithm) -> bytes:
    return cms.signed_attributes(parts, document.hash(digest).digest(), None)
