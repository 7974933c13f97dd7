"""The signing steps with ports in memory: refusals in order, at most once, and what is recorded of each end."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from services.kernel.errors import (
    AlgorithmMismatch,
    BatchEmpty,
    BatchTooLarge,
    ClassifiedRefused,
    CredentialExpired,
    CredentialHeld,
    CredentialNotFound,
    CredentialRevoked,
    CredentialStatusUnavailable,
    CredentialWithoutCertificate,
    DigestLength,
    DocumentTypeNotAllowed,
    DomainError,
    FieldInvalid,
    HsmOutcomeUnknown,
    HsmUnavailable,
    IdempotencyConflict,
    Internal,
    LabelRequired,
    OperationInProgress,
    OutcomeUnknown,
    ScopeMissing,
)
from services.kernel.values import DigestAlgorithm, KeyAlgorithm, SignatureScheme
from services.signer.domain import (
    CertificateChain,
    Client,
    Credential,
    CredentialStatus,
    Declaration,
    HashRequest,
    Key,
    SecrecyLabel,
    State,
)
from services.signer.metrics import SignerMetrics
from services.signer.service.hashes import HashAnswer, HashSigning
from services.signer.service.steps import SigningParts, SigningSteps
from tests.unit.signer.memory import MemoryDirectory, MemoryKeys, MemoryStore, SoftwareHsm

NOW = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)
CLIENT = Client("cl_1", "ag_1", frozenset({"sign:hash"}), frozenset({"cong-van"}), True)
DECLARED = Declaration("cong-van", SecrecyLabel.NONE, "Số 1")


@dataclass
class World:
    """A credential with a key, and the use case over ports in memory."""

    store: MemoryStore = field(default_factory=MemoryStore)
    keys: MemoryKeys = field(default_factory=MemoryKeys)
    hsm: SoftwareHsm = field(default_factory=SoftwareHsm)
    directory: MemoryDirectory = field(default_factory=MemoryDirectory)
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)

    async def start(self) -> World:
        made = await self.hsm.generate("documents", KeyAlgorithm.ECDSA_P256)
        key = Key(
            "key_1",
            "cr_1",
            KeyAlgorithm.ECDSA_P256,
            "documents",
            made.locator.cka_id,
            made.spki,
            made.locator.spki_sha256,
        )
        await self.keys.add_key(key, NOW)
        day = timedelta(days=1)
        valid = ((NOW - day, NOW + day), (NOW - day, NOW + 9 * day))
        chain = CertificateChain((b"leaf", b"ca"), b"c" * 32, "0a", key.spki_sha256, "", valid)
        self.put(
            Credential(
                "cr_1", 1, CredentialStatus.ACTIVE, "ag_1", ("ag_1",), frozenset(), "client", key.id, chain
            )
        )
        parts = SigningParts(
            store=self.store,
            keys=self.keys,
            directory=self.directory,
            hsm=self.hsm,
            clock=lambda: NOW,
            metrics=SignerMetrics.register(self.registry),
        )
        self.signing = HashSigning(SigningSteps(parts))
        return self

    def put(self, credential: Credential) -> None:
        self.directory.credentials[credential.id] = credential

    def change(self, **changes: Any) -> None:
        self.put(replace(self.directory.credentials["cr_1"], **changes))

    async def sign(self, request: HashRequest, client: Client = CLIENT) -> HashAnswer:
        return await self.signing.sign_hashes(client, request, "req_1")

    def records(self) -> list[dict[str, Any]]:
        return [json.loads(entry.data) for entry in self.store.entries]


@pytest.fixture
async def world() -> World:
    return await World().start()


def request(count: int = 1, **changes: Any) -> HashRequest:
    fields: dict[str, Any] = {
        "credential_id": "cr_1",
        "idempotency_key": os.urandom(8).hex(),
        "digest_algorithm": DigestAlgorithm.SHA256,
        "scheme": None,
        "digests": tuple(hashlib.sha256(os.urandom(4)).digest() for _ in range(count)),
        "declaration": DECLARED,
    }
    return HashRequest(**(fields | changes))


async def test_a_signature_is_answered_recorded_and_told(world: World) -> None:
    answer = await world.sign(request(3))
    assert len(answer.outcomes) == 3
    assert answer.certificate_chain == (b"leaf", b"ca")
    (record,) = world.records()
    expected = {
        "outcome": "completed",
        "signed_items": 3,
        "total_items": 3,
        "algorithm": "ECDSA/SHA-256",
        "serial_number": "0a",
        "key_id": "key_1",
        "activation": "client",
        "reference": "Số 1",
        "label": "none",
        "request_id": "req_1",
        "time": "2026-11-22T08:00:00.000000Z",
    }
    assert expected.items() <= record.items()
    (event,) = world.store.events
    assert event.nats_subject == "kyso.event.signature.completed.ag_1"
    assert dict(event.extensions)["ledgerhash"] == world.store.entries[0].hash.hex()
    assert event.data == world.store.entries[0].data
    assert world.directory.open_doors == 0


def held(world: World) -> None:
    world.change(status=CredentialStatus.HELD)


def expired_issuer(world: World) -> None:
    chain = world.directory.credentials["cr_1"].chain
    assert chain is not None
    day = timedelta(days=1)
    world.change(chain=replace(chain, validity=(chain.validity[0], (NOW - 2 * day, NOW - day))))


def not_yet_valid(world: World) -> None:
    chain = world.directory.credentials["cr_1"].chain
    assert chain is not None
    later = (NOW + timedelta(seconds=1), NOW + timedelta(days=1))
    world.change(chain=replace(chain, validity=(later, chain.validity[1])))


def wrong_key(world: World) -> None:
    chain = world.directory.credentials["cr_1"].chain
    assert chain is not None
    world.change(chain=replace(chain, spki_sha256=b"x" * 32))


REFUSALS = [
    ("classified", {"declaration": Declaration("", SecrecyLabel.MAT)}, {}, None, ClassifiedRefused),
    ("top secret", {"declaration": Declaration("", SecrecyLabel.TUYET_MAT)}, {}, None, ClassifiedRefused),
    ("no label", {"declaration": Declaration("cong-van")}, {}, None, LabelRequired),
    (
        "other type",
        {"declaration": Declaration("hoa-don", SecrecyLabel.NONE)},
        {},
        None,
        DocumentTypeNotAllowed,
    ),
    ("no type", {"declaration": Declaration("", SecrecyLabel.NONE)}, {}, None, DocumentTypeNotAllowed),
    ("scope", {}, {"scopes": frozenset({"sign:document"})}, None, ScopeMissing),
    ("unknown", {"credential_id": "cr_2"}, {}, None, CredentialNotFound),
    ("other agency", {}, {"agency_id": "ag_2"}, None, CredentialNotFound),
    ("not on its list", {}, {}, lambda w: w.change(client_ids=frozenset({"cl_2"})), CredentialNotFound),
    ("held", {}, {}, held, CredentialHeld),
    ("revoked", {}, {}, lambda w: w.change(status=CredentialStatus.REVOKED), CredentialRevoked),
    ("pending", {}, {}, lambda w: w.change(status=CredentialStatus.PENDING), CredentialWithoutCertificate),
    ("no chain", {}, {}, lambda w: w.change(chain=None), CredentialWithoutCertificate),
    ("issuer expired", {}, {}, expired_issuer, CredentialExpired),
    ("not yet valid", {}, {}, not_yet_valid, CredentialExpired),
    ("another key", {}, {}, wrong_key, CredentialWithoutCertificate),
    ("scheme", {"scheme": SignatureScheme.RSA_PSS}, {}, None, AlgorithmMismatch),
]


@pytest.mark.parametrize(
    ("asked", "client", "prepare", "error"), [row[1:] for row in REFUSALS], ids=[r[0] for r in REFUSALS]
)
async def test_a_refusal_is_made_before_the_hsm_and_entered_into_the_ledger(
    world: World, asked: dict[str, Any], client: dict[str, Any], prepare: Any, error: type[DomainError]
) -> None:
    if prepare is not None:
        prepare(world)
    with pytest.raises(error):
        await world.sign(request(**asked), replace(CLIENT, **client))
    assert world.hsm.signed == 0
    assert world.store.rows == {}
    (record,) = world.records()
    assert (record["outcome"], record["error_code"], record["signed_items"]) == ("refused", error.code, 0)
    # Nothing of classified matter is hashed.
    assert (record["request_sha256"] == "") == (
        error in {ClassifiedRefused, LabelRequired, DocumentTypeNotAllowed, ScopeMissing}
    )


async def test_the_label_is_asked_first_whatever_else_is_wrong(world: World) -> None:
    held(world)
    nobody = replace(CLIENT, scopes=frozenset(), document_types=frozenset())
    with pytest.raises(ClassifiedRefused):
        await world.sign(
            request(credential_id="cr_9", declaration=Declaration("x", SecrecyLabel.TOI_MAT)), nobody
        )


async def test_an_outage_of_the_register_is_no_refusal_of_the_request(world: World) -> None:
    world.directory.fails = CredentialStatusUnavailable("away")
    with pytest.raises(CredentialStatusUnavailable):
        await world.sign(request())
    assert world.records() == []
    assert world.hsm.signed == 0


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"digests": ()}, BatchEmpty),
        ({"digests": (b"x" * 32,) * 1001}, BatchTooLarge),
        ({"digests": (b"x" * 32, b"x" * 31)}, DigestLength),
        ({"digest_algorithm": DigestAlgorithm.SHA512}, DigestLength),
        ({"idempotency_key": ""}, FieldInvalid),
        ({"idempotency_key": "with space"}, FieldInvalid),
        ({"idempotency_key": "x" * 129}, FieldInvalid),
        ({"credential_id": "../x"}, FieldInvalid),
    ],
)
def test_a_malformed_request_cannot_be_made(changes: dict[str, Any], error: type[DomainError]) -> None:
    with pytest.raises(error):
        request(**changes)


@pytest.mark.parametrize("text", ["x" * 201, "line\nbreak"])
def test_a_reference_is_one_short_line(text: str) -> None:
    with pytest.raises(FieldInvalid):
        Declaration(reference=text)


async def test_the_same_request_gives_the_same_answer_and_one_signature(world: World) -> None:
    asked = request(2)
    first = await world.sign(asked)
    held(world)
    again = await world.sign(asked)
    assert again.replayed
    assert (again.operation_id, again.outcomes) == (first.operation_id, list(first.outcomes))
    assert again.certificate_chain == first.certificate_chain
    assert world.hsm.signed == 2
    assert len(world.records()) == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"digests": (b"y" * 32,)},
        {"declaration": replace(DECLARED, reference="Số 2")},
        {"scheme": SignatureScheme.ECDSA},
    ],
)
async def test_the_same_key_for_another_request_is_a_conflict(world: World, changes: dict[str, Any]) -> None:
    asked = request()
    await world.sign(asked)
    with pytest.raises(IdempotencyConflict):
        await world.sign(replace(asked, **changes))
    assert world.hsm.signed == 1


async def test_a_request_under_way_is_not_begun_again(world: World) -> None:
    asked = request()
    answer = await world.sign(asked)
    row = world.store.rows[answer.operation_id]
    world.store.rows[answer.operation_id] = replace(row, state=State.BEGUN)
    with pytest.raises(OperationInProgress):
        await world.sign(asked)
    assert world.hsm.signed == 1


async def test_an_item_whose_answer_never_came_is_unknown_and_never_signed_again(world: World) -> None:
    world.hsm.plan = lambda _: HsmOutcomeUnknown("the worker died")
    asked = request()
    for _ in range(2):
        with pytest.raises(OutcomeUnknown):
            await world.sign(asked)
        world.hsm.plan = lambda _: None
    assert world.hsm.signed == 1
    (record,) = world.records()
    assert (record["outcome"], record["error_code"]) == ("unknown", "OUTCOME_UNKNOWN")
    assert world.registry.get_sample_value("kyso_signer_outcome_unknown_total") == 1


async def test_what_never_reached_the_hsm_may_be_asked_again_with_the_same_key(world: World) -> None:
    world.hsm.plan = lambda _: HsmUnavailable("no worker")
    asked = request()
    with pytest.raises(HsmUnavailable):
        await world.sign(asked)
    world.hsm.plan = lambda _: None
    answer = await world.sign(asked)
    assert not answer.replayed
    assert [record["outcome"] for record in world.records()] == ["failed", "completed"]
    assert {record["operation_id"] for record in world.records()} == {answer.operation_id}
    assert (await world.sign(asked)).replayed


async def test_each_item_of_a_batch_has_its_own_outcome_in_order(world: World) -> None:
    world.hsm.plan = lambda index: HsmOutcomeUnknown("gone") if index == 1 else None
    asked = request(3)
    answer = await world.sign(asked)
    kinds = [type(outcome) is bytes for outcome in answer.outcomes]
    assert kinds == [True, False, True]
    assert list((await world.sign(asked)).outcomes) == list(answer.outcomes)
    (record,) = world.records()
    assert (record["outcome"], record["signed_items"], record["error_code"]) == (
        "unknown",
        2,
        "OUTCOME_UNKNOWN",
    )


async def test_a_signature_that_does_not_verify_is_never_released(world: World) -> None:
    other = await world.hsm.generate("documents", KeyAlgorithm.ECDSA_P256)
    stranger = world.hsm.private[other.locator.cka_id]
    world.hsm.private[world.keys.keys["key_1"].cka_id] = stranger
    asked = request()
    with pytest.raises(Internal):
        await world.sign(asked)
    with pytest.raises(Internal):
        await world.sign(asked)
    assert world.hsm.signed == 1
    assert world.records()[0]["outcome"] == "failed"


async def test_a_credential_held_while_the_request_waited_for_the_hsm_does_not_sign(world: World) -> None:
    world.directory.refusal = lambda credential: CredentialHeld("held")
    with pytest.raises(CredentialHeld):
        await world.sign(request())
    assert world.hsm.signed == 0
    (record,) = world.records()
    assert (record["outcome"], record["error_code"]) == ("refused", "CREDENTIAL_HELD")


async def test_a_change_that_does_not_forbid_it_only_makes_the_request_look_again(world: World) -> None:
    stale = world.directory.credentials["cr_1"]
    world.directory.refusal = lambda c: CredentialStatusUnavailable("changed") if c is stale else None
    world.hsm.before = lambda: world.change(version=2)
    answer = await world.sign(request())
    assert isinstance(answer.outcomes[0], bytes)


async def test_an_operation_that_another_replica_took_for_dead_is_not_released(world: World) -> None:
    def taken_over() -> None:
        for operation_id in world.store.rows:
            world.store.owners[operation_id] = "signer-2"

    world.hsm.before = taken_over
    with pytest.raises(OutcomeUnknown):
        await world.sign(request())
    assert world.records() == []
