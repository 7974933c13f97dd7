"""What a caller must hash, and what to keep, to have a document signed that stays with it (N-SYS-20)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from services.signer.domain import (
    SCOPE_DOCUMENT,
    Client,
    DocumentRequest,
    refuse_by_declaration,
)
from services.signer.formats.pades_room import contents_bytes
from services.signer.formats.parameters import SignatureParameters
from services.signer.service.documents import wanted_of
from services.signer.service.steps import SigningSteps

SUB_FILTER = "ETSI.CAdES.detached"
"""EN 319 142-1 section 5.3."""


@dataclass(frozen=True, slots=True)
class Preparation:
    """What to hash and what to keep."""

    hashed: str
    """What the digest is of: "content", or "ByteRange" of a PDF file."""
    contents_bytes: int
    """PAdES: bytes to reserve in /Contents; 0 otherwise."""
    sub_filter: str
    """PAdES: /SubFilter; empty otherwise."""
    signing_time: datetime
    """PAdES: for /M."""


class Preparing:
    """The use case behind PrepareDocument. It records nothing: the call that signs checks everything again."""

    def __init__(self, steps: SigningSteps) -> None:
        """Take the steps that all signatures share."""
        self._steps = steps

    async def prepare(self, client: Client, request: DocumentRequest) -> Preparation:
        """Tell what a later call needs; raise what would refuse it, so that nobody lays out a document in vain."""
        refuse_by_declaration(client, request.declaration, SCOPE_DOCUMENT)
        request.envelope.require_digest_fits()
        selected = await self._steps.select(client, wanted_of(request))
        now = self._steps.parts.clock().replace(microsecond=0)
        parameters = SignatureParameters(selected.chain.der, selected.algorithm, now, request.envelope)
        pdf = request.envelope.format == "PADES"
        return Preparation(
            hashed="ByteRange" if pdf else "content",
            contents_bytes=contents_bytes(parameters) if pdf else 0,
            sub_filter=SUB_FILTER if pdf else "",
            signing_time=now,
        )
