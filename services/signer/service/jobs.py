"""The asynchronous road: accepted now, signed by whichever replica takes the job, kept until it is collected."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import Enum

from services.kernel.errors import (
    BodyTooLarge,
    DomainError,
    OperationInProgress,
    OperationNotFound,
    OperationNotReady,
    OutcomeUnknown,
    ServiceUnavailable,
)
from services.kernel.events import Event
from services.kernel.values import new_id
from services.signer.domain import (
    SCOPE_DOCUMENT,
    BlobLost,
    Client,
    DocumentRequest,
    ItemFailure,
    State,
    require_scope,
)
from services.signer.ledger import Entry, Facts, Outcome
from services.signer.ports import (
    CONTENT_KEY_BYTES,
    Blob,
    BlobStore,
    DocumentPool,
    DocumentSession,
    Ending,
    Intent,
    Job,
    JobStore,
    Piece,
    Recorded,
    Tokens,
)
from services.signer.service.documents import DocumentAnswer, DocumentSigning, wanted_of
from services.signer.service.files import FileList, fill
from services.signer.service.files import limited as limited_bytes
from services.signer.service.hashes import HashSigning
from services.signer.service.kept import pack_reached, unpack_reached
from services.signer.service.levels import Reached
from services.signer.service.messages import Ended, ended_events, job_event, require_result_fits
from services.signer.service.origin import JobOrigin, known_client
from services.signer.service.outcomes import ItemOutcome
from services.signer.service.requests import Accepted, SigningJob, accepted_from_json, accepted_to_json
from services.signer.service.steps import Selected, SigningSteps, require_same_request, with_selected

LOOK_AGAIN = timedelta(minutes=10)
"""An accepted operation that nobody has taken up for so long is queued again (reconcile.py)."""


TOO_LARGE_FOR_A_MESSAGE = "signed, but the signatures are too large for a message: ask for them by a call with the same idempotency key"


class Next(Enum):
    """What becomes of a job's message."""

    DONE = "done"
    AGAIN = "again"


@dataclass(frozen=True, slots=True)
class Parked:
    """The job ended without a signature, for a person to look at."""

    reason: str


Verdict = Next | Parked


@dataclass(frozen=True, slots=True)
class JobParts:
    """What the asynchronous road needs besides the steps."""

    jobs: JobStore
    blobs: BlobStore
    tokens: Tokens
    documents: DocumentPool
    replica: str
    keep: timedelta
    """How long results and uploads are kept."""
    max_document_bytes: int


