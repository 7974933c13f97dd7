"""Signing one document: what the caller streams in is hashed on the way, signed once, and given back signed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime

from services.kernel.errors import DomainError, FieldInvalid, Internal, LevelNotReached
from services.signer.domain import (
    SCOPE_DOCUMENT,
    Client,
    DocumentRequest,
    ItemFailure,
    Kind,
    State,
    refuse_by_declaration,
)
from services.signer.formats.parameters import Level, SignatureParameters
from services.signer.ledger import Facts
from services.signer.ports import (
    DocumentPool,
    DocumentSession,
    Ending,
    Intent,
    PersonSignatures,
    Piece,
    Recorded,
)
from services.signer.service.kept import pack_reached, unpack_reached
from services.signer.service.levels import LevelRaising, LevelWanted, Reached
from services.signer.service.outcomes import ItemOutcome, error_of
from services.signer.service.steps import (
    ANSWERED_FROM_RECORD,
    Selected,
    SigningSteps,
    Wanted,
    facts_of,
    recorded_error,
    require_same_request,
    with_selected,
)


@dataclass(frozen=True, slots=True)
class DocumentAnswer:
    """A signed document on its way out."""

    operation_id: str
    media_type: str
    size: int
    signing_time: datetime
    replayed: bool
    reached: Reached | None
    """Level, and why it is lower than asked; None where nobody knows any more."""
    chunks: AsyncIterator[bytes]


@dataclass(frozen=True, slots=True)
class Made:
    """What steps 4 to 6 made of a document; its bytes are in the session."""

    operation_id: str
    signing_time: datetime
    replayed: bool
    reached: Reached


@dataclass(frozen=True, slots=True)
class Attempt:
    """What step 5 made: one outcome, the signing time, and the level of what is in the session."""

    outcomes: list[ItemOutcome]
    signing_time: datetime
    reached: Reached


@dataclass(frozen=True, slots=True)
class DocumentParts:
    """What documents need besides the steps that all signatures share."""

    documents: DocumentPool
    levels: LevelRaising
    persons: PersonSignatures


class DocumentSigning:
    """The use case behind SignDocument."""

    def __init__(self, steps: SigningSteps, parts: DocumentParts) -> None:
        """Take the steps that all signatures share, and what documents need besides."""
        self._steps, self._parts = steps, parts

    @asynccontextmanager
    async def sign_document(
        self, client: Client, request: DocumentRequest, pieces: AsyncIterator[Piece], request_id: str
    ) -> AsyncIterator[DocumentAnswer]:
        """Sign, or answer again what was signed under the same idempotency key; raise the refusal or failure.

        Step 1, who asks, is done. The answer's chunks can be read as long as the block lasts.
        """
        facts = await self.refuse(client, request, request_id)
        # 3. Refuse before a byte is read: status, validity, algorithm.
        wanted = wanted_of(request)
        selected = refusal = None
        try:
            selected = await self._steps.select(client, wanted)
        except DomainError as error:
            refusal = error
        if refusal is not None and not await self._is_recorded(client, request):
            await self._steps.note_refusal(facts, refusal)
            raise refusal
        async with self._parts.documents.session() as session:
            async for piece in pieces:
                await session.take(piece)
            if request.content_digest is not None:
                session.know(request.content_digest)
            content = session.document_digest
            facts = replace(facts, request_sha256=content.hex())
            intent = self.intent(client, request, facts, request.request_sha256(content, session.first))
            if selected is None or refusal is not None:
                made = await self._answered_before(intent, request, session, refusal)
            else:
                intent = replace(intent, facts=with_selected(facts, selected))
                # 4. to 6. To the end, even where the caller goes away; the session stays open until then.
                made = await self._steps.to_its_end(self._sign(client, request, intent, selected, session))
            yield _answer(made, request, session)

    async def refuse(self, client: Client, request: DocumentRequest, request_id: str) -> Facts:
        """Do step 2: refuse by what is declared, before any byte is read. Return what the ledger can say so far."""
        request.require_digest()
        facts = facts_of(
            client, Kind.DOCUMENT, request.credential_id, request.declaration, total=1, request_id=request_id
        )
        try:
            refuse_by_declaration(client, request.declaration, SCOPE_DOCUMENT)
        except DomainError as refusal:
            await self._steps.note_refusal(facts, refusal)
            raise
        return facts

    def intent(self, client: Client, request: DocumentRequest, facts: Facts, request_sha256: bytes) -> Intent:
        """Make the intent of this request."""
        now = self._steps.parts.clock()
        return Intent(
            id=facts.operation_id,
            client_id=client.id,
            idempotency_key=request.idempotency_key,
            request_sha256=request_sha256,
            kind=Kind.DOCUMENT,
            facts=facts,
            created_at=now,
            lease_until=now + self._steps.parts.lease,
        )

    async def make(
        self, client: Client, request: DocumentRequest, selected: Selected, session: DocumentSession
    ) -> Attempt:
        """Do step 5: build what must be signed, sign it, put the signature in, raise it to its level."""
        now = self._steps.parts.clock().replace(microsecond=0)
        envelope, reached = request.envelope, Reached(Level.B_B)
        try:
            parameters = SignatureParameters(selected.chain.der, selected.algorithm, now, envelope)
            if envelope.visible is not None and envelope.visible.profile == "nd30.agency":
                await self._parts.persons.require(session.original())
            prepared = await session.prepare(parameters)
        except DomainError as error:
            # Nothing was asked of the HSM.
            return Attempt([ItemFailure.of(error)], now, reached)
        outcomes = await self._steps.sign(client, selected, wanted_of(request), [prepared.digest])
        (outcome,) = outcomes
        if isinstance(outcome, bytes):
            try:
                await session.complete(outcome)
                reached = await self._parts.levels.raise_to(session, _level_of(request))
            except DomainError as error:
                # A signature value was made and is not released: the same key does not make a second one.
                return Attempt([_not_completed(error)], now, reached)
        return Attempt(outcomes, now, replace(reached, warnings=prepared.warnings))

    async def _sign(
        self,
        client: Client,
        request: DocumentRequest,
        intent: Intent,
        selected: Selected,
        session: DocumentSession,
    ) -> Made:
        # 4. The intent.
        begun = await self._steps.begin(intent)
        if begun.signed is not None:
            return _restore(begun.signed, request, session)
        # 5. Build, sign, check.
        attempt = await self.make(client, request, selected, session)
        # 6. Only what was added is kept; a repeated call brings its document again.
        entry, state = self._steps.judge(begun.facts, attempt.outcomes)
        kept = pack_reached(attempt.reached, await session.increment()) if state is State.SIGNED else None
        ending = Ending(
            entry=entry,
            state=state,
            result=kept,
            chain=selected.chain,
            algorithm=selected.algorithm.label,
            signing_time=attempt.signing_time,
        )
        await self._steps.end(ending, 1)
        # 7. The answer.
        self._steps.parts.failpoint.reach("before_answer")
        failure = attempt.outcomes[0]
        if isinstance(failure, ItemFailure):
            error = error_of(failure)
            error.data.setdefault("operation_id", begun.facts.operation_id)
            raise error
        return Made(begun.facts.operation_id, attempt.signing_time, replayed=False, reached=attempt.reached)

    async def _is_recorded(self, client: Client, request: DocumentRequest) -> bool:
        taken = await self._steps.parts.store.find(client.id, request.idempotency_key)
        return taken is not None and taken.state in ANSWERED_FROM_RECORD

    async def _answered_before(
        self, intent: Intent, request: DocumentRequest, session: DocumentSession, refusal: DomainError | None
    ) -> Made:
        """Give the recorded answer of a repeated call whose credential cannot sign any more; else refuse."""
        taken = await self._steps.parts.store.find(intent.client_id, intent.idempotency_key)
        if taken is not None and taken.state in ANSWERED_FROM_RECORD:
            require_same_request(taken, intent.request_sha256)
            if taken.state is not State.SIGNED:
                raise recorded_error(taken)
            return _restore(taken, request, session)
        refusal = refusal or Internal("the credential was not selected")
        await self._steps.note_refusal(intent.facts, refusal)
        raise refusal


def wanted_of(request: DocumentRequest) -> Wanted:
    """What the document's signature is to be made with."""
    return Wanted(request.credential_id, request.digest_algorithm, request.scheme)


