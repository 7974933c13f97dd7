"""The register through its own door: who sees what, who may what, and what is refused."""

from __future__ import annotations

import asyncio
import subprocess
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from kyso.v1 import common_pb2, registry_pb2, registry_pb2_grpc
from services.kernel.errors import (
    CallerNotAllowed,
    Conflict,
    CredentialNotFound,
    DomainError,
    FieldInvalid,
    IdempotencyConflict,
    NotFound,
    OperationInProgress,
    ScopeMissing,
    TokenInvalid,
    Unauthenticated,
)
from tests.integration.registry.conftest import Client, Registry, Stand, client_of


async def test_a_client_sees_its_own_agency_and_those_below_and_nothing_else(registry: Registry) -> None:
    operator = await registry.client()
    province, other = await operator.agency("UBND tỉnh A"), await operator.agency("UBND tỉnh B")
    office = await operator.agency("Sở Nội vụ", parent=province)
    subscriber = await operator.organization(other)
    _, client = await client_of(registry, operator, province)

    seen = {row.id for row in (await client("ListAgencies")).agencies}
    assert seen == {province, office}
    assert [row.id for row in (await client("ListAgencies", parent_id=province)).agencies] == [office]
    for call in (
        client("GetAgency", id=other),
        client("ListAgencies", parent_id=other),
        client("CreateAgency", name="Sở", parent_id=other),
        client("GetSubscriber", id=subscriber),
        client("ListSubscribers", agency_id=other),
        client("CreateClient", agency_id=other, name="x", scopes=["registry:read"]),
        client("GetClient", id="operator"),
        client("SetClientEnabled", id="operator", enabled=False),
    ):
        with pytest.raises(NotFound):
            await call
    with pytest.raises(FieldInvalid, match="parent_id"):
        await client("CreateAgency", name="Sở")


async def test_an_agency_of_another_branch_cannot_reach_a_credential(registry: Registry) -> None:
    operator = await registry.client()
    credential = await operator.made_credential("idor-1")
    _, stranger = await client_of(registry, operator, await operator.agency("UBND tỉnh B"))
    for call in (
        stranger("GetCredential", id=credential.id),
        stranger("HoldCredential", credential_id=credential.id, reason=5, reporter="x"),
        stranger("RevokeCredential", credential_id=credential.id, ground=1, request_reference="x"),
        stranger("ReleaseCredential", credential_id=credential.id, confirmation="x"),
        stranger("GetCertificationRequest", credential_id=credential.id),
        stranger("ImportCertificate", credential_id=credential.id, certificate_chain=[b"x"]),
    ):
        with pytest.raises(CredentialNotFound):
            await call
    assert not (await stranger("ListCredentials")).credentials
    with pytest.raises(NotFound):
        await stranger("CreateCredential", subscriber_id=credential.subscriber_id, **OWN, idempotency_key="k")


OWN: dict[str, Any] = {
    "key_algorithm": common_pb2.KEY_ALGORITHM_ECDSA_P256,
    "activation": common_pb2.ACTIVATION_CLIENT,
    "issuer": registry_pb2.ISSUER_KIND_OWN_CA,
}


async def test_lists_are_paged_in_the_order_of_making(registry: Registry) -> None:
    operator = await registry.client()
    parent = await operator.agency("UBND tỉnh A")
    made = [await operator.agency(f"Sở {number}", parent=parent) for number in range(5)]
    seen, token = [], ""
    while True:
        answer = await operator("ListAgencies", parent_id=parent, page_size=2, page_token=token)
        seen += [row.id for row in answer.agencies]
        token = answer.next_page_token
        if not token:
            break
    assert seen == made
    for wrong in ({"page_size": -1}, {"page_size": 201}, {"page_token": "!"}, {"page_token": "JzsgRFJPUA=="}):
        with pytest.raises(FieldInvalid, match="page_"):
            await operator("ListAgencies", **wrong)


