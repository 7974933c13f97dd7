"""Signing digests: 1 to 1,000 a call, an outcome for each, in order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from services.kernel.errors import DomainError, OutcomeUnknown
from services.kernel.values import SignatureScheme
from services.signer.domain import (
    SCOPE_HASH,
    Client,
    HashRequest,
    ItemFailure,
    Kind,
    State,
    refuse_by_declaration,
)
from services.signer.ledger import Facts
from services.signer.ports import Ending, Intent, Recorded
from services.signer.service.outcomes import ItemOutcome, error_of, pack, unpack
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

Fits: TypeAlias = Callable[[Selected, int], None]
"""Raises the refusal where so many signatures of this key cannot be answered."""


@dataclass(frozen=True, slots=True)
class HashAnswer:
    """What a call to sign digests is answered with."""

    operation_id: str
    outcomes: Sequence[ItemOutcome]
    scheme: SignatureScheme
    certificate_chain: tuple[bytes, ...]
    """DER, leaf first, without the root."""
    replayed: bool


class HashSigning:
    """The use case behind SignHashes and behind jobs with digests."""

    def __init__(self, steps: SigningSteps) -> None:
        """Take the steps that all signatures share."""
        self._steps = steps

    async def sign_hashes(
        self, client: Client, request: HashRequest, request_id: str, fits: Fits | None = None
    ) -> HashAnswer:
        """Sign, or answer again what was signed under the same idempotency key; raise the refusal or failure.

        Step 1, who asks, is done: `client` is what the access token says. The caller goes from gateway to signer.
        `fits` refuses what the caller's own road could not carry back.
        """
        # 2. Refuse by what is declared, before any byte is hashed.
        facts = facts_of(
            client,
            Kind.HASHES,
            request.credential_id,
            request.declaration,
            total=len(request.digests),
            request_id=request_id,
        )
        try:
            refuse_by_declaration(client, request.declaration, SCOPE_HASH)
        except DomainError as refusal:
            await self._steps.note_refusal(facts, refusal)
            raise
        content = request.content_sha256()
        facts = replace(facts, request_sha256=content.hex())
        request_sha256 = request.request_sha256(content)
        # 3. Refuse before spending HSM time: status, validity, algorithm.
        wanted = Wanted(request.credential_id, request.digest_algorithm, request.scheme)
        try:
            selected = await self._steps.select(client, wanted)
        except DomainError as refusal:
            return await self._answered_before(client, request, request_sha256, facts, refusal)
        if fits is not None:
            try:
                fits(selected, len(request.digests))
            except DomainError as refusal:
                await self._steps.note_refusal(facts, refusal)
                raise
        # 4. to 6. Record the intent, sign, record the outcome: to the end, even where the caller goes away.
        return await self._steps.to_its_end(
            self._sign(client, request, request_sha256, with_selected(facts, selected), selected)
        )

    async def _answered_before(
        self, client: Client, request: HashRequest, request_sha256: bytes, facts: Facts, refusal: DomainError
    ) -> HashAnswer:
        """Give the recorded answer of a repeated call whose credential cannot sign any more; else refuse.

        What is under way or of unknown outcome is told as such: the refusal alone would say that nothing was signed.
        """
        taken = await self._steps.parts.store.find(client.id, request.idempotency_key)
        if taken is not None and taken.state in ANSWERED_FROM_RECORD:
            require_same_request(taken, request_sha256)
            if taken.state is not State.SIGNED:
                raise recorded_error(taken)
            return await self._replay(taken)
        await self._steps.note_refusal(facts, refusal)
        raise refusal

    async def _sign(
        self, client: Client, request: HashRequest, request_sha256: bytes, facts: Facts, selected: Selected
    ) -> HashAnswer:
        parts = self._steps.parts
        now = parts.clock()
        # 4. The intent: unique for client and idempotency key, with a lease of this replica.
        begun = await self._steps.begin(
            Intent(
                id=facts.operation_id,
                client_id=client.id,
                idempotency_key=request.idempotency_key,
                request_sha256=request_sha256,
                kind=Kind.HASHES,
                facts=facts,
                created_at=now,
                lease_until=now + parts.lease,
            )
        )
        if begun.signed is not None:
            return await self._replay(begun.signed)
        facts = begun.facts
        # 5. The HSM signs, the door checks each part, and every signature is verified.
        wanted = Wanted(request.credential_id, request.digest_algorithm, request.scheme)
        outcomes = await self._steps.sign(client, selected, wanted, request.digests)
        # 6. Outcome, ledger entry and event in one transaction.
        entry, state = self._steps.judge(facts, outcomes)
        ending = Ending(
            entry=entry,
            state=state,
            result=pack(outcomes) if state is State.SIGNED else None,
            chain=selected.chain,
            algorithm=selected.algorithm.label,
        )
        await self._steps.end(ending, len(outcomes))
        # 7. The answer.
        parts.failpoint.reach("before_answer")
        if state is not State.SIGNED:
            raise _whole(outcomes, facts.operation_id)
        scheme = selected.algorithm.scheme
        return HashAnswer(facts.operation_id, outcomes, scheme, selected.chain.der, replayed=False)

    async def _replay(self, taken: Recorded) -> HashAnswer:
        chain = await self._steps.parts.store.chain(taken.chain_sha256) if taken.chain_sha256 else ()
        scheme = SignatureScheme.parse(taken.algorithm.partition("/")[0])
        return HashAnswer(taken.id, unpack(taken.result or b""), scheme, chain, replayed=True)


def _whole(outcomes: Sequence[ItemOutcome], operation_id: str) -> DomainError:
    """Where no item was signed the call fails: with the unknown outcome if there is one, else with the first failure."""
    failures = [outcome for outcome in outcomes if isinstance(outcome, ItemFailure)]
    unknown = [failure for failure in failures if failure.code == OutcomeUnknown.code]
    error = error_of((unknown or failures)[0])
    error.data.setdefault("operation_id", operation_id)
    return error