class JobSigning:
    """The use cases behind SubmitDocument, UploadDocument, GetOperation, FetchDocument, and behind the work queue."""

    def __init__(
        self, steps: SigningSteps, hashes: HashSigning, documents: DocumentSigning, parts: JobParts
    ) -> None:
        """Take the synchronous use cases, whose rules hold here too."""
        self._steps, self._hashes, self._documents, self._parts = steps, hashes, documents, parts
        self._origin = JobOrigin(steps.parts.store, parts.jobs, parts.tokens)

    # --- what callers ask ---

    async def submit(
        self, client: Client, request: DocumentRequest, pieces: AsyncIterator[Piece], request_id: str
    ) -> tuple[str, bool]:
        """Accept a document: return operation id, and whether the same was accepted before, once all is durable."""
        facts = await self._documents.refuse(client, request, request_id)
        if await self._steps.parts.store.find(client.id, request.idempotency_key) is None:
            facts = await self._select_or_refuse(client, request, facts)
        files = FileList()
        payload = await self._keep(client, request.file_name, files.bytes_of(pieces))
        taken = await self._accept(client, files.accepted(request), facts, payload, queue=True)
        return taken or facts.operation_id, taken is not None

    async def upload(self, client: Client, file_name: str, chunks: AsyncIterator[bytes]) -> Blob:
        """Keep a document for a job that the client publishes itself."""
        require_scope(client, SCOPE_DOCUMENT)
        return await self._keep(client, file_name, chunks)

    async def operation(self, client: Client, operation_id: str) -> tuple[Recorded, Job | None]:
        """Return one of the client's own operations."""
        found = await self._steps.parts.store.operation(operation_id)
        if found is None or found.client_id != client.id:
            raise OperationNotFound(f"no operation {operation_id} of this client", operation_id=operation_id)
        return found, await self._parts.jobs.job(operation_id)

    async def fetch(self, client: Client, operation_id: str) -> DocumentAnswer:
        """Return the signed document of an asynchronous operation of the client."""
        found, job = await self.operation(client, operation_id)
        if job is None or found.state is not State.SIGNED or found.signing_time is None:
            raise OperationNotReady(
                f"operation {operation_id} is {found.state.value} and has no document to fetch",
                operation_id=operation_id,
                state=found.state.value,
            )
        blob = await self._parts.jobs.blob(job.result_blob) if job.result_blob else None
        if blob is None:
            raise OperationNotFound(f"the document of operation {operation_id} is no longer kept")
        request = accepted_from_json(job.request).request
        kept = unpack_reached(found.result)
        return DocumentAnswer(
            operation_id=operation_id,
            media_type=request.envelope.media_type,
            size=blob.size,
            signing_time=found.signing_time,
            replayed=False,
            reached=kept.reached if kept else None,
            chunks=self._parts.blobs.read(blob),
        )

    # --- what the queue brings ---

    async def take(self, job: SigningJob, client_id: str, request_id: str, *, last: bool) -> Verdict:
        """Do a job of the queue; `client_id` is what its subject says, `last` that it will not come again."""
        if job.operation_id:
            return await self._run(job.operation_id, client_id, last=last)
        agency_id = ""
        try:
            # A job comes again: what it made when it came first goes on, and its token may be over since.
            taken = await self._origin.made_before(job, client_id)
            client = await self._origin.verified(job, client_id) if taken is None else known_client(taken)
            agency_id = client.agency_id
            if job.is_document:
                operation_id = taken.id if taken else await self._take_upload(client, job, request_id)
            else:
                request = job.hash_request()
                answer = await self._hashes.sign_hashes(client, request, request_id, require_result_fits)
        except DomainError as error:
            if error.retryable and not last:
                return Next.AGAIN
            if not isinstance(error, OperationInProgress):
                # One that is under way has not failed; a person finds its job in the parked stream.
                await self._tell_failed(job, client_id, agency_id, error)
            return Parked(error.code)
        if job.is_document:
            return await self._run(operation_id, client_id, last=last)
        facts = Facts(answer.operation_id, client_id, agency_id, "", "hashes", len(answer.outcomes), "")
        try:
            told = self._ended(facts, State.SIGNED, job.job_id, outcomes=answer.outcomes)
            await self._parts.jobs.publish(told)
        except BodyTooLarge as error:
            # Signed by a call before, which has room for more: a call with the same key answers them again.
            failure = ItemFailure(error.code, TOO_LARGE_FOR_A_MESSAGE, retryable=False)
            await self._parts.jobs.publish(self._ended(facts, State.SIGNED, job.job_id, failure))
        return Next.DONE

    async def _take_upload(self, client: Client, job: SigningJob, request_id: str) -> str:
        blob = await self._origin.upload(job, client.id)
        request = job.document_request(blob.file_name)
        facts = await self._documents.refuse(client, request, request_id)
        taken = await self._steps.parts.store.find(client.id, request.idempotency_key)
        if taken is None:
            facts = await self._select_or_refuse(client, request, facts)
        accepted = FileList.of(blob.size, blob.file_name).accepted(request)
        before = await self._accept(client, accepted, facts, blob, queue=False, job_id=job.job_id)
        return before or facts.operation_id

    async def _run(self, operation_id: str, client_id: str, *, last: bool) -> Verdict:
        recorded = await self._steps.parts.store.operation(operation_id)
        job = await self._parts.jobs.job(operation_id)
        if recorded is None or job is None or recorded.client_id != client_id:
            return Parked(OperationNotFound.code)
        if recorded.state is State.BEGUN:
            # Another replica works on it; if that died, the lease ends and the operation is reconciled.
            return Next.DONE if last else Next.AGAIN
        if recorded.state is not State.ACCEPTED:
            return Next.DONE
        accepted = accepted_from_json(job.request)
        # What the token allowed was checked when the job was accepted; the credential is checked now.
        client = replace(known_client(recorded), agency_id=job.agency_id)
        try:
            selected = await self._steps.select(client, wanted_of(accepted.request))
            return await self._sign_payload(client, accepted, recorded, job, selected, last=last)
        except DomainError as error:
            if isinstance(error, OutcomeUnknown):
                return Next.DONE
            if error.retryable and not last:
                return Next.AGAIN
            return await self._give_up(recorded, job, error)

    async def _sign_payload(
        self,
        client: Client,
        accepted: Accepted,
        recorded: Recorded,
        job: Job,
        selected: Selected,
        *,
        last: bool,
    ) -> Verdict:
        blob = await self._parts.jobs.blob(job.document_blob) if job.document_blob else None
        if blob is None:
            raise BlobLost(f"the document of operation {recorded.id} is no longer kept")
        request, facts = accepted.request, with_selected(recorded.facts, selected)
        intent = self._documents.intent(client, request, facts, recorded.request_sha256)
        async with self._parts.documents.session() as session:
            if await fill(session, accepted, self._parts.blobs.read(blob)) != blob.sha256:
                raise BlobLost(f"the document of operation {recorded.id} is damaged")

            async def work() -> Verdict:
                # 4. The intent: from here on the operation is this replica's.
                if not await self._steps.parts.store.begin_again(intent, State.ACCEPTED):
                    return Next.AGAIN
                self._steps.hold(recorded.id)
                self._steps.parts.failpoint.reach("intent_recorded")
                # 5. Build, sign, check.
                attempt = await self._documents.make(client, request, selected, session)
                failure = attempt.outcomes[0]
                if isinstance(failure, ItemFailure) and failure.retryable and not last:
                    await self._parts.jobs.release(recorded.id)
                    return Next.AGAIN
                # 6. The result is durable before the outcome says that there is one.
                result, outcomes = await self._result(client, job, session, attempt.outcomes)
                entry, state = self._steps.judge(facts, outcomes)
                ending = Ending(
                    entry=entry,
                    state=state,
                    result=pack_reached(attempt.reached, None) if result else None,
                    chain=selected.chain,
                    algorithm=selected.algorithm.label,
                    signing_time=attempt.signing_time,
                    result_blob=result,
                    events=self._ended(
                        facts, state, job.job_id, entry.failure, reached=attempt.reached if result else None
                    ),
                )
                await self._steps.end(ending, 1)
                return Next.DONE if entry.failure is None else Parked(entry.failure.code)

            return await self._steps.to_its_end(work())

    async def _result(
        self, client: Client, job: Job, session: DocumentSession, outcomes: list[ItemOutcome]
    ) -> tuple[str | None, list[ItemOutcome]]:
        if isinstance(outcomes[0], ItemFailure):
            return None, outcomes
        try:
            return (await self._keep(client, job.file_name, session.result(), limited=False)).id, outcomes
        except DomainError as error:
            # A signature was made, but its document cannot be kept: it is not released.
            return None, [replace(ItemFailure.of(error), retryable=False)]

    async def _give_up(self, recorded: Recorded, job: Job, error: DomainError) -> Verdict:
        now = await self._steps.parts.store.operation(recorded.id)
        if now is not None and now.state is State.BEGUN:
            # The HSM may have been asked: when the lease is over it is reconciled, and never called failed.
            return Next.DONE
        failure = ItemFailure.of(error)
        outcome, state = (
            (Outcome.FAILED, State.FAILED)
            if error.retryable or isinstance(error, BlobLost)
            else (Outcome.REFUSED, State.REFUSED)
        )
        entry = Entry(
            recorded.facts,
            outcome,
            self._steps.parts.clock(),
            new_id("ev"),
            failure=replace(failure, retryable=False),
        )
        events = self._ended(recorded.facts, state, job.job_id, failure)
        try:
            await self._steps.end(Ending(entry=entry, state=state, events=events), 1)
        except OutcomeUnknown:
            # Another replica has it, and tells how it ends.
            return Next.DONE
        return Parked(error.code)

    # --- shared ---

    async def _select_or_refuse(self, client: Client, request: DocumentRequest, facts: Facts) -> Facts:
        """Refuse at once what could not be signed now; the credential is looked up again when it is signed."""
        try:
            return with_selected(facts, await self._steps.select(client, wanted_of(request)))
        except DomainError as refusal:
            await self._steps.note_refusal(facts, refusal)
            raise

    async def _keep(
        self, client: Client, file_name: str, chunks: AsyncIterator[bytes], *, limited: bool = True
    ) -> Blob:
        blob_id, content_key = new_id("blob"), os.urandom(CONTENT_KEY_BYTES)
        stream = limited_bytes(chunks, self._parts.max_document_bytes) if limited else chunks
        try:
            size, sha256 = await self._parts.blobs.write(blob_id, content_key, stream)
        except OSError as error:
            raise ServiceUnavailable("the document cannot be kept now; try again shortly") from error
        expires_at = self._steps.parts.clock() + self._parts.keep
        blob = Blob(blob_id, client.id, file_name, content_key, size, sha256, expires_at)
        await self._parts.jobs.add_blob(blob)
        return blob

    async def _accept(
        self,
        client: Client,
        accepted: Accepted,
        facts: Facts,
        payload: Blob,
        *,
        queue: bool,
        job_id: str = "",
    ) -> str | None:
        """Record the operation as accepted. Return the id of the one that was accepted before under the same key."""
        request = accepted.request
        content = accepted.content_sha256(payload.sha256)
        facts = replace(facts, request_sha256=content.hex())
        sha256 = request.request_sha256(content, accepted.first)
        intent: Intent = replace(
            self._documents.intent(client, request, facts, sha256),
            lease_until=self._steps.parts.clock() + LOOK_AGAIN,
        )
        job = Job(
            operation_id=facts.operation_id,
            client_id=client.id,
            agency_id=client.agency_id,
            request=accepted_to_json(accepted),
            job_id=job_id,
            file_name=request.file_name,
            document_blob=payload.id,
            result_blob=None,
            expires_at=payload.expires_at,
        )
        event = job_event(facts, self._parts.replica, intent.created_at) if queue else None
        taken = await self._parts.jobs.accept(intent, job, event)
        if taken is None:
            return None
        require_same_request(taken, sha256)
        return taken.id

    async def _tell_failed(self, job: SigningJob, client_id: str, agency_id: str, error: DomainError) -> None:
        operation_id = str(error.data.get("operation_id") or new_id("op"))
        facts = Facts(operation_id, client_id, agency_id, "", "hashes", 0, "")
        state = State.OUTCOME_UNKNOWN if isinstance(error, OutcomeUnknown) else State.FAILED
        await self._parts.jobs.publish(self._ended(facts, state, job.job_id, ItemFailure.of(error)))

    def _ended(
        self,
        facts: Facts,
        state: State,
        job_id: str,
        failure: ItemFailure | None = None,
        outcomes: Sequence[ItemOutcome] = (),
        reached: Reached | None = None,
    ) -> tuple[Event, ...]:
        at = self._steps.parts.clock()
        ended = Ended(facts, state, at, failure, outcomes, job_id, reached)
        return ended_events(ended, self._parts.replica)