async def test_a_citizen_number_is_kept_and_only_shown_masked(registry: Registry) -> None:
    operator = await registry.client()
    made = await operator(
        "CreateSubscriber",
        agency_id=await operator.agency(),
        kind=registry_pb2.SUBSCRIBER_KIND_PERSON,
        name="Nguyễn Văn An",
        citizen_number="012345678901",
        title="Chánh Văn phòng",
        email="an.nv@example.gov.vn",
    )
    assert made.citizen_number_masked == "012******901"
    events = (await operator("ListAuditEvents", page_size=200)).events
    assert any(event.type == "kyso.subscriber.created" for event in events)
    assert not any("012345678901" in event.data for event in events)
    credential = await operator.credential(made.id, "person-1")
    leaf = x509.load_der_x509_certificate(credential.certificate_chain[0])
    assert "CCCD:012345678901" in leaf.subject.rfc4514_string()


WRONG_FIELDS: list[tuple[str, dict[str, Any], str]] = [
    ("CreateAgency", {"name": ""}, "name"),
    ("CreateAgency", {"name": "x" * 201}, "name"),
    ("CreateAgency", {"name": "a\nb"}, "name"),
    ("CreateAgency", {"name": "x", "organ_id": "1.2.3"}, "organ_id"),
    ("CreateSubscriber", {"name": "x"}, "kind"),
    ("CreateSubscriber", {"kind": 2, "name": "x", "tax_code": "123"}, "tax_code"),
    ("CreateSubscriber", {"kind": 2, "name": "x", "citizen_number": "012345678901"}, "citizen_number"),
    ("CreateSubscriber", {"kind": 1, "name": "x", "citizen_number": "12"}, "citizen_number"),
    ("CreateSubscriber", {"kind": 1, "name": "x", "email": "a@b"}, "email"),
    ("CreateSubscriber", {"kind": 3, "name": "x", "title": "Trưởng phòng"}, "title"),
    ("CreateClient", {"name": "x", "scopes": []}, "scopes"),
    ("CreateClient", {"name": "x", "scopes": ["sign:everything"]}, "scopes"),
    ("CreateClient", {"name": "x", "scopes": ["verify"], "document_types": ["*", "a"]}, "document_types"),
    ("CreateClient", {"name": "x", "scopes": ["verify"], "document_types": ["Công văn"]}, "document_types"),
    ("CreateClient", {"name": "x", "scopes": ["verify"], "jwks": "{}"}, "jwks"),
]


async def test_wrong_fields_are_named(registry: Registry) -> None:
    operator = await registry.client()
    agency = await operator.agency()
    for method, fields, error in WRONG_FIELDS:
        key = "parent_id" if method == "CreateAgency" else "agency_id"
        with pytest.raises(FieldInvalid) as caught:
            await operator(method, **{key: agency, **fields})
        assert str(caught.value.data["field"]).startswith(error), (method, fields)


async def test_an_organ_id_is_given_once(registry: Registry) -> None:
    operator = await registry.client()
    await operator("CreateAgency", name="UBND tỉnh", organ_id="000.00.01.H56")
    with pytest.raises(Conflict, match="OrganId"):
        await operator("CreateAgency", name="UBND tỉnh khác", organ_id="000.00.01.H56")


async def test_tokens_are_demanded_checked_and_their_scope_enforced(registry: Registry) -> None:
    operator = await registry.client()
    client = Client(operator.stub, "")
    with pytest.raises(TokenInvalid):
        await client("ListAgencies")
    with pytest.raises(Unauthenticated):
        await operator.stub.ListAgencies(registry_pb2.ListAgenciesRequest())
    narrow = await registry.client(await registry.token(scope="verify"))
    for method in ("ListAgencies", "ListSubscribers", "ListClients", "ListCredentials", "ListAuditEvents"):
        with pytest.raises(ScopeMissing):
            await narrow(method)
    with pytest.raises(ScopeMissing):
        await narrow("CreateCredential", subscriber_id="sub_x", idempotency_key="k", **OWN)


