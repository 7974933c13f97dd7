"""What a client may give others, and that one that is switched off may nothing any more."""

from __future__ import annotations

from typing import Any

import pytest

from kyso.v1 import common_pb2, registry_pb2
from services.kernel.errors import (
    Conflict,
    DocumentTypeNotAllowed,
    Forbidden,
    ScopeMissing,
    Unauthenticated,
)
from services.registry.domain.access import SCOPES
from services.registry.domain.parties import MAX_MAKERS
from services.registry.service.tokens import MAX_TOKEN_CHARACTERS
from tests.integration.registry.conftest import Registry, client_of

OWN: dict[str, Any] = {
    "key_algorithm": common_pb2.KEY_ALGORITHM_ECDSA_P256,
    "activation": common_pb2.ACTIVATION_CLIENT,
    "issuer": registry_pb2.ISSUER_KIND_OWN_CA,
}


async def test_a_client_gives_no_scope_that_it_does_not_hold(registry: Registry) -> None:
    operator = await registry.client()
    agency = await operator.agency()
    _, client = await client_of(registry, operator, agency, ["registry:write", "registry:read"])
    with pytest.raises(ScopeMissing, match="sign:hash"):
        await client("CreateClient", agency_id=agency, name="x", scopes=["registry:read", "sign:hash"])


async def test_a_switched_off_client_gets_no_token_until_it_is_on_again(registry: Registry) -> None:
    operator = await registry.client()
    made = await operator("CreateClient", agency_id=await operator.agency(), name="x", scopes=["verify"])
    await registry.token(made.client.id, made.secret)
    await operator("SetClientEnabled", id=made.client.id, enabled=False)
    with pytest.raises(Unauthenticated):
        await registry.token(made.client.id, made.secret)
    await operator("SetClientEnabled", id=made.client.id, enabled=True)
    await registry.token(made.client.id, made.secret)


async def test_a_switched_off_client_does_nothing_with_a_token_from_before(registry: Registry) -> None:
    operator = await registry.client()
    credential = await operator.made_credential("off-1")
    agency = credential.agency_id
    who, client = await client_of(registry, operator, agency)
    fields = {"agency_id": agency, "name": "x", "scopes": ["registry:write"]}
    with pytest.raises(Forbidden, match="itself"):
        await client("SetClientEnabled", id=who, enabled=True)
    await operator("SetClientEnabled", id=who, enabled=False)
    subscriber = {"agency_id": agency, "kind": 2, "name": "x"}
    for method, asked in (
        ("CreateClient", fields),
        ("CreateAgency", {"parent_id": agency, "name": "x"}),
        ("CreateSubscriber", subscriber),
        ("CreateCredential", {"subscriber_id": credential.subscriber_id, "idempotency_key": "k", **OWN}),
        ("HoldCredential", {"credential_id": credential.id, "reason": 5, "reporter": "x"}),
        ("ReleaseCredential", {"credential_id": credential.id, "confirmation": "x"}),
        ("RevokeCredential", {"credential_id": credential.id, "ground": 1, "request_reference": "x"}),
        ("GetCertificationRequest", {"credential_id": credential.id}),
        ("ImportCertificate", {"credential_id": credential.id, "certificate_chain": [b"x"]}),
        ("GetAgency", {"id": agency}),
        ("ListAgencies", {}),
        ("GetSubscriber", {"id": credential.subscriber_id}),
        ("ListSubscribers", {}),
        ("GetClient", {"id": who}),
        ("ListClients", {}),
        ("GetCredential", {"id": credential.id}),
        ("ListCredentials", {}),
        ("ListAuditEvents", {}),
    ):
        with pytest.raises(Unauthenticated, match="switched off"):
            await client(method, **asked)
    with pytest.raises((Forbidden, Unauthenticated)):
        await client("SetClientEnabled", id=who, enabled=True)
    assert not (await operator("GetClient", id=who)).enabled
    await operator("SetClientEnabled", id=who, enabled=True)
    await client("GetAgency", id=agency)


async def test_a_client_gives_no_document_type_that_it_does_not_hold(registry: Registry) -> None:
    operator = await registry.client()
    agency = await operator.agency()
    scopes = ["registry:write", "sign:document"]
    made = await operator(
        "CreateClient", agency_id=agency, name="x", scopes=scopes, document_types=["cong-van", "bao-cao"]
    )
    giver = await registry.client(await registry.token(made.client.id, made.secret))
    fields = {"agency_id": agency, "name": "y", "scopes": ["sign:document"]}
    for beyond in (["*"], ["cong-van", "quyet-dinh"]):
        with pytest.raises(DocumentTypeNotAllowed, match="does not hold"):
            await giver("CreateClient", **fields, document_types=beyond)
    given = await giver("CreateClient", **fields, document_types=["cong-van"])
    assert list(given.client.document_types) == ["cong-van"]


async def test_who_must_label_makes_only_clients_that_must_unless_the_platform_says_otherwise(
    registry: Registry,
) -> None:
    operator = await registry.client()
    root, agency = (await operator("GetClient", id="operator")).agency_id, await operator.agency()
    for home, expected in ((agency, True), (root, False)):
        made = await operator(
            "CreateClient", agency_id=home, name="x", scopes=["registry:write"], label_required=True
        )
        giver = await registry.client(await registry.token(made.client.id, made.secret))
        given = await giver("CreateClient", agency_id=agency, name="y", scopes=["registry:write"])
        assert given.client.label_required is expected


async def test_clients_that_make_clients_stand_only_so_deep(registry: Registry) -> None:
    client = await registry.client()
    agency = await client.agency()
    fields = {"agency_id": agency, "name": "x", "scopes": ["registry:write"]}
    for _ in range(MAX_MAKERS):
        made = await client("CreateClient", **fields)
        client = await registry.client(await registry.token(made.client.id, made.secret))
    with pytest.raises(Conflict, match="deep"):
        await client("CreateClient", **fields)


async def test_a_client_with_as_many_document_types_as_may_be_gets_a_token_that_doors_take(
    registry: Registry,
) -> None:
    operator = await registry.client()
    types = [f"{number:02d}-{'x' * 27}" for number in range(100)]
    made = await operator(
        "CreateClient",
        agency_id=await operator.agency(),
        name="x",
        scopes=list(SCOPES),
        document_types=types,
    )
    token = await registry.token(made.client.id, made.secret)
    assert len(token) <= MAX_TOKEN_CHARACTERS
    await (await registry.client(token))("ListAgencies")
