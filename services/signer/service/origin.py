"""Where a job of the queue comes from: whose it is, and whether it came before."""

from __future__ import annotations

from services.kernel.errors import Forbidden, NotFound
from services.signer.domain import SCOPE_DOCUMENT, SCOPE_HASH, Client
from services.signer.formats.format import FileStart
from services.signer.ports import Blob, JobStore, Recorded, SigningStore, Tokens
from services.signer.service.requests import SigningJob


class JobOrigin:
    """Answers for jobs that clients publish themselves; `client_id` is always what the job's subject says."""

    def __init__(self, store: SigningStore, jobs: JobStore, tokens: Tokens) -> None:
        """Bind what it looks into."""
        self._store, self._jobs, self._tokens = store, jobs, tokens

    async def made_before(self, job: SigningJob, client_id: str) -> Recorded | None:
        """Return the operation that the same job made when it came before; its token may be over since."""
        taken = await self._store.find(client_id, job.idempotency_key)
        if taken is None:
            return None
        if job.is_document:
            upload = await self.upload(job, client_id)
            request = job.document_request(upload.file_name)
            sha256 = request.request_sha256(upload.sha256, FileStart(name=upload.file_name))
        else:
            hashes = job.hash_request()
            sha256 = hashes.request_sha256(hashes.content_sha256())
        return taken if taken.request_sha256 == sha256 else None

    async def verified(self, job: SigningJob, client_id: str) -> Client:
        """Return whose token the job shows; the token's errors, Forbidden where it is another client's."""
        client = await self._tokens.verify(job.access_token)
        if client.id != client_id:
            raise Forbidden("the access token belongs to another client than the subject")
        return client

    async def upload(self, job: SigningJob, client_id: str) -> Blob:
        """Return the document that the job names; NotFound."""
        blob = await self._jobs.blob(job.upload_id)
        if blob is None or blob.client_id != client_id:
            raise NotFound(f"no upload {job.upload_id[:64]} of this client; upload the document first")
        return blob


def known_client(recorded: Recorded) -> Client:
    """Return who asked for an operation that was accepted or begun: what its token allowed was checked then."""
    scopes = frozenset({SCOPE_HASH, SCOPE_DOCUMENT})
    return Client(recorded.client_id, recorded.facts.agency_id, scopes, frozenset({"*"}), False)