async def test_a_service_may_not_call_what_is_not_for_it(registry: Registry) -> None:
    token = await registry.token()
    signer = registry.stub(registry_pb2_grpc.RegistryServiceStub, "signer")
    with pytest.raises(CallerNotAllowed):
        await signer.ListAgencies(
            registry_pb2.ListAgenciesRequest(), metadata=(("authorization", f"Bearer {token}"),)
        )
    gateway = registry.stub(registry_pb2_grpc.DirectoryServiceStub, "gateway")
    with pytest.raises(CallerNotAllowed):
        await gateway.ResolveCredential(registry_pb2.ResolveCredentialRequest(credential_id="x", replica="y"))
    verifier = registry.stub(registry_pb2_grpc.TokenServiceStub, "verifier")
    with pytest.raises(CallerNotAllowed):
        await verifier.IssueToken(registry_pb2.IssueTokenRequest(client_id="operator", client_secret="x"))


async def test_a_credential_gets_a_certificate_that_openssl_believes(stand: Stand, tmp_path: Path) -> None:
    async with stand.signer.serving(stand.mesh, stand.signer_port), stand.running() as registry:
        await registry.ready()
        credential = await (await registry.client()).made_credential("openssl-1")
        pki = registry.stub(registry_pb2_grpc.PkiServiceStub, "verifier")
        trust = await pki.GetTrust(registry_pb2.GetTrustRequest())
    assert credential.status == common_pb2.CREDENTIAL_STATUS_ACTIVE
    assert len(credential.certificate_chain) == 2
    leaf = x509.load_der_x509_certificate(credential.certificate_chain[0])
    assert f"{leaf.serial_number:x}" == credential.serial_number
    points = leaf.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
    assert points[0].full_name is not None
    assert points[0].full_name[0].value == "http://kyso.example/pki/crl/issuing.crl"
    assert "MST:0106793535" in leaf.subject.rfc4514_string()
    assert [anchor.scope for anchor in trust.anchors] == ["own"]
    # After the servers: a process forked from a thread of a process that talks gRPC may hang.
    files = {"root": trust.anchors[0].certificate, "issuing": credential.certificate_chain[1],
             "leaf": credential.certificate_chain[0]}  # fmt: skip
    for name, der in files.items():
        pem = x509.load_der_x509_certificate(der).public_bytes(Encoding.PEM)
        (tmp_path / f"{name}.pem").write_bytes(pem)
    crls = b"".join(x509.load_der_x509_crl(der).public_bytes(Encoding.PEM) for der in trust.crls)
    (tmp_path / "crls.pem").write_bytes(crls)
    checked = subprocess.run(  # noqa: ASYNC221 - nothing else runs in this loop any more
        ["openssl", "verify", "-x509_strict", "-crl_check_all", "-CAfile", "root.pem", "-untrusted", "issuing.pem",
         "-CRLfile", "crls.pem", "leaf.pem"],
        cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert checked.returncode == 0, checked.stderr


async def test_the_same_request_makes_one_credential_and_another_one_is_refused(
    registry: Registry, stand: Stand
) -> None:
    operator = await registry.client()
    subscriber = await operator.organization(await operator.agency())
    first = await operator.credential(subscriber, "same-1")
    again = await operator.credential(subscriber, "same-1")
    assert again == first
    assert stand.signer.asked.count("GenerateKey") == 1
    with pytest.raises(IdempotencyConflict):
        await operator.credential(subscriber, "same-1", validity_days=30)
    assert len((await operator("ListCredentials")).credentials) == 1


async def test_the_same_request_many_times_at_once_makes_one_credential(
    registry: Registry, stand: Stand
) -> None:
    operator = await registry.client()
    subscriber = await operator.organization(await operator.agency())
    asked = [operator.credential(subscriber, "at-once") for _ in range(8)]
    answers = await asyncio.gather(*asked, return_exceptions=True)
    made = {answer.id for answer in answers if not isinstance(answer, BaseException)}
    refused = [answer for answer in answers if isinstance(answer, BaseException)]
    assert len(made) == 1
    assert all(isinstance(error, OperationInProgress) for error in refused), refused
    listed = (await operator("ListCredentials")).credentials
    assert [credential.id for credential in listed] == list(made)
    assert len(stand.signer.documents) == 1


async def test_a_name_that_no_certificate_can_hold_is_refused_before_a_key_is_made(
    registry: Registry, stand: Stand
) -> None:
    operator = await registry.client()
    subscriber = await operator.organization(await operator.agency(), name="Sở " + "x" * 62)
    with pytest.raises(FieldInvalid, match="64"):
        await operator.credential(subscriber, "long-name")
    assert "GenerateKey" not in stand.signer.asked


async def test_replicas_that_start_together_make_one_root_and_one_ca(stand: Stand) -> None:
    if stand.database.url.startswith("sqlite"):
        replicas = [stand.settings("registry-1")]
    else:
        replicas = [stand.settings(f"registry-{number}") for number in (1, 2)]
    async with stand.signer.serving(stand.mesh, stand.signer_port), AsyncExitStack() as stack:
        started = await asyncio.gather(
            *(stack.enter_async_context(stand.running(settings)) for settings in replicas)
        )
        agencies, certificates = set(), set()
        for registry in started:
            await registry.ready()
            rows = (await (await registry.client())("ListAgencies")).agencies
            agencies.add(tuple(row.id for row in rows))
            pki = registry.stub(registry_pb2_grpc.PkiServiceStub, "gateway")
            answer = await pki.GetCaCertificate(registry_pb2.GetCaCertificateRequest(ca="issuing"))
            certificates.add(answer.certificate)
    assert len(agencies) == len(certificates) == 1
    assert len(next(iter(agencies))) == 1


WRONG_CREDENTIALS: list[tuple[dict[str, Any], str]] = [
    ({"key_algorithm": 0}, "ALGORITHM_UNKNOWN"),
    ({"key_algorithm": 99}, "ALGORITHM_UNKNOWN"),
    ({"activation": 0}, "FIELD_INVALID"),
    ({"issuer": 0}, "FIELD_INVALID"),
    ({"validity_days": 1827}, "FIELD_INVALID"),
    ({"validity_days": -1}, "FIELD_INVALID"),
    ({"idempotency_key": ""}, "FIELD_INVALID"),
    ({"idempotency_key": "chìa khóa"}, "FIELD_INVALID"),
    ({"idempotency_key": "k" * 129}, "FIELD_INVALID"),
    ({"client_ids": ["cl_nobody"]}, "FIELD_INVALID"),
]


async def test_a_wrong_credential_request_makes_nothing(registry: Registry) -> None:
    operator = await registry.client()
    subscriber = await operator.organization(await operator.agency())
    for fields, code in WRONG_CREDENTIALS:
        asked = {**OWN, "idempotency_key": "k", **fields}
        with pytest.raises(DomainError) as caught:
            await operator("CreateCredential", subscriber_id=subscriber, **asked)
        assert caught.value.code == code, fields
    assert not (await operator("ListCredentials")).credentials


async def test_a_client_of_another_branch_cannot_be_named(registry: Registry) -> None:
    operator = await registry.client()
    mine, other = await operator.agency("UBND tỉnh A"), await operator.agency("UBND tỉnh B")
    stranger, _ = await client_of(registry, operator, other)
    above, _ = await client_of(registry, operator, mine)
    subscriber = await operator.organization(mine)
    with pytest.raises(FieldInvalid, match="no such client"):
        await operator.credential(subscriber, "named-1", client_ids=[stranger])
    made = await operator.credential(subscriber, "named-2", client_ids=[above])
    assert list(made.client_ids) == [above]
