"""CAdES B-B, detached (ETSI EN 319 122-1): the container stands beside the document, which may be any bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from services.signer.formats import cms
from services.signer.formats.format import Prepared

if TYPE_CHECKING:
    from services.signer.formats.format import Document
    from services.signer.formats.parameters import SignatureParameters


class CadesDetached:
    """Makes the .p7s container: CMS SignedData in DER, certificates inside, content outside."""

    def prepare(self, document: Document, parameters: SignatureParameters) -> Prepared:
        """Hash the document and encode the signed attributes, which are the state."""
        digest = parameters.algorithm.digest
        parts = cms.signer_parts(parameters.certificate_chain, parameters.algorithm)
        attributes = cms.signed_attributes(parts, document.hash(digest).digest(), parameters.signing_time)
        return Prepared(digest.digest(attributes), attributes)

    def complete(
        self, document: Document, parameters: SignatureParameters, state: bytes, signature: bytes
    ) -> bytes:
        """Put the container together and verify it over the document, hashed again."""
        parts = cms.signer_parts(parameters.certificate_chain, parameters.algorithm)
        container = cms.assemble(parts, state, signature)
        cms.check(container, parts, document.hash(parameters.algorithm.digest).digest())
        return container
