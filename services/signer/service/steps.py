"""The steps that every signature takes, whatever is signed and by whichever road it came (architecture.md section 5)."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, TypeVar

from services.kernel.errors import (
    CredentialExpired,
    CredentialHeld,
    CredentialRevoked,
    CredentialStatusUnavailable,
    CredentialWithoutCertificate,
    DomainError,
    HsmOutcomeUnknown,
    IdempotencyConflict,
    Internal,
    OperationInProgress,
    OutcomeUnknown,
)
from services.kernel.values import DigestAlgorithm, SignatureScheme, SigningAlgorithm, default_scheme, new_id
from services.signer.domain import (
    CertificateChain,
    Client,
    Credential,
    Declaration,
    ItemFailure,
    Key,
    Kind,
    State,
)
from services.signer.failpoints import Failpoint
from services.signer.hsm.types import KeyLocator
from services.signer.ledger import Entry, Facts, Outcome
from services.signer.metrics import SignerMetrics
from services.signer.ports import Clock, Directory, Ending, Intent, KeyStore, Recorded, Signer, SigningStore
from services.signer.service.outcomes import ItemOutcome, error_of, signatures_sha256
from services.signer.service.selfcheck import SelfCheck

T = TypeVar("T")

DOOR_ATTEMPTS = 3
"""How often a signing is taken up again whose credential changed while it waited, without forbidding it."""

_REFUSED_AT_THE_DOOR = frozenset(
    {CredentialHeld.code, CredentialRevoked.code, CredentialExpired.code, CredentialWithoutCertificate.code}
)
"""What a credential's last check says where it changed while the signing waited for the HSM."""

ANSWERED_FROM_RECORD = frozenset({State.SIGNED, State.ACCEPTED, State.BEGUN, State.OUTCOME_UNKNOWN})
"""A repeated call is told of these whatever became of the credential."""


@dataclass(frozen=True, slots=True)
class SigningParts:
    """What the steps work with."""

    store: SigningStore
    keys: KeyStore
    directory: Directory
    hsm: Signer
    clock: Clock
    metrics: SignerMetrics
    failpoint: Failpoint = field(default_factory=Failpoint)
    lease: timedelta = timedelta(seconds=180)
    """After it another replica may decide that this one died over it; renewed while an operation is under way."""