def _level_of(request: DocumentRequest) -> LevelWanted:
    envelope = request.envelope
    return LevelWanted(
        envelope.level, request.digest_algorithm, envelope.may_be_lower, envelope.time_stamp_authority
    )


def _not_completed(error: DomainError) -> ItemFailure:
    if isinstance(error, LevelNotReached):
        text = f"{error.message}; the signature that was made is not released"
        return ItemFailure(error.code, f"{text}: ask with a new idempotency key", retryable=False)
    if not error.retryable:
        return ItemFailure.of(error)
    # Not under its own code, which would tell the caller to ask again with the same key.
    text = f"the signature was made, but the document could not be completed ({error.message}); it is not released: "
    return ItemFailure(Internal.code, f"{text}ask again with a new idempotency key", retryable=False)


def _restore(taken: Recorded, request: DocumentRequest, session: DocumentSession) -> Made:
    kept = unpack_reached(taken.result)
    if kept is None or kept.addition is None or taken.signing_time is None:
        raise FieldInvalid(
            "this idempotency key was used for an asynchronous request; fetch its document by the operation's id",
            field="idempotency_key",
            operation_id=taken.id,
        )
    session.restore(request.envelope.format, kept.addition, session.document_digest)
    return Made(taken.id, taken.signing_time, replayed=True, reached=kept.reached)


def _answer(made: Made, request: DocumentRequest, session: DocumentSession) -> DocumentAnswer:
    return DocumentAnswer(
        operation_id=made.operation_id,
        media_type=request.envelope.media_type,
        size=session.result_size,
        signing_time=made.signing_time,
        replayed=made.replayed,
        reached=made.reached,
        chunks=session.result(),
    )
