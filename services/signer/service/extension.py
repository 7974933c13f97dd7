"""Raising the signatures of a document to a higher level, whoever made them. No key of a credential is used."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from services.kernel.errors import FieldInvalid
from services.kernel.values import Digest
from services.signer.domain import SCOPE_DOCUMENT, Client, Declaration, refuse_by_declaration
from services.signer.formats.format import FileStart, Role
from services.signer.formats.parameters import MAX_LEVELS, Level, media_type_of
from services.signer.ports import Clock, DocumentPool, Piece
from services.signer.service.documents import DocumentAnswer
from services.signer.service.levels import LevelRaising, LevelWanted


@dataclass(frozen=True, slots=True)
class ExtensionRequest:
    """What is asked about a signed document; the document itself comes as a stream."""

    wanted: LevelWanted
    declaration: Declaration
    content_digest: Digest | None = None
    """Of a detached content that stays with the caller."""

    def __post_init__(self) -> None:
        """Refuse a level that needs nothing."""
        if self.wanted.level is Level.B_B:
            raise FieldInvalid("name a level above B-B", field="level")


class Extension:
    """The use case behind ExtendDocument."""

    def __init__(self, documents: DocumentPool, levels: LevelRaising, clock: Clock) -> None:
        """Take the document workers and what raises levels."""
        self._documents, self._levels, self._clock = documents, levels, clock

    @asynccontextmanager
    async def extend(
        self, client: Client, request: ExtensionRequest, pieces: AsyncIterator[Piece]
    ) -> AsyncIterator[DocumentAnswer]:
        """Extend a document; the answer's chunks can be read as long as the block lasts.

        Nothing is recorded: the same call again gives the document with other time-stamps, and harms nobody.
        """
        refuse_by_declaration(client, request.declaration, SCOPE_DOCUMENT)
        async with self._documents.session() as session:
            detached = request.content_digest is not None
            first = True
            async for piece in pieces:
                if isinstance(piece, FileStart):
                    detached |= not first and piece.role is Role.CONTENT
                    first = False
                await session.take(piece)
            if request.content_digest is not None:
                session.know(request.content_digest)
            name = await session.recognise()
            wanted = request.wanted
            if not MAX_LEVELS[name].includes(wanted.level):
                raise FieldInvalid(f"{name} has levels up to {MAX_LEVELS[name].value}", field="level")
            reached = await self._levels.raise_to(session, wanted)
            yield DocumentAnswer(
                operation_id="",
                media_type=media_type_of(name, "DETACHED" if detached and name == "CADES" else None),
                size=session.result_size,
                signing_time=self._clock().replace(microsecond=0),
                replayed=False,
                reached=reached,
                chunks=session.result(),
            )