@dataclass(frozen=True, slots=True)
class Selected:
    """What a signing uses: all of one credential at one version."""

    credential: Credential
    chain: CertificateChain
    key: Key
    algorithm: SigningAlgorithm


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a caller asks to sign with."""

    credential_id: str
    digest_algorithm: DigestAlgorithm
    scheme: SignatureScheme | None


@dataclass(frozen=True, slots=True)
class Begun:
    """What `begin` found."""

    facts: Facts
    signed: Recorded | None
    """The operation to be answered again; None: this call signs."""


class SigningSteps:
    """Selects, records, signs, ends. It knows no format and no protocol."""

    def __init__(self, parts: SigningParts) -> None:
        """Bind the parts; nothing is opened."""
        self.parts = parts
        self._check = SelfCheck()
        self._running: dict[asyncio.Task[Any], str] = {}
        """What is between intent and outcome, with the operation's id once it has begun."""

    # --- step 3: refusals before HSM time ---

    async def select(self, client: Client, wanted: Wanted) -> Selected:
        """Look the credential up and raise the first reason why it cannot sign this for this client now."""
        credential = await self.parts.directory.resolve(wanted.credential_id)
        chain = credential.require_signing(client, self.parts.clock())
        key = await self.parts.keys.key(credential.key_id)
        if key is None or key.spki_sha256 != chain.spki_sha256:
            # The register named a key that is not the certificate's: nothing may be signed in that name.
            raise CredentialWithoutCertificate(
                f"credential {credential.id}: the certificate does not belong to the key that is kept for it"
            )
        algorithm = SigningAlgorithm(wanted.scheme or default_scheme(key.algorithm), wanted.digest_algorithm)
        algorithm.require_fit(key.algorithm)
        return Selected(credential, chain, key, algorithm)

    async def note_refusal(self, facts: Facts, refusal: DomainError) -> None:
        """Enter a refusal into the ledger. An outage is no refusal: it says nothing about the request."""
        self.parts.metrics.refusals.labels(refusal.code).inc()
        if refusal.retryable:
            return
        failure = ItemFailure.of(refusal)
        await self.parts.store.note(
            Entry(facts, Outcome.REFUSED, self.parts.clock(), new_id("ev"), failure=failure)
        )

    # --- step 4: the intent ---

    async def begin(self, intent: Intent) -> Begun:
        """Record the intent, so that this call may sign; or answer with the operation that signed the same before.

        Raise what else became of the operation that has the idempotency key: conflict, in progress, its recorded
        failure, OUTCOME_UNKNOWN. A retryable failure is taken up again under its old id.
        """
        taken = await self.parts.store.begin(intent)
        if taken is None:
            self.hold(intent.id)
            self.parts.failpoint.reach("intent_recorded")
            return Begun(intent.facts, None)
        require_same_request(taken, intent.request_sha256)
        if taken.state is State.SIGNED:
            return Begun(taken.facts, taken)
        if taken.state is State.FAILED and taken.failure is not None and taken.failure.retryable:
            facts = replace(intent.facts, operation_id=taken.id)
            if await self.parts.store.begin_again(replace(intent, id=taken.id, facts=facts), State.FAILED):
                self.hold(taken.id)
                self.parts.failpoint.reach("intent_recorded")
                return Begun(facts, None)
            raise _in_progress(taken)
        raise recorded_error(taken)

    # --- step 5: sign and check ---

    async def sign(
        self, client: Client, selected: Selected, wanted: Wanted, digests: Sequence[bytes]
    ) -> list[ItemOutcome]:
        """Sign digests and verify every signature; an outcome each. Only outcomes, no DomainError, once the HSM had one."""
        self.parts.failpoint.reach("before_hsm")
        outcomes: list[bytes | DomainError] = await self._through_door(selected, digests)
        for _ in range(DOOR_ATTEMPTS - 1):
            left = [
                index
                for index, outcome in enumerate(outcomes)
                if isinstance(outcome, CredentialStatusUnavailable)
            ]
            if not left:
                break
            try:
                again = await self.select(client, wanted)
                if again.key != selected.key or again.chain.sha256 != selected.chain.sha256:
                    # Renewed in the meantime: what was prepared with the old certificate is not signed with the new.
                    break
            except DomainError as refusal:
                for index in left:
                    outcomes[index] = refusal
                break
            fresh = await self._through_door(again, [digests[index] for index in left])
            for index, outcome in zip(left, fresh, strict=True):
                outcomes[index] = outcome
        self.parts.failpoint.reach("after_hsm")
        return await self._checked(selected, digests, outcomes)

    async def _through_door(self, selected: Selected, digests: Sequence[bytes]) -> list[bytes | DomainError]:
        key = selected.key
        locator = KeyLocator(key.token_group, key.cka_id, key.spki_sha256)
        door = self.parts.directory.door(selected.credential)
        try:
            return await self.parts.hsm.sign(locator, selected.algorithm, digests, admit=door.admit)
        finally:
            door.close()

    async def _checked(
        self, selected: Selected, digests: Sequence[bytes], outcomes: Sequence[bytes | DomainError]
    ) -> list[ItemOutcome]:
        made = [(index, outcome) for index, outcome in enumerate(outcomes) if isinstance(outcome, bytes)]
        pairs = [(digests[index], signature) for index, signature in made]
        verified = await self._check.verify(selected.key, selected.algorithm, pairs)
        wrong = {index for (index, _), good in zip(made, verified, strict=True) if not good}
        return [_item(outcome, index in wrong) for index, outcome in enumerate(outcomes)]

    # --- step 6: the outcome ---

    async def end(self, ending: Ending, total: int) -> None:
        """Record outcome, ledger entry and events in one transaction; only then may anything be released.

        Raise OutcomeUnknown where another replica had taken the operation for dead and decided so.
        """
        self.parts.failpoint.reach("before_outcome")
        entry, metrics = ending.entry, self.parts.metrics
        if not await self.parts.store.end(ending):
            raise OutcomeUnknown(
                f"operation {entry.facts.operation_id} took longer than its lease; its signature is not released",
                operation_id=entry.facts.operation_id,
            )
        metrics.signatures.labels(entry.facts.kind, "signed").inc(entry.signed_items)
        if total > entry.signed_items:
            outcome = "unknown" if entry.outcome is Outcome.UNKNOWN else "failed"
            metrics.signatures.labels(entry.facts.kind, outcome).inc(total - entry.signed_items)
        if ending.state is State.OUTCOME_UNKNOWN:
            metrics.outcome_unknown.inc()
        self.parts.failpoint.reach("after_outcome")

    def judge(self, facts: Facts, outcomes: Sequence[ItemOutcome]) -> tuple[Entry, State]:
        """Judge a batch: what the ledger says of it, and where the operation stands then."""
        signed = sum(isinstance(outcome, bytes) for outcome in outcomes)
        failures = [outcome for outcome in outcomes if isinstance(outcome, ItemFailure)]
        unknown = next((failure for failure in failures if failure.code == OutcomeUnknown.code), None)
        failure = unknown or (failures[0] if failures else None)
        if signed:
            # Some signatures are released, so the operation is signed; what failed is told item by item.
            outcome, state = (Outcome.UNKNOWN if unknown else Outcome.COMPLETED), State.SIGNED
        elif unknown:
            outcome, state = Outcome.UNKNOWN, State.OUTCOME_UNKNOWN
        elif failure is not None and failure.code in _REFUSED_AT_THE_DOOR:
            outcome, state = Outcome.REFUSED, State.REFUSED
        else:
            outcome, state = Outcome.FAILED, State.FAILED
        at = self.parts.clock()
        return Entry(facts, outcome, at, new_id("ev"), signed, signatures_sha256(outcomes), failure), state

    # --- a caller that goes away ---

    async def to_its_end(self, work: Coroutine[Any, Any, T]) -> T:
        """Run steps 4 to 6 to their end even where the caller goes away in the middle: an intent is never abandoned."""
        task = asyncio.get_running_loop().create_task(work)
        self._running[task] = ""
        self.parts.metrics.intents_open.inc()
        task.add_done_callback(self._ended)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            # What the work uses (a document's session) belongs to the caller: it must outlive the work.
            # However often it is cancelled: each time cuts only this waiting short.
            while not task.done():
                with suppress(asyncio.CancelledError):
                    await asyncio.wait({task})
            raise

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._running.pop(task, None)
        self.parts.metrics.intents_open.dec()
        if not task.cancelled():
            # Read, because the caller may be gone; then nobody else would.
            task.exception()

    def hold(self, operation_id: str) -> None:
        """Renew this operation's lease for as long as the present piece of work runs (`to_its_end`)."""
        task = asyncio.current_task()
        if task is not None and task in self._running:
            self._running[task] = operation_id

    async def keep_leases(self) -> None:
        """Renew the leases of what takes long, until cancelled: a slow operation is not a dead one.

        A lease that is used has at least half of its time left as long as the database can be reached.
        """
        before: set[str] = set()
        while True:
            await asyncio.sleep(self.parts.lease.total_seconds() / 4)
            # Where the database is away, the next time is soon enough.
            with suppress(DomainError):
                before = await self.renew_leases(before)

    async def renew_leases(self, before: set[str]) -> set[str]:
        """Renew what was under way the time before too; return what is under way now."""
        now = {operation_id for operation_id in self._running.values() if operation_id}
        if old := sorted(now & before):
            await self.parts.store.renew(old, self.parts.clock() + self.parts.lease)
        return now

    async def drain(self) -> None:
        """Wait for what is still under way after the server stopped taking calls."""
        while self._running:
            await asyncio.wait(set(self._running))


def facts_of(
    client: Client, kind: Kind, credential_id: str, declaration: Declaration, *, total: int, request_id: str
) -> Facts:
    """What the ledger can say before the credential is known; the agency is the client's until then."""
    return Facts(
        operation_id=new_id("op"),
        client_id=client.id,
        agency_id=client.agency_id,
        credential_id=credential_id,
        kind=kind.value,
        total_items=total,
        request_sha256="",
        document_type=declaration.document_type,
        reference=declaration.reference,
        label=declaration.label.value if declaration.label else "",
        request_id=request_id,
    )


def with_selected(facts: Facts, selected: Selected) -> Facts:
    """Add what the look-up told."""
    return replace(
        facts,
        agency_id=selected.credential.agency_id,
        key_id=selected.key.id,
        serial_number=selected.chain.serial_number,
        algorithm=selected.algorithm.label,
        activation=selected.credential.activation,
    )


def require_same_request(taken: Recorded, request_sha256: bytes) -> None:
    """Raise IdempotencyConflict where the key was used for another request."""
    if taken.request_sha256 != request_sha256:
        raise IdempotencyConflict(
            "this idempotency key was used for another request; make a new key for each request",
            operation_id=taken.id,
        )


def recorded_error(taken: Recorded) -> DomainError:
    """Return the error that tells what became of an operation that is not signed."""
    if taken.state in {State.ACCEPTED, State.BEGUN}:
        return _in_progress(taken)
    if taken.state is State.OUTCOME_UNKNOWN:
        return OutcomeUnknown(
            f"operation {taken.id}: a signature may have been made, none was released and none will be; "
            "to sign, ask with a new idempotency key",
            operation_id=taken.id,
        )
    if taken.failure is None:
        return Internal(f"operation {taken.id} ended without a reason", operation_id=taken.id)
    return error_of(taken.failure)


def _in_progress(taken: Recorded) -> DomainError:
    return OperationInProgress(
        f"operation {taken.id} is under way; ask again shortly with the same idempotency key",
        operation_id=taken.id,
    )


def _item(outcome: bytes | DomainError, wrong: bool) -> ItemOutcome:
    if wrong:
        # Never released; and not called retryable, because the token or a worker is at fault.
        return ItemFailure(
            Internal.code, "the signature made does not verify under the credential's key", False
        )
    if isinstance(outcome, HsmOutcomeUnknown):
        return ItemFailure(OutcomeUnknown.code, outcome.message, False)
    return outcome if isinstance(outcome, bytes) else ItemFailure.of(outcome)
